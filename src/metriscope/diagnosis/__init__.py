"""What is wrong with this embedding space? Scores, classes, items to look at, and findings."""

from __future__ import annotations
