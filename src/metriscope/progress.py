"""Progress on stderr: live bars on a terminal, a line a finished run elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from metriscope.grid import Observer
from metriscope.text import plain
from metriscope.types import RunResult, RunSpec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, Task, TaskID


class Display(Observer, Protocol):
    """An observer that also shows sentences."""

    def note(self, sentence: str) -> None:
        """Show a sentence."""

    def pictures(self, what: str, done: int, total: int) -> None:
        """So many pictures of ``total`` are done; the first call has those of earlier runs."""


@contextmanager
def progress(stream: TextIO) -> Iterator[Display]:
    """The display for ``stream``: bars if it is a terminal, lines if not."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        yield Lines(stream)
        return
    from rich.console import Console

    with Bars(Console(file=stream)) as bars:
        yield bars


class _Words:
    """What runs are called: ``triplet, seed 0``, and where one of its loss came before, how it
    differs from that: ``triplet, seed 0, margin 0.1``.
    """

    def __init__(self, what: str = "runs") -> None:
        self.what = what
        self.first: dict[str, Mapping[str, Any]] = {}  # of each loss: the settings seen first

    def name(self, spec: RunSpec) -> str:
        """What the run is called."""
        first, own = self.first.setdefault(spec.loss, spec.settings), f"{spec.loss}."
        texts = [
            f"{name.removeprefix(own)} {f'{value:g}' if isinstance(value, float) else value}"
            for name, value in spec.settings.items()
            if value != first.get(name)
        ]
        return plain(", ".join([spec.loss, f"seed {spec.seed}", *texts]))

    def outcome(self, result: RunResult, cached: bool) -> str:
        """One line about a finished run. Of a trial it has nothing of the test part."""
        if result.status == "failed":
            return f"{self.name(result.spec)}: FAILED: {plain(result.error or '')}"
        trial = self.what == "trials"
        recall = result.scores.get("val.recall@1" if trial else "recall@1")
        shown = "undefined" if recall is None else f"{recall:.3f}"
        when = "done before" if cached else f"{result.seconds:.1f} s"
        part = "validation " if trial else ""
        return f"{self.name(result.spec)}: {when}, {part}Recall@1 {shown}"


class _Pace:
    """Pictures per second and the time left, from what was done since the first call."""

    def __init__(self) -> None:
        self.what, self.start, self.first = "", 0.0, 0

    def words(self, what: str, done: int, total: int, *, left: bool = True) -> str:
        """``, 11.4/s, 1:27:30 left``, or the rate alone; nothing where nothing was done yet."""
        now = time.monotonic()
        if what != self.what or done < self.first:
            self.what, self.start, self.first = what, now, done
        if done == self.first or now == self.start:
            return " from the cache" if done == total else ""
        rate = (done - self.first) / (now - self.start)
        if not left or done == total:
            return f", {rate:,.1f}/s"
        return f", {rate:,.1f}/s, {timedelta(seconds=round((total - done) / rate))} left"


class Lines:
    """A line a finished run, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.done, self.total = stream, 0, 0
        self.pace, self.said, self.words = _Pace(), 0.0, _Words()

    def plan(self, runs: int, what: str = "runs") -> None:
        """Count from the beginning."""
        self.done, self.total, self.words = 0, runs, _Words(what)

    def note(self, sentence: str) -> None:
        """A line."""
        print(f"metriscope: {plain(sentence)}", file=self.stream, flush=True)

    def pictures(self, what: str, done: int, total: int) -> None:
        """A line every ten seconds, and one at the end."""
        words = self.pace.words(what, done, total)
        now = time.monotonic()
        if done == total or now - self.said >= 10:
            self.said = now
            self.note(f"{what}: {done:,} of {total:,} pictures{words}")

    def epoch(self, spec: RunSpec, epoch: int, loss: float) -> None:
        """Nothing: a log wants no line an epoch."""

    def finished(self, result: RunResult, *, cached: bool) -> None:
        """A line with the count."""
        self.done += 1
        kind = "tuning " if self.words.what == "trials" else ""
        self.note(f"[{kind}{self.done}/{self.total}] {self.words.outcome(result, cached)}")


class Bars:
    """Live bars: all runs, and each run at work."""

    def __init__(self, console: Console) -> None:
        self.console, self.progress = console, _rows(console)
        self.all: TaskID | None = None
        self.pace, self.words = _Pace(), _Words()
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def plan(self, runs: int, what: str = "runs") -> None:
        """Start the bar of all runs; the one before it, of the tuning, goes."""
        self.progress.start()
        if self.all is not None:
            self.progress.remove_task(self.all)
        self.all, self.words = self.progress.add_task(what, total=runs, loss=""), _Words(what)

    def note(self, sentence: str) -> None:
        """Print above the bars."""
        self.console.print(f"metriscope: {plain(sentence)}", markup=False, highlight=False)

    def pictures(self, what: str, done: int, total: int) -> None:
        """Move the bar of the pictures; it goes away when all are done."""
        words = self.pace.words(what, done, total, left=False)  # a column of its own
        if what not in self.tasks:
            self.progress.start()
            self.tasks[what] = self.progress.add_task(what, total=total, loss="")
        self.progress.update(self.tasks[what], completed=done, loss=words.lstrip(", "))
        if done == total:
            self.progress.remove_task(self.tasks.pop(what))
            self.note(f"{what}: {total:,} pictures{words}")

    def epoch(self, spec: RunSpec, epoch: int, loss: float) -> None:
        """Move the run's own bar."""
        if spec.key not in self.tasks:
            self.tasks[spec.key] = self.progress.add_task(
                self.words.name(spec), total=spec.epochs, loss=""
            )
        self.progress.update(self.tasks[spec.key], completed=epoch, loss=f"loss {loss:.4g}")

    def finished(self, result: RunResult, *, cached: bool) -> None:
        """Take its bar away and say how it ended."""
        task = self.tasks.pop(result.key, None)
        if task is not None:
            self.progress.remove_task(task)
        if self.all is not None:
            self.progress.advance(self.all)
        self.note(self.words.outcome(result, cached))


def _rows(console: Console) -> Progress:
    """A row a task. Where the terminal is narrow, names and bars get shorter, no number does."""
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    class Name(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(task.description, no_wrap=True, overflow="ellipsis")

    return Progress(
        Name(),
        BarColumn(None, table_column=Column(max_width=20)),
        TextColumn("{task.completed:,}/{task.total:,}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[loss]}", markup=False),
        console=console,
        transient=True,
    )
