"""What a report rests on: results, and what their runs left beside them, read when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from metriscope import kept, statistics
from metriscope.statistics import Estimate, Outcomes, Pair, Rank
from metriscope.types import Queries, Results, RunResult, View


class Evidence:
    """Results with the folder that they lie in.

    Args:
        results: a comparison, of one dataset or of several.
        folder: where ``runs/`` is; None for results in memory, which have no queries and no views.
    """

    def __init__(self, results: Results, folder: Path | None = None) -> None:
        self.results, self.folder = results, folder
        self._cached: dict[object, object] = {}

    @cached_property
    def parts(self) -> dict[str, Evidence]:
        """Of each dataset by itself; of one dataset, this."""
        names = self.results.datasets
        if "datasets" not in self.results.about:
            return dict.fromkeys(names[:1], self)
        return {name: Evidence(self.results.of(name), self.folder) for name in names}

    def queries(self, run: RunResult, part: str = "test") -> Queries | None:
        """What the rows of ``test`` or ``validation`` retrieved; None if it was not kept."""
        return None if self.folder is None else kept.read_queries(self.folder, run.key, part)

    def view(self, run: RunResult) -> View | None:
        """How the test embeddings of a run look; None if that was not made."""
        return None if self.folder is None else kept.read_view(self.folder, run.key)

    @cached_property
    def shown(self) -> dict[str, tuple[RunResult, View]]:
        """Of each loss, the first finished run that has a view, with it."""
        found = {}
        for loss, runs in self.results.by_loss().items():
            for run in runs:
                view = self.view(run) if run.status == "done" else None
                if view is not None:
                    found[loss] = (run, view)
                    break
        return found

    def outcomes(self, score: str, part: str = "test") -> Outcomes:
        """A score of every loss, paired by seed, and by query where that was kept."""
        key = ("outcomes", score, part)
        if key not in self._cached:
            self._cached[key] = statistics.gather(self.results, self.folder, score, part)
        return self._cached[key]  # type: ignore[return-value]

    def estimates(self, score: str, part: str = "test") -> dict[str, Estimate]:
        """The mean of every loss with its interval: over seeds, and over queries if kept."""
        key = ("estimates", score, part)
        if key not in self._cached:
            found = self.outcomes(score, part)
            self._cached[key] = {
                loss: statistics.of_outcomes(found, loss, resamples=0) for loss in found.values
            }
        return self._cached[key]  # type: ignore[return-value]

    def pairs(self, score: str = "recall@1") -> tuple[Pair, ...]:
        """Every two losses compared on the test part."""
        key = ("pairs", score)
        if key not in self._cached:
            self._cached[key] = statistics.compare_all(self.outcomes(score))
        return self._cached[key]  # type: ignore[return-value]

    def ranks(self, score: str = "recall@1") -> tuple[Rank, ...]:
        """The place of every loss on the test part, best first."""
        key = ("ranks", score)
        if key not in self._cached:
            self._cached[key] = statistics.rank_all(self.outcomes(score))
        return self._cached[key]  # type: ignore[return-value]

    @cached_property
    def thumbnails(self) -> Mapping[str, bytes]:
        """Id of a test row to its small picture, a JPEG, where pictures are at hand."""
        return {} if self.folder is None else kept.read_thumbnails(self.folder)

    @cached_property
    def edited(self) -> tuple[str, ...]:
        """Keys of runs whose numbers in ``results.json`` are not those in ``runs/<key>``."""
        return () if self.folder is None else kept.differences(self.folder, self.results)
