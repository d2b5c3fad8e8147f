"""SentenceTransformerTrainer with the callback, against the plain loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import transformers
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer import losses as st
from sentence_transformers.sentence_transformer import modules
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn

from metriscope import losses
from metriscope.integrations.sentence_transformers import MonitorCallback
from metriscope.monitor import Monitor
from metriscope.types import InputError
from tests.monitored import BATCH, OPTIONS, Rows, Told, bert_config, same_rows, texts

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer and its tokenizer, as they are on the hub."""
    path = tmp_path_factory.mktemp("bert")
    words = {word: i for i, word in enumerate([*SPECIAL, *(f"w{i}" for i in range(5, 40))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {f"{word[1:-1].lower()}_token": word for word in SPECIAL}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(path)
    torch.manual_seed(0)
    transformers.BertModel(bert_config()).save_pretrained(path)
    return path


@pytest.fixture
def make(folder: Path) -> Callable[[], SentenceTransformer]:
    parts = lambda: [modules.Transformer(str(folder)), modules.Pooling(32), modules.Normalize()]  # noqa: E731
    return lambda: SentenceTransformer(modules=parts(), device="cpu")


def sentences() -> dict[str, list[Any]]:
    """Texts and their classes; texts b are of the same class, in other words."""
    tokens, y = texts()
    first = [" ".join(f"w{token}" for token in row) for row in tokens.tolist()]
    other = [" ".join(f"w{token}" for token in row[::-1][2:]) for row in tokens.tolist()]
    return {"a": first, "b": other, "c": other[::-1], "label": y.tolist()}


def data(*columns: str) -> datasets.Dataset:
    return datasets.Dataset.from_dict({name: sentences()[name] for name in columns})


class InOrder(SentenceTransformerTrainer):
    """The rows in the order of the plain loop."""

    def get_batch_sampler(self, dataset: Any, **kwargs: Any) -> Any:
        return torch.utils.data.BatchSampler(range(len(dataset)), BATCH, drop_last=False)


def train(
    model: SentenceTransformer, loss: nn.Module, given: datasets.Dataset, path: Path, **options: Any
) -> MonitorCallback:
    callback = MonitorCallback(loss, writers=[Rows()], **OPTIONS)
    optimizer = torch.optim.AdamW(loss.parameters(), lr=1e-2)
    chosen = {
        "output_dir": str(path),
        "num_train_epochs": 2,
        "max_grad_norm": 0,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
    }
    InOrder(
        model,
        SentenceTransformerTrainingArguments(**{**chosen, **options}),
        train_dataset=given,
        loss=loss,
        callbacks=[callback],
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)),
    ).train()
    return callback


def plain(
    model: SentenceTransformer,
    columns: tuple[str, ...],
    monitor: Monitor,
    step: Callable[..., Tensor],
) -> None:
    """The loop as a person writes it, without a trainer; ``step`` computes the loss."""
    given = sentences()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    with monitor:
        for start in [*range(0, len(given["a"]), BATCH)] * 2:
            rows = slice(start, start + BATCH)
            z = [
                model(model.preprocess(given[name][rows]))["sentence_embedding"] for name in columns
            ]
            step(z, torch.tensor(given["label"][rows])).backward()
            optimizer.step()
            optimizer.zero_grad()


def told(callback: MonitorCallback) -> Told:
    rows: Told = callback.options["writers"][0].rows
    return rows


def test_class_labels_are_as_our_loss_in_a_plain_loop(make: Any, tmp_path: Path) -> None:
    model = make()
    ours, kept = losses.create("triplet", margin=0.5), Rows()
    plain(
        model, ("a",), Monitor(model, ours, writers=[kept], **OPTIONS), lambda z, y: ours(z[0], y)
    )
    model = make()
    loss = st.BatchHardTripletLoss(model, margin=0.5)
    callback = train(model, loss, data("a", "label"), tmp_path)
    # Ours normalises once more, so that its gradient has no part along the embedding.
    keys = set(kept.rows[0][1]) - {"active.effective", "grad_share.top"}
    assert {"active.terms", "active.samples", "batch.intra.eq1", "grad_norm.model"} < keys
    mine = [(step, {k: v for k, v in row.items() if k in keys}) for step, row in told(callback)]
    wanted = [(step, {k: v for k, v in row.items() if k in keys}) for step, row in kept.rows]
    same_rows(mine, wanted, rel=2e-4)  # their distances are from dot products
    assert callback.monitor is not None
    about = callback.monitor.about
    assert (about["loss"], about["params"]["margin"]) == ("BatchHardTripletLoss", 0.5)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in loss.modules())


