"""Say how much a failover or a restore may have lost, so that things go on without a second call."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from actions import recover
from actions.errors import Refusal
from actions.models import Caller
from actions.recover import Found, Loss

_UNITS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_LAG = timedelta(days=1)


class Command(BaseCommand):
    help = (
        "After a failover that may have lost commits, or a restore: have every effect that may have"
        " been sent since read before it is sent, and let things go on. Says what it would do, and"
        " does it with --yes. Safe to run again, also with an earlier time. Run as"
        " STEADYHAND_ROLE=owner."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        amount = parser.add_mutually_exclusive_group(required=True)
        amount.add_argument(
            "--lag", help="how far behind the standby was at most: 30s, 5m, 1h; 0s for not at all"
        )
        amount.add_argument(
            "--since", help="from when on commits may be missing: 2026-11-24T14:03:00Z"
        )
        parser.add_argument("--by", help="who says so: the name of a person in the console")
        parser.add_argument("--reason", default="", help="how you know; it is logged")
        parser.add_argument("--yes", action="store_true", help="do it")

    def handle(self, *args: object, **options: Any) -> None:
        if settings.ROLE != "owner":
            raise CommandError("Run as STEADYHAND_ROLE=owner.")
        lag, since = _lag(options["lag"]), _since(options["since"])
        nothing_lost = lag == timedelta(0)
        try:
            lost = recover.loss(lag, since)
            if not options["yes"]:
                self._would(lost, [] if nothing_lost else recover.found(lost))
                return
            by, reason = _person(options["by"]), options["reason"].strip()
            if not reason:
                raise CommandError("Say how you know, with --reason.")
            some = recover.recover(lost, by, reason, nothing_lost=nothing_lost)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from None
        self._did(lost, some)

    def _would(self, lost: Loss, some: Sequence[Found]) -> None:
        self._window(lost)
        self._tell(some, "would be read before they are sent")
        self.stdout.write("Nothing was changed. With --yes --by NAME --reason WHY it is done.")

    def _did(self, lost: Loss, some: Sequence[Found]) -> None:
        self._window(lost)
        self._tell(some, "are read before they are sent")
        self.stdout.write("Sending goes on." if lost.held else "Nothing was held.")

    def _window(self, lost: Loss) -> None:
        known = lost.last_known_at.isoformat() if lost.last_known_at else "not known"
        self.stdout.write(
            f"Commits from {lost.since.isoformat()} to {lost.until.isoformat()} may be missing"
            f" (the last known from before: {known}). What was asked for then may be gone from here,"
            " and in force outside: whoever asked must look, and ask again."
        )

    def _tell(self, some: Sequence[Found], how: str) -> None:
        counted = Counter((one.state, one.redo) for one in some)
        for (state, redo), count in sorted(counted.items()):
            self.stdout.write(f"{count:6} {state}, {redo}")
        self.stdout.write(f"Of what may have been sent, {len(some)} {how}.")
        for ref in sorted({one.ref for one in some if one.redo == "never"}):
            self.stdout.write(f"{ref}: it cannot be read, so a person decides.")


def _lag(given: str | None) -> timedelta | None:
    if given is None:
        return None
    read = re.fullmatch(r"([0-9]{1,6})([smh])", given)
    lag = timedelta(seconds=int(read[1]) * _UNITS[read[2]]) if read else None
    if lag is None or lag > _LONGEST_LAG:
        raise CommandError("--lag is a number of s, m or h, a day at most: 30s.")
    return lag


def _since(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        at = parse_datetime(given)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise CommandError("--since is a moment with its offset: 2026-11-24T14:03:00Z.")
    return at


def _person(username: str | None) -> Caller:
    people = Caller.objects.filter(kind=Caller.Kind.PERSON, is_active=True)
    found = people.filter(username=username or "").first()
    if found is None:
        raise CommandError("Say who says so, with --by: a person of the console by their name.")
    return found
