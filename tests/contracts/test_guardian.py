"""Rights read in our own SQL are the rights that guardian would tell of, without its traps."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from actions.policy import CONSOLE_WIDE, RIGHTS
from tests.contracts.inside import Still

# Everything is granted inside one transaction that is taken back at the end.
_COMPARE = """
import json
import django; django.setup()
from django.contrib.auth.models import Group
from django.db import connection, transaction
from guardian.backends import ObjectPermissionBackend
from guardian.shortcuts import assign_perm
from actions import database, policy
from actions.models import Caller, CatalogueEntry, Realm

RIGHTS = [(kind, f"{right}_{kind}") for kind in ("entry", "realm") for right in policy.RIGHTS]
TOLD = {
    "see_entry": "sees", "ask_entry": "asks", "approve_entry": "approves",
    "administer_entry": "administers_entries", "ask_realm": "asks_realms",
    "approve_realm": "approves_realms", "administer_realm": "administers_realms",
}

def ours(kind, right, row, caller):
    sql = policy.granted(kind, right, "%(row)s::uuid", "%(caller)s::uuid")
    return database.value(f"SELECT {sql}", {"row": row.id, "caller": caller.id})

differ, agreed, granted = [], 0, 0
with transaction.atomic():
    # What the database refuses since, guardian's traps, must give nothing where it is there all the same.
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE caller DROP CONSTRAINT caller_has_no_way_past_a_grant")
        cursor.execute("ALTER TABLE caller_user_permissions DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE auth_group_permissions DISABLE TRIGGER USER")
    entries = [*CatalogueEntry.objects.all(), CatalogueEntry.objects.create(name="another")]
    realms = [*Realm.objects.all(), Realm.objects.create(name="second", title="x", connector="blocklist")]
    rows = {"entry": entries, "realm": realms}
    groups = [Group.objects.create(name=f"test {n}") for n in range(3)]
    for number, (kind, right) in enumerate(RIGHTS):
        for n, row in enumerate(rows[kind]):
            assign_perm(right, groups[(number + n) % 3], row)
    new = [Caller.objects.create(username=f"new {n}") for n in range(7)]
    for n, caller in enumerate(new[:4]):
        for bit, group in enumerate(groups):
            if n >> bit & 1:
                caller.groups.add(group)
    for kind, right in RIGHTS:
        assign_perm(right, new[4], rows[kind][0])    # by themselves
        assign_perm(right, new[5], rows[kind][-1])
    new[5].groups.add(groups[0])                      # by both
    assign_perm("actions.ask_entry", new[6])          # on the whole model, which grants no single row
    assign_perm("actions.ask_entry", groups[0])
    assign_perm("actions.ask_realm", groups[0])
    assign_perm("actions.administer", groups[1])
    root = Caller.objects.create(username="root", is_superuser=True)
    closed = Caller.objects.create(username="closed", is_active=False)
    closed.groups.add(groups[0], groups[1], groups[2])
    theirs = ObjectPermissionBackend()
    for caller in Caller.objects.filter(is_active=True, is_superuser=False):
        caller = Caller.objects.get(id=caller.id)
        for kind, right in RIGHTS:
            for row in rows[kind]:
                told = theirs.has_perm(caller, f"actions.{right}", row)
                mine = ours(kind, right, row, caller)
                agreed += told == mine
                granted += mine
                if told != mine:
                    differ.append([caller.username, right, str(row), told, mine])
        rights = policy.rights(caller.id)
        for kind, right in RIGHTS:
            if set(rights.sees.realms if right == "see_realm" else getattr(rights, TOLD[right])) - {
                row.name for row in rows[kind]
            }:
                differ.append([caller.username, right, "more than there is"])
            for row in rows[kind]:
                names = rights.sees.realms if right == "see_realm" else getattr(rights, TOLD[right])
                if (row.name in names) != theirs.has_perm(caller, f"actions.{right}", row):
                    differ.append([caller.username, right, row.name, "rights()"])
        for wide, told in (("read_log", rights.reads_log), ("administer", rights.administers)):
            if told != caller.has_perm(f"actions.{wide}"):
                differ.append([caller.username, wide])
    guardian_tells_root = theirs.has_perm(root, "actions.ask_entry", entries[0])
    we_tell_root = any(ours(k, r, row, root) for k, r in RIGHTS for row in rows[k])
    root_rights = policy.rights(root.id)
    closed_rights = policy.rights(closed.id)
    guardian_tells_closed = theirs.has_perm(closed, "actions.ask_entry", entries[0])
    transaction.set_rollback(True)
