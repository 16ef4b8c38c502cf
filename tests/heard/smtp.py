"""A real SMTP server in a process of its own: `python -m tests.heard.smtp DIRECTORY`.

It writes its port to DIRECTORY/port, and each mail that it took to DIRECTORY/ledger, before it answers.
What it does with the next sessions stands in DIRECTORY/told, a word for each mail: `drop` (takes the
mail, and cuts), `4xx` and `5xx` (of the mail), `rcpt-4xx`, `rcpt-5xx`, `hang` (takes it, says nothing),
`refuse` (cuts before the mail). Else it takes it. SMTP_TLS (`smtps` or `starttls`) with SMTP_CERT, and
SMTP_PASSWORD of the user `ana`, say how it is reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from tests.console_process import ROOT, eventually


class Ledger:
    """The server as a test sees it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int((self.directory / "port").read_text())

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def start(self, port: int = 0, **env: str) -> None:
        (self.directory / "port").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.heard.smtp", str(self.directory), str(port)],
            cwd=ROOT,
            env={**os.environ, **env},
        )
        eventually((self.directory / "port").exists, what="the mail server listens")

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def tell(self, *words: str) -> None:
        """How the next mails go, one word each."""
        (self.directory / "told").write_text(json.dumps(words))

    def taken(self) -> list[dict[str, Any]]:
        path = self.directory / "ledger"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def mails(self, to: str) -> list[Message]:
        """The mails that were taken for one address, in order."""
        return [
            message_from_bytes(one["mail"].encode("latin-1"))
            for one in self.taken()
            if one["to"] == [to]
        ]


@contextlib.contextmanager
def serving(**env: str) -> Iterator[Ledger]:
    """A mail server of one's own."""
    with tempfile.TemporaryDirectory(prefix="steadyhand-smtp-") as directory:
        ledger = Ledger(Path(directory))
        ledger.start(**env)
        try:
            yield ledger
        finally:
            ledger.stop()


def next_word(directory: Path) -> str:
    """What is to become of the next mail."""
    path = directory / "told"
    words = json.loads(path.read_text()) if path.exists() else []
    if words:
        path.write_text(json.dumps(words[1:]))
    return str(words[0]) if words else ""


class Handler:
    """Takes mails as it was told, and writes each down before it answers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.word = ""

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, to: str, options: list[str]
    ) -> str:
        self.word = next_word(self.directory)
        if self.word == "refuse":
            server.transport.abort()
        if self.word.startswith("rcpt-"):
            return "450 not now" if self.word == "rcpt-4xx" else "550 no such person"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.word in {"4xx", "5xx"}:
            return "451 try later" if self.word == "4xx" else "554 no"
        line = {"to": envelope.rcpt_tos, "mail": envelope.content.decode("latin-1")}
        with (self.directory / "ledger").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.word == "drop":
            server.transport.abort()
        if self.word == "hang":
            await asyncio.sleep(600)
        return "250 taken"


def who(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
    """Whether it is Ana."""
    from aiosmtpd.smtp import AuthResult

    right = (b"ana", os.environ["SMTP_PASSWORD"].encode())
    return AuthResult(success=(data.login, data.password) == right, handled=False)


def options(tls: str, context: ssl.SSLContext | None) -> dict[str, Any]:
    """How the server is reached, in aiosmtpd's words."""
    given: dict[str, Any] = {"hostname": "mail.example.test", "timeout": 600}
    if tls == "starttls":
        given |= {"tls_context": context, "require_starttls": True}
    if "SMTP_PASSWORD" in os.environ:
        given |= {"authenticator": who, "auth_required": True}
        given |= {"auth_require_tls": tls == "starttls"}
    return given


async def run(directory: Path, port: int) -> None:
    from aiosmtpd.smtp import SMTP

    tls, context = os.environ.get("SMTP_TLS", ""), None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.environ["SMTP_CERT"])
    given = options(tls, context)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Handler(directory), **given),
        "127.0.0.1",
        port,
        ssl=context if tls == "smtps" else None,
    )
    draft = directory / "port.new"
    draft.write_text(str(server.sockets[0].getsockname()[1]))
    draft.rename(directory / "port")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
