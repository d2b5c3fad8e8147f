"""Loss decay: how fast does the loss fall?"""

from __future__ import annotations

from metriscope.diagnostics.base import Score, diagnostic
from metriscope.types import Scores, Trace

_LEFT = {"epochs_to.50": 0.5, "epochs_to.60": 0.4, "epochs_to.90": 0.1}  # share of the start


@diagnostic(
    "loss_decay",
    reads="trace",
    group="greediness",
    scores=[
        Score("loss.initial"),
        Score("loss.final"),
        Score("loss.decay"),
        *(Score(name, lower=1) for name in _LEFT),
    ],
)
def loss_decay(trace: Trace) -> Scores:
    """Loss before and after training, and the first epoch at which enough of it is gone.

    Formula, with L_e the mean loss of epoch e and L_0 the loss before any update::

        loss.decay   = 1 − L_E/L_0
        epochs_to.50 = the first e ≥ 1 with L_e ≤ (1 − 0.5) L_0; .60 and .90 likewise

    Many losses have a floor above 0, so these numbers do not compare losses with one another.

    Bounds: epochs_to ≥ 1. Undefined: epochs_to where the loss never gets there; all but
    initial and final where L_0 is not above 0. Source: the paper, section 4.
    """
    losses = trace.get("loss") or [None]
    initial, final = losses[0], losses[-1]
    scores: Scores = {"loss.initial": initial, "loss.final": final, "loss.decay": None}
    scores |= dict.fromkeys(_LEFT)
    if initial is None or not initial > 0:
        return scores
    scores["loss.decay"] = None if final is None else 1 - final / initial
    for name, left in _LEFT.items():
        limit = left * initial
        reached = (e for e, value in enumerate(losses) if value is not None and value <= limit)
        scores[name] = next(reached, None)  # never 0, whose loss is above the limit
    return scores
