"""What the pages say of an operation that waits for approval, was declined, or passed without."""

from __future__ import annotations

from actions.approvals import needs_of
from actions.read import StateRead
from actions.standing import Facts
from console.clock import clock


def heading(told: Facts, *, late: bool) -> tuple[str, str] | None:
    """Tone and heading of its page; None where its state says something else. `late`: asked second."""
    match told["state"]:
        case "awaiting_approval":
            words = needs_of(told["approvals"]).words
            again = "Already asked for: it waits" if late else "Waits"
            return "approval", f"{again} for approval by {words}"
        case "declined":
            return "refused", "Declined: nothing was sent"
        case "expired" if told["approved_at"] is None:
            return "refused", "Not run: it was not approved in time"
        case "expired":
            return "refused", "Not run: it was not begun within 15 minutes"
    return None


def lines(told: Facts) -> list[str]:
    """Until when it waits, what was decided by whom and why, and under what it passed approval."""
    said = [_decided(told, decision) for decision in told["decisions"]]
    if told["state"] == "awaiting_approval":
        said.append(
            f"Nothing is sent before that. It can be approved until {clock(told['approve_by'])}."
        )
    if told["break_glass"]:
        words = needs_of(told["approvals"]).words
        passed = f", past approval by {words}" if words else ""
        said.append(f"It was asked for under break-glass{passed}.")
    return said


def _decided(told: Facts, decision: Facts) -> str:
    did = "approved" if decision["decision"] == "approve" else "declined"
    # Who may not know why it was asked for is not told it by who decided either.
    why = f": “{decision['reason']}”" if told["reason"] is not None else ""
    return f"{decision['by']} {did} it at {clock(decision['at'])}{why}."


def read_as(state: StateRead) -> str:
    """How a system stood when it was read just now, or when it was last read."""
    if state.at is None:
        return "It could not be read in time, and was never read before."
    said = f"at {clock(state.at)}: {state.reads_as.rstrip('.')}."
    if not state.fresh:
        return f"It could not be read in time. Last read {said}"
    return f"Read {said}" if state.readable else f"Could not be read {said}"
