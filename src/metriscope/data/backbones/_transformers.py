"""Image models of transformers: from a checkpoint's files to an extractor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metriscope.data.backbones._checkpoint import Checkpoint, in_folder, on_hub
from metriscope.data.backbones._preprocess import load_processor, preparation, processor_name
from metriscope.data.backbones._running import extractor, first_line
from metriscope.data.backbones._tower import (
    POOLED,
    POOLERS,
    UNUSED,
    Tower,
    quiet,
    take,
    transformers_for,
    vision_config,
)
from metriscope.data.backbones.base import Backbone, Extractor
from metriscope.data.pictures import Digest
from metriscope.data.table import show
from metriscope.text import plain
from metriscope.types import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Known:
    """A backbone with a name of its own.

    Attributes:
        name: as it is registered.
        repo: on the hub.
        revision: a commit; None: the one found at the first use.
        types: ``model_type`` of the configurations that fit.
        tower: what is taken of it.
    """

    name: str
    repo: str
    revision: str | None
    types: tuple[str, ...]
    tower: Tower

    def resolve(self, argument: str, digest: Digest) -> Backbone:
        """From a folder if one is given, else from the hub.

        Raises:
            InputError: weights that are not there, or of another kind of model.
        """
        if argument:
            folder = Path(argument)
            checkpoint = in_folder(self.name, folder, digest)
            name = f"{self.name}:{plain(folder.expanduser().resolve().name)}"
        else:
            option = f"{self.name}:FOLDER"
            checkpoint = on_hub(self.name, self.repo, self.revision, option)
            name = self.name
        found = str(checkpoint.config.get("model_type"))
        if found not in self.types:
            raise InputError(
                f"{self.name}: {plain(checkpoint.folder)} has a model of type {show(found)}, not "
                f"{' or '.join(self.types)}. For any other: --backbone hf:FOLDER."
            )
        return backbone(name, checkpoint, self.tower)


def backbone(name: str, checkpoint: Checkpoint, tower: Tower) -> Backbone:
    """What a checkpoint is as a backbone; loads nothing.

    The version of transformers is no part of the recipe: between versions, a model's outputs
    differ by rounding.
    """
    dropped = ("auto_map", "processor_class", "feature_extractor_type", "image_processor_type")
    settings = {k: v for k, v in checkpoint.preprocessing.items() if k not in dropped}
    recipe = {
        "tensor": tower.tensor,
        "model": tower.model,
        "weights": dict(checkpoint.identity),
        "preprocessing": {"class": processor_name(checkpoint.preprocessing), **settings},
    }
    return Backbone(name, recipe, lambda device, dtype: load(checkpoint, tower, device, dtype))


def load(checkpoint: Checkpoint, tower: Tower, device: str, dtype: str) -> Extractor:
    """The extractor: a model on its device, and its preprocessing.

    Raises:
        InputError: damaged weights, or weights that do not fit the architecture.
    """
    with transformers_for(checkpoint.name):
        import torch

        shape, prepare, scaled = preparation(checkpoint.name, load_processor(checkpoint))
        model = _load_model(checkpoint, tower, getattr(torch, dtype))

    def compute(x: Tensor) -> Tensor:
        return take(model(pixel_values=scaled(x).to(model.dtype)), tower.tensor)

    return extractor(checkpoint.name, model, device, shape, prepare, compute)


def _load_model(checkpoint: Checkpoint, tower: Tower, dtype: Any) -> Any:
    import transformers

    config = vision_config(checkpoint)
    try:
        with quiet():
            model, info = getattr(transformers, tower.model).from_pretrained(
                checkpoint.folder,
                config=config,
                dtype=dtype,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refused below, by name
                local_files_only=True,
                weights_only=True,
            )
    except Exception as error:  # of torch, safetensors or transformers, on whatever is in the files
        if isinstance(error, MemoryError):
            raise
        raise InputError(
            f"{checkpoint.name}: the weights in {plain(checkpoint.folder)} cannot be loaded into "
            f"{tower.model}: damaged, or of another model? ({first_line(error)})"
        ) from error
    spare = () if tower.tensor == POOLED else POOLERS
    wrong = dict.fromkeys(info["missing_keys"], "is missing") | {
        name: f"has shape {tuple(found)}, not {tuple(due)}"
        for name, found, due in info["mismatched_keys"]
    }
    used = [k for k in sorted(wrong) if not k.endswith(UNUSED) and not k.startswith(spare)]
    if used:
        first = "; ".join(f"{show(name, 100)} {wrong[name]}" for name in used[:2])
        more = f"; and {len(used) - 2} more" if len(used) > 2 else ""
        raise InputError(
            f"{checkpoint.name}: the weights in {plain(checkpoint.folder)} do not fit "
            f"{tower.model}: {len(used)} of its tensors are missing or have another shape "
            f"({first}{more})."
        )
    return model
