"""The contract suite of the catalogue: it finds every action by itself, and none is named here.

Each law is a function of one action, so that an action of a test's own passes through them too.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions import keys
from actions.catalogue._base import Action, Intent, Relation, Step
from actions.errors import ParamsRefused
from actions.registry import Registry
from actions.subjects import Subject
from tests.contracts.example import EXAMPLES, Paint, Wall, Wash
from tests.contracts.inside import registry

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SUBJECTS = {
    "network": Subject("network", "198.51.100.7/32", 1),
    "account": Subject("account", "payments-db:#16385", 1, "payments-db:alice_admin"),
    "secret": Subject("secret", "payments-db:app_rw", 1),
}


def subject_of(action: Action) -> Subject:
    return SUBJECTS.get(action.kind, Subject(action.kind, "example", 1))


def ends() -> st.SearchStrategy[dict[str, object]]:
    """How an end is given: a length, a moment, or none at all."""
    seconds = st.integers(1, 3660 * 86400)
    lengths = seconds.map(lambda s: {"for": f"{s}s"})
    moments = seconds.map(lambda s: {"until": (NOW + timedelta(seconds=s)).isoformat()})
    return st.one_of(lengths, moments, st.just({"until": None}))


def params_of(action: Action) -> st.SearchStrategy[dict[str, object]]:
    """Parameters that the action takes: ends of every kind, and the schema's examples of the rest."""
    others: dict[str, list[Any]] = {
        p.name: list(p.schema.get("examples") or p.schema.get("enum") or [])  # type: ignore[call-overload]
        for p in action.params
        if p.kind != "end"
    }
    unsaid = [name for name, values in others.items() if not values]
    assert not unsaid, f"{action.name}: say examples or an enum in the schema of {unsaid}"
    rest = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in others.items()})
    if not any(p.kind == "end" for p in action.params):
        return rest
    return st.tuples(rest, ends()).map(lambda both: {**both[0], **both[1]})


def intents(action: Action) -> st.SearchStrategy[Intent]:
    return params_of(action).map(lambda params: action.resolve(params, NOW))


def every(strategy: Callable[[Action], st.SearchStrategy[Any]]) -> Callable[..., Any]:
    """A law over examples of an action, as a function of the action."""

    def law_of(law: Callable[[Action, Any], None]) -> Callable[[Action], None]:
        def run(action: Action) -> None:
            @settings(max_examples=60, deadline=None, database=None)
            @given(strategy(action))
            def holds(drawn: Any) -> None:
                law(action, drawn)

            holds()

        run.__name__ = law.__name__
        return run

    return law_of


# The laws.
def says_what_it_is(action: Action) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", action.name), "a name such as ban-network"
    assert action.version >= 1
    for text in (action.title, action.summary, action.group):
        assert text.strip() == text != ""
    assert re.fullmatch(r"[a-z_]+", action.kind) and re.fullmatch(r"[a-z_]+", action.lane)
    assert all(re.fullmatch(r"D3-[A-Z]+", technique) for technique in action.d3fend)


def answers_the_four_questions(action: Action) -> None:
    answers = {f.name: getattr(action.answers, f.name) for f in fields(action.answers)}
    assert set(answers) == {"identifies", "recorded", "retry", "duplicates"}
    for question, answer in answers.items():
        assert len(answer.split()) >= 5 and answer.rstrip().endswith("."), question
    assert len(set(answers.values())) == 4


def is_pure(action: Action) -> None:
    """It imports neither models nor Django: what it says follows from what it is asked."""
    tree = ast.parse(inspect.getsource(sys.modules[type(action).__module__]))
    for module in imported(tree):
        top = module.split(".")[0]
        assert top not in {"django", "guardian", "ninja", "psycopg", "console"}, module
        assert not module.startswith("actions.models"), module


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def has_an_inverse_on_its_lane_or_says_none(action: Action) -> None:
    if action.inverse is None:
        assert not action.takes_back, "what takes back has something to take back"
        return
    inverse = registry.action(action.inverse)
    assert not (action.takes_back and inverse.takes_back)
    assert inverse.inverse == action.name
    assert (inverse.kind, inverse.lane) == (action.kind, action.lane)


def is_carried_out_by_some_connector(action: Action) -> None:
    for capability in action.capabilities:
        assert registry.offering(capability), f"no connector offers {capability}"


def has_a_valid_schema(action: Action) -> None:
    jsonschema = pytest.importorskip("jsonschema_rs")
    schema = action.schema()
    jsonschema.meta.validate(schema)
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {p.name for p in action.params}  # type: ignore[call-overload]
    for param in action.params:
        assert param.label.strip() and param.help.strip()


@every(params_of)
def takes_what_its_schema_says(action: Action, params: dict[str, object]) -> None:
    jsonschema = pytest.importorskip("jsonschema_rs")
    jsonschema.validate(action.schema(), params)
    intent = action.resolve(params, NOW)
    assert intent == action.resolve(params, NOW), "the same, asked again"
    keys.canonical(dict(intent.desired))
    if intent.until is not None:
        assert intent.until > NOW
        assert intent.until.utcoffset() == timedelta(0)
        assert intent.until.microsecond % 1000 == 0, "as it is written"


def refuses_what_it_does_not_know(action: Action) -> None:
    with pytest.raises(ParamsRefused) as caught:
        action.resolve({"no such parameter": 1}, NOW)
    assert caught.value.facts.get("field"), "the parameter is named"


@every(intents)
def steps_within_its_capabilities(action: Action, intent: Intent) -> None:
    steps = action.steps(intent)
    assert steps == action.steps(intent)
    assert steps and {step.capability for step in steps} <= action.capabilities
    assert len({step.name for step in steps}) == len(steps), "each step has a name of its own"
    assert all(isinstance(step, Step) and keys.canonical(dict(step.desired)) for step in steps)


