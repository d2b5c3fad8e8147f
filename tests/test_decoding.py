"""Every kind of picture comes out right side up, in RGB; every damaged one as a reason."""

from __future__ import annotations

import errno
import io
import os
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from metriscope.data import decoding
from metriscope.data.decoding import FORMATS, SUFFIXES, BrokenPicture, decode, picture
from metriscope.types import InputError

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(raw: Any) -> np.ndarray:
    image = decode(raw)
    assert image.mode == "RGB"
    return np.asarray(image)


def noise(height: int = 24, width: int = 32) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def reason(raw: Any) -> str:
    with pytest.raises(BrokenPicture) as caught:
        decode(raw)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    assert len(text) < 120
    return text


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b""))


# ----------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format(kind: str, tmp_path: Path) -> None:
    if kind not in decoding._formats():
        pytest.skip(f"this Pillow has no {kind}")
    image = noise().resize((64, 48)).convert("P", palette=Image.Palette.ADAPTIVE)
    image = image.convert("RGB")
    data = encoded(image, kind)
    (tmp_path / "a").write_bytes(data)  # formats are told by content, not by suffix
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(pixels(data), wanted)
    assert np.array_equal(pixels(tmp_path / "a"), wanted)


def test_suffixes_are_those_pillow_knows() -> None:
    Image.init()
    for kind, suffixes in FORMATS.items():
        for suffix in suffixes:
            found = Image.registered_extensions().get(suffix, kind)
            assert found == ("MPO" if suffix == ".mpo" else kind)
    assert {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif"} <= SUFFIXES
    assert not {".eps", ".ps", ".pdf", ".svg"} & SUFFIXES


def test_grey_is_three_equal_channels() -> None:
    grey = noise().convert("L")
    for image in (grey, grey.convert("LA")):
        assert np.array_equal(pixels(encoded(image)), np.asarray(grey.convert("RGB")))
    bits = pixels(encoded(Image.fromarray(np.eye(9, dtype=bool))))
    assert np.array_equal(bits, np.repeat(255 * np.eye(9, dtype=np.uint8)[:, :, None], 3, 2))


def test_transparent_parts_are_white_whatever_lies_below() -> None:
    rgba = Image.new("RGBA", (3, 1), (*RED, 255))
    rgba.putpixel((1, 0), (9, 9, 9, 0))
    rgba.putpixel((2, 0), (0, 0, 0, 51))  # a fifth black
    assert pixels(encoded(rgba)).tolist() == [[list(RED), list(WHITE), [204] * 3]]
    grey = Image.new("LA", (1, 1), (0, 0))
    assert pixels(encoded(grey)).tolist() == [[list(WHITE)]]


def test_palettes() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    assert pixels(encoded(image)).tolist() == [[list(RED), list(GREEN)]]
    assert pixels(encoded(image, transparency=1)).tolist() == [[list(RED), list(WHITE)]]
    assert pixels(encoded(image, transparency=b"\x00\xff")).tolist() == [[list(WHITE), list(GREEN)]]
    assert pixels(encoded(image, "GIF", transparency=0)).tolist() == [[list(WHITE), list(GREEN)]]
    keyed = encoded(Image.new("RGB", (1, 1), RED), transparency=RED)
    assert pixels(keyed).tolist() == [[list(WHITE)]]


def test_cmyk_is_not_inverted() -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    data = encoded(red, "JPEG", quality=100)
    assert b"Adobe" in data  # whose files hold the inverse
    assert np.abs(pixels(data).astype(int) - RED).max() < 6
    assert np.array_equal(pixels(encoded(red, "TIFF")), np.full((8, 8, 3), RED))


def test_more_than_8_bits_are_scaled() -> None:
    def column(values: Any, kind: str = "PNG") -> list[int]:
        array = np.asarray([values])
        return list(pixels(encoded(Image.fromarray(array), kind))[0, :, 0])

    assert column(np.uint16([0, 257, 32_896, 65_535])) == [0, 1, 128, 255]
    assert column(np.int32([0, 32_896, 65_535]), "TIFF") == [0, 128, 255]
    assert column(np.int32([0, 128, 255]), "TIFF") == [0, 128, 255]
    assert column(np.int32([-1000, 0, 1000]), "TIFF") == [0, 128, 255]
    assert column(np.float32([0, 0.5, 1]), "TIFF") == [0, 128, 255]
    assert column(np.float32([0, 128, 255]), "TIFF") == [0, 128, 255]
    assert column(np.float32([-1, 0, 3, np.nan]), "TIFF") == [0, 64, 255, 64]
    assert column(np.float32([0, 0, 0]), "TIFF") == [0, 0, 0]
    assert column(np.float32([-3, -3]), "TIFF") == [0, 0]
    pgm = b"P5 2 1 65535\n" + struct.pack(">HH", 32_896, 65_535)
    assert pixels(pgm)[0, :, 0].tolist() == [128, 255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)  # red at the top left, green at the top right
    upright[:8, :16], upright[:8, 16:] = RED, GREEN
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    exact: dict[str, dict[str, Any]] = {
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 100, "subsampling": 0},
    }
    image = Image.fromarray(np.ascontiguousarray(stored))
    found = pixels(encoded(image, kind, exif=exif, **exact.get(kind, {}))).astype(int)
    assert found.shape == upright.shape
    assert np.abs(found - upright).max() < 12


