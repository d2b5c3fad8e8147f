"""Silhouette, by cosine distance."""

from __future__ import annotations

import torch

from metriscope.diagnostics.base import RESOLUTION, Score, Space, Values, diagnostic


@diagnostic(
    "silhouette",
    reads="embeddings",
    group="geometry",
    scores=[Score("silhouette", better="higher", lower=-1, upper=1)],
)
def silhouette(space: Space) -> Values:
    """Mean silhouette: is a point nearer to its own class than to the next one?

    Formula, with cosine distances, a_i the mean over the others of i's class, b_i the smallest
    mean over another class::

        s_i = (b_i − a_i) / max(a_i, b_i)      silhouette = mean of s_i

    Exact in O(n C d), without pairs: the mean over class c is (‖z_i − m_c‖² + spread_c)/2 with
    spread_c = (1/N_c) Σ_{j∈c} ‖z_j − m_c‖², and a_i is N_c/(N_c − 1) of it.

    Bounds: [−1, 1]. A point alone in its class has s_i = 0, and so has one at distance 0 from both.
    Undefined for fewer than two classes, where every class has one member, or where all embeddings
    are one point. Source: Rousseeuw (1987).
    """
    counts, spreads = space.moments.counts, space.class_spread
    if len(counts) < 2 or not len(space.pair_cos) or space.collapsed:
        return {"silhouette": None}
    means = space.moments.means - space.z.mean(0)
    squares = means.square().sum(1)
    total = space.z.new_zeros(())
    for rows in torch.arange(len(space.z), device=space.z.device).split(4096):
        own = space.class_index[rows]
        z = space.centred[rows]
        to_class = torch.addmm(squares, z, means.T, alpha=-2) + z.square().sum(1, keepdim=True)
        to_class = (to_class.clamp_min(0) + spreads) / 2  # (rows, C)
        b = to_class.scatter(1, own[:, None], torch.inf).amin(1)
        # From residuals: a tight class in a wide space keeps its digits.
        a = (space.residuals[rows].square().sum(1) + spreads[own]) / 2
        a = a * counts[own] / (counts[own] - 1).clamp_min(1)
        widest = torch.maximum(a, b)
        known = (counts[own] > 1) & (widest > RESOLUTION**2)
        total += torch.where(known, (b - a) / torch.where(known, widest, 1), 0).sum()
    return {"silhouette": total / len(space.z)}
