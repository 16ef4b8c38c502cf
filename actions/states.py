"""Every state of an operation and of an effect, and every legal move, each with when it happens.

The database refuses every other move: `moves_sql` writes this table out as trigger functions,
and a test tries each pair of states against the running database.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class OperationState(StrEnum):
    AWAITING_APPROVAL = "awaiting_approval"  # asked for; a second person must decide
    APPROVED = "approved"  # may run; nothing has been sent yet
    RUNNING = "running"  # at least one effect was taken up and one is not settled
    SUCCEEDED = "succeeded"  # every effect is in place
    PARTIAL = "partial"  # settled: some effects in place, some not
    FAILED = "failed"  # settled: no effect in place
    PARKED = "parked"  # an effect cannot be known; a person must look
    DECLINED = "declined"  # an approver said no
    EXPIRED = "expired"  # nobody approved or began it in time
    CANCELLED = "cancelled"  # withdrawn before anything was sent
    SUPERSEDED = "superseded"  # a later generation took the lane first


class EffectState(StrEnum):
    HELD = "held"  # its operation waits for approval
    BLOCKED = "blocked"  # an earlier step must succeed first
    READY = "ready"  # may be taken up once due
    EXECUTING = "executing"  # a worker holds it under a lease
    SUCCEEDED = "succeeded"  # known to be in place
    FAILED = "failed"  # definitely refused
    IN_DOUBT = "in_doubt"  # the call may or may not have arrived
    PARKED = "parked"  # in doubt, and cannot be read
    CANCELLED = "cancelled"  # never sent


class Move(NamedTuple):
    """One legal move: from a state, to a state, and when it happens."""

    old: str
    new: str
    when: str


_O, _E = OperationState, EffectState

OPERATION_STARTS = frozenset({_O.AWAITING_APPROVAL, _O.APPROVED})
OPERATION_MOVES = (
    Move(_O.AWAITING_APPROVAL, _O.APPROVED, "the last approval needed is given"),
    Move(_O.AWAITING_APPROVAL, _O.DECLINED, "an approver declines"),
    Move(_O.AWAITING_APPROVAL, _O.EXPIRED, "the time to approve is over"),
    Move(_O.AWAITING_APPROVAL, _O.CANCELLED, "it is withdrawn"),
    Move(_O.AWAITING_APPROVAL, _O.SUPERSEDED, "a later generation takes the lane"),
    Move(_O.APPROVED, _O.RUNNING, "its first effect is taken up"),
    Move(_O.APPROVED, _O.CANCELLED, "it is withdrawn before anything was sent"),
    Move(_O.APPROVED, _O.EXPIRED, "not begun within 15 minutes: it must be asked for again"),
    Move(_O.APPROVED, _O.SUPERSEDED, "a later generation takes the lane"),
    Move(_O.RUNNING, _O.SUCCEEDED, "the last effect settles, and all are in place"),
    Move(_O.RUNNING, _O.PARTIAL, "the last effect settles, and some are in place"),
    Move(_O.RUNNING, _O.FAILED, "the last effect settles, and none is in place"),
    Move(_O.RUNNING, _O.PARKED, "nothing is left to do but what a person must decide"),
    Move(_O.RUNNING, _O.SUPERSEDED, "a later generation takes the lane"),
    Move(_O.PARTIAL, _O.RUNNING, "the unfinished effects are asked for again"),
    Move(_O.FAILED, _O.RUNNING, "the unfinished effects are asked for again"),
    Move(_O.PARKED, _O.RUNNING, "a person decides a parked effect, or it is finished"),
    Move(_O.PARKED, _O.SUCCEEDED, "decided after a later generation took the lane: all in place"),
    Move(_O.PARKED, _O.PARTIAL, "decided after a later generation took the lane: some in place"),
    Move(_O.PARKED, _O.FAILED, "decided after a later generation took the lane: none in place"),
)

EFFECT_STARTS = frozenset({_E.HELD, _E.BLOCKED, _E.READY})
EFFECT_MOVES = (
    Move(_E.HELD, _E.READY, "its operation is approved"),
    Move(_E.HELD, _E.BLOCKED, "its operation is approved, and an earlier step comes first"),
    Move(_E.HELD, _E.CANCELLED, "its operation is declined, expired, cancelled or superseded"),
    Move(_E.HELD, _E.IN_DOUBT, "cancelled, and a failover may have lost that it was sent"),
    Move(_E.HELD, _E.PARKED, "likewise, while another of its lane is under way there"),
    Move(_E.BLOCKED, _E.READY, "the step before it succeeded"),
    Move(_E.BLOCKED, _E.CANCELLED, "the step before it failed, or its operation ended"),
    Move(_E.BLOCKED, _E.IN_DOUBT, "cancelled, and a failover may have lost that it was sent"),
    Move(_E.BLOCKED, _E.PARKED, "likewise, while another of its lane is under way there"),
    Move(_E.READY, _E.EXECUTING, "a worker claims it"),
    Move(
        _E.READY, _E.IN_DOUBT, "a failover may have lost that it was sent; or superseded, once sent"
    ),
    Move(_E.READY, _E.CANCELLED, "its operation was superseded, cancelled or expired"),
    Move(
        _E.READY, _E.PARKED, "superseded, once sent, while another of its lane is under way there"
    ),
    Move(_E.EXECUTING, _E.SUCCEEDED, "the system answered that it is so"),
    Move(_E.EXECUTING, _E.FAILED, "the system refused for good"),
    Move(_E.EXECUTING, _E.READY, "refused for now, or the lease ran out before the call"),
    Move(_E.EXECUTING, _E.IN_DOUBT, "no clear answer, or the lease ran out after the call began"),
    Move(_E.IN_DOUBT, _E.SUCCEEDED, "read back, and it is there"),
    Move(_E.IN_DOUBT, _E.READY, "read back after the settle time, and it is not there"),
    Move(_E.IN_DOUBT, _E.FAILED, "its own late answer is no, or it is not there, and that is that"),
    Move(_E.IN_DOUBT, _E.PARKED, "it cannot be read"),
    Move(_E.PARKED, _E.SUCCEEDED, "a person says that it is there"),
    Move(_E.PARKED, _E.FAILED, "a person says that it is not, and it is given up"),
    Move(_E.PARKED, _E.READY, "a person says that it is not, and it is to be tried again"),
    Move(_E.FAILED, _E.READY, "the operation is finished: only what is unfinished runs"),
    Move(_E.FAILED, _E.BLOCKED, "the operation is finished, and an earlier step runs again first"),
    Move(_E.CANCELLED, _E.READY, "the operation is finished, and nothing comes before it"),
    Move(_E.CANCELLED, _E.BLOCKED, "the operation is finished, and an earlier step runs first"),
)


class IncidentState(StrEnum):
    OPEN = "open"  # operations may be asked for because of it
    CLOSED = "closed"  # over: what was done because of it stays as it is


_I = IncidentState

INCIDENT_STARTS = frozenset({_I.OPEN})
INCIDENT_MOVES = (
    Move(_I.OPEN, _I.CLOSED, "its lead closes it, having been told what is still in force"),
    Move(_I.CLOSED, _I.OPEN, "its lead opens it again, and says why"),
)

HOLDING = frozenset({_O.APPROVED, _O.RUNNING})
"""States in which an operation holds its lane; at most one per lane, by a partial unique index."""

WAITING = frozenset({_O.AWAITING_APPROVAL})
"""States in which an operation holds nothing, and moved nothing: somebody must decide first."""

VOID = frozenset({_O.DECLINED, _O.EXPIRED, _O.CANCELLED, _O.SUPERSEDED})
"""States in which an operation stands for nothing any more."""

CAME_TO_NOTHING = VOID | {_O.FAILED}
"""States in which an operation left what stood before it as it was, as far as it itself goes."""

UNFINISHED = frozenset({_O.PARTIAL, _O.FAILED})
"""States from which a new request for the same intent runs only what is left."""

UNSENT = frozenset({_E.HELD, _E.BLOCKED, _E.READY})
"""Effects that nobody has in hand. What is *ready* may have been sent before: see sql/overtake.sql."""

OPEN = frozenset({_E.EXECUTING, _E.IN_DOUBT})
"""Effects that may be changing the outside right now; at most one per subject, lane and realm."""

BUSY = OPEN | {_E.READY}
"""Effects that will settle by themselves. One that is blocked waits for these, or for a person."""


def roll_up(effects: Iterable[str]) -> OperationState:
    """The state of an operation that has begun, from the states of its effects (contract §5)."""
    states = set(effects)
    if states & BUSY:
        return _O.RUNNING
    if _E.PARKED in states:
        return _O.PARKED
    if _E.SUCCEEDED not in states:
        return _O.FAILED
    return _O.SUCCEEDED if states == {_E.SUCCEEDED} else _O.PARTIAL


def moves_sql(table: str, starts: Iterable[str], moves: Iterable[Move]) -> str:
    """The trigger function that refuses every other move of `table`.

    The moves stand in the function as constants: a lookup table cost a fifth of the write rate.
    """
    legal = ", ".join(sorted(f"'{m.old}>{m.new}'" for m in moves))
    first = ", ".join(sorted(f"'{s}'" for s in starts))
    return f"""
