"""Numbered system checks of the domain, each with a hint."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from actions import doors
from actions.connectors._base import Connector, Offer
from actions.registry import registry

MARGIN = 5.0
"""Seconds of a lease beyond the call and its reading back, for all that comes before and after."""


@checks.register
def leases_outlast_calls(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    """E001: a call that may outlast its lease would be taken for lost while it is still under way."""
    return [
        _too_long(connector, capability, offer)
        for connector in registry.connectors()
        for capability, offer in connector.offers.items()
        if offer.timeout + offer.verify + MARGIN >= settings.LEASE_SECONDS
    ]


@checks.register
def nobody_who_is_not_signed_in_has_rights(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    """E002: guardian would make an active account for strangers, and grants to it are grants to all."""
    if settings.ANONYMOUS_USER_NAME is None:
        return []
    return [
        checks.Error(
            "ANONYMOUS_USER_NAME names an account for whoever is not signed in.",
            hint="Set it to None: nobody who is not signed in may do anything here.",
            id="actions.E002",
        )
    ]


def _too_long(connector: type[Connector], capability: str, offer: Offer) -> checks.CheckMessage:
    return checks.Error(
        f"{connector.name}: a call of {capability} and its reading back may take"
        f" {offer.timeout + offer.verify:g} s, but a lease lasts {settings.LEASE_SECONDS:g} s.",
        hint=f"Set LEASE_SECONDS above {offer.timeout + offer.verify + MARGIN:g}.",
        obj=connector,
        id="actions.E001",
    )


@checks.register
def doors_can_be_used(
    app_configs: Sequence[AppConfig] | None, **kwargs: object
) -> list[checks.CheckMessage]:
    """E002: a mail server, or what may be called, that is set in a way that nobody can use."""
    hint = "See docs/notifications.md."
    return [checks.Error(said, hint=hint, id="actions.E002") for said in doors.objections()]
