"""Break-glass: somebody of a sealed group goes alone, for an hour, and everybody hears of it."""

from __future__ import annotations

from uuid import UUID

from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from actions import database, states
from actions.errors import NotFound, ParamsRefused, Refusal
from actions.models import BreakGlass


def open_for(caller: UUID) -> BreakGlass | None:
    """What this person goes alone under now, or None. Never ask this for the bearer of a token."""
    found = database.value("SELECT break_glass_of(%(caller)s::uuid)", {"caller": caller})
    return find(found) if found else None


_OPEN = Q(closed_at__isnull=True, ends_at__gt=Now())


def all_open() -> list[BreakGlass]:
    """Every one that is open now, the newest first."""
    return list(_rows().filter(_OPEN).order_by("-opened_at"))


def last(most: int = 50) -> list[BreakGlass]:
    """Those opened last, newest first: each with `is_open`, how many operations it `asked` for, and
    whether `some_run`: whether an admin can still stop some of what was asked."""
    is_open = ExpressionWrapper(_OPEN, output_field=BooleanField())
    rows = _rows().annotate(is_open=is_open, asked=Count("operations"))
    under_way = Q(operations__state__in=sorted(states.HOLDING), withdrawn_at__isnull=True)
    rows = rows.annotate(some_run=Count("operations", filter=under_way))
    return list(rows.order_by("-opened_at")[:most])


def _rows() -> QuerySet[BreakGlass]:
    return BreakGlass.objects.select_related("caller", "closed_by", "withdrawn_by")


def find(id: UUID) -> BreakGlass:
    """The one of that id. Raises NotFound."""
    found = _rows().filter(id=id).first()
    if found is None:
        raise NotFound("no_break_glass", "There is no such break-glass. Nothing changed.")
    return found


def may_open(caller: UUID) -> bool:
    """Whether this person is of the sealed group."""
    return has_right(caller, "break_glass")


def has_right(caller: UUID, codename: str) -> bool:
    """Whether a person has a right over the whole console, by one of their groups."""
    asked = {"caller": caller, "codename": codename}
    return bool(
        database.value("SELECT has_console_right(%(caller)s::uuid, %(codename)s::text)", asked)
    )


def open_it(caller: UUID, reason: str) -> tuple[BreakGlass, bool]:
    """Open it for an hour, or be told the one that is open; whether it was opened by this call.

    Raises ParamsRefused `no_reason`, and Refusal `may_not_break_glass`.
    """
    reason = " ".join(reason.split())
    if not reason:
        raise ParamsRefused(
            "no_reason",
            "Say why you must go alone. Every admin reads it. Nothing changed.",
            {"field": "reason"},
        )
    row = database.one(
        "SELECT verdict, opened FROM open_break_glass(%(caller)s::uuid, %(reason)s::text)",
        {"caller": caller, "reason": reason},
    )
    if row["verdict"] == "refused":
        raise Refusal(
            "may_not_break_glass",
            "You are not of the sealed group that may go alone. Nothing changed.",
            {"status": 403},
        )
    return find(row["opened"]), row["verdict"] == "opened"


def close(id: UUID, by: UUID) -> bool:
    """Close it early; an admin withdraws it so, also when it is over, and then nothing more is sent.

    False when that was done already. Raises NotFound, Refusal `may_not_close`.
    """
    verdict = database.value(
        "SELECT close_break_glass(%(id)s::uuid, %(by)s::uuid)", {"id": id, "by": by}
    )
    if verdict == "refused":
        find(id)
        raise Refusal(
            "may_not_close",
            "Only who opened it, or an admin, can close it. Nothing changed.",
            {"status": 403},
        )
    return bool(verdict == "closed")


def end_due() -> int:
    """Close those whose hour is over; how many."""
    return int(database.value("SELECT end_break_glass()", {}))
