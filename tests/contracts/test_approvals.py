"""A second person decides: who may, once, in time, on the plan that they were shown; and nobody else."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from actions import act as acting
from actions import approvals, approve, keys, outbox, subjects
from actions.act import Case, Verb
from actions.catalogue._base import Step
from actions.connectors._base import Redo
from actions.errors import ParamsRefused
from tests.contracts.approving import (
    APPROVERS,
    alone,
    decide,
    decisions,
    facts,
    insert,
    people,
    rule,
    without_rules,
)
from tests.contracts.inside import MAY_NOT, Still, ban, refused, tampering
from tests.contracts.scripted import CAPABILITY, world
from tests.contracts.verbs import cancelled, events


@pytest.fixture(autouse=True)
def everybody(still: Still) -> None:
    people(still)


@pytest.fixture
def ruled(still: Still) -> Iterator[None]:
    """Every ban needs one of approvers."""
    with rule(still):
        yield


@pytest.fixture
def waits(still: Still, ruled: None, name: str) -> int:
    """A ban that ana asked for, and that waits."""
    told = still.submit(ban(name))
    assert (told.disposition, told.status) == ("created", 201), told
    return int(told.operation["id"])


def test_what_a_rule_asks_approval_for_waits_and_says_for_whom(
    still: Still, ruled: None, name: str
) -> None:
    told = still.submit(ban(name))
    operation = told.operation["id"]
    assert (told.disposition, told.changed) == ("created", True)
    assert "waits for approval by 1 of approvers" in told.message
    kept = facts(still, operation)
    for told_of in ("state", "approvals", "approved_at", "digest", "break_glass", "decisions"):
        assert told.operation[told_of] == kept[told_of], told_of
    assert _moment(told.operation["approve_by"]) == _moment(kept["approve_by"])
    assert (still.state(operation), still.effects(operation)) == ("awaiting_approval", ["held"])
    with still.acting("worker"):
        assert not [one for one in outbox.due(1000) if one.id in _effects(still, operation)]
    still.deliver(operation)
    assert not still.listed(name)


def _moment(text: str) -> datetime:
    """To the second: an answer tells milliseconds, the database keeps more."""
    return datetime.fromisoformat(text).replace(microsecond=0)


def _effects(still: Still, operation: int) -> set[int]:
    return {e for (e,) in still.rows("SELECT id FROM effect WHERE operation_id = %s", operation)}


def test_the_last_approval_lets_it_run(still: Still, waits: int, name: str) -> None:
    told = decide(still, waits, "li")
    assert (told.disposition, told.changed, told.status) == ("approved", True, 200)
    assert (still.state(waits), still.effects(waits)) == ("approved", ["ready"])
    (said,) = events(still, waits, "approval.given")
    assert (said["by"], said["reason"]) == ("li", "li looked")
    still.deliver(waits)
    assert still.state(waits) == "succeeded"
    assert still.listed(name)


def test_a_decline_ends_it_and_says_why(still: Still, waits: int, name: str) -> None:
    assert decide(still, waits, "li", "decline").disposition == "declined"
    assert (still.state(waits), still.effects(waits)) == ("declined", ["cancelled"])
    assert facts(still, waits)["decisions"][0]["reason"] == "li looked"
    late = decide(still, waits, "bo")
    assert (late.disposition, late.code) == ("refused", "approval_only_while_awaiting")
    assert "li declined it" in late.message


def test_an_approver_says_why(still: Still, waits: int) -> None:
    with still.acting("web"), pytest.raises(ParamsRefused) as no:
        approve.approve(still.who("li"), facts(still, waits)["ref"], " ", "0" * 64, "k" * 20, "api")
    assert no.value.code == "no_reason"


# Who may not, each by the domain, by the function that web may call, and by plain SQL.
def _by_requester(still: Still, name: str) -> tuple[int, str]:
    return int(still.submit(ban(name), "pat").operation["id"]), "pat"


def _by_drafter(still: Still, name: str) -> tuple[int, str]:
    key = keys.new_draft_id()
    asked = ban(name, key=key)
    draft = still.draft(asked, "kim")
    confirmed = ban(name, key=key, seen=0, draft=draft)
    return int(still.submit(confirmed, "ana").operation["id"]), "kim"


def _by_owner_of_the_drafting_token(still: Still, name: str) -> tuple[int, str]:
    pat = still.caller("pat")
    still.rows("UPDATE api_token SET owner_id = %s WHERE name = 'first run' RETURNING 1", pat)
    key = keys.new_draft_id()
    draft = still.draft(ban(name, key=key), "runbook")
    confirmed = ban(name, key=key, seen=0, draft=draft)
    return int(still.submit(confirmed, "ana").operation["id"]), "pat"


def _by_token_owner(still: Still, name: str) -> tuple[int, str]:
    pat = still.caller("pat")
    still.rows("UPDATE api_token SET owner_id = %s WHERE name = 'first run' RETURNING 1", pat)
    return int(still.submit(ban(name), "runbook").operation["id"]), "pat"


def _waiting_for(who: str) -> Callable[[Still, str], tuple[int, str]]:
    return lambda still, name: (int(still.submit(ban(name)).operation["id"]), who)


def _without_the_realm(still: Still, name: str) -> tuple[int, str]:
    operation = int(still.submit(ban(name)).operation["id"])
    still.rows(
        "DELETE FROM realm_group_grant r USING auth_group g, auth_permission p WHERE g.id = r.group_id"
        " AND g.name = 'approvers' AND p.id = r.permission_id AND p.codename = 'approve_realm'"
        " AND r.content_object_id IN (SELECT realm_id FROM effect WHERE operation_id = %s) RETURNING 1",
        operation,
    )
    return operation, "cy"


def _without_the_group(still: Still, name: str) -> tuple[int, str]:
    with without_rules(still, "wider_than_4 IS NULL"), rule(still, group="admins"):
        return int(still.submit(ban(name)).operation["id"]), "li"


def _late(still: Still, name: str) -> tuple[int, str]:
    operation = int(still.submit(ban(name)).operation["id"])
    still.rewrite(
        "operation",
        "operation_intent_never_changes",
        "approve_by = clock_timestamp() WHERE id = %s",
        operation,
    )
    return operation, "li"


def _after_it_ended(still: Still, name: str) -> tuple[int, str]:
    operation = int(still.submit(ban(name)).operation["id"])
    cancelled(still, operation)
    return operation, "li"


def _become(still: Still, kind: str) -> None:
    with tampering(still, "caller", "caller_identity_never_changes") as at:
        at.execute("UPDATE caller SET kind = %s WHERE username = 'cy'", [kind])


def _closed_account(still: Still, name: str) -> tuple[int, str]:
    operation = int(still.submit(ban(name)).operation["id"])
    _become(still, "service")
    return operation, "cy"


NO = {
    "approval_not_by_requester": _by_requester,
    "approval_not_by_drafter": _by_drafter,
    "approval_not_by_drafter by their token": _by_owner_of_the_drafting_token,
    "approval_not_by_token_owner": _by_token_owner,
    "approval_needs_the_right": _waiting_for("raj"),
    "approval_needs_the_right in each system": _without_the_realm,
    "approval_needs_the_group": _without_the_group,
    "approval_by_a_person": _closed_account,
    "approval_not_too_late": _late,
    "approval_only_while_awaiting": _after_it_ended,
}


@pytest.fixture
def as_before(still: Still) -> Iterator[None]:
    """What these scenes change of people and rights is put back."""
    yield
    _become(still, "person")
    still.rows(
        "INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)"
        " SELECT m.id, g.id, p.id FROM realm m, auth_group g, auth_permission p"
        " WHERE m.connector = 'blocklist' AND g.name = 'approvers' AND p.codename = 'approve_realm'"
        " AND NOT EXISTS (SELECT FROM realm_group_grant h WHERE h.content_object_id = m.id"
        "   AND h.group_id = g.id AND h.permission_id = p.id) RETURNING 1"
    )
    still.rows(
        "UPDATE api_token SET owner_id = %s WHERE name = 'first run' RETURNING 1",
        still.caller("ana"),
    )


@pytest.mark.parametrize("no", NO)
@pytest.mark.parametrize("do", ["approve", "decline"])
def test_who_may_not_decide_is_refused_by_name_and_by_the_database(
    still: Still, ruled: None, as_before: None, name: str, no: str, do: str
) -> None:
    operation, who = NO[no](still, name)
    before = still.state(operation)
    told = decide(still, operation, who, do)
    assert (told.disposition, told.code) == ("refused", no.split(maxsplit=1)[0])
    assert told.status in {403, 409}
    with still.database() as owner:
        said = refused(owner, insert(), still.caller(who), do, operation)
    assert said == ("SH004", no.split(maxsplit=1)[0])
    with still.database("web") as web:
        # Who is no person is turned away before what they decide is looked at.
        by_act = ("SH003", "") if "a_person" in no else said
        assert refused(web, _ACT, _act(still, operation, who, do)) == by_act
    assert (decisions(still, operation), still.state(operation)) == ([], before)


_ACT = acting._ACT


def _act(still: Still, operation: int, who: str, do: str) -> dict[str, object]:
    """What a web process says that decided for itself that somebody may."""
    told = facts(still, operation)
    verb = Verb(do, told["ref"], uuid.uuid4().hex, "browser", "mine", digest=told["digest"])
    with still.acting("web"):
        seen = acting._look(still.who(who), verb).seen
        case = Case(verb, told, seen)
        done = "approved" if do == "approve" else "declined"
        params = acting._params(case, acting.Decision(done, told=told), uuid.uuid4())
    return params


def test_a_token_never_approves(still: Still, waits: int) -> None:
    told = decide(still, waits, "runbook")
    assert (told.disposition, told.code, told.status) == ("refused", "token_never_approves", 403)
    with still.database("web") as web:
        given = _act(still, waits, "li", "approve")
        token = still.value("SELECT id FROM api_token LIMIT 1")
        assert refused(web, _ACT, {**given, "token": token}) == ("SH003", "approval_not_by_a_token")
    assert decisions(still, waits) == []


def test_who_goes_alone_approves_nothing(still: Still, waits: int) -> None:
    with alone(still, "gil"):
        told = decide(still, waits, "gil")
        assert (told.disposition, told.code) == ("refused", "approval_not_under_break_glass")
        with still.database() as owner:
            said = refused(owner, insert(), still.caller("gil"), "approve", waits)
        assert said == ("SH004", "approval_not_under_break_glass")
    assert decide(still, waits, "gil").disposition == "approved"


def test_who_may_not_see_it_learns_nothing(still: Still, waits: int) -> None:
    still.rows("UPDATE caller SET is_active = true WHERE username = 'bo' RETURNING 1")
    with _no_groups(still, "bo"):
        told = decide(still, waits, "bo")
        assert (told.status, told.code) == (404, "no_operation")


def _no_groups(still: Still, who: str):  # type: ignore[no-untyped-def]
    from tests.contracts.inside import without_groups

    return without_groups(still, who)


def test_another_plan_than_the_one_shown_is_not_approved(still: Still, waits: int) -> None:
    other = "ab" * 32
    told = decide(still, waits, "li", digest=other)
    assert (told.disposition, told.code, told.status) == ("refused", "approval_of_this_plan", 412)
    with still.database() as owner:
        said = refused(owner, insert("'\\xabab'::bytea"), still.caller("li"), "approve", waits)
    assert said == ("SH004", "approval_of_this_plan")


def test_what_was_altered_after_it_was_approved_is_not_sent(
    still: Still, waits: int, name: str
) -> None:
    decide(still, waits, "li")
    still.rewrite(
        "effect", "effect_intent_never_changes", "step = 'else' WHERE operation_id = %s", waits
    )
    still.deliver(waits)
    assert (still.state(waits), still.listed(name)) == ("failed", False)


# Once per person, and once at all.
def test_the_same_decision_again_is_told_and_the_other_is_refused(still: Still, name: str) -> None:
    with rule(still, count=2):
        operation = int(still.submit(ban(name)).operation["id"])
    key = uuid.uuid4().hex
    assert decide(still, operation, "li", key=key).disposition == "approved"
    same = decide(still, operation, "li", key=key)
    assert (same.disposition, same.code, same.replayed) == ("existing", "same_key", True)
    again = decide(still, operation, "li")
    assert (again.disposition, again.changed) == ("existing", False)
    other = decide(still, operation, "li", "decline")
    assert (other.disposition, other.code) == ("refused", "approval_once_per_person")
    assert "You approved it already" in other.message
    with still.database() as owner:
        said = refused(owner, insert(), still.caller("li"), "decline", operation)
    assert said == ("23505", "approval_once_per_person")
    assert (still.state(operation), decisions(still, operation)) == (
        "awaiting_approval",
        [("li", "approve")],
    )
    assert decide(still, operation, "bo").disposition == "approved"
    assert still.state(operation) == "approved"


def test_of_two_approvers_at_once_the_second_is_told(still: Still, waits: int) -> None:
    from django.db import transaction

    with still.acting("web"), transaction.atomic():
        told = facts(still, waits)
        first = approve.approve(
            still.who("li"), told["ref"], "first", told["digest"], uuid.uuid4().hex, "browser"
        )
        second = still.meanwhile("web", lambda: _approved(still, told, "bo"))
        assert second.until_it_waits()
    answer = second.result()
    assert (first.disposition, answer.disposition) == ("approved", "existing")
    assert "li approved it" in answer.message
    assert "Yours changed nothing" in answer.message
    assert decisions(still, waits) == [("li", "approve")]


def test_one_person_who_decides_in_two_tabs_at_once_decides_once(still: Still, name: str) -> None:
    from django.db import transaction

    with rule(still, count=2):
        operation = int(still.submit(ban(name)).operation["id"])
    told = facts(still, operation)
    with still.acting("web"), transaction.atomic():
        first = _approved(still, told, "li")
        second = still.meanwhile("web", lambda: _approved(still, told, "li"))
        assert second.until_it_waits()
    assert (first.disposition, second.result().disposition) == ("approved", "existing")
    assert decisions(still, operation) == [("li", "approve")]


def _approved(still: Still, told: dict[str, object], who: str):  # type: ignore[no-untyped-def]
    return approve.approve(
        still.who(who),
        str(told["ref"]),
        "me too",
        str(told["digest"]),
        uuid.uuid4().hex,
        "browser",
    )


def test_three_hundred_decisions_of_three_people_at_once_are_three(still: Still, name: str) -> None:
    with rule(still, count=3):
        operation = int(still.submit(ban(name)).operation["id"])
    told = facts(still, operation)

    def press(n: int) -> str:
        with still.acting("web", f"presser {n}"):
            return str(_approved(still, told, APPROVERS[n % 3]).disposition)

    with ThreadPoolExecutor(12) as pool:
        dispositions = list(pool.map(press, range(300)))
        list(pool.map(lambda _: still.close(), range(12)))
    assert dispositions.count("approved") == 3
    assert dispositions.count("existing") == 297
    assert sorted(decisions(still, operation)) == [(n, "approve") for n in sorted(APPROVERS)]
    assert still.state(operation) == "approved"
    moved = [e["to"] for e in events(still, operation, "operation.moved")]
    assert moved == ["approved"]


# How many, from which groups.
def test_somebody_of_two_groups_is_counted_once(still: Still, name: str) -> None:
    still.rows("INSERT INTO auth_group (name) VALUES ('leads') ON CONFLICT DO NOTHING RETURNING 1")
    still.join("li", "leads")
    try:
        with rule(still), rule(still, group="leads"):
            operation = int(still.submit(ban(name)).operation["id"])
        assert decide(still, operation, "li").disposition == "approved"
        assert still.state(operation) == "awaiting_approval"
        assert decide(still, operation, "bo").disposition == "approved"
        assert still.state(operation) == "approved"
    finally:
        still.leave("li", "leads")


WIDTHS = (
    *("203.0.113.7", "203.0.113.0/24", "203.0.112.0/23", "10.0.0.0/16", "2001:db8::/32"),
    *("2001:db8::/48", "2001:db8::/47", "64:ff9b::c633:6400/120", "64:ff9b::c633:6400/119"),
    *("64:ff9b::/96", "2002:c633:6400::/40", "2002:c633:6400::/39", "::ffff:198.51.100.0/119"),
    *("64:ff9b:1::/48", "::/32"),
)


def test_python_and_the_database_ask_for_the_same(still: Still) -> None:
    asked_for: set[tuple[bool, bool]] = set()
    with (
        rule(still, wider_than_4=24, count=2),
        rule(still, wider_than_6=48, group="admins", minutes=5),
        rule(still, "", count=1, minutes=60, wider_than_4=32),
        rule(still, "", minutes=7, protected=True),
    ):
        rows = still.value(
            "SELECT jsonb_agg(jsonb_build_object('realm', r.realm_id, 'wider_than_4', r.wider_than_4,"
            " 'wider_than_6', r.wider_than_6, 'group', g.name, 'id', g.id, 'count', r.count,"
            " 'minutes', r.minutes, 'protected', r.protected)) FROM approval_rule r"
            " JOIN auth_group g ON g.id = r.group_id"
            " WHERE r.enabled AND r.action IN ('', 'ban-network')"
        )
        found = [approvals.Rule(**row) for row in rows]
        for width, twice in itertools.product(WIDTHS, (False, True)):
            subject = subjects.canonical("network", width)
            ours = approvals.needs(found, subject, [], twice)
            needs, minutes = still.rows(
                "SELECT needs, minutes FROM approvals_needed('ban-network', '{}', %s::cidr, %s)",
                subject.name,
                twice,
            )[0]
            assert (ours.rows, ours.minutes) == (needs, minutes), (width, twice)
            asked_for.add((bool(needs), twice))
    assert asked_for == {(False, False), (True, False), (True, True)}
    seen = {w: approvals.prefix_4(subjects.canonical("network", w).network) for w in WIDTHS}
    assert (seen["64:ff9b::c633:6400/119"], seen["2002:c633:6400::/39"], seen["::/32"]) == (
        23,
        23,
        0,
    )


def test_a_rule_of_one_realm_asks_only_where_that_is_touched(
    still: Still, networks: Callable[[], str], second_realm: str
) -> None:
    with rule(still, realm_id=second_realm):
        assert still.submit(ban(networks())).operation["state"] == "awaiting_approval"
        still.rows("UPDATE realm SET enabled = false WHERE id = %s RETURNING 1", second_realm)
        assert still.submit(ban(networks())).operation["state"] == "approved"


def test_the_needs_stay_those_that_were_asked_for(still: Still, waits: int) -> None:
    with rule(still, count=3):
        assert decide(still, waits, "li").disposition == "approved"
    assert still.state(waits) == "approved"


def test_web_cannot_say_that_nothing_is_needed(still: Still, ruled: None, name: str) -> None:
    from tests.contracts.test_guards import ISSUE, issue_params

    effect = {"realm": still.value("SELECT id::text FROM realm WHERE connector = 'blocklist' LIMIT 1"),
              "realm_version": 1, "step": "deny", "ord": 0, "capability": "network.deny",
              "redo": "natural", "desired": {"blocked": True}}  # fmt: skip
    params = issue_params(still, name, "without", [effect])
    with still.database("web") as web:
        assert refused(web, ISSUE, {**params, "approvals": "[]"}) == ("SH001", "")
        assert refused(web, ISSUE, {**params, "break_glass": uuid.uuid4()}) == ("SH001", "")
        assert refused(web, ISSUE, params) == ("", "")


@pytest.mark.parametrize("role", ["web", "worker", "auditor"])
def test_no_role_writes_a_decision_a_rule_or_a_break_glass_by_itself(
    still: Still, waits: int, role: str
) -> None:
    with still.database(role) as at:
        assert refused(at, insert(), still.caller("li"), "approve", waits) == MAY_NOT
        for table in ("approval", "approval_rule", "break_glass"):
            assert refused(at, f"DELETE FROM {table}") == MAY_NOT
            assert refused(at, f"TRUNCATE {table}") == MAY_NOT
        assert refused(at, "UPDATE approval_rule SET enabled = false") == MAY_NOT
        assert refused(at, "UPDATE operation SET approvals = '[]'") == MAY_NOT
        if role != "web":
            assert refused(at, _ACT, _act(still, waits, "li", "approve")) == MAY_NOT


def test_a_worker_lets_nothing_go_that_waits(still: Still, waits: int) -> None:
    go = "UPDATE effect SET state = 'ready' WHERE operation_id = %s"
    with still.database("worker") as worker:
        assert refused(worker, go, waits) == ("SH003", "effect_held_until_approved")
        moved = "UPDATE operation SET state = 'approved' WHERE id = %s"
        assert refused(worker, moved, waits)[0] == "SH003"
    with still.database() as owner:
        moved = "UPDATE operation SET state = 'approved', approved_at = now() WHERE id = %s"
        assert refused(owner, moved, waits) == ("SH003", "operation_approved_by_enough")
        ended = "UPDATE operation SET state = 'declined' WHERE id = %s"
        assert refused(owner, ended, waits) == ("SH003", "operation_declined_by_somebody")
        kept = "UPDATE approval SET decision = 'decline'"
        assert refused(owner, kept) == ("SH003", "approval_never_changes")


def test_effects_are_let_go_in_their_order(still: Still, name: str) -> None:
    steps = (
        Step("block", CAPABILITY, {"set": True}),
        Step("cut", CAPABILITY, {"set": True}, ord=1),
    )
    with world(still, Redo.OBSERVED, shape=steps) as scripted, rule(still, "test-work"):
        still.rows(
            "INSERT INTO entry_group_grant (content_object_id, group_id, permission_id)"
            " SELECT n.id, g.id, p.id FROM catalogue_entry n, auth_group g, auth_permission p"
            " WHERE n.name = 'test-work' AND g.name = 'approvers' AND p.codename = 'approve_entry'"
            " ON CONFLICT DO NOTHING RETURNING 1"
        )
        still.rows(
            "INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)"
            " SELECT m.id, g.id, p.id FROM realm m, auth_group g, auth_permission p"
            " WHERE g.name = 'approvers' AND p.codename = 'approve_realm'"
            " ON CONFLICT DO NOTHING RETURNING 1"
        )
        operation = scripted.ask(name)
        assert scripted.states(operation) == ["held", "held"]
        assert decide(still, operation, "li").disposition == "approved"
        assert scripted.states(operation) == ["ready", "blocked"]
