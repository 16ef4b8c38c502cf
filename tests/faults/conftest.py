"""What the fault tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import prepared_cluster


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A console's cluster that was stopped: a test runs a copy of it."""
    if ready := os.environ.get("STEADYHAND_PREPARED"):  # as mutants have it
        yield Path(ready)
        return
    home = tmp_path_factory.mktemp("prepared") / "home"
    with prepared_cluster(home):
        pass
    yield home
