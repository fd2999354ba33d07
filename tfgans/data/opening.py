"""`open_images`: opens any supported set of images."""

import os
import pathlib

from tfgans.data.arrays import is_cifar, open_cifar, open_idx, open_npy, open_npz
from tfgans.data.files import SUFFIXES, FolderImages, ZipImages
from tfgans.data.records import RecordImages
from tfgans.data.source import DataError, Images

ACCEPTED = """Accepted:
  a folder of image files at any depth (sub-folders or dataset.json give labels)
  a .zip of image files
  a .tfrecords file, or a folder with one set of them
  the IDX files of MNIST (train-images-idx3-ubyte.gz ..), or their folder
  the files of CIFAR (data_batch_1.bin, train.bin ..), or their folder
  a .npy file, [n, height, width] or [n, height, width, channels]
  a .npz file with such an array `images`, and optionally `labels`"""


def open_images(path: str | os.PathLike, value_range: tuple | None = None) -> Images:
    """Opens a set of images; the path determines the format.

    Args:
        path: See `ACCEPTED`.
        value_range: (lowest, highest) value of a stored pixel. The default is 0 to 255 for 8 bits
            and 0 to 65535 for 16 bits; other types need it.

    Raises:
        DataError: The path does not exist, has no known format, or is damaged.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise DataError(f"There is no {path}.", "Set data.path to an existing set of images.")
    if not (path.is_dir() or path.is_file()):
        raise DataError(f"{path} is a pipe or a device.", ACCEPTED)
    return _opener(path)(path, value_range)


def _opener(path):
    if path.is_dir():
        names = [entry.name for entry in path.iterdir()]
        if any(name.endswith((".tfrecords", ".tfrecord")) for name in names):
            return RecordImages
        if any(name.removesuffix(".gz").endswith("ubyte") for name in names):
            return open_idx
        return open_cifar if is_cifar(path) else FolderImages
    if path.suffix in (".tfrecords", ".tfrecord"):
        return RecordImages
    if path.name.removesuffix(".gz").endswith("ubyte"):
        return open_idx
    if path.suffix == ".bin" or path.name.startswith(("data_batch_", "test_batch")):
        return open_cifar
    kinds = {".zip": ZipImages, ".npy": open_npy, ".npz": open_npz}
    if path.suffix in kinds:
        return kinds[path.suffix]
    if path.suffix.lower() in SUFFIXES:
        raise DataError(f"{path} is a single image.", "Give its folder.")
    raise DataError(f"{path} has no known format.", ACCEPTED)
