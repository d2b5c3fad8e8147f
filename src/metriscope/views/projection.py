"""A picture in two dimensions, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 10
PERPLEXITY = 30.0
ITERATIONS = 500  # 1,000 take twice as long for 0.002 more of trustworthiness
_FEWEST = 5  # rows that have neighbours to be preserved
_FLAT = 1e-6  # third singular value over the first: below, two dimensions hold it all


@dataclass(frozen=True, eq=False)
class Projection:
    """Points in the plane.

    Attributes:
        points: (n, 2). method: in words.
        preserved, trustworthiness: see :class:`~metriscope.types.View`; None of fewer than five
            rows, or where all rows are one point.
    """

    points: np.ndarray
    method: str
    preserved: float | None = None
    trustworthiness: float | None = None


def project(x: np.ndarray, seed: int, *, collapsed: bool = False) -> Projection:
    """t-SNE that starts from the principal components; those alone of up to two dimensions.

    van der Maaten and Hinton (2008). On one thread the same rows give the same points.

    Args:
        x: (n, d) float64, from which something common to all rows was taken off: then a space that
            collapsed to a cone keeps its digits. The scale does not matter.
        seed: of t-SNE.
        collapsed: whether all rows are one point.
    """
    n = len(x)
    if collapsed:
        return Projection(np.zeros((n, 2)), "none: all rows are one point")
    x = x - x.mean(0)
    u, values, _ = np.linalg.svd(x, full_matrices=False)
    flat = np.zeros((n, 2))
    flat[:, : min(2, len(values))] = (u * values)[:, :2]
    if not values[0]:
        return Projection(flat, "none: all rows drawn are one point")
    flat /= values[0]
    x = x / values[0]
    if n < _FEWEST or len(values) < 3 or values[2] <= _FLAT * values[0]:
        return _judged(x, flat, "principal components")
    from sklearn.manifold import TSNE

    tsne = TSNE(
        perplexity=min(PERPLEXITY, (n - 1) / 3),
        init=np.asarray(flat / flat[:, 0].std() * 1e-4, np.float32),
        max_iter=ITERATIONS,
        random_state=seed,
    )
    method = f"t-SNE, perplexity {tsne.perplexity:g}, {ITERATIONS} iterations"
    return _judged(x, tsne.fit_transform(x).astype(np.float64), method)


def _judged(x: np.ndarray, points: np.ndarray, method: str) -> Projection:
    n = len(x)
    if n < _FEWEST:
        return Projection(points, method)
    from sklearn.manifold import trustworthiness

    k = min(NEIGHBOURS, (n - 1) // 2)
    before, after = _nearest(x, k), _nearest(points, k)
    kept = (before[:, :, None] == after[:, None, :]).sum() / before.size
    trust = trustworthiness(x, points, n_neighbors=k)
    return Projection(points, method, float(kept), float(trust))


def _nearest(x: np.ndarray, k: int) -> np.ndarray:
    """(n, k) rows nearest to each, itself left out."""
    from sklearn.neighbors import NearestNeighbors

    found: np.ndarray = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(return_distance=False)
    return found
