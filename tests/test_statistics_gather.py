"""From results to what statistics read: pairing, what is left out, what is never read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metriscope import kept
from metriscope.statistics import gather
from metriscope.types import Results
from tests.chosen import results

LEVELS = {"triplet": 0.8, "scl": 0.2, "infonce": 0.5}


@pytest.mark.parametrize("part", ["test", "validation"])
@pytest.mark.parametrize("score", ["recall@1", "recall@10", "map@r", "r_precision"])
def test_queries_are_paired_by_seed_and_column(tmp_path: Path, part: str, score: str) -> None:
    given = results(LEVELS, tmp_path)
    found = gather(given, tmp_path, score, part)
    assert (found.per_query, found.seeds, found.missing, found.notes) == (True, (0, 1, 2), {}, ())
    for loss, runs in given.by_loss().items():
        assert found.values[loss].shape == (3, 399)  # one was not asked
        for row, run in zip(found.values[loss], runs, strict=True):
            stored = run.scores[f"val.{score}" if part == "validation" else score]
            assert row.mean() == pytest.approx(stored)
            queries = kept.read_queries(tmp_path, run.key, part)
            assert queries is not None
            assert row == pytest.approx(queries.values(score)[:-1])


def test_without_queries_a_run_is_one_number(tmp_path: Path) -> None:
    given = results(LEVELS, tmp_path)
    for folder, score in ((None, "recall@1"), (tmp_path, "density.pi_ratio")):
        found = gather(given, folder, score, "validation")
        assert (found.per_query, found.notes) == (False, ())
        for loss, runs in given.by_loss().items():
            assert found.values[loss][:, 0].tolist() == [r.scores[f"val.{score}"] for r in runs]
    assert gather(given, tmp_path, "val.recall@1", "validation").per_query


def test_queries_that_are_missing_or_others_are_said(tmp_path: Path) -> None:
    given = results(LEVELS, tmp_path)
    file = tmp_path / "runs" / given.runs[4].key / kept.QUERIES
    other = kept.read_queries(tmp_path, given.runs[4].key, "test")
    assert other is not None
    kept.write_queries(file, {"test": replace(other, ids=other.ids + 1)})
    found = gather(given, tmp_path, "recall@1")
    assert not found.per_query
    assert "asked different queries" in found.notes[0]
    file.unlink()
    found = gather(given, tmp_path, "recall@1")
    assert found.values["scl"].shape == (3, 1)
    assert "1 of 9 runs did not keep" in found.notes[0]
    assert "No run kept" in gather(given, tmp_path / "nowhere", "recall@1").notes[0]


def test_a_loss_that_failed_for_a_seed_is_left_out_and_named(tmp_path: Path) -> None:
    given = results(LEVELS, tmp_path, failed=(("scl", 1),))
    found = gather(given, tmp_path, "recall@1")
    assert set(found.values) == {"triplet", "infonce"}
    assert (found.seeds, found.missing, found.notes) == ((0, 1, 2), {"scl": 2}, ())


def test_a_seed_that_most_losses_lack_is_left_out_and_named(tmp_path: Path) -> None:
    given = results(LEVELS, tmp_path, failed=(("scl", 1), ("infonce", 1)))
    found = gather(given, tmp_path, "recall@1")
    assert (set(found.values), found.seeds, found.missing) == (set(LEVELS), (0, 2), {})
    assert found.notes == ("Seed 1 left out: not every loss finished it.",)


def test_losses_without_a_number_are_missing(tmp_path: Path) -> None:
    given = results(LEVELS, failed=tuple(("scl", s) for s in range(3)))
    runs = [
        replace(run, scores=run.scores | {"recall@1": None if run.spec.seed else float("nan")})
        if run.spec.loss == "infonce"
        else run
        for run in given.runs
    ]
    found = gather(Results(tuple(runs), about=given.about), None, "recall@1")
    assert (set(found.values), found.missing) == ({"triplet"}, {"scl": 0, "infonce": 0})
    nothing = gather(given, None, "no such score")
    assert (nothing.values, nothing.seeds) == ({}, ())
    assert gather(Results(()), tmp_path, "recall@1").values == {}


def test_seeds_are_paired_whatever_their_order(tmp_path: Path) -> None:
    given = results(LEVELS, tmp_path)
    found = gather(Results(given.runs[::-1], about=given.about), tmp_path, "recall@1")
    want = gather(given, tmp_path, "recall@1")
    for loss in LEVELS:
        assert np.array_equal(found.values[loss], want.values[loss])
    assert (found.seeds, found.higher) == (want.seeds, True)


def test_a_part_that_was_not_there(tmp_path: Path) -> None:
    given = results(LEVELS, tmp_path, validation=0.0)
    found = gather(given, tmp_path, "recall@1", "validation")
    assert (found.values, found.missing) == ({}, dict.fromkeys(LEVELS, 0))
    assert gather(given, tmp_path, "recall@1").per_query
