"""Incidents: what operations are asked for because of, who leads them, and what was said of them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Incident(models.Model):
    """One incident. `request_key` makes opening it safe to repeat for its caller.

    Rows are written by the database function `write_incident` alone. `version` counts the changes of
    title, lead, state and restriction; `entry_count` numbers what is in its timeline.
    """

    class State(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.BigIntegerField(unique=True)
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    opened_at = models.DateTimeField(db_default=Now())
    request_key = models.CharField(max_length=128)
    fingerprint = models.BinaryField(max_length=32)
    # Whoever opened it, unless another is named: a trigger sees to that.
    lead = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    restricted = models.BooleanField(default=False, db_default=False)
    version = models.IntegerField(default=1, db_default=1)
    entry_count = models.IntegerField(default=0, db_default=0)

    class Meta:
        db_table = "incident"
        constraints = [
            models.UniqueConstraint(
                fields=["opened_by", "request_key"], name="incident_request_once"
            )
        ]

    @property
    def ref(self) -> str:
        """The name people use: INC-7."""
        return f"INC-{self.number}"


class IncidentEntry(models.Model):
    """One thing that was done to an incident or said of it: a change, or a note. Inserts only.

    `body` holds what was changed to what, and the note. The key makes writing it safe to repeat.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    incident = models.ForeignKey(Incident, models.PROTECT, related_name="entries", db_index=False)
    number = models.IntegerField()
    at = models.DateTimeField()
    caller = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False
    )
    token = models.ForeignKey(
        "ApiToken", models.PROTECT, null=True, related_name="+", db_index=False
    )
    via = models.CharField(max_length=10)
    key = models.CharField(max_length=128)
    fingerprint = models.BinaryField(max_length=32)
    kind = models.CharField(max_length=20)
    body = models.JSONField()

    class Meta:
        db_table = "incident_entry"
        constraints = [
            models.UniqueConstraint(fields=["caller", "key"], name="incident_key_once"),
            models.UniqueConstraint(fields=["incident", "number"], name="incident_entry_once"),
        ]


class IncidentMember(models.Model):
    """Somebody who sees a restricted incident, from `added_at` until `removed_at`, if it has come."""

    incident = models.ForeignKey(Incident, models.PROTECT, related_name="members", db_index=False)
    caller = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False
    )
    added_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "incident_member"
        constraints = [
            models.UniqueConstraint(
                fields=["incident", "caller"],
                condition=Q(removed_at__isnull=True),
                name="incident_member_once",
            )
        ]
