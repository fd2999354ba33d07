"""Synthetic films: textured squares with their exact flow, also noisy, and digits that bounce.

Both move as the digits of Moving MNIST do: one step, then back to the wall that was passed, where
the velocity turns round.
"""

import functools

import numpy as np
from PIL import Image, ImageDraw

from tfgans.data.scenes import mix

CLASSES = [["ground", [120, 120, 120]], ["striped", [220, 60, 50]], ["checkered", [50, 70, 200]]]
FASTEST = 2  # pixels per frame, of squares
GRAIN = 10  # deviation of the brightness of a texture
NOISE = 20  # deviation of the noise of a camera, of 255
SIDES = (0.25, 0.4)  # of squares, beside the shorter side of the frame
DIGIT = 28 / 64  # side of a digit beside the shorter side of the frame
STEP = 0.1  # way of a digit in one frame, in lengths of its room
SEGMENTS = (  # left, top, right, bottom of the parts of an 8, in a box of 28 x 28
    (7, 3, 21, 6),
    (18, 3, 21, 15),
    (18, 13, 21, 25),
    (7, 22, 21, 25),
    (7, 13, 10, 25),
    (7, 3, 10, 15),
    (7, 12, 21, 15),
)
LIT = ("012345", "12", "01346", "01236", "1256", "02356", "023456", "012", "0123456", "012356")


class SyntheticFilms:
    """Films by number, of one length: a source of the data kind "video".

    Args:
        image_shape: (height, width, ...).
        length: Frames of each film.
        first: Number of the first film.
        count: Number of films.
    """

    path, failure, noun, conversion_reported = "synthetic", None, "film", False
    value_range, maps, legend, flow = (0, 255), None, (), None
    channels = 3

    def __init__(self, image_shape, length, first=0, count=2**12):
        self.height, self.width = image_shape[:2]
        self.first, self.lengths = first, np.full(count, length)
        self.smallest = self.largest = self.shape = (self.height, self.width, self.channels)

    def __len__(self):
        return len(self.lengths)

    def describe(self, i):
        return f"synthetic film {self.first + i}"


class SyntheticSquares(SyntheticFilms):
    """A striped and a checkered square on a textured ground, which moves too in half of the films.

    Velocities are whole pixels, so the flow is exact.
    """

    legend, resting = CLASSES, False

    def read(self, i, frames):
        """Frames of film i.

        Args:
            i: Its index.
            frames: Numbers of the frames, ascending.

        Returns:
            "video", uint8 [T, H, W, 3]; "map", the classes of `CLASSES`, int32 [T, H, W]; "flow"
            from each frame to the one before it in `frames`, float32 [T, H, W, 2], see
            `ops/warp.py`; "visible", which is 1 where a pixel is seen in both, float32
            [T, H, W, 1]. The first frame has no flow, and nothing is visible.
        """
        keys = np.random.default_rng([self.first + i])
        size = np.array([self.height, self.width])
        sides = keys.integers(*(np.array(SIDES) * size.min() + (1, 2)).astype(int), 2)
        room = size - sides[:, None]
        velocity = keys.integers(1, FASTEST, [2, 2], endpoint=True) * keys.choice([-1, 1], [2, 2])
        velocity[range(2), keys.integers(0, 2, 2)] *= keys.integers(0, 2, 2)  # some go straight
        length = int(self.lengths[i])
        places = walk(keys.integers(0, room, endpoint=True), velocity, room, length)
        drift = keys.integers(-1, 2, 2) * keys.integers(0, 2) * (not self.resting)
        shifts = np.arange(length)[:, None] * drift
        ground = texture(keys, *size, kind=0)
        squares = [
            texture(keys, side, side, kind) for side, kind in zip(sides, (1, 2), strict=True)
        ]
        above = keys.permutation(2)  # the last one covers the other
        video = np.empty([len(frames), *size, 3], "uint8")
        layer = np.zeros([len(frames), *size], "int32")
        for t, frame in enumerate(frames):
            video[t] = np.roll(ground, shifts[frame], (0, 1))
            for k in above:
                (y, x), side = places[frame, k], sides[k]
                video[t, y : y + side, x : x + side] = squares[k]
                layer[t, y : y + side, x : x + side] = k + 1
        moved = np.concatenate([shifts[frames, None], places[frames]], axis=1)  # [T, 3 layers, 2]
        way = np.zeros_like(moved)
        way[1:] = moved[:-1] - moved[1:]
        flow = np.take_along_axis(way[:, :, None], layer.reshape(len(frames), -1, 1, 1), axis=1)
        flow = flow.reshape(*layer.shape, 2)
        return {
            "video": video,
            "map": layer,
            "flow": flow[..., ::-1].astype("float32"),
            "visible": seen_before(layer, flow).astype("float32"),
        }


