"""What is shown while pictures become features: pictures per second, time left, on any stream."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from metriscope import progress
from metriscope.progress import Bars, Lines


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_lines_have_rate_and_time_left_of_the_new_pictures_alone(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.pictures("train: m", 1024, 60_000)  # from the cache: they say nothing about the pace
    for done in (1088, 1152, 1216, 60_000):
        clock.now += 6
        lines.pictures("train: m", done, 60_000)
    assert stream.getvalue().splitlines() == [
        "metriscope: train: m: 1,024 of 60,000 pictures",
        "metriscope: train: m: 1,152 of 60,000 pictures, 10.7/s, 1:31:57 left",
        "metriscope: train: m: 60,000 of 60,000 pictures, 2,457.3/s",
    ]


def test_each_part_has_a_pace_of_its_own(clock: Clock) -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    for what in ("train: m", "test: m"):
        lines.pictures(what, 0, 10)
        clock.now += 20 if what == "test: m" else 1
        lines.pictures(what, 10, 10)
    assert stream.getvalue().splitlines()[1:] == [
        "metriscope: train: m: 10 of 10 pictures, 10.0/s",
        "metriscope: test: m: 10 of 10 pictures, 0.5/s",
    ]


def test_all_from_the_cache_is_said(clock: Clock) -> None:
    stream = io.StringIO()
    Lines(stream).pictures("test: m", 10, 10)
    assert stream.getvalue() == "metriscope: test: m: 10 of 10 pictures from the cache\n"


def test_bars_move_and_end_in_a_line(clock: Clock) -> None:
    stream = io.StringIO()
    with Bars(Console(file=stream, force_terminal=True, width=80)) as bars:
        bars.pictures("train: [red]m", 0, 100)
        clock.now += 4
        bars.pictures("train: [red]m", 50, 100)
        assert bars.progress.tasks[0].fields["loss"] == "12.5/s"
        assert bars.progress.tasks[0].completed == 50
        clock.now += 6
        bars.pictures("train: [red]m", 100, 100)
        assert not bars.progress.tasks
    assert "metriscope: train: [red]m: 100 pictures, 10.0/s" in stream.getvalue()


@pytest.mark.parametrize("width", [60, 80])
def test_numbers_are_whole_in_a_narrow_terminal(clock: Clock, width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    name = "train: hf:a-model-whose-name-is-longer-than-any-terminal-is-wide-or-so-one-thinks"
    with Bars(Console(file=io.StringIO(), force_terminal=True, width=width)) as bars:
        bars.progress.get_time = clock.monotonic
        bars.plan(8)
        for done in (0, 1_912, 3_712):
            bars.pictures(name, done, 50_000)
            clock.now += 18
        console.print(bars.progress.get_renderable())
    runs, shown = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "3,712/50,000 07:43 103.1/s" in shown  # the time left once: in its column
    assert "left" not in shown
    assert shown.startswith("train: hf:a")
    assert "…" in shown
    assert "0/8" in runs
    assert len(shown) <= width
