"""Protected subjects as an admin lists them, and as the console finds them by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from actions import database, subjects
from actions.errors import NotFound, Refusal, SubjectRefused
from actions.models import ProtectedSubject
from actions.subjects import Subject

KINDS = ("network", "account", "secret")
Level, Source = ProtectedSubject.Level, ProtectedSubject.Source


@dataclass(frozen=True, slots=True)
class Found:
    """Something that must not be acted on, and how it was found on this machine."""

    kind: str
    name: str
    how: str
    reason: str


def named(kind: object, name: object) -> Subject:
    """The subject of that name, however wide; an account also by what it is called.

    Raises SubjectRefused.
    """
    try:
        return subjects.canonical(kind, name)
    except SubjectRefused as refusal:
        # By its name it is protected whoever bears it: what an admin types is what they mean.
        if refusal.code != "needs_look":
            raise
        return Subject("account", str(name), subjects.RULES)


def listed() -> list[ProtectedSubject]:
    """All that is protected now: what an admin listed first."""
    rows = ProtectedSubject.objects.filter(withdrawn_at__isnull=True).select_related("added_by")
    return sorted(rows, key=lambda row: (row.source, row.kind, row.level, row.name))


def add(caller: UUID, kind: str, name: str, level: str, reason: str) -> bool:
    """Protect a subject, in the name of an admin; False when it was so already. Repeatable.

    Raises SubjectRefused; Refusal `no_reason`, `bad_level`, `may_not_administer`.
    """
    subject, why = named(kind, name), " ".join(reason.split())
    if not why:
        raise Refusal("no_reason", "Say why it is protected: whoever is refused reads it.")
    if level not in Level.values:
        raise Refusal("bad_level", "It is never acted on, or it asks twice: choose one.")
    _must_administer(caller)
    network = subject.name if subject.kind == "network" else None
    args: list[str | UUID | None] = [caller, subject.kind, subject.name, network, level, why]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT protect(%s::uuid, %s::text, %s::text, %s::cidr, %s::text, %s::text)", args
        )
        return bool(cursor.fetchone()[0] == "made")


def withdraw(caller: UUID, number: int, why: str) -> str:
    """Withdraw what an admin protected: `withdrawn`, or `gone` when it was so already. Repeatable.

    Raises NotFound, Refusal `no_reason`, `not_listed`, `may_not_administer`.
    """
    if not (said := " ".join(why.split())):
        raise Refusal("no_reason", "Say why it is protected no more.")
    _must_administer(caller)
    if not ProtectedSubject.objects.filter(id=number).exists():
        raise NotFound("no_protection", "There is no such entry.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT unprotect(%s::uuid, %s::bigint, %s::text)", [caller, number, said])
        verdict = str(cursor.fetchone()[0])
    if verdict == "kept":
        raise Refusal("not_listed", "No admin listed this: the console found it, and keeps it.")
    return verdict


def _must_administer(caller: UUID) -> None:
    if not database.value("SELECT administers(%(caller)s::uuid)", {"caller": caller}):
        raise Refusal("may_not_administer", "Only an admin may change what is protected.")


def sync(found: Iterable[Found], machine: str) -> tuple[int, int]:
    """Protect what was found on this machine, and let go what was found here before and is no more.

    For the owner of the tables. Returns how many were added and withdrawn.
    """
    wanted = {(f.kind, f.name, f"{machine}: {f.how}"): f for f in found}
    held = ProtectedSubject.objects.filter(
        source=Source.DERIVED, withdrawn_at__isnull=True, found_by__startswith=f"{machine}: "
    )
    there = {(row.kind, row.name, row.found_by): row for row in held}
    gone = [row.id for key, row in there.items() if key not in wanted]
    added = sum(_derive(f, by) for (k, n, by), f in wanted.items() if (k, n, by) not in there)
    ProtectedSubject.objects.filter(id__in=gone).update(
        withdrawn_at=Now(), withdrawn_why=f"no more found on {machine}"
    )
    return added, len(gone)


def _derive(found: Found, by: str) -> bool:
    network = found.name if found.kind == "network" else None
    row = ProtectedSubject(
        kind=found.kind,
        name=found.name,
        network=network,
        level=Level.NEVER,
        source=Source.DERIVED,
        found_by=by,
        reason=found.reason,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        return False  # found at the same time by another start on this machine
    return True
