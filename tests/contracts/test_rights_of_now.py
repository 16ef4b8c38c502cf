"""A right that was taken away is gone at the next step: between draft, confirm and call nothing runs."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable

import pytest

from actions import administer, issue, prepare
from actions.errors import NotFound, Refusal, Unauthenticated
from actions.issue import Who
from tests.contracts.inside import Still, ban


class Asker:
    """Jo, in a group of their own that may ask for bans on the edge; with a token."""

    def __init__(self, still: Still) -> None:
        self.still, self.sam = still, still.caller("sam")
        name = f"jo-{uuid.uuid4().hex[:8]}"
        self.group = f"group of {name}"
        token = still.new_caller(name, kind="person").token
        digest = hashlib.sha256(token.encode()).digest()
        self.id = still.value("SELECT id FROM caller WHERE username = %s", name)
        self.browser = Who(caller=self.id)
        self.token = Who(token_prefix=token.split("_")[1], token_digest=digest)
        self.entry = still.value("SELECT id FROM catalogue_entry WHERE name = 'ban-network'")
        self.realm = still.value("SELECT id FROM realm WHERE name = 'edge-blocklist'")
        with still.acting("web"):
            administer.make_group(self.sam, self.group)
            administer.set_member(self.sam, self.id, self.group, True)
            self.set("entry", [], ["ask", "see"])
            self.set("realm", [], ["ask", "see"])

    def set(self, kind: str, seen: list[str], wanted: list[str]) -> None:
        target = {"entry": self.entry, "realm": self.realm}[kind]
        done = administer.set_rights(self.sam, self.group, kind, target, seen, wanted)
        assert done is administer.Done.DONE

    def token_id(self) -> uuid.UUID:
        return self.still.value("SELECT id FROM api_token WHERE caller_id = %s", self.id)


@pytest.fixture
def jo(still: Still) -> Asker:
    return Asker(still)


LOSSES: dict[str, Callable[[Asker], object]] = {
    "the action": lambda jo: jo.set("entry", ["ask", "see"], ["see"]),
    "the system": lambda jo: jo.set("realm", ["ask", "see"], ["see"]),
    "all of the action": lambda jo: jo.set("entry", ["ask", "see"], []),
    "all of the system": lambda jo: jo.set("realm", ["ask", "see"], []),
    "the group": lambda jo: administer.set_member(jo.sam, jo.id, jo.group, False),
    "the account": lambda jo: administer.close(jo.sam, jo.id),
}
OF_A_TOKEN: dict[str, Callable[[Asker], object]] = {
    "the token": lambda jo: administer.withdraw_token(jo.sam, jo.token_id()),
    "its scope": lambda jo: jo.still.rows(
        "UPDATE api_token SET scopes = '{read}' WHERE id = %s RETURNING 1", jo.token_id()
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_draft_is_not_confirmed_without_the_right(
    still: Still, jo: Asker, name: str, loss: str
) -> None:
    with still.acting("web"):
        made = prepare.prepare(jo.browser, ban(name)).draft
        LOSSES[loss](jo)
        with pytest.raises((NotFound, Unauthenticated)):
            prepare.revisit(jo.browser, prepare.find(made.id, lambda: jo.id))
        try:
            told = issue.submit(
                jo.browser, prepare.ask_of(prepare.find(made.id, lambda: jo.id), "api")
            )
        except Unauthenticated:
            assert loss == "the account"
        else:
            assert (told.disposition, told.operation) == ("refused", None)
    assert still.value("SELECT count(*) FROM subject WHERE name = %s", name) == 0


@pytest.mark.parametrize("loss", [*LOSSES, *OF_A_TOKEN])
def test_what_was_asked_for_is_not_sent_without_the_right(
    still: Still, jo: Asker, name: str, loss: str
) -> None:
    who = jo.token if loss in OF_A_TOKEN else jo.browser
    with still.acting("web"):
        told = issue.submit(who, ban(name))
        assert told.disposition == "created" and told.operation is not None
        {**LOSSES, **OF_A_TOKEN}[loss](jo)
    operation = told.operation["id"]
    still.deliver(operation)
    assert still.state(operation) == "failed"
    assert not still.listed(name)
    said = still.value("SELECT message FROM effect WHERE operation_id = %s", operation)
    assert "may no longer ask" in said
    started = "SELECT count(call_started_at) FROM attempt a JOIN effect e ON e.id = a.effect_id"
    # Class natural writes its call down with the claim; what counts is that nothing was sent.
    assert (
        still.value(f"{started} WHERE e.operation_id = %s AND a.outcome = 'applied'", operation)
        == 0
    )


@pytest.mark.parametrize("loss", [*LOSSES, *OF_A_TOKEN])
def test_what_failed_is_not_finished_without_the_right(
    still: Still, jo: Asker, name: str, loss: str
) -> None:
    who = jo.token if loss in OF_A_TOKEN else jo.browser
    with still.acting("web"):
        told = issue.submit(who, ban(name))
        assert told.operation is not None
        {**LOSSES, **OF_A_TOKEN}[loss](jo)
    still.deliver(told.operation["id"])
    with still.acting("web"):
        try:
            again = issue.submit(who, ban(name))
        except (Unauthenticated, Refusal):
            pass
        else:
            assert (again.disposition, again.operation) == ("refused", None)
    assert still.state(told.operation["id"]) == "failed"


def test_a_token_that_ran_out_since_finishes_what_it_asked_for_and_asks_no_more(
    still: Still, jo: Asker, name: str, networks: Callable[[], str]
) -> None:
    """Its end was known when it asked; withdrawn is another thing: somebody trusts it no more."""
    with still.acting("web"):
        told = issue.submit(jo.token, ban(name))
        assert told.operation is not None
        over = "UPDATE api_token SET expires_at = clock_timestamp() WHERE id = %s RETURNING 1"
        still.rows(over, jo.token_id())
        with pytest.raises(Unauthenticated):
            issue.submit(jo.token, ban(networks()))
    still.deliver(told.operation["id"])
    assert still.state(told.operation["id"]) == "succeeded"


def test_what_another_set_going_since_runs_under_their_rights(
    still: Still, jo: Asker, name: str
) -> None:
    """Jo's ban fails for want of rights; ana asks for the same, and finishes it in her own name."""
    with still.acting("web"):
        told = issue.submit(jo.browser, ban(name))
        assert told.operation is not None
        administer.close(jo.sam, jo.id)
    still.deliver(told.operation["id"])
    resumed = still.submit(ban(name), by="ana")
    assert resumed.disposition == "resumed"
    still.deliver(told.operation["id"])
    assert still.state(told.operation["id"]) == "succeeded"
