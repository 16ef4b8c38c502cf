"""Strict JSON: one text has one meaning, and the database can hold all of it."""

from __future__ import annotations

import json
from collections import Counter
from itertools import accumulate
from math import isinf
from typing import Final, NoReturn

from actions.errors import Refusal

LARGEST: Final = 64 * 1024
"""Bytes in a body."""
DEEPEST: Final = 16
"""Lists and objects inside one another."""
LONGEST_NUMBER: Final = 32
"""Characters in a number; an int64 takes 20, any double written exactly 24."""

_INT64: Final = 1 << 63
_SHOWN: Final = 40

_BRACKETS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_REST: Final = bytes(set(range(256)) - set(b"[{]}"))


class BadJSON(Refusal):
    """A body is not the JSON that is accepted.

    `facts["at"]`, if known, is the place: a character from 0 on, or a byte if it is no UTF-8.
    """

    def __init__(self, message: str, facts: dict[str, object] | None = None) -> None:
        super().__init__("bad_json", message, facts or {})


def loads(body: bytes) -> object:
    """What a body says in JSON (RFC 8259), read as I-JSON (RFC 7493) is: without ambiguity.

    Gives dict, list, str, int (of 64 bits), float (finite), bool or None. Refuses with BadJSON,
    and raises nothing else: other encodings than UTF-8 and a byte order mark; more than 64 KiB;
    more than 16 levels; the same member twice; NaN, Infinity and numbers that do not fit; NUL
    and lone surrogates.
    """
    if len(body) > LARGEST:
        raise too_large()
    text = _text(body)
    # Counting is a fast upper bound; only a body with many brackets is worth a real look.
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        _check_depth(body)
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadJSON(
            f"The body is not JSON: {error.msg.strip(' :')} "
            f"(line {error.lineno}, column {error.colno}).",
            {"at": error.pos},
        ) from None
    # In UTF-8 without raw control characters, only an escape can bring in what is not wanted.
    if b"\\u" in body:
        _check_strings(value)
    return value


def too_large() -> BadJSON:
    """The refusal of a body beyond LARGEST."""
    return BadJSON(f"The body is larger than {LARGEST} bytes.", {"limit": LARGEST})


def _text(body: bytes) -> str:
    if body.startswith(b"\xef\xbb\xbf"):
        raise BadJSON("The body begins with a byte order mark. Send UTF-8 without one.", {"at": 0})
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadJSON(
            f"The body is not UTF-8: byte {error.start} fits no character.", {"at": error.start}
        ) from None


def _check_depth(body: bytes) -> None:
    """Refuse a body that opens more than 16 brackets inside one another, strings left out.

    True of all that the parser reads; past the first fault, where it stops, it may be anything.
    """
    # Escaped backslashes go first, so that what is left before a quote does escape it; then every
    # second piece between quotes is outside a string.
    outside = body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    steps = b"".join(outside).translate(_BRACKETS, _REST)
    if max(accumulate(memoryview(steps).cast("b")), default=0) > DEEPEST:
        raise BadJSON(
            f"The body goes more than {DEEPEST} lists or objects deep.", {"limit": DEEPEST}
        )


def _check_strings(value: object) -> None:
    """Refuse NUL and lone surrogates, in members' names too: PostgreSQL stores neither."""
    if isinstance(value, str):
        _check_string(value)
    elif isinstance(value, list):
        for item in value:
            _check_strings(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_string(name)
            _check_strings(item)


def _check_string(text: str) -> None:
    if "\0" in text:
        raise BadJSON(f"The text {_shown(text)} holds a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadJSON(f"The text {_shown(text)} holds half of a surrogate pair.") from None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    counts = Counter(name for name, _ in pairs)
    twice = next(name for name, count in counts.items() if count > 1)
    raise BadJSON(f"The member {_shown(twice)} stands twice in one object.")


def _integer(digits: str) -> int:
    # Length first: int() is quadratic, and past 4,300 digits raises a ValueError of its own.
    if len(digits) > LONGEST_NUMBER or not -_INT64 <= (number := int(digits)) < _INT64:
        raise BadJSON(f"The number {_shown(digits)} does not fit in 64 bits.")
    return number


def _decimal(digits: str) -> float:
    if len(digits) > LONGEST_NUMBER or isinf(number := float(digits)):
        raise BadJSON(f"The number {_shown(digits)} is too long or too large.")
    return number


def _constant(word: str) -> NoReturn:
    raise BadJSON(f"{word} is no JSON: numbers are finite.")


def _shown(text: str) -> str:
    """A text, short and in plain ASCII, so that a refusal can be sent and logged."""
    return ascii(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!a}..."


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members,
    parse_int=_integer,
    parse_float=_decimal,
    parse_constant=_constant,
)
