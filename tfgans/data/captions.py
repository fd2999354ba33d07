"""The data kind "captions": images with sentences, or with embeddings of sentences.

A folder or zip of images with a file `captions.json`, {"file": ["sentence", ...]}; or a folder of
the pickles of StackGAN's data: `filenames.pickle`, `class_info.pickle`, images and
`char-CNN-RNN-embeddings.pickle`. Each example has its image, a vector of its text, and the image of
a text of another class.

The classes are the sub-folders, or the numbers of `class_info.pickle`. In one folder, images with
the same sentences are one class.
"""

import functools
import io
import json
import pathlib
import re
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tfgans.data.convert import aligned, cut, prepare
from tfgans.data.files import FileImages
from tfgans.data.images import common_shape, read_whole, report_conversion, shrunk
from tfgans.data.opening import open_images
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images, as_labels
from tfgans.data.synthetic import WHITE, centered, rasterize, rim
from tfgans.errors import BadInput, nearest
from tfgans.foreign import pickles

FILE = "captions.json"
BIGRAMS = 1024  # numbers that pairs of neighboring words share by their hash
DRAWN = 4  # embeddings of an image whose mean is its text
WANTED = (
    f'Wanted: images with a file {FILE}, {{"file.png": ["a sentence", ...], ...}}; or a folder of '
    "filenames.pickle, class_info.pickle, 304images.pickle (or 76images.pickle) and "
    "char-CNN-RNN-embeddings.pickle."
)

# The words of synthetic sentences.
COLORS = {
    "red": (215, 45, 45),
    "green": (45, 190, 60),
    "blue": (50, 70, 225),
    "yellow": (225, 205, 40),
    "purple": (175, 45, 200),
}
SHAPES = ("triangle", "square", "disc")
SIZES = {"small": 0.3, "large": 0.42}  # radius, in sides of the image
GROUNDS = {"light": 225, "dark": 45}
GRAMMAR = (
    "a {size} {color} {shape} on {ground} ground",
    "a {color} {shape} , {size} , on a {ground} ground",
    "on {ground} ground lies a {size} {color} {shape}",
)
CORNERS = (3, 4, 24)  # of the shapes
TURNS = (0.5, 0.5, 0.0)  # of the shapes, in corners: they stand upright
KEPT = 2**26  # bytes of synthetic images that are drawn once only


def words_of(sentence: str) -> list:
    """The words of a sentence, in small letters, without punctuation."""
    return re.findall(r"\w+", sentence.lower())


def places_of(words: list) -> dict:
    """Word -> its place in the vector of a sentence, as `bag` takes them."""
    return {word: k for k, word in enumerate(words)}


def bag(sentence: str, places: dict) -> np.ndarray:
    """A vector of a sentence: how often each known word is in it, then its pairs of neighbors.

    Args:
        sentence: A text.
        places: Those of the known words, see `places_of`.

    Returns:
        float32 [len(places) + BIGRAMS]. A pair of neighbors is a 1 at a place that its CRC-32
        gives, the same in all processes.

    Raises:
        DataError: The sentence has unknown words, or none.
    """
    found = words_of(sentence)
    if unknown := [word for word in dict.fromkeys(found) if word not in places]:
        near = nearest("word", unknown[0], places)
        raise DataError(
            f"The model does not know {', '.join(map(repr, unknown))}. {near}",
            "It knows the words of the sentences that it was trained on.",
        )
    if not found:
        raise DataError(f"The sentence {sentence!r} has no word.", "Write one of known words.")
    vector = np.zeros(len(places) + BIGRAMS, "float32")
    for word in found:
        vector[places[word]] += 1
    for pair in zip(found, found[1:], strict=False):
        vector[len(places) + zlib.crc32(" ".join(pair).encode()) % BIGRAMS] = 1
    return vector


def vectors(sentences, model) -> np.ndarray:
    """Vectors [n, condition_dim] of sentences, as a model takes them.

    Raises:
        DataError: A sentence has a word that the model does not know.
        BadInput: The model takes embeddings, which come from another program.
    """
    if not model.words:
        raise BadInput(
            f"This {type(model).__name__} takes embeddings and no sentences: it was trained on a "
            f"file of embeddings. Give an array [n, {model.text_dim}] of them."
        )
    places = places_of(model.words)
    return np.stack([bag(sentence, places) for sentence in sentences])


