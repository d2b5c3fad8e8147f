"""Small pictures of a few rows, to look at."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from itertools import pairwise

import numpy as np

from metriscope.data.decoding import BrokenPicture, picture
from metriscope.data.pictures import Pictures, Raw
from metriscope.data.sources import find
from metriscope.types import InputError

SIDE = 64  # pixels
QUALITY = 75
_NEAR = 500  # rows


def thumbnails(source: str | os.PathLike[str], ids: Collection[str]) -> dict[str, bytes]:
    """JPEG files of at most 64 × 64 pixels, by id.

    Those that cannot be read are left out; a source without pictures, or that is no longer there,
    has none.

    Args:
        source: what the dataset was loaded from.
        ids: of rows of its test part, as text. Where one part's ids occur in the other,
            :func:`metriscope.data.load` may have put the part in front: ``test:17``.
    """
    try:
        parts = find(source).pictures
    except InputError:
        return {}
    found: dict[str, bytes] = {}
    with suppress(InputError):  # what was there when it was loaded is there no more
        for pictures, names in _places(parts, ids):
            for id, raw in zip(names.values(), _read(pictures, list(names)), strict=True):
                with suppress(BrokenPicture):
                    found[id] = _small(raw)
    return found


def _places(
    parts: Mapping[str, Pictures], ids: Collection[str]
) -> Iterator[tuple[Pictures, dict[int, str]]]:
    """Parts, and which of their rows are meant, by what name; test before train."""
    left = set(ids)
    for part in sorted(parts):  # "all" | "test", "train"
        own = parts[part].ids.astype(str)
        meant = {id.removeprefix(f"{part}:"): id for id in left} | {id: id for id in left}
        rows = np.flatnonzero(np.isin(own, list(meant))).tolist()
        names = {row: meant[str(own[row])] for row in rows}
        left -= set(names.values())
        yield parts[part], names


def _read(pictures: Pictures, rows: list[int]) -> Iterator[Raw]:
    """Pictures of rows that rise, in stretches: passing one by costs less than a new start."""
    starts = [i for i, row in enumerate(rows) if not i or row - rows[i - 1] > _NEAR]
    for first, stop in pairwise([*starts, len(rows)]):
        wanted, at = set(rows[first:stop]), rows[first]
        passing = pictures.shelf.read(at, rows[stop - 1] + 1)
        yield from (raw for row, raw in enumerate(passing, at) if row in wanted)


def _small(raw: Raw) -> bytes:
    with picture(raw) as image:
        image.thumbnail((SIDE, SIDE))
        out = BytesIO()
        image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
