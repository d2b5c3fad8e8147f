"""The trials of one loss: what is proposed, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from metriscope.losses import LOSSES
from metriscope.plan import vary
from metriscope.tuning._objective import Objective
from metriscope.types import InputError, RunResult, RunSpec

if TYPE_CHECKING:
    from optuna.trial import Trial

    from metriscope.losses.base import Range

TOGETHER = 4  # proposals of a loss at once; one number for all machines, or results would differ
RATES = {"adam": (1e-5, 1e-2), "adamw": (1e-5, 1e-2), "sgd": (1e-3, 1.0)}
RATE = "optimizer.lr"
NEAR_END = 0.03  # of a range, by its scale


@dataclass
class Search:
    """The trials of one loss."""

    spec: RunSpec
    trials: int
    aim: Objective
    asked: list[tuple[Trial, dict[str, Any]]] = field(default_factory=list)
    results: list[RunResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        import optuna

        self.given = {name: self.spec.settings[name] for name in _ranges(self.spec)}
        self.ranges = {
            name: _widened(span, self.given[name]) for name, span in _ranges(self.spec).items()
        }
        # Optuna's own ten random trials before it learns would be all of a small budget.
        start = min(10, max(TOGETHER, self.trials // 3))
        self.study = optuna.create_study(
            direction="maximize" if self.aim.better == "higher" else "minimize",
            sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=start),
        )
        self.study.enqueue_trial(self.given)
        self.space = {
            name: _distribution(span, self.given[name]) for name, span in self.ranges.items()
        }

    def ask(self, count: int) -> list[RunSpec]:
        """The next proposals."""
        for _ in range(count):
            trial = self.study.ask(self.space)
            self.asked.append((trial, {n: self._tidy(n, v) for n, v in trial.params.items()}))
        return [at(self.spec, settings) for _, settings in self.asked[-count:]]

    def tell(self, results: Sequence[RunResult]) -> None:
        """How they went, in the same order."""
        import optuna

        failed = optuna.trial.TrialState.FAIL
        for (trial, _), result in zip(self.asked[-len(results) :], results, strict=True):
            value = self._value(result)
            if value is None:
                self.study.tell(trial, state=failed)
            else:
                self.study.tell(trial, value)
            self.results.append(result)

    @property
    def best(self) -> dict[str, Any]:
        """The best settings; the first of equals, and those given where every trial failed."""
        sign = 1 if self.aim.better == "higher" else -1
        known = [
            (sign * value, settings)
            for (_, settings), result in zip(self.asked, self.results, strict=True)
            if (value := self._value(result)) is not None
        ]
        return max(known, key=lambda pair: pair[0])[1] if known else self.given

    def about(self) -> dict[str, Any]:
        """See :class:`Tuned`."""
        values = [self._value(result) for result in self.results]
        settings = [settings for _, settings in self.asked]
        return {
            "ranges": {name: [r.low, r.high, r.log] for name, r in self.ranges.items()},
            "given": self.given,
            "best": self.best,
            "default": values[0],
            "value": values[settings.index(self.best)],
            "failed": values.count(None),
            "trials": [
                {"settings": s, "value": value, "key": result.key}
                for s, value, result in zip(settings, values, self.results, strict=True)
            ],
        }

    def notes(self) -> list[str]:
        """Sentences about what a person should know of them."""
        loss, about, best = self.spec.loss, self.about(), self.best
        notes = []
        if list(self.ranges) == [RATE]:
            notes.append(
                f"{loss} declares no ranges of its own parameters: only its learning rate is tuned."
            )
        if about["failed"] == self.trials:
            notes.append(
                f"{loss}: every trial failed or has no {self.aim.score}; it keeps its settings."
            )
        elif about["failed"]:
            notes.append(
                f"{loss}: {about['failed']} of {self.trials} trials failed or have no "
                f"{self.aim.score}."
            )
        for name, span in self.ranges.items():
            if best != self.given and _at_end(span, best[name]):
                notes.append(
                    f"{name}: the best found, {best[name]:g}, is at the end of what was tried "
                    f"({span.low:g} to {span.high:g})."
                )
        return notes

    def _value(self, result: RunResult) -> float | None:
        value = self.aim.value(result) if result.status == "done" else None
        return value if value is not None and math.isfinite(value) else None

    def _tidy(self, name: str, value: Any) -> Any:
        """Three digits, so that a person can write it down; what was given stays as it is."""
        same = value == self.given[name] or isinstance(value, int)
        return value if same else float(f"{value:.3g}")


def _ranges(spec: RunSpec) -> dict[str, Range]:
    """By the name of the setting: the loss's own, and the learning rate."""
    from metriscope.losses.base import Range

    own = LOSSES.get(spec.loss).ranges
    for name in own:
        value = spec.params.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(
                f"the loss {spec.loss!r} declares a range for {name!r}, which is not one of its "
                "parameters with a number."
            )
    low, high = RATES[spec.optimizer.name]
    return {
        **{f"{spec.loss}.{name}": span for name, span in own.items()},
        RATE: Range(low, high, log=True),
    }


def _widened(span: Range, given: float) -> Range:
    """So that what was given is within it."""
    low, high = min(span.low, given), max(span.high, given)
    return replace(span, low=low, high=high, log=span.log and low > 0)


def _distribution(span: Range, given: float) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    if isinstance(given, int):
        return IntDistribution(int(span.low), int(span.high), log=span.log)
    return FloatDistribution(span.low, span.high, log=span.log)


def _at_end(span: Range, value: float) -> bool:
    low, high, at = (math.log(v) if span.log else v for v in (span.low, span.high, value))
    return min(at - low, high - at) < NEAR_END * (high - low)


def at(spec: RunSpec, settings: Mapping[str, Any]) -> RunSpec:
    """The specification with these settings."""
    for name, value in settings.items():
        spec = vary(spec, name, value)
    return spec
