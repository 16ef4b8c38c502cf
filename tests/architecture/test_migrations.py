"""Migrations: none is missing, and they run on an empty database and on one that is in use."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.console_process import ROOT
from tests.contracts.inside import Still


def manage(still: Still, *arguments: str, url: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "STEADYHAND_HOME": str(still.home), "STEADYHAND_ROLE": "owner"}
    env |= {"DATABASE_URL": url} if url else {}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def migrate(still: Still, url: str, *target: str) -> None:
    done = manage(still, "migrate", "--verbosity=0", "--no-input", *target, url=url)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def empty_database(still: Still) -> Iterator[Callable[[], str]]:
    """Makes databases of their own in the cluster; the owner's URL of each."""
    made: list[str] = []

    def make() -> str:
        name = f"migrated_{uuid.uuid4().hex[:8]}"
        with still.database(role="superuser") as at:
            at.execute(f"CREATE DATABASE {name} OWNER steadyhand_owner")
        made.append(name)
        return still.dsn("owner").rsplit("/", 1)[0] + f"/{name}"

    yield make
    with still.database(role="superuser") as at:
        for name in made:
            at.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_no_migration_is_missing(still: Still) -> None:
    done = manage(still, "makemigrations", "--check", "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_migration_is_in_the_database(still: Still) -> None:
    done = manage(still, "migrate", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


# What a database is made of, as text; order and object ids left out.
SHAPE = """
SELECT 'column', table_name, column_name, data_type || is_nullable || coalesce(column_default, '')
  FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'rule', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, tgenabled::text || pg_get_triggerdef(oid)
  FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', proname, '', pg_get_functiondef(oid) || coalesce(proacl::text, '')
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'rights', relname, '', relacl::text FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')
UNION ALL SELECT 'view', viewname, '', definition FROM pg_views WHERE schemaname = 'public'
"""


def shape(url: str) -> set[tuple[Any, ...]]:
    with psycopg.connect(url) as at:
        return set(at.execute(SHAPE).fetchall())


FILL = """
INSERT INTO caller (id, password, is_superuser, username, first_name, last_name, email, is_staff,
    is_active, date_joined, kind)
  SELECT gen_random_uuid(), '', false, 'c' || n, '', '', '', false, true, now(),
    CASE n WHEN 1 THEN 'console' ELSE 'person' END FROM generate_series(1, 3) n;
INSERT INTO realm (id, name, title, connector, version, enabled)
  VALUES (gen_random_uuid(), 'edge', 'Edge', 'blocklist', 1, true);
INSERT INTO realm_version (realm_id, number, settings, created_at)
  SELECT id, 1, '{"list": "blocked"}', now() FROM realm;
INSERT INTO catalogue_entry (id, name) VALUES (gen_random_uuid(), 'ban-network');
INSERT INTO subject (kind, name, rules, network)
  SELECT 'network', '198.51.100.' || n || '/32', 1, ('198.51.100.' || n || '/32')::cidr
    FROM generate_series(1, 50) n;
INSERT INTO operation (ref, subject_id, lane, generation, action, action_version, state, desired,
    plan_digest, reason, because, requested_by_id, via, requested_at, end_note, arrival_count,
    last_arrival_at, event_count)
  SELECT 'op_' || s.id, s.id, 'ban', 1, 'ban-network', 1,
    (ARRAY['approved', 'running', 'succeeded', 'failed', 'parked', 'cancelled'])[s.id % 6 + 1],
    '{"blocked": true}', '', 'a reason', '', c.id, 'api', now(), '', 1, now(), 1
    FROM subject s, caller c WHERE c.username = 'c2';
INSERT INTO effect (operation_id, subject_id, lane, generation, realm_id, realm_version, step, ord,
    capability, redo, desired, state, fence, attempts, run_at, lease_until, doubt_until, found, message)
  SELECT o.id, o.subject_id, 'ban', 1, r.id, 1, 'deny', 0, 'network.deny', 'natural', o.desired,
    e.state, 1, 1, now(), CASE e.state WHEN 'executing' THEN now() END,
    CASE e.state WHEN 'in_doubt' THEN now() END, '', ''
    FROM operation o, realm r, LATERAL (SELECT (ARRAY['ready', 'executing', 'in_doubt', 'succeeded',
      'failed', 'parked', 'cancelled'])[o.id % 7 + 1] AS state) e;
INSERT INTO attempt (id, effect_id, number, fence, worker, claimed_at, outcome, found, message, late)
  SELECT gen_random_uuid(), id, 1, 1, 'w', now(), '', '', '', false FROM effect;
INSERT INTO request (caller_id, key, fingerprint, rules, first_seen_at, operation_id)
  SELECT requested_by_id, 'key-' || id, '', 1, now(), id FROM operation;
INSERT INTO arrival (id, request_id, operation_id, at, via, disposition, code)
  SELECT gen_random_uuid(), id, operation_id, now(), 'api', 'created', '' FROM request;
INSERT INTO log_event (at, kind, operation_id, number, body)
  SELECT now(), 'operation.requested', id, 1, '{}' FROM operation;
INSERT INTO incident (id, number, title, state, opened_by_id, request_key, fingerprint)
  SELECT gen_random_uuid(), 1, 'a flood', 'open', id, 'k', '' FROM caller WHERE username = 'c2';
INSERT INTO operation_incident (operation_id, incident_id) SELECT o.id, i.id FROM operation o, incident i;
INSERT INTO blocklist_entry (list, network, blocked, generation, set_by, changed_at)
  SELECT 'blocked', network, true, 1, 'x', now() FROM subject;
"""


def contents(url: str) -> dict[str, int]:
    tables = ("operation", "effect", "attempt", "request", "arrival", "log_event", "subject")
    with psycopg.connect(url) as at:
        return {
            table: at.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # type: ignore[index]
            for table in tables
        }


def test_a_database_in_use_comes_to_the_same_as_an_empty_one(
    still: Still, empty_database: Callable[[], str]
) -> None:
    empty, used = empty_database(), empty_database()
    migrate(still, empty)
    migrate(still, used, "actions", "0001")
    with psycopg.connect(used) as at:
        at.execute(FILL)
    before = contents(used)
    migrate(still, used)
    assert contents(used) == before
    assert shape(used) == shape(empty)
    with psycopg.connect(used) as at:
        moved = at.execute("UPDATE operation SET state = 'running' WHERE state = 'approved'")
        assert moved.rowcount > 0
        told = at.execute("SELECT count(facts) FROM operation_facts").fetchone()
        assert told == (before["operation"],)


def test_migrating_again_changes_nothing(still: Still) -> None:
    before = shape(still.dsn("owner"))
    migrate(still, "")
    assert shape(still.dsn("owner")) == before
