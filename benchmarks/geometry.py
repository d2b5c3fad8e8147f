"""Geometry in one pass, D = 128, one thread.

The floor is one float64 product zᵀz of all rows, which are in memory for it. Ours reads float32
rows from a memory-mapped file or from Parquet.
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import growth_mib, in_child, turns
from benchmarks.tables import Row, compared, grown
from metriscope import geometry
from metriscope.diagnostics.base import Space, measure
from metriscope.types import Embeddings

D = 128


def write(folder: Path, n: int, classes: int) -> tuple[Path, Path, Path]:
    """The same rows as .npy, labels beside it, and Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    rows, labels = folder / f"{n}.npy", folder / f"{n}-labels.npy"
    table = folder / f"{n}.parquet"
    centres = rng.standard_normal((classes, D), np.float32)
    y = rng.integers(classes, size=n)
    np.save(labels, y)
    x = np.lib.format.open_memmap(rows, "w+", np.float32, (n, D))
    kind = pa.schema([("label", pa.int64()), ("embedding", pa.list_(pa.float32(), D))])
    with pq.ParquetWriter(table, kind) as writer:
        for start in range(0, n, 1 << 16):
            part = slice(start, start + (1 << 16))
            x[part] = centres[y[part]] + rng.standard_normal((len(y[part]), D), np.float32)
            flat = pa.FixedSizeListArray.from_arrays(pa.array(x[part].ravel()), D)
            writer.write_table(pa.table([pa.array(y[part]), flat], schema=kind))
    x.flush()
    return rows, labels, table


def run(*, quick: bool) -> list[Row]:
    """The section."""
    torch.set_num_threads(1)
    n, classes, budget = (100_000, 1_000, 5.0) if quick else (1_000_000, 1_000, 30.0)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = (n // 4, n // 2, n)
        files = {size: write(folder, size, classes) for size in sizes}
        small = write(folder, 2_000, 10)[2]
        for size in (n // 2, n):
            mib = in_child(
                growth_mib, lambda size=size: geometry(files[size][2]), lambda: geometry(small)
            )
            rows.append(Row(f"memory from Parquet, {size:,} rows", mib, "MiB", most=1024.0))
        x, labels, table = files[n]
        z = torch.from_numpy(np.load(x)).double()
        mapped, from_parquet, floor = turns(
            lambda: geometry(x, labels=labels),
            lambda: geometry(table),
            lambda: z.T @ z,
            budget=budget,
        )
        what = f"geometry of {n:,} rows, {classes:,} classes"
        rows += [
            compared(f"{what}, .npy", "zᵀz", mapped, floor, way="times the cost", bar=3.0),
            compared(f"{what}, Parquet", "zᵀz", from_parquet, floor, way="times the cost"),
        ]
        del z
        taken = turns(
            *(lambda s=s: geometry(files[s][0], labels=files[s][1]) for s in sizes), budget=budget
        )
        for (less, below), (more, above) in pairwise(zip(sizes, taken, strict=True)):
            rows.append(grown(f"geometry of {more:,} rows", f"{less:,} rows", above, below))
    return rows + direct(4_000 if quick else 10_000, budget)


def direct(n: int, budget: float) -> list[Row]:
    """Mean cosine within classes from moments, and from all pairs."""
    rng = np.random.default_rng(1)
    y = np.arange(n) % 10
    x = rng.standard_normal((10, D))[y] + rng.standard_normal((n, D))
    found = Embeddings(x.astype(np.float32), y, tuple(map(str, range(10))))

    def pairs() -> None:
        z = torch.nn.functional.normalize(torch.from_numpy(found.x).double())
        for c in range(10):
            own = z[torch.from_numpy(found.y == c)]
            (1 - own @ own.T).sum() / (len(own) * (len(own) - 1))

    only = ("intra_pair_cos",)
    ours, theirs = turns(lambda: measure(Space(found), only), pairs, budget=budget / 5)
    what = f"cosines within 10 classes, {n:,} rows"
    return [compared(what, "all pairs", ours, theirs, way="times faster")]
