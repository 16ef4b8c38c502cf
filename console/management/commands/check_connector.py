"""Try a connector on a real system: double calls, crashes, lost answers, late calls, no rights.

The target is a JSON file: {"kind", "subject", "capability", "desired", "inverse"?, "step"?}, and
{"settings"} unless --realm names a realm whose settings and credentials are used.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser

from actions import adapters, database, realms
from actions.connectors._base import Connector, Offer
from actions.errors import NotFound
from actions.keyring import CannotOpen
from actions.registry import registry
from console.trial import Target, Trial


class Command(BaseCommand):
    help = (
        "Put a connector, of ours or of another package, through what will happen to it. The"
        " subject of --target is changed for real: keep one for trials. Exits 1 when what was seen"
        " contradicts what the connector declares. Run as STEADYHAND_ROLE=worker."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--target", type=Path, required=True, help="a JSON file")
        parser.add_argument("--realm", help="whose settings and credentials to use")
        parser.add_argument("--credentials-file", type=Path, help="JSON, where there is no realm")

    def handle(self, *args: object, **options: Any) -> None:
        try:
            kind = registry.connector(options["name"])
        except KeyError:
            raise CommandError(f"There is no connector {options['name']}.") from None
        given = _json(options["target"])
        settings = given.pop("settings", {})
        try:
            target = Target(**given)
        except TypeError:
            raise CommandError("The target's fields are not those that are asked for.") from None
        if target.capability not in kind.offers:
            raise CommandError(f"{kind.name} does not offer {target.capability}.")
        credentials: dict[str, str] = {}
        if options["realm"]:
            settings, credentials = _of_realm(options["realm"], kind)
        elif options["credentials_file"]:
            credentials = _json(options["credentials_file"])
        self._declared(kind, kind.offers[target.capability])
        wrong = 0
        for result in Trial(kind, settings, credentials, _database, target).run():
            mark = {True: "ok", False: "WRONG", None: "-"}[result.ok]
            self.stdout.write(f"{mark:6} {result.trial:13} {result.seen}")
            wrong += result.ok is False
        if wrong:
            raise CommandError(f"{wrong} contradict what {kind.name} declares.")

    def _declared(self, kind: type[Connector], offer: Offer) -> None:
        self.stdout.write(
            f"{kind.title}: {offer.redo}, late calls for {offer.settle:g} s, a call takes"
            f" {offer.timeout:g} s at most, read back for {offer.verify:g} s"
        )
        for name, looks in kind.already.items():
            self.stdout.write(f"       so already ({name}): {looks}")


def _of_realm(name: str, kind: type[Connector]) -> tuple[dict[str, object], dict[str, str]]:
    try:
        version = realms.current(name)
        at_work = adapters.connector(str(version.realm_id), version.number)
    except (NotFound, CannotOpen) as error:
        raise CommandError(str(error)) from None
    if type(at_work) is not kind:
        raise CommandError(f"{name} is no realm of {kind.name}.")
    return dict(at_work.settings), dict(at_work.credentials)


def _database() -> psycopg.Connection[Any]:
    return database.own_line("steadyhand check_connector")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise CommandError(f"{path} is no file of a JSON object.")
    return found
