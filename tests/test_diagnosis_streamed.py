"""``metriscope.diagnose`` of more rows than it holds: exact where it says so, sampled elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import metriscope
from metriscope import ops
from metriscope.data import streaming
from metriscope.data.arrays import table_of
from metriscope.diagnosis import sampling, scoring
from metriscope.diagnosis.sampling import Reservoir
from metriscope.types import InputError
from tests.test_diagnosis import BOTH, NAMES, looped, rows, same

N, SAMPLE = 700, 150
K = (1, 5, 20)


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows a block."""
    monkeypatch.setattr(ops, "block_rows", lambda dim: 64)
    monkeypatch.setattr(streaming, "_batch", lambda file: 50)


def called(n: int = N) -> np.ndarray:
    return np.array([f"img{i:04d}" for i in range(n)])


def as_parquet(path: Path, x: np.ndarray, y: np.ndarray, **columns: Any) -> Path:
    held = {"embedding": x.tolist(), "label": NAMES[y], **columns}
    pq.write_table(pa.table(held), path, row_group_size=130)
    return path


# --------------------------------------------------------------------------------- what is exact


def test_moments_are_of_all_rows_and_all_queries_give_the_recall_of_all(tmp_path: Path) -> None:
    x, y = rows(0, N, 1.2)
    path = as_parquet(tmp_path / "a.parquet", x, y)
    want = metriscope.diagnose(path, only=BOTH)
    found = metriscope.diagnose(path, only=BOTH, sample=N - 1, queries=N)
    for name in scoring.exact_names():
        if name in want.scores:
            assert found.scores[name] == pytest.approx(want.scores[name], rel=1e-9, abs=1e-12), name
            assert name not in found.intervals
    assert found.about["queries"] == N - 1
    assert [row.rows for row in found.per_class] == [row.rows for row in want.per_class]
    spread = [row.spread for row in want.per_class]
    assert [row.spread for row in found.per_class] == pytest.approx(spread)
    # One query of all is missing, and it alone.
    difference = (want.scores["recall@1"] or 0) * N - (found.scores["recall@1"] or 0) * (N - 1)
    assert round(difference, 6) in (0, 1)


def test_each_query_is_searched_among_all_rows() -> None:
    x, y = rows(1, N, 1.2)
    found = metriscope.diagnose(x, y, only="retrieval", sample=SAMPLE, queries=60, ids=called())
    order = np.argsort(np.random.default_rng(0).random(N))  # the sample's own draw
    queries = np.sort(order[:60])
    want = looped(x[queries], y[queries], x, y, [[q] for q in queries])
    assert found.scores["recall@1"] == pytest.approx(want["recall@1"])
    assert found.scores["recall@5"] == pytest.approx(want["recall@5"])
    sample = np.sort(order[:SAMPLE])
    own = [[i] for i in range(SAMPLE)]
    of_sample = looped(x[sample], y[sample], x[sample], y[sample], own)
    assert found.scores["r_precision"] == pytest.approx(of_sample["r_precision"])
    assert found.scores["map@r"] == pytest.approx(of_sample["map@r"])
    assert of_sample["recall@1"] != want["recall@1"]  # a smaller gallery is another question
    assert sum(row.queries for row in found.per_class) == found.about["queries"] == 60
    assert sum(row.rows for row in found.per_class) == N


