"""What the content of ``results.json`` has to be: anybody can edit the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from metriscope.types._findings import Finding
from metriscope.types._runs import RunResult, Trace

_MOST = 1e100  # no score is larger, and the squares of a column can be summed
_COUNTS = (
    "train_rows", "validation_rows", "test_rows", "classes", "train_classes", "test_classes",
    "dim", "singletons", "seconds",
)  # fmt: skip
_KINDS = {
    "notes": list,
    "baseline": dict,
    "baseline_validation": dict,
    "features": dict,
    "tuning": dict,
    "sweep": dict,
}
_SEVERITIES = ("problem", "warning", "ok", "not applicable")


def numbers(of: str, found: Mapping[Any, Any]) -> dict[Any, float | None]:
    """Numbers by name.

    Raises:
        ValueError: one is neither a number of a usual size nor null.
    """
    for name, value in found.items():
        # A bool is an int to Python, and JSON as Python reads it has NaN.
        if value is not None and (type(value) not in (int, float) or not abs(value) <= _MOST):
            raise ValueError(f"{name} of {of} is {value!r:.80}, which is no number of a usual size")
    return dict(found)


def check_trace(of: str, trace: Trace) -> None:
    """Columns of numbers, all of one length.

    Raises:
        ValueError: they are not.
    """
    for name, column in trace.items():
        numbers(f"{name} of {of}", dict(enumerate(column)))
    if len({len(column) for column in trace.values()}) > 1:
        raise ValueError(f"the columns of the trace of {of} differ in length")


def check_finding(found: Finding) -> None:
    """A severity that there is; numbers or null.

    Raises:
        ValueError: it is not so.
    """
    if found.severity not in _SEVERITIES:
        raise ValueError(f"the severity of {found.code} is {found.severity!r:.80}")
    numbers(f"finding {found.code}", {"value": found.value, "threshold": found.threshold})


def check_about(about: Mapping[str, Any]) -> None:
    """Of all datasets, or of one.

    Raises:
        ValueError: a count is no number, or a part has another kind than what was written.
    """
    numbers("about", {name: about.get(name) for name in _COUNTS})
    for name, kind in _KINDS.items():
        if about.get(name) is not None and not isinstance(about[name], kind):
            raise ValueError(f"{name} of about is no {kind.__name__}")
    for name in ("baseline", "baseline_validation"):
        numbers(f"the {name}", about.get(name) or {})


def check_runs(runs: Sequence[RunResult], datasets: Mapping[str, Any] | None) -> None:
    """No run twice, and of several datasets, none of another.

    Raises:
        ValueError: it is not so.
    """
    twice = [key for key, n in Counter(run.key for run in runs).items() if n > 1]
    if twice:
        raise ValueError(f"{twice[0]} is there twice")
    others = {run.spec.dataset for run in runs} - set(datasets or ())
    if datasets and others:
        raise ValueError(f"runs of {min(others)!r:.80}, which is not among the datasets")
