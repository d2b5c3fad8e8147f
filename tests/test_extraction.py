"""From pictures to features: what comes out, what is computed, what is refused."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metriscope.data import batching, extraction, memory, model
from metriscope.data.extraction import Extraction, Features, extract
from metriscope.data.pictures import Arrays, Files, Pictures
from metriscope.data.table import Labels
from metriscope.types import InputError
from tests.fake_backbone import DIM, Fake, Noise, fail, flip, noise


def run(tmp_path: Path, pictures: Pictures, **options: object) -> Features:
    how = Extraction("fake", device="cpu", cache=tmp_path, **options)  # type: ignore[arg-type]
    return extract({"train": pictures}, how)["train"]


def matrix(features: Features) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(features.blocks())
    return np.concatenate([r for r, _ in blocks]), np.concatenate([x for _, x in blocks])


def test_features_are_those_by_hand_in_order(fake: Fake, tmp_path: Path) -> None:
    pictures = noise(50)
    features = run(tmp_path, pictures)
    rows, x = matrix(features)
    assert np.array_equal(rows, np.arange(50))
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, fake.by_hand(pictures.shelf.all_pixels()), rtol=1e-5)
    assert (features.backbone, features.dim, features.broken) == ("fake", DIM, {})
    assert [len(r) for r, _ in features.blocks()] == [16, 16, 16, 2]  # a shard at a time
    assert fake.sizes[1:] == [8, 8] * 3 + [2]  # after the probe


def test_files_are_decoded_in_order(fake: Fake, tmp_path: Path) -> None:
    pixels = noise(30).shelf.all_pixels()  # type: ignore[attr-defined]
    paths = [tmp_path / f"{30 - i}.png" for i in range(30)]
    for path, array in zip(paths, pixels, strict=True):
        Image.fromarray(array).save(path)
    pictures = Pictures(Files(paths), Labels.of(np.arange(30)), "photos")
    rows, x = matrix(run(tmp_path / "cache", pictures))
    assert np.array_equal(rows, np.arange(30))
    np.testing.assert_allclose(x, fake.by_hand(pixels), rtol=1e-5)


def test_a_long_look_at_the_files_is_announced(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        Image.new("RGB", (8, 8)).save(path)
    pictures = Pictures(Files(paths), Labels.of(np.arange(3)), "photos")
    told: list[str] = []
    run(tmp_path, pictures, notify=told.append)
    assert told == []
    monkeypatch.setattr(extraction, "PATIENCE", -1.0)
    run(tmp_path, pictures, notify=told.append)
    assert len(told) == 1
    assert told[0].startswith("train: fake: reading every file once")


def test_the_manifest_says_how_they_were_made(fake: Fake, tmp_path: Path) -> None:
    features = run(tmp_path, noise(5, broken=(3,)))
    told = dict(features.manifest)
    assert set(told.pop("versions")) == {"metriscope", "torch", "transformers", "pillow"}
    assert len(told.pop("key")) == 64
    assert told == {
        "data": "noise-5-(3,)",
        "origin": "noise",
        "part": "train",
        "rows": 5,
        "broken": 1,
        "broken_pictures": [["c/3.png", features.broken[3]]],
        "backbone": "fake",
        "recipe": fake.recipe,
        "tensor": "product",
        "dtype": "float32",
        "device": "cpu",
        "dim": DIM,
        "shard": 16,
        "batch_size": 8,
    }
    json.dumps(told)
    assert run(tmp_path, noise(5, broken=(3,))).manifest == features.manifest  # out of the cache


def test_a_manifest_lists_some_broken_pictures_and_counts_all(fake: Fake, tmp_path: Path) -> None:
    features = run(tmp_path, noise(1_100, broken=tuple(range(20, 1_100))))
    assert features.manifest["broken"] == len(features.broken) == 1_080
    listed = features.manifest["broken_pictures"]
    assert [name for name, _ in listed] == [f"c/{row}.png" for row in range(20, 1_020)]


def test_a_second_run_loads_no_model(fake: Fake, tmp_path: Path) -> None:
    first = matrix(run(tmp_path, noise(20)))
    again = matrix(run(tmp_path, noise(20)))
    assert fake.loads == 1
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_one_load_serves_all_parts(fake: Fake, tmp_path: Path) -> None:
    how = Extraction("fake", device="cpu", cache=tmp_path)
    both = extract({"train": noise(20), "test": noise(9, name="other")}, how)
    assert fake.loads == 1
    assert {part: len(matrix(f)[0]) for part, f in both.items()} == {"train": 20, "test": 9}


def test_one_part_alone_by_the_backbone_of_all(fake: Fake, tmp_path: Path) -> None:
    how = Extraction("fake", device="cpu", cache=tmp_path)
    alone = extract({"train": noise(20), "test": noise(9)}, how, only="test")
    assert list(alone) == ["test"]
    assert sum(fake.sizes) == 1 + 9  # with the probe
    wide, narrow = np.zeros((4, 9, 9, 3), np.uint8), np.zeros((4, 5, 5), np.uint8)
    parts = {
        name: Pictures(Arrays(pixels, []), Labels.of(np.arange(4)), name)
        for name, pixels in (("train", wide), ("test", narrow))
    }
    pixels = replace(how, backbone="pixels")
    both, one = extract(parts, pixels), extract(parts, pixels, only="test")
    assert one["test"].shards == both["test"].shards  # not 1 × 5 × 5, as of these pictures alone
    assert extract({"test": parts["test"]}, pixels)["test"].dim == 25 != one["test"].dim


@pytest.mark.parametrize(
    "change",
    [{"weights": "others"}, {"preprocessing": {"size": 9}}],
)
def test_another_recipe_is_computed_anew(fake: Fake, tmp_path: Path, change: dict) -> None:
    run(tmp_path, noise(4))
    fake.recipe = {**fake.recipe, **change}
    run(tmp_path, noise(4))
    assert fake.loads == 2


def test_other_data_parts_and_number_types_are_kept_apart(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "check_dtype", lambda dtype, device: None)
    run(tmp_path, noise(4))
    run(tmp_path, noise(4, name="other"))
    run(tmp_path, noise(4), dtype="bfloat16")
    extract({"test": noise(4)}, Extraction("fake", device="cpu", cache=tmp_path))
    assert fake.loads == 4
    assert len(list((tmp_path / "features").iterdir())) == 4


def test_broken_pictures_are_left_out_and_told(fake: Fake, tmp_path: Path) -> None:
    pictures = noise(40, broken=(0, 17, 18, 39))
    for _ in range(2):  # computed, and out of the cache
        features = run(tmp_path, pictures)
        rows, x = matrix(features)
        assert list(features.broken) == [0, 17, 18, 39]
        assert all(features.broken.values())
        kept = np.setdiff1d(np.arange(40), [0, 17, 18, 39])
        assert np.array_equal(rows, kept)
        by_hand = fake.by_hand(pictures.shelf.all_pixels()[kept])
        np.testing.assert_allclose(x, by_hand, rtol=1e-5)
    assert fake.loads == 1
    assert fake.sizes[1:] == [8, 7, 8, 6, 7]  # of 15, 14 and 7: full batches of whole ones


def test_a_whole_shard_of_broken_pictures(fake: Fake, tmp_path: Path) -> None:
    features = run(tmp_path, noise(40, broken=tuple(range(16, 32))))
    assert len(features.broken) == 16
    assert np.array_equal(matrix(features)[0], [*range(16), *range(32, 40)])


def test_files_that_vanish_are_broken(fake: Fake, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in (paths[0], paths[2]):
        Image.new("RGB", (8, 8), "red").save(path)
    pictures = Pictures(Files(paths), Labels.of(np.arange(3)), "photos")
    assert list(run(tmp_path / "cache", pictures).broken) == [1]
    Image.new("RGB", (8, 8), "blue").save(paths[1])  # it is back: other data
    assert not run(tmp_path / "cache", pictures).broken


@pytest.mark.parametrize("cached", [False, True])
def test_strict_names_the_first_broken_picture(fake: Fake, tmp_path: Path, cached: bool) -> None:
    pictures = noise(60, broken=(21, 22, 55))
    if cached:
        run(tmp_path, pictures)
    with pytest.raises(InputError, match=r"noise: cannot read picture 'c/21\.png': \w+") as error:
        run(tmp_path, pictures, strict=True)
    assert "--strict" in str(error.value)
    assert fake.loads == 1


def test_strict_names_the_first_even_if_a_later_one_is_known(fake: Fake, tmp_path: Path) -> None:
    pictures = noise(60, broken=(21, 55))
    known = run(tmp_path, pictures)
    known.shards[1].unlink()  # rows 16 to 31
    with pytest.raises(InputError, match=r"'c/21\.png'"):
        run(tmp_path, pictures, strict=True)


def test_strict_computes_nothing_behind_a_known_broken_picture(fake: Fake, tmp_path: Path) -> None:
    pictures = noise(60, broken=(21,))
    run(tmp_path, pictures).shards[3].unlink()
    fake.sizes.clear()
    with pytest.raises(InputError, match=r"'c/21\.png'"):
        run(tmp_path, pictures, strict=True)
    assert fake.sizes == []


def test_strict_does_not_mind_whole_pictures(fake: Fake, tmp_path: Path) -> None:
    assert run(tmp_path, noise(20), strict=True).broken == {}


def test_nothing_but_broken_pictures(fake: Fake, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(InputError, match=r"none of its 3 pictures .* 'c/0\.png': "):
            run(tmp_path, noise(3, broken=(0, 1, 2)))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_features_that_are_not_finite(fake: Fake, tmp_path: Path, value: float) -> None:
    def spoil(y: torch.Tensor) -> torch.Tensor:
        y = y.clone()
        if len(y) > 3:
            y[3, 2] = value
        return y

    fake.after = spoil
    with pytest.raises(InputError, match=r"fake: NaN or infinite .* 'c/4\.png' of noise"):
        run(tmp_path, noise(20, broken=(1,)))
    fake.after = lambda y: y
    assert len(matrix(run(tmp_path, noise(20, broken=(1,))))[0]) == 19  # nothing bad was kept


def test_a_backbone_that_breaks_its_word(fake: Fake, tmp_path: Path) -> None:
    fake.after = lambda y: y[:, :-1]
    with pytest.raises(InputError, match=r"fake: .*shape \(1, 4\).*\(1, 5\) is due"):
        run(tmp_path, noise(4))


def test_progress_begins_with_what_the_cache_holds(fake: Fake, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    first = run(tmp_path, noise(40), progress=lambda *now: told.append(now))
    done = [0, 8, 16, 24, 32, 40]
    assert told == [("train: fake", n, 40) for n in done]
    told.clear()
    run(tmp_path, noise(40), progress=lambda *now: told.append(now))
    assert told == [("train: fake", 40, 40)]
    told.clear()
    first.shards[1].unlink()
    run(tmp_path, noise(40), progress=lambda *now: told.append(now))
    assert told == [("train: fake", n, 40) for n in (24, 32, 40)]


def test_progress_begins_when_the_model_is_loaded(fake: Fake, tmp_path: Path) -> None:
    loads: list[int] = []
    how = {"progress": lambda *now: loads.append(fake.loads)}
    first = run(tmp_path, noise(40), **how)
    first.shards[1].unlink()
    run(tmp_path, noise(40), **how)
    run(tmp_path, noise(40), **how)
    assert loads == [1] * 6 + [2] * 3 + [2]  # what is loaded in between would slow the rate


def test_results_do_not_depend_on_the_number_of_threads(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for threads in (1, 3, 16):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        features = run(tmp_path / str(threads), noise(50, broken=(7, 33)))
        found.append([path.name for path in features.shards])  # the names are digests
    assert found[0] == found[1] == found[2]


def test_pictures_are_decoded_ahead_but_not_too_far(fake: Fake, tmp_path: Path) -> None:
    decoded = 0
    most = []
    prepare = fake.prepare

    def counting(image: Image.Image) -> np.ndarray:
        nonlocal decoded
        decoded += 1
        return prepare(image)

    fake.prepare = counting  # type: ignore[method-assign]
    passed = 0

    def before(x: torch.Tensor) -> None:
        nonlocal passed
        if threading.active_count() > 1:
            threading.Event().wait(0.02)
        most.append(decoded - passed)
        passed += len(x)

    fake.before = before
    run(tmp_path, noise(400))
    assert max(most) > 16  # more than the batch at work: decoding goes on meanwhile
    assert max(most) <= memory.COPIES * 8 + batching.MOST_THREADS * 8
    assert decoded == 401  # with the blank one that finds the batch size


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("model"), torch.OutOfMemoryError])
def test_no_thread_is_left_after_an_interruption(
    fake: Fake, tmp_path: Path, error: type[BaseException]
) -> None:
    def stop(x: torch.Tensor) -> None:
        if len(fake.sizes) == 4:
            raise error

    fake.before = stop
    if error is torch.OutOfMemoryError:
        fake.before = lambda x: stop(x) if len(fake.sizes) < 4 else fail(error)
    with pytest.raises((KeyboardInterrupt, OSError, InputError)):
        run(tmp_path, noise(400))
    names = [t.name for t in threading.enumerate() if t.name.startswith("metriscope")]
    assert names == []
    fake.before = lambda x: None
    assert len(matrix(run(tmp_path, noise(400)))[0]) == 400


def test_a_shelf_that_ends_early(fake: Fake, tmp_path: Path) -> None:
    pictures = noise(40)
    pixels = pictures.shelf.all_pixels()

    class Short(Arrays):
        def __len__(self) -> int:
            return 40

    short = Pictures(Short(pixels[:30], []), pictures.labels, "short")
    with pytest.raises(InputError, match=r"short: 40 pictures, but reading ended after 30"):
        run(tmp_path, short)


def test_adjacent_shards_are_read_in_one_go(fake: Fake, tmp_path: Path) -> None:
    spans = []

    class Told(Noise):
        def read(self, start: int, stop: int):
            spans.append((start, stop))
            return super().read(start, stop)

    pictures = Pictures(Told(70), Labels.of(np.arange(70)), "noise")
    features = run(tmp_path, pictures)
    assert spans == [(0, 70)]  # a Parquet shelf would skip to each start
    for number in (0, 1, 3):
        features.shards[number].unlink()
    run(tmp_path, pictures)
    assert spans[1:] == [(0, 32), (48, 64)]


def test_memory_does_not_grow_with_the_number_of_pictures(fake: Fake, tmp_path: Path) -> None:
    fake.size, fake.dim = 16, 1024  # 3 kB a picture, 4 kB a row of features

    def peak(count: int) -> int:
        before, rows = tracemalloc.get_traced_memory()[0], 0
        tracemalloc.reset_peak()
        for block, _ in run(tmp_path, noise(count)).blocks():
            rows += len(block)
        assert rows == count
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        peak(64)  # what is loaded once
        small, large = peak(320), peak(1600)
    finally:
        time.sleep(0.3)  # a thread that ends while tracing stops may crash: python/cpython#128679
        tracemalloc.stop()
    assert large < small + 1_000_000  # all features: 6.5 MB; all pictures: 4.9 MB


def test_features_are_refused_when_the_cache_changes_under_them(fake: Fake, tmp_path: Path) -> None:
    features = run(tmp_path, noise(40))
    flip(features.shards[2])
    blocks = features.blocks()
    assert len(next(blocks)[0]) == len(next(blocks)[0]) == 16
    with pytest.raises(InputError, match="damaged since it was written; run the same command"):
        next(blocks)
    features.shards[0].unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        next(features.blocks())
