"""Incidents: one lead, told who leads when two hand over, and closed knowing what stays in force."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import transaction
from django.test import RequestFactory
from django.urls import resolve

from actions import dossier, incidents, reader, remains, states, timeline
from actions import read as readings
from actions.errors import NotFound, ParamsRefused, Refusal
from actions.incident_rules import Change
from actions.incidents import By, Told
from actions.models import Caller, Incident
from tests.contracts.inside import Still, ban, refused
from tests.contracts.verbs import in_force

SEES = frozenset({"ban-network", "lift-ban"})


def key() -> str:
    return uuid.uuid4().hex


def opened(still: Still, who: str = "ana", title: str = "a flood", **more: Any) -> Incident:
    with still.acting("web"):
        return incidents.open_incident(still.caller(who), title, key(), **more)[0]


def change(
    still: Still, incident: Incident, by: str | uuid.UUID = "ana", under: str = "", **asked: Any
) -> Told:
    """Change as the web process would, having seen the version of now unless another is given."""
    caller = still.caller(by) if isinstance(by, str) else by
    now = still.value("SELECT version FROM incident WHERE id = %s", incident.id)
    wanted = Change(**{"version": now, **asked})
    with still.acting("web"):
        return incidents.change(By(caller, "api"), incident.number, wanted, under or key())


def code(refusal: pytest.ExceptionInfo[Refusal]) -> str:
    return refusal.value.code


def read(still: Still, incident: Incident) -> Incident:
    with still.acting("web"):
        return dossier.find(incident.number, still.caller("noor"))


def logged(still: Still, incident: Incident) -> list[str]:
    """The kinds of the log's events of an incident, in order."""
    rows = still.rows(
        "SELECT kind FROM log_event WHERE kind LIKE 'incident.%%'"
        " AND convert_from(body, 'UTF8')::jsonb -> 'body' ->> 'ref' = %s ORDER BY id",
        incident.ref,
    )
    return [kind for (kind,) in rows]


@pytest.fixture
def chief(still: Still) -> Iterator[uuid.UUID]:
    """Ada, who administers the console and may ask, and does not read the log."""
    with still.database() as at:
        at.execute(
            "INSERT INTO auth_permission (codename, name, content_type_id)"
            " SELECT 'administer', 'May administer', id FROM django_content_type"
            " WHERE app_label = 'actions' AND model = 'logevent' AND NOT EXISTS (SELECT FROM"
            " auth_permission p JOIN django_content_type t ON t.id = p.content_type_id"
            " WHERE p.codename = 'administer' AND t.app_label = 'actions')"
        )
        name = f"ada-{uuid.uuid4().hex[:6]}"
        ada = at.execute(
            "INSERT INTO caller (id, username, kind, password, first_name, last_name, email,"
            " is_superuser, is_staff, is_active, date_joined)"
            " VALUES (gen_random_uuid(), %s, 'person', '!', '', '', '', false, false, true, now())"
            " RETURNING id",
            [name],
        ).fetchone()[0]  # type: ignore[index]
        at.execute(
            "WITH made AS (INSERT INTO auth_group (name) VALUES (%s) RETURNING id),"
            " given AS (INSERT INTO auth_group_permissions (group_id, permission_id)"
            "   SELECT made.id, p.id FROM made, auth_permission p WHERE p.codename = 'administer'),"
            " mine AS (INSERT INTO caller_groups (caller_id, group_id)"
            "   SELECT %s, made.id FROM made)"
            " INSERT INTO caller_groups (caller_id, group_id)"
            " SELECT %s, id FROM auth_group WHERE name = 'responders'",
            [f"chiefs {name}", ada, ada],
        )
    yield ada
    with still.database() as at:
        at.execute("DELETE FROM caller_groups WHERE caller_id = %s", [ada])


# Who leads


def test_who_opens_an_incident_leads_it_and_the_owner_of_its_token_leads_a_runbook_s(
    still: Still,
) -> None:
    assert read(still, opened(still, "raj")).lead.username == "raj"
    token = still.value("SELECT id FROM api_token WHERE name = 'first run'")
    by = By(still.caller("runbook"), "api", token)
    by_runbook = opened(still, "runbook", by=by)
    assert read(still, by_runbook).lead.username == "ana"
    with still.acting("web"):
        members = {m.username for m in dossier.members(by_runbook.id)}
    assert members == {"runbook", "ana"}


