"""Which approvals the rules ask for: pure, as `sql/approvals.sql` judges it again when it is written."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from actions import states
from actions.subjects import Subject, prefix_4


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule that may apply to an action; None where it asks for nothing particular."""

    realm: str | None
    wider_than_4: int | None
    wider_than_6: int | None
    group: str
    id: int
    count: int
    minutes: int
    protected: bool = False  # only for what asks twice, where no other rule applies


def rules_of(text: str) -> tuple[Rule, ...]:
    """The rules that `look` found, out of its `jsonb` text."""
    return tuple(Rule(**rule) for rule in json.loads(text))


def waits(facts: Mapping[str, Any] | None) -> bool:
    """Whether an operation waits for approval. Only a lane's newest ever does."""
    return facts is not None and facts["state"] in states.WAITING


def moved_to(newest: Mapping[str, Any] | None) -> int:
    """The generation that a lane has come to: its newest, or the one before it while that waits."""
    return int(newest["generation"]) - waits(newest) if newest else 0


@dataclass(frozen=True, slots=True)
class Need:
    """So many people of one group."""

    group: str
    id: int
    count: int

    @property
    def words(self) -> str:
        """`2 of approvers`."""
        return f"{self.count} of {self.group}"


@dataclass(frozen=True, slots=True)
class Needs:
    """All that is needed, by group; `minutes` in which it may be given, None where nothing is."""

    each: tuple[Need, ...] = field(default=())
    minutes: int | None = None

    @property
    def rows(self) -> list[dict[str, object]]:
        """As `issue` takes them and the operation keeps them."""
        return [{"group": n.group, "id": n.id, "count": n.count} for n in self.each]

    @property
    def words(self) -> str:
        """`1 of approvers and 1 of admins`."""
        return " and ".join(need.words for need in self.each)


def needs(
    rules: Iterable[Rule], subject: Subject, realms: Collection[str], asks_twice: bool
) -> Needs:
    """What `rules`, which are those of an action, ask for of this subject in these realms."""
    applying = [rule for rule in rules if _applies(rule, subject, realms)]
    found = [rule for rule in applying if not rule.protected]
    if asks_twice and not found:
        found = applying
    counts: dict[str, Need] = {}
    for rule in found:
        known = counts.get(rule.group)
        if known is None or known.count < rule.count:
            counts[rule.group] = Need(rule.group, rule.id, rule.count)
    each = tuple(counts[name] for name in sorted(counts))
    return Needs(each, min((rule.minutes for rule in found), default=None))


def needs_of(rows: Iterable[Mapping[str, Any]]) -> Needs:
    """The needs that an operation keeps."""
    return Needs(tuple(Need(row["group"], row["id"], row["count"]) for row in rows))


def _applies(rule: Rule, subject: Subject, realms: Collection[str]) -> bool:
    if rule.realm is not None and rule.realm not in realms:
        return False
    if rule.wider_than_4 is None and rule.wider_than_6 is None:
        return True
    return subject.kind == "network" and _is_wider(rule, subject)


def _is_wider(rule: Rule, subject: Subject) -> bool:
    network = subject.network
    of_4 = prefix_4(network)
    if rule.wider_than_4 is not None and of_4 is not None and of_4 < rule.wider_than_4:
        return True
    wider = rule.wider_than_6
    return network.version == 6 and wider is not None and network.prefixlen < wider
