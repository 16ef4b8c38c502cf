"""What a request is told (contract §4), row by row, in the order in which they are judged."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx

from tests.console_process import EVERYTHING, Api, Console, eventually
from tests.faults.beside import line_to_database, web


def assert_problem(told: httpx.Response, status: int, code: str) -> dict[str, object]:
    """A problem that says that nothing changed."""
    assert told.headers["content-type"] == "application/problem+json"
    body = told.json()
    assert (told.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["changed"] is False
    assert body["type"] == f"urn:steadyhand:problem:{code}"
    assert body["detail"] and body["title"]
    return dict(body)


def lane(api: Api, name: str) -> dict[str, object]:
    """The ban lane of a network; empty when nothing was ever asked of it."""
    lanes = api.get("/subjects", kind="network", name=name).json()["lanes"]
    return dict(lanes[0]) if lanes else {}


# --- key_reused


def test_a_key_sent_again_with_another_address_is_refused_and_changes_nothing(
    runbook: Api, fresh_network: Callable[[], str]
) -> None:
    first, second, key = fresh_network(), fresh_network(), uuid.uuid4().hex
    made = runbook.ban(first, key=key, wait=10).json()["operation"]
    told = assert_problem(runbook.ban(second, key=key), 422, "key_reused")
    assert told["disposition"] == "key_reused"
    assert told["operation"]["ref"] == made["ref"]
    assert lane(runbook, second) == {}
    assert runbook.get(f"/operations/{made['ref']}").json()["operation"]["generation"] == 1


def test_a_key_stands_for_everything_that_was_asked_not_for_the_address_alone(
    runbook: Api, network: str
) -> None:
    key = uuid.uuid4().hex
    runbook.ban(network, key=key, wait=10)
    for other in (
        runbook.ban(network, "48h", key=key),
        runbook.ban(network, key=key, reason="another reason"),
        runbook.ban(network, key=key, seen=1),
        runbook.lift(network, key=key, reason="a test asks"),
        runbook.ban(network, key=key, incident=runbook.incident()),
    ):
        assert_problem(other, 422, "key_reused")
    assert len(lane(runbook, network)["operations"]) == 1


def test_a_key_reused_is_kept_among_what_came_under_it(runbook: Api, network: str) -> None:
    key = uuid.uuid4().hex
    runbook.ban(network, key=key)
    runbook.lift(network, key=key)
    runbook.ban(network, key=key)
    came = runbook.get(f"/requests/{key}").json()["arrivals"]
    assert [a["disposition"] for a in came] == ["created", "key_reused", "existing"]


# --- existing, by the same key


def test_the_same_request_sent_again_is_told_what_it_made_and_starts_nothing(
    runbook: Api, network: str
) -> None:
    key = uuid.uuid4().hex
    made = runbook.ban(network, key=key, wait=10)
    again = runbook.ban(network, key=key)
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in made.headers
    told = again.json()
    assert (told["disposition"], told["changed"], told["in_force"]) == ("existing", False, "yes")
    assert told["operation"]["ref"] == made.json()["operation"]["ref"]
    assert told["operation"]["requested_by"] == "runbook"
    assert told["operation"]["arrivals"]["count"] == 2
    assert told["operation"]["verified_at"] is not None
    assert again.headers["Location"] == f"/api/v1/operations/{told['operation']['ref']}"


def test_the_same_key_with_the_address_spelled_otherwise_is_the_same_request(
    runbook: Api, network: str
) -> None:
    key = uuid.uuid4().hex
    runbook.ban(network, key=key)
    again = runbook.ban(f"::ffff:{network}", key=f'"{key}"')
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")


def test_a_runbook_whose_rights_were_taken_is_still_told_what_its_own_key_made(
    console: Console, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    name, runbook = somebody("runbooks")
    key = uuid.uuid4().hex
    made = runbook.ban(network, key=key, wait=10).json()
    console.leave(name, "runbooks")
    again = runbook.ban(network, key=key)
    assert again.status_code == 200
    assert again.json()["operation"]["ref"] == made["operation"]["ref"]
    # Who may not see the action any more is not shown why it was asked for.
    assert again.json()["operation"]["reason"] is None


def test_two_runbooks_that_chose_the_same_key_do_not_meet_on_it(
    sweeper: Api, patcher: Api, fresh_network: Callable[[], str]
) -> None:
    key, first, second = uuid.uuid4().hex, fresh_network(), fresh_network()
    assert sweeper.ban(first, key=key).status_code == 201
    assert patcher.ban(second, key=key).status_code == 201
    assert sweeper.get(f"/requests/{key}").json()["operation"]["subject"]["name"] == f"{first}/32"
    assert patcher.get(f"/requests/{key}").json()["operation"]["subject"]["name"] == f"{second}/32"


# --- refused


def test_an_auditor_may_see_a_ban_but_not_ask_for_one(
    somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    _, auditor = somebody("auditors", kind="person")
    told = assert_problem(auditor.ban(network), 403, "may_not_ask")
    assert told["disposition"] == "refused"
    assert lane(auditor, network) == {}


def test_a_token_without_the_scope_may_not_ask_for_what_its_caller_may(
    somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    _, banner = somebody("runbooks", scopes=["read", "ask:ban-network"])
    assert banner.ban(network, wait=10).status_code == 201
    assert_problem(banner.lift(network), 403, "token_scope")
    assert lane(banner, network)["generation"] == 1


def test_who_may_ask_for_a_ban_but_not_of_this_list_is_told_its_name_only_if_they_see_it(
    console: Console, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    name, asker = somebody()
    with console.database() as connection:
        connection.execute(
            "INSERT INTO entry_user_grant (user_id, permission_id, content_object_id)"
            " SELECT c.id, p.id, n.id FROM caller c, auth_permission p, catalogue_entry n"
            " WHERE c.username = %s AND p.codename IN ('see_entry', 'ask_entry')"
            " AND n.name = 'ban-network'",
            [name],
        )
    # Of a system that they may not see, not even the name is told.
    told = assert_problem(asker.ban(network), 403, "may_not_ask_realm")
    assert "edge-blocklist" not in str(told["detail"])
    with console.database() as connection:
        connection.execute(
            "INSERT INTO realm_user_grant (user_id, permission_id, content_object_id)"
            " SELECT c.id, p.id, m.id FROM caller c, auth_permission p, realm m"
            " WHERE c.username = %s AND p.codename = 'see_realm' AND m.name = 'edge-blocklist'",
            [name],
        )
    told = assert_problem(asker.ban(network), 403, "may_not_ask_realm")
    assert "edge-blocklist" in str(told["detail"])


def test_to_a_stranger_an_action_that_there_is_reads_like_one_that_there_is_not(
    somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    _, stranger = somebody()
    for ask in (
        {},
        {"params": {"for": "a while"}},
        {"params": {"for": 2**53}},
        {"params": {"n": 2**60}},
        {"again": True},
        {"again": True, "seen": 0},
        {"reason": " "},
        {"incident": "INC-999999999"},
        {"incident": "7"},
        {"seen": 7},
    ):
        given = {"params": {"for": "1h"}, **ask}
        there_is = stranger.ask("ban-network", network, **given)  # type: ignore[arg-type]
        is_not = stranger.ask("ban-nothing", network, **given)  # type: ignore[arg-type]
        assert (there_is.status_code, there_is.json()) == (is_not.status_code, is_not.json()), ask
    assert_problem(stranger.ban(network), 404, "unknown_action")
    assert_problem(stranger.get("/actions/ban-network"), 404, "unknown_action")


def test_an_incident_that_nobody_opened_is_named(runbook: Api, network: str) -> None:
    assert_problem(runbook.ban(network, incident="INC-999999999"), 404, "no_incident")
    assert lane(runbook, network) == {}


def test_a_refused_key_tried_again_once_the_right_was_granted_makes_it(
    console: Console, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    name, asker = somebody("auditors")
    key = uuid.uuid4().hex
    assert_problem(asker.ban(network, key=key), 403, "may_not_ask")
    console.join(name, "runbooks")
    made = asker.ban(network, key=key)
    assert (made.status_code, made.json()["changed"]) == (201, True)
    console.leave(name, "runbooks")
    assert asker.ban(network, key=key).status_code == 200
    came = asker.get(f"/requests/{key}").json()["arrivals"]
    assert [a["disposition"] for a in came] == ["refused", "created", "existing"]


def test_a_refused_key_keeps_its_content(
    somebody: Callable[..., tuple[str, Api]], fresh_network: Callable[[], str]
) -> None:
    _, asker = somebody("auditors")
    key = uuid.uuid4().hex
    assert_problem(asker.ban(fresh_network(), key=key), 403, "may_not_ask")
    told = assert_problem(asker.ban(fresh_network(), key=key), 422, "key_reused")
    assert "operation" not in told


# --- stale


def test_a_ban_that_saw_a_generation_since_lifted_is_stale_and_shows_the_lift(
    runbook: Api, network: str
) -> None:
    runbook.ban(network, wait=10)
    lifted = runbook.lift(network, wait=10).json()["operation"]
    told = assert_problem(runbook.ban(network, if_match=1), 412, "moved")
    assert told["disposition"] == "stale"
    assert told["operation"]["ref"] == lifted["ref"]
    assert lane(runbook, network)["generation"] == 2
    assert_problem(runbook.ban(network, seen=0), 412, "moved")


def test_a_lift_that_saw_nothing_there_is_stale_once_there_is_a_ban(
    runbook: Api, network: str
) -> None:
    runbook.ban(network, wait=10)
    assert_problem(runbook.lift(network, seen=0), 412, "moved")


def test_a_guard_is_no_order_what_moved_the_same_way_is_met(runbook: Api, network: str) -> None:
    runbook.ban(network, "24h", wait=10)
    further = runbook.ban(network, "48h", wait=10).json()["operation"]
    told = runbook.ban(network, "24h", if_match=1)
    assert (told.status_code, told.json()["operation"]["ref"]) == (200, further["ref"])


def test_nobody_can_have_seen_a_generation_that_is_yet_to_come(runbook: Api, network: str) -> None:
    runbook.ban(network, wait=10)
    assert_problem(runbook.ban(network, "48h", seen=2), 412, "seen_unknown")
    assert_problem(runbook.ban(network, seen=2**31 - 1), 412, "seen_unknown")


def test_a_runbook_does_not_ban_again_what_a_person_lifted_in_the_same_incident(
    dana: Api, sweeper: Api, network: str
) -> None:
    incident = dana.incident()
    sweeper.ban(network, incident=incident, wait=10)
    lifted = dana.lift(network, incident=incident, wait=10).json()["operation"]
    told = assert_problem(sweeper.ban(network, incident=incident), 412, "against_a_person")
    assert told["operation"]["ref"] == lifted["ref"]
    # Having seen what the person did, it may.
    seen = sweeper.ban(network, incident=incident, if_match=2, wait=10)
    assert (seen.status_code, seen.json()["operation"]["generation"]) == (201, 3)


def prepare(api: Api, name: str, length: str = "24h", **more: object) -> str:
    """A draft's id."""
    body = {
        "action": "ban-network",
        "subject": {"kind": "network", "name": name},
        "params": {"for": length},
        "reason": "a test prepares",
        **more,
    }
    made = api.http.post("/api/v1/drafts", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["draft"])


