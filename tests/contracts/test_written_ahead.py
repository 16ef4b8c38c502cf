"""Before a call: it is written down, under a lease that outlasts it, with what was made and sealed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from django.test import override_settings

from actions import adapters, checks, deliver, keyring, made, outbox
from actions.catalogue._base import Step
from actions.connectors._base import Redo
from actions.models import Operation
from actions.outcomes import RetryLater, Seen
from actions.registry import Registry
from tests.contracts.inside import Still
from tests.contracts.scripted import CAPABILITY, World, kind_of, world

NOT_NATURAL = [redo for redo in Redo if redo is not Redo.NATURAL]
_BEGUN = "SELECT call_started_at IS NOT NULL FROM attempt WHERE effect_id = %s"


@pytest.fixture
def rings(tmp_path: Path) -> Iterator[Path]:
    """A home with both key rings."""
    (tmp_path / "keys").mkdir()
    for ring in (keyring.REALMS, keyring.VALUES):
        key_id, key = keyring.new_key()
        keyring.path_of(tmp_path, ring).write_text(keyring.dump(key_id, {key_id: key}))
    with override_settings(HOME=tmp_path):
        yield tmp_path


def expired(given: World, effect: int) -> None:
    """Its lease is over, and a keeper saw it."""
    given.set(effect, "lease_until = now() - interval '1 s'")
    with given.still.acting("worker"):
        assert outbox.expire_leases()


@pytest.mark.parametrize("redo", list(Redo))
def test_a_call_is_written_down_before_it_is_made(still: Still, name: str, redo: Redo) -> None:
    with world(still, redo) as given:
        _, effect = given.one(name)
        seen: list[object] = []
        given.system.meanwhile = staticmethod(lambda: seen.append(still.value(_BEGUN, effect)))
        given.deliver(effect)
        assert seen == [True], "somebody else must see it while the call is made"


@pytest.mark.parametrize("redo", NOT_NATURAL)
def test_what_was_claimed_and_not_called_may_be_sent(still: Still, name: str, redo: Redo) -> None:
    with world(still, redo) as given:
        _, effect = given.one(name)
        given.claim(effect)
        assert still.value(_BEGUN, effect) is False
        expired(given, effect)
        assert given.of(effect) == "ready"


def test_a_natural_call_is_written_down_with_the_claim(still: Still, name: str) -> None:
    with world(still, Redo.NATURAL) as given:
        _, effect = given.one(name)
        given.claim(effect)
        expired(given, effect)
        assert given.of(effect) == "in_doubt"


def bring_about(given: World, effect: int, then: str) -> str:
    """Claim, then `then` happens, then go on as if nothing had; what the attempt came to."""
    attempt = given.claim(effect)
    if then:
        given.set(effect, then)
    with given.still.acting("worker"):
        outcome, *_ = deliver._bring_about(attempt.effect, attempt)
    return type(outcome).__name__


@pytest.mark.parametrize("redo", list(Redo))
def test_nothing_is_called_by_who_lost_the_effect(still: Still, name: str, redo: Redo) -> None:
    lost = (
        "fence = fence + 1",
        "lease_until = now() - interval '1 s'",
        "state = 'ready', lease_until = NULL",
    )
    for number, then in enumerate(lost):
        with world(still, redo) as given:
            _, effect = given.one(f"198.19.{number}.{list(Redo).index(redo)}/32")
            assert bring_about(given, effect, then) == "RetryLater"
            assert not given.system.calls
            if redo is not Redo.NATURAL:
                assert still.value(_BEGUN, effect) is False


@pytest.mark.parametrize("redo", NOT_NATURAL)
def test_nothing_is_called_that_may_outlast_its_lease(still: Still, name: str, redo: Redo) -> None:
    with world(still, redo, timeout=10) as given:
        _, effect = given.one(name)
        assert bring_about(given, effect, "lease_until = now() + interval '9 s'") == "RetryLater"
        assert not given.system.calls
        assert still.value(_BEGUN, effect) is False


def test_who_stood_still_between_writing_down_and_calling_does_not_call(
    still: Still, name: str
) -> None:
    with world(still, Redo.NEVER) as given:
        _, effect = given.one(name)
        attempt = given.claim(effect)
        with still.acting("worker"):
            whole = attempt.effect
            until = outbox.intend(attempt, whole, 1)
            assert until is not None and until > outbox.steady()
            told, *_ = deliver._call(*deliver._ready(whole), until=outbox.steady() - 0.01)
        assert isinstance(told, RetryLater) and not given.system.calls


def test_intending_takes_the_lock_that_expiring_takes(still: Still, name: str) -> None:
    with world(still, Redo.NEVER) as given:
        operation, effect = given.one(name)
        attempt = given.claim(effect)

        def intend() -> float | None:
            return outbox.intend(attempt, attempt.effect, 1)

        with still.database() as holder, holder.transaction():
            holder.execute("SELECT FROM operation WHERE id = %s FOR NO KEY UPDATE", [operation])
            second = still.meanwhile("worker", intend)
            assert second.until_it_waits()
            holder.execute("UPDATE effect SET fence = fence + 1 WHERE id = %s", [effect])
        assert second.result() is None


# Reading back.
def test_a_yes_that_never_shows_is_doubted(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED, verify=0.3) as given:
        given.system.looks[:] = [Seen.NO]
        _, effect = given.one(name)
        given.deliver(effect)
        assert given.of(effect) == "in_doubt"
        assert len(given.system.reads) > 2, "it was read until its time was over"


def test_a_yes_that_shows_late_is_verified(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED, verify=5) as given:
        given.system.looks[:] = [Seen.NO, Seen.NO, Seen.YES]
        _, effect = given.one(name)
        given.deliver(effect)
        assert given.of(effect) == "succeeded"
        assert given.of(effect, "verified_at") is not None


def test_a_yes_of_what_cannot_be_read_stands_and_is_not_called_verified(
    still: Still, name: str
) -> None:
    with world(still, Redo.NEVER) as given:
        given.system.looks[:] = [Seen.UNREADABLE]
        _, effect = given.one(name)
        given.deliver(effect)
        assert (given.of(effect), given.of(effect, "verified_at")) == ("succeeded", None)


# Credentials.
def seal_credentials(given: World, home: Path, content: dict[str, str], realm: str) -> None:
    context = f"realm/{realm}@1"
    key_id, sealed = keyring.load(home, keyring.REALMS).seal(content, context)
    with given.still.database() as at:
        at.execute(
            "INSERT INTO realm_secret (version_id, key_id, sealed)"
            " SELECT id, %s, %s FROM realm_version WHERE realm_id = %s",
            [key_id, sealed, given.realms[0]],
        )


def test_a_connector_is_given_the_credentials_of_its_realm(
    still: Still, name: str, rings: Path
) -> None:
    with world(still, Redo.OBSERVED) as given:
        seal_credentials(given, rings, {"password": "of the realm"}, given.realms[0])
        _, effect = given.one(name)
        given.deliver(effect)
        assert given.system.given == [{"password": "of the realm"}]


def test_credentials_that_belong_to_another_realm_are_not_used(
    still: Still, name: str, rings: Path
) -> None:
    with world(still, Redo.NEVER) as given:
        seal_credentials(given, rings, {"password": "of another"}, str(uuid.uuid4()))
        _, effect = given.one(name)
        given.deliver(effect)
        # It was surely not sent, so it is no doubt.
        assert (given.of(effect), given.system.calls) == ("ready", [])


def test_a_realm_without_credentials_has_none(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED) as given:
        _, effect = given.one(name)
        given.deliver(effect)
        assert given.system.given == [{}]


# What is made once.
TWO = (Step("make", CAPABILITY, {"set": True}), Step("prove", CAPABILITY, {"set": True}, ord=1))


@pytest.mark.usefixtures("rings")
def test_what_is_made_is_made_once_for_all_tries_and_all_steps(still: Still, name: str) -> None:
    with world(still, Redo.KEYED, shape=TWO, makes=True) as given:
        given.system.says += [RuntimeError("the line broke")]
        operation, make = given.one(name)
        given.deliver(make)
        given.reconcile()
        given.deliver(make)
        given.deliver(given.effects(operation)[1])
        assert given.states(operation) == ["succeeded"] * 2
        values = {call.made["value"] for call in [*given.system.calls, *given.system.reads]}
        assert (len(values), len(given.system.calls), len(given.system.made)) == (1, 3, 1)
        row = still.rows(
            "SELECT sealed, erased_at FROM made_value WHERE operation_id = %s", operation
        )
        assert len(row) == 1 and next(iter(values)).encode() not in bytes(row[0][0])


@pytest.mark.usefixtures("rings")
def test_of_two_who_make_at_once_the_first_is_kept(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED) as given:
        operation = given.one(name)[0]
        with still.acting("worker"):
            row = Operation.objects.get(id=operation)

            def make_while_another_does() -> dict[str, str]:
                made.once(row, lambda: {"value": "first"})
                return {"value": "second"}

            assert made.once(row, make_while_another_does) == {"value": "first"}
            assert made.of(row) == {"value": "first"}


@pytest.mark.usefixtures("rings")
def test_what_is_erased_is_neither_made_again_nor_sent_as_nothing(still: Still, name: str) -> None:
    with world(still, Redo.OBSERVED, makes=True) as given:
        operation, effect = given.one(name)
        with still.acting("worker"):
            row = Operation.objects.get(id=operation)
            made.once(row, lambda: {"value": "erased soon"})
            with still.database() as at:
                at.execute("UPDATE made_value SET sealed = NULL, erased_at = now()"
                           " WHERE operation_id = %s", [operation])  # fmt: skip
            assert made.of(row) == {}
        given.deliver(effect)
        assert (given.of(effect), given.system.calls, given.system.made) == ("failed", [], [])


def test_without_its_key_nothing_is_made_and_nothing_sent(
    still: Still, name: str, tmp_path: Path
) -> None:
    with world(still, Redo.NEVER, makes=True) as given, override_settings(HOME=tmp_path):
        _, effect = given.one(name)
        given.deliver(effect)
        assert (given.of(effect), given.system.calls) == ("ready", [])


# What is refused at registration.
def test_a_lease_shorter_than_a_call_and_its_reading_back_is_refused() -> None:
    slow = kind_of(Redo.OBSERVED, timeout=20, verify=4)
    fits = kind_of(Redo.OBSERVED, timeout=15, verify=4)
    with override_settings(LEASE_SECONDS=29.0), checks.registry.only(slow, fits):
        errors = checks.leases_outlast_calls(None)
    found = [(error.id, error.obj, error.hint) for error in errors]
    assert found == [("actions.E001", slow, "Set LEASE_SECONDS above 29.")]


def test_connectors_of_another_package_are_loaded_by_the_name_of_their_module() -> None:
    registry = Registry()
    registry.load(["tests.contracts.example"])
    assert registry.connector("wall").title == "A wall"
    assert registry.connector("blocklist")


def test_connectors_of_another_package_come_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def given(value: str) -> Callable[..., list[EntryPoint]]:
        return lambda group: [EntryPoint("ours", value, group)]

    for value in ("tests.contracts.example", "tests.contracts.example:Wall"):
        monkeypatch.setattr("importlib.metadata.entry_points", given(value))
        registry = Registry()
        registry.load()
        assert registry.connector("wall").title == "A wall"
    monkeypatch.setattr("importlib.metadata.entry_points", given("tests.contracts.example:ANSWERS"))
    with pytest.raises(ValueError, match="is no connector"):
        Registry().load()


def test_a_failure_is_logged_without_its_text() -> None:
    try:
        raise RuntimeError("ALTER ROLE app PASSWORD 'secret'")
    except RuntimeError as error:
        said = adapters.where(error)
    assert "secret" not in said and said.startswith("RuntimeError at ")
