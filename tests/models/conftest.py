"""The database on which nothing runs, as the contract tests have it."""

from tests.contracts.conftest import networks, still

__all__ = ["networks", "still"]
