"""Signed webhooks, as their own library verifies them; and rooms, with a link and nothing to press."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from standardwebhooks import Webhook, WebhookVerificationError

from actions import doors, endpoints, keyring, realms, telling
from actions.errors import NotFound, Refusal
from actions.keyring import CannotOpen
from tests.contracts.inside import Still, ban, refused, tampering
from tests.heard.conftest import Heard, park
from tests.heard.https import Server, serving

Let = Callable[..., None]


@pytest.fixture
def server(
    tmp_path: Path, outbound: Let, monkeypatch: pytest.MonkeyPatch, still: Still
) -> Iterator[Server]:
    """A receiver on loopback, which may be called."""
    monkeypatch.setattr(settings, "HOME", still.home)
    monkeypatch.setattr(settings, "PUBLIC_URL", "https://console.example.test")
    with serving(tmp_path, "localhost") as told:
        outbound(
            hosts=["localhost"],
            ports=[str(told.port)],
            networks=["127.0.0.0/8", "::1/128"],
            ca_file=str(told.ca),
        )
        yield told


class Receiver:
    """An endpoint, its server, and a ban by Ana that is parked and of which it is to be told."""

    def __init__(self, heard: Heard, still: Still, server: Server, name: str, channel: str) -> None:
        self.heard, self.still, self.server = heard, still, server
        self.name = f"soc-{uuid.uuid4().hex[:8]}"
        self.url = f"https://localhost:{server.port}/hooks/T0/B0/secretsecret"
        with still.acting("owner"):
            self.secret = endpoints.add(self.name, channel, self.url, ["parked"], doors.reach())
        self.operation, _ = still.issued(ban(name, reason="a reason that stays inside"))
        self.ref = str(still.value("SELECT ref FROM operation WHERE id = %s", self.operation))
        park(still, self.operation)
        heard.look()
        self.notice = heard.notice(self.operation, self.name)

    def tell(self) -> str:
        return self.heard.tell(self.notice)

    def verified(self, secret: str, at: int = -1) -> Any:
        sent = self.server.sent[at]
        headers = {name.lower(): value for name, value in sent.headers.items()}
        return Webhook(secret).verify(sent.body, headers)


@pytest.fixture
def receiver(heard: Heard, still: Still, server: Server, name: str) -> Receiver:
    return Receiver(heard, still, server, name, "webhook")


def test_a_webhook_is_verified_by_its_library_and_says_where_to_look_and_nothing_of_why(
    receiver: Receiver,
) -> None:
    assert receiver.tell() == "succeeded"
    told = receiver.verified(receiver.secret)
    assert told["type"] == "operation.parked"
    assert told["data"] == {
        "ref": receiver.ref,
        "action": "Ban a network",
        "subject_kind": "network",
        "url": f"https://console.example.test/operations/{receiver.ref}",
    }
    (sent,) = receiver.server.sent
    assert b"stays inside" not in sent.body and b"198.18" not in sent.body
    for wrong in ("whsec_" + "A" * 43 + "=", receiver.secret.swapcase().replace("WHSEC", "whsec")):
        with pytest.raises(WebhookVerificationError):
            receiver.verified(wrong)


def test_a_repeat_has_the_same_id_and_body_and_is_signed_anew(receiver: Receiver) -> None:
    receiver.server.answers = ["drop", 500, 429]
    assert receiver.tell() == "in_doubt"
    assert receiver.tell() == "in_doubt"
    assert receiver.tell() == "in_doubt"  # once it may have arrived, a "not now" does not unsay it
    assert receiver.tell() == "succeeded"
    sent = receiver.server.sent
    assert len(sent) == 4
    assert len({(one.headers["webhook-id"], one.body) for one in sent}) == 1
    for at in range(4):
        receiver.verified(receiver.secret, at)


def test_two_secrets_sign_while_one_is_replaced(receiver: Receiver, still: Still) -> None:
    with still.acting("owner"):
        newer = endpoints.rotate(receiver.name)
        with pytest.raises(Refusal, match="retire the older first"):
            endpoints.rotate(receiver.name)
    assert receiver.tell() == "succeeded"
    receiver.verified(receiver.secret)
    receiver.verified(newer)
    with still.acting("owner"):
        endpoints.retire(receiver.name)
        with pytest.raises(Refusal, match="no older secret"):
            endpoints.retire(receiver.name)
        endpoints.test(receiver.name)
    test = still.value(
        "SELECT n.id FROM notice n JOIN happening h ON h.id = n.happening_id JOIN endpoint p"
        " ON p.id = n.endpoint_id WHERE h.kind = 'test' AND p.name = %s",
        receiver.name,
    )
    assert receiver.heard.tell(test) == "succeeded"
    assert receiver.verified(newer)["type"] == "console.test"
    with pytest.raises(WebhookVerificationError):
        receiver.verified(receiver.secret)


def test_the_database_lets_no_third_secret_in(receiver: Receiver, still: Still) -> None:
    third = (
        "INSERT INTO endpoint_secret (endpoint_id, what, number, slot, key_id, sealed)"
        " SELECT endpoint_id, what, %s, %s, key_id, sealed FROM endpoint_secret s JOIN endpoint p"
        " ON p.id = s.endpoint_id WHERE p.name = %s AND what = 'signing'"
    )
    with still.database() as at:
        assert refused(at, third, 3, 1, receiver.name)[1] == "endpoint_has_two_secrets_at_most"
        assert refused(at, third, 3, 0, receiver.name)[1] == "endpoint_secret_has_its_slot"
        assert refused(at, third, 2, 0, receiver.name) == ("", "")


@pytest.mark.parametrize(
    ("answer", "state"),
    [(204, "succeeded"), (302, "failed"), (400, "failed"), (410, "failed"), (429, "ready")],
)
def test_what_an_endpoint_answers_decides(receiver: Receiver, answer: int, state: str) -> None:
    receiver.server.answers = [answer]
    receiver.server.headers = {"Location": "https://localhost/"}
    assert receiver.tell() == state
    assert len(receiver.server.sent) == 1


def test_an_endpoint_is_waited_for_as_long_as_it_asks(receiver: Receiver) -> None:
    receiver.server.answers, receiver.server.headers = [429], {"Retry-After": "1800"}
    assert receiver.tell() == "ready"
    row = receiver.heard.row(receiver.notice)
    assert (row["run_at"] - row["began_at"]).total_seconds() >= 1790


def test_where_nothing_may_be_called_nothing_is_whatever_the_database_says(
    receiver: Receiver, outbound: Let
) -> None:
    outbound(hosts=["elsewhere.test"])
    assert receiver.tell() == "failed"
    said = receiver.heard.row(receiver.notice)["message"]
    assert said == "localhost is not among the hosts that may be called."
    assert receiver.server.sent == []


def test_an_address_inside_is_not_called_unless_it_is_allowed(
    receiver: Receiver, outbound: Let
) -> None:
    outbound(networks=[])
    assert receiver.tell() == "ready"
    assert "an address that may not be called" in receiver.heard.row(receiver.notice)["message"]
    assert receiver.server.sent == []


def test_an_endpoint_that_is_off_or_wants_other_kinds_hears_nothing(
    receiver: Receiver, still: Still, name: str
) -> None:
    with still.acting("owner"):
        endpoints.change(receiver.name, doors.reach(), kinds=["break_glass"])
    assert receiver.tell() == "cancelled"
    assert receiver.server.sent == []


def test_an_endpoint_is_not_told_of_a_restricted_incident(
    heard: Heard, receiver: Receiver, still: Still, networks: Callable[[], str]
) -> None:
    from actions.incidents import open_incident

    with still.acting("web"):
        incident, _ = open_incident(still.caller("ana"), "insider", uuid.uuid4().hex)
    operation, _ = still.issued(ban(networks(), incident=incident.number))
    park(still, operation)
    heard.look()
    assert receiver.name in heard.told(operation, "parked")
    with still.database() as at:
        at.execute("UPDATE incident SET restricted = true WHERE id = %s", [incident.id])
    assert heard.tell(heard.notice(operation, receiver.name)) == "cancelled"
    assert receiver.server.sent == []


def test_an_endpoint_is_told_of_what_was_only_repeated_in_a_restricted_incident(
    receiver: Receiver, still: Still
) -> None:
    from actions.incidents import open_incident

    with still.acting("web"):
        key = uuid.uuid4().hex
        incident, _ = open_incident(still.caller("raj"), "insider", key, restricted=True)
    name = still.value(
        "SELECT s.name FROM operation o JOIN subject s ON s.id = o.subject_id WHERE o.id = %s",
        receiver.operation,
    )
    told = still.submit(ban(name, incident=incident.number), "raj")
    assert told.operation["id"] == receiver.operation
    assert receiver.tell() == "succeeded"
    assert len(receiver.server.sent) == 1


def test_what_a_failover_lost_is_told_an_endpoint_again_under_the_same_id(
    receiver: Receiver, still: Still
) -> None:
    assert receiver.tell() == "succeeded"
    of_it = "happening_id IN (SELECT id FROM happening WHERE operation_id = %s)"
    with (
        tampering(still, "notice", "notice_is_kept"),
        tampering(still, "happening", "happening_is_kept") as at,
    ):
        at.execute(f"DELETE FROM notice WHERE {of_it}", [receiver.operation])
        at.execute("DELETE FROM happening WHERE operation_id = %s", [receiver.operation])
    receiver.heard.look()
    receiver.notice = receiver.heard.notice(receiver.operation, receiver.name)
    assert receiver.tell() == "succeeded"
    assert len(receiver.server.sent) == 2
    assert len({one.headers["webhook-id"] for one in receiver.server.sent}) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"url": "https://elsewhere.test/"}, "not among the hosts"),
        ({"url": "http://localhost/"}, "Only https"),
        ({"kinds": ["everything"]}, "no kind everything"),
        ({"name": "A room"}, "a-z"),
        ({"channel": "pager"}, "webhook, slack, teams"),
    ],
)
def test_an_endpoint_that_cannot_be_called_is_not_set_up(
    server: Server, still: Still, change: dict[str, Any], why: str
) -> None:
    url = f"https://localhost:{server.port}/x"
    given = {"name": "a-room", "channel": "slack", "url": url, "kinds": ["parked"], **change}
    with still.acting("owner"), pytest.raises(Refusal, match=why):
        endpoints.add(**given, reach=doors.reach())
    assert still.value("SELECT count(*) FROM endpoint WHERE name IN ('a-room', 'A room')") == 0
    with still.acting("owner"), pytest.raises(NotFound):
        endpoints.rotate("nobody")


def test_urls_and_secrets_are_sealed_and_bound_and_go_with_the_realms_keys(
    receiver: Receiver, still: Still
) -> None:
    rows = still.rows(
        "SELECT s.what, s.sealed FROM endpoint_secret s JOIN endpoint p ON p.id = s.endpoint_id"
        " WHERE p.name = %s",
        receiver.name,
    )
    assert {what for what, _ in rows} == {"url", "signing"}
    for _, sealed in rows:
        assert b"secretsecret" not in bytes(sealed) and receiver.secret[6:].encode() not in bytes(
            sealed
        )
    with still.acting("owner"):
        before = keyring.load(still.home, keyring.REALMS).current
        rotated = realms.rotate_keys()
        assert rotated.key != before
        assert keyring.load(still.home, keyring.REALMS).ids == {rotated.key}
    assert receiver.tell() == "succeeded"
    receiver.verified(receiver.secret)


def test_one_endpoints_secret_cannot_stand_in_for_anothers(
    receiver: Receiver, heard: Heard, still: Still, server: Server, networks: Callable[[], str]
) -> None:
    other = Receiver(heard, still, server, networks(), "webhook")
    with still.database() as at:
        at.execute(
            "UPDATE endpoint_secret s SET sealed = o.sealed, key_id = o.key_id"
            " FROM endpoint p, endpoint q, endpoint_secret o"
            " WHERE p.id = s.endpoint_id AND p.name = %s AND q.name = %s"
            " AND o.endpoint_id = q.id AND o.what = s.what",
            [other.name, receiver.name],
        )
    held = still.value("SELECT id FROM endpoint WHERE name = %s", other.name)
    from actions.models import Endpoint

    with still.acting("worker"), pytest.raises(CannotOpen):
        endpoints.opened(keyring.load(still.home, keyring.REALMS), Endpoint.objects.get(id=held))
    assert other.tell() == "ready"
    said = heard.row(other.notice)["message"]
    assert said == "It could not be made ready: CannotOpen."


def test_one_endpoint_that_hangs_holds_up_no_other(
    heard: Heard, still: Still, server: Server, networks: Callable[[], str]
) -> None:
    with still.database() as at:
        at.execute(
            "UPDATE notice SET run_at = now() + interval '1 h' WHERE state IN ('ready', 'in_doubt')"
        )
    slow, other = (Receiver(heard, still, server, networks(), "webhook") for _ in range(2))
    for _ in range(5):
        operation, _ = still.issued(ban(networks()))
        park(still, operation)
    heard.look()
    with still.acting("worker"):
        due = [one.to for one in telling.due(0, 2)]
    ids = dict(still.rows("SELECT name, id::text FROM endpoint"))
    # Each was told of all: what the first has waiting takes no place from the second.
    assert sorted(due) == sorted([ids[slow.name]] * 2 + [ids[other.name]] * 2)


# Rooms.
@pytest.mark.parametrize("channel", ["slack", "teams"])
def test_a_room_is_told_with_a_link_and_nothing_to_press(
    heard: Heard, still: Still, server: Server, name: str, channel: str
) -> None:
    room = Receiver(heard, still, server, name, channel)
    assert room.secret == ""
    assert room.tell() == "succeeded"
    (sent,) = server.sent
    assert "webhook-signature" not in {name.lower() for name in sent.headers}
    said = json.loads(sent.body)
    whole = json.dumps(said)
    assert f"https://console.example.test/operations/{room.ref}" in whole
    assert "stays inside" not in whole
    assert not {"actions", "blocks", "selectAction"} & keys(said)
    if channel == "slack":
        assert said["text"].endswith(f"<https://console.example.test/operations/{room.ref}>")
    else:
        (card,) = said["attachments"]
        assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
        assert {line["type"] for line in card["content"]["body"]} == {"TextBlock"}


def keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for one in value.values() for key in keys(one)}
    return {key for one in value for key in keys(one)} if isinstance(value, list) else set()


def test_a_room_that_gives_no_answer_is_told_again_a_few_times_only(
    heard: Heard, still: Still, server: Server, name: str
) -> None:
    room = Receiver(heard, still, server, name, "slack")
    server.answers = ["drop"] * 10
    assert [room.tell() for _ in range(5)] == ["in_doubt"] * 4 + ["failed"]
    assert room.tell() == "failed"
    assert len(server.sent) == 5
