"""``metriscope.diagnose`` of rows that fit in memory: scores, sources, galleries, parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

import metriscope
from metriscope.diagnostics.base import all_scores, measure, reading
from metriscope.types import Dataset, Embeddings, Scores
from tests.spaces import HARD, exact_squared, space, unit

BOTH = ("geometry", "retrieval")
NAMES = np.array(["ant", "bee", "cat", "dog", "elk"])
N = 60


def rows(seed: int = 0, n: int = N, spread: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Five overlapping classes in eight dimensions, in float32."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 5, n)
    centres = np.random.default_rng(99).standard_normal((5, 8))
    return (centres[y] + spread * rng.standard_normal((n, 8))).astype(np.float32), y


def same(got: Scores, want: Scores) -> None:
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name] == (value if value is None else pytest.approx(value, abs=1e-12)), name


# ------------------------------------------------------------------------------------- the scores


@pytest.mark.parametrize("name", HARD)
def test_every_hard_space_is_examined(name: str) -> None:
    x, y = HARD[name]()
    found = metriscope.diagnose(x, y, zero_vectors="keep", resamples=20)
    same(found.scores, measure(space(x, y), deep=True))
    assert found.about["rows"] == len(x) == sum(row.rows for row in found.per_class)
    assert found.about["classes"] == len(np.unique(y)) == len(found.per_class)
    for score, (low, high) in found.intervals.items():
        value = found.scores[score]
        assert value is not None
        assert low <= value <= high
    assert found.findings
    assert {f.severity for f in found.findings} <= {"problem", "warning", "ok", "not applicable"}
    found.to_json()


def test_scores_are_those_of_a_comparison_and_more() -> None:
    x, y = rows()
    found = metriscope.diagnose(x, y)
    assert {s.name for d in reading("embeddings") for s in d.scores} <= set(found.scores)
    assert {s.name for d in reading("diagnosis") for s in d.scores} <= set(found.scores)
    asked = found.about["queries"]
    assert sum(row.queries for row in found.per_class) == asked
    right = sum(row.recall * row.queries for row in found.per_class if row.recall is not None)
    assert right / asked == pytest.approx(found.scores["recall@1"])
    assert {"recall@1", "recall@5", "recall@10", "r_precision", "map@r"} <= set(found.intervals)
    assert found.about["sampled"] is None


def test_only_what_was_asked_for() -> None:
    x, y = rows()
    geometry = metriscope.diagnose(x, y, only="geometry")
    groups = {d.group for d in reading("embeddings") if d.scores[0].name in geometry.scores}
    assert groups == {"geometry"}
    for nothing in ("intervals", "per_class", "confusions", "items", "findings"):
        assert not getattr(geometry, nothing)
    retrieval = metriscope.diagnose(x, y, only=("retrieval",))
    assert "recall@1" in retrieval.scores
    assert "intra.eq1" not in retrieval.scores
    assert retrieval.per_class
    assert retrieval.intervals
    assert not retrieval.findings
    both = metriscope.diagnose(x, y, only=["retrieval", "geometry"])
    assert both.scores == {k: both.scores[k] for k in both.scores}
    assert set(both.scores) == {*geometry.scores, *retrieval.scores}
    findings = metriscope.diagnose(x, y, only="findings")
    assert findings.findings == metriscope.diagnose(x, y).findings


def test_the_same_call_says_the_same() -> None:
    x, y = rows(n=200)
    options: dict[str, Any] = {"sample": 80, "queries": 30, "seed": 3, "resamples": 50}
    first, again = (metriscope.diagnose(x, y, **options) for _ in range(2))
    for what in ("scores", "intervals", "per_class", "confusions", "items", "findings"):
        assert getattr(first, what) == getattr(again, what)
    assert first.scores != metriscope.diagnose(x, y, **{**options, "seed": 4}).scores


# ------------------------------------------------------------------------------------ the sources


def written(x: np.ndarray, y: np.ndarray, folder: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """One space as every source there is, with the options that read it."""
    names = NAMES[y]
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", names)
    yield folder / "x.npy", {"labels": folder / "y.npy"}
    yield str(folder / "x.npy"), {"labels": names}
    np.savez(folder / "a.npz", features=x, labels=y, class_names=NAMES)
    yield folder / "a.npz", {}
    table = pa.table({"label": names, "embedding": x.tolist()})
    pq.write_table(table, folder / "a.parquet", row_group_size=7)
    yield folder / "a.parquet", {}
    save_file({"features": x}, folder / "x.safetensors")
    yield folder / "x.safetensors", {"labels": names.tolist()}
    (folder / "shards").mkdir()
    for shard in range(2):
        part = table.slice(25 * shard, 25 if not shard else None)
        pq.write_table(part, folder / "shards" / f"test-{shard:05d}-of-00002.parquet")
    yield folder / "shards", {}
    yield x, {"labels": names}
    yield (x, names.tolist()), {}
    yield Embeddings(x, y, tuple(NAMES)), {}
    yield np.load(folder / "x.npy", mmap_mode="r"), {"labels": folder / "y.npy"}
    yield np.asfortranarray(x), {"labels": names.astype(object)}
    yield np.repeat(x, 2, 0)[::2], {"labels": names}
    yield x.astype(">f8"), {"labels": names.astype("S3")}
    yield torch.from_numpy(x).double().requires_grad_(), {"labels": names}
    yield x.tolist(), {"labels": names}


def test_every_source_gives_the_same(tmp_path: Path) -> None:
    x, y = rows()
    x = (x * 64).round() / 64
    want = metriscope.diagnose(x, NAMES[y], only=BOTH)
    tried = 0
    for source, options in written(x, y, tmp_path):
        found = metriscope.diagnose(source, only=BOTH, **options)
        same(found.scores, want.scores)
        assert found.per_class == want.per_class
        assert found.intervals == want.intervals
        tried += 1
    assert tried == 15


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, "bfloat16"])
def test_other_numbers_are_read_as_they_are(dtype: Any) -> None:
    x, y = rows()
    x = (4 * x).round() + 30
    given: Any = torch.from_numpy(x).bfloat16() if dtype == "bfloat16" else x.astype(dtype)
    want = metriscope.diagnose(x, y, only=BOTH).scores
    same(metriscope.diagnose(given, y, only=BOTH).scores, want)


@pytest.mark.parametrize(
    "labels", [2**60 + np.arange(N) % 3, np.array([str(2**70 + i % 3) for i in range(N)])]
)
def test_labels_of_any_size(labels: np.ndarray) -> None:
    found = metriscope.diagnose(rows()[0], labels, only=BOTH)
    assert [row.name for row in found.per_class] == sorted({str(label) for label in labels})
    tensor = torch.from_numpy(labels) if labels.dtype.kind == "i" else [int(i) for i in labels]
    again = metriscope.diagnose(rows()[0], tensor, only=BOTH)
    assert again.per_class == found.per_class


def test_a_dataset_by_its_name_and_as_such() -> None:
    digits = metriscope.diagnose("digits", only="geometry")
    assert (digits.about["rows"], digits.about["classes"], digits.about["split"]) == (
        1797,
        10,
        None,
    )
    assert digits.about["source"] == "digits"
    x, y = rows()
    parts = [Embeddings(x[:40], y[:40], tuple(NAMES)), Embeddings(x[40:], y[40:], tuple(NAMES))]
    found = metriscope.diagnose(Dataset("d", *parts, "given", ""))
    assert (found.about["rows"], found.about["train_rows"]) == (20, 40)


# -------------------------------------------------------------------------------------- its parts


@pytest.fixture(params=["folder", "column"])
def divided(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Forty rows to train on and twenty to test."""
    x, y = rows()
    split = np.where(np.arange(N) % 3 == 0, "test", "train")
    if request.param == "folder":
        for part in ("train", "test"):
            at = split == part
            np.savez(tmp_path / f"{part}.npz", features=x[at], labels=NAMES[y[at]])
        return tmp_path
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"embedding": x.tolist(), "label": NAMES[y], "split": split}), path)
    return path


