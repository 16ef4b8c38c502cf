"""As many trivial workflows by DBOS, on the database whose URL comes in on standard input.

Run as a process of its own: `python -m bench.dbos_side COUNT PROCESSES`. The workflows are all
queued first, while nobody listens; then executors start. Prints workflows a second from the first
that ended to the last, by the database's own times.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from typing import Any

import psycopg

QUEUE = "drain"
AT_ONCE = 8
"""Workflows that one executor has under way together."""


def _dbos(url: str) -> Any:
    from dbos import DBOS

    DBOS(config={"name": "drain", "system_database_url": url, "console_log_level": "ERROR"})

    @DBOS.step()
    def touch(number: int) -> int:
        return number

    @DBOS.workflow(name="drain")
    def drain(number: int) -> int:
        return touch(number)

    return DBOS


def _execute(url: str) -> None:
    executor = _dbos(url)
    executor.launch()
    executor.register_queue(QUEUE, worker_concurrency=AT_ONCE, polling_interval_sec=0.05)
    while True:
        time.sleep(60)


def _fill(url: str, count: int) -> None:
    from dbos import DBOSClient

    client = DBOSClient(system_database_url=url)
    for number in range(count):
        client.enqueue({"queue_name": QUEUE, "workflow_name": "drain"}, number)
    client.destroy()


_ENDED = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"
_RATE = """
SELECT count(*) * 1000.0 / nullif(max(updated_at) - min(updated_at), 0)
  FROM dbos.workflow_status WHERE status = 'SUCCESS'
"""


def main() -> None:
    url, count, processes = sys.stdin.readline().strip(), int(sys.argv[1]), int(sys.argv[2])
    tables = _dbos(url)
    tables.launch()
    tables.destroy()
    _fill(url, count)
    executors = [multiprocessing.Process(target=_execute, args=(url,)) for _ in range(processes)]
    for executor in executors:
        executor.start()
    try:
        with psycopg.connect(url, autocommit=True) as database:
            while (row := database.execute(_ENDED).fetchone()) and row[0] < count:
                time.sleep(0.2)
            rate = database.execute(_RATE).fetchone()
        print(float(rate[0]) if rate and rate[0] else 0.0)
    finally:
        for executor in executors:
            executor.kill()


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
