"""From names and settings to specifications: every one checked before any data is read."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from metriscope import losses
from metriscope.registry import unknown
from metriscope.samplers import SAMPLERS
from metriscope.types import (
    Dataset,
    HeadSpec,
    InputError,
    MetriscopeError,
    OptimizerSpec,
    RunSpec,
)

if TYPE_CHECKING:
    from metriscope.losses.base import Loss

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
                raise InputError(_unknown_setting(key, [*run, *groups]))
    run |= {k: v for k, v in (("epochs", epochs), ("batch_size", batch_size)) if v is not None}
    SAMPLERS.get(run["sampler"])
    head, optimizer = HeadSpec(**groups["head"]), OptimizerSpec(**groups["optimizer"])

    def specs_for(dataset: Dataset) -> list[RunSpec]:
        return [
            RunSpec(
                dataset=dataset.name,
                fingerprint=dataset.fingerprint,
                split=dataset.split,
                loss=name,
                params=params[name],
                seed=seed,
                head=head,
                optimizer=optimizer,
                backbone=dataset.backbone,
                validation=validation if dataset.validation is not None else 0.0,
                **run,
            )
            for name in names
            for seed in numbers
        ]

    made = [_make(name, head.dim, params[name]) for name in names]
    return specs_for, lambda classes: [line for loss in made for line in loss.advice(classes)]


def vary(spec: RunSpec, name: str, value: Any) -> RunSpec:
    """A specification with one setting changed.

    Args:
        spec: of which loss.
        name: as of ``--set``: ``triplet.margin`` (of ``spec``'s own loss), ``optimizer.lr``,
            ``head.dim``, ``epochs``, ``batch_size`` or ``sampler``.
        value: of its type, or text.

    Raises:
        InputError: no such setting, or a value that cannot be.
    """
    group, _, parameter = name.partition(".")
    if not parameter and group in ("epochs", "batch_size", "sampler"):
        value = coerce(name, value, getattr(spec, group))
        if group == "sampler":
            SAMPLERS.get(value)
        return replace(spec, **{group: value})
    known: dict[str, dict[str, Any]] = {
        "head": asdict(spec.head),
        "optimizer": asdict(spec.optimizer),
        spec.loss: dict(spec.params),
    }
    if group not in known:
        raise InputError(_unknown_setting(name, ["epochs", "batch_size", "sampler", *known]))
    if parameter not in known[group]:
        raise InputError(unknown(f"parameter of {group}", parameter, known[group]))
    changed = known[group] | {parameter: coerce(name, value, known[group][parameter])}
    if group == "head":
        return replace(spec, head=HeadSpec(**changed))
    if group == "optimizer":
        return replace(spec, optimizer=OptimizerSpec(**changed))
    _make(spec.loss, spec.head.dim, changed)
    return replace(spec, params=changed)


def plan_sweep(specs: Sequence[RunSpec], sweep: Mapping[str, Sequence[Any]]) -> list[RunSpec]:
    """Every specification with one setting at each of its values.

    Args:
        specs: of the comparison.
        sweep: name of a setting, as of ``--set``, to values. One of a loss varies that loss alone.

    Raises:
        InputError: no such setting, or a value that cannot be.
    """
    made = []
    for name, values in sweep.items():
        group = name.partition(".")[0]
        mine = [s for s in specs if s.loss == group] or list(specs)
        made += [vary(spec, name, value) for value in values for spec in mine]
    return unique(made)


def unique(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """Each specification once, in order."""
    return list({spec.key: spec for spec in specs}.values())


def _make(name: str, dim: int, params: dict[str, Any]) -> Loss:
    """The loss, before any training, so that what is wrong with it shows now."""
    try:
        return losses.create(name, num_classes=2, dim=dim, **params)
    except MetriscopeError:
        raise
    except Exception as error:
        raise InputError(
            f"the loss {name!r} cannot be made: {type(error).__name__}: {error}. "
            "Its parameters must be keyword-only, each with a literal default."
        ) from error


def _unknown_setting(key: str, groups: Sequence[str]) -> str:
    group = key.partition(".")[0]
    if group in losses.LOSSES.names():
        return f"{key}: {group} is not among the compared losses; add it to --losses."
    return unknown("setting", group, groups) + " Write it as triplet.margin=0.5."


def coerce(name: str, value: Any, default: Any) -> Any:
    """``value``, possibly text from a command line, as the type of ``default``.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, str) and not isinstance(default, str):
        try:
            value = ast.literal_eval(value.title() if value.lower() in ("true", "false") else value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise InputError(f"{name} is {value!r:.80}; it must be like {default!r}.") from None
    if isinstance(default, tuple):
        value = tuple(value) if isinstance(value, list | tuple) else (value,)
        default_item = default[0] if default else value[0]
        return tuple(coerce(name, item, default_item) for item in value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if default is not None and type(value) is not type(default):
        raise InputError(f"{name} is {value!r:.80}; it must be like {default!r}.")
    return value
