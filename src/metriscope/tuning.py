"""The same number of trials for every loss, over its own parameters and the learning rate.

A trial is a run like any other, with the first seed and all its epochs. The first is the settings
as they were given, so that a loss at its best is never worse, on the validation part, than it was.
The others are proposed by Optuna's TPE sampler, which gets the finished ones four at a time.

Nothing is remembered but the runs: the same command makes the same proposals again, finds those
that are done in the store, and goes on where it stopped. Neither the number of processes nor the
other losses have a part in what is proposed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from metriscope import grid
from metriscope.losses import LOSSES
from metriscope.plan import unique, vary
from metriscope.recommendation.goals import AIMS, TRACE, Goal
from metriscope.types import InputError, RunResult, RunSpec

if TYPE_CHECKING:
    from optuna.trial import Trial

    from metriscope.losses.base import Range

Run = Callable[[Sequence[RunSpec]], list[RunResult]]  # does what is not done yet
TOGETHER = 4  # proposals of a loss at once; one number for all machines, or results would differ
RATES = {"adam": (1e-5, 1e-2), "adamw": (1e-5, 1e-2), "sgd": (1e-3, 1.0)}
RATE = "optimizer.lr"
NEAR_END = 0.03  # of a range, by its scale


@dataclass(frozen=True)
class Tuned:
    """What the trials found.

    Attributes:
        specs: those of the comparison, each loss at its best settings.
        trials: every run that was tried, in order.
        about: plain JSON: ``budget``, ``goal``, ``score``, ``better``, ``seed``, ``notes``, and
            ``losses``, by name: ``ranges`` (setting to low, high and whether by magnitude),
            ``given`` and ``best`` (settings), ``default`` and ``value`` (their scores), ``failed``
            (how many), ``trials`` (``settings``, ``value`` and ``key`` of each). Settings are
            called as by ``--set``; a score that is not known is None.
    """

    specs: tuple[RunSpec, ...]
    trials: tuple[RunResult, ...]
    about: dict[str, Any]


def tune(specs: Sequence[RunSpec], trials: int, goal: Goal, run: Run) -> Tuned:
    """Try settings of every loss on the validation part, with the first seed.

    Args:
        specs: of the comparison.
        trials: of each loss, the settings as given among them.
        goal: see :mod:`metriscope.recommendation`.
        run: does those of its specifications that are not done yet.

    Raises:
        InputError: there is no validation part to choose by, or only one trial.
    """
    if trials < 2:
        raise InputError(
            f"tune is {trials}; the first trial is the settings as they are: 2 or more, say 20."
        )
    if any(not spec.validation for spec in specs):
        raise InputError(
            "tuning chooses by a validation part, and none could be held out of these data: "
            "leave --tune out."
        )
    aim = objective(goal)
    first = {spec.loss: spec for spec in reversed(specs)}
    with _quiet():
        searches = [
            _Search(first[name], trials, aim) for name in dict.fromkeys(spec.loss for spec in specs)
        ]
        for done in range(0, trials, TOGETHER):
            count = min(TOGETHER, trials - done)
            asked = [search.ask(count) for search in searches]
            # Every loss's first, then every loss's second: what differs from what is seen early.
            results = run(unique(spec for turn in zip(*asked, strict=True) for spec in turn))
            found = {result.key: result for result in results}
            for search, wanted in zip(searches, asked, strict=True):
                search.tell([found[spec.key] for spec in wanted])
    best = {search.spec.loss: search.best for search in searches}
    return Tuned(
        tuple(_at(spec, best[spec.loss]) for spec in specs),
        tuple({t.key: t for search in searches for t in search.results}.values()),
        {
            "budget": trials,
            "goal": goal,
            "score": aim.score,
            "better": aim.better,
            "seed": specs[0].seed,
            "notes": [note for search in searches for note in search.notes()],
            "losses": {search.spec.loss: search.about() for search in searches},
        },
    )


# -------------------------------------------------------------------------------------- objective


@dataclass(frozen=True)
class Objective:
    """What is chosen by: a number of the validation part.

    Attributes:
        score: what it is called. better: ``higher`` or ``lower``.
        value: of a finished run; None where it has none.
    """

    score: str
    better: str
    value: Callable[[RunResult], float | None]


def objective(goal: Goal) -> Objective:
    """Of a goal: its score, as the recommendation reads it, but for ``fast``.

    There it is the mean validation Recall@1 over the epochs, high where it is high early and stays
    high. The epochs to a target cannot be: the target is a share of what the best loss reaches,
    and that is not known before the trials are done.
    """
    if goal == "fast":
        return Objective(f"{TRACE}, mean over epochs", "higher", _mean_over_epochs)
    aim = AIMS[goal]
    return Objective(aim.score, aim.better, lambda run: run.scores.get(aim.score))


def _mean_over_epochs(run: RunResult) -> float | None:
    values = run.trace.get(TRACE, [])[1:]
    known = [v for v in values if v is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None


# ----------------------------------------------------------------------------------------- search


@dataclass
class _Search:
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
        return [_at(self.spec, settings) for _, settings in self.asked[-count:]]

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


def _at(spec: RunSpec, settings: Mapping[str, Any]) -> RunSpec:
    for name, value in settings.items():
        spec = vary(spec, name, value)
    return spec


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of every study; the caller's own are not to fall silent with it."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class Counted:
    """An observer of all trials as one count: the grid begins a new one with every proposal.

    Args:
        observer: who is told. trials: how many there will be.
    """

    def __init__(self, observer: grid.Observer, trials: int) -> None:
        self.observer, self.trials, self.begun = observer, trials, False
        self.epoch, self.finished = observer.epoch, observer.finished

    def plan(self, runs: int, what: str = "runs") -> None:
        """Only the first time, and all of them."""
        if not self.begun:
            self.observer.plan(self.trials, "trials")
        self.begun = True
