"""The first-run world: example people, a runbook's token, and the console's own block list."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.utils import timezone
from guardian.shortcuts import assign_perm

from actions import log, realms
from actions.administer import make_secret
from actions.models import ApiToken, ApprovalRule, Caller, CatalogueEntry, Realm, RealmVersion
from actions.registry import registry
from console.example import Place

PEOPLE = {
    "ana": ("Ana", "Ortiz", "responder"),
    "raj": ("Raj", "Patel", "second responder"),
    "li": ("Li", "Wei", "approver"),
    "noor": ("Noor", "Haddad", "auditor"),
    "sam": ("Sam", "Berg", "admin"),
}
GROUPS = {
    "responder": "responders",
    "second responder": "responders",
    "approver": "approvers",
    "auditor": "auditors",
    "admin": "admins",
    "runbook": "runbooks",
}
HOLDS = {
    "responders": ("see", "ask"),
    "runbooks": ("see", "ask"),
    "approvers": ("see", "approve"),
    "auditors": ("see",),
    "admins": (
        "see",
    ),  # they give rights to others; to act they would have to give them to themselves
}
CONSOLE_WIDE = {"auditors": ("read_log",), "admins": ("read_log", "administer")}
SEALED = "break-glass"
"""The sealed group: nobody is in it until an admin puts somebody there."""
TOKEN_LASTS = timedelta(days=90)
BLOCKLIST = "blocked-networks"


def sync_catalogue() -> None:
    """A row for each action of the registry, so that rights can be granted on it.

    With the row of an action that a later version brought come the rights that the example's groups
    have on all others, once: what an admin takes away later is not given again.
    """
    for action in registry.actions():
        with transaction.atomic():
            entry, made = CatalogueEntry.objects.get_or_create(name=action.name)
            if made:
                _grant_entry(_groups(), entry)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def ensure_secret_key(home: Path) -> None:
    """The key that signs sessions, made once."""
    path = home / "secret_key"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48))


def ensure_world(home: Path) -> bool:
    """Make the example world unless somebody is there already. True when it was made.

    The credentials are written before the rows are committed: a crash in between leaves a file
    that is written anew, never people whose passwords nobody knows.
    """
    with transaction.atomic():
        if Caller.objects.exists():
            return False
        credentials = _make()
        write_private(home / "credentials.json", json.dumps(credentials, indent=2) + "\n")
    return True


def ensure_places(places: Iterable[Place]) -> None:
    """Have the realms of the example, with the rights that its groups have on the block list.

    Also in a home from before there were any: its people and groups stay as they are, and the groups
    that are still there are given the rights, once.
    """
    for place in places:
        with transaction.atomic():
            _ensure_place(place)


def _ensure_place(place: Place) -> None:
    if Realm.objects.filter(name=place.name).exists():
        # Its server may have taken another port since.
        if realms.current(place.name).settings != place.settings:
            realms.change(place.name, place.settings, place.credentials)
        return
    realm = realms.add(place.name, place.title, place.connector, place.settings, place.credentials)
    _grant_realm(_groups(), realm)


def _groups() -> dict[str, Group]:
    """The example's groups that are there: none before the world is made."""
    return {g.name: g for g in Group.objects.filter(name__in=set(GROUPS.values()))}


def _make() -> dict[str, Any]:
    groups = {name: Group.objects.create(name=name) for name in sorted(set(GROUPS.values()))}
    realm = _make_blocklist()
    people = {name: _make_person(name, groups) for name in PEOPLE}
    Caller.objects.create(username="console", kind=Caller.Kind.CONSOLE, first_name="The console")
    token = _make_runbook(groups, Caller.objects.get(username="ana"))
    _grant(groups, realm)
    log.append("world.made", {"people": sorted(PEOPLE)})
    return {"people": people, "tokens": {"runbook": token}}


def _make_person(username: str, groups: dict[str, Group]) -> dict[str, str]:
    first, last, role = PEOPLE[username]
    password = secrets.token_urlsafe(15)
    person = Caller(username=username, first_name=first, last_name=last)
    person.set_password(password)
    person.save()
    person.groups.add(groups[GROUPS[role]])
    return {"username": username, "password": password, "role": role}


def _make_blocklist() -> Realm:
    realm = Realm.objects.create(
        name="edge-blocklist", title="Edge block list", connector="blocklist"
    )
    RealmVersion.objects.create(realm=realm, number=1, settings={"list": BLOCKLIST})
    return realm


def _make_runbook(groups: dict[str, Group], owner: Caller) -> str:
    runbook = Caller(username="runbook", kind=Caller.Kind.SERVICE, first_name="Runbook")
    runbook.set_unusable_password()
    runbook.save()
    runbook.groups.add(groups["runbooks"])
    scopes = ["read", "lists", "incidents", *(f"ask:{a.name}" for a in registry.actions())]
    return make_token(runbook, owner, "first run", scopes)


def make_token(caller: Caller, owner: Caller, name: str, scopes: list[str]) -> str:
    """Make a token and return it: `sh_PREFIX_SECRET`, shown this once, kept as a digest."""
    token, prefix, digest = make_secret()
    ApiToken.objects.create(
        prefix=prefix,
        digest=digest,
        name=name,
        caller=caller,
        owner=owner,
        scopes=scopes,
        expires_at=timezone.now() + TOKEN_LASTS,
    )
    return token


def _grant(groups: dict[str, Group], realm: Realm) -> None:
    for entry in CatalogueEntry.objects.all():
        _grant_entry(groups, entry)
    _grant_realm(groups, realm)
    _grant_console(groups)
    sealed = Permission.objects.get(codename="break_glass", content_type__app_label="actions")
    Group.objects.create(name=SEALED).permissions.add(sealed)
    _make_rules(groups["approvers"])


def _grant_console(groups: dict[str, Group]) -> None:
    for name, codenames in CONSOLE_WIDE.items():
        held = Permission.objects.filter(codename__in=codenames, content_type__app_label="actions")
        groups[name].permissions.add(*held)


def _make_rules(approvers: Group) -> None:
    """A ban of more than a /24, or a /48 of IPv6, and what asks twice, need somebody else's yes."""
    ApprovalRule.objects.create(
        action="ban-network", wider_than_4=24, wider_than_6=48, group=approvers
    )
    ApprovalRule.objects.create(protected=True, group=approvers)


def _grant_entry(groups: dict[str, Group], entry: CatalogueEntry) -> None:
    for name, group in groups.items():
        for right in HOLDS[name]:
            assign_perm(f"{right}_entry", group, entry)


def _grant_realm(groups: dict[str, Group], realm: Realm) -> None:
    for name, group in groups.items():
        for right in HOLDS[name]:
            assign_perm(f"{right}_realm", group, realm)


def ensure_administered() -> None:
    """Give the example's groups, once, the rights that a home from before them lacks.

    Once somebody administers there is always somebody, so that what an admin takes away stays away.
    """
    groups = _groups()
    if set(groups) != set(HOLDS) or Permission.objects.filter(
        codename="administer", content_type__app_label="actions", group__isnull=False
    ):
        return
    with transaction.atomic():
        _grant_console(groups)
        for entry in CatalogueEntry.objects.all():
            _grant_entry({"approvers": groups["approvers"]}, entry)
        for realm in Realm.objects.all():
            _grant_realm({"approvers": groups["approvers"]}, realm)
