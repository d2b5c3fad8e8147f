"""What the text says about training, held against itself and against Table 1."""

from __future__ import annotations

import math

from metriscope.paper.audit.base import Found, check, joined
from metriscope.paper.tables import LOSSES, Published

_TWO = ("contrastive", "triplet")
LATER = 1.1  # of the epoch expected; less is no difference
UNEQUAL = 2.0  # of the number of updates


@check(
    "A23",
    "The margin",
    where="section 3.2",
    words="margin m = 1.0; we found m = 2.0 to be a stable default for our setup",
    how="Whether one margin is stated.",
)
def _margins(paper: Published) -> Found:
    first, second = paper.says("margin"), paper.says("margin.default")
    if first == second:
        return Found("consistent", f"One margin is stated, {first:g}.")
    return Found(
        "inconsistent",
        f"Two margins are stated, {first:g} and {second:g}, and not which of them made the tables.",
    )


@check(
    "A24",
    "Active ratios at the stated margin",
    where="sections 3.2 and 4.2",
    words="m = 2.0 … active ratio ≈ 65% … a substantially smaller active set (≈ 38%)",
    how="Two unit vectors are at most 2 apart, so with m ≥ 2 every triplet violates "
    "d(a, p) + m > d(a, n) and every negative pair d < m: the ratio is 100 %.",
)
def _forced(paper: Published) -> Found:
    margin = max(paper.says("margin"), paper.says("margin.default"))
    shares = [paper.says(f"{loss}.active") for loss in ("contrastive", "triplet")]
    stated = joined(f"{share:.0%}" for share in shares)
    if margin < 2:
        return Found("consistent", f"With m = {margin:g}, ratios of {stated} are possible.")
    return Found(
        "inconsistent" if min(shares) < 1 else "consistent",
        f"m = {margin:g} forces 100 % for contrastive and triplet on unit vectors; {stated} are "
        "stated.",
    )


@check(
    "A25",
    "The active ratio as it is defined",
    where="sections 2.2.1 and 4.2",
    words="The active ratio is the number of such pairs/triplets divided by the batch size",
    how="Pairs in a batch of B: B(B − 1)/2.",
)
def _divisor(paper: Published) -> Found:
    batch, share = paper.says("batch_size"), paper.says("contrastive.active")
    pairs = batch * (batch - 1) / 2
    if not paper.says("active.over_batch"):
        return Found("consistent", "It is a share of the terms, between 0 and 1.")
    return Found(
        "inconsistent",
        f"Over the batch size, {share:.0%} of the {pairs:,.0f} pairs of a batch of {batch:,.0f} "
        f"would be {share * pairs / batch:,.0f}, not {share:g}; {share:g} would be "
        f"{share * batch:,.0f} pairs, {share * batch / pairs:.2%} of them.",
    )


@check(
    "A26",
    "Active ratios and gradient norms beside those of the predecessor",
    where="section 4.2; arXiv 2510.02161",
    words="active ratio ≈ 65% … ≈ 38% … average norm ≈ 0.12 … average norm ≈ 0.27",
    how="The four numbers against those that the predecessor reports, with another learning rate, "
    "batch size, number of epochs and head, and other data.",
)
def _carried(paper: Published) -> Found:
    names = [f"{loss}.{what}" for what in ("active", "gradient") for loss in _TWO]
    same = [name for name in names if paper.says(name) == paper.says(f"earlier.{name}")]
    if not same:
        return Found("consistent", "None of the four equals the predecessor's.")
    values = joined(f"{paper.says(name):g}" for name in same)
    everything = len(same) == len(names)
    return Found(
        "inconsistent" if everything else "note",
        f"{len(same)} of {len(names)} equal the predecessor's to the digit ({values})"
        + (": they seem to have been carried over." if everything else "."),
        tuple(same),
    )


@check(
    "A27",
    "Contrastive reduces its loss faster than triplet",
    where="section 4.2",
    words="≈ 50% reduction by epoch 30 … it reaches the 60% loss-reduction point much later "
    "(≈ epoch 40)",
    how="Under exponential decay a fall of a by epoch e gives a fall of b by "
    "e ln(1 − b)/ln(1 − a).",
)
def _speed(paper: Published) -> Found:
    first, second = (paper.says(f"{loss}.reduction") for loss in _TWO)
    epoch, other = (paper.says(f"{loss}.epoch") for loss in _TWO)
    expected = epoch * math.log(1 - second) / math.log(1 - first)
    text = (
        f"A loss that falls by {first:.0%} in {epoch:g} epochs falls by {second:.0%} in "
        f"{expected:.1f}; {other:g} are stated for triplet"
    )
    if other > LATER * expected:
        return Found("consistent", f"{text}, which is later.")
    return Found("inconsistent", f"{text}: no difference is shown.")


