"""Folders and zips of image files.

Labels are read from `dataset.json` (`{"labels": [["a/1.png", 3], ...]}`, with a class number or a
list of floats for each file name). Without it, the sorted first-level folders are the classes.
"""

import collections
import functools
import json
import os
import pathlib
import posixpath
import zipfile

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from tfgans.data.source import BrokenImage, DataError, Images, as_labels

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # other formats of Pillow can run programs
MOST_PIXELS = Image.MAX_IMAGE_PIXELS  # limit for one image, 89 million
MOST_BYTES = 2**28  # limit for one file: a zip entry can unpack to any size
LABELS_FILE = "dataset.json"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # PNG color type -> channels
ORIENTATION = 0x0112  # EXIF field
SIDEWAYS = (5, 6, 7, 8)  # values of ORIENTATION that swap height and width


class FileImages(Images):
    """Image files with names relative to a folder or a zip; see the subclasses.

    16-bit PNG and gray TIFF are read as uint16, and so are all images of a set that has both
    depths. Palettes become RGB or RGBA; EXIF orientation is applied; only the first frame of an
    animation is read.
    """

    def __init__(self, path, files, value_range):
        hidden = [name for name in files if _hidden(name)]
        images = [name for name in files if name.lower().endswith(SUFFIXES)]
        self.names = sorted(set(images) - set(hidden))
        tables = [name for name in files if posixpath.basename(name) == LABELS_FILE]
        self.table_name = min(tables, key=lambda name: (name.count("/"), name), default=None)
        self.others = sorted(set(files) - set(hidden) - set(images) - {self.table_name})
        if not self.names:
            raise DataError(
                f"No images in {path}"
                + (f" (but {len(self.others)} other files)." if self.others else "."),
                f"Wanted: files with the suffix {', '.join(SUFFIXES)}, at any depth.",
            )
        if self.table_name:
            top = posixpath.dirname(self.table_name)
        else:
            folders = [posixpath.dirname(name.lstrip("/")) for name in self.names]
            top = posixpath.commonpath(folders)
        # names as in dataset.json; their first part is the class folder
        self.keys = [name.removeprefix(f"{top}/") for name in self.names]
        folders = {key.split("/")[0] if "/" in key else "" for key in self.keys}
        if not self.table_name and "" not in folders:
            self.label_names = sorted(folders)
        self.survey(path, value_range)

    def open(self, name: str):
        """Returns a binary file object."""
        raise NotImplementedError

    def locate(self, name: str) -> str:
        """Returns a name by which a user can find the file."""
        raise NotImplementedError

    def describe(self, i):
        return self.locate(self.names[i])

    def __len__(self):
        return len(self.names)

    def header(self, i):
        try:
            with self.open(self.names[i]) as file:
                return _header(file)
        except Exception as error:  # decoders raise anything on arbitrary bytes
            raise BrokenImage(self.describe(i), str(error) or repr(error)) from error

    def read(self, i):
        try:
            with self.open(self.names[i]) as file:
                image = _decode(file)
        except Exception as error:  # decoders raise anything on arbitrary bytes
            raise BrokenImage(self.describe(i), str(error) or repr(error)) from error
        if image.dtype == self.dtype:
            return image
        if self.dtype == np.uint16:
            return image * np.uint16(257)  # 255 -> 65535
        return np.rint(image / 257).astype("uint8")

    @functools.cached_property
    def table(self) -> dict | None:
        """File name -> label, from dataset.json; None if there is none or it holds no labels."""
        if self.table_name is None:
            return None
        try:
            with self.open(self.table_name) as file:
                labels = json.load(file)["labels"]
            return None if labels is None else dict(labels)
        except Exception as error:  # from JSON, or from a damaged zip
            raise DataError(
                f"{self.path}: {self.table_name} is not valid ({error!r}).",
                'Wanted: {"labels": [["folder/file.png", 3], ...]} or {"labels": null}.',
            ) from error

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        if self.label_names:
            number = {name: k for k, name in enumerate(self.label_names)}
            return np.array([number[key.split("/")[0]] for key in self.keys], "int32")
        if self.table is None:
            return None
        missing = [key for key in self.keys if key not in self.table]
        if missing:
            raise DataError(
                f"{self.table_name} in {self.path} has no label for {len(missing)} of "
                f"{len(self)} images, for example {missing[0]}.",
                "Add the labels, or remove these images.",
            )
        try:
            labels = np.array([self.table[key] for key in self.keys])
        except ValueError as error:
            raise DataError(
                f"The labels in {self.table_name} of {self.path} differ in length.",
                "Give all images class numbers, or all images lists of the same length.",
            ) from error
        return as_labels(labels, len(self), f"{self.path}: {self.table_name}")


