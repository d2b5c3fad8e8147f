"""Claims about retrieval, held against Table 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metriscope.paper._numbers import apart
from metriscope.paper.audit.base import Check, Found, Verdict, called, check, joined
from metriscope.paper.tables import FINE_GRAINED, LOSSES, RANKS, Published

COMPETITIVE = 0.8
"""A loss with this share of the best Recall@1 on every dataset is called competitive here."""

_HOW = (
    "The best loss of Table 3 at each k. Standard errors from √(p(1 − p)/n) with Table 1's test "
    "sizes, as of independent queries."
)


def best(paper: Published, dataset: str, column: int = 0) -> str:
    """The loss with the highest recall at ``RANKS[column]``."""
    row = paper.recall[dataset]
    return max(row, key=lambda loss: row[loss][column])


def mean_recall(paper: Published, loss: str) -> float:
    """Recall@1 over the datasets."""
    values = [row[loss][0] for row in paper.recall.values()]
    return sum(values) / len(values)


def _at(paper: Published, dataset: str, loss: str, column: int = 0) -> str:
    """``SCL 0.9272``."""
    return f"{LOSSES.get(loss, loss)} {paper.recall[dataset][loss][column]:.4f}"


def _leads(paper: Published, dataset: str, loss: str, columns: Sequence[int]) -> Found:
    tops = {column: best(paper, dataset, column) for column in columns}
    row, size = paper.recall[dataset], paper.benchmarks[dataset].test
    sentences = []
    for column, top in tops.items():
        k = RANKS[column]
        rival = top if top != loss else max(set(row) - {loss}, key=lambda o: row[o][column])
        errors = abs(apart(row[loss][column], row[rival][column], size))
        verb = "is below" if top != loss else "is above"
        sentences.append(
            f"R@{k}: {_at(paper, dataset, loss, column)} {verb} "
            f"{_at(paper, dataset, rival, column)}, by {errors:.1f} standard errors."
        )
    beaten = [column for column, top in tops.items() if top != loss]
    verdict: Verdict = "inconsistent" if 0 in beaten else "note" if beaten else "consistent"
    cells = tuple(called(paper, dataset, tops[column]) for column in beaten)
    return Found(verdict, " ".join(sentences), tuple(dict.fromkeys(cells)))


def _leader(
    code: str, title: str, dataset: str, loss: str, words: str, columns: Sequence[int] = (0, 1, 2)
) -> Check:
    make = check(code, title, where="section 4.3, Table 3", words=words, how=_HOW)
    return make(lambda paper: _leads(paper, dataset, loss, columns))


_LEADS = "Contrastive leads on CIFAR-10 and CUB-200"
_EXCELS = "Triplet excels on Tiny-ImageNet and FashionMNIST"
_LEADERS = (
    _leader("A07", "Contrastive leads on CIFAR-10", "cifar10", "contrastive", _LEADS),
    _leader("A08", "Contrastive leads on CUB-200", "cub200", "contrastive", _LEADS),
    _leader("A09", "Triplet excels on Tiny-ImageNet", "tiny-imagenet", "triplet", _EXCELS),
    _leader("A10", "Triplet excels on FashionMNIST", "fashion-mnist", "triplet", _EXCELS),
    _leader(
        "A11",
        "SCL has the best Recall@1 on Cars",
        "cars196",
        "scl",
        "SCL achieves the best R@1 on CARS196",
        (0,),
    ),
)


@check(
    "A12",
    "Triplet and SCL lead fine-grained retrieval (the guideline)",
    where="abstract, section 4.3, Table 3",
    words="Triplet and SCL preserve higher within-class variance and clearer inter-class margins, "
    "leading to stronger top-1 retrieval in fine-grained settings",
    how="Recall@1 of triplet and of SCL against contrastive and InfoNCE, each as the mean over the "
    "two fine-grained datasets; standard errors as in A07.",
)
def _guideline(paper: Published) -> Found:
    losses = ("triplet", "scl", "contrastive", "infonce")
    means = {
        loss: sum(paper.recall[d][loss][0] for d in FINE_GRAINED) / len(FINE_GRAINED)
        for loss in losses
    }
    behind = [
        mine for mine in losses[:2] if any(means[mine] <= means[other] for other in losses[2:])
    ]
    texts = [f"Means over both: {_ranked(means)}."]
    for dataset in FINE_GRAINED:
        row, size = paper.recall[dataset], paper.benchmarks[dataset].test
        errors = apart(row["triplet"][0], row["contrastive"][0], size)
        gap = row["triplet"][0] - row["contrastive"][0]
        texts.append(
            f"{paper.printed(dataset)}: {_ranked({loss: row[loss][0] for loss in losses})}; "
            f"Triplet − Contrastive = {gap:+.4f}, {errors:+.1f} standard errors."
        )
    every = {loss: mean_recall(paper, loss) for loss in LOSSES}
    texts.append(f"Means over all {len(paper.recall)} datasets: {_ranked(every, 3)}.")
    return Found(
        "inconsistent" if behind else "consistent",
        " ".join(texts),
        tuple(called(paper, dataset, loss) for loss in behind for dataset in FINE_GRAINED),
    )


def _ranked(values: Mapping[str, float], most: int = 9) -> str:
    """``SCL 0.9272, Contrastive 0.9248``, the highest first."""
    order = sorted(values, key=lambda loss: -values[loss])[:most]
    return ", ".join(f"{LOSSES[loss]} {values[loss]:.4f}" for loss in order)


@check(
    "A13",
    "ArcFace and CCL underperform overall",
    where="section 4.3, Table 3",
    words="ArcFace and CCL underperform overall, consistent with their near-collapsed intra-class "
    "statistics",
    how="Mean Recall@1 over the datasets: are they the lowest two? And at every k, which losses "
    "each of them beats.",
)
def _underperform(paper: Published) -> Found:
    means = {loss: mean_recall(paper, loss) for loss in LOSSES}
    lowest = sorted(means, key=lambda loss: means[loss])
    text = ", ".join(f"{LOSSES[loss]} {means[loss]:.4f}" for loss in lowest[:3])
    beats, cells = [], []
    for dataset, row in paper.recall.items():
        for loss in ("arcface", "ccl"):
            worse = {
                LOSSES[other]: [
                    f"R@{k}"
                    for k, mine, its in zip(RANKS, row[loss], row[other], strict=True)
                    if mine > its
                ]
                for other in row
                if other not in ("arcface", "ccl")
            }
            worse = {name: ranks for name, ranks in worse.items() if ranks}
            if worse:
                texts = (f"{name} ({', '.join(ranks)})" for name, ranks in worse.items())
                beats.append(f"{called(paper, dataset, loss)} beats {joined(texts)}")
                cells.append(called(paper, dataset, loss))
    right = set(lowest[:2]) == {"arcface", "ccl"}
    detail = f" {'; '.join(beats)}." if beats else ""
    verdict: Verdict = "inconsistent" if not right else "note" if beats else "consistent"
    return Found(verdict, f"Lowest means: {text}.{detail}", tuple(cells))


@check(
    "A14",
    "InfoNCE is consistently competitive",
    where="section 4.3, Table 3",
    words="InfoNCE is consistently competitive",
    how=f"Recall@1 of InfoNCE over that of the best loss; {COMPETITIVE:.0%} or more on every "
    "dataset counts as competitive.",
)
def _competitive(paper: Published) -> Found:
    shares = {d: row["infonce"][0] / row[best(paper, d)][0] for d, row in paper.recall.items()}
    short = [dataset for dataset, share in shares.items() if share < COMPETITIVE]
    worst = min(shares, key=lambda dataset: shares[dataset])
    text = (
        f"It reaches {shares[worst]:.0%} to {max(shares.values()):.0%} of the best Recall@1; "
        f"least on {paper.printed(worst)}: {_at(paper, worst, 'infonce')} against "
        f"{_at(paper, worst, best(paper, worst))}."
    )
    cells = tuple(called(paper, dataset, "infonce") for dataset in short)
    return Found("inconsistent" if short else "consistent", text, cells)


@check(
    "A15",
    "N-pair struggles on fine-grained datasets",
    where="section 4.3, Table 3",
    words="N-pair struggles on fine-grained datasets",
    how="Whether its Recall@1 is the lowest on the two fine-grained datasets, with ArcFace and CCL "
    "left aside.",
)
def _struggles(paper: Published) -> Found:
    texts, wrong = [], []
    for dataset in FINE_GRAINED:
        row = paper.recall[dataset]
        lowest = min(row.keys() - {"arcface", "ccl"}, key=lambda loss: row[loss][0])
        texts.append(f"{paper.printed(dataset)}: {_at(paper, dataset, 'npair')}")
        if lowest != "npair":
            texts[-1] += f", above {_at(paper, dataset, lowest)}"
            wrong.append(called(paper, dataset, lowest))
    verdict: Verdict = "inconsistent" if wrong else "consistent"
    return Found(verdict, "; ".join(texts) + ".", tuple(wrong))


@check(
    "A16",
    "Whether the best Recall@1 can be told from the next",
    where="Table 3",
    how="Losses less than 1.96 standard errors of a difference behind the best; errors as in A07. "
    "One run each: the spread between seeds comes on top and is not known.",
)
def _ties(paper: Published) -> Found:
    texts, cells = [], []
    for dataset, row in paper.recall.items():
        size, top = paper.benchmarks[dataset].test, best(paper, dataset)
        order = sorted(row, key=lambda loss: -row[loss][0])
        near = [o for o in order if apart(row[top][0], row[o][0], size) < 1.96]
        if len(near) > 1:
            low, high = row[near[-1]][0], row[top][0]
            names = joined(LOSSES.get(loss, loss) for loss in near)
            texts.append(f"{paper.printed(dataset)}: {names} ({low:.4f} to {high:.4f})")
            cells += [called(paper, dataset, loss) for loss in near]
    if not texts:
        return Found("consistent", "On every dataset the best stands out from its queries' error.")
    return Found("note", f"Not to be told apart by Recall@1: {'; '.join(texts)}.", tuple(cells))


CHECKS = (
    *_LEADERS,
    _guideline,
    _underperform,
    _competitive,
    _struggles,
    _ties,
)
