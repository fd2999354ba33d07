"""The data kind "paired": an input image and the target it is translated to.

A pair is one file with A in its left and B in its right half, or two files of the same name in two
folders (see `layouts.py`). `data.direction` chooses the input.
"""

import functools
import pathlib
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from tfgans.data.convert import aligned, cut, prepare
from tfgans.data.files import FileImages, FolderImages
from tfgans.data.images import common_shape, read_whole, report_conversion
from tfgans.data.layouts import LAYOUTS, match, two_folders, unknown_pair
from tfgans.data.named import is_name, open_sides
from tfgans.data.opening import open_images
from tfgans.data.scenes import SyntheticScenes
from tfgans.data.settings import Data
from tfgans.data.source import BrokenImage, DataError, Images

WANTED = (
    "A pair is a file with A in the left and B in the right half, of the same size; or two files "
    f"of the same name in two folders {LAYOUTS}."
)


class Half(Images):
    """The left or right halves of images.

    Args:
        source: The whole images.
        read: The `read` of the source, cached: both halves read the same image.
        right: True for right halves, false for left ones.
    """

    def __init__(self, source: Images, read, right: bool):
        self.source, self.read_both, self.right = source, read, right
        try:
            self.survey(source.path, source.value_range)
        except DataError as error:
            raise DataError(f"{source.path} holds no pairs. {error.problem}", WANTED) from error
        self.path = f"{source.path} ({'right' if right else 'left'} halves)"

    def halved(self, i, shape):
        height, width, channels = shape
        if width % 2:
            raise BrokenImage(self.describe(i), f"{width} pixels wide, so it has no equal halves")
        return height, width // 2, channels

    def __len__(self):
        return len(self.source)

    def header(self, i):
        *shape, dtype = self.source.header(i)
        return *self.halved(i, shape), dtype

    def read(self, i):
        image = self.read_both(i)
        middle = self.halved(i, image.shape)[1]
        return image[:, middle:] if self.right else image[:, :middle]

    def describe(self, i):
        return self.source.describe(i)


class Pairs:
    """Two sets of images; images of the same index are a pair.

    Attributes:
        input: The images to translate.
        target: The translated images.
        path: Path of both sets.
        found_broken: Index -> BrokenImage, of pairs that training found broken.
    """

    failure = None  # see `Images`

    def __init__(self, input: Images, target: Images, path):
        self.input, self.target, self.path = input, target, path
        self.found_broken = {}

    @property
    def wanted(self) -> Images:
        """The images that a model's outputs should be like."""
        return self.target

    def __len__(self):
        return len(self.input)

    def read(self, i: int) -> tuple:
        """Returns input and target, uncropped. Raises `BrokenImage`."""
        input, target = self.input.read(i), self.target.read(i)
        (h, w, _), (height, width, _) = input.shape, target.shape
        if abs(h * width - w * height) > max(h, w, height, width):  # more than rounding
            raise BrokenImage(
                self.input.describe(i), f"{h}x{w}, but its target has {height}x{width}"
            )
        return input, target


def resolve(settings: Data, given: dict, defaults: dict) -> Pairs:
    """Opens the pairs; sets image_shape and input_channels where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    shape = given.get("image_shape")
    if settings.path == "synthetic":
        shape = shape or defaults["image_shape"]
        a, b = (SyntheticScenes(shape, textured) for textured in (False, True))
        return pair(a, b, settings)
    pairs = pair(*open_pairs(settings.path, settings.value_range), settings)
    if shape is None:
        given["image_shape"] = list(common_shape(pairs.target))
        least, most = pairs.input.smallest[2], pairs.input.largest[2]
        if least == most:
            given.setdefault("input_channels", most)
    return pairs


def pair(a, b, config: Data) -> Pairs:
    """Makes pairs of two sets in the direction of the configuration."""
    input, target = {"a_to_b": (a, b), "b_to_a": (b, a)}[config.direction]
    return Pairs(input, target, config.path)


def open_pairs(path, value_range: tuple | None = None) -> tuple:
    """Opens pairs. If a set has a folder `train`, only that folder is opened.

    Args:
        path: Two folders of a known layout (see `layouts.py`) with files of the same names; a set
            by name with two columns of images; else a set for `open_images` whose images show A
            beside B.
        value_range: (lowest, highest) value of a stored pixel, or None if the type implies it.

    Returns:
        A and B, of the same length and order.

    Raises:
        DataError: There are no pairs, some files have no partner, or two folders seem to be A and B
            but have other names.
    """
    if is_name(path):
        if sides := open_sides(path, value_range):
            return tuple(sides)
        return halves(open_images(path, value_range))
    path = pathlib.Path(path).expanduser()
    if folders := two_folders(path):
        a, b = (FolderImages(train_part(folder), value_range) for folder in folders)
        match(a, b)
        return a, b
    source = open_images(train_part(path), value_range)
    if isinstance(source, FileImages) and (found := unknown_pair(source.keys)):
        raise DataError(
            f"{source.path} holds the folders {found[0]} and {found[1]}: two sides of pairs, or "
            "files with both sides in each?",
            f"Name the two folders {LAYOUTS}; or put files with A beside B into one folder.",
        )
    return halves(source)


def halves(source: Images) -> tuple:
    """A and B of images that show A beside B."""
    read = functools.lru_cache(maxsize=64)(source.read)  # more than the number of threads
    return Half(source, read, right=False), Half(source, read, right=True)


def train_part(path):
    return path / "train" if (path / "train").is_dir() else path


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    height, width, channels = model.image_shape
    return {
        "input": tf.TensorSpec([height, width, model.input_channels]),
        "target": tf.TensorSpec([height, width, channels]),
    }


class Reader:
    """Feeds a model with pairs: "input" and "target", cut and mirrored alike.

    Args:
        model: Its image_shape (the shape of the target) and input_channels are used.
        source: The pairs that `resolve` returns.
        config: Its flip, jitter and broken are used.

    Raises:
        DataError: The images or settings do not fit the model.
    """

    unit = "pairs"
    real = "target"
    settings = ("flip", "jitter", "direction")
    draws = 3  # window and mirror, see `cut`

    def __init__(self, model, source: Pairs, config: Data, stage: int):
        self.source, self.config = source, config
        self.height, self.width, channels = model.image_shape
        self.channels = model.input_channels, channels
        for images, wanted in zip((source.input, source.target), self.channels, strict=True):
            report_conversion(images, self.height, self.width, wanted)
        self.signature = signature(model, stage)
        self.pool = ThreadPoolExecutor()

    def read(self, positions, order, draws):
        found = {
            name: aligned([len(positions), *spec.shape]) for name, spec in self.signature.items()
        }
        ranges = self.source.input.value_range, self.source.target.value_range
        size = self.height + self.config.jitter, self.width + self.config.jitter

        def fill(place, i):
            images, _ = read_whole(self.source, i, self.config.broken)
            for name, image, values, channels in zip(
                found, images, ranges, self.channels, strict=True
            ):
                image = prepare(image, values, (*size, channels))
                image = cut(image, self.height, self.width, draws[place], self.config.flip)
                found[name][place] = image

        indices = [order(p, len(self.source)) for p in positions]
        list(self.pool.map(fill, range(len(indices)), indices))
        return found
