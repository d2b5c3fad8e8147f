"""Linear probe."""

from __future__ import annotations

import warnings

import numpy as np

from metriscope.diagnostics.base import RESOLUTION, Score, Space, Values, diagnostic


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

        min over W, b of  Σ_i −log softmax(W x_i + b)_{y_i} + ‖W‖²/2      (C = 1, lbfgs)

    Standardising undoes a collapse to a cone, so a high probe beside a low recall@1 says that the
    information is there but distances do not show it.

    Bounds: [0, 1]. Rows of a class that the training data lack are left out: no answer would be
    right. Undefined if none is left, without training embeddings, and with one training class.
    Source: the usual protocol for frozen embeddings.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    train_z, train_y, seen = space.train_z, space.train_y, space.seen
    if train_z is None or train_y is None or seen is None or not bool(seen.any()):
        return {"probe_accuracy": None}
    labels, truth = train_y.cpu().numpy(), space.y[seen].cpu().numpy()
    if len(np.unique(labels)) < 2:
        return {"probe_accuracy": None}
    train, test = train_z.cpu().numpy(), space.z[seen].cpu().numpy()
    centre, sd = train.mean(0), train.std(0)
    scale = np.where(sd > RESOLUTION, sd, np.inf)
    with warnings.catch_warnings():
        # Separable data move the optimum far out; the accuracy has settled long before.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = LogisticRegression(C=1.0, max_iter=300).fit((train - centre) / scale, labels)
    return {"probe_accuracy": float((probe.predict((test - centre) / scale) == truth).mean())}
