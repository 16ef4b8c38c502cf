"""Put another key in the place of the one that the realms' credentials are sealed under."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from actions import realms


class Command(BaseCommand):
    help = (
        "Seal the credentials of all realms under a new key, and forget the old one. Safe at any"
        " time, and to run again after it was broken off. Run as STEADYHAND_ROLE=owner."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forget-unreadable",
            action="store_true",
            help="drop the old keys even if credentials that cannot be opened name them",
        )

    def handle(self, *args: object, **options: object) -> None:
        done = realms.rotate_keys(forget=bool(options["forget_unreadable"]))
        self.stdout.write(f"{done.sealed} sealed anew under the key {done.key}.")
        if done.unreadable:
            raise CommandError(f"These cannot be opened: {', '.join(done.unreadable)}.")
