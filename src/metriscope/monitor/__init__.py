"""Is this loss still learning, on how many samples, and how hard? In any training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metriscope.monitor.monitor import Monitor as Monitor
    from metriscope.monitor.writers import Writer as Writer

__all__ = ["Monitor", "Writer"]


def __getattr__(name: str) -> Any:
    """Import on first use: torch comes with the monitor."""
    if name == "Monitor":
        from metriscope.monitor.monitor import Monitor

        return Monitor
    if name == "Writer":
        from metriscope.monitor.writers import Writer

        return Writer
    raise AttributeError(f"module 'metriscope.monitor' has no attribute {name!r}")
