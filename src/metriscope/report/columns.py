"""Which scores the three tables show, what they are called, and what they mean in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        label: its heading.
        score: the name of the score in ``results.json``; empty where it is no score.
        meaning: what it is, for a person who has not read the paper.
        digits: decimals of its numbers.
        main: whether a narrow terminal shows it; wider ones and the report show all.
        undefined: how to show a score that was computed and has no value.
        words: whether its cells are texts, which are set to the left.
        directed: whether a better direction of the score holds by itself; not where it means
            something only beside another score.
        better: ``higher``, ``lower``, or None where neither is.
    """

    label: str
    score: str = ""
    meaning: str = ""
    digits: int = 3
    main: bool = True
    undefined: str = "–"
    words: bool = False
    directed: bool = True
    better: Literal["higher", "lower"] | None = None

    @property
    def heading(self) -> str:
        """The label, with an arrow that says which direction is better."""
        return self.label + {"higher": " ↑", "lower": " ↓", None: ""}[self.better]


RETRIEVAL = (
    Column(
        "Recall@1", "recall@1", "share of test queries whose nearest neighbour has the same class"
    ),
    Column("Recall@5", "recall@5", "the same, for at least one of the 5 nearest neighbours"),
    Column("Recall@10", "recall@10", "the same, for at least one of the 10 nearest neighbours"),
    Column(
        "MAP@R",
        "map@r",
        "how far ahead all the members of the class are ranked; 1 is a perfect ranking",
    ),
    Column(
        "R-precision",
        "r_precision",
        "of the R nearest neighbours, the share of the same class; R is how many there are",
        main=False,
    ),
    Column(
        "kNN accuracy",
        "knn_accuracy@5",
        "test rows classified rightly by a vote of their 5 nearest training rows",
        main=False,
    ),
    Column(
        "Probe accuracy",
        "probe_accuracy",
        "test rows classified rightly by a linear classifier trained on the embeddings",
        main=False,
    ),
)

VARIANCE = (
    Column(
        "Within classes",
        "intra.pair_cos.mean",
        "mean cosine distance of two members of one class; small: classes are tight",
    ),
    Column(
        "Between classes",
        "inter.euclid.mean",
        "mean Euclidean distance of two class centres; large: classes are far apart",
    ),
    Column(
        "Spread",
        "spread.total",
        "mean squared distance to the overall centre; 0: all embeddings are equal, 1: the most",
    ),
    Column(
        "Effective rank",
        "rank.effective",
        "how many dimensions are in use, the common direction among them",
        digits=1,
    ),
    Column(
        "Within, SD",
        "intra.pair_cos.sd",
        "how much tightness differs from class to class",
        main=False,
    ),
    Column(
        "Between, SD",
        "inter.euclid.sd",
        "how unevenly class centres are spaced (printed as σ² in the paper)",
        main=False,
    ),
    Column(
        "Between (cosine)",
        "inter.cos.mean",
        "mean cosine distance of two class centres: what the paper's text says that Table 2 is",
        main=False,
    ),
    Column(
        "Between (cosine), SD",
        "inter.cos.sd",
        "SD over pairs of class centres of their cosine distance",
        main=False,
    ),
    Column(
        "Cone",
        "centre.norm_sq",
        "squared length of the overall centre; near 1: all embeddings point one way",
        main=False,
    ),
    Column(
        "Effective rank, centred",
        "rank.effective.centred",
        "how many dimensions the differences between embeddings use",
        digits=1,
        main=False,
    ),
    Column("Within, eq. 1", "intra.eq1", "equation (1) of the paper, within classes", main=False),
    Column("Between, eq. 1", "inter.eq1", "equation (1) of the paper, between classes", main=False),
    Column(
        "Table 2 ratio",
        "table2.r",
        "(mean² + SD² of Between) / (K (1 − Within, eq. 1)): 1 where all point to all sides",
        main=False,
    ),
    Column(
        "Within / between",
        "density.pi_ratio",
        "mean cosine distance within classes over that between their centres; has no scale",
        main=False,
    ),
    Column(
        "NC1",
        "nc1",
        "scatter within classes relative to that between them; 0: each class is one point",
        main=False,
    ),
    Column(
        "Silhouette",
        "silhouette",
        "from −1 to 1: how much nearer its own class is than the next one",
        main=False,
    ),
    Column(
        "Hubness",
        "hubness.skew",
        "skewness of how often a row is a neighbour; large: a few rows are everyone's neighbour",
        main=False,
    ),
    Column(
        "Alignment",
        "alignment",
        "mean squared distance of two members of one class; low is good only with low uniformity",
        main=False,
        directed=False,
    ),
    Column(
        "Uniformity",
        "uniformity",
        "how evenly the sphere is covered; 0: one point, about −3.9: evenly in 128 dimensions",
        main=False,
        directed=False,
    ),
)

