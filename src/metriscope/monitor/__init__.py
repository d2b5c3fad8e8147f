"""Is this loss still learning, on how many samples, and how hard? In any training loop."""

from __future__ import annotations
