"""Any order of requests, repeats, outcomes and verbs comes to what the small model of a lane says."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from actions import outbox
from actions.answer import Answer
from actions.catalogue._base import Intent, Relation, Values
from actions.connectors._base import Redo
from actions.models import Attempt, Effect
from actions.outcomes import Outcome, Refused, RetryLater, Seen, Unknown
from tests.contracts import scripted, verbs
from tests.contracts.inside import Still, age, ask
from tests.contracts.scripted import YES, World, world
from tests.models.lane import Lane, Op, Told, Wish

OUTCOMES: dict[str, Outcome] = {
    "applied": YES,
    "refused": Refused("no"),
    "retrylater": RetryLater("busy"),
    "unknown": Unknown("no answer"),
}
PEOPLE = st.sampled_from(("ana", "raj"))
SELDOM = st.sampled_from((False, False, False, True))
"""For what leaves nothing to be carried out: else most lanes would never get far."""
REASONS = st.sampled_from(("a test asks", "it must be"))
WISHES: Any = {"sets": st.booleans(), "level": st.integers(1, 2), "reason": REASONS}


class Work(scripted.Work):
    """Work that can go further: to level 2."""

    def resolve(self, params: Values, now: datetime) -> Intent:
        return Intent({"set": True, "level": params.get("level", 1)})

    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        if not standing.desired["set"]:
            return Relation.OPPOSED
        more = int(str(asked.desired["level"])) > int(str(standing.desired["level"]))
        return Relation.MORE if more else Relation.COVERED


class Rest(scripted.Rest):
    def compare(self, standing: Intent, asked: Intent, now: datetime) -> Relation:
        return Relation.OPPOSED if standing.desired["set"] else Relation.COVERED


class Machine(RuleBasedStateMachine):
    """Two lanes under the console, and their models."""

    still: ClassVar[Still]
    given: ClassVar[World]
    networks: ClassVar[Callable[[], str]]
    at: ClassVar[psycopg.Connection[Any]]

    def __init__(self) -> None:
        super().__init__()
        self.names = [type(self).networks() for _ in range(2)]
        self.lanes = [Lane() for _ in self.names]
        self.tag = uuid.uuid4().hex
        self.keys: dict[tuple[str, int], tuple[object, Op | None]] = {}
        self.ids: dict[Op, tuple[int, int]] = {}
        self.attempts: dict[Op, tuple[Attempt, bool]] = {}

    def some(self, *effects: str) -> list[Op]:
        """The operations, or those whose effect is in one of these states."""
        every = (op for lane in self.lanes for op in lane.ops)
        return [op for op in every if not effects or op.effect in effects]

    def op(self, data: st.DataObject, *effects: str) -> tuple[Lane, Op]:
        op = data.draw(st.sampled_from(self.some(*effects)))
        return self._lane(op), op

    def set(self, op: Op, change: str) -> None:
        self.at.execute(f"UPDATE effect SET {change} WHERE id = %s", [self.ids[op][1]])

    def found(self, told: Answer, due: Told) -> None:
        assert (told.disposition, told.changed) == (
            due.disposition,
            due.disposition in {"created", "resumed", "cancelled", "decided"},
        ), (told, due)
        if due.code:
            assert told.code == due.code
        named = told.operation["generation"] if told.operation else None
        assert named == (due.op.generation if due.op else None), (told, due)
        if due.op is not None and due.op not in self.ids:
            operation = int(told.operation["id"])
            self.ids[due.op] = operation, self.given.effects(operation)[0]

    @rule(
        which=st.integers(0, 1),
        by=PEOPLE,
        key=st.integers(0, 3) | st.none(),
        seen=st.sampled_from((None, None, -1, 0, 0, 1)),
        again=st.sampled_from((False, False, True)),
        **WISHES,
    )
    def ask(
        self, which: int, by: str, key: int | None, seen: int | None, again: bool, **wish: Any
    ) -> None:
        """Under a key of one's own, sometimes used before, for the same or for something else."""
        lane = self.lanes[which]
        seen = None if seen is None else max(0, lane.generation + seen)
        wished = Wish(**wish, seen=seen, again=again)
        asked = ask(
            "test-work" if wished.sets else "test-rest",
            self.names[which],
            {"level": wished.level} if wished.sets else {},
            key=f"{self.tag}-{key}" if key is not None else uuid.uuid4().hex,
            reason=wished.reason,
            seen=seen,
            again=again,
        )
        content = which, wished if wished.sets else Wish(False, 1, wished.reason, seen, again)
        due = self._by_key(by, key, content) or lane.ask(wished, by)
        if key is not None and due.disposition != "key_reused":
            kept = due.op if due.disposition in {"created", "existing", "resumed"} else None
            self.keys[by, key] = content, kept
        self.found(self.still.submit(asked, by), due)

    def _by_key(self, by: str, key: int | None, content: object) -> Told | None:
        before = self.keys.get((by, key)) if key is not None else None
        if before is None:
            return None
        if before[0] != content:
            return Told("key_reused", before[1])
        return Told("existing", before[1]) if before[1] else None

    @precondition(lambda self: self.some("ready"))
    @rule(data=st.data(), called=st.booleans(), blind=st.sampled_from((False, False, False, True)))
    def take(self, data: st.DataObject, called: bool, blind: bool) -> None:
        """What is rung for is mostly ready; `blind`: whatever it is."""
        _, op = self.op(data) if blind else self.op(data, "ready")
        self._take(op, called)

    def _take(self, op: Op, called: bool) -> None:
        lane, effect = self._lane(op), self.ids[op][1]
        self.set(op, "run_at = now()")
        with self.still.acting("worker"):
            attempt = outbox.claim(effect, "test")
            assert (attempt is not None) == lane.may_take(op)
            if attempt is None:
                return
            lane.take(op)
            self.set(op, "lease_until = now() + interval '1 hour'")  # however slow the machine is
            if called:
                whole = Effect.objects.get(id=effect)
                assert outbox.intend(attempt, whole, 1) is not None
        self.attempts[op] = attempt, called

    @precondition(lambda self: self.may_be_taken())
    @rule(data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)))
    def bring_about(self, data: st.DataObject, outcome: str) -> None:
        """Taken up and settled, without anything between."""
        op = data.draw(st.sampled_from(self.may_be_taken()))
        self._take(op, called=True)
        self._settle(op, outcome)

    def may_be_taken(self) -> list[Op]:
        return [op for op in self.some("ready") if self._lane(op).may_take(op)]

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)))
    def settle(self, data: st.DataObject, outcome: str) -> None:
        self._settle(data.draw(st.sampled_from(list(self.attempts))), outcome)

    def _settle(self, op: Op, outcome: str) -> None:
        attempt, _ = self.attempts.pop(op)
        self.given.settle(attempt, OUTCOMES[outcome])
        self._lane(op).settle(op, attempt.number, outcome)

    def _lane(self, op: Op) -> Lane:
        return next(lane for lane in self.lanes if op in lane.ops)

    @precondition(lambda self: self.some("executing"))
    @rule(data=st.data())
    def lease_over(self, data: st.DataObject) -> None:
        lane, op = self.op(data, "executing")
        self.set(op, "lease_until = now() - interval '1 s'")
        with self.still.acting("worker"):
            assert outbox.expire_leases() == 1
        lane.lease_over(op, self.attempts[op][1])

    @precondition(lambda self: self.some("in_doubt"))
    @rule(looks=st.sampled_from(list(Seen)))
    def read(self, looks: Seen) -> None:
        self._reconcile(looks)
        for lane in self.lanes:
            lane.read(str(looks))

    @precondition(lambda self: self.some("in_doubt"))
    @rule(data=st.data())
    def park(self, data: st.DataObject) -> None:
        lane, op = self.op(data, "in_doubt")
        self.given.called(self.ids[op][1], "16 minutes")
        self._reconcile(Seen.UNREADABLE)
        lane.park(op)

    def _reconcile(self, looks: Seen) -> None:
        for lane in self.lanes:
            for op in lane.doubted():
                self.set(op, "doubt_until = now()")
        self.given.system.looks[:] = [looks]
        self.given.reconcile()

    @precondition(some)
    @rule(data=st.data(), by=PEOPLE, now=SELDOM)
    def cancel(self, data: st.DataObject, by: str, now: bool) -> None:
        if not now:
            return
        lane, op = self.op(data)
        self.found(verbs.cancelled(self.still, self.ids[op][0], by), lane.cancel(op))

    @precondition(some)
    @rule(data=st.data(), by=PEOPLE)
    def finish(self, data: st.DataObject, by: str) -> None:
        lane, op = self.op(data)
        self.found(verbs.finished(self.still, self.ids[op][0], by), lane.finish(op))

    @precondition(lambda self: self.some("parked"))
    @rule(data=st.data(), by=PEOPLE, to=st.sampled_from(("succeeded", "failed", "ready")))
    def decide(self, data: st.DataObject, by: str, to: str) -> None:
        lane, op = self.op(data, "parked")
        self.found(verbs.decided(self.still, *self.ids[op], to, by), lane.decide(op, to))

    @precondition(some)
    @rule(data=st.data(), by=PEOPLE, not_known=st.sampled_from(("", "include", "leave")))
    def undo(self, data: st.DataObject, by: str, not_known: str) -> None:
        lane, op = self.op(data)
        told = verbs.undone(self.still, self.ids[op][0], by, not_known=not_known)
        self.found(told, lane.undo(op, not_known, by, "a test undoes"))

    def unbegun(self) -> list[Op]:
        return [op for op in self.some() if op.state == "approved"]

    @precondition(unbegun)
    @rule(data=st.data(), now=SELDOM)
    def expire(self, data: st.DataObject, now: bool) -> None:
        if not now:
            return
        op = data.draw(st.sampled_from(self.unbegun()))
        age(self.still, self.ids[op][0], "16 minutes")
        with self.still.acting("worker"):
            outbox.expire_unbegun()
        self._lane(op).expire(op)

    @invariant()
    def the_database_says_the_same(self) -> None:
        rows = self.at.execute(_ALL, [self.names]).fetchall()
        found = {name: [row[1:] for row in rows if row[0] == name] for name in self.names}
        for name, lane in zip(self.names, self.lanes, strict=True):
            assert found[name] == [
                (o.generation, o.sets, o.by, o.state, o.effect, o.attempt, o.before)
                for o in lane.ops
            ]

    def teardown(self) -> None:
        """Nothing of it is due or doubted any more: other examples look at all that is."""
        for column, state in (("doubt_until", "in_doubt"), ("lease_until", "executing")):
            self.at.execute(
                f"UPDATE effect SET {column} = now() + interval '1 year'"
                " WHERE state = %s AND realm_id = %s",
                [state, self.given.realms[0]],
            )


_ALL = """
SELECT s.name, o.generation, (o.desired->>'set')::boolean, c.username, o.state, e.state, e.attempts,
       e.attempts_before
  FROM operation o JOIN subject s ON s.id = o.subject_id JOIN caller c ON c.id = o.requested_by_id
  JOIN effect e ON e.operation_id = o.id WHERE s.name = ANY(%s) ORDER BY s.name, o.generation
"""


def test_whatever_people_and_workers_do_it_comes_to_what_the_model_says(
    still: Still, networks: Callable[[], str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(scripted, "Work", Work)
    monkeypatch.setattr(scripted, "Rest", Rest)
    with world(still, Redo.OBSERVED, timeout=60) as given, still.database() as Machine.at:
        Machine.still, Machine.given, Machine.networks = still, given, staticmethod(networks)
        run(
            Machine,
            settings=settings(
                max_examples=15,
                stateful_step_count=30,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
