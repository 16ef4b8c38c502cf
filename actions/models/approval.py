"""Approvals: the rules that ask for them, the decisions of people, and break-glass."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

HOUR = timedelta(hours=1)


class ApprovalRule(models.Model):
    """When an operation needs approvals, how many, from which group, and for how long they may be given.

    `action` "" and `realm` None mean any. A width makes it a rule for networks: those with a shorter
    prefix than `wider_than_4` (an IPv6 network is judged by the IPv4 networks that it stands for, too)
    or, of IPv6, than `wider_than_6`. Several rules that apply are all to be met. One that is `protected`
    applies only to what asks twice, and only where no other rule asks for somebody already.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    action = models.CharField(max_length=80, default="", blank=True)
    realm = models.ForeignKey("Realm", models.PROTECT, null=True, related_name="+")
    wider_than_4 = models.SmallIntegerField(null=True)
    wider_than_6 = models.SmallIntegerField(null=True)
    protected = models.BooleanField(default=False, db_default=False)
    group = models.ForeignKey(Group, models.PROTECT, related_name="+")
    count = models.SmallIntegerField(default=1)
    minutes = models.SmallIntegerField(default=30)
    enabled = models.BooleanField(default=True)
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "approval_rule"
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(count__gte=1, count__lte=20), name="approval_rule_asks_for_somebody"
            ),
            models.CheckConstraint(
                condition=Q(minutes__gte=1, minutes__lte=1440),
                name="approval_rule_leaves_some_time",
            ),
        ]


class Approval(models.Model):
    """What one person decided on one operation, for ever: bound to the plan that they were shown."""

    class Decision(models.TextChoices):
        APPROVE = "approve"
        DECLINE = "decline"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operation = models.ForeignKey("Operation", models.PROTECT, related_name="decisions")
    caller = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    decision = models.CharField(max_length=10, choices=Decision)
    reason = models.TextField()
    plan_digest = models.BinaryField(max_length=32)
    at = models.DateTimeField()

    class Meta:
        db_table = "approval"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["operation", "caller"], name="approval_once_per_person"
            ),
            models.CheckConstraint(
                condition=~Q(reason__regex=r"^\s*$"), name="approval_has_a_reason"
            ),
            models.CheckConstraint(
                condition=Q(decision__in=["approve", "decline"]), name="approval_is_yes_or_no"
            ),
        ]


class BreakGlass(models.Model):
    """One time that somebody of a sealed group went alone: for an hour, or until it was closed.

    It is open while `closed_at` is null and `ends_at` is to come; `closed_by` is null where its time
    was over. Once an admin withdrew it, open or over, nothing that was asked under it is sent.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    caller = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    reason = models.TextField()
    opened_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )

    class Meta:
        db_table = "break_glass"
        default_permissions = ()
        permissions = [("break_glass", "May go alone, for an hour, and be heard by every admin")]
        constraints = [
            models.UniqueConstraint(
                fields=["caller"],
                condition=Q(closed_at__isnull=True),
                name="break_glass_one_open_per_person",
            ),
            models.CheckConstraint(
                condition=~Q(reason__regex=r"^\s*$"), name="break_glass_has_a_reason"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__lte=F("opened_at") + HOUR),
                name="break_glass_lasts_an_hour_at_most",
            ),
        ]
