"""What changed since an operation was asked for: what an approver weighs beside its plan."""

from __future__ import annotations

import json
from datetime import datetime

from actions import database
from actions.approvals import needs_of
from actions.ask import done_by
from actions.models import Realm
from actions.policy import granted
from actions.standing import Facts, lane_now
from actions.subjects import RULES, Subject

_CHANGED = f"""
SELECT ARRAY(SELECT DISTINCT m.title::text FROM effect e JOIN realm m ON m.id = e.realm_id
              WHERE e.operation_id = o.id AND m.version <> e.realm_version) AS other_settings,
       ARRAY(SELECT DISTINCT m.title::text FROM effect e JOIN realm m ON m.id = e.realm_id
              WHERE e.operation_id = o.id AND NOT m.enabled) AS switched_off,
       c.is_active AND {granted("entry", "ask_entry", "n.id", "c.id")} AS still_may,
       (SELECT w.needs FROM needed_now(o.id) w) AS needs
  FROM operation o JOIN caller c ON c.id = o.requested_by_id
  JOIN catalogue_entry n ON n.name = o.action
 WHERE o.id = %(operation)s::bigint
"""  # noqa: S608 - our own constants


def changed(told: Facts) -> list[str]:
    """In sentences, what is otherwise now than when it was asked for; nothing: an empty list."""
    row = database.one(_CHANGED, {"operation": told["id"]})
    said = []
    for title in row["other_settings"]:
        said.append(f"The settings of {title} were changed: it would run under those of before.")
    for title in row["switched_off"]:
        said.append(f"{title} was switched off.")
    if not row["still_may"]:
        said.append(f"{told['requested_by']} may no longer ask for this: nothing of it would run.")
    needed = needs_of(json.loads(row["needs"]))
    if needed.rows != told["approvals"]:
        words = f"{needed.words} now" if needed.each else "no approval now"
        said.append(f"The rules ask for {words}; what counts is what they asked for then.")
    return [*said, *_lane(told)]


def _lane(told: Facts) -> list[str]:
    """What happened on its lane since: what stands there may have settled only then."""
    standing = lane_now(Subject(told["kind"], told["name"], RULES), told["lane"]).standing
    if standing is None or standing["id"] == told["id"]:
        return []
    asked = datetime.fromisoformat(told["requested_at"])
    moments = (standing["requested_at"], standing["settled_at"])
    if any(at and datetime.fromisoformat(at) > asked for at in moments):
        return [f"What stands there moved: {done_by(standing)}"]
    return []


def connectors_of(told: Facts) -> dict[str, str]:
    """The connector's name of each realm of an operation, by the realm's id."""
    rows = Realm.objects.filter(id__in={e["realm_id"] for e in told["effects"]})
    return {str(id): connector for id, connector in rows.values_list("id", "connector")}
