"""The audit finds what is wrong with the published tables, and nothing in corrected ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from metriscope.paper import _numbers
from metriscope.paper.audit import CHECKS, Item, audit
from metriscope.paper.audit.numbers import share_of_bound
from metriscope.paper.tables import LOSSES, Geometry, Published, canonical, published
from tests.corrected import corrected

CONSISTENT = {"A05", "A08", "A11", "A15", "A21"}
NOTES = {"A10", "A16", "A28", "A29", "A30"}


def _items(paper: Published | None = None) -> dict[str, Item]:
    return {item.code: item for item in audit(paper)}


def test_tables_are_those_that_were_printed() -> None:
    paper = published()
    assert list(paper.benchmarks) == [
        "cifar10",
        "cars196",
        "cub200",
        "tiny-imagenet",
        "fashion-mnist",
    ]
    assert paper.benchmarks["cub200"].train == 5994
    assert paper.geometry["cars196"]["infonce"] == Geometry(0.5845, 0.1338, 0.8673, 0.1835)
    assert paper.recall["fashion-mnist"]["ccl"] == (0.7132, 0.9187, 0.9625)
    assert len(list(paper.cells())) == 35
    assert all(list(row) == list(LOSSES) for row in paper.geometry.values())
    assert paper.says("triplet.epoch") == 40


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("CIFAR-10", "cifar10"),
        ("Car196", "cars196"),
        ("CARS196", "cars196"),
        ("cub_200", "cub200"),
        ("Tiny ImageNet", "tiny-imagenet"),
        ("FashionMNIST", "fashion-mnist"),
        ("mnist", None),
        ("cifar100", None),
        ("", None),
    ],
)
def test_names_of_datasets(name: str, dataset: str | None) -> None:
    assert canonical(name) == dataset


def test_what_is_wrong_with_the_published_tables() -> None:
    found = {item.code: item.verdict for item in audit()}
    assert {code for code, verdict in found.items() if verdict == "consistent"} == CONSISTENT
    assert {code for code, verdict in found.items() if verdict == "note"} == NOTES
    assert len(found) == len(CHECKS) == 31


def test_the_duplicated_row() -> None:
    item = _items()["A01"]
    assert item.cells == ("Contrastive on CIFAR-10",)  # the one that is likely wrong
    assert "ArcFace on CUB-200" in item.sentence
    assert "0.0656 0.0713 0.4790 0.3402" in item.sentence


def test_the_impossible_numbers() -> None:
    items = _items()
    assert len(items["A02"].cells) == 16
    assert "N-pair on CUB-200" in items["A02"].cells
    assert len(items["A03"].cells) == 19
    assert items["A04"].cells == ("InfoNCE on Car196",)
    assert "0.8353" in items["A04"].sentence
    assert "-0.016" in items["A04"].sentence
    assert items["A06"].cells == ("Tiny-ImageNet",)


def test_the_reading_that_fits() -> None:
    """The table of r, as it was worked out by hand."""
    expected = {
        "contrastive": (0.166, 0.467, 0.543, 0.372, 0.946),
        "npair": (0.999, 0.992, 0.989, 0.996, 0.988),
        "scl": (0.954, 0.703, 0.778, 0.086, 0.944),
    }
    paper = published()
    for loss, row in expected.items():
        found = [
            share_of_bound(paper, name, cells[loss], squared=False)
            for name, cells in paper.geometry.items()
        ]
        assert found == pytest.approx(row, abs=1e-3)


def test_what_the_text_says_against_the_tables() -> None:
    items = _items()
    assert "SCL 0.9272" in items["A07"].sentence
    assert "InfoNCE 0.7416" in items["A09"].sentence
    assert "Contrastive 0.6686" in items["A12"].sentence  # the best mean of all
    assert "+0.1 standard errors" in items["A12"].sentence  # triplet and contrastive on Cars
    assert "CCL on Tiny-ImageNet beats" in items["A13"].sentence
    assert items["A14"].cells == ("InfoNCE on Car196",)
    assert "SCL, Contrastive, InfoNCE and Triplet (0.9219 to 0.9272)" in items["A16"].sentence
    assert items["A17"].cells == ("Triplet on Car196", "Triplet on CUB-200")
    assert "InfoNCE on Car196 (0.5845)" in items["A18"].sentence
    assert items["A19"].cells == ("SCL on Car196", "SCL on Tiny-ImageNet", "SCL on FashionMNIST")
    assert "SCL 0.0485" in items["A19"].sentence
    assert items["A20"].cells == ("CCL on CUB-200",)
    assert "Car196 0.50 over 7 losses, 0.00 without" in items["A22"].sentence
    assert "CUB-200 0.68 over 7 losses, 0.20 without" in items["A22"].sentence
    assert "-0.36 to 0.43" in items["A22"].sentence


def test_what_the_text_says_of_training() -> None:
    items = _items()
    assert "166" in items["A25"].sentence
    assert len(items["A26"].cells) == 4
    assert "39.7" in items["A27"].sentence
    assert "SCL on CIFAR-10 (at most 37%)" in items["A28"].sentence
    assert "N-pair on CUB-200 (at most 19%)" in items["A28"].sentence
    assert "CUB-200 12, Tiny-ImageNet 196" in items["A30"].sentence
    assert "1,200 to 19,600 updates" in items["A30"].sentence


def test_every_item_can_be_read() -> None:
    for item in audit():
        assert item.title
        assert item.how
        assert item.where
        assert item.sentence.endswith(".")
        assert "nan" not in item.sentence
        assert bool(item.cells) or item.verdict == "consistent" or item.code >= "A23"
    assert [check.code for check in CHECKS] == [f"A{i:02}" for i in range(1, 32)]


def test_nothing_is_wrong_with_corrected_tables() -> None:
    wrong = [item for item in audit(corrected()) if item.verdict != "consistent"]
    assert wrong == []


# --------------------------------------------------------- each defect by itself, in its own item

Plant = Callable[[Published], Published]


def _cell(dataset: str, loss: str, **changed: float) -> Plant:
    def plant(paper: Published) -> Published:
        row = paper.geometry[dataset]
        cell = row[loss]._replace(**changed)
        return replace(paper, geometry={**paper.geometry, dataset: {**row, loss: cell}})

    return plant


def _recall(dataset: str, loss: str, *values: float) -> Plant:
    def plant(paper: Published) -> Published:
        row = {**paper.recall[dataset], loss: values}
        return replace(paper, recall={**paper.recall, dataset: row})  # type: ignore[dict-item]

    return plant


def _said(**changed: float) -> Plant:
    def plant(paper: Published) -> Published:
        values = {name.replace("__", "."): value for name, value in changed.items()}
        stated = {k: replace(v, value=values.get(k, v.value)) for k, v in paper.stated.items()}
        return replace(paper, stated=stated)

    return plant


def _size(dataset: str, **changed: int) -> Plant:
    def plant(paper: Published) -> Published:
        row = replace(paper.benchmarks[dataset], **changed)
        return replace(paper, benchmarks={**paper.benchmarks, dataset: row})

    return plant


def _same(paper: Published) -> Published:
    cell = paper.geometry["cub200"]["scl"]
    return _cell("cifar10", "triplet", **cell._asdict())(paper)


def _both(first: Plant, second: Plant) -> Plant:
    return lambda paper: second(first(paper))


PLANTS: dict[str, Plant] = {
    "A01": _same,
    "A02": _cell("cub200", "npair", inter=1.02),
    "A03": _cell("cub200", "npair", inter_spread=0.7),
    "A04": _cell("cub200", "infonce", intra=0.6),
    "A05": _cell("cub200", "infonce", inter=1.3),
    "A06": _size("cub200", images=60_001),
    "A07": _recall("cifar10", "scl", 0.93, 0.94, 0.95),
    "A08": _recall("cub200", "scl", 0.93, 0.94, 0.95),
    "A09": _recall("tiny-imagenet", "infonce", 0.93, 0.94, 0.95),
    "A10": _recall("fashion-mnist", "scl", 0.86, 0.97, 0.98),
    "A11": _recall("cars196", "triplet", 0.93, 0.94, 0.95),
    "A12": _recall("cars196", "scl", 0.60, 0.65, 0.70),
    "A13": _recall("cub200", "ccl", 0.86, 0.87, 0.88),
    "A14": _recall("cars196", "infonce", 0.60, 0.65, 0.70),
    "A15": _recall("cars196", "npair", 0.80, 0.85, 0.88),
    "A16": _recall("cifar10", "scl", 0.899, 0.91, 0.92),
    "A17": _cell("cub200", "triplet", intra=0.19),
    "A18": _cell("cub200", "infonce", intra=0.4),
    "A19": _cell("fashion-mnist", "scl", intra=0.1),
    "A20": _cell("cub200", "ccl", intra=0.15),
    "A21": _cell("cub200", "npair", inter=0.9),
    "A22": _both(
        _cell("cars196", "npair", intra=0.36), _recall("cars196", "npair", 0.55, 0.6, 0.66)
    ),
    "A23": _said(margin__default=1.5),
    "A24": _said(margin=2.0, margin__default=2.0),
    "A25": _said(active__over_batch=1),
    "A26": _said(contrastive__active=0.65),
    "A27": _said(triplet__epoch=10.5),
    "A28": _said(contrastive__reduction=0.25, triplet__reduction=0.25),
    "A29": _said(validation=1),
    "A30": _size("cub200", train=20_000, images=30_000),
    "A31": _said(features=768),
}


@pytest.mark.parametrize("code", [check.code for check in CHECKS])
def test_each_item_sees_its_own_defect(code: str) -> None:
    items = _items(PLANTS[code](corrected()))
    assert items[code].verdict != "consistent", items[code].sentence


def test_a_defect_turns_few_other_items() -> None:
    """Those that are about the same number."""
    turned = {
        code: {c for c, item in _items(plant(corrected())).items() if item.verdict != "consistent"}
        for code, plant in PLANTS.items()
    }
    assert {code for code, found in turned.items() if found == {code}} >= {
        "A01", "A03", "A06", "A20", "A23", "A24", "A25", "A26", "A27", "A28", "A29", "A30",
        "A31",
    }  # fmt: skip
    assert turned["A02"] == {"A02"}


def test_the_odd_one_of_two_cells_is_found_by_their_losses() -> None:
    items = _items(_same(corrected()))
    assert items["A01"].cells == ("Triplet on CIFAR-10",)


def test_correlations_of_few_losses_are_exact() -> None:
    up = _numbers.spearman([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert up is not None
    assert (up.rho, up.n) == (pytest.approx(1), 5)
    assert up.p == pytest.approx(2 / 120)
    many = _numbers.spearman(range(20), [i + (i % 3) for i in range(20)])
    assert many is not None
    assert many.p < 1e-6
    assert _numbers.spearman([1, 2], [2, 1]) is None
    assert _numbers.spearman([1, 1, 1], [1, 2, 3]) is None


def test_errors_of_shares() -> None:
    assert _numbers.share_error(0.9248, 10_000) == pytest.approx(0.0026, abs=1e-4)
    assert _numbers.share_error(0.5138, 5_794) == pytest.approx(0.0066, abs=1e-4)
    assert _numbers.apart(0.9272, 0.9219, 10_000) == pytest.approx(1.42, abs=0.01)
    assert _numbers.apart(1.0, 1.0, 10) == 0
    assert _numbers.apart(1.0, 0.0, 10) > 1e9
