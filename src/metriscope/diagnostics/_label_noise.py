"""How many labels are wrong, and which: each held against what the other rows say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_FEWEST = 5  # rows of a class that others can be held against
_CANDIDATES = 32  # classes a row may be of; all others count like the last of them
_DIRECTIONS = 128  # of largest variance, in which classes are told apart
_WIDE = 2048  # dimensions above which these are found by iteration
_SHRINKAGE = 0.1  # of the covariance to a multiple of the identity
_UNSEEN = 0.05  # share of neighbours that is added to that of every class
_REACH = 1e6  # of scores: exp of less is 0


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """Labels that the space does not bear out.

    Attributes:
        rate: estimated share of wrong labels among ``judged`` rows. ``low``, ``high``: its 95 %
            interval.
        judged: (n,) rows of classes with at least five rows.
        wrong: (n,) probability that a row's label is wrong; 0 where it is not judged.
        instead: (n,) code of the likeliest class; the label where it is not judged.
        agreed: (n,) whether more of its nearest neighbours are of that class than of its label.
    """

    rate: float
    low: float
    high: float
    judged: Bool[Tensor, " n"]
    wrong: Float[Tensor, " n"]
    instead: Int[Tensor, " n"]
    agreed: Bool[Tensor, " n"]


def label_noise(
    z: Float[Tensor, "n d"], y: Int[Tensor, " n"], nearest: Int[Tensor, "n k"]
) -> LabelNoise | None:
    """Maximum likelihood of labels of which a share ε is drawn blindly.

    With s_c(i) = −½ the squared Mahalanobis distance of row i to the mean of class c (covariance
    pooled within classes, means without the row itself), and v_c(i) the share of c among its
    nearest neighbours::

        P(y_i = c) = (1 − ε) π_c(i) + ε/C,   π_c ∝ N_c exp(a s_c + b log(v_c + 0.05))

    a, b and ε maximise the likelihood. Overlap is explained by small a and b: there, rows are of
    another class the more often the nearer they are to it. Wrong labels are not: they lie as deep
    in another class as anywhere. Means and covariance are then taken again, each row weighted by
    the probability that it is right. ``rate`` is ε (C − 1)/C, and its interval where the
    likelihood is within half the 95 % point of χ²₁ of its maximum, a and b fixed.

    None where fewer than two classes have five rows, or where these have no spread.
    """
    codes, counts = torch.unique(y, return_counts=True)
    codes = codes[counts >= _FEWEST]
    judged = torch.isin(y, codes)
    if len(codes) < 2:
        return None
    rows = judged.nonzero()[:, 0]
    label = torch.searchsorted(codes, y[rows])
    x = _main_directions(z[rows])
    if not bool(x.square().sum() > 0):
        return None
    voters = y[nearest[rows]]
    place = torch.searchsorted(codes, voters).clamp_max_(len(codes) - 1)
    voters = place.where(codes[place] == voters, -1)
    right = torch.ones_like(label, dtype=torch.float64)
    for _ in range(2):
        evidence = _evidence(x, label, right, voters, len(codes))
        epsilon, own, others = _fit(evidence, len(codes))
        blind = epsilon / len(codes)
        right = 1 - blind * (1 - own) / ((1 - epsilon) * own + blind)
    low, high = _interval(epsilon, own, len(codes))
    best = others.max(1)
    wrong, instead, agreed = z.new_zeros(len(y)), y.clone(), torch.zeros_like(judged)
    wrong[rows] = 1 - right
    instead[rows] = codes[evidence.index.gather(1, best.indices[:, None])[:, 0]]
    of_best = evidence.votes.gather(1, best.indices[:, None])[:, 0]
    agreed[rows] = of_best > evidence.own[1]
    share = 1 - 1 / len(codes)
    return LabelNoise(epsilon * share, low * share, high * share, judged, wrong, instead, agreed)


def _main_directions(z: Float[Tensor, "n d"]) -> Float[Tensor, "n r"]:
    """Coordinates in the directions of largest variance, a twentieth as many as rows at most."""
    x = z - z.mean(0)
    kept = min(_DIRECTIONS, max(len(x) // 20, 2))
    if kept >= x.shape[1]:
        return x
    if x.shape[1] <= _WIDE:
        main: Tensor = torch.linalg.eigh(x.T @ x).eigenvectors[:, -kept:]
        return x @ main
    start = torch.Generator().manual_seed(0)
    q = torch.randn(x.shape[1], kept, dtype=x.dtype, generator=start).to(x.device)
    for _ in range(4):  # of subspace iteration
        q = torch.linalg.qr(x.T @ (x @ q)).Q
    return x @ q


@dataclass(frozen=True, eq=False)
class _Evidence:
    """What speaks for each of m classes that a row may be of, and for its label.

    Attributes:
        index: (n, m) the classes. ``far``: (n, m) s_c less the largest. ``votes``: (n, m)
            log(v_c + 0.05). ``prior``: (n, m) log N_c; in the last column, of all that are not
            listed too.
        own: three of (n,), the same of the label.
    """

    index: Int[Tensor, "n m"]
    far: Float[Tensor, "n m"]
    votes: Float[Tensor, "n m"]
    prior: Float[Tensor, "n m"]
    own: tuple[Tensor, Tensor, Tensor]


def _evidence(
    x: Float[Tensor, "n r"],
    label: Int[Tensor, " n"],
    right: Float[Tensor, " n"],
    voters: Int[Tensor, "n k"],
    classes: int,
) -> _Evidence:
    """``voters``: classes of the nearest; −1 of a class that is too small."""
    mass = right.new_zeros(classes).index_add_(0, label, right).clamp_min_(1e-9)
    means = x.new_zeros(classes, x.shape[1]).index_add_(0, label, x * right[:, None])
    means /= mass[:, None]
    whiten = _whitening((x - means[label]) * right.sqrt()[:, None])
    x, means = x @ whiten, means @ whiten
    halves, most = means.square().sum(1) / 2, min(classes, _CANDIDATES)
    found = []
    for rows in torch.arange(len(x), device=x.device).split(1024):
        mine, voted = label[rows, None], voters[rows]
        far = x[rows] @ means.T - halves - x[rows].square().sum(1, keepdim=True) / 2
        # ‖x − mean without x‖ = ‖x − mean‖ N/(N − 1)
        stretch = mass[mine] / (mass[mine] - right[rows, None]).clamp_min(1e-9)
        far.scatter_(1, mine, far.gather(1, mine) * stretch.square())
        far = (far - far.amax(1, keepdim=True)).clamp_min_(-_REACH)
        share = torch.zeros_like(far)
        share.scatter_add_(1, voted.clamp_min(0), (voted >= 0).double() / voted.shape[1])
        index = (far + share.sign() * 2 * _REACH).topk(most).indices
        listed = torch.cat([index, mine], 1)
        prior = mass.log()[listed]
        prior[:, most - 1] += math.log(classes - most + 1)
        votes = (share + _UNSEEN).log().gather(1, listed)
        found.append((index, far.gather(1, listed), votes, prior))
    index, far, votes, prior = (torch.cat(parts) for parts in zip(*found, strict=True))
    own = (far[:, -1], votes[:, -1], prior[:, -1])
    return _Evidence(index, far[:, :-1], votes[:, :-1], prior[:, :-1], own)


def _whitening(residuals: Float[Tensor, "n r"]) -> Float[Tensor, "r r"]:
    covariance = residuals.T @ residuals / len(residuals)
    mean = covariance.diagonal().mean()
    if not bool(mean > 0):  # each class is one point
        mean = torch.ones_like(mean)
    values, vectors = torch.linalg.eigh(covariance / mean)
    shrunk = (1 - _SHRINKAGE) * values.clamp_min(0) + _SHRINKAGE
    whitening: Tensor = vectors / (mean * shrunk).sqrt()
    return whitening


def _fit(
    evidence: _Evidence, classes: int
) -> tuple[float, Float[Tensor, " n"], Float[Tensor, "n m"]]:
    """ε, π of the labels, and π of the listed classes."""
    from scipy.optimize import minimize

    far, votes, prior = evidence.own

    def pi(a: float, b: float) -> tuple[Tensor, Tensor]:
        logits = a * evidence.far + b * evidence.votes + evidence.prior
        total = logits.logsumexp(1)
        return (a * far + b * votes + prior - total).clamp_max(0).exp(), logits.sub_(
            total[:, None]
        ).exp_()

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        """−mean log P and its gradient, in log a, log b and log ε/(1 − ε)."""
        a, b = np.exp(free[:2]).tolist()
        epsilon = float(1 / (1 + np.exp(-free[2])))
        own, others = pi(a, b)
        p = (1 - epsilon) * own + epsilon / classes
        q = (1 - epsilon) * own / p  # that the label is not a blind one
        slopes = (
            a * (q * (far - (others * evidence.far).sum(1))).mean(),
            b * (q * (votes - (others * evidence.votes).sum(1))).mean(),
            epsilon * (1 - epsilon) * ((1 / classes - own) / p).mean(),
        )
        return -float(p.log().mean()), -np.array([float(slope) for slope in slopes])

    best = minimize(loss, [0, 0, -2], jac=True, bounds=[(-8, 3), (-8, 3), (-16, 4)]).x
    a, b = np.exp(best[:2]).tolist()
    return float(1 / (1 + np.exp(-best[2]))), *pi(a, b)


def _interval(best: float, pi: Float[Tensor, " n"], classes: int) -> tuple[float, float]:
    """Where the log-likelihood, concave in ε, is within 1.92 of that of the best."""

    def likelihood(epsilon: float) -> float:
        return float(((1 - epsilon) * pi + epsilon / classes).log().sum())

    lowest, ends = likelihood(best) - 1.92, []
    for outside in (0.0, 1.0):
        inside = best
        if likelihood(outside) < lowest:
            for _ in range(40):
                middle = (inside + outside) / 2
                if likelihood(middle) < lowest:
                    outside = middle
                else:
                    inside = middle
        ends.append(inside if outside != 0.0 or likelihood(0.0) < lowest else 0.0)
    return ends[0], ends[1]
