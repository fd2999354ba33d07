"""The data kind "label_maps": photographs with a class number for each pixel.

A set has a folder of label maps and a folder of photographs, and it may have a third one in which
each object has a number of its own (instances):

    train_label/  train_inst/  train_img/        pix2pixHD and SPADE
    labels/       instances/   images/           with a prefix or not, or inside of train/

Files belong together by their names; the endings of Cityscapes (_gtFine_labelIds and others) do
not count. Label maps and instances are images of one channel in 8 or 16 bits; a palette counts as
one channel. 255 in a label map is "unlabeled". A label map in colors needs a file legend.json
beside the folders, which lists name and color of each class in the order of their numbers:
[["sky", [0, 128, 255]], ["tree", [0, 90, 0]], ...].
"""

import functools
import json
import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from PIL import Image

from tfgans.data.convert import aligned, center, cut, prepare
from tfgans.data.files import FolderImages, opened
from tfgans.data.images import common_shape, read_whole, report_conversion
from tfgans.data.layouts import PREFIXES, match, two_folders
from tfgans.data.scenes import CLASSES, SyntheticPlaces
from tfgans.data.settings import Data
from tfgans.data.source import BrokenImage, DataError, Images, in_parallel

UNLABELED = 255  # in the files
LEGEND = "legend.json"
INSTANCES = ("inst", "instance", "instances")
ENDINGS = (
    "_gtFine_labelIds",
    "_gtFine_instanceIds",
    "_gtCoarse_labelIds",
    "_gtCoarse_instanceIds",
    "_leftImg8bit",
)
WANTED = (
    "Wanted: folders train_label and train_img (or labels and images) with files of the same "
    "names; train_inst (or instances) may be a third one."
)
LIST = '[["sky", [0, 128, 255]], ["tree", [0, 90, 0]], ...], with numbers from 0 to 255.'


class Numbers(FolderImages):
    """Files whose pixels are whole numbers: class numbers or instances, or colors with a legend.

    Args:
        path: A folder, or one file.
        legend: [[name, [r, g, b]], ...] for files in colors; class k has the k-th color. None for
            instances, which have no legend.
    """

    def __init__(self, path, legend=None):
        self.legend = legend
        super().__init__(path, (0, 1), every=True)

    def header_of(self, file):
        width, height = opened(file).size
        return height, width, 1, "int32"

    def decode(self, file):
        """Numbers [h, w, 1], or colors [h, w, 3], int32."""
        image = opened(file)
        found = np.asarray(image)
        if found.ndim == 2:
            return found.astype("int32")[..., None]
        return np.asarray(image.convert("RGB")).astype("int32")

    def read(self, i):
        """The numbers of file i, int32 [h, w, 1]. Raises BrokenImage, or DataError for colors."""
        found = super().read(i)
        return found if found.shape[2] == 1 else self.numbers_of(found, self.describe(i))

    def numbers_of(self, colors, name):
        """Class numbers [h, w, 1] of colors [h, w, 3]."""
        if not self.legend:
            way = f"Add a {LEGEND} beside the folders: {LIST}"
            raise DataError(
                f"{name} is in colors, and one whole number is wanted for each pixel.",
                "Store them as an image of one channel." if self.legend is None else way,
            )
        known = np.array([joined(color) for _, color in self.legend])
        found, order = joined(colors), np.argsort(known)
        place = np.minimum(np.searchsorted(known[order], found), len(known) - 1)
        numbers = order[place].astype("int32")
        wrong = known[numbers] != found
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"{name} has the color {colors[row, column].tolist()} at row {row}, column "
                f"{column}, which is not in {LEGEND}.",
                "Add it there, or correct the file; JPEG changes colors, so use PNG.",
            )
        return numbers[..., None]


def joined(colors):
    """One number for each color: [..., 3] -> [...]."""
    return np.asarray(colors, "int64") @ np.array([65536, 256, 1])


def read_legend(path) -> list:
    """Name and color of each class: [[name, [r, g, b]], ...]; [] where there is no such file.

    Raises:
        DataError: The file is no such list, or two classes share a color.
    """
    if not path.is_file():
        return []
    try:
        legend = [
            [str(name), [int(x) for x in color]] for name, color in json.loads(path.read_text())
        ]
        good = all(len(color) == 3 and all(0 <= x <= 255 for x in color) for _, color in legend)
    except (ValueError, TypeError) as error:  # also from JSON, and from bytes that are no text
        raise DataError(f"{path} cannot be read: {error}.", "Wanted: " + LIST) from error
    if not legend or not good or len({tuple(color) for _, color in legend}) < len(legend):
        raise DataError(f"{path} is no list of classes with different colors.", "Wanted: " + LIST)
    return legend


