"""A real SMTP server in a process of its own: `python -m tests.heard.smtp DIRECTORY`.

It writes its port to DIRECTORY/port, and each mail that it took to DIRECTORY/ledger, before it answers.
What it does with the next sessions stands in DIRECTORY/told, a word for each mail: `drop` (takes the
mail, and cuts), `4xx` and `5xx` (of the mail), `rcpt-4xx`, `rcpt-5xx`, `hang` (takes it, says nothing),
`refuse` (cuts before the mail). Else it takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
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

    def start(self, port: int = 0) -> None:
        (self.directory / "port").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.heard.smtp", str(self.directory), str(port)], cwd=ROOT
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
def serving() -> Iterator[Ledger]:
    """A mail server of one's own."""
    with tempfile.TemporaryDirectory(prefix="steadyhand-smtp-") as directory:
        ledger = Ledger(Path(directory))
        ledger.start()
        try:
            yield ledger
        finally:
            ledger.stop()


def main() -> None:
    from aiosmtpd.smtp import SMTP, Envelope, Session

    directory, port = Path(sys.argv[1]), int(sys.argv[2])

    def next_word() -> str:
        path = directory / "told"
        words = json.loads(path.read_text()) if path.exists() else []
        if words:
            path.write_text(json.dumps(words[1:]))
        return str(words[0]) if words else ""

    class Handler:
        word = ""

        async def handle_RCPT(
            self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[str]
        ) -> str:
            self.word = next_word()
            if self.word == "refuse":
                server.transport.abort()
            if self.word.startswith("rcpt-"):
                return "450 not now" if self.word == "rcpt-4xx" else "550 no such person"
            envelope.rcpt_tos.append(to)
            return "250 OK"

        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            if self.word in {"4xx", "5xx"}:
                return "451 try later" if self.word == "4xx" else "554 no"
            assert isinstance(envelope.content, bytes)
            line = {"to": envelope.rcpt_tos, "mail": envelope.content.decode("latin-1")}
            with (directory / "ledger").open("a") as file:
                file.write(json.dumps(line) + "\n")
            if self.word == "drop":
                server.transport.abort()
            if self.word == "hang":
                await asyncio.sleep(600)
            return "250 taken"

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(Handler(), hostname="mail.example.test", timeout=600), "127.0.0.1", port
        )
        draft = directory / "port.new"
        draft.write_text(str(server.sockets[0].getsockname()[1]))
        draft.rename(directory / "port")
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
