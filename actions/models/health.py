"""How the outside systems do: which are left alone for a while, because they do not answer."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q


class RealmHealth(models.Model):
    """One realm that has let a call down, shared by all processes; all times are the database's.

    `failures` are calls in a row that came to nothing. While `paused_at` is set nobody calls it, but
    for one attempt at a time, the `probe`, from `try_at` on. `rest` is how many seconds it was last
    left alone; `rested` how many seconds all pauses before this one took together. It is not read
    either before `unread_until`.
    """

    realm = models.OneToOneField("Realm", models.PROTECT, primary_key=True, related_name="health")
    failures = models.IntegerField(default=0)
    paused_at = models.DateTimeField(null=True)
    try_at = models.DateTimeField(null=True)
    rest = models.FloatField(default=0)
    rested = models.FloatField(default=0)
    probe = models.UUIDField(null=True)
    probe_until = models.DateTimeField(null=True)
    unread_until = models.DateTimeField(null=True)
    message = models.TextField(default="")

    class Meta:
        db_table = "realm_health"
        constraints = [
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True, try_at__isnull=True)
                | Q(paused_at__isnull=False, try_at__isnull=False),
                name="realm_health_tried_again_exactly_while_paused",
            ),
            models.CheckConstraint(
                condition=Q(probe__isnull=True, probe_until__isnull=True)
                | Q(probe__isnull=False, probe_until__isnull=False, paused_at__isnull=False),
                name="realm_health_probed_only_while_paused",
            ),
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True) | Q(try_at__gte=F("paused_at")),
                name="realm_health_rests_before_it_is_tried",
            ),
        ]
