"""Synthetic layers: shapes that lie on a disc and cover each other, with their masks and order."""

import numpy as np

from tfgans.data.source import DataError, Images
from tfgans.data.synthetic import WHITE, centered, rasterize

LAYERS = ("triangle", "square", "hexagon")
CORNERS = (3, 4, 6)
COLORS = ((205, 60, 50), (60, 140, 70), (75, 90, 200))
GROUND, DISC = (150, 150, 155), (235, 205, 130)
SIDE = 0.36  # root of the area of each shape, as a part of the image's side
APART = 0.13  # distance of its center from that of the disc, before a random shift


class SyntheticLayers(Images):
    """A disc with up to three shapes of one area, each there or not, in a random order.

    The label of an image is a vector with a 1 for each shape that lies there, see `LAYERS`. Shapes
    cover parts of each other and never all; all are turned, shifted and lit at random.

    Args:
        image_shape: (height, width, 3) of at least 16 x 16 pixels.
        first: Number of the first image.
        count: Number of images. The first ones do not depend on it.
    """

    def __init__(self, image_shape, first=0, count=2**13):
        self.height, self.width, channels = image_shape
        self.side = side = min(self.height, self.width)
        if channels != 3 or side < 16:
            raise DataError(
                f"Synthetic layers need RGB images of at least 16x16 pixels, not {image_shape}.",
                "Set model.image_shape, for example to [32, 32, 3].",
            )
        self.first, n = first, len(LAYERS)
        draws = np.random.RandomState(0).random_sample([first + count, n, 6])[first:]
        self.present = draws[..., 0] < 0.5
        self.labels = self.present.astype("float32")
        self.drawn = np.argsort(draws[..., 1], axis=1)  # [count, n], the lowest layer first
        self.light = 0.8 + 0.2 * draws[:, 0, 5]
        turns = np.argsort(draws[..., 2], axis=1) / n + draws[:, :1, 5]  # thirds of a circle
        centers = (
            APART * side * np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=-1)
        )
        centers += 0.06 * side * (draws[..., 3:5] - 0.5) + side / 2
        corners = np.array(CORNERS)[:, None]
        # A shape of fewer corners repeats its last one.
        numbers = np.minimum(np.arange(max(CORNERS)), corners - 1)  # [n, 6]
        angles = 2 * np.pi * (numbers / corners + draws[..., 4:5])
        area = corners / 2 * np.sin(2 * np.pi / corners)  # with a radius of 1
        points = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        radius = SIDE * side / np.sqrt(area)
        self.vertices = radius[..., None] * points + centers[:, :, None]  # [count, n, 6, 2]
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        disc = side * (0.5 + 0.46 * np.stack([np.cos(angles), np.sin(angles)], axis=-1))
        self.disc = self.cover(disc[None])[0]
        self.attribute_names = [*LAYERS]
        self.survey("synthetic", None)

    def cover(self, vertices):
        """The part of each pixel that each of n shapes covers, [n, H, W]."""
        found = 1 - rasterize(vertices, self.side, faithful=False) / WHITE
        return np.stack([centered(x, self.height, self.width) for x in found])

    def __len__(self):
        return len(self.drawn)

    def header(self, i):
        return self.height, self.width, 3, "uint8"

    def read(self, i):
        image = np.array(GROUND) + self.disc[..., None] * (np.array(DISC) - np.array(GROUND))
        covers = self.cover(self.vertices[i])
        for k in self.order(i)[::-1]:
            image = image + covers[k][..., None] * (np.array(COLORS[k]) - image)
        return np.rint(self.light[i] * image).astype("uint8")

    def order(self, i) -> list:
        """The numbers of the shapes of image i, from the top one down."""
        return [int(k) for k in self.drawn[i, ::-1] if self.present[i, k]]

    def masks(self, i):
        """The part of each pixel that shows each shape, [n, H, W] in [0, 1]."""
        covers, free = self.cover(self.vertices[i]), np.ones([self.height, self.width])
        found = np.zeros(covers.shape)
        for k in self.order(i):
            found[k] = free * covers[k]
            free = free * (1 - covers[k])
        return found

    def describe(self, i):
        return f"synthetic layers {self.first + i}"
