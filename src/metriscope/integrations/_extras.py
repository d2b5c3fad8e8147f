"""What to install when a library is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around the import of an optional library: says in one line which extra has it.

    Args:
        name: of the integration, and with hyphens of the extra.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"metriscope.integrations.{name} cannot import {error.name or name}: "
            f"pip install 'metriscope[{name.replace('_', '-')}]'."
        ) from error
