"""Run a keeper: sweeps what is due, ends what is over. Several may run, on any machines."""

from django.core.management.base import BaseCommand

from actions import keeper


class Command(BaseCommand):
    help = "Run a keeper until it is told to stop."

    def handle(self, *args: object, **options: object) -> None:
        keeper.main()
