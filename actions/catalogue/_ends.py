"""Until when: an end given as a moment or as a length, made absolute once and never again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from actions.errors import ParamsRefused

LONGEST = timedelta(days=3660)
_LENGTH = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_END = (
    'Give "for" as a length such as "45m", "24h" or "7d", or "until" as a moment with its zone '
    'such as "2026-11-25T02:14:00Z", or "until": null for no end.'
)
_ACCEPTED = {
    "for": _END,
    "until": _END,
    "before": 'Give a moment with its zone such as "2026-11-24T02:14:00Z".',
    "overlap": 'Give a length such as "15m" or "2h", or "0m".',
}

SCHEMAS: dict[str, Mapping[str, object]] = {
    "for": {"type": "string", "pattern": "^[1-9][0-9]{0,8}(s|m|h|d)$", "examples": ["24h"]},
    "until": {"type": ["string", "null"], "format": "date-time"},
}


def moment(value: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the one way times are written."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _refuse(field: str, what: str) -> ParamsRefused:
    accepted = _ACCEPTED.get(field, _ACCEPTED["until"])
    return ParamsRefused("bad_end", f"{what} {accepted}", {"field": field})


def length(text: object, field: str, none: str = "") -> int:
    """Seconds of a length such as "45m"; `none` is a number that may stand for no time at all.

    Raises ParamsRefused `bad_end` naming `field`.
    """
    if none and isinstance(text, str) and text[:-1] == none and text[-1] in _UNITS:
        return 0
    match = _LENGTH.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise _refuse(field, "That is not a length of time.")
    return int(match[1]) * _UNITS[match[2]]


def instant(text: object, field: str) -> datetime:
    """A moment with its zone, in UTC. Raises ParamsRefused `bad_end` naming `field`."""
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise _refuse(field, "That is not a moment with its zone.")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _refuse(field, "There is no such moment.") from None


def _whole_milliseconds(value: datetime) -> datetime:
    # Ends are written with milliseconds everywhere; finer ones would not compare equal to their own text.
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def resolve(params: Mapping[str, object], now: datetime) -> tuple[datetime | None, int | None]:
    """(end, length in seconds when one was given). The end is None when there is to be none.

    Raises ParamsRefused `bad_end` when neither or both are given, or the end is past or too far.
    """
    if ("for" in params) == ("until" in params):
        raise _refuse("for", "How long is missing." if "for" not in params else "Two ends.")
    if "until" in params and params["until"] is None:
        return None, None
    span = length(params["for"], "for") if "for" in params else None
    if span is not None and span > LONGEST.total_seconds():
        raise _refuse("for", "That is longer than ten years.")
    end = now + timedelta(seconds=span) if span is not None else instant(params["until"], "until")
    if end <= now:
        raise _refuse("until", "That moment has passed.")
    if end > now + LONGEST:
        raise _refuse("until", "That is more than ten years away.")
    return _whole_milliseconds(end), span
