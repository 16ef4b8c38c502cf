"""Who may: rights as guardian stores them, read in SQL that the hot path can join.

guardian's own `has_perm` asks several questions a call, a dozen for one action in two realms. The
fragments here answer the same from the same tables; a test holds them against guardian's answer.
Superusers get nothing from them: in this console there is no shortcut past a grant.
"""

from __future__ import annotations

_KINDS = {"entry": "catalogue_entry", "realm": "realm"}


def granted(kind: str, codename: str, target: str, caller: str) -> str:
    """SQL, true when `caller` has `codename` on the row `target`: by themselves or by a group.

    `kind` is "entry" or "realm"; `target` and `caller` are SQL expressions of type uuid. All four
    are our own constants, never input.
    """
    permission = (
        "(SELECT p.id FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id"
        f" WHERE p.codename = '{codename}' AND t.app_label = 'actions')"
    )
    return f"""(EXISTS (SELECT FROM {kind}_user_grant own WHERE own.content_object_id = {target}
          AND own.user_id = {caller} AND own.permission_id = {permission})
      OR EXISTS (SELECT FROM {kind}_group_grant theirs JOIN caller_groups member ON member.group_id = theirs.group_id
          WHERE theirs.content_object_id = {target} AND member.caller_id = {caller}
            AND theirs.permission_id = {permission}))"""
