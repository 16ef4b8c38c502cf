"""What a request is told, rule by rule, in the order of contract §4: pure, without a database."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actions import keys
from actions.ask import Ask, Decision, DraftGiven
from actions.case import consider
from actions.catalogue._ends import moment
from actions.compare import decide
from actions.errors import ParamsRefused
from actions.plan import RealmNow
from actions.standing import Facts, KeySeen, Standing, TokenSeen
from tests.contracts.inside import ask, ban, lift

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NAME = "198.51.100.7/32"
ANA = uuid.UUID(int=1)
EDGE = RealmNow(str(uuid.UUID(int=10)), "edge", "Edge", "blocklist", 1, True, True)
CORE = RealmNow(str(uuid.UUID(int=11)), "core", "Core", "blocklist", 1, True, True)
NOTHING = Standing(
    now=NOW,
    caller_id=ANA,
    caller_name="ana",
    caller_kind="person",
    token=None,
    may_see=True,
    may_ask=True,
    realms=(EDGE,),
    incident_id=None,
    key=None,
    keyed=None,
    newest=None,
    known=(),
)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def operation(
    *,
    blocked: bool = True,
    ends: timedelta | None = hours(24),
    state: str = "succeeded",
    **more: Any,
) -> Facts:
    """The facts of an operation that stands on the lane."""
    return {
        "ref": "op_000000000001",
        "generation": 1,
        "action": "ban-network" if blocked else "lift-ban",
        "name": NAME,
        "state": state,
        "desired": {"blocked": blocked},
        "ends_at": moment(NOW + ends) if blocked and ends else None,
        "span": None,
        "reason": "it scans us",
        "requested_by": "raj",
        "requested_by_kind": "person",
        "requested_at": moment(NOW - hours(1)),
        "incidents": [],
        "effects": [{"realm_id": EDGE.id, "step": "deny"}],
        **more,
    }


def told(asked: Ask, seen: Standing) -> Decision:
    return decide(asked, seen, asked.fingerprint())


def outcome(asked: Ask, seen: Standing) -> tuple[str, str, int]:
    decision = told(asked, seen)
    return decision.disposition, decision.code, decision.status


def on(newest: Facts, **more: Any) -> Standing:
    return replace(NOTHING, newest=newest, **more)


def key_of(asked: Ask, *, age: timedelta = hours(0), operation: int | None = None) -> KeySeen:
    return KeySeen(1, asked.fingerprint(), keys.RULES, NOW - age, operation)


# The key.
def test_the_same_key_and_content_is_told_what_it_made() -> None:
    asked = ban(NAME)
    seen = replace(NOTHING, key=key_of(asked, operation=1), keyed=operation())
    decision = told(asked, seen)
    assert (decision.disposition, decision.code, decision.replayed) == (
        "existing",
        "same_key",
        True,
    )


@pytest.mark.parametrize(
    "other",
    [
        ban(NAME, "48h"),
        ban("198.51.100.8/32"),
        lift(NAME),
        ban(NAME, reason="another reason"),
        ban(NAME, incident=7),
        ban(NAME, seen=1),
        ban(NAME, seen=1, again=True),
    ],
)
def test_the_same_key_for_anything_else_is_refused(other: Ask) -> None:
    first = ban(NAME)
    seen = replace(NOTHING, key=key_of(first, operation=1), keyed=operation())
    assert outcome(replace(other, key=first.key), seen) == ("key_reused", "key_reused", 422)


def test_a_key_of_other_rules_is_not_compared() -> None:
    asked = ban(NAME)
    older = replace(key_of(asked, operation=1), rules=keys.RULES - 1)
    assert told(asked, replace(NOTHING, key=older)).disposition == "key_reused"


def test_the_key_is_judged_before_rights_and_lane() -> None:
    asked = ban(NAME)
    since = replace(
        on(operation(blocked=False, generation=2)),
        key=key_of(asked, operation=1),
        keyed=operation(),
        may_ask=False,
        may_see=False,
    )
    assert outcome(asked, since) == ("existing", "same_key", 200)


def test_a_repeat_after_its_own_end_is_told_and_not_refused_for_its_end() -> None:
    asked = ask("ban-network", NAME, {"until": moment(NOW - hours(1))})
    seen = replace(NOTHING, key=key_of(asked, age=hours(3), operation=1), keyed=operation())
    assert outcome(asked, seen) == ("existing", "same_key", 200)
    with pytest.raises(ParamsRefused):
        told(asked, NOTHING)


def test_a_key_that_led_to_nothing_is_judged_again_for_24_hours_then_closed() -> None:
    asked = ban(NAME)
    young = replace(NOTHING, key=key_of(asked, age=hours(23.9)))
    assert told(asked, young).disposition == "created"
    old = replace(NOTHING, key=key_of(asked, age=hours(24)))
    assert outcome(asked, old) == ("stale", "key_closed", 412)


def test_a_key_that_made_an_operation_never_closes() -> None:
    asked = ban(NAME)
    old = replace(NOTHING, key=key_of(asked, age=hours(24 * 400), operation=1), keyed=operation())
    assert outcome(asked, old) == ("existing", "same_key", 200)


# Who may.
def token(*scopes: str) -> TokenSeen:
    return TokenSeen(uuid.UUID(int=5), b"", frozenset(scopes), True)


@pytest.mark.parametrize(
    ("seen", "code", "status"),
    [
        (replace(NOTHING, may_see=False, may_ask=False), "unknown_action", 404),
        (replace(NOTHING, may_ask=False), "may_not_ask", 403),
        (replace(NOTHING, realms=(EDGE, replace(CORE, may_ask=False))), "may_not_ask_realm", 403),
        (replace(NOTHING, token=token("read", "ask:lift-ban")), "token_scope", 403),
    ],
)
def test_who_may_not_is_refused(seen: Standing, code: str, status: int) -> None:
    assert outcome(ban(NAME), seen) == ("refused", code, status)
    banned = replace(seen, newest=operation(state="failed"))
    assert outcome(ban(NAME), banned) == ("refused", code, status), "before anything is told"


def test_a_token_with_the_scope_asks() -> None:
    seen = replace(NOTHING, token=token("ask:ban-network"))
    assert told(ban(NAME), seen).disposition == "created"


def test_an_incident_that_is_not_there_is_refused() -> None:
    assert outcome(ban(NAME, incident=7), NOTHING) == ("refused", "no_incident", 404)
    there = replace(NOTHING, incident_id=uuid.UUID(int=7))
    assert told(ban(NAME, incident=7), there).disposition == "created"


# The draft.
def draft(asked: Ask, **more: Any) -> Ask:
    """`asked`, confirmed from a draft that was made a minute ago and shown since."""
    made = NOW - timedelta(minutes=1)
    given = DraftGiven("dr_1", ANA, made, made, b"")
    case = consider(replace(asked, draft=given), NOTHING)
    given = replace(given, plan_digest=case.plan.digest, **more)
    return replace(asked, draft=given)


def test_a_draft_is_confirmed() -> None:
    assert told(draft(ban(NAME, seen=0)), NOTHING).disposition == "created"


def test_a_confirm_within_0_8_seconds_of_the_first_showing_is_too_soon() -> None:
    shown = NOW - timedelta(seconds=0.79)
    asked = draft(ban(NAME, seen=0, via="browser"), first_shown_at=shown)
    assert outcome(asked, NOTHING) == ("too_soon", "too_soon", 409)
    read = draft(ban(NAME, seen=0, via="browser"), first_shown_at=NOW - timedelta(seconds=0.8))
    assert told(read, NOTHING).disposition == "created"


def test_a_draft_that_was_never_shown_is_not_confirmed_in_a_browser() -> None:
    asked = draft(ban(NAME, seen=0, via="browser"), first_shown_at=None)
    assert told(asked, NOTHING).disposition == "too_soon"
    assert told(replace(asked, via="api"), NOTHING).disposition == "created"


def test_a_draft_older_than_30_minutes_is_stale() -> None:
    fresh = draft(ban(NAME, "10d", seen=0))
    later = replace(NOTHING, now=NOW + timedelta(minutes=29))
    assert told(fresh, later).disposition == "created"
    over = replace(NOTHING, now=NOW + timedelta(minutes=29, seconds=1))
    assert outcome(fresh, over) == ("stale", "draft_old", 412)


def test_a_draft_whose_end_has_passed_is_stale() -> None:
    short = draft(ban(NAME, "2m", seen=0))
    over = replace(NOTHING, now=NOW + timedelta(minutes=2))
    assert outcome(short, over) == ("stale", "draft_old", 412)


def test_a_draft_whose_plan_has_changed_is_stale() -> None:
    asked = draft(ban(NAME, seen=0))
    wider = replace(NOTHING, realms=(EDGE, CORE))
    assert outcome(asked, wider) == ("stale", "plan_changed", 412)
    newer = replace(NOTHING, realms=(replace(EDGE, version=2),))
    assert outcome(asked, newer) == ("stale", "plan_changed", 412)


# The lane: stale, covered, more, opposed.
def test_a_lift_that_saw_an_older_generation_is_stale() -> None:
    seen = on(operation(generation=2))
    assert outcome(lift(NAME, seen=1), seen) == ("stale", "moved", 412)
    assert told(lift(NAME, seen=2), seen).disposition == "created"
    assert told(lift(NAME), seen).disposition == "created"


def test_seen_is_a_guard_against_opposed_moves_only() -> None:
    seen = on(operation(generation=2))
    assert told(ban(NAME, seen=1), seen).disposition == "existing"


def test_a_generation_that_is_not_there_yet_was_not_seen() -> None:
    assert outcome(ban(NAME, seen=1), NOTHING) == ("stale", "seen_unknown", 412)


@pytest.mark.parametrize(
    ("incidents", "incident", "stale"),
    [([], None, True), ([7], 7, True), ([7], 8, False), ([7], None, False), ([], 8, False)],
)
def test_a_token_does_not_ask_against_a_person_in_the_same_incident(
    incidents: list[int], incident: int | None, stale: bool
) -> None:
    person = on(
        operation(blocked=False, generation=2, incidents=incidents),
        token=token("ask:ban-network"),
        incident_id=uuid.UUID(int=9),
    )
    expected = ("stale", "against_a_person", 412) if stale else ("created", "", 201)
    assert outcome(ban(NAME, incident=incident), person) == expected
    assert told(ban(NAME, incident=incident, seen=2), person).disposition == "created"
    assert told(ban(NAME, incident=incident), replace(person, token=None)).disposition == "created"


def test_a_token_asks_against_another_service() -> None:
    lifted = operation(blocked=False, requested_by_kind="service")
    seen = on(lifted, token=token("ask:ban-network"))
    assert told(ban(NAME), seen).disposition == "created"


def test_a_ban_that_stands_long_enough_covers() -> None:
    for state in ("approved", "running", "succeeded", "parked"):
        assert told(ban(NAME), on(operation(state=state))).disposition == "existing"
    assert told(ban(NAME, "12h"), on(operation())).exact is False
    same = ask("ban-network", NAME, {"until": moment(NOW + hours(24))})
    assert told(same, on(operation())).exact is True


def test_a_longer_ban_is_the_next_generation_even_while_the_earlier_is_under_way() -> None:
    for state in ("approved", "running", "succeeded", "parked", "failed", "partial"):
        decision = told(ban(NAME, "48h"), on(operation(state=state)))
        assert decision.disposition == "created", state


def test_a_ban_that_lacks_a_realm_is_not_enough() -> None:
    seen = on(operation(), realms=(EDGE, CORE))
    assert told(ban(NAME), seen).disposition == "created"


@pytest.mark.parametrize("state", ["partial", "failed"])
def test_what_is_unfinished_is_resumed_under_a_new_key(state: str) -> None:
    decision = told(ban(NAME), on(operation(state=state)))
    assert (decision.disposition, decision.status) == ("resumed", 200)


@pytest.mark.parametrize("state", ["declined", "expired", "cancelled", "superseded"])
def test_what_came_to_nothing_covers_nothing_and_opposes_nothing(state: str) -> None:
    assert told(ban(NAME), on(operation(state=state))).disposition == "created"
    assert told(lift(NAME), on(operation(state=state))).disposition == "created"


@pytest.mark.parametrize("state", ["approved", "running"])
def test_a_lift_of_what_is_not_settled_conflicts_unless_it_was_seen(state: str) -> None:
    seen = on(operation(state=state))
    assert outcome(lift(NAME), seen) == ("conflict", "conflict", 409)
    assert told(lift(NAME, seen=1), seen).disposition == "created"


@pytest.mark.parametrize("state", ["succeeded", "partial", "failed", "parked"])
def test_a_lift_of_what_is_settled_conflicts_with_nothing(state: str) -> None:
    assert told(lift(NAME), on(operation(state=state))).disposition == "created"


# Again.
def test_again_orders_the_next_generation_once_and_with_a_reason_of_its_own() -> None:
    again = ban(NAME, seen=1, again=True, reason="the list was wiped")
    assert told(again, on(operation())).disposition == "created"
    assert told(again, on(operation(generation=2))).disposition == "existing", "the two meet"
    parroted = replace(again, reason=" it  scans\nus ")
    assert outcome(parroted, on(operation())) == ("refused", "again_needs_reason", 422)


# Limits.
def test_what_is_too_wide_is_refused() -> None:
    asked = ban("198.0.0.0/8")
    assert outcome(asked, NOTHING) == ("refused", "too_wide", 403)


def test_what_no_system_can_do_is_refused() -> None:
    nowhere = replace(NOTHING, realms=())
    assert outcome(ban(NAME), nowhere) == ("refused", "no_realm", 403)


# What every answer says.
def test_every_refusal_says_that_nothing_changed_and_every_told_one_who_and_when() -> None:
    running = on(operation(state="running"))
    for decision in (
        told(lift(NAME), running),
        told(lift(NAME, seen=0), on(operation())),
        told(ban(NAME), replace(NOTHING, may_ask=False)),
        told(ban("198.0.0.0/8"), NOTHING),
    ):
        assert "Nothing changed." in decision.message
    for decision in (told(ban(NAME), running), told(lift(NAME), running)):
        for fact in ("raj", "11:00:00 UTC", "op_000000000001", "generation 1"):
            assert fact in decision.message
