"""Cases of the findings about the geometry of a space."""

from __future__ import annotations

from metriscope.findings.base import Subject
from metriscope.types import ClassRow, Confusion, Examined
from tests.fakes import results, run
from tests.finding_cases import Case, space


def pair(crossed: int, rows: int = 100) -> Subject:
    """Three classes: so many queries of each of two find the other one."""
    own = 1 - crossed / rows
    table = tuple(
        ClassRow(name, rows, rows, 0.5, recall)
        for name, recall in (("cat", own), ("dog", own), ("ship", 0.99))
    )
    lost = [
        Confusion("cat", "dog", crossed, 1 - own),
        Confusion("dog", "cat", crossed, 1 - own),
        Confusion("ship", "cat", 1, 0.01),
    ]
    return space(examined=Examined({}, per_class=table, confusions=tuple(lost)))


CASES = {
    "MS101": Case(
        results(run(spread__total=7.6e-05, recall_1=0.5)),
        results(run(spread__total=0.02)),
        results(run(spread__total=None)),
    ),
    "MS101 space": Case(
        space(spread__total=7.6e-05), space(spread__total=0.02), space(recall_1=0.5)
    ),
    "MS101 one row": Case(
        space({"rows": 2}, spread__total=0.0),
        space(spread__total=0.02),
        space({"rows": 1}, spread__total=0.0),
    ),
    "MS102": Case(
        results(run(centre__norm_sq=0.95, spread__total=0.05, recall_1=0.5)),
        results(run(centre__norm_sq=0.85, spread__total=0.15)),
        results(run(centre__norm_sq=0.9999, spread__total=0.0001)),
    ),
    "MS102 space": Case(
        space(centre__norm_sq=0.95, spread__total=0.05, rank__effective__centred=40.0),
        space(centre__norm_sq=0.85, spread__total=0.15),
        space(centre__norm_sq=0.9999, spread__total=0.0001),
    ),
    "MS103": Case(
        results(run(rank__effective__centred=2.2)),
        results(run(rank__effective__centred=9.0)),
        results(run(rank__effective__centred=2.2, spread__total=0.001)),
    ),
    "MS103 space": Case(
        space({"classes": 200}, rank__effective__centred=60.0),
        space({"classes": 200}, rank__effective__centred=70.0),
        space({"classes": 4}, rank__effective__centred=1.0),
    ),
    "MS104": Case(
        results(run(inter__clumps=2.25)),
        results(run(inter__clumps=23.0)),
        results(run(inter__clumps=2.25, spread__total=0.001)),
    ),
    "MS104 space": Case(
        space({"classes": 98}, inter__clumps=7.7),  # N-pair on Cars196
        space({"classes": 98}, inter__clumps=23.0),  # InfoNCE there
        space({"classes": 4}, inter__clumps=1.5),
    ),
    "MS104 plane": Case(
        space({"classes": 50, "dim": 2}, inter__clumps=2.0),
        space({"classes": 50, "dim": 2}, inter__clumps=5.0),  # thrown at random on a circle
        space({"classes": 50, "dim": 1}, inter__clumps=2.0),
    ),
    "MS105": Case(pair(45), pair(20), space(recall_1=0.5)),
    "MS105 few rows": Case(pair(9, rows=9), pair(5, rows=9), space(spread__total=0.001)),
    "MS106": Case(
        space(hubness__top=0.16, hubness__top__usual=0.1),
        space(hubness__top=0.14, hubness__top__usual=0.1),
        space({"rows": 100}, hubness__top=0.9, hubness__top__usual=0.1),
    ),
    "MS107": Case(
        space({"clumped_classes": ["cat", "dog"]}, classes__clumped=0.2),
        space(classes__clumped=0.0),
        space(classes__clumped=0.2, spread__total=0.001),
    ),
    "MS108": Case(
        space(norms__cv=0.4, norms__moved__dot=0.06, norms__lost__dot=0.0),
        space(norms__cv=0.4, norms__moved__dot=0.04, norms__lost__dot=0.0),
        space(norms__cv=0.4),
    ),
    "MS108 by dot product": Case(
        space(norms__cv=0.1, norms__moved__dot=0.9, norms__lost__dot=0.2),
        space(norms__cv=0.1, norms__moved__dot=0.9, norms__lost__dot=0.09),
        space(norms__cv=0.1, norms__moved__dot=0.9, norms__lost__dot=0.2, centre__norm_sq=0.95),
    ),
    "MS109": Case(
        space(float32__lost=0.06, float32__unsure=0.12),
        space(float32__lost=0.009, float32__unsure=0.6),
        space(recall_1=0.5),
    ),
    "MS109 few queries": Case(
        space({"rows": 100}, float32__lost=0.2, float32__unsure=0.5),
        space({"rows": 100}, float32__lost=0.09, float32__unsure=0.5),
        None,
    ),
}
