"""What a report of several datasets begins with."""

from __future__ import annotations

from collections import Counter

from metriscope.report import advice
from metriscope.report.evidence import Evidence
from metriscope.report.panels.critical_difference import mean_ranks
from metriscope.report.tables import number
from metriscope.report.words import listed, short

_NAMED = 3  # losses


def overall(evidence: Evidence) -> str:
    """Which losses are recommended on how many datasets, and what their mean ranks show."""
    return " ".join(filter(None, (_recommended(evidence), _ranked(evidence)))) or (
        "What was found about each dataset is below."
    )


def _recommended(evidence: Evidence) -> str:
    """Empty where no dataset has a recommendation of a loss."""
    said = [advice.read(part.results) for part in evidence.parts.values()]
    found = Counter(one.loss for one in said if one is not None and one.loss is not None)
    if not found:
        return ""
    (best, most), *rest = found.most_common()
    text = f"On {most} of {len(said)} datasets {short(best)} is recommended"
    text += "".join(f", on {n} {short(loss)}" for loss, n in rest[:_NAMED])
    if len(rest) > _NAMED:
        text += f", on {sum(n for _, n in rest[_NAMED:])} another"
    without = len(said) - found.total()
    return f"{text}{f', on {without} none' if without else ''}; see each below."


def _ranked(evidence: Evidence) -> str:
    """Empty where no loss was run on two datasets."""
    found = mean_ranks(evidence)
    if found is None:
        return ""
    best, rank = found.losses[0], found.ranks[0]
    last = max((last for first, last in found.groups if first == 0), default=0)
    worse = found.losses[last + 1 :]
    told = f"tells it from {listed(worse, _NAMED)}" if worse else "tells it from no other loss"
    return (
        f"{short(best)} has the best mean rank by Recall@1, {number(rank, 2)} over "
        f"{found.datasets} datasets; the critical difference of {number(found.critical, 2)} {told}."
    )
