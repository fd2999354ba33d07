"""The data kind "outfits": photographs of people with label maps, and sentences about their dress.

    labels/0001.png  images/0001.jpg  captions.json

Label maps have the classes of `CLASSES`. `captions.json` lies beside the two folders,
{"0001.jpg": ["a red shirt with long sleeves", ...], ...}. Each example has photograph, map, a
vector of a sentence, and photograph and map of another person, whose sentences are others.
"""

import json
import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from tfgans.data.captions import COLORS as BRIGHT
from tfgans.data.captions import DRAWN, FILE, Captioned, by_sentences, listed, places_for
from tfgans.data.convert import aligned, cut, prepare
from tfgans.data.images import common_shape, read_whole, report_conversion
from tfgans.data.label_maps import LabelMaps, crop_nearest, numbered, open_label_maps
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images

GROUND, HAIR, FACE, TOP, BOTTOM, LEGS, ARMS = range(7)
CLASSES = [
    ["ground", [128, 128, 128]],
    ["hair", [192, 128, 64]],
    ["face", [128, 192, 64]],
    ["upper clothes", [64, 192, 128]],
    ["lower clothes", [64, 128, 192]],
    ["legs", [128, 64, 192]],
    ["arms", [192, 64, 128]],
]
WANTED = (
    f"Wanted: folders labels and images with files of the same names, and {FILE} beside them, "
    '{"file.png": ["a sentence", ...], ...}.'
)

# The words of synthetic sentences.
SHIRTS = {name: BRIGHT[name] for name in ("red", "green", "blue", "yellow")}
SLEEVES = ("short", "long")
CLOTHS = {"black": (30, 30, 35), "white": (235, 235, 230), "purple": BRIGHT["purple"]}
CUTS = ("shorts", "trousers")
GRAMMAR = (
    "a {shirt} shirt with {sleeves} sleeves and {cloth} {cut}",
    "{cloth} {cut} , and a {shirt} shirt with {sleeves} sleeves",
    "the person wears a {shirt} shirt , {sleeves} sleeves , {cloth} {cut}",
)
HAIRS = ((60, 40, 30), (150, 100, 50), (225, 195, 110))
SKINS = ((240, 205, 175), (140, 90, 60))
GRAIN = 6  # deviation of the brightness of a pixel


class Outfits:
    """Photographs with label maps and sentences.

    Attributes:
        maps: The photographs and label maps, `LabelMaps`.
        texts: The sentences, `Captioned`.
    """

    failure = None  # see `Images`

    def __init__(self, maps: LabelMaps, sentences):
        self.maps, self.path = maps, maps.path
        self.texts = Captioned(maps.images, by_sentences(sentences), sentences)

    @property
    def wanted(self) -> Images:
        """The images that a model's outputs should be like."""
        return self.maps.images

    def __len__(self):
        return len(self.maps)


