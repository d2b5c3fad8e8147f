"""Small data and short runs, shared by tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from metriscope import losses
from metriscope.types import Dataset, Embeddings, HeadSpec, OptimizerSpec, RunSpec


def tiny_dataset(classes: int = 4, rows: int = 96, dim: int = 6, spread: float = 0.4) -> Dataset:
    """Gaussian clumps; two thirds to train on."""
    rng = np.random.default_rng(7)
    y = np.arange(rows) % classes
    centres = 2 * rng.standard_normal((classes, dim))
    x = (centres[y] + spread * rng.standard_normal((rows, dim))).astype(np.float32)
    names = tuple(f"class {i}" for i in range(classes))
    cut = 2 * rows // 3
    return Dataset(
        name="tiny",
        train=Embeddings(x[:cut], y[:cut], names, "train", "tiny", np.arange(cut)),
        test=Embeddings(x[cut:], y[cut:], names, "test", "tiny", np.arange(cut, rows)),
        split="given",
        fingerprint="f" * 64,
    )


def tiny_spec(loss: str = "triplet", seed: int = 0, **changes: Any) -> RunSpec:
    """A run of three epochs."""
    params = losses.resolve(loss, changes.pop("params", {}))
    spec = RunSpec(
        dataset="tiny",
        fingerprint="f" * 64,
        split="given",
        loss=loss,
        params=params,
        seed=seed,
        head=HeadSpec(hidden=(16,), dim=8),
        optimizer=OptimizerSpec(lr=1e-2),
        epochs=3,
        batch_size=32,
    )
    return replace(spec, **changes)


# Tests of test_bad_data.py that hold for whatever else reads a source.
AS_LOADED = """missing_labels_file unknown_suffix_lists_the_known_ones empty_files truncated_files
    files_of_another_kind damaged_bytes_inside a_header_that_asks_for_too_much_memory
    pickles_are_never_loaded folders_that_are_ambiguous a_missing_shard shards_that_differ
    rows_that_are_not_finite_are_named_as_in_the_file features_of_other_shapes_and_types
    parquet_features rows_are_numbered_through_shards
    labels_of_another_length no_labels labels_in_two_places labels_of_other_kinds
    missing_and_strange_labels_in_parquet text_files_of_labels class_names"""
