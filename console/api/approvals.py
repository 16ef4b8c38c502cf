"""What waits for approval, for those who may see it."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from actions import inbox, sight
from actions.policy import rights
from console.api import shapes
from console.api.auth import principal

router = Router(tags=["operations"])


@router.get("", summary="List what waits for approval, the soonest over first")
def index(request: HttpRequest) -> dict[str, object]:
    """Operations that wait; `total` counts all, also those that are not listed. A token decides none."""
    caller = principal(request, "read").caller.id
    found = inbox.waiting(rights(caller).sees)
    who = inbox.who_can(found.listed)
    shown = sight.unveil(found.listed, caller)
    listed = [{**shapes.operation(f), "who_can": who.get(f["id"], [])} for f in shown]
    return {"approvals": listed, "total": found.total}
