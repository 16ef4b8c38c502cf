"""Run a keeper: sweeps what is due, ends what is over. Several may run, on any machines."""

from django.conf import settings
from django.core.management.base import BaseCommand

from actions import keeper
from actions.bell import Bell, ToCelery


class Command(BaseCommand):
    help = "Run a keeper until it is told to stop."

    def handle(self, *args: object, **options: object) -> None:
        keeper.main(_bell())


def _bell() -> Bell | None:
    if not settings.BROKER_URL:
        return None
    # Celery's current app from here on.
    from console import celery  # noqa: F401

    return Bell(ToCelery())
