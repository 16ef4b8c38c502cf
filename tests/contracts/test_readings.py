"""Readings and drift: what was changed behind our back is seen, told, and put right by whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlsplit

import pytest
from django.db import connections

from actions import force, history, issue, read, reader
from actions.answer import Answer
from actions.ask import Ask
from actions.catalogue.ban_network import BanNetwork
from actions.connectors._base import Unreadable
from actions.connectors.blocklist import Blocklist
from actions.registry import registry
from console import waiting
from tests.console_process import eventually
from tests.contracts.inside import Still, ask, ban, lift, new_key, tampering, without_groups

Names = Callable[[], str]


def look(still: Still) -> int:
    """What the reader of a keeper does, once; how many readings it took."""
    with still.acting("worker"):
        return sum(reader.read_realm(realm) for realm in reader.due())


def looking(still: Still) -> read.Wait:
    """Somebody who waits, with a keeper that takes what is due meanwhile."""

    def wait(ready: Callable[[], bool], seconds: float) -> bool:
        look(still)
        return ready()

    return wait


def repeat(still: Still, asked: Ask, by: str = "raj", wait: read.Wait | None = None) -> Answer:
    with still.acting("web"):
        return issue.submit(still.who(by), asked, wait or looking(still))


def delete_behind_our_back(still: Still, name: str) -> None:
    still.rows("DELETE FROM blocklist_entry WHERE network = %s::cidr RETURNING 1", name)


def ask_for(still: Still, name: str) -> None:
    """Somebody wants to know how a network stands."""
    realms = still.rows("SELECT id FROM realm WHERE enabled AND connector = 'blocklist'")
    with still.acting("web"):
        read.ask("network", name, [(str(realm), "network.deny") for (realm,) in realms])


def operations(still: Still, name: str) -> list[tuple[int, str, str]]:
    return still.rows(
        "SELECT o.generation, o.because, o.reason FROM operation o JOIN subject s"
        " ON s.id = o.subject_id WHERE s.name = %s ORDER BY o.generation",
        name,
    )


def test_drift_makes_the_next_generation_in_the_name_of_who_repeats(
    still: Still, name: str
) -> None:
    first = still.made(ban(name))
    delete_behind_our_back(still, name)
    told = repeat(still, ban(name, reason="raj asks"))
    assert (told.disposition, told.operation["generation"]) == ("created", 2)
    assert told.operation["requested_by"] == "raj"
    assert operations(still, name)[1:] == [(2, "drift of @1", "raj asks")]
    assert not still.listed(name)
    assert still.effects(first) == ["succeeded"]
    still.deliver(told.operation["id"])
    assert still.listed(name)


def test_what_no_action_puts_right_is_told_and_made_no_second_time(
    still: Still, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not registry.action("rotate-secret").mends
    monkeypatch.setattr(BanNetwork, "mends", False)
    still.made(ban(name))
    delete_behind_our_back(still, name)
    told = repeat(still, ban(name, reason="raj asks"))
    assert (told.disposition, told.in_force) == ("existing", "no")
    assert len(operations(still, name)) == 1


@pytest.mark.parametrize("length", ["24h", None])
def test_drift_put_right_by_who_asks_for_less_does_not_end_sooner(
    still: Still, name: str, length: str | None
) -> None:
    first = still.made(ban(name, length) if length else ask("ban-network", name, {"until": None}))
    delete_behind_our_back(still, name)
    told = repeat(still, ban(name, "1h"))
    assert (told.disposition, told.operation["because"]) == ("created", "drift of @1")
    ends = "SELECT ends_at FROM operation WHERE id = %s"
    assert still.value(ends, told.operation["id"]) == still.value(ends, first)
    still.deliver(told.operation["id"])
    assert still.listed(name)


def test_drift_put_right_by_who_asks_for_more_ends_later(still: Still, name: str) -> None:
    first = still.made(ban(name, "24h"))
    delete_behind_our_back(still, name)
    told = repeat(still, ban(name, "25h"))
    ends = "SELECT ends_at FROM operation WHERE id = %s"
    assert still.value(ends, told.operation["id"]) > still.value(ends, first)


def test_what_is_still_in_place_is_told_with_when_it_was_read(still: Still, name: str) -> None:
    first = still.made(ban(name))
    told = repeat(still, ban(name))
    assert (told.disposition, told.in_force) == ("existing", "yes")
    assert told.operation["id"] == first
    assert told.operation["verified_at"] == told.read_at is not None


def test_twenty_who_find_the_same_drift_meet_on_one_operation(still: Still, name: str) -> None:
    still.made(ban(name))
    delete_behind_our_back(still, name)
    ask_for(still, name)
    look(still)
    together = [
        still.meanwhile("web", lambda: issue.submit(still.who("raj"), ban(name))) for _ in range(20)
    ]
    told = sorted(one.result().disposition for one in together)
    assert told == ["created"] + ["existing"] * 19
    assert [generation for generation, _, _ in operations(still, name)] == [1, 2]


def test_the_same_key_again_starts_nothing_and_says_that_it_is_not_in_force(
    still: Still, name: str
) -> None:
    key = new_key()
    still.made(ban(name, key=key), by="raj")
    delete_behind_our_back(still, name)
    told = repeat(still, ban(name, key=key))
    assert (told.disposition, told.code, told.in_force) == ("existing", "same_key", "no")
    assert len(operations(still, name)) == 1


def test_a_look_that_began_before_the_effect_settled_says_nothing_of_it(
    still: Still, name: str
) -> None:
    still.made(ban(name))
    delete_behind_our_back(still, name)
    assert repeat(still, ban(name)).disposition == "created"
    newest = still.value(
        "SELECT o.id FROM operation o JOIN subject s ON s.id = o.subject_id"
        " WHERE s.name = %s AND o.generation = 2",
        name,
    )
    still.deliver(newest)
    told = repeat(still, ban(name), wait=lambda ready, seconds: False)
    assert (told.disposition, told.in_force, told.read_at) == ("existing", "yes", None)


def test_an_old_look_is_told_but_nothing_is_put_right_by_it(
    still: Still, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    still.made(ban(name))
    delete_behind_our_back(still, name)
    ask_for(still, name)
    look(still)
    monkeypatch.setattr(force, "FRESH", -1.0)
    told = repeat(still, ban(name), wait=lambda ready, seconds: False)
    assert (told.disposition, told.in_force) == ("existing", "no")
    assert told.read_at is not None


def test_a_lift_under_a_wider_ban_is_no_drift(still: Still) -> None:
    wide = "198.19.77"  # no other contract test bans here
    inner = f"{wide}.5/32"
    still.made(ban(inner))
    still.made(ban(f"{wide}.0/24"))
    still.made(lift(inner, seen=1))
    told = repeat(still, lift(inner))
    assert (told.disposition, told.in_force) == ("existing", "no")
    # And a ban that was taken off while a wider one stands is in force.
    still.made(ban(f"{wide}.6/32"))
    delete_behind_our_back(still, f"{wide}.6/32")
    told = repeat(still, ban(f"{wide}.6/32"))
    assert (told.disposition, told.in_force) == ("existing", "yes")


def test_whoever_may_not_ask_puts_nothing_right(still: Still, name: str) -> None:
    still.made(ban(name))
    delete_behind_our_back(still, name)
    with without_groups(still, "raj"):
        told = repeat(still, ban(name))
    assert told.disposition == "refused"
    assert len(operations(still, name)) == 1
    assert still.value("SELECT count(*) FROM reading WHERE name = %s", name) == 0


def test_all_who_ask_within_five_seconds_share_one_look(still: Still, name: str) -> None:
    still.made(ban(name))
    realms = still.value("SELECT count(*) FROM realm WHERE enabled AND connector = 'blocklist'")
    looks = []

    def wait(ready: Callable[[], bool], seconds: float) -> bool:
        looks.append(look(still))
        return ready()

    for _ in range(5):
        assert repeat(still, ban(name), wait=wait).disposition == "existing"
    assert looks == [realms]


def test_all_who_ask_share_one_look_for_five_seconds(still: Still, name: str) -> None:
    ask_for(still, name)
    first = look(still)
    for _ in range(3):
        ask_for(still, name)
    assert (first > 0, look(still)) == (True, 0)


def test_a_look_that_nobody_takes_is_not_waited_for_again(still: Still, name: str) -> None:
    still.made(ban(name))
    waited = []

    def wait(ready: Callable[[], bool], seconds: float) -> bool:
        waited.append(seconds)
        return False

    repeat(still, ban(name), wait=wait)
    still.rows(
        "UPDATE reading SET asked_at = asked_at - interval '2 s' WHERE name = %s RETURNING 1", name
    )
    told = repeat(still, ban(name), wait=wait)
    assert len(waited) == 1
    assert (told.disposition, told.in_force, told.read_at) == ("existing", "yes", None)


@pytest.mark.parametrize("error", [Unreadable("It is asleep."), RuntimeError("password=hunter2")])
def test_what_cannot_be_read_is_told_without_secrets_and_takes_nothing_away(
    still: Still, name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    still.made(ban(name))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Blocklist, "read", fail)
    told = repeat(still, ban(name))
    assert (told.disposition, told.in_force) == ("existing", "yes")
    message = still.value("SELECT message FROM reading WHERE name = %s LIMIT 1", name)
    assert "hunter2" not in message
    assert message in {"It is asleep.", "The system could not be read (RuntimeError)."}


def test_a_realm_that_nothing_here_speaks_to_any_more_is_unread_and_holds_up_nobody(
    still: Still, name: str, second_realm: str
) -> None:
    gone = {"realm": second_realm, "name": name}
    with tampering(still, "realm", "realm_identity_never_changes") as at:
        at.execute("UPDATE realm SET connector = 'taken-out' WHERE id = %(realm)s", gone)
        try:
            at.execute(
                "INSERT INTO reading (realm_id, capability, kind, name, asked_at, message)"
                " VALUES (%(realm)s, 'network.deny', 'network', %(name)s, clock_timestamp(), '')",
                gone,
            )
            assert look(still) >= 1
        finally:
            at.execute("UPDATE realm SET connector = 'blocklist' WHERE id = %(realm)s", gone)
    told = "SELECT message FROM reading WHERE name = %s AND taken_at IS NOT NULL"
    assert still.value(told, name) == "The system could not be read (KeyError)."


def test_a_reading_that_another_keeper_takes_is_left_to_it(still: Still, name: str) -> None:
    still.made(ban(name))
    repeat(still, ban(name), wait=lambda ready, seconds: False)
    with still.acting("worker"):
        (realm, *_) = reader.due()
    with still.database("worker") as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"readings of {realm}"])
        with still.acting("worker"):
            assert reader.read_realm(realm) == 0
    # The server lets the lock go a moment after the line is closed.
    eventually(lambda: look(still) >= 1, what="it is taken once the other is gone")


def test_web_asks_only_for_enabled_realms(still: Still, name: str, second_realm: str) -> None:
    still.rows("UPDATE realm SET enabled = false WHERE id = %s RETURNING 1", second_realm)
    with still.acting("web"):
        read.ask("network", name, [(str(second_realm), "network.deny")])
        read.ask("network", f"{name}{'x' * 300}", [(str(second_realm), "network.deny")])
    assert still.value("SELECT count(*) FROM reading WHERE name LIKE %s", f"{name}%") == 0


@pytest.fixture
def keeper(still: Still, monkeypatch: pytest.MonkeyPatch) -> Iterator[reader.Reader]:
    """The reader of a keeper, running in this process as it does in its own."""
    url = urlsplit(still.dsn("worker"))
    place = {"HOST": url.hostname, "PORT": str(url.port), "NAME": url.path[1:]}
    place |= {"USER": url.username, "PASSWORD": unquote(url.password or "")}
    for setting, value in place.items():
        monkeypatch.setitem(connections.settings["default"], setting, value)
    running = reader.Reader()
    running.start()
    yield running
    running.stop()


def test_a_slow_system_holds_up_no_other(
    still: Still,
    name: str,
    second_realm: str,
    keeper: reader.Reader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over, at_it, real = threading.Event(), threading.Event(), Blocklist.read
    slow = still.value(
        "SELECT settings ->> 'list' FROM realm_version WHERE realm_id = %s", second_realm
    )

    def hang(self: Blocklist, capability: str, kind: str, subject: str) -> object:
        if self.settings["list"] == slow:
            at_it.set()
            over.wait(20)
        return real(self, capability, kind, subject)

    monkeypatch.setattr(Blocklist, "read", hang)
    taken = "SELECT count(*) FROM reading WHERE name = %s AND taken_at IS NOT NULL"
    try:
        with still.acting("web"):
            read.ask("network", name, [(str(second_realm), "network.deny")])
        assert at_it.wait(10)
        ask_for(still, name)
        others = still.value("SELECT count(*) - 1 FROM reading WHERE name = %s", name)
        eventually(lambda: still.value(taken, name) == others > 0, 5, "the others are read")
    finally:
        over.set()
    eventually(lambda: still.value(taken, name) == others + 1, 5, "the slow one is read too")


def test_the_page_of_an_operation_says_what_was_read(still: Still, name: str) -> None:
    made = still.made(ban(name))
    repeat(still, ban(name))
    with still.acting("web"):
        now = history.now_of(history.facts_of([made])[0])
    assert now.read_at is not None
    assert {read.words(known) for known in now.known} == {"blocked"}


def test_nobody_waits_when_half_the_threads_do() -> None:
    over, waits = threading.Event(), []

    def wait() -> None:
        waits.append(waiting.for_reading(over.is_set, 20))

    places = waiting._places._initial_value  # type: ignore[attr-defined]  # how many there are
    threads = [threading.Thread(target=wait, daemon=True) for _ in range(places)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: waiting._places._value == 0, what="every place is taken")  # type: ignore[attr-defined]
        asked: list[int] = []

        def ready() -> bool:
            asked.append(1)
            return True

        assert waiting.for_reading(ready, 20) is False
        assert asked == []
    finally:
        over.set()
    for thread in threads:
        thread.join(5)
    assert waits == [True] * places


def test_a_thousand_looks_at_one_system_keep_no_other_from_its_turn(
    still: Still, name: str, second_realm: str
) -> None:
    first = still.value(
        "SELECT id FROM realm WHERE enabled AND connector = 'blocklist' AND id <> %s", second_realm
    )
    asked = (
        "INSERT INTO reading (realm_id, kind, name, capability, asked_at, message)"
        " SELECT %s, 'network', 'many ' || n, 'network.deny', now() - %s::interval, ''"
        " FROM generate_series(1, %s) n RETURNING id"
    )
    try:
        still.rows(asked, first, "1 minute", 1000)
        still.rows(asked, second_realm, "1 second", 1)
        with still.acting("worker"):
            assert str(second_realm) in reader.due()
    finally:
        still.rows("DELETE FROM reading WHERE name LIKE 'many %%' RETURNING id")
