"""Losses × seeds with settings, as specifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from metriscope import losses
from metriscope.plan._sweeps import plan_sweep
from metriscope.plan._values import coerce, make, unknown_setting
from metriscope.registry import unknown
from metriscope.samplers import SAMPLERS
from metriscope.types import Dataset, HeadSpec, InputError, OptimizerSpec, RunSpec

PRESETS: dict[str, dict[str, Any]] = {
    # The paper, section 3.2. Its other margin, "a stable default", is a preset of its own.
    "paper": {},
    "paper-m2": {"contrastive.margin": 2.0, "triplet.margin": 2.0},
    # The predecessor (2510.02161), as far as it is known.
    "predecessor": {
        "epochs": 50,
        "batch_size": 64,
        "optimizer.lr": 1e-3,
        "triplet.squared": True,
    },
}


def plan(
    names: Sequence[str],
    seeds: int | Sequence[int],
    epochs: int | None,
    batch_size: int | None,
    preset: str,
    settings: Mapping[str, Any],
    validation: float = 0.0,
    sweep: Mapping[str, Sequence[Any]] | None = None,
) -> tuple[Callable[[Dataset], list[RunSpec]], Callable[[int], list[str]]]:
    """Check every name and value before any data is read; return what makes specs and advice."""
    if preset not in PRESETS:
        raise InputError(unknown("preset", preset, PRESETS))
    names = list(dict.fromkeys(names))
    if not names:
        raise InputError("no losses to compare: name at least one.")
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(dict.fromkeys(seeds))
    if not numbers:
        raise InputError("seeds must be at least 1.")
    params = {name: losses.resolve(name, {}) for name in names}
    groups: dict[str, dict[str, Any]] = {
        "head": asdict(HeadSpec()),
        "optimizer": asdict(OptimizerSpec()),
        **params,
    }
    run: dict[str, Any] = {"epochs": 100, "batch_size": 512, "sampler": "uniform"}
    for origin in (PRESETS[preset], settings):
        for key, value in origin.items():
            group, _, name = key.partition(".")
            if not name and group in run:
                run[group] = coerce(key, value, run[group])
            elif group in groups:
                if name not in groups[group]:
                    raise InputError(unknown(f"parameter of {group}", name, groups[group]))
                groups[group][name] = coerce(key, value, groups[group][name])
            elif origin is settings:
                raise InputError(unknown_setting(key, [*run, *groups]))
    run |= {k: v for k, v in (("epochs", epochs), ("batch_size", batch_size)) if v is not None}
    SAMPLERS.get(run["sampler"])
    head, optimizer = HeadSpec(**groups["head"]), OptimizerSpec(**groups["optimizer"])
    made = [make(name, head.dim, params[name]) for name in names]
    asked = [
        RunSpec("", "", "", name, params[name], seed, head, optimizer, **run)
        for name in names
        for seed in numbers
    ]
    plan_sweep(asked, sweep or {})

    def specs_for(dataset: Dataset) -> list[RunSpec]:
        return [
            replace(
                spec,
                dataset=dataset.name,
                fingerprint=dataset.fingerprint,
                split=dataset.split,
                backbone=dataset.backbone,
                validation=validation if dataset.validation is not None else 0.0,
            )
            for spec in asked
        ]

    return specs_for, lambda classes: [line for loss in made for line in loss.advice(classes)]
