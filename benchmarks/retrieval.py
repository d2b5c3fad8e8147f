"""Exact retrieval, D = 128, one thread.

The floor is the bare product of all queries with the gallery, in blocks, in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import faiss
import numpy as np
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torch import Tensor

from benchmarks.measure import growth_mib, in_child, turns
from benchmarks.tables import Row, compared, grown
from metriscope import ops
from metriscope.diagnostics.base import Space, measure
from metriscope.types import Embeddings

D, BLOCK = 128, 512
SCORES = ("retrieval", "hubness")


def clustered(n: int, classes: int, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Unit vectors around one direction a class; ``spread`` as long as that direction at 1."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(classes, D, generator=generator))
    y = torch.randint(classes, (n,), generator=generator)
    noise = torch.randn(n, D, generator=generator) * spread / D**0.5
    return torch.nn.functional.normalize(centres[y] + noise), y


def bare(z: Tensor) -> None:
    for queries in z.split(BLOCK):
        queries @ z.T


def faiss_search(z: Tensor, k: int) -> None:
    index = faiss.IndexFlatIP(D)
    index.add(z.numpy())
    index.search(z.numpy(), k + 1)


def peer(z: Tensor, y: Tensor, **settings: object) -> Callable[[], object]:
    """By default PML ranks all rows for each query; with k = 10 it searches for 10."""
    calculator = AccuracyCalculator(include=("precision_at_1",), **settings)
    return lambda: calculator.get_accuracy(z, y)


def scores(z: Tensor, y: Tensor) -> None:
    names = tuple(map(str, range(int(y.max()) + 1)))
    measure(Space(Embeddings(z.numpy(), y.numpy().astype(np.int64), names)), SCORES)


def run(*, quick: bool) -> list[Row]:
    """The section."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    n, large, budget = (3_000, 6_000, 3.0) if quick else (10_000, 60_000, 20.0)
    z, y = clustered(large, 10)
    mib = in_child(growth_mib, lambda: scores(z, y), lambda: scores(z[:500], y[:500]))
    rows = [Row(f"memory of all retrieval scores, {large:,} rows, C = 10", mib, "MiB", most=1024.0)]
    for name, spread in (("spread", 1.0), ("tight", 0.1)):
        z, y = clustered(n, 100, spread)
        # The bar is for 10,000 rows: with fewer, what a block costs besides its product shows.
        bar = 1.6 if name == "spread" and not quick else None
        work = partial(ops.recall, z, y, (1, 5, 10))
        ours, floor, ten, flat = turns(
            work, partial(bare, z), peer(z, y, k=10), partial(faiss_search, z, 10), budget=budget
        )
        once, by_default = turns(work, peer(z, y), budget=0, least=1)
        what = f"Recall@1,5,10, {n:,} rows, {name} classes"
        rows += [
            compared(what, "bare product", ours, floor, way="times the cost", bar=bar),
            compared(what, "PML AccuracyCalculator", once, by_default, way="times faster", bar=2.0),
            compared(what, "PML, k = 10", ours, ten, way="times faster"),
            compared(what, "faiss IndexFlatIP, k = 11", ours, flat, way="times faster"),
        ]
    metrics = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    every = AccuracyCalculator(include=metrics, k="max_bin_count")
    for classes in (10, 100):
        z, y = clustered(n, classes)
        ours, theirs = turns(
            partial(scores, z, y), partial(every.get_accuracy, z, y), budget=budget / 2, least=2
        )
        what = f"all retrieval scores, {n:,} rows, C = {classes}"
        rows.append(compared(what, "PML, P@1, R-P, MAP@R", ours, theirs, way="times faster"))
    sizes = tuple(n // k for k in (4, 2, 1))
    taken = turns(*(lambda m=m: ops.recall(z[:m], y[:m], (1,)) for m in sizes), budget=budget / 3)
    for (small, below), (many, above) in pairwise(zip(sizes, taken, strict=True)):
        rows.append(grown(f"Recall@1, {many:,} rows", f"{small:,} rows", above, below))
    return rows
