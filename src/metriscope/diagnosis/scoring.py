"""The scores of an examination, and where each could as well lie."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from metriscope.diagnosis import intervals
from metriscope.diagnosis.search import Search
from metriscope.diagnostics import DIAGNOSTICS
from metriscope.diagnostics.base import Moments, Space, all_scores, measure, reading
from metriscope.types import Embeddings, Interval, Scores

GROUPS = 10  # disjoint parts of a sample
_CLASSIFIED = ("knn_accuracy@1", "knn_accuracy@5", "knn_accuracy@20", "probe_accuracy")
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


def of_queries(
    scores: Scores, search: Search, ranked: Search, confidence: float, resamples: int, seed: int
) -> dict[str, Interval]:
    """By bootstrap over queries.

    Args:
        scores: what was measured.
        search: which Recall@k is of. ranked: which R-precision and MAP@R are of.
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
        if values is not None and scores.get(name) is not None:
            asked = values[ranked.asked]
            found[name] = intervals.of_mean(asked, confidence, resamples, seed)
    return _defined(found)


def of_training(scores: Scores, space: Space, confidence: float) -> dict[str, Interval]:
    """Of what is known from training rows, which are shares of rows too."""
    if space.train is None or space.seen is None:
        return {}
    seen, n = int(space.seen.sum()), len(space.test)
    rows = {**dict.fromkeys(_CLASSIFIED, seen), **dict.fromkeys(_COPIES, n)}
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
        space: the sample, which is cut at random into ten.
        exact: scores that are not of the sample, or have an interval.
        groups: of diagnostics, as measured.
        confidence, seed: of the intervals.
    """
    n, known = len(space.test), all_scores()
    order = np.random.default_rng(seed).permutation(n)
    cut, names = np.array_split(order, GROUPS), _of_rows(groups)
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
