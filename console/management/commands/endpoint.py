"""Set up endpoints for notices: webhooks, Slack, Teams. URLs come from a file or stdin, never from argv."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from actions import doors, endpoints
from actions.errors import Refusal
from actions.heard import CHOSEN
from actions.keyring import CannotOpen
from actions.models import Endpoint


class Command(BaseCommand):
    help = (
        "Add, change, list or test endpoints that are told of things. Run as STEADYHAND_ROLE=owner."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        doing = parser.add_subparsers(dest="doing", required=True)
        doing.add_parser("list", help="names, hosts and kinds; no URLs")
        adding = doing.add_parser(
            "add", help="a new endpoint; a webhook's secret is shown this once"
        )
        adding.add_argument("name")
        adding.add_argument("--channel", required=True, choices=Endpoint.Channel.values)
        changing = doing.add_parser("change", help="what is not given stays")
        changing.add_argument("name")
        changing.add_argument("--on", dest="enabled", action="store_true", default=None)
        changing.add_argument("--off", dest="enabled", action="store_false")
        for one in (adding, changing):
            # argv can be read by everybody on the machine, and who knows the URL may post there.
            one.add_argument("--url-file", required=one is adding, help="- for stdin")
            one.add_argument("--kinds", nargs="+", choices=CHOSEN, required=one is adding)
        for verb, said in (
            ("rotate", "a second signing secret, shown this once; both sign until `retire`"),
            ("retire", "the older signing secret signs no more"),
            ("test", "have a notice sent there that says nothing"),
        ):
            doing.add_parser(verb, help=said).add_argument("name")

    def handle(self, *args: object, **options: Any) -> None:
        try:
            getattr(self, f"_{options['doing']}")(options)
        except (Refusal, CannotOpen) as refusal:
            raise CommandError(str(refusal)) from None

    def _list(self, options: dict[str, Any]) -> None:
        for one in Endpoint.objects.order_by("name"):
            off = "" if one.enabled else "  (off)"
            self.stdout.write(f"{one.name}  {one.channel}  {one.host}  {', '.join(one.kinds)}{off}")

    def _add(self, options: dict[str, Any]) -> None:
        name, url = options["name"], _url(options["url_file"])
        secret = endpoints.add(name, options["channel"], url, options["kinds"], doors.reach())
        self.stdout.write(f"{name} is there.")
        self._show(secret)

    def _change(self, options: dict[str, Any]) -> None:
        url = _url(options["url_file"]) if options["url_file"] else ""
        endpoints.change(
            options["name"],
            doors.reach(),
            url=url,
            kinds=options["kinds"],
            enabled=options["enabled"],
        )
        self.stdout.write(f"{options['name']} is changed.")

    def _rotate(self, options: dict[str, Any]) -> None:
        self._show(endpoints.rotate(options["name"]))

    def _retire(self, options: dict[str, Any]) -> None:
        endpoints.retire(options["name"])
        self.stdout.write("The older secret signs no more.")

    def _test(self, options: dict[str, Any]) -> None:
        endpoints.test(options["name"])
        self.stdout.write("A test is on its way. What becomes of it is on the page Notices.")

    def _show(self, secret: str) -> None:
        if secret:
            self.stdout.write(f"Its signing secret, shown this once:\n{secret}")


def _url(where: str) -> str:
    if where == "-":
        return sys.stdin.read().strip()
    try:
        return Path(where).read_text().strip()
    except OSError as error:
        raise CommandError(f"{where} cannot be read: {error.strerror}.") from None
