"""Requests by their key, and every time each arrived."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Request(models.Model):
    """What a caller named a request by. A key that made an operation never expires."""

    caller = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False
    )
    key = models.CharField(max_length=128)
    fingerprint = models.BinaryField(max_length=32)
    rules = models.IntegerField()
    first_seen_at = models.DateTimeField()
    operation = models.ForeignKey(
        "Operation", models.PROTECT, null=True, related_name="requests", db_index=False
    )

    class Meta:
        db_table = "request"
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="request_key_once")]


class Arrival(models.Model):
    """One time a request came, and what it was told. The id is made by the process that took it in,

    so that a write whose answer was lost can be looked up and not written again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.ForeignKey(Request, models.PROTECT, related_name="arrivals")
    operation = models.ForeignKey(
        "Operation", models.PROTECT, null=True, related_name="arrivals", db_index=False
    )
    token = models.ForeignKey(
        "ApiToken", models.PROTECT, null=True, related_name="+", db_index=False
    )
    incident = models.ForeignKey(
        "Incident", models.PROTECT, null=True, related_name="+", db_index=False
    )
    at = models.DateTimeField()
    via = models.CharField(max_length=10)
    disposition = models.CharField(max_length=20)
    code = models.CharField(max_length=40, default="")

    class Meta:
        db_table = "arrival"
        indexes = [
            models.Index(fields=["operation", "at"], name="arrival_of_operation"),
            models.Index(
                fields=["incident", "at"],
                name="arrival_of_incident",
                condition=models.Q(incident__isnull=False),
            ),
        ]
