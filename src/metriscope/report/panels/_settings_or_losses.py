"""Whether settings or losses make the difference, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metriscope.report.panels._varied import COLUMNS, Sweep, shown
from metriscope.report.tables import Cell, cell, defined
from metriscope.types import Results

LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """From the lowest to the highest of several means.

    ``chance``: how far apart the seeds alone would put as many means, at most, in 95 of 100 cases
    (Tukey's studentized range on the pooled SD of the seeds); None of one seed.
    """

    low: float
    high: float
    chance: float | None

    @property
    def width(self) -> float:
        """Highest minus lowest."""
        return self.high - self.low

    @property
    def real(self) -> bool:
        """Whether it is more than chance explains."""
        return self.chance is not None and self.width > self.chance

    @property
    def by_chance(self) -> str:
        """``seeds alone: up to 0.012``."""
        return "one seed" if self.chance is None else f"seeds alone: up to {self.chance:.3f}"


def spread(cells: Iterable[Cell]) -> Spread | None:
    """Of those that have a mean; None of fewer than two."""
    known = [(c.mean, c.sd, c.n) for c in cells if c.mean is not None]
    if len(known) < 2:
        return None
    means = [mean for mean, _, _ in known]
    squares = [(n - 1, (n - 1) * sd**2) for _, sd, n in known if sd is not None]
    chance = None
    if squares:
        from scipy.stats import studentized_range

        freedom = sum(n for n, _ in squares)
        variance = math.fsum(square for _, square in squares) / freedom
        error = math.sqrt(variance * math.fsum(1 / n for *_, n in known) / len(known))
        chance = float(studentized_range.ppf(LEVEL, len(known), freedom)) * error
    return Spread(min(means), max(means), chance)


def sentences(sweeps: Sequence[Sweep], results: Results) -> list[str]:
    """One about the losses, then one or two a setting."""
    means = [
        cell(defined(runs, "recall@1"), COLUMNS[0], len(runs))
        for runs in results.by_loss().values()
    ]
    between = spread(means)
    said = [_setting(sweep, between) for sweep in sweeps]
    if between is not None:
        said.insert(
            0,
            f"The compared losses, each at its own settings, lie {between.width:.3f} apart in "
            f"Recall@1 ({between.by_chance}).",
        )
    return [sentence for sentence in said if sentence]


def _setting(sweep: Sweep, between: Spread | None) -> str:
    recalls = {
        loss: {p.value: p.cells[0] for p in points if p.cells[0].mean is not None}
        for loss, points in sweep.losses.items()
    }
    spreads = {loss: found for loss, cells in recalls.items() if (found := spread(cells.values()))}
    if not spreads:
        return ""
    most, *others = sorted(spreads, key=lambda loss: -spreads[loss].width)
    found, values = spreads[most], [shown(value) for value in sweep.values]
    over = f" from {values[0]} to {values[-1]}" if sweep.numeric else f" ({', '.join(values)})"
    of = "" if sweep.name.startswith(f"{most}.") else f" of {most}"
    text = (
        f"{sweep.name}{over} moves Recall@1{of} by {found.width:.3f} ({found.low:.3f} to "
        f"{found.high:.3f}; {found.by_chance})"
    )
    if others:
        text += f", and of {others[-1]} by {spreads[others[-1]].width:.3f}"
    leaders = _leaders(recalls, sweep) if found.real else ""
    return f"{text}: {_verdict(found, between)}.{leaders}"


def _verdict(setting: Spread, between: Spread | None) -> str:
    if setting.chance is None:
        return "how much of that is chance, nobody can tell"
    if not setting.real:
        return "no more than chance explains"
    if between is None:
        return "more than chance explains; there is no second loss to hold that against"
    if between.chance is not None:
        by_seeds = math.hypot(setting.chance, between.chance)  # of the difference of two ranges
        if setting.width - between.width > by_seeds:
            return "the setting matters more than the choice of loss"
        if between.width - setting.width > by_seeds:
            return "more than chance explains, but less than the choice of loss"
    return (
        "more than chance explains; whether it matters more than the choice of loss cannot be told"
    )


def _leaders(recalls: Mapping[str, Mapping[Any, Cell]], sweep: Sweep) -> str:
    """Which loss is ahead at which value, where that changes."""
    best: dict[str, list[str]] = {}
    for value in sweep.values:
        there = {
            loss: found[value].mean or 0.0 for loss, found in recalls.items() if value in found
        }
        if len(there) > 1:
            best.setdefault(max(there, key=lambda loss: there[loss]), []).append(shown(value))
    if len(best) < 2:
        return ""
    named = "; ".join(f"{loss} at {', '.join(values)}" for loss, values in best.items())
    return f" Which loss has the highest mean depends on it: {named}."
