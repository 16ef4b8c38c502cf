"""Who may: rights as guardian stores them, read in SQL that the hot path can join.

guardian's own `has_perm` asks several questions a call, a dozen for one action in two realms. The
fragments here answer the same from the same tables; a test holds them against guardian's answer.
Superusers get nothing from them: in this console there is no shortcut past a grant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from actions import database
from actions.subjects import IN_ONE_REALM, Subject

_MODELS = {"entry": "catalogueentry", "realm": "realm"}

RIGHTS = ("see", "ask", "approve", "administer")
"""What may be granted on an action and on a realm; to do something takes both."""

CONSOLE_WIDE = ("read_log", "administer", "break_glass")
"""What is granted on nothing in particular, and to groups alone."""


def permission(kind: str, codename: str) -> str:
    """SQL for the id of one of our own permissions on a `kind` of thing."""
    return (
        "(SELECT p.id FROM django_content_type t"
        f" JOIN auth_permission p ON p.content_type_id = t.id AND p.codename = '{codename}'"
        f" WHERE t.app_label = 'actions' AND t.model = '{_MODELS[kind]}')"
    )


def granted(kind: str, codename: str, target: str, caller: str, known: str = "") -> str:
    """SQL, true when `caller` has `codename` on the row `target`: by themselves or by a group.

    `kind` is "entry" or "realm"; `target` and `caller` are SQL expressions of type uuid; `known`, if
    given, one for the permission's id. All are our own constants, never input.
    """
    held = known or permission(kind, codename)
    return f"""(EXISTS (SELECT FROM {kind}_user_grant own WHERE own.content_object_id = {target}
          AND own.user_id = {caller} AND own.permission_id = {held})
      OR EXISTS (SELECT FROM {kind}_group_grant theirs
          WHERE theirs.content_object_id = {target} AND theirs.permission_id = {held}
            AND theirs.group_id = ANY(ARRAY(SELECT member.group_id FROM caller_groups member
                                             WHERE member.caller_id = {caller}))))"""


@dataclass(frozen=True, slots=True)
class Sight(Set[str]):
    """What a viewer may see: a set of action names, and beside it the names of realms.

    An operation on something of one realm is theirs to see only with both.
    """

    actions: frozenset[str] = frozenset()
    realms: frozenset[str] = frozenset()

    def __contains__(self, action: object) -> bool:
        return action in self.actions

    def __iter__(self) -> Iterator[str]:
        return iter(self.actions)

    def __len__(self) -> int:
        return len(self.actions)

    def shows(self, kind: str, name: str) -> bool:
        """Whether what is in one realm, by its canonical name, is theirs to know of at all."""
        realm = Subject(kind, name, 0).realm
        return realm is None or realm in self.realms

    def tells(self, told: Mapping[str, Any]) -> bool:
        """Whether the operation of these facts is theirs to see."""
        return told["action"] in self.actions and self.shows(told["kind"], told["name"])

    def params(self) -> dict[str, list[str]]:
        """The parameters of `in_sight`."""
        return {"sees": list(self.actions), "sees_realms": list(self.realms)}


def in_sight(kind: str, name: str, action: str) -> str:
    """SQL, true of an operation that the `Sight` whose `params` are given shows. Our own constants."""
    kinds = ", ".join(f"'{kind}'" for kind in sorted(IN_ONE_REALM))
    return (
        f"({action} = ANY(%(sees)s::text[]) AND ({kind} NOT IN ({kinds})"
        f" OR split_part({name}, ':', 1) = ANY(%(sees_realms)s::text[])))"
    )


@dataclass(frozen=True, slots=True)
class Rights:
    """What one caller may, by name: of actions, of realms, and console-wide."""

    sees: Sight
    asks: frozenset[str]
    reads_log: bool
    approves: frozenset[str] = frozenset()
    asks_realms: frozenset[str] = frozenset()
    approves_realms: frozenset[str] = frozenset()
    administers: bool = False
    breaks_glass: bool = False
    administers_entries: frozenset[str] = frozenset()
    administers_realms: frozenset[str] = frozenset()

    def may_ask(self, told: Mapping[str, Any]) -> bool:
        """Whether they may ask for the action of these facts in every realm that it is carried out in."""
        return told["action"] in self.asks and all(
            effect["realm"] in self.asks_realms for effect in told["effects"]
        )

    @property
    def gives_rights(self) -> bool:
        """Whether there is anything on which they may give and take rights."""
        return self.administers or bool(self.administers_entries or self.administers_realms)


# Read from what the caller holds, which is little, not from all that there is.
_RIGHTS = """
WITH mine AS MATERIALIZED (
  SELECT c.id AS caller, m.group_id FROM caller c LEFT JOIN caller_groups m ON m.caller_id = c.id
   WHERE c.id = %(caller)s::uuid AND c.is_active
), held AS (
  SELECT 'entry' AS kind, content_object_id AS target, permission_id FROM entry_user_grant
   WHERE user_id IN (SELECT caller FROM mine)
  UNION SELECT 'entry', content_object_id, permission_id FROM entry_group_grant
   WHERE group_id IN (SELECT group_id FROM mine)
  UNION SELECT 'realm', content_object_id, permission_id FROM realm_user_grant
   WHERE user_id IN (SELECT caller FROM mine)
  UNION SELECT 'realm', content_object_id, permission_id FROM realm_group_grant
   WHERE group_id IN (SELECT group_id FROM mine)
  UNION SELECT 'all', NULL, permission_id FROM auth_group_permissions
   WHERE group_id IN (SELECT group_id FROM mine)
)
SELECT p.codename, coalesce(array_agg(coalesce(n.name, m.name, '')), '{}') AS names
  FROM held h JOIN auth_permission p ON p.id = h.permission_id
  JOIN django_content_type t ON t.id = p.content_type_id AND t.app_label = 'actions'
  LEFT JOIN catalogue_entry n ON h.kind = 'entry' AND n.id = h.target
  LEFT JOIN realm m ON h.kind = 'realm' AND m.id = h.target
 WHERE (h.kind = 'entry' AND t.model = 'catalogueentry' AND p.codename LIKE '%%\\_entry')
    OR (h.kind = 'realm' AND t.model = 'realm' AND p.codename LIKE '%%\\_realm')
    OR (h.kind = 'all' AND p.codename = ANY(%(wide)s::text[]))
 GROUP BY p.codename
"""


def rights(caller: UUID) -> Rights:
    """Every right of one caller, in one query; none of somebody whose account is closed."""
    rows = database.every(_RIGHTS, {"caller": caller, "wide": list(CONSOLE_WIDE)})
    held = {row["codename"]: frozenset(row["names"]) for row in rows}

    def on(codename: str) -> frozenset[str]:
        return held.get(codename, frozenset())

    return Rights(
        sees=Sight(on("see_entry"), on("see_realm")),
        asks=on("ask_entry"),
        reads_log="read_log" in held,
        approves=on("approve_entry"),
        asks_realms=on("ask_realm"),
        approves_realms=on("approve_realm"),
        administers="administer" in held,
        breaks_glass="break_glass" in held,
        administers_entries=on("administer_entry"),
        administers_realms=on("administer_realm"),
    )