def test_a_hand_over_pressed_twice_is_one_and_names_the_new_lead(still: Still) -> None:
    incident, under = opened(still), key()
    asked = {"lead": "raj", "note": "watch the\nsecond range", "version": 1, "under": under}
    first, again = change(still, incident, **asked), change(still, incident, **asked)
    assert (first.changed, again.changed, again.replayed) == (True, False, True)
    assert "raj leads" in first.message
    now = read(still, incident)
    assert (now.lead.username, now.version, now.entry_count) == ("raj", 2, 2)
    assert logged(still, incident) == ["incident.opened", "incident.handed_over"]
    with still.acting("web"):
        (item, _) = timeline.read(incident.id, SEES, "", 50).items
    assert (item.by, item.body["lead_before"], item.body["lead_name"]) == ("ana", "ana", "raj")
    assert item.body["note"] == "watch the\nsecond range"
    # The same key for anything else is refused.
    with pytest.raises(Refusal) as no:
        change(still, incident, lead="ana", under=under)
    assert code(no) == "key_reused"


def test_of_two_hand_overs_at_once_the_second_is_told_who_leads_now(
    still: Still, chief: uuid.UUID
) -> None:
    incident = opened(still)
    ada = str(still.value("SELECT username FROM caller WHERE id = %s", chief))

    def to(name: str) -> Callable[[], Told]:
        wanted = Change(lead=name, version=1)
        by = By(still.caller(), "api")
        return lambda: incidents.change(by, incident.number, wanted, key())

    with still.acting("web"), transaction.atomic():
        assert to("raj")().changed
        second = still.meanwhile("web", to(ada))
        assert second.until_it_waits()
    with pytest.raises(Refusal) as told:
        second.result()
    assert (code(told), told.value.facts["status"]) == ("stale", 412)
    assert "raj leads it; last changed by ana" in told.value.message
    assert read(still, incident).lead.username == "raj"


def test_who_is_no_longer_its_lead_when_it_is_written_is_told_so(still: Still) -> None:
    incident, by = opened(still), By(still.caller())
    with still.acting("web"), transaction.atomic():
        assert incidents.change(by, incident.number, Change(lead="raj", version=1), key()).changed
        late = still.meanwhile(
            "web", lambda: incidents.change(by, incident.number, Change(add=("li",)), key())
        )
        assert late.until_it_waits()
    with pytest.raises(Refusal) as no:
        late.result()
    assert code(no) == "not_its_lead"


def test_two_who_hand_over_to_the_same_person_both_hear_that_they_lead(still: Still) -> None:
    incident = opened(still)
    assert change(still, incident, lead="raj", version=1).changed
    told = change(still, incident, lead="raj", version=1, note="unsaid")
    assert not told.changed
    assert "raj leads it" in told.message
    assert "Your note was not added" in told.message


def test_only_its_lead_or_an_admin_changes_it(still: Still, chief: uuid.UUID) -> None:
    incident = opened(still)
    for asked in ({"title": "mine"}, {"lead": "raj"}, {"restricted": True}, {"state": "closed"},
                  {"add": ("li",)}, {"remove": ("ana",)}):  # fmt: skip
        with pytest.raises(Refusal) as no:
            change(still, incident, "raj", **asked)
        assert code(no) == "not_its_lead", asked
    with pytest.raises(Refusal) as no:
        change(still, incident, "li", note="may only read")
    assert code(no) == "may_not_change"
    assert change(still, incident, chief, lead="raj").changed
    with pytest.raises(Refusal) as no:
        change(still, incident, "ana", lead="ana")
    assert code(no) == "not_its_lead"
    assert read(still, incident).version == 2


@pytest.mark.parametrize("name", ["nobody-here", "console", "li", "runbook", "noor"])
def test_it_is_handed_over_to_a_person_who_may_ask(still: Still, name: str) -> None:
    incident = opened(still)
    with pytest.raises(Refusal) as no:
        change(still, incident, lead=name)
    assert code(no) in {"no_such_person", "cannot_lead"}
    assert read(still, incident).lead.username == "ana"


