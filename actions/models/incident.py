"""Incidents: what operations are asked for because of."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Incident(models.Model):
    """One incident. `request_key` makes opening it safe to repeat for its caller."""

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
