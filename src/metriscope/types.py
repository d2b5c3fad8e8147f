"""The nouns. Frozen dataclasses that check themselves; everything else is written in terms of them.

Nothing here imports torch at run time, so that the command line can answer at once.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from metriscope.text import name_rows, slug

if TYPE_CHECKING:
    from torch import Tensor

Scores = dict[str, float | None]  # None: undefined on this input, which is not 0
Trace = dict[
    str, list[float | None]
]  # one list a column, one item an epoch; item 0: before any update


class MetriscopeError(Exception):
    """Bad input. The message says what is wrong, why, and what to do; the command line exits 2."""


class InputError(MetriscopeError, ValueError):
    """Data, a name or a parameter that cannot be used."""


def _require(condition: bool, name: str, value: object, wanted: str) -> None:
    if not condition:
        raise InputError(f"{name} is {value!r}; it must be {wanted}.")


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    _require(value in choices, name, value, "one of " + ", ".join(choices))


# ------------------------------------------------------------------------------------------- data


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Labelled vectors: a backbone's features, or a head's output.

    Attributes:
        x: (n, d) floating point, finite.
        y: (n,) int64, an index into ``class_names``.
        class_names: the labels as text, in the order of their codes. A class may be absent.
        split: ``train``, ``test`` or ``all``.
        origin: what made them, for people: a path, a dataset, a run's key.
        ids: (n,) what each row is called, text or integers; by default its row number.

    Raises:
        InputError: wrong shapes, no rows, NaN or infinite values (the rows are named), a code
            without a class name.
    """

    x: np.ndarray
    y: np.ndarray
    class_names: tuple[str, ...]
    split: str = "all"
    origin: str = "memory"
    ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        x, y = np.asarray(self.x), np.asarray(self.y)
        if x.ndim != 2:
            raise InputError(
                f"{self.origin}: features must be a matrix (rows, dimensions), not shape {x.shape}."
            )
        if not len(x) or not x.shape[1]:
            raise InputError(f"{self.origin}: no data: the features have shape {x.shape}.")
        if not np.issubdtype(x.dtype, np.floating):
            raise InputError(f"{self.origin}: features must be floating point, not {x.dtype}.")
        if y.shape != (len(x),):
            raise InputError(
                f"{self.origin}: {len(x)} rows but labels of shape {y.shape}; "
                "every row needs exactly one label."
            )
        if y.min() < 0 or y.max() >= len(self.class_names):
            raise InputError(f"{self.origin}: label codes must index the class names.")
        bad = rows_where_not(x, np.isfinite)
        if len(bad):
            raise InputError(
                f"{self.origin}: NaN or infinite values in {name_rows(bad)}; "
                "remove these rows or compute them again."
            )
        ids = np.asarray(self.ids) if len(self.ids) else np.arange(len(x))
        if len(ids) != len(x):
            raise InputError(f"{self.origin}: {len(x)} rows but {len(ids)} ids.")
        if ids.dtype == object:
            ids = ids.astype(str)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y.astype(np.int64, copy=False))
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def num_classes(self) -> int:
        """How many class names there are, present or not."""
        return len(self.class_names)

    @cached_property
    def counts(self) -> np.ndarray:
        """(C,) rows of each class."""
        return np.bincount(self.y, minlength=self.num_classes)

    @cached_property
    def singletons(self) -> int:
        """How many classes have exactly one row here: they have no positive pair."""
        return int((self.counts == 1).sum())


