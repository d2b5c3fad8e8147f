"""One class coding for all parts of a source, and the splits that are made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metriscope.data.pictures import Pictures
from metriscope.data.table import INTEGER, Table, show
from metriscope.types import Dataset, Embeddings, InputError

VALIDATION = 0.2  # share of the training part


def shared_coding(tables: Sequence[Table | Pictures]) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Class names for all tables, and the (n,) int64 codes of each.

    Labels are compared as text, so the integer 3 of one file is the text ``3`` of another. Where
    a table has class names, they give the order, and integer labels index them; a table without
    uses those of the others. Without any, classes are in numeric order if all labels are whole
    numbers, else in order of their text (by code point).

    Raises:
        InputError: a label that the class names do not have.
    """
    given = [table.class_names for table in tables if table.class_names is not None]
    texts = [
        class_texts(table, table.class_names or (given[0] if given else None)) for table in tables
    ]
    seen = dict.fromkeys(text for part in texts for text in part)
    if given:
        names = list(dict.fromkeys(name for part in given for name in part))
    elif all(INTEGER.fullmatch(text) for text in seen):
        names = sorted(seen, key=int)
    else:
        names = sorted(seen)
    index = {name: code for code, name in enumerate(names)}
    codes = [
        np.asarray([index[text] for text in part], np.int64)[table.labels.codes]
        for table, part in zip(tables, texts, strict=True)
    ]
    return tuple(names), codes


