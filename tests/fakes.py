"""Results that no training made, for what reads results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from metriscope import losses
from metriscope.kept import write_queries, write_view
from metriscope.types import (
    ClassRow,
    Confusion,
    Queries,
    Results,
    RunResult,
    RunSpec,
    Scores,
    Trace,
    View,
)


def spec(loss: str = "scl", seed: int = 0, params: Mapping[str, Any] | None = None) -> RunSpec:
    if params is None:
        known = loss in losses.LOSSES.names()
        params = losses.resolve(loss, {}) if known else {"reduction": "mean"}
    return RunSpec("data", "f0f0", "given", loss, params, seed, epochs=10)


def trace(loss: list[float | None], **columns: list[float | None]) -> dict[str, Any]:
    return {"epoch": [float(e) for e in range(len(loss))], "loss": loss, **columns}


def run(
    loss: str = "scl",
    seed: int = 0,
    *,
    losses: tuple[float | None, ...] = (4.0, 3.0, 2.5, 2.2, 2.1, 2.05, 2.02),
    params: Mapping[str, Any] | None = None,
    columns: Mapping[str, list[float | None]] | None = None,
    **scores: float | None,
) -> RunResult:
    """A finished run; ``recall_1=0.9`` is the score ``recall@1``, ``a__b`` is ``a.b``."""
    named = {k.replace("recall_", "recall@").replace("__", "."): v for k, v in scores.items()}
    made = trace(list(losses), **(columns or {}))
    return RunResult(spec(loss, seed, params), "done", named, made, 2.5, {"torch": "2.13.0"})


def failed(loss: str = "scl", seed: int = 0, error: str = "out of memory") -> RunResult:
    return RunResult(spec(loss, seed), "failed", error=error)


def results(*runs: RunResult, **about: Any) -> Results:
    return Results(runs, about={"dataset": "data", "classes": 10, "test_rows": 10_000, **about})


def full(name: str = "data", loss: str = "scl") -> Results:
    """Several losses and seeds with every kind of cell: partial, failed, undefined, tiny."""
    runs = []
    for i, other in enumerate(("contrastive", "triplet", loss)):
        for seed in range(3):
            if other == "contrastive" and seed == 2:
                runs.append(failed(other, seed, f"diverged on {name}"))
                continue
            shares: list[float | None] = [None, 0.9, 0.8, 0.7 - 0.1 * i, 0.6, 0.5, 0.4]
            runs.append(
                run(
                    other,
                    seed,
                    columns={
                        "active.terms": shares,
                        "active.samples": shares,
                        "grad_norm.head": [None, *(10.0 ** (-i - e) for e in range(6))],
                    },
                    recall_1=0.9 + 0.01 * i + 0.001 * seed,
                    recall_5=0.95,
                    spread__total=7.6e-05 if other == "triplet" else 0.8,
                    centre__norm_sq=0.2,
                    loss__final=2.02 + seed,
                    epochs_to__50=None if other == "triplet" or seed == 0 else 4.0 + seed,
                )
            )
    runs += [failed("ccl", seed) for seed in range(3)]
    return results(
        *runs,
        source=f"{name}.npz",
        dataset=name,
        command=f"metriscope compare {name}",
        notes=[f"note on {name}"],
        machine="2 cores",
        train_rows=100,
        seconds=12.0,
        baseline={"recall@1": 0.85, "spread.total": 0.4, "queries.excluded": 0.0},
    )


def comparison(
    folder: Path | None = None,
    datasets: Sequence[str] = ("data",),
    losses: Sequence[str] = ("contrastive", "triplet", "scl", "ccl"),
    seeds: int = 3,
    queries: int = 120,
    *,
    step: float = 0.05,
    lost: Sequence[tuple[str, int]] = (),
) -> Results:
    """A comparison with all that runs leave: scores, traces, and queries and views on disk.

    Every loss answers ``step`` more of the queries than the one before it, the first one 0.6.

    Args:
        folder: where ``runs/`` is made; None keeps neither queries nor views.
        datasets, losses, seeds, queries: how many, and what they are called.
        step: from loss to loss.
        lost: (loss, seed) of the runs that failed.
    """
    parts = []
    for d, name in enumerate(datasets):
        hard = np.random.default_rng(d).random((2, queries))
        runs = []
        for i, loss in enumerate(losses):
            for seed in range(seeds):
                asked = replace(spec(loss, seed), dataset=name, validation=0.2)
                if (loss, seed) in lost:
                    runs.append(RunResult(asked, "failed", error="out of memory"))
                    continue
                noise = np.random.default_rng((d, i, seed))
                kept = {
                    part: _queries(part, hard[p], 0.6 + step * i, noise)
                    for p, part in enumerate(("test", "validation"))
                }
                runs.append(
                    RunResult(asked, "done", *_left(kept, i, noise), 2.5, {"torch": "2.13"})
                )
                if folder is not None:
                    write_queries(folder / "runs" / asked.key / "queries.parquet", kept)
                    write_view(folder, asked.key, view(i, seed))
        parts.append(
            results(
                *runs,
                dataset=name,
                source=f"{name}.npz",
                command=f"metriscope compare {name}",
                machine="2 cores",
                train_rows=5 * queries,
                validation_rows=queries,
                test_rows=queries,
                seconds=12.0,
                baseline={"recall@1": 0.5},
            )
        )
    return parts[0] if len(parts) == 1 else Results.joined(parts, {"command": "metriscope compare"})


def _queries(part: str, hard: np.ndarray, share: float, noise: np.random.Generator) -> Queries:
    """Right where a query is not too hard, and a little luck."""
    ease = share + 0.15 * noise.standard_normal(len(hard)) + 0.01 * noise.standard_normal()
    first = np.where(hard < ease, 1, np.where(hard < ease + 0.1, 4, 0))
    precision = np.clip(ease - hard + 0.5, 0, 1)
    ids = np.array([f"{part}{i}" for i in range(len(hard))])
    return Queries(ids, first, precision, precision**2)


_HELD_OUT = ("intra.pair_cos.mean", "inter.euclid.mean", "density.pi_ratio")


def _left(kept: Mapping[str, Queries], i: int, noise: np.random.Generator) -> tuple[Scores, Trace]:
    """Scores and trace; the means of what the queries retrieved."""
    names = ("recall@1", "recall@5", "recall@10", "r_precision", "map@r")
    means = {p: {n: float(np.nanmean(q.values(n))) for n in names} for p, q in kept.items()}
    luck = 0.002 * float(noise.standard_normal())
    geometry = {
        "intra.pair_cos.mean": 0.1 + 0.05 * i + luck,
        "intra.pair_cos.sd": 0.05,
        "intra.eq1": 0.1 + 0.05 * i,
        "inter.euclid.mean": 1.2 - 0.1 * i + luck,
        "inter.euclid.sd": 0.1,
        "inter.cos.mean": 0.9,
        "inter.cos.sd": 0.2,
        "inter.eq1": 1.3,
        "centre.norm_sq": 0.1,
        "table2.r": 0.9,
        "density.pi_ratio": 0.2 + 0.05 * i + luck,
    }
    final = means["validation"]["recall@1"]
    scores: Scores = {
        **means["test"],
        **geometry,
        "loss.final": 1.0,
        "epochs_to.50": 3.0 + i,
        **{f"val.{n}": v for n, v in means["validation"].items()},
        **{f"val.{name}": geometry[name] for name in _HELD_OUT},
    }
    rises: list[float | None] = [final * (1 - 0.5 * 0.3**e) for e in range(6)]
    shares: list[float | None] = [None, 0.9, 0.8, 0.7, 0.6, 0.5]
    return scores, trace(
        [4.0, 3.0, 2.0, 1.5, 1.2, 1.0 + 0.1 * i],
        **{
            "val.recall@1": rises,
            "active.terms": shares,
            "active.samples": shares,
            "grad_norm.head": [None, *(10.0 ** (-i - e) for e in range(5))],
        },
    )


def view(i: int = 0, seed: int = 0, names: Sequence[str] = ("cat", "dog", "eel")) -> View:
    """How a space may look, another one for each ``i`` and ``seed``."""
    noise = np.random.default_rng((i, seed))
    labels = tuple(name for name in names for _ in range(10))
    within = noise.random(20)
    return View(
        labels=labels,
        ids=tuple(f"test{k}" for k in range(len(labels))),
        points=noise.standard_normal((len(labels), 2)) * 10,
        preserved=0.8,
        trustworthiness=0.9,
        spectrum=np.sort(noise.dirichlet(np.ones(8)))[::-1],
        edges=np.linspace(0, 2, 21),
        within=within / within.sum(),
        between=within[::-1] / within.sum(),
        classes=tuple(
            ClassRow(name, 10, 10, 0.1 + 0.1 * k, 0.9 - 0.1 * k, None, names[k - 1], 0.1)
            for k, name in enumerate(names)
        ),
        confusions=(Confusion(names[0], names[1], 3, 0.3),),
        settings={"perplexity": 5},
    )


def advised(results: Results, best: str, **said: Any) -> Results:
    """With a recommendation of ``best``, as plain JSON has it."""
    losses = [best, *(loss for loss in results.by_loss() if loss != best)]
    rows = [_advice_row(losses, i) for i in range(len(losses))]
    advice = {
        "goal": "top1",
        "score": "val.recall@1",
        "part": "validation",
        "better": "higher",
        "loss": best,
        "reason": None,
        "sure": "tied",
        "alike": losses[1:2],
        "rows": rows,
        "regret": 0.004,
        "chance": 0.7,
        "guideline": {
            "losses": ["triplet", "scl"],
            "says": "Triplet or SCL for top-1 retrieval.",
            "for": ["scl is first on these data."],
            "against": ["The paper's own tables contradict it."],
            "verdict": "agrees",
        },
        "queries": 120,
        "seeds": 3,
        "level": 0.05,
        "missing": {},
        "answer": f"Take {best}: Recall@1 0.700. {' and '.join(losses[1:2])} cannot be told apart.",
        "notes": [],
    }
    return replace(results, recommendation=advice | said)


def _advice_row(losses: Sequence[str], i: int) -> dict[str, Any]:
    mean, behind = 0.7 - 0.02 * i, None if i == 0 else -0.02 * i
    return {
        "loss": losses[i],
        "mean": mean,
        "low": mean - 0.02,
        "high": mean + 0.02,
        "sd": 0.01,
        "seeds": 3,
        "rank": i + 1,
        "rank_low": max(i, 1),
        "rank_high": min(i + 2, len(losses)),
        "best": 0.7 if i == 0 else 0.1,
        "regret": 0.004 + 0.02 * i,
        "difference": behind,
        "difference_low": None if behind is None else behind - 0.01,
        "difference_high": None if behind is None else behind + 0.01,
        "p": None if i == 0 else 0.2 / i**3,
        "alike": i == 1,
    }
