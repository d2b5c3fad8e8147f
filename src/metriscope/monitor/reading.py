"""What is read of a batch when its backward pass has ended. Nothing here waits for the device."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from metriscope.diagnostics.base import reading
from metriscope.monitor import joined
from metriscope.monitor.criteria.base import Again, Counts, silenced, unknown
from metriscope.monitor.passes import Call
from metriscope.monitor.rows import Number, Reading
from metriscope.types import Step

TOP = 0.1  # of the samples
HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class Batch:
    """What a call of the criterion and its gradient say.

    Attributes:
        loss: (). embeddings: (b, d), of all arguments. labels: (b,) of a single one.
        counts: of terms. pulls: ‖∂L/∂z_i‖, up to one factor; None without a gradient.
    """

    loss: Tensor
    embeddings: Tensor | None
    labels: Tensor | None
    counts: Counts | None
    pulls: Tensor | None


def batch_of(call: Call) -> Batch:
    """This process's batch."""
    heard = call.heard
    z = torch.cat(heard.embeddings) if heard.embeddings else None
    pulls = [call.pulls[i] for i in sorted(call.pulls)]
    loss = heard.loss if heard.loss.numel() == 1 else heard.loss.mean()
    return Batch(
        loss.reshape(()),
        z,
        None if z is None else _class_labels(heard.labels, z),
        heard.counts,
        torch.cat(pulls) if pulls else None,
    )


def _class_labels(labels: Tensor | None, z: Tensor) -> Tensor | None:
    """Labels, if they are integers, one a row."""
    fit = labels is not None and labels.shape == z.shape[:1] and not labels.is_floating_point()
    return labels.to(z.device) if labels is not None and fit else None


class Reader:
    """Reads batches: a process's own, or those of all processes joined.

    Where there are several, and they do not see the same rows already, the criterion is evaluated
    again on the rows of all, which touches neither its gradients nor the random state. A criterion
    that cannot be (a function, a miner's tuples, a memory) gives the sums over processes of what
    each one counted, and the mean of their losses.

    Attributes:
        world: processes. ``joined``: whether each process's criterion sees the rows of all; None
            before the first batch.
    """

    def __init__(self, world: int) -> None:
        self.world = world
        # A step has gradient norms of parameters once, not a batch.
        self._meters = [meter for meter in reading("step") if meter.name != "gradient_norm"]
        self.joined: bool | None = True if world == 1 else None

    def __call__(self, call: Call, step: int) -> tuple[list[Reading], Batch]:
        """What is read of one call, and the batch that it is about."""
        batch = batch_of(call)
        if self.joined is None:
            self.joined = batch.embeddings is not None and joined.is_same(batch.embeddings)
        if self.joined:
            return [*self._of_loss(batch, step), *of_rows(batch)], batch
        whole = _whole(batch)
        again = None if batch.counts is None else batch.counts.again
        if again is not None and whole.embeddings is not None and whole.labels is not None:
            whole = _evaluated(again, whole, whole.embeddings, whole.labels)
            return [*self._of_loss(whole, step), *of_rows(whole)], whole
        return [*_summed(self._of_loss(batch, step)), *of_rows(whole)], whole

    def _of_loss(self, batch: Batch, step: int) -> list[Reading]:
        """Its value, its terms, and how its gradient is spread over samples."""
        known = batch.counts
        b = 0 if batch.embeddings is None else len(batch.embeddings)
        pulls = batch.loss.new_zeros(b) if batch.pulls is None else batch.pulls
        if known is None or len(known.output.active_samples) != len(pulls):
            known = unknown(batch.loss, len(pulls))
        out = known.output
        # A batch without terms says nothing about the mean loss.
        said = [Reading("loss", batch.loss, 1.0 if batch.counts is None else out.total_terms > 0)]
        if known.excluded:
            said.append(Reading("excluded", out.excluded, float(b)))
        if not len(pulls):
            return said
        for meter in self._meters:
            shares = meter(Step(0, step, out, pulls, {}))
            said += [Reading(name, *share) for name, share in shares.items()]
        total, top = pulls.sum(), pulls.topk(math.ceil(TOP * len(pulls))).values.sum()
        return [*said, Reading("grad_share.top", top / total.where(total > 0, 1), ~(total <= 0))]


def of_rows(batch: Batch) -> list[Reading]:
    """Whether all numbers are finite, how many rows there are, and of how many classes."""
    z, labels = batch.embeddings, batch.labels
    if z is None or not z.numel():
        return []
    said = [Reading("_finite.embeddings", z.isfinite().all(), 1.0), Reading("_rows", len(z), 1.0)]
    if labels is not None:
        ordered = labels.sort().values
        said.append(Reading("_classes", (ordered[1:] != ordered[:-1]).sum() + 1, 1.0))
    return said


def grad_norm(parameters: Iterable[nn.Parameter], scale: Number | None) -> Tensor | None:
    """L2 norm of all their gradients, divided by a gradient scaler's scale; None without any."""
    grads = [p.grad.detach() for p in parameters if p.grad is not None]
    if not grads:
        return None
    grads = [g.coalesce().values() if g.is_sparse else g for g in grads]
    norms = [torch.linalg.vector_norm(g, dtype=torch.float32) for g in grads if g.dtype in HALF]
    full = [g for g in grads if g.dtype not in HALF]
    norms += [nn.utils.get_total_norm(full)] if full else []
    norm: Tensor = torch.linalg.vector_norm(torch.stack([n.to(norms[0].device) for n in norms]))
    return norm if scale is None else norm / scale


def _whole(batch: Batch) -> Batch:
    """The rows of all processes."""
    z, labels = batch.embeddings, batch.labels
    if z is None:
        return batch
    if z.dtype in HALF:
        z = z.float()  # which every backend can send
    columns = joined.join(z) if labels is None else joined.join(z, labels)
    return replace(
        batch, embeddings=columns[0], labels=None if labels is None else columns[1], pulls=None
    )


def _evaluated(again: Again, whole: Batch, z: Tensor, labels: Tensor) -> Batch:
    """The criterion on the rows of all processes."""
    devices = [z.device] if z.device.type == "cuda" else []
    with silenced(), torch.random.fork_rng(devices), torch.enable_grad():
        leaf = z.clone().requires_grad_()
        out = again(leaf, labels)
        gradient = None
        if out.loss.requires_grad:
            (gradient,) = torch.autograd.grad(out.loss, leaf, allow_unused=True)
    pulls = None if gradient is None else torch.linalg.vector_norm(gradient, dim=1)
    assert whole.counts is not None
    counts = replace(whole.counts, output=replace(out, loss=out.loss.detach()))
    return replace(whole, loss=out.loss.detach(), counts=counts, pulls=pulls)


def _summed(said: list[Reading]) -> list[Reading]:
    """Parts and wholes, summed over processes."""
    device = next(n.device for r in said for n in r[1:] if isinstance(n, Tensor))
    numbers = torch.stack(
        [torch.as_tensor(n, dtype=torch.float64, device=device) for r in said for n in r[1:]]
    )
    pairs = joined.summed(numbers).reshape(-1, 2)
    return [Reading(r.name, part, whole) for r, (part, whole) in zip(said, pairs, strict=True)]
