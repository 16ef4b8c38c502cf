"""Timelines: notice that the database failed over or was restored, so that nothing is sent blindly."""

from __future__ import annotations

from django.conf import settings

from actions import database


def confirmed() -> bool:
    """Whether nothing can be missing, or it was said how much. Writes a life that is new down."""
    lossless = bool(settings.FAILOVER_LOSES_NOTHING)
    return bool(database.value("SELECT timeline_noticed(%(lossless)s)", {"lossless": lossless}))
