"""From the embeddings of a run to how they look."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from metriscope.diagnosis.classes import confusions, per_class
from metriscope.diagnosis.search import Search, nothing
from metriscope.diagnostics.base import Space
from metriscope.disk import ABOUT
from metriscope.ops.neighbours import Gallery
from metriscope.types import Confusion, Embeddings, InputError, Queries, View
from metriscope.views.projection import project
from metriscope.views.sampling import stratified

SEED = 0
DRAWN = 1_000  # rows
PAIRED = 2_000  # rows whose pairs are measured
ASKED = 10_000  # queries
BINS = 100
CONFUSIONS = 100
ILLUSTRATED = 10  # confusions
EXAMPLES = 3  # of each


def read(file: Path) -> Embeddings:
    """The embeddings of a run.

    Raises:
        InputError: there are none, or they cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file, columns=["id", "label", "embedding"], use_threads=False)
        names = tuple(json.loads(table.schema.metadata[ABOUT.encode()])["class_names"])
        labels = table["label"].combine_chunks().dictionary_encode()
        column = table["embedding"].combine_chunks()
        x = column.flatten().to_numpy().reshape(len(table), column.type.list_size)
        codes = {name: code for code, name in enumerate(names)}
        of_label = np.array([codes[label] for label in labels.dictionary.to_pylist()], np.int64)
        y = of_label[labels.indices.to_numpy()]
        return Embeddings(x, y, names, "test", str(file), table["id"].to_numpy())
    except FileNotFoundError:
        raise InputError("its embeddings are not there; compare again to have them.") from None
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file} is damaged ({type(error).__name__}).") from None


def make(embeddings: Embeddings, queries: Queries | None = None) -> View:
    """How a labelled space looks; the same for the same embeddings, whatever made them.

    Args:
        embeddings: (n, d), of any length; brought to length 1.
        queries: what each row retrieved, so that only lost ones are searched with; without, all.
    """
    space = Space(embeddings)
    y, ids = embeddings.y, embeddings.ids.astype(str)
    rows = stratified(y, DRAWN, SEED)
    drawn = project(space.centred[rows].numpy(), SEED, collapsed=space.collapsed)
    paired = stratified(y, PAIRED, SEED)
    within, between = _distances(space.z[paired].numpy(), y[paired])
    edges = _edges(*(() if space.collapsed else (within, between)))
    search = nothing(embeddings) if space.collapsed else _search(space, queries)
    found = confusions(search)[:CONFUSIONS]
    return View(
        labels=tuple(embeddings.class_names[code] for code in y[rows].tolist()),
        ids=tuple(ids[rows].tolist()),
        points=drawn.points,
        preserved=drawn.preserved,
        trustworthiness=drawn.trustworthiness,
        spectrum=_spectrum(space),
        edges=edges,
        within=_shares(within, edges),
        between=_shares(between, edges),
        medians=(_median(within), _median(between)),
        overlap=None if space.collapsed else _overlap(within, between),
        classes=per_class(search, embeddings.class_names, *_spread(space)),
        confusions=found,
        examples=_examples(search, found[:ILLUSTRATED]),
        settings={
            "projection": drawn.method,
            "rows": len(y),
            "drawn": len(rows),
            "paired": len(paired),
            "queries": len(search.y),
            "dim": embeddings.x.shape[1],
            "collapsed": space.collapsed,
            "seed": SEED,
        },
    )


def _search(space: Space, queries: Queries | None) -> Search:
    """What queries find first: all of them, or a random ``ASKED``, among all rows."""
    n, y, ids = len(space.test), space.test.y, space.test.ids
    relevant = space.test.counts[y] - 1
    asked = np.arange(n)
    if n > ASKED:
        asked = np.sort(np.random.default_rng(SEED).choice(n, ASKED, replace=False))
    lost = relevant > 0
    if queries is not None and len(queries.first) == n:
        lost &= queries.first != 1
    first = np.arange(n)  # a query that is not searched with has found its class: say, itself
    left = asked[lost[asked]]
    gallery = Gallery(space.z)
    for part in gallery.parts(len(left)):
        rows = torch.from_numpy(left[part])
        first[left[part]] = gallery.nearest_index(space.z[rows], rows, 1)[:, 0].numpy()
    first = first[asked]
    return Search(
        y[asked],
        ids[asked],
        asked,
        y[first][:, None],
        ids[first][:, None],
        np.full((len(asked), 1), np.nan),
        relevant[asked],
        space.test.class_names,
        gallery_rows=n - 1,
    )


def _examples(
    search: Search, found: Sequence[Confusion]
) -> tuple[tuple[tuple[str, str], ...], ...]:
    """A few queries of each confusion with what they found, in the order of the rows."""
    codes = {name: code for code, name in enumerate(search.class_names)}
    made = []
    for confusion in found:
        ours = (search.y == codes[confusion.label]) & (search.relevant > 0)
        ours &= search.nearest_y[:, 0] == codes[confusion.found]
        rows = np.flatnonzero(ours)[:EXAMPLES].tolist()
        made.append(tuple((str(search.ids[i]), str(search.nearest_ids[i, 0])) for i in rows))
    return tuple(made)


def _spread(space: Space) -> tuple[np.ndarray, np.ndarray]:
    """(C,) rows of each class, and (C,) their spread; NaN of a class that is not there."""
    spread = np.full(space.test.num_classes, np.nan)
    spread[space.moments.codes.numpy()] = space.class_spread.numpy()
    return space.test.counts, spread


def _spectrum(space: Space) -> np.ndarray:
    """(min(n, d),) singular values over their sum; zeros if all rows are one point."""
    values = space.centred_singular_values.numpy()
    return np.zeros_like(values) if space.collapsed else values / values.sum()


def _distances(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine distances of pairs of one class, and of two, rising.

    ‖u − v‖²/2 from differences: in a collapsed space 1 − ⟨u, v⟩ would be rounding noise.
    """
    from scipy.spatial.distance import pdist

    distances = pdist(z, "sqeuclidean") / 2
    i, j = np.triu_indices(len(z), 1)
    same = y[i] == y[j]
    return np.sort(distances[same]), np.sort(distances[~same])


def _edges(*distances: np.ndarray) -> np.ndarray:
    """(BINS + 1,) from 0 to the largest distance; to 2 where all are 0, or there is none."""
    farthest = max((float(rising[-1]) for rising in distances if len(rising)), default=0.0)
    return np.linspace(0, farthest or 2.0, BINS + 1)


def _shares(rising: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(b,) shares of the distances in each bin; zeros of none."""
    below = np.searchsorted(rising, edges[1:-1])
    return np.diff(below, prepend=0, append=len(rising)) / max(len(rising), 1)


def _median(rising: np.ndarray) -> float | None:
    middle = rising[(len(rising) - 1) // 2 : len(rising) // 2 + 1]
    return float(middle.mean()) if len(rising) else None


def _overlap(within: np.ndarray, between: np.ndarray) -> float | None:
    """P(within > between) + P(equal)/2: one minus the area under the ROC curve."""
    if not len(within) or not len(between):
        return None
    nearer = np.searchsorted(between, within, "left") + np.searchsorted(between, within, "right")
    return float(nearer.mean() / (2 * len(between)))
