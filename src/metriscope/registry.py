"""One file, one component: the folder is the list, a decorator is the door, names are unique.

A :class:`Registry` knows its components from three places: the modules of its package (one file
each, named like the component), the entry points of installed packages (group
``metriscope.<kind>``), and whatever was registered at run time. Listing and describing read
source text only, so ``metriscope list losses`` needs no torch.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.util
import inspect
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from metriscope.types import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A component as ``metriscope list`` shows it. ``parameters`` maps names to defaults."""

    name: str
    summary: str
    parameters: dict[str, Any]


class Registry(Generic[T]):
    """The components of one kind.

    Args:
        kind: what one of them is called in messages, ``loss``.
        package: where their files are, ``metriscope.losses``; also the entry-point group.
        hyphens: names have ``-`` where their files have ``_``: ``clip-vit-b32``.
    """

    def __init__(self, kind: str, package: str, hyphens: bool = False) -> None:
        self.kind, self.package, self.hyphens = kind, package, hyphens
        self._objects: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: make the class or function known as ``name``.

        Raises:
            InputError: another object already has the name.
        """

        def add(component: T) -> T:
            known = self._objects.get(name)
            other = self._module_of(name) if known is None else _home(known)
            mine = _module(component) if known is None else _home(component)
            if other is not None and other != mine:
                raise InputError(
                    f"the {self.kind} {name!r} is defined twice: in {other} and in "
                    f"{_home(component)}. Names are unique: rename one."
                )
            self._objects[name] = component
            return component

        return add

    def names(self) -> list[str]:
        """Every known name, sorted. Imports nothing."""
        return sorted({*self.discoverable(), *self._objects})

    def discoverable(self) -> set[str]:
        """Names that any process finds: those of files and entry points."""
        return {*self._files(), *self._entry_points()}

    def get(self, name: str) -> T:
        """The component called ``name``, imported now if need be.

        Raises:
            InputError: unknown; the message has the nearest name and all of them.
        """
        if name not in self._objects:
            if name in self._files():
                importlib.import_module(f"{self.package}.{self._files()[name].stem}")
            elif name in self._entry_points():
                self.register(name)(self._entry_points()[name].load())
        if name not in self._objects:
            raise InputError(unknown(self.kind, name, self.names()))
        return self._objects[name]

    def describe(self, name: str) -> Entry:
        """Summary and parameters, read from the source text."""
        file = self._files().get(name)
        if file is not None and name not in self._objects:
            source = file.read_text(encoding="utf-8")
        else:
            source = textwrap.dedent(inspect.getsource(inspect.unwrap(cast(Any, self.get(name)))))
        return _read_entry(name, source)

    def all(self) -> dict[str, T]:
        """Every component by name, all imported."""
        return {name: self.get(name) for name in self.names()}

    def _module_of(self, name: str) -> str | None:
        """The module that a name will be loaded from, if it is not yet."""
        if name in self._files():
            return f"{self.package}.{self._files()[name].stem}"
        point = self._entry_points().get(name)
        return None if point is None else point.module

    def _files(self) -> dict[str, Path]:
        spec = importlib.util.find_spec(self.package)
        folders = (spec.submodule_search_locations if spec else None) or []
        return {
            file.stem.replace("_", "-") if self.hyphens else file.stem: file
            for folder in folders
            for file in Path(folder).glob("*.py")
            if not file.stem.startswith("_") and file.stem != "base"
        }

    def _entry_points(self) -> dict[str, EntryPoint]:
        return _installed(self.package)


@functools.cache
def _installed(group: str) -> dict[str, EntryPoint]:
    """Once a process: to look through what is installed takes milliseconds."""
    return {point.name: point for point in entry_points(group=group)}


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    """``unknown loss 'tripelt'; did you mean triplet? Available: …``."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else "."
    return f"unknown {kind} {name!r}{hint} Available: {', '.join(names) or 'none'}."


def _module(component: object) -> str:
    return str(getattr(component, "__module__", "?"))


def _home(component: object) -> str:
    return f"{_module(component)}.{getattr(component, '__qualname__', '?')}"


def _read_entry(name: str, source: str) -> Entry:
    """The decorated class or function in ``source``: its first docstring line and its keywords."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and any(
            _decorates(decorator, name) for decorator in node.decorator_list
        ):
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            makers = [node] if isinstance(node, ast.FunctionDef) else node.body
            for maker in makers:
                if isinstance(maker, ast.FunctionDef) and maker.name in ("__init__", node.name):
                    pairs = zip(maker.args.kwonlyargs, maker.args.kw_defaults, strict=True)
                    given = {a.arg: _literal(d) for a, d in pairs if d is not None}
                    return Entry(name, summary, given)
            return Entry(name, summary, {})
    raise InputError(f"{name}: no class or function registered as {name!r} in its file.")


def _decorates(decorator: ast.expr, name: str) -> bool:
    return (
        isinstance(decorator, ast.Call)
        and bool(decorator.args)
        and isinstance(decorator.args[0], ast.Constant)
        and decorator.args[0].value == name
    )


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