def rows_where_not(x: np.ndarray, test: Any, block: int = 1 << 12) -> np.ndarray:
    """Indices of rows with an element failing ``test``, found a block at a time."""
    found = [
        start + np.flatnonzero(~test(x[start : start + block]).all(axis=1))
        for start in range(0, len(x), block)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A train and a test part with the same classes, ready to be compared on.

    Attributes:
        name: short name, part of a run's key.
        split: how the parts came about: ``given``, or a sentence about the split made here.
        fingerprint: hex digest of both parts' features and labels.
        notes: what a person should know about this data, each one sentence.
        backbone: what made the features of pictures; ``features`` if they came as they are.
        manifests: how it made them, by part of the source, in plain JSON types.
    """

    name: str
    train: Embeddings
    test: Embeddings
    split: str
    fingerprint: str
    notes: tuple[str, ...] = ()
    backbone: str = "features"
    manifests: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Classes over both parts."""
        return self.train.num_classes


# ------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class HeadSpec:
    """The projection head: features → Linear → activation → dropout → Linear → L2 normalisation.

    Attributes:
        hidden: widths of the hidden layers, each followed by activation and dropout.
        dim: dimensions of the embedding.
        activation: ``tanh``, ``relu``, ``gelu`` or ``none``.
        final_activation: the same, after the last layer; the paper leaves it open.
        dropout: probability, after each hidden activation.
        input_scale: ``rms`` divides all features by one number, the root mean square of the
            training features, which changes no angle and makes 8-bit and float features alike;
            ``standardize`` uses mean and SD of each dimension; ``none`` takes them as they are.
    """

    hidden: tuple[int, ...] = (512,)
    dim: int = 128
    activation: str = "tanh"
    final_activation: str = "none"
    dropout: float = 0.15
    input_scale: str = "rms"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        _require(
            all(w >= 1 for w in self.hidden), "head.hidden", self.hidden, "widths of at least 1"
        )
        _require(self.dim >= 1, "head.dim", self.dim, "at least 1")
        for name in ("activation", "final_activation"):
            _one_of(f"head.{name}", getattr(self, name), ("tanh", "relu", "gelu", "none"))
        _require(0 <= self.dropout < 1, "head.dropout", self.dropout, "in [0, 1)")
        _one_of("head.input_scale", self.input_scale, ("rms", "standardize", "none"))


@dataclass(frozen=True)
class OptimizerSpec:
    """The optimiser, at a constant learning rate.

    Attributes:
        name: ``adam``, ``adamw`` or ``sgd`` (momentum 0.9).
        lr: learning rate of the head.
        weight_decay: of the head.
        loss_lr_mult: learning rate of the loss's own parameters (proxies, centres), as a multiple
            of ``lr``.
        loss_weight_decay: of the loss's own parameters: 0, since they are re-normalised.
    """

    name: str = "adam"
    lr: float = 1e-4
    weight_decay: float = 1e-5
    loss_lr_mult: float = 1.0
    loss_weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _one_of("optimizer.name", self.name, ("adam", "adamw", "sgd"))
        for name in ("lr", "loss_lr_mult"):
            value = getattr(self, name)
            _require(0 < value < math.inf, f"optimizer.{name}", value, "above 0")
        for name in ("weight_decay", "loss_weight_decay"):
            value = getattr(self, name)
            _require(0 <= value < math.inf, f"optimizer.{name}", value, "0 or more")


NUMBERS = 2  # raised whenever a change moves what a specification trains to


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run's numbers. Two runs with one ``key`` are the same run.

    The key also holds ``NUMBERS``: runs of before a change to training are not taken for new ones.

    ``params`` holds every parameter of the loss, defaults included, so that a changed default
    makes another run.
    """

    dataset: str
    fingerprint: str
    split: str
    loss: str
    params: Mapping[str, Any]
    seed: int
    head: HeadSpec = HeadSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    backbone: str = "features"
    sampler: str = "uniform"
    epochs: int = 100
    batch_size: int = 512
    dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", dict(sorted(self.params.items())))
        _require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        _require(self.batch_size >= 2, "batch size", self.batch_size, "at least 2: losses compare")
        _require(0 <= self.seed < 2**63, "seed", self.seed, "a non-negative integer")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunSpec:
        """The inverse of :meth:`to_dict`."""
        rest = {k: v for k, v in data.items() if k not in ("head", "optimizer")}
        return cls(
            head=HeadSpec(**data["head"]), optimizer=OptimizerSpec(**data["optimizer"]), **rest
        )

    @cached_property
    def key(self) -> str:
        """``<dataset>-<loss>-s<seed>-<hash>``: readable, unique, safe as a file name."""
        text = json.dumps(
            self.to_dict() | {"numbers": NUMBERS}, sort_keys=True, separators=(",", ":")
        )
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return f"{slug(self.dataset)}-{slug(self.loss)}-s{self.seed}-{digest}"


@dataclass(frozen=True)
class RunResult:
    """What a run left: scores of the test embeddings, and one row of the trace an epoch.

    ``scores`` and ``trace`` are empty and ``error`` is a sentence where ``status`` is ``failed``.
    """

    spec: RunSpec
    status: Literal["done", "failed"]
    scores: Scores = field(default_factory=dict)
    trace: Trace = field(default_factory=dict)
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def key(self) -> str:
        """The key of the specification."""
        return self.spec.key


@dataclass(frozen=True)
class Finding:
    """Something a person should know, with the number it rests on.

    Attributes:
        code: stable, ``MS101``.
        severity: ``ok``, ``warning`` or ``problem``.
        message: one sentence with the number in it.
        value, threshold: what was measured, and the limit it was held against.
        cause: the likely reason. ``next_step``: what to try.
        runs: keys of the runs it is about. ``loss``: their loss.
    """

    code: str
    severity: Literal["ok", "warning", "problem"]
    title: str
    message: str
    value: float | None
    threshold: float | None
    cause: str
    next_step: str
    runs: tuple[str, ...] = ()
    loss: str = ""


@dataclass(frozen=True)
class Results:
    """A whole comparison, as ``results.json`` holds it.

    Attributes:
        runs: in the order they were asked for (losses, then seeds).
        findings: about them.
        about: the setting: ``source``, ``dataset``, ``split``, ``notes`` (list), ``train_rows``,
            ``test_rows``, ``classes``, ``train_classes``, ``test_classes``, ``dim``,
            ``singletons``, ``baseline`` (scores of the untrained features), ``backbone``,
            ``features`` (manifests by part), ``command``, ``machine`` (text), ``seconds``.
        recommendation: which loss, and why; None until there is one.
    """

    runs: tuple[RunResult, ...]
    findings: tuple[Finding, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    recommendation: Mapping[str, Any] | None = None

    def by_loss(self) -> dict[str, list[RunResult]]:
        """Runs grouped by loss, in order."""
        groups: dict[str, list[RunResult]] = {}
        for run in self.runs:
            groups.setdefault(run.spec.loss, []).append(run)
        return groups


# ---------------------------------------------------------------------------------- losses, steps


class Share(NamedTuple):
    """A part of a whole, both () tensors, so that an epoch is Σ part / Σ whole."""

    part: Tensor
    whole: Tensor


@dataclass(frozen=True, eq=False)
class LossOutput:
    """What a loss says about one batch of b embeddings. Counts, never a list of terms.

    Attributes:
        loss: () the criterion; differentiable. 0 where no term is valid.
        active_terms: () int64, terms whose inequality is violated, by the rule of the loss.
        total_terms: () int64, candidate terms.
        active_samples: (b,) bool, samples that anchor at least one active term.
        excluded: () int64, samples that cannot anchor a term (no positive, or no negative).
        details: what else this loss can say of its terms, under names of its own.
    """

    loss: Tensor
    active_terms: Tensor
    total_terms: Tensor
    active_samples: Tensor
    excluded: Tensor
    details: Mapping[str, Share] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Step:
    """One step of training, after ``backward`` and before the update.

    Attributes:
        output: of the loss.
        embedding_grad_norms: (b,) ‖∂L/∂z_i‖ of each normalised embedding.
        grad_norms: L2 norm over each group of parameters: ``head``, ``loss``.
    """

    epoch: int
    index: int
    output: LossOutput
    embedding_grad_norms: Tensor
    grad_norms: Mapping[str, Tensor]
