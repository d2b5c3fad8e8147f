"""On a card: nothing makes the host wait within an epoch, and the numbers are the CPU's.

What needs a card is skipped elsewhere. The rest runs on meta tensors, which have a shape and a
device but no values: code that reads a value, or lets one decide a shape, cannot run on them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from metriscope import grid, losses
from metriscope.losses.base import Loss
from metriscope.network import Head
from metriscope.store import Store
from metriscope.train import _steps, exact, train
from metriscope.types import HeadSpec, LossOutput
from tests.helpers import tiny_dataset, tiny_spec
from tests.loss_cases import CASES, every_case, every_name

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

# Their result, or its shape, is read by the host.
WAITING = {
    "_local_scalar_dense",
    "_unique",
    "_unique2",
    "bincount",
    "equal",
    "histc",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
    "unique_dim",
}
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "_cdist_forward")


class WaitsError(Exception):
    """An operation that makes the host wait for the device."""


class Watch(TorchDispatchMode):
    """Counts operations, and those that move data between devices; stops at one that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()
        self.moves = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name().removeprefix("aten::").partition(".")[0]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        places = {t.device for t in tensors if t.ndim or name.startswith("copy")}
        if name == "_to_copy" and kwargs.get("device") is not None:
            places.add(torch.device(kwargs["device"]))
        by_mask = name.startswith(("index", "_index")) and any(
            t.dtype in (torch.bool, torch.uint8) for t in tree_leaves(args[1]) if torch.is_tensor(t)
        )
        if name in WAITING or by_mask:
            raise WaitsError(str(func))
        self.moves += len(places) > 1
        self.names[name] += 1
        return func(*args, **kwargs)


