"""Limits: what is never acted on or asks twice, how much may be asked, and who is signed in where."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from actions.models.subject import CidrField


class InetField(models.Field):  # type: ignore[type-arg]
    """PostgreSQL's `inet`, read and written as text."""

    def db_type(self, connection: object) -> str:
        return "inet"


class ProtectedSubject(models.Model):
    """What is never acted on, or only when a second person agrees. Withdrawn, never deleted.

    `means` is the IPv4 network that an IPv6 one stands for; the database fills it in. `found_by` says
    how a derived one was found and on which machine, so that another machine leaves it alone.
    """

    class Level(models.TextChoices):
        NEVER = "never"
        ASK_TWICE = "ask_twice"

    class Source(models.TextChoices):
        FLOOR = "floor"  # true of every machine: loopback, link-local, multicast
        DERIVED = "derived"  # found on a machine of the console
        ADMIN = "admin"

    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    network = CidrField(null=True)
    means = CidrField(null=True)
    level = models.CharField(max_length=10, choices=Level)
    source = models.CharField(max_length=10, choices=Source)
    found_by = models.CharField(max_length=120, db_default="")
    reason = models.TextField()
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    added_at = models.DateTimeField(db_default=Now())
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_why = models.TextField(db_default="")

    class Meta:
        db_table = "protected_subject"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "name", "level", "source", "found_by"],
                condition=Q(withdrawn_at__isnull=True),
                name="protected_subject_once",
            ),
            models.CheckConstraint(
                condition=~Q(reason__regex=r"^\s*$"), name="protected_subject_has_a_reason"
            ),
            models.CheckConstraint(
                condition=Q(kind="network", network__isnull=False)
                | (~Q(kind="network") & Q(network__isnull=True)),
                name="protected_subject_is_a_network_by_its_kind",
            ),
            models.CheckConstraint(
                condition=Q(level__in=["never", "ask_twice"])
                & Q(source__in=["floor", "derived", "admin"]),
                name="protected_subject_of_a_known_level",
            ),
        ]


class LimitRule(models.Model):
    """How many of something one scope may do in so many seconds; changed by an admin."""

    scope = models.CharField(max_length=20, primary_key=True)
    ceiling = models.IntegerField()
    seconds = models.IntegerField()

    class Meta:
        db_table = "limit_rule"
        constraints = [
            models.CheckConstraint(
                condition=Q(ceiling__gte=0) & Q(seconds__gte=1), name="limit_rule_makes_sense"
            )
        ]


class LimitCount(models.Model):
    """What one bucket has used of its ceiling since `since`, in shards: one row would be a queue."""

    bucket = models.CharField(max_length=80)
    shard = models.IntegerField()
    since = models.DateTimeField()
    used = models.IntegerField()

    class Meta:
        db_table = "limit_count"
        constraints = [models.UniqueConstraint(fields=["bucket", "shard"], name="limit_count_once")]


class RateCount(models.Model):
    """How often a door was knocked at since `since`. Not logged: a crash forgets it, nothing else."""

    bucket = models.CharField(max_length=200, primary_key=True)
    since = models.DateTimeField()
    used = models.IntegerField()

    class Meta:
        db_table = "rate_count"


class Seat(models.Model):
    """From which address somebody signed in was last seen: the live addresses of people."""

    caller = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    address = InetField()
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "seat"
        constraints = [models.UniqueConstraint(fields=["caller", "address"], name="seat_once")]
