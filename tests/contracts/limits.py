"""What the tests of limits share: the wide and the protected of reliability.md, and how to set them up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from tests.console_process import Console

# Well-formed, and wider than anything may be acted on, or hiding all of IPv4.
TOO_WIDE = (
    "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "::/1", "8000::/1", "11.0.0.0/8", "::ffff:0:0/96",
    "64:ff9b::/96", "64:ff9b::/64", "64:ff9b::/111", "64:ff9b:1::/48", "2002::/16", "2002:b00::/24",
    "2001::/32", "2001:0:4136:e378::/64", "2001:db8::/31", "::ffff:0:0:0/96",
)  # fmt: skip
# Addresses like any other by their form, that must never be acted on; the IPv6 ones stand for such.
NEVER = (
    "127.0.0.1", "127.0.0.0/16", "169.254.169.254", "224.0.0.1", "255.255.255.255", "0.0.0.0",
    "::1", "::", "fe80::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2002:a9fe:a9fe::/48", "::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe", "fd00:ec2::254",
)  # fmt: skip
# What some readers take for a network, and none of ours does.
NO_NETWORK = (
    "010.0.0.1", "127.1", "1.2.3", "1.2.3.4/24", "1.2.3.4/0.0.0.255", "1.2.3.0/024", "fe80::1%eth0",
    "fe80::1%25eth0", "fe80::1%\x00", "1.2.3.4\n", " 1.2.3.4", "0x7f.0.0.1", "２１３.0.0.1", "١.2.3.4",
    "256.1.1.1", "[::1]", "1.2.3.4/-1", "1.2.3.4/33", "::1/129", "", "2130706433", "1.2.3.4,5.6.7.8",
)  # fmt: skip
NOT_TEXT = (2130706433, True, None, 1.5, ["1.2.3.4"], {"name": "1.2.3.4"})


@contextlib.contextmanager
def limit(console: Console, scope: str, ceiling: int, seconds: int = 3600) -> Iterator[None]:
    """A ceiling meanwhile, with nothing counted yet."""
    set_to = "UPDATE limit_rule SET ceiling = %s, seconds = %s WHERE scope = %s"
    before = console.rows("SELECT ceiling, seconds FROM limit_rule WHERE scope = %s", scope)[0]
    with console.database() as at:
        at.execute("DELETE FROM limit_count")
        at.execute("DELETE FROM rate_count")
        at.execute(set_to, [ceiling, seconds, scope])
        try:
            yield
        finally:
            at.execute(set_to, [*before, scope])
            at.execute("DELETE FROM limit_count")
            at.execute("DELETE FROM rate_count")


@contextlib.contextmanager
def protected(
    console: Console, name: str, level: str = "never", kind: str = "network"
) -> Iterator[None]:
    """A subject is protected meanwhile."""
    network = name if kind == "network" else None
    with console.database() as at:
        row = at.execute(
            "INSERT INTO protected_subject (kind, name, network, level, source, reason)"
            " VALUES (%s, %s, %s, %s, 'admin', 'the payroll must go out') RETURNING id",
            [kind, name, network, level],
        ).fetchone()
        assert row
        try:
            yield
        finally:
            withdraw(at, row[0])


def withdraw(at: psycopg.Connection, number: int) -> None:
    at.execute(
        "UPDATE protected_subject SET withdrawn_at = now(), withdrawn_why = 'a test is over'"
        " WHERE id = %s AND withdrawn_at IS NULL",
        [number],
    )


@contextlib.contextmanager
def seated(console: Console, username: str, address: str) -> Iterator[None]:
    """Somebody who is signed in works from an address meanwhile."""
    with console.database() as at:
        at.execute(
            "INSERT INTO seat (caller_id, address, seen_at)"
            " SELECT id, %s, now() FROM caller WHERE username = %s",
            [address, username],
        )
        try:
            yield
        finally:
            at.execute("DELETE FROM seat WHERE address = %s", [address])


@contextlib.contextmanager
def loopback_is_like_any_other(console: Console) -> Iterator[None]:
    """Nothing of 127.0.0.0/8 is protected meanwhile: from there the tests come."""
    held = console.rows(
        "SELECT id FROM protected_subject WHERE network && '127.0.0.0/8' AND withdrawn_at IS NULL"
    )
    with console.database() as at:
        for (number,) in held:
            withdraw(at, number)
        at.execute("DELETE FROM seat WHERE address <<= '127.0.0.0/8'")
        try:
            yield
        finally:
            at.execute(
                "INSERT INTO protected_subject (kind, name, network, level, source, found_by, reason)"
                " SELECT kind, name, network, level, source, found_by, reason FROM protected_subject"
                " WHERE id = ANY(%s)",
                [[number for (number,) in held]],
            )


def everybody_pulls(console: Console) -> None:
    """Whoever pulled a list before pulls it now."""
    with console.database() as at:
        at.execute(
            "INSERT INTO pull (list, consumer, caller_id, at, etag, entries)"
            " SELECT DISTINCT list, consumer, caller_id, clock_timestamp(), '', 0 FROM pull"
        )
