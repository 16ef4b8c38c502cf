"""Open an incident, once per request key."""

from __future__ import annotations

from uuid import UUID, uuid4

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from actions import database, keys, log
from actions.errors import ParamsRefused, Refusal
from actions.models import Incident
from actions.policy import rights

LONGEST_TITLE = 200


def open_incident(caller: UUID, title: str, key: str) -> tuple[Incident, bool]:
    """The incident that this key opened, and whether it was this call that opened it.

    Raises Refusal `key_reused` when the key stands for another title, `may_not_open` without the
    right to ask for any action, and ParamsRefused `bad_title`.
    """
    title = " ".join(title.split())
    if not title or len(title) > LONGEST_TITLE:
        raise ParamsRefused(
            "bad_title",
            f"Give the incident a title of up to {LONGEST_TITLE} characters. Nothing changed.",
            {"field": "title"},
        )
    if not rights(caller).asks:
        raise Refusal(
            "may_not_open", "You may not open incidents. Nothing changed.", {"status": 403}
        )
    fingerprint = keys.fingerprint({"rules": keys.RULES, "title": title})
    made = uuid4()  # ours, so that after a lost COMMIT we can tell whether it was
    try:
        return _open(made, caller, title, key, fingerprint), True
    except IntegrityError as error:
        if database.violated(error) != "incident_request_once":
            raise
    except (OperationalError, InterfaceError):
        connection.close()
        if not Incident.objects.filter(opened_by_id=caller, request_key=key).exists():
            raise
    existing = Incident.objects.get(opened_by_id=caller, request_key=key)
    if bytes(existing.fingerprint) != fingerprint:
        raise Refusal(
            "key_reused",
            f"This key opened {existing.ref} before, under another title. Nothing changed.",
            {"status": 422},
        )
    return existing, existing.id == made


def _open(made: UUID, caller: UUID, title: str, key: str, fingerprint: bytes) -> Incident:
    with transaction.atomic():
        incident = Incident.objects.create(
            id=made,
            number=database.value("SELECT nextval('incident_number')", {}),
            title=title,
            opened_by_id=caller,
            request_key=key,
            fingerprint=fingerprint,
        )
        log.append("incident.opened", {"by": str(caller), "ref": incident.ref, "title": title})
    return incident
