"""The data kind "attribute_sets": images with attributes, of one set or of two sets together.

One set is as in the kind "images". Two sets are two folders, or zips, in one folder: the images of
one have attributes, those of the other class numbers, such as CelebA and RaFD. A label then is a
vector of three parts: the attributes, the class as 0 and 1, and a mask of two numbers that says
which part is known, (1, 0) or (0, 1). The other part is 0. The two sets take turns in a batch.
"""

import pathlib

import numpy as np

from tfgans.data import images
from tfgans.data.attributes import SyntheticAttributes, choose
from tfgans.data.images import signature
from tfgans.data.opening import open_images
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images

__all__ = ["JoinedSets", "Reader", "resolve", "signature"]

WANTED = (
    "Wanted: a folder with two folders or zips in it. The images of one have attributes "
    "(list_attr_celeba.txt, or vectors in dataset.json), those of the other classes (sub-folders, "
    "or numbers in dataset.json)."
)


class JoinedSets(Images):
    """Two sets as one: images with attributes first, then images with classes.

    Args:
        path: Name of both together.
        known: Images with label vectors [n, attributes].
        classed: Images with class numbers [m].
    """

    def __init__(self, path, known: Images, classed: Images):
        self.sets = known, classed
        classes = np.eye(classed.num_classes, dtype="float32")[classed.labels]
        first = np.pad(known.labels, [(0, 0), (0, classes.shape[1])])
        second = np.pad(classes, [(0, 0), (known.labels.shape[1], 0)])
        mask = np.repeat(np.eye(2, dtype="float32"), [len(known), len(classed)], axis=0)
        self.labels = np.concatenate([np.concatenate([first, second]), mask], axis=1)
        self.second_classes = classed.num_classes
        self.survey(path, known.value_range)
        if known.value_range != classed.value_range:
            ranges = [f"{low} to {high}" for low, high in (known.value_range, classed.value_range)]
            raise DataError(
                f"The two sets in {path} hold values from {', and from '.join(ranges)}.",
                "Store both with the same bits.",
            )

    def __len__(self):
        return sum(map(len, self.sets))

    def place(self, i):
        """The set of image i, and its number there."""
        first = len(self.sets[0])
        return (self.sets[0], i) if i < first else (self.sets[1], i - first)

    def header(self, i):
        own, k = self.place(i)
        return own.header(k)

    def read(self, i):
        own, k = self.place(i)
        return own.read(k)

    def describe(self, i):
        own, k = self.place(i)
        return own.describe(k)


def synthetic(image_shape, attributes) -> JoinedSets:
    """Shapes whose attributes are known, and other shapes of which only the ground is known.

    Args:
        image_shape: (height, width, 3).
        attributes: The attributes of the first set; the others of `SyntheticAttributes` are not
            told. The classes of the second set are light and dark grounds.
    """
    known, classed = SyntheticAttributes(image_shape), SyntheticAttributes(image_shape)
    half = len(known) // 2
    for own, rows in ((known, slice(half)), (classed, slice(half, None))):
        own.drawn = own.labels[rows]  # all three, told or not
        own.labels, own.vertices = own.labels[rows], own.vertices[rows]
    choose(known, attributes)
    choose(classed, ["dark"])
    classed.labels = classed.labels[:, 0].astype("int32")
    return JoinedSets("synthetic", known, classed)


def open_sets(config: Data, image_shape) -> JoinedSets:
    """Opens both sets. Raises DataError where they are not two, or not of these two kinds."""
    if config.path == "synthetic":
        return synthetic(image_shape, config.attributes or ["red", "filled"])
    path = pathlib.Path(config.path).expanduser()
    entries = path.iterdir() if path.is_dir() else []
    found = sorted(p for p in entries if p.is_dir() or p.suffix == ".zip")
    if len(found) != 2:
        raise DataError(f"{path} holds {len(found)} folders and zips, not two sets.", WANTED)
    both = [open_images(part, config.value_range) for part in found]
    kinds = [None if own.labels is None else own.labels.ndim for own in both]
    if sorted(map(str, kinds)) != ["1", "2"]:
        words = {None: "no labels", 1: "classes", 2: "attributes"}
        told = ", ".join(f"{p.name}: {words[k]}" for p, k in zip(found, kinds, strict=True))
        raise DataError(f"The sets in {path} have not attributes and classes ({told}).", WANTED)
    known, classed = both if kinds == [2, 1] else both[::-1]
    if config.attributes:
        choose(known, config.attributes)
    return JoinedSets(config.path, known, classed)


def resolve(settings: Data, given: dict, defaults: dict) -> Images:
    """As that of `images` for one set; for two it also checks the number of classes."""
    classes = (defaults | given)["second_classes"]
    if not classes:
        return images.resolve(settings, given, defaults)
    shape = given.get("image_shape") or defaults["image_shape"]
    source = open_sets(settings, shape)
    if source.second_classes != classes:
        raise DataError(
            f"{source.path} has {source.second_classes} classes in one of its sets, and the model "
            f"second_classes = {classes}.",
            f"Set model.second_classes to {source.second_classes}.",
        )
    given.setdefault("num_classes", source.labels.shape[1])
    images.check_labels(source, given["num_classes"])
    return source


class Reader(images.Reader):
    """Feeds a model with "image" and "label".

    With two sets, even places of each batch of a step hold images of the first one, and odd places
    of the second.

    Args:
        model: Its image_shape, num_classes and batches_per_step are used.
        source: The images.
        config: Its flip, broken and batch_size are used.
        stage: Not used: all stages have the same images.
    """

    settings = ("labels", "attributes", "polygons", "flip")

    def __init__(self, model, source: Images, config: Data, stage: int):
        super().__init__(model, source, config, stage)
        self.both = isinstance(source, JoinedSets)
        self.batches, self.batch_size = model.batches_per_step, config.batch_size
        if self.both and config.batch_size % 2:
            raise DataError(
                f"Two sets take turns in a batch, and {config.batch_size} images are odd.",
                "Set data.batch_size to an even number.",
            )

    def read(self, positions, order, draws):
        if not self.both:
            return super().read(positions, order, draws)
        rows = [self.row(p, order) for p in positions]
        return super().read(range(len(rows)), lambda k, _: rows[k], draws)

    def row(self, p, order):
        """The image at position p of the endless order, which deals a step out to its batches."""
        step, p = divmod(p, self.batches * self.batch_size)
        place, batch = divmod(p, self.batches)
        own = step * self.batch_size // 2 * self.batches + place // 2 * self.batches + batch
        first, second = map(len, self.source.sets)
        return first + order(own, second, 1) if place % 2 else order(own, first, 0)
