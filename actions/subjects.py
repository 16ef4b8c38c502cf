"""Canonical names of subjects: however it was written, one thing to act on has one name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from socket import inet_ntoa
from typing import Final

from actions import realm_names
from actions.errors import SubjectRefused
from actions.translated import HOLD_IPV4, Network

RULES: Final = 1
"""Version of the rules below; raise it whenever one name would come out differently."""

IN_ONE_REALM: Final = frozenset({"account", "secret"})
"""Kinds whose names begin with the name of their realm and a colon."""

FLOOR: Final = {4: 16, 6: 32}
"""By IP version, the shortest prefix that can be acted on."""

ACCEPTED: Final = (
    "Accepted: one IPv4 or IPv6 address, or a network as its first address and a prefix length, "
    "such as 203.0.113.7, 203.0.113.0/24 or 2001:db8:7::/48."
)

_LONGEST: Final = 49  # an IPv6 address with a dotted tail (45), and /128
_SHAPE: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/(?:0|[1-9][0-9]{0,2}))?")

_FAULTS: Final = (
    (re.compile(r"\A\Z"), "it is empty"),
    (re.compile(r"[\x00-\x20\x7f-\xa0\s]"), "it holds a space, a line end or a control character"),
    (re.compile(r"[^\x00-\x7f]"), "it holds characters other than plain ASCII"),
    (re.compile(rf"(?s)\A.{{{_LONGEST + 1}}}"), "it is too long"),
    (re.compile(r"%"), "it names a zone, which means something on one machine only"),
    (re.compile(r"[\[\]]"), "it stands in brackets"),
    (re.compile(r"/.*[.:]"), "it has a mask where a prefix length belongs"),
    (re.compile(r"/0[0-9]"), "its prefix length begins with a zero"),
    (
        re.compile(r"(?:\A|[.:])0[0-9]+\.|\.0[0-9]"),
        "a zero begins a part, which some read as octal",
    ),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Who or what is acted on; equal only to one that the same rules named the same."""

    kind: str
    name: str
    rules: int
    called: str = field(default="", compare=False)
    """What it is called now, where that is not its name: it changes, and identifies nothing."""

    @property
    def realm(self) -> str | None:
        """The name of the one realm that the subject is in; None where its kind is in any."""
        return self.name.partition(":")[0] if self.kind in IN_ONE_REALM else None

    @property
    def network(self) -> Network:
        """The network named. ValueError for a subject of another kind."""
        return _network_named(self.name)

    @property
    def label(self) -> str:
        """What people read: what it is called, and a single address without its /32 or /128."""
        if self.kind != "network":
            return self.called or self.name
        return self.name.removesuffix("/128" if ":" in self.name else "/32")


# Cached, for a request asks for the network of its one subject several times.
_network_named = lru_cache(maxsize=256)(ip_network)


def parse(kind: object, name: object) -> Subject:
    """The subject that `kind` and `name` mean, canonical and narrow enough to act on.

    Takes anything, as it came out of JSON or a form. SubjectRefused: `unknown_kind`, or what the
    kind refuses (`bad_network`, `too_wide`).
    """
    subject = canonical(kind, name)
    check_width(subject)
    return subject


def canonical(kind: object, name: object) -> Subject:
    """The subject that `kind` and `name` mean, however wide.

    SubjectRefused: `unknown_kind`, `bad_network`, `bad_account`, `bad_secret`, and `needs_look`
    for an account that is given by what it is called.
    """
    if type(kind) is not str or kind not in _KINDS:
        raise _unknown_kind(kind)
    return Subject(kind, _KINDS[kind](name), RULES)


def check_width(subject: Subject) -> None:
    """Return if the subject is narrow enough to act on; SubjectRefused `too_wide` if it is not.

    An IPv6 network is judged by the IPv4 networks it stands for, too; what is no network has no
    width.
    """
    if subject.kind != "network":
        return
    network = subject.network
    floor = _floor(network)
    if network.prefixlen >= floor:
        return
    because = ", for the IPv4 addresses it stands for" if floor > FLOOR[network.version] else ""
    raise SubjectRefused(
        "too_wide",
        f"{subject.name} is too wide to act on: its prefix length must be at least {floor}"
        f"{because}. Name narrower networks, each on its own.",
        {"name": subject.name, "prefix": network.prefixlen, "floor": floor},
    )


def width_refusal(subject: Subject) -> SubjectRefused | None:
    """Why the subject is wider than may be acted on at once, or None."""
    try:
        check_width(subject)
    except SubjectRefused as refusal:
        return refusal
    return None


# Cached, for the same subject comes again and again, and an IPv6 address has 96 of them (0.3 ms).
@lru_cache(maxsize=256)
def wider(subject: Subject) -> tuple[str, ...]:
    """Names of all wider networks around this one that can be acted on, the widest first."""
    network = subject.network
    whole, first = network.max_prefixlen, int(network.network_address)
    names = []
    for prefix in range(_floor(network), network.prefixlen):
        low = first >> whole - prefix << whole - prefix
        text = inet_ntoa(low.to_bytes(4)) if whole == 32 else _address(IPv6Address(low))
        names.append(f"{text}/{prefix}")
    return tuple(names)


