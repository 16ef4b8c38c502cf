"""Open an incident, write a note, change it: each once per key, as `actions.issue` does it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg

from actions import database, keys, remains
from actions.database import dumps
from actions.errors import NotFound, Refusal
from actions.incident_rules import (
    NO_INCIDENT,
    Before,
    Change,
    Decided,
    IncidentSeen,
    Person,
    admitted,
    decide,
    note_of,
    title_of,
)
from actions.issue import PASSES, surely, too_many, written
from actions.models import Incident
from actions.policy import granted, rights


@dataclass(frozen=True, slots=True)
class By:
    """Who writes, and by which door: `via` is browser or api; `token` is the one that was shown."""

    caller: UUID
    via: str = "api"
    token: UUID | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What a change came to: `changed` only where this very request did something."""

    number: int
    changed: bool
    replayed: bool
    message: str


def open_incident(
    caller: UUID, title: str, key: str, *, restricted: bool = False, by: By | None = None
) -> tuple[Incident, bool]:
    """The incident that this key opened, and whether it was this call that opened it.

    Raises Refusal `key_reused` when the key stands for anything else, `may_not_open` without the
    right to ask for any action, and ParamsRefused `bad_title`.
    """
    by = by or By(caller)
    title = title_of(title)
    if not rights(caller).asks:
        raise Refusal(
            "may_not_open", "You may not open incidents. Nothing changed.", {"status": 403}
        )
    content: dict[str, object] = {"rules": keys.RULES, "title": title}
    # Left out where nothing is restricted: what was asked before it existed keeps its fingerprint.
    fingerprint = keys.fingerprint(content | ({"restricted": True} if restricted else {}))
    change = {"title": title, "lead": str(_leads(by)), "restricted": restricted}
    made = uuid4()  # ours, so that after a lost COMMIT we can tell whether it was

    def write(entry: UUID) -> tuple[Incident, bool]:
        params = _params(entry, made, by, key, fingerprint, "opened", None, change)
        for _ in range(PASSES):
            # Not written: the key opened one before, or somebody else's write stood in the way.
            if _write(params) or _before(by.caller, key) is not None:
                break
        found = _opened_under(by, key, fingerprint)
        return found, found.id == made

    return surely(write, lambda entry: _opened_before(by, key, fingerprint, made))


def _leads(by: By) -> UUID:
    """Who leads what is opened: a person themselves; for a runbook, who answers for its token."""
    row = database.one(_LEADS, {"caller": by.caller, "token": by.token})
    owner: UUID = row["lead"]
    return owner


_LEADS = """
SELECT coalesce((SELECT o.id FROM caller c JOIN api_token t ON t.id = %(token)s::uuid
          JOIN caller o ON o.id = t.owner_id AND o.kind = 'person' AND o.is_active
         WHERE c.id = %(caller)s::uuid AND c.kind <> 'person'), %(caller)s::uuid) AS lead
"""


def _opened_under(by: By, key: str, fingerprint: bytes) -> Incident:
    """What the key opened. Raises Refusal `key_reused`; NotFound where it is no longer seen."""
    before = _before(by.caller, key)
    if before is None:
        raise too_many()
    found = Incident.objects.select_related("opened_by", "lead").get(id=before.incident)
    if not _sees(by.caller, found.id):
        raise NotFound("no_incident", f"{NO_INCIDENT} Nothing changed.")
    if before.fingerprint != fingerprint:
        raise Refusal(
            "key_reused",
            f"This key opened {found.ref} before, under another title. Nothing changed."
            if found.request_key == key and found.opened_by_id == by.caller
            else "This key was used before, for something else. Nothing changed.",
            {"status": 422},
        )
    return found


def _opened_before(
    by: By, key: str, fingerprint: bytes, made: UUID
) -> tuple[Incident, bool] | None:
    if _before(by.caller, key) is None:
        return None
    found = _opened_under(by, key, fingerprint)
    return found, found.id == made


def note(by: By, number: int, text: str, key: str) -> Told:
    """Add a note to the timeline, closed or not. Raises as `change` does, and ParamsRefused."""
    return change(by, number, Change(note=note_of(text, needed=True)), key)


