"""The new value: shown to who asked, logged each time, and erased; it is in no row in the clear."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from actions import keyring, values
from actions.errors import NotFound, Refusal
from actions.values import Made
from tests.contracts.directory import Directory, Set, directory
from tests.contracts.inside import MAY_NOT, Still, refused

PASSWORD = Directory.password


@pytest.fixture
def place(still: Still) -> Iterator[Set]:
    with directory(still) as made:
        yield made


@pytest.fixture
def operation(place: Set) -> int:
    """Ana's rotation, carried out."""
    return place.run("rotate-secret", f"{place.name}:app_rw")


@pytest.fixture
def ref(still: Still, operation: int) -> str:
    """The ref of Ana's rotation, which made a password."""
    return ref_of(still, operation)


def ref_of(still: Still, operation: int) -> str:
    return str(still.value("SELECT ref FROM operation WHERE id = %s", operation))


@pytest.fixture
def unsettled(still: Still, place: Set) -> int:
    """A rotation by Ana of which only the first step is done."""
    told = still.submit(place.ask("rotate-secret", f"{place.name}:app_rw"))
    still.deliver(told.operation["id"])
    return int(told.operation["id"])


def show(still: Still, ref: str, by: str = "ana") -> Made:
    with still.acting("web"):
        return values.show(ref, still.caller(by), "api")


def acknowledge(still: Still, ref: str, by: str = "ana") -> None:
    with still.acting("web"):
        values.acknowledge(ref, still.caller(by), "api")


def events(still: Still, ref: str) -> list[tuple[str, str]]:
    """What the log says of the value, and of whom."""
    rows = still.rows(
        "SELECT convert_from(e.body, 'UTF8') FROM log_event e JOIN operation o"
        " ON o.id = e.operation_id WHERE o.ref = %s AND e.kind LIKE 'value.%%' ORDER BY e.number",
        ref,
    )
    found = [json.loads(text) for (text,) in rows]
    return [(e["kind"], e["body"].get("by", e["body"].get("why"))) for e in found]


def sealed(still: Still, operation: int) -> bool:
    """Whether the value is still there."""
    return bool(
        still.value("SELECT sealed IS NOT NULL FROM made_value WHERE operation_id = %s", operation)
    )


def test_ana_is_shown_it_twice_says_that_she_has_it_and_it_is_gone(
    still: Still, operation: int, ref: str
) -> None:
    assert show(still, ref).password == PASSWORD
    assert show(still, ref).username == "app_rw"
    acknowledge(still, ref)
    acknowledge(still, ref)
    with pytest.raises(Refusal) as caught:
        show(still, ref)
    assert (caught.value.code, caught.value.facts["status"]) == ("value_gone", 410)
    assert not sealed(still, operation)
    assert events(still, ref) == [
        ("value.shown", "ana"),
        ("value.shown", "ana"),
        ("value.acknowledged", "ana"),
        ("value.erased", "acknowledged"),
    ]


def test_another_responder_is_neither_shown_it_nor_can_erase_it(
    still: Still, operation: int, ref: str
) -> None:
    for step in (show, acknowledge):
        with pytest.raises(NotFound):
            step(still, ref, by="raj")
    assert sealed(still, operation) and events(still, ref) == []


def test_who_was_told_that_it_stands_already_is_not_shown_it(
    still: Still, place: Set, ref: str
) -> None:
    name = f"{place.name}:app_rw"
    assert still.submit(place.ask("rotate-secret", name), "raj").disposition == "existing"
    with pytest.raises(NotFound):
        show(still, ref, by="raj")


@pytest.mark.parametrize("slot", ["app_rw", "broken"])
def test_15_minutes_after_it_settled_or_failed_it_is_gone_and_then_erased(
    still: Still, place: Set, slot: str
) -> None:
    operation = place.run("rotate-secret", f"{place.name}:{slot}")
    assert still.state(operation) == ("failed" if slot == "broken" else "succeeded")
    ref = ref_of(still, operation)
    still.rows(
        "UPDATE operation SET settled_at = now() - interval '14 minutes 50 s' WHERE id = %s"
        " RETURNING id",
        operation,
    )
    erase(still)
    assert show(still, ref).until is not None
    still.rows(
        "UPDATE operation SET settled_at = now() - interval '15 minutes' WHERE id = %s RETURNING id",
        operation,
    )
    with pytest.raises(Refusal, match="erased"):
        show(still, ref)
    assert erase(still) == 1
    assert not sealed(still, operation)
    assert events(still, ref)[-1] == ("value.erased", "its time is over")


def erase(still: Still) -> int:
    with still.acting("worker"):
        return values.erase_due()


def test_what_is_not_settled_is_kept_for_its_steps_though_it_is_acknowledged(
    still: Still, place: Set, unsettled: int
) -> None:
    operation, ref = unsettled, ref_of(still, unsettled)
    assert show(still, ref).until is None
    acknowledge(still, ref)
    with pytest.raises(Refusal):
        show(still, ref)
    assert erase(still) == 0 and sealed(still, operation)
    place.finish(operation)
    assert erase(still) == 1 and not sealed(still, operation)


def test_what_never_settles_is_erased_after_a_day(still: Still, unsettled: int) -> None:
    assert erase(still) == 0
    still.rows(
        "UPDATE made_value SET made_at = now() - interval '1 day' WHERE operation_id = %s"
        " RETURNING id",
        unsettled,
    )
    assert erase(still) == 1


def test_one_operations_value_does_not_open_as_anothers(
    still: Still, place: Set, operation: int, ref: str
) -> None:
    other = place.run("rotate-secret", f"{place.name}:other")
    still.rows(
        "UPDATE made_value o SET sealed = m.sealed FROM made_value m"
        " WHERE o.operation_id = %s AND m.operation_id = %s RETURNING o.id",
        other,
        operation,
    )
    with pytest.raises(keyring.CannotOpen):
        show(still, ref_of(still, other))


def test_web_reads_no_made_value_and_erases_none(still: Still, ref: str) -> None:
    with still.database("web") as at:
        assert refused(at, "SELECT sealed FROM made_value") == MAY_NOT
        assert refused(at, "SELECT erase_values()") == MAY_NOT
        assert refused(at, "SELECT erase_value(1)") == MAY_NOT
    with still.database("worker") as at:
        assert refused(at, "SELECT show_value('op', NULL, '')") == MAY_NOT
    with still.database("auditor") as at:
        assert refused(at, "SELECT sealed FROM made_value") == MAY_NOT


def test_no_row_of_the_whole_database_has_it(still: Still, ref: str) -> None:
    assert show(still, ref).password == PASSWORD
    tables = still.rows(
        "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables"
        " WHERE schemaname NOT IN ('information_schema')",
        role="superuser",
    )
    found = {
        table: still.value(f"SELECT string_agg(t::text, ' ') FROM {table} t", role="superuser")
        or ""
        for (table,) in tables
    }
    assert ref in found["public.operation"] and "value.shown" in found["public.log_event"]
    for table, text in found.items():
        assert PASSWORD not in text and PASSWORD.encode().hex() not in text, table
