"""Metrics, against what metriscope says of the same rows."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection

import metriscope
from metriscope.diagnostics.base import Space, measure
from metriscope.integrations.torchmetrics import (
    Geometry,
    MAPAtR,
    RecallAtK,
    Retrieval,
    RPrecision,
)
from metriscope.types import InputError
from tests.conftest import make_embeddings

EVERY = (Retrieval, RPrecision, MAPAtR, partial(RecallAtK, 3), Geometry)


def rows(n: int = 90, cone: float = 0.0) -> tuple[Tensor, Tensor]:
    """Five overlapping classes of uneven size, one of a single row; ``cone`` moves all together."""
    rng = np.random.default_rng(5)
    y = np.minimum(rng.integers(0, 9, n), 4)
    y[0] = 7
    x = rng.standard_normal((n, 6)) + 1.5 * rng.standard_normal((9, 6))[y]
    return torch.from_numpy(x + cone).float(), torch.from_numpy(y)


def fed(metric: Any, x: Tensor, y: Tensor, size: int = 17) -> Any:
    for each in zip(x.split(size), y.split(size), strict=True):
        metric.update(*each)
    return metric


def expected(x: Tensor, y: Tensor) -> dict[str, float | None]:
    codes = torch.unique(y, return_inverse=True)[1]
    return measure(Space(make_embeddings(x.double().numpy(), codes.numpy())), only=["retrieval"])


def same(found: dict[str, Tensor], wanted: dict[str, float | None], rel: float = 1e-10) -> None:
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        want = pytest.approx(math.nan if value is None else value, rel=rel, abs=1e-13, nan_ok=True)
        assert float(found[name]) == want, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_retrieval_is_that_of_a_diagnosis(dtype: torch.dtype) -> None:
    x, y = rows()
    x = x.to(dtype)
    found = fed(Retrieval(), x, y).compute()
    same(found, expected(x, y), rel=0)
    assert float(found["queries.excluded"]) == 1
    for metric, name in ((RPrecision(), "r_precision"), (MAPAtR(), "map@r")):
        assert float(fed(metric, x, y).compute()) == float(found[name])
    for k in (1, 5, 10):
        assert float(fed(RecallAtK(k), x, y).compute()) == float(found[f"recall@{k}"])
    assert float(fed(RecallAtK(500), x, y).compute()) == 1


@pytest.mark.parametrize("cone", [0.0, 1e4])
def test_geometry_is_that_of_one_pass(cone: float) -> None:
    x, y = rows(cone=cone)
    same(fed(Geometry(), x, y).compute(), metriscope.geometry((x.numpy(), y.numpy())), rel=1e-7)


def test_geometry_of_chosen_diagnostics() -> None:
    found = fed(Geometry(only=["variance_eq1"]), *rows()).compute()
    assert set(found) == {"intra.eq1", "inter.eq1", "ratio.eq1"}
    with pytest.raises(InputError, match="'retrieval', which is no diagnostic of class moments"):
        Geometry(only=["retrieval"])


def test_geometry_keeps_no_rows() -> None:
    x, y = rows(400)
    metric = fed(Geometry(), x, y)
    for each in zip(x.split(50), y.split(50), strict=True):
        metric(*each)
    held = sum(part.numel() for name in metric._defaults for part in getattr(metric, name))
    assert held == 6 * (1 + 1 + 6 + 1) + 36


def test_order_and_batches_do_not_matter() -> None:
    x, y = rows()
    turned = torch.randperm(len(y), generator=torch.Generator().manual_seed(1))
    for make in EVERY:
        whole, parts = make(), make()
        whole.update(x, y)
        fed(parts, x[turned], y[turned], 1)
        one, other = whole.compute(), parts.compute()
        if isinstance(one, Tensor):
            one, other = {"": one}, {"": other}
        same(other, {name: float(value) for name, value in one.items()}, rel=1e-9)


@pytest.mark.parametrize("make", EVERY)
def test_metrics_of_parts_are_merged(make: Any) -> None:
    x, y = rows()
    first, second, whole = fed(make(), x[:40], y[:40]), fed(make(), x[40:], y[40:]), make()
    second.merge_state(first)
    one, other = fed(whole, x, y).compute(), second.compute()
    if isinstance(one, Tensor):
        one, other = {"": one}, {"": other}
    same(other, {name: float(value) for name, value in one.items()}, rel=1e-9)


@pytest.mark.parametrize("make", EVERY)
def test_forward_reset_and_state(make: Any, tmp_path: Path) -> None:
    x, y = rows()

    def flat(value: Any) -> list[float]:
        return [float(each) for each in (value.values() if isinstance(value, dict) else [value])]

    metric, batch = make(), make()
    first = metric(x[:40], y[:40])
    batch.update(x[:40], y[:40])
    assert flat(first) == pytest.approx(flat(batch.compute()), nan_ok=True)  # of the batch alone
    assert flat(metric(x[40:], y[40:])) != pytest.approx(flat(first), nan_ok=True)
    whole = flat(fed(make(), x, y, 90).compute())
    assert flat(metric.compute()) == pytest.approx(whole, rel=1e-9, nan_ok=True)

    metric.persistent(True)
    torch.save(metric.state_dict(), tmp_path / "state.pt")
    again = make()
    again.persistent(True)
    again.load_state_dict(torch.load(tmp_path / "state.pt"))
    again._update_count = 1  # which torchmetrics itself does not keep
    assert flat(again.compute()) == pytest.approx(whole, rel=1e-9, nan_ok=True)

    metric.reset()
    metric.update(x[:40], y[:40])
    assert flat(metric.compute()) == pytest.approx(flat(first), rel=1e-9, nan_ok=True)


def test_in_a_collection() -> None:
    x, y = rows()
    metrics = MetricCollection(
        {"r@1": RecallAtK(1), "map": MAPAtR(), "g": Geometry(), "p": Retrieval()}
    )
    fed(metrics, x, y)
    fed(metrics, x, y)  # rows twice: every nearest neighbour is the row itself
    found = metrics.compute()
    assert float(found["r@1"]) == 1
    assert {"recall@1", "map@r", "intra.eq1"} < set(found)
    assert float(found["map"]) == float(found["map@r"])
    groups = sorted(sorted(group) for group in metrics.compute_groups.values())
    assert groups == [["g"], ["map", "p", "r@1"]]  # rows are held once


@pytest.mark.parametrize("make", EVERY)
def test_undefined_is_nan(make: Any) -> None:
    x, y = rows()
    for broken in (x.index_fill(0, torch.tensor([3]), math.nan), x * math.inf):
        found = fed(make(), broken, y).compute()
        values = found.values() if isinstance(found, dict) else [found]
        assert all(value.isnan() for value in values)


def test_one_point_has_no_neighbours() -> None:
    x, y = torch.ones(8, 3), torch.arange(8) % 2
    for make in (MAPAtR, RecallAtK):
        assert fed(make(), x, y).compute().isnan()
    assert fed(RecallAtK(), torch.eye(3), torch.arange(3)).compute().isnan()  # all alone


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
@pytest.mark.parametrize("make", EVERY)
def test_what_cannot_be_used(make: Any) -> None:
    metric, (x, y) = make(), rows()
    with pytest.raises(InputError, match="has seen no embeddings: call update"):
        metric.compute()
    for bad in ((x[0], y), (x.long(), y), (x, y[1:]), (x, y.float())):
        with pytest.raises(InputError, match=type(metric).__name__):
            metric.update(*bad)
    with pytest.raises(InputError, match="k is 0"):
        RecallAtK(0)


def _process(rank: int, folder: Path) -> None:
    """One of two, with uneven batches of classes of its own; then one where a rank has nothing."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    x, y = rows()
    mine = slice(0, 31) if rank == 0 else slice(31, None)
    uneven = [fed(make(), x[mine], y[mine]).compute() for make in EVERY]
    lopsided = [make() for make in EVERY]
    for metric in lopsided:
        if rank:
            fed(metric, x, y)
        else:
            metric._update_count = 1  # or torchmetrics warns
    torch.save([uneven, [metric.compute() for metric in lopsided]], folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_process, (tmp_path,), nprocs=2)
    x, y = rows()
    for rank in (0, 1):
        for found in torch.load(tmp_path / f"{rank}.pt"):
            for make, value in zip(EVERY, found, strict=True):
                one = fed(make(), x, y).compute()
                if isinstance(one, Tensor):
                    one, value = {"": one}, {"": value}
                same(value, {name: float(each) for name, each in one.items()}, rel=1e-9)


def test_their_recall_is_another_quantity() -> None:
    """Named in the documentation: of a query with two relevant items, the nearest is one."""
    from torchmetrics.functional.retrieval import retrieval_recall

    scores = torch.tensor([0.9, -0.1, -0.2])
    assert float(retrieval_recall(scores, torch.tensor([True, True, False]), top_k=1)) == 0.5
    mean = MeanMetric()
    mean.update(1.0)
    x = torch.tensor([[1.0, 0], [0.9, 0.1], [-0.2, 1], [-0.3, -1]])
    assert float(fed(RecallAtK(), x, torch.tensor([0, 0, 0, 1])).compute()) == 1
