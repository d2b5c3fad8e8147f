"""Spaces with planted geometry, easy and degenerate, shared by the tests of diagnostics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from metriscope.diagnostics.base import Space
from metriscope.types import Embeddings

Arrays = tuple[np.ndarray, np.ndarray]


def embeddings(x: np.ndarray, y: np.ndarray, classes: int | None = None) -> Embeddings:
    """Embeddings of ``classes`` class names, some perhaps absent."""
    y = np.asarray(y, np.int64)
    names = tuple(f"c{i}" for i in range(y.max() + 1 if classes is None else classes))
    return Embeddings(np.asarray(x, np.float64), y, names)


def space(x: np.ndarray, y: np.ndarray, train: Arrays | None = None) -> Space:
    """A space of arrays, the same class names on both sides."""
    if train is None:
        return Space(embeddings(x, y))
    classes = int(max(np.max(y), np.max(train[1]))) + 1
    return Space(embeddings(x, y, classes), embeddings(*train, classes))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def simplex(classes: int, each: int, dim: int) -> Arrays:
    """Every class one point, the points a regular simplex around 0."""
    corners = np.eye(classes) - 1 / classes
    x = np.zeros((classes, dim))
    x[:, :classes] = corners
    return np.repeat(unit(x), each, 0), np.repeat(np.arange(classes), each)


def clumps(seed: int = 0, sizes: tuple[int, ...] = (7, 2, 1, 9, 4), dim: int = 5) -> Arrays:
    """Overlapping classes of unequal size, one of them a singleton, shuffled."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    x = 1.3 * rng.standard_normal((len(sizes), dim))[y] + rng.standard_normal((len(y), dim))
    order = rng.permutation(len(y))
    return unit(x)[order], y[order]


def cone(seed: int = 0, spread: float = 1e-6) -> Arrays:
    """A collapsed space: clumps shrunk around one far direction."""
    x, y = clumps(seed)
    axis = unit(np.random.default_rng(seed + 1).standard_normal((1, x.shape[1])))
    return axis + spread * x, y


def _random(n: int, d: int, y: list[int] | np.ndarray) -> Callable[[], Arrays]:
    return lambda: (np.random.default_rng(n).standard_normal((n, d)), np.asarray(y))


def _two_points() -> Arrays:
    x = np.array([[1.0, 0.0], [0.6, 0.8]])[[0, 0, 1, 1, 0, 1]]
    return x, np.array([0, 0, 1, 1, 1, 0])


def _scaled_copies() -> Arrays:
    x = np.random.default_rng(0).standard_normal((1, 4))
    return x * np.array([[1.0], [3.0], [0.1], [7.0]]), np.array([0, 0, 1, 1])


def _some_zero() -> Arrays:
    x, y = clumps()
    x[:3] = 0
    return x, y


HARD: dict[str, Callable[[], Arrays]] = {
    "one row": _random(1, 3, [0]),
    "two rows": _random(2, 3, [0, 1]),
    "a pair": _random(2, 3, [0, 0]),
    "one dimension": _random(6, 1, [0, 1, 0, 1, 2, 2]),
    "one class": _random(8, 3, np.zeros(8)),
    "all singletons": _random(7, 3, np.arange(7)),
    "an absent class": _random(9, 3, [0, 0, 3, 3, 5, 5, 5, 0, 3]),
    "identical": lambda: (np.ones((6, 3)), np.array([0, 0, 1, 1, 2, 2])),
    "identical directions": _scaled_copies,
    "all zero": lambda: (np.zeros((5, 3)), np.array([0, 0, 1, 1, 2])),
    "some zero": _some_zero,
    "two points": _two_points,
    "same points in both classes": lambda: (np.tile(np.eye(3), (2, 1)), np.repeat([0, 1], 3)),
    "antipodes": lambda: (np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), np.array([0, 0, 1, 1])),
    "opposite classes": lambda: (np.array([[1.0], [1], [-1], [-1]]), np.array([0, 0, 1, 1])),
    "more classes than dimensions": _random(30, 2, np.arange(30) % 10),
    "fewer rows than neighbours": _random(6, 4, [0, 0, 1, 1, 2, 2]),
    "simplex": lambda: simplex(4, 3, 6),
    "cone": cone,
    "clumps": clumps,
}
"""Spaces by name, each in a place where a formula has an edge."""


def exact_squared(q: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Squared distances from differences, in extended precision."""
    d = q[:, None, :].astype(np.longdouble) - g[None, :, :].astype(np.longdouble)
    return (d**2).sum(2)
