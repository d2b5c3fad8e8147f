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


def test_a_loss_that_failed_for_a_seed_is_compared_on_the_others(tmp_path: Path) -> None:
    given = results(LEVELS, tmp_path, failed=(("triplet", 1),))  # the best of them
    found = gather(given, tmp_path, "recall@1")
    assert (set(found.values), found.seeds, found.missing) == (set(LEVELS), (0, 2), {})
    assert found.notes == (
        "Seed 1 left out of the comparison: not every loss finished it (without: triplet).",
    )
    whole = gather(results(LEVELS, tmp_path), tmp_path, "recall@1")
    for loss, values in found.values.items():
        assert np.array_equal(values, whole.values[loss][[0, 2]])


def seeded(**of: tuple[int, ...]) -> Results:
    """Losses with finished runs of those seeds only."""
    runs = results(dict.fromkeys(of, 0.5), seeds=5).runs
    return Results(tuple(run for run in runs if run.spec.seed in of[run.spec.loss]))


@pytest.mark.parametrize(
    ("of", "seeds", "missing"),
    [
        ({"scl": (0, 1, 2), "triplet": (1, 2, 3)}, (1, 2), {}),
        ({"scl": (0, 1, 2), "triplet": (0, 1), "infonce": (0, 1, 2)}, (0, 1), {}),
        ({"scl": (0, 1, 2), "triplet": (0,), "infonce": (0, 1, 2)}, (0, 1, 2), {"triplet": 1}),
        ({"scl": (0,), "triplet": (0,), "infonce": (0, 1), "cosface": (0, 1)}, (0,), {}),
        ({"scl": (0, 1), "triplet": (1,)}, (1,), {}),
        ({"scl": (0, 1), "triplet": (2, 3)}, (0, 1), {"triplet": 2}),
        ({"scl": (0,), "triplet": (3, 4), "infonce": (3, 4)}, (3, 4), {"scl": 1}),
    ],
)
def test_seeds_that_all_have(
    of: dict[str, tuple[int, ...]], seeds: tuple[int, ...], missing: dict[str, int]
) -> None:
    """Seeds are left out before losses are, but not down to one if most losses have two."""
    found = gather(seeded(**of), None, "recall@1")
    assert (found.seeds, found.missing, set(found.why)) == (seeds, missing, set(missing))
    assert set(found.values) == set(of) - set(missing)
    assert all(values.shape == (len(seeds), 1) for values in found.values.values())
    spare = {seed for loss in found.values for seed in of[loss]} - set(seeds)
    assert bool(found.notes) == bool(spare)
    assert all(str(seed) in found.notes[0] for seed in spare)


def test_why_a_loss_is_not_compared() -> None:
    apart = gather(seeded(scl=(0, 1), triplet=(2, 3)), None, "recall@1").why
    assert apart == {
        "triplet": "no seed in common with the others: it has seeds 2, 3, and seeds 0, 1 are "
        "compared"
    }
    few = gather(seeded(scl=(0, 1), triplet=(1,), infonce=(0, 1)), None, "recall@1").why
    assert few == {
        "triplet": "too few seeds in common with the others: it has seed 1, and seeds 0, 1 are "
        "compared"
    }
    given = results(LEVELS, failed=tuple(("scl", seed) for seed in range(3)))
    assert gather(given, None, "recall@1").why == {"scl": "no finished run has this score"}


def test_shares_have_bounds(tmp_path: Path) -> None:
    given = results(LEVELS, tmp_path)
    for score, part in (("recall@1", "test"), ("val.map@r", "validation")):
        for folder in (tmp_path, None):
            found = gather(given, folder, score, part)
            assert (found.lower, found.upper) == (0, 1)
    found = gather(given, None, "density.pi_ratio", "validation")
    assert (found.lower, found.upper) == (-np.inf, np.inf)


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
