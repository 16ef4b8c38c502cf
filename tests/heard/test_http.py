"""Calling out: only https, only hosts on the list, only addresses that were judged (SSRF)."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Collection, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actions.channels import webhook
from actions.connectors import _addresses, _http
from actions.connectors._http import Answer, Lost, NotSent, Reach
from actions.outcomes import Applied
from tests.heard.https import HOST, Server, serving

LOOPBACK = _addresses.networks(["127.0.0.0/8"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as told:
        yield told


def reach(server: Server, **more: object) -> Reach:
    """Lets the test's server be called, and nothing else."""
    given = {"hosts": frozenset({HOST}), "ports": frozenset({server.port}), "networks": LOOPBACK}
    return Reach(**{**given, "ca_file": str(server.ca), **more})  # type: ignore[arg-type]


def here(*found: str) -> Callable[[str, int], Collection[str]]:
    return lambda _host, _port: found or ("127.0.0.1",)


def post(server: Server, url: str = "", seconds: float = 20, **more: object) -> Answer:
    resolve = more.pop("resolve", here())
    headers = {"Content-Type": "application/json"}
    return _http.post(
        url or server.url,
        b"{}",
        headers,
        reach(server, **more),
        seconds=seconds,
        resolve=resolve,  # type: ignore[arg-type]
    )


# Addresses.
v4 = st.ip_addresses(v=4).map(lambda a: IPv4Address(int(a)))
NOT_PUBLIC = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
]
inside = st.sampled_from(NOT_PUBLIC).flatmap(
    lambda n: st.ip_addresses(network=n).map(lambda a: IPv4Address(int(a)))
)


def forms(one: IPv4Address) -> dict[str, IPv6Address]:
    """Every way in which an IPv6 address stands for an IPv4 one."""
    bits = int(one)
    nat64 = int(IPv6Address("64:ff9b::")) | bits
    return {
        "mapped": IPv6Address(0xFFFF << 32 | bits),
        "compatible": IPv6Address(bits if bits > 1 else bits + 2),
        "translated": IPv6Address(0xFFFF << 48 | bits),
        "nat64": IPv6Address(nat64),
        "local nat64": IPv6Address(int(IPv6Address("64:ff9b:1::")) | bits),
        "6to4": IPv6Address(0x2002 << 112 | bits << 80 | 1),
        "teredo client": IPv6Address(0x20010000 << 96 | 0x01010101 << 64 | (~bits & 0xFFFFFFFF)),
        "teredo server": IPv6Address(0x20010000 << 96 | bits << 64 | (~0x01010101 & 0xFFFFFFFF)),
        "isatap": IPv6Address(0x2606_4700 << 96 | 0x5EFE << 32 | bits),
    }


@given(inside)
@example(IPv4Address("192.0.0.8"))  # global to some Pythons
@example(IPv4Address("192.0.0.10"))
def test_an_address_inside_is_never_reached_in_whatever_form_it_is_written(
    one: IPv4Address,
) -> None:
    assert not _addresses.may_reach(one)
    for name, form in forms(one).items():
        assert not _addresses.may_reach(form), name
        # Letting the form through does not let through what it carries.
        outer = _addresses.networks(["::/0"])
        whole = int(form) > 1 and name != "compatible"
        assert not (whole and _addresses.may_reach(form, outer)), name


@given(v4.filter(lambda a: all(a not in IPv4Network(n) for n in NOT_PUBLIC)))
def test_a_public_address_is_reached_as_itself_and_in_another_form_only_if_that_is_allowed(
    one: IPv4Address,
) -> None:
    assert _addresses.may_reach(one)
    for name, form in forms(one).items():
        assert not _addresses.may_reach(form), name
        assert _addresses.may_reach(form, _addresses.networks([f"{form}/128"])), name


@given(st.ip_addresses(v=6).map(lambda a: IPv6Address(int(a) & ~(7 << 125) & (1 << 128) - 1)))
def test_nothing_outside_of_what_is_given_out_to_the_public_is_reached(one: IPv6Address) -> None:
    assert not _addresses.may_reach(one)


