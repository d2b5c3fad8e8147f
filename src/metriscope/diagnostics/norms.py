"""Norms: does it matter that embeddings are not normalised?"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.diagnostics._sample import some_rows
from metriscope.diagnostics.base import Score, Space, Values, diagnostic

_QUERIES = 2000
_EQUAL = 1e-3  # coefficient of variation of vectors that were normalised, in half precision
_NAMES = ("norms.moved.dot", "norms.moved.euclid", "norms.lost.dot", "norms.lost.euclid")


@diagnostic(
    "norms",
    reads="diagnosis",
    group="retrieval",
    scores=[
        Score("norms.cv", lower=0),
        Score("norms.moved.dot", lower=0, upper=1),
        Score("norms.moved.euclid", lower=0, upper=1),
        Score("norms.lost.dot", better="lower", lower=-1, upper=1),
        Score("norms.lost.euclid", better="lower", lower=-1, upper=1),
    ],
)
def norms(space: Space) -> Values:
    """How unequal the lengths of the embeddings are, and what that does to a search without cosine.

    Formula, with x the embeddings as they were given, of at most 2,000 drawn queries with another
    row of their class to find::

        cv    = SD(‖x‖) / mean(‖x‖)                    over all rows
        moved = share whose nearest other by x_iᵀx_j (``dot``) or ‖x_i − x_j‖ (``euclid``) is
                another row than by cosine
        lost  = Recall@1 by cosine − Recall@1 by it

    All but ``cv`` are 0 without a search where cv ≤ 1e-3: such vectors were normalised.

    Bounds: cv ≥ 0, moved in [0, 1], lost in [−1, 1]. Undefined: cv where all vectors are zero, the
    rest without a query. Source: derived here.
    """
    x = torch.from_numpy(np.array(space.test.x, np.float64)).to(space.device)
    x = x / x.abs().max().clamp_min(torch.finfo(torch.float64).tiny)  # so that no square overflows
    length = x.norm(dim=1)
    mean = length.mean()
    rows = some_rows(len(x), _QUERIES, x.device)
    rows = rows[space.moments.counts[space.class_index[rows]] > 1]
    if not bool(mean > 0):
        return {"norms.cv": None, **dict.fromkeys(_NAMES)}
    cv = length.std(correction=0) / mean
    if not len(rows):
        return {"norms.cv": cv, **dict.fromkeys(_NAMES)}
    if bool(cv <= _EQUAL):
        return {"norms.cv": cv, **dict.fromkeys(_NAMES, 0.0)}
    # (√(M² − ‖x‖²), x) is at M² + ‖q‖² − 2 qᵀx from (0, q): the nearest has the largest product
    raised = (length.max().square() - length.square()).clamp_min(0).sqrt()
    flat = torch.cat([torch.zeros_like(raised[:, None]), x], dim=1)
    by = {
        "cosine": _nearest(space.z, space.z, rows),
        "dot": _nearest(flat, torch.cat([raised[:, None], x], dim=1), rows),
        "euclid": _nearest(x, x, rows),
    }
    right = {name: _share(space.y[found] == space.y[rows]) for name, found in by.items()}
    return {
        "norms.cv": cv,
        **{f"norms.moved.{name}": _share(by[name] != by["cosine"]) for name in ("dot", "euclid")},
        **{f"norms.lost.{name}": right["cosine"] - right[name] for name in ("dot", "euclid")},
    }


def _nearest(
    queries: Float[Tensor, "n d"], gallery: Float[Tensor, "n d"], rows: Int[Tensor, " q"]
) -> Int[Tensor, " q"]:
    """Of these rows, each without itself."""
    found = torch.empty_like(rows)
    for part, index, _ in ops.neighbour_blocks(queries[rows], gallery, 2):
        found[part] = index[:, 0].where(index[:, 0] != rows[part], index[:, 1])
    return found


def _share(which: Bool[Tensor, " q"]) -> Float[Tensor, ""]:
    return which.double().mean()
