"""IPv6 networks that stand for IPv4 ones: translated, tunnelled or mapped, and seen for what they are."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

# IPv6 ranges whose addresses stand for IPv4 ones, each with the bit at which the IPv4 part begins
# (at the latest: a site may place it earlier in 64:ff9b:1::/48).
HOLD_IPV4: Final = (
    (IPv6Network("::/96"), 96),  # IPv4-compatible, retired: RFC 4291 §2.5.5.1
    (IPv6Network("::ffff:0:0/96"), 96),  # IPv4-mapped: RFC 4291 §2.5.5.2
    (IPv6Network("::ffff:0:0:0/96"), 96),  # IPv4-translated: RFC 2765 §2.1
    (IPv6Network("64:ff9b::/96"), 96),  # NAT64: RFC 6052 §2.1
    (IPv6Network("64:ff9b:1::/48"), 96),  # NAT64 of a site: RFC 8215
    (IPv6Network("2002::/16"), 16),  # 6to4: RFC 3056 §2
    (IPv6Network("2001::/32"), 96),  # Teredo: RFC 4380 §4
)
# Where the IPv4 address, that of the Teredo client, stands with every bit turned.
_TURNED: Final = frozenset({IPv6Network("2001::/32")})

# What is wrong with a text, the first that fits; written for the people who typed it.


def stands_for(network: Network) -> IPv4Network | None:
    """The IPv4 network that an IPv6 one stands for: translated, tunnelled or mapped; else None.

    What takes in a whole range of such addresses stands for all of IPv4. SQL: `means`.
    """
    if network.version == 4:
        return None
    for block, at in HOLD_IPV4:
        if block.subnet_of(network):
            return IPv4Network("0.0.0.0/0")
        if network.subnet_of(block):
            low = int(network.network_address) >> 128 - at - 32 & 0xFFFFFFFF
            prefix = max(0, min(32, network.prefixlen - at))
            turned = low ^ 0xFFFFFFFF if block in _TURNED else low
            return IPv4Network((turned, prefix), strict=False)
    return None


def takes_in(network: Network, address: Address) -> bool:
    """Whether an address lies in a network, whichever of its forms either is written in."""
    ours, theirs = _forms(network), _forms(ip_network(address))
    return any(
        one.version == other.version and one.overlaps(other) for one in ours for other in theirs
    )


def _forms(network: Network) -> tuple[Network, ...]:
    meant = stands_for(network)
    return (network,) if meant is None else (network, meant)


def holds_ipv4_sql() -> str:
    """The ranges whose addresses stand for IPv4 ones, as rows of SQL's VALUES."""
    return ", ".join(f"(cidr '{b}', {at}, {b in _TURNED})" for b, at in HOLD_IPV4)
