"""CoGAN — Coupled Generative Adversarial Networks.

Liu, Tuzel, NeurIPS 2016, arXiv:1606.07536.

New here: two GANs, each for one domain of images, share the weights of their layers far from the
pixels. The first layers of the generators decide on the content, so both make the same content of
the same z, each in the look of its domain. They learn this from unpaired images: no picture of one
domain belongs to a picture of the other. D's share their last layers.

Differs from the paper: networks and settings are those of the authors' PyTorch code for 28x28
digits and their edges; the paper's have maxout. D's two outputs with softmax are one score here,
their difference, whose weights start in a uniform distribution of the same variance. Other sizes
have more or fewer of the middle layers, and another kernel in the last one. The classifier for
domain adaptation is not built.

Reference: mingyuliutw/CoGAN (cogan_pytorch/src/net_cogan_mnistedge.py).
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.models.latent import LatentModel
from tfgans.models.serving import COUNT, SEED, drawing, to_uint8
from tfgans.optimizers import Adam

DOMAINS = ("a", "b")


def initializer(area, inputs, outputs):
    """Glorot's uniform start with a gain of sqrt(2), of kernels of `area` pixels.

    Dense layers are convolutions in the code, and start as these do.
    """
    bound = (12.0 / (area * (inputs + outputs))) ** 0.5
    return keras.initializers.RandomUniform(-bound, bound)


def bias():
    return keras.initializers.Constant(0.1)


def prelu(x):
    """Leaky rectification with one learned slope."""
    slope = keras.initializers.Constant(0.25)
    return keras.layers.PReLU(slope, shared_axes=[*range(1, len(x.shape))])(x)


def norm(x):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, center=False, scale=False)(x)


def build_generator(image_shape, latent_dim, widths):
    """z [N, latent_dim] -> an image in [-1, 1] of each domain; only the last layers are their own.

    Maps have the sides 4, 7, 13, 25, ...: each layer doubles them less 1. The last layer has the
    kernel that makes the image of them.
    """
    z = keras.Input([latent_dim], name="z")
    first, *others = widths
    start = initializer(16, latent_dim, first)
    x = keras.layers.Dense(16 * first, use_bias=False, kernel_initializer=start)(z)
    x = prelu(norm(keras.layers.Reshape([4, 4, first])(x)))
    for width in others:
        start = initializer(9, x.shape[-1], width)
        x = keras.layers.Conv2DTranspose(width, 3, 2, use_bias=False, kernel_initializer=start)(x)
        x = prelu(norm(keras.layers.Cropping2D(1)(x)))
    missing = image_shape[0] - x.shape[1]
    if missing < 0 or image_shape[0] != image_shape[1]:
        raise BadInput(
            f"CoGAN makes square images; with {len(widths)} numbers in model.generator_channels "
            f"of {x.shape[1]}x{x.shape[1]} pixels or more, not {image_shape[0]}x{image_shape[1]}."
        )

    def look(domain):
        colors, size = image_shape[2], missing + 3
        start = initializer(size**2, x.shape[-1], colors)
        y = keras.layers.Conv2DTranspose(
            colors, size, kernel_initializer=start, bias_initializer=bias(), dtype="float32"
        )(x)
        y = keras.layers.Cropping2D(1, dtype="float32")(y)
        y = keras.layers.Activation("sigmoid", dtype="float32")(y)
        return keras.layers.Rescaling(2.0, -1.0, dtype="float32", name=domain)(y)

    return keras.Model(z, [look(domain) for domain in DOMAINS], name="generator")


def build_discriminator(image_shape, widths, dense_width):
    """An image of each domain -> a score [N, 1] for each; only the first layers are their own."""
    first, second = widths

    def conv(inputs, filters):
        start = initializer(25, inputs, filters)
        return keras.layers.Conv2D(filters, 5, kernel_initializer=start, bias_initializer=bias())

    middle, images, maps = conv(first, second), [], []
    for domain in DOMAINS:
        image = keras.Input(image_shape, name=domain)
        x = keras.layers.Rescaling(0.5, 0.5)(image)
        x = keras.layers.MaxPooling2D(2)(conv(image_shape[2], first)(x))  # of this domain
        maps.append(keras.layers.MaxPooling2D(2)(middle(x)))
        images.append(image)
    start = initializer(maps[0].shape[1] * maps[0].shape[2], second, dense_width)
    dense = keras.layers.Dense(dense_width, kernel_initializer=start, bias_initializer=bias())
    slope = keras.layers.PReLU(keras.initializers.Constant(0.25), shared_axes=[1])
    # The difference of two outputs has twice the variance of one; their biases cancel.
    start = initializer(0.5, dense_width, 2)
    last = keras.layers.Dense(1, kernel_initializer=start, dtype="float32")
    scores = [last(slope(dense(keras.layers.Flatten()(x)))) for x in maps]
    return keras.Model(images, scores, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class CoGAN(LatentModel):
    """Two GANs that share weights, in the setting for MNIST digits and their edges.

    Args:
        image_shape: (height, width, channels) of the images of both domains; square.
        latent_dim: Length of z ~ N(0, I).
        generator_channels: Channels of G's shared maps, 4x4 first.
        discriminator_channels: Channels of D's convolutions, the domain's own and the shared one.
        dense_width: Units of D's shared dense layer.
        weight_decay: Factor of w^2 / 2 in both losses.
    """

    data_kind = "unpaired"

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=100,
        generator_channels=(1024, 512, 256, 128),
        discriminator_channels=(20, 50),
        dense_width=500,
        weight_decay=5e-4,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.generator_channels = generator_channels
        self.discriminator_channels = discriminator_channels
        self.dense_width, self.weight_decay = dense_width, weight_decay
        self.generator = build_generator(image_shape, latent_dim, generator_channels)
        self.discriminator = build_discriminator(image_shape, discriminator_channels, dense_width)

    def default_optimizers(self):
        def adam():
            return Adam(2e-4, beta_1=0.5, beta_2=0.999)

        return {"discriminator": adam(), "generator": adam()}

    def discriminator_loss(self, a, b):
        fakes = self.generator(self.latents(a.shape[0]), training=True)
        terms = {}
        for word, images, sign in (("real", [a, b], -1.0), ("fake", fakes, 1.0)):
            for domain, score in zip(
                DOMAINS, self.discriminator(images, training=True), strict=True
            ):
                terms[f"{word}_{domain}"] = tf.reduce_mean(tf.nn.softplus(sign * score))
        return terms | self.decay("discriminator", self.weight_decay)

    def generator_loss(self, n):
        fakes = self.generator(self.latents(n), training=True)  # of the same z
        scores = self.discriminator(fakes, training=True)
        terms = {
            f"fake_{domain}": tf.reduce_mean(tf.nn.softplus(-score))
            for domain, score in zip(DOMAINS, scores, strict=True)
        }
        return terms | self.decay("generator", self.weight_decay)

    def train_step(self, data):
        d = self.update("discriminator", self.discriminator_loss, data["a"], data["b"])
        g = self.update("generator", self.generator_loss, n=data["a"].shape[0])
        return d | g

    def pair(self, z):
        """The images of both domains of the same latents, {"a": ..., "b": ...} [N, H, W, C].

        Args:
            z: [N, latent_dim].
        """
        return dict(zip(DOMAINS, self.generator(z, training=False), strict=True))

    def call(self, z):
        """Images of the second domain, [N, H, W, C] in [-1, 1]; `pair` makes both."""
        return self.pair(z)["b"]

    def sample_pair(self, n, seed=None):
        """Draws n pairs, {"a": ..., "b": ...}; the same ones for the same seed."""
        with drawing(seed, n):
            return self.pair(self.latents(n))

    def preview(self, batch):
        """Rows of eight pairs: images of the first domain above those of the second."""
        made = self.pair(self.latents(32))
        parts = [tf.reshape(made[domain], [4, 1, 8, *self.image_shape]) for domain in DOMAINS]
        return tf.reshape(tf.concat(parts, axis=1), [8, 8, *self.image_shape])

    def endpoints(self):
        """Pairs of z, as floats and as bytes, and of a seed; `sample` is of the second domain."""
        z = tf.TensorSpec([None, self.latent_dim], name="z")
        return super().endpoints() | {
            "serving_default": (self.pair, [z]),
            "uint8": (lambda z: {k: to_uint8(v) for k, v in self.pair(z).items()}, [z]),
            "sample_pair": (lambda seed, n: self.sample_pair(n, seed), [SEED, COUNT]),
        }
