"""Cases of the findings about the data."""

from __future__ import annotations

from metriscope.findings.base import Subject
from metriscope.types import ClassRow, Examined
from tests.fakes import results, run
from tests.finding_cases import Case, space


def classes(*recalls: tuple[int, float | None]) -> Subject:
    """A space of classes of so many rows, all of them queries, and such a recall."""
    table = [ClassRow(f"c{i}", n, n, 0.5, recall) for i, (n, recall) in enumerate(recalls)]
    return space(examined=Examined({}, per_class=tuple(table)))


def noise(rate: float, low: float, high: float) -> Subject:
    return space(label_noise=rate, label_noise__low=low, label_noise__high=high)


def surest(share: float, low: float, everywhere: float) -> Subject:
    return space(
        label_noise=0.0,
        label_noise__low=0.0,
        label_noise__high=0.01,
        label_noise__surest=share,
        label_noise__surest__low=low,
        label_noise__contradicted=everywhere,
    )


CASES = {
    "MS110": Case(
        space({"queries": 10_000}, train__recall_1=0.9, recall_1=0.68),
        space({"queries": 10_000}, train__recall_1=0.9, recall_1=0.72),
        space({"queries": 10_000}, recall_1=0.5),
    ),
    "MS401": Case(
        results(run(queries__excluded=600.0)),
        results(run(queries__excluded=400.0)),
        results(run(queries__excluded=600.0), test_rows=None),
    ),
    "MS401 space": Case(
        space(queries__excluded=600.0), space(queries__excluded=400.0), space(recall_1=0.5)
    ),
    "MS401 gallery": Case(
        space({"gallery": "g.npz", "queries": 900}, queries__excluded=100.0),
        space({"gallery": "g.npz", "queries": 9_900}, queries__excluded=100.0),
        None,
    ),
    "MS403": Case(noise(0.012, 0.004, 0.02), noise(0.012, 0.001, 0.03), space(recall_1=0.5)),
    "MS403 lost": Case(
        noise(0.05, 0.03, 0.07),
        noise(0.001, 0.0, 0.003),
        space(label_noise=0.05, label_noise__low=0.03, label_noise__high=0.07, recall_1=0.1),
    ),
    "MS403 of one kind": Case(
        surest(0.2, 0.15, 0.2),
        surest(0.2, 0.15, 0.4),  # overlap: all rows are contradicted more often
        None,
    ),
    "MS404": Case(
        space(duplicates__across=0.02, duplicates__across__exact=0.01),
        space(duplicates__across=0.0005, duplicates__gallery=0.0),
        space(duplicates__within=0.5),
    ),
    "MS404 gallery": Case(
        space(duplicates__across=0.0, duplicates__gallery=0.002),
        space(duplicates__gallery=0.0),
        None,
    ),
    "MS405": Case(
        space(duplicates__within=0.02, duplicates__within__exact=0.01),
        space(duplicates__within=0.005, duplicates__conflicting=0.0),
        space(duplicates__across=0.5),
    ),
    "MS405 conflicting": Case(
        space(duplicates__within=0.005, duplicates__conflicting=0.002),
        space(duplicates__within=0.005, duplicates__conflicting=0.0005),
        None,
    ),
    "MS406": Case(
        classes((9_000, 0.95), (500, 0.6), (500, 0.5)),
        classes((9_000, 0.95), (500, 0.92), (500, 0.93)),
        classes((9_000, 0.95), (1, None)),
    ),
    "MS407": Case(space(items__outliers=0.02), space(items__outliers=0.001), space(recall_1=0.5)),
    "MS408": Case(
        space({"chance": 0.003, "queries": 4_500}, recall_1=0.004),
        space({"chance": 0.2, "queries": 600}, recall_1=0.58),
        space(recall_1=0.004),
    ),
    "MS408 two classes": Case(
        space({"chance": 0.5, "queries": 1_000}, recall_1=0.5),
        space({"chance": 0.5, "queries": 1_000}, recall_1=0.6),
        space({"chance": 0.5, "queries": 40}, recall_1=0.5),
    ),
    "MS408 hardly any": Case(
        space({"chance": 0.01, "queries": 2_000}, recall_1=0.05),
        space({"chance": 0.01, "queries": 2_000}, recall_1=0.2),
        space({"chance": 1.0}, recall_1=1.0),
    ),
}
