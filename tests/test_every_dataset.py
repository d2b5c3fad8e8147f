"""Every dataset loads by its name, without a network, from a sample in its archive's layout."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from metriscope.data import named
from metriscope.data.datasets import DATASETS
from metriscope.data.pictures import Arrays, Pictures
from metriscope.data.table import Table
from metriscope.disk import StorageError
from metriscope.types import InputError
from tests import layouts

REAL = Path(os.environ.get("METRISCOPE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
COMMIT = "0123456789abcdef0123456789abcdef01234567"

# train, test, classes, as the paper's Table 1 has them; MNIST as published
SIZES = {
    "cifar10": (50_000, 10_000, 10),
    "cars196": (8_144, 8_041, 196),
    "cub200": (5_994, 5_794, 200),
    "tiny-imagenet": (100_000, 10_000, 200),
    "fashion-mnist": (60_000, 10_000, 10),
    "mnist": (60_000, 10_000, 10),
}

# What writes a sample, below METRISCOPE_DATA, and the sizes it has.
SAMPLES: dict[str, tuple[Callable[[Path], object], str, tuple[int, int, int]]] = {
    "cifar10": (layouts.write_cifar, "cifar-10-batches-py", (100, 20, 10)),
    "cars196": (layouts.write_cars, "stanford_cars", (9, 6, 3)),
    "cub200": (layouts.write_cub, "CUB_200_2011", (8, 4, 3)),
    "tiny-imagenet": (layouts.write_tiny_imagenet, "tiny-imagenet-200", (12, 6, 3)),
    "fashion-mnist": (layouts.write_idx, "FashionMNIST/raw", (40, 20, 10)),
    "mnist": (layouts.write_idx, "MNIST/raw", (40, 20, 10)),
}
MADE_ON_THE_SPOT = ("digits", "synthetic")


def published(name: str) -> named.Published:
    module = importlib.import_module(f"metriscope.data.datasets.{name.replace('-', '_')}")
    what: named.Published = module.PUBLISHED
    return what


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data of this machine in reach."""
    monkeypatch.delenv("METRISCOPE_DATA", raising=False)
    monkeypatch.setenv("METRISCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a dataset's published sizes those of its sample."""

    def shrink(name: str, **changes: Any) -> None:
        what = published(name)
        train, test, classes = SAMPLES[name][2]
        sizes = {"train": train, "test": test, "classes": classes}
        even = what.per_class and train // classes
        module = f"metriscope.data.datasets.{name.replace('-', '_')}"
        changed = replace(what, **{**sizes, "per_class": even, **changes})
        monkeypatch.setattr(f"{module}.PUBLISHED", changed)

    return shrink


def load(name: str, **params: Any) -> Mapping[str, Pictures]:
    made = DATASETS.get(name)(**params)
    assert not isinstance(made, Table)
    return made


def refused(name: str, *words: str, **params: Any) -> None:
    with pytest.raises(InputError) as caught:
        load(name, **params)
    message = str(caught.value)
    assert message.count("\n") <= 1
    assert len(message) < 500
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("name", sorted(DATASETS.discoverable()))
def test_every_dataset_says_what_it_is(name: str) -> None:
    entry = DATASETS.describe(name)
    assert entry.summary.endswith((".", ":"))
    assert "Source:" in (DATASETS.get(name).__doc__ or "") or name == "synthetic"


@pytest.mark.parametrize("name", sorted(DATASETS.discoverable()))
def test_every_dataset_loads_from_its_archive(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., None]
) -> None:
    if name in MADE_ON_THE_SPOT:
        assert isinstance(DATASETS.get(name)(), Table)
        return
    write, place, (train, test, classes) = SAMPLES[name]
    small(name)
    write(tmp_path / "data" / place)
    monkeypatch.setenv("METRISCOPE_DATA", str(tmp_path / "data"))
    parts = load(name)
    assert list(parts) == ["train", "test"]
    assert [len(parts["train"]), len(parts["test"])] == [train, test]
    for part in parts.values():
        assert part.class_names is not None
        assert len(set(part.class_names)) >= len(np.unique(part.labels.codes)) == classes
        assert len(list(part.shelf.read(0, len(part)))) == len(part)
    given = load(name, folder=str(tmp_path / "data" / place))
    assert [len(part) for part in given.values()] == [train, test]


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_the_published_ones(name: str) -> None:
    what = published(name)
    assert (what.train, what.test, what.classes) == SIZES[name]
    assert what.name == name
    assert what.per_class in (None, what.train / what.classes)
    assert what.class_names is None or len(set(what.class_names)) == what.classes


