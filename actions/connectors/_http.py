"""The one way to call an outside system over HTTP that somebody named by URL: guarded against SSRF.

https alone, to a host and port on the list, at an address that was looked up once, judged, and
connected to: the name is not asked again, so that another answer changes nothing (DNS rebinding).
Redirects are told, not followed; proxies of the environment are not asked (`http.client` knows none);
time and what is read are bounded.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from actions.connectors import _addresses
from actions.connectors._addresses import Network

MOST_READ = 64 * 1024
"""Bytes of an answer's body that are read; the rest is left unread."""

_LEAST = 1.0
"""Seconds for which an address is tried at least, however many there are, while there are so many."""

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?\Z|\A\[[0-9a-f:.]+\]\Z")
_PATH = re.compile(r"[!-~]*\Z")  # printable ASCII: no blank, no line end

type Resolve = Callable[[str, int], Collection[str]]
"""The addresses of a host name, as texts. Raises OSError."""


class NotSent(Exception):
    """Nothing was sent; the message says why, and holds no secret. `later`: it may be tried again."""

    def __init__(self, message: str, *, later: bool) -> None:
        super().__init__(message)
        self.later = later


class Lost(Exception):
    """It was sent, or part of it, and no status came: it may have arrived."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached. A host is a name, or `.example.org` for all names below it.

    Nothing is public by default: `hosts` must name it. `networks` are addresses that may be reached
    though they are not public; `plain` lets http through, to loopback alone, for tests.
    """

    hosts: frozenset[str]
    ports: frozenset[int] = frozenset({443})
    networks: tuple[Network, ...] = ()
    plain: bool = False
    ca_file: str | None = None

    def names(self, host: str) -> bool:
        """Whether the host is on the list."""
        above = (host[at:] for at, sign in enumerate(host) if sign == ".")
        return host in self.hosts or any(suffix in self.hosts for suffix in above)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads: a host in lower case, a port, and path with query."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def bare(self) -> str:
        """The host without the brackets of an IPv6 address."""
        return self.host.strip("[]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, and the body's first 64 KiB; no body where that broke off."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def place_of(url: str, reach: Reach) -> Place:
    """Where a URL leads, if that may be called at all. Raises NotSent, without the URL in it."""
    try:
        parts = urlsplit(url)
        host, port = _host(parts.netloc), parts.port
    except ValueError:
        raise NotSent("The URL cannot be read.", later=False) from None
    secure = parts.scheme == "https"
    if not secure and not (parts.scheme == "http" and reach.plain):
        raise NotSent("Only https is called.", later=False)
    if parts.fragment or not _HOST.match(host) or "\\" in url:
        raise NotSent("The URL has a login, a fragment, or no plain host in it.", later=False)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _PATH.match(path):
        raise NotSent("The URL's path is not of plain ASCII.", later=False)
    port = port or (443 if secure else 80)
    if not reach.names(host):
        raise NotSent(f"{host} is not among the hosts that may be called.", later=False)
    if port not in reach.ports:
        raise NotSent(f"Port {port} is not among the ports that may be called.", later=False)
    return Place(secure, host, port, path)


def _host(netloc: str) -> str:
    found = re.fullmatch(r"(.*?)(?::\d*)?", netloc, re.S)
    return (found[1] if found else netloc).lower()


def look_up(host: str, port: int) -> Collection[str]:
    """The addresses of a name, as the system resolves it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


def addresses(place: Place, reach: Reach, seconds: float, resolve: Resolve) -> list[str]:
    """Every address of the host, once all may be reached. Raises NotSent when one may not be."""
    found = _within(seconds, lambda: resolve(place.bare, place.port))
    if not found:
        raise NotSent(f"{place.host} has no address.", later=True)
    for text in found:
        try:
            fine = _addresses.may_reach(address := _addresses.parse(text), reach.networks)
        except ValueError:
            raise NotSent(f"{place.host} has an address of this link alone.", later=True) from None
        # Not for good: names are pointed elsewhere by mistake, and back.
        if not fine:
            raise NotSent(f"{place.host} leads to an address that may not be called.", later=True)
        if not place.secure and not address.is_loopback:
            raise NotSent("Only https is called.", later=False)
    return list(found)


def _within[T](seconds: float, ask: Callable[[], T]) -> T:
    """What `ask` gives. The system's resolver takes no time-out, so it is asked in a thread."""
    came: list[T] = []
    thread = threading.Thread(target=lambda: came.append(_asked(ask)), daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if not came or came[0] is None:
        raise NotSent("The host's name cannot be looked up.", later=True)
    return came[0]


def _asked[T](ask: Callable[[], T]) -> Any:
    try:
        return ask()
    except (OSError, UnicodeError):
        return None


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    reach: Reach,
    *,
    seconds: float,
    begin: Callable[[], None] = lambda: None,
    resolve: Resolve = look_up,
) -> Answer:
    """POST once, within `seconds` in all. `begin` is called right before anything is sent.

    Raises NotSent when surely nothing was, Lost when something may have arrived, and what `begin`
    raises. A redirect is an answer like others: its status says so.
    """
    until = time.monotonic() + seconds
    place = place_of(url, reach)
    line = _connect(place, addresses(place, reach, seconds, resolve), reach, until)
    try:
        if time.monotonic() >= until:
            raise NotSent(f"{place.host} took all the time to be connected to.", later=True)
        begin()
        return _exchange(place, line, body, headers)
    finally:
        line.hang_up()


def _connect(place: Place, found: Collection[str], reach: Reach, until: float) -> Line:
    why = "TimeoutError"
    for number, address in enumerate(found):
        try:
            # One that is dead leaves their share to those after it.
            left = _left(until)
            ends = time.monotonic() + min(left, max(_LEAST, left / (len(found) - number)))
            raw = socket.create_connection((address, place.port), _left(ends))
        except OSError as error:
            why = type(error).__name__
            continue
        try:
            raw.settimeout(_left(ends))  # for the whole of the handshake
            return Line(_secured(raw, place, reach) if place.secure else raw, until)
        except (OSError, ValueError) as error:
            raw.close()
            why = type(error).__name__
    raise NotSent(f"{place.host} cannot be connected to ({why}).", later=True)


def _secured(raw: socket.socket, place: Place, reach: Reach) -> socket.socket:
    """TLS in the name of the host, not of the address; the certificate is verified."""
    context = ssl.create_default_context(cafile=reach.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context.wrap_socket(raw, server_hostname=place.bare)


def _exchange(place: Place, line: Line, body: bytes, headers: Mapping[str, str]) -> Answer:
    # It says Host and port by the name; the connection is ours, to the address that was judged.
    http_line = http.client.HTTPConnection(place.host, place.port)
    http_line.default_port = 443 if place.secure else 80
    http_line.sock = line  # of a socket, it uses what Line has
    try:
        http_line.request("POST", place.path, body, {"Connection": "close", **headers})
        with http_line.getresponse() as told:
            said = {name.lower(): value for name, value in told.getheaders()}
            return Answer(told.status, said, _body(told))
    except (OSError, http.client.HTTPException) as error:
        raise Lost(f"{place.host} gave no answer ({type(error).__name__}).") from None


def _body(told: http.client.HTTPResponse) -> bytes:
    """What of the body came; nothing of one that breaks off: the status was said, and stands."""
    try:
        return told.read(MOST_READ)
    except (OSError, http.client.HTTPException):
        return b""


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Line:
    """A socket whose every read and write must be over by one moment, however slowly bytes drip."""

    def __init__(self, held: socket.socket, until: float) -> None:
        self.held = held
        self._until = until

    def sendall(self, data: bytes) -> None:
        """All of it, or an OSError."""
        self.held.settimeout(_left(self._until))
        self.held.sendall(data)

    def receive_into(self, into: Any) -> int:
        self.held.settimeout(_left(self._until))
        return self.held.recv_into(into)

    def makefile(self, *_mode: object) -> io.BufferedReader:
        """What `http.client` and `smtplib` read answers from."""
        return io.BufferedReader(_Reading(self))

    def close(self) -> None:
        """Nothing: `http.client` closes before it has read, and counts on what still reads."""

    def hang_up(self) -> None:
        self.held.close()


class _Reading(io.RawIOBase):
    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        return self._line.receive_into(into)
