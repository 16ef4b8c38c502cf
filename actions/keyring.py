"""Key rings: what is sealed at rest, under AES-256-GCM and keys that have ids and are replaced.

A ring is a file of mode 600 in the home: `{"current": id, "keys": {id: 32 bytes in base64}}`.
There are two. The realms' ring opens the credentials of realms: workers and keepers alone need it.
The values' ring opens what an operation made, such as a new password, until it is erased: web, which
shows it, needs that one too. What is sealed is bound to its context, so that no row can stand in for
another.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

REALMS = "realms"
VALUES = "values"
_NONCE = 12  # bytes; random, which NIST SP 800-38D §8.3 bounds at 2**32 seals under one key


class CannotOpen(Exception):
    """It was sealed under a key that is not here, or it is not what was sealed."""


class KeyRing:
    """The keys of one ring. `current` seals; all of them open."""

    def __init__(self, current: str, keys: Mapping[str, bytes]) -> None:
        self.current = current
        self._keys = dict(keys)

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._keys)

    def seal(self, content: Mapping[str, str], context: str) -> tuple[str, bytes]:
        """(the key's id, what is to be stored). `context` says what it belongs to."""
        nonce = os.urandom(_NONCE)
        plain = json.dumps(dict(content)).encode()
        sealed = AESGCM(self._keys[self.current]).encrypt(nonce, plain, context.encode())
        return self.current, nonce + sealed

    def open(self, key_id: str, sealed: bytes, context: str) -> dict[str, str]:
        """What `seal` was given. Raises CannotOpen."""
        if key_id not in self._keys:
            raise CannotOpen(f"The key {key_id!r} is not on this machine's ring.")
        try:
            plain = AESGCM(self._keys[key_id]).decrypt(
                sealed[:_NONCE], sealed[_NONCE:], context.encode()
            )
        except InvalidTag:
            raise CannotOpen("It was altered, or belongs to something else.") from None
        opened: dict[str, str] = json.loads(plain)
        return opened

    def with_new_key(self) -> KeyRing:
        """This ring and a new key, which seals from then on."""
        key_id, key = new_key()
        return KeyRing(key_id, {**self._keys, key_id: key})

    def only(self, ids: Collection[str]) -> KeyRing:
        """This ring without the keys that are not named; the current one stays."""
        kept = {i: key for i, key in self._keys.items() if i in ids or i == self.current}
        return KeyRing(self.current, kept)

    def text(self) -> str:
        return dump(self.current, self._keys)


def path_of(home: Path, ring: str) -> Path:
    """The file of a ring."""
    return home / "keys" / f"{ring}.json"


def load(home: Path, ring: str) -> KeyRing:
    """The ring as its file has it now. Raises CannotOpen when there is none."""
    try:
        text = path_of(home, ring).read_text()
    except OSError as error:
        raise CannotOpen(f"The {ring} key ring cannot be read: {error.strerror}.") from None
    return _parse(text)


@lru_cache(maxsize=8)
def _parse(text: str) -> KeyRing:
    stored = json.loads(text)
    keys = {key_id: base64.b64decode(key) for key_id, key in stored["keys"].items()}
    return KeyRing(stored["current"], keys)


def new_key() -> tuple[str, bytes]:
    """A new key and an id for it."""
    return f"k_{secrets.token_hex(4)}", AESGCM.generate_key(256)


def dump(current: str, keys: Mapping[str, bytes]) -> str:
    """The text of a ring's file."""
    encoded = {key_id: base64.b64encode(key).decode() for key_id, key in keys.items()}
    return json.dumps({"current": current, "keys": encoded}, indent=1) + "\n"


def ensure(home: Path, ring: str) -> None:
    """Make the ring's file, mode 600, unless it is there: once, whole or not at all."""
    path = path_of(home, ring)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.parent.chmod(0o700)
    if path.exists():
        return
    key_id, key = new_key()
    draft = _draft(path, dump(key_id, {key_id: key}))
    # A link, unlike a rename, leaves alone what another process made meanwhile.
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    _sync(path.parent)


def replace(home: Path, ring: str, held: KeyRing) -> None:
    """Put another ring in the place of the file's, whole or not at all."""
    path = path_of(home, ring)
    _draft(path, held.text()).replace(path)
    _sync(path.parent)


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    return draft


def _sync(directory: Path) -> None:
    """Have a new name last: what is sealed under a key that was lost is lost."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
