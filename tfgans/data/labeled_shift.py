"""The data kind "labeled_shift": labeled images of a source domain, and images of a target domain.

On disk they are two folders, as for the kind "unpaired": A, the source, has class numbers. Labels
of B, the target, are never read; they are there for measuring, as `source.b.labels`. With
`data.direction` b_to_a the second folder is the source, and comes as "a".
"""

import numpy as np
import tensorflow as tf

from tfgans.data.images import ImageReader, check_labels, report_conversion
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images
from tfgans.data.synthetic import WHITE, SyntheticImages
from tfgans.data.unpaired import B_ORDER, Domains, opened

GROUND = (0.3, 1.0)  # values of colors: most polygons come out darker than their ground


def resolve(settings: Data, given: dict, defaults: dict) -> Domains:
    """Opens the two domains; sets image_shape and num_classes where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    if settings.path == "synthetic":
        shape, classes = (
            given.get(word) or defaults[word] for word in ("image_shape", "num_classes")
        )
        black = SyntheticImages(shape, classes)
        return directed(Domains(black, ShiftedPolygons(shape, classes, first=len(black))), settings)
    domains = directed(opened(settings, given), settings)
    check_labels(domains.a, given.get("num_classes", 0))
    given.setdefault("num_classes", domains.a.num_classes)
    return domains


def directed(domains: Domains, settings: Data) -> Domains:
    """The two domains, source first."""
    return domains if settings.direction == "a_to_b" else Domains(domains.b, domains.a)


class ShiftedPolygons(Images):
    """White polygons, taken from random gradients of color: |ground - polygon|.

    MNIST-M is made of MNIST and photographs in the same way. `SyntheticImages` are the source.

    Args:
        image_shape: (height, width, channels), 1 or 3 channels.
        num_classes: Polygons of class k have 3 + k vertices.
        first: Number of the first polygon, among those of `SyntheticImages`.
        count: Number of images. The first ones do not depend on it.
    """

    in_memory = True

    def __init__(self, image_shape, num_classes, first=0, count=2**14):
        if image_shape[2] not in (1, 3):
            raise DataError(
                f"Synthetic images of two domains are gray or RGB, not {image_shape}.",
                "Set model.image_shape, for example to [28, 28, 3].",
            )
        self.image_shape, self.first = tuple(image_shape), first
        self.polygons = SyntheticImages(image_shape, num_classes, first + count)
        self.labels, self.label_names = self.polygons.labels[first:], self.polygons.label_names
        # Two colors and a direction for each image.
        draws = np.random.RandomState(0).random_sample([first + count, 2 * image_shape[2] + 1])
        draws[:, :-1] = GROUND[0] + (GROUND[1] - GROUND[0]) * draws[:, :-1]
        self.draws = draws[first:].astype("float32")
        self.survey("synthetic", None)

    def __len__(self):
        return len(self.labels)

    def header(self, i):
        return *self.image_shape, "uint8"

    def read(self, i):
        polygon = 1.0 - self.polygons.read(self.first + np.asarray(i)) / np.float32(WHITE)
        one, other, turn = np.split(self.draws[i], [self.image_shape[2], -1], axis=-1)
        height, width, channels = self.image_shape
        y, x = (np.linspace(-1, 1, side, dtype="float32") for side in (height, width))
        turn = 2 * np.pi * turn[..., None]  # [..., 1, 1]
        along = np.cos(turn) * x + np.sin(turn) * y[:, None]  # [..., H, W], in [-1.42, 1.42]
        part = along[..., None] / np.float32(8**0.5) + 0.5
        one, other = one[..., None, None, :], other[..., None, None, :]
        return np.rint(255 * np.abs(one + part * (other - one) - polygon)).astype("uint8")

    def describe(self, i):
        return f"synthetic image {self.first + i} on a gradient"


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    image = tf.TensorSpec(model.stage_shape(stage))
    return {"a": image, "a_label": tf.TensorSpec([], "int32"), "b": image}


class Reader:
    """Feeds a model with an image "a" of the source, its "a_label", and an image "b" of the target.

    Each domain has a random order of its own and begins a new pass when its own pass ends.

    Args:
        model: Its image_shape and num_classes are used.
        source: The domains that `resolve` returns. Images are cropped, resized and converted.
        config: Its flip and broken are used. The next intact image replaces a broken one.

    Raises:
        DataError: The images, labels or settings do not fit the model.
    """

    unit = "images"  # per domain
    real = "a_label"  # the model answers with classes
    settings = ("flip", "direction")
    draws = 2  # mirror if < 0.5, for a and for b

    def __init__(self, model, source: Domains, config: Data, stage: int):
        check_labels(source.a, model.num_classes)
        if source.a.labels.ndim != 1:
            raise DataError(
                f"{type(model).__name__} tells classes apart, and the labels of {source.a.path} "
                "are vectors.",
                "Put the images of each class into a sub-folder of their own.",
            )
        for images in (source.a, source.b):
            report_conversion(images, *model.image_shape)
        self.source, self.flip, self.signature = source, config.flip, signature(model, stage)
        self.files = [
            ImageReader(images, model.image_shape, config.broken) for images in (source.a, source.b)
        ]

    def read(self, positions, order, draws):
        mirror = (draws < 0.5) & self.flip
        of_a = [order(p, len(self.source.a)) for p in positions]
        of_b = [order(p, len(self.source.b), B_ORDER) for p in positions]
        a, used = self.files[0].read(of_a, mirror[:, 0])
        b, _ = self.files[1].read(of_b, mirror[:, 1])
        return {"a": a, "a_label": self.source.a.labels[used], "b": b}
