"""The network that is trained: its shape, what a row depends on, its gradients, its way to disk."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import metriscope
from metriscope import losses, network
from metriscope.network import ACTIVATED, Cnn, Head, picture_shape
from metriscope.store import Store
from metriscope.train import make_optimizer, train
from metriscope.types import Dataset, Embeddings, HeadSpec, InputError, OptimizerSpec, RunSpec
from tests.helpers import tiny_spec

BARE = HeadSpec(hidden=(16,), dim=8, dropout=0)


def digits(train_rows: int = 1200, test_rows: int = 500) -> Dataset:
    """Real handwritten digits, 8×8 pixels in [0, 1]."""
    pixels, labels = load_digits(return_X_y=True)
    x, y = (pixels / 16).astype(np.float32), labels.astype(np.int64)
    names = tuple("0123456789")
    return Dataset(
        name="digits",
        train=Embeddings(x[:train_rows], y[:train_rows], names, "train"),
        test=Embeddings(x[-test_rows:], y[-test_rows:], names, "test"),
        split="given",
        fingerprint="f" * 64,
    )


def cnn_spec(loss: str, **changes: object) -> RunSpec:
    return replace(tiny_spec(loss), backbone="cnn:1x8x8", **changes)  # type: ignore[arg-type]


def pictures(n: int, shape: tuple[int, int, int] = (3, 12, 9)) -> torch.Tensor:
    return torch.rand(n, math.prod(shape), generator=torch.Generator().manual_seed(0))


# ----------------------------------------------------------------------------------------- shape


def test_a_backbone_is_trained_only_if_it_says_so() -> None:
    assert picture_shape("cnn:1x28x28") == (1, 28, 28)
    assert picture_shape("cnn:3x224x8") == (3, 224, 8)
    for frozen in ("features", "clip-vit-b32", "hf:cnn", "timm:cnn:1x8x8", "cnn-large"):
        assert picture_shape(frozen) is None
        assert Head(5, BARE, frozen).trunk is None


@pytest.mark.parametrize(
    "name", ["cnn", "cnn:", "cnn:28x28", "cnn:1x28x0", "cnn:1×8×8", "cnn:axbxc"]
)
def test_a_cnn_without_a_shape_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"named with the shape of its pictures.*cnn:3x32x32"):
        picture_shape(name)


def test_pictures_too_small_or_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match="8x8 or larger"):
        Head(49, BARE, "cnn:1x7x7")
    with pytest.raises(InputError, match="takes 784 pixels a row, and the data have 3072 features"):
        Head(3072, BARE, "cnn:1x28x28")


@pytest.mark.parametrize(
    ("shape", "parameters", "width"),
    [
        ((1, 28, 28), 93_120, 2048),
        ((3, 32, 32), 93_696, 2048),
        ((3, 64, 64), 241_536, 2048),
        ((3, 224, 224), 537_216, 2048),
        ((1, 8, 8), 93_120, 2048),
        ((4, 8, 70), 389_664, 384),
    ],
)
def test_its_size_is_the_documented_one(
    shape: tuple[int, int, int], parameters: int, width: int
) -> None:
    cnn = Cnn(shape)
    assert sum(p.numel() for p in cnn.parameters()) == parameters
    assert cnn.width == width
    z = cnn(torch.rand(2, math.prod(shape)))
    assert z.shape == (2, width)
    assert cnn.rows * 32 * shape[1] * shape[2] <= ACTIVATED
    doc = Cnn.__doc__ or ""
    for text in ("93,120", "93,696", "241,536", "537,216"):
        assert text in doc


def test_flattened_pixels_are_channels_then_rows_then_columns() -> None:
    """By hand: the first block of one picture, in the plain order of memory."""
    cnn, x = Cnn((3, 12, 9)), pictures(2)
    convolution, _, group, _ = cnn.layers[:4]
    by_hand = nn.functional.conv2d(
        x.reshape(2, 3, 12, 9), convolution.weight, convolution.bias, padding=1
    )
    by_hand = nn.functional.max_pool2d(by_hand, 2, ceil_mode=True).reshape(2, 8, 4, 6, 5)
    mean, variance = (
        by_hand.mean((2, 3, 4), True),
        by_hand.var((2, 3, 4), correction=0, keepdim=True),
    )
    by_hand = (by_hand - mean) / (variance + group.eps).sqrt()
    expected = by_hand.reshape(2, 32, 6, 5).relu()
    got = cnn.layers[:4](x.reshape(2, 3, 12, 9))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(cnn(x), cnn.layers(x.reshape(2, 3, 12, 9)).reshape(2, -1))


# --------------------------------------------------------------------------------- rows and blocks


def test_a_row_depends_on_itself_alone_in_training_too() -> None:
    head, x = Head(324, BARE, "cnn:3x12x9"), pictures(6)
    together = head.train()(x)
    torch.testing.assert_close(head.eval()(x), together, rtol=0, atol=0)
    torch.testing.assert_close(head.train()(x[4:5]), together[4:5], rtol=1e-4, atol=1e-6)
    x.requires_grad_()
    head(x)[2].sum().backward()
    assert x.grad is not None
    touched = x.grad.abs().sum(1) > 0
    assert touched.tolist() == [False, False, True, False, False, False]


def test_embedding_is_forward_without_dropout_a_block_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "ACTIVATED", 4 * 32 * 12 * 9)
    head, x = Head(324, replace(BARE, dropout=0.9), "cnn:3x12x9"), pictures(11)
    sizes: list[int] = []
    assert head.trunk is not None
    head.trunk.register_forward_hook(lambda module, args, out: sizes.append(len(out)))
    got = head.embed(x)
    assert sizes == [4, 4, 3]
    assert head.training
    torch.testing.assert_close(got, head.eval()(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [0.15, 0.5, 0.999])
def test_dropout_keeps_a_share_and_its_mean(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.full((1000, 999), 3.0, dtype=dtype, requires_grad=True)
    out = network.Dropout(p)(x)
    assert out.dtype == dtype
    kept = out != 0
    sd = (p * (1 - p) / x.numel()) ** 0.5
    assert float(kept.double().mean()) == pytest.approx(1 - p, abs=4 * sd + 2**-17)
    # Rounded to 2⁻¹⁶, p scales what is kept as it drops the rest.
    torch.testing.assert_close(
        out[kept], torch.full_like(out[kept], 3 / (1 - p)), rtol=0.01, atol=0
    )
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, out.detach() / 3)
    rows, columns = kept.double().mean(1), kept.double().mean(0)
    for share, n in ((rows, 999), (columns, 1000)):  # no pattern along either side
        assert float(share.std()) == pytest.approx((p * (1 - p) / n) ** 0.5, rel=0.1)


def test_dropout_is_drawn_anew_and_from_the_seed() -> None:
    layer, x = network.Dropout(0.3), torch.ones(7, 3)
    torch.manual_seed(1)
    first, second = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), first)
    assert not torch.equal(second, first)


def test_dropout_does_nothing_in_evaluation_at_p_0_and_to_no_rows() -> None:
    x = torch.ones(5, 3)
    assert torch.equal(network.Dropout(0.9).eval()(x), x)
    assert torch.equal(network.Dropout(0.0)(x), x)
    assert network.Dropout(0.5)(x[:0]).shape == (0, 3)


# ---------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("name", ["triplet", "contrastive", "arcface"])
def test_it_learns_from_pixels(name: str) -> None:
    spec = cnn_spec(name, epochs=4, batch_size=64, optimizer=OptimizerSpec(lr=1e-3))
    trained = train(replace(spec, head=HeadSpec(hidden=(64,), dim=32)), digits())
    trace = trained.result.trace
    assert trace["loss"][-1] < trace["loss"][0]
    scores = trained.result.scores  # untrained: 0.85 and 0.39
    assert scores["knn_accuracy@5"] > 0.92
    assert scores["map@r"] > 0.7


def test_the_gradient_norm_is_over_the_whole_network() -> None:
    """One batch an epoch, no dropout: by hand, over the trunk and the head."""
    data = digits(96, 40)
    spec = cnn_spec("contrastive", epochs=2, batch_size=96, head=BARE)
    trace = train(spec, data).result.trace
    torch.manual_seed(spec.seed)
    x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y)
    head = Head(64, BARE, spec.backbone)
    head.fit_scale(x, "rms")
    loss = losses.create("contrastive", **spec.params)
    optimizer = make_optimizer(spec, head, loss)
    for epoch in (0, 1, 2):
        head.zero_grad()
        loss(head(x), y).backward()
        grads = {k: float(p.grad.square().sum()) for k, p in head.named_parameters()}
        of_trunk = sum(v for k, v in grads.items() if k.startswith("trunk."))
        whole = math.sqrt(sum(grads.values()))
        assert len(grads) == 3 * 4 + 2 * 2
        assert trace["grad_norm.head"][epoch] == pytest.approx(whole, rel=1e-4)
        assert math.sqrt(of_trunk) > 0.1 * whole  # or leaving it out would not be seen
        if epoch:
            optimizer.step()


def test_a_seed_decides_everything_and_losses_share_their_start() -> None:
    data = digits(128, 60)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again = train(cnn_spec("scl"), data), train(cnn_spec("scl"), data)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(first.embeddings.x, again.embeddings.x)
    other = train(cnn_spec("scl", seed=1), data)
    assert not np.allclose(first.embeddings.x, other.embeddings.x)
    still = OptimizerSpec(lr=1e-30)
    one, two = (train(cnn_spec(n, epochs=1, optimizer=still), data) for n in ("scl", "arcface"))
    for (name, a), b in zip(
        one.head.state_dict().items(), two.head.state_dict().values(), strict=True
    ):
        assert torch.allclose(a, b, rtol=0, atol=1e-20), name


# -------------------------------------------------------------------------------------------- disk


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, np.ndarray, Dataset]:
    """A run on disk, its embeddings of the test part, and the data."""
    data, spec = digits(128, 60), cnn_spec("ccl", epochs=1)
    trained = train(spec, data)
    store = Store(tmp_path)
    weights = {f"head.{k}": v for k, v in trained.head.state_dict().items()}
    weights |= {f"loss.{k}": v for k, v in trained.loss.state_dict().items()}
    store.save_run(trained.result, trained.embeddings, weights)
    return store.run_folder(spec.key), trained.embeddings.x, data


def test_load_head_brings_the_network_back(finished: tuple[Path, np.ndarray, Dataset]) -> None:
    folder, expected, data = finished
    head = metriscope.load_head(folder)
    assert isinstance(head.trunk, Cnn)
    assert not head.training
    got = head.embed(torch.from_numpy(data.test.x)).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "value"),
    [("backbone", "features"), ("backbone", "cnn:1x16x4"), ("head", {"dim": 3}), ("head", [])],
)
def test_weights_that_do_not_fit_are_an_error_of_one_line(
    finished: tuple[Path, np.ndarray, Dataset], key: str, value: object
) -> None:
    folder, *_ = finished
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(spec | {key: value}))
    with pytest.raises(InputError, match=r"no trained head in .*finished run") as caught:
        metriscope.load_head(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
