"""What the actions on accounts and secrets share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from actions.catalogue._base import Values
from actions.errors import ParamsRefused

RECORDED = (
    "In PostgreSQL, in one transaction before anything is sent: the request key, the "
    "operation, its effects and the log event, each under a unique constraint."
)


def only(params: Values, *names: str) -> None:
    """Raises ParamsRefused `unknown_param` for any parameter that is not among `names`."""
    unknown = sorted(set(params) - set(names))
    if unknown:
        takes = f"takes {', '.join(names)}" if names else "takes no parameters"
        raise ParamsRefused(
            "unknown_param",
            f"This action {takes}, not {unknown[0][:40]!r}.",
            {"field": unknown[0]},
        )


def whole_milliseconds(at: datetime) -> datetime:
    """In UTC, cut to what is written: finer moments would not equal their own text."""
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def instant(text: object) -> datetime:
    """The moment that an intent's `desired` holds as text."""
    return datetime.fromisoformat(str(text))


def in_words(seconds: int) -> str:
    """`15 minutes`, `2 hours 30 minutes`, `45 seconds`."""
    left = timedelta(seconds=seconds)
    parts = []
    for unit, size in (("hour", 3600), ("minute", 60), ("second", 1)):
        count, rest = divmod(int(left.total_seconds()), size)
        left = timedelta(seconds=rest)
        if count:
            parts.append(f"{count} {unit}{'s' * (count != 1)}")
    return " ".join(parts) or "no time"
