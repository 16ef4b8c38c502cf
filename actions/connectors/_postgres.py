"""A PostgreSQL server that is an outside system: how it is reached, and what its answers mean."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from actions.outcomes import Outcome, Refused, RetryLater, Unknown

type Connection = psycopg.Connection[Any]

CALL_SECONDS: Final = 4
"""The longest that the server works on one call of ours, by its own clock."""

MAY_NOT: Final = "The management role may not do that there."

# libpq gives no SQLSTATE for a door that stays shut: only the server's words, in its language.
# Words we do not know mean "later", which is safe, for nothing was sent.
_SHUT_OUT: Final = ("password authentication failed", "is not permitted to log in", "pg_hba.conf",
                    "does not exist", "no password supplied")  # fmt: skip
# XX000 is what two get who alter one role at the same time: "tuple concurrently updated".
_LATER: Final = ("53", "55P03", "57014", "57P03", "40", "25P03", "25P04", "XX000")
_LOST: Final = ("57P01", "57P02", "08")
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

# Below this, two clocks count as one: an offset is measured with an error of its own, and what is
# cut off would waver by it.
_SAME_CLOCK: Final = timedelta(seconds=1)


class Told(Exception):
    """The answer is there already; it needs no more of the call."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class Server:
    """One server and database, from a realm's settings {host, port, dbname, sslmode?, sslrootcert?}.

    Without `sslmode` a server that is not on this machine must prove who it is.
    """

    def __init__(self, settings: Mapping[str, object], credentials: Mapping[str, str]) -> None:
        self.user = credentials.get("user", "")
        self._password = credentials.get("password", "")
        host = str(settings["host"])
        self._where: dict[str, Any] = {
            "host": host,
            "port": int(str(settings.get("port", 5432))),
            "dbname": str(settings["dbname"]),
            "sslmode": str(
                settings.get("sslmode") or ("prefer" if host in _LOOPBACK else "verify-full")
            ),
        }
        if rootcert := settings.get("sslrootcert"):
            self._where["sslrootcert"] = str(rootcert)

    def _connect(self, user: str, password: str) -> Connection:
        """A connection in autocommit. Raises psycopg.OperationalError: nothing was sent then."""
        milliseconds = CALL_SECONDS * 1000
        limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        return psycopg.connect(
            **self._where,
            user=user,
            password=password,
            autocommit=True,
            connect_timeout=CALL_SECONDS,
            tcp_user_timeout=milliseconds,
            application_name="steadyhand",
            options=" ".join(f"-c {limit}={milliseconds}" for limit in limits),
            prepare_threshold=None,
        )

    @contextmanager
    def managing(self) -> Iterator[Connection]:
        """A connection of the management role. Raises Told when the door stays shut."""
        try:
            connection = self._connect(self.user, self._password)
        except psycopg.OperationalError as error:
            raise Told(_at_the_door(str(error))) from None
        with _bounded(connection):
            if connection.info.server_version >= 170000:
                # What stands still with its locks taken, ours included, is ended by the server.
                limit = f"SET transaction_timeout = {CALL_SECONDS * 1000}"
                connection.execute(limit.encode())
            yield connection

    def lets_in(self, user: str, password: str) -> bool | None:
        """Whether it takes this password; None when that cannot be told now.

        A role that may not log in is told so after its password was taken. A server that asks for
        no password takes any, which proves nothing.
        """
        try:
            with _bounded(self._connect(user, password)) as connection:
                return True if connection.pgconn.used_password else None
        except psycopg.OperationalError as error:
            said = str(error)
            if "password authentication failed" in said:
                return False
            return True if "is not permitted to log in" in said else None


@contextmanager
def _bounded(connection: Connection) -> Iterator[Connection]:
    """Close it at the end, and hang up on a server that says nothing more.

    The server's own limits and TCP's do not help where it takes what we send and stays silent.
    """
    alarm = threading.Timer(CALL_SECONDS + 1, _hang_up, [connection])
    alarm.daemon = True
    alarm.start()
    try:
        with connection:
            yield connection
    finally:
        alarm.cancel()


def _hang_up(connection: Connection) -> None:
    # Whoever waits for an answer wakes up to the end of the line; closing alone would not wake it.
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)


def _at_the_door(said: str) -> Outcome:
    if any(words in said for words in _SHUT_OUT):
        return Refused("The system does not let the management role in.")
    return RetryLater("The system cannot be reached.")


def answer_to(error: psycopg.Error) -> Outcome:
    """What an error of the server comes to. Its own words may quote our statement: not told."""
    state = error.sqlstate or ""
    if not state or state.startswith(_LOST):
        return Unknown("The connection was lost after the call was sent.")
    if state.startswith(_LATER):
        return RetryLater(f"The system is busy ({state}); nothing was changed.")
    if state == "42501":
        return Refused(MAY_NOT)
    return Refused(f"The system said no ({state}).")


def local_part(subject: str) -> str:
    """`#16385` of `payments-db:#16385`, `app_rw` of `payments-db:app_rw`."""
    return subject.partition(":")[2]


def offset(there: Connection, here: Callable[[], Connection]) -> timedelta:
    """How far that server's clock is ahead of the console's database, in tenths of a second.

    Zero when it is less than a second.
    """
    with here() as own:
        before = _clock(own)
        other = _clock(there)
        after = _clock(own)
    apart = other - (before + (after - before) / 2)
    if abs(apart) < _SAME_CLOCK:
        return timedelta()
    return timedelta(seconds=round(apart.total_seconds(), 1))


def _clock(connection: Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def moment(value: object) -> datetime:
    """The moment that an RFC 3339 text means. Raises Told for one without a zone, or none."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise Told(Refused("The cut-off is no moment.")) from None
    if found.tzinfo is None:
        raise Told(Refused("The cut-off has no time zone."))
    return found


def none_older(facts: Mapping[str, object], desired: Mapping[str, object]) -> bool:
    """Whether the sessions that were read hold none from before the cut-off."""
    oldest = facts.get("oldest")
    if "oldest" not in facts:
        return False
    return oldest is None or moment(oldest) >= moment(desired["before"])


def sessions(count: int, oldest: datetime | None, newest: datetime | None, ahead: timedelta
             ) -> dict[str, object]:  # fmt: skip
    """Facts of sessions, their moments told by the console's clock."""
    return {
        "sessions": count,
        "oldest": (oldest - ahead).isoformat() if oldest else None,
        "newest": (newest - ahead).isoformat() if newest else None,
    }


def sessions_in_words(facts: Mapping[str, object]) -> str:
    """`3 open sessions, the newest from 24 Nov 2026 12:40:19 UTC`."""
    count, newest = facts.get("sessions"), facts.get("newest")
    if not count or newest is None:
        return "no open session"
    since = moment(newest).astimezone(UTC)
    many = "1 open session" if count == 1 else f"{count} open sessions, the newest"
    return f"{many} from {since:%-d %b %Y %H:%M:%S} UTC"
