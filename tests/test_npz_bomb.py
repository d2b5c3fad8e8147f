"""An ``.npz`` that unpacks to more than the machine's memory is refused before it is read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from metriscope.data import load
from metriscope.types import InputError


def test_a_zip_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.npz"
    features = np.zeros((1000, 1000), np.float32)
    features[:, 0] = 1
    np.savez_compressed(path, features=features, labels=np.arange(1000) % 2)
    assert path.stat().st_size < 100_000
    assert len(load(path).train) == 800

    def unread(*_: object, **__: object) -> None:
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=1_000_000))
    monkeypatch.setattr(np.lib.format, "read_array", unread)
    with pytest.raises(InputError) as caught:
        load(path)
    assert "'features' unpacks to 4,000,128 bytes, more than the 1,000,000" in str(caught.value)
