"""Synthetic images for translation: scenes, labeled places, cartoons, bars, shapes with masks."""

import colorsys

import numpy as np

from tfgans.data.source import Images
from tfgans.data.synthetic import WHITE, centered, rasterize, rim

GROUND = (230, 230, 230)
GRAIN = 6  # deviation of the brightness in synthetic photographs
FLAT = ((220, 60, 50), (80, 190, 90), (50, 70, 200))  # colors of the three kinds of polygons
KINDS = ("ground", "striped", "checkered", "shaded")
CLASSES = [[name, [*color]] for name, color in zip(KINDS, (GROUND, *FLAT), strict=True)]


class SyntheticScenes(Images):
    """Three quadrilaterals of three kinds on a background, as a drawing or as a picture.

    A drawing has one flat color for each kind, like a label map. In a picture, the kinds are
    striped, checkered and shaded, the background is a gradient, and edges are dark.

    Args:
        image_shape: (height, width, ...); scenes are RGB.
        textured: True for pictures, false for drawings.
        first: Number of the first scene. A drawing and a picture of the same number show the same
            scene.
        count: Number of images.
    """

    grainy = False

    def __init__(self, image_shape, textured, first=0, count=2**12):
        self.height, self.width = image_shape[:2]
        self.outlined, self.first, self.count = textured, first, count
        y, x = np.mgrid[: self.height, : self.width] / max(self.height, self.width)
        self.ground, self.fills = np.array(GROUND), np.array(FLAT)[:, None, None]
        if textured:
            self.ground = mix((250, 240, 200), (170, 150, 130), y)
            self.fills = [
                mix((200, 40, 30), (250, 190, 120), np.floor(8 * y) % 2),
                mix((30, 110, 60), (170, 220, 90), (np.floor(8 * y) + np.floor(8 * x)) % 2),
                mix((120, 220, 250), (30, 20, 120), y),
            ]
        self.survey("synthetic", None)

    def __len__(self):
        return self.count

    def header(self, i):
        return self.height, self.width, 3, "uint8"

    def read(self, i):
        keys = np.random.default_rng([self.first + i])
        kinds = keys.permutation(3)
        inside = quadrilaterals(keys, 3, self.height, self.width)
        image = np.broadcast_to(self.ground, [self.height, self.width, 3])
        for kind, cover in zip(kinds, inside, strict=True):
            image = image + cover * (self.fills[kind] - image)
            if self.outlined:
                image = image * (1 - 3.2 * cover * (1 - cover))  # darkens edges, where cover is 1/2
        if self.grainy:
            image = np.clip(image + keys.normal(0, GRAIN, image.shape[:2])[..., None], 0, 255)
        return np.rint(image).astype("uint8")

    def describe(self, i):
        return f"synthetic scene {self.first + i}"


LOOKS = ("drawing", "picture", "night")


class SyntheticLooks(SyntheticScenes):
    """The scenes of `SyntheticScenes` in one of three looks, see `LOOKS`.

    At night the ground is dark, the three kinds glow in lighter colors of their own, brightest at
    their tops, and edges are dark.

    Args:
        image_shape: (height, width, ...); scenes are RGB.
        look: Number in `LOOKS`.
        first: Number of the first scene. All looks of the same number show the same scene.
        count: Number of images.
    """

    def __init__(self, image_shape, look, first=0, count=2**12):
        super().__init__(image_shape, LOOKS[look] == "picture", first, count)
        if LOOKS[look] == "night":
            self.outlined = True
            y, x = np.mgrid[: self.height, : self.width] / max(self.height, self.width)
            self.ground = mix((10, 10, 35), (45, 40, 80), y)
            self.fills = [
                mix(color, 0.6 * np.array(color), y)
                for color in ((255, 150, 120), (190, 255, 130), (130, 190, 255))
            ]


