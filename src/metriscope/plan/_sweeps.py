"""One setting at several values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from metriscope.plan._values import coerce, make, unknown_setting
from metriscope.registry import unknown
from metriscope.samplers import SAMPLERS
from metriscope.types import InputError, RunSpec

_COMMA = re.compile(r",(?![^(\[]*[)\]])")  # not one inside brackets: head.hidden=(512,256),(64,)


def vary(spec: RunSpec, name: str, value: Any) -> RunSpec:
    """A specification with one setting changed.

    Args:
        spec: of which loss.
        name: as of ``--set``: ``triplet.margin`` (of ``spec``'s own loss), ``optimizer.lr``,
            ``head.dim``, ``epochs``, ``batch_size`` or ``sampler``; ``reduction``, without a
            loss, is that of ``spec``'s.
        value: of its type, or text.

    Raises:
        InputError: no such setting, or a value that cannot be.
    """
    full = _full(spec, name)
    if full is None:
        raise InputError(_unknown([spec], name))
    value = coerce(name, value, spec.settings[full])
    group, _, parameter = full.partition(".")
    if group == "sampler":
        SAMPLERS.get(value)
    if not parameter:
        return replace(spec, **{group: value})
    if group != spec.loss:
        return replace(spec, **{group: replace(getattr(spec, group), **{parameter: value})})
    params = {**spec.params, parameter: value}
    make(spec.loss, spec.head.dim, params)
    return replace(spec, params=params)


def read_sweep(sweep: Mapping[str, Any] | None) -> dict[str, list[Any]]:
    """The values of each setting as a list.

    Args:
        sweep: name of a setting to its values, or to text with commas between them; a comma inside
            brackets belongs to a value: ``{"head.hidden": "(512,256),(64,)"}``.

    Raises:
        InputError: no values.
    """
    found: dict[str, list[Any]] = {}
    for name, values in (sweep or {}).items():
        if isinstance(values, str):
            values = [part.strip() for part in _COMMA.split(values) if part.strip()]
        if not isinstance(values, Iterable) or isinstance(values, Mapping):
            raise InputError(f"the sweep of {name} is {values!r:.80}; give it a list of values.")
        found[name] = [getattr(v, "item", lambda v=v: v)() for v in values]  # of NumPy, plain
        if not found[name]:
            raise InputError(
                f"the sweep of {name} has no values; write it as triplet.margin=0.1,0.5,2."
            )
    return found


def plan_sweep(specs: Sequence[RunSpec], sweep: Mapping[str, Sequence[Any]]) -> list[RunSpec]:
    """Every specification with one setting at each of its values.

    Args:
        specs: of the comparison. One of them that has the value already is taken as it is.
        sweep: name of a setting, as of ``--set``, to values. One of a loss varies that loss alone;
            ``reduction`` varies every loss.

    Raises:
        InputError: no such setting, or a value that cannot be.
    """
    made = []
    for name, values in sweep.items():
        mine = [spec for spec in specs if _full(spec, name) is not None]
        if not mine:
            raise InputError(_unknown(specs, name))
        made += [vary(spec, name, value) for value in values for spec in mine]
    return unique(made)


def unique(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """Each specification once, in order."""
    return list({spec.key: spec for spec in specs}.values())


def _full(spec: RunSpec, name: str) -> str | None:
    """The name of the setting in ``spec.settings``; None if it has none."""
    return next((n for n in (name, f"{spec.loss}.{name}") if n in spec.settings), None)


def _unknown(specs: Sequence[RunSpec], name: str) -> str:
    group, _, parameter = name.partition(".")
    known = dict.fromkeys(setting for spec in specs for setting in spec.settings)
    inside = [s.partition(".")[2] for s in known if s.startswith(f"{group}.")]
    if parameter and inside:
        return unknown(f"parameter of {group}", parameter, inside)
    return unknown_setting(name, list(dict.fromkeys(s.partition(".")[0] for s in known)))
