"""Who may: rights as guardian stores them, read in SQL that the hot path can join.

guardian's own `has_perm` asks several questions a call, a dozen for one action in two realms. The
fragments here answer the same from the same tables; a test holds them against guardian's answer.
Superusers get nothing from them: in this console there is no shortcut past a grant.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from actions import database

_MODELS = {"entry": "catalogueentry", "realm": "realm"}


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
class Rights:
    """What one caller may see and ask for, by action name, and whether they may read the log."""

    sees: frozenset[str]
    asks: frozenset[str]
    reads_log: bool
    administers: bool = False


_RIGHTS = f"""
SELECT coalesce(array_agg(n.name) FILTER (WHERE {granted("entry", "see_entry", "n.id", "%(caller)s::uuid")}),
                '{{}}') AS sees,
       coalesce(array_agg(n.name) FILTER (WHERE {granted("entry", "ask_entry", "n.id", "%(caller)s::uuid")}),
                '{{}}') AS asks,
       EXISTS (SELECT FROM caller_groups m JOIN auth_group_permissions g ON g.group_id = m.group_id
                 JOIN auth_permission p ON p.id = g.permission_id
                 JOIN django_content_type t ON t.id = p.content_type_id
                WHERE m.caller_id = %(caller)s::uuid AND p.codename = 'read_log'
                  AND t.app_label = 'actions') AS reads_log,
       administers(%(caller)s::uuid) AS administers
  FROM catalogue_entry n
"""


def rights(caller: UUID) -> Rights:
    """Every right of one caller, in one query."""
    row = database.one(_RIGHTS, {"caller": caller})
    sees, asks = frozenset(row["sees"]), frozenset(row["asks"])
    return Rights(sees, asks, row["reads_log"], row["administers"])
