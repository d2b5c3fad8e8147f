"""Time and memory of every loss, beside pytorch-metric-learning's, in one run.

    python scripts/bench.py [--quick] [--json FILE]

One step is evaluate + backward at B = 512, D = 128, on one thread. Ours and the peer's take turns,
and the medians are compared. Memory is the growth of the peak resident set over one step, in a
process of its own; a step that would need more than --limit-gb is stopped and said to be out of
memory. Then: what measuring greediness adds to a training step.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from pytorch_metric_learning import losses as peer
from pytorch_metric_learning import miners, reducers

from metriscope import losses

B, D = 512, 128
OUT_OF_MEMORY = "out of memory"
Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass
class Case:
    """A loss of ours and the peer's nearest one."""

    loss: str
    params: dict[str, Any]
    peer: str
    same: bool  # whether the definitions coincide
    make_peer: Callable[[int], Step]

    @property
    def name(self) -> str:
        return " ".join([self.loss, *map(str, self.params.values())])

    def make_ours(self, classes: int) -> Step:
        loss = losses.create(self.loss, num_classes=classes, dim=D, **self.params)
        return lambda z, y: loss.evaluate(z, y).loss


def mined(loss: Any, miner: Any) -> Step:
    return lambda z, y: loss(z, y, miner(z, y))


MEAN = reducers.MeanReducer
CASES = [
    Case("contrastive", {}, "ContrastiveLoss", False, lambda c: peer.ContrastiveLoss()),
    Case(
        "triplet",
        {},
        "TripletMarginLoss, BatchHardMiner",
        True,
        lambda c: mined(
            peer.TripletMarginLoss(margin=1.0, reducer=MEAN()), miners.BatchHardMiner()
        ),
    ),
    Case(
        "triplet",
        {"mining": "batch_all"},
        "TripletMarginLoss",
        True,
        lambda c: peer.TripletMarginLoss(margin=1.0, reducer=MEAN()),
    ),
    Case("npair", {}, "NPairsLoss", True, lambda c: peer.NPairsLoss()),
    Case("infonce", {}, "NTXentLoss", False, lambda c: peer.NTXentLoss(temperature=0.07)),
    Case(
        "infonce",
        {"positives": "all"},
        "NTXentLoss",
        True,
        lambda c: peer.NTXentLoss(temperature=0.07),
    ),
    Case("arcface", {}, "ArcFaceLoss", True, lambda c: peer.ArcFaceLoss(c, D)),
    Case("scl", {}, "SupConLoss", True, lambda c: peer.SupConLoss(temperature=0.07)),
    Case("ccl", {}, "CosFaceLoss", False, lambda c: peer.CosFaceLoss(c, D, margin=0, scale=16)),
]


