"""Every loss's trials, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from metriscope.plan import unique
from metriscope.recommendation.goals import Goal
from metriscope.tuning._objective import objective
from metriscope.tuning._search import TOGETHER, Search, at
from metriscope.types import InputError, RunResult, RunSpec

Run = Callable[[Sequence[RunSpec]], list[RunResult]]  # does what is not done yet


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
            Search(first[name], trials, aim) for name in dict.fromkeys(spec.loss for spec in specs)
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
        tuple(at(spec, best[spec.loss]) for spec in specs),
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
