"""Drafts: prepared operations with a URL of their own."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Draft(models.Model):
    """What a form became. Its id is the request key that its confirm button runs under.

    Only `first_shown_at` is ever written later, once.
    """

    id = models.CharField(primary_key=True, max_length=64)
    caller = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    token = models.ForeignKey(
        "ApiToken", models.PROTECT, null=True, related_name="+", db_index=False
    )
    action = models.CharField(max_length=80)
    action_version = models.IntegerField()
    subject_kind = models.CharField(max_length=40)
    subject_name = models.CharField(max_length=200)
    subject_rules = models.IntegerField()
    params = models.JSONField()
    until = models.DateTimeField(null=True)
    span = models.IntegerField(null=True)
    reason = models.TextField()
    incident = models.ForeignKey("Incident", models.PROTECT, null=True, related_name="+")
    seen = models.IntegerField()
    again = models.BooleanField(default=False)
    undoes = models.ForeignKey(
        "Operation", models.PROTECT, null=True, related_name="+", db_index=False
    )
    not_known = models.CharField(max_length=10, default="")  # what an undo does with those
    plan = models.JSONField()
    plan_digest = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(db_default=Now())
    first_shown_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "draft"
