"""The orientation of a photo: EXIF or XMP say how it is to be turned.

A field of a wrong type, or one that cannot be read, counts as none.
"""

import re
import struct
import zlib

import numpy as np
from PIL import Image

FIELD = 0x0112  # of EXIF
SIDEWAYS = (5, 6, 7, 8)  # values that swap height and width
XMP = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])\s*[<\"']")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MOST_TEXT = 2**22  # bytes of a text in a PNG that are searched


def orientation(image: Image.Image, file) -> int:
    """Finds the orientation of an open image that is not a TIFF, from its header.

    Args:
        image: The image.
        file: Its binary file; the position stays as it is.

    Returns:
        The number that EXIF or else XMP gives, 1 to 8; 1 means upright.
    """
    if image.format == "PNG":
        exif, xmp = _png_texts(file)
    else:
        exif, xmp = image.info.get("exif", b""), image.info.get("xmp", b"")
    found = XMP.search(xmp if isinstance(xmp, bytes) else str(xmp).encode())
    return _of_exif(exif) or (int(found[1]) if found else 1)


def turned(image: np.ndarray, number: int) -> np.ndarray:
    """Turns an image [h, w] or [h, w, channels] upright, given its orientation, 1 to 8."""
    if number in SIDEWAYS:
        image = image.swapaxes(0, 1)
    if number in (3, 4, 7, 8):
        image = image[::-1]
    if number in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _of_exif(data) -> int | None:
    try:
        exif = Image.Exif()
        exif.load(data)
        value = exif.get(FIELD)
        if isinstance(value, tuple | bytes) and len(value) == 1:
            value = value[0]
        number = int(value)
    except Exception:  # a damaged or wrongly typed field fails in many ways
        return None
    return number if 1 <= number <= 8 else None


def _png_texts(file) -> tuple:
    """Returns the EXIF and the XMP of a PNG, b"" where there is none, wherever they stand."""
    position, exif, xmp = file.tell(), b"", b""
    file.seek(len(PNG_MAGIC))
    while len(start := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", start)
        if kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt") and size <= MOST_TEXT:
            data = file.read(size)
            file.seek(4, 1)
            word, _, rest = data.partition(b"\0")
            if kind == b"eXIf":
                exif = exif or data
            elif word == b"XML:com.adobe.xmp":
                xmp = xmp or (rest if kind == b"tEXt" else _unpacked(kind, rest))
            elif word.startswith(b"Raw profile type "):
                text = rest if kind == b"tEXt" else _unpacked(kind, rest)
                found = _raw_profile(text)
                if word.endswith((b"exif", b"APP1")):
                    exif = exif or found
                elif word.endswith(b"xmp"):
                    xmp = xmp or found
        else:
            file.seek(size + 4, 1)
        if kind == b"IEND":
            break
    file.seek(position)
    return exif, xmp


def _unpacked(kind, data):
    """Returns the text of an iTXt or zTXt chunk, without its keyword."""
    packed = data[:1] == b"\1" if kind == b"iTXt" else True
    if kind == b"iTXt":
        data = data[2:].partition(b"\0")[2].partition(b"\0")[2]  # language, translated keyword
    else:
        data = data[1:]
    try:
        return zlib.decompressobj().decompress(data, MOST_TEXT) if packed else data
    except zlib.error:
        return b""


def _raw_profile(text):
    """Returns the bytes that ImageMagick writes as hexadecimal lines after a name and a size."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode())
    except ValueError:
        return b""