print(json.dumps({
    "differ": differ, "agreed": agreed, "granted": granted,
    "guardian_tells_root": guardian_tells_root, "we_tell_root": we_tell_root,
    "root_reads": root_rights.reads_log or root_rights.administers or bool(root_rights.sees),
    "closed_sees": bool(closed_rights.sees or closed_rights.asks),
    "guardian_tells_closed": guardian_tells_closed,
}))
"""


@pytest.fixture(scope="module")
def compared(still: Still) -> dict[str, Any]:
    return dict(json.loads(still.python(_COMPARE)))


def test_everybody_s_rights_are_what_guardian_would_tell(compared: dict[str, Any]) -> None:
    told = compared
    assert told["differ"] == []
    # There was something to agree on: granted and not granted, by both.
    assert told["granted"] > 20
    assert told["agreed"] - told["granted"] > 20


def test_a_superuser_gets_nothing_without_a_grant(compared: dict[str, Any]) -> None:
    """The one difference that is meant: guardian says yes to a superuser without looking."""
    assert compared["guardian_tells_root"] is True
    assert (compared["we_tell_root"], compared["root_reads"]) == (False, False)
    assert (compared["guardian_tells_closed"], compared["closed_sees"]) == (False, False)


def test_nobody_can_be_made_a_superuser(still: Still) -> None:
    """Nor staff: neither by a command of Django's own nor in plain SQL, by the owner of the tables."""
    for flag in ("is_superuser", "is_staff"):
        with still.database() as owner, pytest.raises(psycopg.errors.CheckViolation) as refused:
            owner.execute(f"UPDATE caller SET {flag} = true WHERE username = 'sam'")
        assert refused.value.diag.constraint_name == "caller_has_no_way_past_a_grant"
    told = still.python(
        "import django; django.setup()\n"
        "from django.core.management import CommandError, call_command\n"
        "try: call_command('createsuperuser', username='root', email='', interactive=False)\n"
        "except CommandError as error: print(error)\n"
    )
    assert "no superuser" in told
    assert still.rows("SELECT FROM caller WHERE username = 'root'") == []


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ("auth_group_permissions (group_id, permission_id) SELECT g.id, p.id FROM auth_group g,"
         " auth_permission p WHERE g.name = 'responders' AND p.codename = 'ask_entry'",
         "right_is_granted_on_one_thing"),
        ("caller_user_permissions (caller_id, permission_id) SELECT c.id, p.id FROM caller c,"
         " auth_permission p WHERE c.username = 'ana' AND p.codename = 'read_log'",
         "right_for_all_is_held_by_a_group"),
        ("guardian_groupobjectpermission (group_id, permission_id, content_type_id, object_pk)"
         " SELECT g.id, p.id, p.content_type_id, 'x' FROM auth_group g, auth_permission p"
         " WHERE g.name = 'responders' AND p.codename = 'ask_realm'",
         "grant_names_its_row"),
        ("guardian_userobjectpermission (user_id, permission_id, content_type_id, object_pk)"
         " SELECT c.id, p.id, p.content_type_id, 'x' FROM caller c, auth_permission p"
         " WHERE c.username = 'ana' AND p.codename = 'ask_realm'",
         "grant_names_its_row"),
    ],
)  # fmt: skip
def test_no_right_is_granted_on_all_by_accident(still: Still, table: str, rule: str) -> None:
    with still.database() as owner, pytest.raises(psycopg.Error) as refused:
        owner.execute(f"INSERT INTO {table}")
    assert refused.value.diag.constraint_name == rule


def test_each_right_is_one_row_whichever_model_declares_it(still: Still) -> None:
    """Declared on two models it is two, and what a page shows as held is neither one nor the other."""
    twice = still.rows(
        "SELECT p.codename FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id"
        " WHERE t.app_label = 'actions' AND p.codename = ANY(%s) GROUP BY 1 HAVING count(*) > 1",
        [*CONSOLE_WIDE, *(f"{right}_{kind}" for right in RIGHTS for kind in ("entry", "realm"))],
    )
    assert twice == []
