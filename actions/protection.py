"""How a subject is protected, as the database function `protection` tells it."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Protection:
    """`level` is `never` or `ask_twice`; `name` the subject that is listed, "" where it is not told."""

    level: str
    name: str
    reason: str
    source: str


def protection_of(text: str | None) -> Protection | None:
    """What the function told, out of its `jsonb` text."""
    return Protection(**json.loads(text)) if text else None
