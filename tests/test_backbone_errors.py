"""Backbones that cannot be had: one or two lines that say what, why and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.tiny_models import edit, error_of, of


def test_a_folder_that_lacks_something(own: Callable[[str], Path], tmp_path: Path) -> None:
    assert "no such folder" in error_of(f"clip-vit-b32:{tmp_path / 'nowhere'}")
    assert "no such folder" in error_of(f"hf:{tmp_path / 'nowhere'}")
    folder = own("clip")
    assert "a folder is needed" in error_of(f"clip-vit-b32:{folder / 'config.json'}")
    for file, kept in (
        ("preprocessor_config.json", "has no preprocessor_config.json"),
        ("model.safetensors", "has no model.safetensors or pytorch_model.bin"),
        ("config.json", "has no config.json (it holds nothing)"),
    ):
        (folder / file).unlink()
        assert kept in error_of(f"clip-vit-b32:{folder}")
        assert kept in error_of(f"hf:{folder}")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("model.safetensors", b"", "empty"),
        ("model.safetensors", b"\xff" * 200, "damaged"),
        ("config.json", b'{"model_type": "clip"', "truncated or damaged"),
        ("config.json", b"[1, 2]", "no JSON object"),
        ("preprocessor_config.json", b"\xff\xfe", "UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["clip-vit-b32", "hf"])
def test_damaged_files(
    name: str, file: str, content: bytes, said: str, own: Callable[[str], Path]
) -> None:
    folder = own("clip")
    (folder / file).write_bytes(content)
    assert said in error_of(f"{name}:{folder}")


@pytest.mark.parametrize("name", ["clip-vit-b32", "hf"])
def test_a_truncated_safetensors(name: str, own: Callable[[str], Path]) -> None:
    file = own("clip") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    assert "damaged" in error_of(f"{name}:{file.parent}")


@pytest.mark.parametrize("name", ["clip-vit-b32", "hf"])
def test_weights_that_do_not_fit(name: str, own: Callable[[str], Path]) -> None:
    folder = own("clip")
    file = folder / "model.safetensors"
    tensors = load_file(file)
    gone = next(key for key in tensors if "layers.1" in key)
    save_file({k: v for k, v in tensors.items() if k != gone}, file, {"format": "pt"})
    message = error_of(f"{name}:{folder}")
    assert "do not fit CLIPVisionModel: 1 of its tensors" in message
    assert f"('{gone}' is missing)" in message
    wide = {k: torch.cat([v, v]) if "layers.1" in k else v for k, v in tensors.items()}
    save_file(wide, file, {"format": "pt"})
    message = error_of(f"{name}:{folder}")
    first, *others = sorted(k for k in tensors if "layers.1" in k)
    shape = tuple(tensors[first].shape)
    doubled = (2 * shape[0], *shape[1:])
    assert f"do not fit CLIPVisionModel: {len(others) + 1} of its tensors" in message
    assert f"('{first}' has shape {doubled}, not {shape}; '{others[0]}' has" in message
    assert message.endswith(f"; and {len(others) - 1} more).")


def test_a_pooler_of_another_shape_matters_only_where_it_is_taken(
    own: Callable[[str], Path],
) -> None:
    folder = own("vit")
    tensors = load_file(folder / "model.safetensors")
    tensors["pooler.dense.bias"] = torch.zeros(3)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert "'pooler.dense.bias' has shape (3,), not (32,)" in error_of(f"hf:{folder}")
    assert of(f"vit-b32:{folder}").load("cpu", "float32").dim == 32  # takes CLS


def test_a_model_of_another_type(own: Callable[[str], Path]) -> None:
    message = error_of(f"clip-vit-b32:{own('vit')}")
    assert "a model of type 'vit', not clip" in message
    assert "--backbone hf:FOLDER" in message


def test_a_text_model(own: Callable[[str], Path]) -> None:
    folder = own("clip")
    small = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    transformers.BertConfig(**small, intermediate_size=8).save_pretrained(folder)
    assert "BertModel takes input_ids, not pictures" in error_of(f"hf:{folder}")


def test_code_that_comes_with_a_model_is_never_run(own: Callable[[str], Path]) -> None:
    folder = own("clip")
    (folder / "mine.py").write_text("raise SystemExit('ran')")
    code = {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}
    edit(folder / "config.json", model_type="mine", auto_map=code)
    message = error_of(f"hf:{folder}")
    assert "code that comes with a model is never run" in message
    edit(folder / "config.json", model_type="clip_vision_model")
    edit(folder / "preprocessor_config.json", auto_map={"AutoImageProcessor": "mine.Processor"})
    assert of(f"hf:{folder}").load("cpu", "float32").dim == 32


def test_a_processor_without_a_pil_version(own: Callable[[str], Path]) -> None:
    folder = own("clip")
    edit(folder / "preprocessor_config.json", image_processor_type="SomeImageProcessor")
    assert "no SomeImageProcessorPil" in error_of(f"clip-vit-b32:{folder}")


def test_pictures_of_different_shapes(own: Callable[[str], Path]) -> None:
    folder = own("clip")
    edit(folder / "preprocessor_config.json", do_center_crop=False)
    message = error_of(f"clip-vit-b32:{folder}")
    assert "one shape" in message
    assert "crop_size" in message


def test_a_size_that_the_model_does_not_take(own: Callable[[str], Path]) -> None:
    folder = own("vit")
    edit(folder / "preprocessor_config.json", size={"height": 40, "width": 40})
    assert "(3, 40, 40)" in error_of(f"vit-b32:{folder}")
    assert "no features of one picture" in error_of(f"hf:{folder}")


def test_features_that_are_not_numbers(own: Callable[[str], Path]) -> None:
    folder = own("vit")
    tensors = load_file(folder / "model.safetensors")
    tensors["layernorm.weight"][:] = float("nan")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert "no finite features" in error_of(f"vit-b32:{folder}")


def test_a_model_that_hides_patches_at_random(saved: Callable[[str], Path]) -> None:
    assert "other features each time" in error_of(f"hf:{saved('mae')}")


@pytest.mark.parametrize("text", ["hf:", "hf:a b", "hf:a/b/c", "hf:../nowhere", "hf:a/b@"])
def test_no_repository_s_name(text: str) -> None:
    assert error_of(text).startswith("hf")


def test_without_transformers(
    saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    for name in ("clip-vit-b32", "hf"):
        assert "pip install 'metriscope[images]'" in error_of(f"{name}:{saved('clip')}")
