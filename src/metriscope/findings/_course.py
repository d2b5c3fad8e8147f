"""How training went, read from a trace: of a run by epoch, of a monitor by row."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass

from metriscope.findings._floors import TRIPLETS, Batches, blind, floor
from metriscope.findings.base import Subject, batch_size, column, score

ROWS = 6  # of a monitor; fewer cannot be told from noise
AT_FLOOR = 0.05  # of the way between start and floor
NONE_LEFT = 0.005  # of terms that are active


@dataclass(frozen=True)
class Course:
    """A column of the trace, from its start to now.

    Attributes:
        values: all that are defined. ``start``: the first: of a run before any update, of a monitor
            the mean of its first row.
        now: of a run the last epoch; of a monitor the median of the last third of its rows, so that
            no single batch makes a finding come and go.
        noise: standard deviation of a row about its neighbours, by the median of |Δ| (0 of a run,
            whose rows are whole epochs).
    """

    values: tuple[float, ...]
    start: float
    now: float
    noise: float

    @property
    def fallen(self) -> float:
        """(start − now) / start; 0 from a start that is not above 0."""
        return (self.start - self.now) / self.start if self.start > 0 else 0.0

    @property
    def falling(self) -> float:
        """How far the median of the second half of the rows is below that of the first half."""
        rows = self.values[1:]
        half = len(rows) // 2
        first, second = statistics.median(rows[:half]), statistics.median(rows[half:])
        return (first - second) / abs(first) if first else 0.0


def course(subject: Subject, name: str = "loss") -> Course | None:
    """A column's course; None of a run without an epoch, of a monitor with fewer than 6 rows."""
    return _course(subject, tuple(column(subject, name)))


def loss_course(subject: Subject) -> Course | None:
    """The loss's course, as the mean over all terms.

    A mean over the active terms alone may stand still, or rise, while ever fewer are active: of
    hinges, which are 0 elsewhere, it is multiplied by their share. Unknown without that, and of
    other losses averaged so.
    """
    if not averages_active(subject):
        return course(subject)
    if not is_hinge(subject):
        return None
    pairs = zip(subject.trace.get("loss", ()), subject.trace.get("active.terms", ()), strict=False)
    values = (a * b for a, b in pairs if a is not None and b is not None)
    return _course(subject, tuple(v for v in values if math.isfinite(v)))


def averages_active(subject: Subject) -> bool:
    """Whether the loss is a mean over its active terms only (no term of SupCon is 0)."""
    return subject.params.get("reduction") == "mean_active" and subject.loss != "SupConLoss"


def is_hinge(subject: Subject) -> bool:
    """Whether each term is 0 unless it is active, and all are averaged together."""
    params = subject.params
    if subject.loss in TRIPLETS:
        return not (params.get("soft") or params.get("smooth_loss"))
    return subject.loss == "contrastive" and params.get("pairs", "all") == "all"


def _course(subject: Subject, values: tuple[float, ...]) -> Course | None:
    if subject.kind == "run":
        return Course(values, values[0], values[-1], 0.0) if len(values) > 1 else None
    if len(values) < ROWS:
        return None
    now = statistics.median(values[-max(len(values) // 3, 3) :])
    steps = [abs(b - a) for a, b in itertools.pairwise(values[1:])]
    # The median of |N(0, 2σ²)| is 0.954 σ.
    return Course(values, values[0], now, statistics.median(steps) / 0.954)


def batches(subject: Subject) -> Batches | None:
    """What batches are made of; None if the number of classes, or of rows, is not known."""
    about = subject.about
    classes = int(about.get("train_classes") or about.get("classes") or 0)
    rows = float(batch_size(subject))
    if classes < 2 or rows < 2:
        return None
    drawn = classes * (1 - (1 - 1 / classes) ** rows)  # uniformly
    present = float(about.get("classes_per_batch") or drawn)
    return Batches(classes, rows, min(max(present, 1 + 1e-9), rows))


def spread(subject: Subject) -> float | None:
    """Mean ‖z − z̄‖² of the space, or of a monitor's last measured batch."""
    known = column(subject, "batch.spread.total")
    measured = score(subject, "spread.total")
    return known[-1] if measured is None and known else measured


@dataclass(frozen=True)
class Floor:
    """The lowest value of the loss, and how near to it training is.

    Attributes:
        value: of the loss there. ``now``: of the loss.
        start: the loss at first, or that of embeddings which ignore the labels, if higher.
    """

    value: float
    now: float
    start: float

    @property
    def left(self) -> float:
        """(now − floor) / (start − floor)."""
        return (self.now - self.value) / (self.start - self.value)


def to_floor(subject: Subject) -> Floor | None:
    """Where the loss is above its floor; None where either is not known.

    A loss well below is of other batches, or of other vectors, than those that are known.
    """
    made_of, went = batches(subject), loss_course(subject)
    if made_of is None or went is None or subject.params.get("reduction") == "sum":
        return None
    value = floor(subject.loss, subject.params, made_of)
    if value is None:
        return None
    now, start = went.now, went.start
    excess = course(subject, "loss.excess")
    if excess is not None:  # SCL's own account of log |P|, exact for these batches
        above = math.log(made_of.positives)
        value += now - excess.now - above
        start = max(start, now - excess.now + excess.start)
    start = max(start, blind(subject.loss, subject.params, made_of) or 0.0)
    near = Floor(value, now, start)
    return near if start > value and near.left > -AT_FLOOR else None


def blind_value(subject: Subject) -> float | None:
    """The least mean loss of embeddings that ignore the labels; None where it is not known."""
    made_of, params = batches(subject), subject.params
    if params.get("reduction") == "sum":
        return None
    if made_of is None:  # triplets do not ask for it
        made_of = Batches(2, 2, 2) if subject.loss in TRIPLETS else None
    return None if made_of is None else blind(subject.loss, params, made_of)


def unmet(subject: Subject) -> float | None:
    """Share of hinges active now: triplets, or negative pairs; None of a loss without hinges."""
    triplet = subject.loss in TRIPLETS and is_hinge(subject)
    active = course(subject, "active.terms" if triplet else "active.terms.negative")
    return None if active is None else active.now


def nothing_left(subject: Subject) -> bool:
    """Whether the loss is at its floor, or no triplet is active: what stands still may do so."""
    near, active = to_floor(subject), unmet(subject)
    done = active is not None and active < NONE_LEFT and subject.loss in TRIPLETS
    return done or (near is not None and near.left < AT_FLOOR)


def setting(subject: Subject, name: str, value: object) -> str:
    """How this user sets a parameter of the loss."""
    if subject.kind == "run":
        return f"--set {subject.loss}.{name}={value}"
    return f"{name}={value}"
