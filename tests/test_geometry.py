"""``metriscope.geometry``: rows read in blocks, from anything, against the same rows in memory."""

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
from safetensors.torch import save_file as save_torch

import metriscope
from metriscope import measurement, ops
from metriscope.data import streaming
from metriscope.data.table import Labels
from metriscope.diagnostics.base import measure, reading
from metriscope.types import InputError, Scores
from tests import test_bad_data
from tests.helpers import AS_LOADED
from tests.spaces import HARD, clumps, embeddings, space, unit

OF_MOMENTS = [score.name for found in reading("moments") for score in found.scores]


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows a block."""
    monkeypatch.setattr(ops, "block_rows", lambda dim: 3)
    monkeypatch.setattr(streaming, "_batch", lambda file: 4)


def in_memory(x: np.ndarray, y: np.ndarray) -> Scores:
    return measure(space(x, y), [found.name for found in reading("moments")])


def assert_same(got: Scores, want: Scores, rel: float = 1e-9) -> None:
    assert list(got) == list(want)
    for name, value in want.items():
        found = got[name]
        if value is None or found is None:
            assert found is value, name
        else:
            assert found == pytest.approx(value, rel=rel, abs=1e-13), name


# ------------------------------------------------------------------------------------ the numbers


@pytest.mark.parametrize("name", HARD)
def test_hard_spaces_score_as_in_memory(name: str, blocks: None) -> None:
    x, y = HARD[name]()
    got = metriscope.geometry((x, y), zero_vectors="keep")
    want = in_memory(x, y)
    # A direction without any spread is 1e-16 in memory and may be 0 here: both are floored.
    assert_same(got, want, 1e-4 if name == "cone" else 1e-8)


@pytest.mark.parametrize(("spread", "rel"), [(1e-3, 1e-9), (1e-6, 1e-7), (1e-9, 1e-4)])
def test_a_collapsed_space_keeps_its_digits(spread: float, rel: float, blocks: None) -> None:
    rng = np.random.default_rng(0)
    y = np.sort(rng.integers(0, 6, 400))
    axis = unit(rng.standard_normal((1, 12)))
    shape = rng.standard_normal((6, 12))[y] + rng.standard_normal((400, 12))
    # Across the axis: then unit vectors are as far apart as the rows, to second order.
    x = axis + spread * (shape - (shape @ axis.T) * axis)
    got = metriscope.geometry((x, y))
    assert_same(got, in_memory(x, y), rel)
    z = x.astype(np.longdouble)
    z /= np.sqrt((z**2).sum(1, keepdims=True))
    means = np.array([z[y == c].mean(0) for c in range(6)])
    squares = ((z - means[y]) ** 2).sum(1)
    spreads = np.array([squares[y == c].mean() for c in range(6)])
    assert got["intra.eq1"] == pytest.approx(float(spreads.mean()), rel=rel)
    total = ((z - z.mean(0)) ** 2).sum(1).mean()
    assert got["spread.total"] == pytest.approx(float(total), rel=rel)
    apart = [np.sqrt(((a - b) ** 2).sum()) for i, a in enumerate(means) for b in means[:i]]
    assert got["inter.euclid.mean"] == pytest.approx(float(np.mean(apart)), rel=rel)
    assert got["inter.euclid.sd"] == pytest.approx(float(np.std(apart)), rel=rel)
    scaled = np.linalg.svd(((z - z.mean(0)) / spread).astype(float), compute_uv=False)
    p = scaled / scaled.sum()
    p = p[p > 1e-9]  # the axis itself: second order
    assert got["rank.effective.centred"] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-4)


def test_within_scatter_far_below_the_steps_between_classes(blocks: None) -> None:
    rng = np.random.default_rng(2)
    y = np.arange(300) % 5
    x = unit(rng.standard_normal((5, 8)))[y] + 1e-6 * rng.standard_normal((300, 8))
    assert_same(metriscope.geometry((x, y)), in_memory(x, y), 1e-7)


def test_classes_outnumber_dimensions_and_rows_are_few(blocks: None) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((90, 4))
    assert_same(metriscope.geometry((x, np.arange(90) // 2)), in_memory(x, np.arange(90) // 2))
    x = rng.standard_normal((6, 40))
    assert_same(metriscope.geometry((x, np.arange(6) // 2)), in_memory(x, np.arange(6) // 2))


def test_it_gives_what_moments_decide_and_nothing_else() -> None:
    got = metriscope.geometry(clumps())
    assert list(got) == OF_MOMENTS
    assert {"intra.eq1", "nc1", "rank.effective", "alignment", "spectral_decay"} < set(got)
    assert not {"uniformity", "silhouette", "recall@1"} & set(got)
    assert metriscope.geometry is measurement.geometry


# ----------------------------------------------------------------------------------- the sources


def written(x: np.ndarray, y: np.ndarray, folder: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """One space as every source there is, with the options that read it."""
    names = np.array(["ant", "bee", "cat", "dog", "elk"])
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    np.save(folder / "text.npy", names[y])
    np.save(folder / "column.npy", y[:, None].astype(float))
    (folder / "y.txt").write_text("\n".join(names[y]) + "\n")
    for beside in ("y.npy", "text.npy", "column.npy", "y.txt"):
        yield folder / "x.npy", {"labels": folder / beside}
    np.savez(folder / "a.npz", features=x, labels=y, class_names=names)
    save_file({"features": x, "labels": y}, folder / "a.safetensors")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    table = pa.table({"label": names[y], "embedding": lists})
    pq.write_table(table, folder / "a.parquet", row_group_size=7)
    pq.write_table(table.drop(["label"]), folder / "b.parquet")
    yield from ((str(folder / name), {}) for name in ("a.npz", "a.safetensors", "a.parquet"))
    yield folder / "b.parquet", {"labels": folder / "y.npy"}
    (folder / "shards").mkdir()
    for shard in range(2):
        path = folder / "shards" / f"train-{shard:05d}-of-00002.parquet"
        pq.write_table(table.slice(12 * shard, 12 if not shard else None), path)
    yield folder / "shards", {}
    (folder / "parts").mkdir()
    np.savez(folder / "parts" / "train.npz", features=x[:9], labels=names[y[:9]])
    pq.write_table(table.slice(9), folder / "parts" / "test.parquet")
    yield folder / "parts", {}
    yield embeddings(x, y, 7), {}
    yield (np.load(folder / "x.npy", mmap_mode="r"), y.tolist()), {}
    yield (torch.from_numpy(x), names[y].tolist()), {}
    yield (x.astype(">f4"), y), {}
    yield (np.asfortranarray(x), y), {}


def test_every_source_gives_the_same(tmp_path: Path, blocks: None) -> None:
    x, y = clumps()
    x = x.astype(np.float32)
    want = in_memory(x, y)
    tried = 0
    for source, options in written(x, y, tmp_path):
        assert_same(metriscope.geometry(source, **options), want)
        tried += 1
    assert tried == 15


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.bool_])
def test_other_numbers_are_read_as_they_are(dtype: Any, tmp_path: Path, blocks: None) -> None:
    x = (np.random.default_rng(0).random((20, 4)) * 3).astype(np.uint8)
    x = np.maximum(x, np.eye(4, dtype=np.uint8)[np.arange(20) % 4]).astype(dtype)
    y = np.arange(20) % 3
    save_file({"features": x, "labels": y}, tmp_path / "a.safetensors")
    for source in ((x, y), tmp_path / "a.safetensors"):
        assert_same(metriscope.geometry(source), in_memory(x, y))


def test_bfloat16_is_read(tmp_path: Path) -> None:
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    save_torch({"features": x, "labels": torch.arange(20) % 3}, tmp_path / "a.safetensors")
    want = in_memory(x.double().numpy(), np.arange(20) % 3)
    assert_same(metriscope.geometry(tmp_path / "a.safetensors"), want)


def test_a_dataset_by_its_name() -> None:
    digits = metriscope.load_source("digits", "all")
    assert_same(metriscope.geometry("digits"), in_memory(digits.x, digits.y))


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_parts_of_a_divided_source(suffix: str, tmp_path: Path, blocks: None) -> None:
    x, y = clumps()
    split = np.where(np.arange(len(y)) % 3 == 0, "test", "train")
    split[4] = "other"
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, features=x, labels=y, split=split)
    else:
        pq.write_table(pa.table({"label": y, "embedding": x.tolist(), "split": split}), path)
    for part in ("train", "test"):
        rows = split == part
        assert_same(metriscope.geometry(path, split=part), in_memory(x[rows], y[rows]))
    assert_same(metriscope.geometry(path), in_memory(x, y))  # the row of another split too


def test_parts_of_different_width_are_refused_by_name(tmp_path: Path) -> None:
    x, y = clumps()
    np.savez(tmp_path / "train.npz", features=x, labels=y)
    np.savez(tmp_path / "test.npz", features=x[:, :3], labels=y)
    said = rf"train.npz has {x.shape[1]} dimensions and .*test.npz 3; both must come from one model"
    with pytest.raises(InputError, match=said):
        metriscope.geometry(tmp_path)


def test_arrays_and_devices_that_are_none_are_refused() -> None:
    x, y = clumps()
    with pytest.raises(InputError, match="x and y must be arrays"):
        metriscope.geometry(([[1.0], [1.0, 2.0]], [0, 1]))
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        metriscope.geometry((x, y), device="gpu")
    assert_same(metriscope.geometry((x, y), device="auto"), in_memory(x, y))


def test_a_class_has_one_name_in_both_parts(tmp_path: Path) -> None:
    x, y = clumps()
    names = np.array([f"class {c}" for c in range(5)])
    np.savez(tmp_path / "train.npz", features=x[:9], labels=y[:9], class_names=names)
    np.savez(tmp_path / "test.npz", features=x[9:], labels=y[9:])
    assert_same(metriscope.geometry(tmp_path), in_memory(x, y))


def test_zero_vectors_are_refused_kept_or_dropped(blocks: None) -> None:
    x, y = clumps()
    x[[0, 1, 2, 20]] = 0
    with pytest.raises(InputError, match=r"zero vectors \(norm below 1e-06\) in rows 0, 1, 2, 20"):
        metriscope.geometry((x, y))
    assert_same(metriscope.geometry((x, y), zero_vectors="keep"), in_memory(x, y))
    rest = np.linalg.norm(x, axis=1) > 0
    assert_same(metriscope.geometry((x, y), zero_vectors="drop"), in_memory(x[rest], y[rest]))
    with pytest.raises(InputError, match="every row is a zero vector, so nothing is left"):
        metriscope.geometry((0 * x, y), zero_vectors="drop")


def test_rows_of_any_length_are_directions(blocks: None) -> None:
    x, y = clumps()
    scale = 10.0 ** np.random.default_rng(0).uniform(-5, 300, (len(x), 1))
    assert_same(metriscope.geometry((x * scale, y)), in_memory(x, y), 1e-8)
    assert_same(in_memory(x * scale, y), in_memory(x, y), 1e-8)


# ------------------------------------------------------------------------------------- the memory


def test_parquet_is_held_a_batch_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n, d = 40_000, 128
    x = np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), d)
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"label": np.arange(n) % 9, "embedding": lists}), path, row_group_size=n
    )
    del lists
    monkeypatch.setattr(streaming, "_batch", lambda file: 1000)
    held = []
    before = pa.total_allocated_bytes()
    for table in streaming.open_streams(path)[0].blocks():
        held.append(pa.total_allocated_bytes() - before)
        assert len(table) <= 1000
    assert len(held) == 40
    assert max(held) < x.nbytes / 3


def test_a_parquet_batch_is_16_mib(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((50, 2000))
    pq.write_table(pa.table({"label": range(50), "embedding": x.tolist()}), tmp_path / "a.parquet")
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        assert 700 < streaming._batch(file) < 1100


def test_arrays_in_files_are_mapped(tmp_path: Path) -> None:
    x, y = clumps()
    save_file({"features": x, "labels": y}, tmp_path / "a.safetensors")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    for source, labels in (("a.safetensors", None), ("x.npy", tmp_path / "y.npy")):
        for table in streaming.open_streams(tmp_path / source, labels)[0].blocks():
            assert isinstance(table.x, np.memmap)


def test_more_dimensions_than_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "free_memory", lambda device: 1000)
    with pytest.raises(InputError, match=r"vectors of 5 dimensions need 1,600 bytes .* 1,000 are"):
        metriscope.geometry(clumps())


# ------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (clumps(), {"split": "test"}, "go with a file or a folder, not with arrays"),
        (clumps(), {"labels": "y.npy"}, "go with a file or a folder, not with arrays"),
        (clumps(), {"split": "dev"}, "split is 'dev'; it must be one of train, test, all"),
        (clumps(), {"zero_vectors": "no"}, "zero_vectors is 'no'; it must be one of error, keep"),
        (clumps()[0], {}, r"not ndarray; give vectors and labels as geometry\(\(x, y\)\)"),
        (clumps()[:1], {}, "not tuple"),
        ((clumps()[0], clumps()[1][:5]), {}, "23 rows but 5 labels"),
        ((clumps()[0][:0], []), {}, "no data"),
    ],
)
def test_sources_that_are_none(source: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        metriscope.geometry(source, **options)


def test_pictures_and_parts_that_are_not_there(tmp_path: Path) -> None:
    x, y = clumps()
    np.savez(tmp_path / "a.npz", features=x, labels=y)
    np.savez(tmp_path / "b.npz", features=x, labels=y, split=["train"] * len(y))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(InputError, match=f"{name}: not divided, or without a test part"):
            metriscope.geometry(tmp_path / name, split="test")
    (tmp_path / "f").mkdir()
    np.savez(tmp_path / "f" / "test.npz", features=x, labels=y)
    assert_same(metriscope.geometry(tmp_path / "f", split="test"), in_memory(x, y))
    with pytest.raises(InputError, match="without a train part"):
        metriscope.geometry(tmp_path / "f", split="train")
    image = {"image": [{"bytes": b"", "path": None}] * 3, "label": [0, 1, 2]}
    pq.write_table(pa.table(image), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"holds pictures, not vectors; .* metriscope embed"):
        metriscope.geometry(tmp_path / "p.parquet")


def test_bad_rows_of_all_blocks_are_named(blocks: None) -> None:
    x, y = clumps()
    x[[1, 8]], x[15], x[4] = np.nan, -np.inf, 0
    with pytest.raises(InputError, match="NaN or infinite values in rows 1, 8, 15 "):
        metriscope.geometry((x, y))


def test_rows_are_named_as_in_the_file(tmp_path: Path, blocks: None) -> None:
    x, y = clumps()
    x[10] = 0
    split = np.where(np.arange(len(y)) % 2 == 0, "test", "train")
    labels: list[Any] = [*map(str, y)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"label": labels, "embedding": x.tolist(), "split": split}), path)
    with pytest.raises(InputError, match=r"zero vectors .* in row 10 "):
        metriscope.geometry(path, split="test")
    metriscope.geometry(path, split="train")
    found = Labels.of(np.array(labels))
    names = tuple(sorted(found.values))[:-1]
    lost = int(np.flatnonzero(y == int(max(found.values)))[0])
    np.savez(tmp_path / "a.npz", features=x, labels=labels, class_names=names)
    with pytest.raises(InputError, match=f"label '4' in row {lost} .* none of the 4 class_names"):
        metriscope.geometry(tmp_path / "a.npz")


npz, parquet = test_bad_data.npz, test_bad_data.parquet
for _name in AS_LOADED.split():
    globals()[f"test_as_loaded_{_name}"] = getattr(test_bad_data, f"test_{_name}")


@pytest.fixture(autouse=True)
def _refused_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of ``load`` above are tests of ``geometry`` here."""
    monkeypatch.setattr(test_bad_data, "load", metriscope.geometry)
