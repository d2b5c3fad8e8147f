"""Label noise: how many labels the space does not bear out."""

from __future__ import annotations

from metriscope.diagnostics._suspects import mislabelled
from metriscope.diagnostics.base import Score, Space, Values, diagnostic

_NAMES = (
    "label_noise",
    "label_noise.low",
    "label_noise.high",
    "label_noise.surest",
    "label_noise.surest.low",
    "label_noise.contradicted",
    "items.mislabelled",
)


@diagnostic(
    "label_noise",
    reads="diagnosis",
    group="data",
    scores=[Score(name, better="lower", lower=0, upper=1) for name in _NAMES],
)
def label_noise(space: Space) -> Values:
    """Estimated share of wrong labels, its 95 % interval, and the share that can be pointed at.

    Formula, over rows i of the C classes with at least five rows, s_c(i) = −½ the squared
    Mahalanobis distance to the mean of class c, v_c(i) its share of the 10 nearest others::

        P(y_i = c) = (1 − ε) π_c(i) + ε/C,    π_c ∝ N_c exp(a s_c + b log(v_c + 0.05))

    a, b, ε by maximum likelihood; ``label_noise`` = ε (C − 1)/C. Overlap of classes goes into a and
    b, labels drawn blindly into ε. ``items.mislabelled`` is the share of all rows that are wrong
    with a probability above 0.7 and have more neighbours of the likeliest class than of their own.

    Measured: of 0, 1, 5 and 20 % planted in eight synthetic spaces (Recall@1 from 0.61 to 1.0), at
    least 0, 1.0, 4.5 and 17.5 % are estimated, and at most 0, 1.9, 6.7 and 21 %; in the frozen
    features of CIFAR-10's test set (Recall@1 0.56) 0.0, 0.8, 4.4 and 19 %. Of the rows pointed at
    there 83, 92 and 92 % had been changed, and 15, 33 and 55 % of those that had are pointed at.
    Where a network put rows deep into a wrong class, they count as noise.

    The model takes much noise that depends on the class for overlap, so another view stands beside
    it: ``label_noise.surest``, the share of contradicted labels among the rows that a classifier
    is surest of, its 95 % lower bound, and ``label_noise.contradicted``, the
    share among all rows; see ``_confident_labels``.

    Bounds: [0, 1]. Undefined where fewer than two classes have five rows, or all embeddings are
    one point. Source: the blind share is the uniform noise of Angluin and Laird (1988); the
    classifier is linear discriminant analysis with the votes of neighbours.
    """
    found = space.label_noise
    if found is None:
        return dict.fromkeys(_NAMES)
    share = mislabelled(found).double().mean()
    surest = found.surest or (None, None, None)
    return dict(zip(_NAMES, (found.rate, found.low, found.high, *surest, share), strict=True))
