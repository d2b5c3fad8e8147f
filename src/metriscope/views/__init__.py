"""How the embeddings of finished runs look: computed once, kept beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from metriscope import kept
from metriscope.text import plain
from metriscope.types import MetriscopeError, Results, RunResult

__all__ = ["complete", "keep_pictures"]

MOST_PICTURES = 200


def complete(
    folder: Path,
    results: Results,
    *,
    jobs: int | None = None,
    notify: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Make the view of the first finished run of every loss and dataset that has none yet.

    In threads of this process, which needs no start and leaves the caller's script alone: the work
    is done outside Python's lock, each view by one thread, so that numbers do not depend on
    ``jobs``. A view that cannot be made is a sentence to ``notify``, not an error.

    Args:
        folder: where ``runs/`` is.
        results: a comparison, of one dataset or of several.
        jobs: how many at once; by default as many as torch would use threads.
        notify: told what is made and what cannot be.

    Raises:
        KeyboardInterrupt: after the views that were being made are written, which takes seconds.
    """
    folder = Path(folder)
    missing = [run for run in _shown(results) if kept.read_view(folder, run.key) is None]
    if not missing:
        return
    what = "space looks" if len(missing) == 1 else "spaces look"
    notify(f"drawing how {len(missing)} embedding {what} (t-SNE, distances, spectra); once only")
    failed: dict[str, list[RunResult]] = {}
    with _threads(jobs, len(missing)) as pool:
        made = {pool.submit(_make, folder, run.key): run for run in missing}
        for future in as_completed(made):
            reason = _reason(future)
            if reason:
                failed.setdefault(reason, []).append(made[future])
    for reason, runs in failed.items():
        several = len(results.datasets) > 1
        names = (f"{r.spec.loss} on {r.spec.dataset}" if several else r.spec.loss for r in runs)
        notify(f"the report has no picture of the space of {', '.join(names)}: {reason}")


def keep_pictures(folder: Path, results: Results, source: str | os.PathLike[str]) -> None:
    """Keep thumbnails of the rows that the report shows, where the source holds pictures.

    Args:
        folder: where ``runs/`` is, with views.
        results: a comparison on one dataset.
        source: what the dataset was loaded from.

    Raises:
        StorageError: no space or no permission.
    """
    from metriscope.data.thumbnails import thumbnails

    if results.about.get("backbone") in (None, "features"):
        return  # no pictures: whoever looks for some reads all features again
    wanted = _examples(Path(folder), results)
    if wanted and not wanted <= kept.read_thumbnails(folder).keys():
        found = thumbnails(source, wanted)
        if found:
            kept.write_thumbnails(folder, found)


def _shown(results: Results) -> list[RunResult]:
    """The first finished run of every loss and dataset."""
    first: dict[tuple[str, str], RunResult] = {}
    for run in results.runs:
        if run.status == "done":
            first.setdefault((run.spec.dataset, run.spec.loss), run)
    return list(first.values())


def _examples(folder: Path, results: Results) -> set[str]:
    """Ids of rows that illustrate confusions, those of the most frequent ones first."""
    views = [view for run in _shown(results) if (view := kept.read_view(folder, run.key))]
    most = max((len(view.examples) for view in views), default=0)
    pairs = (
        pair
        for place in range(most)
        for view in views
        if place < len(view.examples)
        for pair in view.examples[place]
    )
    ids = dict.fromkeys(id for pair in pairs for id in pair)
    return set(list(ids)[:MOST_PICTURES])


@contextmanager
def _threads(jobs: int | None, most: int) -> Iterator[ThreadPoolExecutor]:
    """At most ``most`` threads that each compute in one; an error drops work not yet begun."""
    import sklearn.manifold
    import torch
    from threadpoolctl import threadpool_limits

    del sklearn  # imported now: a limit holds for libraries that are there
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # OpenMP's limit is a thread's own; that of a BLAS is the process's.
        with (
            threadpool_limits(1),
            ThreadPoolExecutor(
                min(jobs or before, most), initializer=lambda: threadpool_limits(1)
            ) as pool,
        ):
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(before)


def _make(folder: Path, key: str) -> None:
    from metriscope.views.making import make, read

    embeddings = read(folder / "runs" / key / kept.EMBEDDINGS)
    kept.write_view(folder, key, make(embeddings, kept.read_queries(folder, key, "test")))


def _reason(made: Future[None]) -> str:
    """Why it failed; empty if it did not."""
    try:
        made.result()
    except MetriscopeError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {plain(' '.join(str(error).split())[:300])}"
    return ""
