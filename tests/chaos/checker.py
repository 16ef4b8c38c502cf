"""The checker: what must hold between what was told, what was done and what was logged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from actions import states
from actions.states import EffectState, OperationState
from tests.chaos.facts import Facts

Lines = Iterator[str]


def violations(facts: Facts) -> list[str]:
    """Everything that does not hold, each with its facts; empty when all does."""
    return [f"{check.__name__}: {line}" for check in CHECKS for line in check(facts)]


def nothing_acknowledged_is_lost(facts: Facts) -> Lines:
    there = {operation["ref"] for operation in facts.operations}
    for line in facts.history:
        if line["kind"] == "ok":
            stands_for = facts.requests.get((line["client"], line["key"]))
            if line["ref"] not in there or stands_for != line["ref"]:
                yield f"{line['client']} was told {line['ref']} for {line['key']}: {stands_for}"


def every_answer_to_a_key_names_one_operation(facts: Facts) -> Lines:
    told: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in facts.history:
        if line["kind"] == "ok":
            told[line["client"], line["key"]].add(line["ref"])
    for key, refs in told.items():
        if len(refs) > 1:
            yield f"{key}: {sorted(refs)}"


def who_asked_the_same_together_met(facts: Facts) -> Lines:
    """Unless somebody was never answered, whose request may have come in a later phase."""
    told: dict[tuple[str, int], set[str]] = defaultdict(set)
    answered: dict[tuple[str, str], str] = {}
    for line in facts.history:
        if line["kind"] == "ok":
            told[line["intent"], line["phase"]].add(line["ref"])
        answered[line["intent"], line["client"] + line["key"]] = line["kind"]
    open_ended = {intent for (intent, _), kind in answered.items() if kind != "ok"}
    for (intent, phase), refs in told.items():
        if len(refs) > 1 and intent not in open_ended:
            yield f"{intent}, phase {phase}: {sorted(refs)}"


def nothing_is_applied_twice(facts: Facts) -> Lines:
    """Not more than once per effect key, in every class, for as long as no call comes later than said."""
    for key, count in Counter(line["key"] for line in facts.ledger).items():
        if count > 1:
            yield f"{key}: {count} times"


def nothing_is_applied_that_nobody_asked_for(facts: Facts) -> Lines:
    asked = {effect["key"] for effect in facts.effects}
    for line in facts.ledger:
        if line["key"] not in asked:
            yield f"{line['key']} is in the ledger of {line['realm']}"


def the_ledger_says_what_the_states_say(facts: Facts) -> Lines:
    """A state that was so already leaves no line in the ledger of a system that only sets it."""
    made = {line["key"] for line in facts.ledger}
    set_to = {(line["realm"], line["subject"], bool(line["value"])) for line in facts.ledger}
    for effect in facts.effects:
        state, applied = effect["state"], effect["key"] in made
        so = (effect["realm"], effect["subject"], effect["blocked"]) in set_to
        there = applied or (effect["redo"] == "natural" and so)
        if state == EffectState.SUCCEEDED and not there:
            yield f"{effect['key']} succeeded, and was never applied: {trail(facts, effect)}"
        if applied and state in {EffectState.FAILED, EffectState.CANCELLED}:
            yield f"{effect['key']} is {state}, and was applied: {trail(facts, effect)}"


def trail(facts: Facts, effect: dict[str, Any]) -> str:
    """How an effect came to its state, as the log tells it."""
    ids = {operation["ref"]: operation["id"] for operation in facts.operations}
    moves = [
        f"{event['body']['to']} ({event['body']['message']})"
        for event in facts.events
        if event["operation"] == ids[effect["ref"]]
        and event["kind"] == "effect.moved"
        and event["body"]["realm"] == effect["realm_id"]
    ]
    return f"{effect['realm']}, {effect['ref']}, {effect['called']} calls: " + " > ".join(moves)


def everything_has_ended(facts: Facts) -> Lines:
    for operation in facts.operations:
        if operation["state"] in states.HOLDING | {OperationState.AWAITING_APPROVAL}:
            yield f"{operation['ref']} is {operation['state']}"
    for effect in facts.effects:
        if effect["state"] in states.BUSY:
            yield f"{effect['key']} is {effect['state']}"


def in_force_is_true(facts: Facts) -> Lines:
    """What is told now, and what was told on the way: no ledger may have said otherwise all along."""
    wanted: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for effect in facts.effects:
        wanted[effect["ref"]].append(effect)
    ledger: dict[tuple[str, str], list[tuple[float, bool]]] = defaultdict(list)
    for line in facts.ledger:
        ledger[line["realm"], line["subject"]].append((line["at"], bool(line["value"])))
    told = [(ref, said, float("inf"), float("inf")) for ref, said in facts.in_force.items()]
    told += [
        (line["ref"], line["in_force"], line["begun"], line["at"])
        for line in facts.history
        if line["kind"] == "ok"
    ]
    for ref, said, begun, ended in told:
        for effect in wanted[ref] if said == "yes" else ():
            lines = ledger[effect["realm"], effect["subject"]]
            before = [value for at, value in lines if at < begun][-1:]
            within = [value for at, value in lines if begun <= at <= ended]
            if effect["blocked"] not in before + within:
                yield f"{ref} was told to be in force, and {effect['realm']} had {before + within}"


def the_log_has_no_gap(facts: Facts) -> Lines:
    numbers: dict[int, list[int]] = defaultdict(list)
    for event in facts.events:
        numbers[event["operation"]].append(event["number"])
    for operation in facts.operations:
        found = numbers[operation["id"]]
        if found != list(range(1, operation["event_count"] + 1)):
            yield f"{operation['ref']}: {found} of {operation['event_count']}"


def every_move_is_legal(facts: Facts) -> Lines:
    """From a start, by the table, to the state that stands; fences never fall."""
    ends = {(o["id"], None): o["state"] for o in facts.operations}
    ids = {o["ref"]: o["id"] for o in facts.operations}
    ends |= {(ids[e["ref"]], (e["realm_id"], e["step"])): e["state"] for e in facts.effects}
    moves: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for event in facts.events:
        body = event["body"]
        if event["kind"] == "operation.moved":
            moves[event["operation"], None].append(body)
        elif event["kind"] == "effect.moved":
            moves[event["operation"], (body["realm"], body["step"])].append(body)
    for what, made in moves.items():
        yield from _chain(what, made, ends[what])


def _chain(what: tuple[int, Any], made: list[dict[str, Any]], end: str) -> Lines:
    table = states.OPERATION_MOVES if what[1] is None else states.EFFECT_MOVES
    starts = states.OPERATION_STARTS if what[1] is None else states.EFFECT_STARTS
    legal = {(move.old, move.new) for move in table}
    state, fence = made[0]["from"], 0
    if state not in starts:
        yield f"{what} began as {state}"
    for move in made:
        if move["from"] != state or (move["from"], move["to"]) not in legal:
            yield f"{what} was {state}, and moved from {move['from']} to {move['to']}"
        if move.get("fence", fence) < fence:
            yield f"{what}: its fence fell from {fence} to {move['fence']}"
        state, fence = move["to"], move.get("fence", fence)
    if state != end:
        yield f"{what} is {end}, and its log ends with {state}"


CHECKS: tuple[Callable[[Facts], Lines], ...] = (
    nothing_acknowledged_is_lost,
    every_answer_to_a_key_names_one_operation,
    who_asked_the_same_together_met,
    nothing_is_applied_twice,
    nothing_is_applied_that_nobody_asked_for,
    the_ledger_says_what_the_states_say,
    everything_has_ended,
    in_force_is_true,
    the_log_has_no_gap,
    every_move_is_legal,
)
