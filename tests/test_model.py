"""A backbone at work: how many pictures at once, on which hardware."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from metriscope.data import memory, model
from metriscope.data.extraction import Extraction, extract
from metriscope.types import InputError
from tests.fake_backbone import Fake, fail, noise
from tests.test_extraction import matrix, run

MACHINE = 1 << 40  # bytes that are free


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_batches_are_halved_where_memory_runs_out(
    fake: Fake, tmp_path: Path, error: Exception
) -> None:
    def full(x: torch.Tensor) -> None:
        if len(x) > 2:
            raise error

    told: list[str] = []
    pictures = noise(40, broken=(5,))
    fake.before = full
    features = run(tmp_path, pictures, notify=told.append)
    assert set(fake.sizes) <= {1, 2}
    assert features.manifest["batch_size"] == 2
    assert told == ["train: fake: memory ran out with 8 pictures at once; going on with 2."]
    rows, x = matrix(features)
    np.testing.assert_allclose(x, fake.by_hand(pictures.shelf.all_pixels()[rows]), rtol=1e-5)
    stored = json.loads((features.shards[0].parent / "manifest.json").read_text())
    assert stored["batch_size"] == 2


def test_no_memory_for_a_single_picture(fake: Fake, tmp_path: Path) -> None:
    fake.before = lambda x: fail(MemoryError)
    with pytest.raises(InputError, match=r"fake: the cpu has too little free memory"):
        run(tmp_path, noise(10))


def test_other_errors_of_the_model_are_not_taken_for_memory(fake: Fake, tmp_path: Path) -> None:
    def fail(x: torch.Tensor) -> None:
        if len(x) > 1:  # not the probe
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    fake.before = fail
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        run(tmp_path, noise(10))


def test_the_batch_fits_into_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = torch.nn.Sequential(*[torch.nn.Linear(1000, 1000) for _ in range(5)])
    picture = torch.zeros(1, 1000)  # 4 kB, and two layers' outputs alive at once
    with torch.inference_mode():
        for free, expected in ((1 << 40, 64), (2 * 35_000 * 16, 16), (2 * 35_000, 1), (0, 1)):
            monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
            assert memory.batch_size(layers, picture, "cpu") == expected, free
        monkeypatch.setattr(memory, "free_memory", lambda device: 1 << 40)
        assert memory.batch_size(layers, picture, "cpu", most=20) == 16


@pytest.mark.parametrize(
    ("lines", "files", "room"),
    [
        ("0::/a/b\n", {"a/memory.max": "1000", "a/memory.current": "300"}, [700]),
        ("0::/a\n", {"a/memory.max": "max", "a/memory.current": "300"}, []),
        (
            "4:memory:/x\n1:cpu:/\n",
            {"memory/memory.limit_in_bytes": "500", "memory/memory.usage_in_bytes": "600"},
            [0],
        ),
        (
            "4:memory:/x\n",
            {
                "memory/memory.limit_in_bytes": str(2**63 - 4096),
                "memory/memory.usage_in_bytes": "9",
            },
            [],
        ),
        ("", {}, []),
    ],
)
def test_limits_of_control_groups(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: str,
    files: dict[str, str],
    room: list[int],
) -> None:
    (tmp_path / "self").write_text(lines)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "self")
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=MACHINE))
    assert memory.free_memory("cpu") == min([MACHINE, *room])
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "absent")
    assert memory.free_memory("cpu") == MACHINE


def test_the_batch_fits_into_the_control_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < memory.free_memory("cpu") < 1 << 50
    (tmp_path / "self").write_text("0::/\n")
    (tmp_path / "memory.current").write_text("1000\n")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "self")
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=MACHINE))
    picture = torch.zeros(1, 1000)  # 4 kB: five copies, one on its way in and one out
    for limit, expected in ((2 * 29_000 * 4 + 1000, 4), (2 * 29_000 * 20 + 1000, 16), ("max", 64)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert memory.batch_size(lambda x: x + 1, picture, "cpu") == expected


@pytest.mark.parametrize("options", [{"device": "gpu"}, {"dtype": "float16"}])
def test_unknown_devices_and_number_types(options: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"it must be one of"):
        Extraction(**options)  # type: ignore[arg-type]


def test_cuda_where_there_is_none(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"device cuda: torch .* Use --device cpu"):
        extract({"train": noise(3)}, Extraction("fake", device="cuda", cache=tmp_path))
    assert model.choose_device("auto") == "cpu"
    run(tmp_path, noise(3))
    cached = extract({"train": noise(3)}, Extraction("fake", device="cuda", cache=tmp_path))
    assert len(matrix(cached["train"])[0]) == 3  # what is there needs no device


def test_bfloat16_only_where_the_hardware_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for avx, amx in ((True, False), (False, True), (False, False)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda avx=avx: avx)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        model.check_dtype("float32", "cpu")
        if avx or amx:
            model.check_dtype("bfloat16", "cpu")
        else:
            with pytest.raises(InputError, match=r"dtype bfloat16: this processor .* float32\."):
                model.check_dtype("bfloat16", "cpu")