@check(
    "A28",
    "Percentages of a loss as a measure of speed",
    where="section 4.2",
    words="batch-hard triplet (SCL exhibits similar) … reaches the 60% loss-reduction point much "
    "later",
    how="The largest fall that a perfect simplex allows, on balanced batches: SCL from ln(B − 1) "
    "to ln(P + N exp(−C/((C − 1) τ))), P = B/C − 1 positives and N = B − B/C negatives; "
    "N-pair without temperature, C pairs, from ln C to ln(1 + (C − 1) exp(−C/(C − 1))).",
)
def _floors(paper: Published) -> Found:
    wanted = paper.says("triplet.reduction")
    reach = {
        (loss, dataset): most(paper, dataset)
        for loss, most in (("scl", _scl_fall), ("npair", _npair_fall))
        for dataset in paper.benchmarks
    }
    short = [place for place, fall in reach.items() if fall < wanted]
    if not short:
        return Found("consistent", f"A fall of {wanted:.0%} is within reach of SCL and N-pair.")
    names = joined(
        f"{LOSSES[loss]} on {paper.printed(d)} (at most {reach[loss, d]:.0%})" for loss, d in short
    )
    return Found(
        "note",
        f"A fall of {wanted:.0%} is out of reach for {names}: percentages of different losses do "
        "not compare.",
        tuple(f"{LOSSES[loss]} on {paper.printed(d)}" for loss, d in short),
    )


def _scl_fall(paper: Published, dataset: str) -> float:
    classes, batch = paper.benchmarks[dataset].classes, paper.says("batch_size")
    positives, negatives = max(batch / classes - 1, 0.0), batch - batch / classes
    far = math.exp(-classes / ((classes - 1) * paper.says("temperature")))
    floor = math.log(max(positives, 1.0) + negatives * far)
    return 1 - floor / math.log(batch - 1)


def _npair_fall(paper: Published, dataset: str) -> float:
    classes = paper.benchmarks[dataset].classes
    floor = math.log(1 + (classes - 1) * math.exp(-classes / (classes - 1)))
    return 1 - floor / math.log(classes)


@check(
    "A29",
    "Rows to tune on",
    where="section 3.2, Table 1",
    words="tuned on validation splits",
    how="Printed images less those to train and to test on.",
)
def _validation(paper: Published) -> Found:
    if not paper.says("validation"):
        return Found("consistent", "The text speaks of no tuning.")
    none = [row.printed for row in paper.benchmarks.values() if row.images <= row.train + row.test]
    if not none:
        return Found("consistent", "Every dataset has images besides those two parts.")
    return Found(
        "note",
        f"Table 1 has no validation split: training and test images are all there are of "
        f"{joined(none)}. Which of them the margin was chosen on is not said.",
        tuple(none),
    )


@check(
    "A30",
    "How many updates each dataset gets",
    where="section 3.2, Table 1",
    words="We train for 100 epochs with a batch size of 512",
    how="Training images over the batch size, rounded up, times the epochs. A row of a uniform "
    "batch has no other of its class with probability (1 − 1/C)^(B − 1).",
)
def _updates(paper: Published) -> Found:
    batch, epochs = paper.says("batch_size"), paper.says("epochs")
    steps = {row.printed: math.ceil(row.train / batch) for row in paper.benchmarks.values()}
    text = joined(f"{name} {count}" for name, count in steps.items())
    low, high = min(steps.values()) * epochs, max(steps.values()) * epochs
    alone = max((1 - 1 / row.classes) ** (batch - 1) for row in paper.benchmarks.values())
    said = (
        f"Steps an epoch: {text}; in all {low:,.0f} to {high:,.0f} updates. Up to {alone:.0%} of "
        "the rows of a batch have no positive."
    )
    if high <= UNEQUAL * low:
        return Found("consistent", said)
    few = tuple(name for name, count in steps.items() if count * epochs * UNEQUAL < high)
    return Found(
        "note",
        f"{said} A loss that is slow to start looks worse on the small datasets for that reason "
        "alone.",
        few,
    )


@check(
    "A31",
    "Dimensions of the features",
    where="section 3.2, reference 6",
    words="The backbone output (768-D)",
    how="Against the output of the model that the reference names, CLIP ViT-B/32.",
)
def _features(paper: Published) -> Found:
    stated, reference = paper.says("features"), paper.says("features.reference")
    if stated == reference:
        return Found("consistent", f"Both are {stated:g}.")
    return Found(
        "inconsistent",
        f"{stated:g} dimensions are stated; the model of the reference has {reference:g} "
        f"({stated:g} is its width before the projection): which features these are is not said.",
    )


CHECKS = (
    _margins,
    _forced,
    _divisor,
    _carried,
    _speed,
    _floors,
    _validation,
    _updates,
    _features,
)
