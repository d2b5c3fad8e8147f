"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from metriscope.data.datasets import register
from metriscope.data.table import Labels, Table


@register("digits")
def digits() -> Table:
    """Handwritten digits, 1,797 images of 8 × 8 pixels in 10 classes: real, and no download.

    Features: (1797, 64) float32, grey values 0 to 16. Source: the test part of the UCI Optical
    Recognition of Handwritten Digits data, as scikit-learn bundles it.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return Table(np.asarray(x, np.float32), Labels.of(y, "digits"), "digits")
