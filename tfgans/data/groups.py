"""The data kind "groups": pairs of images, of which half are of one group, such as one color.

The data are those of the kind "images" with class numbers; a class is a group.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgans.data.images import ImageReader, common_shape, open_source, report_conversion
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images
from tfgans.data.synthetic import WHITE, centered, rasterize

GROUND = 225  # gray value
COLORS = ((205, 50, 45), (45, 140, 60), (50, 75, 205), (150, 60, 160), (60, 60, 60))
SHAPES = ("triangle", "square", "diamond", "disc")
CORNERS = (3, 4, 4, 16)
TURNS = (-90, 45, 0, 0)  # degrees, to the first corner


def resolve(settings: Data, given: dict, defaults: dict) -> Images:
    """Opens the data; sets image_shape where it is not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    if settings.path == "synthetic":
        return ColoredShapes(given.get("image_shape") or defaults["image_shape"])
    settings = dataclasses.replace(settings, labels=True)
    source = open_source(settings, given.get("image_shape"))
    if "image_shape" not in given:
        given["image_shape"] = list(common_shape(source))
    return source


class ColoredShapes(Images):
    """Four shapes in five colors on gray, each at some place, in some size, a little turned.

    Args:
        image_shape: (height, width, 3) of at least 16 x 16 pixels.
        first: Number of the first image.
        count: Number of images. The first ones do not depend on it.

    Attributes:
        labels: The color of each image, its group.
        shapes: The shape of each image, its number in `SHAPES`.
    """

    in_memory = True

    def __init__(self, image_shape, first=0, count=2**13):
        self.height, self.width, channels = image_shape
        self.side = side = min(self.height, self.width)
        if channels != 3 or side < 16:
            raise DataError(
                f"Synthetic groups need RGB images of at least 16x16 pixels, not {image_shape}.",
                "Set model.image_shape, for example to [32, 32, 3].",
            )
        draws = np.random.RandomState(0).random_sample([first + count, 6])[first:]
        self.labels = np.floor(draws[:, 0] * len(COLORS)).astype("int32")
        self.shapes = np.floor(draws[:, 1] * len(SHAPES)).astype("int32")
        self.label_names = [f"color {k}" for k in range(len(COLORS))]
        corners = np.array(CORNERS)[self.shapes, None]
        # A shape of fewer corners repeats its last one.
        numbers = np.minimum(np.arange(max(CORNERS)), corners - 1)
        turns = np.array(TURNS)[self.shapes, None] + 16 * (draws[:, 2:3] - 0.5)
        angles = 2 * np.pi * numbers / corners + np.radians(turns)
        radius = side * (0.22 + 0.1 * draws[:, 3:4])
        points = radius[..., None] * np.stack([np.sin(angles), np.cos(angles)], axis=-1)
        places = side * (0.5 + 0.16 * (draws[:, None, 4:] - 0.5))
        self.vertices = points + places  # [count, 16, 2] as (row, column)
        self.survey("synthetic", None)

    def __len__(self):
        return len(self.labels)

    def header(self, i):
        return self.height, self.width, 3, "uint8"

    def read(self, i):
        vertices = self.vertices[i]
        shapes = rasterize(vertices.reshape(-1, *vertices.shape[-2:]), self.side, faithful=False)
        cover = centered(1 - shapes / WHITE, self.height, self.width)[..., None]
        colors = np.array(COLORS)[np.reshape(self.labels[i], [-1, 1, 1])]  # [n, 1, 1, 3]
        images = np.rint(GROUND + cover * (colors - GROUND)).astype("uint8")
        return images.reshape(*np.shape(i), self.height, self.width, 3)

    def describe(self, i):
        return f"synthetic shape {i}"


def read_shapes(images) -> tuple:
    """The outlines and colors that pictures like those of `ColoredShapes` show.

    Args:
        images: [n, H, W, 3] in [-1, 1].

    Returns:
        The mask of each shape, boolean [n, H, W]; the number of the color that is nearest to the
        mean of its pixels, int [n].
    """
    pixels = (np.asarray(images, "float64") + 1.0) * 127.5
    colors = np.array(COLORS, "float64")
    # At least half covered, as far as the nearest color goes.
    away = np.linalg.norm(pixels - GROUND, axis=-1)
    masks = away > 0.5 * away.max(axis=(1, 2), keepdims=True)
    found = []
    for picture, mask in zip(pixels, masks, strict=True):
        mean = picture[mask].mean(axis=0)
        found.append(np.argmin(np.linalg.norm(colors - mean, axis=1)))
    return masks, np.array(found)


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    image = tf.TensorSpec(model.stage_shape(stage))
    return {"a": image, "b": image, "same": tf.TensorSpec([], "int32")}


class Reader:
    """Feeds a model with two images "a" and "b"; "same" is 1 where they are of one group, or 0.

    Each image is "a" once in a pass. Every other pair is of one group; its "b" is any other image
    of this group. In the others, "b" is any image of all other groups. So in groups of one size
    neither "a" nor "b" alone tells which kind of pair it is in.

    Args:
        model: Its image_shape is used.
        source: Images with class numbers. They are cropped, resized and converted.
        config: Its flip and broken are used. The next intact image replaces a broken one.

    Raises:
        DataError: The images or labels do not fit.
    """

    unit = "pairs"
    real = "a"
    settings = ("labels", "flip")
    draws = 3  # mirror if < 0.5, for each of the two images; the place of b among all candidates

    def __init__(self, model, source: Images, config: Data, stage: int):
        labels = source.labels
        if labels is None or labels.ndim != 1:
            raise DataError(
                f"{type(model).__name__} takes images of groups, and {source.path} has no class "
                "numbers.",
                "Put the images of each group into a sub-folder of their own.",
            )
        sizes = np.bincount(labels)
        if np.count_nonzero(sizes) < 2 or 1 in sizes:
            raise DataError(
                f"{type(model).__name__} takes two or more groups of two or more images; those of "
                f"{source.path} have {', '.join(map(str, sizes))}.",
                "Add images, or leave a group out.",
            )
        report_conversion(source, *model.image_shape)
        self.labels, self.flip, self.signature = labels, config.flip, signature(model, stage)
        self.sorted = np.argsort(labels, kind="stable")  # one group after the other
        self.place = np.argsort(self.sorted)  # of each image in this order
        self.sizes, self.begin = sizes, np.cumsum(sizes) - sizes
        self.files = ImageReader(source, model.image_shape, config.broken)

    def partner(self, i, same, draw):
        """The image that image i is paired with; draw in [0, 1) chooses among all candidates."""
        group, n = self.labels[i], len(self.labels)
        begin, size = self.begin[group], self.sizes[group]
        if same:  # the next 1 to size - 1 in its group, around
            step = 1 + int(draw * (size - 1))
            return self.sorted[begin + (self.place[i] - begin + step) % size]
        return self.sorted[(begin + size + int(draw * (n - size))) % n]

    def read(self, positions, order, draws):
        mirror = (draws[:, :2] < 0.5) & self.flip
        first = [order(p, len(self.labels)) for p in positions]
        second = [
            self.partner(i, p % 2 == 0, draw)
            for i, p, draw in zip(first, positions, draws[:, 2], strict=True)
        ]
        a, of_a = self.files.read(first, mirror[:, 0])
        b, of_b = self.files.read(second, mirror[:, 1])
        same = self.labels[of_a] == self.labels[of_b]  # another image may replace a broken one
        return {"a": a, "b": b, "same": same.astype("int32")}