CREATE OR REPLACE FUNCTION {table}_moves() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state NOT IN ({first}) THEN
      RAISE EXCEPTION USING ERRCODE = 'SH002', CONSTRAINT = '{table}_starts_legally',
        MESSAGE = format('{table} cannot begin as %s', NEW.state);
    END IF;
  ELSIF NEW.state <> OLD.state AND (OLD.state || '>' || NEW.state) NOT IN ({legal}) THEN
    RAISE EXCEPTION USING ERRCODE = 'SH002', CONSTRAINT = '{table}_moves_legally',
      MESSAGE = format('{table} cannot move from %s to %s', OLD.state, NEW.state);
  END IF;
  RETURN NEW;
END $body$;
"""


class NoticeState(StrEnum):
    READY = "ready"  # to be sent once due
    EXECUTING = "executing"  # a keeper holds it under a lease
    SUCCEEDED = "succeeded"  # the mail server or the endpoint took it
    IN_DOUBT = "in_doubt"  # it may have arrived; it is sent again, which may be seen twice
    FAILED = "failed"  # given up, and shown to admins
    CANCELLED = "cancelled"  # nobody is to hear it any more; never sent after that


_N = NoticeState

NOTICE_STARTS = frozenset({_N.READY, _N.CANCELLED})
NOTICE_MOVES = (
    Move(_N.READY, _N.EXECUTING, "a keeper claims it"),
    Move(_N.IN_DOUBT, _N.EXECUTING, "a keeper claims it again"),
    Move(_N.IN_DOUBT, _N.SUCCEEDED, "its own late answer is that it was taken"),
    Move(_N.EXECUTING, _N.SUCCEEDED, "it was taken"),
    Move(_N.EXECUTING, _N.CANCELLED, "it is so no longer, or whom it is for may not or will not hear it"),
    Move(_N.EXECUTING, _N.READY, "not now, or the lease ran out before it began to be sent"),
    Move(_N.EXECUTING, _N.IN_DOUBT, "no answer, or the lease ran out after it began to be sent"),
    Move(_N.EXECUTING, _N.FAILED, "refused for good, or tried enough"),
)  # fmt: skip
NOTICE_DUE = frozenset({_N.READY, _N.IN_DOUBT})
"""States in which a notice is to be sent once its time has come."""
