"""Whose name is this: an account that was typed by what it is called becomes one by its id.

Names are given to others, so whose it is now is read from its realm, each time. Web may not look
there: it writes down what it wants to know and waits a moment; whoever takes readings looks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from actions import database, realm_names, subjects
from actions.connectors._base import Connector, Facts
from actions.errors import SubjectRefused
from actions.models import Reading, SubjectLabel
from actions.subjects import Subject

PATIENCE = 1.5
"""Seconds that a request waits for a look (contract §9)."""

FIND = "account.find"
"""The capability under which a name is asked for: its reading holds `{"id", "label"}`, or id null."""


def subject(
    kind: object, name: object, caller: Callable[[], UUID], key: str = "", look: bool = True
) -> Subject:
    """The subject that was typed, with what it is called. `caller` says who asks, if it matters.

    `key` is the request key it came under: what that led to before, it leads to again. Raises
    SubjectRefused: as `subjects.canonical`, `no_account`, or `cannot_look`.
    """
    try:
        return called(subjects.canonical(kind, name))
    except SubjectRefused as refusal:
        if refusal.code != "needs_look" or not look:
            raise
    assert isinstance(name, str)
    asker = caller()
    return called(_before(asker, key, name) or _found(asker, name))


def called(subject: Subject) -> Subject:
    """The subject with what it was last called, where that is not its name."""
    if subject.kind not in subjects.IN_ONE_REALM:
        return subject
    label = database.value(
        "SELECT label FROM subject_label WHERE kind = %(kind)s AND name = %(name)s"
        " ORDER BY seen_at DESC LIMIT 1",
        {"kind": subject.kind, "name": subject.name},
    )
    return replace(subject, called=label or "")


_LISTED = """
SELECT p.name FROM protected_subject p
 WHERE p.withdrawn_at IS NULL AND p.kind = 'account' AND p.source = 'admin'
   AND starts_with(p.name, %(realm)s || ':') AND NOT starts_with(p.name, %(realm)s || ':#')
"""
_LED_SOMEWHERE = """
SELECT EXISTS (SELECT FROM request r WHERE r.caller_id = %(caller)s AND r.key = %(key)s
                  AND r.operation_id IS NOT NULL)
"""


def heed(subject: Subject, caller: Callable[[], UUID], key: str = "") -> None:
    """Learn whose the protected names of a realm are now, before an account in it is acted on by its id.

    An admin lists an account by its name, whoever bears it. What `key` led to is told unlooked. Raises
    SubjectRefused `cannot_look`: it may be one that is never acted on.
    """
    if subject.kind != "account":
        return
    realm = subject.name.partition(":#")[0]
    listed = [row["name"] for row in database.rows(_LISTED, {"realm": realm})]
    if not listed or database.value(_LED_SOMEWHERE, {"caller": caller(), "key": key}):
        return
    for name in listed:
        label = realm_names.label(name)[1]
        asked = _asked(caller(), realm, label)
        if asked is not None and _looked(*asked, label) is None:
            raise SubjectRefused(
                "cannot_look",
                f"We cannot look into {realm} just now, so we do not know whether this account is "
                "protected. Nothing changed. Try again.",
                {"status": 503, "disposition": "refused"},
            )


def take(reading: Reading, connector: Connector) -> Facts:
    """Look whose name it is, and note who is called so. Raises Unreadable.

    For whoever takes readings, where `reading.capability` is FIND; the facts are theirs to store.
    """
    realm = reading.realm
    named = connector.find(reading.kind, reading.name)
    if named is None:
        return {"id": None}
    note(
        reading.kind,
        realm_names.account(f"{realm.name}:#{named.id}"),
        f"{realm.name}:{named.label}",
    )
    return {"id": named.id, "label": named.label}


def note(kind: str, name: str, label: str) -> None:
    """Keep that `name` is called `label` now; what it was called before is kept too."""
    SubjectLabel.objects.bulk_create(
        [SubjectLabel(kind=kind, name=name, label=label, seen_at=Now())],
        update_conflicts=True,
        unique_fields=["kind", "name", "label"],
        update_fields=["seen_at"],
    )


_BEFORE = """
SELECT s.name FROM request r JOIN operation o ON o.id = r.operation_id JOIN subject s ON s.id = o.subject_id
 WHERE r.caller_id = %(caller)s AND r.key = %(key)s AND s.kind = 'account'
   AND EXISTS (SELECT FROM subject_label l WHERE l.kind = s.kind AND l.name = s.name AND l.label = %(label)s)
"""


def _before(caller: UUID, key: str, typed: str) -> Subject | None:
    """Whom this key's operation was about: a request sent again is about the same, unlooked."""
    name = database.value(_BEFORE, {"caller": caller, "key": key, "label": typed}) if key else None
    return Subject("account", name, subjects.RULES) if name else None


def _found(caller: UUID, typed: str) -> Subject:
    realm, label = realm_names.label(typed)
    asked = _asked(caller, realm, label)
    if asked is None:
        raise SubjectRefused(
            "no_account", f"There is no realm {realm} that you may see. Nothing changed."
        )
    facts = _looked(*asked, label)
    if facts is None:
        # What it was called before may be somebody else by now: better to refuse than to guess.
        raise SubjectRefused(
            "cannot_look",
            f"We cannot look into {realm} just now, so we do not know whose name {label} is. "
            "Nothing changed. Try again, or give the account by its id.",
            {"status": 503, "disposition": "refused"},
        )
    if facts["id"] is None:
        raise SubjectRefused(
            "no_account", f"Nobody is called {label} in {realm} now. Nothing changed."
        )
    name = realm_names.account(f"{realm}:#{facts['id']}")
    return Subject("account", name, subjects.RULES)


def _asked(caller: UUID, realm: str, label: str) -> tuple[UUID, datetime] | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT realm, since FROM ask_name(%s::uuid, %s::text, 'account', %s::text)",
            [caller, realm, label],
        )
        row = cursor.fetchone()
    return (row[0], row[1]) if row else None


_LOOKED = """
SELECT facts FROM reading WHERE realm_id = %(realm)s AND kind = 'account' AND name = %(label)s
   AND capability = 'account.find' AND taken_at >= %(since)s
"""


def _looked(realm: UUID, since: datetime, label: str) -> Facts | None:
    """What a look that is new enough found, waited for; None when there is none in time."""
    deadline = time.monotonic() + PATIENCE
    wait = 0.02
    while True:
        text = database.value(_LOOKED, {"realm": realm, "label": label, "since": since})
        if text is not None:
            facts: Facts = json.loads(text)
            return facts
        if time.monotonic() + wait > deadline:
            return None
        time.sleep(wait)
        wait = min(0.1, wait * 2)
