"""The paper's Tables 1 to 3, and the numbers that its text states."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

LOSSES = {
    "contrastive": "Contrastive",
    "triplet": "Triplet",
    "npair": "N-pair",
    "infonce": "InfoNCE",
    "arcface": "ArcFace",
    "scl": "SCL",
    "ccl": "CCL",
}
"""The seven, as they are printed."""

FINE_GRAINED = ("cars196", "cub200")
"""Section 3.1 calls these two fine-grained."""

RANKS = (1, 5, 10)
"""The k of Table 3."""


@dataclass(frozen=True)
class Benchmark:
    """A row of Table 1: ``printed`` is the dataset's name there, the others are counts."""

    printed: str
    classes: int
    train: int
    test: int
    images: int


class Geometry(NamedTuple):
    """A cell of Table 2, in its order: "μ" and "σ²" within classes, then between them."""

    intra: float
    intra_spread: float
    inter: float
    inter_spread: float


@dataclass(frozen=True)
class Stated:
    """A number of the text. ``words``: where the paper has it, as it stands there."""

    value: float
    section: str
    words: str


@dataclass(frozen=True)
class Published:
    """What the paper printed, or what somebody puts in its place.

    Attributes:
        benchmarks: Table 1, by dataset.
        geometry: Table 2, by dataset and loss.
        recall: Table 3, by dataset and loss: Recall@1, @5 and @10.
        stated: numbers of the text, by name.
    """

    benchmarks: Mapping[str, Benchmark]
    geometry: Mapping[str, Mapping[str, Geometry]]
    recall: Mapping[str, Mapping[str, tuple[float, float, float]]]
    stated: Mapping[str, Stated]

    def printed(self, dataset: str) -> str:
        """Its name in Table 1."""
        return self.benchmarks[dataset].printed

    def most(self, dataset: str) -> float:
        """K = 2C/(C − 1): the mean squared distance of C centres that are as far as can be."""
        classes = self.benchmarks[dataset].classes
        return 2 * classes / (classes - 1)

    def cells(self) -> Iterator[tuple[str, str, Geometry]]:
        """Dataset, loss and numbers of every cell of Table 2."""
        for dataset, row in self.geometry.items():
            for loss, cell in row.items():
                yield dataset, loss, cell

    def says(self, name: str) -> float:
        """A number of the text."""
        return self.stated[name].value


@cache
def published() -> Published:
    """As printed, in the order of the paper."""
    benchmarks = {
        row["dataset"]: Benchmark(
            row["printed_name"],
            *(int(row[name]) for name in ("classes", "train", "test", "printed_images")),
        )
        for row in _rows("table1")
    }
    geometry: dict[str, dict[str, Geometry]] = {name: {} for name in benchmarks}
    for row in _rows("table2"):
        numbers = (row[name] for name in ("intra_mu", "intra_sigma2", "inter_mu", "inter_sigma2"))
        geometry[row["dataset"]][row["loss"]] = Geometry(*map(float, numbers))
    recall: dict[str, dict[str, tuple[float, float, float]]] = {name: {} for name in benchmarks}
    for row in _rows("table3"):
        first, fifth, tenth = (float(row[f"recall@{k}"]) for k in RANKS)
        recall[row["dataset"]][row["loss"]] = (first, fifth, tenth)
    stated = {
        row["name"]: Stated(float(row["value"]), row["section"], row["words"])
        for row in _rows("stated")
    }
    return Published(benchmarks, geometry, recall, stated)


def canonical(name: str) -> str | None:
    """The dataset of the paper that people call so: ``CIFAR-10`` is ``cifar10``; None if none is.

    Case and punctuation do not matter; the printed names count.
    """
    known = {
        _bare(called): dataset
        for dataset, row in published().benchmarks.items()
        for called in (dataset, row.printed)
    }
    return known.get(_bare(name))


def _bare(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _rows(table: str) -> list[dict[str, str]]:
    text = (files("metriscope.paper") / "tables" / f"{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
