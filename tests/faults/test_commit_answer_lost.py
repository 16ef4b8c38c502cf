"""The line to PostgreSQL breaks while a request is being written: what is told is true."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx2 as httpx
import pytest

from tests.console_process import Api, Console, eventually
from tests.faults.beside import Line, line_to_database, web
from tests.faults.test_web_killed import assert_once


@dataclass
class Far:
    """A console whose database is at the other end of a line."""

    line: Line
    api: Api
    url: str


@pytest.fixture(scope="module")
def far(console: Console, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    home = tmp_path_factory.mktemp("far") / "home"
    with line_to_database(console.home, home) as line, web(home) as url:
        yield Far(line, Api(url, console.token), url)


@pytest.fixture(autouse=True)
def _mended(far: Far) -> Iterator[None]:
    far.line.lose, far.line.gone_after, far.line.lost = "", False, 0
    far.line.meanwhile = lambda: None
    far.line.mend()
    yield
    far.line.mend()


def test_a_request_whose_commit_was_not_heard_of_is_told_that_it_was_made(
    console: Console, far: Far, runbook: Api, network: str
) -> None:
    key, far.line.lose = uuid.uuid4().hex, "answer"
    made = far.api.ban(network, key=key)
    assert far.line.lost == 1
    assert made.status_code == 201
    told = made.json()
    assert (told["disposition"], told["changed"]) == ("created", True)
    assert "Idempotency-Replayed" not in made.headers
    assert told["operation"]["arrivals"]["count"] == 1
    assert_once(console, runbook, told["operation"]["ref"], network, 1)
    assert far.api.ban(network, key=key).json()["operation"]["ref"] == told["operation"]["ref"]


def test_a_request_that_never_reached_the_database_is_written_on_a_new_line(
    console: Console, far: Far, runbook: Api, network: str
) -> None:
    far.line.lose = "write"
    made = far.api.ban(network)
    assert (far.line.lost, made.status_code) == (1, 201)
    assert_once(console, runbook, made.json()["operation"]["ref"], network, 1)


def test_a_repeat_whose_commit_was_not_heard_of_is_counted_once(
    console: Console, far: Far, runbook: Api, network: str
) -> None:
    key = uuid.uuid4().hex
    ref = far.api.ban(network, key=key, wait=10).json()["operation"]["ref"]
    for number, again in enumerate((key, uuid.uuid4().hex), 2):
        far.line.lose = "answer"
        told = far.api.ban(network, key=again)
        assert (told.status_code, told.json()["changed"]) == (200, False)
        assert told.json()["operation"]["ref"] == ref
        assert told.json()["operation"]["arrivals"]["count"] == number
    assert far.line.lost == 2
    assert_once(console, runbook, ref, network, 3)


def test_a_refusal_whose_commit_was_not_heard_of_is_told_as_a_refusal(
    console: Console, far: Far, runbook: Api, network: str
) -> None:
    with console.keeper_halted():
        runbook.ban(network)
        far.line.lose = "answer"
        told = far.api.lift(network)
        assert (told.status_code, told.json()["code"]) == (409, "conflict")
    far.line.lose = "answer"
    too_wide = far.api.ban("11.0.0.0/8")
    assert (too_wide.status_code, too_wide.json()["code"]) == (403, "too_wide")
    far.line.lose = "answer"
    unknown = far.api.ban(network, incident="INC-999999999")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "no_incident")
    assert far.line.lost == 3


def test_a_conflict_whose_answer_was_lost_is_told_though_it_has_passed(
    console: Console, far: Far, runbook: Api, network: str
) -> None:
    """What was written down is what is told; it is not judged anew behind the caller's back."""
    with console.keeper_halted():
        ref = runbook.ban(network).json()["operation"]["ref"]

        def settle() -> None:
            os.kill(console.state["children"]["keeper_0"], signal.SIGCONT)
            runbook.settled(ref)

        far.line.meanwhile, far.line.lose = settle, "answer"
        key = uuid.uuid4().hex
        told = far.api.lift(network, key=key)
    assert (far.line.lost, told.status_code, told.json()["code"]) == (1, 409, "conflict")
    assert (told.json()["disposition"], told.json()["changed"]) == ("conflict", False)
    assert network in runbook.listed()
    # Sent again, it is judged again.
    assert far.api.lift(network, key=key).status_code == 201


def test_a_write_that_is_committed_long_after_its_line_was_lost_is_not_written_twice(
    console: Console, far: Far, runbook: Api, network: str
) -> None:
    """The server is still waiting with the first write when the request tries again."""
    key, answers = uuid.uuid4().hex, []
    with console.database() as owner, owner.transaction(force_rollback=True):
        # Somebody else holds this key for a while, and then lets go of it.
        owner.execute(
            "INSERT INTO request (caller_id, key, fingerprint, rules, first_seen_at)"
            " SELECT id, %s, '', 1, now() FROM caller WHERE username = 'runbook'",
            [key],
        )
        far.line.lose = "late"
        asking = threading.Thread(target=lambda: answers.append(far.api.ban(network, key=key)))
        asking.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        eventually(lambda: console.value(waiting) >= 2, what="both writes wait for the key")
        assert answers == []
    asking.join(30)
    made = answers[0]
    assert (far.line.lost, made.status_code) == (1, 201), made.text
    told = made.json()
    assert (told["disposition"], told["changed"]) == ("created", True)
    assert_once(console, runbook, told["operation"]["ref"], network, 1)


