"""Cases of the findings about training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metriscope import losses
from metriscope.findings.base import Subject
from tests.fakes import failed, results, run
from tests.finding_cases import Case

FLAT = (1.0,) * 7
FELL = (1.4, 1.1, 1.05, 1.03, 1.02, 1.015, 1.01)
ACTIVE = "active.samples"
Column = Sequence[float | None]

LONG = [2.0] + [1.0] * 39
SLOW = [4.0 + 0.001 * (i % 3) for i in range(40)]
FALLING = [4.0 * 0.95**i for i in range(40)]


def training(
    loss: str = "infonce",
    row: Column = FALLING,
    params: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    spread: float | None = 0.8,
    **columns: Column,
) -> Subject:
    """What a monitor hands to checks: ``active__terms`` is the column ``active.terms``."""
    if loss in losses.LOSSES.names():
        params = losses.resolve(loss, dict(params or {}))
    trace: dict[str, list[float | None]] = {
        "step": [10.0 * (i + 1) for i in range(len(row))],
        "loss": list(row),
        **{name.replace("__", "."): list(column) for name, column in columns.items()},
    }
    known = {
        "steps": 10 * len(row),
        "every": 10,
        "batch_size": 64.0,
        "classes_per_batch": 10.0,
        "classes": 10,
        "dim": 32,
        "nonfinite": None,
        "skipped": 0,
        "skipped_since_update": 0,
        "missing_parameters": [],
        "world_size": 1,
        "joined": True,
        "compares": True,
        "unreduced": {},
    }
    scores = {"spread.total": spread}
    return Subject("training", scores, trace, loss, params or {}, {**known, **(about or {})})


def _spread(*values: float) -> Subject:
    """Spreads measured every fifth row."""
    rows: list[float | None] = []
    for value in values:
        rows += [value, None, None, None, None]
    return training(row=LONG[:1] * len(rows), spread=values[-1], batch__spread__total=rows)


def _steady(n: int = 40, value: float = 1.0) -> list[float]:
    return [value * (1 + 0.1 * (i % 4)) for i in range(n)]


BROKEN = {"step": 250, "first": "loss", "skipped": False}
SKIPPED = {"step": 250, "first": "gradient of model", "skipped": True}
TRIPLET = {"margin": 0.2, "mining": "batch_all"}

CASES = {
    "MS201": Case(
        results(run("triplet", losses=FELL, spread__total=1e-4)),
        results(run("triplet", losses=(1.4, 1.0, 0.9, 0.8), spread__total=0.8)),
        results(run("contrastive", losses=FLAT, spread__total=1e-4)),
    ),
    "MS201 training": Case(
        training("triplet", LONG, spread=0.01),
        training("triplet", [1.3, *([1.0, 0.9, 0.8] * 4)], spread=0.8),
        training("triplet", LONG[:5], spread=0.01),
    ),
    "MS201 softmax": Case(
        training("infonce", [5.0] + [4.05] * 39, spread=0.02),
        training("infonce", [5.0] + [4.05] * 39, spread=0.5),
        training("infonce", [5.0] + [4.05] * 39, about={"classes": None}),
    ),
    "MS201 theirs": Case(
        training("TripletMarginLoss", LONG, {"margin": 1.0, "distance": "LpDistance"}, spread=0.01),
        training("TripletMarginLoss", FALLING, {"margin": 1.0, "distance": "LpDistance"}),
        training("TripletMarginLoss", LONG, {"margin": 1.0, "reduction": "mean_active"}),
    ),
    "MS202": Case(
        results(run(losses=(6.24, 6.2, 6.2, 6.19, 6.19, 6.18))),
        results(run(losses=(6.24, 6.0, 5.5, 5.4, 5.3, 5.2))),
        results(run(losses=(6.24, 6.2))),
    ),
    "MS202 training": Case(
        training(row=SLOW), training(row=FALLING), training(row=SLOW, about={"steps": 290})
    ),
    "MS202 at its floor": Case(
        training("scl", [3.5] * 40),
        training("scl", [4.0] + [3.5] * 39),
        training("scl", [1.69] * 40),
    ),
    "MS203": Case(results(failed(error="the loss is NaN")), results(run()), None),
    "MS204": Case(
        results(run("npair")),
        results(run("npair", params=losses.resolve("npair", {"scale": 16.0}))),
        results(run("scl")),
    ),
    "MS204 training": Case(
        training("NTXentLoss", params={"temperature": 1.0, "distance": "CosineSimilarity"}),
        training("NTXentLoss", params={"temperature": 0.07, "distance": "CosineSimilarity"}),
        training("NTXentLoss", params={"temperature": 1.0, "distance": "LpDistance"}),
    ),
    "MS205": Case(
        results(run("contrastive", params=losses.resolve("contrastive", {"margin": 2.0}))),
        results(run("contrastive", params=losses.resolve("contrastive", {"margin": 1.4}))),
        results(run("scl")),
    ),
    "MS205 training": Case(
        training("triplet", params={"margin": 1.5}),
        training("triplet", params={"margin": 1.5, "squared": True}),
        training("triplet", params={"margin": 1.5}, about={"classes": None}),
    ),
    "MS206": Case(
        training("npair", [2.3] + [1.4] * 39, active__samples=[0.9] + [0.3] * 39),
        training("npair", [2.3] + [1.4] * 39, active__samples=[0.9] + [0.01] * 39),
        training("infonce", [2.3] + [0.01] * 39),
    ),
    "MS206 run": Case(
        results(run("npair", losses=(2.3, 1.39, 1.38), columns={ACTIVE: [0.9, 0.4, 0.3]})),
        results(run("npair", losses=(2.3, 1.9, 1.8), columns={ACTIVE: [0.9, 0.4, 0.3]})),
        results(run("arcface", losses=(40.0, 1.0, 0.1))),
    ),
    "MS207": Case(
        training("triplet", FALLING, TRIPLET, spread=0.02, active__terms=[0.3] + [0.001] * 39),
        training("triplet", FALLING, TRIPLET, spread=0.7, active__terms=[0.3] + [0.001] * 39),
        training("infonce", active__terms=[0.3] + [0.001] * 39),
    ),
    "MS207 never": Case(
        training("triplet", FALLING, TRIPLET, active__terms=[0.001] * 40),
        training("triplet", FALLING, TRIPLET, active__terms=[0.1] * 40),
        training("triplet", FALLING, {"soft": True}, active__terms=[0.001] * 40),
    ),
    "MS207 run": Case(
        results(run("triplet", spread__total=0.01, columns={"active.terms": [0.3] + [0.0] * 6})),
        results(run("triplet", spread__total=0.6, columns={"active.terms": [0.3] + [0.0] * 6})),
        results(run("scl", columns={"active.terms": [0.3] + [0.0] * 6})),
    ),
    "MS208": Case(
        training(row=[4.0] * 40, grad_norm__model=[1.0] + [1e-3] * 39),
        training(row=[4.0] * 40, grad_norm__model=[1.0] + [0.1] * 39),
        training(row=[4.0] + [1e-3] * 39, grad_norm__model=[1.0] + [1e-6] * 39),
    ),
    "MS208 from the start": Case(
        training(row=[4.0] * 40, grad_norm__model=[1e-10] * 40),
        training(row=[4.0] * 40, grad_norm__model=[1e-6] * 40),
        training(row=[4.0] * 40),
    ),
    "MS208 run": Case(
        results(run("infonce", columns={"grad_norm.head": [1.0] + [1e-4] * 6})),
        results(run("infonce", columns={"grad_norm.head": [1.0] + [0.2] * 6})),
        results(run("infonce")),
    ),
    "MS209": Case(
        training(grad_norm__model=[*_steady(30), 20.0, *_steady(9)]),
        training(grad_norm__model=[*_steady(30), 5.0, *_steady(9)]),
        training(grad_norm__model=[None] * 40),
    ),
    "MS209 grown": Case(
        training(grad_norm__model=[1.3**i for i in range(40)]),
        training(grad_norm__model=[1.05**i for i in range(40)]),
        training(grad_norm__model=_steady(4)),
    ),
    "MS210": Case(
        training(row=[*FALLING[:24], *[None] * 3], about={"nonfinite": BROKEN}),
        training(),
        Subject("training"),
    ),
    "MS210 skipped for ever": Case(
        training(about={"nonfinite": SKIPPED, "skipped": 17, "skipped_since_update": 17}),
        training(),
        Subject("training"),
    ),
    "MS211": Case(
        training(excluded=[0.5] * 40),
        training(excluded=[0.2] * 40),
        training(excluded=[None] * 40),
    ),
    "MS212": Case(
        training("arcface", about={"missing_parameters": ["weight"]}),
        training("arcface"),
        training("arcface", about={"missing_parameters": None}),
    ),
    "MS212 model": Case(
        training(about={"missing_model_parameters": ["0.weight", "0.bias"]}),
        training(about={"missing_model_parameters": []}),
        training(about={"missing_parameters": None, "missing_model_parameters": None}),
    ),
    "MS213": Case(
        _spread(0.6, 0.5, 0.3, 0.15, 0.07, 0.03),
        _spread(0.6, 0.5, 0.4, 0.38, 0.36, 0.35),
        _spread(0.6, 0.5, 0.3),
    ),
    "MS213 collapsed": Case(
        _spread(0.5, 0.004, 0.003),
        _spread(0.002, 0.006),
        _spread(0.002),
    ),
    "MS214": Case(
        training(row=[*FALLING, *[3.0] * 6]),
        training(row=[*FALLING, *[0.6] * 6]),
        training(row=FALLING[:9]),
    ),
    "MS215": Case(
        training(about={"world_size": 4, "joined": False}),
        training(about={"world_size": 4}),
        training(about={"joined": False}),
    ),
    "MS215 rows that are alone": Case(
        training("SupConLoss", about={"world_size": 4, "joined": False}),
        training("SupConLoss", about={"world_size": 4}),
        training("SphereFaceLoss", about={"world_size": 4, "joined": False, "compares": False}),
    ),
    "MS217": Case(
        training("arcface", about={"world_size": 2, "unreduced": {"loss": 0.07}}),
        training("arcface", about={"world_size": 2}),
        training("arcface"),
    ),
    "MS216": Case(
        training("contrastive", [0.12] + [0.1] * 50),
        training("contrastive", [0.12] + [0.05] * 50),
        training("contrastive", [0.12] + [0.1] * 40),
    ),
    "MS301": Case(
        results(run(recall_1=0.5), baseline={"recall@1": 0.558}),
        results(run(recall_1=0.55), baseline={"recall@1": 0.558}),
        results(run(recall_1=0.5)),
    ),
    "MS302": Case(
        results(run("scl", recall_1=0.68), run("ccl", recall_1=0.6)),
        results(run("scl", recall_1=0.68), run("ccl", recall_1=0.66)),
        results(run("scl", recall_1=0.68)),
    ),
    "MS402": Case(
        results(run("contrastive", columns={ACTIVE: [None, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02]})),
        results(run("contrastive", columns={ACTIVE: [None, 0.9, 0.5, 0.1, 0.01, 0.01, 0.01]})),
        results(run("contrastive")),
    ),
    "MS402 training": Case(
        training(active__samples=[0.03] * 40),
        training(active__samples=[0.3] + [0.01] * 39),
        training(active__samples=[0.03] * 4),
    ),
}