def test_a_change_says_which_version_it_has_seen(still: Still) -> None:
    incident = opened(still)
    with pytest.raises(Refusal) as no:
        change(still, incident, title="a torrent", version=None)
    assert (code(no), no.value.facts["status"]) == ("version_needed", 428)
    assert change(still, incident, title="a  torrent", version=1).changed
    with pytest.raises(Refusal) as no:
        change(still, incident, restricted=True, version=1)
    assert code(no) == "stale"
    # Members come and go in any order.
    assert change(still, incident, add=("li",), version=None).changed
    assert change(still, incident, remove=("li",), version=None).changed
    with pytest.raises(Refusal) as no:
        change(still, incident, remove=("ana",), version=None)
    assert code(no) == "lead_stays"


def test_one_key_is_one_change_as_it_was_asked(still: Still) -> None:
    incident, under = opened(still), key()
    assert change(still, incident, title="a torrent", version=1, under=under).changed
    with pytest.raises(Refusal) as no:
        change(still, incident, title="a torrent", version=2, under=under)
    assert code(no) == "key_reused"
    # A key that opened one, or wrote to another, stands for that.
    with still.acting("web"), pytest.raises(Refusal) as no:
        incidents.open_incident(still.caller(), "a torrent", under)
    assert code(no) == "key_reused"


def test_a_key_that_opened_an_incident_asks_for_nothing(still: Still, name: str) -> None:
    under = key()
    with still.acting("web"):
        incidents.open_incident(still.caller(), "a flood", under)
    told = still.submit(ban(name, key=under))
    assert (told.disposition, told.status, told.operation) == ("key_reused", 422, None)
    # Another's key is another.
    assert still.submit(ban(name, key=under), "raj").disposition == "created"


def test_a_key_that_asked_for_something_opens_and_changes_no_incident(
    still: Still, name: str
) -> None:
    under, incident = key(), opened(still)
    assert still.submit(ban(name, key=under)).disposition == "created"
    with still.acting("web"), pytest.raises(Refusal) as no:
        incidents.open_incident(still.caller(), "a flood", under)
    assert (code(no), no.value.facts["status"]) == ("key_reused", 422)
    with pytest.raises(Refusal) as no:
        change(still, incident, title="a torrent", under=under)
    assert (code(no), no.value.facts["status"]) == ("key_reused", 422)
    assert read(still, incident).title == "a flood"
    assert still.submit(ban(name, key=under)).disposition == "existing"


@pytest.mark.parametrize("first", ["incident", "operation"])
def test_of_an_incident_and_an_operation_at_once_under_one_key_one_is_made(
    still: Still, name: str, first: str
) -> None:
    from actions import issue

    under, who, by = key(), still.who(), still.caller()

    def asks() -> str:
        return issue.submit(who, ban(name, key=under)).disposition

    def opens() -> str:
        try:
            incidents.open_incident(by, "a flood", under)
        except Refusal as no:
            return no.code
        return "created"

    one, other = (opens, asks) if first == "incident" else (asks, opens)
    with still.acting("web"), transaction.atomic():
        assert one() == "created"
        meanwhile = still.meanwhile("web", other)
        assert meanwhile.until_it_waits()
    assert meanwhile.result() == "key_reused"


def test_an_admin_sees_a_restricted_incident_only_once_they_have_joined_it(
    still: Still, chief: uuid.UUID
) -> None:
    hidden = opened(still, restricted=True)
    name = still.value("SELECT username FROM caller WHERE id = %s", chief)
    unknown = []
    for asked in ({"lead": "raj"}, {"add": (name, "raj")}, {"add": (name,), "title": "x"}):
        with pytest.raises(NotFound) as no:
            change(still, hidden, chief, **asked)
        unknown.append(no.value.message)
    with still.acting("web"), pytest.raises(NotFound) as no:
        incidents.change(By(chief), 99999999, Change(lead="raj"), key())
    assert set(unknown) == {no.value.message}
    assert change(still, hidden, chief, add=(name,), version=None).changed
    assert logged(still, hidden) == ["incident.opened", "incident.joined"]
    assert change(still, hidden, chief, lead="raj").changed
    # Nobody else joins by themselves.
    with pytest.raises(NotFound):
        change(still, opened(still, restricted=True), "raj", add=("raj",), version=None)


