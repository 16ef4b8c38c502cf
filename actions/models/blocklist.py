"""The block lists that firewalls pull. Only the blocklist connector writes entries."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from actions.models.subject import CidrField


class BlocklistEntry(models.Model):
    """The last word on one network of one list. A cleared one stays, with its generation."""

    list = models.CharField(max_length=80)
    network = CidrField()
    blocked = models.BooleanField()
    generation = models.IntegerField()
    set_by = models.CharField(max_length=400)
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "blocklist_entry"
        constraints = [
            models.UniqueConstraint(fields=["list", "network"], name="blocklist_entry_once")
        ]


class Pull(models.Model):
    """One time somebody took a list: a ban is in force at a firewall once it has pulled it."""

    list = models.CharField(max_length=80)
    consumer = models.CharField(max_length=120)
    caller = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+"
    )
    at = models.DateTimeField()
    etag = models.CharField(max_length=80)
    entries = models.IntegerField()

    class Meta:
        db_table = "pull"
        indexes = [models.Index(fields=["list", "consumer", "-at"], name="pull_last")]
