"""A line to a database that does not answer is given up, and not used again."""

from __future__ import annotations

import time

import psycopg
import pytest

from actions import bounded
from actions.bounded import Bounded
from tests.contracts.inside import Still


def test_a_statement_that_is_not_answered_is_given_up_with_its_line(
    still: Still, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "ANSWERS_WITHIN", 0.5)
    line = Bounded.connect(still.dsn("worker"), autocommit=True)
    assert line.execute("SELECT 1").fetchone() == (1,)
    begun = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="no answer"):
        line.execute("SELECT pg_sleep(14)")
    assert time.monotonic() - begun < 7
    assert line.closed


def test_what_web_keepers_and_workers_use_is_given_up_in_time() -> None:
    from django.conf import settings

    assert settings.DATABASES["default"]["ENGINE"] == "console.postgresql"
    options = settings.DATABASES["default"]["OPTIONS"]
    assert {"connect_timeout", "tcp_user_timeout", "keepalives_idle"} <= set(options)
