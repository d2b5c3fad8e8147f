"""Hubness: are a few points everybody's neighbour?"""

from __future__ import annotations

import torch

from metriscope.diagnostics.base import Score, Space, Values, diagnostic


@diagnostic(
    "hubness",
    reads="embeddings",
    group="retrieval",
    scores=[
        Score("hubness.skew", better="lower"),
        Score("hubness.hubs", better="lower", lower=0, upper=0.5),
        Score("hubness.antihubs", better="lower", lower=0, upper=1),
    ],
)
def hubness(space: Space) -> Values:
    """Skewness of the k-occurrence, and the shares of hubs and of points nobody retrieves.

    Formula, with N_k(j) how many rows have j among their k = min(10, n − 1) nearest others::

        skew     = E[(N_k − k)³] / E[(N_k − k)²]^(3/2)     (0 where every N_k = k)
        hubs     = share of rows with N_k ≥ 2k
        antihubs = share of rows with N_k = 0

    Bounds: ΣN_k = nk, so hubs ≤ 1/2; antihubs in [0, 1]; skew has none. With n ≤ 11 every row is a
    neighbour of every other and all three are 0. Undefined where all embeddings are one point,
    whose order would be that of the rows. Source: Radovanović et al. (2010).
    """
    if space.collapsed:
        return {"hubness.skew": None, "hubness.hubs": None, "hubness.antihubs": None}
    nearest = space.neighbours.nearest
    n, k = nearest.shape
    occurrence = torch.bincount(nearest.flatten(), minlength=n).double()
    above = occurrence - k
    variance = above.square().mean()
    skew = above.pow(3).mean() / variance.pow(1.5) if bool(variance > 0) else 0.0
    return {
        "hubness.skew": skew,
        "hubness.hubs": (occurrence >= 2 * k).double().mean(),
        "hubness.antihubs": (occurrence == 0).double().mean(),
    }
