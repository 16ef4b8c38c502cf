"""Rules that ask for approvals: add, list and remove them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from actions import log
from actions.errors import NotFound
from actions.models import ApprovalRule, Realm
from actions.registry import registry


class Command(BaseCommand):
    help = (
        "Say what needs approval, and by whom. What waits already keeps the needs that it was asked"
        " under. Run as STEADYHAND_ROLE=owner."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        doing = parser.add_subparsers(dest="doing", required=True)
        doing.add_parser("list", help="every rule in force, with its id")
        adding = doing.add_parser("add", help="a new rule; what is not said means any")
        adding.add_argument("--action", default="", help="such as ban-network")
        adding.add_argument("--realm", help="its name")
        adding.add_argument("--wider-than-4", type=int, help="networks with a shorter IPv4 prefix")
        adding.add_argument("--wider-than-6", type=int, help="networks with a shorter IPv6 prefix")
        adding.add_argument(
            "--protected",
            action="store_true",
            help="only for what is protected and asks twice, where no other rule applies",
        )
        adding.add_argument("--group", required=True, help="whose members must approve")
        adding.add_argument("--count", type=int, default=1, help="how many of them")
        adding.add_argument("--minutes", type=int, default=30, help="how long they have for it")
        removing = doing.add_parser("remove", help="a rule, by its id")
        removing.add_argument("id")

    def handle(self, *args: object, **options: Any) -> None:
        getattr(self, f"_{options['doing']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        for rule in ApprovalRule.objects.filter(enabled=True).order_by("made_at"):
            self.stdout.write(f"{rule.id}  {_words(rule)}")

    def _add(self, options: dict[str, Any]) -> None:
        if options["action"]:
            try:
                registry.action(options["action"])
            except NotFound:
                raise CommandError(f"There is no action {options['action']}.") from None
        if not (1 <= options["count"] <= 20 and 1 <= options["minutes"] <= 1440):
            raise CommandError("A rule asks for 1 to 20 people, within 1 to 1440 minutes.")
        for prefix, most in ((options["wider_than_4"], 32), (options["wider_than_6"], 128)):
            if prefix is not None and not 1 <= prefix <= most:
                raise CommandError(f"A prefix here is 1 to {most}.")
        with transaction.atomic():
            rule = ApprovalRule.objects.create(
                action=options["action"],
                realm=_named(Realm, options["realm"]) if options["realm"] else None,
                wider_than_4=options["wider_than_4"],
                wider_than_6=options["wider_than_6"],
                protected=options["protected"],
                group=_named(Group, options["group"]),
                count=options["count"],
                minutes=options["minutes"],
            )
            log.append("approval_rule.added", {"id": str(rule.id), "rule": _words(rule)})
        self.stdout.write(f"{rule.id}  {_words(rule)}")

    def _remove(self, options: dict[str, Any]) -> None:
        with transaction.atomic():
            try:
                rule = ApprovalRule.objects.get(id=options["id"], enabled=True)
            except (ApprovalRule.DoesNotExist, ValueError, TypeError):
                raise CommandError("There is no such rule in force.") from None
            rule.enabled = False
            rule.save(update_fields=["enabled"])
            log.append("approval_rule.removed", {"id": str(rule.id), "rule": _words(rule)})
        self.stdout.write("It asks for nothing any more.")


def _named[M: (Realm, Group)](model: type[M], name: str) -> M:
    found = model.objects.filter(name=name).first()
    if found is None:
        raise CommandError(f"There is no {model._meta.verbose_name} {name}.")
    return found


def _words(rule: ApprovalRule) -> str:
    realm = f" in {rule.realm.name}" if rule.realm else ""
    wide = [
        f"{name} wider than /{prefix}"
        for name, prefix in (("IPv4", rule.wider_than_4), ("IPv6", rule.wider_than_6))
        if prefix is not None
    ]
    width = f" of {' or '.join(wide)}" if wide else ""
    needs = f"{rule.count} of {rule.group.name}, within {rule.minutes} minutes"
    asks = " on what asks twice" if rule.protected else ""
    return f"{rule.action or 'any action'}{realm}{width}{asks}: {needs}"
