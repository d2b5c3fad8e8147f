"""Active shares: how much of a batch still teaches?"""

from __future__ import annotations

import torch

from metriscope.diagnostics.base import Score, diagnostic
from metriscope.types import Share, Step


@diagnostic(
    "active_share",
    reads="step",
    group="greediness",
    scores=[
        Score("active.terms", lower=0, upper=1),
        Score("active.samples", lower=0, upper=1),
        Score("active.literal", lower=0),
        Score("active.effective", lower=0, upper=1),
    ],
)
def active_share(step: Step) -> dict[str, Share]:
    """Shares of active terms and samples, and the effective share of samples by gradient.

    Formula, for a batch of B, with g_i = ‖∂L/∂z_i‖; an epoch is Σ part / Σ whole::

        active.terms     = active terms / candidate terms
        active.samples   = samples that anchor an active term / (B − excluded samples)
        active.literal   = active terms / B       the paper's words; may exceed 1
        active.effective = (Σ g_i)² / (B Σ g_i²)  no threshold; averaged over batches

    When a term is active is the rule of each loss. ``active.effective`` is 1 where all samples
    pull equally hard and 1/B where one does all the work.

    Bounds: [0, 1] but for ``active.literal``. Undefined (0 of 0), so left out of the epoch: a batch
    without candidate terms; for ``effective`` one without any gradient. A NaN gradient gives NaN.
    Source: the paper, section 4, whose wordings differ: the first three are its readings.
    """
    out, g = step.output, step.embedding_grad_norms.detach().double()
    b = len(g)
    some = (out.total_terms > 0).double()
    largest = g.amax()
    pulls = ~(largest <= 0)  # NaN counts as a gradient
    relative = g / torch.where(pulls, largest, 1)  # so that no square underflows
    squares = torch.where(pulls, relative.square().sum(), 1)
    return {
        "active.terms": Share(out.active_terms.double(), out.total_terms.double()),
        "active.samples": Share(out.active_samples.sum().double(), (b - out.excluded).double()),
        "active.literal": Share(out.active_terms.double(), b * some),
        "active.effective": Share(relative.sum().square() / (b * squares), pulls.double()),
    }