def test_another_size_is_refused_unless_loaded_by_its_path(tmp_path: Path) -> None:
    layouts.write_cub(tmp_path / "birds")
    refused(
        "cub200",
        f"cub200: {tmp_path / 'birds'} has 8 training pictures where the published set has 5,994",
        "Load it by its path",
        folder=str(tmp_path / "birds"),
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test": 21}, ["20 test pictures", "has 21"]),
        ({"classes": 11}, ["10 classes in its train part", "has 11"]),
        ({"per_class": 11}, ["10 training pictures of one class", "11 of each"]),
    ],
)
def test_what_differs_is_said(
    tmp_path: Path, small: Callable[..., None], changes: dict[str, Any], words: list[str]
) -> None:
    layouts.write_cifar(tmp_path)
    small("cifar10", **changes)
    refused("cifar10", *words, folder=str(tmp_path))


def test_a_class_that_one_part_lacks(tmp_path: Path, small: Callable[..., None]) -> None:
    small("mnist")
    layouts.write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(layouts.idx(np.arange(20) % 9))
    refused("mnist", "9 classes in its test part", folder=str(tmp_path))


# ------------------------------------------------------------------------------------ local copies


@pytest.mark.parametrize("below", ["", "mnist"])
def test_parquet_of_the_hub(tmp_path: Path, small: Callable[..., None], below: str) -> None:
    small("mnist")
    write_hub(tmp_path / below)
    parts = load("mnist", folder=str(tmp_path))
    assert [len(part) for part in parts.values()] == [40, 20]
    values = parts["train"].labels.values
    assert [values[code] for code in parts["train"].labels.codes[:12]] == [*range(10), 0, 1]


def test_class_names_where_a_copy_has_numbers_only(
    tmp_path: Path, small: Callable[..., None]
) -> None:
    small("fashion-mnist")
    write_hub(tmp_path)
    names = load("fashion-mnist", folder=str(tmp_path))["test"].class_names
    assert names is not None
    assert names[9] == "Ankle boot"


def test_folder_a_class(tmp_path: Path, small: Callable[..., None]) -> None:
    small("cub200", train=9, test=6)
    for part, each in (("train", 3), ("test", 2)):
        for name in "abc":
            for i in range(each):
                layouts.save(tmp_path / part / name / f"{i}.png", layouts.pixels(8, 8))
    assert [len(part) for part in load("cub200", folder=str(tmp_path)).values()] == [9, 6]
    shutil.rmtree(tmp_path / "test")
    refused("cub200", "no test part", folder=str(tmp_path))


def test_the_order_of_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., None]
) -> None:
    small("mnist")
    for name in ("mnist", "MNIST/raw", "given"):
        layouts.write_idx(tmp_path / name)
    monkeypatch.setenv("METRISCOPE_DATA", str(tmp_path))

    def origin(**params: str) -> Path:
        shelf = load("mnist", **params)["train"].shelf
        assert isinstance(shelf, Arrays)
        return shelf.files[0].parent

    assert origin(folder=str(tmp_path / "given")) == tmp_path / "given"
    assert origin() == tmp_path / "mnist"
    shutil.rmtree(tmp_path / "mnist")
    assert origin() == tmp_path / "MNIST" / "raw"


def test_copies_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused("mnist", f"{tmp_path / 'gone'} is no folder", folder=str(tmp_path / "gone"))
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "notes.txt").touch()
    monkeypatch.setenv("METRISCOPE_DATA", str(tmp_path))
    refused("mnist", str(tmp_path / "mnist"), "no layout of mnist that is known")
    monkeypatch.setenv("METRISCOPE_DATA", str(tmp_path / "gone"))
    refused("mnist", "METRISCOPE_DATA is", "no folder")


def test_home_is_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., None]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    small("mnist")
    layouts.write_idx(tmp_path / "data" / "mnist")
    monkeypatch.setenv("METRISCOPE_DATA", "~/data")
    assert len(load("mnist")["test"]) == len(load("mnist", folder="~/data/mnist")["test"]) == 20


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_real_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (REAL / name).is_dir():
        pytest.skip(f"no {REAL / name}")
    monkeypatch.setenv("METRISCOPE_DATA", str(REAL))
    parts = load(name)
    assert [len(part) for part in parts.values()] == [*SIZES[name][:2]]
    assert parts["train"].class_names == parts["test"].class_names


# --------------------------------------------------------------------------------------------- hub


def write_hub(folder: Path) -> Path:
    """Both parts of MNIST's sample as Parquet."""
    for i in range(2):
        rows = np.arange(20 * i, 20 * i + 20) % 10
        layouts.write_parquet(folder / f"train-0000{i}-of-00002.parquet", rows.tolist())
    layouts.write_parquet(folder / "test-00000-of-00001.parquet", (np.arange(20) % 10).tolist())
    return folder