def resolve(settings: Data, given: dict, defaults: dict) -> Outfits:
    """Opens the data; sets image_shape and words where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    if settings.path == "synthetic":
        shape = given.get("image_shape") or defaults["image_shape"]
        images, labels = SyntheticPeople(shape), SyntheticPeople(shape, labels=True)
        sentences = [images.sentences(i) for i in range(len(images))]
        source = Outfits(LabelMaps(images, labels, legend=CLASSES), sentences)
    else:
        source = open_outfits(settings.path, settings.value_range)
        if "image_shape" not in given:
            given["image_shape"] = list(common_shape(source.maps.images))
    given.setdefault("words", source.texts.words)
    return source


def open_outfits(path, value_range=None) -> Outfits:
    """Opens a set, see the head of this file.

    Args:
        path: A folder.
        value_range: (lowest, highest) stored value of the photographs, or None if the type
            implies it.

    Raises:
        DataError: A file has no partner, or no sentence.
    """
    maps = open_label_maps(path, value_range)
    top = pathlib.Path(maps.images.path).parent
    file = top / FILE
    if not file.is_file():
        raise DataError(f"{top} has no {FILE}.", WANTED)
    try:
        table = dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:  # also from JSON, and from bytes that are no text
        raise DataError(f"{file} is not valid ({error!r}).", WANTED) from error
    return Outfits(maps, listed(table, maps.images.names, "", str(file)))


class SyntheticPeople(Images):
    """People who stand on a gray ground, with shirt, sleeves and trousers in all combinations.

    Pose, size, hair, skin and light are drawn at random, and no sentence names them.
    `read_outfits` finds the dress in photograph and label map.

    Args:
        image_shape: (height, width, 3) of at least 32 x 32 pixels.
        count: Number of people. The first ones do not depend on it.
        labels: `read` gives label maps, int32 [h, w, 1], and no photographs.
    """

    def __init__(self, image_shape, count=2**12, labels=False):
        self.height, self.width, channels = image_shape
        if channels != 3 or min(self.height, self.width) < 32:
            raise DataError(
                f"Synthetic people need RGB images of at least 32x32 pixels, not {image_shape}.",
                "Set model.image_shape, for example to [64, 64, 3].",
            )
        self.labels_only = labels
        numbers = [len(part) for part in (SHIRTS, SLEEVES, CLOTHS, CUTS)]
        draws = np.random.RandomState(0).random_sample([count, len(numbers)])
        self.worn = np.floor(draws * numbers).astype("int32")  # [count, 4]
        self.survey("synthetic", None)

    def __len__(self):
        return len(self.worn)

    def header(self, i):
        return self.height, self.width, 3, "uint8"

    def describe(self, i):
        return f"synthetic person {i}: {self.sentences(i)[0]}"

    def sentences(self, i) -> list:
        shirt, sleeves, cloth, cut_of_it = self.worn[i]
        said = {
            "shirt": [*SHIRTS][shirt],
            "sleeves": SLEEVES[sleeves],
            "cloth": [*CLOTHS][cloth],
            "cut": CUTS[cut_of_it],
        }
        return [form.format(**said) for form in GRAMMAR]

    def read(self, i):
        keys = np.random.default_rng([i])
        numbers = self.draw(keys, *self.worn[i])
        if self.labels_only:
            return numbers[..., None].astype("int32")
        shirt, _, cloth, _ = self.worn[i]
        skin = SKINS[keys.integers(len(SKINS))]
        colors = np.empty([len(CLASSES), 3])
        colors[GROUND] = keys.uniform(140, 180)
        colors[HAIR] = HAIRS[keys.integers(len(HAIRS))]
        colors[[FACE, LEGS, ARMS]] = skin
        colors[TOP], colors[BOTTOM] = [*SHIRTS.values()][shirt], [*CLOTHS.values()][cloth]
        light = keys.uniform(0.9, 1.05)
        image = light * colors[numbers] + keys.normal(0, GRAIN, [self.height, self.width, 1])
        return np.rint(np.clip(image, 0, 255)).astype("uint8")

    def draw(self, keys, shirt, sleeves, cloth, cut_of_it) -> np.ndarray:
        """The label map of a person in a pose that `keys` draw, [h, w]."""
        side = min(self.height, self.width)
        size = side * keys.uniform(0.88, 1.0)
        middle = self.width / 2 + 0.06 * side * keys.uniform(-1, 1)
        top = self.height - (side + size) / 2
        picture = Image.new("L", (self.width, self.height), GROUND)
        pen = ImageDraw.Draw(picture)

        def at(x, y):
            return middle + size * x, top + size * y

        def bar(start, end, width, number):
            """A straight limb with round ends."""
            (x, y), (u, v) = at(*start), at(*end)
            half = size * width / 2
            turn = np.arctan2(v - y, u - x)
            across = half * np.array([-np.sin(turn), np.cos(turn)])
            corners = [(x, y) + across, (u, v) + across, (u, v) - across, (x, y) - across]
            pen.polygon([tuple(corner) for corner in corners], number)
            for a, b in ((x, y), (u, v)):
                pen.ellipse((a - half, b - half, a + half, b + half), number)

        def ellipse(x, y, across, down, number):
            pen.ellipse((*at(x - across, y - down), *at(x + across, y + down)), number)

        spread, bent = keys.uniform(0.0, 0.06, 2), keys.uniform(0.1, 0.9, 2)
        for k, sign in enumerate((-1, 1)):
            hip, foot = (sign * 0.06, 0.56), (sign * (0.07 + spread[k]), 0.95)
            knee = [a + (b - a) * (0.45, 0.92)[cut_of_it] for a, b in zip(hip, foot, strict=True)]
            bar(hip, foot, 0.08, LEGS)
            bar(hip, knee, 0.11, BOTTOM)
        for k, sign in enumerate((-1, 1)):
            shoulder = sign * 0.13, 0.31
            hand = sign * (0.13 + 0.3 * np.sin(bent[k])), 0.31 + 0.3 * np.cos(bent[k])
            cuff = [
                a + (b - a) * (0.35, 0.85)[sleeves] for a, b in zip(shoulder, hand, strict=True)
            ]
            bar(shoulder, hand, 0.06, ARMS)
            bar(shoulder, cuff, 0.085, TOP)
        pen.polygon([at(-0.15, 0.28), at(0.15, 0.28), at(0.12, 0.58), at(-0.12, 0.58)], TOP)
        ellipse(0, 0.15, 0.095, 0.125 + keys.uniform(0, 0.04), HAIR)
        ellipse(0, 0.175, 0.065, 0.09, FACE)
        return np.asarray(picture)


def read_outfits(images, maps) -> np.ndarray:
    """The dress that pictures like those of `SyntheticPeople` show.

    Args:
        images: [n, H, W, 3] in [-1, 1].
        maps: Class numbers [n, H, W].

    Returns:
        int32 [n, 4], numbers within `SHIRTS`, `SLEEVES`, `CLOTHS` and `CUTS`. They are those of the
        sentences for all synthetic people; for generated ones they measure how a model obeys.
    """
    images, maps = 127.5 * (np.asarray(images, "float32") + 1), np.asarray(maps)
    found = []
    for image, numbers in zip(images, maps, strict=True):
        area = np.bincount(numbers.ravel(), minlength=len(CLASSES))

        def nearest(number, colors, image=image, numbers=numbers):
            seen = image[numbers == number]
            color = np.median(seen, axis=0) if len(seen) else np.zeros(3)
            return np.argmin(np.square(np.array([*colors.values()]) - color).sum(axis=1))

        long_sleeves = area[ARMS] < 0.13 * area[TOP]
        trousers = area[LEGS] < 0.25 * area[BOTTOM]
        found.append([nearest(TOP, SHIRTS), long_sleeves, nearest(BOTTOM, CLOTHS), trousers])
    return np.array(found, "int32")


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it."""
    height, width, channels = model.image_shape
    image = tf.TensorSpec([height, width, channels])
    labels = tf.TensorSpec([height, width], "int32")
    return {
        "image": image,
        "map": labels,
        "condition": tf.TensorSpec([model.condition_dim]),
        "wrong": image,
        "wrong_map": labels,
    }