# Closing


def left(still: Still, incident: Incident, by: str = "ana") -> remains.Left:
    with still.acting("web"):
        return remains.left(incident.id, still.caller(by))


def close(still: Still, incident: Incident, confirm: str = "", by: str = "ana") -> Told:
    return change(still, incident, by, state="closed", confirm=confirm)


def test_closing_is_confirmed_for_just_what_stays_in_force(
    still: Still, networks: Callable[[], str]
) -> None:
    incident = opened(still)
    banned = still.made(ban(networks(), incident=incident.number))
    with pytest.raises(Refusal) as no:
        close(still, incident)
    assert (code(no), no.value.facts["status"]) == ("confirm_needed", 409)
    before = left(still, incident)
    assert [told["id"] for told in before.groups["in_force"]] == [banned]
    assert before.groups["in_force"][0]["ends_at"]
    # What was asked since is shown first, too.
    running, _ = still.issued(ban(networks(), incident=incident.number))
    with pytest.raises(Refusal):
        close(still, incident, before.digest)
    now = left(still, incident)
    assert [told["id"] for told in now.groups["under_way"]] == [running]
    assert close(still, incident, now.digest).changed
    assert read(still, incident).state == "closed"
    assert still.state(banned) == "succeeded"
    assert logged(still, incident)[-1] == "incident.closed"
    # An auditor, who may see all of it, may close nothing.
    with pytest.raises(Refusal):
        close(still, incident, now.digest, by="noor")


def test_what_is_in_force_in_one_realm_alone_is_shown_before_closing(
    still: Still, name: str, second_realm: str
) -> None:
    """Of a ban in two realms, one refuses: its right was taken away meanwhile."""
    incident = opened(still)
    told = still.submit(ban(name, incident=incident.number))
    still.rows(
        "DELETE FROM realm_group_grant WHERE content_object_id = %s RETURNING 1", second_realm
    )
    still.deliver(told.operation["id"])
    assert still.state(told.operation["id"]) == "partial"
    assert still.listed(name)
    _is_shown_as_in_part(still, incident, told.operation["id"])


def test_what_was_read_as_otherwise_in_one_realm_alone_is_shown_before_closing(
    still: Still, name: str, second_realm: str
) -> None:
    incident = opened(still)
    banned = still.made(ban(name, incident=incident.number))
    assert still.state(banned) == "succeeded"
    still.rows("DELETE FROM blocklist_entry WHERE list = 'second-list' RETURNING 1")
    with still.acting("web"):
        readings.ask("network", name, [(second_realm, "network.deny")])
    with still.acting("worker"):
        assert reader.read_realm(second_realm)
    _is_shown_as_in_part(still, incident, banned)


def _is_shown_as_in_part(still: Still, incident: Incident, operation: int) -> None:
    assert in_force(still, operation) == "no"
    found = left(still, incident)
    groups = {group: [told["id"] for told in of] for group, of in found.groups.items() if of}
    assert groups == {"in_part": [operation]}
    with still.acting("web"):
        assert remains.in_force_of([incident.id], SEES) == {incident.id: 1}
    with pytest.raises(Refusal) as no:
        close(still, incident)
    assert code(no) == "confirm_needed"
    assert close(still, incident, found.digest).changed


def test_an_incident_that_leaves_nothing_is_closed_at_once_and_once(still: Still) -> None:
    incident = opened(still)
    with still.acting("web"), transaction.atomic():
        wanted, by = Change(state="closed", version=1), By(still.caller(), "api")
        assert incidents.change(by, incident.number, wanted, key()).changed
        second = still.meanwhile(
            "web", lambda: incidents.change(by, incident.number, wanted, key())
        )
        assert second.until_it_waits()
    told = second.result()
    assert (told.changed, "is closed" in told.message) == (False, True)
    assert logged(still, incident) == ["incident.opened", "incident.closed"]


