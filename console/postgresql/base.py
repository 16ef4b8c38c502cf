"""Django's PostgreSQL backend, with a connection that does not wait for ever."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import IsolationLevel

from actions.bounded import Bounded


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's, without its options for a pool and for isolation, which are not used here."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Bounded:
        self.isolation_level = IsolationLevel.READ_COMMITTED
        return Bounded.connect(**conn_params)
