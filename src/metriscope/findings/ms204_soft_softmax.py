"""MS204: a softmax so soft that no embedding can satisfy it."""

from __future__ import annotations

import math

from metriscope.findings._course import batches, setting
from metriscope.findings._floors import softmax
from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, finding
from metriscope.types import Finding

THRESHOLD = 0.5
SHARP = 16.0  # the scale that is suggested: CCL's default, and 1/0.07 is 14


@finding("ms204_soft_softmax", title="best probability of the right answer", of=("run", "training"))
def ms204_soft_softmax(subject: Subject) -> Verdict:
    """Softmax too soft: even a perfect space leaves the right answer under 50 % of the probability.

    On unit vectors the best that C classes can do is the simplex, where the right answer's cosine
    exceeds each wrong one's by C/(C−1). With K wrong answers and scale s it then has probability
    p = 1/(1 + K exp(−s C/(C−1))), and the gradient of every anchor keeps 1 − p of its full
    strength: at p < 0.5 the loss pulls at a perfect space more than half as hard as at a hopeless
    one, and ends near its floor −log p whatever the neighbours are. Applies to N-pair and the
    proxy losses (s their scale, K = C − 1) and to InfoNCE (s = 1/temperature, K the batch's
    negatives), of pytorch-metric-learning too.
    """
    made_of = batches(subject)
    found = None if made_of is None else softmax(subject.loss, subject.params, made_of)
    if made_of is None or found is None or subject.loss in ("scl", "SupConLoss"):
        return NotApplicable("needs a softmax with one right answer, unit vectors, two classes.")
    floor = found.at(found.plain)
    p = math.exp(-floor)
    if p >= THRESHOLD:
        return Passed(p, THRESHOLD)
    sharp = f"{1 / SHARP:.2g}" if found.parameter == "temperature" else f"{SHARP:g}"
    fixed = subject.loss == "NPairsLoss"  # which has no scale
    return Finding(
        code="MS204",
        severity="warning",
        title="its softmax is too soft for unit vectors",
        message=f"With {found.parameter} {found.value:g}, even a perfect space of "
        f"{made_of.classes} classes gives the right answer a probability of {p:.2f}: the loss "
        f"cannot fall below {floor:.3g}, and keeps pulling where nothing is left to gain.",
        value=p,
        threshold=THRESHOLD,
        cause="cosines lie between -1 and 1, and the scale stretches them too little.",
        next_step=f"a loss with a temperature (NTXentLoss, {1 / SHARP:.2g}), or embeddings that "
        "are not normalised."
        if fixed
        else setting(subject, found.parameter, sharp) + ".",
        verify=f"the loss should fall well below {floor:.3g}.",
    )
