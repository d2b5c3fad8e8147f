"""Each known damage fires its finding and no other problem; healthy spaces fire none."""

from __future__ import annotations

import pytest

import metriscope
from metriscope.diagnostics.base import measure
from metriscope.types import Examined
from tests.damages import DAMAGES, HEALTHY, Labelled, damaged, healthy
from tests.spaces import space

_DONE = [(name, base) for name, damage in DAMAGES.items() for base in damage.bases]
_QUICK = [(name, base) for name, base in _DONE if HEALTHY[base].rows < 4_000]
_SOME = _QUICK[::2]


def _examined(made: Labelled) -> Examined:
    return metriscope.diagnose(made.x, made.y, train=made.train, resamples=2)


@pytest.mark.parametrize("base", HEALTHY)
def test_healthy_spaces_fire_nothing(base: str) -> None:
    found = _examined(healthy(base, seed=1, train=HEALTHY[base].rows <= 1_000))
    assert [(f.code, f.value) for f in found.fired] == []
    assert any(f.severity == "ok" for f in found.findings)


def test_every_damage_and_every_base_is_met() -> None:
    assert {name for name, _ in _SOME} == set(DAMAGES)
    assert {base for _, base in _SOME} == {base for _, base in _QUICK}


def test_healthy_spaces_reach_from_frozen_features_to_neural_collapse() -> None:
    def recall(base: str) -> float:
        made = healthy(base)
        return measure(space(made.x, made.y), ["retrieval"])["recall@1"] or 0.0

    assert 0.55 < recall("ten classes, overlapping") < 0.65
    assert recall("neural collapse") == 1


@pytest.mark.parametrize(("name", "base"), _SOME)
def test_a_damage_fires_its_finding_and_no_other_problem(name: str, base: str) -> None:
    damage = DAMAGES[name]
    found = _examined(damaged(name, base))
    said = {f.code: f.severity for f in found.fired}
    assert said.pop(damage.code, None) == damage.severity
    assert set(said) <= set(damage.also)
    assert "problem" not in said.values()
