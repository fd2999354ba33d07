"""SinGAN — Learning a Generative Model from a Single Natural Image.

Shaham et al., ICCV 2019, arXiv:1905.01164.

New here: one image is the whole data set. A pyramid of small patch GANs learns it from coarse to
fine; the receptive field is 11x11 at each scale and so covers less and less of the picture. Each
generator adds detail to the upsampled picture of the scale below (eq. 3 and 4), and one fixed noise
map z* must give the training image itself (eq. 5). Afterwards the same generators resize, enlarge,
repaint, harmonize, edit and animate the image, without further training.

Differs from the paper: nothing known. Where the authors' code leaves the paper, the paper is
followed: z* is drawn once (in the code once per iteration), each of the three generator steps makes
a fake of its own (in the code all use the discriminator's last one), and resizing keeps real
numbers (in the code 8 bits). A batch holds one image, so batch normalization takes the statistics
of that image; here it always does, while the code changes to moving averages in finished scales and
samples, which harms the reconstruction. The option to quantize the colors of one scale acts while
the pyramid is trained; the authors train that one scale again afterwards.

Reference: tamarott/SinGAN.
"""

import math
from functools import partial

import keras
import numpy as np
import scipy.cluster.vq
import scipy.ndimage
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.latent import LatentModel
from tfgans.models.serving import drawing
from tfgans.optimizers import Adam
from tfgans.penalties import between, gradient_norm, input_gradient

MARGIN = 5  # five 3x3 convolutions without padding take 5 pixels from each side
COLORS = 5  # of a quantized scale


def initializer(mean=0.0):
    return keras.initializers.RandomNormal(mean, 0.02)


def build_network(name, channels_in, channels_out, width, activation=None):
    """Images [N, H, W, channels_in] -> [N, H - 10, W - 10, channels_out]."""

    def conv(filters, **kwargs):
        return keras.layers.Conv2D(filters, 3, kernel_initializer=initializer(), **kwargs)

    image = keras.Input([None, None, channels_in])
    x = image
    for k in range(4):
        # A picture of nearly one color is divided by a tiny deviation: too much for float16.
        dtype = "float32" if k == 0 else None
        x = keras.layers.GroupNormalization(  # each channel of each image by itself
            groups=-1, epsilon=1e-5, gamma_initializer=initializer(1.0), dtype=dtype
        )(conv(width, dtype=dtype)(x))
        x = keras.layers.LeakyReLU(0.2)(x)
    x = conv(channels_out, activation=activation, dtype="float32")(x)
    return keras.Model(image, x, name=name)


def pyramid(image_shape, min_size, max_size, scale_factor, fewer_scales=False):
    """The sizes of all scales.

    Args:
        image_shape: As that of `SinGAN`, and so are the others.
        min_size, max_size, scale_factor, fewer_scales: Likewise.

    Returns:
        [(height, width), ...] from coarse to fine, and the ratio of one scale to the next finer.
    """
    rows, columns, _ = image_shape
    fit = min(max_size / max(rows, columns), 1.0)
    whole = math.floor if fewer_scales else math.ceil
    steps = whole(math.log(min_size / min(rows, columns), scale_factor)) + 1
    steps -= whole(math.log(fit, scale_factor))
    rows, columns = round_up(rows * fit), round_up(columns * fit)
    if min(rows, columns) <= min_size or min_size <= 2 * MARGIN or steps < 1:
        raise BadInput(
            f"SinGAN starts where the shorter side has min_size = {min_size} pixels, at least "
            f"{2 * MARGIN + 1}. An image of {image_shape[0]}x{image_shape[1]} is {rows}x{columns} "
            f"at most (max_size = {max_size}): crop it, or change the sizes."
        )
    ratio = (min_size / min(rows, columns)) ** (1 / steps)
    factors = [ratio ** (steps - k) for k in range(steps + 1)]
    return [(round_up(rows * f), round_up(columns * f)) for f in factors], ratio


def round_up(x):
    return math.ceil(round(x, 6))  # 25.0000000001 is 25


