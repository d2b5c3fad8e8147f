"""Losses of pytorch-metric-learning, and those written like them.

Their ``compute_loss`` gives unreduced terms, which go to a module, ``reducer``; a hook there hears
them without a second evaluation. A term is what the loss says: a triplet, a pair, an element.

Active: an unreduced value above 0. Where a loss is never 0 and is one of ours, the rule of ours:

* ``SupConLoss``, ``NTXentLoss``: pairs (a, p) with max_n s_an ≥ s_ap, to within 1e-6.
* ``NPairsLoss``: anchors with max_j s(x_i, x_j⁺) ≥ s(x_i, x_i⁺), to within 1e-6.
* ``ArcFaceLoss`` and its kin: target logit, with its margin, below another's; ``error.top1``
  without it. ``NormalizedSoftmaxLoss``, ``ProxyNCALoss``: another proxy is nearer.
* ``TripletMarginLoss(smooth_loss=True)``: d_ap > d_an.

With a miner, or a memory, terms are those of the mined tuples: shares are of what was mined.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from metriscope import ops
from metriscope.losses.base import TIE
from metriscope.monitor.criteria.base import Counts, Hear, Heard, Hook, is_silenced, plain
from metriscope.types import LossOutput, Share

logger = logging.getLogger("metriscope")

_ARGUMENTS = ("embeddings", "labels", "indices_tuple", "ref_emb", "ref_labels")
_REDUCTIONS = {
    "MeanReducer": "mean",
    "AvgNonZeroReducer": "mean_active",
    "SumReducer": "sum",
}
Rule = Callable[["Call"], "Terms"]


@dataclass(frozen=True, eq=False)
class Terms:
    """Counts of one call.

    Attributes:
        active, total: () counts. samples: (b,) which anchor an active term; None if unknown.
    """

    active: Tensor
    total: Tensor
    samples: Tensor | None
    details: Mapping[str, Share]


@dataclass(frozen=True, eq=False)
class Call:
    """What a loss was called with, and its unreduced terms."""

    loss: nn.Module
    given: Mapping[str, Any]
    terms: Mapping[str, Any]

    @property
    def z(self) -> Tensor:
        """(b, d)."""
        z: Tensor = self.given["embeddings"]
        return z.detach()

    @property
    def labels(self) -> Tensor | None:
        """(b,), on the device of ``z``."""
        labels = self.given.get("labels")
        return labels.to(self.z.device) if isinstance(labels, Tensor) else None

    @property
    def alone(self) -> bool:
        """Whether the terms are those of the batch alone: no miner, no memory, no references."""
        return all(self.given.get(name) is None for name in _ARGUMENTS[2:])

    def similarity(self, x: Tensor, other: Tensor) -> Tensor:
        """Larger is nearer, by the loss's own distance."""
        distance: Any = self.loss.distance
        matrix: Tensor = distance(x, other)
        return matrix if distance.is_inverted else -matrix


def is_loss(module: object) -> bool:
    """Whether it is one of theirs, or derived from them. Imports nothing."""
    return any(
        kind.__name__ == "BaseMetricLossFunction"
        and kind.__module__.startswith("pytorch_metric_learning.")
        for kind in type(module).__mro__
    )


def attach(loss: nn.Module, hear: Hear) -> list[RemovableHandle]:
    """Call ``hear`` after each call of ``loss``."""
    given: dict[str, Any] = {}
    terms: dict[str, Any] = {}
    failed: list[Exception] = []

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given.clear()
        terms.clear()
        if not is_silenced():
            given.update(zip(_ARGUMENTS, args, strict=False))
            given.update(kwargs)

    def _counts(call: Call, output: Tensor) -> Counts | None:
        if not has_terms(call) or failed:
            return None
        try:
            return count(call, output)
        except Exception as error:  # a loss unlike theirs must not end training
            failed.append(error)
            logger.warning("the terms of %s cannot be counted: %r", type(loss).__name__, error)
            return None

    def reducing(module: nn.Module, args: tuple[Any, ...]) -> None:
        if given:
            terms.update(args[0])

    def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if isinstance(given.get("embeddings"), Tensor) and isinstance(output, Tensor):
            call = Call(loss, dict(given), dict(terms))
            hear(Heard(output, (given["embeddings"],), given.get("labels"), _counts(call, output)))
        given.clear()
        terms.clear()

    reducer: Any = loss.reducer
    return [
        loss.register_forward_pre_hook(Hook(before), with_kwargs=True),
        reducer.register_forward_pre_hook(Hook(reducing)),
        loss.register_forward_hook(Hook(after), with_kwargs=True, always_call=True),
    ]


def has_terms(call: Call) -> bool:
    """Whether there are unreduced values, or none because no pair was there."""
    kinds = [part["reduction_type"] for part in call.terms.values()]
    zero = any(not isinstance(part["losses"], Tensor) for part in call.terms.values())
    return zero or any(kind != "already_reduced" for kind in kinds)


