"""A diagnosis and the disk: ``diagnosis.json``, its page, and tables for spreadsheets."""

from __future__ import annotations

import math
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from metriscope.diagnosis.result import Diagnosis
from metriscope.disk import plain_json, storage_errors, write_json, write_text
from metriscope.report import spreadsheets
from metriscope.store import FORMAT, RESULTS, finding_from_json, read_whole
from metriscope.types import ClassRow, Confusion, Examined, Finding, InputError, Interval, Item

T = TypeVar("T")
KIND = "diagnosis"
FILE = "diagnosis.json"
_ADVICE = "Free some space or choose another --out."


def to_json(examined: Examined) -> dict[str, Any]:
    """The content of ``diagnosis.json``: plain JSON types, null for what is undefined.

    An interval is ``[low, high]``.
    """
    return {
        "format": FORMAT,
        "kind": KIND,
        "about": plain_json(examined.about),
        "scores": plain_json(examined.scores),
        "intervals": plain_json(examined.intervals),
        "findings": [plain_json(asdict(finding)) for finding in examined.findings],
        "per_class": [plain_json(vars(row)) for row in examined.per_class],
        "confusions": [plain_json(vars(confusion)) for confusion in examined.confusions],
        "items": [plain_json(vars(item)) for item in examined.items],
    }


@contextmanager
def claimed(folder: str | Path) -> Iterator[None]:
    """Claim the folder while something is made for it; if that fails, none is left that was not.

    Raises:
        InputError, StorageError: as :func:`claim`.
    """
    folder = Path(folder)
    new = not folder.exists()
    claim(folder)
    try:
        yield
    except BaseException:
        if new:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
        raise


def claim(folder: str | Path) -> None:
    """Make the folder, or check that it may hold a diagnosis.

    Raises:
        InputError: it is a file, or holds a comparison or other files.
        StorageError: it cannot be written to.
    """
    folder = Path(folder)
    with storage_errors(folder, _ADVICE):
        if folder.exists() and not folder.is_dir():
            raise InputError(
                f"{folder} is a file; a diagnosis needs a folder: choose another --out."
            )
        folder.mkdir(parents=True, exist_ok=True)
        names = {p.name for p in folder.iterdir() if not p.name.startswith(".")}
    if RESULTS in names or "runs" in names:
        raise InputError(f"{folder} holds a comparison; choose another --out for the diagnosis.")
    if names and FILE not in names:
        raise InputError(
            f"{folder} holds other files ({', '.join(sorted(names)[:3])}) and no diagnosis; "
            "choose an empty or new folder with --out."
        )


def save(examined: Examined, folder: str | Path) -> None:
    """Write ``diagnosis.json``, ``classes.csv``, ``items.csv`` and ``report.html``.

    Each is whole or not there; an older diagnosis is replaced.

    Raises:
        InputError, StorageError: as :func:`claim`.
    """
    folder = Path(folder)
    claim(folder)
    with storage_errors(folder, _ADVICE):
        write_json(folder / FILE, to_json(examined))
        write_text(folder / "classes.csv", spreadsheets.classes(examined))
        write_text(folder / "items.csv", spreadsheets.items(examined))
    write_html(examined, folder / "report.html")


def write_html(examined: Examined, path: str | Path) -> None:
    """Write the page: one file that loads nothing.

    Raises:
        StorageError: the file cannot be written.
    """
    from metriscope.report import diagnosis_page

    diagnosis_page.write(examined, Path(path))


def load(folder: str | Path) -> Diagnosis:
    """Read a diagnosis.

    Args:
        folder: what ``--out`` was.

    Raises:
        InputError: no diagnosis there, an unreadable one, or another format.
    """
    again = "Run the same diagnose command again."
    return read_whole(Path(folder) / FILE, "diagnose", "diagnosis", again, _diagnosis)


def _diagnosis(data: Mapping[str, Any]) -> Diagnosis:
    if data["kind"] != KIND:
        raise ValueError(f"it holds a {data['kind']!r}, not a diagnosis")
    rows = data["per_class"]
    return Diagnosis(
        scores={str(name): _number(value) for name, value in data["scores"].items()},
        intervals={name: _interval(pair) for name, pair in data["intervals"].items()},
        per_class=_all(
            ClassRow,
            ({**r, "interval": r["interval"] and _interval(r["interval"])} for r in rows),
        ),
        confusions=_all(Confusion, data["confusions"]),
        items=_all(Item, data["items"]),
        findings=_all(Finding, (vars(finding_from_json(found)) for found in data["findings"])),
        about=dict(data["about"]),
    )


def _interval(pair: Sequence[float]) -> Interval:
    return Interval(*(math.nan if value is None else float(value) for value in pair))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _all(made: type[T], rows: Iterable[Mapping[str, Any]]) -> tuple[T, ...]:
    """Dataclasses of values as JSON left them; a null where there must be a float is NaN."""
    hints = get_type_hints(made)
    return tuple(_checked(made, hints, row) for row in rows)


def _checked(made: type[T], hints: Mapping[str, Any], row: Mapping[str, Any]) -> T:
    values = {k: math.nan if v is None and hints.get(k) is float else v for k, v in row.items()}
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise TypeError(f"{name} is {value!r}")
    return made(**values)


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(v, arguments[0]) for v in value)
    return isinstance(value, int | float if hint is float else hint)
