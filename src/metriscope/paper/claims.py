"""The paper's claims, each as comparisons that results can decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metriscope.paper.audit.structure import COLLAPSED
from metriscope.paper.audit.winners import COMPETITIVE
from metriscope.paper.tables import FINE_GRAINED, LOSSES

HALF = "epochs to half of its fall"
"""Not a score: the first epoch that has half of the loss's own largest fall behind it."""

MEASURES = {
    "intra.pair_cos.mean": "mean within classes",
    "inter.euclid.mean": "mean between classes",
    "inter.euclid.sd": "SD between classes",
    "inter.clumps": "clumps of classes",
    "recall@1": "Recall@1",
    "epochs_to.50": "epochs to −50 %",
    HALF: HALF,
    "active.terms": "active share",
    "grad_norm.head": "gradient norm",
}
"""What is compared, in words."""


@dataclass(frozen=True)
class Comparison:
    """A loss is said to have more of a measure than others, or less.

    Attributes:
        measure: a key of :data:`MEASURES`.
        first: the loss.
        others: their mean is what it is held against; the ``best`` of them; or, of none, ``limit``.
        higher: whether it is said to have more.
        best: against the best of ``others`` rather than their mean.
        share: of what it is held against.
        limit: a number to hold it against.
    """

    measure: str
    first: str
    others: tuple[str, ...] = ()
    higher: bool = True
    best: bool = False
    share: float = 1.0
    limit: float = 0.0


@dataclass(frozen=True)
class Correlation:
    """Losses with more of one measure are said to have more of another; means over seeds.

    Losses with less than ``least`` of ``x`` are left out: collapsed, they decide it by themselves.
    """

    x: str
    y: str
    least: float


@dataclass(frozen=True)
class Claim:
    """What the paper says.

    Attributes:
        code: stable, ``C01``.
        statement: in our words.
        words: in the paper's. where: they stand there.
        tests: all of them must hold.
        datasets: of the paper, that it is about; empty for any.
    """

    code: str
    statement: str
    words: str
    where: str
    tests: tuple[Comparison | Correlation, ...]
    datasets: tuple[str, ...] = ()


def _each(
    measure: str, first: Sequence[str], others: Sequence[str], *, higher: bool = True
) -> tuple[Comparison, ...]:
    """Each of some losses with each of others."""
    return tuple(
        Comparison(measure, mine, (other,), higher)
        for mine in first
        for other in others
        if mine != other
    )


def _leader(code: str, loss: str, dataset: str, statement: str, words: str) -> Claim:
    tests = _each("recall@1", [loss], list(LOSSES))
    return Claim(code, statement, words, "section 4.3", tests, (dataset,))


_FIRM = ("triplet", "scl")
_GREEDY = ("contrastive", "infonce")
_CENTRED = ("arcface", "ccl")
_REST = tuple(loss for loss in LOSSES if loss not in _CENTRED)
_LEADS = "Contrastive leads on CIFAR-10 and CUB-200"
_EXCELS = "Triplet excels on Tiny-ImageNet and FashionMNIST"

