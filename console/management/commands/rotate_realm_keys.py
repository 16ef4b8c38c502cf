"""Put another key in the place of the one that the realms' credentials are sealed under."""

from django.core.management.base import BaseCommand

from actions import realms


class Command(BaseCommand):
    help = (
        "Seal the credentials of all realms under a new key, and forget the old one. Safe at any"
        " time, and to run again after it was broken off. Run as STEADYHAND_ROLE=owner."
    )

    def handle(self, *args: object, **options: object) -> None:
        key, rows = realms.rotate_keys()
        self.stdout.write(f"{rows} sealed anew; key {key} alone is in use.")
