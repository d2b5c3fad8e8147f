"""What an examination was made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from metriscope.data.table import show_some
from metriscope.diagnosis.reading import Read
from metriscope.diagnosis.sampling import Held
from metriscope.diagnosis.search import Search
from metriscope.diagnosis.sources import Rows


def about_rows(found: Read, search: Search | None) -> dict[str, Any]:
    """The rows that were read; see :class:`~metriscope.types.Examined`.

    Args:
        found: what was read. search: which Recall@k is of, if there was one.
    """
    roles, queries = found.roles, 0 if search is None else int(search.asked.sum())
    gallery_rows = None
    if roles.gallery is not None:
        held = found.gallery.rows if found.gallery is not None else None
        gallery_rows = held if found.streamed is None else int(found.streamed.counts.sum())
    rows, _ = found.by_class
    return {
        "split": roles.split,
        "gallery": None if roles.gallery is None else roles.gallery.origin,
        "rows": found.examined.rows,
        "sample_rows": len(found.examined.x),
        "classes": int((rows > 0).sum()),
        "dim": found.examined.x.shape[1],
        "queries": queries,
        "gallery_rows": gallery_rows,
        "train_rows": None if found.train is None else found.train.rows,
        "sampled": what_is_sampled(found, queries),
        "notes": [*found.notes, *_notes(found, search)],
    }


def what_is_sampled(found: Read, queries: int) -> str | None:
    """One sentence that says which numbers are of a sample; None where all are of all rows."""
    held, said = found.examined, []
    if found.sampled:
        said.append(
            f"Of {held.rows:,} rows, class counts and the scores of class moments (no interval) "
            f"are exact; what needs pairs of rows is of {len(held.x):,} drawn at random, as a "
            "space of their own, so scores that depend on how many rows there are (R-precision, "
            "MAP@R, hubness and others), and their intervals, are for so many rows, not for all"
        )
    if found.streamed is not None:
        among = "all rows" if found.roles.gallery is None else "the whole gallery"
        said.append(
            f"Recall@k, the classes' recall and the confusions are of {queries:,} queries drawn "
            f"at random, each searched exactly among {among}"
        )
    if found.train is not None and found.train.rows > len(found.train.x):
        said.append(
            f"of the {found.train.rows:,} training rows {len(found.train.x):,}, drawn at random, "
            "are used, so what they tell is for so many rows"
        )
    if found.streamed_train is not None:
        said.append(
            f"but copies in training and kNN accuracy are of {len(found.streamed_train.queries):,} "
            "queries drawn at random, each searched exactly among all training rows"
        )
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}." if text else None


def _notes(found: Read, search: Search | None) -> list[str]:
    """What a person should know of classes and ids, a sentence each."""
    roles, said = found.roles, []
    if found.examined.rows == 1 and roles.gallery is None:
        said.append("One row only: there is nothing to find, and no spread.")
    elif len(found.codes if roles.gallery is not None else np.flatnonzero(found.by_class[0])) == 1:
        said.append(
            "One class only: whatever is found is of it, so retrieval says nothing of the space."
        )
    said += _twice(found.examined, roles.examined)
    if roles.gallery is not None and found.gallery is not None:
        said += _twice(found.gallery, roles.gallery)
    return said + (_own(found, search) if roles.by_id and search is not None else [])


def _twice(held: Held, rows: Rows) -> list[str]:
    """Whether ids name more than one row."""
    if not rows.has_ids:
        return []
    known, counts = np.unique(held.ids, return_counts=True)
    shared = int(counts[counts > 1].sum())
    if not shared:
        return []
    which = f"{shared:,} of {len(held.ids):,} rows of {rows.origin}"
    looked = " (of those in memory)" if len(held.ids) < held.rows else ""
    some = show_some(known[counts > 1].tolist())
    return [f"{which}{looked} share their id with another row: {some}."]


def _own(found: Read, search: Search) -> list[str]:
    """What leaving out the rows of a query's own id did."""
    examined, gallery = found.roles.examined.origin, found.gallery_rows
    if gallery is not None:
        known = np.isin(found.examined.ids.astype(str), gallery.ids.astype(str))
        counts = np.bincount(gallery.y, minlength=len(search.class_names))
    elif found.streamed is not None:
        known, counts = found.streamed.known, found.streamed.of_classes(found.coding[1])
    else:
        return []
    where = found.roles.gallery.origin if found.roles.gallery is not None else ""
    if not known.any():
        return [f"No id of {examined} occurs in {where}: nothing was left out."]
    alone = int((~search.asked & (counts[search.y] > 0)).sum())
    if not alone:
        return []
    return [
        f"{alone:,} of {len(search.y):,} queries have no row of their class in {where} but those "
        "with their own id, which are left out; so they are not counted."
    ]