def test_nothing_is_asked_for_because_of_a_closed_incident_until_it_is_opened_again(
    still: Still, name: str
) -> None:
    incident = opened(still)
    close(still, incident)
    told = still.submit(ban(name, incident=incident.number))
    assert (told.disposition, told.code, told.status) == ("refused", "incident_closed", 409)
    assert f"{incident.ref} is closed" in told.message
    with pytest.raises(ParamsRefused) as no:
        change(still, incident, state="open")
    assert no.value.code == "no_reason"
    assert change(still, incident, state="open", note="it goes on").changed
    asked = ban(name, incident=incident.number)
    assert still.submit(asked).disposition == "created"
    # What it made is told for ever, also once it is closed again.
    close(still, incident, left(still, incident).digest)
    again = still.submit(asked)
    assert (again.disposition, again.replayed) == ("existing", True)


def test_who_closes_is_told_of_what_was_being_asked_for_meanwhile(
    still: Still, networks: Callable[[], str]
) -> None:
    from actions import issue

    incident = opened(still)
    wanted, by = Change(state="closed", version=1), By(still.caller("ana"), "api")
    with still.acting("web"), transaction.atomic():
        asked = ban(networks(), incident=incident.number)
        made = issue.submit(still.who("raj"), asked)
        closing = still.meanwhile(
            "web", lambda: incidents.change(by, incident.number, wanted, key())
        )
        closing.until_it_waits()
    assert made.disposition == "created"
    # It was decided on what stood before; but what is written is decided again, and shown first.
    with pytest.raises(Refusal) as no:
        closing.result()
    assert code(no) == "confirm_needed"
    with still.acting("web"), transaction.atomic():
        sure = Change(
            state="closed", version=1, confirm=remains.left(incident.id, by.caller).digest
        )
        assert incidents.change(by, incident.number, sure, key()).changed
        late = still.meanwhile(
            "web",
            lambda: issue.submit(still.who("raj"), ban(networks(), incident=incident.number)),
        )
        assert late.until_it_waits()
    assert late.result().code == "incident_closed"


# Notes and the timeline


def test_a_note_is_kept_once_by_name_also_in_a_closed_incident(still: Still) -> None:
    incident, under = opened(still), key()
    close(still, incident)
    with still.acting("web"):
        by = By(still.caller("raj"), "api")
        first = incidents.note(by, incident.number, " looked at\r\nthe logs ", under)
        again = incidents.note(by, incident.number, "looked at\nthe logs", under)
        (item, *_) = timeline.read(incident.id, SEES, "", 50).items
    assert (first.changed, again.changed, again.replayed) == (True, False, True)
    assert (item.kind, item.by, item.body) == ("noted", "raj", {"note": "looked at\nthe logs"})
    assert read(still, incident).version == 2  # a note changes nothing that somebody may have seen
    with still.database() as at:
        change_it = "UPDATE incident_entry SET body = '{}'"
        assert refused(at, change_it) == ("SH003", "incident_entry_never_changes")


@pytest.mark.parametrize(
    "text",
    ["", " \n ", "x" * 4001, "a\x00b", "a\x1b[2Jb", "a\x7fb", "a\x85b", "a\u202eb", "a\u2066b"],
)
def test_a_note_that_cannot_be_kept_is_refused(still: Still, text: str) -> None:
    incident = opened(still)
    with still.acting("web"), pytest.raises(ParamsRefused) as no:
        incidents.note(By(still.caller(), "api"), incident.number, text, key())
    assert no.value.code == "bad_note"


def test_a_title_holds_no_control_character(still: Still) -> None:
    for title in ("a\x1bb", "a\u202eb", "x" * 201, " "):
        with pytest.raises(ParamsRefused) as no:
            opened(still, title=title)
        assert no.value.code == "bad_title"


