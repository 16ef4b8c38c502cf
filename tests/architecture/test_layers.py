"""The layers: a module imports only from rows below its own (`architecture.md` of the design)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

# From the top. A name with a star stands for all that no other row names.
# A row goes on in lines that are indented.
ROWS = [
    row.split()
    for row in """
console.wsgi
console.urls console.run console.management.commands.*
console.celery
console.views.overload
console.api.handler
console.api
console.api.keep console.api.rates
console.api.drafts console.api.verbs console.api.incidents
console.api.* console.views.*
console.views.administering console.views.wide console.views.pressed
console.views.errors console.api.auth console.api.shapes console.views.rows console.views.deeds
  console.views.effects console.views.draft_rows
  console.pictures console.record console.chronicle console.forms console.troubles
console.knocking console.proof console.api.bodies
console.admission
console.views.loading console.api.errors console.api.strict console.access console.wording
  console.waiting console.world console.supervise console.pgmq console.pool console.redis_bell
console.approval_words
console.example console.trial console.steps console.clock console.derived console.ceilings
console.hop
console.embedded console.trial_line console.leftovers console.broker
console.account console.one_run console.postgresql.base console.sessions
console.roles
actions.apps
actions.inbox actions.since
actions.keeper actions.recover actions.prepare actions.finish actions.decide actions.withdraw actions.undo
  actions.approve actions.keep
actions.bell actions.teller
actions.hearing
actions.tell
actions.telling actions.endpoints
actions.tasks actions.hands actions.act actions.incidents
actions.remains actions.dossier actions.timeline
actions.issue actions.deliver actions.reader actions.reconcile actions.ends
  actions.history actions.arrivals
  actions.now actions.protect actions.reach actions.overview actions.records actions.blocklists actions.paused
actions.naming
actions.compare actions.outbox actions.objection actions.answer actions.read
actions.case
actions.spared actions.keyed actions.awaited actions.mended actions.timelines actions.forgotten
actions.undoable actions.limits
actions.ask
actions.force
actions.incident_rules actions.standing actions.realms actions.adapters actions.settle
actions.administer actions.roster
actions.plan actions.policy actions.sight actions.log actions.steps actions.made actions.checks actions.values
  actions.approvals actions.break_glass actions.protection actions.health
actions.doors
actions.models
actions.models.*
actions.models.subject
actions.registry
actions.channels.rooms
actions.channels.*
actions.connectors.django_sessions
actions.catalogue.* actions.connectors.*
actions.catalogue._accounts
actions.connectors._pg_*
actions.connectors._pg_roles actions.connectors._http actions.channels._base
actions.catalogue._* actions.connectors._*
actions.keys actions.subjects actions.outcomes actions.heard actions.known
actions.realm_names actions.translated
console.settings
console.limits console.rooms
actions.states actions.errors actions.database actions.faults actions.sweeping actions.keyring
actions actions.catalogue actions.channels actions.connectors console console.apps
  console.views console.templatetags console.templatetags.* console.management console.management.commands
  console.postgresql actions.bounded
