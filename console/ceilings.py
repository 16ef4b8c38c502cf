"""The ceilings and rates as an admin sets them: `manage.py limit`, or STEADYHAND_LIMITS at each start."""

from __future__ import annotations

import re

from django.db import transaction

from actions import log
from actions.errors import Refusal
from actions.models import LimitRule

_GIVEN = re.compile(r"([a-z_]{1,20})=(\d{1,9})(?:/(\d{1,7}))?", re.ASCII)


def change(scope: str, ceiling: int, seconds: int | None = None) -> bool:
    """Set one ceiling, and over how many seconds if that is to change; False when it was so already.

    Raises Refusal `no_limit`.
    """
    with transaction.atomic():
        rule = LimitRule.objects.select_for_update(no_key=True).filter(scope=scope).first()
        if rule is None:
            known = ", ".join(LimitRule.objects.order_by("scope").values_list("scope", flat=True))
            raise Refusal("no_limit", f"There is no limit {scope}. Limits: {known}.")
        wanted = (ceiling, rule.seconds if seconds is None else seconds)
        if (rule.ceiling, rule.seconds) == wanted:
            return False
        rule.ceiling, rule.seconds = wanted
        rule.save(update_fields=["ceiling", "seconds"])
        log.append("limit.changed", {"ceiling": wanted[0], "scope": scope, "seconds": wanted[1]})
    return True


def apply(text: str) -> None:
    """Set what `text` says, such as `person=500/3600,token=5000`. Raises Refusal."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        given = _GIVEN.fullmatch(part)
        if given is None:
            raise Refusal(
                "bad_limit", "A limit is given as SCOPE=CEILING or SCOPE=CEILING/SECONDS."
            )
        change(given[1], int(given[2]), int(given[3]) if given[3] else None)
