"""MS203: a run that did not finish."""

from __future__ import annotations

from metriscope.findings.base import Subject, Verdict, finding
from metriscope.types import Finding


@finding("ms203_run_failed", title="runs that failed", of="failed")
def ms203_run_failed(subject: Subject) -> Verdict:
    """A run failed: it diverged, ran out of memory, or raised an error. No threshold."""
    assert subject.run is not None
    run = subject.run
    error = (run.error or "no message").strip().rstrip(".") + "."
    return Finding(
        code="MS203",
        severity="problem",
        title="a run failed",
        message=f"Seed {run.spec.seed} ended with: {error}",
        value=None,
        threshold=None,
        cause="the error says which; a loss that becomes NaN or infinite has diverged.",
        next_step="for divergence a smaller learning rate or scale, for memory a smaller "
        "--batch-size; then the same command again: finished runs are kept.",
    )
