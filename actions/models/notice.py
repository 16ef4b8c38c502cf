"""Notices: what happened that somebody must hear of, who is told by which channel, and who chose what."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from actions import states


class Happening(models.Model):
    """One thing that happened and that somebody must hear of. `about` names it, once and for all.

    `told` counts the notices that were made of it: 0 says that nobody could be told.
    """

    about = models.CharField(max_length=80)
    kind = models.CharField(max_length=20)
    operation = models.ForeignKey(
        "Operation", models.PROTECT, null=True, related_name="+", db_index=False
    )
    effect = models.ForeignKey(
        "Effect", models.PROTECT, null=True, related_name="+", db_index=False
    )
    at = models.DateTimeField()
    made_at = models.DateTimeField(db_default=Now())
    told = models.IntegerField(default=0)

    class Meta:
        db_table = "happening"
        constraints = [models.UniqueConstraint(fields=["about"], name="happening_once")]
        indexes = [
            models.Index(fields=["made_at"], name="happening_untold", condition=Q(told=0)),
        ]


class Endpoint(models.Model):
    """Where notices go that are for no one person: a signed webhook, a channel of Slack or Teams.

    Its URL is a secret too (who knows it may post there), so `host` is all that is shown.
    """

    class Channel(models.TextChoices):
        WEBHOOK = "webhook"
        SLACK = "slack"
        TEAMS = "teams"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    channel = models.CharField(max_length=10, choices=Channel)
    host = models.CharField(max_length=255)
    kinds = ArrayField(models.CharField(max_length=20))
    enabled = models.BooleanField(default=True)
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "endpoint"


class EndpointSecret(models.Model):
    """An endpoint's URL or signing secret, sealed under the realms' key ring; keeper and worker read it.

    At most two of a kind are in use: `slot` is the number's parity, and a new one takes the other.
    """

    class What(models.TextChoices):
        URL = "url"
        SIGNING = "signing"

    endpoint = models.ForeignKey(Endpoint, models.PROTECT, related_name="secrets")
    what = models.CharField(max_length=10, choices=What)
    number = models.IntegerField()
    slot = models.SmallIntegerField()
    key_id = models.CharField(max_length=20)
    sealed = models.BinaryField()
    made_at = models.DateTimeField(db_default=Now())
    retired_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "endpoint_secret"
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "what", "number"], name="endpoint_secret_once"
            ),
            models.UniqueConstraint(
                fields=["endpoint", "what", "slot"],
                condition=Q(retired_at__isnull=True),
                name="endpoint_has_two_secrets_at_most",
            ),
            models.CheckConstraint(
                condition=Q(slot=models.F("number") % 2), name="endpoint_secret_has_its_slot"
            ),
        ]

    @property
    def context(self) -> str:
        """What it is bound to, so that no row can stand in for another."""
        return f"endpoint/{self.endpoint_id}/{self.what}/{self.number}"


class Notice(models.Model):
    """One thing told to one person, or at one endpoint, by one channel. Its id goes along, each time.

    Claimed and settled as effects are: `fence` only rises, `began_at` is written down before anything
    is sent that may be seen, times are the database's. `calls` counts how often it began to be sent.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    happening = models.ForeignKey(Happening, models.PROTECT, related_name="notices")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    endpoint = models.ForeignKey(
        Endpoint, models.PROTECT, null=True, related_name="+", db_index=False
    )
    channel = models.CharField(max_length=10)
    made_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=20)
    fence = models.BigIntegerField(default=0)
    tries = models.IntegerField(default=0)
    calls = models.IntegerField(default=0)
    doubts = models.IntegerField(default=0)
    run_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    began_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    message = models.CharField(max_length=300, default="")

    class Meta:
        db_table = "notice"
        constraints = [
            models.UniqueConstraint(
                fields=["happening", "person", "channel"],
                name="notice_once_for_a_person_and_channel",
            ),
            models.UniqueConstraint(
                fields=["happening", "endpoint"], name="notice_once_for_an_endpoint"
            ),
            models.CheckConstraint(
                condition=Q(person__isnull=True, endpoint__isnull=False)
                | Q(person__isnull=False, endpoint__isnull=True),
                name="notice_is_for_a_person_or_an_endpoint",
            ),
            models.CheckConstraint(
                condition=Q(state="executing", lease_until__isnull=False)
                | (~Q(state="executing") & Q(lease_until__isnull=True)),
                name="notice_leased_exactly_while_executing",
            ),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "run_at"],
                name="notice_due",
                condition=Q(state__in=sorted(states.NOTICE_DUE)),
            ),
            models.Index(
                fields=["lease_until"], name="notice_leased", condition=Q(state="executing")
            ),
            models.Index(fields=["-settled_at"], name="notice_lost", condition=Q(state="failed")),
            models.Index(fields=["person", "made_at"], name="notice_of_a_person"),
        ]


class NoticeAddress(models.Model):
    """The e-mail address that a person gave. Nothing but its code is sent there until it is confirmed."""

    caller = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, primary_key=True, related_name="+"
    )
    email = models.CharField(max_length=254)
    asked_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    wrong = models.IntegerField(default=0)  # codes that were not its own

    class Meta:
        db_table = "notice_address"
        constraints = [
            # No blank, no line end, no sign that means something in a header or an SMTP command.
            models.CheckConstraint(
                condition=Q(
                    email__regex=r"^[A-Za-z0-9.!#$%&*+/=?^_{|}~'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
                ),
                name="notice_address_is_plain",
            )
        ]


class NoticeChoice(models.Model):
    """What a person chose, where that is not what everybody is told."""

    caller = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20)
    channel = models.CharField(max_length=10)
    wanted = models.BooleanField()
    chosen_at = models.DateTimeField()

    class Meta:
        db_table = "notice_choice"
        constraints = [
            models.UniqueConstraint(fields=["caller", "kind", "channel"], name="notice_choice_once")
        ]


class NoticeMark(models.Model):
    """From when on notices are made, and up to when settled operations were looked at; one row."""

    began_at = models.DateTimeField()
    settled_until = models.DateTimeField()

    class Meta:
        db_table = "notice_mark"
        constraints = [models.UniqueConstraint(models.Value(1), name="notice_mark_is_one")]
