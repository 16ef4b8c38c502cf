"""API tokens: kept as a digest, limited by scope and time, each answered for by a person."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class ApiToken(models.Model):
    """A bearer token of a caller.

    `scopes` holds `read`, `lists`, `incidents`, and `ask:ACTION` for each action it may ask for;
    rights of the caller still apply. `digest` is SHA-256 of the whole token, which has 256 random
    bits, so that no slow hash is needed (ASVS 11.4.2 is about what people choose).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32)
    name = models.CharField(max_length=80)
    caller = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="tokens")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="answers_for")
    scopes = ArrayField(models.CharField(max_length=80))
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "api_token"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("created_at")),
                name="api_token_expires_after_it_begins",
            )
        ]