def confirm(api: Api, draft: str) -> httpx.Response:
    headers = {"Idempotency-Key": draft}
    return api.http.post("/api/v1/operations", json={"draft": draft}, headers=headers)


def test_a_draft_is_confirmed_once_and_told_again(runbook: Api, network: str) -> None:
    draft = prepare(runbook, network)
    assert lane(runbook, network) == {}
    made, again = confirm(runbook, draft), confirm(runbook, draft)
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json()["operation"]["ref"] == again.json()["operation"]["ref"]


def test_a_draft_a_day_old_is_stale_and_one_already_confirmed_is_told(
    console: Console, runbook: Api, fresh_network: Callable[[], str]
) -> None:
    old, confirmed = prepare(runbook, fresh_network()), prepare(runbook, fresh_network())
    made = confirm(runbook, confirmed).json()["operation"]
    for draft in (old, confirmed):
        console.rewrite(
            "draft", "draft_never_changes",
            "created_at = created_at - interval '1 day' WHERE id = %s", draft,
        )  # fmt: skip
    assert_problem(confirm(runbook, old), 412, "draft_old")
    again = confirm(runbook, confirmed)
    assert (again.status_code, again.json()["operation"]["ref"]) == (200, made["ref"])


def test_a_draft_whose_own_end_has_passed_is_stale(runbook: Api, network: str) -> None:
    draft = prepare(runbook, network, "1s")
    told = eventually(
        lambda: (r := runbook.get(f"/drafts/{draft}").json())["would_be"] == "stale" and r,
        what="the end passes",
    )
    assert "has passed" in told["message"]
    assert_problem(confirm(runbook, draft), 412, "draft_old")
    assert lane(runbook, network) == {}


