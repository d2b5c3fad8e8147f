"""A monitor in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metriscope.types import Finding, Trace

_SHOWN = {
    "loss": "loss",
    "active.terms": "active terms",
    "active.samples": "active samples",
    "active.effective": "effective share of samples",
    "grad_norm.model": "gradient norm, model",
    "grad_norm.loss": "gradient norm, loss",
    "batch.spread.total": "spread of the batch",
}


def describe(trace: Trace, about: Mapping[str, Any], found: Sequence[Finding]) -> str:
    """How training went: first and last value of the main columns, and what fired."""
    steps, name = about["steps"], about["loss"] or "the loss"
    if not steps:
        if not about["calls"]:
            return (
                f"No step was seen: {name} was never called with a gradient while the monitor was "
                "attached. Pass the very criterion that the loop calls, or use monitor(embeddings, "
                "labels), or monitor.observe(loss, embeddings, labels) before backward()."
            )
        lines = [f"No step was finished: {about['calls']} calls of {name}, but no update."]
    else:
        size = about["batch_size"]
        lines = [f"{steps} steps with {name}" + (f", batches of {size:.0f}." if size else ".")]
    for column, words in _SHOWN.items():
        values = [v for v in trace.get(column, ()) if v is not None]
        if values:
            lines.append(f"  {words}: {values[0]:.4g} → {values[-1]:.4g}")
    fired = [finding for finding in found if finding.fired]
    lines += [f"{f.code} {f.severity}: {f.title}. {f.message} Try: {f.next_step}" for f in fired]
    done = [f for f in found if f.severity == "ok" and f.message]
    lines += [f"{f.code} ok: {f.title}. {f.message}" for f in done]
    if steps and not fired and not done:
        lines.append("No finding.")
    return "\n".join(lines)
