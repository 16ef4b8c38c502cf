"""The block lists as pages show them: entries with what put them there, and who pulls them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from actions.policy import Sight

MOST = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One blocked network: since when, and by which operation, named if the viewer may see it."""

    network: str
    since: datetime
    key: str
    ref: str
    until: datetime | None
    by: str


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who has pulled a list, when last, and whether that was the list as it is now."""

    name: str
    kind: str  # person, service, or "" for an address of a listed network
    at: datetime
    entries: int
    current: bool


@dataclass(frozen=True, slots=True)
class BlockList:
    """One list: its first entries, in its own order, and how many there are."""

    name: str
    count: int
    changed_at: datetime | None
    entries: list[Entry]
    consumers: list[Consumer]


# The digest is the ETag of a pull (console.views.lists): of the very text that a pull answers.
_LISTS = """
SELECT n.list, count(e.network) FILTER (WHERE e.blocked) AS count, max(e.changed_at) AS changed_at,
  left(encode(sha256(convert_to(coalesce(
    string_agg(regexp_replace(e.network::text, CASE family(e.network) WHEN 4 THEN '/32$' ELSE '/128$' END, '')
               || chr(10), '' ORDER BY e.network) FILTER (WHERE e.blocked),
    '# no network is blocked' || chr(10)), 'UTF8')), 'hex'), 32) AS digest
  FROM blocklist_name n LEFT JOIN blocklist_entry e ON e.list = n.list
 WHERE n.list IN (SELECT r.list FROM blocklist_of_realm r WHERE r.realm = ANY(%(sees_realms)s::text[]))
 GROUP BY n.list ORDER BY n.list
"""
_ENTRIES = """
SELECT x.list, x.network::text, x.changed_at, split_part(x.set_by, '#', 1), coalesce(o.ref, ''),
       o.ends_at, coalesce(c.username, '')
  FROM (SELECT e.list, e.network, e.changed_at, e.set_by, e.generation,
               row_number() OVER (PARTITION BY e.list ORDER BY e.network) AS place
          FROM blocklist_entry e JOIN blocklist_name n ON n.list = e.list WHERE e.blocked) x
  LEFT JOIN subject s ON s.kind = 'network' AND s.name = x.network::text
  LEFT JOIN operation o ON o.subject_id = s.id AND o.generation = x.generation
        AND o.action = split_part(x.set_by, ':', 1) AND o.action = ANY(%(sees)s::text[])
  LEFT JOIN caller c ON c.id = o.requested_by_id
 WHERE x.place <= %(most)s::int
 ORDER BY x.list, x.network
"""
# One step of the recursion per consumer: pulls are many, consumers few.
_CONSUMERS = """
WITH RECURSIVE known AS (
  (SELECT list, consumer FROM pull ORDER BY list, consumer LIMIT 1)
  UNION ALL
  SELECT n.list, n.consumer FROM known k CROSS JOIN LATERAL (
    SELECT p.list, p.consumer FROM pull p WHERE (p.list, p.consumer) > (k.list, k.consumer)
     ORDER BY p.list, p.consumer LIMIT 1) n
)
SELECT k.list, k.consumer, coalesce(c.kind, ''), last.at, last.entries, last.etag
  FROM known k CROSS JOIN LATERAL (
    SELECT p.at, p.entries, p.etag, p.caller_id FROM pull p
     WHERE p.list = k.list AND p.consumer = k.consumer ORDER BY p.at DESC LIMIT 1) last
  LEFT JOIN caller c ON c.id = last.caller_id
 ORDER BY k.list, k.consumer
"""


def names(sees: Sight) -> set[str]:
    """The lists of the realms that the viewer may see."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT list FROM blocklist_of_realm WHERE realm = ANY(%s)", [list(sees.realms)]
        )
        return {row[0] for row in cursor.fetchall()}


def lists(sees: Sight) -> list[BlockList]:
    """Every list in use whose realm the viewer may see, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_LISTS, {"sees_realms": list(sees.realms)})
        named = cursor.fetchall()
        cursor.execute(_ENTRIES, {"sees": list(sees), "most": MOST})
        entries: dict[str, list[Entry]] = {}
        for name, *entry in cursor.fetchall():
            entries.setdefault(name, []).append(Entry(*entry))
        cursor.execute(_CONSUMERS)
        pulls = cursor.fetchall()
    return [
        BlockList(
            name,
            count,
            changed_at,
            entries.get(name, []),
            [_consumer(digest, *pull) for of, *pull in pulls if of == name],
        )
        for name, count, changed_at, digest in named
    ]


def _consumer(digest: str, name: str, kind: str, at: datetime, entries: int, etag: str) -> Consumer:
    return Consumer(name, kind, at, entries, etag == digest)
