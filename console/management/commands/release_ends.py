"""Let ends be carried out again after the database's clock had jumped."""

from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models.functions import Now

from actions import log
from actions.models import EndsHold


class Command(BaseCommand):
    help = "Release held ends, once you have checked the database server's clock."

    def handle(self, *args: object, **options: object) -> None:
        with transaction.atomic():
            released = EndsHold.objects.filter(released_at__isnull=True).update(released_at=Now())
            if released:
                log.append("ends.released", {})
        self.stdout.write("Ends go on." if released else "Nothing was held.")
