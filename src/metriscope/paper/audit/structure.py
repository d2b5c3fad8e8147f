"""Claims about the geometry, held against Table 2, and what it has to do with Table 3."""

from __future__ import annotations

from collections.abc import Sequence

from metriscope.paper._numbers import rank_correlation
from metriscope.paper.audit.base import Found, called, check, joined
from metriscope.paper.tables import FINE_GRAINED, LOSSES, Published

COLLAPSED = 0.1
"""Mean within-class distance above which nobody would call a space nearly collapsed."""

STRONG = 0.5
"""A rank correlation that is called strong."""


def _within(paper: Published, dataset: str, loss: str) -> float:
    return paper.geometry[dataset][loss].intra


def _beside(paper: Published, dataset: str, *losses: str) -> str:
    """``CUB-200: Contrastive 0.3871, Triplet 0.3569``."""
    values = (f"{LOSSES[loss]} {_within(paper, dataset, loss):.4f}" for loss in losses)
    return f"{paper.printed(dataset)}: {', '.join(values)}"


@check(
    "A17",
    "Triplet consistently keeps larger within-class variance",
    where="section 4.1, Table 2",
    words="Triplet-based training consistently preserves larger within-class variance",
    how="Triplet against contrastive, the loss of the paper's example, on every dataset.",
)
def _triplet(paper: Published) -> Found:
    smaller = [
        dataset
        for dataset in paper.geometry
        if _within(paper, dataset, "triplet") <= _within(paper, dataset, "contrastive")
    ]
    if not smaller:
        return Found("consistent", f"It does on all {len(paper.geometry)} datasets.")
    return Found(
        "inconsistent",
        f"Contrastive keeps more on {len(smaller)} of {len(paper.geometry)}: "
        + "; ".join(_beside(paper, dataset, "contrastive", "triplet") for dataset in smaller)
        + ".",
        tuple(called(paper, dataset, "triplet") for dataset in smaller),
    )


@check(
    "A18",
    "Contrastive and InfoNCE compact classes more",
    where="section 4.3, Table 2",
    words="Contrastive and InfoNCE compact clusters more aggressively",
    how="Mean within-class distance of contrastive and InfoNCE against triplet and SCL, and where "
    "one of them is the largest of all losses.",
)
def _compact(paper: Published) -> Found:
    wider, largest = [], []
    for dataset, row in paper.geometry.items():
        for loss in ("contrastive", "infonce"):
            if any(row[loss].intra >= row[other].intra for other in ("triplet", "scl")):
                wider.append(called(paper, dataset, loss))
            if row[loss].intra == max(cell.intra for cell in row.values()):
                largest.append(f"{called(paper, dataset, loss)} ({row[loss].intra:.4f})")
    if not wider:
        return Found("consistent", "They are tighter than triplet and SCL on every dataset.")
    most = f" The largest of all seven are {joined(largest)}." if largest else ""
    return Found(
        "inconsistent",
        f"Wider than triplet or SCL: {joined(wider)}.{most}",
        tuple(wider),
    )


@check(
    "A19",
    "Triplet and SCL are more dispersed within classes",
    where="abstract, section 4.1, figure 1, Table 2",
    words="Contrastive training produces compact, tightly clustered class groups; Triplet and SCL "
    "yield more dispersed within-class clusters",
    how="Mean within-class distance against contrastive: of SCL on every dataset, of triplet on "
    "FashionMNIST, the dataset of figure 1 (A17 has it on the others).",
)
def _dispersed(paper: Published) -> Found:
    shown = dict.fromkeys(paper.geometry, ("scl",)) | {"fashion-mnist": ("triplet", "scl")}
    tight = [
        (dataset, loss)
        for dataset, losses in shown.items()
        for loss in losses
        if _within(paper, dataset, loss) <= _within(paper, dataset, "contrastive")
    ]
    said = [_beside(paper, dataset, "contrastive", loss) for dataset, loss in tight]
    if not tight:
        return Found("consistent", "They are, on all of these.")
    return Found(
        "inconsistent",
        f"Contrastive keeps as much or more: {'; '.join(said)}.",
        tuple(called(paper, dataset, loss) for dataset, loss in tight),
    )