class LabelMaps:
    """Photographs with label maps, and with instances if there are any.

    Attributes:
        images: The photographs.
        labels: The label maps, as a set with the `read` of `Numbers`.
        instances: The same for instances, or None.
        legend: Name and color of each class, or [].
    """

    failure = None  # see `Images`

    def __init__(self, images: Images, labels, instances=None, legend=()):
        self.images, self.labels, self.instances = images, labels, instances
        self.legend, self.path, self.found_broken = list(legend), images.path, {}

    @property
    def wanted(self) -> Images:
        """The images that a model's outputs should be like."""
        return self.images

    def __len__(self):
        return len(self.images)

    def read(self, i: int) -> tuple:
        """Label map, instances or None, photograph, uncropped. Raises `BrokenImage`."""
        found = [s and s.read(i) for s in (self.labels, self.instances, self.images)]
        height, width = found[2].shape[:2]
        for part, source in zip(found, (self.labels, self.instances), strict=False):
            if part is not None and part.shape[:2] != (height, width):
                h, w = part.shape[:2]
                raise BrokenImage(
                    source.describe(i), f"{h}x{w}, but its photograph has {height}x{width}"
                )
        return found


def resolve(settings: Data, given: dict, defaults: dict) -> LabelMaps:
    """Opens the data; sets image_shape, num_labels, legend and instances where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    if settings.path == "synthetic":
        shape = given.get("image_shape") or defaults["image_shape"]
        images = SyntheticPlaces(shape)
        parts = [SyntheticPlaces(shape, part=part) for part in ("labels", "instances")]
        source = LabelMaps(images, *parts, CLASSES)
    else:
        source = open_label_maps(settings.path, settings.value_range)
        if "image_shape" not in given:
            given["image_shape"] = list(common_shape(source.images))
    if "num_labels" not in given:
        given["num_labels"] = len(source.legend) or counted(source.labels)
    if len(source.legend) == given["num_labels"]:
        given.setdefault("legend", source.legend)
    given.setdefault("instances", source.instances is not None)
    return source


def open_label_maps(path, value_range=None) -> LabelMaps:
    """Opens a set of label maps, see the head of this file.

    Args:
        path: The folder that holds the others.
        value_range: (lowest, highest) stored value of the photographs, or None if the type
            implies it.

    Raises:
        DataError: A folder is missing, or some file has no partner.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_dir():
        raise DataError(f"{path} is no folder.", WANTED)
    folders = two_folders(path)
    if folders is None:
        raise DataError(f"{path} has no folder of label maps beside one of photographs.", WANTED)
    labels, images = map(pathlib.Path, folders)
    top = labels.parent
    beside = {entry.name.lower(): entry for entry in sorted(top.iterdir()) if entry.is_dir()}
    names = [prefix + word for word in INSTANCES for prefix in PREFIXES]
    instances = next((beside[name] for name in names if name in beside), None)
    legend = read_legend(top / LEGEND) or read_legend(path / LEGEND)
    found = [FolderImages(images, value_range, every=True), Numbers(labels, legend)]
    found += [Numbers(instances)] if instances else []
    match(*found, stem=stem_of)
    return LabelMaps(*found, legend=legend)


def stem_of(name):
    stem = name.rpartition(".")[0]
    for ending in ENDINGS:
        stem = stem.removesuffix(ending)
    return stem


def counted(labels) -> int:
    """The number of classes in all label maps: the largest number, but for 255, and one more."""

    def largest(i):
        try:
            found = labels.read(i)
        except BrokenImage:
            return -1
        return int(np.max(found, initial=-1, where=found != UNLABELED))

    count = 1 + max(in_parallel(largest, range(len(labels))))
    print(f"Classes of {labels.path}: {count} (numbers from 0 to {count - 1}).")
    return count


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    height, width, channels = model.stage_shape(stage)
    found = {"map": tf.TensorSpec([height, width], "int32")}
    if model.instances:
        found["instances"] = tf.TensorSpec([height, width], "int32")
    return found | {"target": tf.TensorSpec([height, width, channels])}


class Reader:
    """Feeds a model with "map", "instances" if it wants them, and "target", cut and mirrored alike.

    A "map" holds class numbers below num_labels; unlabeled pixels have the number num_labels.
    Maps are resized by nearest neighbors.

    Args:
        model: Its stage_shape, num_labels, `unlabeled` (whether pixels may be so) and `instances`
            are used.
        source: The set that `resolve` returns.
        config: Its flip, jitter and broken are used.
        stage: Stage of the model.

    Raises:
        DataError: The set has no instances and the model wants them; or, while it reads, a label
            map holds a number that is no class of the model.
    """

    unit = "images"
    real = "target"
    settings = ("flip", "jitter")
    draws = 3  # window and mirror, see `cut`

    def __init__(self, model, source: LabelMaps, config: Data, stage: int):
        if model.instances and source.instances is None:
            raise DataError(
                f"{source.path} has no folder of instances, and the model takes them.",
                "Add train_inst (or instances), or set model.instances=false.",
            )
        self.shape = tuple(model.stage_shape(stage))
        report_conversion(source.images, *self.shape)
        self.source, self.config, self.signature = source, config, signature(model, stage)
        self.num_labels, self.unlabeled = model.num_labels, model.unlabeled
        self.pool = ThreadPoolExecutor()

    def read(self, positions, order, draws):
        n = len(positions)
        found = {
            # int32 and float32 have the same size
            name: aligned([n, *spec.shape]).view(spec.dtype.as_numpy_dtype)
            for name, spec in self.signature.items()
        }
        height, width, channels = self.shape
        size = height + self.config.jitter, width + self.config.jitter

        def fill(place, i):
            (labels, instances, image), used = read_whole(self.source, i, self.config.broken)
            image = prepare(image, self.source.images.value_range, (*size, channels))
            parts = {"map": labels, "target": image}
            if "instances" in found:
                parts["instances"] = instances
            for name, part in parts.items():
                part = part if name == "target" else crop_nearest(part, *size)
                part = cut(part, height, width, draws[place], self.config.flip)
                if name == "map":
                    where = self.source.labels.describe(used)
                    part = numbered(part, self.num_labels, self.unlabeled, where)
                found[name][place] = part if name == "target" else part[..., 0]

        indices = [order(p, len(self.source)) for p in positions]
        list(self.pool.map(fill, range(n), indices))
        return found


