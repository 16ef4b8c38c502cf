"""A system that answers what a test tells it to, one of each redo class, and work to be done there."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from actions import adapters, deliver, outbox, reconcile, settle
from actions.catalogue._base import Action, Answers, Intent, Param, Preview, Relation, Step, Values
from actions.connectors._base import Call, Connector, Facts, Offer, Redo, Unreadable
from actions.models import Attempt
from actions.outcomes import Applied, Found, Outcome, Seen
from actions.registry import registry
from actions.subjects import Subject
from tests.contracts.inside import Still, ask

CAPABILITY = "test.set"
ONE = (Step("one", CAPABILITY, {"set": True}),)
YES = Applied(Found.CHANGED)


class _Work(Action):
    version = 1
    summary = "Sets something, in some steps."
    kind = "network"
    lane = "work"
    group = "Tests"
    d3fend = ()
    capabilities = frozenset({CAPABILITY})
    params: ClassVar[tuple[Param, ...]] = ()
    answers = Answers(*["What a test needs to know of it."] * 4)
    shape: ClassVar[tuple[Step, ...]] = ONE
    sets: ClassVar[bool]

    def resolve(self, params: Values, now: datetime) -> Intent:
        return Intent({"set": self.sets})

    def steps(self, intent: Intent) -> tuple[Step, ...]:
        return self.shape

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        return Relation.COVERED if standing.desired == asked.desired else Relation.OPPOSED

    def preview(self, subject: Subject, intent: Intent) -> Preview:
        return Preview("It changes.", "The rest stays.", "The other way.", "Nothing.", "Do it")

    def phrase(self, subject: str, intent: Intent) -> str:
        return f"{subject} is done"


class Work(_Work):
    name = "test-work"
    title = "Do work"
    inverse = "test-rest"
    sets = True


class Rest(_Work):
    name = "test-rest"
    title = "Undo work"
    inverse = "test-work"
    sets = False


class _Scripted(Connector):
    """Answers `says` in order, then yes; is read as `looks`."""

    title = "A system that a test speaks for"
    already: ClassVar[Mapping[str, str]] = {"same": "as asked"}
    says: ClassVar[list[Outcome | Exception]] = []
    looks: ClassVar[list[Seen]] = []
    calls: ClassVar[list[Call]] = []
    reads: ClassVar[list[Call]] = []
    made: ClassVar[list[Call]] = []
    given: ClassVar[list[Mapping[str, str]]] = []
    meanwhile: ClassVar[Callable[[], object]] = staticmethod(lambda: None)
    # What a test says of one effect is not to stop the whole realm.
    sick_after: ClassVar[int] = 1000

    def apply(self, call: Call) -> Outcome:
        self.calls.append(call)
        self.given.append(self.credentials)
        self.meanwhile()
        said = self.says.pop(0) if self.says else YES
        if isinstance(said, Exception):
            raise said
        return said

    def observe(self, call: Call) -> Seen:
        self.reads.append(call)
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def read(self, capability: str, kind: str, subject: str) -> Facts:
        raise Unreadable("it is observed")

    def make(self, call: Call) -> Mapping[str, str]:
        self.made.append(call)
        return {"value": uuid.uuid4().hex}


def kind_of(redo: Redo, **offer: Any) -> type[_Scripted]:
    """A connector of one redo class; `offer` are fields of its offer."""
    given: dict[str, Any] = {"settle": 0, "timeout": 1, **offer}
    own: dict[str, Any] = {name: [] for name in ("says", "calls", "reads", "made", "given")}
    name = f"scripted-{redo}-{uuid.uuid4().hex[:6]}"
    offers = {CAPABILITY: Offer(redo, **given)}
    body = {**own, "looks": [Seen.YES], "name": name, "offers": offers}
    return type("Scripted", (_Scripted,), body)


@dataclass
class World:
    """The scripted system at work under the console, and what is done to it."""

    still: Still
    system: type[_Scripted]
    realms: list[str]
    action: type[_Work] = Work
    networks: Callable[[], str] = field(default=lambda: "")

    def ask(self, name: str, action: str = "test-work", **more: Any) -> int:
        """The id of the operation that is made."""
        told = self.still.submit(ask(action, name, **more))
        assert told.disposition in {"created", "resumed"}, told
        return int(told.operation["id"])

    def effects(self, operation: int) -> list[int]:
        rows = self.still.rows(
            "SELECT id FROM effect WHERE operation_id = %s ORDER BY ord, id", operation
        )
        return [effect for (effect,) in rows]

    def one(self, name: str) -> tuple[int, int]:
        """A new operation, and its first effect."""
        operation = self.ask(name)
        return operation, self.effects(operation)[0]

    def deliver(self, effect: int) -> bool:
        with self.still.acting("worker"):
            return deliver.deliver(effect, "test")

    def claim(self, effect: int) -> Attempt:
        with self.still.acting("worker"):
            attempt = outbox.claim(effect, "test")
        assert attempt is not None
        return attempt

    def settle(self, attempt: Attempt, outcome: Outcome) -> bool:
        with self.still.acting("worker"):
            return settle.settle(attempt, outcome, verified=True, settle_seconds=0)

    def reconcile(self) -> None:
        with self.still.acting("worker"):
            reconcile.reconcile_due()

    def due_now(self, effect: int) -> None:
        self.set(effect, "run_at = now()")

    def set(self, effect: int, change: str) -> None:
        """UPDATE an effect as the owner of its table may."""
        with self.still.database() as at:
            at.execute(f"UPDATE effect SET {change} WHERE id = %s", [effect])

    def called(self, effect: int, ago: str) -> None:
        """The calls of an effect began some time ago."""
        with self.still.database() as at:
            at.execute(
                "UPDATE attempt SET call_started_at = now() - %s::interval WHERE effect_id = %s",
                [ago, effect],
            )

    def of(self, effect: int, column: str = "state") -> Any:
        return self.still.value(f"SELECT {column} FROM effect WHERE id = %s", effect)

    def state(self, operation: int) -> str:
        return self.still.state(operation)

    def states(self, operation: int) -> list[str]:
        return [self.of(effect) for effect in self.effects(operation)]


_REALM = """
WITH made AS (INSERT INTO realm (id, name, title, connector, version, enabled)
       VALUES (gen_random_uuid(), 'scripted-' || gen_random_uuid(), 'Scripted', %s, 1, true)
       RETURNING id),
     set AS (INSERT INTO realm_version (realm_id, number, settings, created_at)
       SELECT id, 1, '{}', now() FROM made),
     may AS (INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)
       SELECT DISTINCT made.id, g.group_id, g.permission_id FROM made, realm_group_grant g)
