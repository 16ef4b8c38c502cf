"""Drift, with real processes: somebody takes a line off the list behind the console's back."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.console_process import Api, Console, eventually


def delete_behind_our_back(console: Console, network: str) -> None:
    console.rows("DELETE FROM blocklist_entry WHERE network = %s::cidr RETURNING 1", network)


def test_whoever_repeats_a_ban_that_was_taken_away_puts_it_back(
    console: Console, runbook: Api, dana: Api, network: str
) -> None:
    runbook.ban(network, wait=10)
    delete_behind_our_back(console, network)
    told = dana.ban(network, wait=10).json()
    assert (told["disposition"], told["in_force"]) == ("created", "yes")
    made = told["operation"]
    assert (made["generation"], made["because"]) == (2, "drift of @1")
    assert made["requested_by"] == "dana"
    assert network in runbook.listed()


def test_twenty_repeats_at_once_put_it_back_once(
    console: Console, runbook: Api, dana: Api, network: str
) -> None:
    runbook.ban(network, wait=10)
    delete_behind_our_back(console, network)
    dana.http.post(f"/api/v1/operations/{ref_of(runbook, network)}/check")
    with ThreadPoolExecutor(20) as pool:
        told = [one.json() for one in pool.map(lambda _: dana.ban(network), range(20))]
    assert sorted(one["disposition"] for one in told) == ["created"] + ["existing"] * 19
    assert {one["operation"]["generation"] for one in told} == {2}


def ref_of(api: Api, network: str) -> str:
    lanes = api.get("/subjects", kind="network", name=network).json()["lanes"]
    return str(lanes[0]["operations"][0]["ref"])


def test_the_same_key_again_says_no_and_starts_nothing(
    console: Console, runbook: Api, fresh_network: Callable[[], str]
) -> None:
    name, key = fresh_network(), "drift-" + "k" * 20 + fresh_network()
    runbook.ban(name, key=key, wait=10)
    delete_behind_our_back(console, name)
    again = runbook.ban(name, key=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json()["in_force"] == "no"
    assert again.json()["read_at"] is not None
    lanes = runbook.get("/subjects", kind="network", name=name).json()["lanes"]
    assert len(lanes[0]["operations"]) == 1


def test_check_tells_how_it_stands_and_changes_nothing(
    console: Console, runbook: Api, network: str
) -> None:
    ref = runbook.ban(network, wait=10).json()["operation"]["ref"]
    told = runbook.http.post(f"/api/v1/operations/{ref}/check").json()
    assert (told["changed"], told["checked"], told["in_force"]) == (False, True, "yes")
    (effect,) = told["operation"]["effects"]
    assert effect["reads_as"] == "blocked"
    assert effect["read_at"] == told["operation"]["verified_at"] == told["read_at"]
    shown = runbook.get(f"/operations/{ref}").json()["operation"]["effects"]
    assert shown[0]["read_at"] == effect["read_at"]


def test_a_draft_says_how_it_stands_now(runbook: Api, network: str) -> None:
    asked = {
        "action": "ban-network",
        "subject": {"kind": "network", "name": network},
        "params": {"for": "1h"},
        "reason": "look first",
    }
    (state,) = runbook.http.post("/api/v1/drafts", json=asked).json()["state_read"]
    assert (state["reads_as"], state["now"], state["message"]) == ("not blocked", True, None)
    runbook.ban(network, wait=10)


def test_with_no_keeper_a_repeat_is_answered_soon_by_what_is_known(
    console: Console, runbook: Api, dana: Api, network: str
) -> None:
    runbook.ban(network, wait=10)
    with console.keeper_halted():
        began = time.monotonic()
        told = dana.ban(network)
        took = time.monotonic() - began
        assert took > 1.4
        assert (told.json()["disposition"], told.json()["in_force"]) == ("existing", "yes")
        began = time.monotonic()
        dana.ban(network)
        assert time.monotonic() - began < took, "a look that nobody takes is waited for once"
    due = "SELECT count(*) FROM reading WHERE name LIKE %s AND (taken_at IS NULL OR taken_at < asked_at)"
    eventually(lambda: not console.value(due, f"{network}%"), what="the keeper reads")
    assert dana.ban(network).json()["read_at"] is not None
