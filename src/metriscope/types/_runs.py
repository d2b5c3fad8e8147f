"""What a run is asked to do, and what it leaves."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from metriscope.text import slug
from metriscope.types._errors import one_of, require
from metriscope.types._findings import Finding

Scores = dict[str, float | None]  # None: undefined on this input, which is not 0
Trace = dict[
    str, list[float | None]
]  # one list a column, one item an epoch; item 0: before any update


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
        require(
            all(w >= 1 for w in self.hidden), "head.hidden", self.hidden, "widths of at least 1"
        )
        require(self.dim >= 1, "head.dim", self.dim, "at least 1")
        for name in ("activation", "final_activation"):
            one_of(f"head.{name}", getattr(self, name), ("tanh", "relu", "gelu", "none"))
        require(0 <= self.dropout < 1, "head.dropout", self.dropout, "in [0, 1)")
        one_of("head.input_scale", self.input_scale, ("rms", "standardize", "none"))


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
        one_of("optimizer.name", self.name, ("adam", "adamw", "sgd"))
        for name in ("lr", "loss_lr_mult"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"optimizer.{name}", value, "above 0")
        for name in ("weight_decay", "loss_weight_decay"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"optimizer.{name}", value, "0 or more")


NUMBERS = 2  # raised whenever a change moves what a specification trains to


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run's numbers. Two runs with one ``key`` are the same run.

    The key also holds ``NUMBERS``: runs of before a change to training are not taken for new ones.

    ``params`` holds every parameter of the loss, defaults included, so that a changed default
    makes another run. ``validation`` is the share of the training part that is held out to choose
    by; without one (0) the key is that of runs from before there was one.
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
    validation: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", dict(sorted(self.params.items())))
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        require(self.batch_size >= 2, "batch size", self.batch_size, "at least 2: losses compare")
        require(0 <= self.seed < 2**63, "seed", self.seed, "a non-negative integer")
        require(0 <= self.validation < 1, "validation", self.validation, "a share in [0, 1)")

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

    @property
    def settings(self) -> dict[str, Any]:
        """All that may differ between runs on the same rows, but loss and seed, as ``--set`` says.

        ``{"triplet.margin": 1.0, …, "head.dim": 128, …, "optimizer.lr": 1e-4, …, "epochs": 100,
        "batch_size": 512, "sampler": "uniform"}``.
        """
        groups = {"head": asdict(self.head), "optimizer": asdict(self.optimizer)}
        return {
            **{f"{self.loss}.{name}": value for name, value in self.params.items()},
            **{
                f"{g}.{name}": value for g, found in groups.items() for name, value in found.items()
            },
            **{name: getattr(self, name) for name in ("epochs", "batch_size", "sampler")},
        }

    @cached_property
    def key(self) -> str:
        """``<dataset>-<loss>-s<seed>-<hash>``: readable, unique, safe as a file name."""
        said = self.to_dict() | {"numbers": NUMBERS}
        if not self.validation:
            del said["validation"]
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
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
class Results:
    """A whole comparison, as ``results.json`` holds it; of one dataset, or of several.

    Attributes:
        runs: in the order they were asked for (datasets, then losses, then seeds).
        findings: about them.
        about: the setting: ``source``, ``dataset``, ``split``, ``notes`` (list), ``train_rows``,
            ``validation_rows``, ``test_rows``, ``classes``, ``train_classes``, ``test_classes``,
            ``dim``, ``singletons``, ``baseline`` (scores of the untrained features), ``backbone``,
            ``features`` (manifests by part), ``command``, ``machine`` (text), ``seconds``,
            ``tuning`` and ``sweep`` (what was tried). Of several datasets: ``datasets`` (all that
            by name) and what they share.
        recommendation: which loss, and why; None until there is one. Of several datasets: by name.
        others: runs beside the comparison: ``untuned`` (the losses of ``runs`` before tuning),
            ``trials`` (of the tuning), ``sweep`` (with one setting varied).
    """

    runs: tuple[RunResult, ...]
    findings: tuple[Finding, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    recommendation: Mapping[str, Any] | None = None
    others: Mapping[str, tuple[RunResult, ...]] = field(default_factory=dict)

    def by_loss(self) -> dict[str, list[RunResult]]:
        """Runs grouped by loss, in order."""
        groups: dict[str, list[RunResult]] = {}
        for run in self.runs:
            groups.setdefault(run.spec.loss, []).append(run)
        return groups

    @property
    def datasets(self) -> tuple[str, ...]:
        """Their names, in order."""
        several = self.about.get("datasets")
        if several:
            return tuple(several)
        named = [self.about["dataset"]] if self.about.get("dataset") else []
        return tuple(dict.fromkeys([*named, *(run.spec.dataset for run in self.runs)]))

    def of(self, dataset: str) -> Results:
        """The results of one of its datasets."""
        several = self.about.get("datasets")
        if not several:
            return self
        shared = {k: v for k, v in self.about.items() if k != "datasets"}
        return Results(
            tuple(run for run in self.runs if run.spec.dataset == dataset),
            tuple(found for found in self.findings if found.dataset == dataset),
            shared | dict(several[dataset]),
            (self.recommendation or {}).get(dataset),
            {
                kind: tuple(run for run in runs if run.spec.dataset == dataset)
                for kind, runs in self.others.items()
            },
        )

    @classmethod
    def joined(cls, parts: Iterable[Results], about: Mapping[str, Any]) -> Results:
        """Results of one dataset each, as one. ``about`` is what they share."""
        parts = list(parts)
        named = {part.about["dataset"]: part for part in parts}
        kinds = dict.fromkeys(kind for part in parts for kind in part.others)
        return cls(
            tuple(run for part in parts for run in part.runs),
            tuple(
                replace(found, dataset=name)
                for name, part in named.items()
                for found in part.findings
            ),
            {**about, "datasets": {name: part.about for name, part in named.items()}},
            {name: part.recommendation for name, part in named.items() if part.recommendation}
            or None,
            {kind: tuple(r for part in parts for r in part.others.get(kind, ())) for kind in kinds},
        )
