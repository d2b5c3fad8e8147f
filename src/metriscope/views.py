"""How the embeddings of finished runs look: computed once, kept beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from metriscope.types import Results


def complete(
    folder: Path,
    results: Results,
    *,
    jobs: int = 1,
    notify: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Make the view of the first finished run of every loss and dataset that has none yet."""
    raise NotImplementedError