@pytest.mark.parametrize("ids", [True, False])
def test_a_gallery_that_does_not_fit(ids: bool, tmp_path: Path) -> None:
    (x, y), (g, gy) = rows(2, 40, 1.2), rows(3, N, 1.2)
    y[y == 4], gy[gy == 4] = 3, 3
    y[0] = 4  # of a class that the gallery has once, as this query
    g[200:240], gy[200:240] = x, y
    names = {"id": called()} if ids else {}
    path = as_parquet(tmp_path / "g.parquet", g, gy, **names)
    query_ids = called()[200:240] if ids else None
    found = metriscope.diagnose(x, NAMES[y], ids=query_ids, gallery=path, sample=SAMPLE)
    want = looped(x, y, g, gy, [[200 + i] if ids else [] for i in range(40)])
    assert found.scores["recall@1"] == pytest.approx(want["recall@1"])
    assert found.scores["recall@5"] == pytest.approx(want["recall@5"])
    assert found.scores["queries.excluded"] == want["queries.excluded"] == int(ids)
    assert found.scores["r_precision"] is None
    assert found.scores["map@r"] is None
    assert (found.about["gallery_rows"], found.about["rows"]) == (N, 40)
    assert "whole gallery" in found.about["sampled"]
    held = metriscope.diagnose(x, NAMES[y], ids=query_ids, gallery=path)
    assert held.per_class == found.per_class
    assert held.confusions == found.confusions
    assert held.scores["recall@10"] == found.scores["recall@10"]


def test_classes_that_only_later_blocks_have() -> None:
    x, y = rows(4, N)
    y = np.where(np.arange(N) < 600, y, y + 5)
    found = metriscope.diagnose(x, y, only="retrieval", sample=SAMPLE, queries=40)
    assert [row.name for row in found.per_class] == [str(c) for c in range(10)]
    assert [row.rows for row in found.per_class] == np.bincount(y).tolist()


def test_singletons_are_counted_over_all_rows() -> None:
    x, y = rows(4, N)
    y[:9] = np.arange(100, 109)
    found = metriscope.diagnose(x, y, only="retrieval", sample=SAMPLE, queries=40)
    assert found.scores["queries.excluded"] == 9


def test_training_rows_that_do_not_fit_are_all_searched() -> None:
    x, y = rows(5, 60, 1.0)
    train, train_y = rows(6, N, 1.0)
    train[100:112], train_y[100:112] = x[:12], y[:12]
    train_y[train_y == 4] = 3  # the rows of class 4 have no answer
    beside = (train, train_y, called())
    want = metriscope.diagnose(x, y, train=beside)
    found = metriscope.diagnose(x, y, train=beside, sample=SAMPLE)
    assert want.scores["duplicates.across.exact"] == 12 / 60
    for name in ("duplicates.across", "duplicates.across.exact", *map("knn_accuracy@{}".format, K)):
        assert found.scores[name] == pytest.approx(want.scores[name], abs=1e-12), name
        assert found.intervals[name] == want.intervals[name]
    copies = [item for item in found.items if item.part == "train"]
    assert {(item.id, item.other) for item in copies} == {
        (i, f"img{100 + i:04d}") for i in range(12)
    }
    assert {f.code: f.severity for f in found.fired}["MS404"] == "problem"
    assert (
        "60 queries drawn at random, each searched exactly among all training rows"
        in (found.about["sampled"])
    )


# ------------------------------------------------------------------------------------- the sample


def test_what_is_sampled_says_so_and_has_an_interval() -> None:
    x, y = rows(5, 900, 1.0)
    found = metriscope.diagnose(x, y, sample=600, queries=50, train=rows(6, 700))
    said = found.about["sampled"]
    for words in ("900 rows", "600 drawn at random", "50 queries", "700 training rows 600"):
        assert words in said
    sampled = {k for k, v in found.scores.items() if v is not None} - scoring.exact_names()
    small = {"label_noise.surest", "label_noise.surest.low", "label_noise.contradicted"}
    # A tenth of so small a sample cannot tell those.
    assert not sampled - set(found.intervals) - {"queries.excluded", *small}
    for name, (low, high) in found.intervals.items():
        assert low <= (found.scores[name] or 0) <= high, name
    assert "R-precision, MAP@R, hubness and others" in said