def test_the_test_part_is_examined_with_its_training_part(divided: Path) -> None:
    x, y = rows()
    at = np.arange(N) % 3 == 0
    found = metriscope.diagnose(divided)
    want = measure(space(x[at], y[at], (x[~at], y[~at])), deep=True)
    same(found.scores, want)
    assert (found.about["split"], found.about["rows"], found.about["train_rows"]) == (
        "test",
        20,
        40,
    )
    assert {"knn_accuracy@1", "probe_accuracy"} <= set(found.intervals)
    explicit = metriscope.diagnose(x[at], NAMES[y[at]], train=(x[~at], NAMES[y[~at]]))
    same(explicit.scores, want)


def test_the_other_parts(divided: Path) -> None:
    x, y = rows()
    at = np.arange(N) % 3 == 0
    train = metriscope.diagnose(divided, split="train")
    same(train.scores, measure(space(x[~at], y[~at]), deep=True))
    assert (train.about["split"], train.about["train_rows"]) == ("train", None)
    whole = metriscope.diagnose(divided, split="all", only="geometry")
    assert whole.about["rows"] == N
    assert whole.scores["intra.eq1"] == pytest.approx(metriscope.geometry((x, y))["intra.eq1"])


def test_training_data_may_have_classes_of_their_own() -> None:
    x, y = rows()
    found = metriscope.diagnose(x[:30], NAMES[y[:30]], train=(x[30:], NAMES[4 - y[30:]]))
    assert found.scores["knn_accuracy@1"] is not None
    alone = metriscope.diagnose(x[:30], np.zeros(30, int), train=(x[30:], np.ones(30, int)))
    assert alone.scores["knn_accuracy@1"] is None
    assert [row.name for row in alone.per_class] == ["0"]


