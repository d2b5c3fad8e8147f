"""Results that no training made, for what reads results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metriscope import losses
from metriscope.types import Results, RunResult, RunSpec


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
