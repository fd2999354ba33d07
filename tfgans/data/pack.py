"""`pack`: writes any set of images as a few TFRecord files, fast to read and easy to move."""

import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from tfgans.data.convert import crop_resize
from tfgans.data.opening import open_images
from tfgans.data.source import BrokenImage, DataError, in_parallel


def pack(
    path,
    out,
    size: tuple | None = None,
    shards: int = 4,
    value_range: tuple | None = None,
    labels=None,
) -> int:
    """Writes a set of images, in order and with its labels, as TFRecords.

    The files are out/NAME-00000-of-00004.tfrecords .. where NAME is the name of `out`. They appear
    together, when all are complete. Broken images are left out and reported.

    Args:
        path: A set of images, see `open_images`.
        out: A folder that does not exist yet.
        size: (height, width) to crop and resize to, or None to keep each image as it is.
        shards: Number of files.
        value_range: (lowest, highest) pixel value; needed for arrays of floats only.
        labels: Labels in place of those of the set, [n] or [n, K].

    Returns:
        Number of written images.

    Raises:
        DataError: `out` exists, or the images cannot be used.
    """
    out = pathlib.Path(out).expanduser()
    if out.exists():
        raise DataError(f"{out} exists already.", "Choose another name, or remove it first.")
    source = open_images(path, value_range)
    if source.dtype.name not in ("uint8", "uint16", "float32"):
        raise DataError(
            f"{path} holds {source.dtype} pixels.", "Store them as uint8, uint16 or float32."
        )
    labels = source.labels if labels is None else labels
    if labels is source.labels and source.label_width:  # keeps the number of classes
        labels = np.eye(source.label_width, dtype="float32")[labels]
    n, written = len(source), 0
    out.parent.mkdir(parents=True, exist_ok=True)

    def read(i):
        try:
            image = source.read(i)
        except BrokenImage as error:
            print(f"skipped broken image {error}")
            return None
        if size is not None:
            image = crop_resize(image, *size)
        return _example(image, None if labels is None else labels[i])

    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        folder = pathlib.Path(temporary, out.name)
        folder.mkdir()
        for k in range(shards):
            name = f"{out.name}-{k:05d}-of-{shards:05d}.tfrecords"
            with tf.io.TFRecordWriter(str(folder / name)) as writer:
                numbers = range(n * k // shards, n * (k + 1) // shards)
                for example in in_parallel(read, numbers):
                    if example is not None:
                        writer.write(example)
                        written += 1
            print(f"{name}: {numbers.stop:,} of {n:,} images")
        os.rename(folder, out)
    return written


def _example(image, label):
    def ints(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    planes = image.transpose(2, 0, 1)  # [channels, height, width]
    planes = planes.astype(planes.dtype.newbyteorder("<"))
    features = {
        "shape": ints(planes.shape),
        "data": tf.train.Feature(bytes_list=tf.train.BytesList(value=[planes.tobytes()])),
    }
    if label is not None and np.ndim(label) == 0:
        features["label"] = ints([int(label)])
    elif label is not None:
        features["label"] = tf.train.Feature(float_list=tf.train.FloatList(value=label))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