def change(by: By, number: int, wanted: Change, key: str) -> Told:
    """Change an incident, or be told that it is so already; the same key is told the same.

    Raises NotFound `no_incident` to whoever does not see it, Refusal `stale` (412) when it was changed
    since the version that was seen, `not_its_lead`, `confirm_needed`, `key_reused`, and what
    `incident_rules.decide` refuses.
    """
    fingerprint = wanted.fingerprint(f"INC-{number}")
    return surely(
        lambda entry: _passes(by, number, wanted, key, fingerprint, entry),
        lambda entry: _written_before(by, number, wanted, key, fingerprint, entry),
    )


def _passes(by: By, number: int, wanted: Change, key: str, fingerprint: bytes, entry: UUID) -> Told:
    for _ in range(PASSES):
        seen, decided = _decided(by, number, wanted, key, fingerprint)
        if decided.replayed or not decided.kind:
            return Told(number, False, decided.replayed, decided.message)
        body = _with_ids(decided.change, seen)
        params = _params(entry, seen.id, by, key, fingerprint, decided.kind, seen, body)
        if _write(params):
            return Told(number, True, False, decided.message)
    raise too_many()


_RIGHTS = frozenset({"incident_is_changed_by_its_lead", "incident_is_written_by_who_sees_it"})


def _write(params: dict[str, Any]) -> bool:
    """Whether it was written; if not, it was decided on what is no longer so: rights, too."""
    try:
        return written(_WRITE, params) is not None
    except psycopg.DatabaseError as error:
        if error.diag.constraint_name not in _RIGHTS:
            raise
        return False


def _written_before(
    by: By, number: int, wanted: Change, key: str, fingerprint: bytes, entry: UUID
) -> Told | None:
    before = _before(by.caller, key)
    if before is None or before.entry != entry:
        return None
    _, decided = _decided(by, number, wanted, key, fingerprint)
    return Told(number, True, False, decided.message)


def _decided(
    by: By, number: int, wanted: Change, key: str, fingerprint: bytes
) -> tuple[IncidentSeen, Decided]:
    seen = admitted(wanted, look(by.caller, number, key, (*wanted.add, wanted.lead or "")))
    if seen.key is not None:
        if seen.key.fingerprint != fingerprint:
            raise Refusal(
                "key_reused",
                "This key was used before, for something else. Nothing changed. "
                "Send what you want now under a new key.",
                {"status": 422, "disposition": "key_reused"},
            )
        said = f"This was done before, under the same key. {seen.ref} is {seen.state}, {seen.lead} leads it."
        return seen, Decided("", {}, said, replayed=True)
    return seen, decide(wanted, seen, lambda: remains.left(seen.id, by.caller).digest)


def _with_ids(change: dict[str, object], seen: IncidentSeen) -> dict[str, object]:
    """The change as it is written and logged: people by their ids, and by their names beside."""
    names = {name: str(person.id) for name, person in seen.people.items()}
    written: dict[str, object] = dict(change)
    if "lead" in change:
        written |= {"lead": names[str(change["lead"])], "lead_name": change["lead"]}
        written |= {"lead_before": seen.lead}
    for which in ("add", "remove"):
        if which in change:
            people = change[which]
            assert isinstance(people, list)
            written |= {which: [names[name] for name in people], f"{which}_names": people}
    return written


_WRITE = """
SELECT verdict, number, version FROM write_incident(%(entry)s::uuid, %(incident)s::uuid, %(caller)s::uuid,
  %(token)s::uuid, %(via)s::text, %(key)s::text, %(fingerprint)s::bytea, %(kind)s::text,
  %(version)s::int, %(linked)s::bigint, %(change)s::text)
"""


def _params(
    entry: UUID,
    incident: UUID,
    by: By,
    key: str,
    fingerprint: bytes,
    kind: str,
    seen: IncidentSeen | None,
    change: dict[str, object],
) -> dict[str, Any]:
    return {
        "entry": entry,
        "incident": incident,
        "caller": by.caller,
        "token": by.token,
        "via": by.via,
        "key": key,
        "fingerprint": fingerprint,
        "kind": kind,
        "version": seen.version if seen else None,
        "linked": seen.linked if seen else None,
        "change": keys.canonical(change).decode(),
    }


