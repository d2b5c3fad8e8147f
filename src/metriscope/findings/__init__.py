"""Findings: one file, one thing that can be wrong with a run, under a stable code.

Each is a function that looks at one run and says what it sees::

    @finding("ms101_collapsed", of="done")
    def ms101_collapsed(run: RunResult, results: Results) -> Verdict: ...

:func:`examine` asks all of them, and makes one :class:`~metriscope.types.Finding` a loss of what
they say about its seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriscope.registry import Registry

if TYPE_CHECKING:
    from metriscope.findings.base import Check, Outcome
    from metriscope.types import Finding, Results

FINDINGS: Registry[Check] = Registry("finding", "metriscope.findings")


def examine(results: Results) -> tuple[Finding, ...]:
    """Everything a person should know about these results: problems first, then by code.

    Args:
        results: runs of any status; their ``findings`` are not read.
    """
    from metriscope.findings.base import examine

    return examine(results)


def outcomes(results: Results) -> tuple[Outcome, ...]:
    """For each check and loss: fired, passed, or not applicable."""
    from metriscope.findings.base import outcomes

    return outcomes(results)
