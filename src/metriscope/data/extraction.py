"""Pictures in, features out: decoded in threads, computed in batches, kept in the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metriscope.data.backbones import DEFAULT, resolve
from metriscope.data.cache import Entry, Held, Shard, default_folder, read_shard, shard_rows
from metriscope.data.digests import Digests
from metriscope.data.pictures import Files, Pictures
from metriscope.data.table import show, show_some
from metriscope.types import InputError

if TYPE_CHECKING:
    from metriscope.data.backbones.base import Backbone
    from metriscope.data.model import Model

PATIENCE = 5.0  # seconds without a sign of life
LISTED = 1_000  # broken pictures that a manifest names
VERSIONS = ("metriscope", "torch", "transformers", "pillow")


@dataclass(frozen=True)
class Extraction:
    """How pictures become features.

    Attributes:
        backbone: a name, or ``name:argument``; see :func:`metriscope.data.backbones.resolve`.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: ``float32``, or ``bfloat16`` where the hardware has it.
        strict: stop at the first picture that cannot be read, instead of leaving it out.
        cache: the folder of the cache; by default :func:`metriscope.data.cache.default_folder`.
        progress: told (what, pictures done, pictures in all); the first call, with the model
            loaded and before the first picture, has what the cache held.
        notify: told, in sentences, what a person should know while it works.
    """

    backbone: str = DEFAULT
    device: str = "auto"
    dtype: str = "float32"
    strict: bool = False
    cache: Path | None = None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    notify: Callable[[str], None] = lambda sentence: None

    def __post_init__(self) -> None:
        choices = {"device": ("auto", "cpu", "cuda"), "dtype": ("float32", "bfloat16")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                given = show(getattr(self, name))
                raise InputError(f"{name} is {given}; it must be one of {', '.join(known)}.")


@dataclass(frozen=True, eq=False)
class Features:
    """The features of some pictures, on disk and whole.

    Attributes:
        backbone: its name.
        dim: their width.
        manifest: plain JSON types: how they were made; see :func:`extract`.
        broken: why a picture has none, by its place.
        shards: the cache's files, in order.
    """

    backbone: str
    dim: int
    manifest: Mapping[str, Any]
    broken: Mapping[int, str]
    shards: Sequence[Path] = ()

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows, features (len(rows), dim) float32), in order, without the broken ones.

        Raises:
            InputError: a file of the cache was damaged or removed since it was checked.
        """
        for path in self.shards:
            try:
                shard = read_shard(path, self.manifest["key"])
            except OSError as error:
                raise InputError(
                    f"{path}: cannot be read any more ({error.strerror or error}); run the same "
                    "command again."
                ) from error
            if len(shard.rows):
                yield shard.rows, shard.features


def extract(
    parts: Mapping[str, Pictures], how: Extraction, only: str | None = None
) -> dict[str, Features]:
    """The features of each part, computed where the cache does not hold them yet.

    The model is loaded once, and only if something is missing. ``Features.manifest`` has
    ``backbone``, ``recipe``, ``tensor``, ``dtype``, ``dim``, ``data`` (SHA-256 of the pictures),
    ``origin``, ``part``, ``rows``, ``broken`` (how many), ``broken_pictures`` (id and reason of the
    first ``LISTED``), ``shard`` (rows of one file), ``batch_size``, ``device``, ``versions`` and
    ``key`` (SHA-256 of what decides the features).

    Args:
        parts: all of a source, whatever is wanted of it: a backbone may depend on them, as
            ``pixels`` does, which has one shape for all.
        how: with which backbone, and where.
        only: the name of a part: no work on the others.

    Raises:
        InputError: an unknown backbone, missing weights, hardware that is not there, features that
            are not finite, no picture that can be read, or, if ``strict``, one that cannot.
        StorageError: the cache cannot be written to.
    """
    folder = how.cache or default_folder()
    digests = Digests(folder)
    backbone = resolve(how.backbone, list(parts.values()), digests)

    @cache
    def model() -> Model:
        from metriscope.data.model import Model

        return Model(backbone, how.device, how.dtype)

    return {
        name: _Part(name, pictures, backbone, how, folder, digests).features(model)
        for name, pictures in parts.items()
        if only in (None, name)
    }


