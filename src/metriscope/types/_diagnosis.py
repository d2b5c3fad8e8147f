"""What an examination of an embedding space leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from metriscope.types._findings import Finding
from metriscope.types._runs import Scores


class Interval(NamedTuple):
    """Where a score lies, with the confidence that ``about`` names."""

    low: float
    high: float


@dataclass(frozen=True)
class ClassRow:
    """One class of an examined space.

    Attributes:
        name: its label, as text.
        rows: how many embeddings it has.
        queries: how many of them were searched with: none where no other member could be found.
        spread: (1/N_c) Σ ‖z − m_c‖², in [0, 1].
        recall: Recall@1 of its queries; None without any. ``interval``: of it (Wilson's).
        confused_with: the class that most of its lost queries found instead, if any was lost.
        lost: share of its queries lost to that class.
    """

    name: str
    rows: int
    queries: int
    spread: float
    recall: float | None = None
    interval: Interval | None = None
    confused_with: str | None = None
    lost: float | None = None


@dataclass(frozen=True)
class Confusion:
    """Queries of one class whose nearest neighbour is of another: ``share`` of the class's."""

    label: str
    found: str
    queries: int
    share: float


@dataclass(frozen=True)
class Item:
    """One embedding to look at.

    Attributes:
        kind: ``outlier``, far from all others; ``mislabelled``, whose neighbours agree on another
            class; ``duplicate``, nearly the same as another.
        id: what the source calls it, or its row number. ``label``: its class.
        other: id of the embedding it was held against (its nearest neighbour). ``other_label``: of
            that one, or what the label should rather be.
        value: how far, or how sure: see the finding of each kind. Sorted by it, worst first.
        part: where ``other`` is: ``same``, ``train`` or ``gallery``.
    """

    kind: Literal["outlier", "mislabelled", "duplicate"]
    id: str | int
    label: str
    other: str | int | None
    other_label: str | None
    value: float
    part: str = "same"


@dataclass(frozen=True)
class Examined:
    """An embedding space, examined.

    Attributes:
        scores: names as in a comparison; None where a score is undefined on this input.
        intervals: of the scores that have one.
        per_class: the classes that are present.
        confusions: the most frequent first. ``items``: those to look at, by kind, worst first.
        findings: every check's: problems first, then warnings, those that are ok, and those that
            do not apply.
        about: ``source``, ``labels``, ``split``, ``gallery``, ``rows``, ``sample_rows`` (of them,
            in memory), ``classes``, ``clumped_classes`` (names, if there are any), ``dim``,
            ``queries``, ``chance`` (Recall@1 of labels in random order, or None),
            ``gallery_rows``, ``train_rows``, ``sampled`` (a sentence, or None), ``notes`` (list),
            ``confidence``, ``resamples``, ``seed``, ``command``, ``machine``, ``versions``,
            ``seconds``.
    """

    scores: Scores
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    per_class: tuple[ClassRow, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    items: tuple[Item, ...] = ()
    findings: tuple[Finding, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fired(self) -> tuple[Finding, ...]:
        """The problems and warnings."""
        return tuple(finding for finding in self.findings if finding.fired)