class FolderImages(FileImages):
    """All image files of a folder, at any depth, in sorted order; or a single image file."""

    def __init__(self, path, value_range=None):
        self.root = path if path.is_dir() else path.parent
        super().__init__(path, files_in(path) if path.is_dir() else [path.name], value_range)

    def open(self, name):
        return open_file(self.root / name)

    def locate(self, name):
        return str(self.root / name)


class ZipImages(FileImages):
    """All image files of a zip, stored or deflated, in sorted order."""

    def __init__(self, path, value_range=None):
        try:
            self.zip = zipfile.ZipFile(path)
        except Exception as error:  # a damaged table of contents fails in many ways
            raise DataError(
                f"{path} is not an intact zip file ({error}).", "Copy or write it again."
            ) from error
        files = [name for name in self.zip.namelist() if not name.endswith("/")]
        super().__init__(path, files, value_range)

    def open(self, name):
        check_bytes(self.zip.getinfo(name).file_size)
        return self.zip.open(name)

    def locate(self, name):
        return f"{self.path}: {name}"


def files_in(root: pathlib.Path) -> list:
    """Returns the names of all files below a folder, relative to it.

    A folder that several paths lead to, as in a loop of links, is entered once, and not through a
    link if possible. Pipes and devices are left out.
    """
    seen, folders, links, found = set(), [root], collections.deque(), []
    while folders or links:
        folder = folders.pop() if folders else links.popleft()
        try:
            status = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(
                f"{folder} cannot be listed ({error.strerror}).", "Make it readable, or remove it."
            ) from error
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if not entry.is_symlink():
                if entry.is_dir():
                    folders.append(entry.path)
                elif entry.is_file():
                    found.append(entry.path)
            elif os.path.isdir(entry.path):
                links.append(entry.path)
            elif os.path.isfile(entry.path) or not os.path.exists(entry.path):
                found.append(entry.path)  # a link without a target is a broken image
    return [pathlib.Path(path).relative_to(root).as_posix() for path in found]


def open_file(path):
    check_bytes(os.stat(path).st_size)
    return open(path, "rb")


def check_bytes(size):
    if size > MOST_BYTES:
        raise ValueError(f"{size:,} bytes; the limit is {MOST_BYTES:,}")


def _hidden(name):
    """Returns true for files of file managers: .DS_Store, ._copies and __MACOSX."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _png16_channels(file):
    """Returns the number of channels of a 16-bit PNG; None for every other file."""
    start = file.read(26)
    file.seek(0)
    if start[:8] == PNG_MAGIC and start[24:25] == b"\x10":
        return PNG_CHANNELS.get(start[25])
    return None


def _open(file):
    """Opens an image and reads only its header."""
    image = Image.open(file, formats=FORMATS)
    width, height = image.size
    if not 0 < width * height <= MOST_PIXELS:
        raise ValueError(f"{width}x{height} pixels; the limit is {MOST_PIXELS:,}")
    return image


def _header(file):
    png16_channels = _png16_channels(file)
    with _open(file) as image:
        width, height = image.size
        if png16_channels:
            return height, width, png16_channels, "uint16"
        # the first test: a search for EXIF in a PNG without it would decode the whole image
        if "exif" in image.info and image.getexif().get(ORIENTATION) in SIDEWAYS:
            width, height = height, width
        mode = _mode(image)
        return height, width, Image.getmodebands(mode), "uint16" if mode == "I;16" else "uint8"


def _decode(file):
    if _png16_channels(file):  # Pillow would cut 16-bit colors to 8 bits
        _open(file)
        file.seek(0)
        return tf.io.decode_png(file.read(), dtype=tf.uint16).numpy()
    with _open(file) as image:
        ImageOps.exif_transpose(image, in_place=True)
        mode = _mode(image)
        if mode == "I;16":
            array = np.asarray(image).astype("uint16")  # also from big-endian files
        else:
            array = np.asarray(image if image.mode == mode else image.convert(mode))
    return array[..., None] if array.ndim == 2 else array


def _mode(image):
    """Returns the Pillow mode to read an image in."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image.mode
    if image.mode == "1":
        return "L"
    if image.mode in ("P", "PA"):
        return "RGBA" if image.has_transparency_data else "RGB"
    if image.mode.startswith("I;16"):
        return "I;16"
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels are not supported; store such images as one .npy array")
    return "RGB"  # CMYK, YCbCr, LAB, HSV
