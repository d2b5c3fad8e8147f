"""From names and settings to specifications: every one checked before any data is read."""

from metriscope.plan._specs import PRESETS, plan
from metriscope.plan._sweeps import plan_sweep, read_sweep, unique, vary
from metriscope.plan._values import coerce

__all__ = ["PRESETS", "coerce", "plan", "plan_sweep", "read_sweep", "unique", "vary"]