@pytest.mark.parametrize("columns", [("a", "b"), ("a", "b", "c")])
def test_pairs_and_triplets_are_the_plain_loop(
    make: Any, tmp_path: Path, columns: tuple[str, ...]
) -> None:
    model = make()
    kept = Rows()
    loss = st.MultipleNegativesRankingLoss(model)
    monitor = Monitor(model, None, writers=[kept], **OPTIONS)

    def step(z: list[Tensor], labels: Tensor) -> Tensor:
        value: Tensor = loss.compute_loss_from_embeddings(z, labels)
        monitor.observe(value, z)
        return value

    plain(model, columns, monitor, step)
    model = make()
    callback = train(model, st.MultipleNegativesRankingLoss(model), data(*columns), tmp_path)
    for _, row in told(callback):
        assert 0 <= row.pop("active.terms") <= 1
        assert 0 <= row.pop("active.samples") <= 1
        assert row.pop("active.literal", 0) >= 0
        assert "excluded" not in row
    for _, row in kept.rows:
        row.pop("active.literal", 0)
    same_rows(told(callback), kept.rows, rel=1e-4)
    assert {"active.effective", "grad_share.top", "batch.centre.norm_sq"} <= set(kept.rows[0][1])
    assert callback.monitor is not None
    assert callback.monitor.about["batch_size"] == BATCH * len(columns)


def test_the_share_of_ranked_queries(make: Any, tmp_path: Path) -> None:
    """Recomputed from the embeddings that each step started from."""
    model, seen = make(), []
    loss = st.MultipleNegativesRankingLoss(model)
    real = loss.compute_loss_from_embeddings

    def spy(z: list[Tensor], labels: Tensor) -> Tensor:
        seen.append([each.detach() for each in z])
        return real(z, labels)

    loss.compute_loss_from_embeddings = spy
    callback = train(model, loss, data("a", "b"), tmp_path)
    for i, (_, row) in enumerate(told(callback)):
        wrong = []
        for q, p in seen[2 * i : 2 * i + 2]:
            s = q @ p.T
            wrong.append((s - torch.eye(len(s)) * 9).amax(1) >= s.diagonal() - 1e-6)
        assert (
            row["active.samples"] == row["active.terms"] == float(torch.cat(wrong).double().mean())
        )


def test_wrapped_and_cached(make: Any, tmp_path: Path) -> None:
    model = make()
    ranking = st.MultipleNegativesRankingLoss(model)
    loss = st.MatryoshkaLoss(model, ranking, [32, 8])
    wrapped = train(model, loss, data("a", "b"), tmp_path)
    model = make()
    cached_loss = st.CachedMultipleNegativesRankingLoss(model, mini_batch_size=5)
    cached = train(model, cached_loss, data("a", "b"), tmp_path)
    for callback in (wrapped, cached):
        assert callback.monitor is not None
        assert callback.monitor.about["batch_size"] == 2 * BATCH  # each embedding once
        assert callback.monitor.trace["step"] == [2, 4, 6, 8]
        assert all(norm > 0 for norm in callback.monitor.trace["grad_norm.model"])
    (_, first), *_ = told(wrapped)
    assert first["active.effective"] > 0
    assert "active.terms" not in first
    (_, first), *_ = told(cached)
    assert "active.effective" not in first
    assert 0 < first["active.terms"] <= 1


def test_what_the_loss_learns_is_a_group(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, hear = [], Monitor.hear
    monkeypatch.setattr(Monitor, "hear", lambda self, h: (heard.append(h.labels), hear(self, h)))
    model = make()
    loss = st.SoftmaxLoss(model, sentence_embedding_dimension=32, num_labels=4)
    callback = train(model, loss, data("a", "b", "label"), tmp_path)
    (_, row), *_ = told(callback)
    assert row["grad_norm.loss.classifier"] > 0
    assert heard == [None] * 8  # labels of pairs are no classes
    assert "batch.intra.eq1" not in row


def test_what_cannot_be_used(make: Any, tmp_path: Path) -> None:
    model = make()
    loss = st.MultipleNegativesRankingLoss(model)
    with pytest.raises(InputError, match=r"loss is dict; .* each needs a callback"):
        MonitorCallback({"one": loss})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the model is Linear, not a SentenceTransformer"):
        MonitorCallback(loss).make(nn.Linear(2, 2), {})