class Reader:
    """Feeds a model with "image", its "map", the vector "condition" of a sentence, and a wrong one.

    "wrong" and "wrong_map" are of a person about whom other sentences are given. Photograph and map
    are cut and mirrored alike; maps are resized by nearest neighbors.

    Args:
        model: Its image_shape, condition_dim and words are used.
        source: The set that `resolve` returns.
        config: Its flip, jitter and broken are used.
        stage: Stage of the model.

    Raises:
        DataError: The texts do not fit the model; or, while it reads, a label map holds a number
            that is no class.
    """

    unit = "images"
    real = "image"
    settings = ("flip", "jitter")
    draws = 7 + DRAWN  # window and mirror of both people, the wrong one, the sentence

    def __init__(self, model, source: Outfits, config: Data, stage: int):
        self.source, self.config, self.shape = source, config, tuple(model.image_shape)
        report_conversion(source.maps.images, *self.shape)
        self.places = places_for(model, source.texts)
        self.signature = signature(model, stage)
        self.pool = ThreadPoolExecutor()

    def person(self, row, draws):
        """(Photograph, map) of a row; and the row, another if it is broken."""
        maps, (height, width, channels) = self.source.maps, self.shape
        size = height + self.config.jitter, width + self.config.jitter
        (labels, _, image), row = read_whole(maps, row, self.config.broken)
        labels = numbered(labels, len(CLASSES), False, maps.labels.describe(row))
        parts = prepare(image, maps.images.value_range, (*size, channels)), labels
        image, labels = (
            cut(part, height, width, draws, self.config.flip)
            for part in (parts[0], crop_nearest(parts[1], *size))
        )
        return (image, labels[..., 0]), row

    def read(self, positions, order, draws):
        n = len(positions)
        found = {
            # int32 and float32 have the same size
            name: aligned([n, *spec.shape]).view(spec.dtype.as_numpy_dtype)
            for name, spec in self.signature.items()
        }

        def fill(place, row):
            own = draws[place]
            (found["image"][place], found["map"][place]), row = self.person(row, own[:3])
            found["condition"][place] = self.source.texts.text(row, own[7:], self.places)
            found["wrong"][place], found["wrong_map"][place] = self.source.texts.of_another_class(
                row, own[6], lambda other: self.person(other, own[3:6])
            )

        rows = [order(p, len(self.source)) for p in positions]
        list(self.pool.map(fill, range(n), rows))
        return found
