"""How many labels are wrong, and which: each held against what the other rows say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metriscope.diagnostics._confident_labels import Contradicted, contradicted, whitening

_FEWEST = 5  # rows of a class that others can be held against
_NUMBERS = 1 << 21  # rows × classes that are held at once
_DIRECTIONS = 128  # of largest variance, in which classes are told apart
_WIDE = 2048  # dimensions above which these are found by iteration
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
        surest: see :func:`contradicted`.
    """

    rate: float
    low: float
    high: float
    judged: Bool[Tensor, " n"]
    wrong: Float[Tensor, " n"]
    instead: Int[Tensor, " n"]
    agreed: Bool[Tensor, " n"]
    surest: Contradicted | None = None


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
        model = _Model.of(x, label, right, voters, len(codes))
        own, best, agree = model.probabilities(*_weights(model))
        epsilon, low, high = _blind(own, len(codes))
        right = 1 - epsilon * (1 - own) / (epsilon + (1 - epsilon) * own * len(codes))
    wrong, instead, agreed = z.new_zeros(len(y)), y.clone(), torch.zeros_like(judged)
    wrong[rows], instead[rows], agreed[rows] = 1 - right, codes[best], agree
    share = 1 - 1 / len(codes)
    rates = epsilon * share, low * share, high * share
    surest = contradicted(x, label, voters, len(codes))
    return LabelNoise(*rates, judged, wrong, instead, agreed, surest)


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
class _Model:
    """What speaks for each class of each row.

    Attributes:
        x: (n, r) whitened rows. ``means``: (C, r) of the classes.
        label, right: (n,) class of each row, and the probability that it is right.
        mass: (C,) Σ right. ``voters``: (n, k) classes of the nearest; −1 of one that is too small.
    """

    x: Float[Tensor, "n r"]
    means: Float[Tensor, "c r"]
    label: Int[Tensor, " n"]
    right: Float[Tensor, " n"]
    mass: Float[Tensor, " c"]
    voters: Int[Tensor, "n k"]

    @classmethod
    def of(
        cls,
        x: Float[Tensor, "n r"],
        label: Int[Tensor, " n"],
        right: Float[Tensor, " n"],
        voters: Int[Tensor, "n k"],
        classes: int,
    ) -> _Model:
        """Means and covariance of rows that count as much as they are right."""
        mass = right.new_zeros(classes).index_add_(0, label, right).clamp_min_(1e-9)
        means = x.new_zeros(classes, x.shape[1]).index_add_(0, label, x * right[:, None])
        means /= mass[:, None]
        whiten = whitening((x - means[label]) * right.sqrt()[:, None])
        return cls(x @ whiten, means @ whiten, label, right, mass, voters)

    def evidence(
        self, rows: Int[Tensor, " m"]
    ) -> tuple[Float[Tensor, "m c"], Float[Tensor, "m c"]]:
        """s_c less the largest, and log(v_c + 0.05)."""
        x, mine, voters = self.x[rows], self.label[rows, None], self.voters[rows]
        far = x @ self.means.T - self.means.square().sum(1) / 2 - x.square().sum(1)[:, None] / 2
        # ‖x − mean without x‖ = ‖x − mean‖ N/(N − 1)
        stretch = self.mass[mine] / (self.mass[mine] - self.right[rows, None]).clamp_min(1e-9)
        far.scatter_(1, mine, far.gather(1, mine) * stretch.square())
        votes = torch.zeros_like(far)
        votes.scatter_add_(1, voters.clamp_min(0), (voters >= 0).double() / voters.shape[1])
        far -= far.amax(1, keepdim=True)
        return far.clamp_min_(-_REACH), votes.add_(_UNSEEN).log_()

    def probabilities(
        self, a: float, b: float
    ) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"], Bool[Tensor, " n"]]:
        """π of the labels, the likeliest classes, and whether more neighbours are of these."""
        found = []
        block = max(_NUMBERS // len(self.mass), 1)
        for rows in torch.arange(len(self.x), device=self.x.device).split(block):
            far, votes = self.evidence(rows)
            pi = (a * far + b * votes + self.mass.log()).softmax(1)
            best, mine = pi.argmax(1, keepdim=True), self.label[rows, None]
            more = votes.gather(1, best) > votes.gather(1, mine)
            found.append((pi.gather(1, mine)[:, 0], best[:, 0], more[:, 0]))
        own, best, agree = (torch.cat(parts) for parts in zip(*found, strict=True))
        return own, best, agree


def _weights(model: _Model) -> tuple[float, float]:
    """a and b, of all rows, or of as many evenly spread ones as there is room for."""
    from scipy.optimize import minimize

    classes, n = len(model.mass), len(model.x)
    rows = torch.arange(n, device=model.x.device)[:: -(-n * classes // _NUMBERS)]
    far, votes = model.evidence(rows)
    prior, mine = model.mass.log(), model.label[rows, None]
    own_far, own_votes = far.gather(1, mine)[:, 0], votes.gather(1, mine)[:, 0]

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        """−mean log P and its gradient, in log a, log b and log ε/(1 − ε)."""
        a, b = np.exp(free[:2]).tolist()
        epsilon = float(1 / (1 + np.exp(-free[2])))
        pi = (a * far + b * votes + prior).softmax(1)
        own = pi.gather(1, mine)[:, 0]
        p = (1 - epsilon) * own + epsilon / classes
        q = (1 - epsilon) * own / p  # that the label is not a blind one
        slopes = (
            a * (q * (own_far - torch.linalg.vecdot(pi, far))).mean(),
            b * (q * (own_votes - torch.linalg.vecdot(pi, votes))).mean(),
            epsilon * (1 - epsilon) * ((1 / classes - own) / p).mean(),
        )
        return -float(p.log().mean()), -np.array([float(slope) for slope in slopes])

    best = minimize(loss, [0, 0, -2], jac=True, bounds=[(-8, 3), (-8, 3), (-16, 4)]).x
    a, b = np.exp(best[:2]).tolist()
    return a, b


def _blind(own: Float[Tensor, " n"], classes: int) -> tuple[float, float, float]:
    """ε of the largest likelihood, and where it is within 1.92 of that in its logarithm."""

    def likelihood(epsilon: float) -> float:
        return float(((1 - epsilon) * own + epsilon / classes).log().sum())

    def slope(epsilon: float) -> float:
        return float(((1 / classes - own) / ((1 - epsilon) * own + epsilon / classes)).sum())

    # The likelihood is concave: its slope falls, and each side crosses a level once.
    best = _crossing(lambda epsilon: slope(epsilon) > 0, 0.0, 1.0)
    level = likelihood(best) - 1.92
    low = _crossing(lambda epsilon: likelihood(epsilon) < level, 0.0, best)
    high = _crossing(lambda epsilon: likelihood(epsilon) >= level, best, 1.0)
    return best, low, high


def _crossing(before: Callable[[float], bool], low: float, high: float) -> float:
    """Where ``before`` ends between two numbers; the lower one where it never holds."""
    if not before(low):
        return low
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if before(middle) else (low, middle)
    return low