def test_damaged_exif_does_not_break_a_picture() -> None:
    image = noise()
    whole = encoded(image, "JPEG")
    for exif in (
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0nonsense",
        b"Exif\0\0MM\0*\0\0\0\x08\0\1",
    ):
        assert np.array_equal(pixels(encoded(image, "JPEG", exif=exif)), pixels(whole))
    for exif in (b"Exif\0\0II", b"Exif\0\0MM\0*"):
        assert np.array_equal(pixels(encoded(image, exif=exif)), np.asarray(image))


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    for kind in ("GIF", "PNG", "TIFF", "WEBP"):
        options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert np.array_equal(pixels(data), np.full((4, 4, 3), RED)), kind


def test_arrays() -> None:
    colour = np.asarray(noise())
    assert np.array_equal(pixels(colour), colour)
    assert np.array_equal(pixels(colour[:, :, :1]), np.repeat(colour[:, :, :1], 3, 2))
    assert np.array_equal(pixels(colour[:, ::2, 0]), np.repeat(colour[:, ::2, :1], 3, 2))
    for bad in (colour[:, :, :2], colour / 255, colour[0, 0], colour[None]):
        assert "array of shape" in reason(bad)
    assert "side of 0" in reason(colour[:0])


def test_the_picture_does_not_need_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(noise(), "JPEG"))
    image = decode(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").unlink()
    assert np.asarray(image.resize((8, 8))).shape == (8, 8, 3)


# -------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_truncated_files_are_broken(kind: str) -> None:
    data = encoded(noise(), kind)
    for length in (len(data) // 2, len(data) // 3, 12):
        reason(data[:length])


def test_damaged_bytes_never_raise_anything_else() -> None:
    rng = np.random.default_rng(1)
    kinds = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "JPEG2000"]
    whole = [encoded(noise(), kind) for kind in kinds]
    broken = 0
    for _ in range(1500):
        data = bytearray(whole[rng.integers(len(whole))])
        for _ in range(3):
            data[rng.integers(min(len(data), 300))] = rng.integers(256)
        try:
            assert decode(bytes(data)).mode == "RGB"
        except BrokenPicture:
            broken += 1
    assert 300 < broken < 1500


def test_what_is_no_picture() -> None:
    assert reason(b"") == "no data"
    assert "no picture" in reason(b"<html>404 not found</html>")
    assert "no picture" in reason(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    )
    assert "no picture" in reason(encoded(noise(), "ICO"))


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason(tmp_path / "gone.jpg") == "no such file or directory"
    assert reason(tmp_path) == "not a file"
    (tmp_path / "empty.jpg").touch()
    assert reason(tmp_path / "empty.jpg") == "no data"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "not a file"
    (tmp_path / "a.png").write_bytes(encoded(noise()))

    def forbidden(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", forbidden)
        assert reason(tmp_path / "a.png") == "permission denied"
    monkeypatch.setattr(decoding, "MAX_BYTES", 100)
    assert "at most 100 are read" in reason(tmp_path / "a.png")
    assert "at most 100 are read" in reason(bytes(101))


def test_bombs_are_refused_before_they_unfold(monkeypatch: pytest.MonkeyPatch) -> None:
    def unfold(self: Any) -> None:
        raise AssertionError("pixels were asked for")

    with monkeypatch.context() as patch:
        patch.setattr(ImageFile.ImageFile, "load", unfold)
        assert "178,956,970" in reason(png_of(13_378, 13_378))
        assert "178,956,970" in reason(png_of(100_000, 100_000))
        patch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # another library may have lifted it
        assert reason(png_of(100_000, 100_000)).startswith("100000 × 100000 pixels")
    assert "no picture" in reason(png_of(0, 7))
    # Below the limit Pillow would warn, which is an error here.
    assert "damaged" in reason(png_of(13_000, 13_000)) or "truncated" in reason(
        png_of(9_500, 9_500)
    )


def test_threads_of_pixels_are_refused() -> None:
    assert "at most 200 to 1 is taken" in reason(encoded(Image.new("L", (201, 1))))
    assert "at most 200 to 1 is taken" in reason(encoded(Image.new("L", (2, 401))))
    assert decode(encoded(Image.new("L", (2, 400)))).size == (2, 400)


def test_text_bombs_are_broken() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 5_000_000, zip=True)
    data = encoded(noise(), pnginfo=info)
    assert len(data) < 50_000
    assert "too large" in reason(data)


def test_what_may_pass_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise()))
    real, faults = decoding._rgb, [MemoryError(), OSError(errno.EIO, "")]

    def sometimes(image: Any) -> Any:
        if faults:
            raise faults.pop()
        return real(image)

    for fault in list(faults):
        faults[:] = [fault]
        monkeypatch.setattr(decoding, "_rgb", sometimes)
        assert np.array_equal(np.asarray(decode(path)), np.asarray(noise()))
        assert not faults
    faults[:] = [OSError(errno.EIO, ""), OSError(errno.EIO, "")]
    assert reason(path) == "input/output error"

    def too_many(*_: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "open", too_many)
    with pytest.raises(InputError, match=r"Too many open files while .*a\.png was opened"):
        decode(path)


def test_large_pictures_are_in_memory_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "LARGE", 100)
    large, small = encoded(Image.new("L", (11, 10))), encoded(Image.new("L", (10, 10)))
    inside = threading.Event()

    def use() -> None:
        with picture(large):
            inside.set()

    with picture(large):
        other = threading.Thread(target=use)
        other.start()
        assert not inside.wait(0.2)
        with picture(small) as image:
            assert image.size == (10, 10)
    other.join()
    assert inside.is_set()


def test_out_of_memory_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", full)
    assert "memory" in reason(encoded(noise()))


def test_many_threads_and_no_warning() -> None:
    """Odd metadata make Pillow warn; as errors, its warnings would break pictures."""
    odd = encoded(noise(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\0\0")
    palette = noise().convert("P")
    odd_palette = encoded(palette, transparency=bytes(range(200)))
    wanted, broken = pixels(odd), []

    def work() -> None:
        for _ in range(50):
            try:
                assert np.array_equal(np.asarray(decode(odd)), wanted)
                decode(odd_palette)
            except BaseException as error:
                broken.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.warns(UserWarning, match="."):  # so there is something to hush
            warnings.warn("Pillow's own words are not heard, others are", stacklevel=1)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not broken
