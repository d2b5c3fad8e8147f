"""What a case of a finding is, and how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metriscope.findings import FINDINGS, examine, examine_subject, outcomes
from metriscope.findings.base import Subject
from metriscope.types import Examined, Finding, Results

Given = Results | Subject


@dataclass(frozen=True)
class Case:
    """Inputs of one check: one that fires it, one that does not, one where it does not apply.

    Keys of the cases are codes, with a word after it where a code has several: ``MS101 space``.
    """

    fires: Given
    quiet: Given
    silent: Given | None  # None: a check that always applies to what it looks at


def space(
    about: Mapping[str, Any] | None = None, /, examined: Examined | None = None, **scores: float
) -> Subject:
    """A diagnosed space; ``recall_1=0.9`` is the score ``recall@1``, ``a__b`` is ``a.b``."""
    facts = {"classes": 10, "rows": 10_000, "dim": 128, **(about or {})}
    named = {k.replace("recall_", "recall@").replace("__", "."): v for k, v in scores.items()}
    return Subject("space", dict(named), about=facts, examined=examined)


def fired(given: Given, code: str) -> list[Finding]:
    """Findings of the code that are a problem or a warning."""
    found = examine(given) if isinstance(given, Results) else examine_subject(given)
    return [f for f in found if f.code == code and f.fired]


def states(given: Given, code: str) -> set[str]:
    """``fired``, ``passed``, ``not applicable``."""
    if isinstance(given, Results):
        return {o.state for o in outcomes(given) if o.code == code}
    check = next(c for c in FINDINGS.all().values() if c.code == code)
    assert given.kind in check.of, f"{code} does not look at a subject of kind {given.kind}"
    said = next(f for f in examine_subject(given) if f.code == code)
    return {"fired" if said.fired else "passed" if said.severity == "ok" else said.severity}
