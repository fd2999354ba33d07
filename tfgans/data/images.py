"""The data kind "images": single images, with labels if the model has classes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tfgans.data.attributes import SyntheticAttributes, choose
from tfgans.data.convert import (
    aligned,
    crop_resize,
    cut,
    mirrored,
    prepare,
    to_channels,
    to_float,
)
from tfgans.data.layered import LAYERS, SyntheticLayers
from tfgans.data.opening import open_images
from tfgans.data.settings import Data
from tfgans.data.source import BrokenImage, DataError, Images
from tfgans.data.synthetic import SyntheticImages
from tfgans.errors import command


def resolve(settings: Data, given: dict, defaults: dict) -> Images:
    """Opens the data; sets image_shape, and num_classes for labels, where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    shape = given.get("image_shape")
    if settings.path == "synthetic":
        shape = shape or defaults["image_shape"]
        if settings.labels and not settings.attributes and not given.get("num_classes"):
            raise DataError(
                "Synthetic images can have any number of classes.",
                "Give a number: --set model.num_classes=2",
            )
    source = open_source(settings, shape, given.get("num_classes", 0))
    if settings.path != "synthetic" and shape is None:
        given["image_shape"] = list(common_shape(source))
    if (settings.labels or settings.attributes) and "num_classes" not in given:
        given["num_classes"] = source.num_classes
    return source


def common_shape(source: Images) -> tuple:
    """Returns (height, width, channels) of all images. Raises DataError if they differ."""
    if source.shape is None:
        least, most = ("x".join(map(str, s)) for s in (source.smallest, source.largest))
        raise DataError(
            f"The images of {source.path} have different shapes, from {least} to {most} "
            "(height x width x channels).",
            "Choose one: --set 'model.image_shape=[256, 256, 3]' crops and resizes while "
            f"training, `{command('data')} pack PATH OUT --size 256 256` beforehand.",
        )
    return source.shape


def open_source(config: Data, image_shape: tuple, num_classes: int = 0) -> Images:
    """Opens the images of a configuration.

    Args:
        config: Its path, labels, attributes, polygons and value_range are used.
        image_shape: (height, width, channels) of the model, for "synthetic".
        num_classes: Number of the model's classes. Above 0, labels are needed: class numbers below
            it, or vectors of this length.

    Raises:
        DataError: The path holds no usable images, or lacks labels that are needed.
    """
    if config.path == "synthetic" and not config.attributes:
        unlabeled = config.polygons if config.polygons > 1 else 0
        return SyntheticImages(image_shape, num_classes or unlabeled)
    if config.path == "synthetic":
        layered = {*config.attributes} <= {*LAYERS}
        source = (SyntheticLayers if layered else SyntheticAttributes)(image_shape)
    else:
        source = open_images(config.path, config.value_range)
    if config.attributes:
        choose(source, config.attributes)
    if num_classes or config.labels:
        check_labels(source, num_classes)
    return source


def check_labels(source, num_classes):
    """Raises DataError where images have no labels, or none for this number of classes."""
    path, labels = source.path, source.labels
    if labels is None:
        raise DataError(
            f"Labels are needed, but {path} has none: {source.without_labels}.",
            "Put the images of each class into a sub-folder of their own, or add a dataset.json "
            '{"labels": [["file.png", 3], ...]}.',
        )
    if not num_classes:
        return
    if labels.ndim == 2 and labels.shape[1] != num_classes:
        raise DataError(
            f"The labels of {path} are vectors of length {labels.shape[1]}, but the model has "
            f"num_classes = {num_classes}.",
            f"Set model.num_classes to {labels.shape[1]}.",
        )
    if labels.ndim == 1 and not (labels.min() >= 0 and labels.max() < num_classes):
        raise DataError(
            f"The labels of {path} run from {labels.min()} to {labels.max()}, but the model has "
            f"num_classes = {num_classes}, that is, labels from 0 to {num_classes - 1}.",
            f"Set model.num_classes to {source.num_classes}, or correct the labels.",
        )


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    found = {"image": tf.TensorSpec(model.stage_shape(stage))}
    if model.num_classes:
        found["label"] = tf.TensorSpec([], "int32")  # or vectors, [num_classes] float32
    return found


class Reader:
    """Feeds a model with images: "image", and "label" if the model has num_classes > 0.

    Args:
        model: Its image_shape, stage_shape and num_classes are used.
        source: Images of any size and number of channels. They are cropped, resized and
            converted (see `convert.py`).
        config: Its flip and broken are used.
        stage: Stage of the model. If its images are smaller than image_shape by a factor, each
            pixel is the mean of a square of the full-size image.

    Raises:
        DataError: The images, labels or settings do not fit the model.
    """

    unit = "images"
    real = "image"
    settings = ("labels", "attributes", "polygons", "flip")
    draws = 1  # mirror if < 0.5

    def __init__(self, model, source: Images, config: Data, stage: int):
        self.source, self.flip = source, config.flip
        report_conversion(source, *model.image_shape)
        self.signature = signature(model, stage)
        self.labels, num_classes = None, model.num_classes
        if num_classes:
            check_labels(source, num_classes)
            self.labels = source.labels
            self.signature["label"] = tf.TensorSpec(self.labels.shape[1:], self.labels.dtype)
        factor = model.image_shape[0] // self.signature["image"].shape[0]
        self.files = ImageReader(source, model.image_shape, config.broken, factor)

    def read(self, positions, order, draws):
        indices = [order(p, len(self.source)) for p in positions]
        images, used = self.files.read(indices, (draws[:, 0] < 0.5) & self.flip)
        found = {"image": images}
        if self.labels is not None:
            found["label"] = self.labels[used]
        return found


