"""A short run of chaos by a seed with each broker, and with none. One that fails has found a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import Plan, chaos

RUNS = {"none": (21, 0.5), "pgmq": (22, 0.6), "rabbitmq": (23, 0.45), "redis": (24, 0.35)}
"""Seed and minutes of faults."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("broker", RUNS)
def test_nothing_is_lost_or_doubled_whatever_dies(broker: str, tmp_path: Path) -> None:
    seed, minutes = RUNS[broker]
    plan = Plan(seed, minutes, broker=broker, every=0.8, restart_every=8, deaths=5, restarts=2)
    report = chaos(plan, tmp_path)
    assert report.verdict == "passed", report
