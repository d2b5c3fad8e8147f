"""Specification and features in, a result out: the only training loop."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import chain

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from metriscope import losses
from metriscope.diagnostics._queries import quick_recall, retrieved, some_of_classes
from metriscope.diagnostics.base import Diagnostic, Space, measure, measure_trace, reading
from metriscope.losses.base import Loss
from metriscope.network import Head
from metriscope.samplers import SAMPLERS
from metriscope.types import (
    Dataset,
    Embeddings,
    MetriscopeError,
    Queries,
    RunResult,
    RunSpec,
    Share,
    Step,
    Trace,
)

STEPS = 64  # whose readings are put together at once
PROBED = 1_000  # validation rows that are looked at in every epoch
VALIDATED = ("retrieval", "intra_pair_cos", "inter_euclid", "density")  # what losses are chosen by


class TrainingError(MetriscopeError):
    """A run that cannot go on: its loss is no longer a number.

    Attributes:
        trace: the epochs before.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.trace: Trace = {}


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished run with what it made.

    Attributes:
        embeddings: of the test part.
        queries: what the rows of ``test`` and ``validation`` retrieved; a part whose retrieval is
            undefined (all embeddings are one point) is not there.
    """

    result: RunResult
    head: Head
    loss: Loss
    embeddings: Embeddings
    queries: Mapping[str, Queries] = field(default_factory=dict)


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """On a card, the same bits every time, and convolutions in float32, not TF32.

    Products are float32 too, unless torch is told otherwise: ``--import`` a file that sets
    ``torch.backends.cuda.matmul.fp32_precision = "tf32"``. Where many threads add to one place
    (``index_add_``), a card keeps no order unless told to. What cannot be told, such as the
    backward pass of ``gather``, has no such places here.
    """
    strict, lenient = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    try:
        with (
            torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
            warnings.catch_warnings(),
        ):
            if device.type == "cuda":
                warnings.filterwarnings("ignore", ".*does not have a deterministic implementation")
                torch.use_deterministic_algorithms(True, warn_only=True)
            yield
    finally:
        if device.type == "cuda":
            torch.use_deterministic_algorithms(strict, warn_only=lenient)


def train(
    spec: RunSpec,
    dataset: Dataset,
    *,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
    device: str = "cpu",
) -> Trained:
    """Train one head with one loss, its network too if ``spec.backbone`` is one, and measure all.

    The numbers depend on ``spec`` and ``dataset`` alone (on one machine, with one number of
    threads): the head's start and the order of batches come from ``spec.seed``, the same for every
    loss, so that losses are compared on equal terms. The caller's random state is left alone.

    A loss knows the classes of the training part only, in the order of their codes: a proxy of a
    class that is never seen would do nothing but repel.

    The validation part, if there is one, decides nothing here: its scores are those of the test
    part with ``val.`` before their names, and ``val.recall@1`` of the trace is that of up to
    1,000 of its rows after each epoch.

    Args:
        spec: what to do.
        dataset: its features, or pixels for a backbone that is trained; the training part is moved
            to ``device`` whole.
        on_epoch: called with each epoch's number (0: before any update) and mean loss.

    Raises:
        TrainingError: the loss became NaN or infinite; the message says in which step.
    """
    start = time.perf_counter()
    where = torch.device(device)
    with torch.random.fork_rng([where] if where.type == "cuda" else []), exact(where):
        torch.manual_seed(spec.seed)
        x = torch.from_numpy(dataset.train.x).to(device)
        present, codes = np.unique(dataset.train.y, return_inverse=True)
        y = torch.from_numpy(codes).to(device)
        head = Head(x.shape[1], spec.head, spec.backbone)
        head.fit_scale(x, spec.head.input_scale)
        loss = losses.create(spec.loss, num_classes=len(present), dim=spec.head.dim, **spec.params)
        head, loss = head.to(device), loss.to(device)
        trace = _fit(spec, head, loss, x, y, on_epoch, _probe(dataset.validation, device))
        try:
            test, train_ = (_embed(head, part, spec.key) for part in (dataset.test, dataset.train))
            held = dataset.validation
            held = None if held is None else _embed(head, held, spec.key)
        except TrainingError as error:
            error.trace = trace
            raise
        spaces = {"test": Space(test, train_, device)}
        scores = measure(spaces["test"]) | measure_trace(trace)
        if held is not None:
            spaces["validation"] = Space(held, None, device)
            chosen_by = measure(spaces["validation"], VALIDATED)
            scores |= {f"val.{name}": value for name, value in chosen_by.items()}
        found = {part: retrieved(space) for part, space in spaces.items()}
        queries = {part: rows for part, rows in found.items() if rows is not None}
    seconds = time.perf_counter() - start
    result = RunResult(spec, "done", scores, trace, seconds, versions())
    return Trained(result, head, loss, test, queries)


Probe = Callable[[Head], float | None]


def _probe(part: Embeddings | None, device: str) -> Probe | None:
    """What measures Recall@1 of some rows of a part: always the same ones."""
    if part is None:
        return None
    rows = some_of_classes(part.y, PROBED)
    x, y = torch.from_numpy(part.x[rows]), torch.from_numpy(part.y[rows]).to(device)
    return lambda head: quick_recall(head.embed(x), y)


def make_optimizer(spec: RunSpec, head: nn.Module, loss: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of ``spec``, the loss's own parameters in a group of their own."""
    o = spec.optimizer
    groups = [
        {"params": list(head.parameters()), "lr": o.lr, "weight_decay": o.weight_decay},
        {
            "params": list(loss.parameters()),
            "lr": o.lr * o.loss_lr_mult,
            "weight_decay": o.loss_weight_decay,
        },
    ]
    groups = [group for group in groups if group["params"]]
    if o.name == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, fused=True)
    if o.name == "adamw":
        return torch.optim.AdamW(groups, fused=True)
    return torch.optim.Adam(groups, fused=True)


