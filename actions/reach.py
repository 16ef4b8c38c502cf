"""What a network would hit, counted now, for whoever is about to confirm it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from uuid import UUID

from actions import database, translated
from actions.limits import addresses
from actions.subjects import Subject

_COUNT = """
SELECT (SELECT count(DISTINCT e.network) FROM blocklist_entry e
         WHERE e.blocked AND (e.network <<= %(network)s::cidr OR e.network <<= %(means)s::cidr)) AS blocked,
       (SELECT count(DISTINCT s.caller_id) FROM seat s
         WHERE (s.address <<= %(network)s::inet OR s.address <<= %(means)s::inet)
           AND s.seen_at > clock_timestamp() - interval '8 hours') AS people
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """Addresses as people read the number; networks blocked inside, and people who work from there."""

    addresses: str
    blocked: int
    people: int


def count(subject: Subject) -> Reach:
    """Count it: of a network, and of the IPv4 one that it stands for."""
    means = translated.stands_for(subject.network)
    row = database.one(_COUNT, {"network": subject.name, "means": str(means) if means else None})
    return Reach(_in_words(addresses(subject)), row["blocked"], row["people"])


_SEATS = """
SELECT coalesce(array_agg(host(address)), '{}') FROM seat
 WHERE caller_id = %(caller)s AND seen_at > clock_timestamp() - interval '8 hours'
"""


def seats_of(caller: UUID) -> list[translated.Address]:
    """Where somebody signed in works from."""
    return [ip_address(at) for at in database.value(_SEATS, {"caller": caller})]


def _in_words(number: int) -> str:
    return f"{number:,}" if number < 10**9 else f"2^{number.bit_length() - 1}"