def test_the_timeline_tells_all_in_order_page_by_page(
    still: Still, networks: Callable[[], str]
) -> None:
    incident, name = opened(still), networks()
    with still.acting("web"):
        incidents.note(By(still.caller("raj"), "api"), incident.number, "seen", key())
    operation = still.made(ban(name, incident=incident.number))
    still.submit(ban(name, incident=incident.number), by="raj")
    still.submit(ban(networks(), incident=incident.number), by="li")  # may not ask
    change(still, incident, lead="raj")
    assert still.state(operation) == "succeeded"
    whole = _timeline(still, incident, 50)
    assert [(kind, by, told) for kind, by, told in whole] == [
        ("handed_over", "ana", ""),
        ("asked", "li", "refused"),
        ("asked", "raj", "existing"),
        ("moved", "steadyhand_worker", "succeeded"),
        ("asked", "ana", "created"),
        ("noted", "raj", ""),
        ("opened", "ana", ""),
    ]
    assert _timeline(still, incident, 2) == _timeline(still, incident, 3) == whole
    # Of operations that the viewer may not see, nothing; a strange cursor begins at the newest.
    with still.acting("web"):
        unseen = timeline.read(incident.id, [], "", 50).items
        strange = timeline.read(incident.id, SEES, "999999999999999999999-x'", 50).items
    assert [item.kind for item in unseen] == ["handed_over", "asked", "noted", "opened"]
    assert len(strange) == len(whole)


def _timeline(still: Still, incident: Incident, at_once: int) -> list[tuple[str, str, str]]:
    found, cursor = [], ""
    with still.acting("web"):
        for _ in itertools.count():
            page = timeline.read(incident.id, SEES, cursor, at_once)
            assert len(page.items) <= at_once
            found += [(item.kind, item.by, item.told) for item in page.items]
            cursor = page.next
            if not cursor:
                return found
    return found


# What the database refuses by itself


def test_the_database_moves_an_incident_as_the_table_says_and_keeps_its_lead(still: Still) -> None:
    incident = opened(still)
    legal = {(move.old, move.new) for move in states.INCIDENT_MOVES}
    assert legal == {("open", "closed"), ("closed", "open")}
    with still.database() as at:
        to = "UPDATE incident SET state = %s WHERE id = %s"
        assert refused(at, to, "closed", incident.id) == ("", "")
        assert refused(at, to, "gone", incident.id) == ("SH002", "incident_moves_legally")
        born = (
            "INSERT INTO incident (id, number, title, state, opened_by_id, request_key, fingerprint)"
            " SELECT gen_random_uuid(), 99000000 + number, '', 'closed', opened_by_id, 'k' || id, ''"
            " FROM incident WHERE id = %s"
        )
        assert refused(at, born, incident.id) == ("SH002", "incident_starts_legally")
        lead = "UPDATE incident SET lead_id = (SELECT id FROM caller WHERE username = %s) WHERE id = %s"
        rule = ("SH003", "incident_is_led_by_a_person")
        assert refused(at, lead, "runbook", incident.id) == rule
        assert refused(at, lead, "raj", incident.id) == ("", "")
        out = "UPDATE incident_member SET removed_at = now() WHERE incident_id = %s"
        assert refused(at, out, incident.id) == ("SH003", "incident_lead_stays_a_member")
        twice = (
            "INSERT INTO incident_member (incident_id, caller_id, added_by_id) SELECT incident_id,"
            " caller_id, added_by_id FROM incident_member WHERE incident_id = %s"
        )
        assert refused(at, twice, incident.id) == ("23505", "incident_member_once")
        copied = (
            "INSERT INTO incident_entry (id, incident_id, number, at, caller_id, via, key, fingerprint,"
            " kind, body) SELECT gen_random_uuid(), incident_id, number + %s, at, caller_id, via,"
            " key || %s, fingerprint, kind, body FROM incident_entry WHERE incident_id = %s"
        )
        assert refused(at, copied, 1, "", incident.id) == ("23505", "incident_key_once")
        assert refused(at, copied, 0, "x", incident.id) == ("23505", "incident_entry_once")


WRITE = """
SELECT verdict FROM write_incident(gen_random_uuid(), %s::uuid, %s::uuid, NULL, 'api', %s, '', %s, %s, 0, %s)
"""


