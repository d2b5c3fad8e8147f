"""Which loss to take, from the validation part alone.

A goal is one number of that part: see :data:`metriscope.recommendation.goals.AIMS`. The loss with
the best mean is recommended. The same data say which one that is, so the others are compared with
it under Holm's correction over all pairs of losses; those with p at or above the level cannot be
told apart from it. Whichever is recommended, the loss that is truly the best is it or one of these
in 95 of 100 cases at least: it is left out only where another one beats it significantly, in the
wrong direction.
"""

from metriscope.recommendation.choice import recommend
from metriscope.recommendation.goals import GOALS, Goal, epochs_to_target
from metriscope.recommendation.stored import anew

__all__ = ["GOALS", "Goal", "anew", "epochs_to_target", "recommend"]
