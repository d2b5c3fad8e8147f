"""The probe's regression against scikit-learn at its optimum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from metriscope import ops
from metriscope.diagnostics import linear_probe as module
from metriscope.diagnostics.base import measure
from tests.spaces import space


def problem(classes: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    y = rng.choice(classes, 1500, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    x = rng.standard_normal((classes, 6))[y] + 1.5 * rng.standard_normal((1500, 6))
    if kind == "collinear":
        x = np.concatenate([x, x[:, :3] + 1e-3 * rng.standard_normal((1500, 3))], 1)
    if kind == "separable":
        x += 9 * np.eye(max(6, classes))[y][:, :6]
    x = (x - x.mean(0)) / x.std(0)
    return np.concatenate([x, np.zeros((1500, 1))], 1), y


@pytest.mark.parametrize("kind", ["plain", "collinear", "separable"])
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_the_optimum_is_that_of_scikit_learn(classes: int, kind: str) -> None:
    x, y = problem(classes, kind)
    probe = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(x, y)
    w, b = ops.logistic_regression(
        torch.from_numpy(x), torch.from_numpy(y), classes, penalty=2.0 if classes == 2 else 1.0
    )
    got = torch.softmax(torch.from_numpy(x) @ w.T + b, 1).numpy()
    np.testing.assert_allclose(got, probe.predict_proba(x), atol=5e-3)
    np.testing.assert_allclose(w.sum(0), 0, atol=1e-3)
    assert (got.argmax(1) == probe.predict(x)).mean() > 0.998


@pytest.mark.parametrize("classes", [2, 4])
def test_both_ways_of_the_probe_find_one_optimum(classes: int) -> None:
    x, y = problem(classes, "plain")
    z, labels = torch.from_numpy(x).float(), torch.from_numpy(y)
    w, b = module._newton(z, labels, classes)
    other, bias = module._lbfgs(z, labels)
    assert w.shape == other.shape == (classes, 7)
    torch.testing.assert_close(w, other, rtol=0, atol=2e-3)
    torch.testing.assert_close(b - b.mean(), bias - bias.mean(), rtol=0, atol=2e-3)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_probe_knows_class_names_without_rows(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = problem(classes, "plain")
    both = []
    for tall in (1, 10**6):
        monkeypatch.setattr(module, "_TALL", tall)
        for names in (y, y * 2 + 1):
            probe = space(x[::2], names[::2], (x[1::2], names[1::2]))
            both.append(measure(probe, ["linear_probe"])["probe_accuracy"])
    assert both == pytest.approx([both[0]] * 4, abs=3e-3)
    assert 0.5 < both[0] < 0.99


def test_the_probe_takes_its_way_by_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[str] = []
    for way in ("_newton", "_lbfgs"):
        whole = getattr(module, way)
        monkeypatch.setattr(
            module, way, lambda *a, way=way, whole=whole: ways.append(way) or whole(*a)
        )
    x, y = problem(3, "plain")
    for rows in (1500, 300):
        measure(space(x[:9], y[:9], (x[:rows], y[:rows])), ["linear_probe"])
    assert ways == ["_newton", "_lbfgs"]
