"""However a network was written, it has one name; what is no network, or too wide, is refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from actions import subjects
from actions.errors import SubjectRefused
from actions.subjects import RULES, Subject, canonical, check_width, parse, span, wider


def named(name: object) -> str:
    return parse("network", name).name


def refusal(name: object, kind: object = "network") -> SubjectRefused:
    with pytest.raises(SubjectRefused) as caught:
        parse(kind, name)
    return caught.value


# --- one name -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("1.2.3.4", "1.2.3.4/32"),
        ("1.2.3.4/32", "1.2.3.4/32"),
        ("::ffff:1.2.3.4", "1.2.3.4/32"),
        ("::FFFF:1.2.3.4/128", "1.2.3.4/32"),
        ("::ffff:102:304", "1.2.3.4/32"),
        ("0:0:0:0:0:ffff:0102:0304", "1.2.3.4/32"),
        ("::ffff:1.2.3.0/120", "1.2.3.0/24"),
        ("::ffff:10.7.0.0/112", "10.7.0.0/16"),
        ("10.7.0.0/16", "10.7.0.0/16"),
        ("0.0.0.0", "0.0.0.0/32"),
        ("255.255.255.255", "255.255.255.255/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("2001:DB8:0:0::1", "2001:db8::1/128"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001/128", "2001:db8::1/128"),
        ("2001:db8::0.0.0.1", "2001:db8::1/128"),
        ("2001:db8:7::/48", "2001:db8:7::/48"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::", "::/128"),
        ("::1", "::1/128"),
        ("64:ff9b::1.2.3.4/128", "64:ff9b::102:304/128"),
        ("::1:0:0", "::1:0:0/128"),
    ],
)
def test_all_spellings_of_a_network_have_one_name(written: str, name: str) -> None:
    assert parse("network", written) == Subject("network", name, RULES)


@pytest.mark.parametrize(
    ("written", "name"),
    [("::102:304", "::1.2.3.4/128"), ("::1:0", "::0.1.0.0/128"), ("::0.0.255.255", "::ffff/128")],
)
def test_a_retired_ipv4_compatible_address_is_written_as_postgresql_writes_it(
    written: str, name: str
) -> None:
    assert named(written) == name


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("1.2.3.4/32", "1.2.3.4"),
        ("1.2.3.0/24", "1.2.3.0/24"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_people_read_a_single_address_without_its_prefix(name: str, label: str) -> None:
    assert parse("network", name).label == label
    assert parse("network", label).name == name


def test_a_subject_of_another_kind_is_labelled_by_its_name_and_has_no_width() -> None:
    secret = Subject("secret", "payments-db/32", RULES)
    assert secret.label == "payments-db/32"
    check_width(secret)


def test_a_name_made_by_other_rules_is_another_subject() -> None:
    assert parse("network", "1.2.3.4") != Subject("network", "1.2.3.4/32", RULES + 1)


def test_a_subject_cannot_be_changed_and_can_be_looked_up() -> None:
    subject = parse("network", "1.2.3.4")
    with pytest.raises(AttributeError):
        subject.name = "5.6.7.8/32"  # type: ignore[misc]
    assert subject in {parse("network", "::ffff:1.2.3.4")}


# --- what is no network -------------------------------------------------------------------------

BAD = [
    ("", "empty"),
    ("010.0.0.1", "octal"),
    ("1.2.3.04", "octal"),
    ("1.02.3.4", "octal"),
    ("00.0.0.0", "octal"),
    ("::ffff:010.0.0.1", "octal"),
    ("1.2.3.0/024", "prefix length begins with a zero"),
    ("1.2.3.4/00", "prefix length begins with a zero"),
    ("2001:db8::/048", "prefix length begins with a zero"),
    ("1.2.3.4/24", "1.2.3.0/24"),
    ("1.2.3.4/0", "0.0.0.0/0"),
    ("2001:db8::1/48", "2001:db8::/48"),
    ("::ffff:1.2.3.4/120", "1.2.3.0/24"),
    ("::ffff:1.2.3.4/64", "::/64"),
    ("fe80::1%eth0", "zone"),
    ("fe80::1%25eth0", "zone"),
    ("fe80::1%", "zone"),
    ("fe80::1%1/128", "zone"),
    ("fe80::1%\x00", "control character"),
    ("1.2.3.4/0.0.0.255", "mask"),
    ("1.2.3.0/255.255.255.0", "mask"),
    ("1.2.3.4/255.255.255.255", "mask"),
    ("2001:db8::/ffff:ffff::", "mask"),
    ("127.1", "neither"),
    ("1.2.3", "neither"),
    ("1.2.3.0.0", "neither"),
    ("2130706433", "neither"),
    ("0", "neither"),
    ("true", "neither"),
    ("localhost", "neither"),
    ("256.1.1.1", "neither"),
    ("1.2.3.4.", "neither"),
    (".1.2.3.4", "neither"),
    ("1..3.4", "neither"),
    ("0x7f.0.0.1", "neither"),
    ("1.2.3.4/-1", "neither"),
    ("1.2.3.4/+1", "neither"),
    ("1.2.3.4/33", "neither"),
    ("1.2.3.4/", "neither"),
    ("/24", "neither"),
    ("1.2.3.0/24/24", "neither"),
    ("1.2.3.0/24/2.4", "mask"),
    ("::1/129", "neither"),
    ("::1/-1", "neither"),
    (":", "neither"),
    (":::", "neither"),
    ("1::2::3", "neither"),
    ("1:2:3:4:5:6:7", "neither"),
    ("1:2:3:4:5:6:7:8:9", "neither"),
    ("12345::", "neither"),
    ("::g", "neither"),
    ("::1.2.3", "neither"),
    ("1.2.3.4-1.2.3.9", "neither"),
    ("1.2.3.4,5.6.7.8", "neither"),
    ("1.2.3.4:80", "neither"),
    ("[::1]", "brackets"),
    ("[::1]/128", "brackets"),
    ("1.2.3.4\n", "line end"),
    ("1.2.3.4\r\n", "line end"),
    ("1.2.3.0/24\n", "line end"),
    ("::1\n", "line end"),
    (" 1.2.3.4", "space"),
    ("1.2.3.4 ", "space"),
    ("1.2.3.4 /32", "space"),
    ("1.2.3.4\t", "space"),
    ("1.2.3.4\u00a0", "space"),
    ("1.2.3.4\u2028", "line end"),
    ("1.2.3.4\x00", "control character"),
    ("\x001.2.3.4", "control character"),
    ("1.2.3.4\x1b[31m", "control character"),
    ("1.2.3.4\x7f", "control character"),
    ("\uff11.2.3.4", "plain ASCII"),
    ("\u0661.2.3.4", "plain ASCII"),
    ("1.2.3.\u0967", "plain ASCII"),
    ("1.2.3.0/\u0662\u0664", "plain ASCII"),
    ("1\u30022.3.4", "plain ASCII"),
    ("1.2.3.4\u200b", "plain ASCII"),
    ("\u202e1.2.3.4", "plain ASCII"),
    ("1.2.3.4\ud800", "plain ASCII"),
    ("\udc80", "plain ASCII"),
    ("1" * 50, "too long"),
    ("1.2.3.4" + "/32" * 1000, "too long"),
    ("0" * 1_000_000, "too long"),
]


@pytest.mark.parametrize(("written", "why"), BAD, ids=[ascii(text)[:50] for text, _ in BAD])
def test_what_is_no_network_is_refused_with_what_was_given_and_what_is_accepted(
    written: str, why: str
) -> None:
    refused = refusal(written)
    assert refused.code == "bad_network"
    assert why in refused.message
    assert refused.message.endswith(subjects.ACCEPTED)
    assert ascii(written[:49]) in refused.message
    assert refused.message.isascii() and refused.message.isprintable()
    assert len(refused.message) < 600


class SafeText(str):
    """Text of another class, such as the one that templates mark as safe."""


@pytest.mark.parametrize(
    ("given_", "word"),
    [
        (True, "true or false"),
        (False, "true or false"),
        (0, "a number"),
        (2130706433, "a number"),
        (10**5000, "a number"),
        (1.5, "a number"),
        (float("nan"), "a number"),
        (None, "null"),
        ([], "a list"),
        (["1.2.3.4"], "a list"),
        ({}, "an object"),
        ({"name": "1.2.3.4"}, "an object"),
        (("1.2.3.4", 24), "something else than text"),
        (b"1.2.3.4", "something else than text"),
        (b"\x01\x02\x03\x04", "something else than text"),
        (ipaddress.ip_address("1.2.3.4"), "something else than text"),
        (ipaddress.ip_network("1.2.3.0/24"), "something else than text"),
        (SafeText("1.2.3.4"), "something else than text"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else None,
)
def test_what_is_not_text_is_no_network(given_: object, word: str) -> None:
    refused = refusal(given_)
    assert refused.code == "bad_network"
    assert refused.message.startswith(f"{word} is no network: a network is given as text")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("::ffff:203.0.113.7/120", "203.0.113.0/24"),
        ("2001:DB8::7/64", "2001:db8::/64"),
    ],
)
def test_who_leaves_host_bits_is_told_the_network_perhaps_meant(written: str, meant: str) -> None:
    refused = refusal(written)
    assert refused.facts["meant"] == meant
    assert f"perhaps {meant} was meant" in refused.message


def test_a_refusal_names_no_network_that_was_not_perhaps_meant() -> None:
    assert "meant" not in refusal("1.2.3.4/0.0.0.255").facts
    assert "meant" not in refusal("010.0.0.1/8").facts
    assert "meant" not in refusal(7).facts


@pytest.mark.parametrize(
    "kind", ["", "Network", "network ", "acount", "\ud800", "x" * 9999, None, 7, True, [], {}]
)
def test_an_unknown_kind_is_refused_and_the_kinds_are_listed(kind: object) -> None:
    refused = refusal("1.2.3.4", kind=kind)
    assert refused.code == "unknown_kind"
    assert refused.facts["kinds"] == ["account", "network", "secret"]
    assert refused.message.endswith("Kinds: account, network, secret.")
    assert refused.message.isascii() and len(refused.message) < 400


# --- width --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "0.0.0.0/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "10.0.0.0/8",
        "10.6.0.0/15",
        "::/0",
        "::/1",
        "8000::/1",
        "2000::/3",
        "2002::/16",
        "2001:db8::/31",
        "::ffff:0:0/96",  # all of IPv4, mapped
        "::ffff:10.6.0.0/111",
        "::fffe:0:0/95",  # holds it
        "::/64",
        "::/96",  # all of IPv4, compatible
        "::10.6.0.0/111",
        "::ffff:0:0:0/96",  # all of IPv4, translated
        "64:ff9b::/96",  # all of IPv4 behind NAT64
        "64:ff9b::/32",
        "64:ff9b::/64",
        "64:ff9b::10.6.0.0/111",
        "64:ff9b::128.0.0.0/97",
        "64:ff9b:1::/48",
        "64:ff9b:1:7::/96",
        "64:ff9b:1:7::10.6.0.0/111",
    ],
)
def test_a_network_wider_than_the_floor_is_well_formed_but_too_wide(written: str) -> None:
    subject = canonical("network", written)
    with pytest.raises(SubjectRefused) as caught:
        check_width(subject)
    assert caught.value.code == "too_wide"
    assert subject.name in caught.value.message
    assert refusal(written).message == caught.value.message


@pytest.mark.parametrize(
    "written",
    [
        "10.7.0.0/16",
        "2001:db8::/32",
        "2002:a07::/32",  # 6to4 of 10.7.0.0/16
        "::10.7.0.0/112",
        "::ffff:10.7.0.0/112",
        "::ffff:0:10.7.0.0/112",
        "64:ff9b::10.7.0.0/112",
        "64:ff9b:1:7::10.7.0.0/112",
        "64:ff9b:2::/48",
        "64:ff9a::/32",
        "64:ff9b::1.2.3.4/128",
    ],
)
def test_a_network_at_the_floor_is_narrow_enough(written: str) -> None:
    check_width(parse("network", written))


def test_all_of_ipv4_is_refused_by_its_ipv4_name() -> None:
    assert refusal("::ffff:0:0/96").facts["name"] == "0.0.0.0/0"


def test_the_refusal_says_how_narrow_and_when_it_is_for_the_ipv4_inside() -> None:
    plain, nat64 = refusal("10.0.0.0/8"), refusal("64:ff9b::/96")
    assert plain.facts == {"name": "10.0.0.0/8", "prefix": 8, "floor": 16}
    assert "IPv4" not in plain.message and "at least 16." in plain.message
    assert nat64.facts == {"name": "64:ff9b::/96", "prefix": 96, "floor": 112}
    assert "at least 112, for the IPv4 addresses it stands for" in nat64.message


def test_6to4_follows_the_ipv4_floor_when_that_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "FLOOR", {4: 24, 6: 32})
    assert refusal("2002:a07::/32").code == "too_wide"
    assert named("2002:a07:700::/40") == "2002:a07:700::/40"


# --- around and inside --------------------------------------------------------------------------


def test_the_wider_networks_of_an_address_reach_up_to_the_floor() -> None:
    names = wider(parse("network", "203.0.113.7"))
    assert len(names) == 16
    assert names[0] == "203.0.0.0/16" and names[-1] == "203.0.113.6/31"
    assert len(wider(parse("network", "2001:db8::1"))) == 96
    assert wider(parse("network", "203.0.0.0/16")) == ()


def test_no_wider_network_takes_in_all_of_ipv4() -> None:
    assert wider(parse("network", "64:ff9b::1.2.3.4"))[0] == "64:ff9b::102:0/112"
    # Beside the range, as soon as a network around it would reach into it.
    assert wider(parse("network", "64:ff9b:2::1"))[0] == "64:ff9b:2::/47"


def test_the_span_runs_from_the_network_to_its_last_address() -> None:
    assert span(parse("network", "10.7.0.0/16")) == ("10.7.0.0/16", "10.7.255.255/32")
    assert span(parse("network", "10.7.0.1")) == ("10.7.0.1/32", "10.7.0.1/32")
    assert span(parse("network", "2001:db8::/127")) == ("2001:db8::/127", "2001:db8::1/128")


# --- anything at all ----------------------------------------------------------------------------

addresses = st.ip_addresses()


def network_around(pair: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]) -> str:
    address, prefix = pair
    return str(ipaddress.ip_network((address, prefix % (address.max_prefixlen + 1)), strict=False))


near_names = st.one_of(
    st.text(),
    st.text(alphabet="0123456789abcdefABCDEF.:/% \n\x00[]x-\uff11\u0661\ud800"),
    addresses.map(str),
    st.tuples(addresses, st.integers(-1, 130)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.tuples(addresses, st.integers(0, 128)).map(network_around),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | near_names | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=5,
)


@given(anything, anything | st.just("network"))
def test_anything_is_named_or_refused(name: object, kind: object) -> None:
    try:
        subject = parse(kind, name)
    except SubjectRefused as refused:
        assert refused.code in {"unknown_kind", "bad_network", "too_wide"}
        assert refused.message.isascii() and refused.message.isprintable()
    else:
        assert parse(subject.kind, subject.name) == subject
        assert parse(subject.kind, subject.label) == subject


@given(near_names)
@example("::ffff:0:0/95")
@example("::0.0.0.1")
def test_what_is_named_is_what_ipaddress_reads(text: str) -> None:
    try:
        subject = canonical("network", text)
    except SubjectRefused:
        return
    read = ipaddress.ip_network(text)
    network = subject.network
    if read.version == network.version:
        assert network == read
    else:
        assert read.network_address.ipv4_mapped == network.network_address
        assert read.prefixlen - 96 == network.prefixlen
    assert canonical("network", subject.name) == subject


@given(addresses)
def test_every_address_can_be_named_in_every_spelling(address: ipaddress.IPv4Address) -> None:
    full = f"/{address.max_prefixlen}"
    spellings = [str(address), address.exploded, str(address).upper(), str(address) + full]
    assert len({named(text) for text in spellings}) == 1


@given(st.ip_addresses(v=4), st.integers(16, 32))
def test_ipv4_and_its_mapped_form_are_one_subject(
    address: ipaddress.IPv4Address, prefix: int
) -> None:
    network = ipaddress.ip_network((address, prefix), strict=False)
    mapped = f"::ffff:{network.network_address}/{prefix + 96}"
    assert named(mapped) == named(str(network)) == str(network)


def accepted(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        parse("network", str(network))
    except SubjectRefused:
        return False
    return True


near_ipv4 = st.sampled_from(
    ["::", "::fffe:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::", "64:ff9b:2::", "2002::"]
).flatmap(
    lambda base: st.integers(0, 127).map(
        lambda bit: ipaddress.IPv6Address(int(ipaddress.IPv6Address(base)) ^ (1 << bit))
    )
)


@given(addresses | near_ipv4)
def test_wider_are_all_those_around_that_would_be_accepted(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    subject = parse("network", str(address))
    network = subject.network
    assume(network.version == 4 or network.network_address.ipv4_mapped is None)
    around = [network.supernet(new_prefix=prefix) for prefix in range(network.prefixlen)]
    assert [ipaddress.ip_network(name) for name in wider(subject)] == list(filter(accepted, around))
    assert all(named(name) == name for name in wider(subject))
