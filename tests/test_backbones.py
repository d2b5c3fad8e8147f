"""Backbones one by one: equal to the library called by hand, and what goes wrong in the wild."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers.image_processing_backends import PilBackend

from metriscope.data.backbones._checkpoint import in_folder
from metriscope.data.backbones._preprocess import load_processor
from tests import tiny_models
from tests.tiny_models import KINDS, by_hand, digest, error_of, features, of, some_pictures

POOLED = "pooler_output"
CLS = "last_hidden_state[:, 0]"
TOKENS = "mean of last_hidden_state over tokens"


# ------------------------------------------------------------------ equal to the library, by hand

TENSORS = {
    "clip": POOLED,
    "whole clip": POOLED,
    "whole siglip": POOLED,
    "vit": POOLED,
    "vit without pooler": CLS,
    "vit classifier": CLS,
    "deit": POOLED,
    "beit": POOLED,
    "ijepa": TOKENS,
    "dinov2": POOLED,
    "dinov3": POOLED,
    "swin": POOLED,
    "convnext": POOLED,
    "resnet": POOLED,
}


@pytest.mark.parametrize("kind", TENSORS)
def test_any_model_is_as_by_hand(kind: str, saved: Callable[[str], Path]) -> None:
    found = of(f"hf:{saved(kind)}")
    assert found.recipe["tensor"] == TENSORS[kind]
    outputs = by_hand(kind, saved(kind), some_pictures())
    expected = {
        POOLED: lambda: outputs.pooler_output.flatten(1),
        CLS: lambda: outputs.last_hidden_state[:, 0],
        TOKENS: lambda: outputs.last_hidden_state.mean(1),
    }[TENSORS[kind]]()
    torch.testing.assert_close(features(found), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "kind", "tensor"),
    [
        ("clip-vit-b32", "clip", POOLED),
        ("clip-vit-b32", "whole clip", POOLED),
        ("vit-b32", "vit", CLS),
        ("vit-b32", "vit without pooler", CLS),
        ("vit-b32", "vit classifier", CLS),
        ("dinov2-small", "dinov2", CLS),
    ],
)
def test_named_ones_are_as_by_hand(
    name: str, kind: str, tensor: str, saved: Callable[[str], Path]
) -> None:
    found = of(f"{name}:{saved(kind)}")
    assert found.recipe["tensor"] == tensor
    outputs = by_hand(kind, saved(kind), some_pictures())
    expected = outputs.pooler_output if tensor == POOLED else outputs.last_hidden_state[:, 0]
    torch.testing.assert_close(features(found), expected, rtol=1e-4, atol=1e-5)


def test_whole_clip_is_its_vision_tower_before_the_projection(
    saved: Callable[[str], Path],
) -> None:
    folder = saved("whole clip")
    model = transformers.CLIPVisionModel.from_pretrained(folder).eval()
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    with torch.no_grad():
        hidden = model(**processor(some_pictures(), return_tensors="pt")).last_hidden_state
        norm = next(m for n, m in model.named_modules() if n.endswith("post_layernorm"))
        expected = norm(hidden[:, 0])
    torch.testing.assert_close(features(of(f"clip-vit-b32:{folder}")), expected)


def test_prepared_pictures_are_bytes_where_scaling_comes_last(
    saved: Callable[[str], Path],
) -> None:
    extractor = of(f"clip-vit-b32:{saved('clip')}").load("cpu", "float32")
    assert extractor.prepare(some_pictures()[0]).dtype == np.uint8


@pytest.mark.parametrize("top", [True, False])
def test_a_processor_that_cannot_be_split_is_used_whole(
    top: bool, own: Callable[[str], Path]
) -> None:
    folder = own("vit")
    kind = transformers.EfficientNetImageProcessorPil
    settings = {"do_center_crop": False, "rescale_offset": True, "include_top": top}
    size = {"height": 32, "width": 32}
    kind(size=size, rescale_factor=1 / 127.5, **settings).save_pretrained(folder)
    extractor = of(f"hf:{folder}").load("cpu", "float32")
    for picture in some_pictures():
        expected = kind.from_pretrained(folder)(picture, return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(extractor.prepare(picture), expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_preprocessing_is_pil_whatever_is_installed(
    kind: str, saved: Callable[[str], Path]
) -> None:
    processor = load_processor(in_folder("x", saved(kind), digest))
    assert isinstance(processor, PilBackend)
    assert type(processor).__name__ == KINDS[kind][1]


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ({"image_processor_type": "CLIPImageProcessorFast"}, "CLIPImageProcessorPil"),
        ({"feature_extractor_type": "CLIPFeatureExtractor"}, "CLIPImageProcessorPil"),
        ({"image_processor_type": "DINOv3ViTImageProcessorFast"}, "ViTImageProcessorPil"),
        ({}, "CLIPImageProcessorPil"),  # by the type of the model
    ],
)
def test_older_names_of_processors(
    written: dict[str, str], used: str, own: Callable[[str], Path]
) -> None:
    file = own("whole clip") / "preprocessor_config.json"
    content = json.loads(file.read_text())
    del content["image_processor_type"]
    file.write_text(json.dumps(content | written))
    processor = load_processor(in_folder("x", file.parent, digest))
    assert isinstance(processor, PilBackend)
    assert type(processor).__name__ == used


def test_settings_in_a_joint_processor_file(
    own: Callable[[str], Path], saved: Callable[[str], Path]
) -> None:
    folder = own("clip")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    (folder / "preprocessor_config.json").unlink()
    found, plain = of(f"clip-vit-b32:{folder}"), of(f"clip-vit-b32:{saved('clip')}")
    assert found.recipe["preprocessing"] == plain.recipe["preprocessing"]
    assert torch.equal(features(found), features(plain))


# --------------------------------------------------------------------------- files of other shapes


def test_older_weights_and_shards_give_the_same(
    own: Callable[[str], Path], saved: Callable[[str], Path], tmp_path: Path
) -> None:
    expected = features(of(f"hf:{saved('vit')}"))
    folder = own("vit")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    found = of(f"hf:{folder}")
    assert "pytorch_model.bin" in found.recipe["weights"]["sha256"]
    assert found.recipe["tensor"] == POOLED
    assert torch.equal(features(found), expected)

    shards = tiny_models.save("vit", tmp_path / "shards", max_shard_size="20KB")
    found = of(f"hf:{shards}")
    assert sum(name.endswith(".safetensors") for name in found.recipe["weights"]["sha256"]) > 1
    assert torch.equal(features(found), expected)

    next(shards.glob("model-00002-*")).unlink()
    assert "has no model-00002" in error_of(f"hf:{shards}")


def test_safetensors_win_over_a_pickle(own: Callable[[str], Path]) -> None:
    folder = own("vit")
    (folder / "pytorch_model.bin").write_bytes(b"not looked at")
    found = of(f"hf:{folder}")
    assert "pytorch_model.bin" not in found.recipe["weights"]["sha256"]
    assert features(found).isfinite().all()


class Harmful:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path(os.environ["HARM"]),)


@pytest.mark.parametrize("name", ["hf", "vit-b32"])
def test_a_pickle_that_runs_code_is_refused(
    name: str, own: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    folder = own("vit")
    (folder / "model.safetensors").unlink()
    torch.save({"x": Harmful()}, folder / "pytorch_model.bin")
    assert "damaged" in error_of(f"{name}:{folder}")
    assert not (tmp_path / "harm").exists()


def test_a_home_folder_expands(own: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own("clip")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert of("clip-vit-b32:~/model").name == "clip-vit-b32:model"
    assert of("hf:~/model").name == "hf:model"


# -------------------------------------------------------------------------------- recipe, identity


def test_recipe_changes_with_a_byte_of_any_file_and_not_with_the_place(
    own: Callable[[str], Path], saved: Callable[[str], Path]
) -> None:
    folder = own("vit")
    before = of(f"vit-b32:{folder}").recipe
    assert before == of(f"vit-b32:{saved('vit')}").recipe
    for file in ("model.safetensors", "config.json", "preprocessor_config.json"):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[:-1] + b" " + content[-1:])
        assert of(f"vit-b32:{folder}").recipe != before
        (folder / file).write_bytes(content)
    assert of(f"vit-b32:{folder}").recipe == before


@pytest.mark.parametrize("name", ["clip-vit-b32", "hf"])
def test_no_model_is_loaded_for_the_recipe(
    name: str, saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(transformers.PreTrainedModel, "from_pretrained", refuse)
    monkeypatch.setattr("safetensors.torch.load_file", refuse)
    assert of(f"{name}:{saved('clip')}").recipe["model"] == "CLIPVisionModel"


def test_named_ones_and_pixels_resolve_without_importing_transformers(
    saved: Callable[[str], Path],
) -> None:
    code = (
        "import sys, hashlib\n"
        "from pathlib import Path\n"
        "from metriscope.data.backbones import resolve\n"
        "digest = lambda p: hashlib.sha256(Path(p).read_bytes()).hexdigest()\n"
        f"for name in ('pixels:1x4x4', 'cnn:3x4x4', 'clip-vit-b32:{saved('clip')}'):\n"
        "    resolve(name, [], digest)\n"
        "print([m for m in ('transformers', 'torch', 'timm') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


# ------------------------------------------------------------------------------- while it computes


def test_loading_says_nothing_and_restores_what_it_changed(
    saved: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging as library

    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    before = library.get_verbosity(), library.is_progress_bar_enabled()
    library.add_handler(handler)
    library.set_verbosity(logging.WARNING)
    library.enable_progress_bar()
    try:
        for text in (f"clip-vit-b32:{saved('whole clip')}", f"hf:{saved('vit without pooler')}"):
            of(text).load("cpu", "float32")
        after = library.get_verbosity(), library.is_progress_bar_enabled()
    finally:
        library.set_verbosity(before[0])
        if not before[1]:
            library.disable_progress_bar()
        library.remove_handler(handler)
    assert after == (logging.WARNING, True)
    assert said == []
    assert "Loading weights" not in capfd.readouterr().err


def test_float32_is_never_tf32_and_the_choice_of_the_process_stays(
    saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.backends import cuda, cudnn

    extractor = of(f"clip-vit-b32:{saved('clip')}").load("cpu", "float32")
    before = cudnn.allow_tf32, cuda.matmul.allow_tf32
    seen = []
    convolve = torch.nn.Conv2d.forward

    def watch(self: Any, x: torch.Tensor) -> torch.Tensor:
        seen.append((cudnn.allow_tf32, cuda.matmul.allow_tf32))
        return convolve(self, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", watch)
    try:
        cudnn.allow_tf32 = cuda.matmul.allow_tf32 = True
        extractor.forward(torch.zeros(1, *extractor.shape, dtype=torch.uint8))
        assert seen == [(False, False)]
        assert (cudnn.allow_tf32, cuda.matmul.allow_tf32) == (True, True)
    finally:
        cudnn.allow_tf32, cuda.matmul.allow_tf32 = before


def test_the_model_runs_in_the_number_type_asked_for(
    saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = of(f"clip-vit-b32:{saved('clip')}")
    exact, rough = features(backbone), features(backbone, "bfloat16")
    assert rough.dtype == torch.float32
    assert torch.equal(rough, rough.bfloat16().float())
    assert not torch.equal(exact, rough)
