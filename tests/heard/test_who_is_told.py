"""Whoever must act learns of it, once; nobody learns what they may not, and each person chooses."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from actions import ends, hearing, states, telling
from actions.errors import Refusal
from actions.heard import CHOSEN, Kind
from actions.states import NoticeState
from tests.contracts.approving import rule
from tests.contracts.inside import MAY_NOT, Still, ban, lift, refused, tampering, without_groups
from tests.heard.conftest import MOST, ROOMY, Heard, park

Make = Callable[..., int]
HAPPENS = "INSERT INTO happening (about, kind, at) VALUES ('x', 'parked', now())"
COPY = (
    "INSERT INTO notice (id, happening_id, person_id, channel, state, run_at, fence, tries, calls,"
    " doubts, message) SELECT gen_random_uuid(), happening_id, person_id, channel, 'ready', now(),"
    " 0, 0, 0, 0, '' FROM notice"
)


def choose(still: Still, who: str, **wants: bool) -> None:
    with still.acting("web"):
        hearing.choose(still.caller(who), {Kind(kind): wanted for kind, wanted in wants.items()})


# Parked, and in doubt.
def test_what_is_parked_is_told_once_to_who_asked_and_who_may_ask(
    heard: Heard, still: Still, parked: int
) -> None:
    # Li approves and Sam administers: they may ask for nothing.
    assert heard.told(parked, "parked") == ["ana", "raj"]
    heard.look()
    assert heard.told(parked, "parked") == ["ana", "raj"]


def test_what_is_parked_again_is_told_again(heard: Heard, still: Still, parked: int) -> None:
    with still.database() as at:
        at.execute("UPDATE effect SET state = 'ready' WHERE operation_id = %s", [parked])
    park(still, parked)
    heard.look()
    assert heard.told(parked, "parked") == ["ana", "ana", "raj", "raj"]


def test_two_keepers_that_look_at_once_tell_it_once(heard: Heard, still: Still, name: str) -> None:
    operation, _ = still.issued(ban(name))
    park(still, operation)
    looks = [still.meanwhile("worker", lambda: telling.make(mail=True)) for _ in range(6)]
    assert sum(look.result() for look in looks) >= 1
    assert heard.told(operation, "parked") == ["ana", "raj"]


def test_a_doubt_is_told_once_it_has_lasted_two_minutes(
    heard: Heard, still: Still, name: str
) -> None:
    operation, effect = still.issued(ban(name))
    with still.database() as at:
        at.execute(
            "UPDATE effect SET state = 'executing', lease_until = now(), attempts = 1 WHERE id = %s",
            [effect],
        )
        at.execute(
            "UPDATE effect SET state = 'in_doubt', lease_until = NULL, doubt_until = now() + interval '1 h'"
            " WHERE id = %s",
            [effect],
        )
        at.execute(
            "INSERT INTO attempt (id, effect_id, number, fence, worker, claimed_at, call_started_at, outcome,"
            " found, message, late) VALUES (gen_random_uuid(), %s, 1, 1, 'w', now(),"
            " now() - interval '110 s', 'unknown', '', '', false)",
            [effect],
        )
        heard.look()
        assert heard.told(operation, "in_doubt") == []
        longer = (
            "UPDATE attempt SET call_started_at = now() - interval '121 s' WHERE effect_id = %s"
        )
        at.execute(longer, [effect])
    heard.look()
    assert heard.told(operation, "in_doubt") == ["ana", "raj"]


# Waiting for approval.
def test_what_waits_for_approval_is_told_to_who_may_approve_it(
    heard: Heard, awaiting: Make
) -> None:
    operation = awaiting()
    heard.look()
    assert heard.told(operation, "awaiting") == ["li"]


def test_who_asked_or_drafted_it_or_owns_the_token_is_not_asked_to_approve(
    heard: Heard, still: Still, awaiting: Make
) -> None:
    with still.database() as at:
        for person in ("ana", "raj"):
            at.execute(
                "INSERT INTO caller_groups (caller_id, group_id)"
                " SELECT %s, id FROM auth_group WHERE name = 'approvers'",
                [still.caller(person)],
            )
    try:
        asked = awaiting("ana")
        by_token = awaiting("runbook")  # whose token is Ana's
        drafted = awaiting("ana", drafted_by="raj")
        heard.look()
        assert heard.told(asked, "awaiting") == ["li", "raj"]
        assert heard.told(by_token, "awaiting") == ["li", "raj"]
        assert heard.told(drafted, "awaiting") == ["li"]
    finally:
        with still.database() as at:
            at.execute(
                "DELETE FROM caller_groups USING auth_group g WHERE g.id = group_id"
                " AND g.name = 'approvers' AND caller_id = ANY(%s)",
                [[still.caller("ana"), still.caller("raj")]],
            )


def test_who_may_not_approve_in_one_of_its_systems_is_not_asked(
    heard: Heard, still: Still, awaiting: Make, second_realm: str
) -> None:
    with still.database() as at:
        at.execute(
            "DELETE FROM realm_group_grant USING auth_permission p WHERE p.id = permission_id"
            " AND p.codename = 'approve_realm' AND content_object_id = %s",
            [second_realm],
        )
    operation = awaiting()
    heard.look()
    assert heard.told(operation, "awaiting") == []


def test_what_waits_for_a_group_is_not_told_to_others(heard: Heard, awaiting: Make) -> None:
    operation = awaiting(group="nobody's")
    heard.look()
    assert heard.told(operation, "awaiting") == []


# Ends, break-glass, and what has settled.
def test_an_end_that_is_overdue_is_told_to_who_asked_and_to_admins(
    heard: Heard, still: Still, name: str
) -> None:
    operation = still.made(ban(name), "raj")
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        late = "UPDATE operation SET ends_at = now() - %s::interval WHERE id = %s"
        at.execute(late, ["4 minutes", operation])
        heard.look()
        assert heard.told(operation, "overdue") == []
        at.execute(late, ["6 minutes", operation])
        heard.look()
        assert heard.told(operation, "overdue") == ["raj", "sam"]
        at.execute("UPDATE operation SET ended_at = now() WHERE id = %s", [operation])


def test_an_end_that_is_not_carried_out_is_told_to_who_asked_for_what_it_ends(
    heard: Heard, still: Still, name: str
) -> None:
    still.made(ban(name), "raj")
    ending, _ = still.issued(lift(name, seen=1), "ana")
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute(
            "UPDATE operation SET because = 'end of @1', requested_at = now() - interval '6 minutes'"
            " WHERE id = %s",
            [ending],
        )
    heard.look()
    assert heard.told(ending, "overdue") == ["raj", "sam"]


def test_break_glass_is_told_to_every_admin_whatever_they_chose(heard: Heard, still: Still) -> None:
    choose(still, "sam", break_glass=False)
    assert still.value("SELECT count(*) FROM notice_choice") == 0
    # Nor by whoever writes it past the page.
    still.rows("SELECT choose_notice(%s, 'break_glass', false)", still.caller("sam"))
    opened = uuid.uuid4()
    with still.database() as at:
        at.execute(
            "INSERT INTO break_glass (id, caller_id, reason, opened_at, ends_at)"
            " VALUES (%s, %s, 'nobody else is awake', now(), now() + interval '1 h')",
            [opened, still.caller("raj")],
        )
    heard.look()
    told = still.rows(
        "SELECT c.username FROM notice n JOIN caller c ON c.id = n.person_id"
        " JOIN happening h ON h.id = n.happening_id WHERE h.about = %s",
        f"break_glass/{opened}",
    )
    assert told == [("sam",)]


def test_who_wants_it_is_told_of_what_settles_from_then_on(
    heard: Heard, still: Still, networks: Callable[[], str]
) -> None:
    before = still.made(ban(networks()))
    heard.look()
    choose(still, "ana", settled=True)
    after, of_another = still.made(ban(networks())), still.made(ban(networks()), "raj")
    heard.look()
    heard.look()
    assert heard.told(before, "settled") == []
    assert heard.told(after, "settled") == ["ana"]
    assert heard.told(of_another, "settled") == []


def test_what_settled_while_no_keeper_looked_is_told_all_the_same(
    heard: Heard, still: Still, networks: Callable[[], str]
) -> None:
    choose(still, "ana", settled=True)
    heard.look()
    with still.database() as at:
        at.execute("UPDATE notice_mark SET settled_until = now() - interval '3 h'")
    operations = [still.made(ban(networks())) for _ in range(3)]
    heard.look()
    assert [heard.told(one, "settled") for one in operations] == [["ana"]] * 3


def test_who_wants_it_is_told_that_their_ban_was_lifted_at_its_end(
    heard: Heard, still: Still, name: str
) -> None:
    choose(still, "ana", settled=True)
    operation = still.made(ban(name))
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        at.execute("UPDATE operation SET ends_at = now() WHERE id = %s", [operation])
    with still.acting("worker"):
        assert ends.end_due() >= 1
    lifting = still.value(
        "SELECT n.id FROM operation o JOIN operation n USING (subject_id, lane)"
        " WHERE o.id = %s AND n.because = 'end of @1'",
        operation,
    )
    still.deliver(lifting)
    assert still.state(lifting) == "succeeded"
    heard.look()
    assert heard.told(lifting, "settled") == ["ana"]


# Choosing.
def test_a_person_is_told_only_what_they_want_and_only_at_an_address_of_theirs(
    heard: Heard, still: Still, name: str
) -> None:
    choose(still, "raj", parked=False)
    for wanted in (False, True):  # that they want it counts for nothing without an address
        choose(still, "ana", parked=wanted)
    with still.database() as at:
        at.execute(
            "UPDATE notice_address SET confirmed_at = NULL WHERE caller_id = %s",
            [still.caller("ana")],
        )
    operation, _ = still.issued(ban(name))
    park(still, operation)
    heard.look()
    assert heard.told(operation, "parked") == []
    choose(still, "raj", parked=True)
    with still.database() as at:
        at.execute("UPDATE effect SET state = 'ready' WHERE operation_id = %s", [operation])
    park(still, operation)
    heard.look()
    assert heard.told(operation, "parked") == ["raj"]


def test_nobody_is_flooded_with_what_was_before_they_gave_an_address(
    heard: Heard, still: Still, parked: int
) -> None:
    with still.database() as at:
        at.execute(
            "UPDATE notice_address SET confirmed_at = now() + interval '1 s' WHERE caller_id = %s",
            [still.caller("ana")],
        )
        at.execute("UPDATE effect SET state = 'ready' WHERE operation_id = %s", [parked])
    park(still, parked)
    heard.look()
    assert heard.told(parked, "parked") == ["ana", "raj", "raj"]


def test_choosing_the_same_again_changes_nothing(heard: Heard, still: Still) -> None:
    choose(still, "ana", parked=True)
    assert still.value("SELECT count(*) FROM notice_choice") == 0
    choose(still, "ana", parked=False)
    (at,) = still.rows("SELECT chosen_at FROM notice_choice")
    choose(still, "ana", parked=False)
    assert still.rows("SELECT chosen_at FROM notice_choice") == [at]
    with still.acting("web"):
        wants = hearing.of(still.caller("ana")).wants
    assert {kind for kind in CHOSEN if not wants[kind]} == {Kind.PARKED, Kind.SETTLED}


def test_what_is_more_than_anybody_reads_is_not_sent_and_says_so(
    heard: Heard, still: Still, networks: Callable[[], str]
) -> None:
    with still.database() as at:
        at.execute((MOST + "1").encode())
    try:
        operations = [still.issued(ban(networks()), "raj")[0] for _ in range(2)]
        for operation in operations:
            park(still, operation)
            heard.look()
        assert {state for _, state in heard.of(operations[1], "parked")} == {"cancelled"}
        row = heard.row(heard.notice(operations[1], "raj"))
        assert row["message"] == "Too many at once: the board shows them all."
    finally:
        with still.database() as at:
            at.execute((MOST + ROOMY).encode())


@contextlib.contextmanager
def at_most(still: Still, most: int) -> Iterator[psycopg.Connection]:
    """Nobody is sent more than these meanwhile, and what Raj was sent before is long ago."""
    with still.database() as at:
        at.execute((MOST + str(most)).encode())
        try:
            earlier(still, "1 h")
            yield at
        finally:
            at.execute((MOST + ROOMY).encode())


def earlier(still: Still, interval: str) -> None:
    """All that Raj was sent was made earlier by so much."""
    with tampering(still, "notice", "notice_content_never_changes") as at:
        before = "UPDATE notice SET made_at = made_at - %s::interval WHERE person_id = %s"
        at.execute(before, [interval, still.caller("raj")])


def test_a_slow_flood_stops_nobodys_mail_for_good(heard: Heard, still: Still, name: str) -> None:
    choose(still, "ana", parked=False)
    operation, _ = still.issued(ban(name), "raj")
    sent = []
    with at_most(still, 3) as at, still.acting("web"):
        before = hearing.trouble().dropped
        for _ in range(30):  # one a minute, for half an hour
            park(still, operation)
            heard.look()
            at.execute("UPDATE effect SET state = 'ready' WHERE operation_id = %s", [operation])
            states_of_raj = [state for who, state in heard.of(operation, "parked") if who == "raj"]
            sent.append(states_of_raj[-1] == "ready")
            earlier(still, "1 minute")
        assert [sum(sent[minute : minute + 10]) for minute in range(21)] == [3] * 21
        assert hearing.trouble().dropped == before + 21
        dropped = {one.kind: one.count for one in hearing.dropped() if one.to == "raj"}
        assert dropped["parked"] >= 21


# Who may not know.
def opened(still: Still, by: str = "ana") -> Any:
    """A restricted incident that nobody else is in."""
    from actions.incidents import open_incident

    with still.acting("web"):
        incident, _ = open_incident(still.caller(by), "insider", uuid.uuid4().hex, restricted=True)
    return incident


def repeated(still: Still, operation: int, by: str = "ana") -> None:
    """Somebody asks for the same ban again, in a restricted incident of their own."""
    name = still.value(
        "SELECT s.name FROM operation o JOIN subject s ON s.id = o.subject_id WHERE o.id = %s",
        operation,
    )
    told = still.submit(ban(name, incident=opened(still, by).number), by)
    assert told.operation["id"] == operation
    links = "SELECT made FROM operation_incident WHERE operation_id = %s"
    assert still.rows(links, operation) == [(False,)]


def test_repeating_a_request_in_a_restricted_incident_silences_nothing_that_happens_to_it(
    heard: Heard, still: Still, name: str
) -> None:
    operation, _ = still.issued(ban(name), "runbook")
    repeated(still, operation)
    park(still, operation)
    heard.look()
    assert heard.told(operation, "parked") == ["ana", "raj"]


def test_repeating_a_request_in_a_restricted_incident_withholds_no_notice_that_was_made(
    heard: Heard, still: Still, name: str, mail: object
) -> None:
    operation, _ = still.issued(ban(name), "runbook")
    park(still, operation)
    heard.look()
    repeated(still, operation)
    assert heard.tell(heard.notice(operation, "raj")) == "succeeded"


def test_repeating_a_request_in_a_restricted_incident_takes_it_from_no_approver(
    heard: Heard, still: Still, awaiting: Make
) -> None:
    operation = awaiting("runbook")
    with rule(still, group="approvers"):
        repeated(still, operation)
    heard.look()
    assert heard.told(operation, "awaiting") == ["li"]


def test_what_was_made_in_a_restricted_incident_is_told_to_its_members_and_who_asked(
    heard: Heard, still: Still, networks: Callable[[], str]
) -> None:
    made, _ = still.issued(ban(networks(), incident=opened(still).number))
    asked, _ = still.issued(ban(networks()), "raj")
    with still.database() as at:  # as though Raj had left it since
        at.execute(
            "INSERT INTO operation_incident (operation_id, incident_id, made) VALUES (%s, %s, true)",
            [asked, opened(still).id],
        )
    for operation in (made, asked):
        park(still, operation)
    heard.look()
    assert heard.told(made, "parked") == ["ana"]
    assert heard.told(asked, "parked") == ["ana", "raj"]


def test_of_a_restricted_incident_nobody_outside_of_it_learns(
    heard: Heard, still: Still, name: str
) -> None:
    from actions.incidents import open_incident

    with still.acting("web"):
        incident, _ = open_incident(still.caller("ana"), "insider", uuid.uuid4().hex)
    operation, _ = still.issued(ban(name, incident=incident.number))
    with still.database() as at:
        at.execute("UPDATE incident SET restricted = true WHERE id = %s", [incident.id])
    park(still, operation)
    heard.look()
    assert not {"raj", "li"} & set(heard.told(operation, "parked"))


def test_of_what_is_in_one_system_those_alone_learn_who_may_see_that_system(
    heard: Heard, still: Still, name: str
) -> None:
    operation, _ = still.issued(ban(name))
    park(still, operation)
    seen = (
        "DELETE FROM realm_group_grant g USING auth_permission p, auth_group o, realm m"
        " WHERE p.id = g.permission_id AND o.id = g.group_id AND m.id = g.content_object_id"
        " AND p.codename = 'see_realm' AND o.name = 'responders' AND m.name = 'edge-blocklist'"
        " RETURNING g.content_object_id, g.group_id, g.permission_id"
    )
    back = (
        "INSERT INTO realm_group_grant (content_object_id, group_id, permission_id)"
        " VALUES (%s, %s, %s)"
    )
    change = "UPDATE subject SET kind = %s, name = %s WHERE name = %s"
    with still.database() as at, tampering(still, "subject", "subject_never_changes"):
        at.execute(change, ["account", "edge-blocklist:7", name])
        (grant,) = at.execute(seen).fetchall()
        at.execute(
            "INSERT INTO realm_user_grant (content_object_id, user_id, permission_id) VALUES (%s, %s, %s)",
            [grant[0], still.caller("raj"), grant[2]],
        )
        try:
            heard.look()
            assert heard.told(operation, "parked") == ["raj"]
        finally:
            at.execute("DELETE FROM realm_user_grant WHERE user_id = %s", [still.caller("raj")])
            at.execute(back, grant)
            at.execute(change, ["network", name, "edge-blocklist:7"])


def test_what_nobody_can_be_told_of_is_shown(heard: Heard, still: Still, name: str) -> None:
    with still.database() as at:
        at.execute("DELETE FROM notice_address")
    with still.acting("web"):
        before = hearing.trouble().untold
    operation, _ = still.issued(ban(name))
    park(still, operation)
    heard.look()
    with still.acting("web"):
        assert hearing.trouble().untold == before + 1
        ref = still.value("SELECT ref FROM operation WHERE id = %s", operation)
        assert ref in {one.ref for one in hearing.untold()}


# Between being made and being sent.
def test_what_was_dealt_with_meanwhile_is_not_told(
    heard: Heard, still: Still, parked: int, mail: object
) -> None:
    with still.database() as at:
        at.execute("UPDATE effect SET state = 'succeeded' WHERE operation_id = %s", [parked])
    notice = heard.notice(parked, "raj")
    assert heard.tell(notice) == "cancelled"
    assert heard.row(notice)["message"] == "It is so no longer."


def test_whose_rights_were_taken_away_meanwhile_is_not_told(
    heard: Heard, still: Still, parked: int, mail: object
) -> None:
    notice = heard.notice(parked, "raj")
    with without_groups(still, "raj"):
        assert heard.tell(notice) == "cancelled"
    assert heard.row(notice)["message"] == "They may hear it no longer."


def test_who_left_is_not_told(heard: Heard, still: Still, parked: int, mail: object) -> None:
    with still.database() as at:
        at.execute("UPDATE caller SET is_active = false WHERE username = 'raj'")
        try:
            assert heard.tell(heard.notice(parked, "raj")) == "cancelled"
        finally:
            at.execute("UPDATE caller SET is_active = true WHERE username = 'raj'")


def test_who_changed_their_mind_or_address_is_not_told(
    heard: Heard, still: Still, parked: int, mail: object
) -> None:
    choose(still, "ana", parked=False)
    assert heard.tell(heard.notice(parked, "ana")) == "cancelled"
    with still.database() as at:
        at.execute(
            "UPDATE notice_address SET confirmed_at = NULL WHERE caller_id = %s",
            [still.caller("raj")],
        )
    assert heard.tell(heard.notice(parked, "raj")) == "cancelled"


# Addresses.
def code_of(still: Still, who: str) -> str:
    from actions.tell import code

    email, asked = still.rows(
        "SELECT email, asked_at FROM notice_address WHERE caller_id = %s", still.caller(who)
    )[0]
    return code(still.caller(who), email, asked)


def confirm(still: Still, who: str, code: str) -> str:
    """What came of a code: 'confirmed' by it, 'already' before, or ''."""
    with still.acting("web"):
        try:
            return "confirmed" if hearing.confirm(still.caller(who), code) else "already"
        except Refusal as refusal:
            assert refusal.code == "bad_code"
            return ""


def give(still: Still, who: str, email: str) -> str:
    with still.acting("web"):
        try:
            return "" if hearing.give_address(still.caller(who), email) else "already"
        except Refusal as refusal:
            return refusal.code


def test_an_address_is_confirmed_by_its_code_alone(heard: Heard, still: Still) -> None:
    assert give(still, "ana", "new@example.test") == ""
    code = code_of(still, "ana")
    assert give(still, "ana", "another@example.test") == "too_soon"
    assert not confirm(still, "ana", "AAAA-AAAA")
    assert not confirm(still, "raj", code)
    assert confirm(still, "ana", code.lower().replace("-", " ")) == "confirmed"
    with still.acting("web"):
        assert hearing.of(still.caller("ana")).confirmed


ADDRESS = "SELECT email, asked_at, confirmed_at FROM notice_address WHERE caller_id = %s"


def test_confirming_again_says_that_it_is_confirmed_and_changes_nothing(
    heard: Heard, still: Still
) -> None:
    ana = still.caller("ana")
    tries = "SELECT wrong FROM notice_address WHERE caller_id = %s"
    events = "SELECT count(*) FROM log_event WHERE kind = 'notice.address_confirmed'"
    assert give(still, "ana", "new@example.test") == ""
    older = code_of(still, "ana")
    with still.database() as at:
        at.execute("UPDATE notice_address SET asked_at = asked_at - interval '2 minutes'")
    assert give(still, "ana", "new@example.test") == ""
    code = code_of(still, "ana")
    assert confirm(still, "ana", code) == "confirmed"
    confirmed, logged = still.rows(ADDRESS, ana), still.value(events)
    assert [confirm(still, "ana", code) for _ in range(6)] == ["already"] * 6
    tried = still.value(tries, ana)
    for wrong in ("AAAA-AAAA", older, ""):
        assert confirm(still, "ana", wrong) == ""
    assert still.value(tries, ana) == tried + 3
    assert (still.rows(ADDRESS, ana), still.value(events)) == (confirmed, logged)


def test_of_two_that_confirm_at_once_both_hear_that_it_is_confirmed(
    heard: Heard, still: Still
) -> None:
    assert give(still, "ana", "new@example.test") == ""
    (asked,) = still.rows("SELECT asked_at FROM notice_address WHERE caller_id = %s",
                          still.caller("ana"))[0]  # fmt: skip
    # Both were told the moment before either of them confirmed.
    said = [
        still.value("SELECT confirm_notice_address(%s, %s)", still.caller("ana"), asked, role="web")
        for _ in range(2)
    ]
    assert said == ["confirmed", "already"]


def test_giving_the_address_again_that_is_confirmed_changes_nothing_and_sends_nothing(
    heard: Heard, still: Still
) -> None:
    ana = still.caller("ana")
    codes = "SELECT count(*) FROM happening WHERE kind = 'address'"
    before, sent = still.rows(ADDRESS, ana), still.value(codes)
    for _ in range(2):
        assert give(still, "ana", " ana@example.test ") == "already"
    assert (still.rows(ADDRESS, ana), still.value(codes)) == (before, sent)
    assert give(still, "ana", "ana2@example.test") == ""
    assert still.rows(ADDRESS, ana)[0][2] is None


def test_a_code_is_tried_five_times_and_for_an_hour(heard: Heard, still: Still) -> None:
    assert give(still, "ana", "new@example.test") == ""
    code = code_of(still, "ana")
    for _ in range(5):
        assert not confirm(still, "ana", "AAAA-AAAA")
    assert not confirm(still, "ana", code)
    with still.database() as at:
        at.execute("UPDATE notice_address SET wrong = 0, asked_at = asked_at - interval '61 minutes'"
                   " WHERE caller_id = %s", [still.caller("ana")])  # fmt: skip
    assert not confirm(still, "ana", code_of(still, "ana"))
    # Both who counts the tries and who confirms say no, each by itself.
    asked, wrong = still.rows(
        "SELECT asked_at, wrong FROM notice_address WHERE caller_id = %s",
        still.caller("ana"),
    )[0]
    assert wrong == 0
    ana = still.caller("ana")
    assert not still.value("SELECT confirm_notice_address(%s, %s)", ana, asked, role="web")


def test_nobody_floods_somebody_elses_address(heard: Heard, still: Still) -> None:
    with still.database() as at:
        for number in range(10):
            assert give(still, "noor", f"victim{number}@example.test") == ""
            at.execute("UPDATE notice_address SET asked_at = asked_at - interval '2 minutes'")
    assert give(still, "noor", "victim@example.test") == "too_many"


@pytest.mark.parametrize(
    "email",
    ["", "ana", "ana@", "@example.test", "ana@example", "a b@example.test", "ana@example.test\nBcc: x@y.z",
     "ana@example.test\r\nDATA", '"ana"@example.test', "ana@exa<mple.test", "änä@example.test",
     "a" * 250 + "@example.test"],
)  # fmt: skip
def test_an_address_that_is_not_plainly_one_is_refused_by_the_database_too(
    heard: Heard, still: Still, email: str
) -> None:
    assert give(still, "ana", email) == "bad_address"
    with still.database() as at:
        state, _ = refused(
            at,
            "UPDATE notice_address SET email = %s WHERE caller_id = %s",
            email,
            still.caller("ana"),
        )
    assert state in {"23514", "22001"}


# What the database refuses.
def test_no_process_makes_a_notice_by_itself_or_reads_what_is_not_its_own(
    heard: Heard, still: Still, parked: int
) -> None:
    for role in ("web", "worker", "auditor"):
        with still.database(role=role) as at:
            assert refused(at, COPY) == MAY_NOT
            assert refused(at, HAPPENS) == MAY_NOT
            assert refused(at, "UPDATE notice_address SET confirmed_at = now()") == MAY_NOT
            assert refused(at, "UPDATE endpoint SET host = 'x'") == MAY_NOT
    for role in ("web", "auditor"):
        with still.database(role=role) as at:
            assert refused(at, "SELECT * FROM endpoint_secret") == MAY_NOT
            assert refused(at, "UPDATE notice SET state = 'cancelled'") == MAY_NOT
            assert refused(at, "SELECT make_notices(true)") == MAY_NOT
    with still.database(role="worker") as at:
        address = ("SELECT confirm_notice_address(%s, now())", still.caller("ana"))
        assert refused(at, *address) == MAY_NOT
    with still.database(role="auditor") as at:
        assert refused(at, "SELECT * FROM notice_address") == MAY_NOT


def test_a_notice_is_made_once_by_the_databases_own_rule(
    heard: Heard, still: Still, parked: int
) -> None:
    notice = heard.notice(parked, "raj")
    with still.database() as at:
        assert (
            refused(at, COPY + " WHERE id = %s", notice)[1]
            == "notice_once_for_a_person_and_channel"
        )
        again = (
            "INSERT INTO happening (about, kind, at, told)"
            " SELECT about, kind, at, 0 FROM happening LIMIT 1"
        )
        assert refused(at, again)[1] == "happening_once"
        assert refused(at, "DELETE FROM notice") == ("SH003", "notice_is_kept")
        assert (
            refused(at, "UPDATE notice SET person_id = person_id")[1]
            == "notice_content_never_changes"
        )
        assert refused(at, "UPDATE notice SET fence = fence - 1")[1] == "notice_fence_never_falls"
        assert refused(at, "UPDATE happening SET about = about")[1] == "happening_never_changes"
        done = "UPDATE notice SET state = 'succeeded' WHERE id = %s"
        assert refused(at, done, notice) == ("SH002", "notice_moves_legally")


def test_what_a_failover_lost_is_told_again_under_the_same_id(
    heard: Heard, still: Still, parked: int
) -> None:
    def lost() -> None:
        """The operation is there, and what was told of it is not."""
        of_it = "happening_id IN (SELECT id FROM happening WHERE operation_id = %s)"
        with (
            tampering(still, "notice", "notice_is_kept"),
            tampering(still, "happening", "happening_is_kept") as at,
        ):
            at.execute(f"DELETE FROM notice WHERE {of_it}", [parked])
            at.execute("DELETE FROM happening WHERE operation_id = %s", [parked])

    def ids() -> list[uuid.UUID]:
        return [heard.notice(parked, who) for who in ("ana", "raj")]

    before = ids()
    assert len(set(before)) == 2
    lost()
    heard.look()
    assert ids() == before
    # The operation was lost too, and its number went to another: that is something else.
    lost()
    rename = "UPDATE operation SET ref = %s WHERE id = %s RETURNING ref"
    with tampering(still, "operation", "operation_intent_never_changes") as at:
        ref = still.value("SELECT ref FROM operation WHERE id = %s", parked)
        at.execute(rename, [f"{ref[:-6]}other1", parked])
    heard.look()
    assert not set(ids()) & set(before)


def test_telling_waits_for_nobody_who_holds_the_operation(
    heard: Heard, still: Still, parked: int, mail: object
) -> None:
    with still.database() as at, at.transaction(force_rollback=True):
        at.execute("SELECT FROM operation WHERE id = %s FOR UPDATE", [parked])
        done = still.meanwhile("worker", lambda: heard.tell(heard.notice(parked, "raj")))
        assert not done.until_it_waits()
    assert done.result() == "succeeded"
    assert still.value("SELECT count(*) FROM log_event WHERE kind = 'notice.succeeded'") > 0


def test_looking_for_what_is_not_well_reads_no_whole_table(heard: Heard, still: Still) -> None:
    # However many operations there were: each part of the look has a partial index of its own.
    with still.database() as at, at.transaction(force_rollback=True):
        at.execute("SET LOCAL enable_seqscan = off")
        rows = at.execute(
            "EXPLAIN SELECT * FROM notice_happens s"
            " WHERE NOT EXISTS (SELECT FROM happening h WHERE h.about = s.about)"
        ).fetchall()
        rows += at.execute(
            "EXPLAIN SELECT FROM notice_mark m, notice_settled(m) WHERE true"
        ).fetchall()
    plan = "\n".join(line for (line,) in rows)
    for index in ("operation_not_begun|operation_waits", "effect_doubted", "effect_parked",
                  "operation_ends_due", "operation_end_not_done"):  # fmt: skip
        assert any(one in plan for one in index.split("|")), f"{index}\n{plan}"
    assert "Seq Scan on operation" not in plan and "Seq Scan on effect" not in plan, plan


def test_the_database_lets_through_the_moves_of_a_notice_and_no_other(
    heard: Heard, still: Still, parked: int
) -> None:
    notice, guard = heard.notice(parked, "raj"), "notice_moves_legally"
    move = (
        "UPDATE notice SET state = %(new)s::text, lease_until ="
        " CASE WHEN %(new)s::text = 'executing' THEN now() END WHERE id = %(id)s"
    )
    found = set()
    with still.database() as at:
        for old in NoticeState:
            with at.transaction(force_rollback=True):
                at.execute(f"ALTER TABLE notice DISABLE TRIGGER {guard}")
                at.execute(move, {"new": str(old), "id": notice})
                at.execute("SET CONSTRAINTS ALL IMMEDIATE")
                at.execute(f"ALTER TABLE notice ENABLE ALWAYS TRIGGER {guard}")
                for new in NoticeState:
                    with contextlib.suppress(psycopg.Error), at.transaction(force_rollback=True):
                        at.execute(move, {"new": str(new), "id": notice})
                        found.add((str(old), str(new)))
        for begun in NoticeState:
            begins = COPY.replace("'ready'", f"'{begun}'") + " WHERE id = %s"
            rule = refused(at, begins, notice)[1]
            assert (rule == "notice_starts_legally") == (begun not in states.NOTICE_STARTS)
    staying = {(str(state), str(state)) for state in NoticeState}
    assert found == {(str(m.old), str(m.new)) for m in states.NOTICE_MOVES} | staying
