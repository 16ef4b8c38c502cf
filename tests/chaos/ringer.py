"""Rings workers as a keeper would, but with what it is told: a line of JSON, [[id, …], …], at a time."""

from __future__ import annotations

import json
import sys

from console import celery  # it sets Django up, which the next needs


def main() -> None:
    from actions.bell import ToCelery

    celery.app.set_default()
    line = ToCelery()
    for given in sys.stdin:
        try:
            for ids in json.loads(given):
                line.send(ids)
        except Exception:  # the broker is away: what is not told is not told
            line.close()


if __name__ == "__main__":
    main()
