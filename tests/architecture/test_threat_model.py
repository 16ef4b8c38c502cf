"""The threat model names tests that there are, and has a section for each attacker."""

from __future__ import annotations

import ast
import re

import pytest

from tests.console_process import ROOT

TEXT = (ROOT / "THREAT_MODEL.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
ATTACKERS = (
    "A stolen token",
    "A responder's browser",
    "The web process",
    "A worker",
    "The keeper",
    "The database owner",
)


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_test_that_is_named_is_there(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert test in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_no_test_is_named_in_another_form() -> None:
    assert TEXT.count("::") == len(re.findall(r"`tests/[\w/]+\.py::test_\w+`", TEXT))


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_each_attacker_has_a_section_with_tests(attacker: str) -> None:
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", TEXT, re.MULTILINE))
    assert "::test_" in sections[attacker]
    assert "Not bounded:" in sections[attacker]
