"""The three keys that give an intent its identity, and the fingerprint of what was asked."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping

import rfc8785

from actions.errors import ParamsRefused, Refusal

RULES = 1
"""Version of the rules below; kept beside every fingerprint and compared by it."""

_REQUEST_KEY = re.compile(r"[A-Za-z0-9_.:-]{16,128}", re.ASCII)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


_NO_FORM = "A number is too large, or a text holds what JSON cannot. Nothing changed."
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Mapping[str, object]) -> bytes:
    """The one byte form of a JSON object (RFC 8785).

    Raises ParamsRefused `bad_value` on what has none, such as a whole number beyond 2**53.
    """
    try:
        # The standard library's encoder, written in C, gives the same bytes wherever it can.
        return _ENCODER.encode(value).encode() if _is_plain(value) else _by_the_book(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        raise ParamsRefused("bad_value", _NO_FORM) from None


def _by_the_book(value: Mapping[str, object]) -> bytes:
    return rfc8785.dumps(value)  # type: ignore[arg-type]  # its alias for JSON is narrower


def _is_plain(value: object) -> bool:
    """Whether RFC 8785 writes `value` as `json` does: no float, ASCII names, no large number."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if isinstance(value, dict):
        for name, item in value.items():
            if type(name) is not str or not name.isascii() or not _is_plain(item):
                return False
        return kind is dict
    if isinstance(value, list):
        return kind is list and all(map(_is_plain, value))
    return isinstance(value, int) and kind is int and abs(value) < 1 << 53


def fingerprint(content: Mapping[str, object]) -> bytes:
    """SHA-256 over the canonical form of what was asked: 32 bytes."""
    return hashlib.sha256(canonical(content)).digest()


def request_key(header: str | None) -> str:
    """The `Idempotency-Key` header's value, quoted (RFC 8941 string) or bare.

    Raises Refusal `bad_key` when it is missing or not 16-128 of `[A-Za-z0-9_.:-]`.
    """
    bare = (header or "").strip()
    if len(bare) >= 2 and bare[0] == bare[-1] == '"':
        bare = bare[1:-1]
    if not _REQUEST_KEY.fullmatch(bare):
        raise Refusal(
            "bad_key",
            "Send an Idempotency-Key header of 16 to 128 characters from A-Z a-z 0-9 _ . : - "
            "that you keep and send again when you repeat this request. Nothing changed.",
        )
    return bare


def new_ref(prefix: str) -> str:
    """A short public name such as `op_7QK2M0C4XW9E`: 60 random bits, Crockford's base 32."""
    bits = secrets.randbits(60)
    return prefix + "_" + "".join(_CROCKFORD[bits >> at & 31] for at in range(55, -1, -5))


def new_draft_id() -> str:
    """A draft's id, which is also its request key: 192 random bits, so it cannot be guessed."""
    return "dr_" + secrets.token_urlsafe(24)


def operation_key(action: str, kind: str, name: str, generation: int) -> str:
    """What an operation is called everywhere, such as `ban-network:network/203.0.113.7/32@1`."""
    return f"{action}:{kind}/{name}@{generation}"


def effect_key(operation: str, realm: str, step: str) -> str:
    """What is sent downstream with every attempt at one effect, always the same."""
    return f"{operation}#{realm}/{step}"
