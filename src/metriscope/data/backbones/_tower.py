"""Which part of a model sees, and which of its outputs is taken."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metriscope.data.backbones._checkpoint import Checkpoint, not_installed
from metriscope.data.backbones._preprocess import load_processor, preparation
from metriscope.data.backbones._running import first_line
from metriscope.data.table import show
from metriscope.text import plain
from metriscope.types import InputError

if TYPE_CHECKING:
    from torch import Tensor

POOLED = "pooler_output"
CLS = "last_hidden_state[:, 0]"
TOKENS = "mean of last_hidden_state over tokens"
PLACES = "mean of last_hidden_state over height and width"

POOLERS = ("pooler.", "head.")  # what computes pooler_output and nothing else
UNUSED = ("mask_token",)  # only where patches are hidden, in training


@dataclass(frozen=True)
class Tower:
    """The part of a model that sees.

    Attributes:
        model: its class in transformers.
        tensor: which of its outputs is taken.
    """

    model: str
    tensor: str


def take(outputs: Any, tensor: str) -> Tensor:
    """One of a model's outputs as (b, dim)."""
    if tensor == POOLED:
        pooled: Tensor = outputs.pooler_output
        return pooled.flatten(1)  # (b, c, 1, 1) of convolutional models
    hidden: Tensor = outputs.last_hidden_state
    if tensor == CLS:
        return hidden[:, 0]
    return hidden.mean(1) if tensor == TOKENS else hidden.mean((2, 3))


def vision_config(checkpoint: Checkpoint) -> Any:
    """The configuration of the part that sees, for a model of pictures and text too.

    Raises:
        InputError: transformers does not know this type of model.
    """
    import transformers

    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(
                checkpoint.folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # an unknown type, or settings it cannot take
        kind = checkpoint.config.get("model_type")
        raise InputError(
            f"{checkpoint.name}: transformers {transformers.__version__} cannot read the "
            f"configuration in {plain(checkpoint.folder)}, of type {show(kind)}; code that comes "
            f"with a model is never run. ({first_line(error)})"
        ) from error
    return getattr(config, "vision_config", None) or config


def find_tower(checkpoint: Checkpoint) -> Tower:
    """Which class and output to take of any image model, without its weights.

    ``pooler_output`` where there is one and its weights are in the checkpoint (without them it
    would be random), else CLS where there is one, else the mean.

    Raises:
        InputError: no model for pictures.
    """
    with transformers_for(checkpoint.name):
        import torch
        import transformers

        config = vision_config(checkpoint)
        auto: Any = transformers.AutoModel
        with _understood(checkpoint, config), torch.device("meta"):  # no memory, no weights
            model = auto.from_config(config, trust_remote_code=False).eval()
        kind, takes = type(model).__name__, model.main_input_name
        if takes != "pixel_values":
            raise InputError(
                f"{checkpoint.name}: {kind} takes {takes}, not pictures (pixel_values); choose an "
                "image model."
            )
        shape = preparation(checkpoint.name, load_processor(checkpoint))[0]
        with _understood(checkpoint, config), torch.inference_mode():
            outputs = model(pixel_values=torch.empty(1, *shape, device="meta"))
    names = list(model.state_dict())
    poolers = [name for name in names if name.startswith(POOLERS)]
    if getattr(outputs, POOLED, None) is not None and _has(_keys(checkpoint), poolers):
        return Tower(kind, POOLED)
    hidden = getattr(outputs, "last_hidden_state", None)
    if hidden is None or hidden.ndim not in (3, 4):
        raise InputError(f"{checkpoint.name}: {kind} gives no features of a whole picture.")
    if hidden.ndim == 4:
        return Tower(kind, PLACES)
    leads = any(name.endswith(("cls_token", "class_embedding")) for name in names)
    return Tower(kind, CLS if leads else TOKENS)


@contextmanager
def _understood(checkpoint: Checkpoint, config: Any) -> Iterator[None]:
    """An InputError from whatever a model of another kind says."""
    try:
        with quiet():
            yield
    except Exception as error:
        raise InputError(
            f"{checkpoint.name}: no features of one picture from a model of type "
            f"{show(config.model_type)}. ({first_line(error)})"
        ) from error


def _has(keys: Collection[str], names: Collection[str]) -> bool:
    """Whether a checkpoint, which may be of a larger model, has all of these parameters."""
    return all(any(key == name or key.endswith(f".{name}") for key in keys) for name in names)


def _keys(checkpoint: Checkpoint) -> set[str]:
    """The names of a checkpoint's tensors, which are not read."""
    import torch
    from safetensors import safe_open

    keys: set[str] = set()
    for file in checkpoint.weights:
        try:
            if file.suffix == ".safetensors":
                with safe_open(file, framework="pt") as opened:
                    keys.update(opened.keys())
            else:
                keys.update(torch.load(file, map_location="meta", weights_only=True))
        except Exception as error:  # of safetensors or of torch, on a damaged file
            raise InputError(
                f"{plain(file)}: cannot be read as weights: truncated or damaged? "
                f"({first_line(error)})"
            ) from error
    return keys


@contextmanager
def transformers_for(name: str) -> Iterator[None]:
    """An InputError that says how to install it, where transformers is not installed."""
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise not_installed(name, "transformers") from error
    yield


@contextmanager
def quiet() -> Iterator[None]:
    """No reports of unused weights, and no bars, from transformers."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
