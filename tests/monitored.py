"""A tiny text model, its data and the plain loop that every integration must agree with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from metriscope import losses
from metriscope.monitor import Monitor

CLASSES, ROWS, BATCH, DIM = 4, 48, 12, 16
Told = list[tuple[int, dict[str, float]]]
OPTIONS: dict[str, Any] = {"every": 2, "geometry_every": 4, "window": 4}


class Rows:
    """A writer that keeps rows: (step, scores)."""

    def __init__(self) -> None:
        self.rows: Told = []
        self.closed = 0

    def log(self, step: int, scores: Mapping[str, float]) -> None:
        self.rows.append((step, dict(scores)))

    def close(self) -> None:
        self.closed += 1


class Embedder(nn.Module):
    """A BERT of one layer, and a projection."""

    def __init__(self, loss: str | nn.Module = "arcface", seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = transformers.BertModel(bert_config())
        self.head = nn.Linear(32, DIM)
        if isinstance(loss, str):
            loss = losses.create(loss, num_classes=CLASSES, dim=DIM)
        self.criterion = loss

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.head(self.backbone(input_ids).last_hidden_state.mean(1))


def bert_config() -> Any:
    return transformers.BertConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def texts() -> tuple[Tensor, Tensor]:
    """Tokens (n, 6), and the class that the first of them tells, mostly."""
    draw = torch.Generator().manual_seed(3)
    y = torch.randint(CLASSES, (ROWS,), generator=draw)
    tokens = torch.randint(10, 40, (ROWS, 6), generator=draw)
    tokens[:, 0] = y + 5
    return tokens, y


def batches(epochs: int = 2) -> list[tuple[Tensor, Tensor]]:
    tokens, y = texts()
    return list(zip(tokens.split(BATCH), y.split(BATCH), strict=True)) * epochs


def plain(
    model: Embedder,
    steps: Iterable[tuple[Tensor, Tensor]],
    *,
    accumulate: int = 1,
    clip: float | None = None,
    context: Callable[[], Any] | None = None,
    scaler: Any = None,
    **options: Any,
) -> tuple[Monitor, Told]:
    """The loop as a person writes it: the monitor, and the rows that a writer was told."""
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    kept = Rows()
    options = {**OPTIONS, "writers": [kept], **options}
    with Monitor(
        model, model.criterion, scaler=scaler if scaler.is_enabled() else None, **options
    ) as m:
        for index, (x, y) in enumerate(steps):
            if context is None:
                loss = model.criterion(model(x), y)
            else:
                with context():
                    loss = model.criterion(model(x), y)
            scaler.scale(loss / accumulate).backward()
            if (index + 1) % accumulate == 0:
                scaler.unscale_(optimizer)
                if clip is not None:
                    nn.utils.clip_grad_norm_(parameters, clip)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
    return m, kept.rows


def same_rows(found: Told, wanted: Told, rel: float = 1e-5) -> None:
    """Step by step, name by name; times aside."""
    assert [step for step, _ in found] == [step for step, _ in wanted]
    for (step, mine), (_, theirs) in zip(found, wanted, strict=True):
        assert set(mine) == set(theirs)
        for name, value in theirs.items():
            if name != "seconds":
                assert math.isfinite(value)
                assert mine[name] == pytest.approx(value, rel=rel, abs=1e-7), (step, name)
