"""Operations: issued intents, one per generation of a subject's lane."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from actions import states


class Operation(models.Model):
    """One issued intent. What was asked never changes; `state` moves as `actions.states` says.

    Rows are made by the database function `issue` alone. `event_count` numbers the operation's
    log events and `arrival_count` its requests, both under the row's lock.
    """

    ref = models.CharField(max_length=20, unique=True)
    subject = models.ForeignKey(
        "Subject", models.PROTECT, related_name="operations", db_index=False
    )
    lane = models.CharField(max_length=40)
    generation = models.IntegerField()
    action = models.CharField(max_length=80)
    action_version = models.IntegerField()
    state = models.CharField(max_length=20)
    desired = models.JSONField()
    span = models.IntegerField(null=True)
    ends_at = models.DateTimeField(null=True)
    plan_digest = models.BinaryField(max_length=32)
    reason = models.TextField()
    because = models.CharField(max_length=40, default="")
    again_of = models.IntegerField(null=True)
    undoes = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="undone_by", db_index=False
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False
    )
    via = models.CharField(max_length=10)
    draft = models.ForeignKey(
        "Draft", models.PROTECT, null=True, related_name="operations", db_index=False
    )
    requested_at = models.DateTimeField()
    approvals = models.JSONField(  # what it needs: [{"group", "id", "count"}]
        default=list, db_default=models.Value([], models.JSONField())
    )
    approve_by = models.DateTimeField(null=True)
    approved_at = models.DateTimeField(null=True)
    break_glass = models.ForeignKey(
        "BreakGlass", models.PROTECT, null=True, related_name="operations", db_index=False
    )
    settled_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    end_note = models.CharField(max_length=20, default="")
    # A ban that may cut off who asked for it: it ends then, unless they say that they are still there.
    # `keep_for` seconds after it was let run: what waits for approval has no `keep_by` yet.
    keep_for = models.IntegerField(null=True)
    keep_by = models.DateTimeField(null=True)
    kept_at = models.DateTimeField(null=True)
    arrival_count = models.IntegerField()
    last_arrival_at = models.DateTimeField()
    event_count = models.IntegerField()

    class Meta:
        db_table = "operation"
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "lane", "generation"], name="operation_key_once"
            ),
            models.UniqueConstraint(
                fields=["subject", "lane"],
                condition=Q(state__in=sorted(states.HOLDING)),
                name="operation_one_live_per_lane",
            ),
            models.UniqueConstraint(
                fields=["undoes"],
                condition=Q(undoes__isnull=False) & ~Q(state__in=sorted(states.VOID)),
                name="operation_undone_once",
            ),
            models.CheckConstraint(
                condition=Q(generation__gte=1), name="operation_generations_begin_at_one"
            ),
            models.CheckConstraint(
                condition=~Q(reason__regex=r"^\s*$"), name="operation_has_a_reason"
            ),
            models.CheckConstraint(
                condition=~Q(state="awaiting_approval")
                | (~Q(approvals=[]) & Q(approve_by__isnull=False, approved_at__isnull=True)),
                name="operation_waits_for_somebody",
            ),
            models.CheckConstraint(
                condition=Q(keep_by__isnull=True, keep_for__isnull=True) | Q(ends_at__isnull=False),
                name="operation_to_be_kept_has_an_end",
            ),
            models.CheckConstraint(
                condition=Q(keep_for__isnull=True)
                | Q(approved_at__isnull=True)
                | Q(keep_by__isnull=False),
                name="operation_to_be_kept_since_it_runs",
            ),
        ]
        indexes = [
            models.Index(
                fields=["ends_at"],
                name="operation_ends_due",
                condition=Q(ends_at__isnull=False, ended_at__isnull=True),
            ),
            models.Index(
                fields=["keep_by"],
                name="operation_to_be_kept",
                condition=Q(keep_by__isnull=False, kept_at__isnull=True, ended_at__isnull=True),
            ),
            models.Index(
                fields=["requested_at"],
                name="operation_not_begun",
                condition=Q(state__in=["approved", "awaiting_approval"]),
            ),
            models.Index(
                fields=["approve_by"],
                name="operation_waits",
                condition=Q(state="awaiting_approval"),
            ),
            # Who wants to hear that theirs settled is told from here; what is older costs nothing.
            models.Index(
                fields=["settled_at"],
                name="operation_settled",
                condition=Q(settled_at__isnull=False),
            ),
            models.Index(
                fields=["requested_at"],
                name="operation_end_not_done",
                condition=Q(because__startswith="end of @")
                & Q(state__in=["approved", "running", "parked", "failed", "partial"]),
            ),
            models.Index(fields=["id"], name="operation_running", condition=Q(state="running")),
        ]


class OperationIncident(models.Model):
    """An operation belongs to every incident that asked for it."""

    operation = models.ForeignKey(Operation, models.PROTECT, related_name="incident_links")
    incident = models.ForeignKey("Incident", models.PROTECT, related_name="operation_links")
    made = models.BooleanField(default=False, db_default=False)  # its request gave the reason

    class Meta:
        db_table = "operation_incident"
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "incident"], name="operation_incident_once"
            )
        ]