def report_conversion(source, height, width, channels):
    """Prints how images of another shape are converted; raises DataError if they cannot be."""
    smallest, largest = source.smallest, source.largest
    steps = []
    if height and not smallest[:2] == largest[:2] == (height, width):
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


def prepared(source: Images, image_shape: tuple):
    """Reads all images one by one as training does, and prints how they are converted.

    Broken images are reported and left out.

    Args:
        source: The images.
        image_shape: (height, width, channels) of the results; (None, None, channels) keeps sizes.

    Yields:
        Index and image, float32 [height, width, channels] in [-1, 1].

    Raises:
        DataError: No image is intact, or the channels cannot be converted.
    """
    report_conversion(source, *image_shape)
    broken = []
    for i in range(len(source)):
        try:
            image = source.read(i)
        except BrokenImage as error:
            broken.append(error)
            print(f"skipped broken image {error}")
        else:
            sides = [given or own for given, own in zip(image_shape[:2], image.shape, strict=False)]
            yield i, prepare(image, source.value_range, (*sides, image_shape[2]))
    if len(broken) == len(source):
        raise DataError(
            f"All {len(source)} images are broken, the first one: {broken[0]}.",
            "Replace them with intact copies.",
        )


class ImageReader:
    """Reads and converts many images at once. The next intact image replaces a broken one.

    Args:
        source: The images.
        image_shape: (height, width, channels) to which they are cropped and resized.
        policy: "skip" or "fail", for broken images.
        factor: Side of the squares of pixels that are averaged afterwards.
    """

    def __init__(self, source, image_shape, policy, factor=1):
        self.source, self.image_shape, self.policy = source, image_shape, policy
        self.factor = factor
        self.at_once = source.in_memory and source.shape[:2] == tuple(image_shape[:2])
        self.pool = ThreadPoolExecutor()

    def read(self, indices, mirror=None):
        """Returns images, float32 [n, height, width, channels], and their indices.

        The indices differ from the given ones where broken images are replaced.

        Args:
            indices: Indices of n images.
            mirror: Mask of the images to mirror, boolean [n]; None for none.
        """
        mirror = np.zeros(len(indices), bool) if mirror is None else mirror
        height, width, channels = self.image_shape
        images = aligned([len(indices), height // self.factor, width // self.factor, channels])
        if self.at_once:
            indices = np.array(indices)
            stored = self.source.read(indices)
            stored[mirror] = mirrored(stored[mirror])
            whole = to_float(stored, self.source.value_range, channels)
            if self.factor == 1:
                images[:] = whole
            else:
                images[:] = [shrunk(image, self.factor) for image in whole]
            return images, indices
        used = np.empty(len(indices), "int64")

        def fill(place):
            image, used[place] = read_whole(self.source, indices[place], self.policy)
            image = crop_resize(image, height, width)
            image = mirrored(image) if mirror[place] else image
            image = to_float(image, self.source.value_range, channels)
            images[place] = shrunk(image, self.factor)

        list(self.pool.map(fill, range(len(indices))))
        return images, used

    def windows(self, indices, height, width, draws, flip):
        """Images of which each is cut and mirrored on its own, float32 [n, height, width, C].

        Args:
            indices: Indices of n images.
            height: Height of the windows in pixels.
            width: Width of the windows in pixels.
            draws: Numbers in [0, 1), [n, 3], see `cut`.
            flip: If false, no image is mirrored.
        """
        images, _ = self.read(indices)
        cuts = [cut(x, height, width, row, flip) for x, row in zip(images, draws, strict=True)]
        return np.stack(cuts, out=aligned([len(cuts), height, width, self.image_shape[2]]))


def shrunk(image, factor):
    """Means of squares: [H, W, C] -> [H / factor, W / factor, C]."""
    if factor == 1:
        return image
    height, width, channels = image.shape
    squares = image.reshape(height // factor, factor, width // factor, factor, channels)
    return squares.mean(axis=(1, 3))


def read_whole(source, i, policy, read=None):
    """Reads image i, or the next intact one; returns it and its index.

    Args:
        source: The images; a source of other things says in its `noun` what they are called.
        i: Index of the image.
        policy: "skip" or "fail", for broken images.
        read: Function of an index in place of `source.read`.
    """
    n, noun, read = len(source), getattr(source, "noun", "image"), read or source.read
    for candidate in ((i + k) % n for k in range(n)):
        if candidate in source.found_broken:
            continue
        try:
            return read(candidate), candidate
        except BrokenImage as error:
            if policy == "fail":
                raise
            if source.found_broken.setdefault(candidate, error) is error:
                print(f"skipped broken {noun} {error}")
    raise DataError(
        f"All {n} {noun}s are broken, the first one: {source.found_broken[0]}",
        "Replace the set with an intact copy.",
    )
