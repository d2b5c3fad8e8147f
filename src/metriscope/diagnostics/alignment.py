"""Alignment: how close are positive pairs?"""

from __future__ import annotations

from metriscope.diagnostics.base import Moments, Score, Values, diagnostic, mean


@diagnostic(
    "alignment",
    reads="moments",
    group="geometry",
    scores=[Score("alignment", better="lower", lower=0, upper=4)],
)
def alignment(space: Moments) -> Values:
    """Mean squared distance of positive pairs.

    Formula, with positives the same-class pairs::

        alignment = mean over classes of the mean ‖z_i − z_j‖² over i ≠ j = 2 intra.pair_cos.mean

    It weighs classes, not pairs, alike; with equal class sizes that is the same.

    Bounds: 0 ≤ alignment ≤ 4. Undefined without a positive pair. Source: Wang and Isola (2020).
    """
    together = mean(space.pair_cos)
    return {"alignment": None if together is None else 2 * together}
