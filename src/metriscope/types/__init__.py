"""The nouns. Frozen dataclasses that check themselves; everything else is written in terms of them.

Nothing here imports torch at run time, so that the command line can answer at once.
"""

from metriscope.types._data import Dataset, Embeddings, rows_where_not
from metriscope.types._diagnosis import ClassRow, Confusion, Examined, Interval, Item
from metriscope.types._errors import InputError, MetriscopeError
from metriscope.types._evidence import Queries, View
from metriscope.types._findings import Finding, Severity
from metriscope.types._runs import (
    NUMBERS,
    HeadSpec,
    OptimizerSpec,
    Results,
    RunResult,
    RunSpec,
    Scores,
    Trace,
)
from metriscope.types._steps import LossOutput, Share, Step

__all__ = [
    "NUMBERS",
    "ClassRow",
    "Confusion",
    "Dataset",
    "Embeddings",
    "Examined",
    "Finding",
    "HeadSpec",
    "InputError",
    "Interval",
    "Item",
    "LossOutput",
    "MetriscopeError",
    "OptimizerSpec",
    "Queries",
    "Results",
    "RunResult",
    "RunSpec",
    "Scores",
    "Severity",
    "Share",
    "Step",
    "Trace",
    "View",
    "rows_where_not",
]
