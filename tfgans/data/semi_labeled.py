"""The data kind "semi_labeled": images, of which only a few have a label that may be used.

The data are those of the kind "images", with class numbers for all of them. `labeled_per_class` of
each class are chosen once; the labels of the others are never read. Without it all labels are used.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgans.data.images import ImageReader, common_shape, open_source, report_conversion
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images

UNLABELED_ORDER = 2  # random stream of the order of the images without labels


def resolve(settings: Data, given: dict, defaults: dict) -> Images:
    """Opens the data; sets image_shape and num_classes where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    settings = dataclasses.replace(settings, labels=True)
    if settings.path == "synthetic":
        shape, classes = (
            given.get(word) or defaults[word] for word in ("image_shape", "num_classes")
        )
        return open_source(settings, shape, classes)
    source = open_source(settings, given.get("image_shape"), given.get("num_classes", 0))
    if "image_shape" not in given:
        given["image_shape"] = list(common_shape(source))
    given.setdefault("num_classes", source.num_classes)
    return source


def labeled_rows(labels, num_classes, per_class, seed) -> np.ndarray:
    """Chooses the images whose labels are used, a function of the labels and the seed.

    Args:
        labels: Class numbers [n].
        num_classes: Number of classes.
        per_class: Images of each class; 0 for all.
        seed: Seed of the choice.

    Returns:
        Their indices, in order.

    Raises:
        DataError: A class has fewer images.
    """
    if not per_class:
        return np.arange(len(labels))
    generator, chosen = np.random.default_rng(seed), []
    for k in range(num_classes):
        rows = np.flatnonzero(labels == k)
        if len(rows) < per_class:
            raise DataError(
                f"data.labeled_per_class is {per_class}, and class {k} has {len(rows)} images.",
                "Set it to the number of images of the smallest class, or less.",
            )
        chosen.append(generator.permutation(rows)[:per_class])
    return np.sort(np.concatenate(chosen))


def need_class_numbers(model, source):
    """Raises DataError where the labels of a source are vectors, or none."""
    if source.labels is None or source.labels.ndim != 1:
        raise DataError(
            f"{type(model).__name__} tells classes apart, and {source.path} has no class numbers.",
            "Put the images of each class into a sub-folder of their own.",
        )


class Subset(Images):
    """Some images of a set, with their labels.

    Args:
        source: The set.
        rows: Indices of the images in it.
    """

    def __init__(self, source, rows):
        self.source, self.rows = source, rows
        self.labels, self.in_memory = source.labels[rows], source.in_memory
        self.path, self.dtype, self.value_range = source.path, source.dtype, source.value_range
        self.smallest, self.largest = source.smallest, source.largest
        self.found_broken = {}

    def __len__(self):
        return len(self.rows)

    def header(self, i):
        return self.source.header(self.rows[i])

    def read(self, i):
        return self.source.read(self.rows[i])

    def describe(self, i):
        return self.source.describe(self.rows[i])


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    image = tf.TensorSpec(model.stage_shape(stage))
    return {"image": image, "label": tf.TensorSpec([], "int32"), "unlabeled": image}


class Reader:
    """Feeds a model with "image" and its "label", and with another image, "unlabeled".

    The images without labels run through all images in one random order, those with labels through
    the few chosen ones in another: they come again sooner.

    Args:
        model: Its image_shape and num_classes are used.
        source: Images with class numbers. They are cropped, resized and converted.
        config: Its flip, broken, labeled_per_class and labeled_seed are used. The next intact image
            with a label replaces a broken one.

    Raises:
        DataError: The images, labels or settings do not fit the model.
    """

    unit = "images"  # without labels
    real = "unlabeled"
    settings = ("labels", "flip", "labeled_per_class", "labeled_seed")
    draws = 2  # mirror if < 0.5, for each of the two images

    def __init__(self, model, source: Images, config: Data, stage: int):
        need_class_numbers(model, source)
        report_conversion(source, *model.image_shape)
        rows = labeled_rows(
            source.labels, model.num_classes, config.labeled_per_class, config.labeled_seed
        )
        self.labeled, self.count = Subset(source, rows), len(source)
        self.flip, self.signature = config.flip, signature(model, stage)
        self.labeled_files = ImageReader(self.labeled, model.image_shape, config.broken)
        self.files = ImageReader(source, model.image_shape, config.broken)

    def read(self, positions, order, draws):
        mirror = (draws < 0.5) & self.flip
        labeled = [order(p, len(self.labeled)) for p in positions]
        image, used = self.labeled_files.read(labeled, mirror[:, 0])
        others = [order(p, self.count, UNLABELED_ORDER) for p in positions]
        unlabeled, _ = self.files.read(others, mirror[:, 1])
        return {"image": image, "label": self.labeled.labels[used], "unlabeled": unlabeled}
