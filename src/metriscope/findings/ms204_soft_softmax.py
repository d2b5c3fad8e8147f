"""MS204: a softmax so soft that no embedding can satisfy it."""

from __future__ import annotations

import math

from metriscope.findings.base import NotApplicable, Passed, Subject, Verdict, batch_size, finding
from metriscope.types import Finding

THRESHOLD = 0.5
SHARP = 16.0  # the scale that is suggested: CCL's default, and 1/0.07 is 14


@finding(
    "ms204_soft_softmax",
    title="best probability of the right answer",
    of="run",
)
def ms204_soft_softmax(subject: Subject) -> Verdict:
    """Softmax too soft: even a perfect space leaves the right answer under 50 % of the probability.

    On unit vectors the best that C classes can do is the simplex, where the right answer's cosine
    exceeds each wrong one's by C/(C−1). With K wrong answers and scale s it then has probability
    p = 1/(1 + K exp(−s C/(C−1))), and the gradient of every anchor keeps 1 − p of its full
    strength: at p < 0.5 the loss pulls at a perfect space more than half as hard as at a hopeless
    one, and ends near its floor −log p whatever the neighbours are. Applies to N-pair and the
    proxy losses (s their scale, K = C − 1) and to InfoNCE (s = 1/temperature, K the batch's
    negatives).
    """
    classes = int(subject.about.get("train_classes") or subject.about.get("classes") or 0)
    params, name = subject.params, subject.loss
    parameter = "temperature" if name == "infonce" else "scale"
    normalized = name in ("infonce", "arcface", "ccl") or (
        name == "npair" and params.get("normalize", True)
    )
    if classes < 2 or not normalized or not params.get(parameter):
        return NotApplicable("needs a softmax over unit vectors, and two classes.")
    if name == "infonce":
        scale = 1 / params["temperature"]
        wrong = batch_size(subject) * (1 - 1 / classes)
    else:
        scale, wrong = params["scale"], classes - 1.0
    p = 1 / (1 + wrong * math.exp(-scale * classes / (classes - 1)))
    if p >= THRESHOLD:
        return Passed(p, THRESHOLD)
    sharp = f"{1 / SHARP:.2g}" if parameter == "temperature" else f"{SHARP:g}"
    return Finding(
        code="MS204",
        severity="warning",
        title="its softmax is too soft for unit vectors",
        message=f"With {parameter} {params[parameter]:g}, even a perfect space of {classes} "
        f"classes gives the right answer a probability of {p:.2f}: the loss cannot fall below "
        f"{-math.log(p):.3g}, and keeps pulling where nothing is left to gain.",
        value=p,
        threshold=THRESHOLD,
        cause="cosines lie between -1 and 1, and the scale stretches them too little.",
        next_step=f"--set {name}.{parameter}={sharp}.",
    )
