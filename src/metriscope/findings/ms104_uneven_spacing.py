"""MS104: the classes stand in few groups."""

from __future__ import annotations

import math

from metriscope.findings._space import SEE_MS101, dimensions, is_collapsed, number_of_classes
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding, score
from metriscope.types import Finding

FEWEST = 5


@finding("ms104_uneven_spacing", title="places where classes stand", of=("run", "space"))
def ms104_uneven_spacing(subject: Subject) -> Verdict:
    """Uneven class spacing: C classes stand in fewer than √C places.

    ``inter.clumps`` = κ = 1 + (μ/SD)² of the distances e between class centres. C classes in k
    equally far places of C/k each have a share p = (C/k − 1)/(C − 1) of pairs at distance 0, so
    μ/SD = √((1 − p)/p), κ = 1/p, and the number of places is::

        k = C κ / (κ + C − 1)        between 1 and C

    Below √C a place holds more classes than there are places: what tells groups apart outweighs
    what tells classes apart. In few dimensions centres thrown at random are uneven too: on the
    unit sphere of d dimensions κ ≈ 4d − 3, so the limit is no more than half of k at that.
    Measured: k/C is above 0.7 in the healthy spaces of the tests and in frozen features of
    CIFAR-10; in the paper's Table 2 (98, 100 and 200 classes) InfoNCE has 19, 26 and 73 places, all
    above √C, and N-pair 7.2, 10.8 and 13.1, two of them below. It is a warning: labels with a
    hierarchy look like this. Not asked where MS101 holds.
    """
    clumps, c, d = score(subject, "inter.clumps"), number_of_classes(subject), dimensions(subject)
    if is_collapsed(subject):
        return NotApplicable(SEE_MS101)
    if clumps is None or c < FEWEST or d < 2:
        return NotApplicable(f"needs {FEWEST} classes at some distance, in 2 dimensions.")
    places = _places(clumps, c)
    limit = min(math.sqrt(c), _places(4 * d - 3, c) / 2)
    if places >= limit:
        return Passed(places, limit)
    return Finding(
        code="MS104",
        severity="warning",
        title="the classes are spaced unevenly",
        message=f"The distances between the {c:,} class centres are those of classes in "
        f"{places:.1f} places (mean {_number(subject, 'inter.euclid.mean')}, SD "
        f"{_number(subject, 'inter.euclid.sd')}).",
        value=places,
        threshold=limit,
        cause="the loss separates groups of classes and not the classes in them: it stops pushing "
        "once the nearest or most groups are apart, or the labels have a hierarchy.",
        next_step="a loss that repels all negatives (infonce, scl), a smaller temperature, or "
        "harder negatives from the same group.",
        verify=f"inter.clumps rises, so that there are more than {limit:.1f} places.",
    )


def _places(clumps: float, classes: int) -> float:
    return classes * clumps / (clumps + classes - 1)


def _number(subject: Subject, name: str) -> str:
    value = score(subject, name)
    return "unknown" if value is None else f"{value:.2g}"
