"""Views and thumbnails on disk, and who makes them when."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from benchmarks import grid105

from metriscope import kept, views
from metriscope.disk import StorageError
from metriscope.store import load_results
from metriscope.types import Embeddings, Interval, Results, RunResult, View
from metriscope.views.making import make, read
from tests.test_views import space

NASTY = ("<b>&\"'", "$x_1$ \\alpha", "\u202eleft", "x" * 300, "\x1b[31m", "", "null", "0")


def comparison(
    folder: Path, losses: tuple[str, ...] = ("triplet", "scl"), seeds: int = 2
) -> Results:
    return grid105.write(
        folder, datasets={"a": 4}, names=losses, seeds=seeds, rows=60, dim=6, epochs=3
    )


def same(one: View, other: View) -> None:
    for field in fields(View):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert a == pytest.approx(b, rel=1e-3, abs=1e-9), field.name
        else:
            assert a == b, field.name


def of(results: Results) -> dict[str, str]:
    """Loss to the key of its first run."""
    return {loss: runs[0].key for loss, runs in results.by_loss().items()}


# ---------------------------------------------------------------------------------------- on disk


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, str, Embeddings]:
    results = comparison(tmp_path, ("triplet",), 1)
    key = results.runs[0].key
    return tmp_path, key, read(tmp_path / "runs" / key / kept.EMBEDDINGS)


def test_a_view_comes_back_as_it_was(run: tuple[Path, str, Embeddings]) -> None:
    folder, key, embeddings = run
    view = make(embeddings)
    assert kept.read_view(folder, key) is None
    kept.write_view(folder, key, view)
    found = kept.read_view(folder, key)
    assert found is not None
    same(found, view)
    assert isinstance(found.classes[0].interval, Interval)
    assert (folder / "runs" / key / kept.VIEW).stat().st_size < 20_000


def test_names_come_back_whatever_they_are(tmp_path: Path) -> None:
    made = space(rows=64, classes=8)
    ids = np.array([f"{i}{NASTY[i % 8]}" for i in range(64)])
    view = make(Embeddings(made.x, made.y, NASTY, "test", "made", ids))
    (tmp_path / "runs" / "k").mkdir(parents=True)
    kept.write_view(tmp_path, "k", view)
    found = kept.read_view(tmp_path, "k")
    assert found is not None
    same(found, view)
    assert set(found.labels) == set(NASTY)


def test_a_view_of_other_embeddings_is_none(run: tuple[Path, str, Embeddings]) -> None:
    folder, key, embeddings = run
    kept.write_view(folder, key, make(embeddings))
    file = folder / "runs" / key / kept.EMBEDDINGS
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 3] ^= 1
    file.write_bytes(bytes(changed))
    assert kept.read_view(folder, key) is None
    file.write_bytes(whole)  # neither its time nor its place in the disk counts
    assert kept.read_view(folder, key) is not None
    file.unlink()  # to save space
    assert kept.read_view(folder, key) is not None


def test_the_identity_of_a_large_file_sees_its_size_and_its_end(tmp_path: Path) -> None:
    file = tmp_path / "large"
    block = np.random.default_rng(0).bytes(1 << 20)
    file.write_bytes(block * 40)
    first = kept.identity(file)
    assert first == kept.identity(file)
    file.write_bytes(block * 40 + b"\0")
    assert kept.identity(file) != first
    file.write_bytes(block * 39 + block[:-1] + bytes([block[-1] ^ 1]))
    assert kept.identity(file) != first
    assert kept.identity(tmp_path / "none") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"format":2', '"format":99'),
        lambda text: text.replace('"points":[[', '"points":[['.replace("[[", "[[1],[")),
        lambda text: text.replace('"codes":[', '"codes":[99,'),
        lambda text: text.replace('"classes":[{', '"classes":[{"what":1,'),
        lambda text: text.replace('"medians":', '"medians":3,"m":'),
    ],
    ids=["half", "empty", "list", "null", "format", "points", "codes", "classes", "medians"],
)
def test_a_damaged_view_is_made_again(run: tuple[Path, str, Embeddings], damage: object) -> None:
    folder, key, embeddings = run
    kept.write_view(folder, key, make(embeddings))
    file = folder / "runs" / key / kept.VIEW
    text = file.read_text("utf-8")
    changed = damage(text)  # type: ignore[operator]
    assert changed != text
    file.write_text(changed, "utf-8")
    assert kept.read_view(folder, key) is None
    views.complete(folder, Results((_result(folder, key),)))
    assert kept.read_view(folder, key) is not None


def _result(folder: Path, key: str) -> RunResult:
    return next(run for run in load_results(folder).runs if run.key == key)


def test_thumbnails_come_back(tmp_path: Path) -> None:
    assert kept.read_thumbnails(tmp_path) == {}
    pictures = {name or "empty": bytes([i]) * 9 for i, name in enumerate(NASTY)}
    kept.write_thumbnails(tmp_path, pictures)
    assert kept.read_thumbnails(tmp_path) == pictures
    (tmp_path / kept.THUMBNAILS).write_bytes(b"PAR1 no")
    assert kept.read_thumbnails(tmp_path) == {}
    with pytest.raises(StorageError, match="no-such"):
        kept.write_thumbnails(tmp_path / "no-such", pictures)


# --------------------------------------------------------------------------------------- complete


def test_the_first_finished_run_of_each_loss_is_looked_at_once(tmp_path: Path) -> None:
    results = comparison(tmp_path)
    failed = RunResult(results.runs[0].spec, "failed", error="out of memory")
    results = Results((failed, *results.runs[1:]), about=results.about)
    said: list[str] = []
    views.complete(tmp_path, results, notify=said.append)
    seen = {file.parent.name for file in tmp_path.glob("runs/*/view.json")}
    assert seen == {results.runs[1].key, results.runs[2].key}
    assert len(said) == 1
    assert "2 embedding spaces" in said[0]
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("runs/*/view.json")}
    views.complete(tmp_path, results, notify=said.append)
    assert len(said) == 1
    assert before == {file: file.stat().st_mtime_ns for file in before}


def test_all_draw_the_same_rows_whatever_the_jobs(tmp_path: Path) -> None:
    results = comparison(tmp_path, ("triplet", "scl", "ccl"), 1)
    views.complete(tmp_path, results, jobs=3)
    files = sorted(tmp_path.glob("runs/*/view.json"))
    texts = [file.read_bytes() for file in files]
    found = [kept.read_view(tmp_path, key) for key in of(results).values()]
    assert len({view.ids for view in found if view}) == 1
    for file in files:
        file.unlink()
    views.complete(tmp_path, results, jobs=1)
    assert [file.read_bytes() for file in files] == texts


def test_what_cannot_be_looked_at_is_a_sentence(tmp_path: Path) -> None:
    results = comparison(tmp_path, ("triplet", "scl", "ccl"), 1)
    keys = of(results)
    (tmp_path / "runs" / keys["triplet"] / kept.EMBEDDINGS).unlink()
    (tmp_path / "runs" / keys["scl"] / kept.EMBEDDINGS).write_bytes(b"PAR1 nothing")
    said: list[str] = []
    views.complete(tmp_path, results, notify=said.append)
    assert [sentence for sentence in said if "triplet" in sentence and "not there" in sentence]
    assert [sentence for sentence in said if "scl" in sentence and "damaged" in sentence]
    assert kept.read_view(tmp_path, keys["ccl"]) is not None


def test_an_interruption_leaves_whole_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = comparison(tmp_path, ("triplet", "scl", "ccl", "infonce"), 1)
    made, second = views._make, list(of(results).values())[1]

    def interrupted(folder: Path, key: str) -> None:
        if key == second:
            raise KeyboardInterrupt
        made(folder, key)

    monkeypatch.setattr(views, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        views.complete(tmp_path, results, jobs=1)
    assert not list(tmp_path.glob("runs/*/.*"))
    for file in tmp_path.glob("runs/*/view.json"):
        assert kept.read_view(tmp_path, file.parent.name) is not None
    monkeypatch.setattr(views, "_make", made)
    views.complete(tmp_path, results)
    assert len(list(tmp_path.glob("runs/*/view.json"))) == 4


def test_nothing_to_do_needs_no_library(tmp_path: Path) -> None:
    results = comparison(tmp_path, ("triplet",), 1)
    views.complete(tmp_path, results)
    code = (
        "import sys; from pathlib import Path; from metriscope import views; "
        "from metriscope.store import load_results as load; "
        f"f = Path({str(tmp_path)!r}); views.complete(f, load(f)); "
        "print(json.dumps([m for m in sys.modules if m in ('torch', 'sklearn')]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", "import json; " + code], capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout) == []
