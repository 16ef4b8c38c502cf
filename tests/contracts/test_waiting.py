"""What waits holds nothing: it stops nobody, is overtaken, goes stale, and escapes no rule of now."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from actions import break_glass, ends, inbox, outbox, prepare
from actions.errors import ParamsRefused, Refusal
from actions.policy import rights
from tests.contracts.approving import alone, decide, facts, people, rule
from tests.contracts.inside import Still, age, ban, lift, refused, tampering, without_groups
from tests.contracts.verbs import ban_that, cancelled, come_to, decided, events, finished, undone


@pytest.fixture(autouse=True)
def everybody(still: Still) -> None:
    people(still)


@pytest.fixture
def ruled(still: Still) -> Iterator[None]:
    """Every ban needs one of approvers; a lift needs nobody."""
    with rule(still):
        yield


def asked(still: Still, name: str, *, by: str = "ana", length: str = "24h", **more: object) -> int:
    told = still.submit(ban(name, length, **more), by)
    assert told.disposition == "created", told
    return int(told.operation["id"])


# Superseding, contract §5.
def test_it_is_the_answer_to_those_who_would_have_to_wait_too(
    still: Still, ruled: None, name: str
) -> None:
    waits = asked(still, name)
    told = still.submit(ban(name), "raj")
    assert (told.disposition, told.operation["id"]) == ("existing", waits)
    assert "awaiting approval" in told.message


def test_who_needs_no_approval_overtakes_it(still: Still, ruled: None, name: str) -> None:
    waits = asked(still, name)
    told = still.submit(lift(name), "raj")
    assert (told.disposition, told.operation["generation"]) == ("created", 2)
    assert (still.state(waits), still.effects(waits)) == ("superseded", ["cancelled"])
    late = decide(still, waits, "li")
    assert late.code == "approval_only_while_awaiting"
    assert "superseded" in late.message


def test_the_same_without_a_rule_is_not_made_to_wait_for_it(still: Still, name: str) -> None:
    with rule(still):
        waits = asked(still, name)
    told = still.submit(ban(name), "raj")
    assert (told.disposition, told.operation["state"]) == ("created", "approved")
    assert still.state(waits) == "superseded"


def test_one_that_goes_further_overtakes_it_and_waits_in_its_place(
    still: Still, ruled: None, name: str
) -> None:
    waits = asked(still, name)
    further = asked(still, name, by="raj", length="72h")
    assert (still.state(waits), still.state(further)) == ("superseded", "awaiting_approval")


def test_the_opposite_that_would_wait_too_must_have_seen_it(still: Still, name: str) -> None:
    with rule(still), rule(still, "lift-ban"):
        waits = asked(still, name)
        told = still.submit(lift(name), "raj")
        assert (told.disposition, told.operation["id"]) == ("conflict", waits)
        seen = still.submit(lift(name, seen=1), "raj")
        assert (seen.disposition, seen.operation["state"]) == ("created", "awaiting_approval")
    assert still.state(waits) == "superseded"


def test_two_who_order_it_again_and_would_wait_meet(still: Still, name: str) -> None:
    still.made(ban(name))
    again = {"seen": 1, "again": True, "reason": "the list was wiped"}
    with rule(still):
        waits = asked(still, name, **again)
        told = still.submit(ban(name, **again), "raj")
    assert (told.disposition, told.operation["id"]) == ("existing", waits)


def test_what_runs_is_not_overtaken_by_what_only_waits_but_by_its_approval(
    still: Still, name: str
) -> None:
    running, _ = still.issued(ban(name))
    with rule(still):
        waits = asked(still, name, length="72h")
    assert still.state(running) == "approved"
    assert still.submit(ban(name)).operation["id"] == running
    decide(still, waits, "li")
    assert (still.state(running), still.state(waits)) == ("superseded", "approved")
    still.deliver(waits)
    assert still.listed(name)


# It stops nobody.
def test_what_stands_is_finished_undone_and_asked_for_beneath_what_waits(
    still: Still, networks: Callable[[], str]
) -> None:
    failed, banned, opposed = networks(), networks(), networks()
    first, _ = ban_that(still, failed, "failed")
    second = still.made(ban(banned))
    third = still.made(ban(opposed))
    drafted = still.draft(lift(opposed), "raj")
    with rule(still):
        asked(still, banned, by="runbook", length="72h")
        asked(still, opposed, by="runbook", length="72h")
    with rule(still, "lift-ban"):
        assert still.submit(lift(failed), "runbook").operation["state"] == "awaiting_approval"
    assert finished(still, first).disposition == "resumed"
    assert undone(still, second).disposition == "created"
    # Prepared before anybody filed what waits, confirmed after: nothing has moved meanwhile.
    key = drafted.id
    confirmed = lift(opposed, key=key, seen=1, draft=drafted)
    assert still.submit(confirmed, "raj").disposition == "created"
    assert still.state(third) == "succeeded"


def test_a_token_that_files_waiting_operations_on_500_lanes_stops_no_responder(
    still: Still, ruled: None
) -> None:
    names = [f"198.51.{n // 250}.{n % 250}/32" for n in range(500)]
    with still.acting("web"):
        filed = {still.submit(ban(name), "runbook").operation["state"] for name in names}
    assert filed == {"awaiting_approval"}
    told = [still.submit(lift(name), "ana") for name in names[:20]]
    assert {answer.disposition for answer in told} == {"created"}
    with alone(still):
        told = [still.submit(ban(name), "gil") for name in names[20:40]]
    assert {(a.disposition, a.operation["state"]) for a in told} == {("created", "approved")}
    assert cancelled(still, facts_id(still, names[40])).disposition == "cancelled"
    with still.acting("web"):
        mine = still.submit(ban("198.51.100.251/32"), "ana").operation
        sees = rights(still.caller("li")).sees
        found = inbox.of(still.caller("li"), sees)
        assert found.total >= 459
        assert len(found.mine) == inbox.MOST
        for_li, waiting = inbox.counted(still.caller("li"), sees)
        assert (for_li, waiting) == (inbox.MOST, found.total)
    assert decide(still, mine["id"], "li").disposition == "approved"
    still.rows(
        "UPDATE operation SET state = 'expired' WHERE state = 'awaiting_approval' RETURNING 1"
    )


def facts_id(still: Still, name: str) -> int:
    return int(
        still.value(
            "SELECT o.id FROM operation o JOIN subject s ON s.id = o.subject_id WHERE s.name = %s"
            " ORDER BY o.id DESC LIMIT 1",
            name,
        )
    )


def test_a_ban_ends_though_something_waits_above_it(still: Still, name: str) -> None:
    timed = still.made(ban(name, "1h"))
    with rule(still):
        waits = asked(still, name, by="runbook", length="72h")
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [timed])
    with still.acting("worker"):
        assert ends.end_due() >= 1
    assert still.state(waits) == "superseded"
    ended = facts_id(still, name)
    assert facts(still, ended)["because"] == "end of @1"
    still.deliver(ended)
    assert not still.listed(name)


def test_an_end_needs_no_approval_of_its_own(still: Still, name: str) -> None:
    timed = still.made(ban(name, "1h"))
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [timed])
    with rule(still, "lift-ban"):
        with still.acting("worker"):
            assert ends.end_due() >= 1
        ended = facts_id(still, name)
        assert still.state(ended) == "approved"
        still.deliver(ended)
    assert (still.state(ended), still.listed(name)) == ("succeeded", False)


# Time.
def test_what_nobody_approves_in_time_expires(still: Still, networks: Callable[[], str]) -> None:
    with rule(still, minutes=30), rule(still, minutes=10):
        old, young = asked(still, networks()), asked(still, networks())
        told = facts(still, young)
        short = asked(still, networks(), length="5m")
    left = "SELECT extract(epoch FROM approve_by - requested_at)::int FROM operation WHERE id = %s"
    assert (still.value(left, young), still.value(left, short)) == (600, 300)
    assert told["approve_by"] > told["requested_at"]
    _over(still, old)
    with still.acting("worker"):
        assert outbox.expire_unapproved() >= 1
    assert (still.state(old), still.effects(old)) == ("expired", ["cancelled"])
    assert (still.state(young), still.effects(young)) == ("awaiting_approval", ["held"])


def _over(still: Still, operation: int) -> None:
    change = "approve_by = clock_timestamp() WHERE id = %s"
    still.rewrite("operation", "operation_intent_never_changes", change, operation)


def test_an_approval_is_good_for_beginning_within_15_minutes(
    still: Still, ruled: None, networks: Callable[[], str]
) -> None:
    name = networks()
    old, waited = asked(still, name), asked(still, networks())
    age(still, waited, "29 minutes")
    for operation in (old, waited):
        decide(still, operation, "li")
    with still.acting("worker"):
        outbox.expire_unbegun()
    assert still.state(waited) == "approved", "it counts from the approval, not from the asking"
    still.rows(
        "UPDATE operation SET approved_at = now() - interval '16 minutes' WHERE id = %s RETURNING 1",
        old,
    )
    still.deliver(old)  # a worker that comes before the keeper
    assert (still.state(old), still.listed(name)) == ("approved", False)
    with still.acting("worker"):
        outbox.expire_unbegun()
    assert (still.state(old), still.effects(old)) == ("expired", ["cancelled"])


# Rights taken away between.
def test_rights_taken_away_at_any_point_let_nothing_run(
    still: Still, ruled: None, networks: Callable[[], str]
) -> None:
    drafted_name = networks()
    drafted = still.draft(ban(drafted_name), "raj")
    with without_groups(still, "raj"):  # between draft and confirm
        told = still.submit(ban(drafted_name, key=drafted.id, seen=0, draft=drafted), "raj")
        assert told.disposition == "refused"
    name = networks()
    confirmed = asked(still, name, by="raj")
    with without_groups(still, "li"):  # between confirm and approval
        assert decide(still, confirmed, "li").disposition == "refused"
    decide(still, confirmed, "li")
    with without_groups(still, "li"):  # between approval and call: who approved
        still.deliver(confirmed)
    assert (still.state(confirmed), still.listed(name)) == ("failed", False)
    assert "approval" in still.value(
        "SELECT message FROM effect WHERE operation_id = %s", confirmed
    )
    other = networks()
    approved = asked(still, other, by="raj")
    decide(still, approved, "li")
    with without_groups(still, "raj"):  # between approval and call: who asked
        still.deliver(approved)
    assert (still.state(approved), still.listed(other)) == ("failed", False)


def test_an_approval_that_is_gone_lets_nothing_run(still: Still, ruled: None, name: str) -> None:
    operation = asked(still, name)
    decide(still, operation, "li")
    with still.database() as at:
        at.execute("ALTER TABLE approval DISABLE TRIGGER USER")
        at.execute("DELETE FROM approval WHERE operation_id = %s", [operation])
        at.execute("ALTER TABLE approval ENABLE ALWAYS TRIGGER approval_is_kept")
        at.execute("ALTER TABLE approval ENABLE ALWAYS TRIGGER approval_never_changes")
        at.execute("ALTER TABLE approval ENABLE ALWAYS TRIGGER approval_is_never_emptied")
        at.execute("ALTER TABLE approval ENABLE ALWAYS TRIGGER approval_is_allowed")
    still.deliver(operation)
    assert (still.state(operation), still.listed(name)) == ("failed", False)


# What goes on, under the rules of now.
def test_what_was_never_approved_is_not_finished_past_a_rule_of_now(
    still: Still, networks: Callable[[], str]
) -> None:
    name = networks()
    operation, _ = ban_that(still, name, "failed")
    with rule(still):
        told = finished(still, operation)
        assert (told.disposition, told.code, told.status) == ("refused", "needs_approval", 403)
        again = still.submit(ban(name), "raj")
        assert (again.disposition, again.operation["state"]) == ("created", "awaiting_approval")
        assert again.operation["generation"] == 2


def test_what_was_approved_lately_goes_on_and_what_was_long_ago_asks_anew(
    still: Still, ruled: None, networks: Callable[[], str]
) -> None:
    lately, long_ago = networks(), networks()
    new, old = asked(still, lately), asked(still, long_ago)
    for operation in (new, old):
        decide(still, operation, "li")
        come_to(still, operation, "failed")
    still.rows(
        "UPDATE operation SET approved_at = now() - interval '16 minutes' WHERE id = %s RETURNING 1",
        old,
    )
    assert finished(still, new).disposition == "resumed"
    assert finished(still, old).code == "needs_approval"
    assert still.submit(ban(long_ago), "raj").operation["state"] == "awaiting_approval"
    with without_groups(still, "li"):
        come_to(still, new, "failed")
        assert finished(still, new).code == "needs_approval"


def _approved_and_failed(still: Still, name: str, *, by: str = "ana", yes: str = "kim") -> int:
    operation = asked(still, name, by=by)
    decide(still, operation, yes)
    come_to(still, operation, "failed")
    return operation


def test_who_approved_it_does_not_set_it_going_again_by_their_own_yes(
    still: Still, ruled: None, name: str
) -> None:
    operation = _approved_and_failed(still, name)
    with without_groups(still, "ana"):
        assert finished(still, operation, "kim").code == "needs_approval"
        assert facts(still, operation)["not_by"] == [str(still.caller("kim"))]
        third = finished(still, operation, "raj")
        assert third.disposition == "resumed"
        still.deliver(operation)
    assert (still.state(operation), still.listed(name)) == ("succeeded", True)


def test_who_approved_it_and_asks_the_same_waits_for_somebody_else(
    still: Still, ruled: None, name: str
) -> None:
    operation = _approved_and_failed(still, name)
    with without_groups(still, "ana"):
        told = still.submit(ban(name), "kim")
    assert (told.disposition, told.operation["state"]) == ("created", "awaiting_approval")
    assert told.operation["generation"] == 2
    assert decide(still, told.operation["id"], "kim").code == "approval_not_by_requester"
    assert still.state(operation) == "failed"


def test_who_approved_it_does_not_send_a_parked_effect_again(
    still: Still, ruled: None, name: str
) -> None:
    operation = asked(still, name)
    decide(still, operation, "kim")
    (effect,) = come_to(still, operation, "parked")
    assert decided(still, operation, effect, "ready", "kim").code == "needs_approval"
    assert decided(still, operation, effect, "ready", "raj").disposition == "resumed"


def test_a_token_sets_nothing_going_by_the_yes_of_its_owner(
    still: Still, ruled: None, networks: Callable[[], str]
) -> None:
    first, second = networks(), networks()
    theirs = _approved_and_failed(still, first)
    owner = "UPDATE api_token SET owner_id = %s WHERE name = 'first run' RETURNING 1"
    still.rows(owner, still.caller("kim"))
    try:
        assert finished(still, theirs, "runbook").code == "needs_approval"
        told = still.submit(ban(first), "runbook")
        assert (told.disposition, told.operation["state"]) == ("created", "awaiting_approval")
    finally:
        still.rows(owner, still.caller("ana"))
    others = _approved_and_failed(still, second)
    assert finished(still, others, "runbook").disposition == "resumed"


def test_what_who_approved_it_set_going_all_the_same_is_not_sent(
    still: Still, ruled: None, name: str
) -> None:
    operation = asked(still, name)
    decide(still, operation, "kim")
    still.rows(
        "WITH r AS (INSERT INTO request (caller_id, key, fingerprint, rules, first_seen_at, operation_id)"
        "  VALUES (%s, %s, '', 1, now(), %s) RETURNING id) INSERT INTO arrival (id, request_id,"
        "  operation_id, at, via, disposition, code)"
        " SELECT gen_random_uuid(), r.id, %s, now(), 'api', 'resumed', '' FROM r RETURNING 1",
        still.caller("kim"),
        uuid.uuid4().hex,
        operation,
        operation,
    )
    still.deliver(operation)
    assert (still.state(operation), still.listed(name)) == ("failed", False)


def test_a_parked_effect_is_not_sent_again_past_a_rule_of_now(still: Still, name: str) -> None:
    operation, (effect,) = ban_that(still, name, "parked")
    with rule(still):
        told = decided(still, operation, effect, "ready")
        assert (told.disposition, told.code) == ("refused", "needs_approval")
        assert decided(still, operation, effect, "failed").disposition == "decided"


def test_web_sets_nothing_going_past_a_rule_of_now(still: Still, name: str) -> None:
    from actions import act as acting
    from actions import finish

    operation, _ = ban_that(still, name, "failed")
    told = facts(still, operation)
    verb = acting.Verb("finish", told["ref"], uuid.uuid4().hex, "browser")
    with still.acting("web"):
        case = acting._look(still.who(), verb)
        decision = acting.replace(finish.judge(case), told=case.told)
        params = acting._params(case, decision, uuid.uuid4())
    assert decision.disposition == "resumed"
    with rule(still), still.database("web") as web:
        (verdict,) = web.execute(f"SELECT verdict FROM ({acting._ACT}) x", params).fetchone() or (
            "",
        )
    assert (verdict, still.state(operation)) == ("moved", "failed")


# Break-glass.
def test_break_glass_needs_the_sealed_group_and_a_reason(still: Still) -> None:
    with still.acting("web"):
        with pytest.raises(Refusal) as no:
            break_glass.open_it(still.caller("ana"), "I want to")
        assert no.value.code == "may_not_break_glass"
        with pytest.raises(ParamsRefused):
            break_glass.open_it(still.caller("gil"), "  ")
        assert break_glass.open_for(still.caller("gil")) is None


def test_it_is_opened_once_logged_and_closed_once(still: Still) -> None:
    count = "SELECT count(*) FROM log_event WHERE kind = %s"
    opened, closed = (still.value(count, f"break_glass.{k}") for k in ("opened", "closed"))
    with still.acting("web"):
        first, made = break_glass.open_it(still.caller("gil"), "nobody is awake")
        second, also = break_glass.open_it(still.caller("gil"), "again")
        assert (made, also, second.id) == (True, False, first.id)
        assert first.reason == "nobody is awake"
        with pytest.raises(Refusal):
            break_glass.close(first.id, still.caller("ana"))
        assert break_glass.close(first.id, still.caller("ada")) is True
        assert break_glass.close(first.id, still.caller("ada")) is False
        assert break_glass.open_for(still.caller("gil")) is None
    assert still.value(count, "break_glass.opened") == opened + 1
    assert still.value(count, "break_glass.closed") == closed + 1
    with still.database() as owner:
        longer = "UPDATE break_glass SET ends_at = now() + interval '9 hours'"
        assert refused(owner, longer) == ("SH003", "break_glass_never_changes")
        anew = "UPDATE break_glass SET closed_at = NULL WHERE closed_at IS NOT NULL"
        assert refused(owner, anew) == ("SH003", "break_glass_closes_once")


def test_its_hour_is_an_hour(still: Still) -> None:
    with still.acting("web"):
        opened, _ = break_glass.open_it(still.caller("gil"), "nobody is awake")
    still.rewrite(
        "break_glass",
        "break_glass_never_changes",
        "opened_at = opened_at - interval '61 minutes', ends_at = ends_at - interval '61 minutes'"
        " WHERE id = %s",
        opened.id,
    )
    with still.acting("web"):
        assert break_glass.open_for(still.caller("gil")) is None
    with still.acting("worker"):
        assert break_glass.end_due() == 1
        assert break_glass.end_due() == 0
    kind = still.value("SELECT kind FROM log_event ORDER BY id DESC LIMIT 1")
    assert kind == "break_glass.ended"


def test_who_goes_alone_waits_for_nobody_and_it_is_said_of_what_they_asked(
    still: Still, ruled: None, name: str
) -> None:
    waits = asked(still, name)
    with alone(still) as glass:
        told = still.submit(ban(name), "gil")
        assert (told.disposition, told.operation["state"]) == ("created", "approved")
        assert told.operation["break_glass"] == str(glass)
        assert told.operation["approvals"][0]["group"] == "approvers"
        assert still.state(waits) == "superseded"
        with still.acting("web"):
            draft = prepare.prepare(still.who("gil"), ban(name, "72h", key=prepare.new_key()))
        assert draft.would.break_glass == glass
    operation = told.operation["id"]
    (said,) = events(still, operation, "operation.requested")
    assert said["break_glass"] == str(glass)
    still.deliver(operation)  # its holder closed it meanwhile: it was asked for in its hour
    assert (still.state(operation), still.listed(name)) == ("succeeded", True)


def test_what_an_admin_closes_sends_nothing_more(
    still: Still, ruled: None, networks: Callable[[], str]
) -> None:
    name, other = networks(), networks()
    with alone(still) as glass:
        operation = asked(still, name, by="gil")
        with still.acting("web"):
            break_glass.close(glass, still.caller("ada"))
    still.deliver(operation)
    assert (still.state(operation), still.listed(name)) == ("failed", False)
    with alone(still):
        operation = asked(still, other, by="gil")
    still.leave("gil", "break-glass")
    try:
        still.deliver(operation)
    finally:
        still.join("gil", "break-glass")
    assert (still.state(operation), still.listed(other)) == ("failed", False)


def _hour_over(still: Still, glass: uuid.UUID) -> None:
    still.rewrite(
        "break_glass",
        "break_glass_never_changes",
        "opened_at = opened_at - interval '61 minutes', ends_at = ends_at - interval '61 minutes'"
        " WHERE id = %s",
        glass,
    )


@pytest.mark.parametrize("over", ["its holder closed it", "its hour is over", "the keeper saw so"])
def test_what_an_admin_closes_once_it_is_over_sends_nothing_more(
    still: Still, ruled: None, name: str, over: str
) -> None:
    count = "SELECT count(*) FROM log_event WHERE kind = 'break_glass.withdrawn'"
    before = still.value(count)
    with alone(still) as glass:
        operation = asked(still, name, by="gil")
        if over != "its holder closed it":
            _hour_over(still, glass)
        if over == "the keeper saw so":
            with still.acting("worker"):
                assert break_glass.end_due() == 1
    with still.acting("web"):
        (row,) = [b for b in break_glass.last() if b.id == glass]
        assert (row.is_open, row.some_run) == (False, 1)
        assert break_glass.close(glass, still.caller("gil")) is False
        assert break_glass.close(glass, still.caller("ada")) is True
        assert break_glass.close(glass, still.caller("ada")) is False
        (row,) = [b for b in break_glass.last() if b.id == glass]
        assert (row.withdrawn_by.username, row.some_run) == ("ada", 0)
    still.deliver(operation)
    assert (still.state(operation), still.listed(name)) == ("failed", False)
    assert still.value(count) == before + 1
    with still.database() as owner:
        anew = "UPDATE break_glass SET withdrawn_at = NULL WHERE withdrawn_at IS NOT NULL"
        assert refused(owner, anew) == ("SH003", "break_glass_is_withdrawn_once")


def test_a_token_has_no_break_glass(still: Still, ruled: None, name: str) -> None:
    from actions.issue import Who

    token = still.new_token("gil", "read", "ask:ban-network")
    import hashlib

    who = Who(
        token_prefix=token.split("_")[1], token_digest=hashlib.sha256(token.encode()).digest()
    )
    from actions import issue

    with alone(still), still.acting("web"):
        told = issue.submit(who, ban(name))
    assert told.operation["state"] == "awaiting_approval"


def test_break_glass_sets_nothing_going_again_but_asks_anew(still: Still, name: str) -> None:
    operation, _ = ban_that(still, name, "failed")
    with rule(still), alone(still):
        assert finished(still, operation, "gil").code == "needs_approval"
        told = still.submit(ban(name), "gil")
        assert (told.disposition, told.operation["state"]) == ("created", "approved")
        assert told.operation["break_glass"]


# What runs below what waits, contract §5: whoever needs no approval takes the lane from both.
def test_what_needs_nobody_takes_the_lane_from_what_waits_and_from_what_runs_below_it(
    still: Still, name: str
) -> None:
    running, _ = still.issued(ban(name))
    with rule(still):
        waits = asked(still, name, length="72h")
        with alone(still):
            told = still.submit(ban(name, "72h"), "gil")
    assert (told.disposition, told.operation["generation"]) == ("created", 3), told
    assert (still.state(running), still.state(waits)) == ("superseded", "superseded")


def test_a_lift_that_has_seen_what_waits_takes_the_lane_from_what_runs_below_it(
    still: Still, name: str
) -> None:
    running, _ = still.issued(ban(name))
    with rule(still):
        waits = asked(still, name, length="72h")
    told = still.submit(lift(name, seen=2))
    assert told.disposition == "created", told
    assert (still.state(running), still.state(waits)) == ("superseded", "superseded")
    still.deliver(told.operation["id"])
    assert still.state(told.operation["id"]) == "succeeded"


def test_an_end_comes_also_while_something_waits_above_what_is_in_doubt(
    still: Still, name: str
) -> None:
    running, _ = still.issued(ban(name))
    come_to(still, running, "in_doubt")
    with rule(still):
        asked(still, name, length="72h")
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [running])
    with still.acting("worker"):
        assert ends.end_due() >= 1
    newest = (
        "SELECT n.action FROM operation n JOIN operation o ON o.subject_id = n.subject_id"
        " WHERE o.id = %s ORDER BY n.generation DESC LIMIT 1"
    )
    assert still.value(newest, running) == "lift-ban"


def test_who_may_ask_for_the_action_and_in_none_of_its_systems_cancels_nothing_of_others(
    still: Still, name: str
) -> None:
    operation, _ = still.issued(ban(name))
    grants = still.rows(
        "DELETE FROM realm_group_grant g USING auth_permission p WHERE p.id = g.permission_id"
        " AND p.codename = 'ask_realm' RETURNING g.content_object_id, g.group_id, g.permission_id"
    )
    try:
        told = cancelled(still, operation, "raj")
        assert (told.status, told.code) == (403, "may_not_ask_realm")
        assert cancelled(still, operation, "ana").disposition == "cancelled"
    finally:
        with still.database() as at:
            for grant in grants:
                at.execute(
                    "INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)"
                    " VALUES (%s, %s, %s)",
                    grant,
                )