# ------------------------------------------------------------------------------------ the gallery


def looped(
    x: np.ndarray, y: np.ndarray, g: np.ndarray, gy: np.ndarray, own: list[list[int]]
) -> dict[str, Any]:
    """The retrieval scores of queries in a gallery, one at a time."""
    far = exact_squared(unit(x.astype(float)), unit(g.astype(float)))
    found: dict[str, list[float]] = {"recall@1": [], "recall@5": [], "r_precision": [], "map@r": []}
    for i, row in enumerate(far):
        order = [j for j in np.argsort(row, kind="stable") if j not in own[i]]
        hit = gy[order] == y[i]
        relevant = int(hit.sum())
        if not relevant:
            continue
        precision = hit[:relevant].cumsum() / np.arange(1, relevant + 1)
        found["recall@1"].append(hit[:1].any())
        found["recall@5"].append(hit[:5].any())
        found["r_precision"].append(hit[:relevant].mean())
        found["map@r"].append((precision * hit[:relevant]).sum() / relevant)
    means: dict[str, Any] = {name: float(np.mean(values)) for name, values in found.items()}
    return {**means, "queries.excluded": len(x) - len(found["map@r"])}


def test_queries_are_searched_in_the_gallery() -> None:
    (x, y), (g, gy) = rows(1, 50, 1.0), rows(2, 70, 1.0)
    gy[gy == 3] = 4  # queries of class 3 have nothing to find
    found = metriscope.diagnose(x, y, gallery=(g, gy))
    want = looped(x, y, g, gy, [[]] * 50)
    assert want["queries.excluded"] > 0
    same({name: found.scores[name] for name in want}, want)
    assert found.about["queries"] == 50 - want["queries.excluded"]
    assert (found.about["gallery_rows"], found.about["rows"]) == (70, 50)
    alone = metriscope.diagnose(x, y)
    for name in ("intra.eq1", "uniformity", "silhouette"):
        assert found.scores[name] == pytest.approx(alone.scores[name])
    lost = sum(confusion.queries for confusion in found.confusions)
    assert lost == round((1 - want["recall@1"]) * found.about["queries"])


def test_rows_of_a_querys_own_id_are_left_out_and_only_those() -> None:
    (x, y), (g, gy) = rows(3, 20, 1.0), rows(4, 30, 1.0)
    g[5:25], gy[5:25] = x, y  # the queries, elsewhere
    ids, gallery_ids = np.arange(100, 120), np.arange(95, 125)
    gallery_ids[29] = 100  # twice the first query's
    own = [[5 + i] + ([29] if not i else []) for i in range(20)]
    found = metriscope.diagnose(x, y, ids=ids, gallery=(g, gy, gallery_ids.astype(str)))
    want = looped(x, y, g, gy, own)
    same({name: found.scores[name] for name in want}, want)
    # Without ids on both sides nothing is left out: every query finds itself.
    for options in ({"ids": ids, "gallery": (g, gy)}, {"gallery": (g, gy, gallery_ids)}):
        alone = metriscope.diagnose(x, y, **options)
        assert alone.scores["recall@1"] == 1
        same({k: alone.scores[k] for k in want}, looped(x, y, g, gy, [[]] * 20))


