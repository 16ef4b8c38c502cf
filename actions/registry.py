"""The catalogue and the connectors, found by looking into their folders, checked, then sealed."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from importlib import metadata
from types import ModuleType
from typing import Any, TypeGuard

from actions import catalogue, connectors
from actions.catalogue._base import Action
from actions.connectors._base import Connector
from actions.errors import NotFound

ENTRY_POINTS = "steadyhand.connectors"


def _refuse_unanswered(action: Action) -> None:
    for question in fields(action.answers):
        if len(str(getattr(action.answers, question.name)).split()) < 5:
            raise ValueError(f"{action.name} does not answer: {question.name}")


class Registry:
    """Actions and connector classes by name. Sealed once loaded: adding later is a mistake."""

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}
        self._connectors: dict[str, type[Connector]] = {}
        self._sealed = False

    def add(self, entry: Action | type[Connector]) -> None:
        """Register one entry. Raises ValueError: sealed, name taken, or a question unanswered."""
        if self._sealed:
            raise ValueError("the registry is sealed")
        if entry.name in self._actions or entry.name in self._connectors:
            raise ValueError(f"{entry.name} is registered twice")
        if isinstance(entry, Action):
            _refuse_unanswered(entry)
            self._actions[entry.name] = entry
        else:
            self._connectors[entry.name] = entry

    def load(self, extra: Iterable[str] = ()) -> None:
        """Register what our own packages hold, other packages' connectors, and seal.

        Another package names its connectors as entry points of the group `steadyhand.connectors`:
        each a class, or a module that holds some. `extra` are the names of more such modules.
        """
        for kind in _found(catalogue, Action):
            self.add(kind())
        for adapter in _found(connectors, Connector):
            self.add(adapter)
        for given in (*_entry_points(), *map(importlib.import_module, extra)):
            for adapter in _in(given, Connector) if isinstance(given, ModuleType) else (given,):
                self.add(adapter)
        self._sealed = True

    def action(self, name: object) -> Action:
        """The action of that name. Raises NotFound `unknown_action`."""
        if not isinstance(name, str) or name not in self._actions:
            raise NotFound("unknown_action", "There is no such action in the catalogue.")
        return self._actions[name]

    def find(self, name: str) -> Action | None:
        """The action of that name; None once it has left the catalogue: what it did is still read."""
        return self._actions.get(name)

    def holds(self, name: str, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
        """What the action says of `known`; once it has left the catalogue, whether they are equal."""
        action = self._actions.get(name)
        return known == wanted if action is None else action.holds(known, wanted)

    def makes(self, capability: str) -> bool:
        """Whether something is made for it, such as a new password, that is shown to who asked."""
        return any(self._connectors[n].offers[capability].makes for n in self.offering(capability))

    def result(self, name: str, effects: Iterable[Mapping[str, Any]]) -> dict[str, object]:
        """What the action reads out of its effects; nothing once it has left the catalogue."""
        action = self._actions.get(name)
        return {} if action is None else action.result(effects)

    def actions(self) -> tuple[Action, ...]:
        """Every action, by group and title."""
        return tuple(sorted(self._actions.values(), key=lambda a: (a.group, a.title)))

    def connector(self, name: str) -> type[Connector]:
        """The connector class of that name. Raises KeyError."""
        return self._connectors[name]

    def find_connector(self, name: str) -> type[Connector] | None:
        """The connector class of that name; None once it has been taken out: its realms stay."""
        return self._connectors.get(name)

    def connectors(self) -> tuple[type[Connector], ...]:
        """Every connector class, by name."""
        return tuple(self._connectors[name] for name in sorted(self._connectors))

    def offering(self, capability: str) -> list[str]:
        """The names of the connectors that offer `capability`."""
        return sorted(n for n, c in self._connectors.items() if capability in c.offers)

    @contextmanager
    def only(self, *entries: Action | type[Connector]) -> Iterator[None]:
        """For tests: hold just `entries` meanwhile."""
        kept = self._actions, self._connectors, self._sealed
        self._actions, self._connectors, self._sealed = {}, {}, False
        try:
            for entry in entries:
                self.add(entry)
            yield
        finally:
            self._actions, self._connectors, self._sealed = kept


def _found(package: ModuleType, base: type) -> Iterator[type[Any]]:
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.name.rpartition(".")[2].startswith("_"):
            yield from _in(importlib.import_module(module.name), base)


def _in(module: ModuleType, base: type) -> Iterator[type[Any]]:
    for name, kind in inspect.getmembers(module, inspect.isclass):
        ours = issubclass(kind, base) and kind.__module__ == module.__name__
        if ours and not name.startswith("_"):
            yield kind


def _entry_points() -> Iterator[ModuleType | type[Connector]]:
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        given = entry.load()
        if not isinstance(given, ModuleType) and not _is_connector(given):
            raise ValueError(f"the entry point {entry.name} is no connector")
        yield given


def _is_connector(given: object) -> TypeGuard[type[Connector]]:
    return isinstance(given, type) and issubclass(given, Connector)


registry = Registry()
