"""The catalogue as rows, so that rights can be granted on each action."""

from __future__ import annotations

import uuid

from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase


class CatalogueEntry(models.Model):
    """One action, by name. Rows are made from the registry after each migration, never deleted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)

    class Meta:
        db_table = "catalogue_entry"
        default_permissions = ()
        permissions = [
            ("see_entry", "May see what this action did"),
            ("ask_entry", "May ask for this action"),
            ("approve_entry", "May approve this action"),
            ("administer_entry", "May give and take rights on this action"),
        ]


# A grant points at its row with a real foreign key: guardian's generic table would keep the
# grants of a deleted row, and hand them to whoever is given its key again.
class EntryUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(CatalogueEntry, models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        db_table = "entry_user_grant"


class EntryGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(CatalogueEntry, models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        db_table = "entry_group_grant"
