"""Puts a connector through what will happen to it, and compares that with what it declares.

It works on a real system, on a subject kept for trials: a target says which, and what to ask of it
there and back. Generations count from the clock's seconds, so that a trial can be run again; a
subject that was tried must not be used in earnest, for what the console asks there would come too
late.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from actions.connectors._base import Call, Connector, Database, Redo
from actions.outcomes import Applied, Found, Outcome, Refused, RetryLater, Seen, Unknown
from console.trial_line import Line

GRACE = 2.0
"""Seconds that a call may take beyond what its offer says."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to ask of which subject; `inverse` None: nothing takes it back, and less is tried."""

    kind: str
    subject: str
    capability: str
    desired: Mapping[str, object]
    inverse: Mapping[str, object] | None = None
    step: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What one trial saw. `ok` None: it could not be tried, and `seen` says why."""

    trial: str
    ok: bool | None
    seen: str


class Trial:
    """One connector class on one target."""

    def __init__(
        self,
        kind: type[Connector],
        settings: Mapping[str, object],
        credentials: Mapping[str, str],
        database: Database,
        target: Target,
    ) -> None:
        self.kind, self.settings, self.credentials = kind, dict(settings), dict(credentials)
        self.database, self.target = database, target
        self.offer = kind.offers[target.capability]
        self._generation = int(time.time())

    def run(self) -> Iterator[Result]:
        """Every trial in turn. One that fails does not stop the others."""
        trials: tuple[Callable[[], Result], ...] = (
            self.twice,
            self.already,
            self.late,
            self.no_rights,
            self.lost_answers,
            self.crashes,
            self.silence,
        )
        for trial in trials:
            try:
                yield trial()
            except Exception as error:  # whatever it raises is what was seen
                yield Result(trial.__name__, False, f"raised {type(error).__name__}")

    def at_work(
        self, port: int | None = None, credentials: Mapping[str, str] | None = None
    ) -> Connector:
        elsewhere = {"host": "127.0.0.1", "port": port} if port else {}
        return self.kind(
            {**self.settings, **elsewhere}, self.database, credentials or self.credentials
        )

    def call(self, *, back: bool = False) -> Call:
        """A call of a generation of its own."""
        self._generation += 1
        desired = self.target.inverse if back else self.target.desired
        call = Call(
            key=f"trial:{self.target.subject}@{self._generation}",
            generation=self._generation,
            capability=self.target.capability,
            kind=self.target.kind,
            subject=self.target.subject,
            desired=desired or {},
            step=self.target.step,
        )
        return replace(call, made=self.at_work().make(call)) if self.offer.makes else call

    def reset(self) -> bool:
        """Take it back; False when nothing does."""
        if self.target.inverse is None:
            return False
        return isinstance(self.at_work().apply(self.call(back=True)), Applied)

    def twice(self) -> Result:
        """The same call twice is done once."""
        self.reset()
        connector, call = self.at_work(), self.call()
        first, second = connector.apply(call), connector.apply(call)
        ok = isinstance(first, Applied) and connector.verify(call)
        if self.offer.redo is not Redo.NEVER:
            ok = ok and isinstance(second, Applied) and second.found is not Found.CHANGED
        return Result("twice", ok, f"{told(first)}, then {told(second)}")

    def already(self) -> Result:
        """What is so already is told as that, under another key."""
        if self.offer.makes:
            return Result("already", None, "each call makes a new value")
        outcome = self.at_work().apply(self.call())
        ok = isinstance(outcome, Applied) and outcome.found is Found.SO_ALREADY
        return Result("already", ok, told(outcome))

    def late(self) -> Result:
        """A call of an older generation changes nothing when it arrives after a newer one."""
        if self.target.inverse is None:
            return Result("late", None, "the target has no inverse")
        connector, old, new = self.at_work(), self.call(), self.call(back=True)
        connector.apply(old)
        connector.apply(new)
        outcome = connector.apply(old)
        stays = connector.observe(new) is Seen.YES
        return Result("late", stays, f"{told(outcome)}; {'kept' if stays else 'UNDONE'}")

    def no_rights(self) -> Result:
        """Without the right password nothing is claimed."""
        if not self.credentials:
            return Result("no_rights", None, "the realm has no credentials")
        wrong = {name: "wrong" for name in self.credentials}
        connector, call = self.at_work(credentials=wrong), self.call()
        outcome, seen = connector.apply(call), connector.observe(call)
        ok = isinstance(outcome, Refused | RetryLater) and seen is Seen.UNREADABLE
        return Result("no_rights", ok, f"{told(outcome)}, reads {seen}")

    def lost_answers(self) -> Result:
        """The line is cut at each answer in turn. A clear answer must then be a true one."""
        return self._at_each_answer("lost_answers", self._cut)

    def crashes(self) -> Result:
        """A process that makes the call is killed at each answer; another one then redoes it."""
        return self._at_each_answer("crashes", self._killed)

    def _at_each_answer(self, name: str, trial: Callable[[int], str]) -> Result:
        pieces = self._pieces()
        if pieces is None:
            return Result(name, None, "the settings have no host and port to put a line before")
        if self.offer.redo is Redo.NEVER:
            return Result(name, None, "a call of it must never be redone")
        for at in range(1, pieces + 1):
            self.reset()
            if wrong := trial(at):
                return Result(name, False, f"at answer {at} of {pieces}: {wrong}")
        return Result(name, True, f"at each of {pieces} answers, then brought about")

    def _pieces(self) -> int | None:
        if not {"host", "port"} <= set(self.settings):
            return None
        self.reset()
        with self._line() as line:
            self.at_work(line.port).apply(self.call())
            return line.pieces

    def _line(self, at: int | None = None, then: Callable[[], bool | None] = bool) -> Line:
        where = str(self.settings["host"]), int(str(self.settings["port"]))
        return Line(where, at, then)

    def _cut(self, at: int) -> str:
        call = self.call()
        with self._line(at, lambda: False) as line:
            outcome = _outcome(self.at_work(line.port), call)
        clear = isinstance(outcome, Refused | RetryLater)
        if clear and self.target.inverse and self.at_work().observe(call) is Seen.YES:
            return f"{told(outcome)}, which says that nothing was changed, but it was"
        return self._redone(call)

    def _killed(self, at: int) -> str:
        call, killed = self.call(), [0]

        def kill() -> bool:
            os.kill(killed[0], signal.SIGKILL)
            return False

        with self._line(at, kill) as line:
            connector = self.at_work(line.port)
            start, go = os.pipe()
            killed[0] = os.fork()
            if killed[0] == 0:
                os.read(start, 1)  # until its own number is known
                _outcome(connector, call)
                os._exit(0)
            os.write(go, b"1")
            os.waitpid(killed[0], 0)
            os.close(start)
            os.close(go)
        return self._redone(call)

    def _redone(self, call: Call) -> str:
        """What is wrong once the call was redone; the system may need a moment to let go of it."""
        connector, deadline = self.at_work(), time.monotonic() + max(self.offer.settle, 1)
        outcome = connector.apply(call)
        while isinstance(outcome, RetryLater) and time.monotonic() < deadline:
            time.sleep(0.1)
            outcome = connector.apply(call)
        if not isinstance(outcome, Applied):
            return f"redone, it comes to {told(outcome)}"
        return "" if connector.verify(call) else "redone, reading back does not show it"

    def silence(self) -> Result:
        """A system that says nothing any more does not hold a call longer than was promised."""
        if (pieces := self._pieces()) is None:
            return Result("silence", None, "the settings have no host and port")
        self.reset()
        longest = 0.0
        for at in sorted({1, pieces}):
            with self._line(at, lambda: None) as line:
                begun = time.monotonic()
                outcome = _outcome(self.at_work(line.port), self.call())
                longest = max(longest, time.monotonic() - begun)
            if isinstance(outcome, Applied):
                return Result("silence", False, "claims to be done without an answer")
        ok = longest <= self.offer.timeout + GRACE
        return Result("silence", ok, f"{longest:.1f} s of {self.offer.timeout:g} s")


def _outcome(connector: Connector, call: Call) -> Outcome:
    try:
        return connector.apply(call)
    except Exception as error:
        return Unknown(f"raised {type(error).__name__}")


def told(outcome: Outcome) -> str:
    """An outcome in a word or two."""
    found = f" {outcome.found}" if isinstance(outcome, Applied) else ""
    return f"{type(outcome).__name__}{found}"
