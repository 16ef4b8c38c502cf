"""Who calls the API: a bearer token, kept as a digest, with scopes and an end (RFC 6750)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db.models.functions import Now
from django.http import HttpRequest

from actions.errors import Refusal, Unauthenticated
from actions.issue import Who
from actions.models import ApiToken, Caller
from console import hop

_TOKEN = re.compile(r"sh_([0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller who showed a live token."""

    caller: Caller
    token: ApiToken
    scopes: frozenset[str]

    def require(self, scope: str) -> None:
        """Raises Refusal `token_scope` unless the token has `scope`."""
        if scope not in self.scopes:
            raise Refusal(
                "token_scope",
                f"This token does not have the scope {scope}. Nothing changed.",
                {"status": 403},
            )


def bearer(request: HttpRequest) -> Who:
    """Who the Authorization header claims to be; proven where the token's row is read.

    Raises Unauthenticated when there is no token of our form.
    """
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    match = _TOKEN.fullmatch(token) if scheme.lower() == "bearer" else None
    if match is None:
        raise Unauthenticated(
            "unauthenticated", "Send a token: Authorization: Bearer sh_… Nothing changed."
        )
    digest = hashlib.sha256(token.encode()).digest()
    return Who(token_prefix=match[1], token_digest=digest, address=hop.address(request.META))


def principal(request: HttpRequest, scope: str) -> Principal:
    """Who calls, proven, with `scope`. Raises Unauthenticated, or Refusal `token_scope`."""
    proven = _proven(request)
    proven.require(scope)
    return proven


def caller_of(request: HttpRequest) -> Caller:
    """Who calls, proven, whatever their token is for. Raises Unauthenticated."""
    return _proven(request).caller


def _proven(request: HttpRequest) -> Principal:
    who = bearer(request)
    token = (
        ApiToken.objects.select_related("caller")
        .filter(prefix=who.token_prefix, revoked_at__isnull=True, expires_at__gt=Now())
        .first()
    )
    if (
        token is None
        or not hmac.compare_digest(bytes(token.digest), who.token_digest)
        or not token.caller.is_active
    ):
        raise Unauthenticated("unauthenticated", "This token is unknown, over or withdrawn.")
    return Principal(token.caller, token, frozenset(token.scopes))


def asker(request: HttpRequest) -> Callable[[str], UUID]:
    """Proves who asks for an action, by its name, where something must be looked up for them."""
    return lambda action: principal(request, f"ask:{action}").caller.id
