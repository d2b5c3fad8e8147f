"""Any image model in the Hugging Face layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metriscope.data.backbones import register
from metriscope.data.backbones._checkpoint import in_folder, on_hub
from metriscope.data.backbones._tower import find_tower
from metriscope.data.backbones._transformers import backbone
from metriscope.data.backbones.base import Backbone
from metriscope.data.pictures import Digest, Pictures
from metriscope.data.table import show
from metriscope.text import plain
from metriscope.types import InputError


@register("hf")
def hf(argument: str, pictures: Sequence[Pictures], digest: Digest) -> Backbone:
    """Any image model of transformers: hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:FOLDER.

    Features: ``pooler_output`` where the model has one and its weights are in the checkpoint, else
    CLS, else the mean of ``last_hidden_state``; the recipe says which. Of a model of pictures and
    text, the part that sees. Code that comes with a model is never run.
    """
    if not argument:
        raise InputError("hf needs a repository or a folder: hf:facebook/dinov2-base, hf:FOLDER.")
    folder = Path(argument).expanduser()
    if folder.exists() or argument.startswith((".", "/", "~")):
        name = f"hf:{plain(folder.resolve().name)}"
        checkpoint = in_folder(f"hf:{plain(argument)}", folder, digest)
    else:
        repo, at, revision = argument.partition("@")
        if at and not revision:
            raise InputError(f"hf: no revision after the @ in {show(argument)}.")
        name = f"hf:{plain(argument.rpartition('/')[2])}"
        checkpoint = on_hub(f"hf:{plain(argument)}", repo, revision or None, "hf:FOLDER")
    return backbone(name, checkpoint, find_tower(checkpoint))