@pytest.mark.parametrize(
    "text",
    [
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:1::1",
        "2001:db8::1",
        "3fff::1",
    ],
)
def test_what_has_a_special_purpose_is_not_public(text: str) -> None:
    assert not _addresses.may_reach(_addresses.parse(text))
    assert _addresses.may_reach(_addresses.parse("2606:4700::1111"))


# URLs.
@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"http://{HOST}/", "Only https"),
        (f"ftp://{HOST}/", "Only https"),
        (f"https://ana:secret@{HOST}/", "a login"),
        (f"https://{HOST}/#x", "a fragment"),
        (f"https://{HOST}\\@elsewhere.test/", "host"),
        ("https://elsewhere.test/", "not among the hosts"),
        (f"https://not{HOST}/", "not among the hosts"),
        (f"https://{HOST}:8443/", "Port 8443"),
        (f"https://{HOST}:x/", "cannot be read"),
        ("https:///path", "no plain host"),
        (f"https://{HOST}./", "no plain host"),
        ("https://127.1/", "not among the hosts"),
        (f"https://{HOST}/a b", "plain ASCII"),
        (f"https://{HOST}/ü", "plain ASCII"),
    ],
)
def test_a_url_is_called_only_if_it_is_plainly_on_the_list(url: str, why: str) -> None:
    with pytest.raises(NotSent, match=why) as told:
        _http.place_of(url, Reach(frozenset({HOST})))
    assert not told.value.later
    assert "secret" not in str(told.value)


def test_a_host_may_be_named_with_all_that_is_below_it() -> None:
    below = Reach(frozenset({".example.test"}))
    assert _http.place_of(f"https://{HOST.upper()}/x?y=1", below) == _http.Place(
        True, HOST, 443, "/x?y=1"
    )
    for other in ("example.test", "badexample.test", "example.test.elsewhere.org"):
        with pytest.raises(NotSent):
            _http.place_of(f"https://{other}/", below)


