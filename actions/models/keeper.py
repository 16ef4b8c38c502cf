"""What the keepers say of themselves, and whether ends are on hold."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """One process and when it was last alive, in database time."""

    process = models.CharField(max_length=120, primary_key=True)
    role = models.CharField(max_length=20)
    started_at = models.DateTimeField()
    at = models.DateTimeField()

    class Meta:
        db_table = "heartbeat"


class EndsHold(models.Model):
    """Ends are not carried out while a row is not released: the database's clock had jumped."""

    seconds = models.FloatField()
    noticed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "ends_hold"
        constraints = [
            models.UniqueConstraint(
                models.Value(1),
                condition=models.Q(released_at__isnull=True),
                name="ends_hold_one_at_a_time",
            )
        ]
