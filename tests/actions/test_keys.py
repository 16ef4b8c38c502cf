"""The keys that give an intent its identity, and the bytes that it is fingerprinted by."""

from __future__ import annotations

import re
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from actions import keys
from actions.errors import ParamsRefused, Refusal

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_the_bytes_are_those_of_rfc_8785(value: dict[str, Any]) -> None:
    assert keys.canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        {"": ""},
        {"a": "".join(map(chr, range(128)))},
        {"a": "\u2028\u2029\ufeff\uffff\U0010ffff"},
        {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "\r": 4, "1": 5, "\x80": 6},
        {"numbers": [0, -0.0, 1e21, 1e-7, 333333333.33333329, 2**53 - 1, True, False, None]},
        {"b": {"b": 1, "a": [{}, [], ""]}, "a": 1, "A": 1, "aa": 1},
    ],
)
def test_the_bytes_are_canonical_where_encoders_differ(value: dict[str, Any]) -> None:
    assert keys.canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [2**53, -(2**53), 10**400, float("nan"), float("inf"), "\ud800", {"\udfff": 1}, [[2**53]]],
    ids=repr,
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(ParamsRefused) as caught:
        keys.canonical({"value": value})
    assert caught.value.code == "bad_value"


def test_a_fingerprint_tells_contents_apart_and_not_the_order_of_members() -> None:
    one = keys.fingerprint({"a": 1, "b": "1"})
    assert one == keys.fingerprint({"b": "1", "a": 1})
    others = [{"a": "1", "b": 1}, {"a": 1}, {"a": 1, "b": "1", "c": None}, {"a": True, "b": "1"}]
    assert len({one, *map(keys.fingerprint, others)}) == 5
    assert len(one) == 32


KEY = "abcDEF0123_.:-xyz"


@pytest.mark.parametrize("header", [KEY, f'"{KEY}"', f"  {KEY} ", "k" * 16, "k" * 128])
def test_a_request_key_is_taken_quoted_or_bare(header: str) -> None:
    assert keys.request_key(header) == header.strip().strip('"')


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "k" * 15,
        "k" * 129,
        f'"{KEY}',
        f'""{KEY}""',
        f"{KEY}/x",
        f"{KEY} x",
        f"{KEY}é",
        "٣" * 20,
    ],
)
def test_any_other_request_key_is_refused_in_words(header: str | None) -> None:
    with pytest.raises(Refusal) as caught:
        keys.request_key(header)
    assert caught.value.code == "bad_key"
    assert "Nothing changed." in caught.value.message


def test_names_are_random_and_of_one_form() -> None:
    refs = {keys.new_ref("op") for _ in range(2000)}
    assert len(refs) == 2000
    assert all(re.fullmatch("op_[0-9A-HJKMNP-TV-Z]{12}", ref) for ref in refs)
    drafts = {keys.new_draft_id() for _ in range(2000)}
    assert len(drafts) == 2000
    assert all(keys.request_key(draft) == draft for draft in drafts), (
        "a draft's id is a request key"
    )


def test_operations_and_effects_are_named_by_what_identifies_them() -> None:
    operation = keys.operation_key("ban-network", "network", "203.0.113.7/32", 2)
    assert operation == "ban-network:network/203.0.113.7/32@2"
    assert keys.effect_key(operation, "r1", "deny") == f"{operation}#r1/deny"
