"""Two processes give the numbers of one process on the joined batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metriscope import losses
from metriscope.monitor import Monitor
from tests.monitor_loops import CLASSES, DIM, batches, close, make_model

STEPS, B = 3, 24
CUT = {"even": 12, "uneven": 15}  # rows of the first process


def make(name: str) -> Any:
    """Criteria by name, of a seed."""
    torch.manual_seed(3)
    if name == "function":
        return spread
    if name.startswith("pml"):
        from pytorch_metric_learning import losses as peer
        from pytorch_metric_learning import reducers

        mean = reducers.MeanReducer()
        return peer.TripletMarginLoss(margin=0.3, reducer=mean)
    return losses.create(name.split()[0], num_classes=CLASSES, dim=DIM).double()


def spread(z: Tensor, y: Tensor) -> Tensor:
    """A mean over rows, so that the mean over processes is that of all."""
    return (z - 1).square().sum(1).mean()


def process(rank: int, world: int, port: int, cases: list[str], out: Path) -> None:
    """One of the processes: every case, one after another."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel as DDP  # noqa: N817

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    found = {case: run(case, rank, world, DDP) for case in cases}
    dist.destroy_process_group()
    (out / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")


class Rows:
    def __init__(self) -> None:
        self.steps: list[int] = []

    def log(self, step: int, scores: Any) -> None:
        self.steps.append(step)

    def close(self) -> None: ...


def run(case: str, rank: int = 0, world: int = 1, wrap: Any = None) -> dict[str, Any]:
    """A plain loop on this process's rows of each batch."""
    name, _, how = case.partition(", ")
    net, loss, writer = make_model(), make(name), Rows()
    model = wrap(net) if wrap and how != "model left out" else net
    criterion: Any = loss
    left_out = how in ("loss left out", "by hand")
    if wrap and not left_out and isinstance(loss, nn.Module) and list(loss.parameters()):
        criterion = wrap(loss)
    if how == "gathering" and wrap and name == "pml":
        from pytorch_metric_learning.utils.distributed import DistributedLossWrapper

        criterion = DistributedLossWrapper(loss)
    params = [*model.parameters(), *(loss.parameters() if isinstance(loss, nn.Module) else [])]
    optimizer = torch.optim.SGD(params, lr=0.1)
    torch.manual_seed(11)
    options: Any = {"distributed": False} if how == "alone" else {}
    with Monitor(model, criterion, every=1, writers=[writer], **options) as monitor:
        for x, y in batches(STEPS, B):
            cut = CUT["uneven" if how == "uneven" else "even"]
            if world > 1:
                x, y = (t[:cut] if rank == 0 else t[cut:] for t in (x, y))
            z = model(x)
            if how == "gathering" and wrap and name != "pml":
                value = monitor(*gathered(z, y)) * world  # DistributedDataParallel divides
            else:
                value = monitor(z, y)
            optimizer.zero_grad()
            value.backward()
            if how == "by hand":
                average(loss.parameters())
            optimizer.step()
    assert (writer.steps == []) == (rank > 0 and how != "alone")
    return {
        "trace": monitor.trace,
        "about": monitor.about,
        "fired": [found.code for found in monitor.findings],
        "drawn": torch.rand(2).tolist(),
    }


def average(parameters: Any) -> None:
    """Reduce gradients without DistributedDataParallel."""
    import torch.distributed as dist

    for parameter in parameters:
        dist.all_reduce(parameter.grad)
        parameter.grad /= dist.get_world_size()


def gathered(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """All rows, with a gradient for this process's."""
    import torch.distributed as dist

    zs = [torch.empty_like(z) for _ in range(dist.get_world_size())]
    ys = [torch.empty_like(y) for _ in zs]
    dist.all_gather(zs, z.detach())
    dist.all_gather(ys, y)
    zs[dist.get_rank()] = z
    return torch.cat(zs), torch.cat(ys)


SAME = {
    # the mean over rows is the mean of the processes' means: everything is that of one process
    "arcface, even": STEPS,
    "function, even": STEPS,
    # rows of all processes are compared with one another
    "triplet, gathering": STEPS,
    "pml, gathering": STEPS,
    # trained apart, but told together: alike as long as weights are, at the first step
    "triplet, even": 1,
    "pml, even": 1,
    "scl, uneven": 1,
}  # and how many steps are those of one process
DRAWS = ("infonce, even", "infonce, alone")
APART = {
    "arcface, loss left out": ["loss"],
    "triplet, model left out": ["model"],
    "arcface, by hand": [],
}  # which gradients are never shared
TOLD = ("loss", "active.terms", "active.samples", "active.effective", "grad_share.top", "excluded")
NORMS = ("grad_norm.model", "grad_norm.loss")


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes measured, by case."""
    pytest.importorskip("pytorch_metric_learning")
    out = tmp_path_factory.mktemp("joined")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys, json, pathlib; from tests.test_monitor_joined import process; " + (
        "process(int(sys.argv[1]), 2, int(sys.argv[2]), json.loads(sys.argv[3]), "
        "pathlib.Path(sys.argv[4]))"
    )
    command = [sys.executable, "-c", code]
    children = [
        subprocess.Popen(
            [*command, str(rank), str(port), json.dumps([*SAME, *DRAWS, *APART]), str(out)],
            cwd=Path(__file__).parents[1],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    try:
        for child in children:
            _, error = child.communicate(timeout=300)
            assert child.returncode == 0, error.decode()
    finally:
        for child in children:
            child.kill()
    return [json.loads((out / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


@pytest.mark.parametrize("case", SAME)
def test_two_processes_tell_what_one_does(case: str, joined: list[dict[str, Any]]) -> None:
    alone, (first, second) = run(case), (found[case] for found in joined)
    for name in first["trace"]:
        assert name == "seconds" or close(first["trace"][name], second["trace"][name]), name
    steps = SAME[case]
    geometry = [name for name in alone["trace"] if name.startswith("batch.")]
    for name in (*TOLD, *(NORMS if steps > 1 else ()), *geometry):
        # a function's own rows are all that it can be asked about
        if case != "function, even" or name not in ("active.effective", "grad_share.top"):
            ours, one = (t["trace"][name][:steps] for t in (first, alone))
            assert close(ours, one, rel=1e-6), name
    assert geometry
    about = first["about"]
    assert about["world_size"] == 2
    assert about["joined"] == ("gathering" in case)
    for fact in ("steps", "batch_size", "classes", "classes_per_batch"):
        assert about[fact] == alone["about"][fact], fact


def test_asking_again_draws_nothing(joined: list[dict[str, Any]]) -> None:
    """The random state after training is that of a run whose processes are watched alone."""
    for found in joined:
        watched, alone = (found[case] for case in DRAWS)
        assert watched["drawn"] == alone["drawn"]
        assert watched["about"]["batch_size"] == 2 * alone["about"]["batch_size"] == B
        assert alone["about"]["world_size"] == 1


@pytest.mark.parametrize("case", APART)
def test_gradients_that_are_not_shared(case: str, joined: list[dict[str, Any]]) -> None:
    for found in (each[case] for each in joined):
        assert list(found["about"]["unreduced"]) == APART[case]
        assert ("MS217" in found["fired"]) == bool(APART[case])
        own = APART[case] or ["loss"]  # by hand: after they were measured
        for name in ("model", "loss") if case.startswith("arcface") else ("model",):
            norms = found["trace"][f"grad_norm.{name}"]
            assert [norm is None for norm in norms[1:]] == [name in own] * (STEPS - 1)


def test_shared_gradients_and_losses_of_single_rows(joined: list[dict[str, Any]]) -> None:
    for case in SAME:
        for found in joined:
            assert "MS217" not in found[case]["fired"]
            apart = case.partition(",")[0] not in ("arcface", "function") and "gather" not in case
            assert ("MS215" in found[case]["fired"]) == apart, case
