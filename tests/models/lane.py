"""One lane of one subject, as the contract has it: generations, what stands, who is told what.

Written from the contract (§3-5), not from the product: plain lists and words, one effect an operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

HOLDS = {"approved", "running"}
VOID = {"declined", "expired", "cancelled", "superseded"}
NOTHING = VOID | {"failed"}
MAYBE = {"executing", "in_doubt", "parked", "succeeded"}
UNDER_WAY = {"executing", "in_doubt"}
TRIES = 8


@dataclass(eq=False)
class Op:
    """One generation. `found` is what its effect found: changed, not_known or nothing yet."""

    generation: int
    sets: bool
    level: int
    by: str
    reason: str
    undoes: Op | None = None
    state: str = "approved"
    effect: str = "ready"
    found: str = ""
    attempt: int = 0  # the number of its newest
    before: int = 0  # attempts made before it was last set going

    @property
    def tries(self) -> int:
        return self.attempt - self.before


@dataclass(frozen=True)
class Wish:
    """What is asked for: a state, how far it goes, and what was seen of the lane."""

    sets: bool
    level: int
    reason: str
    seen: int | None = None
    again: bool = False


@dataclass
class Told:
    """A disposition, and the operation that is named; `code` where several reasons share one."""

    disposition: str
    op: Op | None = None
    code: str = ""


@dataclass
class Lane:
    ops: list[Op] = field(default_factory=list)

    @property
    def newest(self) -> Op | None:
        return self.ops[-1] if self.ops else None

    @property
    def generation(self) -> int:
        return len(self.ops)

    @property
    def standing(self) -> Op | None:
        """The newest that did something or still may."""
        newest = self.newest
        if newest is None or newest.state not in NOTHING:
            return newest
        for op in reversed(self.ops):
            if op.state not in NOTHING or (op.state == "superseded" and op.effect in MAYBE):
                return op
        return None

    # What a request is told.
    def ask(self, wish: Wish, by: str) -> Told:
        told = self._judge(wish)
        if told.disposition == "created":
            told.op = self._make(Op(0, wish.sets, wish.level, by, wish.reason))
        elif told.disposition == "resumed":
            assert told.op is not None
            self._set_going(told.op)
        return told

    def _judge(self, wish: Wish) -> Told:
        stands, relation = self._compared(wish)
        seen, newest = wish.seen, self.generation
        if seen is not None and seen > newest:
            return Told("stale", stands or self.newest, "seen_unknown")
        if relation == "opposed" and seen is not None and seen < newest:
            return Told("stale", stands, "moved")
        if relation == "covered" and not (wish.again and seen == newest):
            assert stands is not None
            return Told("resumed" if stands.state == "failed" else "existing", stands)
        against = relation == "opposed" and stands is not None and stands.state in HOLDS
        if against and stands is not None and seen != stands.generation:
            return Told("conflict", stands)
        if wish.again and stands is not None and stands.reason == wish.reason:
            return Told("refused", None, "again_needs_reason")
        return Told("created")

    def _compared(self, wish: Wish) -> tuple[Op | None, str]:
        stands = self.standing
        relation = self._relation(stands, wish)
        newest = self.newest
        failed = newest if newest is not None and newest.state == "failed" else None
        if relation != "covered" and self._relation(failed, wish) == "covered":
            return failed, "covered"  # whoever asks for what failed means to finish it
        return stands, relation

    def _relation(self, op: Op | None, wish: Wish) -> str:
        if op is None:
            return "none"
        if op.sets != wish.sets:
            return "opposed"
        if wish.sets and wish.level > op.level:
            return "more"
        # What was superseded on the way can only be gone beyond.
        return "more" if op.state == "superseded" else "covered"

    def _make(self, op: Op) -> Op:
        newest = self.newest
        if newest is not None and newest.state in HOLDS:
            newest.state = "superseded"
            if newest.effect == "ready":
                newest.effect = "cancelled"
        op.generation = self.generation + 1
        self.ops.append(op)
        return op

    def _set_going(self, op: Op) -> None:
        op.state, op.effect, op.before = "running", "ready", op.attempt

    # Verbs on an operation that there is.
    def cancel(self, op: Op) -> Told:
        if op.state == "approved":
            op.state = op.effect = "cancelled"
            return Told("cancelled", op)
        never = {"declined", "expired", "cancelled"}
        return Told("existing" if op.state in never else "refused", op)

    def finish(self, op: Op) -> Told:
        if op.state in HOLDS | {"succeeded"}:
            return Told("existing", op)
        newest = self.newest
        if newest is not op and newest is not None:
            return Told("conflict" if newest.state in HOLDS else "stale", op)
        if op.state != "failed":
            return Told("refused", op)
        self._set_going(op)
        return Told("resumed", op)

    def decide(self, op: Op, to: str) -> Told:
        """A person says of a parked effect what it is."""
        if to == "ready":
            if op is not self.newest:
                return Told("conflict", op)
            self._set_going(op)
            return Told("resumed", op)
        op.effect = to
        op.found = "not_known" if to == "succeeded" else op.found
        if op.state == "parked":
            op.state = to
        return Told("decided", op)

    def undo(self, op: Op, not_known: str, by: str, reason: str) -> Told:
        undone = next((o for o in self.ops if o.undoes is op and o.state not in VOID), None)
        if undone is not None:
            if undone.state == "failed" and undone is self.newest:
                self._set_going(undone)
                return Told("resumed", undone)
            return Told("existing", undone)
        if op.effect in UNDER_WAY | {"ready"} and op.state != "superseded":
            return Told("refused", None, "not_settled")
        changed = op.effect == "succeeded" and op.found == "changed"
        unclear = op.effect == "parked" or (op.effect == "succeeded" and not changed)
        if not (changed or unclear):
            return Told("refused", None, "nothing_to_undo")
        if self.standing is not op or op.effect in UNDER_WAY | {"ready"}:
            return Told("stale", self.standing)
        if unclear and not not_known:
            return Told("refused", None, "must_say")
        if unclear and not_known == "leave":
            return Told("refused", None, "nothing_to_undo")
        return Told("created", self._make(Op(0, not op.sets, 1, by, reason, op)))

    # What happens to an effect.
    def may_take(self, op: Op) -> bool:
        return (
            op.effect == "ready"
            and op.state in HOLDS
            and not any(o.effect in UNDER_WAY for o in self.ops)
        )

    def take(self, op: Op) -> None:
        op.state, op.effect, op.attempt = "running", "executing", op.attempt + 1

    def settle(self, op: Op, attempt: int, outcome: str) -> None:
        """An answer, perhaps late: it decides nothing once its own call is no longer the question."""
        mine = op.attempt == attempt and op.effect in UNDER_WAY
        if not mine or (op.effect == "in_doubt" and outcome == "unknown"):
            return
        if outcome == "retrylater":
            outcome = "refused" if op.tries >= TRIES else outcome
        words = {"applied": "succeeded", "refused": "failed", "retrylater": "ready"}
        op.effect = words.get(outcome, "in_doubt")
        if outcome == "applied":
            op.found = "changed"
        self._roll_up(op)

    def lease_over(self, op: Op, called: bool) -> None:
        op.effect = "in_doubt" if called else "ready"
        self._roll_up(op)

    def read(self, looks: str) -> None:
        """Every doubt is read once: yes, no, or unreadable."""
        for op in self.doubted():
            if looks == "yes":
                op.effect, op.found = "succeeded", "not_known"
            elif looks == "no":
                over = op.state == "superseded" or op.tries >= TRIES
                op.effect = "failed" if over else "ready"
            self._roll_up(op)

    def doubted(self) -> Iterator[Op]:
        return (op for op in self.ops if op.effect == "in_doubt")

    def park(self, op: Op) -> None:
        op.effect = "parked"
        self._roll_up(op)

    def expire(self, op: Op) -> None:
        op.state, op.effect = "expired", "cancelled"

    def _roll_up(self, op: Op) -> None:
        if op.state == "superseded" and op.effect == "ready":
            op.effect = "cancelled"
        if op.state == "running" and op.effect in {"succeeded", "failed", "parked"}:
            op.state = op.effect
