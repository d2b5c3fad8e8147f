"""float32: can it still tell which class is nearest?"""

from __future__ import annotations

import torch

from metriscope.diagnostics._sample import some_rows
from metriscope.diagnostics.base import Score, Space, Values, diagnostic

_QUERIES = 2000
_BLOCK = 1 << 24  # numbers of a block of distances
_RESOLUTION = 2.0**-23  # what float32 tells apart near 1


@diagnostic(
    "float32",
    reads="diagnosis",
    group="retrieval",
    scores=[
        Score("float32.unsure", better="lower", lower=0, upper=1),
        Score("float32.lost", better="lower", lower=-1, upper=1),
    ],
)
def float32(space: Space) -> Values:
    """How many queries float32 cannot answer by cosine, and what that costs Recall@1.

    Formula, of at most 2,000 drawn queries with another row of their class to find. Those rows are
    near that have a cosine of less than 2⁻²³ below the largest one: 1.2e-7 is what float32 tells
    apart near 1, where the cosines of neighbours are::

        unsure = share of queries with rows of their class and of others among the near ones
        lost   = Recall@1 − mean share of the query's class among the near ones

    ``lost`` is what rounding costs that picks any of them. Distances are those of centred vectors
    in float64.

    Bounds: unsure in [0, 1], lost in [−1, 1]. Undefined without a query, or where all embeddings
    are one point. Source: derived here from IEEE 754.
    """
    z, squares, y = space.centred, space.centred.square().sum(1), space.y
    rows = some_rows(len(z), _QUERIES, z.device)
    rows = rows[space.moments.counts[space.class_index[rows]] > 1]
    if not len(rows) or space.collapsed:
        return {"float32.unsure": None, "float32.lost": None}
    unsure, lost = z.new_zeros(()), z.new_zeros(())
    for part in rows.split(max(_BLOCK // len(z), 1)):
        halves = torch.addmm(squares / 2, z[part], z.T, alpha=-1)  # (d² − ‖q‖²)/2
        halves[torch.arange(len(part), device=z.device), part] = torch.inf
        least, first = halves.min(1, keepdim=True)
        near = halves < least + _RESOLUTION
        same = y[part, None] == y
        share = (near & same).sum(1) / near.sum(1)
        unsure += ((share > 0) & (share < 1)).sum()
        lost += (same.gather(1, first)[:, 0].double() - share).sum()
    return {"float32.unsure": unsure / len(rows), "float32.lost": lost / len(rows)}