def test_queries_and_gallery_as_files(tmp_path: Path) -> None:
    (x, y), (g, gy) = rows(3, 20, 1.0), rows(4, 30, 1.0)
    g[:20], gy[:20] = x, y
    called = np.array([f"img{i}" for i in range(30)])
    np.savez(tmp_path / "q.npz", features=x, labels=NAMES[y], ids=called[:20])
    np.save(tmp_path / "g.npy", g)
    np.savez(tmp_path / "labels.npz", labels=NAMES[gy])
    want = looped(x, y, g, gy, [[i] for i in range(20)])
    table = {"embedding": g.tolist(), "label": NAMES[gy], "id": called}
    pq.write_table(pa.table(table), tmp_path / "g.parquet")
    found = metriscope.diagnose(tmp_path / "q.npz", gallery=tmp_path / "g.parquet")
    same({name: found.scores[name] for name in want}, want)
    assert found.about["gallery"] == str(tmp_path / "g.parquet")
    plain = metriscope.diagnose(
        tmp_path / "q.npz", gallery=tmp_path / "g.npy", gallery_labels=tmp_path / "labels.npz"
    )
    assert plain.scores["recall@1"] == 1


def test_a_gallery_of_one_point_ranks_nothing() -> None:
    x, y = rows()
    found = metriscope.diagnose(x, y, gallery=(np.ones((9, 8)), np.arange(9) % 5))
    assert found.scores["recall@1"] is None
    assert found.scores["map@r"] is None
    assert "recall@1" not in found.intervals
    assert all(row.recall is None for row in found.per_class)


BROKEN = {
    "one point": (np.ones((9, 8)), np.arange(9) % 5, True),
    "one row": (np.ones((1, 8)), np.zeros(1, int), True),
    "nearly one point": (1 + 0.01 * np.eye(8), np.arange(8) % 5, True),
    "other classes": (rows(1)[0], rows(1)[1] + 5, False),
}


@pytest.mark.parametrize("sample", [5, 100])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_gallery_is_a_problem(name: str, sample: int) -> None:
    g, gy, collapsed = BROKEN[name]
    x, y = rows()
    found = metriscope.diagnose(x, y, gallery=(g, gy), sample=sample, queries=4)
    fired = {finding.code: finding for finding in found.fired}
    assert ("MS101" in fired) is collapsed
    z = unit(g.astype(float))
    want = float(((z - z.mean(0)) ** 2).sum(1).mean())
    assert found.scores["gallery.spread"] == pytest.approx(want, rel=1e-9, abs=1e-15)
    if name != "nearly one point":
        assert (fired["MS401"].severity, fired["MS401"].value) == ("problem", 1)
        assert "nothing to find" in fired["MS401"].message
    if collapsed:
        assert "rows of the gallery" in fired["MS101"].message


def test_scores_that_are_undefined_have_no_interval() -> None:
    x, _ = rows()
    found = metriscope.diagnose(x, np.arange(N))
    assert found.scores["recall@1"] is None
    assert found.scores["queries.excluded"] == N
    assert not {"recall@1", "r_precision", "knn_accuracy@1"} & set(found.intervals)
    assert set(found.scores) <= set(all_scores())


def test_what_a_diagnosis_is_about() -> None:
    x, y = rows()
    said: list[str] = []
    x[[3, 8]] = 0
    found = metriscope.diagnose(x, y, zero_vectors="drop", notify=said.append, command="m d x")
    about = found.about
    assert {"source", "labels", "split", "gallery", "rows", "classes", "dim"} <= set(about)
    assert {"queries", "gallery_rows", "train_rows", "sampled", "notes", "confidence"} <= set(about)
    assert {"resamples", "seed", "command", "machine", "versions", "seconds"} <= set(about)
    assert about["rows"] == N - 2
    assert about["notes"] == said
    assert said == ["Zero vectors left out: 2, in memory, rows 3, 8 (counted from 0)."]
    assert about["command"] == "m d x"
    assert about["seconds"] > 0
