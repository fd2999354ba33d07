"""`open_images`: any path that holds images becomes an `Images`."""

import os
import pathlib

from tfgans.data.arrays import is_cifar, open_cifar, open_idx, open_npy, open_npz
from tfgans.data.files import SUFFIXES, FolderImages, ZipImages
from tfgans.data.records import RecordImages
from tfgans.data.source import DataError, Images

ACCEPTED = """Accepted are:
  a folder of image files at any depth (sub-folders or dataset.json give labels)
  a .zip of image files
  a .tfrecords file, or a folder with one set of them
  MNIST's IDX files (train-images-idx3-ubyte.gz ..), or the folder they are in
  CIFAR's files (data_batch_1.bin, train.bin ..), or the folder they are in
  a .npy file, [n, height, width] or [n, height, width, channels]
  a .npz file with such an array `images`, and `labels` if there are any"""


def open_images(path: str | os.PathLike, value_range: tuple | None = None) -> Images:
    """Opens a set of images; its kind is told by the path.

    Args:
        path: See `ACCEPTED`.
        value_range: (lowest, highest) value of a stored pixel. Needed where the type does not
            tell: 8 bits mean 0 to 255 and 16 bits 0 to 65535 unless this says otherwise.

    Raises:
        DataError: There is no such path, it is of no known kind, or it is damaged.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise DataError(f"There is no {path}.", "Give data.path the path of an existing set.")
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
        raise DataError(f"{path} is a single image.", "Give the folder it is in.")
    raise DataError(f"{path} is of no known kind.", ACCEPTED)
