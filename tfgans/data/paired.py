"""The data kind "paired": an input image and the target it should become.

A pair is one file with A on its left and B on its right half, or two files of one name in two
folders. `data.direction` says which of them is the input.
"""

import functools
import pathlib
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from tfgans.data.convert import aligned, cut, prepare
from tfgans.data.files import FolderImages
from tfgans.data.images import check_policy, common_shape, read_whole, report_conversion
from tfgans.data.opening import open_images
from tfgans.data.scenes import SyntheticScenes
from tfgans.data.settings import Data
from tfgans.data.source import BrokenImage, DataError, Images

FOLDERS = (("A", "B"), ("a", "b"), ("input", "target"), ("trainA", "trainB"))


class Half(Images):
    """The left or right halves of images.

    Args:
        source: The whole images.
        read: Its `read`; both halves of an image ask for the same whole one after the other.
        right: Which half.
    """

    def __init__(self, source: Images, read, right: bool):
        self.source, self.read_both, self.right = source, read, right
        self.path = f"{source.path} ({'right' if right else 'left'} halves)"
        self.smallest, self.largest = (self.halved(s) for s in (source.smallest, source.largest))
        self.dtype, self.value_range = source.dtype, source.value_range

    def halved(self, shape):
        height, width, channels = shape
        if width % 2:
            raise DataError(
                f"{self.source.path} holds images {width} pixels wide, which have no halves.",
                "Pairs are files with A on the left and B on the right half, of the same size; or "
                "two folders A and B with files of the same names.",
            )
        return height, width // 2, channels

    def __len__(self):
        return len(self.source)

    def header(self, i):
        *shape, dtype = self.source.header(i)
        return *self.halved(shape), dtype

    def read(self, i):
        image = self.read_both(i)
        middle = self.halved(image.shape)[1]
        return image[:, middle:] if self.right else image[:, :middle]

    def describe(self, i):
        return self.source.describe(i)


class Pairs:
    """Two sets of images of which equal numbers belong together.

    Attributes:
        input: The images to translate.
        target: What they should become.
        path: Where they lie.
        found_broken: Number of each pair that was found broken in training -> its BrokenImage.
    """

    failure = None  # see `Images`

    def __init__(self, input: Images, target: Images, path):
        self.input, self.target, self.path = input, target, path
        self.found_broken = {}

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
    """Opens the pairs, and takes from them what the configuration leaves open.

    That is the size of the images, and the channels of target and input.

    Args:
        settings: Path and options of the data.
        given: The arguments of the model that are given; it gets those that the data decide.
        defaults: All arguments of its constructor, with their defaults.
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
    """Puts two sets together in the direction that is asked for."""
    sets = {"a_to_b": (a, b), "b_to_a": (b, a)}
    if config.direction not in sets:
        raise DataError(f"data.direction is {config.direction!r}.", 'Wanted: "a_to_b" or "b_to_a".')
    return Pairs(*sets[config.direction], config.path)


def open_pairs(path, value_range: tuple | None = None) -> tuple:
    """Opens pairs; of a set with a folder `train` that part.

    Args:
        path: Two folders A and B (or input and target, trainA and trainB) with files of the same
            names; else anything that `open_images` opens, each image A beside B.
        value_range: (lowest, highest) value of a stored pixel, where the type does not tell.

    Returns:
        A and B, of the same length and order.
    """
    if path is None:
        raise DataError("No data are given.", 'Set data.path: a path, or "synthetic" for drawings.')
    path = pathlib.Path(path).expanduser()
    for names in FOLDERS:
        if all((path / name).is_dir() for name in names):
            a, b = (FolderImages(train_part(path / name), value_range) for name in names)
            return match(a, b)
    source = open_images(train_part(path), value_range)
    read = functools.lru_cache(maxsize=64)(source.read)  # more than there are threads
    return Half(source, read, right=False), Half(source, read, right=True)


def train_part(path):
    return path / "train" if (path / "train").is_dir() else path


def match(a, b) -> tuple:
    """Orders two folders by the names of their files, endings left out."""
    stems = []
    for images in (a, b):
        stems.append({name.rpartition(".")[0]: name for name in images.names})
        if len(stems[-1]) < len(images.names):
            raise DataError(
                f"{images.path} holds files that differ in their endings only.",
                "Keep one image of each name.",
            )
    for here, there, images, others in ((*stems, a, b), (*stems[::-1], b, a)):
        alone = sorted(set(here) - set(there))
        if alone:
            raise DataError(
                f"{len(alone)} of {len(here)} images of {images.path} have no partner of the same "
                f"name in {others.path}, for example {here[alone[0]]}.",
                "Add the partners, or remove these images.",
            )
    for images, names in zip((a, b), stems, strict=True):
        images.names = [names[stem] for stem in sorted(names)]
    return a, b


class Reader:
    """Feeds a model with pairs: "input" and "target", cut and mirrored alike.

    Args:
        model: Its image_shape, that of the target, and input_channels are used.
        source: From `resolve`.
        config: Its flip, jitter and broken are used.

    Raises:
        DataError: The images or settings do not fit the model.
    """

    unit = "pairs"
    real = "target"
    settings = ("flip", "jitter", "direction")
    draws = 3  # window and mirror, see `cut`

    def __init__(self, model, source: Pairs, config: Data, stage: int):
        check_policy(config.broken)
        self.source, self.config = source, config
        self.height, self.width, channels = model.image_shape
        self.channels = model.input_channels, channels
        for images, wanted in zip((source.input, source.target), self.channels, strict=True):
            report_conversion(images, self.height, self.width, wanted)
        self.signature = {
            name: tf.TensorSpec([self.height, self.width, wanted])
            for name, wanted in zip(("input", "target"), self.channels, strict=True)
        }
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
