"""Times as people read them: in UTC, with the day where it is not today's."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(text: str | None) -> datetime | None:
    """A time out of an operation's facts."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def on_day(at: datetime, *, precise: bool = False) -> str:
    """`02:14:07`, in UTC, with the day before it when it is not today's; `precise` to milliseconds."""
    at = at.astimezone(UTC)
    day = "" if at.date() == datetime.now(UTC).date() else f"{at:%-d %b %Y} "
    return f"{day}{at:%H:%M:%S}" + (f".{at.microsecond // 1000:03}" if precise else "")


def clock(text: str | datetime) -> str:
    """`02:14:07 UTC`, with the day when it is not today's."""
    at = datetime.fromisoformat(text) if isinstance(text, str) else text
    return f"{on_day(at)} UTC"
