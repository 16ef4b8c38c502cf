"""One run of the console, as all who take part in it know it."""

import os
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = "STEADYHAND_RUN_ID"
"""The variable that carries the run's id, in the environment of each of its processes."""


class Problem(Exception):
    """Why the console cannot run, in words for whoever started it."""


class Stopped(Exception):
    """We were told to stop while starting."""


@dataclass
class Run:
    """One run of the console on a home."""

    home: Path
    port: int
    stop: threading.Event
    broker: bool = False
    """Whether there is one, for Celery's workers to listen to."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def environment(self, role: str) -> dict[str, str]:
        """What a child is given. Never DATABASE_URL or BROKER_URL: what it may know is in files."""
        ours = {"DATABASE_URL", "BROKER_URL"}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        given = {"STEADYHAND_HOME": str(self.home), "STEADYHAND_ROLE": role, MARK: self.id}
        return {**kept, **given, "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}

    def check(self) -> None:
        """Raise `Stopped` once told to stop."""
        if self.stop.is_set():
            raise Stopped

    def log(self, name: str) -> Path:
        """Where the output of a program goes."""
        return self.home / "logs" / f"{name}.log"
