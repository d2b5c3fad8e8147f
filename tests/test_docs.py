"""What the documentation says exists, and what exists is documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from metriscope import losses
from metriscope.cli import cli
from metriscope.data.backbones import BACKBONES
from metriscope.data.cache import SHARD
from metriscope.data.datasets import DATASETS
from metriscope.data.decoding import MAX_PIXELS
from metriscope.diagnostics.base import all_scores
from metriscope.findings import FINDINGS
from metriscope.plan import PRESETS
from metriscope.types import HeadSpec, OptimizerSpec

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_score_is_documented_and_every_documented_score_exists() -> None:
    page = read("docs/scores.md")
    named = set(re.findall(r"`([a-z0-9_]+(?:[.@][a-z0-9_.@]+)?)`", page))
    scores = set(all_scores())
    assert scores <= named
    prefixes = {s.split(".")[0].split("@")[0] for s in scores}
    lookalikes = {n for n in named if re.split(r"[.@]", n)[0] in prefixes and re.search("[.@]", n)}
    of_galleries = {"duplicates.gallery", "duplicates.gallery.exact"}  # diagnosis.items.shares
    assert lookalikes <= scores | of_galleries


def test_every_finding_is_documented_with_where_it_is_asked() -> None:
    rows = re.findall(r"^\| `(MS\d+)` \| ([RST ]+) \|", read("docs/findings.md"), re.MULTILINE)
    letters = {"run": "R", "failed": "R", "data": "R", "space": "S", "training": "T"}
    asked = {c.code: {letters[kind] for kind in c.of} for c in FINDINGS.all().values()}
    assert {code: set(where.split()) for code, where in rows} == asked
    assert len(rows) == len(asked)


def test_every_option_and_setting_is_documented() -> None:
    page = read("docs/usage.md")
    for option in cli.commands["compare"].params:
        if option.param_type_name == "option":
            assert f"`{option.opts[0]}" in page, option.opts[0]
    page = read("docs/diagnose.md")
    for option in cli.commands["diagnose"].params:
        if option.param_type_name == "option":
            assert f"`{option.opts[0]}" in page, option.opts[0]
    page = read("docs/usage.md")
    for group, spec in (("head", HeadSpec()), ("optimizer", OptimizerSpec())):
        for name in vars(spec):
            assert f"`{group}.{name}`" in page, name
    for name in PRESETS:
        assert f"`{name}`" in page
    pictures = read("docs/images.md")
    for name in DATASETS.names():
        assert f"`{name}`" in page + pictures, name
    for name in BACKBONES.names():
        assert re.search(rf"`{name}[:`]", pictures), name


def test_the_page_about_pictures_says_what_is_published() -> None:
    page = read("docs/images.md")
    for name in DATASETS.names():
        known = getattr(sys.modules[DATASETS.get(name).__module__], "PUBLISHED", None)
        if known is not None:
            row = (f"`{name}`", f"{known.train:,}", f"{known.test:,}", known.classes)
            assert " | ".join(map(str, (*row, f"`{known.repo}`"))) in page
    assert f"{MAX_PIXELS:,} pixels" in page
    assert f"shards of {SHARD:,} pictures" in page


def test_every_loss_has_its_page() -> None:
    page = read("docs/losses.md")
    for name in losses.LOSSES.names():
        cls = losses.LOSSES.get(name)
        assert f"autoclass:: {cls.__module__}.{cls.__qualname__}\n" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)|<img [^>]*src=\"([^\":]+)\"", text):
        file = page.parent / (target[0] or target[1])
        assert file.exists(), file


def test_the_python_of_the_readme_and_the_guide_runs(tmp_path: Path) -> None:
    blocks = [
        block
        for name in ("README.md", "docs/usage.md", "docs/diagnose.md", "docs/monitor.md")
        for block in re.findall(r"```python\n(.*?)```", read(name), re.DOTALL)
    ]
    assert len(blocks) >= 2
    script = tmp_path / "docs.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_dataset_of_the_guide_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```py\n(.*?)```", read("docs/extending.md"), re.DOTALL)
    for name in ("fern", "moss"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "1.png")
    made: dict[str, Any] = {}
    exec(code, made)
    assert len(made["herbarium"](folder=str(tmp_path))["all"]) == 2
    assert DATASETS.get("herbarium") is made["herbarium"]
    del DATASETS._objects["herbarium"]


def test_the_loss_of_the_guide_runs(tmp_path: Path) -> None:
    page = read("docs/extending.md")
    code, diagnostic = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "my_loss.py").write_text(code + diagnostic, encoding="utf-8")
    command = re.search(r"^metriscope (compare digits --import .*)$", page, re.MULTILINE)
    assert command
    arguments = [*command[1].split(), "--epochs", "1", "--seeds", "1", "--out", "o", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "metriscope", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"hardest_pair"' in done.stdout
    assert '"radius"' in done.stdout
