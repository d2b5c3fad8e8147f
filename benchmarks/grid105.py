"""A whole result folder of realistic size without training: 7 losses × 5 datasets × 3 seeds.

``python -m benchmarks.grid105 FOLDER`` writes it, in about three minutes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metriscope import kept, losses
from metriscope.ops.neighbours import Gallery
from metriscope.store import Store
from metriscope.types import Embeddings, Queries, Results, RunResult, RunSpec

DATASETS = {"cub200": 100, "cars196": 98, "mnist": 10, "fashion-mnist": 10, "tiny-imagenet": 200}
CURVES = ("active.terms", "active.samples", "grad_norm.head", "loss", "val.recall@1")
SCORES = (
    "map@r r_precision knn_accuracy@5 probe_accuracy intra.pair_cos.mean intra.pair_cos.sd "
    "inter.cos.mean inter.cos.sd inter.euclid.mean inter.euclid.sd spread.total centre.norm_sq "
    "rank.effective rank.effective.centred nc1 silhouette hubness.skew alignment uniformity "
    "density.pi_ratio intra.eq1 inter.eq1 loss.initial loss.final loss.decay active.terms "
    "active.samples active.effective active.literal grad_norm.head grad_norm.head.sd epochs_to.50 "
    "epochs_to.60 epochs_to.90 val.recall@1 val.recall@5 val.recall@10 val.r_precision val.map@r "
    "val.intra.pair_cos.mean val.inter.euclid.mean val.density.pi_ratio"
)


def write(
    folder: Path,
    *,
    datasets: dict[str, int] = DATASETS,
    names: tuple[str, ...] = losses.PAPER,
    seeds: int = 3,
    rows: int = 10_000,
    dim: int = 128,
    epochs: int = 100,
) -> Results:
    """Runs with embeddings, queries and traces, and ``results.json``; no views.

    Args:
        folder: made if need be. datasets: to their classes. names: of losses.
    """
    store, parts = Store(folder), []
    for d, (name, classes) in enumerate(datasets.items()):
        random = np.random.default_rng(d)
        y = np.sort(random.integers(0, classes, rows))
        named = tuple(f"{name} class {i}" for i in range(classes))
        x = random.standard_normal((classes, dim))[y] + random.standard_normal((rows, dim))
        runs = []
        for i, loss in enumerate(names):
            for seed in range(seeds):
                asked = RunSpec(
                    name, f"{d:064d}", "given", loss, losses.resolve(loss, {}), seed, epochs=epochs
                )
                runs.append(_run(store, replace(asked, validation=0.2), x, y, named, i))
        about = _about(name, rows, classes, dim)
        parts.append(Results(tuple(runs), about=about))
    shared = {"command": "metriscope compare …", "machine": "2 cores, Linux", "seconds": 3600.0}
    results = parts[0] if len(parts) == 1 else Results.joined(parts, shared)
    store.save(results)
    return results


def _run(
    store: Store, spec: RunSpec, x: np.ndarray, y: np.ndarray, names: tuple[str, ...], place: int
) -> RunResult:
    random = np.random.default_rng([place, spec.seed])
    noise = (0.5 + 0.25 * place) * random.standard_normal(x.shape)
    z = x + noise
    z = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
    made = Embeddings(z, y, names, "test", spec.dataset, np.arange(len(y)))
    asked = _queries(made, random)
    some = slice(0, min(2_000, len(y)))
    held = Queries(
        asked.ids[some], asked.first[some], asked.r_precision[some], asked.precision[some]
    )
    scores: dict[str, float | None] = {
        name: float(abs(random.normal(0.5, 0.02)) + 0.01 * place) for name in SCORES.split()
    }
    for part, found in (("", asked), ("val.", held)):
        for name in ("recall@1", "recall@5", "recall@10", "r_precision", "map@r"):
            scores[part + name] = float(np.nanmean(found.values(name)))
    at = np.arange(spec.epochs + 1)
    trace = {"epoch": at.tolist()} | {
        name: (
            (1 + place) * np.exp(-at / (5 + 3 * place)) + 0.1 + 0.01 * random.random(len(at))
        ).tolist()
        for name in CURVES
    }
    result = RunResult(spec, "done", scores, trace, 60.0, {"torch": "2.13.0", "python": "3.11"})
    store.run_folder(spec.key).mkdir(parents=True, exist_ok=True)
    kept.write_queries(
        store.run_folder(spec.key) / kept.QUERIES, {"test": asked, "validation": held}
    )
    store.save_run(result, made)
    return result


def _queries(made: Embeddings, random: np.random.Generator) -> Queries:
    """What each row retrieves; R-precision and precision are drawn, since they take long."""
    z, y = torch.from_numpy(made.x.astype(np.float64)), torch.from_numpy(made.y)
    among, first = Gallery(z), np.zeros(len(y), np.int64)
    for part in among.parts(len(z)):
        own = torch.arange(part.start, part.stop)
        near = among.nearest_index(z[part], own, min(10, len(z) - 1))
        hit = (y[near] == y[part, None]).numpy()
        first[part] = np.where(hit.any(1), hit.argmax(1) + 1, 0)
    alone = made.counts[made.y] == 1
    drawn = np.where(alone, np.nan, random.beta(2, 1, (2, len(y))))
    return Queries(made.ids, np.where(alone, -1, first), drawn[0], drawn[0] * drawn[1])


def _about(name: str, rows: int, classes: int, dim: int) -> dict[str, Any]:
    return {
        "source": name,
        "dataset": name,
        "split": "given",
        "train_rows": 4 * rows,
        "validation_rows": 2_000,
        "test_rows": rows,
        "classes": classes,
        "dim": dim,
        "backbone": "clip-vit-b32",
        "notes": [],
        "baseline": {"recall@1": 0.5, "map@r": 0.3},
        "command": f"metriscope compare {name}",
        "machine": "2 cores, Linux",
    }


if __name__ == "__main__":
    write(Path(sys.argv[1]))