DIAGNOSIS = (
    Column(
        "Recall@1, training",
        "train.recall@1",
        "Recall@1 among training rows, as many and in classes as large as those examined",
    ),
    Column(
        "Share of top 1 %",
        "hubness.top",
        "share of all neighbour places that the most retrieved 1 % of the rows hold",
    ),
    Column("Norms, variation", "norms.cv", "SD of the lengths of the embeddings over their mean"),
    Column(
        "Classes in clumps", "classes.clumped", "share of the classes that are two clumps or more"
    ),
    Column(
        "Wrong labels",
        "label_noise",
        "estimated share of labels that the embeddings do not bear out",
    ),
    Column(
        "Likely mislabelled", "items.mislabelled", "share of rows that can be pointed at as such"
    ),
    Column("Outliers", "items.outliers", "share of rows that are far from all others"),
    Column("Duplicates", "duplicates.within", "share of rows with a copy among the others"),
    Column("Duplicates in training", "duplicates.across", "share of rows with a copy in training"),
)

GREEDINESS = (
    Column("Loss before", "loss.initial", "mean loss before any update", main=False),
    Column("Loss at the end", "loss.final", "mean loss of the last epoch"),
    Column(
        "Active terms",
        "active.terms",
        "share of the pairs, triplets or class comparisons that still violate the loss's rule",
    ),
    Column(
        "Gradient norm", "grad_norm.head", "length of the gradient of the head, mean over steps"
    ),
    Column(
        "Epochs to −50 %",
        "epochs_to.50",
        "first epoch whose loss is 50 % below the loss before training",
        digits=1,
        undefined="never",
    ),
    Column(
        "Loss fall",
        "loss.decay",
        "share of the loss before training that is gone at the end; many losses cannot lose all",
        main=False,
    ),
    Column(
        "Active samples",
        "active.samples",
        "share of the samples that anchor at least one active term",
        main=False,
    ),
    Column(
        "Effective samples",
        "active.effective",
        "share of the samples that carry the gradient; 1: all pull equally",
        main=False,
    ),
    Column(
        "Active / batch",
        "active.literal",
        "the paper's count: active terms over the batch size; can exceed 1",
        main=False,
    ),
    Column(
        "Gradient norm, SD",
        "grad_norm.head.sd",
        "how much that length varies from step to step",
        main=False,
    ),
    Column(
        "Gradient norm, loss",
        "grad_norm.loss",
        "length of the gradient of the loss's own parameters, where it has any",
        main=False,
    ),
    Column(
        "Epochs to −60 %",
        "epochs_to.60",
        "as above, for 60 %",
        digits=1,
        main=False,
        undefined="never",
    ),
    Column(
        "Epochs to −90 %",
        "epochs_to.90",
        "as above, for 90 %",
        digits=1,
        main=False,
        undefined="never",
    ),
)


def label(score: str) -> str:
    """What a score is called in tables; of the validation part, too."""
    name = score.removeprefix("val.")
    every = (*RETRIEVAL, *VARIANCE, *GREEDINESS, *DIAGNOSIS)
    return next((column.label for column in every if column.score == name), name)
