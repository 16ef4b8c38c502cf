"""Finish, cancel, decide and undo over HTTP, against a console whose keeper is at work."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx

from tests.console_process import Api, Console, eventually

PROBLEM = "application/problem+json"


def post(api: Api, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return api.http.post(f"/api/v1/operations{path}", json=body, headers=headers)


def together(*calls: Callable[[], httpx.Response]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [f.result().json() for f in [pool.submit(call) for call in calls]]


def banned(api: Api, network: str) -> str:
    ref = str(api.ban(network).json()["operation"]["ref"])
    assert api.settled(ref)["operation"]["state"] == "succeeded"
    return ref


def brought_to(console: Console, api: Api, network: str, state: str) -> tuple[str, int]:
    """A ban whose one effect was refused, or cannot be known: its ref, and the effect's number."""
    with console.keeper_halted():
        ref = str(api.ban(network).json()["operation"]["ref"])
        (effect,) = console.rows(
            "SELECT e.id FROM effect e JOIN operation o ON o.id = e.operation_id WHERE o.ref = %s",
            ref,
        )[0]
        steps = (
            ["executing", "in_doubt", "parked"] if state == "parked" else ["executing", "failed"]
        )
        with console.database() as at:
            at.execute("UPDATE operation SET state = 'running' WHERE ref = %s", [ref])
            for step in steps:
                at.execute(
                    "UPDATE effect SET state = %(to)s::text, lease_until = CASE %(to)s::text WHEN 'executing'"
                    " THEN now() + interval '1 hour' END, doubt_until = CASE %(to)s::text WHEN 'in_doubt'"
                    " THEN now() + interval '1 hour' END WHERE id = %(id)s",
                    {"to": step, "id": effect},
                )
            at.execute("UPDATE operation SET state = %s WHERE ref = %s", [state, ref])
    return ref, effect


def test_two_responders_finish_it_and_it_runs_once(
    console: Console, dana: Api, omar: Api, network: str
) -> None:
    ref, _ = brought_to(console, dana, network, "failed")
    with console.keeper_halted():
        told = together(*(lambda api=api: post(api, f"/{ref}/finish") for api in (dana, omar)))
    assert sorted(t["disposition"] for t in told) == ["existing", "resumed"]
    assert sorted(t["changed"] for t in told) == [False, True]
    assert dana.settled(ref)["operation"]["state"] == "succeeded"
    assert network in " ".join(dana.listed())


def test_a_verb_sent_again_under_its_key_is_told_what_it_did(
    console: Console, dana: Api, network: str
) -> None:
    ref, _ = brought_to(console, dana, network, "failed")
    key = uuid.uuid4().hex
    first = post(dana, f"/{ref}/finish", key=key)
    again = post(dana, f"/{ref}/finish", key=key)
    other = post(dana, f"/{ref}/cancel", key=key)
    assert (first.status_code, first.json()["disposition"]) == (200, "resumed")
    assert (again.status_code, again.json()["disposition"]) == (200, "existing")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert other.headers["Content-Type"] == PROBLEM


def test_a_verb_needs_a_key_and_a_body_that_says_nothing_else(dana: Api, network: str) -> None:
    ref = banned(dana, network)
    without = dana.http.post(f"/api/v1/operations/{ref}/finish")
    assert (without.status_code, without.json()["code"]) == (400, "bad_key")
    more = post(dana, f"/{ref}/finish", {"force": True})
    assert (more.status_code, more.json()["code"], more.json()["changed"]) == (
        422,
        "bad_body",
        False,
    )
    assert post(dana, f"/{ref}/finish", {}).status_code == 200
    unsaid = post(dana, f"/{ref}/undo", {})
    assert (unsaid.status_code, unsaid.json()["code"]) == (422, "no_reason")
    odd = post(dana, f"/{ref}/effects/1/decide", {"to": "cancelled", "reason": "x"})
    assert (odd.status_code, odd.json()["code"]) == (422, "bad_body")
    assert post(dana, f"/{ref}/effects/{10**30}/decide", {}).status_code == 422


