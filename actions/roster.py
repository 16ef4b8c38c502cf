"""Who there is and what they hold, for the pages of those who administer: a few queries, however many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from actions import database
from actions.policy import CONSOLE_WIDE, Rights

MOST = 500


@dataclass(frozen=True, slots=True)
class Account:
    """A person or a service account, and its groups. `live_tokens` counts those that still work."""

    id: UUID
    username: str
    shown: str
    kind: str
    is_active: bool
    last_login: datetime | None
    groups: list[str]
    live_tokens: int


_ACCOUNTS = """
SELECT c.id, c.username, trim(c.first_name || ' ' || c.last_name) AS shown, c.kind, c.is_active, c.last_login,
  ARRAY(SELECT g.name FROM caller_groups m JOIN auth_group g ON g.id = m.group_id
         WHERE m.caller_id = c.id ORDER BY g.name) AS groups,
  (SELECT count(*) FROM api_token t WHERE t.caller_id = c.id AND t.revoked_at IS NULL
      AND t.expires_at > clock_timestamp()) AS live_tokens
  FROM caller c
 WHERE c.kind <> 'console' AND (%(username)s::text = '' OR c.username = %(username)s::text)
   AND (%(group)s::text = '' OR EXISTS (SELECT FROM caller_groups m JOIN auth_group g ON g.id = m.group_id
          WHERE m.caller_id = c.id AND g.name = %(group)s::text))
 ORDER BY c.is_active DESC, c.kind, c.username LIMIT %(most)s::int
"""


def accounts(username: str = "", group: str = "") -> list[Account]:
    """Accounts, the open ones first; of one name or one group, if given."""
    params = {"username": username, "group": group, "most": MOST}
    return [Account(**row) for row in database.every(_ACCOUNTS, params)]


@dataclass(frozen=True, slots=True)
class Group:
    """A group, how many are in it, and what it may console-wide."""

    name: str
    members: int
    held: list[str]


_GROUPS = """
SELECT g.name, (SELECT count(*) FROM caller_groups m WHERE m.group_id = g.id) AS members,
       held_on(g.id, 'all', NULL) AS held
  FROM auth_group g WHERE %(name)s::text = '' OR g.name = %(name)s::text ORDER BY g.name LIMIT %(most)s::int
"""


def groups(name: str = "") -> list[Group]:
    """Every group, or the one of that name."""
    return [Group(**row) for row in database.every(_GROUPS, {"name": name, "most": MOST})]


@dataclass(frozen=True, slots=True)
class Held:
    """What a group holds on one thing: `kind` is entry, realm or all; `held` is sorted."""

    kind: str
    target: UUID | None
    name: str
    held: list[str]


_HELD = """
SELECT h.* FROM auth_group g CROSS JOIN LATERAL (
  SELECT 'entry' AS kind, n.id AS target, n.name::text, held_on(g.id, 'entry', n.id) AS held
    FROM catalogue_entry n
  UNION ALL SELECT 'realm', m.id, m.name, held_on(g.id, 'realm', m.id) FROM realm m
  UNION ALL SELECT 'all', NULL, '', held_on(g.id, 'all', NULL)) h
 WHERE g.name = %(group)s::text ORDER BY h.kind, h.name
"""


def held(group: str) -> list[Held]:
    """What the group holds on each action, on each realm, and console-wide."""
    return [Held(**row) for row in database.every(_HELD, {"group": group})]


def held_for(group: str, has: Rights) -> list[Held]:
    """The same, of that on which the viewer may give and take rights."""
    found = held(group)
    if has.administers:
        return found
    theirs = {"entry": has.administers_entries, "realm": has.administers_realms}
    return [one for one in found if one.name in theirs.get(one.kind, frozenset())]


_WIDE = """
SELECT p.codename FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
 WHERE t.app_label = 'actions' AND p.codename = ANY(%(wide)s::text[])
"""


def console_wide() -> list[str]:
    """The rights on nothing in particular that there are, in their own order."""
    there = {row["codename"] for row in database.every(_WIDE, {"wide": list(CONSOLE_WIDE)})}
    return [name for name in CONSOLE_WIDE if name in there]


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret; `owner_open` is whether somebody still answers for it."""

    id: UUID
    prefix: str
    name: str
    account: str
    account_open: bool
    owner: str
    owner_open: bool
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    live: bool


_TOKENS = """
SELECT t.id, t.prefix, t.name, c.username AS account, c.is_active AS account_open, o.username AS owner,
  o.is_active AS owner_open, t.scopes, t.created_at, t.expires_at, t.revoked_at,
  t.revoked_at IS NULL AND t.expires_at > clock_timestamp() AND c.is_active AS live
  FROM api_token t JOIN caller c ON c.id = t.caller_id JOIN caller o ON o.id = t.owner_id
 ORDER BY live DESC, t.created_at DESC LIMIT %(most)s::int
"""


def tokens() -> list[Token]:
    """Tokens, those that still work first, then the newest."""
    return [Token(**row) for row in database.every(_TOKENS, {"most": MOST})]
