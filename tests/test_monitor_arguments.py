"""What a monitor refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metriscope.monitor import Monitor
from metriscope.types import InputError
from tests.monitor_loops import make_model


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"every": 0}, "every is 0"),
        ({"geometry_every": 1.5}, "geometry_every is 1.5"),
        ({"window": 1}, "window is 1"),
        ({"groups": {"loss": []}}, "groups\\['loss'\\]"),
        ({"groups": {"head": ["weight"]}}, "groups\\['head'\\]"),
        ({"loss": "triplet"}, "loss is str"),
        ({"writers": [print]}, "writers: builtin_function_or_method is none"),
    ],
)
def test_bad_arguments(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Monitor(make_model(), **options)
    with pytest.raises(InputError, match="model is function"):
        Monitor(lambda x: x)  # type: ignore[arg-type]


def test_bad_observations() -> None:
    with Monitor(make_model()) as monitor:
        z = torch.randn(4, 3, requires_grad=True)
        with pytest.raises(InputError, match="no criterion"):
            monitor(z, None)
        with pytest.raises(InputError, match="observe wants"):
            monitor.observe(1.0, z)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="one label a row"):
            monitor.observe(z.sum(), z, [1, 2])
    with pytest.raises(InputError, match="not the state"):
        monitor.load_state_dict({"steps": 3})
    with pytest.raises(InputError, match="not whole: no steps, calls"):
        monitor.load_state_dict({"version": 1})
    with pytest.raises(InputError, match="no process group"):
        Monitor(make_model(), distributed=True).attach()