class SyntheticPlaces(Images):
    """Four quadrilaterals of three kinds: their label map, their numbers, or a photograph of them.

    Each one has a hue of its own in the photograph, and each place its light, from dark to bright
    and from cold to warm; the label map tells neither. Striped, checkered and shaded are the kinds.
    Two neighbors may be of one kind, so that only their numbers tell them apart.

    Args:
        image_shape: (height, width, ...); photographs are RGB.
        part: "photograph"; "labels" for class numbers as in `KINDS`; "instances" for 0 on the
            ground and 1 to 4 on the quadrilaterals.
        first: Number of the first place. All parts of the same number belong together.
        count: Number of images.
    """

    def __init__(self, image_shape, part="photograph", first=0, count=2**12):
        self.height, self.width = image_shape[:2]
        self.part, self.first, self.count = part, first, count
        y, x = np.mgrid[: self.height, : self.width] / max(self.height, self.width)
        self.light_of_kinds = [  # part of the hue that each pixel shows
            np.where(np.floor(8 * y) % 2, 1.0, 0.45)[..., None],
            np.where((np.floor(8 * y) + np.floor(8 * x)) % 2, 1.0, 0.45)[..., None],
            (1 - 0.75 * y)[..., None],
        ]
        self.ground = mix((235, 235, 235), (150, 150, 150), y)
        self.survey("synthetic", None if part == "photograph" else (0, 1))

    def __len__(self):
        return self.count

    def header(self, i):
        if self.part == "photograph":
            return self.height, self.width, 3, "uint8"
        return self.height, self.width, 1, "int32"

    def read(self, i):
        keys = np.random.default_rng([self.first + i])
        kinds, hues = keys.integers(3, size=4), keys.uniform(size=4)
        brightness, warmth = keys.uniform([0.45, -1], [1, 1])
        inside = quadrilaterals(keys, 4, self.height, self.width)
        if self.part != "photograph":
            numbers = kinds + 1 if self.part == "labels" else np.arange(1, 5)
            found = np.zeros([self.height, self.width, 1], "int32")
            for number, cover in zip(numbers, inside, strict=True):
                found = np.where(cover > 0.5, np.int32(number), found)
            return found
        image = self.ground
        for kind, hue, cover in zip(kinds, hues, inside, strict=True):
            color = 255 * np.array(colorsys.hsv_to_rgb(hue, 0.75, 1.0))
            image = image + cover * (color * self.light_of_kinds[kind] - image)
            image = image * (1 - 3.2 * cover * (1 - cover))  # darkens edges, where cover is 1/2
        light = brightness * (1 + 0.35 * warmth * np.array([1, 0, -1]))
        return np.rint(np.clip(light * image, 0, 255)).astype("uint8")

    def describe(self, i):
        return f"{self.part} of synthetic place {self.first + i}"


class SyntheticCartoons(SyntheticScenes):
    """The same scenes as photographs, shaded and grainy without outlines, or as cartoons.

    A cartoon has one flat color for each kind, and dark outlines.

    Args:
        image_shape: (height, width, ...); scenes are RGB.
        cartoon: True for cartoons, false for photographs.
        first: Number of the first scene. A photograph and a cartoon of the same number show the
            same scene.
        count: Number of images.
    """

    def __init__(self, image_shape, cartoon, first=0, count=2**12):
        super().__init__(image_shape, False, first, count)
        self.outlined, self.grainy = cartoon, not cartoon
        if not cartoon:
            y, x = np.mgrid[: self.height, : self.width] / max(self.height, self.width)
            wave = 0.5 + 0.5 * np.sin(40 * x + 25 * y)
            shades = y, x, 1 - y
            self.ground = mix((250, 240, 215), (170, 160, 150), y)
            self.fills = [
                mix(0.6 * np.array(color), 0.6 * np.array(color) + 100, 0.8 * shade + 0.2 * wave)
                for color, shade in zip(FLAT, shades, strict=True)
            ]


class SyntheticTurned(Images):
    """A red bar on white, or a blue spindle on gray, in a random direction: two kinds of one thing.

    `direction_of` finds the direction in the pixels.

    Args:
        image_shape: (height, width, ...); images are RGB.
        spindle: True for spindles, false for bars.
        first: Number of the first image. A bar and a spindle of the same number have the same
            direction and length.
        count: Number of images.
    """

    def __init__(self, image_shape, spindle, first=0, count=2**12):
        self.height, self.width = image_shape[:2]
        self.spindle, self.first, self.count = spindle, first, count
        self.survey("synthetic", None)

    def __len__(self):
        return self.count

    def header(self, i):
        return self.height, self.width, 3, "uint8"

    def read(self, i):
        turn, length = np.random.default_rng([self.first + i]).uniform([0, 0.7], [1, 1])
        side = min(self.height, self.width)
        if self.spindle:
            angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            shape = np.stack([np.cos(angles), 0.35 * np.sin(angles)], axis=-1)
            ground, color = np.array((200, 200, 200)), np.array((40, 60, 190))
        else:
            shape = np.array([[1, 0.15], [-1, 0.15], [-1, -0.15], [1, -0.15]])
            ground, color = np.array((250, 250, 250)), np.array((210, 50, 40))
        cos, sin = np.cos(np.pi * turn), np.sin(np.pi * turn)
        shape = 0.45 * side * length * shape @ np.array([[cos, sin], [-sin, cos]])
        cover = 1 - rasterize(shape[None] + side / 2, side, faithful=False)[0] / WHITE
        cover = centered(cover, self.height, self.width)[..., None]
        return np.rint(ground + cover * (color - ground)).astype("uint8")

    def describe(self, i):
        return f"synthetic {'spindle' if self.spindle else 'bar'} {self.first + i}"


def direction_of(images) -> np.ndarray:
    """The directions of elongated shapes on a ground of one color, [n] in [0, pi).

    Args:
        images: [n, H, W, C]; the border is ground.
    """
    images = np.asarray(images, "float64")
    ground = np.median(rim(images), axis=1)[:, None, None]
    mass = np.abs(images - ground).sum(axis=-1)
    mass = np.where(mass > 0.3 * mass.max(axis=(1, 2), keepdims=True), mass, 0)
    mass /= mass.sum(axis=(1, 2), keepdims=True)
    y, x = np.mgrid[: images.shape[1], : images.shape[2]]
    place = y + 1j * x  # rows first, as in `rasterize`
    offset = place - (mass * place).sum(axis=(1, 2))[:, None, None]
    return np.angle((mass * offset**2).sum(axis=(1, 2))) / 2 % np.pi


