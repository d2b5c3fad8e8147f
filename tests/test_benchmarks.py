"""The benchmark's own parts: bars, ratios, memory. The sections themselves are run by hand."""

from __future__ import annotations

import importlib
import time

import numpy as np
import pytest
from benchmarks.__main__ import SECTIONS, title
from benchmarks.measure import OVER, growth_mib, in_child, turns
from benchmarks.tables import Row, bar_of, compared, markdown


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        (Row("a", 3.0, ratio=2.0, least=1.9), True),
        (Row("a", 3.0, ratio=1.8, least=1.9), False),
        (Row("a", 3.0, ratio=1.8, most=1.9), True),
        (Row("a", 3.0, ratio=2.0, most=1.9), False),
        (Row("a", 3.0, "MiB", most=2.0), False),
        (Row("a", 3.0, "MiB", most=4.0), True),
        (Row("a", 3.0, ratio=0.1), None),
    ],
)
def test_a_bar_is_of_the_ratio_or_else_of_the_value(row: Row, holds: bool | None) -> None:
    assert row.holds is holds
    assert ("NOT" in bar_of(row)) == (holds is False)


def test_ratios_are_medians_of_the_turns() -> None:
    ours, other = [1.0, 2.0, 4.0], [3.0, 6.0, 4.0]
    faster = compared("a", "b", ours, other, way="times faster", bar=2.5)
    assert (faster.value, faster.other, faster.ratio, faster.holds) == (2000, 4000, 3, True)
    cost = compared("a", "b", ours, other, way="times the cost", bar=0.3)
    assert cost.ratio == pytest.approx(1 / 3)
    assert cost.holds is False


def test_works_take_turns_after_one_call_of_each() -> None:
    said: list[str] = []
    times = turns(lambda: said.append("a"), lambda: said.append("b"), budget=0, least=2)
    assert "".join(said) == "ababab"
    assert [len(one) for one in times] == [2, 2]


def test_memory_is_the_growth_of_a_process_and_is_limited() -> None:
    def touch(mib: int) -> None:
        np.ones(mib << 17).sum()

    grown = in_child(growth_mib, lambda: touch(64), lambda: touch(1))
    assert grown == pytest.approx(64, abs=8)
    assert in_child(growth_mib, lambda: touch(512), lambda: touch(1), limit_gb=0.1) == OVER


def test_a_failure_in_a_process_is_not_a_measurement() -> None:
    with pytest.raises(RuntimeError, match="failed in its process"):
        in_child(time.sleep, "no number")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_can_be_asked_for(name: str) -> None:
    assert title(name)
    assert callable(importlib.import_module(f"benchmarks.{name}").run)


def test_markdown_has_one_line_a_row() -> None:
    rows = [Row("a", 1234.0), Row("b", 0.1234, "MiB", "c", "out of memory")]
    lines = markdown("Title", rows).splitlines()
    assert lines[4:] == [
        "| a | 1,234 ms |  |  |  |  |",
        "| b | 0.123 MiB | c | out of memory |  |  |",
    ]