@pytest.fixture
def meta(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A device without values. Autocast does not know it, and no copy from the host shows there."""

    def copies(*_: object, **__: object) -> None:
        raise WaitsError

    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    for name in ("tensor", "as_tensor", "asarray", "from_numpy"):
        monkeypatch.setattr(torch, name, copies)
    return torch.device("meta")


def parts(make: Callable[[], Loss], device: torch.device) -> tuple[Any, ...]:
    """Head, loss, optimiser, features and labels; fused optimisers take no meta tensors."""
    with device:
        head, loss = Head(12, HeadSpec(hidden=(16,), dim=8)), make()
        x, y = torch.randn(96, 12), torch.randint(4, (96,))
    parameters = [*head.parameters(), *loss.parameters()]
    return head, loss, torch.optim.SGD(parameters, lr=0.1, foreach=False), x, y


def watched(make: Callable[[], Loss], device: torch.device) -> tuple[Watch, tuple[int, ...]]:
    head, loss, optimizer, x, y = parts(make, device)
    batches = list(torch.arange(96).split(32))
    with Watch() as watch:
        _, table = _steps(1, head, loss, optimizer, x, y, batches)
    assert table.device == device
    return watch, tuple(table.shape)


# ------------------------------------------------------------------------------- without a card


@every_case
def test_an_epoch_neither_reads_a_value_nor_moves_one(
    name: str, params: dict[str, Any], meta: torch.device
) -> None:
    watch, shape = watched(lambda: losses.create(name, num_classes=4, dim=8, **params), meta)
    assert shape[0] == 3
    assert shape[2] == 2
    assert watch.moves == 1  # the order of the epoch's rows


EVIL: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "item": lambda z, y: z.sum().item(),
    "bool": lambda z, y: bool((z > 0).any()),
    "mask": lambda z, y: z[z[:, 0] > 0].sum(),
    "assignment by mask": lambda z, y: z.detach().clone().__setitem__(y == 0, 0.0),
    "nonzero": lambda z, y: torch.nonzero(y),
    "where": lambda z, y: torch.where(y == 1),
    "unique": lambda z, y: y.unique(),
    "bincount": lambda z, y: y.bincount(),
    "repeat": lambda z, y: y.repeat_interleave(y),
    "equal": lambda z, y: torch.equal(z, z),
    "constant": lambda z, y: z + torch.tensor([1.0], device=z.device),
    "host": lambda z, y: z.cpu(),
}


@pytest.mark.parametrize("what", EVIL)
def test_the_watch_sees_what_would_wait(what: str, meta: torch.device) -> None:
    class Evil(Loss):
        def compute(self, z: Tensor, labels: Tensor) -> LossOutput:
            EVIL[what](z, labels)
            n = torch.ones_like(labels).sum()
            return LossOutput(z.sum(), n, n, labels > 0, n)

    with pytest.raises((WaitsError, NotImplementedError)):
        watched(Evil, meta)


def test_the_watch_sees_what_moves(meta: torch.device) -> None:
    class Moves(Loss):
        def compute(self, z: Tensor, labels: Tensor) -> LossOutput:
            n = torch.ones_like(labels).sum()
            return LossOutput((z * torch.arange(8).to(z.device)).sum(), n, n, labels > 0, n)

    assert watched(Moves, meta)[0].moves == 4


@every_name
def test_measuring_takes_no_product_and_no_second_pass(name: str, meta: torch.device) -> None:
    def make() -> Loss:
        return losses.create(name, num_classes=4, dim=8)

    watch, _ = watched(make, meta)
    head, loss, optimizer, x, y = parts(make, meta)
    with Watch() as plain:
        for _ in range(3):
            optimizer.zero_grad()
            loss(head(x[:32]), y[:32]).backward()
            optimizer.step()
    assert sum(plain.names[p] for p in PRODUCTS) >= 15
    assert [watch.names[p] for p in PRODUCTS] == [plain.names[p] for p in PRODUCTS]
    added = watch.names.total() - plain.names.total()
    assert added <= 3 * 60  # small operations a step, which on a card are a launch each


def test_a_card_repeats_itself_until_training_ends_and_convolves_in_float32() -> None:
    with exact(torch.device("cpu")):
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.are_deterministic_algorithms_enabled()
    with exact(torch.device("cuda:1")):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_products_are_float32_unless_torch_is_told_otherwise() -> None:
    code = """if True:
        import torch
        from metriscope.train import train
        from tests.helpers import tiny_dataset, tiny_spec
        matmul = torch.backends.cuda.matmul
        assert not matmul.allow_tf32
        matmul.fp32_precision = "tf32"
        assert train(tiny_spec(epochs=1), tiny_dataset()).result.status == "done"
        assert matmul.fp32_precision == "tf32"
    """
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------------------------- on a card


@pytest.fixture
def same_draws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Random numbers from the CPU, so that both devices have the same."""
    draw = torch.rand
    monkeypatch.setattr(
        torch, "rand", lambda *size, device=None, **how: draw(*size, **how).to(device)
    )
    return


@gpu
@every_name
@pytest.mark.usefixtures("same_draws")
def test_a_card_gives_the_numbers_of_the_cpu(name: str) -> None:
    spec = tiny_spec(name, epochs=5, head=HeadSpec(hidden=(16,), dim=8, dropout=0))
    here, there = train(spec, tiny_dataset()), train(spec, tiny_dataset(), device="cuda")
    np.testing.assert_allclose(there.embeddings.x, here.embeddings.x, rtol=1e-3, atol=1e-4)
    for column, values in here.result.trace.items():
        if column != "seconds":
            got = there.result.trace[column]
            assert got == pytest.approx(values, rel=1e-3, abs=1e-5), column


@gpu
@every_name
def test_a_card_gives_the_same_bits_twice(name: str) -> None:
    first, second = (train(tiny_spec(name), tiny_dataset(), device="cuda") for _ in range(2))
    assert np.array_equal(first.embeddings.x, second.embeddings.x)
    assert first.result.scores == second.result.scores


@gpu
def test_the_host_never_waits_for_a_card() -> None:
    for name, params in CASES:
        head, loss, optimizer, x, y = parts(
            lambda n=name, p=params: losses.create(n, num_classes=4, dim=8, **p),
            torch.device("cuda"),
        )
        batches = list(torch.arange(96).split(32))
        with exact(x.device):
            _steps(1, head, loss, optimizer, x, y, batches)  # libraries load themselves
            torch.cuda.set_sync_debug_mode("error")
            try:
                _steps(2, head, loss, optimizer, x, y, batches)
            finally:
                torch.cuda.set_sync_debug_mode("default")


@gpu
def test_two_jobs_share_a_card(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    store.claim("tiny", "f" * 64)
    specs = [replace(tiny_spec("scl"), seed=seed) for seed in range(3)]
    results = grid.run(specs, tiny_dataset(), store, jobs=2, observer=grid.Silent(), device="cuda")
    assert [r.status for r in results] == ["done"] * 3, [r.error for r in results]
    alone = train(specs[1], tiny_dataset(), device="cuda")
    assert results[1].scores == alone.result.scores