def make_batch(b: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(b, D, generator=generator).requires_grad_()
    return z, torch.randint(classes, (b,), generator=generator)


def run(step: Step, z: torch.Tensor, y: torch.Tensor) -> None:
    z.grad = None
    step(z, y).backward()


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def median_ms(functions: list[Callable[[], Any]], budget: float) -> list[float]:
    """Medians of functions that take turns for ``budget`` seconds, 1 to 50 times each."""
    rounds: list[list[float]] = []
    start = time.perf_counter()
    while not rounds or (time.perf_counter() - start < budget and len(rounds) < 50):
        rounds.append([seconds(function) for function in functions])
    return [1e3 * statistics.median(times) for times in zip(*rounds, strict=True)]


# ------------------------------------------------------------------------------- in child processes


def in_child(function: Callable[..., Any], *args: Any, limit_gb: float) -> Any:
    """What ``function`` returns in a forked process that may grow by ``limit_gb``."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def work() -> None:
        torch.set_num_threads(1)
        limit_memory(limit_gb)
        try:
            send.send(function(*args))
        except MemoryError:
            send.send(OUT_OF_MEMORY)
        except RuntimeError as error:  # torch's allocator
            if "alloc" not in str(error):
                raise
            send.send(OUT_OF_MEMORY)

    child = context.Process(target=work)
    child.start()
    send.close()
    try:
        return receive.recv()
    except EOFError:
        return "failed"
    finally:
        child.join()


def limit_memory(gigabytes: float) -> None:
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        limit = used + int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def peak_megabytes(step: Step, classes: int) -> float:
    """Growth of the peak resident set over one step, after a small one that loads the code."""
    run(step, *make_batch(24, min(classes, 8)))
    z, y = make_batch(B, classes)
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(step, z, y)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / 2**20


def times(steps: list[Step], classes: int, budget: float) -> list[float]:
    z, y = make_batch(B, classes)
    for step in steps:
        run(step, *make_batch(24, min(classes, 8)))
    return median_ms([lambda step=step: run(step, z, y) for step in steps], budget)


# ------------------------------------------------------------------------------------------- tables


def bench_losses(class_counts: list[int], budget: float, limit_gb: float) -> list[dict[str, Any]]:
    rows = []
    for classes in class_counts:
        for case in CASES:
            ours, theirs = case.make_ours(classes), case.make_peer(classes)
            memory = [
                in_child(peak_megabytes, step, classes, limit_gb=limit_gb)
                for step in (ours, theirs)
            ]
            fits = isinstance(memory[1], float)
            timed = in_child(
                times, [ours, theirs] if fits else [ours], classes, budget, limit_gb=limit_gb
            )
            rows.append(
                {
                    "loss": case.name,
                    "classes": classes,
                    "ms": timed[0],
                    "peer_ms": timed[1] if fits else memory[1],
                    "mb": memory[0],
                    "peer_mb": memory[1],
                    "peer": case.peer,
                    "same_definition": case.same,
                }
            )
    return rows


def bench_training_step(budget: float, limit_gb: float) -> list[dict[str, Any]]:
    """A step of the paper's head with every greediness measurement, and the same without any."""
    rows = []
    for name in losses.PAPER:
        plain, measured = in_child(step_times, name, budget, limit_gb=limit_gb)
        rows.append({"loss": name, "ms": plain, "measured_ms": measured, "ratio": measured / plain})
    return rows


def step_times(name: str, budget: float) -> list[float]:
    from metriscope import train
    from metriscope.diagnostics.base import reading
    from metriscope.types import HeadSpec, RunSpec

    spec = RunSpec("bench", "", "", name, {}, seed=0, head=HeadSpec())
    x, (_, y) = torch.randn(B, 512), make_batch(B, 10)
    meters = reading("step")

    def maker(measure: bool) -> Callable[[], None]:
        torch.manual_seed(0)
        head = train.Head(512, spec.head)
        loss = losses.create(name, num_classes=10, dim=spec.head.dim)
        optimizer = train.make_optimizer(spec, head, loss)

        def step() -> None:
            if measure:
                train._step(1, 0, head, loss, head(x), y, meters)
            else:
                optimizer.zero_grad()
                loss(head(x), y).backward()
            optimizer.step()

        return step

    steps = [maker(False), maker(True)]
    for step in steps:
        step()
    return median_ms(steps, budget)


def show(value: Any, digits: int = 1) -> str:
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def print_tables(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(
        title=f"evaluate + backward, B = {B}, D = {D}, one thread",
        caption="peer: pytorch-metric-learning; ≈ another definition, the nearest it has; "
        f"out of memory: more than {result['limit_gb']:g} GB",
    )
    for head in ("loss", "classes", "ms", "peer ms", "times", "MB", "peer MB"):
        table.add_column(head, justify="left" if head == "loss" else "right")
    table.add_column("peer")
    for row in result["losses"]:
        both = isinstance(row["peer_ms"], float)
        times_faster = show(row["peer_ms"] / row["ms"]) if both else "-"
        cells = (row["ms"], row["peer_ms"], times_faster, row["mb"], row["peer_mb"])
        name = row["peer"] if row["same_definition"] else f"≈ {row['peer']}"
        table.add_row(row["loss"], str(row["classes"]), *map(show, cells), name)
    console.print(table)
    table = Table(title=f"a training step, B = {B}: features 512, head 512-128, 10 classes")
    for head in ("loss", "ms", "ms with measurements", "ratio"):
        table.add_column(head, justify="left" if head == "loss" else "right")
    for row in result["training_step"]:
        cells = (show(row["ms"]), show(row["measured_ms"]), show(row["ratio"], 2))
        table.add_row(row["loss"], *cells)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats, at most 2 GB a step")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--limit-gb", type=float, default=6.0, help="memory one step may take")
    args = parser.parse_args()
    torch.set_num_threads(1)
    budget = 0.3 if args.quick else 4.0
    limit_gb = min(args.limit_gb, 2.0) if args.quick else args.limit_gb
    start = time.perf_counter()
    result: dict[str, Any] = {
        "limit_gb": limit_gb,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "losses": bench_losses([10, 200], budget, limit_gb),
        "training_step": bench_training_step(budget * 2, limit_gb),
    }
    result["seconds"] = math.ceil(time.perf_counter() - start)
    print_tables(result)
    print(f"{result['machine']}; torch {torch.__version__}; {result['seconds']} s")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
