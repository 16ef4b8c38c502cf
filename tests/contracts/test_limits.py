"""Limits where they are held: in the domain, and by the database in plain SQL too (contract §13)."""

from __future__ import annotations

import ipaddress
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions import ends, finish, issue, keep, prepare, protect, reach, subjects, translated
from actions.act import Case
from actions.answer import Answer
from actions.ask import Ask, Decision
from actions.errors import Refusal, SubjectRefused
from tests.contracts.inside import Still, ask, ban, lift, refused, tampering, without_groups
from tests.contracts.limits import (
    NEVER,
    NO_NETWORK,
    NOT_TEXT,
    TOO_WIDE,
    everybody_pulls,
    limit,
    protected,
    seated,
)

EFFECT = """
WITH s AS ({subject}), o AS (
       INSERT INTO operation (ref, subject_id, lane, generation, action, action_version, state, desired,
         plan_digest, reason, because, requested_by_id, via, requested_at, end_note, arrival_count,
         last_arrival_at, event_count)
       SELECT '{ref}', s.id, 'ban', 900, 'ban-network', 1, 'approved', '{desired}', '', 'by hand', '', c.id,
         'api', now(), '', 1, now(), 1 FROM s, caller c WHERE c.username = 'ana' RETURNING id, subject_id)
INSERT INTO effect (operation_id, subject_id, lane, generation, realm_id, realm_version, step, ord,
    capability, redo, desired, state, fence, attempts, attempts_before, going_since, after, run_at,
    found, message)
 SELECT o.id, o.subject_id, 'ban', 900, r.id, 1, 'deny', 0, 'network.deny', 'natural', '{desired}', 'ready',
    0, 0, 0, now(), 0, now(), '', '' FROM o, realm r WHERE r.connector = 'blocklist' LIMIT 1
"""


NEW = (
    "INSERT INTO subject (kind, name, rules, network) VALUES ('network', '{name}', 1, '{name}')"
    " RETURNING id"
)
OLD = "SELECT id FROM subject WHERE kind = 'network' AND name = '{name}'"


def by_hand(still: Still, name: str) -> tuple[str, str]:
    """What the database says to an owner who writes a ban in plain SQL."""
    there = still.rows("SELECT FROM subject WHERE kind = 'network' AND name = %s", name)
    statement = EFFECT.replace("{subject}", OLD if there else NEW).replace("{name}", name)
    statement = statement.replace("{ref}", f"op_{uuid.uuid4().hex[:12]}")
    with still.database() as at:
        return refused(at, statement.replace("{desired}", '{"blocked": true}'))


def as_cidr(name: str) -> str:
    """The text as type cidr reads it: what plain SQL would be given, mapped forms and all."""
    return str(ipaddress.ip_network(name))


def told(still: Still, asked: Ask, by: str = "ana", address: str = "") -> Answer:
    who = still.who(by)
    if address:
        who = replace(who, address=ipaddress.ip_address(address))
    with still.acting("web"):
        return issue.submit(who, asked)


# What is too wide, or protected by what it is.


@pytest.mark.parametrize("name", TOO_WIDE)
def test_nothing_too_wide_is_acted_on_and_plain_sql_is_refused_too(still: Still, name: str) -> None:
    with pytest.raises(SubjectRefused) as refusal:
        subjects.parse("network", name)
    assert refusal.value.code == "too_wide"
    assert by_hand(still, as_cidr(name)) == ("SH005", "effect_is_narrow_enough")


@pytest.mark.parametrize("name", NEVER)
def test_what_is_never_acted_on_is_refused_in_every_form(still: Still, name: str) -> None:
    answer = told(still, ban(name))
    assert (answer.status, answer.disposition, answer.code) == (403, "refused", "protected")
    assert not answer.changed
    assert "never acted on" in answer.message
    assert by_hand(still, as_cidr(name)) == ("SH005", "effect_spares_what_is_protected")


