"""Bring the database up to this version: tables, guards, catalogue, and the first-run world."""

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from actions import keyring
from console import ceilings, derived, example, world


class Command(BaseCommand):
    help = "Migrate, and make the example world on a first run. Safe to run again."

    def handle(self, *args: object, **options: object) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        world.ensure_secret_key(settings.HOME)
        world.sync_catalogue()
        for ring in (keyring.REALMS, keyring.VALUES):
            keyring.ensure(settings.HOME, ring)
        if world.ensure_world(settings.HOME):
            self.stdout.write(f"example people and tokens: {settings.HOME / 'credentials.json'}")
        world.ensure_places(example.places(settings.HOME))
        world.ensure_administered()
        derived.sync()
        ceilings.apply(settings.LIMITS)