class Captioned:
    """Images and what is said about each.

    Args:
        images: The images, `Images`.
        classes: Number of the class of each image, [n].
        sentences: For each image its sentences; or None.
        embeddings: float32 [n, m, text_dim], m for each image; or None.

    Attributes:
        words: All words of the sentences, in order; None for embeddings.
    """

    failure = None  # see `Images`

    def __init__(self, images, classes, sentences=None, embeddings=None):
        self.images, self.path = images, images.path
        self.classes, self.embeddings = classes, embeddings
        self.sentences, self.words = sentences, None
        if sentences:
            self.words = sorted({w for own in sentences for s in own for w in words_of(s)})
        self.by_class = np.argsort(classes, kind="stable")  # rows, class after class
        in_order = classes[self.by_class]
        self.begin = np.searchsorted(in_order, classes)  # of the class of each row, in `by_class`
        self.end = np.searchsorted(in_order, classes, side="right")
        if classes.min() == classes.max():
            raise DataError(
                f"All images of {self.path} have one class, so no text is ever the wrong one.",
                "Put the images of each class into a sub-folder of their own.",
            )

    @property
    def wanted(self) -> Images:
        """The images that a model's outputs should be like."""
        return self.images

    def __len__(self):
        return len(self.images)

    def other(self, row, draw) -> int:
        """A row of another class than that of `row`, by a number in [0, 1)."""
        own = self.end[row] - self.begin[row]
        place = int(draw * (len(self) - own))
        return int(self.by_class[place if place < self.begin[row] else place + own])

    def of_another_class(self, row, draw, read):
        """Reads a row of another class than that of `row`.

        Args:
            row: Number of the image.
            draw: Number in [0, 1) that chooses the other row.
            read: Row -> what is read there, and the row that it is of: another if one is broken.

        Raises:
            DataError: All intact images are of this class.
        """
        for k in range(len(self)):
            part, found = read(self.other(row, (draw + k / len(self)) % 1))
            if self.classes[found] != self.classes[row]:
                return part
        raise DataError(
            f"All intact images of {self.path} have the class of image {row}.",
            "Replace the broken ones with intact copies.",
        )

    def text(self, row, draws, places) -> np.ndarray:
        """The vector of an image's text, float32.

        One of its sentences as a bag of words; or the mean of up to `DRAWN` different embeddings.

        Args:
            row: Number of the image.
            draws: `DRAWN` numbers in [0, 1).
            places: Those of the words that a model knows; None for embeddings.
        """
        if self.embeddings is None:
            own = self.sentences[row]
            return bag(own[int(draws[0] * len(own))], places)
        left, chosen = list(self.embeddings[row]), []
        for draw in draws[: len(left)]:
            chosen.append(left.pop(int(draw * len(left))))
        return np.mean(chosen, axis=0)


