"""Results and the disk. Every file is written whole or not at all; ``result.json`` comes last.

::

    results.json                  the comparison as it stands, rewritten after every run
    report.html
    runs/<key>/spec.json          what was asked
               trace.parquet      one row an epoch
               embeddings.parquet id, label, split, embedding of the test data
               queries.parquet    what each test and each validation row retrieved
               view.json          how the test embeddings look; made when it is first needed
               head.safetensors   the trained head and the loss's own parameters
               result.json        last: a run without it, or with a failure in it, is done again
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from metriscope.disk import atomically, plain_json, storage_errors, write_embeddings, write_json
from metriscope.text import slug
from metriscope.types import (
    Embeddings,
    Finding,
    InputError,
    Results,
    RunResult,
    RunSpec,
    Trace,
)
from metriscope.types._stored import check_about, check_finding, check_runs, check_trace, numbers

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
FORMAT = 1
RESULTS = "results.json"
SCRATCH = ".scratch"


class Store:
    """The output folder of one comparison.

    Args:
        folder: need not be there yet; see :meth:`claim`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def claim(self, dataset: str, fingerprint: str, *, beside: bool = False) -> None:
        """Make the folder, or check that it may hold the results of this data.

        Args:
            dataset: its name. fingerprint: of its content.
            beside: whether results of other datasets may lie there too; of this dataset they must
                be of the same content even so.

        Raises:
            InputError: it is a file, or holds other files, or results of other data.
            StorageError: it cannot be written to.
        """
        with storage_errors(self.folder):
            if self.folder.exists() and not self.folder.is_dir():
                raise InputError(
                    f"{self.folder} is a file; results need a folder: choose another --out."
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_contents(dataset, fingerprint, beside)
            self.scratch.mkdir(exist_ok=True)

    def _check_contents(self, dataset: str, fingerprint: str, beside: bool) -> None:
        # Hidden files are ours (the lock, what a killed process left) or a file manager's.
        names = {p.name for p in self.folder.iterdir() if not p.name.startswith(".")}
        if not names:
            return
        # From the runs too: results.json is written anew even if somebody has damaged it.
        files = [self.folder / RESULTS, *self.folder.glob("runs/*/spec.json")]
        found = [_read_json(file) or {} for file in files]
        about = found[0].get("about")
        abouts = _abouts(about) if isinstance(about, dict) else []
        kept = {
            data["fingerprint"]: data
            for data in (*abouts, *found[1:])
            if isinstance(data, dict) and isinstance(data.get("fingerprint"), str)
        }
        if not kept:
            raise InputError(
                f"{self.folder} holds other files ({', '.join(sorted(names)[:3])}) and no results; "
                "choose an empty or new folder with --out."
            )
        for other in kept.keys() - {fingerprint}:
            name, made = kept[other].get("dataset"), kept[other].get("backbone")
            if beside and name != dataset:
                continue
            raise InputError(
                f"{self.folder} holds the results of other data ({name!r}, from {made}, split "
                f"{kept[other].get('split')!r}). This is {dataset!r} of another content, backbone "
                "or split; choose another --out."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out, and clear what a killed one left half-written.

        Raises:
            InputError: another process is at work here.
        """
        import filelock

        lock = filelock.FileLock(self.folder / ".lock")
        with storage_errors(self.folder):
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                raise InputError(
                    f"another metriscope is writing to {self.folder}; wait for it, or choose "
                    "another --out."
                ) from None
        try:
            with storage_errors(self.folder):
                for leftover in [*self.folder.glob(".*.tmp"), *self.folder.glob("runs/*/.*.tmp")]:
                    leftover.unlink(missing_ok=True)
                self._clear_scratch()
                self.scratch.mkdir(exist_ok=True)
            yield
        finally:
            self._clear_scratch()
            lock.release()

    @property
    def scratch(self) -> Path:
        """A folder for temporary files; emptied when the lock is taken and given back."""
        return self.folder / SCRATCH

    def _clear_scratch(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)

    def room(self) -> int:
        """Free bytes where the results go."""
        return shutil.disk_usage(self.folder).free

    def run_folder(self, key: str) -> Path:
        """Where a run's files are."""
        return self.folder / "runs" / key

    def read_run(self, spec: RunSpec) -> RunResult | None:
        """The result of a run, done or failed; None if it is not there, or not whole."""
        data = _read_json(self.run_folder(spec.key) / "result.json")
        try:
            result = None if data is None else _run_from_json(data)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return result if result is not None and result.key == spec.key else None

    def finished(self, spec: RunSpec) -> RunResult | None:
        """The result of a run that is done; None otherwise."""
        result = self.read_run(spec)
        return result if result is not None and result.status == "done" else None

    def others(self, specs: Iterable[RunSpec], dataset: str) -> int:
        """How many runs of a dataset are kept here besides these."""
        mine = {spec.key for spec in specs}
        kept = {
            file.parent.name for file in self.folder.glob(f"runs/{slug(dataset)}-*/result.json")
        }
        return len(kept - mine)

    def save_run(
        self,
        result: RunResult,
        embeddings: Embeddings | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write a run's files, ``result.json`` last.

        Raises:
            StorageError: no space or no permission.
        """
        folder = self.run_folder(result.key)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "spec.json", result.spec.to_dict())
            if result.trace:
                atomically(folder / "trace.parquet", lambda path: _write_trace(path, result.trace))
            if embeddings is not None:
                atomically(
                    folder / "embeddings.parquet", lambda path: write_parquet(path, embeddings)
                )
            if weights is not None:
                from safetensors.torch import save_file

                tensors = {k: v.detach().cpu().contiguous() for k, v in weights.items()}
                atomically(folder / "head.safetensors", lambda path: save_file(tensors, path))
            write_json(folder / "result.json", run_to_json(result))

    def save(self, results: Results) -> None:
        """Write ``results.json``.

        Raises:
            StorageError: no space or no permission.
        """
        with storage_errors(self.folder):
            write_json(self.folder / RESULTS, to_json(results))


def load_results(folder: str | Path) -> Results:
    """Read the results of a comparison.

    Args:
        folder: what ``--out`` was.

    Raises:
        InputError: no results there, unreadable ones, or another format.
    """
    again = "Run the same compare command again: finished runs are kept and it is written anew."
    return read_whole(Path(folder) / RESULTS, "compare", "comparison", again, _results)


def _results(data: Mapping[str, Any]) -> Results:
    about, recommendation = dict(data.get("about") or {}), data.get("recommendation")
    datasets = about.get("datasets")
    if not isinstance(recommendation, dict | None) or not isinstance(datasets, dict | None):
        raise ValueError("the recommendation or the datasets are no objects")
    if not all(isinstance(part, dict) for part in (datasets or {}).values()):
        raise ValueError("what is said about a dataset is no object")
    for part in _abouts(about):
        check_about(part)
    runs = tuple(_run_from_json(run) for run in data["runs"])
    check_runs(runs, datasets)
    return Results(
        runs=runs,
        findings=tuple(finding_from_json(found) for found in data["findings"]),
        about=about,
        recommendation=recommendation,
        others={
            kind: tuple(_run_from_json(run) for run in runs)
            for kind, runs in (data.get("others") or {}).items()
        },
    )


def read_whole(
    file: Path, command: str, what: str, again: str, make: Callable[[Mapping[str, Any]], T]
) -> T:
    """What ``make`` makes of the JSON file of a command.

    Args:
        file: which. command: that wrote it. what: it is, in a word. again: what to do if it is
            damaged.
        make: raises whatever it likes if it cannot.

    Raises:
        InputError: there is none, it cannot be read, has another format, or is damaged.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise InputError(
                f"{file} has format {data['format']!r}; this metriscope reads format {FORMAT}. "
                f"Use the version that wrote it, or {command} again."
            )
        return make(data)
    except FileNotFoundError:
        raise InputError(
            f"no {file.name} in {file.parent}: it is not the folder of a {what}. "
            f"Give the folder that `metriscope {command}` wrote (--out)."
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{file} is damaged or was edited ({type(error).__name__}: {error}). {again}"
        ) from None


def to_json(results: Results) -> dict[str, Any]:
    """The content of ``results.json``: plain JSON types, null for what is undefined."""
    return {
        "format": FORMAT,
        "about": plain_json(results.about),
        "runs": [run_to_json(run) for run in results.runs],
        "findings": [plain_json(asdict(finding)) for finding in results.findings],
        "recommendation": plain_json(results.recommendation),
        "others": {
            kind: [run_to_json(run) for run in runs] for kind, runs in results.others.items()
        },
    }


def run_to_json(run: RunResult) -> dict[str, Any]:
    """One run, with what its specification says at hand."""
    spec = run.spec
    return {
        "key": run.key,
        "dataset": spec.dataset,
        "loss": spec.loss,
        "params": plain_json(spec.params),
        "seed": spec.seed,
        "status": run.status,
        "error": run.error,
        "scores": plain_json(run.scores),
        "trace": plain_json(run.trace),
        "seconds": run.seconds,
        "versions": dict(run.versions),
        "spec": spec.to_dict(),
    }


def _run_from_json(data: Mapping[str, Any]) -> RunResult:
    spec = RunSpec.from_dict(data["spec"])
    if data["status"] not in ("done", "failed"):
        raise ValueError(f"the status of {spec.key} is {data['status']!r:.80}")
    trace = {name: list(column) for name, column in data["trace"].items()}
    check_trace(spec.key, trace)
    return RunResult(
        spec=spec,
        status=data["status"],
        scores=numbers(spec.key, data["scores"]),
        trace=trace,
        seconds=_seconds(spec.key, data["seconds"]),
        versions=dict(data["versions"]),
        error=None if data["error"] is None else str(data["error"]),
    )


def _seconds(of: str, value: Any) -> float:
    seconds = numbers(of, {"seconds": value})["seconds"]
    if seconds is None:
        raise ValueError(f"the seconds of {of} are missing")
    return float(seconds)


def _abouts(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """``about``, and that of each dataset where there are several."""
    parts = about.get("datasets")
    found = parts.values() if isinstance(parts, dict) else ()
    return [about, *(part for part in found if isinstance(part, dict))]


def finding_from_json(data: Mapping[str, Any]) -> Finding:
    """A finding as ``asdict`` and JSON left it."""
    lists = {name: tuple(data.get(name, ())) for name in ("runs", "classes")}
    found = Finding(**{**data, **lists})
    check_finding(found)
    return found


def _read_json(file: Path) -> dict[str, Any] | None:
    """What is in a file, or None if it cannot be read as a JSON object."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


# ------------------------------------------------------------------------------------------ files


def write_parquet(path: Path, embeddings: Embeddings) -> None:
    """``id``, ``label`` (text), ``split`` and ``embedding`` (fixed-size list of float32)."""
    names = embeddings.class_names
    labels = [names[code] for code in embeddings.y]
    block = (embeddings.ids, labels, embeddings.split, embeddings.x)
    write_embeddings(path, embeddings.x.shape[1], [block], {"class_names": names})


def _write_trace(path: Path, trace: Trace) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: pa.array(values, pa.int64() if name == "epoch" else pa.float64())
        for name, values in trace.items()
    }
    pq.write_table(pa.table(columns), path)
