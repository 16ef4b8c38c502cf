"""What waits for approval, as the answer to those who would have to wait too: pure, like `compare`."""

from __future__ import annotations

from dataclasses import replace

from actions.approvals import waits
from actions.ask import Ask, Decision, done_by
from actions.catalogue._base import Relation
from actions.standing import Facts, Standing


def decide(ask: Ask, waiting: Facts, relation: Relation | None) -> Decision | None:
    """What is told to somebody who would have to wait, beside an operation that waits already.

    None: it is overtaken, by one that goes further, or by somebody who has seen it.
    """
    has_seen = ask.seen == waiting["generation"]
    if relation is Relation.COVERED and not (ask.again and has_seen):
        return Decision("existing", "", done_by(waiting), 200, waiting, on_lane=True)
    if relation is Relation.OPPOSED and not has_seen:
        return Decision(
            "conflict",
            "conflict",
            f"{done_by(waiting)} That is the opposite, and waits for approval. Nothing changed. "
            f"To overtake it, say that you have seen generation {waiting['generation']}.",
            409,
            waiting,
            on_lane=True,
        )
    return None


def but_for(seen: Standing, would_wait: bool) -> Standing:
    """What was seen, without an undo that waits where this one would not: it is overtaken."""
    if would_wait or not waits(seen.undone_by):
        return seen
    return replace(seen, undone_by=None)
