"""E-mail over SMTP: plain text, the same Message-ID each time, and a clear word on what was taken."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from actions.channels._base import CALL_SECONDS, Answers, Begin, Channel, Repeat, Told
from actions.connectors._http import Line
from actions.outcomes import Applied, Found, Outcome, Refused, RetryLater, Unknown


class BadServer(ValueError):
    """What EMAIL_URL and its companions say cannot be used; without any secret."""


@dataclass(frozen=True, slots=True)
class Server:
    """The mail server as it was set: `tls` is `smtps`, `starttls`, or "" for loopback alone."""

    host: str
    port: int
    tls: str
    sender: str
    user: str = ""
    password_file: str = ""
    ca_file: str | None = None

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]

    def password(self) -> str:
        """Read anew each time, so that it can be changed. Raises OSError."""
        return Path(self.password_file).read_text().strip()


_PORTS = {"smtps": 465, "smtp+starttls": 587, "smtp": 25}


def server_of(url: str, sender: str, password_file: str, ca_file: str) -> Server:
    """The server of `smtps://user@host:465`, `smtp+starttls://…` or, on loopback, `smtp://…`.

    Raises BadServer: with a password in it, without a sender, or in the clear beyond this machine.
    """
    parts = urlsplit(url)
    host, user = parts.hostname or "", unquote(parts.username or "")
    if parts.scheme not in _PORTS or not host:
        raise BadServer("EMAIL_URL is smtps://HOST, smtp+starttls://HOST, or smtp://127.0.0.1")
    if parts.password is not None:
        raise BadServer("EMAIL_URL holds a password: name a file of it in EMAIL_PASSWORD_FILE")
    if bool(user) != bool(password_file):
        raise BadServer("A user in EMAIL_URL and EMAIL_PASSWORD_FILE go together")
    if not re.fullmatch(r"[^@\s<>]+@[A-Za-z0-9.-]+", sender):
        raise BadServer("EMAIL_FROM is the address that mails are from")
    tls = {"smtps": "smtps", "smtp+starttls": "starttls"}.get(parts.scheme, "")
    if not tls and host not in {"127.0.0.1", "::1", "localhost"}:
        raise BadServer("smtp:// in the clear goes to this machine alone: use smtps://")
    port = parts.port or _PORTS[parts.scheme]
    return Server(host, port, tls, sender, user, password_file, ca_file or None)


def compose(told: Told, to: str, server: Server) -> EmailMessage:
    """The mail. A line end in what becomes a header is refused (ValueError), never sent."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address("Steadyhand", addr_spec=server.sender)
    mail["To"] = Address(addr_spec=to)
    mail["Subject"] = f"[Steadyhand] {told.heading}"
    mail["Date"] = told.at
    # The same however often it is sent: who reads it can tell a repeat, and many mailboxes drop it.
    mail["Message-ID"] = f"<notice.{told.id}@{server.domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers by machine
    mail["X-Auto-Response-Suppress"] = "All"
    mail["List-Id"] = f"Steadyhand notices <notices.{server.domain}>"
    if told.settings_url:
        mail["List-Unsubscribe"] = f"<{told.settings_url}>"
    mail.set_content(_body(told))
    return mail


def _body(told: Told) -> str:
    lines = [told.text, ""]
    if told.ref:
        lines += [f"Operation  {told.ref}", f"Action     {told.action}, on a {told.subject}"]
    if told.code:
        lines += [f"Code       {told.code}"]
    lines += [f"Look here  {told.url}", ""]
    lines += ["This mail may come more than once; it is then the same one. What is true now is on"]
    lines += [f"that page. What you are told of, you choose at {told.settings_url}", ""]
    return "\n".join(lines)


