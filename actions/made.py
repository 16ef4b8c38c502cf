"""Made values: what an operation makes once, such as a new password, sealed before the first call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.conf import settings
from django.db.models.functions import Now

from actions import keyring
from actions.models import MadeValue, Operation


class Erased(Exception):
    """What was made for the operation is erased, and is not made a second time."""


def of(operation: Operation) -> dict[str, str]:
    """What was made for the operation; empty when nothing was, or it is erased."""
    row = MadeValue.objects.filter(operation=operation).first()
    return {} if row is None else _opened(row, operation)


def once(operation: Operation, make: Callable[[], Mapping[str, str]]) -> dict[str, str]:
    """What was made for the operation, by `make` if nothing was yet. Raises Erased.

    Two who make at once both get what the first of them wrote down. Committed when this returns, so
    that what is sent is never anything that is not kept.
    """
    if not MadeValue.objects.filter(operation=operation).exists():
        key_id, sealed = _ring().seal(make(), _context(operation))
        made = MadeValue(operation=operation, key_id=key_id, sealed=sealed, made_at=Now())
        MadeValue.objects.bulk_create([made], ignore_conflicts=True)
    row = MadeValue.objects.get(operation=operation)
    if row.sealed is None:
        raise Erased
    return _opened(row, operation)


def _opened(row: MadeValue, operation: Operation) -> dict[str, str]:
    if row.sealed is None:
        return {}
    return _ring().open(row.key_id, bytes(row.sealed), _context(operation))


def _ring() -> keyring.KeyRing:
    return keyring.load(settings.HOME, keyring.VALUES)


def _context(operation: Operation) -> str:
    return f"operation/{operation.ref}"
