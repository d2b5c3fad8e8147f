"""The same number of trials for every loss, over its own parameters and the learning rate.

A trial is a run like any other, with the first seed and all its epochs. The first is the settings
as they were given, so that a loss at its best is never worse, on the validation part, than it was.
The others are proposed by Optuna's TPE sampler, which gets the finished ones four at a time.

Nothing is remembered but the runs: the same command makes the same proposals again, finds those
that are done in the store, and goes on where it stopped. Neither the number of processes nor the
other losses have a part in what is proposed.
"""

from metriscope.tuning._counted import Counted
from metriscope.tuning._objective import Objective, objective
from metriscope.tuning._tune import Run, Tuned, tune

__all__ = ["Counted", "Objective", "Run", "Tuned", "objective", "tune"]