def quadrilaterals(keys, count, height, width):
    """Random quadrilaterals, near the size of a quarter of the image.

    Args:
        keys: NumPy generator.
        count: Their number.
        height: Rows of the image.
        width: Columns of the image.

    Returns:
        The part of each pixel that each one covers, [count, height, width, 1].
    """
    side = max(height, width)
    turns = np.arange(4) + keys.uniform(0, 0.7, [count, 4]) + keys.uniform(0, 4, [count, 1])
    corners = np.stack([np.sin(np.pi / 2 * turns), np.cos(np.pi / 2 * turns)], axis=-1)
    centers = keys.uniform(0.2, 0.8, [count, 1, 2]) * (height, width)
    vertices = centers + side * keys.uniform(0.18, 0.32, [count, 1, 1]) * corners
    return 1 - rasterize(vertices, side)[:, :height, :width, None] / WHITE


class SyntheticInstances(Images):
    """One to four triangles, or squares, on a striped gradient, each with its exact mask.

    Gradients have any two colors with the mean 200, because instance normalization takes a mean
    color away. `roundness` tells the two shapes apart.

    Args:
        image_shape: (height, width, ...); images are RGB.
        corners: 3 or 4.
        first: Number of the first image. A triangle and a square of the same number have the same
            place, area and color.
        count: Number of images.
    """

    def __init__(self, image_shape, corners, first=0, count=2**12):
        self.height, self.width = image_shape[:2]
        self.corners, self.first, self.count = corners, first, count
        self.survey("synthetic", None)

    def __len__(self):
        return self.count

    def header(self, i):
        return self.height, self.width, 3, "uint8"

    def covers(self, keys):
        """The part of each pixel that each instance covers, [n, H, W]."""
        side = min(self.height, self.width)
        places = keys.permutation(4)[: keys.integers(1, 4, endpoint=True)]
        n = len(places)
        centers = np.stack([places // 2, places % 2], axis=-1) / 2 + 0.25
        centers = (centers + keys.uniform(-0.03, 0.03, [n, 2])) * (self.height, self.width)
        lengths = side * keys.uniform(0.19, 0.27, [n, 1, 1])  # roots of areas
        turns = (np.arange(self.corners) + 0.5) / self.corners + keys.uniform(-0.03, 0.03, [n, 1])
        points = np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=-1)
        area = self.corners / 2 * np.sin(2 * np.pi / self.corners)  # with a radius of 1
        vertices = centers[:, None] + lengths / np.sqrt(area) * points
        long = max(self.height, self.width)
        found = 1 - rasterize(vertices, long, faithful=False) / WHITE
        return found[:, : self.height, : self.width]

    def read(self, i):
        keys = np.random.default_rng([self.first + i])
        covers = self.covers(keys)
        apart = keys.uniform(-50, 50, 3)  # the mean color is always the same
        light, dark = 200 + apart, 200 - apart
        turn = keys.uniform(0, 2 * np.pi)
        y, x = np.mgrid[: self.height, : self.width] / max(self.height, self.width) - 0.5
        along = np.cos(turn) * y + np.sin(turn) * x
        image = mix(light, dark, along + 0.5) - 20 * (np.floor(8 * along) % 2)[..., None]
        for cover in covers:
            color = np.array(FLAT[keys.integers(3)])
            image = image + cover[..., None] * (color - image)
        return np.rint(np.clip(image, 0, 255)).astype("uint8")

    def read_masks(self, i):
        """The masks of the instances of image i, float32 [H, W, n] in [-1, 1]."""
        covers = self.covers(np.random.default_rng([self.first + i]))
        return (2 * np.moveaxis(covers, 0, -1) - 1).astype("float32")

    def describe(self, i):
        return f"synthetic image {self.first + i} of instances with {self.corners} corners"


def roundness(masks) -> np.ndarray:
    """Area of shapes, squared, beside their spread: 1 for a disc, 0.95 a square, 0.83 a triangle.

    Args:
        masks: [n, H, W] in [-1, 1], 1 inside.
    """
    mass = (np.asarray(masks, "float64") + 1) / 2
    y, x = np.mgrid[: mass.shape[1], : mass.shape[2]]
    place = y + 1j * x
    area = mass.sum(axis=(1, 2))
    center = (mass * place).sum(axis=(1, 2)) / area
    spread = (mass * np.abs(place - center[:, None, None]) ** 2).sum(axis=(1, 2))
    return area**2 / (2 * np.pi * spread)


def mix(first, second, share):
    """Mixes two colors: [height, width, 3] by the share of the second, [height, width]."""
    first, second = np.array(first), np.array(second)
    return first + share[..., None] * (second - first)
