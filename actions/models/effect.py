"""Effects: one change in one outside system, once; and the attempts made at each."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from actions import states

_KNOWN = [*sorted(states.OPEN), states.EffectState.PARKED, states.EffectState.SUCCEEDED]


class Effect(models.Model):
    """One change in one realm. `fence` only rises; `lease_until` and `doubt_until` are database time.

    `subject`, `lane` and `generation` repeat the operation's, so that an index can keep two
    effects of one lane from running in one realm together; an effect that touches another lane than
    its operation's has that one. `after` seconds pass between the step before it and this one.
    `place` is the one it took, last, among those that its realm has for effects under way at the same
    time; `rested_before` is what the realm had rested in all when it was first tried, in seconds.
    """

    operation = models.ForeignKey(
        "Operation", models.PROTECT, related_name="effects", db_index=False
    )
    subject = models.ForeignKey("Subject", models.PROTECT, related_name="+", db_index=False)
    lane = models.CharField(max_length=40)
    generation = models.IntegerField()
    realm = models.ForeignKey("Realm", models.PROTECT, related_name="+", db_index=False)
    realm_version = models.IntegerField()
    step = models.CharField(max_length=40)
    ord = models.IntegerField()
    capability = models.CharField(max_length=40)
    redo = models.CharField(max_length=10)
    desired = models.JSONField()
    state = models.CharField(max_length=20)
    fence = models.BigIntegerField(default=0)
    attempts = models.IntegerField(default=0)
    attempts_before = models.IntegerField(default=0)  # those made before it was last set going
    going_since = models.DateTimeField(default=timezone.now)
    after = models.IntegerField(default=0)
    place = models.IntegerField(null=True)
    rested_before = models.FloatField(db_default=0)
    run_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    doubt_until = models.DateTimeField(null=True)
    found = models.CharField(max_length=20, default="")
    message = models.TextField(default="")
    settled_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "effect"
        constraints = [
            models.UniqueConstraint(fields=["operation", "realm", "step"], name="effect_key_once"),
            models.UniqueConstraint(
                fields=["subject", "lane", "realm"],
                condition=Q(state__in=sorted(states.OPEN)),
                name="effect_one_open_per_lane_and_realm",
            ),
            models.UniqueConstraint(
                fields=["realm", "place"],
                condition=Q(state="executing"),
                name="effect_one_in_each_place_of_a_realm",
            ),
            models.CheckConstraint(
                condition=Q(state="executing", lease_until__isnull=False)
                | (~Q(state="executing") & Q(lease_until__isnull=True)),
                name="effect_leased_exactly_while_executing",
            ),
            models.CheckConstraint(
                condition=Q(state="in_doubt", doubt_until__isnull=False)
                | (~Q(state="in_doubt") & Q(doubt_until__isnull=True)),
                name="effect_doubted_exactly_while_in_doubt",
            ),
        ]
        indexes = [
            models.Index(
                fields=["realm", "run_at", "id"], name="effect_due", condition=Q(state="ready")
            ),
            models.Index(
                fields=["lease_until"], name="effect_leased", condition=Q(state="executing")
            ),
            models.Index(
                fields=["doubt_until"], name="effect_doubted", condition=Q(state="in_doubt")
            ),
            models.Index(fields=["id"], name="effect_parked", condition=Q(state="parked")),
            models.Index(
                fields=["subject", "lane", "realm", "-id"],
                name="effect_last_said",
                condition=Q(state__in=_KNOWN),
            ),
        ]


class Attempt(models.Model):
    """One try at an effect by one process, recorded before the call; its outcome only on its own row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    effect = models.ForeignKey(Effect, models.PROTECT, related_name="tries")
    number = models.IntegerField()
    fence = models.BigIntegerField()
    worker = models.CharField(max_length=80)
    call_started_at = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=20, default="")
    found = models.CharField(max_length=20, default="")
    message = models.TextField(default="")
    late = models.BooleanField(default=False)

    class Meta:
        db_table = "attempt"
        constraints = [
            models.UniqueConstraint(fields=["effect", "number"], name="attempt_number_once")
        ]
