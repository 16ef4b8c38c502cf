"""The contract suite of the connectors: it finds every one by itself, and none is named here.

Each law is a function of one connector at work, so that one of a test's own passes through too.
The console's own lists are worked on in the real database, as a worker. The settings of a realm
are those of the example world; a connector without a realm there is given none.
"""

from __future__ import annotations

import ast
import inspect
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import psycopg
import pytest

from actions import keys, outbox, outcomes
from actions.connectors._base import Call, Connector, Offer, Redo
from actions.outcomes import Applied, Found, Refused, Seen
from actions.registry import registry
from tests.contracts.example import EXAMPLES, Wall
from tests.contracts.inside import Still
from tests.contracts.test_actions import NOW, imported

OUTCOMES = get_args(outcomes.Outcome.__value__)
Names = Callable[[], str]


@dataclass(frozen=True)
class At:
    """One connector at work, on subjects that nothing was done to."""

    connector: Connector
    call: Call  # generation 1
    back: Call | None  # generation 2: what undoes it

    def with_key(self, key: str) -> Call:
        return replace(self.call, key=key)


def settings_of(still: Still, kind: type[Connector]) -> dict[str, object]:
    rows = still.rows(
        "SELECT v.settings FROM realm r JOIN realm_version v ON v.realm_id = r.id"
        " AND v.number = r.version WHERE r.connector = %s ORDER BY r.name LIMIT 1",
        kind.name,
    )
    return dict(rows[0][0]) if rows else {}


def at_work(still: Still, kind: type[Connector], capability: str, name: str) -> At:
    """A connector of that kind, and a call of it that some action of the catalogue makes."""
    connector = kind(settings_of(still, kind), lambda: _as_worker(still))
    for action in registry.actions():
        # What is there at first is what is asked for last: an action that takes back comes second.
        if capability in action.capabilities and any(p.kind == "end" for p in action.params):
            break
    else:
        action = next(a for a in registry.actions() if capability in a.capabilities)
    call = call_of(action.name, capability, name, 1)
    back = call_of(action.inverse, capability, name, 2) if action.inverse else None
    return At(connector, call, back)


def call_of(action_name: str, capability: str, name: str, generation: int) -> Call:
    action = registry.action(action_name)
    given: dict[str, object] = {
        p.name: (p.schema.get("examples") or p.schema.get("enum"))[0]  # type: ignore[index]
        for p in action.params
        if p.kind != "end"
    }
    if any(p.kind == "end" for p in action.params):
        given["until"] = None
    intent = action.resolve(given, NOW)
    step = next(step for step in action.steps(intent) if step.capability == capability)
    subject = name if action.kind == "network" else f"{action.kind}-{uuid.uuid4().hex}"
    operation = keys.operation_key(action.name, action.kind, subject, generation)
    key = keys.effect_key(operation, "realm", step.name)
    return Call(key, generation, capability, action.kind, subject, step.desired)


def _as_worker(still: Still) -> psycopg.Connection[Any]:
    return psycopg.connect(still.dsn("worker"), autocommit=True)


# The laws.
def brings_it_about(at: At) -> None:
    assert at.connector.observe(at.call) is Seen.NO
    outcome = at.connector.apply(at.call)
    assert isinstance(outcome, Applied) and outcome.found is Found.CHANGED
    assert at.connector.observe(at.call) is Seen.YES
    assert at.connector.verify(at.call) is True


def does_it_once_under_one_key(at: At) -> None:
    first, second, third = (at.connector.apply(at.call) for _ in range(3))
    assert isinstance(first, Applied) and first.found is Found.CHANGED
    for repeat in (second, third):
        assert isinstance(repeat, Applied)
        assert repeat.found is not Found.CHANGED, "a repeat claims to have changed it"
    assert at.connector.observe(at.call) is Seen.YES


def says_so_already_to_a_later_generation(at: At) -> None:
    at.connector.apply(at.call)
    later = replace(at.call, key=at.call.key + "-later", generation=2)
    outcome = at.connector.apply(later)
    assert isinstance(outcome, Applied) and outcome.found is Found.SO_ALREADY


def only_looks_when_it_observes(at: At) -> None:
    for _ in range(3):
        assert at.connector.observe(at.call) is Seen.NO
    outcome = at.connector.apply(at.call)
    assert isinstance(outcome, Applied) and outcome.found is Found.CHANGED


def is_undone_by_the_inverse(at: At) -> None:
    assert at.back is not None
    back = replace(at.back, subject=at.call.subject)
    at.connector.apply(at.call)
    assert isinstance(at.connector.apply(back), Applied)
    assert (at.connector.observe(at.call), at.connector.observe(back)) == (Seen.NO, Seen.YES)


def does_not_undo_what_came_later(at: At) -> None:
    """A call of an older generation that arrives late changes nothing, whatever it says."""
    assert at.back is not None
    back = replace(at.back, subject=at.call.subject)
    at.connector.apply(at.call)
    at.connector.apply(back)
    outcome = at.connector.apply(at.call)
    assert isinstance(outcome, Refused), "it says that it did it"
    assert at.connector.observe(back) is Seen.YES


def does_not_overwrite_another_of_the_same_generation(at: At) -> None:
    assert at.back is not None
    other = replace(at.back, subject=at.call.subject, generation=1)
    at.connector.apply(at.call)
    assert isinstance(at.connector.apply(other), Refused)
    assert at.connector.observe(at.call) is Seen.YES


