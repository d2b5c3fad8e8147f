"""The scores of an examination, and where each could as well lie."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import torch

from metriscope.diagnosis import intervals
from metriscope.diagnosis.items import shares
from metriscope.diagnosis.search import K, Search
from metriscope.diagnostics import DIAGNOSTICS
from metriscope.diagnostics.base import Moments, Space, all_scores, measure, reading
from metriscope.diagnostics.knn import knn_accuracy
from metriscope.types import Embeddings, Interval, Scores

GROUPS = 10  # disjoint parts of a sample
_VOTES = ("knn_accuracy@1", "knn_accuracy@5", "knn_accuracy@20")
_CLASSIFIED = (*_VOTES, "probe_accuracy")
_COPIES = ("duplicates.across", "duplicates.across.exact")


def measured(space: Space, moments: Moments | None, groups: Collection[str] | None) -> Scores:
    """Every score, or those of some groups; with moments of all rows, theirs where they do.

    Args:
        space: the rows in memory.
        moments: of all rows, if the space is a sample of them.
        groups: of diagnostics; all by default.
    """
    names = _names(groups)
    if moments is None:
        return measure(space, names)
    scores = measure(moments, [name for name in names if DIAGNOSTICS.get(name).reads == "moments"])
    return scores | measure(space, _of_rows(groups))


def of_search(search: Search, ranked: Search) -> Scores:
    """Means over the queries that could find something; None without any.

    Args:
        search: which Recall@k is of. ranked: which R-precision and MAP@R are of.
    """

    def mean(values: np.ndarray | None, of: Search) -> float | None:
        asked = of.asked
        return None if values is None or not asked.any() else float(values[asked].mean())

    return {
        **{f"recall@{k}": mean(search.hits(k), search) for k in (1, 5, 10)},
        "r_precision": mean(ranked.r_precision, ranked),
        "map@r": mean(ranked.average_precision, ranked),
    }


def of_training_search(search: Search) -> Scores:
    """What queries found among all training rows: copies, and the class of most of the nearest."""
    known = search.asked
    there = (search.nearest_y >= 0).all(0)  # as many for each query: none is left out
    y, near = search.y[known], search.nearest_y[known][:, there]
    votes = map(torch.from_numpy, (y, near, search.squared[known][:, there]))
    ten = replace(
        search,
        nearest_y=search.nearest_y[:, :K],
        nearest_ids=search.nearest_ids[:, :K],
        squared=search.squared[:, :K],
    )
    return {**knn_accuracy(*votes), **shares(ten, "across")}


def of_queries(
    scores: Scores, search: Search, ranked: Search, confidence: float, resamples: int, seed: int
) -> dict[str, Interval]:
    """By bootstrap over queries.

    Rows of a sample that are searched among themselves are each other's gallery, so a bootstrap of
    their R-precision is too narrow: of 40 samples of 1,000 of 10,000 rows it held the value of all
    31 times (MAP@R: 26), the intervals of :func:`of_sample`, 2.6 to 3 times as wide, 40 times.

    Args:
        scores: what was measured.
        search: which Recall@k is of. ranked: which R-precision and MAP@R are of; they have no
            interval here where it is another.
        confidence, resamples, seed: of the bootstrap.
    """
    found: dict[str, Interval | None] = {}
    for k in (1, 5, 10):
        value, n = scores.get(f"recall@{k}"), int(search.asked.sum())
        if value is not None:
            found[f"recall@{k}"] = intervals.of_share(value, n, confidence)
    for name, values in (
        ("r_precision", ranked.r_precision),
        ("map@r", ranked.average_precision),
    ):
        if ranked is search and values is not None and scores.get(name) is not None:
            asked = values[ranked.asked]
            found[name] = intervals.of_mean(asked, confidence, resamples, seed)
    return _defined(found)


def of_training(
    scores: Scores, space: Space, search: Search | None, confidence: float
) -> dict[str, Interval]:
    """Of what is known from training rows, which are shares of rows too.

    Args:
        scores: what was measured.
        space: the rows in memory.
        search: among all training rows, where those are not in memory together.
        confidence: of the intervals.
    """
    if space.train is None or space.seen is None:
        return {}
    seen, n = int(space.seen.sum()), len(space.test)
    rows = {**dict.fromkeys(_CLASSIFIED, seen), **dict.fromkeys(_COPIES, n)}
    if search is not None:
        asked = int(search.asked.sum())
        rows |= {**dict.fromkeys(_VOTES, asked), **dict.fromkeys(_COPIES, len(search.y))}
    rows["train.recall@1"] = min(n, len(space.train))  # at most so many are drawn
    found: dict[str, Interval] = {}
    for name, count in rows.items():
        found |= of_shares({name: scores.get(name)}, count, confidence)
    return found


def of_shares(shares: Scores, n: int, confidence: float) -> dict[str, Interval]:
    """Of shares of n rows."""
    return _defined(
        {k: intervals.of_share(v, n, confidence) for k, v in shares.items() if v is not None}
    )


def of_sample(
    scores: Scores,
    space: Space,
    exact: Collection[str],
    groups: Collection[str] | None,
    confidence: float,
    seed: int,
) -> dict[str, Interval]:
    """Of scores of a sample that no mean over queries gives; see :func:`intervals.of_groups`.

    Args:
        scores: what was measured.
        space: the sample, which is cut at random into ten, of two rows at least.
        exact: scores that are not of the sample, or have an interval.
        groups: of diagnostics, as measured.
        confidence, seed: of the intervals.
    """
    n, known = len(space.test), all_scores()
    order = np.random.default_rng(seed).permutation(n)
    cut, names = np.array_split(order, min(GROUPS, max(n // 2, 1))), _of_rows(groups)
    parts = [measure(_some(space, rows), names) for rows in cut]
    return _defined(
        {
            name: intervals.of_groups(
                value, [part.get(name) for part in parts], n, known[name], confidence
            )
            for name, value in scores.items()
            if value is not None and name not in exact
        }
    )


def exact_names() -> set[str]:
    """Scores that class moments decide."""
    return {score.name for found in reading("moments") for score in found.scores}


def _defined(found: dict[str, Interval | None]) -> dict[str, Interval]:
    return {name: interval for name, interval in found.items() if interval is not None}


def _some(space: Space, rows: np.ndarray) -> Space:
    test, rows = space.test, np.sort(rows)
    return Space(
        Embeddings(
            test.x[rows], test.y[rows], test.class_names, test.split, test.origin, test.ids[rows]
        ),
        device=space.device,
    )


def _names(groups: Collection[str] | None) -> list[str]:
    known = [*reading("embeddings"), *reading("diagnosis")]
    return [found.name for found in known if groups is None or found.group in groups]


def _of_rows(groups: Collection[str] | None) -> list[str]:
    """Those that class moments do not decide."""
    return [name for name in _names(groups) if DIAGNOSTICS.get(name).reads != "moments"]