class Hub:
    """Stands in for the hub: one repository, and a cache that is empty at first."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cached = folder, False
        self.calls: list[str] = []
        self.error: Exception | None = None

    def dataset_info(self, repo: str, *, revision: str | None, timeout: float) -> Any:
        assert timeout < 30
        self.calls.append(f"ask {revision}")
        if self.error is not None:
            raise self.error
        return type("Info", (), {"sha": revision or COMMIT})()

    def snapshot_download(
        self,
        repo: str,
        *,
        repo_type: str,
        revision: str,
        allow_patterns: list[str],
        local_files_only: bool,
    ) -> str:
        assert repo_type == "dataset"
        if local_files_only and not self.cached:
            raise LocalEntryNotFoundError("not there")
        if not local_files_only:
            self.calls.append(f"fetch {revision}")
            self.cached = True
        return str(self.folder)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(write_hub(tmp_path / "repository" / "data").parent)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    return made


def test_the_hub_is_asked_for_the_pinned_commit_once(hub: Hub, small: Callable[..., None]) -> None:
    small("mnist")
    revision = published("mnist").revision
    assert [len(part) for part in load("mnist").values()] == [40, 20]
    assert hub.calls == [f"ask {revision}", f"fetch {revision}"]
    load("mnist")
    assert len(hub.calls) == 2


def test_a_commit_that_is_not_known_is_pinned_at_first_use(
    tmp_path: Path, hub: Hub, small: Callable[..., None]
) -> None:
    small("fashion-mnist")
    load("fashion-mnist")
    assert hub.calls == ["ask None", f"ask {COMMIT}", f"fetch {COMMIT}"]
    pins = json.loads((tmp_path / "cache" / "pins.json").read_text())
    assert pins == {"datasets": {"zalando-datasets/fashion_mnist": COMMIT}}
    pins["datasets"]["zalando-datasets/fashion_mnist"] = other = "f" * 40
    (tmp_path / "cache" / "pins.json").write_text(json.dumps(pins))
    hub.cached = False
    load("fashion-mnist")
    assert hub.calls[3:] == [f"ask {other}", f"fetch {other}"]


def test_an_interrupted_download_is_completed(hub: Hub, small: Callable[..., None]) -> None:
    small("mnist")
    hub.cached = True
    part = hub.folder / "data" / "train-00001-of-00002.parquet"
    aside = part.rename(hub.folder / "aside")
    refused("mnist", "number 00001 is missing")
    assert hub.calls == [f"{what} {published('mnist').revision}" for what in ("ask", "fetch")]
    aside.rename(part)
    assert len(load("mnist")["train"]) == 40


def test_a_copy_on_the_hub_that_differs(hub: Hub) -> None:
    refused("mnist", "ylecun/mnist at 77f3279 has 40 training pictures", "has 60,000")
    shutil.rmtree(hub.folder / "data")
    refused("mnist", "ylecun/mnist at 77f3279 has no Parquet files", "mnist:folder=PATH")


def test_errors_of_the_hub(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.error = ConnectionError("Name or service\x1b[31m not known\nand more")
    refused(
        "cub200",
        "cub200: not on this machine",
        "ConnectionError: Name or service\\x1b[31m not known)",
        "cub200:folder=PATH",
        "METRISCOPE_DATA is not set",
        "Donghyun99/CUB-200-2011",
    )
    assert not (tmp_path / "cache" / "pins.json").exists()
    monkeypatch.setenv("METRISCOPE_DATA", str(tmp_path))
    refused("cub200", f"no cub200 or CUB_200_2011 or CUB-200-2011 in {tmp_path}")
    hub.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageError, match=r"cub200: .*No space left.*HF_HOME"):
        load("cub200")


@pytest.mark.parametrize("name", SIZES)
def test_without_a_network_one_line_says_what_to_do(name: str) -> None:
    refused(name, f"{name}: not on this machine", "HF_HUB_OFFLINE is set", f"{name}:folder=PATH")


def test_without_the_hub_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refused("cars196", "pip install 'metriscope[images]'", "cars196:folder=PATH")


def test_the_hub_keeps_quiet_and_gets_its_voice_back() -> None:
    utils: Any = huggingface_hub.utils
    before = utils.are_progress_bars_disabled(), utils.logging.get_verbosity()
    with named._quiet():
        assert utils.are_progress_bars_disabled()
        assert utils.logging.get_verbosity() > before[1]
    assert (utils.are_progress_bars_disabled(), utils.logging.get_verbosity()) == before


def test_only_the_parts_that_are_used_are_fetched() -> None:
    repository = [
        "README.md",
        "data/train-00000-of-00002.parquet",
        "data/contrast-00000-of-00001.parquet",
        "data/test-00000-of-00001-1359597a978bc4fa.parquet",
        "valid-00000-of-00001.parquet",
        "run.py",
    ]
    chosen = list(
        huggingface_hub.utils.filter_repo_objects(repository, allow_patterns=named.PATTERNS)
    )
    assert chosen == [repository[i] for i in (1, 3, 4)]
