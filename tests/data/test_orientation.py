"""Photos are turned upright, and their headers say the size they are read in."""

import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tfgans.data import open_images

XMP = '<x:xmpmeta><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'
KINDS = ["a.jpg", "a.png", "16.png", "a.webp", "a.tif"]


def upright():
    """An image [16, 32, 3] whose corners tell how it is turned."""
    image = np.zeros([16, 32, 3], "uint8")
    image[:8, :16], image[:8, 16:], image[8:, :16] = 255, 170, 85
    return image


def stored(number):
    """The image as a camera stores it with an orientation."""
    image = Image.fromarray(upright())
    back = {6: 8, 8: 6}.get(number, number)  # the others are their own inverses
    exif = Image.Exif()
    exif[0x0112] = back
    image.info["exif"] = exif.tobytes()
    return np.asarray(ImageOps.exif_transpose(image))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write(path, array, exif=None, xmp=None):
    """Writes an image with EXIF and XMP, both bytes; in a PNG they stand after the pixels."""
    if path.suffix == ".png":
        if path.stem == "16":
            array = array * np.uint16(257)
        data = tf.io.encode_png(array).numpy()
        extra = chunk(b"eXIf", exif) if exif else b""
        if xmp:
            extra += chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
        path.write_bytes(data[:-12] + extra + data[-12:])
        return
    options = {"quality": 95} if path.suffix == ".jpg" else {}
    options |= {"lossless": True} if path.suffix == ".webp" else {}
    if path.suffix == ".tif":
        options["tiffinfo"] = {700: xmp} if xmp else {}
        if exif:
            found = Image.Exif()
            found.load(exif)
            options["tiffinfo"][0x0112] = found[0x0112]
    else:
        options |= {"xmp": xmp} if xmp else {}
        options |= {"exif": b"Exif\0\0" + exif} if exif else {}
    Image.fromarray(array).save(path, **options)


def exif_of(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif.tobytes()[6:]


def look(path):
    """The only image of a folder, once its header is compared with it."""
    source = open_images(path.parent)
    image = source.read(0)
    assert source.header(0)[:3] == image.shape
    return (image // 257 if image.dtype == np.uint16 else image).astype(int)


@pytest.mark.parametrize("by", ["exif", "xmp"])
@pytest.mark.parametrize("name", KINDS)
def test_all_orientations(tmp_path, name, by):
    for number in range(1, 9):
        given = {"exif": exif_of(number), "xmp": XMP.format(number).encode()}
        path = tmp_path / str(number) / name
        path.parent.mkdir()
        write(path, stored(number), **{by: given[by]})
        image = look(path)
        assert image.shape == (16, 32, 3), number
        assert np.abs(image - upright())[:, [3, 12, 20, 28]].max() < 9, number


def field(kind, count, value):
    """EXIF of one orientation field, of a type that it should not have."""
    start = b"MM\0*" + struct.pack(">IHHHI", 8, 1, 0x0112, kind, count)
    return start + value.ljust(4, b"\0") + struct.pack(">I", 0) + struct.pack(">II", 6, 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", KINDS[:-1])
@pytest.mark.parametrize(
    "exif, number",
    [
        (field(2, 2, b"6"), 6),  # text
        (field(5, 1, struct.pack(">I", 26)), 6),  # 6 / 1
        (field(4, 1, struct.pack(">I", 6)), 6),  # a long number
        (field(2, 4, b"top"), 1),
        (field(3, 1, struct.pack(">H", 9)), 1),
        (field(3, 1, struct.pack(">H", 0)), 1),
        (b"MM\0*\0\0\0\x08\0\x09", 1),  # cut off
        (b"nothing", 1),
    ],
)
def test_a_wrong_field_is_no_broken_image(tmp_path, name, exif, number):
    write(tmp_path / name, stored(number), exif)
    assert np.abs(look(tmp_path / name) - upright())[:, [3, 12, 20, 28]].max() < 9


def test_other_fields_of_a_wrong_type(tmp_path):
    exif = b"MM\0*" + struct.pack(">IH", 8, 2)
    exif += struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack(">HHII", 0x011A, 2, 1, 0)
    write(tmp_path / "a.jpg", stored(6), exif + b"\0\0\0\0")
    assert look(tmp_path / "a.jpg").shape == (16, 32, 3)
