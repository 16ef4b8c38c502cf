"""Give a group a right, or take it: on an action, on a realm, or console-wide."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from actions import administer, roster
from actions.administer import Done
from actions.errors import Refusal
from actions.policy import CONSOLE_WIDE, RIGHTS
from actions.roster import Held


class Command(BaseCommand):
    help = (
        "Give a group rights, as: grant responders see ask --realm billing-db. On actions and realms: "
        f"{', '.join(RIGHTS)}; with neither: {', '.join(CONSOLE_WIDE)}. Run as STEADYHAND_ROLE=owner."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("group")
        parser.add_argument("rights", nargs="+", metavar="right")
        parser.add_argument(
            "--entry", action="append", default=[], help="an action; may be repeated"
        )
        parser.add_argument("--realm", action="append", default=[], help="a realm; may be repeated")
        parser.add_argument("--take", action="store_true", help="take them instead")

    def handle(self, *args: object, **options: Any) -> None:
        group, rights = options["group"], set(options["rights"])
        named = [("entry", n) for n in options["entry"]] + [("realm", n) for n in options["realm"]]
        there = {(one.kind, one.name) for one in roster.held(group)}
        if not there:
            raise CommandError(f"There is no group {group}. Nothing changed.")
        # All of them first: half of a command would be worse than none.
        for kind, name in named or [("all", "")]:
            if (kind, name) not in there:
                thing = "action" if kind == "entry" else "realm"
                raise CommandError(f"There is no {thing} {name}. Nothing changed.")
            if wrong := rights - set(RIGHTS if named else CONSOLE_WIDE):
                raise CommandError(
                    f"No such right here: {', '.join(sorted(wrong))}. Nothing changed."
                )
        for kind, name in named or [("all", "")]:
            self._set(group, kind, name, rights, options["take"])

    def _set(self, group: str, kind: str, name: str, rights: set[str], take: bool) -> None:
        done = Done.STALE
        while done is Done.STALE:  # somebody else changed it meanwhile: from what it is now
            now = _now(group, kind, name)
            wanted = set(now.held) - rights if take else set(now.held) | rights
            try:
                done = administer.set_rights(None, group, kind, now.target, now.held, wanted)
            except Refusal as refusal:
                raise CommandError(str(refusal)) from None
        where = name or "the console"
        was = "already so" if done is Done.EXISTING else "done"
        self.stdout.write(f"{group} on {where}: {', '.join(sorted(wanted)) or 'nothing'} ({was})")


def _now(group: str, kind: str, name: str) -> Held:
    return next(one for one in roster.held(group) if (one.kind, one.name) == (kind, name))
