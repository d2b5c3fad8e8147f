"""Linear probe."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metriscope import ops
from metriscope.diagnostics.base import RESOLUTION, Score, Space, Values, diagnostic

_TALL = 64  # rows a dimension above which Newton's method is the faster


@diagnostic(
    "linear_probe",
    reads="embeddings",
    group="classification",
    scores=[Score("probe_accuracy", better="higher", lower=0, upper=1)],
)
def linear_probe(space: Space) -> Values:
    """Test accuracy of a logistic regression on the frozen training embeddings.

    Formula, with x the unit vectors standardised by mean and SD of each training dimension (a
    dimension without spread stays 0)::

        min over W, b of  Σ_i −log softmax(W x_i + b)_{y_i} + ‖W‖²/2      (C = 1)

    (two classes: one w, softmax(0, wᵀx + b) and ‖w‖²/2). From 64 rows a dimension by Newton's
    method, to 1e-7 nats a row above the minimum; else by scikit-learn's lbfgs in float32, at most
    300 iterations.

    Standardising undoes a collapse to a cone, so a high probe beside a low recall@1 says that the
    information is there but distances do not show it.

    Bounds: [0, 1]. Rows of a class that the training data lack are left out: no answer would be
    right. Undefined if none is left, without training embeddings, and with one training class.
    Source: the usual protocol for frozen embeddings.
    """
    train_z, train_y, seen = space.train_z, space.train_y, space.seen
    if train_z is None or train_y is None or seen is None or not bool(seen.any()):
        return {"probe_accuracy": None}
    codes, labels = torch.unique(train_y, return_inverse=True)
    if len(codes) < 2:
        return {"probe_accuracy": None}
    centre, sd = train_z.mean(0), train_z.std(0, correction=0)
    scale = torch.where(sd > RESOLUTION, sd, torch.inf)
    x = ((train_z - centre) / scale).float()
    tall = len(x) >= _TALL * x.shape[1]
    w, b = _newton(x, labels, len(codes)) if tall else _lbfgs(x, labels)
    answer = codes[(((space.z[seen] - centre) / scale) @ w.T + b).argmax(1)]
    return {"probe_accuracy": (answer == space.y[seen]).double().mean()}


def _newton(
    x: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: int
) -> tuple[Float[Tensor, "c d"], Float[Tensor, " c"]]:
    # Two classes: W = (−w/2, w/2), so ‖w‖²/2 is ‖W‖².
    return ops.logistic_regression(x, labels, classes, penalty=2.0 if classes == 2 else 1.0)


def _lbfgs(
    x: Float[Tensor, "n d"], labels: Int[Tensor, " n"]
) -> tuple[Float[Tensor, "c d"], Float[Tensor, " c"]]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        # Separable data move the optimum far out; the accuracy has settled long before.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = LogisticRegression(C=1.0, max_iter=300).fit(x.cpu().numpy(), labels.cpu().numpy())
    w = torch.from_numpy(probe.coef_).to(x.device, torch.float64)
    b = torch.from_numpy(probe.intercept_).to(x.device, torch.float64)
    if len(w) == 1:  # two classes, one w
        w, b = torch.cat([-w, w]) / 2, torch.cat([-b, b]) / 2
    return w, b