@pytest.mark.parametrize("name", [*NO_NETWORK, *NOT_TEXT])
def test_what_is_no_network_never_becomes_one(name: object) -> None:
    with pytest.raises(SubjectRefused) as refusal:
        subjects.parse("network", name)
    assert refusal.value.code == "bad_network"


def test_an_ordinary_address_may_be_written_by_hand(still: Still, name: str) -> None:
    assert by_hand(still, name) == ("", "")


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [
            "::",
            "::ffff:0:0",
            "::ffff:0:0:0",
            "64:ff9b::",
            "64:ff9b:1::",
            "2002::",
            "2001::",
            "2001:db8::",
        ]
    ),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)
def test_python_and_the_database_mean_the_same_ipv4(start: str, low: int, prefix: int) -> None:
    from tests.contracts import inside

    still = inside.still()
    within = ipaddress.IPv6Address(int(ipaddress.IPv6Address(start)) | low >> 48)
    network = ipaddress.IPv6Network((within, prefix), strict=False)
    meant = translated.stands_for(network)
    row = still.rows(
        "SELECT means(%s::cidr)::text, width_floor(%s::cidr)", str(network), str(network)
    )
    assert row[0][0] == (str(meant) if meant else None)
    name = subjects.canonical("network", str(network))
    # The mapped form is named as IPv4, and by hand it is judged as what it stands for.
    if name.network.version == 6:
        narrow = subjects.width_refusal(name) is None
        assert narrow is (network.prefixlen >= row[0][1])


def test_all_that_stands_for_nothing_of_ipv4_means_nothing() -> None:
    for name in ("2001:db8::/32", "2600::/32", "fe80::1/128", "10.0.0.0/8"):
        assert translated.stands_for(ipaddress.ip_network(name)) is None


# What an admin lists.


def test_what_covers_or_lies_within_what_is_protected_is_refused_before_what_stands_is_told(
    still: Still, fresh_network: Callable[[], str]
) -> None:
    address = fresh_network()
    wide = str(ipaddress.ip_network(f"{address}/24", strict=False))
    first = ban(address)
    assert told(still, first).disposition == "created"
    with protected(still, wide):
        assert told(still, ban(address)).code == "protected"
        assert told(still, ban(wide)).code == "protected"
        assert told(still, ban(f"64:ff9b::{address}")).code == "protected"
        again = told(still, first)
        assert (again.disposition, again.replayed) == ("existing", True)
        assert told(still, lift(address, seen=1)).disposition == "created", (
            "giving back is never refused"
        )
    assert told(still, ban(address, seen=2)).disposition == "created"


def test_never_weighs_more_than_asking_twice(still: Still, name: str) -> None:
    with protected(still, name, "ask_twice"), protected(still, name):
        assert told(still, ban(name)).code == "protected"


def test_where_somebody_else_who_is_signed_in_works_from_asks_twice(
    still: Still, networks: Callable[[], str]
) -> None:
    name = networks()
    with seated(still, "raj", name.partition("/")[0]):
        answer = told(still, replace(ban(name), confirm=name))
        assert (answer.disposition, answer.operation["state"]) == ("created", "awaiting_approval")
        assert by_hand(still, name) == ("SH005", "effect_asks_twice")
        # Raj himself is asked to show that he is still there.
        mine = told(still, ban(name), by="raj")
        assert (mine.disposition, mine.operation["state"]) == ("created", "approved")


def test_what_is_protected_since_it_was_asked_for_is_not_sent(still: Still, name: str) -> None:
    operation, effect = still.issued(ban(name))
    with protected(still, name):
        still.deliver(operation)
        state, message = still.rows("SELECT state, message FROM effect WHERE id = %s", effect)[0]
        assert (state, still.listed(name)) == ("failed", False)
        assert "protected" in message
        assert "the payroll must go out" in message
        ref = still.value("SELECT ref FROM operation WHERE id = %s", operation)
        with still.acting("web"):
            no = finish.finish(still.who(), ref, uuid.uuid4().hex, "api")
        assert (no.status, no.code) == (403, "protected")


