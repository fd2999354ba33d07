"""Convex polygons: images with a known distribution, without a download.

The data set of Lucic et al., "Are GANs Created Equal?", NeurIPS 2018, arXiv:1711.10337: black
polygons on white, one vertex in each of n equal segments of a circle. Because the manifold is
known, the precision and recall of a generator can be measured without a feature network.

Reference: google/compare_gan, colabs/Convex_Polygons_Dataset.ipynb.
"""

import numpy as np

from tfgans.data.source import Images

SUB = 8  # sub-pixels along each side of a pixel
WHITE = SUB * SUB
SCALE = 0.75  # diameter of the circle, in sides of the image
ANGLE = 20  # degrees: smallest angle between two vertices in the paper


def polygons(
    count: int, side: int = 28, n_vertices: int = 3, seed: int = 0, faithful: bool = True
) -> np.ndarray:
    """Draws convex polygons.

    Args:
        count: Number of polygons. The first ones do not depend on it.
        side: Height and width in pixels, at most 4,095.
        n_vertices: Number of vertices, 3 for triangles. More give a manifold of more dimensions.
        seed: Seed of the random numbers. Seed 0 and side 28 give the data of the study.
        faithful: If true, three quirks of the study's public code are kept: the rotation is
            converted from degrees to radians twice, hence at most 6.28 degrees; the smallest angle
            between two vertices is half of 20 degrees; a pixel averages the sub-pixels around its
            corner, not its own. If false: rotations up to a full turn, 20 degrees, own sub-pixels.

    Returns:
        uint8 [count, side, side], from 0 (inside, black) to 64 (outside, white): the number of
        sub-pixels, of 8 x 8, that lie outside. The first axis is x.
    """
    return rasterize(draw_vertices(count, side, n_vertices, seed, faithful), side, faithful)


def draw_vertices(count, side, n_vertices, seed, faithful=True) -> np.ndarray:
    """Draws the vertices of `polygons` in pixels, float64 [count, n_vertices, 2] as (x, y)."""
    draws = np.random.RandomState(seed).random_sample([count, n_vertices + 1])
    segment = 360 / n_vertices
    gap = min(ANGLE, segment) / 2  # many vertices must lie closer together
    width = segment - gap if faithful else segment - 2 * gap
    angles = np.arange(n_vertices) * segment + gap + draws[:, :-1] * width
    angles = np.radians(angles)
    points = (np.stack([np.cos(angles), np.sin(angles)], axis=-1) + 1) / 2  # [count, n, 2]
    turn = draws[:, -1:] * 2 * np.pi
    if faithful:
        turn = np.radians(turn)
    x, y = points[..., 0], points[..., 1]
    points = np.stack(
        [x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)], axis=-1
    )
    points *= side * SCALE
    return points - points.mean(axis=1, keepdims=True) + side / 2


def rasterize(vertices: np.ndarray, side: int, faithful: bool = True) -> np.ndarray:
    """Counts the sub-pixels outside convex polygons (see `polygons`).

    A line of constant x crosses a convex polygon in one interval of y, between its lowest and its
    highest intersection with an edge; the sub-pixels strictly between the two are inside.

    Args:
        vertices: float [count, n, 2] in pixels, in the order of the boundary. A vertex that is
            repeated changes nothing, so polygons with fewer vertices can be padded.
    """
    # pixel p averages sub-pixels first + 8p .. first + 8p + 7; sub-pixel k lies at (k + shift) / 8
    first, shift = (-(SUB // 2) + 1, 0.0) if faithful else (0, 0.5)
    lines = np.arange(first, first + SUB * side)
    x = (lines + shift)[:, None]  # [8 side, 1]
    start = vertices[:, None] * SUB  # [count, 1, n, 2]
    end = np.roll(start, -1, axis=2)
    left = np.minimum(start[..., 0], end[..., 0])
    right = np.maximum(start[..., 0], end[..., 0])
    crosses = (left <= x) & (x < right) & (x >= 0)  # [count, 8 side, n]; white beyond the border
    slope = (end[..., 1] - start[..., 1]) / np.where(left < right, end[..., 0] - start[..., 0], 1)
    y = start[..., 1] + slope * (x - start[..., 0]) - shift
    lowest = np.where(crosses, y, np.inf).min(axis=-1)  # [count, 8 side]
    highest = np.where(crosses, y, -np.inf).max(axis=-1)
    # first sub-pixel inside and first one beyond, clipped to the image
    begin = np.clip(np.floor(lowest) + 1, 0, SUB * side).astype("int16")[..., None]
    stop = np.clip(np.ceil(highest), 0, SUB * side).astype("int16")[..., None]
    cells = np.arange(first, first + SUB * side, SUB, dtype="int16")  # [side]
    inside = np.zeros([len(vertices), side, side], "int16")
    for line in range(SUB):  # one line of each pixel at a time, to save memory
        overlap = np.minimum(stop[:, line::SUB], cells + SUB)
        overlap -= np.maximum(begin[:, line::SUB], cells)
        inside += np.maximum(overlap, 0)
    return (WHITE - inside).astype("uint8")


def centered(squares: np.ndarray, height: int, width: int, value=0) -> np.ndarray:
    """Puts squares [..., side, side] into the middle of [..., height, width], filled with a value.

    Args:
        squares: No side is larger than the height or the width.
        height: Rows of the results.
        width: Columns of the results.
        value: Value of the new pixels.
    """
    side = squares.shape[-1]
    top, left = (height - side) // 2, (width - side) // 2
    pads = (top, height - side - top), (left, width - side - left)
    return np.pad(squares, [(0, 0)] * (squares.ndim - 2) + [*pads], constant_values=value)


def rim(images: np.ndarray) -> np.ndarray:
    """The pixels at the border of images [n, H, W, C], [n, 2 H + 2 W, C]; corners count twice."""
    sides = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    return np.concatenate(sides, axis=1)


class SyntheticImages(Images):
    """Polygons in the size and number of channels of a model, drawn when they are read.

    Args:
        image_shape: (height, width, channels). The polygon fills the central square; color
            channels are equal, alpha (the last of 2 or 4 channels) is opaque.
        num_classes: 0 for triangles without labels; else polygons of class k have 3 + k vertices.
        count: Number of images.
    """

    in_memory = True

    def __init__(self, image_shape, num_classes=0, count=2**14):
        self.image_shape = tuple(image_shape)
        self.side = min(image_shape[:2])
        classes = max(num_classes, 1)
        self.vertices = np.empty([count, classes + 2, 2])
        for k in range(classes):
            rows = self.vertices[k::classes]
            drawn = draw_vertices(len(rows), self.side, k + 3, seed=k)
            rows[:] = np.pad(drawn, ((0, 0), (0, classes - 1 - k), (0, 0)), mode="edge")
        if num_classes:
            self.labels = (np.arange(count) % classes).astype("int32")
            self.label_names = [f"{k + 3} vertices" for k in range(classes)]
        self.survey("synthetic", (0, WHITE))

    def __len__(self):
        return len(self.vertices)

    def header(self, i):
        return *self.image_shape, "uint8"

    def read(self, i):
        vertices = self.vertices[i]
        height, width, channels = self.image_shape
        images = rasterize(vertices.reshape(-1, *vertices.shape[-2:]), self.side)
        images = centered(images, height, width, WHITE)
        images = np.repeat(images[..., None], channels, axis=-1)
        if channels in (2, 4):
            images[..., -1] = WHITE
        return images.reshape(*np.shape(i), *self.image_shape)

    def describe(self, i):
        return f"synthetic image {i}"
