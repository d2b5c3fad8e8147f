"""From a folder of pictures to a table, as a person would type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import metriscope
from metriscope.cli import main
from metriscope.data import embed
from metriscope.types import InputError
from tests import tiny_models

CLASSES = ("ant", "bee", "cow")
QUICK = ["--losses", "triplet", "--seeds", "1", "--epochs", "1", "--jobs", "1"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METRISCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight pictures of each class, of a colour of its own, of different sizes."""
    rng = np.random.default_rng(0)
    for place, name in enumerate(CLASSES):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 120, (20 + i, 30 + place, 3))
            pixels[..., place] += 120
            image = Image.fromarray(pixels.astype(np.uint8))
            image.save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def results(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "results.json").read_text())
    return found


def test_a_folder_of_photos_to_a_table(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "ant" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    assert run("compare", photos, "--backbone", "pixels", *QUICK) == 0
    out, err = capsys.readouterr()
    assert "triplet" in out
    assert "that cannot be read, left out: 1 of 25" in err
    assert "ant/torn.jpg" in err
    found = results(tmp_path / "runs" / "photos")
    about = found["about"]
    rows = sum(about[f"{part}_rows"] for part in ("train", "validation", "test"))
    assert (rows, about["classes"]) == (24, 3)
    assert about["backbone"] == found["runs"][0]["spec"]["backbone"] == "pixels:3x32x32"
    assert about["features"]["all"]["broken"] == 1
    assert about["features"]["all"]["dtype"] == "float32"
    page = (tmp_path / "runs" / "photos" / "report.html").read_text()
    assert "pixels:3x32x32" in page
    assert "ant/torn.jpg" in page
    assert run("compare", photos, "--backbone", "pixels", "--strict", *QUICK) == 2
    assert "ant/torn.jpg" in capsys.readouterr().err


def test_embed_equals_transformers_by_hand_and_never_loads_twice(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tiny_models.save("clip", tmp_path / "model")
    assert run("embed", photos, "--backbone", f"clip-vit-b32:{model}", "--out", "a.parquet") == 0
    assert capsys.readouterr().out == "a.parquet: 24 rows, 32 features, 3 classes\n"
    paths = sorted(photos.glob("*/*.png"))
    pictures = [Image.open(path).convert("RGB") for path in paths]
    expected = tiny_models.by_hand("clip", model, pictures).pooler_output.numpy()
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["id"].to_pylist() == [path.relative_to(photos).as_posix() for path in paths]
    assert table["label"].to_pylist() == [path.parent.name for path in paths]
    assert np.allclose(np.array(table["embedding"].to_pylist()), expected, atol=2e-5)
    manifest = json.loads(table.schema.metadata[b"metriscope"])["manifest"]["all"]
    assert manifest["recipe"]["tensor"].startswith("pooler_output")
    assert len(manifest["recipe"]["weights"]["sha256"]) > 0
    assert manifest["recipe"]["preprocessing"]

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded although its features are in the cache")

    monkeypatch.setattr("transformers.CLIPVisionModel.from_pretrained", refuse)
    monkeypatch.setattr("transformers.AutoModel.from_pretrained", refuse)
    assert run("embed", photos, "--backbone", f"clip-vit-b32:{model}", "--out", "b.parquet") == 0
    assert "24 of 24 pictures from the cache" in capsys.readouterr().err
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    back = metriscope.load_source("b.parquet", "all")
    assert np.allclose(back.x, expected, atol=2e-5)
    assert back.class_names == CLASSES


def test_class_disjoint_split_is_trained_tested_and_said(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "dog").mkdir()
    for i in range(8):
        Image.new("RGB", (9, 9), (i * 9, 99, 200 - i)).save(photos / "dog" / f"{i}.png")
    words = ("compare", photos, "--backbone", "pixels", "--split", "disjoint", "--out", "d")
    assert run(*words, "--losses", "triplet,arcface", *QUICK[2:]) == 0
    found = results(tmp_path / "d")
    said = "class-disjoint, classes 1-2 train, 3-4 test"
    assert found["about"]["split"] == said
    assert said in (tmp_path / "d" / "report.html").read_text()
    assert said in capsys.readouterr().err
    assert (found["about"]["train_rows"], found["about"]["test_rows"]) == (16, 16)
    scores = found["runs"][0]["scores"]
    assert scores["recall@1"] is not None
    assert scores["knn_accuracy@5"] is None  # no test class was there to learn from


def test_given_train_and_test_with_a_class_that_training_lacks(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = tmp_path / "both"
    for name in CLASSES:
        for i, path in enumerate(sorted((photos / name).iterdir())):
            part = "test" if i % 2 or name == "cow" else "train"
            (both / part / name).mkdir(parents=True, exist_ok=True)
            path.rename(both / part / name / path.name)
    assert run("compare", both, "--backbone", "pixels", *QUICK) == 0
    assert "Classes of test that are not in train: 1 ('cow')" in capsys.readouterr().err
    assert results(tmp_path / "runs" / "both")["about"]["split"] == "given"


def test_cnn_is_trained_with_the_head(photos: Path, tmp_path: Path) -> None:
    words = ("compare", photos, "--backbone", "cnn:3x16x16", "--train-backbone", *QUICK)
    assert run(*words, "--out", "c") == 0
    done = results(tmp_path / "c")["runs"][0]
    assert done["spec"]["backbone"] == "cnn:3x16x16"
    head = metriscope.load_head(tmp_path / "c" / "runs" / done["key"])
    test = metriscope.load_source(photos, backbone="cnn:3x16x16")
    kept = metriscope.load_source(
        tmp_path / "c" / "runs" / done["key"] / "embeddings.parquet", "all"
    )
    assert np.allclose(head.embed(torch.from_numpy(test.x)).numpy(), kept.x, atol=1e-5)


def test_bad_input_is_one_or_two_lines(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str | Path) -> str:
        assert run(*words) == 2
        err = capsys.readouterr().err.splitlines()
        assert 1 <= sum("reading " not in line for line in err) <= 2, err
        return err[-1]

    said = refused("compare", photos, "--backbone", "clip-vit-b23", *QUICK)
    assert "unknown backbone 'clip-vit-b23'; did you mean clip-vit-b32?" in said
    said = refused("compare", photos, *QUICK)
    assert "clip-vit-b32: no weights on this machine: looked for openai/" in said
    assert "--backbone clip-vit-b32:FOLDER" in said
    assert "did you mean fashion-mnist?" in refused("compare", "fashion-mnits", *QUICK)
    said = refused("compare", photos, "--backbone", "cnn", *QUICK)
    assert "Add --train-backbone" in said
    said = refused("compare", photos, "--train-backbone", *QUICK)
    assert "add --backbone cnn" in said
    (tmp_path / "void" / "a").mkdir(parents=True)
    assert "no pictures in its 1 class folders" in refused("compare", tmp_path / "void", *QUICK)
    (tmp_path / "none").mkdir()
    assert "one sub-folder of pictures a class" in refused("compare", tmp_path / "none", *QUICK)
    Image.new("L", (3, 3)).save(tmp_path / "void" / "a" / "1.png")
    # Before any work on the pictures: the weights that are not there are not missed.
    assert "one class only ('a')" in refused("compare", tmp_path / "void", *QUICK)
    said = refused("compare", "digits", "--backbone", "pixels", *QUICK)
    assert "holds features, not pictures; leave out --backbone" in said
    model = tiny_models.save("clip", tmp_path / "model")
    capsys.readouterr()  # what saving it said
    (model / "model.safetensors").write_bytes(b"\x08")
    said = refused("compare", photos, "--backbone", f"clip-vit-b32:{model}", *QUICK)
    assert "damaged, or of another model?" in said
    assert "cnn is trained" in refused("embed", photos, "--backbone", "cnn", "--out", "a.npz")


def test_python_refuses_what_the_command_line_does(photos: Path) -> None:
    with pytest.raises(InputError, match="train_backbone=True"):
        metriscope.compare(photos, backbone="cnn")
    with pytest.raises(InputError, match="split is 'open'; it must be closed or disjoint"):
        metriscope.compare(photos, backbone="pixels", split="open")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cnn is trained with"):
        embed(photos, "a.npz", backbone="cnn:3x8x8")