def stratified(
    y: np.ndarray, test_fraction: float = 0.2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows of every class alike.

    Of the n rows of a class, round(n · test_fraction) go to test, drawn by ``seed``, with limits:
    a class with one row stays in train; two or three rows give each part at least one; four or
    more give each part at least two, since a row alone in its class has no positive: it cannot be
    a leave-one-out query in test, nor an anchor in train.

    Args:
        y: (n,) non-negative class codes.
        test_fraction: in (0, 1).
        seed: of the split only; training has seeds of its own.

    Returns:
        Row numbers of train and of test, each rising; together they are all rows.

    Raises:
        InputError: a fraction outside (0, 1) or a negative seed.
    """
    if not 0 < test_fraction < 1:
        raise InputError(f"test fraction is {test_fraction!r}; it must be between 0 and 1.")
    if seed < 0:
        raise InputError(f"split seed is {seed!r}; it must be 0 or more.")
    counts = np.bincount(y)
    least = np.select([counts >= 4, counts >= 2], [2, 1], 0)
    in_test = np.clip(np.rint(counts * test_fraction), least, counts - least).astype(np.int64)
    in_test[counts == 1] = 0
    order = np.random.default_rng(seed).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]  # grouped by class, shuffled within
    rank = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    to_test = np.zeros(len(y), bool)
    to_test[order] = rank < np.repeat(in_test, counts)
    return np.flatnonzero(~to_test), np.flatnonzero(to_test)


def describe_split(test_fraction: float, seed: int) -> str:
    """``stratified 80/20, seed 0``."""
    return f"stratified {100 - 100 * test_fraction:.4g}/{100 * test_fraction:.4g}, seed {seed}"


def disjoint(y: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Split by class: the first half of the codes trains, the second half tests.

    The zero-shot protocol of Oh Song et al. (2016), which pools all rows first. CUB-200: classes
    1-100 train (5,864 pictures), 101-200 test (5,924); Cars196: 1-98 (8,054), 99-196 (8,131).

    Args:
        y: (n,) class codes.
        num_classes: C, of the class names; ⌊C/2⌋ of them train.

    Returns:
        Row numbers of train and of test, each rising; together they are all rows.

    Raises:
        InputError: a side with rows of fewer than two classes.
    """
    in_test = y >= num_classes // 2
    parts = np.flatnonzero(~in_test), np.flatnonzero(in_test)
    sides = [len(np.unique(y[rows])) for rows in parts]
    if min(sides) < 2:
        raise InputError(
            f"a class-disjoint split needs at least 2 classes on each side; of {num_classes}, "
            f"{sides[0]} would train and {sides[1]} test. Leave out --split disjoint."
        )
    return parts


def hold_out(dataset: Dataset, share: float) -> Dataset:
    """Take a validation part out of the training part; none where it would be too small.

    The rows depend on the training labels and ``share`` alone, so that every loss and every seed
    answers the same queries. Where most test rows are of classes that training lacks, whole
    classes are held out, the last ones, because retrieval of unseen classes is what is chosen for;
    else rows of every class that has four or more, :func:`stratified`. A class of fewer gives
    none: a row alone would be no query, and training would lose a pair.

    Args:
        dataset: without a validation part. Its fingerprint stays.
        share: of the training rows, in [0, 1); 0 holds nothing out.

    Returns:
        The dataset with less to train on and a validation part, or as it was with a note that
        says why.

    Raises:
        InputError: it has a validation part already.
    """
    if dataset.validation is not None:
        raise InputError(
            f"{dataset.name}: this Dataset has a validation part already, and its fingerprint does "
            "not tell which rows; give it without one: it is made here."
        )
    y, counts = dataset.train.y, dataset.train.counts
    unseen = (counts[dataset.test.y] == 0).mean() > 0.5
    if not share:
        rows, why = None, "none was asked for"
    elif unseen:
        rows = _last_classes(y, share)
        why = "it takes four training classes, so that two are held out whole and two are left"
    else:
        large = np.flatnonzero(counts[y] >= 4)
        rows = large[stratified(y[large], share)[1]] if (counts >= 4).sum() > 1 else None
        why = "it takes two training classes of at least four rows"
    if rows is None:
        note = f"No validation part is held out ({why}), so no loss can be recommended."
        return replace(dataset, notes=(*dataset.notes, note))
    notes, part = dataset.notes, len(rows) / len(y)
    if abs(part - share) > 0.02:
        notes += (
            f"The validation part has {part:.0%} of the training rows, not {share:.0%}: "
            + ("classes are held out whole." if unseen else "a class gives two or more, or none."),
        )
    left = np.delete(np.arange(len(y)), rows)
    return replace(
        dataset,
        train=_rows(dataset.train, left, "train"),
        validation=_rows(dataset.train, rows, "validation"),
        notes=notes,
    )


def _last_classes(y: np.ndarray, share: float) -> np.ndarray | None:
    """Rows of the last classes, about ``share`` of all; two classes at least stay, two go."""
    codes, counts = np.unique(y, return_counts=True)
    if len(codes) < 4:
        return None
    held = counts[::-1].cumsum()[1:-2]  # rows of the last 2, 3, ..., C - 2 classes
    first = len(codes) - 2 - np.abs(held - share * len(y)).argmin()
    return np.flatnonzero(y >= codes[first]) if counts[first:].max() > 1 else None


def _rows(part: Embeddings, rows: np.ndarray, split: str) -> Embeddings:
    return Embeddings(
        part.x[rows], part.y[rows], part.class_names, split, part.origin, part.ids[rows]
    )


def describe_disjoint(num_classes: int) -> str:
    """``class-disjoint, classes 1-100 train, 101-200 test``."""
    half = num_classes // 2
    return f"class-disjoint, classes 1-{half} train, {half + 1}-{num_classes} test"


def class_texts(
    table: Table | Pictures, class_names: tuple[str, ...] | None, rows: np.ndarray | None = None
) -> list[str]:
    """The class name of each distinct label.

    Args:
        table: whose labels they are.
        class_names: None where labels name themselves.
        rows: (n,) numbers of its rows, for messages.

    Raises:
        InputError: a label that the class names do not have.
    """
    if class_names is None:
        return [str(value) for value in table.labels.values]
    known, texts = set(class_names), []
    for code, value in enumerate(table.labels.values):
        if isinstance(value, int) and 0 <= value < len(class_names):
            texts.append(class_names[value])
        elif isinstance(value, str) and value in known:
            texts.append(value)
        else:
            row = table.labels.row_of(code)
            number = row if rows is None else rows[row]
            raise InputError(
                f"{table.origin}: label {show(value)} in row {number} (counted from 0) is none of "
                f"the {len(class_names)} class_names; integer labels index them from 0."
            )
    return texts