SELECT id FROM made
"""
_ENTRY = """
WITH made AS (INSERT INTO catalogue_entry (id, name) VALUES (gen_random_uuid(), %s) RETURNING id)
INSERT INTO entry_group_grant (content_object_id, group_id, permission_id)
SELECT DISTINCT made.id, g.group_id, g.permission_id FROM made, entry_group_grant g RETURNING 1
"""


@contextlib.contextmanager
def world(
    still: Still, redo: Redo, *, realms: int = 1, shape: tuple[Step, ...] = ONE, **offer: Any
) -> Iterator[World]:
    """A scripted system of that redo class in some realms, and actions that ask for `shape` there."""
    system = kind_of(redo, **offer)
    for action in (Work, Rest):
        if not still.rows("SELECT 1 FROM catalogue_entry WHERE name = %s", action.name):
            still.rows(_ENTRY, action.name)
    made = [str(still.value(_REALM, system.name)) for _ in range(realms)]
    kept = Work.shape, Rest.shape
    Work.shape = Rest.shape = shape
    try:
        with registry.only(Work(), Rest(), system):
            yield World(still, system, made)
    finally:
        Work.shape, Rest.shape = kept
        for realm in made:
            still.rows("UPDATE realm SET enabled = false WHERE id = %s RETURNING id", realm)
            adapters._at_work.by_version.pop((realm, 1), None)
            # Nothing of it is due or doubted any more: other tests look at all that is.
            with still.database() as at:
                at.execute(
                    "UPDATE effect SET run_at = now() + interval '1 year' WHERE realm_id = %s",
                    [realm],
                )
                at.execute(
                    "UPDATE effect SET doubt_until = now() + interval '1 year'"
                    " WHERE realm_id = %s AND state = 'in_doubt'",
                    [realm],
                )
                at.execute(
                    "UPDATE effect SET lease_until = now() + interval '1 year'"
                    " WHERE realm_id = %s AND state = 'executing'",
                    [realm],
                )
