"""Losses over several datasets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from metriscope.statistics._nouns import CriticalDifference


def critical_difference(
    means: Mapping[str, Mapping[str, float]], *, higher: bool = True, level: float = 0.05
) -> CriticalDifference | None:
    """Friedman's and Nemenyi's tests of dataset → loss → mean (Demšar, JMLR 2006).

    With k losses on N datasets, mean ranks that are q·√(k(k + 1)/6N) apart are different, q the
    studentized range's quantile over √2. Losses that a dataset lacks are left out, and named in
    ``power``. Friedman's p is that of χ², which is rough for fewer than ten datasets; None of two
    losses.

    Returns:
        None of fewer than two datasets, or of fewer than two losses that all of them have.
    """
    from scipy.stats import rankdata

    every = dict.fromkeys(loss for found in means.values() for loss in found)
    losses = [loss for loss in every if all(_known(found.get(loss)) for found in means.values())]
    if len(means) < 2 or len(losses) < 2:
        return None
    table = np.array([[found[loss] for loss in losses] for found in means.values()])  # (n, k)
    ranks = rankdata(-table if higher else table, axis=1)
    mean = ranks.mean(0)
    order = np.argsort(mean, kind="stable")
    critical = _nemenyi(len(losses), len(means), level)
    return CriticalDifference(
        tuple(losses[i] for i in order),
        tuple(float(mean[i]) for i in order),
        len(means),
        _friedman(ranks),
        critical,
        _groups(mean[order], critical),
        _power(len(means), len(losses), critical, [loss for loss in every if loss not in losses]),
    )


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _nemenyi(losses: int, datasets: int, level: float) -> float:
    from scipy.stats import studentized_range

    q = float(studentized_range.isf(level, losses, math.inf)) / math.sqrt(2)
    return q * math.sqrt(losses * (losses + 1) / (6 * datasets))


def _friedman(ranks: np.ndarray) -> float | None:
    from scipy.stats import friedmanchisquare

    if ranks.shape[1] < 3:
        return None
    if (ranks == ranks[:, :1]).all():  # all tie everywhere: 0 over 0
        return 1.0
    return float(friedmanchisquare(*ranks.T).pvalue)


def _groups(ranks: np.ndarray, critical: float) -> tuple[tuple[int, int], ...]:
    """Longest runs of two or more whose ends are less than ``critical`` apart."""
    found: list[tuple[int, int]] = []
    for i, rank in enumerate(ranks):
        j = int(np.flatnonzero(ranks - rank < critical)[-1])
        if j > i and (not found or j > found[-1][1]):
            found.append((i, j))
    return tuple(found)


def _power(datasets: int, losses: int, critical: float, left_out: Sequence[str]) -> str:
    most = losses - 1
    said = f"{datasets} datasets, {losses} losses: "
    if critical > most:
        said += (
            f"nothing can count as different: mean ranks would have to be {critical:.1f} apart, "
            f"and {most} is the most there can be."
        )
    else:
        said += (
            f"only mean ranks {critical:.1f} or more apart (of at most {most}) count as different"
        )
        little = critical > most / 2
        said += ", so a finding of no difference says little." if little else "."
    if left_out:
        said += f" Left out, since not every dataset has them: {', '.join(left_out)}."
    return said
