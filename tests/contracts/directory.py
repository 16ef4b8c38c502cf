"""A directory of accounts and secrets in this process's memory, and its realm in the database."""

from __future__ import annotations

import contextlib
import secrets
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.test import override_settings

from actions import keyring, naming, subjects
from actions.adapters import connector
from actions.ask import Ask
from actions.connectors._base import Call, Connector, Facts, Named, Offer, Redo, Unreadable
from actions.models import Reading
from actions.outcomes import Applied, Found, Outcome, Refused
from actions.registry import registry
from tests.contracts.inside import Still


@dataclass
class Account:
    """Somebody in the directory."""

    label: str
    disabled: bool = False
    cut: str = ""


@dataclass
class Place:
    """What is in one directory."""

    accounts: dict[str, Account] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    away: bool = False
    read: bool = False  # whether it says how its accounts stand


class Directory(Connector):
    """Accounts and secrets by the name of their realm."""

    name = "directory"
    title = "A directory"
    offers: ClassVar[Mapping[str, Offer]] = {
        "account.disable": Offer(Redo.NATURAL, settle=0, timeout=1),
        "session.revoke": Offer(Redo.NATURAL, settle=0, timeout=1),
        "credential.rotate": Offer(Redo.NATURAL, settle=0, timeout=1, makes=True),
    }
    already: ClassVar[Mapping[str, str]] = {"so": "it is as it is asked for"}
    names = frozenset({"account"})
    places: ClassVar[dict[str, Place]] = {}
    password = "Tr0ub4dor-and-3-horses"

    def apply(self, call: Call) -> Outcome:
        realm, _, rest = call.subject.partition(":")
        place = self.places[realm]
        if call.kind == "secret":
            return self._rotate(place, rest, call)
        account = place.accounts.get(rest.removeprefix("#"))
        if account is None:
            return Refused("There is no such account.")
        if call.capability == "session.revoke":
            account.cut = str(call.desired["before"])
            return Applied(Found.CHANGED)
        same = account.disabled == call.desired["disabled"]
        account.disabled = bool(call.desired["disabled"])
        return Applied(Found.SO_ALREADY if same else Found.CHANGED)

    def _rotate(self, place: Place, slot: str, call: Call) -> Outcome:
        if slot == "broken":
            return Refused("This slot takes no new value.")
        if call.step == "make":
            place.versions[slot] = place.versions.get(slot, 41) + 1
        return Applied(Found.CHANGED, f"{call.step}: version {place.versions[slot]}")

    def make(self, call: Call) -> Mapping[str, str]:
        return {"username": "app_rw", "password": self.password}

    def read(self, capability: str, kind: str, subject: str) -> Facts:
        realm, _, id = subject.partition(":#")
        if capability != "account.disable" or not self.places[realm].read:
            raise Unreadable("Nobody reads here.")
        return {"disabled": self.places[realm].accounts[id].disabled}

    def verify(self, call: Call) -> bool:
        return True

    def find(self, kind: str, label: str) -> Named | None:
        place = self.places[str(self.settings["place"])]
        if place.away:
            raise Unreadable("The directory is away.")
        found = (Named(id, a.label) for id, a in place.accounts.items() if a.label == label)
        return next(found, None)


class Set:
    """A realm of the directory, set up in the database, and what is asked of it."""

    def __init__(self, still: Still) -> None:
        self.still = still
        self.name = f"dir-{uuid.uuid4().hex[:8]}"
        self.place = Directory.places[self.name] = Place()
        self.id = still.value(
            """
            WITH made AS (INSERT INTO realm (id, name, title, connector, version, enabled)
                   VALUES (gen_random_uuid(), %s, 'A directory', 'directory', 1, true) RETURNING id),
                 set AS (INSERT INTO realm_version (realm_id, number, settings, created_at)
                   SELECT id, 1, jsonb_build_object('place', %s::text), now() FROM made),
                 may AS (INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)
                   SELECT DISTINCT made.id, g.group_id, g.permission_id FROM made, realm_group_grant g)
            SELECT id FROM made
            """,
            self.name,
            self.name,
        )

    def account(self, label: str, **more: Any) -> str:
        """Somebody new, by the canonical name that we know them by."""
        id = str(16384 + secrets.randbelow(10**9))
        self.place.accounts[id] = Account(label, **more)
        return f"{self.name}:#{id}"

    def at(self, name: str) -> Account:
        return self.place.accounts[name.partition("#")[2]]

    def ask(
        self, action: str, name: str, params: dict[str, object] | None = None, **more: Any
    ) -> Ask:
        entry = registry.action(action)
        given = {"key": uuid.uuid4().hex, "reason": "a test asks", "via": "api", **more}
        subject = subjects.canonical(entry.kind, name)
        return Ask(action=entry, subject=subject, params=params or {}, **given)

    def run(
        self, action: str, name: str, params: dict[str, object] | None = None, **more: Any
    ) -> int:
        """The id of the operation that this request makes, carried out step by step."""
        by = more.pop("by", "ana")
        told = self.still.submit(self.ask(action, name, params, **more), by)
        assert told.disposition == "created", told
        self.finish(told.operation["id"])
        return int(told.operation["id"])

    def finish(self, operation: int) -> None:
        """Let every step run, one behind the other, and none waits for its overlap."""
        due = "UPDATE effect SET run_at = now() WHERE operation_id = %s AND state = 'ready' RETURNING id"
        while self.still.rows(due, operation):
            self.still.deliver(operation)

    def look_up(self, label: str, by: str = "ana") -> None:
        """Somebody's name is asked for and looked up, so that a page finds it at once."""
        ask = "SELECT realm FROM ask_name(%s::uuid, %s::text, 'account', %s::text)"
        self.still.value(ask, self.still.caller(by), self.name, label, role="web")
        assert self.take_readings() == 1

    def take_readings(self) -> int:
        """Take every reading of names that is due here, as whoever takes readings does."""
        taken = 0
        with self.still.acting("worker"):
            due = Reading.objects.filter(realm=self.id, capability=naming.FIND)
            for reading in due.select_related("realm"):
                if reading.taken_at is not None and reading.taken_at >= reading.asked_at:
                    continue
                try:
                    reading.facts = naming.take(reading, connector(str(self.id), 1))  # type: ignore[assignment]  # JSON
                except Unreadable as why:
                    reading.facts, reading.message = None, str(why)
                reading.taken_at = self.still.value("SELECT clock_timestamp()")
                reading.save(update_fields=["facts", "message", "taken_at"])
                taken += 1
        return taken


@contextlib.contextmanager
def directory(still: Still) -> Iterator[Set]:
    """A realm of the directory while a test lasts."""
    entries = (*registry.actions(), *registry.connectors(), Directory)
    with registry.only(*entries), override_settings(HOME=still.home):
        path = keyring.path_of(still.home, keyring.VALUES)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            key_id, key = keyring.new_key()
            path.write_text(keyring.dump(key_id, {key_id: key}))
        made = Set(still)
        try:
            yield made
        finally:
            still.rows("UPDATE realm SET enabled = false WHERE id = %s RETURNING id", made.id)