def _fit(
    spec: RunSpec,
    head: Head,
    loss: Loss,
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    on_epoch: Callable[[int, float], None],
    probe: Probe | None,
) -> Trace:
    """Train ``head`` and ``loss`` in place; one row of the trace an epoch, row 0 untrained."""
    optimizer = make_optimizer(spec, head, loss)
    draw = partial(SAMPLERS.get(spec.sampler), y.cpu(), spec.batch_size)
    order = torch.Generator().manual_seed(spec.seed)
    trace: Trace = {}
    for epoch in range(spec.epochs + 1):
        start = time.perf_counter()
        if epoch == 0:  # measured on the batches of epoch 1, without dropout, without an update
            state = order.get_state()
            with torch.random.fork_rng([x.device] if x.is_cuda else []):
                row = _epoch(epoch, head.eval(), loss, None, x, y, draw(order))
            order.set_state(state)
        else:
            batches = draw(order)
            try:
                row = _epoch(epoch, head.train(), loss, optimizer, x, y, batches)
            except TrainingError as error:
                error.trace = trace
                raise
        row |= {"lr": spec.optimizer.lr, "seconds": time.perf_counter() - start}
        if probe is not None:
            row["val.recall@1"] = probe(head)
        for name, value in row.items():
            trace.setdefault(name, []).append(value)
        on_epoch(epoch, row["loss"] or 0.0)
    return trace


def _epoch(
    epoch: int,
    head: Head,
    loss: Loss,
    optimizer: torch.optim.Optimizer | None,
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    batches: list[Int[Tensor, " _"]],
) -> dict[str, float | None]:
    """One row of the trace: the steps of an epoch, and what they measured, read back together."""
    names, table = _steps(epoch, head, loss, optimizer, x, y, batches)
    numbers = table.cpu().numpy()
    columns = {name: numbers[:, i] for i, name in enumerate(names)}  # each (steps, 2)
    bad = np.flatnonzero(~np.isfinite(columns["loss"][:, 0]))
    if len(bad):
        when = f"epoch {epoch}, step {bad[0] + 1} of {len(batches)}"
        raise TrainingError(
            f"the loss became {columns['loss'][bad[0], 0]} in {when}. "
            "Lower the learning rate, or look for features of very different sizes."
        )
    return {"epoch": epoch} | _summarise(columns)