@check(
    "A20",
    "ArcFace and CCL are nearly collapsed within classes",
    where="section 4.3, Table 2",
    words="ArcFace and CCL underperform overall, consistent with their near-collapsed intra-class "
    "statistics (Table 2)",
    how=f"Whether any of their means within classes is above {COLLAPSED:g}.",
)
def _collapsed(paper: Published) -> Found:
    wide = [
        (dataset, loss)
        for loss in ("arcface", "ccl")
        for dataset in paper.geometry
        if _within(paper, dataset, loss) > COLLAPSED
    ]
    if not wide:
        return Found("consistent", f"All their means within classes are at most {COLLAPSED:g}.")
    texts = [
        f"{called(paper, dataset, loss)} has {_within(paper, dataset, loss):.4f} within classes "
        f"and {paper.geometry[dataset][loss].inter:.4f} between them, and a Recall@1 of "
        f"{paper.recall[dataset][loss][0]:.4f}"
        for dataset, loss in wide
    ]
    cells = tuple(called(paper, *place) for place in wide)
    return Found("inconsistent", "; ".join(texts) + ".", cells)


@check(
    "A21",
    "N-pair separates classes most, but unevenly",
    where="abstract, section 4.1, Table 2",
    words="N-pair achieves a large mean separation but with uneven spacing",
    how="Whether its mean between classes is the largest; and its spacing as 1 + (μ/s)² clumps "
    "(few: uneven) against InfoNCE, which separates as far.",
)
def _uneven(paper: Published) -> Found:
    wrong, clumps = [], []
    for dataset, row in paper.geometry.items():
        mine, even = (1 + (row[o].inter / row[o].inter_spread) ** 2 for o in ("npair", "infonce"))
        clumps.append(f"{paper.printed(dataset)} {mine:.1f} against {even:.0f}")
        if row["npair"].inter < max(cell.inter for cell in row.values()) or mine >= even:
            wrong.append(called(paper, dataset, "npair"))
    text = f"Clumps, N-pair against InfoNCE: {joined(clumps)}."
    if wrong:
        return Found("inconsistent", f"Not so: {joined(wrong)}. {text}", tuple(wrong))
    return Found("consistent", f"Its mean is the largest on every dataset. {text}")


@check(
    "A22",
    "Larger within-class variance benefits fine-grained retrieval (the central claim)",
    where="section 4.3, Tables 2 and 3",
    words="Triplet and SCL preserve larger intra-class variance, which benefits top-1 retrieval in "
    "fine-grained or noisy datasets",
    how="Spearman's ρ over losses of the mean within classes with Recall@1, with ArcFace and CCL "
    "and without: two collapsed losses that retrieve badly make a correlation by themselves. "
    f"Borne out where ρ is {STRONG:g} or more without them on both fine-grained datasets; of five "
    "losses only 0.9 or more would be significant (one-sided 5 %).",
)
def _central(paper: Published) -> Found:
    healthy = [loss for loss in LOSSES if loss not in ("arcface", "ccl")]
    every = {d: _correlation(paper, d, list(LOSSES)) for d in paper.geometry}
    rest = {d: _correlation(paper, d, healthy) for d in paper.geometry}
    wanting = [d for d in FINE_GRAINED if (rest[d] or 0.0) < STRONG]
    between = [_correlation(paper, d, list(LOSSES), column=2) for d in paper.geometry]
    means = [rho for rho in between if rho is not None]
    others = f" The mean between classes: {min(means):.2f} to {max(means):.2f}." if means else ""
    text = (
        "; ".join(
            f"{paper.printed(d)} {_rho(every[d])} over {len(LOSSES)} losses, {_rho(rest[d])} "
            f"without ArcFace and CCL"
            for d in paper.geometry
        )
        + "."
        + others
    )
    return Found(
        "inconsistent" if wanting else "consistent",
        text,
        tuple(paper.printed(dataset) for dataset in wanting),
    )


def _correlation(
    paper: Published, dataset: str, losses: Sequence[str], column: int = 0
) -> float | None:
    """Of a column of Table 2 with Recall@1."""
    return rank_correlation(
        [paper.geometry[dataset][loss][column] for loss in losses],
        [paper.recall[dataset][loss][0] for loss in losses],
    )


def _rho(found: float | None) -> str:
    return "undefined" if found is None else f"{found:.2f}"


CHECKS = (_triplet, _compact, _dispersed, _collapsed, _uneven, _central)
