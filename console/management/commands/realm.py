"""Set up realms: add, change, list. Credentials come from a file or stdin, never from argv."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from actions import realms
from actions.errors import Refusal
from actions.keyring import CannotOpen
from actions.models import Realm
from console import derived


class Command(BaseCommand):
    help = "Add, change or list realms. Run as STEADYHAND_ROLE=owner."

    def add_arguments(self, parser: CommandParser) -> None:
        doing = parser.add_subparsers(dest="doing", required=True)
        doing.add_parser("list", help="names, connectors and versions; no credentials")
        adding = doing.add_parser("add", help="a new realm")
        adding.add_argument("name")
        adding.add_argument("--title", required=True)
        adding.add_argument("--connector", required=True)
        changing = doing.add_parser("change", help="a new version; what is not given stays")
        changing.add_argument("name")
        for one in (adding, changing):
            one.add_argument("--settings-file", type=Path, help="of a JSON object")
            # argv can be read by everybody on the machine, so no value is taken from there.
            one.add_argument("--credentials-file", help="of a JSON object of texts; - for stdin")

    def handle(self, *args: object, **options: Any) -> None:
        try:
            getattr(self, f"_{options['doing']}")(options)
        except (Refusal, CannotOpen) as refusal:
            raise CommandError(str(refusal)) from None
        derived.sync()  # where it is, and as whom the console goes there, is acted on by nobody

    def _list(self, options: dict[str, Any]) -> None:
        for realm in Realm.objects.order_by("name"):
            off = "" if realm.enabled else "  (off)"
            told = f"{realm.name}  {realm.connector}  version {realm.version}  {realm.title}{off}"
            self.stdout.write(told)

    def _add(self, options: dict[str, Any]) -> None:
        given = _object(options["settings_file"]) or {}
        credentials = _credentials(options["credentials_file"]) or {}
        realm = realms.add(
            options["name"], options["title"], options["connector"], given, credentials
        )
        self.stdout.write(f"{realm.name} is there, at version 1. Nobody may use it yet.")

    def _change(self, options: dict[str, Any]) -> None:
        given = _object(options["settings_file"]), _credentials(options["credentials_file"])
        if given == (None, None):
            raise CommandError("Give --settings-file, --credentials-file or both.")
        self.stdout.write(
            f"{options['name']} is at version {realms.change(options['name'], *given)}."
        )


def _object(path: Path | None) -> dict[str, object] | None:
    if path is None:
        return None
    try:
        return _parsed(path.read_text())
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None


def _credentials(where: str | None) -> dict[str, str] | None:
    if where is None:
        return None
    given = _parsed(sys.stdin.read()) if where == "-" else _object(Path(where))
    if given is None or not all(type(value) is str for value in given.values()):
        raise CommandError("Credentials are a JSON object of texts.")
    return {name: str(value) for name, value in given.items()}


def _parsed(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CommandError("That is no JSON object.")  # not what it is: it may be a secret
    return found