class NoisySquares(SyntheticSquares):
    """The same over a ground at rest, as a poor camera sees them: other noise in each frame."""

    resting = True

    def read(self, i, frames):
        found = super().read(i, frames)
        for frame, image in zip(frames, found["video"], strict=True):
            keys = np.random.default_rng([self.first + i, frame])
            noisy = image + keys.normal(0, NOISE, image.shape)
            image[:] = np.rint(np.clip(noisy, 0, 255))
        return found


def walk(place, velocity, room, length) -> np.ndarray:
    """The places of things that bounce between 0 and `room`, [length, n, 2]."""
    places = [place]
    for _ in range(length - 1):
        place = place + velocity
        beyond = (place < 0) | (place > room)
        place, velocity = np.clip(place, 0, room), np.where(beyond, -velocity, velocity)
        places.append(place)
    return np.stack(places)


def seen_before(layer, flow):
    """1 where the flow leads to the same layer inside the frame before, [T, H, W, 1]."""
    _, height, width = layer.shape
    y, x = np.mgrid[:height, :width]
    found = np.zeros(layer.shape, bool)
    for t in range(1, len(layer)):
        row, column = y + flow[t, ..., 0], x + flow[t, ..., 1]
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        before = layer[t - 1, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        found[t] = inside & (before == layer[t])
    return found[..., None]


def texture(keys, height, width, kind):
    """A grainy texture, uint8 [height, width, 3]: 0 waves, 1 stripes, 2 checkers."""
    y, x = np.mgrid[:height, :width]
    if kind == 0:
        waves = keys.integers(1, 3, 2)
        y, x = y / height, x / width  # whole waves: the ground has no border
        share = 0.5 + 0.25 * (np.sin(2 * np.pi * waves[0] * y) + np.sin(2 * np.pi * waves[1] * x))
        colors = keys.uniform(60, 200, [2, 3])
    else:
        unit = max(min(height, width) // 4, 1)
        share = (y // unit + (x // unit if kind == 2 else 0)) % 2
        colors = np.array([keys.uniform(0, 80, 3), keys.uniform(170, 255, 3)])
    image = mix(*colors, share) + keys.normal(0, GRAIN, [height, width])[..., None]
    return np.rint(np.clip(image, 0, 255)).astype("uint8")


class SyntheticDigits(SyntheticFilms):
    """Two digits that bounce in a black box: Moving MNIST, with digits of seven straight strokes.

    As in Srivastava et al. (ICML 2015, arXiv:1502.04681), the way of a digit in one frame is a
    tenth of the room that it has, and where digits meet, the brighter pixel counts.
    """

    channels = 1

    def read(self, i, frames):
        """Frames of film i: "video", uint8 [T, H, W, 1].

        Args:
            i: Its index.
            frames: Numbers of the frames.
        """
        keys = np.random.default_rng([self.first + i])
        side = round(DIGIT * min(self.height, self.width))
        angle = keys.uniform(0, 2 * np.pi, 2)
        velocity = STEP * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
        places = walk(keys.uniform(size=[2, 2]), velocity, 1.0, int(self.lengths[i]))
        places = (places * (self.height - side, self.width - side)).astype(int)
        digits = [glyph(int(number), side) for number in keys.integers(0, 10, 2)]
        video = np.zeros([len(frames), self.height, self.width, 1], "uint8")
        for t, frame in enumerate(frames):
            for digit, (y, x) in zip(digits, places[frame], strict=True):
                window = video[t, y : y + side, x : x + side, 0]
                np.maximum(window, digit, out=window)
        return {"video": video}


@functools.cache
def glyph(number, side) -> np.ndarray:
    """A digit of straight strokes, white on black, uint8 [side, side]."""
    picture = Image.new("L", (112, 112))
    draw = ImageDraw.Draw(picture)
    for k in map(int, LIT[number]):
        left, top, right, bottom = (4 * edge for edge in SEGMENTS[k])
        draw.rounded_rectangle((left, top, right - 1, bottom - 1), 5, 255)
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX))
