"""Healthy labelled spaces, and one known damage at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tests.spaces import Arrays, unit


@dataclass(frozen=True, eq=False)
class Labelled:
    """(n, d) vectors and (n,) class codes; ``train``: the same of a training part."""

    x: np.ndarray
    y: np.ndarray
    train: Arrays | None = None

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1


@dataclass(frozen=True)
class Base:
    """A recipe of a healthy space: ``rows`` of ``classes`` in ``dim`` dimensions.

    Class centres repel each other; ``width`` is the length of a row's deviation from its centre,
    whose covariance has eigenvalues falling by ``decay`` in each class's own axes. ``norms``:
    their coefficient of variation (None: unit vectors). ``uneven``: largest over smallest class.
    ``shared``: length of a direction that all rows have in common, as features before any training
    do.
    """

    rows: int
    classes: int
    dim: int
    width: float
    decay: float = 1.0
    norms: float | None = None
    uneven: float = 1.0
    shared: float = 0.0


HEALTHY: Mapping[str, Base] = {
    "small, tight": Base(400, 5, 16, 0.25),
    "ten classes, tight": Base(1_000, 10, 64, 0.4, decay=5, norms=0.05),
    "ten classes, moderate": Base(1_500, 10, 128, 2.4, uneven=2),
    "ten classes, overlapping": Base(1_500, 10, 64, 2.8, shared=1.0),
    "five classes, overlapping": Base(600, 5, 16, 1.9, decay=4, norms=0.03, uneven=1.5),
    "fifty classes": Base(2_000, 50, 64, 1.0, decay=5, shared=0.5, uneven=2),
    "two hundred classes": Base(4_000, 200, 128, 1.2, decay=3),
    "neural collapse": Base(1_000, 10, 64, 1e-3),
}
"""Recall@1 from 0.6, as frozen features of CIFAR-10 have, to 1."""


def healthy(name: str, seed: int = 0, train: bool = False) -> Labelled:
    """A healthy space; with ``train`` also a training part of the same classes."""
    base, rng = HEALTHY[name], np.random.default_rng(seed)
    centres = spaced(rng, base.classes, base.dim)
    centres = centres + base.shared * unit(rng.standard_normal(base.dim)[None])
    axes = [np.linalg.qr(rng.standard_normal((base.dim, base.dim)))[0] for _ in range(base.classes)]
    x, y = _drawn(rng, base, centres, axes)
    return Labelled(x, y, _drawn(rng, base, centres, axes) if train else None)


def _drawn(
    rng: np.random.Generator, base: Base, centres: np.ndarray, axes: list[np.ndarray]
) -> Arrays:
    share = np.linspace(base.uneven, 1, base.classes)
    y = np.repeat(
        np.arange(base.classes), np.round(share / share.mean() * base.rows / len(share)).astype(int)
    )
    y = rng.permutation(y)
    scale = np.linspace(base.decay, 1, base.dim) ** 0.5
    e = rng.standard_normal((len(y), base.dim)) * (base.width * scale / np.linalg.norm(scale))
    for c in range(base.classes):
        e[y == c] = e[y == c] @ axes[c].T
    x = unit(centres[y] + e)
    if base.norms is not None:
        x *= 7.5 * np.clip(1 + base.norms * rng.standard_normal((len(x), 1)), 0.5, 1.5)
    return x, y


def spaced(rng: np.random.Generator, classes: int, dim: int) -> np.ndarray:
    """(classes, dim) unit vectors that repelled each other, as a trained space's centres do."""
    m = unit(rng.standard_normal((classes, dim)))
    for _ in range(10):
        pull = np.exp(4 * (m @ m.T - 1))
        np.fill_diagonal(pull, 0)
        m = unit(m - 0.1 * pull @ m / pull.sum(1, keepdims=True))
    return m


@dataclass(frozen=True)
class Damage:
    """One known damage.

    Attributes:
        what: what was done, a phrase for the documentation.
        code, severity: the finding that must fire, and as what.
        do: makes it of a healthy space.
        also: codes that may warn beside it, as its true consequence.
        bases: healthy spaces that it is done to.
    """

    what: str
    code: str
    severity: str
    do: Callable[[Labelled, np.random.Generator], Labelled]
    also: tuple[str, ...] = ()
    bases: tuple[str, ...] = tuple(HEALTHY)
    train: bool = False


def damaged(name: str, base: str, seed: int = 0) -> Labelled:
    """A healthy space with one damage."""
    damage = DAMAGES[name]
    space = healthy(base, seed, train=damage.train)
    return damage.do(space, np.random.default_rng([seed, 1]))


