"""`rewrite`: writes an image file again with other channels or bits; it reads as it did before."""

import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from PIL import Image

from tfgans.data.convert import to_float
from tfgans.data.files import FORMATS, FolderImages
from tfgans.data.source import DataError

# Format -> (numbers of channels, numbers of bits) that it holds without loss, or nearly so.
HELD = {
    "PNG": ((1, 2, 3, 4), (8, 16)),
    "JPEG": ((1, 3), (8,)),
    "BMP": ((1, 3), (8,)),
    "WEBP": ((3, 4), (8,)),
    "TIFF": ((1, 3, 4), (8,)),
}
OPTIONS = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
}
CHANGE = 3 / 255  # of one value, largest: rounding, and JPEG of the best quality


def format_of(path) -> str:
    """Returns the format of an image file as Pillow names it, from its content."""
    with Image.open(path, formats=FORMATS) as image:
        return "JPEG" if image.format == "MPO" else image.format


def holds(path, channels: int, bits: int) -> bool:
    """Returns true if the format of an image file can hold such an image."""
    numbers, depths = HELD.get(format_of(path), ((), ()))
    return channels in numbers and bits in depths


def rewrite(path, channels: int | None = None, bits: int | None = None):
    """Writes an image file again, in its place and format, upright and as training sees it.

    Gray becomes RGB by repetition, RGB becomes gray by its luma, alpha is composited on white (see
    `to_float`). The new file takes the place of the old one when it reads like it.

    Args:
        path: An image file.
        channels: 1 to 4, or None to keep their number.
        bits: 8 or 16 per channel, or None to keep their number.

    Raises:
        DataError: There is no such file, or its format cannot hold the image without loss.
        BrokenImage: The file is damaged.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"There is no file {path}.", "Give the path of one image file.")
    source = FolderImages(path)
    image, size = source.read(0), 8 * source.dtype.itemsize
    channels, bits = channels or image.shape[2], bits or size
    if not holds(path, channels, bits):
        raise DataError(
            f"{path} is a {format_of(path)}, which cannot hold {channels} channels of {bits} bits "
            "without loss.",
            "Write it again as a PNG, under another name, and remove this one.",
        )
    wanted = to_float(image, source.value_range, channels)  # [-1, 1]
    stored = np.rint((wanted + 1) / 2 * (2**bits - 1)).astype(f"uint{bits}")
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        new = pathlib.Path(folder, path.name)
        _write(new, stored, format_of(path))
        written = FolderImages(new)
        found = to_float(written.read(0), written.value_range, channels)
        if found.shape != wanted.shape or np.abs(found - wanted).mean() > CHANGE:
            raise DataError(
                f"{path} cannot be written as a {format_of(path)} without loss.",
                "Write it again as a PNG, under another name, and remove this one.",
            )
        os.replace(new, path)


def _write(path, image, kind):
    if image.dtype == np.uint16:
        path.write_bytes(tf.io.encode_png(image).numpy())
    else:
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        picture.save(path, kind, **OPTIONS.get(kind, {}))
