"""How a space looks, against brute force and closed forms."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from metriscope.types import Embeddings, Queries, View
from metriscope.views import making
from metriscope.views.making import make
from metriscope.views.projection import project
from metriscope.views.sampling import stratified


def space(rows: int = 90, classes: int = 4, dim: int = 8, noise: float = 1.2) -> Embeddings:
    rng = np.random.default_rng(3)
    y = rng.integers(0, classes, rows)
    x = rng.standard_normal((classes, dim))[y] + noise * rng.standard_normal((rows, dim))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    names = tuple(f"class {i}" for i in range(classes))
    return Embeddings(x, y, names, "test", "made", np.arange(1_000, 1_000 + rows))


def nearest(x: np.ndarray) -> np.ndarray:
    squared = ((x[:, None] - x[None]) ** 2).sum(2)
    np.fill_diagonal(squared, np.inf)
    return squared.argmin(1)


@pytest.fixture(scope="module")
def made() -> tuple[Embeddings, View]:
    embeddings = space()
    return embeddings, make(embeddings)


# --------------------------------------------------------------------------------------- the rows


def test_a_sample_has_every_class_in_proportion_and_depends_on_labels_alone() -> None:
    y = np.repeat([0, 1, 2], [6_000, 3_000, 1_000])
    np.random.default_rng(0).shuffle(y)
    rows = stratified(y, 1_000, 0)
    assert len(rows) == 1_000
    assert (np.diff(rows) > 0).all()
    assert np.abs(np.bincount(y[rows]) - [600, 300, 100]).max() <= 1
    assert (rows == stratified(y, 1_000, 0)).all()
    assert (rows != stratified(y, 1_000, 1)).any()
    assert (stratified(y[:50], 1_000, 0) == np.arange(50)).all()


def test_of_too_many_classes_some_are_shown_with_five_rows_each() -> None:
    y = np.arange(6_000) % 1_000
    rows = stratified(y, 1_000, 0)
    assert len(rows) == 1_000
    assert set(Counter(y[rows].tolist()).values()) == {5, 6} or set(
        Counter(y[rows].tolist()).values()
    ) == {5}
    pairs = stratified(np.arange(6_000) // 2, 1_000, 0)  # classes of two are taken whole
    assert len(pairs) == 1_000
    assert set(np.bincount(pairs // 2).tolist()) == {0, 2}
    alone = stratified(np.arange(5_000), 1_000, 0)
    assert len(alone) == 1_000


def test_the_rows_drawn_are_called_by_their_names(made: tuple[Embeddings, View]) -> None:
    embeddings, view = made
    assert view.ids == tuple(map(str, embeddings.ids.tolist()))
    assert view.labels == tuple(embeddings.class_names[c] for c in embeddings.y)
    assert view.points.shape == (90, 2)
    assert np.isfinite(view.points).all()


# ------------------------------------------------------------------------------------ the numbers


def test_classes_and_confusions_are_those_of_brute_force(made: tuple[Embeddings, View]) -> None:
    embeddings, view = made
    x, y, near = embeddings.x, embeddings.y, nearest(embeddings.x)
    for code, row in enumerate(view.classes):
        own = y == code
        assert (row.name, row.rows, row.queries) == (f"class {code}", own.sum(), own.sum())
        assert row.recall == pytest.approx((y[near[own]] == code).mean())
        assert row.spread == pytest.approx(((x[own] - x[own].mean(0)) ** 2).sum(1).mean())
        assert row.interval is not None
        assert row.interval.low < row.recall < row.interval.high
    lost = Counter((a, b) for a, b in zip(y.tolist(), y[near].tolist(), strict=True) if a != b)
    found = {(c.label, c.found): c.queries for c in view.confusions}
    assert found == {(f"class {a}", f"class {b}"): n for (a, b), n in lost.items()}
    assert [c.queries for c in view.confusions] == sorted(found.values(), reverse=True)


def test_examples_are_queries_with_what_they_found(made: tuple[Embeddings, View]) -> None:
    embeddings, view = made
    near = nearest(embeddings.x)
    assert len(view.examples) == min(len(view.confusions), making.ILLUSTRATED)
    for confusion, pairs in zip(view.confusions, view.examples, strict=False):
        assert len(pairs) == min(confusion.queries, making.EXAMPLES)
        for query, found in pairs:
            row, other = int(query) - 1_000, int(found) - 1_000
            assert near[row] == other
            assert embeddings.class_names[embeddings.y[row]] == confusion.label
            assert embeddings.class_names[embeddings.y[other]] == confusion.found


def test_stored_queries_save_the_search_and_change_nothing(
    made: tuple[Embeddings, View], monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings, view = made
    hit = embeddings.y[nearest(embeddings.x)] == embeddings.y
    nan = np.full(90, np.nan)
    first = np.where(hit, 1, 0)
    searched: list[int] = []
    parts = making.Gallery.parts
    monkeypatch.setattr(
        making.Gallery, "parts", lambda self, n: searched.append(n) or parts(self, n)
    )
    again = make(embeddings, Queries(embeddings.ids, first, nan, nan))
    assert searched == [(~hit).sum()]
    assert again.classes == view.classes
    assert again.confusions == view.confusions
    assert again.examples == view.examples
    other = make(embeddings, Queries(embeddings.ids[:5], first[:5], nan[:5], nan[:5]))
    assert other.classes == view.classes  # of other rows: not used


def test_of_many_queries_some_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "ASKED", 40)
    embeddings = space()
    view = make(embeddings)
    assert sum(row.queries for row in view.classes) == 40
    assert sum(row.rows for row in view.classes) == 90
    assert view.settings["queries"] == 40
    whole = {(c.label, c.found) for c in make(embeddings).confusions}
    assert {(c.label, c.found) for c in view.confusions} <= whole  # among all rows


def test_distances_are_those_of_all_pairs(made: tuple[Embeddings, View]) -> None:
    embeddings, view = made
    i, j = np.triu_indices(90, 1)
    cosine = 1 - (embeddings.x[i] * embeddings.x[j]).sum(1)
    same = embeddings.y[i] == embeddings.y[j]
    for shares, median, own in (
        (view.within, view.medians[0], same),
        (view.between, view.medians[1], ~same),
    ):
        assert shares.sum() == pytest.approx(1)
        assert shares == pytest.approx(
            np.histogram(cosine[own].clip(max=view.edges[-1]), view.edges)[0] / own.sum()
        )
        assert median == pytest.approx(np.median(cosine[own]))
    assert view.overlap == pytest.approx(1 - roc_auc_score(~same, cosine))
    assert (view.edges[0], view.edges[-1]) == (0, pytest.approx(cosine[i != j].max()))
    assert view.settings["dim"] == 8


def test_a_cone_keeps_its_digits() -> None:
    wide = space()
    far = np.zeros(8)
    far[0] = 1e6
    narrow = Embeddings(wide.x + far, wide.y, wide.class_names, "test", "made", wide.ids)
    view, inner = make(narrow), wide.x.copy()
    inner[:, 0] = 0  # what lies along the cone does not turn a vector
    i, j = np.triu_indices(90, 1)
    same = wide.y[i] == wide.y[j]
    true = ((inner[i] - inner[j]) ** 2).sum(1) / 2e12
    assert view.medians[0] == pytest.approx(np.median(true[same]), rel=1e-4)
    assert view.overlap == pytest.approx(1 - roc_auc_score(~same, true), abs=1e-3)
    assert (len(view.edges), view.edges[-1]) == (101, pytest.approx(true.max(), rel=1e-4))
    below = np.concatenate([[0], view.between.cumsum()])  # of the pairs between, at each edge
    seen = (view.within * (below[1:] + below[:-1]) / 2).sum()
    assert seen == pytest.approx(view.overlap, abs=0.005)  # the picture says what the number does
    assert view.preserved is not None
    assert view.preserved > 0.4


def test_the_spectrum_is_that_of_the_centred_rows(made: tuple[Embeddings, View]) -> None:
    embeddings, view = made
    values = np.linalg.svd(embeddings.x - embeddings.x.mean(0), compute_uv=False)
    assert view.spectrum == pytest.approx(values / values.sum())


# --------------------------------------------------------------------------------- the projection


def test_what_lies_in_a_plane_is_drawn_as_it_is() -> None:
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((60, 2)) @ np.linalg.qr(rng.standard_normal((9, 2)))[0].T
    drawn = project(flat, 0)
    assert drawn.method == "principal components"
    assert (drawn.preserved, drawn.trustworthiness) == (1, 1)
    before, after = (np.linalg.norm(x[:, None] - x[None], axis=2) for x in (flat, drawn.points))
    assert after / after.max() == pytest.approx(before / before.max(), abs=1e-9)


def test_a_projection_says_how_many_neighbours_it_keeps() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 12))
    drawn = project(x, 0)
    assert "t-SNE" in drawn.method

    def ten(z: np.ndarray) -> list[set[int]]:
        squared = ((z[:, None] - z[None]) ** 2).sum(2)
        np.fill_diagonal(squared, np.inf)
        return [set(row[:10].tolist()) for row in squared.argsort(1)]

    kept = [len(a & b) / 10 for a, b in zip(ten(x), ten(drawn.points), strict=True)]
    assert drawn.preserved == pytest.approx(np.mean(kept))
    assert drawn.preserved > 0.3  # by chance 0.13
    assert (project(x, 0).points == drawn.points).all()
    assert project(1e-9 * x, 0).preserved == pytest.approx(drawn.preserved, abs=0.1)


# ------------------------------------------------------------------------------------- degenerate


_RNG = np.random.default_rng(0)
SPACES = {
    "one point": (np.ones((30, 4)), np.arange(30) % 3),
    "no length": (np.zeros((30, 4)), np.arange(30) % 3),
    "one row": (np.ones((1, 4)), np.zeros(1, int)),
    "two rows": (np.eye(2), np.arange(2)),
    "three rows": (np.eye(3), np.zeros(3, int)),
    "four rows": (np.eye(4), np.array([0, 0, 1, 1])),
    "five rows": (np.eye(5), np.array([0, 0, 1, 1, 2])),
    "one dimension": (_RNG.standard_normal((30, 1)), np.arange(30) % 2),
    "two dimensions": (_RNG.standard_normal((30, 2)), np.arange(30) % 2),
    "one class": (_RNG.standard_normal((30, 5)), np.zeros(30, int)),
    "classes of one row": (_RNG.standard_normal((30, 5)), np.arange(30)),
    "three points": (np.repeat(np.eye(3), 12, 0), np.repeat([0, 1, 2], 12)),
    "six points": (np.repeat(np.eye(6), 12, 0), np.arange(72) % 5),
    "more dimensions than rows": (_RNG.standard_normal((8, 40)), np.arange(8) % 2),
}


@pytest.mark.parametrize(("x", "y"), SPACES.values(), ids=SPACES)
def test_every_space_can_be_looked_at(x: np.ndarray, y: np.ndarray) -> None:
    embeddings = Embeddings(x, y, tuple(f"c{i}" for i in range(y.max() + 2)), "test")
    view = make(embeddings)
    assert view.points.shape == (len(x), 2)
    for numbers in (view.points, view.spectrum, view.within, view.between):
        assert np.isfinite(numbers).all()
    assert {row.name for row in view.classes} == {f"c{code}" for code in y}
    for score in (view.preserved, view.trustworthiness, view.overlap):
        assert score is None or 0 <= score <= 1
    counts = np.bincount(y)
    assert (view.medians[0] is None) == (counts.max() < 2)
    assert (view.medians[1] is None) == ((counts > 0).sum() < 2)
    alone = {f"c{code}" for code in np.flatnonzero(counts == 1)}
    assert {row.name for row in view.classes if row.recall is None} >= alone


@pytest.mark.parametrize("x", [np.ones((30, 4)), np.zeros((30, 4))])
def test_of_one_point_nothing_is_made_up(x: np.ndarray) -> None:
    view = make(Embeddings(x, np.arange(30) % 3, ("a", "b", "c"), "test"))
    assert (view.preserved, view.trustworthiness, view.overlap) == (None, None, None)
    assert not view.points.any()
    assert not view.spectrum.any()
    assert view.edges[-1] == 2
    assert view.medians == (0, 0)
    assert view.confusions == ()
    assert {row.recall for row in view.classes} == {None}
    assert view.settings["collapsed"]
