"""Pictures in, features out: is the model kept busy, and memory flat?

ViT-B/32 with random weights, which do not change its speed, on JPEG photographs of 500 × 375 made
here: pictures a second through `extract` (reading, decoding, model and cache, but not loading the
model), and of the bare model on tensors that are ready. Small PNG pictures through `pixels`: by how
much the peak of memory exceeds the start.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import in_child, peak_mib
from benchmarks.tables import Row
from metriscope.data import model  # noqa: F401  (imported before memory is measured)
from metriscope.data.backbones import resolve
from metriscope.data.backbones.base import Backbone
from metriscope.data.batching import prepared
from metriscope.data.digests import Digests
from metriscope.data.extraction import Extraction, extract
from metriscope.data.pictures import Digest, Files, Pictures, Raw
from metriscope.data.table import Labels

BATCH = 64


def photographs(folder: Path, count: int) -> Pictures:
    """JPEG files with structure at all scales, so that they decode like photographs."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(count):
        layers = [
            np.asarray(
                Image.fromarray(rng.integers(0, 256, (n * 3, n * 4, 3), dtype=np.uint8)).resize(
                    (500, 375)
                ),
                np.float32,
            )
            for n in (1, 4, 16, 64)
        ]
        paths.append(folder / f"{i}.jpg")
        Image.fromarray(np.mean(layers, axis=0).astype(np.uint8)).save(paths[-1], quality=90)
    return Pictures(Files(paths), Labels.of(np.arange(count)), "photographs")


def random_vit(folder: Path) -> str:
    """A ViT-B/32 in the layout of the hub; returns the backbone's name."""
    from transformers import CLIPVisionConfig, CLIPVisionModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=224,
        patch_size=32,
    )
    CLIPVisionModel(config).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    return f"clip-vit-b32:{folder}"


def through_extract(pictures: Pictures, backbone: str, folder: Path) -> float:
    """Pictures a second from the moment the model is loaded, when the manifest is written."""
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        how = Extraction(backbone, device="cpu", cache=Path(cache))
        found = extract({"all": pictures}, how)["all"]
        end = time.time()  # the last shard is written
        start = (found.shards[0].parent / "manifest.json").stat().st_mtime
    assert found.manifest["batch_size"] == BATCH, "too little memory is free to compare"
    return len(pictures) / (end - start)


def bare(forward: Any, x: torch.Tensor, batches: int) -> float:
    """Pictures a second of the model on a batch that is ready."""
    start = time.perf_counter()
    with torch.inference_mode():
        for _ in range(batches):
            forward(x)
    return batches * len(x) / (time.perf_counter() - start)


def bench_vit(rounds: int, batches: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photographs").mkdir()
        pictures = photographs(folder / "photographs", BATCH * batches)
        text = random_vit(folder / "vit")
        backbone: Backbone = resolve(text, [pictures], Digests(folder / "digests"))
        extractor = backbone.load("cpu", "float32")
        raws = pictures.shelf.read(0, BATCH)
        x = torch.from_numpy(np.stack([prepared(raw, extractor.prepare) for raw in raws]))
        bare(extractor.forward, x, 1)
        ours, theirs = [], []
        for _ in range(rounds):
            theirs.append(bare(extractor.forward, x, batches))
            ours.append(through_extract(pictures, text, folder))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return {
        "batch_size": BATCH,
        "pictures_per_round": BATCH * batches,
        "extract_per_second": statistics.median(ours),
        "bare_per_second": statistics.median(theirs),
        "ratio": ratio,
    }


# ------------------------------------------------------------------------------------------- memory


@dataclass(frozen=True)
class Repeated:
    """Many small encoded pictures: some, again and again."""

    encoded: list[bytes]
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, start: int, stop: int) -> Iterator[Raw]:
        for row in range(start, stop):
            yield self.encoded[row % len(self.encoded)]

    def identity(self, digest: Digest) -> str:
        return f"repeated {self.count}"


def small_png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def bench_pixels(count: int) -> dict[str, Any]:
    """In a process of its own."""
    shelf = Repeated([small_png(seed) for seed in range(997)], count)
    pictures = Pictures(shelf, Labels.of(np.arange(count) % 10), "small")
    with tempfile.TemporaryDirectory() as cache:
        before = peak_mib()
        start = time.perf_counter()
        found = extract({"all": pictures}, Extraction("pixels", device="cpu", cache=Path(cache)))
        middle = time.perf_counter()
        rows = sum(len(rows) for rows, _ in found["all"].blocks())
        end = time.perf_counter()
        growth = peak_mib() - before
    assert rows == count
    return {
        "pictures": count,
        "dim": found["all"].dim,
        "extract_per_second": count / (middle - start),
        "read_per_second": count / (end - middle),
        "growth_mib": growth,
    }


def run(*, quick: bool) -> list[Row]:
    """The section."""
    # Memory first: a process starts with the peak of the one it was forked from.
    pixels = in_child(bench_pixels, 6_000 if quick else 60_000)
    vit = bench_vit(1 if quick else 3, 2 if quick else 4)
    through, bare = vit["extract_per_second"], vit["bare_per_second"]
    small = f"{pixels['pictures']:,} PNG of 28 × 28 through pixels"
    return [
        Row(
            "ViT-B/32, JPEG through extract",
            through,
            "pictures/s",
            "bare model",
            bare,
            vit["ratio"],
            least=0.9,
        ),
        Row(small, pixels["extract_per_second"], "pictures/s"),
        Row("  read back from the cache", pixels["read_per_second"], "pictures/s"),
        Row("  memory", pixels["growth_mib"], "MiB", most=1024.0),
    ]