def test_intervals_of_a_sample_hold_what_is_true_of_all() -> None:
    """A bootstrap over queries that are each other's gallery holds MAP@R in 10 of these 12."""
    x, y = rows(9, 3000, 1.2)
    want = metriscope.diagnose(x, y, only="retrieval").scores
    inside = dict.fromkeys(("r_precision", "map@r"), 0)
    for seed in range(12):
        found = metriscope.diagnose(x, y, only="retrieval", sample=400, queries=20, seed=seed)
        for name in inside:
            low, high = found.intervals[name]
            inside[name] += low <= (want[name] or 0) <= high
    assert min(inside.values()) >= 11


def test_rows_that_fit_are_not_sampled() -> None:
    x, y = rows(0, SAMPLE)
    found = metriscope.diagnose(x, y, only=BOTH, sample=SAMPLE)
    assert found.about["sampled"] is None
    assert found.scores == metriscope.diagnose(x, y, only=BOTH).scores


def reservoir(n: int, size: int, seed: int, cut: int) -> Reservoir:
    kept = Reservoir(size, seed)
    x = np.arange(n, dtype=np.float32)[:, None]
    for start in range(0, n, cut):
        part = slice(start, start + cut)
        ids = np.arange(n)[part].astype(str)
        y = np.arange(n)[part] % 7
        kept.add(table_of(x[part], y, ids), y)
    return kept


@pytest.mark.parametrize("cut", [1, 13, 40, 200, 1000])
def test_a_sample_does_not_depend_on_how_rows_are_cut(cut: int) -> None:
    held = reservoir(1000, 40, 5, cut).held(None)
    want = np.sort(np.argsort(np.random.default_rng(5).random(1000))[:40])
    assert held.at.tolist() == want.tolist()
    assert held.x[:, 0].tolist() == want.tolist()
    assert held.y.tolist() == (want % 7).tolist()
    assert held.ids.tolist() == want.astype(str).tolist()
    assert held.rows == 1000
    keys = np.random.default_rng(5).random(1000)[want]
    assert held.order.tolist() == np.argsort(keys).tolist()


def test_a_sample_is_uniform() -> None:
    drawn = np.zeros(60)
    for seed in range(2000):
        drawn[reservoir(60, 15, seed, 25).held(None).at] += 1
    # Each row is in 1/4 of the samples: 500 ± 19 (SD) of 2,000.
    assert np.abs(drawn - 500).max() < 4 * 19.4
    assert drawn.sum() == 15 * 2000


def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tracemalloc

    monkeypatch.setattr(streaming, "_batch", lambda file: 500)
    x, y = rows(7, 6_000)
    peaks = []
    for n in (3_000, 6_000):
        path = as_parquet(tmp_path / f"{n}.parquet", x[:n], y[:n])
        tracemalloc.start()
        metriscope.diagnose(path, only="retrieval", sample=100, queries=20)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_a_sample_that_memory_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "free_memory", lambda device: 10_000)
    x, y = rows(0, N)
    with pytest.raises(InputError, match=r"150 rows of 8 dimensions need .* Hold fewer .*sample="):
        metriscope.diagnose(x, y, sample=SAMPLE)


def test_zero_vectors_are_dropped_in_both_passes() -> None:
    x, y = rows(8, N, 1.2)
    rest = np.arange(N) % 10 > 0
    x[~rest] = 0
    options: dict[str, Any] = {"only": BOTH, "sample": SAMPLE, "queries": 50}
    found = metriscope.diagnose(x, y, zero_vectors="drop", **options)
    want = metriscope.diagnose(x[rest], y[rest], **options)
    same(found.scores, want.scores)
    assert found.about["notes"] == [
        "Zero vectors left out: 70, in memory, rows 0, 10, 20, 30, 40 and 65 more (counted from 0)."
    ]


def test_progress_is_told() -> None:
    x, y = rows(0, N)
    said: list[tuple[str, int, int]] = []
    metriscope.diagnose(
        x, y, only=BOTH, sample=SAMPLE, queries=9, progress=lambda *told: said.append(told)
    )
    assert said[0] == ("reading memory", 64, N)
    assert said[-1] == ("searching memory", N, N)
