"""Rooms of Slack and Teams, by their incoming webhooks: a sentence and a link, and nothing to press."""

from __future__ import annotations

import json
from abc import abstractmethod

from actions.channels._base import Answers, Begin, Channel, Repeat, Told
from actions.channels.webhook import call
from actions.connectors._http import Reach
from actions.outcomes import Outcome


class _Room(Channel):
    """A room, by the URL that lets one post there."""

    repeat = Repeat.SEEN
    most_doubts = 5
    answers = Answers(
        identifies="What happened, and the room: one row for both, by a unique constraint.",
        recorded="In the table notice, before anything is sent.",
        retry="The same message, until it is taken: for a day at most.",
        duplicates=(
            "The message: these webhooks take no id to drop repeats by. Where an answer is lost it is"
            " posted again, up to five times in all, and may be seen as often."
        ),
    )

    def __init__(self, url: str, reach: Reach) -> None:
        self._url = url
        self._reach = reach

    def send(self, told: Told, begin: Begin) -> Outcome:
        body = json.dumps(self.message(told)).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "Steadyhand"}
        return call(self._url, body, headers, self._reach, begin)

    @abstractmethod
    def message(self, told: Told) -> dict[str, object]:
        """The message, as JSON values."""


def _about(told: Told) -> str:
    return f" {told.action}, on a {told.subject}." if told.ref else ""


class Slack(_Room):
    """An incoming webhook of Slack."""

    name = "slack"
    title = "Slack"

    def message(self, told: Told) -> dict[str, object]:
        said = f"{told.heading}. {told.text}{_about(told)}"
        for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            said = said.replace(sign, written)
        return {"text": f"{said}\n<{told.url}>", "unfurl_links": False, "unfurl_media": False}


class Teams(_Room):
    """A workflow of Teams, "when a webhook request is received": an Adaptive Card of text alone."""

    name = "teams"
    title = "Teams"

    def message(self, told: Told) -> dict[str, object]:
        lines = [
            {"type": "TextBlock", "text": told.heading, "weight": "bolder", "wrap": True},
            {"type": "TextBlock", "text": f"{told.text}{_about(told)}", "wrap": True},
            {"type": "TextBlock", "text": f"[{told.url}]({told.url})", "wrap": True},
        ]
        card = {"type": "AdaptiveCard", "version": "1.4", "body": lines}
        kind = "application/vnd.microsoft.card.adaptive"
        return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}
