"""The ways out that the environment opens: the mail server, and what may be called over HTTP."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from actions.channels.mail import BadServer, Server, server_of
from actions.connectors._addresses import networks
from actions.connectors._http import Reach


def mail_server() -> Server | None:
    """The mail server, if one is set. Raises BadServer when what is set cannot be used."""
    given = settings.MAIL
    return server_of(**given) if given["url"] else None


@lru_cache(maxsize=1)
def reach() -> Reach:
    """What may be called of what somebody named by URL. Raises ValueError."""
    given = settings.OUTBOUND
    return Reach(
        hosts=frozenset(host.lower() for host in given["hosts"]),
        ports=frozenset(map(int, given["ports"])),
        networks=networks(given["networks"]),
        ca_file=given["ca_file"] or None,
    )


def objections() -> list[str]:
    """What of the environment cannot be used, in words."""
    found = []
    for look in (mail_server, reach):
        try:
            look()
        except BadServer as error:
            found.append(str(error))
        except ValueError:
            found.append(
                "OUTBOUND_PORTS are numbers, and OUTBOUND_NETWORKS networks such as 10.2.0.0/16"
            )
    return found
