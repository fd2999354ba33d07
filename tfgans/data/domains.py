"""The data kind "domains": images of any number of domains, each in its own random order.

    train0/    train1/    train2/    ...        or a sub-folder, or class numbers, for each domain

Folders with numbers are in the order of these; others in that of their names. The two folders of
the kind "unpaired" are two domains.
"""

import dataclasses
import pathlib
import re

import numpy as np
import tensorflow as tf

from tfgans.data.images import ImageReader, common_shape, report_conversion
from tfgans.data.layouts import two_folders
from tfgans.data.opening import open_images
from tfgans.data.scenes import LOOKS, SyntheticLooks
from tfgans.data.semi_labeled import Subset
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images

ORDERS = 3  # random stream of the orders; each domain has a number in it
NUMBERED = re.compile(r"train[-_]?(\d+)", re.IGNORECASE)
LAYOUT = (
    "Wanted: folders train0, train1 and so on, or a sub-folder for each domain, or images with "
    "class numbers."
)


@dataclasses.dataclass
class ManyDomains:
    """Two or more sets of unrelated images."""

    sets: list
    failure: ValueError | None = None  # see `Images`

    @property
    def wanted(self) -> Images:
        """The images that a model's outputs should be like: translations to the second domain."""
        return self.sets[1]


def resolve(settings: Data, given: dict, defaults: dict) -> ManyDomains:
    """Opens the domains; sets image_shape and num_domains where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.

    Raises:
        DataError: There are no such domains, or not as many as the model has.
    """
    if settings.path == "synthetic":
        shape = given.get("image_shape") or defaults["image_shape"]
        count = given.setdefault("num_domains", len(LOOKS))
        looks = [SyntheticLooks(shape, k) for k in range(len(LOOKS))]
        for before, images in zip(looks, looks[1:], strict=False):
            images.first = before.first + len(before)  # no image has a partner
        domains = ManyDomains(looks[:count] if count in range(2, len(LOOKS) + 1) else looks)
    else:
        domains = ManyDomains(open_domains(settings.path, settings.value_range))
    found = len(domains.sets)
    if given.setdefault("num_domains", found) != found:
        raise DataError(
            f"{settings.path} has {found} domains, but the model has num_domains = "
            f"{given['num_domains']}.",
            "Leave model.num_domains out, and it follows from the data.",
        )
    if "image_shape" not in given:
        shapes = [common_shape(images) for images in domains.sets]
        if len({*shapes}) > 1:
            raise DataError(
                f"The images of {settings.path} have the shapes {', '.join(map(str, shapes))} "
                "(height, width, channels) in its domains.",
                "Choose one for all: --set 'model.image_shape=[256, 256, 3]'.",
            )
        given["image_shape"] = list(shapes[0])
    return domains


def open_domains(path, value_range: tuple | None = None) -> list:
    """Opens the domains below a path, each as a set of images.

    Args:
        path: A folder in a known layout, or a set of images with class numbers.
        value_range: (lowest, highest) value of a stored pixel, or None if the type implies it.

    Raises:
        DataError: There are not two or more domains, or one of them holds no usable images.
    """
    top = pathlib.Path(path).expanduser()
    names = [entry.name for entry in top.iterdir() if entry.is_dir()] if top.is_dir() else []
    numbers = {int(match[1]): name for name in names if (match := NUMBERED.fullmatch(name))}
    folders = [top / numbers[k] for k in sorted(numbers)] or two_folders(top)
    if folders and len(folders) > 1:
        return [open_images(folder, value_range) for folder in folders]
    images = open_images(path, value_range)
    numbers = images.labels is not None and images.labels.ndim == 1
    classes = np.unique(images.labels) if numbers else []
    if len(classes) < 2:
        raise DataError(f"{path} does not hold two or more domains.", LAYOUT)
    return [Subset(images, np.flatnonzero(images.labels == k)) for k in classes]


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    return {str(k): tf.TensorSpec(model.image_shape) for k in range(model.num_domains)}


class Reader:
    """Feeds a model with an image of each domain, "0", "1" and so on, cut and mirrored on its own.

    Each domain begins a new pass when its own pass ends.

    Args:
        model: Its image_shape and num_domains are used.
        source: The domains that `resolve` returns.
        config: Its flip, jitter and broken are used.

    Raises:
        DataError: The images or settings do not fit the model.
    """

    unit = "images"  # per domain
    real = "1"
    settings = ("flip", "jitter")

    def __init__(self, model, source: ManyDomains, config: Data, stage: int):
        self.source, self.flip = source, config.flip
        self.shape = height, width, channels = tuple(model.image_shape)
        size = height + config.jitter, width + config.jitter, channels
        self.files = []
        for images in source.sets:
            report_conversion(images, *self.shape)
            self.files.append(ImageReader(images, size, config.broken))
        self.signature = signature(model, stage)
        self.draws = 3 * len(source.sets)  # three for each domain, see `cut`

    def read(self, positions, order, draws):
        found = {}
        for k, files in enumerate(self.files):
            indices = [order(p, len(files.source), ORDERS, k) for p in positions]
            places = draws[:, 3 * k : 3 * k + 3]
            found[str(k)] = files.windows(indices, *self.shape[:2], places, self.flip)
        return found
