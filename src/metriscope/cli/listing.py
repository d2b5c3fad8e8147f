"""``metriscope list``."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import click

from metriscope.cli._app import show
from metriscope.types import InputError

if TYPE_CHECKING:
    from metriscope.registry import Registry

KINDS = {
    "losses": "metriscope.losses:LOSSES",
    "diagnostics": "metriscope.diagnostics:DIAGNOSTICS",
    "datasets": "metriscope.data.datasets:DATASETS",
    "backbones": "metriscope.data.backbones:BACKBONES",
    "samplers": "metriscope.samplers:SAMPLERS",
    "findings": "metriscope.findings:FINDINGS",
    "panels": "metriscope.report.panels:PANELS",
}


@click.command("list")
@click.argument("kind")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(kind: str, as_json: bool) -> None:
    """List what there is of KIND: losses, datasets, backbones, samplers, diagnostics, …"""
    from metriscope.registry import unknown

    if kind not in KINDS:
        raise InputError(unknown("kind", kind, KINDS))
    module, _, name = KINDS[kind].partition(":")
    registry: Registry[Any] = getattr(importlib.import_module(module), name)
    entries = [registry.describe(name) for name in registry.names()]
    if as_json:
        described = [
            {"name": e.name, "summary": e.summary, "parameters": e.parameters} for e in entries
        ]
        show(json.dumps(described, indent=1))
        return
    width = max((len(e.name) for e in entries), default=0)
    lines = []
    for entry in entries:
        lines.append(f"{entry.name:<{width}}  {entry.summary}")
        if entry.parameters:
            settings = "  ".join(f"{k}={v}" for k, v in entry.parameters.items())
            lines.append(f"{'':<{width}}    {settings}")
    show("\n".join(lines))