def test_a_draft_whose_plan_has_changed_since_is_stale(
    console: Console, runbook: Api, network: str
) -> None:
    draft = prepare(runbook, network)
    with new_settings_of_the_list(console):
        assert_problem(confirm(runbook, draft), 412, "plan_changed")
    assert confirm(runbook, draft).status_code == 201


@contextmanager
def new_settings_of_the_list(console: Console) -> Iterator[None]:
    """An admin gives the block list new settings meanwhile."""
    with console.database() as owner:
        owner.execute(
            "INSERT INTO realm_version (realm_id, number, settings) SELECT realm_id, number + 1, settings"
            " FROM realm_version WHERE number = 1 ON CONFLICT DO NOTHING"
        )
        owner.execute("UPDATE realm SET version = version + 1 WHERE name = 'edge-blocklist'")
        try:
            yield
        finally:
            owner.execute("UPDATE realm SET version = version - 1 WHERE name = 'edge-blocklist'")


def test_a_draft_made_before_somebody_lifted_is_stale(
    runbook: Api, dana: Api, network: str
) -> None:
    runbook.ban(network, "1h", wait=10)
    draft = prepare(runbook, network, "48h")
    dana.lift(network, wait=10)
    assert_problem(confirm(runbook, draft), 412, "moved")


# --- existing, because what stands is enough


