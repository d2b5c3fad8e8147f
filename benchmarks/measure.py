"""Times that take turns, and memory over a start."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[], Any]
OVER = "over the limit"


def seconds(work: Work) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def turns(
    *works: Work, budget: float, least: int = 2, most: int = 50, first: bool = True
) -> list[list[float]]:
    """Seconds of each of several works, one list a work; they take turns for ``budget`` seconds.

    One call of each comes ``first`` and does not count.
    """
    for work in works * first:
        work()
    rounds: list[list[float]] = []
    start = time.perf_counter()
    while len(rounds) < least or (time.perf_counter() - start < budget and len(rounds) < most):
        rounds.append([seconds(work) for work in works])
    return [list(times) for times in zip(*rounds, strict=True)]


def median_ms(times: list[float]) -> float:
    """Median, in milliseconds."""
    return 1e3 * statistics.median(times)


def median_ratio(above: list[float], below: list[float]) -> float:
    """Median of the ratios of each round: what slows the machine for a while slows both."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


# ------------------------------------------------------------------------------------------- memory


def in_child(work: Callable[..., Any], *args: Any, limit_gb: float = 8.0) -> Any:
    """What ``work`` returns in a forked process that may grow by ``limit_gb``; else ``OVER``."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def run() -> None:
        limit_memory(limit_gb)
        try:
            send.send(work(*args))
        except MemoryError:
            send.send(OVER)
        except RuntimeError as error:  # torch's allocator
            if "alloc" not in str(error):
                raise
            send.send(OVER)

    child = context.Process(target=run)
    child.start()
    send.close()
    try:
        return receive.recv()
    except EOFError as error:
        raise RuntimeError(f"{work} failed in its process") from error
    finally:
        child.join()


def limit_memory(gigabytes: float) -> None:
    """Let this process's address space grow by so much, where the system can tell."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        used = int(statm.read_text().split()[0]) * resource.getpagesize()
        limit = used + int(gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def peak_mib() -> float:
    """The peak resident set of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def growth_mib(work: Work, warm_up: Work) -> float:
    """By how much ``work`` raises the peak over what ``warm_up``, a small one, needed."""
    warm_up()
    before = peak_mib()
    work()
    return peak_mib() - before
