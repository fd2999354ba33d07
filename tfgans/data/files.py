"""Folders and zips of image files.

Labels are read from `dataset.json` (`{"labels": [["a/1.png", 3], ...]}`, with a class number or a
list of floats for each file name), or from CelebA's `list_attr_celeba.txt`. Without them, the
sorted first-level folders are the classes. If these are `train` beside `val` or `test`, only
`train` is read, and its folders are the classes.
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
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from tfgans.data import endings
from tfgans.data.attributes import CELEBA, read_celeba
from tfgans.data.orientation import FIELD, PNG_MAGIC, SIDEWAYS, orientation, turned
from tfgans.data.source import BrokenImage, DataError, Images, as_labels

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # other formats of Pillow can run programs
MOST_PIXELS = Image.MAX_IMAGE_PIXELS  # limit for one image, 89 million
MOST_BYTES = 2**28  # limit for one file: a zip entry can unpack to any size
LABELS_FILE = "dataset.json"
PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # PNG color type -> channels
SPLITS = ("train", "val", "valid", "validation", "test")  # folders that are no classes


class EncodedImages(Images):
    """Images that are stored as the bytes of image files; a subclass says where.

    16-bit PNG and gray TIFF are read as uint16, and so are all images of a set that has both
    depths. Palettes become RGB or RGBA; the orientation of EXIF or XMP is applied; only the first
    frame of an animation is read.
    """

    def file(self, i: int):
        """Returns the file of image i as a binary file object."""
        raise NotImplementedError

    def header_of(self, file) -> tuple:
        """(height, width, channels, type) of an open file."""
        return _header(file)

    def decode(self, file) -> np.ndarray:
        """The pixels of an open file, [h, w, channels]."""
        return _decode(file)

    def header(self, i):
        try:
            with self.file(i) as file:
                return self.header_of(file)
        except Exception as error:  # decoders raise anything on arbitrary bytes
            raise BrokenImage(self.describe(i), str(error) or repr(error)) from error

    def read(self, i):
        try:
            with self.file(i) as file:
                image = self.decode(file)
        except Exception as error:  # decoders raise anything on arbitrary bytes
            raise BrokenImage(self.describe(i), str(error) or repr(error)) from error
        if image.dtype == self.dtype:
            return image
        if self.dtype == np.uint16:
            return image * np.uint16(257)  # 255 -> 65535
        return np.rint(image / 257).astype("uint8")


class FileImages(EncodedImages):
    """Image files with names relative to a folder or a zip; see the subclasses.

    Args:
        path: Path of the set.
        files: Names of all its files.
        value_range: (lowest, highest) stored pixel value, or None if the type implies it.
        every: If true, the files beside a folder `train` are read too.
    """

    def __init__(self, path, files, value_range, every=False):
        hidden = [name for name in files if _hidden(name)]
        images = [name for name in files if endings.ends(name, endings.IMAGES)]
        self.names = sorted(set(images) - set(hidden))
        tables = [
            name for name in files if posixpath.basename(name).lower() in (LABELS_FILE, CELEBA)
        ]
        self.table_name = min(tables, key=lambda name: (name.count("/"), name), default=None)
        self.others = sorted(set(files) - set(hidden) - set(images) - {self.table_name})
        if not self.names:
            raise DataError(
                f"No images in {path}"
                + (f" (but {len(self.others)} other files)." if self.others else "."),
                f"Wanted: files with the suffix {', '.join(endings.IMAGES)}, at any depth.",
            )
        if self.table_name:
            top = posixpath.dirname(self.table_name)
        else:
            top = self._top()
        # names as in dataset.json; their first part is the class folder
        self.keys = [name.removeprefix(f"{top}/") for name in self.names]
        if not self.table_name and not every:
            self._leave_splits(path)
        folders = {key.split("/")[0] if "/" in key else "" for key in self.keys}
        if not self.table_name and "" not in folders:
            self.label_names = sorted(folders)
        self.survey(path, value_range)

    def _top(self):
        return posixpath.commonpath([posixpath.dirname(name.lstrip("/")) for name in self.names])

    def _leave_splits(self, path):
        """Keeps only `train` of a set that has folders for training and tests."""
        parts = sorted({key.split("/")[0] if "/" in key else "" for key in self.keys})
        if len(parts) < 2 or not {part.lower() for part in parts} <= {*SPLITS}:
            return
        train = [part for part in parts if part.lower() == "train"]
        if len(train) != 1:
            raise DataError(
                f"{path} has the folders {', '.join(parts)}, but no folder train of its own.",
                "Give the path of the one to train on.",
            )
        kept = [
            name
            for name, key in zip(self.names, self.keys, strict=True)
            if key.startswith(f"{train[0]}/")
        ]
        print(
            f"Only {train[0]} of {path} is read: {len(kept)} of {len(self.names)} images "
            f"(its folders: {', '.join(parts)})."
        )
        self.names = kept
        top = self._top()
        self.keys = [name.removeprefix(f"{top}/") for name in kept]

    @property
    def without_labels(self) -> str:
        """Says why these images have no labels."""
        if self.table_name:
            return f"its {self.table_name} has none"
        beside = [key for key in self.keys if "/" not in key]
        folders = sorted({key.split("/")[0] for key in self.keys if "/" in key})
        if folders:
            return (
                f"{len(beside)} images, for example {beside[0]}, are outside the folders of the "
                f"classes ({', '.join(folders[:9])})"
            )
        return "all its images are in one folder"

    def open(self, name: str):
        """Returns a binary file object."""
        raise NotImplementedError

    def locate(self, name: str) -> str:
        """Returns a name by which a user can find the file."""
        raise NotImplementedError

    def file(self, i):
        return self.open(self.names[i])

    def describe(self, i):
        return self.locate(self.names[i])

    def __len__(self):
        return len(self.names)

    @functools.cached_property
    def table(self) -> dict | None:
        """File name -> label, from dataset.json or CelebA's table; None if there are no labels."""
        if self.table_name is None:
            return None
        if self.celeba:
            _, rows = self.celeba
            bases = {key: posixpath.basename(key) for key in self.keys}
            return {key: rows[base] for key, base in bases.items() if base in rows}
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
    def celeba(self) -> tuple | None:
        """The names of CelebA's attributes, and file name -> vector; None without its table."""
        if not self.table_name or posixpath.basename(self.table_name).lower() != CELEBA:
            return None
        with self.open(self.table_name) as file:
            text = file.read().decode("utf-8", "replace")
        return read_celeba(text, f"{self.path}: {self.table_name}")

    @functools.cached_property
    def attribute_names(self) -> list | None:
        return self.celeba and self.celeba[0]

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
        if self.celeba:  # vectors, even of one attribute or of attributes that exclude each other
            return labels.astype("float32")
        labels, self.label_width = as_labels(labels, len(self), f"{self.path}: {self.table_name}")
        return labels