def crop_nearest(numbers, height, width):
    """As `crop_resize`, and each pixel takes the number of one stored pixel: int32 [h, w, 1]."""
    h, w, _ = numbers.shape
    if (h, w) == (height, width):
        return numbers
    numbers = numbers[center(h, w, height, width)]
    rows, columns = (
        ((np.arange(side) + 0.5) * own / side).astype("int64")
        for side, own in zip((height, width), numbers.shape, strict=False)
    )
    return numbers[rows[:, None], columns]


def numbered(labels, num_labels, unlabeled, name):
    """Label numbers as a model takes them. Raises DataError for one that is no class."""
    without = labels == UNLABELED if unlabeled else np.zeros(labels.shape, bool)
    wrong = labels[~without & ((labels < 0) | (labels >= num_labels))]
    if wrong.size:
        most = wrong.max()
        way = f"set model.num_labels to {most + 1} or more"
        if most == UNLABELED:
            way = "for unlabeled pixels set model.unlabeled=true"
        raise DataError(
            f"{name} holds the number {most}, but the classes of the model are 0 to "
            f"{num_labels - 1}.",
            f"Correct the file, or {way}.",
        )
    return np.where(without, num_labels, labels)


def read_maps(path, size, model=None) -> tuple:
    """Reads label maps or instances for the use of a model.

    Args:
        path: A file, or a folder.
        size: (height, width) to which they are cropped and resized.
        model: Its num_labels, `unlabeled` and legend are used for class numbers; None for
            instances, whose numbers are free.

    Returns:
        Names of the files, and int32 [n, height, width].

    Raises:
        BrokenImage: A file cannot be read.
        DataError: A number or color is no class of the model.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}.")
    source = Numbers(path, model and (model.legend or ()))
    found = []
    for i in range(len(source)):
        labels = crop_nearest(source.read(i), *size)
        if model is not None:
            labels = numbered(labels, model.num_labels, model.unlabeled, source.describe(i))
        found.append(labels[..., 0])
    return source.names, np.stack(found).astype("int32")


def save_maps(maps, stem) -> list:
    """Writes class numbers [n, H, W] below 256 as PNGs that `read_maps` reads: STEM-0.png, ...

    They have one channel and a palette, so that a person sees colors.

    Returns:
        The files.
    """
    colors = np.rint((palette(256) + 1) * 127.5).astype("uint8")
    files = [pathlib.Path(f"{stem}-{k}.png") for k in range(len(maps))]
    for file, numbers in zip(files, maps, strict=True):
        picture = Image.fromarray(numbers.astype("uint8"))
        picture.putpalette(colors.tobytes())
        picture.save(file)
    return files


@functools.cache
def palette(count) -> np.ndarray:
    """Colors in [-1, 1] for class numbers without a legend, [count, 3], all different.

    The bits of a number are spread over red, green and blue, the lowest ones first, as in the
    pictures of Pascal VOC.
    """
    bits = np.unpackbits(np.arange(1, count + 1, dtype=">u2").view("uint8")).reshape(count, 16)
    bits = bits[:, ::-1]  # lowest first
    colors = [bits[:, k::3] @ (128 >> np.arange(len(bits[0, k::3]))) for k in range(3)]
    return (np.stack(colors, axis=-1) / 127.5 - 1).astype("float32")


def in_colors(numbers, count, legend=None) -> np.ndarray:
    """Class numbers as a picture: [..., H, W] -> [..., H, W, 3] in [-1, 1].

    Args:
        numbers: Below `count`.
        count: Number of classes, unlabeled included.
        legend: Name and color of the first classes, if any; `palette` has the others.
    """
    colors = palette(count).copy()
    if legend:
        colors[: len(legend)] = np.array([color for _, color in legend]) / 127.5 - 1
    return colors[np.asarray(numbers)]
