"""Which lives of the database are known: after a failover or a restore it goes on as another."""

from __future__ import annotations

from django.db import models


class Timeline(models.Model):
    """A cluster and its timeline. While it is not confirmed, commits may be missing: nothing is sent.

    `last_known_at`: the last that the keepers had written down before it; `since` and `until`: between
    these, calls may have been made that the database forgot.
    """

    system = models.BigIntegerField()
    number = models.IntegerField()
    noticed_at = models.DateTimeField()
    last_known_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)

    class Meta:
        db_table = "timeline"
        constraints = [
            models.UniqueConstraint(fields=["system", "number"], name="timeline_once"),
        ]