class _Part:
    """One part on its way through one backbone."""

    def __init__(
        self,
        name: str,
        pictures: Pictures,
        backbone: Backbone,
        how: Extraction,
        folder: Path,
        digests: Digests,
    ) -> None:
        self.pictures, self.backbone, self.how, self.digests = pictures, backbone, how, digests
        self.what = f"{name}: {backbone.name}"
        self.about: dict[str, Any] = {
            "data": self._identity(),
            "part": name,
            "rows": len(pictures),
            "recipe": dict(backbone.recipe),
            "dtype": how.dtype,
        }
        self.entry = Entry(folder, name, self.about)

    def features(self, model: Callable[[], Model]) -> Features:
        """Out of the cache, or through the model into the cache."""
        held = self.entry.look()
        if held.complete:
            self.how.progress(self.what, held.done, len(self.pictures))
        else:
            with self.entry.locked(self._wait):
                held = self._complete(model)
        self._refuse(held.broken)
        broken = dict(sorted(held.broken.items()))
        told = {  # of this request: others may have filled the cache, under other names
            "origin": self.pictures.origin,
            "backbone": self.backbone.name,
            "broken": len(broken),
            "broken_pictures": [
                [str(self.pictures.ids[row]), why] for row, why in islice(broken.items(), LISTED)
            ],
        }
        return Features(
            self.backbone.name,
            held.manifest["dim"],
            {**held.manifest, **told},
            broken,
            [path for _, path in sorted(held.shards.items())],
        )

    def _identity(self) -> str:
        """Of the pictures. Says so where it takes long."""
        shelf, begun = self.pictures.shelf, time.monotonic()
        known = self.digests.ahead(shelf.paths) if isinstance(shelf, Files) else self.digests
        told = False

        def digest(path: Path) -> str:
            nonlocal told
            if not told and time.monotonic() - begun > PATIENCE:
                told = True
                self.how.notify(
                    f"{self.what}: reading every file once, to know its content; files that stay "
                    "the same are not read again for that."
                )
            return known(path)

        return shelf.identity(digest)

    def _wait(self) -> None:
        self.how.notify(f"{self.what}: another process computes these features; waiting for it.")

    def _complete(self, model: Callable[[], Model]) -> Held:
        """What the entry holds, after what it lacked was computed."""
        held = self.entry.look()
        if held.damaged:
            self.how.notify(
                f"{self.what}: damaged or foreign in the cache, computed again: "
                f"{show_some((path.name for path in held.damaged), 2)}."
            )
            self.entry.remove(held.damaged)
        if held.complete:  # by the process that was waited for
            self.how.progress(self.what, held.done, len(self.pictures))
            return held
        manifest = held.manifest if held.shards else self._begin(model())
        now = Held(manifest, dict(held.shards), dict(held.broken))
        wanted = now.missing
        if self.how.strict and held.broken:  # the first to be named may lie before it
            wanted = [i for i in wanted if i * manifest["shard"] < min(held.broken)]
        if wanted:
            self.entry.reserve(4 * manifest["dim"] * now.rows_of(wanted))
            loaded = model()  # before progress begins: the rate is that of pictures
            self.how.progress(self.what, now.done, len(self.pictures))
            self._compute(loaded, wanted, now)
            self._require_unchanged([now.shards[i] for i in wanted])
        return now

    def _require_unchanged(self, written: Sequence[Path]) -> None:
        """Features of a picture that changed meanwhile must not stay under its old content."""
        if self._identity() != self.about["data"]:
            self.entry.remove(tuple(written))
            raise InputError(
                f"{self.pictures.origin}: pictures changed while they were read. Run the same "
                "command again when nothing writes there."
            )

    def _begin(self, model: Model) -> dict[str, Any]:
        """The manifest, written."""
        shard = shard_rows(model.extractor.dim)
        manifest = {
            "key": self.entry.key,
            **self.about,
            "origin": self.pictures.origin,
            "backbone": self.backbone.name,
            "tensor": self.backbone.recipe.get("tensor"),
            "dim": model.extractor.dim,
            "shard": shard,
            "batch_size": model.batch_size(shard),
            "device": model.device,
            "versions": {name: _version(name) for name in VERSIONS},
        }
        self.entry.begin(manifest)
        return manifest

    def _compute(self, model: Model, wanted: Sequence[int], held: Held) -> None:
        """Add shards to the entry, and to what is known of it."""
        from metriscope.data.batching import Pipeline

        manifest, prepare = held.manifest, model.extractor.prepare
        size, done = manifest["batch_size"], held.done
        rows: list[int] = []
        blocks: list[np.ndarray] = [np.empty((0, manifest["dim"]), np.float32)]
        broken: dict[int, str] = {}
        pin = model.device == "cuda"
        pipeline = Pipeline(self.pictures, wanted, manifest["shard"], prepare, size, pin)
        with closing(iter(pipeline)) as batches, model.enough_memory():
            for batch in batches:
                broken.update(batch.broken)
                if self.how.strict:
                    self._refuse(broken)
                if batch.x is not None:
                    y, fitting = model(batch.x, size)
                    self._require_finite(y, batch.rows)
                    rows += batch.rows
                    blocks.append(y)
                    if fitting != size:
                        self._note_size(manifest, size, fitting)
                        size = fitting
                if batch.last:
                    shard = Shard(np.asarray(rows, np.int64), np.concatenate(blocks), broken)
                    held.shards[batch.shard] = self.entry.write(batch.shard, shard)
                    held.broken.update(broken)
                    rows, blocks, broken = [], blocks[:1], {}
                done += len(batch.rows) + len(batch.broken)
                self.how.progress(self.what, done, len(self.pictures))

    def _note_size(self, manifest: dict[str, Any], before: int, fitting: int) -> None:
        self.how.notify(
            f"{self.what}: memory ran out with {before} pictures at once; going on with {fitting}."
        )
        manifest["batch_size"] = fitting
        self.entry.begin(manifest)

    def _require_finite(self, y: np.ndarray, rows: Sequence[int]) -> None:
        bad = np.flatnonzero(~np.isfinite(y).all(axis=1))
        if len(bad):
            raise InputError(
                f"{self.backbone.name}: NaN or infinite features for {self._name(rows[bad[0]])} of "
                f"{self.pictures.origin}. Are its weights right? If dtype is bfloat16, try float32."
            )

    def _refuse(self, broken: Mapping[int, str]) -> None:
        """Raise if a picture is broken and must not be, or if all are."""
        if not broken:
            return
        row = min(broken)
        first = f"{self._name(row)}: {broken[row]}"
        if self.how.strict:
            raise InputError(
                f"{self.pictures.origin}: cannot read {first}. Repair or remove it, or leave "
                "--strict out to go on without it."
            )
        if len(broken) == len(self.pictures):
            raise InputError(
                f"{self.pictures.origin}: none of its {len(broken)} pictures can be read; the "
                f"first is {first}."
            )

    def _name(self, row: int) -> str:
        return f"picture {show(self.pictures.ids[row], 200)}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
