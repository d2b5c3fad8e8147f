"""Diagnoses that no search made, for what shows and stores them."""

from __future__ import annotations

from typing import Any

from metriscope.types import ClassRow, Confusion, Examined, Finding, Interval, Item


def findings() -> tuple[Finding, ...]:
    """One of each severity, problems first."""
    return (
        Finding(
            "MS101",
            "problem",
            "almost no spread, the space has collapsed",
            "The mean squared distance to the overall centre is 0.003 (of at most 1).",
            0.003,
            0.01,
            cause="hard mining and a high learning rate lead there.",
            next_step="a smaller margin.",
            verify="`spread.total` rises above 0.3.",
        ),
        Finding(
            "MS403",
            "warning",
            "labels that the neighbours contradict",
            "2.1 % of the rows lie inside another class.",
            0.021,
            0.01,
            cause="wrong labels.",
            next_step="look at the items below.",
            verify="diagnose again without them.",
            classes=("cat", "dog", *(f"class {i}" for i in range(30))),
        ),
        Finding("MS102", "ok", "direction that all embeddings share", "", 0.12, 0.9),
        Finding("MS106", "ok", "rows that are everyone's neighbour", "", None, None),
        Finding(
            "MS404",
            "not applicable",
            "duplicates across training and test",
            "there is no training part; give --train.",
            None,
            None,
        ),
    )


def examined(name: str = "cat", id: str | int = "img_1.jpg", classes: int = 12) -> Examined:
    """A diagnosis with everything in it; ``name`` and ``id`` are wherever such text can be."""
    names = [name, *(f"class {i}" for i in range(1, classes))]
    rows = tuple(
        ClassRow(
            label,
            rows=100 + i,
            queries=100 + i,
            spread=0.2 + 0.01 * i,
            recall=min(0.5 + 0.03 * i, 1.0),
            interval=Interval(min(0.4 + 0.03 * i, 0.9), min(0.6 + 0.03 * i, 1.0)),
            confused_with=names[i - 1] if i < 11 else None,
            lost=0.2 - 0.01 * i if i < 11 else None,
        )
        for i, label in enumerate(names)
    )
    lonely = ClassRow("alone", 1, 0, float("nan"))
    return Examined(
        scores={
            "recall@1": 0.9123,
            "recall@5": 0.95,
            "map@r": None,
            "intra.pair_cos.mean": 0.21,
            "spread.total": 0.003,
            "rank.effective": 12.3,
            "hubness.skew": 1.25,
            "mine.own": 3.5,
        },
        intervals={"recall@1": Interval(0.9051, 0.9184), "recall@5": Interval(0.94, 0.96)},
        per_class=(*rows, lonely),
        confusions=tuple(
            Confusion(label, names[i - 1], 40 - i, 0.2 - 0.01 * i) for i, label in enumerate(names)
        ),
        items=(
            *(Item("outlier", f"far {i}", name, id, "dog", 9.0 - i) for i in range(7)),
            Item("mislabelled", id, name, "other.jpg", "dog", 0.98),
            Item("duplicate", id, name, 17, name, 1e-5, "train"),
            Item("duplicate", 3, "dog", 4, "dog", 0.0),
        ),
        findings=findings(),
        about={
            "source": f"{name}.npz",
            "split": "test",
            "rows": 10_000,
            "classes": 13,
            "dim": 128,
            "queries": 9_999,
            "train_rows": 50_000,
            "sampled": None,
            "notes": [f"note on {name}"],
            "confidence": 0.95,
            "resamples": 1000,
            "seed": 0,
            "command": f"metriscope diagnose {name}.npz",
            "machine": "2 cores",
            "versions": {"torch": "2.13.0"},
            "seconds": 1.5,
        },
    )


def nothing(**about: Any) -> Examined:
    """The least that a diagnosis can be."""
    return Examined(scores={}, about=about)
