"""What a finding is made from, and how the seeds of a loss become one."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from metriscope.findings import FINDINGS
from metriscope.types import Finding, Results, RunResult

Of = Literal["done", "failed", "data"]


class NotApplicable(Enum):
    """The check cannot say anything about this run: not the same as having passed."""

    NOT_APPLICABLE = "not applicable"


NOT_APPLICABLE = NotApplicable.NOT_APPLICABLE
Verdict = Finding | NotApplicable | None  # None: looked, and nothing is wrong


class Check:
    """A registered check: ``check(run, results)`` gives a :data:`Verdict`.

    Attributes:
        code: the stable code, ``MS101``.
        of: the runs it looks at: ``done``, ``failed``, or ``data``: the comparison as a whole,
            asked once, with its first finished run.
    """

    def __init__(self, name: str, of: Of, look: Callable[[RunResult, Results], Verdict]) -> None:
        self.name, self.of, self.look = name, of, look
        self.code = name.partition("_")[0].upper()
        functools.update_wrapper(self, look)

    def __call__(self, run: RunResult, results: Results) -> Verdict:
        """Look at one run."""
        return self.look(run, results)


def finding(name: str, *, of: Of) -> Callable[[Callable[[RunResult, Results], Verdict]], Check]:
    """Decorator: register a function as the check ``name``, its file's: ``<code>_<name>``."""

    def make(look: Callable[[RunResult, Results], Verdict]) -> Check:
        return FINDINGS.register(name)(Check(name, of, look))

    return make


@dataclass(frozen=True)
class Outcome:
    """What a check said about a loss (about the data if ``loss`` is empty)."""

    code: str
    loss: str
    state: Literal["fired", "passed", "not applicable"]
    finding: Finding | None = None


def outcomes(results: Results) -> tuple[Outcome, ...]:
    """For each check and loss: fired, passed, or not applicable."""
    found = []
    for check in FINDINGS.all().values():
        if check.of == "data":
            done = [run for run in results.runs if run.status == "done"][:1]
            found.append(_outcome(check, "", done, results))
            continue
        for loss, runs in results.by_loss().items():
            asked = [run for run in runs if run.status == check.of]
            found.append(_outcome(check, loss, asked, results))
    return tuple(found)


def examine(results: Results) -> tuple[Finding, ...]:
    """The findings of every check that fired: problems first, then by code, then in run order."""
    found = [o.finding for o in outcomes(results) if o.finding is not None]
    order = {"problem": 0, "warning": 1, "ok": 2}
    return tuple(sorted(found, key=lambda f: (order[f.severity], f.code)))


def _outcome(check: Check, loss: str, runs: Sequence[RunResult], results: Results) -> Outcome:
    verdicts = [(run, check(run, results)) for run in runs]
    fired = [(run, v) for run, v in verdicts if isinstance(v, Finding)]
    if fired:
        total = len(results.by_loss()[loss]) if loss else 1
        return Outcome(check.code, loss, "fired", _merge(check.code, loss, fired, total))
    applicable = any(v is None for _, v in verdicts)
    return Outcome(check.code, loss, "passed" if applicable else "not applicable")


def _merge(code: str, loss: str, fired: Sequence[tuple[RunResult, Finding]], total: int) -> Finding:
    """One finding of several seeds: the words of the run with the middle value."""
    ranked = sorted(fired, key=lambda pair: -math.inf if pair[1].value is None else pair[1].value)
    run, middle = ranked[(len(ranked) - 1) // 2]
    message = middle.message
    if total > 1:
        message += f" Seen in {len(fired)} of {total} seeds"
        one_of_many = len(fired) > 1 and middle.value is not None
        message += f"; the numbers are those of seed {run.spec.seed}." if one_of_many else "."
    keys = tuple(run.key for run, _ in fired) if loss else ()
    return replace(middle, code=code, message=message, runs=keys, loss=loss)


# ------------------------------------------------------------------------- reading a run's numbers


def score(run: RunResult, name: str) -> float | None:
    """A score, or None where it is absent, undefined or not finite."""
    value = run.scores.get(name)
    return value if value is not None and math.isfinite(value) else None


def column(run: RunResult, name: str) -> list[float]:
    """The defined values of a trace column, the row before any update (epoch 0) included."""
    return [v for v in run.trace.get(name, ()) if v is not None and math.isfinite(v)]


def epochs(run: RunResult) -> int:
    """How many epochs of training the trace holds."""
    return max(len(run.trace.get("loss", ())) - 1, 0)


def queries(run: RunResult, results: Results) -> int:
    """How many test rows retrieval was measured on; 0 if unknown."""
    rows = results.about.get("test_rows") or 0
    return int(rows - (score(run, "queries.excluded") or 0))


def standard_error(p: float, q: float, n: int) -> float:
    """√(p(1−p)/n) of a share over n queries, the larger one of the two shares p and q."""
    return math.sqrt(max(p * (1 - p), q * (1 - q)) / n)


def above_chance(run: RunResult, results: Results) -> bool | None:
    """Whether Recall@1 exceeds twice 1/C, what guessing gives C equal classes; None if unknown."""
    recall = score(run, "recall@1")
    classes = results.about.get("test_classes") or results.about.get("classes")
    return None if recall is None or not classes else recall > 2 / classes
