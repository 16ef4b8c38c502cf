"""Values that an operation made, such as a new password: sealed, shown for a while, then erased."""

from __future__ import annotations

from django.db import models


class MadeValue(models.Model):
    """What was made once for an operation. `sealed` is AES-GCM under the values' key ring.

    It is erased 15 minutes after the operation settled, or once it is settled and who asked says
    that they have it; a day after it was made at the latest.
    """

    operation = models.OneToOneField("Operation", models.PROTECT, related_name="made")
    key_id = models.CharField(max_length=20)
    sealed = models.BinaryField(null=True)
    made_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True)
    erased_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "made_value"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(sealed__isnull=True, erased_at__isnull=False)
                | models.Q(sealed__isnull=False, erased_at__isnull=True),
                name="made_value_is_there_until_erased",
            )
        ]
        indexes = [
            models.Index(
                fields=["made_at"],
                name="made_value_there",
                condition=models.Q(sealed__isnull=False),
            )
        ]
