"""Readings: one look at a realm, asked for by a page or a repeat, shared by all who ask."""

from __future__ import annotations

from django.db import models


class Reading(models.Model):
    """How a realm was last seen to stand, for one subject and capability; and who waits for more.

    It is due while `asked_at` is later than `taken_at`. `facts` is null when it could not be read.
    """

    realm = models.ForeignKey("Realm", models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    capability = models.CharField(max_length=40)
    asked_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True)
    facts = models.JSONField(null=True)
    message = models.TextField(default="")

    class Meta:
        db_table = "reading"
        constraints = [
            models.UniqueConstraint(
                fields=["realm", "kind", "name", "capability"], name="reading_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["asked_at"],
                name="reading_due",
                condition=models.Q(taken_at__isnull=True)
                | models.Q(asked_at__gt=models.F("taken_at")),
            )
        ]
