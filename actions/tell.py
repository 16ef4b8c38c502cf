"""Tell one notice: take it up, ask whether it is still to be told, write down that it begins, send, settle.

No transaction is open while anything is sent.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import uuid
from collections.abc import Mapping
from datetime import datetime

from django.conf import settings

from actions import database, doors, endpoints, keyring, telling
from actions.adapters import where
from actions.channels._base import Channel, NotHeld, Told
from actions.channels.mail import Mail
from actions.channels.rooms import Slack, Teams
from actions.channels.webhook import Webhook
from actions.errors import NotFound
from actions.faults import point
from actions.heard import WORDS, Kind
from actions.models import Endpoint, Notice, NoticeAddress
from actions.outcomes import Outcome, RetryLater, Unknown
from actions.registry import registry

log = logging.getLogger(__name__)

CHANNELS: Mapping[str, type[Channel]] = {c.name: c for c in (Mail, Webhook, Slack, Teams)}


def tell(notice: uuid.UUID) -> bool:
    """Try one notice once. False when there was nothing to take up."""
    held = telling.claim(notice)
    if held is None:
        return False
    point("tell.claimed")
    if why := database.value("SELECT notice_objection(%(id)s::uuid)", {"id": held.id}):
        telling.cancel(held, why)
        return True
    try:
        outcome = _send(held)
    except NotHeld:
        return True
    point("tell.sent")
    telling.settle(held, outcome, CHANNELS[held.channel])
    point("tell.settled")
    return True


def _send(held: Notice) -> Outcome:
    begun: list[bool] = []

    def begin() -> None:
        telling.begin(held)
        begun.append(True)
        point("tell.begun")

    try:
        return _channel(held).send(told(held), begin)
    except NotHeld:
        raise
    except Exception as error:
        # Where it was raised, and of what kind: its text may hold an address or a URL.
        log.warning("notice %s: %s", held.id, where(error))
        kind = type(error).__name__
        if begun:
            return Unknown(f"Sending it ended in {kind}.")
        return RetryLater(f"It could not be made ready: {kind}.")


def _channel(held: Notice) -> Channel:
    if held.channel == Mail.name:
        server = doors.mail_server()
        assert server is not None and held.person_id is not None
        return Mail(server, NoticeAddress.objects.get(caller_id=held.person_id).email)
    assert held.endpoint is not None
    url, signing = endpoints.opened(keyring.load(settings.HOME, keyring.REALMS), held.endpoint)
    match held.channel:
        case Endpoint.Channel.SLACK:
            return Slack(url, doors.reach())
        case Endpoint.Channel.TEAMS:
            return Teams(url, doors.reach())
        case _:
            return Webhook(url, signing, doors.reach())


def told(held: Notice) -> Told:
    """What is told: of what kind, and where to look; no name, no reason."""
    happening, words = held.happening, WORDS[Kind(held.happening.kind)]
    about = happening.operation
    choosing = f"{settings.PUBLIC_URL}/account/notices"
    place = f"/operations/{about.ref}" if about else _PLACES.get(Kind(happening.kind), "/")
    return Told(
        id=str(held.id),
        kind=happening.kind,
        at=happening.at,
        heading=words.heading + (f": {about.ref}" if about else ""),
        text=words.text,
        url=settings.PUBLIC_URL + place,
        ref=about.ref if about else "",
        action=_title(about.action) if about else "",
        subject=about.subject.kind if about else "",
        code=_code(held, happening.at) if happening.kind == Kind.ADDRESS else "",
        settings_url=choosing,
    )


_PLACES = {Kind.ADDRESS: "/account/notices", Kind.TEST: "/account/notices"}


def _title(action: str) -> str:
    try:
        return registry.action(action).title
    except NotFound:
        return action


def _code(held: Notice, asked_at: datetime) -> str:
    assert held.person_id is not None
    given = NoticeAddress.objects.get(caller_id=held.person_id)
    return code(held.person_id, given.email, asked_at)


def code(person: uuid.UUID, email: str, asked_at: datetime) -> str:
    """The code that proves that an address is read by who gave it, such as `K3TM-7QWA`.

    Made from the console's secret key, so that it stands in no table; 40 bits, of which five are tried.
    """
    said = f"{person}/{email}/{asked_at.timestamp():.6f}".encode()
    made = hmac.digest(b"notice address/" + settings.SECRET_KEY.encode(), said, hashlib.sha256)
    text = base64.b32encode(made[:5]).decode()
    return f"{text[:4]}-{text[4:]}"
