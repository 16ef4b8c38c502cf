"""Who asks: a person, or a service account such as a runbook's. Never a token."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class Caller(AbstractUser):
    """A person or a service account. Its id is never given again, and no right is inherited by it."""

    class Kind(models.TextChoices):
        PERSON = "person"
        SERVICE = "service"
        CONSOLE = "console"  # the console itself, when it ends what was asked to end

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.PERSON)

    class Meta:
        db_table = "caller"
        default_permissions = ()
        permissions = [("administer", "May administer people, groups, rights and tokens")]

    @property
    def shown(self) -> str:
        """The name that pages and the log use."""
        return self.get_full_name() or self.username
