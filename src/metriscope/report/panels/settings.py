"""What was run, on what, with what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from metriscope.report.columns import Column
from metriscope.report.evidence import Evidence
from metriscope.report.panels import register
from metriscope.report.panels.base import Panel
from metriscope.report.tables import Cell, Row, Table, number
from metriscope.types import RunResult

_ABOUT = {
    "source": "Source",
    "dataset": "Data set",
    "split": "Train / test split",
    "train_rows": "Training rows",
    "validation_rows": "Validation rows",
    "test_rows": "Test rows",
    "classes": "Classes",
    "dim": "Feature dimensions",
    "singletons": "Classes with one row",
    "command": "Command",
    "machine": "Machine",
}


@register("settings")
class Settings(Panel):
    """Everything that is needed to run the comparison again."""

    title = "Settings: what was run"
    order = 90

    def frame(self, evidence: Evidence) -> Table:
        """One row a setting."""
        results = evidence.results
        about = results.about
        pairs = [
            (label, about[key]) for key, label in _ABOUT.items() if about.get(key) not in (None, "")
        ]
        if about.get("seconds") is not None:
            pairs.append(("Time, all runs", f"{number(about['seconds'], 1)} s"))
        pairs += [("Note", note) for note in about.get("notes") or ()]
        pairs += _tuning(about.get("tuning") or {})
        pairs += [(f"Sweep: {k}", _values(v)) for k, v in (about.get("sweep") or {}).items()]
        pairs += _shared(results.runs)
        pairs += _features(about.get("features") or {})
        pairs += [(f"Loss: {loss}", _loss(runs)) for loss, runs in results.by_loss().items()]
        pairs += [(f"Version: {k}", v) for k, v in _versions(results.runs).items()]
        return Table(
            self.title,
            "The same command on the same data gives the same numbers on one machine.",
            (Column("Value", words=True),),
            tuple(Row(name, (Cell(str(value)),)) for name, value in pairs),
            head="Setting",
        )


def _shared(runs: Sequence[RunResult]) -> list[tuple[str, str]]:
    """What the specifications say beside loss and seed; several values where runs differ."""
    if not runs:
        return []
    specs = [run.spec for run in runs]
    return [
        ("Seeds", _values(s.seed for s in specs)),
        ("Validation share", _values(s.validation or "none" for s in specs)),
        ("Epochs", _values(s.epochs for s in specs)),
        ("Batch size", _values(s.batch_size for s in specs)),
        ("Sampler", _values(s.sampler for s in specs)),
        ("Features from", _values(s.backbone for s in specs)),
        ("Head", _values(_words(asdict(s.head)) for s in specs)),
        ("Optimiser", _values(_words(asdict(s.optimizer)) for s in specs)),
        ("Number type", _values(s.dtype for s in specs)),
        ("Data fingerprint", _values(s.fingerprint for s in specs)),
    ]


def _tuning(tuning: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What every loss was given to be tuned with."""
    if not tuning:
        return []
    said = f"{tuning.get('budget')} trials for every loss, by {tuning.get('score')}"
    return [
        ("Tuning: budget", said),
        *(("Tuning: note", note) for note in tuning.get("notes") or ()),
    ]


def _features(manifests: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How pictures became features; several values where the parts of the source differ."""
    made = list(manifests.values())
    recipes = [manifest.get("recipe") or {} for manifest in made]
    rows = [
        (f"Features: {name}", _values(_words(r[name]) for r in recipes if name in r))
        for name in dict.fromkeys(name for recipe in recipes for name in recipe)
    ]
    if made:
        broken = {part: m.get("broken", 0) for part, m in manifests.items()}
        rows.append(("Features: number type", _values(m.get("dtype") for m in made)))
        rows.append(("Pictures that cannot be read", _words(broken)))
    return rows


def _loss(runs: Sequence[RunResult]) -> str:
    """Parameters, and the mean time of a finished run."""
    params = _values(_words(run.spec.params) for run in runs)
    times = [run.seconds for run in runs if run.status == "done"]
    mean = f"; {number(sum(times) / len(times), 1)} s a run" if times else "; no run finished"
    return (params or "no parameters") + mean


def _versions(runs: Iterable[RunResult]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for run in runs:
        for name, version in run.versions.items():
            found.setdefault(name, []).append(version)
    return {name: _values(versions) for name, versions in sorted(found.items())}


def _values(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(v) for v in values))


def _words(params: Mapping[str, Any] | str) -> str:
    """``margin 1.0, mining batch_hard``."""
    if not isinstance(params, Mapping):
        return str(params)
    texts = {k: v if isinstance(v, str) else json.dumps(v, default=str) for k, v in params.items()}
    return ", ".join(f"{k} {v}" for k, v in texts.items())
