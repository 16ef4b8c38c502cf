"""Show the ceilings and rates, or change one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from actions.errors import Refusal
from actions.models import LimitRule
from console import ceilings


class Command(BaseCommand):
    help = (
        "How much may be asked: person, token and console count operations; api_read, api_write,"
        " bad_token and sign_in count knocks at a door. Run as STEADYHAND_ROLE=owner."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("change", nargs="*", help="SCOPE=CEILING or SCOPE=CEILING/SECONDS")

    def handle(self, *args: object, **options: Any) -> None:
        try:
            ceilings.apply(",".join(options["change"]))
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        for rule in LimitRule.objects.order_by("scope"):
            self.stdout.write(f"{rule.scope:16} {rule.ceiling} in {rule.seconds} s")
