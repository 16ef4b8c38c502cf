"""What an admin does, and what nobody can: in the domain, and in plain SQL in every role."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import override_settings

from actions import administer, roster
from actions.administer import Done
from actions.checks import nobody_who_is_not_signed_in_has_rights
from actions.errors import NotFound, ParamsRefused, Refusal
from actions.policy import rights
from tests.contracts.inside import MAY_NOT, Still, refused


@pytest.fixture(autouse=True)
def _web(still: Still) -> Iterator[None]:
    """Whatever is called is called as the web process would; hashing need not be slow here."""
    quick = override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])
    with still.acting("web"), quick:
        yield


@pytest.fixture
def sam(still: Still) -> uuid.UUID:
    """The admin."""
    return still.caller("sam")


@pytest.fixture
def group(sam: uuid.UUID) -> str:
    """A new group, without members or rights."""
    name = f"group-{uuid.uuid4().hex[:8]}"
    assert administer.make_group(sam, name) is Done.DONE
    return name


@pytest.fixture
def pat(still: Still, sam: uuid.UUID) -> uuid.UUID:
    """Somebody new, in no group."""
    made = uuid.uuid4()
    assert administer.add_person(sam, made, f"pat-{made.hex[:8]}", "Pat", "").done is Done.DONE
    return made


def target(still: Still, kind: str = "entry") -> uuid.UUID:
    table, name = {
        "entry": ("catalogue_entry", "ban-network"),
        "realm": ("realm", "edge-blocklist"),
    }[kind]
    return still.value(f"SELECT id FROM {table} WHERE name = %s", name)


def logged(still: Still, kind: str) -> list[dict[str, Any]]:
    """The bodies of the events of a kind, oldest first."""
    rows = still.rows("SELECT body FROM log_event WHERE kind = %s ORDER BY id", kind)
    return [json.loads(bytes(body))["body"] for (body,) in rows]


# Who may.


def deeds(still: Still, group: str, pat: uuid.UUID) -> dict[str, Callable[[Any], object]]:
    token = still.value("SELECT id FROM api_token LIMIT 1")
    entry = target(still)
    return {
        "add": lambda by: administer.add_person(by, uuid.uuid4(), "mallory", "", ""),
        "close": lambda by: administer.close(by, still.caller("raj")),
        "reopen": lambda by: administer.reopen(by, pat, "person"),
        "make a group": lambda by: administer.make_group(by, f"mine {uuid.uuid4().hex[:8]}"),
        "join": lambda by: administer.set_member(by, pat, "admins", True),
        "leave": lambda by: administer.set_member(by, still.caller("raj"), "responders", False),
        "grant": lambda by: administer.set_rights(by, group, "entry", entry, [], ["ask"]),
        "grant wide": lambda by: administer.set_rights(by, group, "all", None, [], ["read_log"]),
        "issue": lambda by: administer.issue_token(
            by, uuid.uuid4(), still.caller("runbook"), "t", [], 1
        ),
        "withdraw": lambda by: administer.withdraw_token(by, token),
    }


@pytest.mark.parametrize("who", ["ana", "li", "noor", "runbook", "console", "nobody", "unnamed"])
def test_only_an_admin_does_any_of_it(still: Still, group: str, pat: uuid.UUID, who: str) -> None:
    others = {"nobody": uuid.uuid4(), "unnamed": None}
    by = others[who] if who in others else still.caller(who)
    before = still.value("SELECT count(*) FROM log_event")
    for name, deed in deeds(still, group, pat).items():
        with pytest.raises(Refusal) as told:
            deed(by)
        assert told.value.code == "may_not_administer", name
    assert still.value("SELECT count(*) FROM log_event") == before


def test_a_closed_admin_and_one_who_left_the_group_may_no_more(
    still: Still, sam: uuid.UUID, group: str, pat: uuid.UUID
) -> None:
    administer.set_member(sam, pat, "admins", True)
    assert administer.make_group(pat, f"by pat {uuid.uuid4().hex[:8]}") is Done.DONE
    administer.close(sam, pat)
    with pytest.raises(Refusal, match="may not administer"):
        administer.make_group(pat, "after it")
    administer.reopen(sam, pat, "person")
    administer.set_member(sam, pat, "admins", False)
    with pytest.raises(Refusal, match="may not administer"):
        administer.make_group(pat, "after it")


def test_who_administers_one_realm_gives_rights_on_that_one_alone(
    still: Still, sam: uuid.UUID, group: str, pat: uuid.UUID
) -> None:
    realm, entry = target(still, "realm"), target(still)
    owners = f"owners-{uuid.uuid4().hex[:8]}"
    administer.make_group(sam, owners)
    administer.set_member(sam, pat, owners, True)
    administer.set_rights(sam, owners, "realm", realm, [], ["administer"])
    has = rights(pat)
    assert (has.gives_rights, has.administers) == (True, False)
    assert [one.name for one in roster.held_for(group, has)] == ["edge-blocklist"]
    assert administer.set_rights(pat, group, "realm", realm, [], ["see"]) is Done.DONE
    for kind, on, right in (("entry", entry, "see"), ("all", None, "administer")):
        with pytest.raises(Refusal, match="may not administer"):
            administer.set_rights(pat, group, kind, on, [], [right])
    with pytest.raises(Refusal, match="may not administer"):
        administer.set_member(pat, pat, "admins", True)


def test_an_admin_does_not_thereby_ask_and_giving_it_to_oneself_is_on_record(
    still: Still, sam: uuid.UUID
) -> None:
    has = rights(sam)
    assert (has.administers, has.reads_log, has.asks, has.approves) == (
        True,
        True,
        frozenset(),
        frozenset(),
    )
    entry = target(still)
    assert (
        administer.set_rights(sam, "admins", "entry", entry, ["see"], ["see", "ask"]) is Done.DONE
    )
    event = logged(still, "rights.changed")[-1]
    assert (event["by"], event["group"], event["given"], event["own"]) == (
        "sam",
        "admins",
        ["ask"],
        "yes",
    )
    administer.set_rights(sam, "admins", "entry", entry, ["ask", "see"], ["see"])
    assert logged(still, "rights.changed")[-1]["taken"] == ["ask"]


# Every change is written once, with who made it.


def test_pressing_twice_is_one_change_and_one_record(
    still: Still, sam: uuid.UUID, group: str, pat: uuid.UUID
) -> None:
    entry, made = target(still), uuid.uuid4()
    twice: dict[str, Callable[[], object]] = {
        "account.closed": lambda: administer.close(sam, pat),
        "account.reopened": lambda: administer.reopen(sam, pat, "person").done,
        "member.added": lambda: administer.set_member(sam, pat, group, True),
        "member.removed": lambda: administer.set_member(sam, pat, group, False),
        "rights.changed": lambda: administer.set_rights(sam, group, "entry", entry, [], ["see"]),
        "account.added": lambda: (
            administer.add_person(sam, made, f"kay-{made.hex[:8]}", "", "").done
        ),
        "group.made": lambda: administer.make_group(sam, f"twice-{made.hex[:8]}"),
        "token.issued": lambda: (
            administer.issue_token(sam, made, still.caller("runbook"), "t", ["read"], 1).done
        ),
        "token.withdrawn": lambda: administer.withdraw_token(sam, made),
    }
    for kind, deed in twice.items():
        before = len(logged(still, kind))
        assert [deed(), deed()] == [Done.DONE, Done.EXISTING], kind
        events = logged(still, kind)
        assert len(events) == before + 1, kind
        assert (events[-1]["by"], events[-1]["caller"]) == ("sam", str(sam)), kind
        assert not any("password" in json.dumps(e) or "pbkdf2" in json.dumps(e) for e in events)


def test_a_password_is_told_once_and_what_was_made_is_never_told(
    still: Still, sam: uuid.UUID
) -> None:
    made, name = uuid.uuid4(), f"kay-{uuid.uuid4().hex[:8]}"
    first = administer.add_person(sam, made, name, "Kay", "")
    again = administer.add_person(sam, made, name, "Kay", "")
    assert first.secret and again.secret is None
    with pytest.raises(Refusal) as taken:
        administer.add_person(sam, uuid.uuid4(), name, "Another", "")
    assert taken.value.code == "name_taken"
    kept = still.value("SELECT password FROM caller WHERE id = %s", made)
    assert first.secret not in kept
    for bad in ("", "a", "Ana", "a b", "ana\n", "x" * 41, "../x", "-a"):
        with pytest.raises(ParamsRefused):
            administer.add_person(sam, uuid.uuid4(), bad, "", "")


def test_rights_that_moved_since_they_were_seen_are_not_written_over(
    still: Still, sam: uuid.UUID, group: str
) -> None:
    entry = target(still)
    set_to = administer.set_rights
    assert set_to(sam, group, "entry", entry, [], ["see", "ask"]) is Done.DONE
    # Somebody with an old page, who saw nothing granted, would take "ask" away without knowing.
    assert set_to(sam, group, "entry", entry, [], ["see"]) is Done.STALE
    held = next(one for one in roster.held(group) if one.target == entry)
    assert held.held == ["ask", "see"]
    with pytest.raises(Refusal, match="no such right"):
        set_to(sam, group, "entry", entry, held.held, ["own"])
    with pytest.raises(Refusal, match="no such right"):
        set_to(sam, group, "entry", entry, held.held, ["read_log"])
    for call in (
        lambda: set_to(sam, "no such group", "entry", entry, [], ["see"]),
        lambda: set_to(sam, group, "entry", uuid.uuid4(), [], ["see"]),
        lambda: administer.set_member(sam, uuid.uuid4(), group, True),
        lambda: administer.set_member(sam, still.caller("console"), group, True),
        lambda: administer.withdraw_token(sam, uuid.uuid4()),
    ):
        with pytest.raises(NotFound):
            call()


def test_no_one_is_given_a_token_of_somebody_else(still: Still, sam: uuid.UUID) -> None:
    def issue(account: uuid.UUID, days: int = 30) -> Done:
        return administer.issue_token(sam, uuid.uuid4(), account, "t", ["read"], days).done

    assert issue(still.caller("runbook")) is Done.DONE
    assert issue(sam) is Done.DONE
    for account, days in (
        (still.caller("ana"), 30),
        (still.caller("console"), 30),
        (still.caller("runbook"), 91),
        (still.caller("runbook"), 0),
    ):
        with pytest.raises(Refusal) as told:
            issue(account, days)
        assert told.value.code == "no_token_for_them"


def test_a_service_account_and_the_console_itself_have_no_password(
    still: Still, sam: uuid.UUID
) -> None:
    made = uuid.uuid4()
    assert administer.add_service(sam, made, f"svc-{made.hex[:8]}", "A sweeper") is Done.DONE
    assert still.value("SELECT password FROM caller WHERE id = %s", made).startswith("!")
    console = still.caller("console")
    call = "SELECT {}"
    with still.database(role="web") as at:
        for statement, params in (
            ("open_caller(%s, %s, false, '!x')", (sam, console)),
            ("open_caller(%s, %s, true, 'a password')", (sam, made)),
            ("open_caller(%s, %s, false, 'a password')", (sam, still.caller("raj"))),
            ("add_caller(%s, %s, 'x1', 'service', '', '', 'p')", (sam, uuid.uuid4())),
            ("add_caller(%s, %s, 'x2', 'console', '', '', '!')", (sam, uuid.uuid4())),
        ):
            rule = ("SH003", "service_has_no_password")
            assert refused(at, call.format(statement), *params) == rule, statement


# The last admin.


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE caller SET is_active = false WHERE username = 'sam'", "last_admin_stays_open"),
        ("UPDATE caller SET password = '!' WHERE username = 'sam'", "last_admin_stays_open"),
        ("UPDATE caller SET password = '' WHERE username = 'sam'", "last_admin_stays_open"),
        ("DELETE FROM caller_groups", "last_admin_stays_in_the_group"),
        ("UPDATE caller_groups SET group_id = (SELECT id FROM auth_group WHERE name = 'auditors')"
         " WHERE caller_id = (SELECT id FROM caller WHERE username = 'sam')",
         "last_admin_stays_in_the_group"),
        ("DELETE FROM auth_group_permissions", "last_admin_keeps_the_right"),
        ("DELETE FROM caller", "caller_is_kept"),
        ("DELETE FROM auth_group", "auth_group_is_kept"),
        ("TRUNCATE caller_groups", "caller_groups_is_never_emptied"),
        ("TRUNCATE auth_group_permissions", "auth_group_permissions_is_never_emptied"),
        ("UPDATE caller SET kind = 'service' WHERE username = 'sam'", "caller_identity_never_changes"),
        ("UPDATE caller SET username = 'sammy' WHERE username = 'sam'", "caller_identity_never_changes"),
        ("UPDATE auth_group SET name = 'bosses' WHERE name = 'admins'", "group_keeps_its_name"),
        ("DELETE FROM api_token", "api_token_is_kept"),
    ],
)  # fmt: skip
def test_the_last_admin_stays_whoever_says_otherwise(
    still: Still, statement: str, rule: str
) -> None:
    _only_sam(still)
    for options in ("", "SET session_replication_role = replica"):
        with still.database(role="superuser" if options else "owner") as at:
            if options:
                at.execute(options)
            assert refused(at, statement) == ("SH003", rule)
    with still.database(role="web") as at:
        assert refused(at, statement) in {MAY_NOT, ("SH003", rule)}


def _only_sam(still: Still) -> None:
    """Whoever else an earlier test made an admin is none."""
    still.rows(
        "DELETE FROM caller_groups m USING caller c, auth_group g WHERE m.caller_id = c.id"
        " AND m.group_id = g.id AND g.name = 'admins' AND c.username <> 'sam' RETURNING 1"
    )
    admins = "SELECT count(*) FROM able_admins()"
    assert still.value(admins) == 1


def test_the_last_admin_cannot_close_leave_or_lose_the_right(still: Still, sam: uuid.UUID) -> None:
    _only_sam(still)
    for deed in (
        lambda: administer.close(sam, sam),
        lambda: administer.set_member(sam, sam, "admins", False),
        lambda: administer.set_rights(
            sam, "admins", "all", None, ["administer", "read_log"], ["read_log"]
        ),
    ):
        with pytest.raises(Refusal) as told:
            deed()
        assert told.value.code == "last_admin"
    assert rights(sam).administers


def test_two_admins_who_remove_each_other_leave_one(
    still: Still, sam: uuid.UUID, pat: uuid.UUID
) -> None:
    _only_sam(still)
    administer.set_member(sam, pat, "admins", True)
    remove = "DELETE FROM caller_groups WHERE caller_id = %s RETURNING 1"
    with still.database() as first, first.transaction():
        first.execute(remove, [pat])
        # Sam is removed by somebody else meanwhile, who sees pat still there until they meet.
        second = still.meanwhile("owner", lambda: _run(remove, sam))
        assert second.until_it_waits()
    with pytest.raises(psycopg.Error) as told:
        second.result()
    assert told.value.diag.constraint_name == "last_admin_stays_in_the_group"
    assert still.rows("SELECT able_admins()") == [(sam,)]


def test_two_admins_who_close_each_other_leave_one(
    still: Still, sam: uuid.UUID, pat: uuid.UUID
) -> None:
    _only_sam(still)
    administer.set_member(sam, pat, "admins", True)
    with still.database(role="web") as first, first.transaction():
        first.execute("SELECT open_caller(%s, %s, false, '!')", [sam, pat])
        second = still.meanwhile("web", lambda: administer.close(pat, sam))
        assert second.until_it_waits()
    with pytest.raises(Refusal) as told:
        second.result()
    assert told.value.code == "may_not_administer"  # by then they are closed themselves
    assert still.rows("SELECT able_admins()") == [(sam,)]


def test_a_look_that_is_older_than_the_lock_changes_no_rights(
    still: Still, sam: uuid.UUID, pat: uuid.UUID
) -> None:
    """At REPEATABLE READ each of two admins would go on seeing the other."""
    administer.set_member(sam, pat, "admins", True)
    with still.database() as at:
        at.execute("SET default_transaction_isolation = 'repeatable read'")
        told = refused(at, "DELETE FROM caller_groups WHERE caller_id = %s", pat)
        assert told == ("SH003", "rights_change_by_what_is_committed")
    administer.set_member(sam, pat, "admins", False)


def _run(statement: str, *params: object) -> None:
    connection.ensure_connection()
    connection.connection.execute(statement, params)


def test_nobody_who_is_not_signed_in_has_an_account(still: Still) -> None:
    """guardian would make an active AnonymousUser, and ask for its rights."""
    assert still.value("SELECT count(*) FROM caller WHERE username = 'AnonymousUser'") == 0
    assert nobody_who_is_not_signed_in_has_rights(None) == []
    with override_settings(ANONYMOUS_USER_NAME="AnonymousUser"):
        assert [e.id for e in nobody_who_is_not_signed_in_has_rights(None)] == ["actions.E002"]


def test_a_group_is_granted_by_a_command(still: Still, group: str) -> None:
    def grant(*words: str) -> str:
        code = (
            "import django; django.setup()\n"
            "from django.core.management import CommandError, call_command\n"
            f"try: call_command('grant', *{list(words)!r})\n"
            "except CommandError as error: print('refused:', error)\n"
        )
        return still.python(code)

    both = ("--realm", "edge-blocklist", "--entry", "ban-network")
    assert "done" in grant(group, "see", "ask", *both)
    assert "already so" in grant(group, "ask", *both)
    held = {one.name: one.held for one in roster.held(group) if one.held}
    assert held == {"edge-blocklist": ["ask", "see"], "ban-network": ["ask", "see"]}
    assert logged(still, "rights.changed")[-1]["by"] == "manage.py"
    assert "see (done)" in grant(group, "ask", "--realm", "edge-blocklist", "--take")
    assert "read_log (done)" in grant(group, "read_log")
    for words, why in (
        (("nobody", "see", *both), "no group nobody"),
        ((group, "see", "--realm", "nowhere"), "no realm nowhere"),
        ((group, "see", "--entry", "nothing"), "no action nothing"),
        ((group, "own", *both), "No such right"),
        ((group, "see"), "No such right"),
        (("admins", "administer", "--take"), "last admin"),
    ):
        assert why in grant(*words), words
