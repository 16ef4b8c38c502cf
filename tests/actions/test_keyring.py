"""Key rings: what is sealed opens under its own context alone, and under replaced keys still."""

from __future__ import annotations

from pathlib import Path

import pytest

from actions import keyring
from actions.keyring import CannotOpen, KeyRing

SECRET = {"password": "correct horse", "user": "app"}


def ring(*names: str) -> KeyRing:
    keys = {name: keyring.new_key()[1] for name in names}
    return KeyRing(names[-1], keys)


def test_what_is_sealed_comes_out_again_and_is_not_to_be_read() -> None:
    one = ring("k1")
    key_id, sealed = one.seal(SECRET, "realm/a@1")
    assert key_id == "k1"
    assert b"correct horse" not in sealed
    assert one.open(key_id, sealed, "realm/a@1") == SECRET


def test_the_same_text_is_never_sealed_alike() -> None:
    one = ring("k1")
    assert one.seal(SECRET, "c") != one.seal(SECRET, "c")


def test_a_row_cannot_stand_in_for_another() -> None:
    one = ring("k1")
    key_id, sealed = one.seal(SECRET, "realm/a@1")
    with pytest.raises(CannotOpen):
        one.open(key_id, sealed, "realm/b@1")


def test_a_flipped_bit_opens_nothing() -> None:
    one = ring("k1")
    key_id, sealed = one.seal(SECRET, "c")
    for at in (0, 12, len(sealed) - 1):
        broken = bytearray(sealed)
        broken[at] ^= 1
        with pytest.raises(CannotOpen):
            one.open(key_id, bytes(broken), "c")


def test_an_older_key_still_opens_and_a_missing_one_is_named(tmp_path: Path) -> None:
    (old, key), (new, other) = keyring.new_key(), keyring.new_key()
    key_id, sealed = KeyRing(old, {old: key}).seal(SECRET, "c")
    path = keyring.path_of(tmp_path, keyring.REALMS)
    path.parent.mkdir()
    path.write_text(keyring.dump(new, {old: key, new: other}))
    assert keyring.load(tmp_path, keyring.REALMS).open(key_id, sealed, "c") == SECRET
    path.write_text(keyring.dump(new, {new: other}))
    with pytest.raises(CannotOpen, match=old):
        keyring.load(tmp_path, keyring.REALMS).open(key_id, sealed, "c")


def test_no_ring_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="cannot be read"):
        keyring.load(tmp_path, keyring.VALUES)
