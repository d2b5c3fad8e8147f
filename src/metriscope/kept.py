"""What runs keep beside their scores: queries, views, pictures.

::

    runs/<key>/queries.parquet  part, id, first, r_precision, precision: a row a query
               view.json        see :class:`~metriscope.types.View`
    thumbnails.parquet          id, jpeg: of the test rows that are shown
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from metriscope.types import Queries, Results, View

QUERIES = "queries.parquet"
VIEW = "view.json"
THUMBNAILS = "thumbnails.parquet"


def write_queries(file: Path, parts: Mapping[str, Queries]) -> None:
    """Write what the queries of ``test`` and ``validation`` retrieved."""
    raise NotImplementedError


def read_queries(folder: Path, key: str, part: str) -> Queries | None:
    """Of a run and part; None if it was not kept, or cannot be read."""
    raise NotImplementedError


def write_view(folder: Path, key: str, view: View) -> None:
    """Keep how the embeddings of a run look.

    Raises:
        StorageError: no space or no permission.
    """
    raise NotImplementedError


def read_view(folder: Path, key: str) -> View | None:
    """What :func:`write_view` kept; None if there is none, or of other embeddings."""
    raise NotImplementedError


def write_thumbnails(folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Keep small JPEG pictures by the id of their row."""
    raise NotImplementedError


def read_thumbnails(folder: Path) -> dict[str, bytes]:
    """What :func:`write_thumbnails` kept; empty without."""
    raise NotImplementedError


def differences(folder: Path, results: Results) -> tuple[str, ...]:
    """Keys of runs whose scores or status are not those of ``runs/<key>/result.json``."""
    raise NotImplementedError
