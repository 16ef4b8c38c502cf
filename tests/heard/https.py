"""A real HTTPS server under a certificate authority of its own, which keeps what it was sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "hooks.example.test"


@dataclass(frozen=True)
class Papers:
    """Files: the authority's certificate, and a server's chain with its key."""

    ca: Path
    server: Path


def papers(directory: Path, host: str = HOST) -> Papers:
    """A new authority and a certificate of its for `host`."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("A test's authority", "A test's authority", ca_key.public_key(), ca_key, None)
    leaf = _certificate(host, "A test's authority", key.public_key(), ca_key, host)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    name = f"{host}-{key.private_numbers().private_value:x}"[:60]
    told = Papers(directory / f"{name}.ca.pem", directory / f"{name}.pem")
    told.ca.write_bytes(ca.public_bytes(pem))
    told.server.write_bytes(private + leaf.public_bytes(pem))
    return told


def _certificate(
    name: str, by: str, public: Any, signer: Any, host: str | None
) -> x509.Certificate:
    now = datetime.now(UTC)
    common = NameOID.COMMON_NAME
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(common, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(common, by)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if host is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        made = made.add_extension(usage, critical=True)
    else:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return made.sign(signer, hashes.SHA256())


@dataclass
class Sent:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Server:
    """`answers` are taken one for each request: a status, `drop` (read, then cut), `hang`, `drip`.

    `stall` is a 200 whose body never comes, `break` one whose body is cut.
    """

    port: int
    ca: Path
    sent: list[Sent] = field(default_factory=list)
    answers: list[int | str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}/hooks/one?x=1"


class _Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        told: Server = self.server.told
        body = self.rfile.read(int(self.headers["Content-Length"]))
        told.sent.append(Sent(self.path, dict(self.headers), body))
        answer = told.answers.pop(0) if told.answers else 200
        self.close_connection = True
        if answer == "drop":
            return
        if answer == "hang":
            told.over.wait(60)
            return
        if answer == "drip":
            self._drip(told)
            return
        if answer in {"stall", "break"}:
            self._without_body(told, broken=answer == "break")
            return
        self.send_response(int(answer))
        self.send_header("Content-Length", str(len(told.body)))
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(told.body)

    def _without_body(self, told: Server, *, broken: bool) -> None:
        self.send_response(200)
        name, value = ("Transfer-Encoding", "chunked") if broken else ("Content-Length", "2")
        self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        if not broken:
            told.over.wait(60)

    def _drip(self, told: Server) -> None:
        with contextlib.suppress(OSError):
            for letter in "HTTP/1.1 200 OK\r\nX: " + "x" * 10_000:
                if told.over.is_set():
                    return
                self.wfile.write(letter.encode())
                time.sleep(0.05)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def serving(
    directory: Path, host: str = HOST, address: str = "127.0.0.1", port: int = 0
) -> Iterator[Server]:
    """A server with a certificate for `host`, on a port of its own."""
    made = papers(directory, host)
    server = ThreadingHTTPServer((address, port), _Handler, bind_and_activate=False)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.server_bind()
    server.server_activate()
    told = Server(server.server_address[1], made.ca)
    server.told = told  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield told
    finally:
        told.over.set()
        server.shutdown()
        server.server_close()
