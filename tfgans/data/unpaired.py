"""The data kind "unpaired": images of two domains, each in its own random order.

A model with `smoothed_edges` also gets each image of the second domain with blurred edges, which
are made here (see `edges.py`).
"""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from tfgans.data import edges
from tfgans.data.convert import aligned
from tfgans.data.images import ImageReader, common_shape, report_conversion
from tfgans.data.layouts import LAYOUTS, two_folders
from tfgans.data.named import is_name, open_two
from tfgans.data.opening import open_images
from tfgans.data.scenes import SyntheticCartoons, SyntheticScenes, SyntheticTurned
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images

B_ORDER = 2  # random stream of the order of B
DRAWN = {"scenes": SyntheticScenes, "turned": SyntheticTurned, "cartoons": SyntheticCartoons}


@dataclasses.dataclass
class Domains:
    """Two sets of unrelated images."""

    a: Images
    b: Images
    failure: ValueError | None = None  # see `Images`

    @property
    def sets(self) -> list:
        return [self.a, self.b]

    @property
    def wanted(self) -> Images:
        """The images that a model's outputs should be like."""
        return self.b


def resolve(settings: Data, given: dict, defaults: dict) -> Domains:
    """Opens the two domains; sets image_shape where it is not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    if settings.path == "synthetic":
        shape = given.get("image_shape") or defaults["image_shape"]
        if settings.drawn not in DRAWN:
            raise DataError(
                f"data.drawn is {settings.drawn!r}, and synthetic domains are one of: "
                f"{', '.join(DRAWN)}.",
                "Choose one of these.",
            )
        drawn = DRAWN[settings.drawn]
        a = drawn(shape, False)
        # The second domain shows other scenes: no image has a partner.
        return Domains(a, drawn(shape, True, first=len(a)))
    return opened(settings, given)


def opened(settings: Data, given: dict) -> Domains:
    """The two domains of a path; sets image_shape where it is not given, see `resolve`."""
    domains = open_domains(settings.path, settings.value_range)
    take_shape(domains, given)
    return domains


def take_shape(domains: Domains, given: dict):
    """Sets image_shape where it is not given. Raises DataError where images differ in shape."""
    if "image_shape" not in given:
        a, b = common_shape(domains.a), common_shape(domains.b)
        if a != b:
            raise DataError(
                f"The images of {domains.a.path} have the shape {a}, those of {domains.b.path} {b} "
                "(height, width, channels).",
                "Choose one for both: --set 'model.image_shape=[256, 256, 3]'.",
            )
        given["image_shape"] = list(a)


def open_domains(path, value_range: tuple | None = None) -> Domains:
    """Opens two folders of images, or a set by name.

    Args:
        path: Two folders of a known layout (see `layouts.py`), each a set for `open_images`; or a
            set by name with the splits trainA and trainB, or with two columns of images.
        value_range: (lowest, highest) value of a stored pixel, or None if the type implies it.

    Raises:
        DataError: There are no two such folders, or one of them holds no usable images.
    """
    if is_name(path):
        return Domains(*open_two(path, value_range))
    return Domains(*(open_images(folder, value_range) for folder in domain_folders(path)))


def domain_folders(path) -> list:
    """The folders of the two domains below a path. Raises DataError if there are none."""
    path = pathlib.Path(path).expanduser()
    folders = two_folders(path)
    if folders is None:
        found = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        raise DataError(
            f"There are no two domains in {path} (it holds {', '.join(found[:9]) or 'nothing'}).",
            f"Wanted: a folder that holds two folders of images, {LAYOUTS}.",
        )
    return folders


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    names = ["a", "b"]
    if getattr(model, "smoothed_edges", False):
        names.append("b_smoothed")
    return {name: tf.TensorSpec(model.image_shape) for name in names}


class Reader:
    """Feeds a model with images "a" and "b", cropped and mirrored independently.

    Each domain begins a new pass when its own pass ends. "b_smoothed" is "b" with blurred edges.

    Args:
        model: Its image_shape and smoothed_edges are used.
        source: The domains that `resolve` returns.
        config: Its flip, jitter and broken are used.

    Raises:
        DataError: The images or settings do not fit the model.
    """

    unit = "images"  # per domain
    real = "b"
    settings = ("flip", "jitter", "drawn")
    draws = 6  # three for a and three for b, see `cut`

    def __init__(self, model, source: Domains, config: Data, stage: int):
        self.source, self.flip = source, config.flip
        self.shape = height, width, channels = tuple(model.image_shape)
        size = height + config.jitter, width + config.jitter, channels
        self.files = []
        for images in (source.a, source.b):
            report_conversion(images, *self.shape)
            self.files.append(ImageReader(images, size, config.broken))
        self.signature = signature(model, stage)

    def read(self, positions, order, draws):
        indices = (
            [order(p, len(self.source.a)) for p in positions],
            [order(p, len(self.source.b), B_ORDER) for p in positions],
        )
        found = {}
        for name, files, numbers, places in zip(
            "ab", self.files, indices, np.split(draws, 2, axis=1), strict=True
        ):
            found[name] = files.windows(numbers, *self.shape[:2], places, self.flip)
        if "b_smoothed" in self.signature:
            blurred = map(edges.smoothed, found["b"])
            found["b_smoothed"] = np.stack([*blurred], out=aligned(found["b"].shape))
        return found
