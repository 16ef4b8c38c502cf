"""Rights are read in one question, and what was taken away is gone with the next request."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.console_process import Api, Console

_COUNT = """
import json
import django; django.setup()
import psycopg
from django.db import transaction
from guardian.shortcuts import assign_perm
from actions import policy, standing
from actions.models import Caller, CatalogueEntry, Realm
from actions.registry import registry
from actions.subjects import parse
from django.contrib.auth.models import Group

asked, kept = 0, psycopg.Cursor.execute
def execute(*args, **kwargs):
    global asked
    asked += 1
    return kept(*args, **kwargs)
psycopg.Cursor.execute = execute

def count(ask):
    global asked
    asked = 0
    ask()
    return asked

caller = Caller.objects.get(username="runbook")
at = standing.Look(registry.action("ban-network"), parse("network", "203.0.113.1"), "k" * 20, caller.id)
counts = []
with transaction.atomic():
    for turn in range(2):
        counts.append([count(lambda: policy.rights(caller.id)), count(lambda: standing.look(at))])
        group = Group.objects.get(name="runbooks")
        for n in range(20):
            entry = CatalogueEntry.objects.create(name=f"another {turn} {n}")
            realm = Realm.objects.create(name=f"another-{turn}-{n}", title="x", connector="blocklist")
            other = Group.objects.create(name=f"another {turn} {n}")
            caller.groups.add(other)
            for holder in (group, other, caller):
                assign_perm("see_entry", holder, entry)
                assign_perm("ask_realm", holder, realm)
    seen = standing.look(at)
    many = [len(policy.rights(caller.id).sees), len(seen.realms), all(r.may_ask for r in seen.realms)]
    transaction.set_rollback(True)
print(json.dumps({"counts": counts, "many": many}))
"""


def test_what_one_may_do_is_one_question_however_much_there_is(console: Console) -> None:
    told = json.loads(console.python(_COUNT))
    assert told["counts"] == [[1, 1], [1, 1]]
    assert told["many"][1] == 41 and told["many"][2]


def test_a_right_taken_away_is_gone_with_the_next_request(
    console: Console, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    name, asker = somebody("auditors", "runbooks")
    assert asker.ban(network, wait=10).status_code == 201
    console.leave(name, "runbooks")
    assert asker.lift(network).status_code == 403
    assert asker.get("/actions/ban-network").json()["may_ask"] is False
    console.leave(name, "auditors")
    assert asker.lift(network).status_code == 404
    ref = console.value(
        "SELECT o.ref FROM operation o JOIN subject s ON s.id = o.subject_id WHERE s.name = %s",
        f"{network}/32",
    )
    assert asker.get(f"/operations/{ref}").status_code == 404
    assert asker.get("/subjects", kind="network", name=network).json()["lanes"] == []
    assert asker.get("/operations").json()["operations"] == []


def test_a_right_taken_away_before_delivery_stops_it(
    console: Console, somebody: Callable[..., tuple[str, Api]], network: str
) -> None:
    name, asker = somebody("runbooks")
    with console.keeper_halted():
        ref = asker.ban(network).json()["operation"]["ref"]
        with console.database() as owner:
            owner.execute("UPDATE caller SET is_active = false WHERE username = %s", [name])
    told = console.api().settled(ref)
    assert told["operation"]["state"] == "failed"
    assert "no longer" in told["operation"]["effects"][0]["message"]
    assert network not in console.api().listed()
