"""A network of its own for some processes, with a cable to the database that can be pulled out.

Made of a network namespace and two pairs of virtual interfaces: what is sent into a pulled cable is
gone, and nobody is told, which no proxy on a loopback can do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator


class Island:
    """Its processes are run `through` it; `front` is where they listen, `shore` where we do."""

    def __init__(self) -> None:
        self.name = f"steadyhand{os.getpid()}"
        self.through = ("ip", "netns", "exec", self.name)
        net = f"10.231.{os.getpid() % 250}"
        self.front, self._ours = f"{net}.2", f"{net}.1"
        self.shore, self._far = f"{net}.5", f"{net}.6"
        self._cable = f"b{os.getpid()}"

    def make(self) -> None:
        _ip("netns", "add", self.name)
        self._lay(f"f{os.getpid()}", self._ours, self.front)
        self._lay(self._cable, self.shore, self._far)
        _ip("-n", self.name, "link", "set", "lo", "up")
        # What is sent is not answered by "no route to host" for want of a neighbour.
        address = _ip("-br", "link", "show", "dev", self._cable).split()[2]
        neighbour = ("neigh", "replace", self.shore, "lladdr", address, "nud", "permanent")
        _ip("-n", self.name, *neighbour, "dev", f"{self._cable}n")

    def _lay(self, cable: str, here: str, there: str) -> None:
        _ip("link", "add", cable, "type", "veth", "peer", "name", f"{cable}n", "netns", self.name)
        _ip("addr", "add", f"{here}/30", "dev", cable)
        _ip("link", "set", cable, "up")
        _ip("-n", self.name, "addr", "add", f"{there}/30", "dev", f"{cable}n")
        _ip("-n", self.name, "link", "set", f"{cable}n", "up")

    def pull(self) -> None:
        _ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        _ip("link", "set", self._cable, "up")

    def unmake(self) -> None:
        with contextlib.suppress(AssertionError):
            _ip("netns", "del", self.name)


@contextlib.contextmanager
def island() -> Iterator[Island]:
    """Fails where it cannot be made: a partition that was not tried did not hold."""
    assert os.geteuid() == 0 and shutil.which("ip"), (
        "a partition needs a network namespace: run `make faults` as root, with iproute2 installed"
    )
    made = Island()
    try:
        made.make()
        yield made
    finally:
        made.unmake()


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout
