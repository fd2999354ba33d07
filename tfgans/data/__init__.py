"""Data: from a path to batches.

`open_source` opens what `data.path` names; `batches` reads it for a model, in an order that is a
function of (seed, step), so that a run which is resumed, or spread over workers, sees the same
images as one that is not.
"""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tfgans.config import Data
from tfgans.data.convert import prepare, to_channels, to_float
from tfgans.data.images import open_images
from tfgans.data.source import BrokenImage, DataError, Images
from tfgans.data.synthetic import SyntheticImages

__all__ = ["BrokenImage", "DataError", "Images", "batches", "open_images", "open_source"]


def open_source(config: Data, image_shape: tuple, num_classes: int = 0) -> Images:
    """Opens the images a configuration names.

    Args:
        config: Its path, labels and value_range are used.
        image_shape: (height, width, channels) of the model; what "synthetic" draws.
        num_classes: Of the model; above 0 labels are needed: class numbers below it, or vectors
            of this length.

    Raises:
        DataError: The path holds no usable images, or not the labels that are needed.
    """
    if config.path == "synthetic":
        return SyntheticImages(image_shape, num_classes)
    if config.path is None:
        raise DataError("No data are given.", 'Set data.path: a path, or "synthetic" for polygons.')
    source = open_images(config.path, config.value_range)
    if num_classes or config.labels:
        _check_labels(source, num_classes)
    return source


def _check_labels(source, num_classes):
    path, labels = source.path, source.labels
    if labels is None:
        raise DataError(
            f"Labels are wanted, and {path} has none.",
            "Put the images of each class into a sub-folder of their own, or add a dataset.json "
            '{"labels": [["file.png", 3], ...]}.',
        )
    if not num_classes:
        return
    if labels.ndim == 2 and labels.shape[1] != num_classes:
        raise DataError(
            f"The labels of {path} are vectors of length {labels.shape[1]}, and the model has "
            f"num_classes = {num_classes}.",
            f"Set model.num_classes to {labels.shape[1]}.",
        )
    if labels.ndim == 1 and not (labels.min() >= 0 and labels.max() < num_classes):
        raise DataError(
            f"The labels of {path} run from {labels.min()} to {labels.max()}, and the model has "
            f"num_classes = {num_classes}, so 0 to {num_classes - 1} are possible.",
            f"Set model.num_classes to {source.num_classes}, or correct the labels.",
        )


def batches(
    model, source: Images, config: Data, seed: int, start: int = 0, shard: tuple = (0, 1)
) -> tf.data.Dataset:
    """Endless batches of images for a model, in random order.

    Each pass over the data is a new permutation. The example at position p = step * (images per
    step) + (place in the batch) depends on (seed, p) only.

    Args:
        model: Its image_shape, n_critic (default 1) and num_classes (default 0) are used.
        source: Images of any size and number of channels: they are cropped, resized and
            converted (see `convert.py`).
        config: Its batch_size, flip and broken are used.
        seed: Integer, at least 0.
        start: Training steps already done. Costs nothing.
        shard: (k, n): the k-th of n equal, contiguous parts of each batch, for worker k of n.

    Returns:
        Dicts with "image", float32 [B, height, width, channels] in [-1, 1], and, if the model has
        num_classes > 0, "label", int32 [B] or float32 [B, d]. B = batch_size * n_critic / n.

    Raises:
        DataError: The images, labels or settings do not fit the model.
        tf.errors.InvalidArgumentError: From an iterator: an image is broken and config.broken is
            "fail", or all images are broken. The message holds that of `BrokenImage`.
    """
    whole = config.batch_size * getattr(model, "n_critic", 1)
    part, rest = divmod(whole, shard[1])
    if rest:
        raise DataError(
            f"{whole} images per step cannot be shared equally by {shard[1]} workers.",
            f"Set data.batch_size to a multiple of {shard[1]}.",
        )
    if config.broken not in ("skip", "fail"):
        raise DataError(f"data.broken is {config.broken!r}.", 'Set it to "skip" or "fail".')
    height, width, channels = model.image_shape
    _report_conversion(source, height, width, channels)
    labels, num_classes = None, getattr(model, "num_classes", 0)
    if num_classes:
        _check_labels(source, num_classes)
        labels = source.labels
    n, first = len(source), shard[0] * part
    read = _Reader(source, model.image_shape, config.broken)

    @functools.lru_cache(maxsize=2)  # a batch can span the end of one pass and the next one
    def order(number):
        return np.random.default_rng([seed, number]).permutation(n)

    def load(step):
        try:
            return load_whole(int(step))
        except ValueError as error:
            source.failure = error
            raise

    def load_whole(step):
        positions = range(step * whole + first, step * whole + first + part)
        images, used = read([order(p // n)[p % n] for p in positions])
        if config.flip:
            draws = np.random.default_rng([seed, step, 1]).random(whole)  # 1: other than order's
            flipped = draws[first : first + part] < 0.5
            images[flipped] = images[flipped, :, ::-1]
        return (images,) if labels is None else (images, labels[used])

    def example(step):
        types = [tf.float32] if labels is None else [tf.float32, tf.as_dtype(labels.dtype)]
        tensors = tf.numpy_function(load, [step], types)
        result = {"image": tf.ensure_shape(tensors[0], [part, height, width, channels])}
        if labels is not None:
            result["label"] = tf.ensure_shape(tensors[1], [part, *labels.shape[1:]])
        return result

    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # two calls: while one waits for its last image, the next one keeps the threads busy
    dataset = tf.data.Dataset.counter(start).map(example, num_parallel_calls=2)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def _report_conversion(source, height, width, channels):
    """Says what will be done to images of another shape; raises if it cannot be done."""
    smallest, largest = source.smallest, source.largest
    steps = []
    if not smallest[:2] == largest[:2] == (height, width):
        steps.append(f"center-cropped and resized to {height}x{width}")
    if not smallest[2] == largest[2] == channels:
        for have in (smallest[2], largest[2]):
            to_channels(np.zeros([1, 1, have], "float32"), channels)
        steps.append(f"converted to {channels} channels")
    if steps and not source.conversion_reported:
        source.conversion_reported = True
        sizes = ["x".join(map(str, size)) for size in (smallest, largest)]
        print(
            f"The images of {source.path} are {' to '.join(dict.fromkeys(sizes))} "
            f"(height x width x channels); they are {' and '.join(steps)}."
        )


class _Reader:
    """Reads and converts many images at once, each broken one replaced by the next whole one."""

    def __init__(self, source, image_shape, policy):
        self.source, self.image_shape, self.policy = source, image_shape, policy
        self.at_once = source.in_memory and source.shape[:2] == tuple(image_shape[:2])
        self.pool = ThreadPoolExecutor()

    def __call__(self, indices):
        """Returns images, float32 [n, height, width, channels], and the indices used instead."""
        if self.at_once:
            indices = np.array(indices)
            images = self.source.read(indices)
            return to_float(images, self.source.value_range, self.image_shape[2]), indices
        images = np.empty([len(indices), *self.image_shape], "float32")
        used = np.empty(len(indices), "int64")

        def fill(place):
            images[place], used[place] = self.read(indices[place])

        list(self.pool.map(fill, range(len(indices))))
        return images, used

    def read(self, i):
        """Returns image i, or the next one that is whole, and its number."""
        n = len(self.source)
        for candidate in ((i + k) % n for k in range(n)):
            if candidate in self.source.found_broken:
                continue
            try:
                image = self.source.read(candidate)
            except BrokenImage as error:
                if self.policy == "fail":
                    raise
                if self.source.found_broken.setdefault(candidate, error) is error:
                    print(f"skipped broken image {error}")
                continue
            return prepare(image, self.source.value_range, self.image_shape), candidate
        *_, last = self.source.found_broken.values()
        raise DataError(
            f"All {n} images are broken, the last one: {last}",
            "Replace the set by a whole copy.",
        )