class FolderImages(FileImages):
    """All image files of a folder, at any depth, in sorted order; or a single image file."""

    def __init__(self, path, value_range=None, every=False):
        self.root = path if path.is_dir() else path.parent
        files = files_in(path) if path.is_dir() else [path.name]
        super().__init__(path, files, value_range, every)

    def open(self, name):
        return open_file(self.root / name)

    def locate(self, name):
        return str(self.root / name)


class ZipImages(FileImages):
    """All image files of a zip, stored or deflated, in sorted order.

    A backslash in a name separates folders, as in zips of some programs of Windows.
    """

    def __init__(self, path, value_range=None):
        try:
            self.zip = zipfile.ZipFile(path)
        except Exception as error:  # a damaged table of contents fails in many ways
            raise DataError(
                f"{path} is not an intact zip file ({error}).", "Copy or write it again."
            ) from error
        entries = {name.replace("\\", "/"): name for name in self.zip.namelist()}
        self.entries = {name: entry for name, entry in entries.items() if not name.endswith("/")}
        super().__init__(path, [*self.entries], value_range)

    def open(self, name):
        info = self.zip.getinfo(self.entries[name])
        check_bytes(info.file_size)
        return self.zip.open(info)

    def locate(self, name):
        return f"{self.path}: {name}"


def names_to_write(names: list) -> list:
    """Names of files without their endings; with them where two would be the same.

    Args:
        names: Different names, with / between folders.

    Returns:
        As many different names, in the same order.
    """
    stems = [name.rpartition(".")[0] for name in names]
    counts = collections.Counter(stems)
    found = [n if counts[s] > 1 else s for n, s in zip(names, stems, strict=True)]
    return found if len({*found}) == len(names) else names


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


def problem_of(file) -> str:
    """Says why a file is no image that can be read."""
    file.seek(0)
    return "it is no image of a known format" if file.read(1) else "it is empty"


def opened(file):
    """Opens an image of a known format and of no monstrous size; only its header is read."""
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(problem_of(file)) from None
    width, height = image.size
    if not 0 < width * height <= MOST_PIXELS:
        raise ValueError(f"{width}x{height} pixels; the limit is {MOST_PIXELS:,}")
    return image


def _header(file):
    png16_channels = _png16_channels(file)
    with opened(file) as image:
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # its `size` can be turned already
            width, height = image.tag_v2[256], image.tag_v2[257]
            sideways = image.getexif().get(FIELD) in SIDEWAYS
        else:
            width, height = image.size
            sideways = orientation(image, file) in SIDEWAYS
        if sideways:
            width, height = height, width
        if png16_channels:
            return height, width, png16_channels, "uint16"
        mode = _mode(image)
        return height, width, Image.getmodebands(mode), "uint16" if mode == "I;16" else "uint8"


def _decode(file):
    png16 = _png16_channels(file)
    with opened(file) as image:
        # Pillow turns a TIFF when it reads the pixels.
        tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
        number = 1 if tiff else orientation(image, file)
        if png16:  # Pillow would cut 16-bit colors to 8 bits
            file.seek(0)
            array = tf.io.decode_png(file.read(), dtype=tf.uint16).numpy()
        else:
            mode = _mode(image)
            if mode == "I;16":
                image.load()
                array = np.asarray(image).astype("uint16")  # also from big-endian files
            else:
                array = np.asarray(image if image.mode == mode else image.convert(mode))
    array = turned(array, number)
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