def test_a_lift_is_sent_though_its_subject_is_protected_since(still: Still, operation: int) -> None:
    name = still.value(
        "SELECT s.name FROM operation o JOIN subject s ON s.id = o.subject_id WHERE o.id = %s",
        operation,
    )
    with protected(still, name):
        lifted = still.made(lift(name))
        assert still.state(lifted) == "succeeded"
        assert not still.listed(name)


def test_what_is_protected_between_the_look_and_the_write_is_refused(
    still: Still, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def meanwhile(at: str) -> None:
        if at == "issue.decided" and not held:
            held.append(protected(still, name))
            held[0].__enter__()

    monkeypatch.setattr(issue, "point", meanwhile)
    try:
        answer = told(still, ban(name))
    finally:
        held[0].__exit__(None, None, None)
    assert (answer.disposition, answer.code) == ("refused", "protected")


def test_an_admin_protects_a_subject_once_and_others_cannot(still: Still, name: str) -> None:
    with still.acting("web"):
        for attempt in (True, False):
            made = protect.add(still.caller("sam"), "network", name, "never", "the load balancer")
            assert made is attempt
        with pytest.raises(Refusal, match="Only an admin"):
            protect.add(still.caller("ana"), "network", name, "never", "mine")
        number = next(row.id for row in protect.listed() if row.name == name)
        with pytest.raises(Refusal, match="Only an admin"):
            protect.withdraw(still.caller("ana"), number, "mine")
        assert told(still, ban(name)).code == "protected"
        said = [protect.withdraw(still.caller("sam"), number, "moved away") for _ in range(2)]
        floor = next(row.id for row in protect.listed() if row.source == "floor")
        with pytest.raises(Refusal, match="keeps it"):
            protect.withdraw(still.caller("sam"), floor, "we need it")
    assert said == ["withdrawn", "gone"]
    with still.database(role="web") as at:
        make = "SELECT protect(%s, 'network', %s, %s::cidr, 'never', 'x')"
        assert refused(at, make, still.caller("ana"), name, name)[0] == "SH003"
        drop = "SELECT unprotect(%s, %s, 'x')"
        assert refused(at, drop, still.caller("ana"), floor)[0] == "SH003"
    told_of = still.rows(
        "SELECT kind FROM log_event WHERE kind LIKE 'subject.%%protected' AND convert_from(body, 'UTF8')"
        " LIKE %s ORDER BY id",
        f'%"name":"{name}"%',
    )
    assert [kind for (kind,) in told_of] == ["subject.protected", "subject.unprotected"]


def test_the_logins_that_the_console_itself_uses_are_found_and_spared(still: Still) -> None:
    rows = still.rows("SELECT kind, name FROM protected_subject WHERE source = 'derived'")
    assert {kind for kind, _ in rows} >= {"network"}
    from console import derived

    with still.acting("owner"):
        protect.sync(
            [protect.Found("secret", "payments-db:manager", "a test", "its own login")], "m1"
        )
        try:
            asked = replace(
                ask("ban-network", "198.51.100.1"),
                action=issue_registry("rotate-secret"),
                subject=subjects.canonical("secret", "payments-db:manager"),
                params={},
            )
            assert told(still, asked).code == "protected"
        finally:
            assert protect.sync([], "m1") == (0, 1)
    assert list(derived.addresses("127.0.0.1")) == ["127.0.0.1/32"]
    assert list(derived.addresses("no.such.host.invalid")) == []


def issue_registry(name: str):  # type: ignore[no-untyped-def]
    from actions.registry import registry

    return registry.action(name)


# How much.


def test_who_reaches_a_ceiling_is_told_when_to_come_again_and_what_stands_is_told_always(
    still: Still, networks: Callable[[], str]
) -> None:
    with limit(still, "person", 2):
        kept = ban(networks())
        assert [told(still, asked).disposition for asked in (kept, ban(networks()))] == [
            "created"
        ] * 2
        over = ban(networks())
        answer = told(still, over)
        assert (answer.status, answer.code, answer.disposition) == (
            429,
            "limit_per_person",
            "refused",
        )
        assert 0 < (answer.retry_after or 0) <= 3600
        assert told(still, kept).replayed
        assert told(still, ban(kept.subject.name)).disposition == "existing"
        # A runbook is no person, and Raj is another one.
        assert told(still, ban(networks()), by="runbook").disposition == "created"
        assert told(still, ban(networks()), by="raj").disposition == "created"
    assert told(still, over).disposition == "created", "the same key is judged anew"


@pytest.mark.parametrize("scope", ["token", "console"])
def test_a_token_and_the_console_have_ceilings_of_their_own(
    still: Still, networks: Callable[[], str], scope: str
) -> None:
    with limit(still, scope, 1):
        assert told(still, ban(networks()), by="runbook").disposition == "created"
        answer = told(still, ban(networks()), by="runbook")
        assert (answer.status, answer.code) == (429, f"limit_per_{scope}")


def test_what_a_ceiling_refused_is_kept_as_a_request_and_counts_for_nothing(
    still: Still, networks: Callable[[], str]
) -> None:
    with limit(still, "person", 1), limit(still, "console", 1):
        told(still, ban(networks()))
        over = ban(networks())
        told(still, over)
        used = still.rows("SELECT sum(used) FROM limit_count")
    kept = still.rows(
        "SELECT a.disposition, a.code, a.operation_id FROM arrival a JOIN request r ON r.id = a.request_id"
        " WHERE r.key = %s",
        over.key,
    )
    assert kept == [("refused", "limit_per_person", None)]
    assert used == [(2,)]


@pytest.mark.parametrize("ceiling", [7, 650])
def test_many_at_once_do_not_pass_a_ceiling_together(still: Still, ceiling: int) -> None:
    bucket, won = f"test/{uuid.uuid4().hex}", []
    gate = threading.Barrier(8)

    def press() -> None:
        with psycopg.connect(still.dsn("owner")) as at:
            gate.wait()
            for _ in range(ceiling // 8 + 8):
                row = at.execute(
                    "SELECT count_one(%s, %s, date_trunc('day', now()))", [bucket, ceiling]
                ).fetchone()
                at.commit()
                won.append(bool(row and row[0]))

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won.count(True) == ceiling
    assert len(won) > ceiling


# What is typed.


def test_what_is_wide_is_typed_by_who_confirms_it(still: Still) -> None:
    name = "198.20.16.0/20"
    wide = ban(name)
    answer = told(still, wide)
    assert (answer.status, answer.code) == (403, "type_to_confirm")
    assert "4,096 addresses" in answer.message
    assert told(still, replace(wide, confirm="198.20.16.0")).code == "type_to_confirm"
    assert told(still, replace(wide, confirm=name)).disposition == "created", "under the same key"
    # What stands is told without typing anything; and taking it back asks for nothing.
    assert told(still, ban(name)).disposition == "existing"
    assert told(still, lift(name, seen=1)).disposition == "created"


@pytest.mark.parametrize(
    ("name", "typed"),
    [("198.20.48.0/24", False), ("2001:db8:7::/48", False), ("2001:db8:40::/44", True),
     ("64:ff9b::c614:5000/116", True)],
)  # fmt: skip
def test_only_what_is_wide_must_be_typed(still: Still, name: str, typed: bool) -> None:
    assert told(still, ban(name)).disposition == ("refused" if typed else "created")


# Who might be cut off by it.


def address_of(name: str) -> str:
    return name.partition("/")[0]


def test_a_ban_of_ones_own_address_needs_an_end(still: Still, name: str) -> None:
    forever = ask("ban-network", name, {"until": None})
    answer = told(still, forever, address=address_of(name))
    assert (answer.status, answer.code) == (403, "own_address")
    assert told(still, forever).disposition == "created", (
        "for anybody else it is a ban like any other"
    )


@pytest.mark.parametrize("elsewhere", ["", "203.0.113.250"])
def test_where_one_works_from_besides_is_ones_own_too(
    still: Still, name: str, elsewhere: str
) -> None:
    forever = ask("ban-network", name, {"until": None})
    with seated(still, "ana", address_of(name)):
        no = told(still, forever, address=elsewhere)
        assert (no.code, f"takes in {address_of(name)}, from where you work" in no.message) == (
            "own_address",
            True,
        )
        answer = told(still, ban(name), address=elsewhere)
        assert (answer.operation["state"], answer.operation["keep_for"]) == ("approved", 300)
        still.deliver(answer.operation["id"])
        mine = told(still, ban(name), address=elsewhere)
        assert mine.disposition == "existing"
        with still.acting("web"):
            drafted = prepare.prepare(still.who(), ban(name, key=prepare.new_key()))
            assert drafted.own
            assert address_of(name) in map(str, reach.seats_of(still.caller()))
        hers = told(still, replace(ban(name), confirm=name), by="raj")
        assert hers.disposition == "created", "to anybody else it may end at any moment"


def test_where_one_worked_from_yesterday_is_not_ones_own(still: Still, name: str) -> None:
    with seated(still, "ana", address_of(name)):
        with still.database() as at:
            before = "UPDATE seat SET seen_at = now() - interval '9 hours' WHERE address = %s"
            at.execute(before, [address_of(name)])
        assert told(still, ban(name)).operation["keep_for"] is None


@pytest.mark.parametrize("form", ["64:ff9b::{}", "::ffff:{}"])
def test_ones_own_address_is_known_in_every_form(still: Still, name: str, form: str) -> None:
    answer = told(still, ban(name), address=form.format(address_of(name)))
    assert answer.operation["keep_by"] is not None


def own_ban(still: Still, name: str) -> tuple[int, str]:
    answer = told(still, ban(name), address=address_of(name))
    assert answer.operation["keep_by"] is not None
    return int(answer.operation["id"]), str(answer.operation["ref"])


def kept(still: Still, ref: str, by: str = "ana", *, proven: bool = True) -> Answer:
    with still.acting("web"):
        return keep.keep(still.who(by), ref, uuid.uuid4().hex, "api", proven=proven)


def time_is_over(still: Still, operation: int) -> None:
    with tampering(still, "operation", "operation_keep_by_never_changes") as at:
        at.execute("UPDATE operation SET keep_by = now() WHERE id = %s", [operation])


def lift_of(still: Still, name: str) -> int:
    """The one lift of a network."""
    lifts = still.rows(
        "SELECT o.id FROM operation o JOIN subject s ON s.id = o.subject_id WHERE s.name = %s"
        " AND o.action = 'lift-ban'",
        name,
    )
    assert len(lifts) == 1
    return int(lifts[0][0])


def test_unless_it_is_kept_it_ends_by_itself(still: Still, name: str) -> None:
    operation, _ = own_ban(still, name)
    still.deliver(operation)
    with still.acting("worker"):
        ends.end_due()
    assert still.listed(name), "there is time yet"
    time_is_over(still, operation)
    with still.acting("worker"):
        assert ends.end_due() >= 1
    lifted = lift_of(still, name)
    reason = still.value("SELECT reason FROM operation WHERE id = %s", lifted)
    still.deliver(lifted)
    assert not still.listed(name)
    assert "Nobody said on a new connection" in reason


def test_kept_by_a_new_connection_it_stays_until_its_end(still: Still, name: str) -> None:
    operation, ref = own_ban(still, name)
    early = kept(still, ref)
    assert (early.status, early.code) == (409, "not_in_force")
    still.deliver(operation)
    everybody_pulls(still)
    assert kept(still, ref, proven=False).code == "new_connection"
    assert kept(still, ref, "raj").code == "not_yours"
    answer = kept(still, ref)
    assert (answer.disposition, answer.changed, answer.status) == ("kept", True, 200)
    assert kept(still, ref).disposition == "existing"
    with tampering(still, "operation", "operation_keep_by_never_changes") as at:
        at.execute(
            "UPDATE operation SET keep_by = now() - interval '1 second' WHERE id = %s", [operation]
        )
    with still.acting("worker"):
        ends.end_due()
    assert still.value("SELECT ended_at FROM operation WHERE id = %s", operation) is None
    assert still.listed(name)


def test_one_that_failed_and_is_finished_late_is_lifted_all_the_same(
    still: Still, name: str
) -> None:
    operation, ref = own_ban(still, name)
    with without_groups(still, "ana"):
        still.deliver(operation)
    assert still.state(operation) == "failed"
    time_is_over(still, operation)
    with still.acting("worker"):
        ends.end_due()
    assert still.value("SELECT ended_at FROM operation WHERE id = %s", operation) is None
    with still.acting("web"):
        assert finish.finish(still.who(), ref, uuid.uuid4().hex, "api").disposition == "resumed"
    still.deliver(operation)
    assert still.listed(name)
    with still.acting("worker"):
        ends.end_due()
    still.deliver(lift_of(still, name))
    assert not still.listed(name)


def test_it_is_not_kept_when_it_is_too_late_or_before_a_firewall_has_it(
    still: Still, networks: Callable[[], str]
) -> None:
    name = networks()
    operation, ref = own_ban(still, name)
    pulled = "INSERT INTO pull (list, consumer, at, etag, entries) SELECT list, 'edge-9', now(), '', 0 FROM"
    with still.database() as at:
        for _ in range(3):
            at.execute(f"{pulled} blocklist_name LIMIT 1")
        still.deliver(operation)
        assert "edge-9" in kept(still, ref).message
        at.execute(f"{pulled} blocklist_name LIMIT 1")
    time_is_over(still, operation)
    assert kept(still, ref).code == "too_late"
    with still.database() as at:
        late = "UPDATE operation SET kept_at = now() WHERE id = %s"
        assert refused(at, late, operation) == ("SH003", "operation_is_kept_in_time")


def test_what_may_end_any_moment_is_not_enough_for_anybody_else(still: Still, name: str) -> None:
    operation, ref = own_ban(still, name)
    still.deliver(operation)
    mine = told(still, ban(name), address=address_of(name))
    assert (mine.disposition, mine.operation["ref"]) == ("existing", ref)
    hers = told(still, ban(name), by="raj")
    assert hers.disposition == "created"
    assert hers.operation["keep_by"] is None


def test_the_process_that_serves_pages_cannot_keep_in_the_name_of_another(
    still: Still, name: str
) -> None:
    operation, _ = own_ban(still, name)
    still.deliver(operation)
    with still.database(role="web") as at:
        by_itself = "UPDATE operation SET kept_at = now() WHERE id = %s"
        assert refused(at, by_itself, operation)[0] == "42501"


def test_the_last_moment_to_keep_it_passes_between_the_look_and_the_write(
    still: Still, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database decides, and that is an answer and no error (contract §2)."""
    operation, ref = own_ban(still, name)
    still.deliver(operation)
    everybody_pulls(still)
    judge, looks = keep.judge, []

    def late(case: Case, proven: bool) -> Decision:
        decision = judge(case, proven)
        if not looks:
            time_is_over(still, operation)
        looks.append(decision.disposition)
        return decision

    monkeypatch.setattr(keep, "judge", late)
    said = kept(still, ref)
    assert (said.disposition, said.code, said.status) == ("refused", "too_late", 409), said
    assert looks == ["kept", "refused"]