def test_with_the_database_gone_for_good_nobody_knows_and_that_is_what_is_told(
    console: Console, far: Far, runbook: Api, network: str
) -> None:
    key = uuid.uuid4().hex
    far.line.gone_after, far.line.lose = True, "answer"
    told = far.api.ban(network, key=key)
    assert (told.status_code, told.headers["content-type"]) == (503, "application/problem+json")
    body = told.json()
    assert (body["code"], body["disposition"], body["changed"]) == (
        "unknown_outcome",
        "not_recorded",
        False,
    )
    assert told.headers["Retry-After"] == "1"
    assert "do not know" in body["detail"]
    far.line.mend()
    again = far.api.ban(network, key=key)
    assert (again.status_code, again.json()["disposition"]) == (200, "existing")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert_once(console, runbook, again.json()["operation"]["ref"], network, 2)


def test_a_line_lost_while_only_looking_is_no_doubt_at_all(
    far: Far, runbook: Api, network: str
) -> None:
    key = uuid.uuid4().hex
    far.line.cut()
    told = far.api.ban(network, key=key)
    assert (told.status_code, told.json()["code"]) == (503, "not_recorded")
    assert "Nothing changed" in told.json()["detail"]
    assert runbook.get(f"/requests/{key}").status_code == 404


def test_a_reader_s_page_after_the_line_was_mended_needs_no_second_try(
    far: Far, network: str
) -> None:
    ref = far.api.ban(network).json()["operation"]["ref"]
    far.line.cut()
    cut = far.api.get(f"/operations/{ref}")
    assert (cut.status_code, cut.json()["code"]) == (503, "not_recorded")
    far.line.mend()
    told: list[httpx.Response] = [far.api.get(f"/operations/{ref}") for _ in range(8)]
    # Each of the server's threads may find its own line dead once, and no more than that.
    assert sum(t.status_code != 200 for t in told) <= 4
    assert {t.status_code for t in told} <= {200, 503}
    assert far.api.ban(network).status_code == 200


def test_taking_up_what_failed_is_told_so_even_if_the_answer_was_lost(
    console: Console, far: Far, network: str
) -> None:
    name = f"far-{network}"
    asker = console.new_caller(name, "runbooks")
    with console.keeper_halted():
        ref = asker.ban(network).json()["operation"]["ref"]
        console.leave(name, "runbooks")
    assert console.api().settled(ref)["operation"]["state"] == "failed"
    console.join(name, "runbooks")
    far.line.lose = "answer"
    told = Api(far.url, asker.token).ban(network)
    assert (far.line.lost, told.status_code) == (1, 200)
    assert (told.json()["disposition"], told.json()["changed"]) == ("resumed", True)
    assert_once(console, asker, ref, network, 2)


def test_a_line_lost_while_waiting_for_the_outcome_takes_nothing_back(
    console: Console, far: Far, network: str
) -> None:
    with console.keeper_halted(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(far.api.ban, network, wait=8)
        count = "SELECT count(*) FROM operation o JOIN subject s ON s.id = o.subject_id WHERE s.name = %s"
        eventually(lambda: console.value(count, f"{network}/32") == 1, what="it is recorded")
        far.line.cut()
        told = waiting.result(30)
    assert (told.status_code, told.json()["disposition"]) == (201, "created")
    far.line.mend()


def test_an_incident_whose_commit_was_not_heard_of_is_told_that_it_was_opened(
    console: Console, far: Far
) -> None:
    title, key, far.line.lose = f"lost {uuid.uuid4().hex}", uuid.uuid4().hex, "answer"
    headers = {"Idempotency-Key": key}
    made = far.api.http.post("/api/v1/incidents", json={"title": title}, headers=headers)
    assert far.line.lost == 1
    assert (made.status_code, made.json().get("changed")) == (201, True), made.text
    again = far.api.http.post("/api/v1/incidents", json={"title": title}, headers=headers)
    assert again.json()["incident"]["ref"] == made.json()["incident"]["ref"]
    assert console.value("SELECT count(*) FROM incident WHERE title = %s", title) == 1
    # And so of what is written to it.
    notes, headers = f"{made.headers['Location']}/notes", {"Idempotency-Key": uuid.uuid4().hex}
    far.line.lose = "answer"
    noted = far.api.http.post(notes, json={"text": "heard late"}, headers=headers)
    assert far.line.lost == 2
    assert (noted.status_code, noted.json()["changed"]) == (201, True), noted.text
    told = far.api.http.post(notes, json={"text": "heard late"}, headers=headers)
    assert (told.status_code, told.json()["changed"]) == (200, False)
    kept = "SELECT count(*) FROM incident_entry WHERE body ->> 'note' = 'heard late'"
    assert console.value(kept) == 1


def test_a_database_that_takes_no_writes_is_told_as_not_recorded(
    console: Console, far: Far, network: str
) -> None:
    with console.database("superuser") as at:
        at.execute("ALTER ROLE steadyhand_web SET default_transaction_read_only = on")
        try:
            far.line.cut()
            far.line.mend()
            told = far.api.ban(network)
        finally:
            at.execute("ALTER ROLE steadyhand_web RESET default_transaction_read_only")
            far.line.cut()
            far.line.mend()
    assert (told.status_code, told.json()["code"]) == (503, "not_recorded")
    assert far.api.ban(network).status_code == 201