def leaves_other_subjects_alone(at: At) -> None:
    neighbour = replace(at.call, subject="198.19.255.255/32" if "/" in at.call.subject else "other")
    before = at.connector.observe(neighbour)
    at.connector.apply(at.call)
    assert at.connector.observe(neighbour) is before


OF_A_WAY_BACK = (
    *(is_undone_by_the_inverse, does_not_undo_what_came_later),
    does_not_overwrite_another_of_the_same_generation,
)
"""Laws for capabilities that have an inverse."""
LAWS = [
    *(brings_it_about, does_it_once_under_one_key, says_so_already_to_a_later_generation),
    *(only_looks_when_it_observes, is_undone_by_the_inverse, does_not_undo_what_came_later),
    *(does_not_overwrite_another_of_the_same_generation, leaves_other_subjects_alone),
]
ELSEWHERE = {"postgres_role", "sql_sessions", "django_sessions"}
"""Connectors that need a server of their own: `tests/connectors` holds them to these laws."""
KINDS = [(kind, capability) for kind in registry.connectors() for capability in kind.offers]
NAMES = [f"{kind.name} {capability}" for kind, capability in KINDS]
HERE = [(kind, capability) for kind, capability in KINDS if kind.name not in ELSEWHERE]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(
    ("kind", "capability"), HERE, ids=[f"{kind.name} {capability}" for kind, capability in HERE]
)
def test_every_connector(
    still: Still, name: str, kind: type[Connector], capability: str, law: Callable[[At], None]
) -> None:
    law(at_work(still, kind, capability, name))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_a_connector_of_a_file_of_its_own_passes_untouched(
    still: Still, name: str, law: Callable[[At], None]
) -> None:
    with registry.only(*EXAMPLES):
        law(at_work(still, Wall, "wall.paint", name))


# What it says of itself.
def says_what_it_promises(kind: type[Connector]) -> None:
    assert kind.title.strip() and kind.offers and kind.already
    for offer in kind.offers.values():
        assert isinstance(offer, Offer) and isinstance(offer.redo, Redo)
        assert offer.settle >= 0
        assert 0 < offer.timeout < outbox.LEASE.total_seconds(), "a call ends before its lease"
    for looks in kind.already.values():
        assert looks.strip(), "what an answer that means 'already so' looks like"


def is_pure_of_our_models(kind: type[Connector]) -> None:
    tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    for module in imported(tree):
        assert module.split(".")[0] not in {"django", "guardian", "ninja", "console"}, module
        assert not module.startswith("actions.models"), module


def returns_one_of_four(kind: type[Connector]) -> None:
    """Every `return` of `apply` is an outcome by name, or a call that is annotated so."""
    assert [outcome.__name__ for outcome in OUTCOMES] == [
        *("Applied", "Refused", "RetryLater", "Unknown")
    ]
    annotation = inspect.signature(kind.apply).return_annotation
    assert annotation in {"Outcome", *(o.__name__ for o in OUTCOMES)}, annotation
    assert inspect.signature(kind.observe).return_annotation == "Seen"


STATEMENTS = [says_what_it_promises, is_pure_of_our_models, returns_one_of_four]


@pytest.mark.parametrize("law", STATEMENTS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("kind", [*registry.connectors(), Wall], ids=lambda kind: kind.name)
def test_every_connector_says(
    kind: type[Connector], law: Callable[[type[Connector]], None]
) -> None:
    law(kind)


@pytest.mark.parametrize(("kind", "capability"), KINDS, ids=NAMES)
def test_some_action_asks_for_what_it_offers(kind: type[Connector], capability: str) -> None:
    assert any(capability in action.capabilities for action in registry.actions())


# At work under the console: a crash between the call and its settling.
@pytest.mark.parametrize(
    "action", [a for a in registry.actions() if a.kind == "network" and a.inverse]
)
def test_a_crash_after_the_call_is_read_back_and_not_sent_again(
    still: Still, name: str, action: Any
) -> None:
    from actions import adapters, reconcile
    from actions.models import Effect
    from tests.contracts.inside import ask

    given = {"until": None} if action.params else {}
    told = still.submit(ask(action.name, name, given))
    operation = told.operation["id"]
    effect = still.value("SELECT id FROM effect WHERE operation_id = %s", operation)
    with still.acting("worker"):
        assert outbox.claim(effect, "crashes")
        whole = Effect.objects.select_related("realm", "subject", "operation__subject").get(
            id=effect
        )
        connector = adapters.connector(str(whole.realm_id), whole.realm_version)
        first = connector.apply(adapters.call_of(whole))
        again = connector.apply(adapters.call_of(whole))
    assert isinstance(first, Applied) and isinstance(again, Applied)
    assert again.found is not Found.CHANGED
    with still.database() as at:
        at.execute("UPDATE effect SET lease_until = now() WHERE id = %s", [effect])
    with still.acting("worker"):
        outbox.expire_leases()
        assert still.effects(operation) == ["in_doubt"]
        reconcile.reconcile_due()
    assert (still.state(operation), still.effects(operation)) == ("succeeded", ["succeeded"])
    assert still.value("SELECT count(*) FROM attempt WHERE effect_id = %s", effect) == 1