@every(intents)
def says_what_it_will_do(action: Action, intent: Intent) -> None:
    subject = subject_of(action)
    preview = action.preview(subject, intent)
    for f in fields(preview):
        assert getattr(preview, f.name).strip(), f.name
    assert subject.label in preview.button
    assert subject.label in action.phrase(subject.label, intent)


@every(intents)
def is_covered_by_itself(action: Action, intent: Intent) -> None:
    assert action.compare(intent, intent, NOW) is Relation.COVERED


@every(lambda action: st.tuples(intents(action), intents(action)))
def goes_one_way(action: Action, pair: tuple[Intent, Intent]) -> None:
    """Of two intents of one action, at least one is enough for the other; neither opposes."""
    relations = {action.compare(*pair, NOW), action.compare(*reversed(pair), NOW)}
    assert relations <= {Relation.COVERED, Relation.MORE}
    assert Relation.COVERED in relations


@every(lambda action: st.tuples(intents(action), intents(action), st.integers(0, 3660 * 86400)))
def never_swallows(action: Action, drawn: tuple[Intent, Intent, int]) -> None:
    """What stands is enough exactly when its end is: as late, or 9/10 of a length asked for."""
    standing, asked, later = drawn
    if not any(p.kind == "end" for p in action.params) or standing.desired != asked.desired:
        return
    now = NOW + timedelta(seconds=later)
    asked = replace(asked, until=asked.until and asked.until + timedelta(seconds=later))
    enough = standing.until is None or (asked.until is not None and standing.until >= asked.until)
    if not enough and asked.until is not None and asked.span is not None:
        assert standing.until is not None
        enough = (standing.until - now) * 10 >= timedelta(seconds=asked.span) * 9
    relation = action.compare(standing, asked, now)
    assert relation is (Relation.COVERED if enough else Relation.MORE)
    if standing.until is not None and asked.until is None:
        assert relation is Relation.MORE, "an end does not stand for none"


@every(params_of)
def has_exact_nine_tenths(action: Action, params: dict[str, object]) -> None:
    if not any(p.kind == "end" for p in action.params):
        return
    for span, short in product((13, 21, 26, 1000, 86400), (0, 1)):
        asked = replace(action.resolve(params, NOW), span=span, until=NOW + timedelta(seconds=span))
        left = timedelta(seconds=span) * 9 / 10 - timedelta(milliseconds=short)
        relation = action.compare(replace(asked, until=NOW + left), asked, NOW)
        assert relation is (Relation.MORE if short else Relation.COVERED), (span, short)


def opposes_its_inverse_both_ways(action: Action) -> None:
    if action.inverse is None:
        return
    inverse = registry.action(action.inverse)

    @settings(max_examples=40, deadline=None, database=None)
    @given(intents(action), intents(inverse))
    def holds(ours: Intent, theirs: Intent) -> None:
        assert action.compare(theirs, ours, NOW) is Relation.OPPOSED
        assert inverse.compare(ours, theirs, NOW) is Relation.OPPOSED

    holds()


@every(intents)
def is_ended_by_an_action_of_its_lane(action: Action, intent: Intent) -> None:
    ending = action.ended_by(intent.desired)
    if not any(p.kind == "end" for p in action.params):
        assert ending is None
        return
    assert ending is not None, "what has an end is ended by something"
    ender = registry.action(ending[0])
    assert (ender.kind, ender.lane) == (action.kind, action.lane)
    end = ender.resolve(ending[1], NOW)
    assert ender.compare(intent, end, NOW) is Relation.OPPOSED
    assert end.until is None, "an end has no end"


LAWS = [
    *(says_what_it_is, answers_the_four_questions, is_pure),
    *(has_an_inverse_on_its_lane_or_says_none, is_carried_out_by_some_connector),
    *(has_a_valid_schema, takes_what_its_schema_says, refuses_what_it_does_not_know),
    *(steps_within_its_capabilities, says_what_it_will_do, is_covered_by_itself, goes_one_way),
    *(
        never_swallows,
        has_exact_nine_tenths,
        opposes_its_inverse_both_ways,
        is_ended_by_an_action_of_its_lane,
    ),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("action", registry.actions(), ids=lambda action: action.name)
def test_every_action(action: Action, law: Callable[[Action], None]) -> None:
    law(action)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("action", [Paint(), Wash()], ids=lambda action: action.name)
def test_an_action_of_a_file_of_its_own_passes_untouched(
    action: Action, law: Callable[[Action], None]
) -> None:
    with registry.only(*EXAMPLES):
        law(action)


# The registry.
def test_the_catalogue_is_not_empty_and_sealed() -> None:
    assert registry.actions() and registry.connectors()
    with pytest.raises(ValueError, match="sealed"):
        registry.add(Paint())


def test_an_action_without_its_answers_is_refused() -> None:
    for f in fields(Paint.answers):
        unanswered = type("Mute", (Paint,), {"answers": replace(Paint.answers, **{f.name: "none"})})
        with pytest.raises(ValueError, match=f.name):
            Registry().add(unanswered())


def test_a_name_is_registered_once() -> None:
    mine = Registry()
    mine.add(Paint())
    with pytest.raises(ValueError, match="twice"):
        mine.add(Paint())
    mine.add(Wall)
    with pytest.raises(ValueError, match="twice"):
        mine.add(Wall)


def test_only_puts_everything_back() -> None:
    before = registry.actions(), registry.connectors()
    with registry.only(*EXAMPLES):
        assert {a.name for a in registry.actions()} == {"paint", "wash"}
    assert (registry.actions(), registry.connectors()) == before
