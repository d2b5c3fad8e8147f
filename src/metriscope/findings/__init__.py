"""Findings: one file, one thing that can be wrong, under a stable code.

Each is a function that looks at one subject (a run of a comparison, an embedding space, or training
under a monitor) and says what it sees::

    @finding("ms101_collapsed", title="spread of the whole space", of=("run", "space"))
    def ms101_collapsed(subject: Subject) -> Verdict: ...

Codes: MS1xx the geometry of a space, MS2xx training, MS3xx one loss beside others, MS4xx the
data. :func:`examine` asks those of comparisons, and makes one
:class:`~metriscope.types.Finding` a loss of what they say about its seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metriscope.registry import Registry

if TYPE_CHECKING:
    from metriscope.findings.base import Check, Outcome, Subject
    from metriscope.types import Finding, Results

FINDINGS: Registry[Check] = Registry("finding", "metriscope.findings")


def examine(results: Results) -> tuple[Finding, ...]:
    """Everything a person should know about these results: problems first, then by code.

    Args:
        results: runs of any status; their ``findings`` are not read.
    """
    from metriscope.findings.base import examine

    return examine(results)


def examine_subject(subject: Subject) -> tuple[Finding, ...]:
    """One finding of every check that looks at such a subject, whether it fired or not."""
    from metriscope.findings.base import examine_subject

    return examine_subject(subject)


def outcomes(results: Results) -> tuple[Outcome, ...]:
    """For each check and loss of a comparison: fired, passed, or not applicable."""
    from metriscope.findings.base import outcomes

    return outcomes(results)
