"""Protect subjects from the command line: add, withdraw, list, and find what is to be found here."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models.functions import Now

from actions import protect
from actions.errors import Refusal
from actions.models import ProtectedSubject
from actions.protect import Level, Source
from console import derived


class Command(BaseCommand):
    help = "Say what is never acted on, or only when asked twice. Run as STEADYHAND_ROLE=owner."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="what is protected now")
        verbs.add_parser("find", help="protect what is found on this machine; let go what is gone")
        add = verbs.add_parser("add", help="protect a subject")
        add.add_argument("kind", choices=protect.KINDS)
        add.add_argument("name")
        add.add_argument(
            "--ask-twice", action="store_true", help="not never: a second person may agree"
        )
        add.add_argument("--reason", required=True)
        out = verbs.add_parser("withdraw", help="protect it no more, whoever listed it")
        out.add_argument("number", type=int, help="as `list` shows it")
        out.add_argument("--reason", required=True)

    def handle(self, *args: object, **options: Any) -> None:
        getattr(self, f"_{options['verb']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        for row in protect.listed():
            self.stdout.write(
                f"{row.id:5} {row.level:10} {row.kind:8} {row.name:32} {row.reason}"
                f" ({row.found_by or row.source})"
            )

    def _find(self, options: dict[str, Any]) -> None:
        added, gone = derived.sync()
        self.stdout.write(f"{added} found and protected, {gone} let go")

    def _add(self, options: dict[str, Any]) -> None:
        try:
            subject = protect.named(options["kind"], options["name"])
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        if not options["reason"].strip():
            raise CommandError("Say why.")
        made = ProtectedSubject.objects.get_or_create(
            kind=subject.kind,
            name=subject.name,
            level=Level.ASK_TWICE if options["ask_twice"] else Level.NEVER,
            source=Source.ADMIN,
            found_by="",
            withdrawn_at=None,
            defaults={
                "network": subject.name if subject.kind == "network" else None,
                "reason": options["reason"],
            },
        )[1]
        self.stdout.write("protected" if made else "it was protected already")

    def _withdraw(self, options: dict[str, Any]) -> None:
        gone = ProtectedSubject.objects.filter(id=options["number"], withdrawn_at__isnull=True)
        if not gone.update(withdrawn_at=Now(), withdrawn_why=options["reason"]):
            raise CommandError("There is no such entry.")
        self.stdout.write("withdrawn")
