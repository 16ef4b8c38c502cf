"""Realms: the configured instances of outside systems."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase


class Realm(models.Model):
    """One instance of an outside system. Its id never changes; its settings have versions."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    title = models.CharField(max_length=120)
    connector = models.CharField(max_length=80)
    version = models.IntegerField(default=1)
    enabled = models.BooleanField(default=True)

    class Meta:
        db_table = "realm"
        default_permissions = ()
        permissions = [
            ("see_realm", "May see this system"),
            ("ask_realm", "May ask for changes in this system"),
            ("approve_realm", "May approve changes in this system"),
            ("administer_realm", "May give and take rights on this system"),
        ]


class RealmVersion(models.Model):
    """The settings of a realm as of one version: an effect in doubt is read where it was sent."""

    realm = models.ForeignKey(Realm, models.PROTECT, related_name="versions")
    number = models.IntegerField()
    settings = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "realm_version"
        constraints = [
            models.UniqueConstraint(fields=["realm", "number"], name="realm_version_once")
        ]


class RealmSecret(models.Model):
    """The credentials of a realm at one version, sealed; only worker and keeper read them.

    `sealed` is AES-GCM over a JSON object of texts, under the key `key_id` of the realms' key ring.
    """

    version = models.OneToOneField(RealmVersion, models.PROTECT, related_name="secret")
    key_id = models.CharField(max_length=20)
    sealed = models.BinaryField()

    class Meta:
        db_table = "realm_secret"


class RealmUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(Realm, models.CASCADE)

    class Meta(UserObjectPermissionBase.Meta):
        db_table = "realm_user_grant"


class RealmGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(Realm, models.CASCADE)

    class Meta(GroupObjectPermissionBase.Meta):
        db_table = "realm_group_grant"
