"""In place of Django's own: here nobody has a way past the grants."""

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "There is no superuser: see docs/people-and-rights.md."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take whatever Django's command takes; none of it is used."""
        parser.add_argument("--username")
        parser.add_argument("--email")
        parser.add_argument("--noinput", "--no-input", dest="interactive", action="store_false")

    def handle(self, *args: object, **options: object) -> None:
        raise CommandError(
            "There is no superuser in this console. Put somebody into a group whose right is "
            "administer: see docs/people-and-rights.md."
        )