# Calls.
def test_it_is_sent_to_the_address_that_was_judged_in_the_name_of_the_host(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    answer = post(server)
    assert (answer.status, answer.body) == (200, b"ok")
    (sent,) = server.sent
    assert (sent.path, sent.headers["Host"]) == ("/hooks/one?x=1", f"{HOST}:{server.port}")


def test_a_name_that_leads_elsewhere_the_second_time_is_not_asked_twice(
    server: Server, tmp_path: Path
) -> None:
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with serving(tmp_path, address="127.0.0.2", port=server.port) as inner:
        post(server, resolve=rebinding)
    assert (asked, len(server.sent), inner.sent) == ([HOST], 1, [])


@pytest.mark.parametrize("order", [1, -1])
def test_one_address_inside_among_others_is_enough_to_call_none(server: Server, order: int) -> None:
    found = ["127.0.0.1", "169.254.169.254"][::order]
    with pytest.raises(NotSent, match="an address that may not be called") as told:
        post(server, resolve=here(*found))
    assert told.value.later
    assert server.sent == []


def test_loopback_is_not_reached_unless_it_is_allowed(server: Server) -> None:
    with pytest.raises(NotSent, match="an address that may not be called"):
        post(server, networks=())
    with pytest.raises(NotSent, match="this link alone"):
        post(server, resolve=here("fe80::1%eth0"))
    with pytest.raises(NotSent, match="looked up"):
        post(server, resolve=_no_such_name)
    assert server.sent == []


def _no_such_name(_host: str, _port: int) -> list[str]:
    raise socket.gaierror("no such name")


def test_http_is_let_through_to_loopback_alone_and_only_where_it_is_allowed(
    server: Server,
) -> None:
    plain = Reach(frozenset({HOST}), frozenset({80}), _addresses.networks(["10.0.0.0/8"]), True)
    with pytest.raises(NotSent, match="Only https"):
        _http.addresses(_http.place_of(f"http://{HOST}/", plain), plain, 5, here("10.0.0.1"))
    open_to_loopback = Reach(plain.hosts, plain.ports, LOOPBACK, True)
    place = _http.place_of(f"http://{HOST}/", open_to_loopback)
    assert _http.addresses(place, open_to_loopback, 5, here()) == ["127.0.0.1"]


def test_a_redirect_is_told_and_not_followed(server: Server, tmp_path: Path) -> None:
    with serving(tmp_path, address="127.0.0.2") as other:
        server.headers = {"Location": other.url}
        for status in (301, 302, 303, 307, 308):
            server.answers = [status]
            assert post(server).status == status
        assert other.sent == []


def test_a_certificate_that_is_not_the_hosts_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(NotSent, match=r"cannot be connected to \(SSLCertVerificationError\)"):
        post(server, ca_file=None)
    with serving(tmp_path, "other.example.test") as other:
        with pytest.raises(NotSent, match="SSLCertVerificationError"):
            post(other, f"https://{HOST}:{other.port}/")
        assert other.sent == []


def test_no_more_is_read_than_a_little(server: Server) -> None:
    server.body = b"x" * (10 * _http.MOST_READ)
    assert len(post(server).body) == _http.MOST_READ


@pytest.mark.parametrize("answer", ["hang", "drip", "drop"])
def test_what_gives_no_whole_answer_in_time_may_have_arrived(server: Server, answer: str) -> None:
    server.answers = [answer]
    begun = time.monotonic()
    with pytest.raises(Lost):
        post(server, seconds=2)
    assert len(server.sent) == 1
    # The drip alone would go on for minutes.
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("answer", ["stall", "break"])
def test_an_answer_whose_body_does_not_come_is_an_answer_all_the_same(
    server: Server, answer: str
) -> None:
    server.answers = [answer]
    told = post(server, seconds=2)
    assert (told.status, told.body, len(server.sent)) == (200, b"", 1)
    # A room, which knows no repeats, is told no second time.
    assert isinstance(webhook._outcome(told), Applied)


@contextlib.contextmanager
def dead(port: int, *, full: bool) -> Iterator[str]:
    """An address at which nobody answers: `full`, no connection comes about; else no handshake."""
    with contextlib.ExitStack() as held:
        listens = held.enter_context(socket.socket())
        listens.bind(("127.0.0.9", port))
        listens.listen(0 if full else 8)
        for _ in range(4 * full):
            waits = held.enter_context(socket.socket())
            waits.setblocking(False)
            waits.connect_ex(("127.0.0.9", port))
        yield "127.0.0.9"


@pytest.mark.parametrize("full", [True, False])
def test_an_address_that_is_dead_leaves_time_for_the_next(server: Server, full: bool) -> None:
    with dead(server.port, full=full) as nobody:
        assert post(server, seconds=4, resolve=here(nobody, "127.0.0.1")).status == 200
        with pytest.raises(NotSent, match="TimeoutError"):
            post(server, seconds=1, resolve=here(nobody))
    assert len(server.sent) == 1


def test_what_took_all_its_time_to_be_connected_to_is_not_begun(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    secured, late = _http._secured, SimpleNamespace(monotonic=lambda: time.monotonic() + 60)

    def slowly(*given: Any) -> socket.socket:
        made = secured(*given)
        monkeypatch.setattr(_http, "time", late)
        return made

    monkeypatch.setattr(_http, "_secured", slowly)
    with pytest.raises(NotSent, match="all the time") as told:
        _http.post(
            server.url,
            b"{}",
            {},
            reach(server),
            seconds=20,
            begin=lambda: begun.append(1),
            resolve=here(),
        )
    assert (told.value.later, begun, server.sent) == (True, [], [])


def test_what_cannot_be_connected_to_was_surely_not_sent(server: Server) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        begun: list[int] = []
        with pytest.raises(NotSent, match="ConnectionRefusedError"):
            _http.post(
                f"https://{HOST}:{port}/",
                b"",
                {},
                reach(server, ports=frozenset({port})),
                seconds=5,
                begin=lambda: begun.append(1),
                resolve=here(),
            )
    assert begun == []