@torch.no_grad()
def count(call: Call, loss: Tensor) -> Counts:
    """The counts of one call."""
    found = _rule(call.loss)(call)
    excluded, b = _excluded(call), len(call.z)
    nobody = torch.zeros(b, dtype=torch.bool, device=call.z.device)
    samples = nobody if found.samples is None else found.samples
    known = excluded is not None and found.samples is not None
    excluded = excluded if excluded is not None and known else found.total.new_full((), b)
    output = LossOutput(
        loss.detach().mean(), found.active, found.total, samples, excluded, found.details
    )

    def again(z: Tensor, y: Tensor) -> LossOutput:
        module: Any = call.loss
        given = {"embeddings": z, "labels": y}
        terms = module.compute_loss(z, y, None, z, y)
        module.add_embedding_regularization_to_loss_dict(terms, z)
        value = module.reducer(terms, z, y)
        return replace(count(Call(module, given, terms), value).output, loss=value)

    repeats = call.alone and call.labels is not None
    return Counts(
        output, excluded=known, again=again if repeats else None, compares=_compares(call)
    )


def _compares(call: Call) -> bool | None:
    """Whether terms are pairs or triplets, or elements that only other rows can decide."""
    kinds = {part["reduction_type"] for part in call.terms.values()} - {"already_reduced"}
    if not kinds:
        return None
    learns = any(True for _ in call.loss.parameters())
    return kinds != {"element"} or not learns


def params(loss: nn.Module) -> dict[str, Any]:
    """Its plain attributes, its reducer and its distance."""
    reducer: Any = getattr(loss, "reducer", None)
    inner = getattr(reducer, "reducers", None)
    names = {type(r).__name__ for r in (inner.values() if inner else [reducer])}
    found = plain(loss) | {"reducer": ", ".join(sorted(names))}
    reductions = {_REDUCTIONS.get(name, "") for name in names}
    if len(reductions) == 1 and "" not in reductions:
        found["reduction"] = reductions.pop()
    distance: Any = getattr(loss, "distance", None)
    if distance is not None:
        found |= {"distance": type(distance).__name__}
        found |= {k: v for k, v in plain(distance).items() if k != "collect_stats"}
    found.pop("collect_stats", None)
    return found


def rule_of(loss: nn.Module) -> Literal["violated", "nonzero"]:
    """Which rule says that a term is active."""
    return "nonzero" if _rule(loss) is _nonzero else "violated"


# ------------------------------------------------------------------------------------------- rules


def _nonzero(call: Call) -> Terms:
    """Unreduced values above 0; of a smooth triplet, above its value at d_ap = d_an."""
    level = 0.0
    if getattr(call.loss, "smooth_loss", False):
        level = math.log1p(math.exp(getattr(call.loss, "margin", 0.0)))
    b, device = len(call.z), call.z.device
    active = total = torch.zeros((), dtype=torch.int64, device=device)
    touched: Tensor | None = torch.zeros(b, device=device)
    details = {}
    for name, part in call.terms.items():
        values, kind = part["losses"], part["reduction_type"]
        if name.endswith("reg_loss") or kind == "already_reduced" or not isinstance(values, Tensor):
            continue
        over = values.detach().reshape(-1) > level
        active, total = active + over.sum(), total + len(over)
        anchors = _anchors(call, part, b)
        if anchors is None or touched is None:
            touched = None
        else:
            touched = touched.index_add(0, anchors, over.to(touched.dtype))
        if name in ("pos_loss", "neg_loss") and kind in ("pos_pair", "neg_pair"):
            side = "positive" if kind == "pos_pair" else "negative"
            details[f"active.terms.{side}"] = Share(over.sum(), total.new_full((), len(over)))
    return Terms(active, total, None if touched is None else touched > 0, details)


def _anchors(call: Call, part: Mapping[str, Any], b: int) -> Tensor | None:
    """Which sample each term belongs to; None where elements are not samples, as proxies are."""
    index = part["indices"]
    if part["reduction_type"] != "element":
        return index[0] if isinstance(index, list | tuple) else None
    theirs = type(call.loss).__module__.startswith("pytorch_metric_learning.")
    samples = type(call.loss).__name__ != "ProxyAnchorLoss" if theirs else len(index) == b
    return index if samples and isinstance(index, Tensor) else None


def _ranking(call: Call) -> Terms:
    """Pairs (a, p) that a negative is as near as; NT-Xent wants a negative for each."""
    given, z = call.given, call.z
    ref = given.get("ref_emb")
    positive, negative = _masks(call, len(z if ref is None else ref))
    s = call.similarity(z, z if ref is None else ref.detach())
    hardest = s.masked_fill(~negative, -torch.inf).amax(1, keepdim=True)
    if "NTXentLoss" in _names(call.loss):
        positive = positive & negative.any(1, keepdim=True)
    violated = positive & (hardest >= s - TIE)
    return Terms(violated.sum(), positive.sum(), violated.any(1), {})


