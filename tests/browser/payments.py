"""The example's payments database as its own administrator sees it: roles of which nobody knows yet."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from console import example
from tests.console_process import Console


class Payments:
    """Makes roles with passwords of their own, and signs in as them."""

    def __init__(self, console: Console) -> None:
        place = console.home / "example"
        known = json.loads((place / "postgres.json").read_text())
        self._where = {"host": "127.0.0.1", "port": known["port"], "dbname": example.DATABASE}
        self._superuser = {"user": "postgres", "password": known["password"]}

    @contextmanager
    def administrator(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(**self._where, **self._superuser, autocommit=True) as connection:
            yield connection

    def role(self, *, managed: bool = True) -> tuple[str, str]:
        """The name and the password of a new role; unless `managed`, the console may not change it."""
        name, password = f"test_{secrets.token_hex(4)}", secrets.token_urlsafe(18)
        with self.administrator() as at:
            form = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            at.execute(form.format(sql.Identifier(name), sql.Literal(password)))
        if managed:
            self.hand_over(name)
        return name, password

    def hand_over(self, name: str) -> None:
        """Let the console manage a role."""
        given = sql.SQL("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
        with self.administrator() as at:
            at.execute(given.format(sql.Identifier(name), sql.Identifier(example.MANAGERS[0])))

    def sign_in(self, name: str, password: str) -> psycopg.Connection[Any]:
        return psycopg.connect(**self._where, user=name, password=password, autocommit=True)

    def lets_in(self, name: str, password: str) -> bool:
        try:
            self.sign_in(name, password).close()
        except psycopg.OperationalError:
            return False
        return True