def test_a_second_responder_is_told_it_is_already_done(dana: Api, omar: Api, network: str) -> None:
    made = dana.ban(network, wait=10).json()["operation"]
    told = omar.ban(network)
    assert told.status_code == 200
    assert "Idempotency-Replayed" not in told.headers
    body = told.json()
    assert (body["disposition"], body["changed"], body["in_force"]) == ("existing", False, "yes")
    assert (body["operation"]["ref"], body["operation"]["requested_by"]) == (
        made["ref"],
        made["requested_by"],
    )
    assert made["requested_by"] in body["message"]


def test_who_asks_for_no_end_and_finds_none_is_told_that_it_is_exactly_so(
    dana: Api, omar: Api, network: str
) -> None:
    dana.ask("ban-network", network, {"until": None}, wait=10)
    assert omar.ask("ban-network", network, {"until": None}).json()["exact"] is True
    told = omar.ban(network, "1h").json()
    assert (told["disposition"], told["exact"]) == ("existing", False)
    assert told["operation"]["desired"]["until"] is None


# --- resumed


def test_a_ban_that_failed_is_taken_up_again_by_a_new_key(
    console: Console, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    name, asker = somebody("runbooks")
    ref = a_failed_ban(console, name, asker, network)
    told = asker.ban(network, wait=10)
    assert (told.status_code, told.json()["disposition"]) == (200, "resumed")
    assert (told.json()["changed"], told.json()["operation"]["ref"]) == (True, ref)
    whole = asker.settled(ref)
    assert whole["operation"]["state"] == "succeeded"
    assert [a["outcome"] for a in whole["attempts"]] == ["refused", "applied"]
    assert asker.listed().count(network) == 1


def a_failed_ban(console: Console, name: str, asker: Api, network: str, **more: object) -> str:
    """The ref of a ban that was issued and then refused: the asker lost the right meanwhile."""
    with console.keeper_halted():
        ref = asker.ban(network, **more).json()["operation"]["ref"]  # type: ignore[arg-type]
        console.leave(name, "runbooks")
    eventually(
        lambda: console.value("SELECT state FROM operation WHERE ref = %s", ref) == "failed",
        what="the ban fails",
    )
    console.join(name, "runbooks")
    assert network not in asker.listed()
    return str(ref)


def test_the_old_key_of_a_failed_ban_starts_nothing(
    console: Console, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    name, asker = somebody("runbooks")
    key = uuid.uuid4().hex
    ref = a_failed_ban(console, name, asker, network, key=key)
    told = asker.ban(network, key=key)
    assert (told.status_code, told.headers["Idempotency-Replayed"]) == (200, "true")
    body = told.json()
    assert (body["disposition"], body["changed"], body["in_force"]) == ("existing", False, "no")
    assert (body["operation"]["ref"], body["operation"]["state"]) == (ref, "failed")


def test_a_colleague_takes_up_what_failed_under_rights_of_their_own(
    console: Console, somebody: Callable[..., tuple[str, Api]], omar: Api, network: str
) -> None:
    name, asker = somebody("runbooks")
    ref = a_failed_ban(console, name, asker, network)
    console.leave(name, "runbooks")
    told = omar.ban(network, wait=10).json()
    assert (told["disposition"], told["operation"]["ref"]) == ("resumed", ref)
    assert omar.settled(ref)["operation"]["state"] == "succeeded"
    assert network in omar.listed()


# --- conflict


def test_a_lift_of_a_ban_under_way_is_a_conflict_that_names_it(
    console: Console, dana: Api, omar: Api, network: str
) -> None:
    with console.keeper_halted():
        under_way = dana.ban(network).json()["operation"]
        told = assert_problem(omar.lift(network), 409, "conflict")
        assert told["disposition"] == "conflict"
        assert told["operation"]["ref"] == under_way["ref"]
        assert under_way["requested_by"] in str(told["detail"])
    assert omar.settled(under_way["ref"])["operation"]["state"] == "succeeded"
    assert network in omar.listed()


# --- limits


def test_a_network_too_wide_is_refused_and_kept_as_asked(runbook: Api) -> None:
    for name in ("11.0.0.0/8", "10.0.0.0/15", "2001:db8::/31", "2002:b00::/31"):
        key = uuid.uuid4().hex
        told = assert_problem(runbook.ban(name, key=key), 403, "too_wide")
        assert told["disposition"] == "refused"
        came = runbook.get(f"/requests/{key}").json()["arrivals"]
        assert [(a["disposition"], a["code"]) for a in came] == [("refused", "too_wide")]


def test_nothing_is_promised_while_no_system_could_do_it(
    console: Console, runbook: Api, network: str
) -> None:
    with console.database() as owner:
        owner.execute("UPDATE realm SET enabled = false")
        try:
            assert_problem(runbook.ban(network), 403, "no_realm")
        finally:
            owner.execute("UPDATE realm SET enabled = true")
    assert runbook.ban(network).status_code == 201


# --- created


def test_a_first_request_is_told_all_of_what_it_made(runbook: Api, network: str) -> None:
    incident = runbook.incident()
    made = runbook.ban(network, incident=incident, reason="they scan us")
    assert made.status_code == 201
    assert made.headers["ETag"] == '"1"'
    body = made.json()
    assert (body["disposition"], body["changed"], body["exact"]) == ("created", True, True)
    told = body["operation"]
    assert made.headers["Location"] == f"/api/v1/operations/{told['ref']}"
    assert told["key"] == f"ban-network:network/{network}/32@1"
    assert (told["subject"], told["lane"]) == ({"kind": "network", "name": f"{network}/32"}, "ban")
    assert (told["requested_by"], told["reason"]) == ("runbook", "they scan us")
    assert told["incidents"] == [incident]
    assert told["arrivals"]["count"] == 1
    assert [e["key"].split("#")[0] for e in told["effects"]] == [told["key"]]
    # What the answer told without a third look is what a look shows.
    whole = runbook.settled(told["ref"])["operation"]
    same = ("ref", "key", "action", "subject", "lane", "generation", "reason", "incidents",
            "requested_by", "requested_at", "because", "desired", "url")  # fmt: skip
    assert {field: whole[field] for field in same} == {field: told[field] for field in same}


# --- key closed


def test_a_key_that_led_to_nothing_within_a_day_is_closed(
    console: Console, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    name, asker = somebody("auditors")
    key = uuid.uuid4().hex
    assert_problem(asker.ban(network, key=key), 403, "may_not_ask")
    console.join(name, "runbooks")
    age(console, key)
    told = assert_problem(asker.ban(network, key=key), 412, "key_closed")
    assert told["disposition"] == "stale"
    assert lane(asker, network) == {}
    assert asker.ban(network).status_code == 201


def test_a_key_that_made_something_never_closes(
    console: Console, runbook: Api, network: str
) -> None:
    key = uuid.uuid4().hex
    made = runbook.ban(network, key=key).json()["operation"]
    age(console, key)
    told = runbook.ban(network, key=key)
    assert (told.status_code, told.json()["operation"]["ref"]) == (200, made["ref"])


def age(console: Console, key: str) -> None:
    """A day passes for a key."""
    console.rewrite(
        "request", "request_content_never_changes",
        "first_seen_at = first_seen_at - interval '24 hours' WHERE key = %s", key,
    )  # fmt: skip


# --- not_recorded


def test_what_cannot_be_written_down_is_not_run(
    console: Console, runbook: Api, network: str, tmp_path: Path
) -> None:
    key = uuid.uuid4().hex
    with line_to_database(console.home, tmp_path / "home") as line, web(tmp_path / "home") as url:
        asker = Api(url, runbook.token)
        assert asker.get("/operations").status_code == 200
        line.cut()
        told = assert_problem(asker.ban(network, key=key), 503, "not_recorded")
        assert told["disposition"] == "not_recorded"
        listing = asker.get("/lists/blocked-networks.txt")
        assert (listing.status_code, listing.headers["content-type"].split(";")[0]) == (
            503,
            "text/plain",
        )
        for path in ("/operations", "/operations/op_000000000000", f"/requests/{key}", "/actions"):
            assert_problem(asker.get(path), 503, "not_recorded")
        assert lane(runbook, network) == {}
        assert runbook.get(f"/requests/{key}").status_code == 404
        line.mend()
        assert asker.get("/operations").status_code == 200
        made = asker.ban(network, key=key)
        assert (made.status_code, made.json()["disposition"]) == (201, "created")


def test_the_scopes_that_a_test_s_token_has_are_all_there_are(console: Console) -> None:
    given = console.value(
        "SELECT t.scopes FROM api_token t JOIN caller c ON c.id = t.caller_id WHERE c.username = 'runbook'"
    )
    assert set(EVERYTHING) <= set(given)
