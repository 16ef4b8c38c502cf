"""Which addresses may be reached from inside: public ones, and those that somebody allowed by name.

An address may hide another in itself: NAT64, 6to4, Teredo, ISATAP and the mapped forms all reach the
IPv4 address that they carry. Such a form is refused unless it is allowed, and what it carries is
judged as if it stood alone. Public means: IANA's special-purpose registries (RFC 6890) name it as
globally reachable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

# The prefix, and how many bits of the address follow what it carries: the low bits are cut off.
_CARRIES: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped, RFC 4291 §2.5.5.2
    (IPv6Network("::/96"), 0),  # compatible, RFC 4291 §2.5.5.1
    (IPv6Network("::ffff:0:0:0/96"), 0),  # translated, RFC 2765 §2.1
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (IPv6Network("64:ff9b:1::/48"), 0),  # NAT64 of a site's own, RFC 8215
    (IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056
)
_TEREDO = IPv6Network("2001::/32")  # RFC 4380: the server's address, and the client's inverted
_ISATAP = {0x0000_5EFE, 0x0200_5EFE}  # RFC 5214 §6.1: the upper half of the interface's identifier
_UNICAST = IPv6Network("2000::/3")
# Global to the ipaddress of this or that Python, and yet no place to call: IETF protocol assignments
# (RFC 6890), the withdrawn anycast of 6to4 relays (RFC 7526), and what documentation uses (RFC 9637).
_NOT_PUBLIC: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("2001::/23"),
    IPv6Network("3fff::/20"),
)
_LOW_32 = 0xFFFF_FFFF


def parse(text: str) -> Address:
    """An address as a resolver gives it. Raises ValueError, also for one with a zone (RFC 4007)."""
    if "%" in text:
        raise ValueError("an address with a zone is of this link alone")
    return ip_address(text)


def networks(texts: Collection[str]) -> tuple[Network, ...]:
    """Networks as somebody allows them, such as `10.2.0.0/16`. Raises ValueError."""
    return tuple(ip_network(text) for text in texts)


def carried(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that this one stands for, if it is a translated form."""
    if not isinstance(address, IPv6Address):
        return
    bits = int(address)
    for prefix, below in _CARRIES:
        if address in prefix and bits > 1:  # not :: and ::1, which are themselves
            yield IPv4Address(bits >> below & _LOW_32)
    if address in _TEREDO:
        yield IPv4Address(bits >> 64 & _LOW_32)
        yield IPv4Address(~bits & _LOW_32)
    if bits >> 32 & _LOW_32 in _ISATAP:
        yield IPv4Address(bits & _LOW_32)


def public(address: Address) -> bool:
    """Whether it is a unicast address of the public internet, and hides no other in itself."""
    if not address.is_global or _among(address, _NOT_PUBLIC):
        return False
    if isinstance(address, IPv6Address):
        return address in _UNICAST and next(carried(address), None) is None
    return not address.is_multicast and not address.is_reserved


def may_reach(address: Address, allowed: Collection[Network] = ()) -> bool:
    """Whether it may be connected to: it, and each address that it carries, is public or allowed."""

    return all(public(one) or _among(one, allowed) for one in (address, *carried(address)))


def _among(address: Address, networks: Collection[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