def test_what_may_not_be_seen_is_not_there(
    dana: Api, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    ref = banned(dana, network)
    _, stranger = somebody()
    for api, named in ((stranger, ref), (dana, "op_0000000000000")):
        for path, body in (
            ("finish", None),
            ("cancel", None),
            ("undo", {"reason": "x"}),
            ("effects/1/decide", {"to": "failed", "reason": "x"}),
        ):
            told = post(api, f"/{named}/{path}", body)
            assert (told.status_code, told.json()["code"]) == (404, "no_operation"), path
            assert told.json()["detail"] == (
                "There is no such operation that you may see. Nothing changed."
            )
    nobody = post(Api(str(dana.http.base_url), "sh_nobody"), f"/{ref}/finish")
    assert nobody.status_code == 401


def test_what_has_begun_says_that_it_can_be_undone(dana: Api, network: str) -> None:
    ref = banned(dana, network)
    told = post(dana, f"/{ref}/cancel")
    assert (told.status_code, told.json()["code"]) == (409, "begun")
    assert told.json()["undo"] == f"/api/v1/operations/{ref}/undo"


def test_cancel_against_the_keeper_is_whole_either_way(
    console: Console, dana: Api, omar: Api, fresh_network: Callable[[], str]
) -> None:
    outcomes = []
    for _ in range(12):
        network = fresh_network()
        ref = dana.ban(network).json()["operation"]["ref"]
        told = post(omar, f"/{ref}/cancel").json()
        came_to = dana.settled(ref)["operation"]
        tries = sum(effect["attempts"] for effect in came_to["effects"])
        outcomes.append(told["changed"])
        if told["changed"]:
            assert (came_to["state"], tries) == ("cancelled", 0)
        else:
            assert (told["code"], came_to["state"], tries) == ("begun", "succeeded", 1)
    assert len(outcomes) == 12


def test_two_who_undo_at_once_make_one_undo(dana: Api, omar: Api, network: str) -> None:
    ref = banned(dana, network)
    body = {"reason": "it was ours"}
    told = together(*(lambda api=api: post(api, f"/{ref}/undo", body) for api in (dana, omar)))
    assert sorted(t["disposition"] for t in told) == ["created", "existing"]
    (undo,) = {t["operation"]["ref"] for t in told}
    assert dana.settled(undo)["operation"]["state"] == "succeeded"
    assert dana.get(f"/operations/{undo}").json()["operation"]["undoes"] == ref
    assert dana.get(f"/operations/{ref}").json()["in_force"] == "no"
    assert f"{network}/32" not in dana.listed()


def test_a_person_decides_what_is_parked_and_a_runbook_does_not(
    console: Console, dana: Api, omar: Api, sweeper: Api, network: str
) -> None:
    ref, effect = brought_to(console, dana, network, "parked")
    path, body = f"/{ref}/effects/{effect}/decide", {"to": "ready", "reason": "not on the list"}
    machine = post(sweeper, path, body)
    assert (machine.status_code, machine.json()["code"]) == (403, "not_a_person")
    shown = dana.get(f"/operations/{ref}").json()["operation"]
    assert (shown["state"], shown["effects"][0]["n"]) == ("parked", effect)
    told = post(omar, path, body)
    assert (told.status_code, told.json()["disposition"]) == (200, "resumed")
    assert dana.settled(ref)["operation"]["state"] == "succeeded"
    late = post(dana, path, {**body, "to": "failed"})
    assert (late.status_code, late.json()["disposition"], late.json()["changed"]) == (
        200,
        "existing",
        False,
    )
    assert "omar decided this already" in late.json()["message"]


def test_the_keeper_goes_on_where_a_person_said_that_it_is_in_place(
    console: Console, dana: Api, network: str
) -> None:
    ref, effect = brought_to(console, dana, network, "parked")
    told = post(dana, f"/{ref}/effects/{effect}/decide", {"to": "succeeded", "reason": "seen"})
    assert told.json()["operation"]["state"] == "succeeded"
    assert eventually(lambda: dana.get(f"/operations/{ref}").json()["in_force"] == "yes")


def test_rights_withdrawn_meanwhile_count(
    console: Console, dana: Api, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    ref, _ = brought_to(console, dana, network, "failed")
    name, api = somebody("responders", kind="person")
    console.leave(name, "responders")
    assert post(api, f"/{ref}/finish").status_code == 404
    console.join(name, "responders")
    assert post(api, f"/{ref}/finish").status_code == 200
