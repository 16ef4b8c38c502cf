"""A body means one thing, fits the database, and is refused in words otherwise."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actions.errors import Refusal
from console.api.strict import DEEPEST, LARGEST, BadJSON, loads


def refusal(body: bytes) -> BadJSON:
    with pytest.raises(BadJSON) as caught:
        loads(body)
    return caught.value


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + b"1" + closing * levels


ORDINARY = {
    "action": "ban-network",
    "subject": {"kind": "network", "name": "203.0.113.7"},
    "params": {"for": "24h"},
    "reason": "Füllt Zugangsdaten durch \u2014 \U0001f6a8",
    "seen": 41,
    "again": False,
    "incident": None,
}


@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_ordinary_body_is_read_as_it_was_written(ascii_only: bool) -> None:
    assert loads(json.dumps(ORDINARY, ensure_ascii=ascii_only).encode()) == ORDINARY


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b"[]", []),
        (b" \t\r\n1 \t\r\n", 1),
        (b"null", None),
        (b"true", True),
        (b'""', ""),
        (b"-0", 0),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"1.5", 1.5),
        (b"1e308", 1e308),
        (b"-1.7976931348623157e+308", -1.7976931348623157e308),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\u0000"', "\\u0000"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'{"a":{"a":1},"b":{"a":2}}', {"a": {"a": 1}, "b": {"a": 2}}),
        (b'{"a":1,"A":2}', {"a": 1, "A": 2}),
        (b'"\x7f"', "\x7f"),
    ],
)
def test_all_of_json_that_has_one_meaning_is_accepted(body: bytes, value: object) -> None:
    read = loads(body)
    assert read == value and type(read) is type(value)


BAD = [
    (b"", "not JSON"),
    (b" ", "not JSON"),
    (b"{", "not JSON"),
    (b"nul", "not JSON"),
    (b"{} {}", "not JSON"),
    (b"[1,]", "not JSON"),
    (b'{"a":1,}', "not JSON"),
    (b"{a:1}", "not JSON"),
    (b"{'a':1}", "not JSON"),
    (b"{1:1}", "not JSON"),
    (b"01", "not JSON"),
    (b"+1", "not JSON"),
    (b".5", "not JSON"),
    (b"1.", "not JSON"),
    (b"0x10", "not JSON"),
    (b"1_000", "not JSON"),
    (b"//\n1", "not JSON"),
    (b'"\n"', "not JSON"),
    (b'"\x00"', "not JSON"),
    (b"\x00", "not JSON"),
    (b"1\x00", "not JSON"),
    (b'"\\x41"', "not JSON"),
    (b'"\\u12"', "not JSON"),
    (b'"\\u+123"', "not JSON"),
    (b'"\\', "not JSON"),
    ("\u00a01".encode(), "not JSON"),
    ("\u0661".encode(), "not JSON"),
    ("1\u0661".encode(), "not JSON"),
    (b'{"a":1,"a":1}', "member 'a' stands twice"),
    (b'{"a":1,"b":[{"c":1,"c":2}]}', "member 'c' stands twice"),
    (b'{"a":1,"\\u0061":2}', "member 'a' stands twice"),
    (b'{"\\ud800":1,"\\ud800":2}', "stands twice"),
    (b"NaN", "NaN is no JSON"),
    (b'{"a":NaN}', "NaN is no JSON"),
    (b"[Infinity]", "Infinity is no JSON"),
    (b"-Infinity", "-Infinity is no JSON"),
    (b"9223372036854775808", "64 bits"),
    (b"-9223372036854775809", "64 bits"),
    (b"1" * 33, "64 bits"),
    (b"1" * 5000, "64 bits"),
    (b"-" + b"9" * 60000, "64 bits"),
    (b"1e400", "too large"),
    (b"-1e400", "too large"),
    (b"1e" + b"9" * 20, "too large"),
    (b"1e" + b"9" * 5000, "too long"),
    (b"0." + b"1" * 5000, "too long"),
    (b'"\\u0000"', "NUL"),
    (b'["a",{"b":["x\\u0000"]}]', "NUL"),
    (b'{"\\u0000":1}', "NUL"),
    (b'{"a":{"b\\u0000":1}}', "NUL"),
    (b'"\\ud800"', "surrogate"),
    (b'"\\uDC00"', "surrogate"),
    (b'"\\ude00\\ud83d"', "surrogate"),
    (b'"\\ud83d\\ud83d\\ude00"', "surrogate"),
    (b'{"\\ud800":1}', "surrogate"),
    (b'[{"a":["\\ud800"]}]', "surrogate"),
    (b"\xef\xbb\xbf{}", "byte order mark"),
    ("{}".encode("utf-16"), "not UTF-8"),
    ("{}".encode("utf-16-le"), "not JSON"),
    ("{}".encode("utf-32"), "not UTF-8"),
    (b'"\xe4"', "not UTF-8: byte 1"),
    (b'"\xc0\x80"', "not UTF-8"),
    (b'"\xed\xa0\x80"', "not UTF-8"),
    (b'"\xf4\x90\x80\x80"', "not UTF-8"),
    (b"\xff", "not UTF-8: byte 0"),
    (b"[" * 60000, "16 lists or objects deep"),
    (b'{"a":' * 10000, "16 lists or objects deep"),
    (b"]" * 60000, "not JSON"),
    (b" " * (LARGEST + 1), "larger than 65536 bytes"),
    (b"[" * 200_000, "larger than 65536 bytes"),
]


@pytest.mark.parametrize(("body", "why"), BAD, ids=[f"{body[:30]!r}" for body, _ in BAD])
def test_what_is_ambiguous_broken_or_does_not_fit_is_refused(body: bytes, why: str) -> None:
    refused = refusal(body)
    assert isinstance(refused, Refusal) and refused.code == "bad_json"
    assert why in refused.message
    assert refused.message.isascii() and refused.message.isprintable()
    assert len(refused.message) < 500


def test_a_refusal_says_where_the_fault_is() -> None:
    refused = refusal(b'{"a": 1,\n "b": oops}')
    assert "(line 2, column 7)" in refused.message
    assert refused.facts == {"at": 15}


def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_refused() -> None:
    body = b'"' + b"a" * (LARGEST - 2) + b'"'
    assert loads(body) == "a" * (LARGEST - 2)
    assert refusal(body + b" ").facts == {"limit": LARGEST}


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_sixteen_levels_are_read_and_seventeen_are_refused(opening: bytes, closing: bytes) -> None:
    loads(nested(DEEPEST, opening, closing))
    assert refusal(nested(DEEPEST + 1, opening, closing)).facts == {"limit": DEEPEST}


def test_sixteen_levels_are_read_beside_many_others() -> None:
    body = b"[" + nested(DEEPEST - 1) + b",[]" * 50 + b"]"
    assert loads(body) == json.loads(body)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert loads(b"[" + b"[{}]," * 1000 + b"[]]") == [[{}]] * 1000 + [[]]


@pytest.mark.parametrize(
    "text", ["[" * 100, '"' + "[" * 100, "\\" + "[" * 100, '\\"' + "{" * 100, "\\\\", '\\\\"[']
)
def test_brackets_inside_strings_are_not_depth(text: str) -> None:
    value = [text, {text: text}, "[" * 20]
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "before", [b'"\\"",', b'"\\\\",', b'"\\\\\\"",', b'"]]]]]]]]",', b'"\\\\\\\\",']
)
def test_no_string_hides_depth(before: bytes) -> None:
    assert refusal(b"[" + before + nested(DEEPEST) + b"]").facts == {"limit": DEEPEST}


WORST: dict[str, Callable[[int], bytes]] = {
    "open": lambda n: b"[" * n,
    "flat": lambda n: (b"[" + b"[]," * n)[: n - 3] + b"1]",
    "quotes": lambda n: b"[" * 17 + (b'"' + b'\\"' * n)[: n - 17],
    "backslashes": lambda n: b"[" * 17 + b"\\" * (n - 17),
    "members": lambda n: b"{" + b",".join(b'"%d":1' % k for k in range(n // 12)) + b',"0":1}',
    "escapes": lambda n: b"[" + b",".join([b'"\\u0041"'] * (n // 9 - 1)) + b"]",
    "digits": lambda n: b"-" + b"1" * (n - 1),
}


@pytest.mark.parametrize("worst", WORST.values(), ids=WORST)
def test_the_worst_body_takes_no_longer_than_its_length_allows(
    worst: Callable[[int], bytes],
) -> None:
    """Sixteen times the length in less than 64 times the time: squares would take 256."""
    assert quickest(worst(LARGEST)) < 64 * max(quickest(worst(LARGEST // 16)), 20e-6)


def quickest(body: bytes) -> float:
    """Seconds of the quickest of seven readings: other work on the machine is in the others."""
    return min(timeit.repeat(lambda: read_or_refused(body), number=1, repeat=7))


def read_or_refused(body: bytes) -> None:
    with suppress(BadJSON):
        loads(body)


# --- anything at all ----------------------------------------------------------------------------

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0")), inner)
    ),
    max_leaves=40,
)
TOKENS = rb'{ } [ ] : , " \ \" \\ \u0000 \ud800 \u0061 "a" "a": 1 - e9 0. NaN null'.split()
tokens = st.lists(st.sampled_from([*TOKENS, b" ", b"\x00", b"\xff", b"\xc3"]), max_size=80).map(
    b"".join
)


@given(st.binary() | tokens | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"[" * 100_000)
@example(b"1" * 5_000)
def test_any_bytes_are_read_or_refused_and_what_is_read_can_be_kept(body: bytes) -> None:
    try:
        value = loads(body)
    except BadJSON as refused:
        assert refused.message.isascii() and refused.message.isprintable()
        return
    kept = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert loads(kept) == value
    assert b"\\u0000" not in kept.replace(rb"\\", b"")


@given(values, st.booleans())
def test_what_fits_is_read_as_it_was_meant(value: object, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    if depth(value) > DEEPEST:
        assert refusal(body).facts == {"limit": DEEPEST}
    else:
        assert loads(body) == value


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0