class Mail(Channel):
    """One address at one server. `send` is one session: connect, say who we are, hand the mail over."""

    name = "email"
    title = "e-mail"
    repeat = Repeat.SEEN
    most_doubts = 3
    answers = Answers(
        identifies="What happened, and whom it is told: one row for both, by a unique constraint.",
        recorded="In the table notice, before anything is sent; its id is in the Message-ID.",
        retry="The same mail with the same Message-ID, until the server takes it: for a day at most.",
        duplicates=(
            "The mail itself. Where the server's answer to a whole mail is lost, it is sent again, up"
            " to three times in all, and may be seen as often; mailboxes that compare Message-IDs"
            " show it once."
        ),
    )

    def __init__(self, server: Server, to: str) -> None:
        self._server = server
        self._to = to

    def send(self, told: Told, begin: Begin) -> Outcome:
        mail = compose(told, self._to, self._server)
        until = time.monotonic() + CALL_SECONDS
        try:
            session = _Session(self._server, until)
        except smtplib.SMTPAuthenticationError as error:
            # The server says no to us, not to this mail: somebody will set the password right.
            return RetryLater(f"The mail server refuses our login ({error.smtp_code}).")
        except (OSError, ValueError, smtplib.SMTPException) as error:
            return RetryLater(f"The mail server cannot be reached ({type(error).__name__}).")
        try:
            return self._hand_over(session, mail, begin)
        finally:
            session.hang_up()

    def _hand_over(self, session: _Session, mail: EmailMessage, begin: Begin) -> Outcome:
        try:
            code, _ = session.docmd(f"MAIL FROM:<{self._server.sender}>")
            if code != 250:  # no to us, not to this mail: somebody will set it right
                return RetryLater(f"The mail server refuses our sender ({code}).")
            code, _ = session.docmd(f"RCPT TO:<{self._to}>")
            if code not in {250, 251}:
                return _no(code, "the address")
            code, _ = session.docmd("DATA")
            if code != 354:
                return _no(code, "the mail")
        except (OSError, smtplib.SMTPException) as error:
            return RetryLater(f"The mail server went away ({type(error).__name__}).")
        begin()
        try:
            session.send(_wire(mail))
            code, _ = session.getreply()
        except (OSError, smtplib.SMTPException) as error:
            return Unknown(f"The mail server gave no answer to it ({type(error).__name__}).")
        return Applied(Found.CHANGED) if code == 250 else _no(code, "the mail")


def _no(code: int, what: str) -> Outcome:
    """What the server answered, in our words: its own may hold anything."""
    if 500 <= code < 600:
        return Refused(f"The mail server refuses {what} ({code}).")
    return RetryLater(f"The mail server takes {what} not now ({code}).")


def _wire(mail: EmailMessage) -> bytes:
    """The mail as DATA wants it: lines that begin with a dot have one more (RFC 5321 §4.5.2)."""
    return re.sub(rb"(?m)^\.", b"..", mail.as_bytes()) + b".\r\n"


class _Session(smtplib.SMTP):
    """A session that is over by one moment, however slowly the server says things."""

    def __init__(self, server: Server, until: float) -> None:
        self._until = until
        self._secure = server.tls == "smtps"
        self._context = ssl.create_default_context(cafile=server.ca_file)
        self._name = server.host
        self._lines: list[Line] = []
        super().__init__(local_hostname=server.domain)
        try:
            self._greet(server)
        except BaseException:
            self.hang_up()
            raise

    def _greet(self, server: Server) -> None:
        code, said = self.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        self.ehlo_or_helo_if_needed()
        if server.tls == "starttls":
            self._start_tls()
        if server.user:
            self.login(server.user, server.password())

    def _get_socket(self, host: str, port: int, _timeout: object) -> Any:
        left = max(0.01, self._until - time.monotonic())
        raw = socket.create_connection((host, port), left)
        return self._line(self._wrapped(raw) if self._secure else raw)

    def _line(self, held: socket.socket) -> Line:
        self._lines.append(Line(held, self._until))
        return self._lines[-1]

    def _wrapped(self, raw: socket.socket) -> socket.socket:
        try:
            return self._context.wrap_socket(raw, server_hostname=self._name)
        except BaseException:
            raw.close()
            raise

    def _start_tls(self) -> None:
        """As `starttls` does, but on our line. What was said before it counts for nothing."""
        code, said = self.docmd("STARTTLS")
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        self.sock = self._line(self._wrapped(self._lines[-1].held))  # type: ignore[assignment]
        self.file = None
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False
        self.ehlo_or_helo_if_needed()

    def hang_up(self) -> None:
        """Without a word: whatever was to be said is said."""
        for line in self._lines:
            line.hang_up()
