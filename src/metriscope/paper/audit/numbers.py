"""Tables 1 and 2: what cannot be what it is called."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from metriscope.paper.audit.base import Found, called, check, joined, number_of
from metriscope.paper.tables import LOSSES, Geometry, Published

SLACK = 5e-4  # of what is made of numbers with four decimals
_BOUND = "μ² + σ² ≤ K (1 − μ within), K = 2C/(C − 1), for class means of unit vectors"


def share_of_bound(paper: Published, dataset: str, cell: Geometry, *, squared: bool) -> float:
    """(μ² + s²)/(K (1 − μ within)); at most 1, and 1 where the class means balance.

    ``squared``: the second column between classes is a variance already, else an SD.
    """
    spread = cell.inter_spread if squared else cell.inter_spread**2
    room = paper.most(dataset) * (1 - cell.intra)
    return (cell.inter**2 + spread) / room if room > 0 else math.inf


@check(
    "A01",
    "Cells of Table 2 that are the same",
    where="Table 2",
    how="All four numbers of every cell against those of every other. Of two that are the same, "
    "the wrong one is that whose spreads, relative to their means, are further from the nearest "
    "other cell of its loss.",
)
def _duplicates(paper: Published) -> Found:
    # Zeros of collapsed losses may well agree.
    cells = [cell for cell in paper.cells() if cell[2].intra > 0]
    same = [(a, b) for a, b in itertools.combinations(cells, 2) if a[2] == b[2]]
    if not same:
        return Found("consistent", "No two cells of Table 2 have the same four numbers.")
    sentences, wrong = [], []
    for pair in same:
        # Which of two is odd shows in the other cells of their losses.
        odd, fits = sorted(pair, key=lambda place: -_oddness(paper, *place))
        wrong.append(called(paper, *odd[:2]))
        numbers = " ".join(f"{value:.4f}" for value in odd[2])
        sentences.append(
            f"{called(paper, *fits[:2])} and {called(paper, *odd[:2])} have the same four numbers "
            f"({numbers}). {_evidence(paper, odd, fits)}"
        )
    return Found("inconsistent", " ".join(sentences), tuple(wrong))


def _oddness(paper: Published, dataset: str, loss: str, cell: Geometry) -> float:
    """How far its relative spreads are from the nearest other cell of its loss, in logarithms."""
    others = [c for d, name, c in paper.cells() if name == loss and d != dataset and c != cell]
    total = 0.0
    for mine, theirs in zip(
        _relative(cell), zip(*map(_relative, others), strict=True), strict=True
    ):
        near = [abs(math.log(mine / other)) for other in theirs if mine > 0 and other > 0]
        total += min(near, default=0.0)
    return total


def _relative(cell: Geometry) -> tuple[float, float]:
    """Spread over mean, within and between classes; 0 where there is no mean."""
    return (
        cell.intra_spread / cell.intra if cell.intra else 0.0,
        cell.inter_spread / cell.inter if cell.inter else 0.0,
    )


def _evidence(
    paper: Published, odd: tuple[str, str, Geometry], fits: tuple[str, str, Geometry]
) -> str:
    def between(loss: str, without: str) -> str:
        ratios = [
            _relative(cell)[1]
            for dataset, name, cell in paper.cells()
            if name == loss and dataset != without and cell.inter
        ]
        return f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "unknown"

    shares = [
        share_of_bound(paper, dataset, cell, squared=False)
        for dataset, name, cell in paper.cells()
        if name == odd[1] and dataset != odd[0]
    ]
    own = share_of_bound(paper, odd[0], odd[2], squared=False)
    within, spread = _relative(odd[2])
    return (
        f"The one of {called(paper, *odd[:2])} is likely the wrong one: the spread between classes "
        f"is {spread:.2f} of its mean, against {between(odd[1], odd[0])} elsewhere for "
        f"{LOSSES.get(odd[1], odd[1])} and {between(fits[1], fits[0])} for "
        f"{LOSSES.get(fits[1], fits[1])}; within classes it is {within:.2f} of the mean; and r "
        f"(A05) is {own:.3f} against {min(shares, default=math.nan):.3f} or more elsewhere."
    )


@check(
    "A02",
    'Distances between classes as "cosine distances"',
    where="Table 2, section 3.2",
    words="VARIANCE diagnostics (intra-/inter-class means and variances) in Table 2 computed with "
    "cosine distance",
    how="The mean cosine distance of C class means is at most C/(C − 1).",
)
def _cosine(paper: Published) -> Found:
    over = [
        (called(paper, d, loss), cell.inter, paper.most(d) / 2)
        for d, loss, cell in paper.cells()
        if cell.inter > paper.most(d) / 2 + SLACK
    ]
    total = sum(1 for _ in paper.cells())
    if not over:
        return Found("consistent", f"None of {total} cells exceeds C/(C − 1).")
    name, value, limit = max(over, key=lambda cell: cell[1] / cell[2])
    return Found(
        "inconsistent",
        f"{len(over)} of {total} cells exceed C/(C − 1), so they are no cosine distances: "
        f"the largest excess is {name}, {value:.4f} > {limit:.4f}.",
        tuple(cell[0] for cell in over),
    )


@check(
    "A03",
    'Spreads between classes as variances, "σ²"',
    where="Table 2",
    words="Statistics of intra- and inter-class variances (μ and σ²)",
    how=f"{_BOUND}; with the second column as the variance of Euclidean distances.",
)
def _variances(paper: Published) -> Found:
    over = _above(paper, squared=True)
    total = sum(1 for _ in paper.cells())
    if not over:
        return Found("consistent", f"Read as variances, all {total} cells obey the bound.")
    name, share = max(over, key=lambda cell: cell[1])
    return Found(
        "inconsistent",
        f"Read as variances, {len(over)} of {total} cells exceed what unit vectors allow; "
        f"most of all {name}, {share:.2f} times the bound. Read as standard deviations, "
        f"{number_of(len(_above(paper, squared=False)), 'cell')} would (A05).",
        tuple(cell[0] for cell in over),
    )


@check(
    "A04",
    "Both means as equation (1)",
    where="equation (1), Table 2",
    words="we measure intra- (class dispersion) and inter-class variances (centroid separation)",
    how="Equation (1) gives inter = K (1 − intra − ‖g‖²) exactly, g the mean of the class means, "
    "so inter ≤ K (1 − intra).",
)
def _equation(paper: Published) -> Found:
    over = []
    for dataset, loss, cell in paper.cells():
        most = paper.most(dataset) * (1 - cell.intra)
        if cell.inter > most + SLACK:
            needed = 1 - cell.intra - cell.inter / paper.most(dataset)
            over.append(
                (
                    called(paper, dataset, loss),
                    f"{called(paper, dataset, loss)}: {cell.inter:.4f} > K (1 − {cell.intra:.4f}) "
                    f"= {most:.4f}, which needs ‖g‖² = {needed:.3f}",
                )
            )
    if not over:
        return Found("consistent", "Every cell obeys inter ≤ K (1 − intra).")
    return Found(
        "inconsistent",
        f"{number_of(len(over), 'cell')} cannot be equation (1) in both columns: "
        + joined(text for _, text in over)
        + ".",
        tuple(name for name, _ in over),
    )


@check(
    "A05",
    "Table 2 as Euclidean distances with standard deviations",
    where="Table 2",
    how=f"r = (μ² + s²)/(K (1 − μ within)) with s a standard deviation: {_BOUND}, with equality "
    "where the class means balance.",
)
def _fits(paper: Published) -> Found:
    shares = {
        (dataset, loss): share_of_bound(paper, dataset, cell, squared=False)
        for dataset, loss, cell in paper.cells()
    }
    over = [place for place, share in shares.items() if share > 1 + SLACK]
    if over:
        worst = max(over, key=lambda place: shares[place])
        return Found(
            "inconsistent",
            f"Read so, {len(over)} of {len(shares)} cells exceed the bound, most of all "
            f"{called(paper, *worst)}: r = {shares[worst]:.3f}.",
            tuple(called(paper, *place) for place in over),
        )
    tight = [share for (_, loss), share in shares.items() if loss in ("npair", "infonce")]
    near = (
        f" N-pair and InfoNCE lie at {min(tight):.3f} to {max(tight):.4f}, which a wrong reading "
        "would hardly produce."
        if tight and min(tight) > 0.9
        else ""
    )
    return Found(
        "consistent",
        f"Read so, all {len(shares)} cells obey the bound, r ≤ {max(shares.values()):.4f}.{near}",
    )


def _above(paper: Published, *, squared: bool) -> list[tuple[str, float]]:
    found: Iterator[tuple[str, float]] = (
        (called(paper, dataset, loss), share_of_bound(paper, dataset, cell, squared=squared))
        for dataset, loss, cell in paper.cells()
    )
    return [cell for cell in found if cell[1] > 1 + SLACK]


@check(
    "A06",
    "Sizes in Table 1",
    where="Table 1",
    how="Training and test images against the number of images printed beside them.",
)
def _sizes(paper: Published) -> Found:
    wrong = {
        row.printed: f"{row.printed} has {row.images:,} images, but {row.train:,} to train on and "
        f"{row.test:,} to test on are {row.train + row.test:,}"
        for row in paper.benchmarks.values()
        if row.train + row.test != row.images
    }
    if not wrong:
        return Found("consistent", "Training and test images add up for every dataset.")
    return Found("inconsistent", joined(wrong.values()) + ".", tuple(wrong))


CHECKS = (_duplicates, _cosine, _variances, _equation, _fits, _sizes)