def _masks(call: Call, r: int) -> tuple[Tensor, Tensor]:
    """(b, r) which references are positives of each sample, and which are negatives."""
    mined, labels = call.given.get("indices_tuple"), call.labels
    if mined is None and labels is not None:
        theirs = call.given.get("ref_labels")
        others = labels if theirs is None else theirs.to(labels.device)
        same = labels[:, None] == others[None, :]
        positive = same.clone()
        if call.given.get("ref_emb") is None:
            positive.fill_diagonal_(False)
        return positive, ~same
    assert mined is not None
    a1, p, a2, n = mined if len(mined) == 4 else (mined[0], mined[1], mined[0], mined[2])
    masks = torch.zeros(2, len(call.z), r, dtype=torch.bool, device=call.z.device)
    masks[0, a1, p] = True
    masks[1, a2, n] = True
    return masks[0], masks[1]


def _one_pair_a_class(call: Call) -> Terms:
    """N-pair: an anchor each class, whose positive is the one that the loss takes."""
    z, labels = call.z, call.labels
    part = call.terms.get("loss", {})
    total = torch.zeros((), dtype=torch.int64, device=z.device)
    samples = torch.zeros(len(z), dtype=torch.bool, device=z.device)
    if labels is None or part.get("reduction_type") != "element":
        return Terms(total, total, samples, {})
    anchors = part["indices"]
    positive, _ = _masks(call, len(z))
    chosen = positive[anchors].to(torch.uint8).argmax(1)  # the first
    s = call.similarity(z[anchors], z[chosen])
    own = s.diagonal()
    hardest = s.clone().fill_diagonal_(-torch.inf).amax(1)
    violated = hardest >= own - TIE
    samples[anchors] = violated
    total = total + len(anchors)
    return Terms(
        violated.sum(), total, samples, {"terms.pairs": Share(total, torch.ones_like(total))}
    )


def _margin_softmax(call: Call) -> Terms:
    """ArcFace and its kin: the target logit is not the largest."""
    loss: Any = call.loss
    return _classes(call, loss.get_cosine(call.z), loss.modify_cosine_of_target_classes)


def _nearest_proxy(call: Call) -> Terms:
    """The own proxy is not the nearest."""
    loss: Any = call.loss
    logits: Tensor = loss.get_logits(call.z)
    distances = type(loss).__name__ == "ProxyNCALoss" and not loss.distance.is_inverted
    return _classes(call, -logits if distances else logits, lambda own: own)


def _classes(call: Call, logits: Tensor, shift: Callable[[Tensor], Tensor]) -> Terms:
    assert call.labels is not None
    index = call.labels.long()[:, None]
    own = logits.gather(1, index)[:, 0]
    rival = logits.scatter(1, index, -torch.inf).amax(1)
    violated = shift(own) < rival
    total = torch.full_like(violated.sum(), len(own))
    return Terms(violated.sum(), total, violated, {"error.top1": Share((own < rival).sum(), total)})


_RULES: dict[str, Rule] = {
    "SupConLoss": _ranking,
    "NTXentLoss": _ranking,
    "NPairsLoss": _one_pair_a_class,
    "LargeMarginSoftmaxLoss": _margin_softmax,
    "NormalizedSoftmaxLoss": _nearest_proxy,
    "ProxyNCALoss": _nearest_proxy,
}
_BOTH = ("TripletMarginLoss", "NTXentLoss", "NPairsLoss", "MarginLoss")  # a positive and a negative


def _rule(loss: nn.Module) -> Rule:
    return next((_RULES[name] for name in _names(loss) if name in _RULES), _nonzero)


def _names(loss: nn.Module) -> list[str]:
    """Of its class, and of those it is derived from."""
    return [kind.__name__ for kind in type(loss).__mro__]


def _excluded(call: Call) -> Tensor | None:
    """Samples that cannot anchor a term in this batch; None if references have others."""
    labels = call.labels
    if labels is None or any(call.given.get(name) is not None for name in _ARGUMENTS[3:]):
        return None
    none = torch.zeros((), dtype=torch.int64, device=labels.device)
    if hasattr(call.loss, "num_classes") and any(True for _ in call.loss.parameters()):
        return none  # proxies are there for everyone
    size = ops.by_class(labels).size
    names = _names(call.loss)
    if "ContrastiveLoss" in names:
        return none + (1 if len(labels) == 1 else 0)
    able = size > 1
    if not set(_BOTH).isdisjoint(names):
        able &= size < len(labels)
    return (~able).sum()