def _sees(caller: UUID, incident: UUID) -> bool:
    sees = "SELECT may_see_incident(%(caller)s::uuid, %(incident)s::uuid)"
    return bool(database.value(sees, {"caller": caller, "incident": incident}))


def _before(caller: UUID, key: str) -> Before | None:
    """What the key stands for here. Raises Refusal `key_reused` where it stands for an operation."""
    row = database.one(_BEFORE, {"caller": caller, "key": key})
    if row["elsewhere"]:
        said = "This key was used before, to ask for an action. Nothing changed. Send this under a new key."
        raise Refusal("key_reused", said, {"status": 422, "disposition": "key_reused"})
    if row["entry"] is None:
        return None
    return Before(row["incident_id"], row["entry"], bytes(row["fingerprint"]))


_BEFORE = """
SELECT e.id AS entry, e.incident_id, e.fingerprint,
  e.id IS NULL AND EXISTS (SELECT FROM request r WHERE r.caller_id = %(caller)s::uuid
                              AND r.key = %(key)s::text AND r.rules <> 0) AS elsewhere
  FROM (SELECT 1) AS always
  LEFT JOIN incident_entry e ON e.caller_id = %(caller)s::uuid AND e.key = %(key)s::text
"""

_ASKS = granted("entry", "ask_entry", "n.id", "c.id")
_LOOK = f"""
SELECT i.id, i.number, i.title, i.state, i.restricted, i.version, l.username AS lead,
  coalesce((SELECT max(o.id) FROM operation_incident o WHERE o.incident_id = i.id), 0) AS linked,
  (SELECT coalesce(jsonb_agg(c.username), '[]') FROM incident_member m JOIN caller c ON c.id = m.caller_id
    WHERE m.incident_id = i.id AND m.removed_at IS NULL) AS members,
  coalesce(e.at, i.opened_at) AS changed_at, coalesce(b.username, l.username) AS changed_by,
  me.username AS caller_name,
  may_see_incident(me.id, i.id) AS may_see, administers(me.id) AS administers,
  EXISTS (SELECT FROM catalogue_entry n, caller c WHERE c.id = me.id AND {_ASKS}) AS asks,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'username', c.username, 'kind', c.kind,
      'active', c.is_active, 'asks', EXISTS (SELECT FROM catalogue_entry n WHERE {_ASKS}))), '[]')
     FROM caller c WHERE c.username IN (SELECT jsonb_array_elements_text(%(people)s::jsonb))
        OR c.id IN (SELECT m.caller_id FROM incident_member m
                     WHERE m.incident_id = i.id AND m.removed_at IS NULL)) AS people
  FROM caller me JOIN incident i ON i.number = %(number)s::bigint JOIN caller l ON l.id = i.lead_id
  LEFT JOIN LATERAL (SELECT * FROM incident_entry e WHERE e.incident_id = i.id AND e.kind <> 'noted'
                      ORDER BY e.number DESC LIMIT 1) e ON true
  LEFT JOIN caller b ON b.id = e.caller_id
 WHERE me.id = %(caller)s::uuid AND me.is_active
"""  # noqa: S608 - our own constants


def look(caller: UUID, number: int, key: str, people: Iterable[str] = ()) -> IncidentSeen | None:
    """The incident as it stands beside who asks and who is named; None where there is none."""
    named = dumps(sorted({name for name in people if name}))
    found = database.rows(_LOOK, {"caller": caller, "number": number, "people": named})
    if not found:
        return None
    (row,) = found
    known = [Person(**{**p, "id": UUID(p["id"])}) for p in json.loads(row["people"])]
    return IncidentSeen(
        id=row["id"],
        ref=f"INC-{row['number']}",
        title=row["title"],
        state=row["state"],
        restricted=row["restricted"],
        version=row["version"],
        linked=row["linked"],
        lead=row["lead"],
        members=frozenset(json.loads(row["members"])),
        changed_by=row["changed_by"],
        changed_at=row["changed_at"],
        caller=caller,
        caller_name=row["caller_name"],
        may_see=row["may_see"],
        administers=row["administers"],
        asks=row["asks"],
        people={person.username: person for person in known},
        key=_before(caller, key),
    )
