"""ADA — Training Generative Adversarial Networks with Limited Data.

Karras, Aittala, Hellsten, Laine, Lehtinen, Aila, NeurIPS 2020, arXiv:2006.06676.

New here: the discriminator sees each image, real or fake, after random differentiable transforms.
Each transform happens with probability p < 1, so the generator does not learn to imitate it. p is
not tuned by hand: it rises while D is too sure of the real images, and falls otherwise.

Differs from the paper: the transforms, their order and their strengths do not differ; on the same
random numbers the images are those of the authors' code to 1e-4. That code pads the whole batch by
as much as its most distorted image needs, so near the far end of the padding an image depends on
its batch; here it does not. Two rules are added: alpha keeps its values, and images of two channels
are not recolored. As in that code, the sym6 filter is not quite symmetric, so flips and quarter
turns are very slightly soft; translations by whole pixels are exact.

Reference: NVlabs/stylegan2-ada-pytorch
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput

TRANSFORMS = ("blit", "geom", "color", "filter", "noise", "cutout")
PRESETS = {name: TRANSFORMS[: len(name)] for name in ("b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc")}

# Low-pass filters of two orthogonal wavelets (Daubechies' symlets); both sum to sqrt(2).
SYM2 = np.array([-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025])
SYM6 = np.array(
    [
        0.015404109327027373,
        0.0034907120842174702,
        -0.11799011114819057,
        -0.048311742585633,
        0.4910559419267466,
        0.787641141030194,
        0.3379294217276218,
        -0.07263752278646252,
        -0.021060292512300564,
        0.04472490177066578,
        0.0017677118642428036,
        -0.007800708325034148,
    ]
)
CENTER = 5  # the tap of SYM6 that falls on the pixel itself
EXPECTED_POWER = np.array([10, 1, 1, 1], "float32") / 13  # of the four octaves of a natural image


class AdaptiveAugment(keras.layers.Layer):
    """Random transforms of the discriminator's input, with a probability p that adapts.

    A model calls the layer on all images that it shows to its discriminator, calls `observe` with
    the scores of the real ones, and calls `adjust` every `every` steps. Without `adjust`, p keeps
    its value.

    The images may have any height and width, and 1 to 4 channels. The color transforms act on the
    first three channels, or on the only one; alpha, and images of two channels, keep their values.

    Args:
        transforms: Groups of transforms, in the paper's shorthand "b", "bg", "bgc", "bgcf", "bgcfn"
            or "bgcfnc", or as a name or a list of names: "blit" (x-flip, quarter turn, translation
            by whole pixels), "geom" (scaling, rotation, stretching, translation), "color"
            (brightness, contrast, luma flip, hue, saturation), "filter" (gain of four frequency
            bands), "noise" and "cutout".
        target: Target of r_t = E[sign(D(real))]; p grows while r_t is larger.
        speed_kimg: Thousands of real images in which p can move by 1. The paper takes 500 for
            training from scratch and 100 for fine-tuning.
        every: Steps from one `adjust` to the next; the model that calls it counts them.
        initial_p: Start value of p.

    Raises:
        BadInput: `transforms` has an unknown name.
    """

    def __init__(
        self, transforms="bgc", target=0.6, speed_kimg=500, every=4, initial_p=0.0, **kwargs
    ):
        super().__init__(autocast=False, **kwargs)
        self.transforms, self.target, self.speed_kimg = transforms, target, speed_kimg
        self.every, self.initial_p = every, initial_p
        is_name = isinstance(transforms, str)
        self.groups = PRESETS.get(transforms, [transforms]) if is_name else transforms
        if not set(self.groups) <= set(TRANSFORMS):
            raise BadInput(
                f"`transforms` must be one of {', '.join(PRESETS)}, or a list of names from "
                f"{', '.join(TRANSFORMS)}, not {transforms!r}."
            )
        self.p = self.add_state("p", initial_p)
        self.images_seen = self.add_state("images_seen", 0.0)
        self.sign_sum = self.add_state("sign_sum", 0.0)

    def add_state(self, name, value):
        """A saved variable that a training step may assign.

        Args:
            name: Its name.
            value: Its start, a number.
        """
        return self.add_weight(
            name=name,
            shape=(),
            initializer=keras.initializers.Constant(value),
            dtype="float32",
            trainable=False,
            autocast=False,
            aggregation="mean",  # replicas agree after each assignment
        )

    def call(self, images):
        p = tf.convert_to_tensor(self.p)
        n, height, width, channels = tf.shape(images)[0], *images.shape[1:]
        x = tf.cast(images, "float32")  # [N, H, W, C]
        if "blit" in self.groups or "geom" in self.groups:
            maps = tf.eye(3, batch_shape=[n])
            if "blit" in self.groups:
                maps @= draw_blit(n, p, height, width)
            if "geom" in self.groups:
                maps @= draw_geom(n, p, height, width)
            x = warp(x, maps)
        if "color" in self.groups and channels != 2:
            x = recolor(x, draw_color(n, p))
        if "filter" in self.groups:
            x = amplify(x, draw_gains(n, p))
        if "noise" in self.groups:
            x += draw_noise(n, p, height, width, channels)
        if "cutout" in self.groups:
            x *= draw_cutout(n, p, height, width)
        return tf.cast(x, images.dtype)

    def observe(self, real_scores):
        """Counts the signs of D's scores of augmented real images, for the next `adjust`.

        Args:
            real_scores: [N, ...]; a map of scores counts as one image.
        """
        # The variables hold means over the replicas, so each replica counts the images of all.
        n = tf.shape(real_scores)[0] * tf.distribute.get_strategy().num_replicas_in_sync
        n = tf.cast(n, "float32")
        sign = tf.reduce_mean(tf.cast(tf.sign(real_scores), "float32"))
        self.images_seen.assign_add(n)
        self.sign_sum.assign_add(n * sign)

    def adjust(self):
        """Raises p if r_t of the images since the last call is above the target, else lowers it."""
        direction = tf.sign(self.sign_sum - self.target * self.images_seen)  # sign(r_t - target)
        step = direction * self.images_seen / (self.speed_kimg * 1000)
        self.p.assign(tf.maximum(self.p + step, 0.0))
        self.images_seen.assign(0.0)
        self.sign_sum.assign(0.0)


def sometimes(p, value, neutral):
    """Takes `value` with probability p, else `neutral`; decides for each sample alone."""
    chosen = random.uniform([tf.shape(value)[0]] + [1] * (value.shape.rank - 1)) < p
    return tf.where(chosen, value, tf.cast(neutral, value.dtype))


# === Geometry ===
# Points are (x, y, 1) in pixels from the center of the image, x to the right, y down. All maps go
# backwards: from a point of the result to the point of the image that appears there. So the
# transform that happens first is the leftmost factor.


def matrices(*rows):
    """[N, 3, 3] from three rows of numbers and tensors [N]."""
    zeros = tf.zeros_like(next(entry for row in rows for entry in row if tf.is_tensor(entry)))
    return tf.stack([tf.stack([zeros + entry for entry in row], -1) for row in rows], -2)


def translation(x, y):
    return matrices([1, 0, x], [0, 1, y], [0, 0, 1])


def scaling(x, y):
    return matrices([x, 0, 0], [0, y, 0], [0, 0, 1])


def rotation(angle):
    cos, sin = tf.cos(angle), tf.sin(angle)
    return matrices([cos, -sin, 0], [sin, cos, 0], [0, 0, 1])


def draw_blit(n, p, height, width):
    """Draws transforms that move whole pixels: [N, 3, 3]."""
    flip = sometimes(p, random.uniform([n], 0, 2, "int32"), 0)
    turns = sometimes(p, random.uniform([n], 0, 4, "int32"), 0)
    shift = sometimes(p, random.uniform([n, 2], -0.125, 0.125), 0)
    shift = tf.round(shift * [width, height])
    return (
        scaling(tf.cast(1 - 2 * flip, "float32"), 1)
        @ rotation(np.pi / 2 * tf.cast(turns, "float32"))
        @ translation(-shift[:, 0], -shift[:, 1])
    )


def draw_geom(n, p, height, width):
    """Draws transforms that interpolate between pixels: [N, 3, 3]."""
    # At least one of the two rotations happens with probability p.
    p_rotate = 1 - tf.sqrt(tf.clip_by_value(1 - p, 0, 1))
    scale = sometimes(p, 2 ** (0.2 * random.normal([n])), 1)
    before = sometimes(p_rotate, random.uniform([n], -np.pi, np.pi), 0)
    stretch = sometimes(p, 2 ** (0.2 * random.normal([n])), 1)
    after = sometimes(p_rotate, random.uniform([n], -np.pi, np.pi), 0)
    shift = sometimes(p, 0.125 * random.normal([n, 2]), 0) * [width, height]
    return (
        scaling(1 / scale, 1 / scale)
        @ rotation(before)
        @ scaling(1 / stretch, stretch)
        @ rotation(after)
        @ translation(-shift[:, 0], -shift[:, 1])
    )


def warp(images, maps):
    """Shows at each point the value that `images` have at `maps @ point`, without aliasing.

    The images are mirrored at their borders, up-sampled by 2, interpolated bilinearly on a grid of
    twice the resolution, and down-sampled by 2. Beyond the mirror images there are zeros.

    Args:
        images: [N, H, W, C].
        maps: [N, 3, 3].

    Returns:
        [N, H, W, C].
    """
    height, width, channels = images.shape[1:]
    x = np.arange(-CENTER, 2 * width + CENTER) - (width - 1)  # from the center, in half pixels
    y = np.arange(-CENTER, 2 * height + CENTER) - (height - 1)
    x, y = np.meshgrid(x.astype("float32"), y.astype("float32"))  # [2H + 10, 2W + 10]
    x, y = tf.unstack(tf.einsum("nij,jhw->inhw", maps[:, :2], np.stack([x, y, 2 + 0 * x])))
    mirrored = (tf.abs(x) <= 3 * width - 2) & (tf.abs(y) <= 3 * height - 2)  # or the image itself

    x, y = x + width - 1, y + height - 1  # pixel i is at 2i
    left, top = tf.floor(x), tf.floor(y)
    column = tf.cast(left, "int32") % (4 * width - 4)
    row = tf.cast(top, "int32") % (4 * height - 4)
    stride = 4 * width - 3
    index = row * stride + column
    corners = tf.stack([index, index + 1, index + stride, index + stride + 1], axis=1)
    x, y = x - left, y - top
    weights = tf.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], axis=1)
    weights *= tf.cast(mirrored, "float32")[:, None]  # [N, 4, 2H + 10, 2W + 10]

    fine = separable(images, upsampling(height), upsampling(width))  # [N, 4H - 3, 4W - 3, C]
    fine = tf.reshape(fine, [-1, (4 * height - 3) * stride, channels])
    values = tf.gather(fine, corners, batch_dims=1)  # [N, 4, 2H + 10, 2W + 10, C]
    warped = tf.reduce_sum(weights[..., None] * values, axis=1)
    return separable(warped, downsampling(height), downsampling(width))


def separable(images, rows, columns):
    """Multiplies the axis H of images [N, H, W, C] by one matrix and the axis W by another."""
    height, width, channels = images.shape[1:]
    planes = tf.transpose(images, [0, 3, 1, 2])
    # [N C, H, W], because TensorFlow 2.21 with oneDNN crashes on [N, 1, H, W] times a matrix.
    planes = tf.reshape(planes, [-1, height, width])
    planes = tf.matmul(rows @ planes, columns, transpose_b=True)
    planes = tf.reshape(planes, [-1, channels, len(rows), len(columns)])
    return tf.transpose(planes, [0, 2, 3, 1])


@functools.cache
def upsampling(size):
    """[4 size - 3, size]: makes one period of a signal and its mirror image, at twice the rate.

    A matrix has two advantages over a convolution: with 3 channels it is faster on a CPU, and the
    signal need not be padded to three times its length. The last row repeats the first, so that
    every point has a neighbor to the right.
    """
    mirrored = np.pad(np.eye(size), ((0, size - 2), (0, 0)), "reflect")  # [2 size - 2, size]
    signal = np.zeros([2 * len(mirrored), size])
    signal[::2] = mirrored
    taps = np.sqrt(2) * SYM6  # sum 2, which makes up for the zeros
    signal = sum(tap * np.roll(signal, i - CENTER, axis=0) for i, tap in enumerate(taps))
    return np.vstack([signal, signal[:1]]).astype("float32")


@functools.cache
def downsampling(size):
    """[size, 2 size + 10]: low-pass filters a signal with 5 extra at each end, keeps every 2nd."""
    matrix = np.zeros([size, 2 * size + 2 * CENTER])
    for i in range(size):
        matrix[i, 2 * i : 2 * i + len(SYM6)] = SYM6 / np.sqrt(
            2
        )  # sum 1, the reverse of upsampling's
    return matrix.astype("float32")


# === Color ===
# Maps of (r, g, b, 1). Luma is the part along the grey axis (1, 1, 1), chroma the part across it.

RGB = np.diag([1, 1, 1, 0]).astype("float32")
ONE = np.diag([0, 0, 0, 1]).astype("float32")
LUMA = np.pad(np.full([3, 3], 1 / 3, "float32"), (0, 1))  # projects on the grey axis
CHROMA = RGB - LUMA
QUARTER_TURN = np.pad(
    np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], "float32") / np.sqrt(3, dtype="float32"), (0, 1)
)  # of the chroma, about the grey axis
OFFSET = np.outer([1, 1, 1, 0], [0, 0, 0, 1]).astype("float32")


def draw_color(n, p):
    """Draws affine maps of color: [N, 4, 4]. The rightmost factor happens first."""
    brightness = sometimes(p, 0.2 * random.normal([n, 1, 1]), 0)
    contrast = sometimes(p, 2 ** (0.5 * random.normal([n, 1, 1])), 1)
    flip = tf.cast(sometimes(p, random.uniform([n, 1, 1], 0, 2, "int32"), 0), "float32")
    hue = sometimes(p, random.uniform([n, 1, 1], -np.pi, np.pi), 0)
    saturation = sometimes(p, 2 ** random.normal([n, 1, 1]), 1)
    return (
        (LUMA + saturation * CHROMA + ONE)
        @ (LUMA + tf.cos(hue) * CHROMA + tf.sin(hue) * QUARTER_TURN + ONE)
        @ ((1 - 2 * flip) * LUMA + CHROMA + ONE)
        @ (contrast * RGB + ONE)
        @ (RGB + brightness * OFFSET + ONE)
    )


def recolor(images, maps):
    """Applies maps [N, 4, 4] to the colors of images [N, H, W, C]; alpha keeps its values."""
    color, alpha = images[..., :3], images[..., 3:]
    if images.shape[-1] == 1:  # the mean of the result for three equal channels
        maps = tf.reduce_mean(maps[:, :3], axis=1, keepdims=True)  # [N, 1, 4]
        return color * tf.reduce_sum(maps[..., :3], -1)[..., None, None] + maps[..., 3:, None]
    color = tf.einsum("nij,nhwj->nhwi", maps[:, :3, :3], color) + maps[:, None, None, :3, 3]
    return tf.concat([color, alpha], axis=-1)


# === Frequencies ===


def draw_gains(n, p):
    """[N, 4]: amplifies or dampens one octave after the other, at equal expected power."""
    gains = tf.ones([n, 4])
    for octave in np.eye(4, dtype="float32"):
        loudness = 1 + octave * (sometimes(p, 2 ** random.normal([n, 1]), 1) - 1)
        power = tf.reduce_sum(EXPECTED_POWER * loudness**2, axis=1, keepdims=True)
        gains *= loudness / tf.sqrt(power)
    return gains


def amplify(images, gains):
    """Multiplies the four octaves of each image by its gains, along both axes."""
    height, width = images.shape[1:3]
    rows = tf.einsum("nb,byh->nyh", gains, octaves(height))
    columns = tf.einsum("nb,bxw->nxw", gains, octaves(width))
    return tf.einsum("nyh,nhwc,nxw->nyxc", rows, images, columns)


def octave_filters():
    """[4, 43]: symmetric filters from the lowest octave to the highest; their sum is an impulse."""
    low = np.convolve(SYM2, SYM2[::-1]) / 2  # lower half of the band, 7 taps
    high = low * [-1, 1, -1, 1, -1, 1, -1]  # upper half
    filters = np.ones([1, 1])
    for _ in range(3):
        stretched = np.zeros([len(filters), 2 * filters.shape[1] - 1])
        stretched[:, ::2] = filters
        filters = np.stack([np.convolve(taps, low) for taps in stretched])
        filters = np.vstack([filters, np.pad(high, (filters.shape[1] - len(high)) // 2)])
    return filters


@functools.cache
def octaves(size):
    """[4, size, size]: the octave filters as matrices for a signal that is mirrored at its ends."""
    filters = octave_filters()
    length = filters.shape[1]
    mirrored = np.pad(np.eye(size), ((length // 2, length // 2), (0, 0)), "reflect")
    windows = np.stack([mirrored[i : i + size] for i in range(length)])  # [43, size, size]
    return np.tensordot(filters, windows, axes=1).astype("float32")


# === Corruptions ===


def draw_noise(n, p, height, width, channels):
    """Draws Gaussian noise, with a deviation of its own for each image: [N, H, W, C]."""
    deviation = sometimes(p, tf.abs(0.1 * random.normal([n, 1, 1, 1])), 0)
    return deviation * random.normal([n, height, width, channels])


def draw_cutout(n, p, height, width):
    """Draws masks [N, H, W, 1]: 0 in a box of half the height and half the width, 1 elsewhere."""
    size = sometimes(p, tf.fill([n, 1, 1, 1], 0.5), 0)
    x, y = tf.unstack(random.uniform([n, 2, 1, 1, 1]), axis=1)  # the center of the box
    columns = (np.arange(width, dtype="float32")[:, None] + 0.5) / width  # [W, 1]
    rows = (np.arange(height, dtype="float32")[:, None, None] + 0.5) / height  # [H, 1, 1]
    inside = (tf.abs(columns - x) < size / 2) & (tf.abs(rows - y) < size / 2)
    return 1 - tf.cast(inside, "float32")