def cubic(x):
    """Keys' interpolation kernel, a = -1/2."""
    x = np.abs(x)
    inner, outer = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))


def resize_matrix(size, new_size, scale):
    """[new_size, size]: each new pixel as a weighted sum of the old ones.

    Pixel i lies at (i + 1/2) / scale, counted from the border, which mirrors; sizes that were
    rounded up may reach beyond it. The kernel is widened when shrinking, so that nothing aliases.
    """
    kernel_scale = min(scale, 1.0)
    centers = (np.arange(new_size) + 0.5) / scale - 0.5
    reach = math.ceil(2 / kernel_scale)
    places = np.floor(centers)[:, None] + np.arange(-reach, reach + 2)
    weights = cubic((centers[:, None] - places) * kernel_scale)
    weights /= weights.sum(axis=1, keepdims=True)
    places = np.mod(places, 2 * size).astype(int)
    places = np.where(places < size, places, 2 * size - 1 - places)
    matrix = np.zeros([new_size, size], "float32")
    np.add.at(matrix, (np.arange(new_size)[:, None], places), weights)
    return matrix


def resize(images, shape, scale=None):
    """Bicubic: [N, H, W, C] -> [N, *shape, C]; `scale` is new by old size where not given."""
    rows, columns = (
        resize_matrix(old, new, scale or new / old)
        for old, new in zip(images.shape[1:3], shape, strict=True)
    )
    images = tf.einsum("yh,nhwc->nywc", rows, images)
    return tf.einsum("xw,nywc->nyxc", columns, images)


class Pyramid(keras.layers.Layer):
    """The generators of all scales, with the numbers that they need to make a picture.

    Args:
        shapes: (height, width) of each scale, coarse to fine.
        ratio: Ratio of one scale to the next finer one.
        networks: The generators.
        channels: Channels of the images.
        noise_padding: Surround noise by more noise instead of zeros.
        quantize_scale: Number of the scale whose input is quantized, or None.

    Attributes:
        amplitudes: Factor of the noise at each scale, sigma; 0 until its training begins.
        fixed_noise: z*, the noise at the coarsest scale that gives the training image.
        palette: [5, channels], the colors of the quantized scale.
    """

    def __init__(self, shapes, ratio, networks, channels, noise_padding, quantize_scale):
        super().__init__(dtype="float32", name="generator")
        self.shapes, self.ratio, self.networks = shapes, ratio, networks
        self.channels, self.quantize_scale = channels, quantize_scale
        self.noise_margin = MARGIN if noise_padding else 0
        self.amplitudes = self.state("amplitudes", [len(shapes)], "zeros")
        self.amplitudes.assign(tf.one_hot(0, len(shapes)))
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.fixed_noise = self.state("fixed_noise", self.noise_shapes(shapes)[0], normal)
        if quantize_scale is not None:
            self.palette = self.state("palette", [COLORS, channels], "zeros")
        self.built = True

    def state(self, name, shape, initializer):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            trainable=False,
            aggregation="only_first_replica",
        )

    def noise_shapes(self, shapes, first=0):
        """Noise for images of these sizes at scales first, first + 1, ...: [[h, w, channels], ..].

        The coarsest scale gets one channel, repeated.
        """
        more = 2 * self.noise_margin
        return [
            [rows + more, columns + more, 1 if k == 0 else self.channels]
            for k, (rows, columns) in enumerate(shapes, first)
        ]

    def refine(self, k, z, coarse):
        """Adds the detail of scale k: x + tanh(net(sigma z + x)), where x is upsampled already."""
        if k == self.quantize_scale:
            distances = tf.square(coarse[..., None, :] - self.palette)
            coarse = tf.gather(self.palette, tf.argmin(tf.reduce_sum(distances, -1), -1))

        def pad(x, margin):
            return tf.pad(x, [[0, 0], [margin, margin], [margin, margin], [0, 0]])

        noise = self.amplitudes[k] * pad(z, MARGIN - self.noise_margin)
        return coarse + self.networks[k](noise + pad(coarse, MARGIN))

    def coarse(self, image, z):
        """The picture of the scale below, upsampled to the size that noise `z` is for."""
        shape = [side - 2 * self.noise_margin for side in z.shape[1:3]]
        if image is None:  # the coarsest scale begins with gray
            return tf.zeros([tf.shape(z)[0], *shape, self.channels])
        return resize(image, shape, 1 / self.ratio)

    def run(self, noise, first=0, image=None):
        """Goes through some scales.

        Args:
            noise: Noise maps [N, h, w, c] of scales first, first + 1, ...
            first: Number of the scale to begin with.
            image: Picture of the scale before it, where there is one.
        """
        for k, z in enumerate(noise, first):
            image = self.refine(k, z, self.coarse(image, z))
        return image

    def split(self, z):
        """Latents [N, d] -> the noise maps of all scales."""
        shapes = self.noise_shapes(self.shapes)
        parts = tf.split(z, [math.prod(shape) for shape in shapes], axis=1)
        return [tf.reshape(z, [-1, *s]) for z, s in zip(parts, shapes, strict=True)]

    def call(self, z):
        return self.run(self.split(z))


