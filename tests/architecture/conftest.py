"""The fixtures of the architecture tests."""

from __future__ import annotations

import pytest

from tests.contracts import inside
from tests.contracts.inside import Still


@pytest.fixture(scope="session")
def still() -> Still:
    """The same still console that the contract tests use."""
    return inside.still()