class SyntheticCaptions(Images):
    """Upright shapes in all combinations of color, shape, size, ground, somewhere near the middle.

    `read_captions` finds all four in the pixels.

    Args:
        image_shape: (height, width, 3) of at least 16 x 16 pixels.
        count: Number of images. The first ones do not depend on it.
    """

    def __init__(self, image_shape, count=2**13):
        self.height, self.width, channels = image_shape
        self.side = min(self.height, self.width)
        if channels != 3 or self.side < 16:
            raise DataError(
                f"Synthetic captions need RGB images of at least 16x16 pixels, not {image_shape}.",
                "Set model.image_shape, for example to [32, 32, 3].",
            )
        draws = np.random.RandomState(0).random_sample([count, 6])
        numbers = [len(part) for part in (COLORS, SHAPES, SIZES, GROUNDS)]
        self.said = np.floor(draws[:, :4] * numbers).astype("int32")  # [count, 4]
        self.shift = draws[:, 4:] - 0.5
        self.classes = np.ravel_multi_index(self.said.T, numbers)
        size = self.height * self.width * channels
        self.read = functools.lru_cache(maxsize=KEPT // size)(self.draw)
        self.survey("synthetic", None)

    def __len__(self):
        return len(self.said)

    def sentences(self, i) -> list:
        color, shape, size, ground = self.said[i]
        said = {
            "color": [*COLORS][color],
            "shape": SHAPES[shape],
            "size": [*SIZES][size],
            "ground": [*GROUNDS][ground],
        }
        return [form.format(**said) for form in GRAMMAR]

    def header(self, i):
        return self.height, self.width, 3, "uint8"

    def draw(self, i):
        color, shape, size, ground = self.said[i]
        corners = CORNERS[shape]
        angles = 2 * np.pi * (np.arange(corners) + TURNS[shape]) / corners
        radius = self.side * [*SIZES.values()][size]
        # A shape never touches the border.
        room = self.side - 2 * radius - 1
        center = self.side / 2 + self.shift[i] * min(room, self.side / 4)
        points = center + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        cover = 1 - rasterize(points[None], self.side, faithful=False)[0] / WHITE
        cover = centered(cover, self.height, self.width)[..., None]
        gray = [*GROUNDS.values()][ground]
        return np.rint(gray + cover * (np.array([*COLORS.values()][color]) - gray)).astype("uint8")

    def describe(self, i):
        return f"synthetic image {i}: {self.sentences(i)[0]}"


def read_captions(images) -> np.ndarray:
    """The color, shape, size and ground that pictures like those of `SyntheticCaptions` show.

    Args:
        images: [n, H, W, 3] in [-1, 1].

    Returns:
        int32 [n, 4], numbers within `COLORS`, `SHAPES`, `SIZES` and `GROUNDS`. They are those of
        the sentences for all synthetic images; for generated ones they measure how a model obeys.
    """
    images = 127.5 * (np.asarray(images, "float32") + 1)
    ground = (rim(images).mean(axis=(1, 2)) < 135).astype("int32")
    tint = images - images.mean(axis=-1, keepdims=True)  # 0 on the ground
    colors = np.array([*COLORS.values()], "float32")
    tints = colors - colors.mean(axis=1, keepdims=True)
    color = np.argmax(tint.sum(axis=(1, 2)) @ (tints / np.linalg.norm(tints, axis=1)[:, None]).T, 1)
    # How much of each pixel is covered.
    unit = tints[color] / np.sum(tints[color] ** 2, axis=1, keepdims=True)
    cover = np.clip(np.einsum("nhwc,nc->nhw", tint, unit), 0, 1)
    cover = np.where(cover > 0.1, cover, 0)
    n, height, width = cover.shape
    area = np.maximum(cover.sum(axis=(1, 2)), 1e-3)
    y, x = np.mgrid[:height, :width] + 0.5
    of = [
        np.einsum("nhw,hw->n", cover, axis)[:, None, None] / area[:, None, None] for axis in (y, x)
    ]
    offset = (x - of[1]) + 1j * (y - of[0])  # [n, H, W]
    # Corners give a moment of their own number: 0.40 or more for triangles, 0.19 for squares.
    moment = {
        k: np.abs((cover * offset**k).sum(axis=(1, 2)))
        / np.maximum((cover * np.abs(offset) ** k).sum(axis=(1, 2)), 1e-3)
        for k in (3, 4)
    }
    shape = np.where(moment[3] > 0.2, 0, np.where(moment[4] > 0.1, 1, 2))
    # The area of the shape with radius 1.
    unit_area = np.array([1.299, 2.0, np.pi])[shape]
    radius = np.sqrt(area / unit_area) / min(height, width)
    size = radius > sum(SIZES.values()) / 2
    return np.stack([color, shape, size, ground], axis=1).astype("int32")


def resolve(settings: Data, given: dict, defaults: dict) -> Captioned:
    """Opens the data; sets image_shape, and words or text_dim, where they are not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    if settings.path == "synthetic":
        images = SyntheticCaptions(given.get("image_shape") or defaults["image_shape"])
        sentences = [images.sentences(i) for i in range(len(images))]
        source = Captioned(images, images.classes, sentences)
    else:
        shape = given.get("image_shape") or defaults["image_shape"]
        source = open_captions(settings.path, shape, settings.value_range)
        if "image_shape" not in given and source.embeddings is None:
            given["image_shape"] = list(common_shape(source.images))
    if source.words:
        given.setdefault("words", source.words)
    else:
        given.setdefault("text_dim", source.embeddings.shape[2])
    return source


def open_captions(path, image_shape, value_range=None) -> Captioned:
    """Opens images with their texts.

    Args:
        path: A folder or zip, see the head of this file.
        image_shape: (height, width, channels). Among the pickles of images of several sizes, it is
            the smallest that is large enough which is read.
        value_range: (lowest, highest) stored pixel value, or None if the type implies it.

    Raises:
        DataError: There are no texts, or some image has none.
    """
    path = pathlib.Path(path).expanduser()
    if path.is_dir() and (path / "filenames.pickle").is_file():
        return open_pickles(path, max(image_shape[:2]))
    images = open_images(path, value_range)
    found = isinstance(images, FileImages) and [
        name for name in images.others if name.rpartition("/")[2] == FILE
    ]
    if not found:
        raise DataError(f"{path} has no {FILE}.", WANTED)
    try:
        with images.open(found[0]) as file:
            table = dict(json.load(file))
    except Exception as error:  # from JSON, or from a damaged zip
        raise DataError(f"{path}: {found[0]} is not valid ({error!r}).", WANTED) from error
    sentences = listed(table, images.names, found[0][: -len(FILE)], f"{path}: {found[0]}")
    if images.labels is not None and images.labels.ndim == 1 and images.num_classes > 1:
        return Captioned(images, images.labels, sentences)
    return Captioned(images, by_sentences(sentences), sentences)


def listed(table, names, top, where) -> list:
    """The sentences of each image.

    Args:
        table: Name of a file -> its sentences.
        names: Names of the images.
        top: Folder of the table, with which these names begin.
        where: Name of the table, for messages.

    Raises:
        DataError: An image has none.
    """
    found = [table.get(name.removeprefix(top)) for name in names]
    without = [
        name
        for name, own in zip(names, found, strict=True)
        if not (isinstance(own, list) and own and all(map(is_sentence, own)))
    ]
    if without:
        raise DataError(
            f"{len(without)} of {len(names)} images have no list of sentences in {where}, for "
            f"example {without[0]}.",
            "Add them, or remove these images.",
        )
    return found


def by_sentences(sentences) -> np.ndarray:
    """Classes of images: those with the same sentences are one."""
    numbers = {}
    return np.array(
        [
            numbers.setdefault(frozenset(tuple(words_of(s)) for s in own), len(numbers))
            for own in sentences
        ]
    )


def is_sentence(value):
    return isinstance(value, str) and bool(words_of(value))


class PickledImages(Images):
    """Images of one pickle of StackGAN's data, each an array of its own."""

    def __init__(self, path, arrays, names):
        self.arrays, self.names = arrays, names
        self.survey(path, None)

    def __len__(self):
        return len(self.arrays)

    def header(self, i):
        return *self.arrays[i].shape, self.arrays[i].dtype.name

    def read(self, i):
        return self.arrays[i]

    def describe(self, i):
        return f"{self.path}: {self.names[i]}"


def open_pickles(folder, side) -> Captioned:
    """Opens the pickles of StackGAN's data. Nothing that they name is imported or run."""

    def read(name):
        with pickles.refusals(folder / name):
            stream = io.BytesIO((folder / name).read_bytes())
            value, _ = pickles.read(stream, frozenset(), limit=stream.getbuffer().nbytes)
            if isinstance(value, pickles.Record):  # one array
                return pickles.to_array(value)
            record = pickles.Record
            return [pickles.to_array(x) if isinstance(x, record) else x for x in value]

    sizes = {}
    for file in folder.glob("*images.pickle"):
        if (stem := file.name.removesuffix("images.pickle")).isdigit():
            sizes[int(stem)] = file.name
    wanted = [*sizes.values(), "class_info.pickle", "char-CNN-RNN-embeddings.pickle"]
    missing = [name for name in wanted[-2:] if not (folder / name).is_file()]
    if missing or not sizes:
        raise DataError(f"{folder} lacks {', '.join(missing) or 'images'}.", WANTED)
    chosen = min((size for size in sizes if size >= side), default=max(sizes))
    names, embeddings = read("filenames.pickle"), read("char-CNN-RNN-embeddings.pickle")
    classes, images = read("class_info.pickle"), read(sizes[chosen])
    counts = [len(part) for part in (names, embeddings, classes, images)]
    if len({*counts}) > 1:
        raise DataError(
            f"The pickles of {folder} differ: {counts[0]} names, {counts[1]} embeddings, "
            f"{counts[2]} classes and {counts[3]} images.",
            "Use the four files of one set.",
        )
    images = PickledImages(folder / sizes[chosen], images, names)
    embeddings = np.stack(embeddings).astype("float32")
    if embeddings.ndim != 3:
        raise DataError(f"The embeddings of {folder} are {embeddings.shape}.", WANTED)
    return Captioned(images, as_labels(classes, len(images), str(folder))[0], None, embeddings)


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    image = tf.TensorSpec(model.stage_shape(stage))
    return {
        "image": image,
        "condition": tf.TensorSpec([model.condition_dim]),
        "wrong": image,
        "label": tf.TensorSpec([], "int32"),
    }


def places_for(model, source):
    """The places of the model's words, see `bag`; None for embeddings.

    Raises:
        DataError: The texts of the data do not fit the model.
    """
    if source.words is not None and model.words is not None:
        new = sorted({*source.words} - {*model.words})
        if new:
            raise DataError(
                f"The sentences of {source.path} have words that the model does not know: "
                f"{', '.join(new[:9])}.",
                "Train a new model, or use the sentences that this one began with.",
            )
    elif source.words is not None or model.words is not None:
        raise DataError(
            f"The model takes {'embeddings' if source.words else 'sentences'}, and "
            f"{source.path} has {'sentences' if source.words else 'embeddings'}.",
            "Leave model.words out: it follows from the data.",
        )
    elif source.embeddings.shape[2] != model.condition_dim:
        raise DataError(
            f"The embeddings of {source.path} have {source.embeddings.shape[2]} numbers, and "
            f"the model has text_dim = {model.condition_dim}.",
            "Leave model.text_dim out: it follows from the data.",
        )
    return model.words and places_of(model.words)


class Reader:
    """Feeds a model with an "image", the vector "condition" of its text, and a "wrong" image.

    "wrong" is an image of another class, so the text is never true of it. "label" is the class.

    Args:
        model: Its image_shape, stage_shape, condition_dim and words are used.
        source: The images and texts that `resolve` returns.
        config: Its flip, jitter and broken are used. Each image is cut and mirrored on its own.
        stage: Stage of the model. If its images are smaller than image_shape by a factor, each
            pixel is the mean of a square of the full-size image.

    Raises:
        DataError: The images, texts or settings do not fit the model.
    """

    unit = "images"
    real = "image"
    settings = ("flip", "jitter")
    draws = 7 + DRAWN  # window and mirror of both images, the wrong image, the text

    def __init__(self, model, source: Captioned, config: Data, stage: int):
        self.source, self.config, self.shape = source, config, model.image_shape
        report_conversion(source.images, *model.image_shape)
        self.places = places_for(model, source)
        self.signature = signature(model, stage)
        self.factor = model.image_shape[0] // self.signature["image"].shape[0]
        self.pool = ThreadPoolExecutor()

    def image(self, row, draws):
        """An image that is read, cut, mirrored and shrunk; and its row, another if it is broken."""
        images, (height, width, channels) = self.source.images, self.shape
        stored, row = read_whole(images, row, self.config.broken)
        size = height + self.config.jitter, width + self.config.jitter
        whole = prepare(stored, images.value_range, (*size, channels))
        return shrunk(cut(whole, height, width, draws, self.config.flip), self.factor), row

    def wrong_image(self, row, draws):
        """An image of another class than that of `row`."""
        return self.source.of_another_class(
            row, draws[3], lambda other: self.image(other, draws[:3])
        )

    def read(self, positions, order, draws):
        found = {
            name: aligned([len(positions), *spec.shape])
            for name, spec in self.signature.items()
            if name != "label"
        }
        label = np.empty(len(positions), "int32")

        def fill(place, row):
            image, row = self.image(row, draws[place, :3])
            found["image"][place], label[place] = image, self.source.classes[row]
            found["condition"][place] = self.source.text(row, draws[place, 7:], self.places)
            found["wrong"][place] = self.wrong_image(row, draws[place, 3:7])

        rows = [order(p, len(self.source)) for p in positions]
        list(self.pool.map(fill, range(len(rows)), rows))
        return found | {"label": label}
