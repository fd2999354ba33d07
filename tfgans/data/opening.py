"""`open_images`: opens any supported set of images."""

import os
import pathlib

from tfgans.data import endings
from tfgans.data.arrays import cifar_files, open_cifar, open_idx, open_npy, open_npz
from tfgans.data.files import FolderImages, ZipImages, files_in
from tfgans.data.named import is_name, open_named
from tfgans.data.records import RecordImages
from tfgans.data.source import DataError, Images

ACCEPTED = """Accepted:
  a folder of image files at any depth (sub-folders or dataset.json give labels)
  a .zip of image files
  a .tfrecords file, or a folder with one set of them
  the IDX files of MNIST (train-images-idx3-ubyte.gz ..), or their folder
  the files of CIFAR (data_batch_1.bin, train.bin ..), or their folder
  a .npy file, [n, height, width] or [n, height, width, channels]
  a .npz file with such an array `images`, and optionally `labels`
  tfds:NAME or hf:NAME, sets of tensorflow-datasets and of Hugging Face, optionally with @SPLIT"""


def open_images(path: str | os.PathLike, value_range: tuple | None = None) -> Images:
    """Opens a set of images; the path determines the format.

    Args:
        path: See `ACCEPTED`.
        value_range: (lowest, highest) value of a stored pixel. The default is 0 to 255 for 8 bits
            and 0 to 65535 for 16 bits; other types need it.

    Raises:
        DataError: The path does not exist, has no known format, or is damaged.
    """
    if is_name(path):
        return open_named(path, value_range)
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise DataError(f"There is no {path}.", "Set data.path to an existing set of images.")
    if not (path.is_dir() or path.is_file()):
        raise DataError(f"{path} is a pipe or a device.", ACCEPTED)
    return _opener(path)(path, value_range)


def _opener(path):
    if path.is_dir():
        return _opener_of_folder(path)
    if endings.ends(path, endings.RECORDS):
        return RecordImages
    if endings.ends(path, endings.IDX):
        return open_idx
    if endings.ends(path, endings.CIFAR) or path.name.startswith(("data_batch_", "test_batch")):
        return open_cifar
    for ending, opener in (
        (endings.ZIP, ZipImages),
        (endings.NPY, open_npy),
        (endings.NPZ, open_npz),
    ):
        if endings.ends(path, ending):
            return opener
    if endings.ends(path, endings.IMAGES):
        raise DataError(f"{path} is a single image.", "Give its folder.")
    raise DataError(f"{path} has no known format.", ACCEPTED)


def _opener_of_folder(path):
    names = sorted(entry.name for entry in path.iterdir())
    for kind, opener, found in (
        (
            "TFRecords",
            RecordImages,
            [name for name in names if endings.ends(name, endings.RECORDS)],
        ),
        ("IDX files", open_idx, [name for name in names if endings.ends(name, endings.IDX)]),
        ("files of CIFAR", open_cifar, [file.name for file in cifar_files(path)]),
    ):
        if found:
            images = [name for name in files_in(path) if endings.ends(name, endings.IMAGES)]
            if images:
                raise DataError(
                    f"{path} holds {kind}, for example {found[0]}, and images, for example "
                    f"{min(images)}.",
                    "Give the path of one kind, or move the others out.",
                )
            return opener
    return FolderImages
