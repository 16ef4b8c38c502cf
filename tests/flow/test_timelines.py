"""What meets and what does not, as time passes and people and runbooks come back (contract §3)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.console_process import Api, Console, eventually
from tests.flow.test_dispositions import a_failed_ban, assert_problem, confirm, lane, prepare

Somebody = Callable[..., tuple[str, Api]]


def in_time(**length: float) -> str:
    return (datetime.now(UTC) + timedelta(**length)).isoformat(timespec="milliseconds")


def generations(api: Api, name: str) -> list[tuple[int, str, str]]:
    """(generation, action, state), oldest first."""
    told = lane(api, name)["operations"]
    return [(o["generation"], o["action"], o["state"]) for o in reversed(told)]  # type: ignore[arg-type]


def events(console: Console, ref: str) -> list[str]:
    rows = console.rows(
        "SELECT e.kind FROM log_event e JOIN operation o ON o.id = e.operation_id"
        " WHERE o.ref = %s ORDER BY e.number",
        ref,
    )
    return [kind for (kind,) in rows]


# --- ends


def test_two_responders_who_choose_a_day_half_a_minute_apart_meet(
    dana: Api, omar: Api, network: str
) -> None:
    made = dana.ask("ban-network", network, {"until": in_time(hours=24, seconds=-30)}).json()
    told = omar.ban(network, "24h")
    assert (told.status_code, told.json()["disposition"]) == (200, "existing")
    assert told.json()["exact"] is False
    assert told.json()["operation"]["ref"] == made["operation"]["ref"]
    assert told.json()["operation"]["desired"]["until"] == made["operation"]["desired"]["until"]


def test_a_day_covers_nine_tenths_of_itself_and_no_less(
    dana: Api, omar: Api, fresh_network: Callable[[], str]
) -> None:
    nearly, too_short = fresh_network(), fresh_network()
    dana.ask("ban-network", nearly, {"until": in_time(hours=21.7)}, wait=10)
    dana.ask("ban-network", too_short, {"until": in_time(hours=21.5)}, wait=10)
    assert omar.ban(nearly, "24h").json()["disposition"] == "existing"
    assert omar.ban(too_short, "24h").json()["disposition"] == "created"


def test_a_moment_that_was_named_is_meant_as_it_was_named(
    dana: Api, omar: Api, network: str
) -> None:
    dana.ask("ban-network", network, {"until": in_time(hours=24, seconds=-30)}, wait=10)
    further = omar.ask("ban-network", network, {"until": in_time(hours=24)})
    assert (further.status_code, further.json()["operation"]["generation"]) == (201, 2)


def test_four_hours_after_a_day_was_given_are_given_already(
    dana: Api, omar: Api, network: str
) -> None:
    made = dana.ban(network, "24h", wait=10).json()["operation"]
    told = omar.ban(network, "4h").json()
    assert (told["disposition"], told["exact"], told["changed"]) == ("existing", False, False)
    assert told["operation"]["desired"]["until"] == made["desired"]["until"]


def test_two_days_go_further_than_one_and_the_first_end_comes_to_nothing(
    console: Console, dana: Api, omar: Api, network: str
) -> None:
    short = dana.ban(network, "24h", wait=10).json()["operation"]
    longer = omar.ban(network, "48h", wait=10).json()
    assert (longer["disposition"], longer["in_force"]) == ("created", "yes")
    console.bring_on_the_end(short["ref"])
    eventually(lambda: "end.void" in events(console, short["ref"]), what="the first end is void")
    assert generations(dana, network) == [
        (1, "ban-network", "succeeded"),
        (2, "ban-network", "succeeded"),
    ]
    assert network in dana.listed()
    note = console.value("SELECT end_note FROM operation WHERE ref = %s", short["ref"])
    assert note == "void"


def test_a_ban_goes_further_while_the_first_is_under_way(
    console: Console, dana: Api, omar: Api, network: str
) -> None:
    with console.keeper_halted():
        first = dana.ban(network, "24h").json()["operation"]
        longer = omar.ban(network, "48h")
        assert (longer.status_code, longer.json()["operation"]["generation"]) == (201, 2)
    assert omar.settled(longer.json()["operation"]["ref"])["operation"]["state"] == "succeeded"
    whole = dana.get(f"/operations/{first['ref']}").json()
    assert whole["operation"]["state"] == "superseded"
    assert [e["state"] for e in whole["operation"]["effects"]] == ["cancelled"]
    assert whole["attempts"] == []


def test_the_end_of_a_ban_lifts_it_once_and_frees_the_lane(
    console: Console, dana: Api, omar: Api, network: str
) -> None:
    key, incident = uuid.uuid4().hex, dana.incident()
    made = dana.ban(network, "1s", key=key, incident=incident, wait=10).json()["operation"]
    eventually(lambda: network not in dana.listed(), what="the ban ends")
    eventually(
        lambda: [s for _, _, s in generations(dana, network)] == ["succeeded"] * 2,
        what="the lift settles",
    )
    newest = lane(dana, network)["operations"][0]  # type: ignore[index]
    assert (newest["because"], newest["requested_by"]) == ("end of @1", "console")
    assert newest["incidents"] == [incident]
    assert "end.issued" in events(console, made["ref"])
    old = dana.ban(network, "1s", key=key, incident=incident)
    assert old.headers["Idempotency-Replayed"] == "true"
    assert old.json()["in_force"] == "no"
    assert old.json()["superseded_by"]["ref"] == newest["ref"]
    # The console is no person: a runbook may ban again in the same incident, and so may anybody.
    again = omar.ban(network, "1h", incident=incident, wait=10).json()
    assert (again["disposition"], again["operation"]["generation"]) == ("created", 3)
    assert [action for _, action, _ in generations(dana, network)] == [
        "ban-network",
        "lift-ban",
        "ban-network",
    ]


# --- opposed


def test_a_lift_that_has_seen_the_ban_under_way_takes_the_lane_and_nothing_was_sent(
    console: Console, sweeper: Api, patcher: Api, network: str
) -> None:
    with console.keeper_halted():
        key = uuid.uuid4().hex
        under_way = sweeper.ban(network, key=key).json()["operation"]
        lifted = patcher.lift(network, if_match=under_way["generation"])
        assert (lifted.status_code, lifted.json()["operation"]["generation"]) == (201, 2)
        told = sweeper.ban(network, key=key).json()
        assert (told["operation"]["state"], told["in_force"]) == ("superseded", "no")
        assert told["superseded_by"]["ref"] == lifted.json()["operation"]["ref"]
    assert patcher.settled(lifted.json()["operation"]["ref"])["operation"]["state"] == "succeeded"
    assert generations(sweeper, network) == [
        (1, "ban-network", "superseded"),
        (2, "lift-ban", "succeeded"),
    ]
    effects = sweeper.get(f"/operations/{under_way['ref']}").json()
    assert [e["state"] for e in effects["operation"]["effects"]] == ["cancelled"]
    assert (effects["attempts"], network in sweeper.listed()) == ([], False)


def test_a_lift_after_the_ban_has_settled_needs_to_have_seen_nothing(
    sweeper: Api, patcher: Api, network: str
) -> None:
    sweeper.ban(network, wait=10)
    lifted = patcher.lift(network, wait=10)
    assert (lifted.status_code, lifted.json()["in_force"]) == (201, "yes")
    assert network not in patcher.listed()


def test_lifting_what_was_never_banned_is_written_down_once(
    sweeper: Api, patcher: Api, network: str
) -> None:
    made = sweeper.lift(network, wait=10)
    told = patcher.lift(network)
    assert (made.status_code, told.status_code) == (201, 200)
    assert told.json()["operation"]["ref"] == made.json()["operation"]["ref"]
    assert made.json()["operation"]["effects"][0]["state"] == "succeeded"


# --- a runbook runs again


def test_a_runbook_run_again_after_success_makes_nothing_in_any_incident(
    sweeper: Api, patcher: Api, network: str
) -> None:
    first, second = sweeper.incident("one"), patcher.incident("two")
    made = sweeper.ban(network, incident=first, wait=10).json()["operation"]
    told = [
        sweeper.ban(network, incident=first),
        sweeper.ban(network),
        patcher.ban(network, incident=second),
        patcher.ban(network, incident=second),
    ]
    assert [t.status_code for t in told] == [200] * 4
    assert {t.json()["operation"]["ref"] for t in told} == {made["ref"]}
    whole = sweeper.get(f"/operations/{made['ref']}").json()
    assert whole["operation"]["incidents"] == sorted([first, second])
    assert [a["incident"] for a in whole["arrivals"]] == [first, first, None, second, second]
    assert len(whole["attempts"]) == 1
    # The operation belongs to every incident that asked for it.
    for incident in (first, second):
        refs = [o["ref"] for o in sweeper.get(f"/incidents/{incident}").json()["operations"]]
        assert refs == [made["ref"]]
        listed = sweeper.get("/operations", incident=incident).json()["operations"]
        assert [o["ref"] for o in listed] == [made["ref"]]


def test_the_incident_of_a_request_that_was_refused_does_not_get_the_operation(
    console: Console, sweeper: Api, patcher: Api, network: str
) -> None:
    incident = patcher.incident()
    with console.keeper_halted():
        made = sweeper.ban(network).json()["operation"]
        assert_problem(patcher.lift(network, incident=incident), 409, "conflict")
    assert sweeper.settled(made["ref"])["operation"]["incidents"] == []
    assert patcher.get(f"/incidents/{incident}").json()["operations"] == []


def test_a_runbook_run_again_after_a_failure_takes_up_what_is_left(
    console: Console, somebody: Somebody, network: str
) -> None:
    name, runbook = somebody("runbooks")
    incident = runbook.incident()
    ref = a_failed_ban(console, name, runbook, network, incident=incident)
    other = runbook.incident("another")
    told = runbook.ban(network, incident=other, wait=10).json()
    assert (told["disposition"], told["operation"]["ref"]) == ("resumed", ref)
    assert runbook.settled(ref)["operation"]["incidents"] == [incident, other]
    assert runbook.ban(network, incident=incident).json()["disposition"] == "existing"
    assert len(runbook.get(f"/operations/{ref}").json()["attempts"]) == 2


def test_ten_runbooks_that_find_it_failed_take_it_up_once(
    console: Console, somebody: Somebody, network: str
) -> None:
    name, runbook = somebody("runbooks")
    ref = a_failed_ban(console, name, runbook, network)
    with console.keeper_halted(), ThreadPoolExecutor(10) as pool:
        told = list(pool.map(lambda _: Api(console.url, runbook.token).ban(network), range(10)))
        dispositions = sorted(t.json()["disposition"] for t in told)
    assert dispositions == ["existing"] * 9 + ["resumed"]
    assert runbook.settled(ref)["operation"]["state"] == "succeeded"
    assert len(runbook.get(f"/operations/{ref}").json()["attempts"]) == 2


def test_a_failed_ban_does_not_stand_in_the_way_of_a_longer_one_or_of_a_lift(
    console: Console, somebody: Somebody, fresh_network: Callable[[], str]
) -> None:
    name, runbook = somebody("runbooks")
    first, second = fresh_network(), fresh_network()
    a_failed_ban(console, name, runbook, first)
    a_failed_ban(console, name, runbook, second)
    longer = runbook.ban(first, "48h", wait=10).json()
    assert (longer["disposition"], longer["operation"]["state"]) == ("created", "succeeded")
    lifted = runbook.lift(second, wait=10).json()
    assert (lifted["disposition"], lifted["operation"]["state"]) == ("created", "succeeded")


def test_a_runbook_meets_a_person_s_lift_by_the_incident(
    dana: Api, sweeper: Api, fresh_network: Callable[[], str]
) -> None:
    mine, other = dana.incident(), sweeper.incident("another")
    names = [fresh_network() for _ in range(3)]
    for name in names:
        sweeper.ban(name, incident=mine, wait=10)
        dana.lift(name, incident=mine, wait=10)
    assert_problem(sweeper.ban(names[0], incident=mine), 412, "against_a_person")
    assert sweeper.ban(names[1], incident=other).status_code == 201
    assert sweeper.ban(names[2]).status_code == 201


def test_a_runbook_does_not_stop_at_what_another_runbook_lifted(
    sweeper: Api, patcher: Api, network: str
) -> None:
    incident = sweeper.incident()
    sweeper.ban(network, incident=incident, wait=10)
    patcher.lift(network, incident=incident, wait=10)
    again = sweeper.ban(network, incident=incident, wait=10)
    assert (again.status_code, again.json()["operation"]["generation"]) == (201, 3)
    assert network in sweeper.listed()


def test_a_runbook_that_sends_what_it_saw_with_every_run_makes_nothing_new(
    sweeper: Api, network: str
) -> None:
    seen, made = 0, []
    for _ in range(4):
        told = sweeper.ban(network, if_match=seen, wait=10)
        made.append(told.status_code)
        etag = sweeper.get("/subjects", kind="network", name=network).headers["ETag"]
        assert etag == told.headers["ETag"]
        seen = int(etag.strip('"'))
    assert made == [201, 200, 200, 200]
    assert len(generations(sweeper, network)) == 1


def test_an_old_key_after_a_lift_and_a_new_ban_says_what_is_so_now(
    sweeper: Api, patcher: Api, network: str
) -> None:
    key = uuid.uuid4().hex
    sweeper.ban(network, key=key, wait=10)
    patcher.lift(network, wait=10)
    assert sweeper.ban(network, key=key).json()["in_force"] == "no"
    third = patcher.ban(network, "48h", wait=10).json()["operation"]
    told = sweeper.ban(network, key=key).json()
    # Blocked is what it wanted, and blocked it is, whoever brought that about.
    assert (told["operation"]["generation"], told["in_force"]) == (1, "yes")
    assert told["superseded_by"]["ref"] == third["ref"]
    assert sweeper.get(f"/requests/{key}").json()["superseded_by"]["ref"] == third["ref"]


# --- again


def test_ordering_again_makes_the_next_generation_and_says_after_which(
    dana: Api, network: str
) -> None:
    dana.ban(network, wait=10)
    again = dana.ban(network, again=True, seen=1, reason="the firewall lost it", wait=10).json()
    assert (again["disposition"], again["operation"]["generation"]) == ("created", 2)
    assert again["operation"]["because"] == "again after @1"
    assert again["operation"]["effects"][0]["found"] == "so_already"


def test_two_who_order_it_again_from_the_same_generation_meet(
    console: Console, dana: Api, omar: Api, network: str
) -> None:
    dana.ban(network, wait=10)

    def order(number: int) -> Any:
        person = (dana, omar)[number % 2]
        api = Api(console.url, person.token)
        return api.ban(network, again=True, seen=1, reason=f"it was lost, says {number}")

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(order, range(8)))
    assert sorted(t.status_code for t in told) == [200] * 7 + [201]
    assert {t.json()["operation"]["generation"] for t in told} == {2}
    assert len(generations(dana, network)) == 2


def test_ordering_again_without_having_seen_or_with_the_old_reason_is_refused(
    dana: Api, network: str
) -> None:
    dana.ban(network, reason="they scan us", wait=10)
    assert_problem(dana.ban(network, again=True, reason="lost"), 422, "again_needs_seen")
    told = dana.ban(network, again=True, seen=1, reason="  they   scan us ")
    assert_problem(told, 422, "again_needs_reason")
    assert len(generations(dana, network)) == 1


def test_a_key_that_ordered_again_is_told_its_own_when_sent_again(dana: Api, network: str) -> None:
    dana.ban(network, wait=10)
    key = uuid.uuid4().hex
    order = {"again": True, "seen": 1, "reason": "the firewall lost it", "key": key}
    made, told = dana.ban(network, **order), dana.ban(network, **order)  # type: ignore[arg-type]
    assert (made.status_code, told.status_code) == (201, 200)
    assert len(generations(dana, network)) == 2


# --- networks that overlap


def test_a_lift_under_a_wider_ban_says_that_it_is_still_blocked(
    dana: Api, omar: Api, wide: str
) -> None:
    around, inside = f"{wide}.0/24", f"{wide}.7"
    dana.ban(inside, wait=10)
    by = dana.ban(around, wait=10).json()["operation"]
    lifted = omar.lift(inside, wait=10).json()
    assert (lifted["disposition"], lifted["in_force"]) == ("created", "no")
    assert lifted["overlaps"] == [{"network": around, "operation": by["ref"], "is": "wider"}]
    assert inside not in omar.listed()
    assert around in omar.listed()
    # Once the wider one is gone, the lift is true of the address.
    omar.lift(around, wait=10)
    told = omar.lift(inside).json()
    assert (told["disposition"], told["in_force"]) == ("existing", "yes")


def test_a_ban_of_one_address_under_a_banned_network_is_its_own_and_in_force_at_once(
    console: Console, dana: Api, omar: Api, wide: str
) -> None:
    around, inside = f"{wide}.0/24", f"{wide}.9"
    dana.ban(around, "1h", wait=10)
    with console.keeper_halted():
        made = omar.ban(inside, "24h").json()
        assert (made["disposition"], made["in_force"]) == ("created", "yes")
        assert [o["network"] for o in made["overlaps"]] == [around]
    omar.settled(made["operation"]["ref"])
    dana.lift(around, wait=10)
    assert [n for n in (inside, around) if n in dana.listed()] == [inside]
    told = dana.get(f"/operations/{made['operation']['ref']}").json()
    assert told["in_force"] == "yes"


def test_an_old_ban_is_in_force_by_the_address_even_after_its_own_lift(
    sweeper: Api, patcher: Api, wide: str
) -> None:
    key = uuid.uuid4().hex
    sweeper.ban(f"{wide}.3", key=key, wait=10)
    patcher.lift(f"{wide}.3", wait=10)
    assert sweeper.ban(f"{wide}.3", key=key).json()["in_force"] == "no"
    patcher.ban(f"{wide}.0/24", wait=10)
    told = sweeper.ban(f"{wide}.3", key=key).json()
    assert told["in_force"] == "yes"
    assert [o["is"] for o in told["overlaps"]] == ["wider"]


def test_the_preview_of_a_wide_ban_names_what_it_would_cover(
    dana: Api, omar: Api, wide: str
) -> None:
    for last in (1, 2):
        dana.ban(f"{wide}.{last}", wait=10)
    dana.ban(f"{wide}.3", wait=10)
    dana.lift(f"{wide}.3", wait=10)
    body = {
        "action": "ban-network",
        "subject": {"kind": "network", "name": f"{wide}.0/24"},
        "params": {"for": "1h"},
        "reason": "all of it",
    }
    shown = omar.http.post("/api/v1/drafts", json=body).json()
    assert [(o["network"], o["is"]) for o in shown["overlaps"]] == [
        (f"{wide}.1/32", "narrower"),
        (f"{wide}.2/32", "narrower"),
    ]
    assert (shown["changed"], shown["would_be"], shown["seen"]) == (False, "created", 0)
    assert f"{wide}.0/24" not in omar.listed()
    # A narrower ban does not make the whole network blocked.
    made = confirm(omar, shown["draft"])
    assert (made.status_code, made.json()["in_force"]) == (201, "no")


def test_a_draft_made_while_somebody_else_bans_meets_the_ban(
    dana: Api, omar: Api, network: str
) -> None:
    draft = prepare(omar, network)
    made = dana.ban(network, wait=10).json()["operation"]
    told = confirm(omar, draft)
    assert (told.status_code, told.json()["operation"]["ref"]) == (200, made["ref"])
    assert omar.get(f"/drafts/{draft}").json()["would_be"] == "existing"


# --- nobody came for it


def test_what_nobody_took_up_for_a_quarter_of_an_hour_must_be_asked_for_again(
    console: Console, sweeper: Api, patcher: Api, network: str
) -> None:
    with console.keeper_halted():
        key = uuid.uuid4().hex
        late = sweeper.ban(network, key=key).json()["operation"]
        a_quarter_of_an_hour_passes(console, late["ref"])
    told = eventually(
        lambda: (o := sweeper.get(f"/operations/{late['ref']}").json()["operation"])["state"]
        == "expired" and o,
        what="it expires",
    )  # fmt: skip
    assert [e["state"] for e in told["effects"]] == ["cancelled"]
    # The key that made it is told so, truthfully; a new one makes the next generation.
    old = sweeper.ban(network, key=key).json()
    assert (old["operation"]["state"], old["in_force"]) == ("expired", "no")
    made = patcher.ban(network, wait=10).json()
    assert (made["disposition"], made["operation"]["generation"]) == ("created", 2)
    assert network in patcher.listed()


def a_quarter_of_an_hour_passes(console: Console, ref: str) -> None:
    """For an operation that nobody has begun; called while the keeper stands still."""
    console.rewrite(
        "operation", "operation_intent_never_changes",
        "requested_at = requested_at - interval '16 minutes',"
        " approved_at = approved_at - interval '16 minutes' WHERE ref = %s", ref,
    )  # fmt: skip
    with console.database() as owner:  # so that the keeper does not take it up on its first look
        owner.execute(
            "UPDATE effect SET run_at = now() + interval '1 hour'"
            " WHERE operation_id = (SELECT id FROM operation WHERE ref = %s)",
            [ref],
        )


def test_a_lift_that_nobody_took_up_in_time_leaves_the_ban_its_end(
    console: Console, dana: Api, omar: Api, network: str
) -> None:
    banned = dana.ban(network, wait=10).json()["operation"]
    with console.keeper_halted():
        lifted = omar.lift(network).json()["operation"]
        a_quarter_of_an_hour_passes(console, lifted["ref"])
        console.bring_on_the_end(banned["ref"])
    eventually(lambda: network not in dana.listed(), what="the ban ends")
    told = eventually(
        lambda: (g := generations(dana, network))[-1][2] == "succeeded" and g, what="it settles"
    )
    assert told == [
        (1, "ban-network", "succeeded"),
        (2, "lift-ban", "expired"),
        (3, "lift-ban", "succeeded"),
    ]


def test_a_ban_still_covers_once_a_lift_of_it_came_to_nothing(
    console: Console, dana: Api, omar: Api, network: str
) -> None:
    banned = dana.ban(network, "24h", wait=10).json()["operation"]
    with console.keeper_halted():
        lifted = omar.lift(network).json()["operation"]
        a_quarter_of_an_hour_passes(console, lifted["ref"])
    dana.settled(lifted["ref"])
    told = dana.ban(network, "1h").json()
    assert (told["disposition"], told["exact"], told["in_force"]) == ("existing", False, "yes")
    assert told["operation"]["ref"] == banned["ref"]
    assert "superseded_by" not in told
    assert "superseded_by" not in dana.get(f"/operations/{banned['ref']}").json()
    again = omar.lift(network, wait=10).json()
    assert (again["disposition"], again["operation"]["generation"]) == ("created", 3)


def test_a_ban_still_covers_once_a_lift_of_it_failed(
    console: Console, dana: Api, somebody: Somebody, network: str
) -> None:
    banned = dana.ban(network, "24h", wait=10).json()["operation"]
    name, runbook = somebody("runbooks")
    with console.keeper_halted():
        lifted = runbook.lift(network).json()["operation"]
        console.leave(name, "runbooks")
    assert dana.settled(lifted["ref"])["operation"]["state"] == "failed"
    told = dana.ban(network, "1h").json()
    assert (told["disposition"], told["operation"]["ref"]) == ("existing", banned["ref"])
    finished = dana.lift(network, wait=10).json()
    assert (finished["disposition"], finished["operation"]["ref"]) == ("resumed", lifted["ref"])
    assert network not in dana.listed()


def test_a_short_ban_does_not_take_up_a_longer_one_that_failed(
    console: Console, dana: Api, somebody: Somebody, network: str
) -> None:
    banned = dana.ban(network, "24h", wait=10).json()["operation"]
    name, runbook = somebody("runbooks")
    with console.keeper_halted():
        longer = runbook.ban(network, "48h").json()["operation"]
        console.leave(name, "runbooks")
    assert dana.settled(longer["ref"])["operation"]["state"] == "failed"
    told = dana.ban(network, "1h").json()
    assert (told["disposition"], told["operation"]["ref"]) == ("existing", banned["ref"])
    told = dana.ban(network, "48h", wait=10).json()
    assert (told["disposition"], told["operation"]["ref"]) == ("resumed", longer["ref"])


def test_a_lift_that_failed_leaves_the_ban_its_end(
    console: Console, dana: Api, somebody: Somebody, network: str
) -> None:
    banned = dana.ban(network, wait=10).json()["operation"]
    name, runbook = somebody("runbooks")
    with console.keeper_halted():
        lifted = runbook.lift(network).json()["operation"]
        console.leave(name, "runbooks")
    assert dana.settled(lifted["ref"])["operation"]["state"] == "failed"
    console.bring_on_the_end(banned["ref"])
    eventually(lambda: network not in dana.listed(), what="the ban ends")
    told = eventually(
        lambda: (g := generations(dana, network))[-1][2] == "succeeded" and g, what="it settles"
    )
    assert [state for _, _, state in told] == ["succeeded", "failed", "succeeded"]


def test_the_end_of_what_nobody_took_up_ends_nothing(
    console: Console, dana: Api, network: str
) -> None:
    dana.ask("ban-network", network, {"until": None}, wait=10)
    with console.keeper_halted():
        order = {"again": True, "seen": 1, "reason": "for a moment only"}
        late = dana.ban(network, "1s", **order).json()["operation"]  # type: ignore[arg-type]
        a_quarter_of_an_hour_passes(console, late["ref"])
        over = "SELECT ends_at <= now() FROM operation WHERE ref = %s"
        eventually(lambda: console.value(over, late["ref"]), what="its own end has passed, too")
    eventually(lambda: "end.void" in events(console, late["ref"]), what="its end is void")
    assert [s for _, _, s in generations(dana, network)] == ["succeeded", "expired"]
    assert network in dana.listed()


def test_what_a_person_banned_may_be_taken_back_by_whoever_has_the_right(
    dana: Api, sweeper: Api, network: str
) -> None:
    incident = dana.incident()
    dana.ban(network, incident=incident, wait=10)
    lifted = sweeper.lift(network, incident=incident, wait=10)
    assert (lifted.status_code, lifted.json()["operation"]["generation"]) == (201, 2)


def test_what_a_key_was_told_of_its_end_it_is_told_again(
    dana: Api, omar: Api, fresh_network: Callable[[], str]
) -> None:
    short, long, named = (uuid.uuid4().hex for _ in range(3))
    name, end = fresh_network(), in_time(hours=20)
    for _ in range(2):
        assert dana.ban(name, "24h", key=long).json()["exact"] is True
        assert omar.ban(name, "4h", key=short).json()["exact"] is False
        told = omar.ask("ban-network", name, {"until": end}, key=named).json()
        assert (told["disposition"], told["exact"]) == ("existing", False)


def test_a_draft_that_two_confirm_makes_one(dana: Api, omar: Api, network: str) -> None:
    draft = prepare(dana, network)
    made, told = confirm(omar, draft), confirm(dana, draft)
    assert (made.status_code, told.status_code) == (201, 200)
    assert made.json()["operation"]["ref"] == told.json()["operation"]["ref"]
    assert len(generations(dana, network)) == 1


# --- a second list


@contextmanager
def a_second_list(console: Console) -> Iterator[None]:
    """An admin sets up one more list, whom everybody who asks may ask; and takes it away again."""
    with console.database() as owner:
        owner.execute("UPDATE realm SET enabled = true WHERE name = 'dmz-blocklist'")
        owner.execute(
            "INSERT INTO realm (id, name, title, connector, version, enabled)"
            " VALUES (gen_random_uuid(), 'dmz-blocklist', 'DMZ', 'blocklist', 1, true)"
            " ON CONFLICT DO NOTHING"
        )
        owner.execute(
            "INSERT INTO realm_version (realm_id, number, settings)"
            """ SELECT id, 1, '{"list": "dmz-networks"}' FROM realm WHERE name = 'dmz-blocklist'"""
            " ON CONFLICT DO NOTHING"
        )
        grant_the_second_list(owner)
        try:
            yield
        finally:
            owner.execute("UPDATE realm SET enabled = false WHERE name = 'dmz-blocklist'")


def grant_the_second_list(owner: Any) -> None:
    owner.execute(
        "INSERT INTO realm_group_grant (group_id, permission_id, content_object_id)"
        " SELECT g.group_id, g.permission_id, (SELECT id FROM realm WHERE name = 'dmz-blocklist')"
        " FROM realm_group_grant g JOIN realm r ON r.id = g.content_object_id"
        " WHERE r.name = 'edge-blocklist' ON CONFLICT DO NOTHING"
    )


def test_a_list_set_up_later_is_reached_by_asking_again(
    console: Console, dana: Api, omar: Api, network: str
) -> None:
    dana.ban(network, "24h", wait=10)
    with a_second_list(console):
        made = omar.ban(network, "24h", wait=10).json()
        assert (made["disposition"], made["operation"]["generation"]) == ("created", 2)
        effects = {e["realm"]: (e["state"], e["found"]) for e in made["operation"]["effects"]}
        assert effects == {
            "dmz-blocklist": ("succeeded", "changed"),
            "edge-blocklist": ("succeeded", "so_already"),
        }
        assert network in omar.listed("dmz-networks")
        assert dana.ban(network, "24h").json()["disposition"] == "existing"
        lifted = dana.lift(network, wait=10).json()
        assert (lifted["operation"]["state"], lifted["in_force"]) == ("succeeded", "yes")
        assert network not in omar.listed("dmz-networks") + omar.listed()


def test_a_ban_that_one_list_refused_is_finished_there_alone(
    console: Console, somebody: Somebody, network: str
) -> None:
    _, runbook = somebody("runbooks")
    with a_second_list(console), console.database() as owner:
        with console.keeper_halted():
            ref = runbook.ban(network, key="k" * 20).json()["operation"]["ref"]
            owner.execute(
                "DELETE FROM realm_group_grant g USING realm r, auth_group a"
                " WHERE r.id = g.content_object_id AND r.name = 'dmz-blocklist'"
                " AND a.id = g.group_id AND a.name = 'runbooks'"
            )
        told = runbook.settled(ref)["operation"]
        assert (told["state"], told["result"]) == ("partial", {"done": 1, "of": 2})
        assert_problem(runbook.ban(network), 403, "may_not_ask_realm")
        grant_the_second_list(owner)
        same_key = runbook.ban(network, key="k" * 20).json()
        assert (same_key["disposition"], same_key["in_force"]) == ("existing", "no")
        again = runbook.ban(network, wait=10).json()
        assert (again["disposition"], again["operation"]["ref"]) == ("resumed", ref)
        whole = runbook.settled(ref)
        assert (whole["operation"]["state"], whole["in_force"]) == ("succeeded", "yes")
        tried = [(a["effect__realm__name"], a["outcome"]) for a in whole["attempts"]]
        assert tried == [
            ("dmz-blocklist", "refused"),
            ("dmz-blocklist", "applied"),
            ("edge-blocklist", "applied"),
        ]
        runbook.lift(network, wait=10)


def test_a_ban_ends_on_every_list_that_it_was_put_on(
    console: Console, dana: Api, network: str
) -> None:
    with a_second_list(console):
        made = dana.ban(network, wait=10).json()["operation"]
        assert network in dana.listed("dmz-networks")
        console.bring_on_the_end(made["ref"])
        eventually(
            lambda: network not in dana.listed("dmz-networks") + dana.listed(), what="both end"
        )
