"""Cases of the findings about the geometry of a space."""

from __future__ import annotations

from tests.fakes import results, run
from tests.finding_cases import Case

CASES = {
    "MS101": Case(
        results(run(spread__total=7.6e-05, recall_1=0.5)),
        results(run(spread__total=0.02)),
        results(run(spread__total=None)),
    ),
    "MS102": Case(
        results(run(centre__norm_sq=0.95, spread__total=0.05, recall_1=0.5)),
        results(run(centre__norm_sq=0.85, spread__total=0.15)),
        results(run(centre__norm_sq=0.9999, spread__total=0.0001)),
    ),
}
