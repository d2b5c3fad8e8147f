"""Processes that extract features, for tests that kill them or start two at once.

    python -m tests.kill_extraction FOLDER

into FOLDER/<point> for each point, then two processes into FOLDER/twice. torch is imported once;
every extraction has a fork of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from metriscope.data import batching, cache, memory, model  # noqa: F401  (before the forks)
from metriscope.data.backbones import BACKBONES
from metriscope.data.extraction import Extraction, extract
from metriscope.disk import os as disk_os
from tests.fake_backbone import Fake, noise

ROWS, BROKEN, SHARD, BATCH = 70, (5, 40), 16, 8
POINTS = ("hashing", "loading", "manifest", "writing", "batch-1", "batch-5", "batch-6", "shard-3")


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def die(*args: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at(count: int, action: Callable, function: Callable) -> Callable:
    """``function``, but ``action`` in its call number ``count``."""
    calls = 0

    def wrapped(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        return (action if calls == count else function)(*args, **kwargs)

    return wrapped


def extract_fake(folder: Path, point: str = "") -> None:
    fake = Fake()
    BACKBONES._objects["fake"] = fake.make
    cache.SHARD = SHARD
    memory.LARGEST["cpu"] = BATCH
    pictures = noise(ROWS, BROKEN)
    what, _, number = point.partition("-")
    if what == "hashing":
        type(pictures.shelf).identity = die  # type: ignore[method-assign]
    elif what == "loading":
        fake.load = die  # type: ignore[method-assign]
    elif what == "manifest":  # its content is on the disk, its name is not
        Path.replace = at(1, die, Path.replace)  # type: ignore[method-assign]
    elif what == "writing":  # half of a shard
        write = Path.write_bytes
        Path.write_bytes = at(  # type: ignore[method-assign]
            3, lambda path, data: (write(path, data[: len(data) // 2]), die()), write
        )
    elif what == "batch":
        fake.forward = at(int(number), die, fake.forward)  # type: ignore[method-assign]
    elif what == "shard":  # all of it, without its name
        disk_os.fsync = at(1 + int(number), die, disk_os.fsync)
    extract({"train": pictures}, Extraction("fake", device="cpu", cache=folder))


def fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(0)


def kill(folder: Path, point: str) -> None:
    pid = fork(lambda: extract_fake(folder, point))
    _, status = os.waitpid(pid, 0)
    tell(point, -os.waitstatus_to_exitcode(status))


def twice(folder: Path) -> None:
    def work(name: str) -> None:
        fake = Fake()
        BACKBONES._objects["fake"] = fake.make
        fake.before = lambda x: time.sleep(0.05)
        how = Extraction("fake", device="cpu", cache=folder, notify=lambda told: tell(name, told))
        found = extract({"train": noise(ROWS, BROKEN)}, how)["train"]
        rows = sum(len(rows) for rows, _ in found.blocks())
        tell(name, "loads", fake.loads, "rows", rows)

    cache.SHARD, memory.LARGEST["cpu"] = SHARD, BATCH
    first = fork(lambda: work("a"))
    while not list(folder.glob("features/*/manifest.json")):
        time.sleep(0.005)
    second = fork(lambda: work("b"))
    os.waitpid(first, 0)
    os.waitpid(second, 0)


if __name__ == "__main__":
    for point in POINTS:
        kill(Path(sys.argv[1]) / point, point)
    twice(Path(sys.argv[1]) / "twice")