def _moved(space: Labelled, x: np.ndarray) -> Labelled:
    """With other directions, and lengths as they were."""
    return replace(space, x=unit(x) * np.linalg.norm(space.x, axis=1, keepdims=True))


def shrunk(scale: float) -> Callable[[Labelled, np.random.Generator], Labelled]:
    """All rows moved onto one point, but for ``scale`` of their way."""

    def do(space: Labelled, rng: np.random.Generator) -> Labelled:
        point = unit(rng.standard_normal((1, space.x.shape[1])))
        return replace(space, x=point + scale * unit(space.x))

    return do


def cone(space: Labelled, rng: np.random.Generator) -> Labelled:
    axis = unit(rng.standard_normal((1, space.x.shape[1])))
    return _moved(space, unit(space.x) + 5 * axis)


def cut(space: Labelled, rng: np.random.Generator) -> Labelled:
    """Projected onto a few random dimensions."""
    kept = max(min(space.classes - 1, space.x.shape[1]) * 6 // 25, 2)
    q, _ = np.linalg.qr(rng.standard_normal((space.x.shape[1], kept)))
    return _moved(space, space.x @ q @ q.T)


def merged(count: int) -> Callable[[Labelled, np.random.Generator], Labelled]:
    """``count`` classes moved to one centre."""

    def do(space: Labelled, rng: np.random.Generator) -> Labelled:
        x, y = unit(space.x), space.y
        chosen = rng.choice(space.classes, count, replace=False)
        target = x[y == chosen[0]].mean(0)
        for c in chosen[1:]:
            x[y == c] += target - x[y == c].mean(0)
        return _moved(space, x)

    return do


def hubs(space: Labelled, rng: np.random.Generator) -> Labelled:
    """A few rows of each class moved almost onto its centre."""
    x, y = unit(space.x), space.y
    for c in range(space.classes):
        mine = np.flatnonzero(y == c)
        some = rng.choice(mine, max(len(mine) // 50, 1), replace=False)
        centre = x[mine].mean(0)
        x[some] = centre + 0.25 * (x[some] - centre)
    return _moved(space, x)


def shuffled(share: float) -> Callable[[Labelled, np.random.Generator], Labelled]:
    """That share of the labels replaced by another class's."""

    def do(space: Labelled, rng: np.random.Generator) -> Labelled:
        y = space.y.copy()
        some = rng.choice(len(y), round(share * len(y)), replace=False)
        y[some] = (y[some] + rng.integers(1, space.classes, len(some))) % space.classes
        return replace(space, y=y)

    return do


def permuted(space: Labelled, rng: np.random.Generator) -> Labelled:
    """The labels of the rows in another order."""
    return replace(space, y=rng.permutation(space.y))


def repeated(share: float) -> Callable[[Labelled, np.random.Generator], Labelled]:
    """That share of the rows given a second time."""

    def do(space: Labelled, rng: np.random.Generator) -> Labelled:
        some = rng.choice(len(space.y), round(share * len(space.y)), replace=False)
        return replace(
            space,
            x=np.concatenate([space.x, space.x[some]]),
            y=np.concatenate([space.y, space.y[some]]),
        )

    return do


def leaked(share: float) -> Callable[[Labelled, np.random.Generator], Labelled]:
    """That share of the rows put among the training rows too."""

    def do(space: Labelled, rng: np.random.Generator) -> Labelled:
        assert space.train is not None
        some = rng.choice(len(space.y), round(share * len(space.y)), replace=False)
        x, y = space.train
        return replace(
            space,
            train=(np.concatenate([x, space.x[some]]), np.concatenate([y, space.y[some]])),
        )

    return do


def stretched(space: Labelled, rng: np.random.Generator) -> Labelled:
    """A tenth of the rows, of all classes, five times as long."""
    some = rng.random(len(space.x)) < 0.1
    return replace(space, x=np.where(some[:, None], 5.0, 1.0) * space.x)


def scattered(parts: int) -> Callable[[Labelled, np.random.Generator], Labelled]:
    """A fifth of the classes made of that many clumps, as far from each other as classes are."""

    def do(space: Labelled, rng: np.random.Generator) -> Labelled:
        x, y = unit(space.x), space.y
        chosen = rng.choice(space.classes, max(space.classes // 5, 1), replace=False)
        means = np.stack([x[y == c].mean(0) for c in range(space.classes)])
        for c in chosen:
            part = rng.integers(parts, size=int((y == c).sum()))
            away = unit(rng.standard_normal((parts, x.shape[1]))) * np.linalg.norm(means[c])
            x[y == c] += (away - means[c])[part]
        return _moved(space, x)

    return do


def grouped(space: Labelled, rng: np.random.Generator) -> Labelled:
    """Classes of two groups moved most of the way to the centre of their group, and narrowed."""
    x, y = unit(space.x), space.y
    means = np.stack([x[y == c].mean(0) for c in range(space.classes)])
    length = np.linalg.norm(means, axis=1).mean()
    centres = length * unit(rng.standard_normal((2, x.shape[1])))
    goal = centres[np.arange(space.classes) % 2] + 0.2 * means
    return _moved(space, goal[y] + 0.2 * (x - means[y]))


def twins(space: Labelled, rng: np.random.Generator) -> Labelled:
    """Half of the classes put in pairs 1e-4 apart, each shrunk to less than that."""
    x, y = unit(space.x), space.y
    means = unit(np.stack([x[y == c].mean(0) for c in range(space.classes)]))
    paired = space.classes // 4 * 2
    homes = means[np.arange(paired) // 2 * 2] + 1e-4 * means[:paired]
    some = y < paired
    x[some] = homes[y[some]] + 2e-5 * (x[some] - means[y[some]])
    return _moved(space, x)


_APART = tuple(n for n, b in HEALTHY.items() if b.width < 1.5)
_MANY = tuple(n for n in _APART if HEALTHY[n].classes >= 10)
_ROOM = ("ten classes, tight", "ten classes, moderate", "neural collapse")
_CLEAN = tuple(n for n in HEALTHY if "overlapping" not in n)

DAMAGES: Mapping[str, Damage] = {
    "collapse": Damage(
        "all rows moved onto one point, but for 1 % of their way",
        "MS101",
        "problem",
        shrunk(1e-2),
    ),
    "collapse to a point": Damage(
        "all rows moved onto one point, but for 0.001 % of their way",
        "MS101",
        "problem",
        shrunk(1e-5),
        also=("MS109",),
    ),
    "cone": Damage(
        "a common direction added, five times as long as the rows",
        "MS102",
        "warning",
        cone,
    ),
    "rank cut": Damage(
        "projected onto under a quarter of min(C − 1, d) dimensions",
        "MS103",
        "problem",
        cut,
        also=("MS403",),
        bases=("fifty classes", "two hundred classes", "neural collapse"),
    ),
    "uneven spacing": Damage(
        "classes drawn together into two groups",
        "MS104",
        "warning",
        grouped,
        also=("MS108",),
        bases=_MANY,
    ),
    "two classes merged": Damage(
        "two classes given one centre",
        "MS105",
        "problem",
        merged(2),
    ),
    "three classes merged": Damage(
        "three classes given one centre",
        "MS105",
        "problem",
        merged(3),
    ),
    "hubs": Damage(
        "2 % of each class moved almost onto its centre",
        "MS106",
        "warning",
        hubs,
        bases=_ROOM,
    ),
    "two clumps a class": Damage(
        "a fifth of the classes made of two far clumps",
        "MS107",
        "warning",
        scattered(2),
        bases=_APART,
    ),
    "three clumps a class": Damage(
        "a fifth of the classes made of three far clumps",
        "MS107",
        "warning",
        scattered(3),
        bases=_APART,
    ),
    "scaled subset": Damage(
        "a tenth of the rows made five times as long",
        "MS108",
        "warning",
        stretched,
    ),
    "beyond float32": Damage(
        "half of the classes put in pairs that are 1e-4 apart",
        "MS109",
        "problem",
        twins,
    ),
    "labels 1 %": Damage(
        "1 % of the labels shuffled",
        "MS403",
        "warning",
        shuffled(0.01),
        also=("MS108",),
        bases=_CLEAN,
    ),
    "labels 5 %": Damage(
        "5 % of the labels shuffled",
        "MS403",
        "problem",
        shuffled(0.05),
        also=("MS108",),
    ),
    "labels 20 %": Damage(
        "20 % of the labels shuffled",
        "MS403",
        "problem",
        shuffled(0.2),
        also=("MS108",),
    ),
    "labels permuted": Damage(
        "all labels in another order",
        "MS408",
        "problem",
        permuted,
        also=("MS108",),
    ),
    "repeated": Damage(
        "5 % of the rows given twice",
        "MS405",
        "warning",
        repeated(0.05),
    ),
    "leaked": Damage(
        "5 % of the rows put among the training rows too",
        "MS404",
        "problem",
        leaked(0.05),
        train=True,
    ),
}