def _steps(
    epoch: int,
    head: Head,
    loss: Loss,
    optimizer: torch.optim.Optimizer | None,
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    batches: list[Int[Tensor, " _"]],
) -> tuple[list[str], Float[Tensor, "steps names 2"]]:
    """The names and (part, whole) of all that is measured. The host never waits for the device."""
    meters = reading("step")
    order = torch.cat(batches).to(x.device, non_blocking=True)
    sizes = [len(chosen) for chosen in batches]
    parts = zip(order.split(sizes), y.index_select(0, order).split(sizes), strict=True)
    names: list[str] = []
    rows: list[list[Share]] = []
    tables: list[Tensor] = []
    for index, (chosen, labels) in enumerate(parts):
        shares = _step(epoch, index, head, loss, head(x.index_select(0, chosen)), labels, meters)
        if optimizer is not None:
            optimizer.step()
        names = list(shares)
        rows.append(list(shares.values()))
        if len(rows) == STEPS or index == len(batches) - 1:
            tables.append(_stack(rows))
            rows = []
    return names, torch.cat(tables)


def _stack(rows: list[list[Share]]) -> Float[Tensor, "steps names 2"]:
    """float64; by column, since numbers of one type are joined in one operation."""
    columns = [
        torch.stack([torch.stack(part).double() for part in zip(*column, strict=True)], dim=1)
        for column in zip(*rows, strict=True)
    ]
    return torch.stack(columns, dim=1)


def _step(
    epoch: int,
    index: int,
    head: Head,
    loss: Loss,
    z: Float[Tensor, "b k"],
    y: Int[Tensor, " b"],
    meters: list[Diagnostic],
) -> Mapping[str, Share]:
    """Backward, and everything measured, still on the device."""
    z.retain_grad()
    groups = {"head": list(head.parameters()), "loss": list(loss.parameters())}
    for parameter in chain(*groups.values()):
        parameter.grad = None
    out = loss.evaluate(z, y)
    out.loss.backward()
    assert z.grad is not None
    norms = {name: _norm(parameters) for name, parameters in groups.items()}
    step = Step(
        epoch,
        index,
        out,
        torch.linalg.vector_norm(z.grad, dim=1),
        {name: norm for name, norm in norms.items() if norm is not None},
    )
    # A batch without terms says nothing about the mean loss.
    shares = {"loss": Share(out.loss.detach(), out.total_terms > 0)}
    for meter in meters:
        shares |= meter(step)
    return shares


def _norm(parameters: list[nn.Parameter]) -> Float[Tensor, ""] | None:
    """L2 norm of all their gradients; None without any."""
    norms = [torch.linalg.vector_norm(p.grad) for p in parameters if p.grad is not None]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else None


def _summarise(columns: dict[str, np.ndarray]) -> dict[str, float | None]:
    """Σ part / Σ whole of each column, and the SD over steps of gradient norms."""
    row: dict[str, float | None] = {}
    for name, steps in columns.items():
        known = steps[steps[:, 1] > 0]
        row[name] = float(known[:, 0].sum() / known[:, 1].sum()) if len(known) else None
        if name.startswith("grad_norm."):
            row[f"{name}.sd"] = float((known[:, 0] / known[:, 1]).std()) if len(known) else None
    row.setdefault("grad_norm.loss", None)  # a loss without parameters of its own
    return row


def _embed(head: Head, part: Embeddings, origin: str) -> Embeddings:
    z = head.embed(torch.from_numpy(part.x)).cpu().numpy()
    # Weights that have exploded give NaN, or a norm that overflows and vectors of length 0.
    if not np.isfinite(z).all() or not z.any():
        raise TrainingError(
            "the trained head gives no usable vectors: its weights have diverged. "
            "Lower the learning rate."
        )
    return Embeddings(z, part.y, part.class_names, part.split, origin, part.ids)


def versions() -> dict[str, str]:
    """What made a result."""
    names = ("metriscope", "torch", "numpy", "scikit-learn")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "threads": str(torch.get_num_threads()),
    }
