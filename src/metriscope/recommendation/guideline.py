"""The paper's guideline, and what these data say for and against it.

arXiv 2601.21450 advises Triplet and SCL "when diversity preservation and hard-sample
discrimination are critical", Contrastive and InfoNCE "when faster embedding compaction is desired".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metriscope.recommendation.goals import AIMS, SAME, Goal
from metriscope.recommendation.words import listed, p_value

_FINE = ("triplet", "scl")
_QUICK = ("contrastive", "infonce")
LOSSES: Mapping[Goal, tuple[str, ...]] = {
    "top1": _FINE,
    "recall@10": _FINE,
    "compact": _QUICK,
    "fast": _QUICK,
}
_SAYS: Mapping[tuple[str, ...], str] = {
    _FINE: "The paper advises triplet or scl where fine differences within classes have to be "
    "kept and hard samples told apart.",
    _QUICK: "The paper advises contrastive or infonce where embeddings are to become compact fast.",
}
_OWN_TABLES: Mapping[Goal, str] = {
    "top1": "The paper's own Table 3 does not bear it out: on CUB-200 contrastive leads at "
    "Recall@1 (0.514; triplet 0.464, scl 0.441), and over its five datasets too (0.669; scl "
    "0.665, triplet 0.665).",
    "recall@10": "The paper's own Table 3 does not bear it out: on CUB-200 contrastive leads at "
    "every k, on CIFAR-10 and Fashion-MNIST at Recall@10.",
    "compact": "The paper's own Table 2 does not bear it out: infonce has the largest variance "
    "within classes of all seven losses on Cars196 (0.585) and CUB-200 (0.524).",
    "fast": "The paper's own evidence shows no difference in speed: it compares contrastive's 50 % "
    "of the loss by epoch 30 with triplet's 60 % by epoch 40, and exponential decay that has lost "
    "50 % at epoch 30 has lost 60 % at epoch 40.",
}


def judge(goal: Goal, rows: Sequence[Mapping[str, Any]], level: float) -> dict[str, Any]:
    """The guideline for a goal, held against the losses that were compared.

    Args:
        goal: what was asked for.
        rows: of the losses, the recommended one first; empty where there is none.
        level: of the tests.

    Returns:
        ``losses``, ``says``, ``for``, ``against`` (sentences) and ``verdict``: ``agrees`` where
        one of its losses is recommended and no other can be told to be as good, ``disagrees`` the
        other way round, ``cannot be told`` between, ``not tested`` where the comparison has none
        of its losses, or no others.
    """
    named = LOSSES[goal]
    inside = [row for row in rows if row["loss"] in named]
    outside = [row for row in rows if row["loss"] not in named]
    said: dict[str, Any] = {
        "losses": list(named),
        "says": _SAYS[named],
        "for": [],
        "against": [_OWN_TABLES[goal]],
        "verdict": "not tested",
    }
    if not inside or not outside:
        return said
    first, rest = (inside, outside) if inside[0] is rows[0] else (outside, inside)
    agrees = first is inside
    alike = [row["loss"] for row in rest if row["alike"]]
    said["verdict"] = "cannot be told" if alike else "agrees" if agrees else "disagrees"
    best, other = first[0], rest[0]
    same = abs(best["mean"] - other["mean"]) < SAME
    if same:
        said["against" if agrees else "for"].insert(0, _level(best, other))
    else:
        said["for" if agrees else "against"].insert(0, _ahead(goal, best, other, agrees, level))
    if alike and best["seeds"] > 1 and not (same and alike == [other["loss"]]):
        names = "does not name" if agrees else "names"
        said["against" if agrees else "for"].insert(
            0, f"It {names} {listed(alike)}, which cannot be told apart from {best['loss']}."
        )
    return said


def _level(best: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return (
        f"On these data {other['loss']} does exactly as well as {best['loss']}: both have "
        f"{best['mean']:.4g}."
    )


def _ahead(
    goal: Goal, best: Mapping[str, Any], other: Mapping[str, Any], agrees: bool, level: float
) -> str:
    named, unnamed = "which it names", "which it does not name"
    here, there = (named, "the others") if agrees else (unnamed, "those it names")
    said = (
        f"On these data {best['loss']}, {here}, is ahead of {other['loss']}, the best of {there}: "
        f"{best['mean']:.4g} against {other['mean']:.4g}"
    )
    if other["p"] is None:
        return f"{said}; of one seed, so another may turn it round."
    sign = -1 if AIMS[goal].better == "higher" else 1
    by, tested = f"by {sign * other['difference']:.3g}", f"adjusted p {p_value(other['p'])}"
    if other["difference_low"] is None:
        return f"{said} ({by}, {tested})."
    low, high = sorted(sign * other[f"difference_{end}"] for end in ("low", "high"))
    return f"{said} ({by}, {100 * (1 - level):.0f} % interval {low:.3g} to {high:.3g}, {tested})."
