"""Everybody presses the button at the same moment."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from tests.console_process import Api, Console
from tests.flow.storm import Post, Told, all_at_once, ban, send

MANY = 200


def statuses(answers: list[Told]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def assert_pressed_once(console: Console, runbook: Api, answers: list[Told], name: str) -> None:
    """One operation, made by one request, told to all; every arrival kept; one effect, one line."""
    assert statuses(answers) == {201: 1, 200: len(answers) - 1}
    assert len({answer.ref for answer in answers}) == 1
    assert Counter(a.body["disposition"] for a in answers) == {
        "created": 1,
        "existing": len(answers) - 1,
    }
    assert [a.body["changed"] for a in answers].count(True) == 1
    ref = answers[0].ref
    told = runbook.settled(ref)
    assert told["operation"]["state"] == "succeeded"
    assert told["operation"]["arrivals"]["count"] == len(answers)
    assert len(told["arrivals"]) == len(answers)
    assert_kept(console, ref, len(answers))
    assert [(a["number"], a["outcome"]) for a in told["attempts"]] == [(1, "applied")]
    assert [e["state"] for e in told["operation"]["effects"]] == ["succeeded"]
    assert runbook.listed().count(name) == 1


def assert_kept(console: Console, ref: str, arrivals: int) -> None:
    """The arrivals of an operation stand in the table and in the log, numbered without gaps."""
    assert console.value(
        "SELECT count(*) FROM arrival a JOIN operation o ON o.id = a.operation_id WHERE o.ref = %s", ref
    ) == arrivals  # fmt: skip
    events = console.rows(
        "SELECT e.number, e.kind FROM log_event e JOIN operation o ON o.id = e.operation_id"
        " WHERE o.ref = %s ORDER BY e.number",
        ref,
    )
    assert [number for number, _ in events] == list(range(1, len(events) + 1))
    kinds = Counter(kind for _, kind in events)
    assert (kinds["operation.requested"], kinds["request.arrived"]) == (1, arrivals - 1)


def test_one_request_sent_two_hundred_times_at_once_runs_once(
    console: Console, runbook: Api, network: str
) -> None:
    key = uuid.uuid4().hex
    answers = all_at_once(console.url, [Post(runbook.token, ban(network), key)] * MANY)
    assert_pressed_once(console, runbook, answers, network)
    replayed = [a for a in answers if a.headers.get("idempotency-replayed") == "true"]
    assert len(replayed) == MANY - 1
    assert console.value("SELECT count(*) FROM request WHERE key = %s", key) == 1


def test_four_people_and_runbooks_in_three_spellings_under_two_hundred_keys_meet(
    console: Console, runbook: Api, crew: dict[str, Api], network: str
) -> None:
    spellings = (network, f"{network}/32", f"::ffff:{network}")
    who = list(crew.values())
    posts = [Post(who[n % 4].token, ban(spellings[n % 3])) for n in range(MANY)]
    answers = all_at_once(console.url, posts)
    assert_pressed_once(console, runbook, answers, network)
    assert not any("idempotency-replayed" in a.headers for a in answers)
    bound = console.value(
        "SELECT count(*) FROM request r JOIN operation o ON o.id = r.operation_id WHERE o.ref = %s",
        answers[0].ref,
    )
    assert bound == MANY


def test_one_key_for_two_addresses_at_once_makes_one_and_names_it_to_the_other(
    console: Console, runbook: Api, fresh_network: Callable[[], str]
) -> None:
    key, names = uuid.uuid4().hex, (fresh_network(), fresh_network())
    posts = [Post(runbook.token, ban(names[n % 2]), key) for n in range(100)]
    answers = all_at_once(console.url, posts)
    assert statuses(answers) == {201: 1, 200: 49, 422: 50}
    made = next(a for a in answers if a.status == 201)
    won = made.body["operation"]["subject"]["name"].removesuffix("/32")
    for post, answer in zip(posts, answers, strict=True):
        mine = post.body["subject"]["name"] == won
        assert (answer.status == 422) is not mine
        assert answer.ref == made.ref
        if not mine:
            assert (answer.body["code"], answer.body["changed"]) == ("key_reused", False)
    lost = names[1 - names.index(won)]
    assert runbook.settled(made.ref)["operation"]["state"] == "succeeded"
    assert runbook.get("/subjects", kind="network", name=lost).json()["lanes"] == []
    assert [n for n in names if n in runbook.listed()] == [won]


def test_different_addresses_at_once_are_never_taken_for_one(
    console: Console, crew: dict[str, Api], fresh_network: Callable[[], str]
) -> None:
    names = [fresh_network() for _ in range(40)]
    who = list(crew.values())
    answers = all_at_once(
        console.url, [Post(who[n % 4].token, ban(a)) for n, a in enumerate(names)]
    )
    assert statuses(answers) == {201: 40}
    assert [a.body["operation"]["subject"]["name"] for a in answers] == [f"{n}/32" for n in names]
    for answer in answers:
        crew["sweeper"].settled(answer.ref)
    assert set(names) <= set(crew["sweeper"].listed())


def test_people_pulling_in_opposite_directions_leave_one_truth(
    console: Console, crew: dict[str, Api], network: str
) -> None:
    """Each looks, bans or lifts against what they saw, and looks again, without ever waiting."""
    answers: list[Told] = []

    def pull(person: Api, seed: int) -> None:
        chance, seen = random.Random(seed), 0
        for _ in range(8):
            body = ban(network, reason=f"round of {seed}")
            if chance.random() < 0.5:
                body |= {"action": "lift-ban", "params": {}}
            told = send(console.url, Post(person.token, body, if_match=seen))
            answers.append(told)
            seen = told.body["operation"]["generation"] if "operation" in told.body else seen

    pullers = [
        threading.Thread(target=pull, args=(list(crew.values())[n % 4], n)) for n in range(16)
    ]
    for puller in pullers:
        puller.start()
    for puller in pullers:
        puller.join()

    assert len(answers) == 16 * 8
    assert set(statuses(answers)) <= {200, 201, 409, 412}
    made = statuses(answers)[201]
    assert made > 1
    lane = "FROM operation o JOIN subject s ON s.id = o.subject_id WHERE s.name = %s"
    newest = console.rows(f"SELECT ref {lane} ORDER BY generation DESC", f"{network}/32")[0][0]
    settled = crew["dana"].settled(newest)["operation"]
    assert settled["state"] == "succeeded"
    rows = console.rows(
        f"SELECT generation, state, desired->>'blocked' {lane} ORDER BY generation", f"{network}/32"
    )
    assert [generation for generation, _, _ in rows] == list(range(1, made + 1))
    assert {state for _, state, _ in rows} <= {"succeeded", "superseded"}
    # A generation is only made by an intent that the one before it does not cover.
    assert all(one[2] != after[2] for one, after in pairwise(rows))
    assert (network in crew["dana"].listed()) is (settled["action"] == "ban-network")
    assert console.value(
        "SELECT count(*) FROM effect e JOIN subject s ON s.id = e.subject_id WHERE s.name = %s"
        " AND e.state NOT IN ('succeeded', 'cancelled')",
        f"{network}/32",
    ) == 0  # fmt: skip
    entry = console.rows(
        "SELECT generation, blocked FROM blocklist_entry WHERE network = %s", f"{network}/32"
    )
    assert entry == [(made, settled["action"] == "ban-network")]
