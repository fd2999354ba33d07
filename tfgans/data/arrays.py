"""Sets of images that are one array in memory or in a file: NumPy, IDX (MNIST), CIFAR."""

import gzip
import io
import math
import pathlib
import pickle
import re
import struct
import zlib

import numpy as np

from tfgans.data import endings
from tfgans.data.source import DataError, Images, as_labels

IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
PICKLE_NAMES = {("_codecs", "encode"), ("numpy", "dtype"), ("numpy", "ndarray")} | {
    (f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")
}


class ArrayImages(Images):
    """Images in one array, [n, h, w] or [n, h, w, channels]."""

    in_memory = True

    def __init__(self, array, path, labels=None, label_names=None, value_range=None, label_width=0):
        if array.ndim not in (3, 4):
            raise DataError(
                f"{path} holds an array of shape {array.shape}.",
                "Wanted: [n, height, width] or [n, height, width, channels].",
            )
        if array.dtype.kind not in "uif" or 0 in array.shape:
            raise DataError(
                f"{path} holds an array of type {array.dtype} and shape {array.shape}.",
                "Wanted: integers or floats, and no side of length 0.",
            )
        self.array = array if array.ndim == 4 else array[..., None]
        self.labels, self.label_names, self.label_width = labels, label_names, label_width
        self.survey(path, value_range)

    def __len__(self):
        return len(self.array)

    def header(self, i):
        return *self.array.shape[1:], self.array.dtype

    def read(self, i):
        return self.array[i]

    def describe(self, i):
        return f"{self.path} image {i}"


def open_npy(path: pathlib.Path, value_range=None) -> ArrayImages:
    """Opens a .npy file without reading it: images are read from disk on demand."""
    return ArrayImages(load_numpy(path, mmap_mode="r"), path, value_range=value_range)


def open_npz(path: pathlib.Path, value_range=None) -> ArrayImages:
    """Reads a .npz file: `images`, `x` or `x_train`, else the first array of 3 or 4 dimensions.

    Labels are read from `labels`, `y` or `y_train`, if present.
    """
    file = load_numpy(path)
    likely = [name for name, array in file.items() if array.ndim in (3, 4)]
    images = _first(("images", "x", "x_train", *likely), file)
    if images is None:
        raise DataError(
            f"{path} holds no images, only {', '.join(file) or 'nothing'}.",
            "Wanted: an array `images` of shape [n, height, width, channels].",
        )
    labels, width = _first(("labels", "y", "y_train"), file), 0
    if labels is not None:
        labels, width = as_labels(file[labels], len(file[images]), f"{path}: {labels}")
    return ArrayImages(file[images], path, labels, value_range=value_range, label_width=width)


def _first(names, file):
    return next((name for name in names if name in file), None)


def load_numpy(path: pathlib.Path, mmap_mode=None):
    """Calls np.load and turns its errors into DataError; a .npz becomes a dict of arrays."""
    try:
        loaded = np.load(path, mmap_mode=mmap_mode)
        several = endings.ends(path, endings.NPZ)
        if isinstance(loaded, np.ndarray) == several:
            raise ValueError("a .npz must hold several arrays, any other file one")
        return dict(loaded) if several else loaded
    except Exception as error:  # a damaged header fails in many ways
        raise DataError(
            f"{path} cannot be read by NumPy ({error}).",
            "Write it again with np.save or np.savez, as an array of numbers.",
        ) from error


def open_idx(path: pathlib.Path, value_range=None) -> ArrayImages:
    """Reads IDX files, as of MNIST, plain or gzipped.

    Args:
        path: The file of images, or a folder, whose training set is read. The file of labels
            is beside it, with the same name but "labels" and "idx1".
    """
    if path.is_dir():
        found = [file for file in sorted(path.iterdir()) if _is_idx_images(file.name)]
        train = [file for file in found if "train" in file.name.lower()]
        if len(train) != 1:
            raise DataError(
                f"{path} holds {len(train)} IDX files of training images"
                f" (IDX images: {', '.join(file.name for file in found) or 'none'}).",
                "Give the path of one file.",
            )
        path = train[0]
    images = read_idx(path)
    if images.ndim not in (3, 4):
        raise DataError(
            f"{path} holds an array of shape {images.shape}, not images.",
            "Give the file of images (idx3); the labels are found beside it.",
        )
    name = path.name.lower().removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    labels, width = None, 0
    for labels_path in sorted(path.parent.iterdir()):
        if labels_path != path and labels_path.name.lower() in (name, f"{name}.gz"):
            labels, width = as_labels(read_idx(labels_path), len(images), str(labels_path))
            break
    return ArrayImages(images, path, labels, value_range=value_range, label_width=width)


def _is_idx_images(name):
    return re.search(r"images.*ubyte(\.gz)?$", name.lower()) is not None


def read_idx(path: pathlib.Path) -> np.ndarray:
    """Reads one IDX file: two zero bytes, type, number of dimensions, dimensions, values."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open if packed else open)(path, "rb") as file:
            start = file.read(4)
            if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in IDX_TYPES or start[3] > 4:
                raise DataError(
                    f"{path} is not an IDX file: it begins with {start.hex(' ') or 'nothing'}.",
                    "MNIST images begin with 00 00 08 03, labels with 00 00 08 01.",
                )
            dtype, ndim = np.dtype(IDX_TYPES[start[2]]), start[3]
            sides = file.read(4 * ndim)
            shape = struct.unpack(f">{ndim}I", sides) if len(sides) == 4 * ndim else ()
            expected = dtype.itemsize * math.prod(shape)
            # One extra byte detects files that are too long, without unpacking the rest.
            values = file.read(expected + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is a truncated or damaged gzip file ({error}).", "Copy it again."
        ) from error
    except (MemoryError, OverflowError) as error:
        raise DataError(
            f"{path} declares an array of shape {shape}, which does not fit into memory.",
            "Copy it again if it is damaged, or split it.",
        ) from error
    if not shape or len(values) != expected:
        more = " or more" if len(values) > expected else ""
        raise DataError(
            f"{path} should be {4 + len(sides) + expected:,} bytes long for an array of shape "
            f"{shape}, but is {4 + len(sides) + len(values):,}{more}.",
            "Copy it again: it is truncated or damaged.",
        )
    return np.frombuffer(values, dtype).reshape(shape)


def cifar_files(folder: pathlib.Path) -> list:
    """The files of a training set of CIFAR-10 or CIFAR-100 in a folder; none: an empty list.

    They are data_batch_1.bin .. (CIFAR-10) or train.bin (CIFAR-100); in the Python version, pickles
    without the ending.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    for pattern in (r"data_batch_.\.bin", r"train\.bin", "data_batch_.", "train"):
        found = [path for path in files if re.fullmatch(pattern, path.name.lower())]
        if not pattern.endswith("bin"):
            found = [path for path in found if _is_pickle(path)]
        if found:
            return found
    return []


def _is_pickle(path):
    with open(path, "rb") as file:
        return file.read(1) in (b"\x80", b"")  # an empty file is a truncated one


def open_cifar(path: pathlib.Path, value_range=None) -> ArrayImages:
    """Reads CIFAR-10, or CIFAR-100 with its fine labels, in the binary or the Python version.

    Args:
        path: A file, or a folder, whose training set is read.
    """
    folder = path if path.is_dir() else path.parent
    files = cifar_files(path) if path.is_dir() else [path]
    parts = [_read_cifar(file) for file in files]
    planes = np.concatenate([pixels for pixels, _ in parts])
    images = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = np.concatenate([numbers for _, numbers in parts]).astype("int32")
    for name in ("batches.meta.txt", "fine_label_names.txt"):
        if (folder / name).exists():
            label_names = (folder / name).read_text("utf-8-sig").split()
            break
    else:
        label_names = None
    return ArrayImages(np.ascontiguousarray(images), path, labels, label_names, value_range)


def _read_cifar(path):
    binary = endings.ends(path, endings.CIFAR)
    return _read_cifar_bin(path) if binary else _read_cifar_pickle(path)


def _read_cifar_bin(path):
    data = np.fromfile(path, "uint8")
    for label_bytes in (1, 2):  # CIFAR-10; CIFAR-100: coarse, fine
        if len(data) and len(data) % (label_bytes + 3072) == 0:
            records = data.reshape(-1, label_bytes + 3072)
            return records[:, label_bytes:], records[:, label_bytes - 1]
    raise DataError(
        f"{path} is {len(data):,} bytes long, which is not a multiple of 3,073 (CIFAR-10) "
        "or 3,074 (CIFAR-100).",
        "Copy it again: it is truncated, or not a CIFAR file.",
    )


class _ArraysOnly(pickle.Unpickler):
    """Unpickles NumPy arrays only: other pickles can run any code."""

    def find_class(self, module, name):
        if (module, name) not in PICKLE_NAMES:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return super().find_class(module, name)


def _read_cifar_pickle(path):
    try:
        batch = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        pixels = batch[b"data"]
        labels = np.array(batch[b"fine_labels" if b"fine_labels" in batch else b"labels"])
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3072):
            raise ValueError(f"{len(labels)} labels, pixels {pixels.dtype} {pixels.shape}")
        return pixels, labels.astype("int32", casting="same_kind")
    except Exception as error:  # a damaged pickle fails in many ways
        raise DataError(
            f"{path} is not an intact pickle of CIFAR ({error}).", "Copy it again."
        ) from error
