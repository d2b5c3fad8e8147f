"""Pictures as they come → 8-bit RGB, or a reason why not."""

from __future__ import annotations

import errno
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from metriscope.data.pictures import Raw
from metriscope.text import plain
from metriscope.types import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow's names, in the order they are tried, and the suffixes of each. Its other decoders are left
# out: some run programs (EPS), the rest nobody has tested on files from strangers.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
    "AVIF": (".avif",),
}
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
MAX_PIXELS = 178_956_970  # where Pillow, too, speaks of a decompression bomb
LARGE = 1 << 24  # pixels; a few pictures above, in many threads, would fill the memory
MAX_RATIO = 200  # of the sides: one pixel by 100,000, its short side made 224, fills 15 GB
MAX_BYTES = 1 << 30  # of an encoded picture

_ONE_AT_A_TIME = threading.RLock()
_GREY16 = 65_535
_TURNS = {  # EXIF orientation → Pillow's transposition that undoes it
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class BrokenPicture(Exception):  # noqa: N818
    """A picture that cannot be read. The message is the reason, without the path."""


class _AgainError(Exception):
    """What may pass. The message is the reason if it does not."""


@contextmanager
def picture(raw: Raw) -> Iterator[Image]:
    """:func:`decode`, with large pictures in memory one at a time, for as long as they are used."""
    with ExitStack() as held:
        try:
            image = _decoded(raw, held)
        except _AgainError:  # perhaps no fault of the picture: once more, alone
            held.enter_context(_ONE_AT_A_TIME)
            try:
                image = _decoded(raw, held)
            except _AgainError as error:
                raise BrokenPicture(str(error)) from error
        yield image


def decode(raw: Raw) -> Image:
    """The picture in mode RGB, its pixels in memory, turned as its EXIF orientation says.

    Of an animation, the first frame. Grey of more than 8 bits is scaled, not clipped. What is
    transparent lies on white. Embedded colour profiles are ignored: backbones were trained so.
    Safe to call from many threads.

    Raises:
        BrokenPicture: damaged, truncated, no picture, of a format that is not in ``FORMATS``, above
            ``MAX_PIXELS``, ``MAX_BYTES`` or ``MAX_RATIO``, or not readable at all.
        InputError: too many files are open, for which no picture is to blame.
    """
    with picture(raw) as image:
        return image


def _decoded(raw: Raw, held: ExitStack) -> Image:
    try:
        _hush_pillow()
        if isinstance(raw, np.ndarray):
            return _from_array(raw)
        if isinstance(raw, Path):
            with _open(raw) as file:
                return _decode(file, held)
        if not raw:
            raise BrokenPicture("no data")
        if len(raw) > MAX_BYTES:
            raise BrokenPicture(f"{len(raw):,} bytes; at most {MAX_BYTES:,} are read")
        return _decode(BytesIO(raw), held)
    except BrokenPicture:
        raise
    except Exception as error:  # on damaged data Pillow raises nearly anything
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.EMFILE, errno.ENFILE):
            raise InputError(
                f"{os.strerror(number)} while {_name(raw)} was opened. Raise the limit (ulimit "
                "-n), or close other programs; the same command goes on from there."
            ) from error
        if isinstance(error, MemoryError) or number in (errno.ENOMEM, errno.EIO):
            raise _AgainError(_reason(error)) from error
        raise BrokenPicture(_reason(error)) from error


def _name(raw: Raw) -> str:
    return str(raw) if isinstance(raw, Path) else "a picture"


def _open(path: Path) -> BinaryIO:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):  # a pipe would keep a reader waiting
        raise BrokenPicture("not a file")
    if not about.st_size:
        raise BrokenPicture("no data")
    if about.st_size > MAX_BYTES:
        raise BrokenPicture(f"{about.st_size:,} bytes; at most {MAX_BYTES:,} are read")
    return path.open("rb")


def _decode(file: BinaryIO, held: ExitStack) -> Image:
    from PIL import Image

    with Image.open(file, formats=_formats()) as image:
        _check_size(*image.size)
        if image.width * image.height > LARGE:
            held.enter_context(_ONE_AT_A_TIME)
        image.load()
        _check_size(*image.size)  # some formats learn their size while they load
        return _upright(_rgb(image), image)


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise BrokenPicture(f"a side of 0 pixels ({width} × {height})")
    if width * height > MAX_PIXELS:
        raise BrokenPicture(f"{width} × {height} pixels; at most {MAX_PIXELS:,} are decoded")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise BrokenPicture(f"{width} × {height} pixels; at most {MAX_RATIO} to 1 is taken")


def _rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_to_8_bits(np.asarray(image)))
    if image.has_transparency_data:
        # What lies under transparent pixels is undefined, often black or leftovers of editing.
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


def _to_8_bits(grey: np.ndarray) -> np.ndarray:
    """(h, w) uint16, int32 or float32 → uint8.

    16 bits are divided by 257. Wider types do not say what white is: it is the least of 1 (floats),
    255 and 65535 that all values fit under, else the values are stretched to 0..255.
    """
    if grey.dtype.itemsize == 2:
        return np.asarray((grey.astype(np.uint32) + 128) // 257, np.uint8)
    floats = grey.dtype.kind == "f"
    values = np.nan_to_num(grey, posinf=0, neginf=0).astype(np.float64)
    low, high = values.min(), values.max()
    whites = [white for white in ((1, 255, _GREY16) if floats else (255, _GREY16)) if high <= white]
    if low >= 0 and whites:
        low, high = 0, whites[0]
    scaled = np.rint((values - low) * (255 / ((high - low) or 1)))
    return np.asarray(scaled, np.uint8)


def _upright(rgb: Image, source: Image) -> Image:
    from PIL import ExifTags, Image

    orientation = 1
    with suppress(Exception):  # damaged metadata do not make the pixels wrong
        orientation = source.getexif().get(ExifTags.Base.Orientation, 1)
    turn = _TURNS.get(orientation)
    return rgb if turn is None else rgb.transpose(Image.Transpose[turn])


def _from_array(pixels: np.ndarray) -> Image:
    from PIL import Image

    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2:
        raise BrokenPicture(f"an array of shape {pixels.shape} × {pixels.dtype}")
    _check_size(pixels.shape[1], pixels.shape[0])
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


@cache
def _formats() -> tuple[str, ...]:
    """Those of ``FORMATS`` that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _hush_pillow() -> None:
    """Pillow warns of odd metadata, and of half of ``MAX_PIXELS``; neither changes a pixel here.

    ``warnings.catch_warnings`` is not for threads: it puts back filters that another thread still
    needs. So the process gets one filter, for Pillow's modules alone, which stays in front.
    """
    filters = warnings.filters
    if not filters or getattr(filters[0][3], "pattern", None) != _PILLOW:
        warnings.filterwarnings("ignore", category=Warning, module=_PILLOW)


_PILLOW = r"PIL\."


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "no picture, a damaged one, or of a format that is not read"
    if isinstance(error, Image.DecompressionBombError):
        return f"too large; at most {MAX_PIXELS:,} pixels are decoded"
    if isinstance(error, MemoryError):
        return "damaged, or too large for the memory"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    text = (str(error).splitlines() or [""])[0]
    return f"damaged ({plain(text)[:80] or type(error).__name__})"