def prefix_4(network: Network) -> int | None:
    """The shortest IPv4 prefix that a network stands for: its own, or that of those within it."""
    if isinstance(network, IPv4Network):
        return network.prefixlen
    held = [
        0 if network.prefixlen < block.prefixlen else max(0, network.prefixlen - at)
        for block, at in HOLD_IPV4
        if network.overlaps(block)
    ]
    return min(held, default=None)


def span(subject: Subject) -> tuple[str, str]:
    """The `low` and `high` between which PostgreSQL sorts this network and all those inside it.

    Both are texts of type inet, and the test is exact: of networks without host bits,
    `low <= n AND n <= high` holds for those within and no others, since inet sorts by the bits
    that both have, then the shorter prefix first (network_cmp_internal in utils/adt/network.c).
    """
    network = subject.network
    return subject.name, f"{network.broadcast_address}/{network.max_prefixlen}"


def _network(name: object) -> str:
    """The canonical name of a network: always with its prefix length, as type cidr prints it."""
    if type(name) is not str or not _SHAPE.fullmatch(name):
        raise _bad_network(name)
    try:
        network = _read(name)
    except ValueError:
        raise _bad_network(name) from None
    return f"{_address(network.network_address)}/{network.prefixlen}"


_KINDS: Final[dict[str, Callable[[object], str]]] = {
    "network": _network,
    "account": realm_names.account,
    "secret": realm_names.secret,
}


def _read(text: str, *, strict: bool = True) -> Network:
    """The network in a text of the right shape, IPv4-mapped ones as IPv4. ValueError if none."""
    if ":" not in text:
        return IPv4Network(text, strict=strict)
    network = IPv6Network(text, strict=strict)
    mapped = network.network_address.ipv4_mapped
    if mapped is None or network.prefixlen < 96:
        return network
    return IPv4Network((int(mapped), network.prefixlen - 96))


def _address(address: IPv4Address | IPv6Address) -> str:
    """The text of an address, as PostgreSQL writes it."""
    # PostgreSQL alone gives ::/96 a dotted tail, except for what fits in the last group.
    if address.version == 6 and 1 << 16 <= int(address) < 1 << 32:
        return f"::{IPv4Address(int(address))}"
    return str(address)


def _floor(network: Network) -> int:
    """The shortest prefix at which this network, or one around it, can be acted on."""
    if network.version == 4:
        return FLOOR[4]
    return max(FLOOR[6], *(_floor_beside(network, block, at) for block, at in HOLD_IPV4))


def _floor_beside(network: Network, block: IPv6Network, at: int) -> int:
    """The shortest prefix at which nothing around `network` takes in too much of `block`."""
    apart = int(network.network_address) ^ int(block.network_address)
    shared = 128 - apart.bit_length()
    return at + FLOOR[4] if shared >= block.prefixlen else shared + 1


def _unknown_kind(kind: object) -> SubjectRefused:
    given, kinds = _shown(kind), sorted(_KINDS)
    return SubjectRefused(
        "unknown_kind",
        f"There is no kind of subject called {given}. Kinds: {', '.join(kinds)}.",
        {"given": given, "kinds": kinds},
    )


def _bad_network(name: object) -> SubjectRefused:
    """The refusal of what names no network, saying what was given and what is accepted."""
    facts: dict[str, object] = {"given": _shown(name)}
    why = _fault(name) if type(name) is str else "a network is given as text"
    if type(name) is str and (meant := _meant(name)):
        facts["meant"] = meant
        why = f"it has bits set beyond its prefix (perhaps {meant} was meant)"
    return SubjectRefused("bad_network", f"{_shown(name)} is no network: {why}. {ACCEPTED}", facts)


def _fault(text: str) -> str:
    return next(
        (why for pattern, why in _FAULTS if pattern.search(text)),
        "it is neither an address nor a network",
    )


def _meant(text: str) -> str | None:
    """The network around a text that has host bits; None if it is wrong in another way."""
    if not _SHAPE.fullmatch(text):
        return None
    try:
        network = _read(text, strict=False)
    except ValueError:
        return None
    return f"{_address(network.network_address)}/{network.prefixlen}"


def _shown(given: object) -> str:
    """What was given, short and in plain ASCII: safe in a page, a log and a header."""
    # Never repr() of other types: it can be endless, and that of a long int raises.
    if type(given) is not str:
        return _JSON_WORDS.get(type(given), "something else than text")
    return ascii(given) if len(given) <= _LONGEST else f"{given[:_LONGEST]!a}..."


_JSON_WORDS: Final[dict[type, str]] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
    list: "a list",
    dict: "an object",
}