CLAIMS = (
    Claim(
        "C01",
        "Triplet and SCL keep more within-class variance than contrastive and InfoNCE",
        "Triplet and SCL preserve higher within-class variance and clearer inter-class margins",
        "abstract, sections 4.1 and 4.3",
        _each("intra.pair_cos.mean", _FIRM, _GREEDY),
    ),
    Claim(
        "C02",
        "Triplet consistently keeps more within-class variance than contrastive",
        "Triplet-based training consistently preserves larger within-class variance",
        "section 4.1",
        _each("intra.pair_cos.mean", ["triplet"], ["contrastive"]),
    ),
    Claim(
        "C03",
        "Triplet and SCL retrieve better on fine-grained data",
        "leading to stronger top-1 retrieval in fine-grained settings",
        "abstract, section 4.3",
        _each("recall@1", _FIRM, _GREEDY),
        FINE_GRAINED,
    ),
    Claim(
        "C04",
        "More within-class variance goes with better retrieval",
        "Triplet and SCL preserve larger intra-class variance, which benefits top-1 retrieval",
        "section 4.3",
        (Correlation("intra.pair_cos.mean", "recall@1", COLLAPSED),),
    ),
    Claim(
        "C05",
        "Contrastive and InfoNCE lose half of their loss sooner than triplet and SCL",
        "they reduce training loss rapidly (≈ 50% reduction by epoch 30 in our runs)",
        "abstract, section 4.2",
        _each("epochs_to.50", _GREEDY, _FIRM, higher=False),
    ),
    Claim(
        "C06",
        "Contrastive and InfoNCE also fall sooner where each loss is measured by its own fall",
        "Contrastive and InfoNCE compact embeddings are achieved quickly",
        "abstract, section 4.2",
        _each(HALF, _GREEDY, _FIRM, higher=False),
    ),
    Claim(
        "C07",
        "Contrastive and InfoNCE keep a larger share active than triplet and SCL",
        "Contrastive/InfoNCE typically yield high active ratios",
        "sections 2.2.2 and 4.2",
        _each("active.terms", _GREEDY, _FIRM),
    ),
    Claim(
        "C08",
        "Contrastive and InfoNCE have smaller gradients than triplet and SCL",
        "high active ratios but low gradient norms, corresponding to many small updates",
        "sections 2.2.2 and 4.2",
        _each("grad_norm.head", _GREEDY, _FIRM, higher=False),
    ),
    Claim(
        "C09",
        "N-pair separates classes farther than the other losses on average",
        "N-pair achieves a large mean separation but with uneven spacing",
        "abstract, section 4.1",
        (
            Comparison(
                "inter.euclid.mean", "npair", tuple(loss for loss in LOSSES if loss != "npair")
            ),
        ),
    ),
    Claim(
        "C10",
        "N-pair spaces classes less evenly than InfoNCE, which separates them as far",
        "N-pair inter σ² is large on Tiny-ImageNet, indicating heterogeneity in class spacing",
        "abstract, section 4.1",
        (
            *_each("inter.euclid.sd", ["npair"], ["infonce"]),
            *_each("inter.clumps", ["npair"], ["infonce"], higher=False),
        ),
    ),
    Claim(
        "C11",
        f"ArcFace and CCL nearly collapse: less than {COLLAPSED:g} within classes",
        "their near-collapsed intra-class statistics (Table 2)",
        "sections 4.1 and 4.3",
        tuple(
            Comparison("intra.pair_cos.mean", loss, higher=False, limit=COLLAPSED)
            for loss in _CENTRED
        ),
    ),
    Claim(
        "C12",
        "ArcFace and CCL retrieve worse than the other losses on average",
        "ArcFace and CCL underperform overall",
        "section 4.3",
        tuple(Comparison("recall@1", loss, _REST, higher=False) for loss in _CENTRED),
    ),
    Claim(
        "C13",
        f"InfoNCE is competitive: {COMPETITIVE:.0%} or more of the best Recall@1",
        "InfoNCE is consistently competitive",
        "section 4.3",
        (
            Comparison(
                "recall@1",
                "infonce",
                tuple(loss for loss in LOSSES if loss != "infonce"),
                best=True,
                share=COMPETITIVE,
            ),
        ),
    ),
    Claim(
        "C14",
        "N-pair retrieves worse than triplet, SCL, contrastive and InfoNCE on fine-grained data",
        "N-pair struggles on fine-grained datasets",
        "section 4.3",
        _each("recall@1", ["npair"], (*_FIRM, *_GREEDY), higher=False),
        FINE_GRAINED,
    ),
    _leader("C15", "contrastive", "cifar10", "Contrastive is the best on CIFAR-10", _LEADS),
    _leader("C16", "contrastive", "cub200", "Contrastive is the best on CUB-200", _LEADS),
    _leader("C17", "triplet", "tiny-imagenet", "Triplet is the best on Tiny-ImageNet", _EXCELS),
    _leader("C18", "triplet", "fashion-mnist", "Triplet is the best on FashionMNIST", _EXCELS),
    _leader(
        "C19",
        "scl",
        "cars196",
        "SCL is the best on Cars",
        "SCL achieves the best R@1 on CARS196",
    ),
)
"""In the order of their codes."""
