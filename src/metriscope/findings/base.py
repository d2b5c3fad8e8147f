"""What a check is made from, what it looks at, and how what it says becomes findings."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from metriscope.findings import FINDINGS
from metriscope.types import Examined, Finding, Results, RunResult, Scores, Severity, Trace

Kind = Literal["run", "failed", "data", "space", "training"]


@dataclass(frozen=True)
class Subject:
    """What a check looks at.

    Attributes:
        kind: a finished ``run`` of a comparison, a ``failed`` one, its ``data`` (asked once, with
            the first finished run), a ``space`` that was diagnosed, or ``training`` under a
            monitor.
        scores: of the space, or of a monitor's last batch (without their ``batch.``).
        trace: columns of numbers, by epoch of a run, by logged row of a monitor.
        loss: the loss's name. ``params``: its parameters, as far as they are known.
        about: facts beside scores; see :class:`~metriscope.types.Results`,
            :class:`~metriscope.types.Examined` and :attr:`metriscope.monitor.Monitor.about`.
        run, results: of a comparison. ``examined``: of a space, without its findings.
    """

    kind: Kind
    scores: Scores = field(default_factory=dict)
    trace: Trace = field(default_factory=dict)
    loss: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    run: RunResult | None = None
    results: Results = Results(())  # noqa: RUF009 -- frozen
    examined: Examined | None = None


@dataclass(frozen=True)
class NotApplicable:
    """The check cannot say anything here, which is not the same as having passed.

    Attributes:
        reason: a sentence for people.
    """

    reason: str


@dataclass(frozen=True)
class Passed:
    """Looked, and nothing is wrong."""

    value: float | None = None
    threshold: float | None = None


Verdict = Finding | Passed | NotApplicable


class Check:
    """A registered check: ``check(subject)`` gives a :data:`Verdict`.

    Attributes:
        code: the stable code, ``MS101``.
        title: what it looks for, in a few words.
        of: the kinds of subject that it looks at.
    """

    def __init__(
        self, name: str, title: str, of: tuple[Kind, ...], look: Callable[[Subject], Verdict]
    ) -> None:
        self.name, self.title, self.of, self.look = name, title, of, look
        self.code = name.partition("_")[0].upper()
        functools.update_wrapper(self, look)

    def __call__(self, subject: Subject) -> Verdict:
        """Look at one subject."""
        return self.look(subject)


def finding(
    name: str, *, title: str, of: Kind | tuple[Kind, ...]
) -> Callable[[Callable[[Subject], Verdict]], Check]:
    """Decorator: register a function as the check ``name``, its file's: ``<code>_<name>``."""
    kinds = (of,) if isinstance(of, str) else of

    def make(look: Callable[[Subject], Verdict]) -> Check:
        return FINDINGS.register(name)(Check(name, title, kinds, look))

    return make


@dataclass(frozen=True)
class Outcome:
    """What a check said about a loss of a comparison (about the data if ``loss`` is empty)."""

    code: str
    loss: str
    state: Literal["fired", "passed", "not applicable"]
    finding: Finding | None = None


def outcomes(results: Results) -> tuple[Outcome, ...]:
    """For each check of comparisons and each loss: fired, passed, or not applicable."""
    found = []
    for check in FINDINGS.all().values():
        if "data" in check.of:
            done = [run for run in results.runs if run.status == "done"][:1]
            found.append(_outcome(check, "", "data", done, results))
        pairs: tuple[tuple[Kind, str], ...] = (("run", "done"), ("failed", "failed"))
        for kind, status in pairs:
            for loss, runs in results.by_loss().items() if kind in check.of else ():
                asked = [run for run in runs if run.status == status]
                found.append(_outcome(check, loss, kind, asked, results))
    return tuple(found)


def examine(results: Results) -> tuple[Finding, ...]:
    """The findings of every check that fired: problems first, then by code, then in run order."""
    return by_severity(o.finding for o in outcomes(results) if o.finding is not None)


def examine_subject(subject: Subject) -> tuple[Finding, ...]:
    """One finding of every check that looks at such a subject, whether it fired or not."""
    return by_severity(
        _as_finding(check, check(subject))
        for check in FINDINGS.all().values()
        if subject.kind in check.of
    )


def by_severity(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Problems first, then by code."""
    order: dict[Severity, int] = {"problem": 0, "warning": 1, "ok": 2, "not applicable": 3}
    return tuple(sorted(found, key=lambda f: (order[f.severity], f.code)))


def _as_finding(check: Check, verdict: Verdict) -> Finding:
    if isinstance(verdict, Finding):
        return replace(verdict, code=check.code)
    if isinstance(verdict, NotApplicable):
        return Finding(check.code, "not applicable", check.title, verdict.reason, None, None)
    return Finding(check.code, "ok", check.title, "", verdict.value, verdict.threshold)


def of_run(run: RunResult, results: Results, kind: Kind = "run") -> Subject:
    """A run as a subject."""
    spec = run.spec
    return Subject(kind, run.scores, run.trace, spec.loss, spec.params, results.about, run, results)


def of_space(examined: Examined) -> Subject:
    """A diagnosed space as a subject."""
    return Subject("space", examined.scores, about=examined.about, examined=examined)


def _outcome(
    check: Check, loss: str, kind: Kind, runs: Sequence[RunResult], results: Results
) -> Outcome:
    verdicts = [(run, check(of_run(run, results, kind))) for run in runs]
    fired = [(run, v) for run, v in verdicts if isinstance(v, Finding) and v.fired]
    if fired:
        total = len(results.by_loss()[loss]) if loss else 1
        return Outcome(check.code, loss, "fired", _merge(check.code, loss, fired, total))
    applicable = any(not isinstance(v, NotApplicable) for _, v in verdicts)
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


# --------------------------------------------------------------------- reading a subject's numbers


def score(subject: Subject | RunResult, name: str) -> float | None:
    """A score, or None where it is absent, undefined or not finite."""
    value = subject.scores.get(name)
    return value if value is not None and math.isfinite(value) else None


def column(subject: Subject | RunResult, name: str) -> list[float]:
    """The defined values of a trace column; of a run the one before any update (epoch 0) too."""
    return [v for v in subject.trace.get(name, ()) if v is not None and math.isfinite(v)]


def batch_size(subject: Subject) -> float:
    """Rows of a batch; 0 if unknown."""
    return subject.run.spec.batch_size if subject.run else subject.about.get("batch_size") or 0


def sample_rows(subject: Subject) -> int:
    """Rows of a space that are in memory; 0 if unknown."""
    return int(subject.about.get("sample_rows") or subject.about.get("rows") or 0)


def epochs(subject: Subject) -> int:
    """How many epochs of training a run's trace holds."""
    return max(len(subject.trace.get("loss", ())) - 1, 0)


def queries(subject: Subject | RunResult, about: Mapping[str, Any]) -> int:
    """How many test rows retrieval was measured on; 0 if unknown."""
    rows = about.get("queries") or about.get("test_rows") or 0
    left_out = 0 if about.get("queries") else (score(subject, "queries.excluded") or 0)
    return int(rows - left_out)


def standard_error(p: float, q: float, n: int) -> float:
    """√(p(1−p)/n) of a share over n queries, the larger one of the two shares p and q."""
    return math.sqrt(max(p * (1 - p), q * (1 - q)) / n)


def above_chance(subject: Subject) -> bool | None:
    """Whether Recall@1 exceeds twice 1/C, what guessing gives C equal classes; None if unknown."""
    recall = score(subject, "recall@1")
    classes = subject.about.get("test_classes") or subject.about.get("classes")
    return None if recall is None or not classes else recall > 2 / classes
