"""``metriscope.diagnose``: from a source to scores, classes, items and findings."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, get_args

from metriscope.data.checks import ZeroVectors
from metriscope.data.devices import resolve_device
from metriscope.data.streaming import Part
from metriscope.data.unit_rows import ClassCodes, UnitRows
from metriscope.diagnosis import scoring
from metriscope.diagnosis import search as searching
from metriscope.diagnosis.about import about_rows
from metriscope.diagnosis.classes import by_chance, confusions, per_class
from metriscope.diagnosis.items import shares, suspects
from metriscope.diagnosis.reading import Read, Roles, read
from metriscope.diagnosis.result import Diagnosis
from metriscope.diagnosis.sampling import Progress
from metriscope.diagnosis.search import Search
from metriscope.diagnosis.sources import joined, open_rows
from metriscope.findings import examine_subject
from metriscope.findings.base import of_space
from metriscope.grid import machine
from metriscope.train import versions
from metriscope.types import InputError, Interval
from metriscope.types._errors import one_of, require

ONLY = ("geometry", "retrieval", "findings")
QUERIES = 4000  # that are searched among rows that do not fit


def diagnose(
    embeddings: Any,
    labels: Any = None,
    *,
    only: str | Sequence[str] | None = None,
    gallery: Any = None,
    gallery_labels: Any = None,
    train: Any = None,
    ids: Any = None,
    split: Part = "test",
    sample: int = 50_000,
    queries: int | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    zero_vectors: ZeroVectors = "error",
    device: str = "cpu",
    notify: Callable[[str], None] = lambda sentence: None,
    progress: Progress = lambda what, rows, most: None,
    command: str = "",
) -> Diagnosis:
    """Examine a labelled embedding space: scores, classes, items to look at, and findings.

    ``diagnose("embeddings.parquet")``, ``diagnose(x, y)``, ``diagnose("queries.npz",
    gallery="catalogue.parquet")``. Without a gallery each row is a query among the others.

    Rows beyond ``sample`` are never in memory together. Then what class moments decide is still
    exact, of all rows; Recall@k is of ``queries`` rows drawn at random, each searched exactly among
    all; all else that needs pairs is of the sample, as a space of its own. ``about["sampled"]``
    says so, and everything that is of a sample has an interval.

    Args:
        embeddings: a SOURCE of vectors (see :func:`metriscope.data.load`), (n, d) numbers, a
            tensor on any device, :class:`~metriscope.types.Embeddings`, (x, y), or a ``Dataset``.
        labels: n of them, or a file of them, for what has none. From a file that has ids each row
            gets that of its id, if it has one, else all in order.
        only: one or more of ``geometry`` and ``retrieval``, these scores alone, and ``findings``,
            with all that they need; by default everything.
        gallery: what the rows are searched in instead: a SOURCE, embeddings, (x, y) or (x, y, ids).
            Rows with a query's own id are left out, where both sides have ids.
        gallery_labels: labels of a gallery that has none.
        train: training embeddings, as ``gallery``; of a divided source by default its train part.
        ids: n of them, for arrays.
        split: which part of a divided source to examine: ``test``, ``train`` or ``all``.
        sample: rows that are held in memory.
        queries: how many rows are searched among rows that do not fit; 4,000 by default.
        confidence: of the intervals.
        resamples: of the bootstrap over queries.
        seed: of the sample and of the bootstrap.
        zero_vectors: what to do with rows of norm below 1e-6: ``error``, ``keep`` or ``drop``.
        device: ``cpu``, ``cuda`` or ``auto``.
        notify: told, in sentences, what a person should know.
        progress: told what is done, how many rows are, and of how many, or more.
        command: the command line, for the report.

    Raises:
        InputError: whatever cannot be used, in one or two lines.
    """
    start = time.perf_counter()
    chosen = _chosen(only)
    asked = QUERIES if queries is None else queries
    _check(split, zero_vectors, sample, asked, confidence, resamples, seed)
    roles = _roles(embeddings, labels, ids, split, train, gallery, gallery_labels)
    found = read(
        roles,
        UnitRows(zero_vectors, resolve_device(device), ClassCodes()),
        sample=sample,
        queries=asked,
        seed=seed,
        search=bool(chosen & {"retrieval", "findings"}),
        search_train="findings" in chosen,
        progress=progress,
    )
    examined = _examined(found, chosen, confidence, resamples, seed)
    for sentence in examined.about["notes"]:
        notify(sentence)
    about = {
        "source": _source(embeddings, roles),
        "labels": _said(labels),
        **examined.about,
        "confidence": confidence,
        "resamples": resamples,
        "seed": seed,
        "command": command,
        "machine": machine(),
        "versions": versions(),
    }
    examined = replace(examined, about=about)
    if "findings" in chosen:
        examined = replace(examined, findings=examine_subject(of_space(examined)))
    return replace(examined, about={**about, "seconds": time.perf_counter() - start})


def _examined(
    found: Read, chosen: set[str], confidence: float, resamples: int, seed: int
) -> Diagnosis:
    """Everything but the findings, as far as it was chosen."""
    space, moments, (names, _) = found.space, found.examined.moments, found.coding
    groups = None if "findings" in chosen else chosen
    scores = scoring.measured(space, moments, groups)
    bounds: dict[str, Interval] = {}
    done, search = Diagnosis(scores), None
    if chosen & {"retrieval", "findings"}:
        in_gallery = found.roles.gallery is not None
        search, ranked = _searches(found)
        if moments is not None or in_gallery:
            scores |= scoring.of_search(search, ranked)
            scores["queries.excluded"] = float(_excluded(found, search))
        bounds |= scoring.of_queries(scores, search, ranked, confidence, resamples, seed)
        table = per_class(search, names, *found.by_class, confidence)
        done = replace(done, per_class=table, confusions=confusions(search))
        if in_gallery:
            scores["gallery.spread"] = found.gallery_spread
        if "findings" in chosen:
            beside = found.streamed_train
            in_train = None if beside is None else beside.search(space.test, found.coding[1])
            if in_train is not None:
                scores |= scoring.of_training_search(in_train)
            if moments is not None or in_gallery:
                scores |= (copies := shares(search, "gallery" if in_gallery else "within"))
                bounds |= scoring.of_shares(copies, len(search.y), confidence)
            bounds |= scoring.of_training(scores, space, in_train, confidence)
            done = replace(done, items=suspects(space, search, in_train, gallery=in_gallery))
    if moments is not None:
        sure = scoring.exact_names() | bounds.keys() | {"queries.excluded", "gallery.spread"}
        bounds |= scoring.of_sample(scores, space, sure, groups, confidence, seed)
    about = about_rows(found, search)
    about["chance"] = None if search is None else by_chance(search)
    if scores.get("classes.clumped"):
        clumped = space.moments.codes[space.clumped].tolist()
        about["clumped_classes"] = [names[code] for code in clumped]
    return replace(done, scores=scores, intervals=bounds, about=about)


def _searches(found: Read) -> tuple[Search, Search]:
    """What Recall@k is of, and what needs the R nearest of each query."""
    if found.gallery_rows is not None:
        both = searching.in_gallery(found.space, found.gallery_rows, by_id=found.roles.by_id)
        return both, both
    own = searching.among_themselves(found.space)
    if found.streamed is None:
        return own, own
    streamed = found.streamed.search(found.space.test, found.coding[1])
    return streamed, streamed if found.roles.gallery is not None else own


def _excluded(found: Read, search: Search) -> int:
    """Queries without anything to find: of all rows where they search each other."""
    if found.roles.gallery is not None:
        asked = found.space.test if found.streamed is None else found.streamed.queries
        return len(asked) - int(search.asked.sum())
    rows, _ = found.by_class
    return int((rows == 1).sum())


# -------------------------------------------------------------------------------- what was asked


def _roles(
    embeddings: Any,
    labels: Any,
    ids: Any,
    split: Part,
    train: Any,
    gallery: Any,
    gallery_labels: Any,
) -> Roles:
    if gallery is None and gallery_labels is not None:
        raise InputError("gallery_labels= (--gallery-labels) goes with a gallery; give that too.")
    parts = open_rows("embeddings", embeddings, labels, ids)
    if split != "all" and list(parts) != ["all"] and split not in parts:
        origin = parts[next(iter(parts))].origin
        raise InputError(
            f"{origin}: no {split} part; it has {', '.join(parts)}. Choose with split=."
        )
    if split == "train" and list(parts) == ["all"]:
        raise InputError(f"{parts['all'].origin} is not divided; leave out split=.")
    part = split if split in parts else None
    beside = parts.get("train") if part == "test" else None
    if train is not None:
        beside = joined(open_rows("training embeddings", train))
    among = None if gallery is None else joined(open_rows("gallery", gallery, gallery_labels))
    examined = joined(parts) if part is None else parts[part]
    return Roles(examined, beside, among, part)


def _chosen(only: str | Sequence[str] | None) -> set[str]:
    chosen = set(ONLY) if only is None else {only} if isinstance(only, str) else set(only)
    strange = sorted(map(str, chosen - set(ONLY)))
    if strange or not chosen:
        raise InputError(
            f"only is {', '.join(map(repr, strange)) or 'empty'}; it must be one or more of "
            f"{', '.join(ONLY)}."
        )
    return chosen


def _check(
    split: str,
    zero_vectors: str,
    sample: int,
    queries: int,
    confidence: float,
    resamples: int,
    seed: int,
) -> None:
    one_of("split", split, get_args(Part))
    one_of("zero_vectors", zero_vectors, get_args(ZeroVectors))
    for name, value, least in (
        ("sample", sample, 2),
        ("queries", queries, 2),
        ("resamples", resamples, 1),
        ("seed", seed, 0),
    ):
        require(isinstance(value, Integral) and value >= least, name, value, f"{least} or more")
    require(0 < confidence < 1, "confidence", confidence, "between 0 and 1")


def _source(embeddings: Any, roles: Roles) -> str:
    """A path or a dataset as it was given; of arrays what they are called."""
    given = isinstance(embeddings, str | os.PathLike)
    return os.fspath(embeddings) if given else roles.examined.origin


def _said(labels: Any) -> str | None:
    """A file of labels, if it was one."""
    return os.fspath(labels) if isinstance(labels, str | os.PathLike) else None