""".replace("\n  ", " ")
    .strip()
    .splitlines()
]
PURE = (
    "actions.catalogue",
    "actions.channels",
    "actions.connectors",
    "actions.heard",
    "actions.states",
    "actions.keys",
    "actions.subjects",
)
LONGEST_FUNCTION = 50
LONGEST_FILE = 320


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {
    _name(path): path
    for top in ("actions", "console")
    for path in sorted((ROOT / top).rglob("*.py"))
    if "migrations" not in path.parts
}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text())


def imported(module: str) -> Iterator[str]:
    """Every module that this one imports, anywhere in it: ours by their own names."""
    package = FILES[module].stem == "__init__"
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                up = parts[: len(parts) - node.level + package]
                base = ".".join([*up, base]).rstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in FILES else base


def ours(module: str) -> set[str]:
    return {name for name in imported(module) if name in FILES and name != module}


@cache
def row_of(module: str) -> int:
    """The row of the most particular name that takes the module: its own, or the longest star."""
    taking = [
        (name == module, len(name), number)
        for number, row in enumerate(ROWS)
        for name in row
        if fnmatchcase(module, name)
    ]
    assert taking, f"{module} stands in no row: say in the list what it builds on"
    return max(taking)[2]


@pytest.mark.parametrize("module", FILES)
def test_a_module_imports_only_from_rows_below_its_own(module: str) -> None:
    row = row_of(module)
    wrong = {name for name in ours(module) if row_of(name) <= row}
    assert not wrong, f"{module} (row {row + 1}) imports {sorted(wrong)}"


def test_the_list_names_nothing_that_is_not_there() -> None:
    gone = [name for row in ROWS for name in row if "*" not in name and name not in FILES]
    assert not gone


def test_no_module_imports_itself_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above, module))
        if module not in done:
            for name in ours(module):
                visit(name, (*above, module))
            done.add(module)

    for module in FILES:
        visit(module, ())


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith(PURE)])
def test_what_is_pure_imports_neither_django_nor_models(module: str) -> None:
    for name in imported(module):
        assert name.split(".")[0] not in {"django", "guardian", "ninja"}, name
        assert not name.startswith(("actions.models", "console")), name


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("actions")])
def test_the_domain_knows_nothing_of_the_doors(module: str) -> None:
    assert not [name for name in imported(module) if name.split(".")[0] == "console"]


@pytest.mark.parametrize("module", FILES)
def test_a_module_opens_with_one_sentence(module: str) -> None:
    if not FILES[module].read_text().strip():
        return
    said = ast.get_docstring(tree(module))
    assert said, "say in one sentence what it is for"
    first = said.split("\n\n")[0]
    assert first.endswith((".", ":")) and len(first) <= 240, first


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("module", FILES)
def test_a_function_fits_a_glance(module: str) -> None:
    long = {
        f.name: lines
        for f in functions(module)
        if f.end_lineno and (lines := f.end_lineno - f.lineno + 1) > LONGEST_FUNCTION
    }
    assert not long


@pytest.mark.parametrize("module", FILES)
def test_a_file_holds_one_idea(module: str) -> None:
    lines = len(FILES[module].read_text().splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines: split it"


def test_most_functions_are_short() -> None:
    sizes = sorted(f.end_lineno - f.lineno + 1 for m in FILES for f in functions(m) if f.end_lineno)
    assert sizes[len(sizes) // 2] <= 10
    assert sizes[len(sizes) * 95 // 100] <= 30


# Pages and code hold no script or style of their own: the content policy would refuse it.
PAGES = sorted((ROOT / "templates").rglob("*.html"))
TAG = r"<[a-zA-Z][^<>]*?\s"
INLINE = {
    "a script in the page": re.compile(r"<script\b(?![^>]*\bsrc\s*=)", re.I),
    "a style in the page": re.compile(r"<style\b", re.I),
    "a style attribute": re.compile(TAG + r"style\s*=", re.I),
    "an event attribute": re.compile(TAG + r"(?:on[a-z]+|hx-on[:\w-]*)\s*=", re.I),
    "a script for an address": re.compile(r"=\s*[\"']?\s*javascript:", re.I),
    "a script from elsewhere": re.compile(r"<script[^>]*src\s*=\s*[\"']?(?:https?:)?//", re.I),
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.parametrize("what", INLINE)
def test_no_page_holds_script_or_style(page: Path, what: str) -> None:
    found = INLINE[what].search(without_template_tags(page.read_text()))
    assert not found, found


def without_template_tags(text: str) -> str:
    """The text with `{% … %}`, `{{ … }}` and `{# … #}` taken out: they may hold `>`."""
    return re.sub(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", "", text, flags=re.S)


@pytest.mark.parametrize("module", FILES)
def test_no_python_file_holds_script_or_style(module: str) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for what, pattern in INLINE.items():
                assert not pattern.search(node.value), f"line {node.lineno}: {what}"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("<script>go()</script>", "a script in the page"),
        ('<p class="x" style="color: red">', "a style attribute"),
        ("<button\n  onclick=go()>", "an event attribute"),
        ('<b hx-on:click="go()">', "an event attribute"),
        ('<a href="javascript:go()">', "a script for an address"),
        ('<script src="https://elsewhere/x.js"></script>', "a script from elsewhere"),
    ],
)
def test_the_patterns_find_what_they_are_for(text: str, what: str) -> None:
    assert INLINE[what].search(text)
    assert not INLINE[what].search('<script src="/static/x.js" defer></script><p class="on">style=')