@keras.saving.register_keras_serializable("tfgans")
class SinGAN(LatentModel):
    """A pyramid of GANs that learns one image; stage k trains scale k, the others rest.

    Args:
        image_shape: (height, width, channels) of the image. Where it is larger than `max_size`, the
            finest scale is smaller than the image.
        min_size: Shorter side of the coarsest scale.
        max_size: Longer side of the finest scale, at most.
        scale_factor: Ratio of one scale to the next finer one, about: it is adapted so that the
            coarsest scale gets min_size.
        fewer_scales: Round their number down, as the authors' code does for `super_resolve`.
        width: Channels of the coarsest scales; doubled every 4 scales, up to 4 times that many.
        scale_steps: Training steps of each scale.
        network_steps: Updates of D, and then of G, in each training step.
        reconstruction_weight: Weight of the reconstruction of the image from z*, the paper's alpha.
        penalty_weight: Weight of the gradient penalty.
        noise_weight: Amplitude of a scale's noise in units of the error that is left to it.
        noise_padding: Surround noise by more noise instead of zeros: livelier borders, for
            animations.
        quantize_scale: Reduce the input of this scale, 1 or more, to 5 colors, so that paintings of
            few colors can be injected there; -1 is the finest.
    """

    data_kind = "single"
    uses = {
        "sample": "image",
        "inject": "image",
        "blend": "image",
        "super_resolve": "image",
        "animate": "video",
    }

    def __init__(
        self,
        image_shape=(250, 250, 3),
        min_size=25,
        max_size=250,
        scale_factor=0.75,
        fewer_scales=False,
        width=32,
        scale_steps=2000,
        network_steps=3,
        reconstruction_weight=10.0,
        penalty_weight=0.1,
        noise_weight=0.1,
        noise_padding=False,
        quantize_scale=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.min_size, self.max_size = image_shape, min_size, max_size
        self.scale_factor, self.fewer_scales, self.width = scale_factor, fewer_scales, width
        self.scale_steps, self.network_steps = scale_steps, network_steps
        self.reconstruction_weight, self.penalty_weight = reconstruction_weight, penalty_weight
        self.noise_weight, self.noise_padding = noise_weight, noise_padding
        channels = image_shape[2]
        self.shapes, self.ratio = pyramid(
            image_shape, min_size, max_size, scale_factor, fewer_scales
        )
        if quantize_scale is not None:
            quantize_scale = self.scale(quantize_scale, "The input can be quantized at")
        self.quantize_scale = quantize_scale
        self.stage_steps = (scale_steps,) * (len(self.shapes) - 1)
        widths = [min(width * 2 ** (k // 4), 4 * width) for k in range(len(self.shapes))]
        generators = [
            build_network(f"generator_{k}", channels, channels, width, "tanh")
            for k, width in enumerate(widths)
        ]
        self.discriminators = [
            build_network(f"discriminator_{k}", channels, 1, width)
            for k, width in enumerate(widths)
        ]
        self.generator = Pyramid(
            self.shapes, self.ratio, generators, channels, noise_padding, quantize_scale
        )
        self.latent_dim = sum(map(math.prod, self.generator.noise_shapes(self.shapes)))
        self.image = self.add_state(
            "image", 0.0, [1, *self.shapes[-1], channels], aggregation="only_first_replica"
        )

    def stage_shape(self, stage):
        return (*self.shapes[-1], self.image_shape[2])  # the same for all: each is made of it

    def players(self):
        generators, discriminators = self.generator.networks, self.discriminators
        return {f"discriminator_{k}": [network] for k, network in enumerate(discriminators)} | {
            f"generator_{k}": [network] for k, network in enumerate(generators)
        }

    def default_optimizers(self):
        def adam():
            last = self.network_steps * 1600 - 1  # update at the full rate
            rate = keras.optimizers.schedules.PiecewiseConstantDecay([last], [5e-4, 5e-5])
            return Adam(rate, beta_1=0.5, beta_2=0.999)

        return {player: adam() for player in self.players()}

    def noise(self, n, shapes, first=0):
        """Draws the noise for images of these sizes at scales first, first + 1, ...

        Args:
            n: Number of images.
            shapes: (height, width) of each scale.
            first: Number of the first scale.
        """
        return [random.normal([n, *shape]) for shape in self.generator.noise_shapes(shapes, first)]

    def latents(self, n):
        """Draws the noise maps of all scales in one row, [n, latent_dim]."""
        maps = self.noise(n, self.shapes)
        return tf.concat([tf.reshape(z, [n, math.prod(z.shape[1:])]) for z in maps], axis=1)

    def fixed_latents(self):
        """The latents that give the image itself: z* at the coarsest scale, then zeros (eq. 5)."""
        z = tf.reshape(self.generator.fixed_noise, [1, -1])
        return tf.pad(z, [[0, 0], [0, self.latent_dim - z.shape[1]]])

    def real(self, k, image=None):
        """The training image, or another one of its size, at scale k."""
        image, wanted = self.image.value if image is None else image, list(self.image.shape[1:])
        if list(image.shape[1:]) != wanted:
            raise BadInput(
                f"A picture for this SinGAN has the size of its finest scale: {['N', *wanted]}, "
                f"not {list(image.shape)}. Resize or crop it first."
            )
        return resize(image, self.shapes[k], self.ratio ** (len(self.shapes) - 1 - k))

    def reconstruction(self, k):
        """The image of z* at scale k, [1, h, w, C]; None below the coarsest scale."""
        return self.generator.run(self.generator.split(self.fixed_latents())[: k + 1])

    def stage_begins(self, stage):
        generators = self.generator.networks
        for networks in (generators, self.discriminators):
            if networks[stage].count_params() == networks[stage - 1].count_params():
                networks[stage].set_weights(networks[stage - 1].get_weights())
        real = self.real(stage)
        if stage == self.quantize_scale:
            colors = np.reshape(real, [-1, self.image_shape[2]])
            palette, _ = scipy.cluster.vq.kmeans2(colors, COLORS, minit="++", seed=0)
            self.generator.palette.assign(palette)
        coarse = resize(self.reconstruction(stage - 1), self.shapes[stage], 1 / self.ratio)
        error = tf.sqrt(tf.reduce_mean(tf.square(real - coarse)))
        amplitudes = self.generator.amplitudes
        is_new = tf.one_hot(stage, len(self.shapes))
        amplitudes.assign(amplitudes + is_new * (self.noise_weight * error - amplitudes))

    def fake(self, n, k):
        """n fresh images of scale k."""
        *noise, z = self.noise(n, self.shapes[: k + 1])
        coarse = self.generator.coarse(self.generator.run(noise), z)
        return self.generator.refine(k, z, coarse)

    def discriminator_loss(self, k, real):
        score = self.discriminators[k]
        fake = self.fake(real.shape[0], k)
        return {  # scores are maps, one number for each patch of 11x11 pixels
            "wasserstein": tf.reduce_mean(score(fake)) - tf.reduce_mean(score(real)),
            "penalty": self.penalty_weight * self.gradient_penalty(score, real, fake),
        }

    def gradient_penalty(self, score, real, fake):
        """Mean over pixels of (|gradient over channels| - 1)^2 on the real-fake line.

        Args:
            score: A critic.
            real, fake: Images [N, H, W, C].
        """
        image = between(fake, real, random.uniform([real.shape[0], 1, 1, 1]))
        gradient = input_gradient(score, image, [score])
        norm = gradient_norm(gradient, axis=3)  # [N, H, W]
        return tf.reduce_mean(tf.square(norm - 1.0))

    def generator_loss(self, k, real, coarse):
        """The terms of one scale.

        Args:
            k: Its number, from the coarsest, 0.
            real: The image at this scale, [N, H, W, C].
            coarse: The reconstruction of the scale below, upsampled.
        """
        fake = self.fake(real.shape[0], k)
        z = self.generator.split(self.fixed_latents())[k]
        again = self.generator.refine(k, z, coarse)
        return {
            "wasserstein": -tf.reduce_mean(self.discriminators[k](fake)),
            "reconstruction": self.reconstruction_weight * tf.reduce_mean(tf.square(again - real)),
        }

    def train_step(self, data):
        k = self.stage
        self.image.assign(data["image"][:1])
        real = self.real(k, data["image"])
        z = self.generator.split(self.fixed_latents())[k]
        coarse = self.generator.coarse(self.reconstruction(k - 1), z)
        for _ in range(self.network_steps):
            d = self.update(f"discriminator_{k}", self.discriminator_loss, k, real)
        g_loss = partial(self.generator_loss, coarse=coarse)  # one image, no batch to be cut
        for _ in range(self.network_steps):
            g = self.update(f"generator_{k}", g_loss, k, real)
        return d | g

    # Uses of the trained pyramid. Images are [N, H, W, C] in [-1, 1].

    def sample(self, n, seed=None, *, first=0, stretch=(1.0, 1.0)):
        """Makes n random images; the same ones for the same seed.

        Args:
            n: Number of images.
            seed: Seed of the noise.
            first: Scale to begin with. From 1 on, the images keep the layout of the training
                image; the higher, the more.
            stretch: Height and width in units of the training image's.
        """
        if min(s * side for s, side in zip(stretch, self.shapes[0], strict=True)) <= 0.5:
            rows, columns = self.shapes[0]
            raise BadInput(
                f"stretch={stretch} leaves no pixel of the coarsest scale, {rows}x{columns}: take "
                f"at least {1 / rows:.3f} and {1 / columns:.3f}."
            )
        shapes = [
            [round(s * side) for s, side in zip(stretch, x, strict=True)] for x in self.shapes
        ]
        image = None
        if first:
            first = self.scale(first)
            image = tf.repeat(resize(self.real(first - 1), shapes[first - 1]), n, axis=0)
        with drawing(seed, n):
            noise = self.noise(n, shapes[first:], first)
            return self.bounded(self.generator.run(noise, first, image))

    def inject(self, image, first=1, seed=None):
        """Paint-to-image: repaints pictures in the manner of the training image.

        Args:
            image: Pictures of the finest scale's size.
            first: Scale to begin with, at least 1; the lower, the more is repainted.
            seed: Seed of the noise.
        """
        first = self.scale(first)
        with drawing(seed):
            noise = self.noise(tf.shape(image)[0], self.shapes[first:], first)
            return self.bounded(self.generator.run(noise, first, self.real(first - 1, image)))

    def blend(self, composite, mask, first=-2, radius=7, seed=None):
        """Harmonization and editing: repaints what was pasted into the training image.

        Args:
            composite: [1, H, W, C], the training image with something pasted or moved.
            mask: [H, W], True where it was changed.
            first: Scale to begin with, at least 1.
            radius: Radius of the disk by which the mask grows: 7 to harmonize, 20 to edit.
            seed: Seed of the noise.
        """
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        image = self.inject(composite, first, seed)
        if np.shape(mask) != image.shape[1:3]:
            raise BadInput(
                f"The mask has the size of the picture, {list(image.shape[1:3])}, not the shape "
                f"{list(np.shape(mask))}."
            )
        grown = scipy.ndimage.binary_dilation(mask, x**2 + y**2 <= radius**2).astype("float32")
        soft = scipy.ndimage.gaussian_filter(grown, sigma=5.0, mode="nearest")
        # Where the grown mask has all pixels or none, nothing is soft.
        soft = (soft - soft.min()) / np.ptp(soft) if np.ptp(grown) else grown
        return self.image + soft[..., None] * (image - self.image)

    def super_resolve(self, factor=4, seed=None):
        """Enlarges the training image: a little at a time, each time through the finest generator.

        Args:
            factor: Height and width of the result in units of the training image's, above 1.
            seed: Seed of the noise.
        """
        if not factor > 1:
            raise BadInput(f"The factor of an enlargement is above 1, such as 4, not {factor}.")
        image, finest = self.image.value, len(self.shapes) - 1
        rows, columns = (round(factor * side) for side in image.shape[1:3])
        times = max(round(3 * math.log2(factor)), 1)  # by 2^(1/3), about
        ratio = factor ** (1 / times)
        with drawing(seed):
            for _ in range(times):
                shape = [round_up(ratio * side) for side in image.shape[1:3]]
                [z] = self.noise(1, [shape], finest)
                image = self.generator.refine(finest, z, resize(image, shape, ratio))
        return self.bounded(image[:, :rows, :columns])

    def animate(self, frames=100, first=2, beta=0.9, seed=None):
        """Makes a film of the training image: a walk in the noise around the one that gives it.

        Args:
            frames: Number of frames.
            first: Scales below this one rest; 0 where all move.
            beta: Smoothness of the walk, 0.8 to 0.95.
            seed: Seed of the noise.
        """
        first = self.scale(first, "The noise can move from") if first else 0
        rest = self.fixed_latents()
        still = sum(map(math.prod, self.generator.noise_shapes(self.shapes[:first])))
        film = []
        with drawing(seed, frames):
            before, z = rest, 0.95 * rest + 0.05 * self.latents(1)
            for _ in range(frames):
                change = beta * (z - before) + (1.0 - beta) * self.latents(1)
                before, z = z, 0.1 * rest + 0.9 * (z + change)
                film.append(self(tf.concat([rest[:, :still], z[:, still:]], axis=1)))
        return self.bounded(tf.concat(film, axis=0))

    def scale(self, number, what="A picture can be injected at"):
        """Number of a scale that is not the coarsest; -1 is the finest.

        Args:
            number: The one wanted.
            what: Beginning of the message for another one.
        """
        count = len(self.shapes)
        if not (1 <= number < count or -count < number < 0):
            raise BadInput(f"{what} scales 1 to {count - 1} (-1 is the finest), not {number}.")
        return number % count

    def preview(self, batch):
        """The image, its reconstruction and seven samples at the scale of the last step."""
        k = sum(self.now > k * self.scale_steps for k in range(1, len(self.shapes)))
        pictures = [
            self.real(k, batch["image"][:1]),
            self.reconstruction(k),
            self.generator.run(self.noise(7, self.shapes[: k + 1])),
        ]
        return resize(tf.concat(pictures, axis=0), self.shapes[-1])

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image.shape[1:]], "float32", name="image")
        seed = tf.TensorSpec([], "int64", name="seed")

        def inject(first):
            return lambda image, seed: {"image": self.inject(image, first, seed)}

        return super().endpoints() | {
            "reconstruct": (lambda: {"image": self(self.fixed_latents())}, []),
            **{f"inject_{k}": (inject(k), [image, seed]) for k in range(1, len(self.shapes))},
        }