def test_the_database_lets_nobody_write_what_python_would_refuse(still: Still) -> None:
    incident, hidden = opened(still), opened(still, restricted=True)

    def write(by: str, kind: str, what: str, at: Incident = incident, version: int = 1) -> Any:
        with still.database(role="web") as web:
            params = [at.id, still.caller(by), key(), kind, version, what]
            return refused(web, WRITE, *params)

    its_lead = ("SH003", "incident_is_changed_by_its_lead")
    for what in ('{"title": "x"}', '{"state": "closed"}', '{"restricted": true}', '{"add": []}',
                 '{"remove": []}', f'{{"lead": "{still.caller("raj")}"}}'):  # fmt: skip
        assert write("raj", "changed", what) == its_lead, what
    assert write("raj", "noted", '{"note": "seen"}') == ("", "")
    assert write("ana", "renamed", '{"title": "x"}') == ("", "")
    seen = ("SH003", "incident_is_written_by_who_sees_it")
    assert write("raj", "noted", '{"note": "seen"}', hidden) == seen
    assert write("raj", "joined", f'{{"add": ["{still.caller("raj")}"]}}', hidden) == seen
    assert write("ana", "noted", '{"note": "seen"}', hidden) == ("", "")
    assert write("console", "noted", '{"note": "x"}')[0] == "SH003"
    assert write("ana", "noted", "[]")[0] == "SH003"
    # At another version than was seen, nothing is written.
    with still.database(role="web") as web, web.transaction(force_rollback=True):
        params = [incident.id, still.caller(), key(), "renamed", 7, '{"title": "x"}']
        assert web.execute(WRITE, params).fetchone() == ("moved",)
    with still.database(role="web") as web, pytest.raises(psycopg.errors.InsufficientPrivilege):
        web.execute("INSERT INTO incident_member (incident_id) VALUES (NULL)")


def test_the_list_has_open_ones_first_and_all_of_them_page_by_page(still: Still) -> None:
    made = [opened(still, title=f"listed {n}") for n in range(5)]
    for incident in (made[4], made[1]):
        close(still, incident)
    with still.acting("web"):
        whole, cursor = [], ""
        for _ in itertools.count():
            page = dossier.incidents(still.caller(), "", cursor, 2)
            whole += [i.title for i in page.incidents]
            cursor = page.next
            if not cursor:
                break
    listed = [title for title in whole if title.startswith("listed ")]
    assert listed == [f"listed {n}" for n in (3, 2, 0, 4, 1)]


# What a page costs


def cost(still: Still, address: str, by: str = "ana") -> int:
    """How many statements a page sends to the database, whatever sends them."""
    sent = 0
    execute = psycopg.Cursor.execute

    def counted(self: Any, *args: Any, **more: Any) -> Any:
        nonlocal sent
        sent += 1
        return execute(self, *args, **more)

    view, args, named = resolve(address.partition("?")[0])
    request = RequestFactory().get(address, headers={"host": "127.0.0.1"})
    with still.acting("web"), pytest.MonkeyPatch.context() as patch:
        request.user = Caller.objects.get(id=still.caller(by))
        patch.setattr(psycopg.Cursor, "execute", counted)
        assert view(request, *args, **named).status_code == 200
    return sent


def test_a_page_of_incidents_costs_the_same_however_much_there_is(
    still: Still, networks: Callable[[], str]
) -> None:
    few, many = opened(still), opened(still, restricted=True)
    for incident, count in ((few, 1), (many, 4)):
        for number in range(count):
            still.made(ban(networks(), incident=incident.number))
            with still.acting("web"):
                incidents.note(By(still.caller()), incident.number, f"note {number}", key())
    change(still, many, add=("raj", "li", "sam"))
    for rest in ("", "/close"):
        addresses = [f"/incidents/{incident.ref}{rest}" for incident in (few, many)]
        assert len({cost(still, address) for address in addresses}) == 1, rest
    before = cost(still, "/incidents"), cost(still, "/"), cost(still, "/actions/ban-network/new")
    for _ in range(3):
        still.made(ban(networks(), incident=opened(still, restricted=True).number))
    after = cost(still, "/incidents"), cost(still, "/"), cost(still, "/actions/ban-network/new")
    assert before == after
    assert max(after) < 20
