"""What an examination was made of."""

from __future__ import annotations

from typing import Any

from metriscope.diagnosis.reading import Read


def about_rows(found: Read, queries: int) -> dict[str, Any]:
    """The rows that were read; see :class:`~metriscope.types.Examined`.

    Args:
        found: what was read. queries: how many were searched with.
    """
    roles = found.roles
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
        "notes": found.notes,
    }


def what_is_sampled(found: Read, queries: int) -> str | None:
    """One sentence that says which numbers are of a sample; None where all are of all rows."""
    held, said = found.examined, []
    if found.sampled:
        said.append(
            f"Of {held.rows:,} rows, class counts and the scores of class moments (no interval) "
            f"are exact; what needs pairs of rows is of {len(held.x):,} drawn at random, as a "
            "space of their own"
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
            "are used"
        )
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}." if text else None
