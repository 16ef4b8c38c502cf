"""What admins see on the board when somebody could not be told."""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import reverse
from django.utils.html import format_html

from actions import hearing
from console.wording import Outcome


def being_heard(*, administers: bool) -> list[Outcome]:
    """For an admin, that notices wait, were given up, were too many, or had nobody; for others, nothing."""
    if not administers:
        return []
    lines = list(_lines(hearing.trouble()))
    if not lines:
        return []
    where = format_html('Which, and why: <a href="{}">Notices</a>.', reverse("notices"))
    return [Outcome("doubt", "Not everybody who must hear is told", [*lines, where])]


def _lines(trouble: hearing.Trouble) -> Iterator[str]:
    if not hearing.mail_is_set():
        yield "No mail server is set: nobody is told by e-mail."
    if trouble.late:
        yield f"{_count(trouble.late)} waiting for 10 minutes or longer: a way to tell is not working."
    if trouble.lost:
        yield f"{_count(trouble.lost)} given up since yesterday."
    if trouble.dropped:
        yield f"{_count(trouble.dropped)} not sent since yesterday: too many at once for one person to read."
    if trouble.untold:
        yield (
            f"Of {trouble.untold} that happened since yesterday nobody could be told: nobody who must"
            " act has an address or an endpoint."
        )


def _count(number: int) -> str:
    return f"{number} notice{'s' * (number != 1)}"
