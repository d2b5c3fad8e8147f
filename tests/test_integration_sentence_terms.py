"""Active terms of sentence-transformers losses, against loops and their own values."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from sentence_transformers.sentence_transformer import losses as st
from sentence_transformers.util import cos_sim
from torch import Tensor

from metriscope.integrations._sentence_terms import count_terms
from metriscope.types import LossOutput

Y = torch.tensor([0, 1, 0, 2, 1, 0, 2, 3])  # the last is alone


def columns(k: int) -> list[Tensor]:
    """k columns of unit vectors; rows of one class are nearer than others, mostly."""
    draw = torch.Generator().manual_seed(k)
    x = torch.randn(k, len(Y), 5, generator=draw) + torch.randn(4, 5, generator=draw)[Y]
    return list(torch.nn.functional.normalize(x, dim=-1))


def counted(loss: Any, z: list[Tensor], labels: Tensor | None) -> LossOutput:
    out = count_terms(loss, loss.compute_loss_from_embeddings(z, labels), z, labels)
    assert out is not None
    assert out.active_samples.shape == (sum(map(len, z)),)
    return out


def check(out: LossOutput, terms: dict[int, list[float]], loss: float | None = None) -> None:
    """``terms``: of each anchor, its values; those above 0 are active."""
    values = [value for each in terms.values() for value in each]
    assert (int(out.active_terms), int(out.total_terms)) == (
        sum(value > 0 for value in values),
        len(values),
    )
    assert 0 < int(out.active_terms) < len(values)  # or the case shows nothing
    anchors = {a for a, each in terms.items() if any(value > 0 for value in each)}
    assert set(out.active_samples.nonzero().flatten().tolist()) == anchors
    assert int(out.excluded) == len(out.active_samples) - len([a for a in terms if terms[a]])
    if loss is not None:
        assert float(out.loss) == pytest.approx(loss, rel=1e-4)


def triplets(d: Tensor, margin: float) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {a: [] for a in range(len(Y))}
    for a, p, n in itertools.product(range(len(Y)), repeat=3):
        if a != p and Y[a] == Y[p] and Y[a] != Y[n]:
            found[a].append(float(d[a, p] - d[a, n] + margin))
    return {a: each for a, each in found.items() if each}


def test_batch_all() -> None:
    loss, (z,) = st.BatchAllTripletLoss(None, margin=0.1), columns(1)
    terms = triplets(torch.cdist(z, z), 0.1)
    values = [value for each in terms.values() for value in each if value > 0]
    check(counted(loss, [z], Y), terms, sum(values) / len(values))


@pytest.mark.parametrize("soft", [False, True])
def test_batch_hard(soft: bool) -> None:
    margin, (z,) = (0.0 if soft else -0.5), columns(1)
    loss = (
        st.BatchHardSoftMarginTripletLoss(None)
        if soft
        else st.BatchHardTripletLoss(None, margin=-0.5)
    )
    terms = {a: [max(each)] for a, each in triplets(torch.cdist(z, z), margin).items()}
    check(counted(loss, [z], Y), terms)


def test_batch_semi_hard() -> None:
    loss, (z,) = st.BatchSemiHardTripletLoss(None, margin=0.175), columns(1)
    d, terms = torch.cdist(z, z), dict[int, list[float]]()
    for a, p in itertools.product(range(len(Y)), repeat=2):
        if a != p and Y[a] == Y[p]:
            negatives = [float(d[a, n]) for n in range(len(Y)) if Y[n] != Y[a]]
            chosen = min([x for x in negatives if x > d[a, p]], default=max(negatives))
            terms.setdefault(a, []).append(float(d[a, p]) - chosen + 0.175)
    values = [max(value, 0) for each in terms.values() for value in each]
    check(counted(loss, [z], Y), terms, sum(values) / len(values))


def test_triplets_and_pairs() -> None:
    a, p, n = columns(3)
    terms = (
        torch.linalg.vector_norm(a - p, dim=1) - torch.linalg.vector_norm(a - n, dim=1) - 0.3
    ).tolist()
    loss = st.TripletLoss(None, triplet_margin=-0.3)
    check(
        counted(loss, [a, p, n], None),
        {i: [value] for i, value in enumerate(terms)},
        sum(max(value, 0) for value in terms) / 8,
    )
    labels = torch.tensor([1, 0, 1, 0, 0, 0, 0, 0])
    d = (1 - cos_sim(a, p).diagonal()).tolist()
    each = [x if y else 0.8 - x for x, y in zip(d, labels.tolist(), strict=True)]
    values = [max(value, 0) ** 2 / 2 for value in each]
    check(
        counted(st.ContrastiveLoss(None, margin=0.8), [a, p], labels),
        {i: [value] for i, value in enumerate(each)},
        sum(values) / 8,
    )


@pytest.mark.parametrize(
    "kind", [st.MultipleNegativesRankingLoss, st.CachedMultipleNegativesRankingLoss]
)
def test_ranking(kind: Any) -> None:
    q, p, n = columns(3)
    p = torch.nn.functional.normalize(p + q)
    s = cos_sim(q, torch.cat([p, n]))
    terms = {i: [float(max(s[i, j] for j in range(16) if j != i) - s[i, i])] for i in range(8)}
    loss = kind(torch.nn.Sequential(torch.nn.Identity()))
    out = count_terms(loss, torch.tensor(1.0), [q, p, n], None)
    assert out is not None
    check(out, terms)
    collapsed = [torch.ones(8, 5)] * 2
    out = count_terms(loss, torch.tensor(1.0), collapsed, None)
    assert out is not None
    assert int(out.active_terms) == 8  # equal is not nearer


def test_what_is_not_known_is_undefined() -> None:
    class Other(st.TripletLoss):
        """Says nothing of how it counts."""

    z, one = columns(2), torch.tensor(1.0)
    both = st.MultipleNegativesRankingLoss(None, directions=("query_to_doc", "doc_to_query"))
    for loss, given in (
        (st.CoSENTLoss(None), z),
        (Other(None), columns(3)),
        (both, z),
        (st.TripletLoss(None), z),
    ):
        assert count_terms(loss, one, given, None) is None
