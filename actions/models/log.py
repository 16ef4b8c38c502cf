"""The log: one event for everything that moved or was asked, inserts only."""

from __future__ import annotations

from django.db import models


class LogEvent(models.Model):
    """One event. `body` holds the exact canonical bytes (RFC 8785); everything else repeats them.

    `number` is the operation's own running number, given under its row lock: replay goes by that,
    not by `id`, whose order is not the order of commits.
    """

    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    operation = models.ForeignKey(
        "Operation", models.PROTECT, null=True, related_name="events", db_index=False
    )
    number = models.IntegerField(null=True)
    body = models.BinaryField()

    class Meta:
        db_table = "log_event"
        default_permissions = ()
        permissions = [("read_log", "May read the log")]
        constraints = [
            models.UniqueConstraint(fields=["operation", "number"], name="log_number_once"),
            models.CheckConstraint(
                condition=models.Q(operation__isnull=True, number__isnull=True)
                | models.Q(operation__isnull=False, number__isnull=False),
                name="log_numbered_exactly_within_an_operation",
            ),
        ]
