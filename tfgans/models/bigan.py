"""BiGAN — Adversarial Feature Learning, and ALI — Adversarially Learned Inference.

Donahue et al., ICLR 2017, arXiv:1605.09782; Dumoulin et al., ICLR 2017, arXiv:1606.00704.

New here: an encoder E learns the inverse of the generator without any reconstruction loss. The
discriminator judges pairs, an image with its encoding (x, E(x)) against a sample with its latent
(G(z), z), and E and G together try to swap the two; at the optimum E inverts G. The networks are
those of the permutation-invariant MNIST experiment. ALI is the same game, found at the same time:
its encoder is stochastic, its networks are the convolutional ones for CIFAR-10.

`bidirectional=True` is the control experiment beside it: a bidirectional autoencoder, the same E
and G without D and without a game. Both have the optimum that E inverts G. Where an encoding leaves
several images possible, squared errors make G answer with their mean, and D makes it choose one.

Differs from the paper: the learning rate falls exponentially within epochs, in the code from one
epoch to the next. Samples and encodings are made with moving averages of batch normalization; the
code of BiGAN averages over 1000 batches before each evaluation. The per-pixel bias of ALI's
generator starts at one gray for all pixels, in its code at each pixel's mean in the data. Dropout
precedes each convolution of ALI's discriminator, as in the paper; in its code only some. Images are
[-1, 1] as everywhere in tfgans; inside they are [0, 1].

Reference: jeffdonahue/bigan, IshmaelBelghazi/ALI.
"""

import math

import keras
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.dropout import Dropout
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam, HoldThenDecay


def initializer():
    return keras.initializers.RandomNormal(stddev=0.02)


def dense(units, **kwargs):
    return keras.layers.Dense(units, use_bias=False, kernel_initializer=initializer(), **kwargs)


def norm(x):
    return keras.layers.BatchNormalization(epsilon=1e-8, center=False, scale=False)(x)


def leaky(x):
    return keras.layers.LeakyReLU(0.2)(x)


def with_latent(x, z, width):
    """The sum of linear maps of x and of the latent, normalized."""
    return norm(keras.layers.Add()([dense(width)(x), dense(width)(z)]))


def build_generator(image_shape, latent_dim, width):
    """z [N, latent_dim] -> images in [-1, 1]."""
    z = keras.Input([latent_dim], name="z")
    x = keras.layers.ReLU()(norm(dense(width)(z)))
    x = keras.layers.ReLU()(with_latent(x, z, width))
    x = dense(math.prod(image_shape), activation="sigmoid", dtype="float32")(x)
    x = keras.layers.Reshape(image_shape, dtype="float32")(x)
    image = keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x)
    return keras.Model(z, image, name="generator")


def build_encoder(image_shape, latent_dim, width):
    """Images -> latents in [-1, 1]."""
    image = keras.Input(image_shape, name="image")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    x = leaky(norm(dense(width)(leaky(dense(width)(x)))))
    x = dense(latent_dim, activation="sigmoid", dtype="float32")(x)
    z = keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x)
    return keras.Model(image, z, name="encoder")


def build_discriminator(image_shape, latent_dim, width):
    """Pairs of images and latents -> scores [N, 1]."""
    image, z = keras.Input(image_shape, name="image"), keras.Input([latent_dim], name="z")
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    x = leaky(with_latent(leaky(dense(width)(x)), z, width))
    return keras.Model([image, z], dense(1, dtype="float32")(x), name="discriminator")


# ALI, for 32x32 images. Convolutions do not pad: 32, 28, 13, 10, 4, 1. Each (kernel, stride, part
# of `width`):
ALI_CONVS = ((5, 1, 1 / 32), (4, 2, 1 / 16), (4, 1, 1 / 8), (4, 2, 1 / 4), (4, 1, 1 / 2))
ALI_DECONVS = (
    (4, 1, 1 / 4),
    (4, 2, 1 / 8),
    (4, 1, 1 / 16),
    (4, 2, 1 / 32),
    (5, 1, 1 / 32),
    (1, 1, 1 / 32),
)


def ali_initializer():
    return keras.initializers.RandomNormal(stddev=0.01)


def ali_conv(filters, kernel_size=1, strides=1, bias=False, transposed=False, **kwargs):
    layer = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
    return layer(
        filters, kernel_size, strides, use_bias=bias, kernel_initializer=ali_initializer(), **kwargs
    )


def ali_norm(x):
    x = keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-4)(x)
    return keras.layers.LeakyReLU(0.1)(x)


def maxout(x):
    """The larger of every two neighboring channels."""
    rows, columns, channels = x.shape[1:]
    pairs = keras.layers.Reshape([rows, columns, channels // 2, 2])(x)
    return keras.ops.max(pairs, axis=-1)


class PixelBias(keras.layers.Layer):
    """A bias for each channel of each pixel."""

    def build(self, input_shape):
        self.bias = self.add_weight(name="bias", shape=input_shape[1:], initializer="zeros")

    def call(self, x):
        return x + self.bias


def build_ali_generator(image_shape, latent_dim, width):
    """z [N, latent_dim] -> images in [-1, 1]."""
    z = keras.Input([latent_dim], name="z")
    x = keras.layers.Reshape([1, 1, latent_dim])(z)
    for kernel_size, strides, part in ALI_DECONVS:
        x = ali_norm(ali_conv(int(part * width), kernel_size, strides, transposed=True)(x))
    x = PixelBias(dtype="float32")(ali_conv(image_shape[2], dtype="float32")(x))
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    image = keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x)
    return keras.Model(z, image, name="generator")


def build_ali_encoder(image_shape, latent_dim, width):
    """Images -> means and logarithms of deviations of latents, [N, 2 latent_dim]."""
    image = keras.Input(image_shape, name="image")
    x = keras.layers.Rescaling(0.5, 0.5)(image)
    for kernel_size, strides, part in (*ALI_CONVS, (1, 1, 1 / 2)):
        x = ali_norm(ali_conv(int(part * width), kernel_size, strides)(x))
    x = ali_conv(2 * latent_dim, bias=True, dtype="float32")(x)
    return keras.Model(image, keras.layers.Flatten(dtype="float32")(x), name="encoder")


def build_ali_discriminator(image_shape, latent_dim, width):
    """Pairs of images and latents -> scores [N, 1]; maxout of two pieces, dropout, no norm."""
    image, z = keras.Input(image_shape, name="image"), keras.Input([latent_dim], name="z")
    x = keras.layers.Rescaling(0.5, 0.5)(image)
    for k, (kernel_size, strides, part) in enumerate(ALI_CONVS):
        x = Dropout(0.2 if k == 0 else 0.5)(x)
        x = maxout(ali_conv(int(part * width), kernel_size, strides, bias=k == 0)(x))
    y = Dropout(0.2)(keras.layers.Reshape([1, 1, latent_dim])(z))
    y = maxout(ali_conv(width // 2)(y))
    y = maxout(ali_conv(width // 2)(Dropout(0.5)(y)))
    x = keras.layers.Concatenate()([x, y])
    for _ in range(2):
        x = maxout(ali_conv(width, bias=True)(Dropout(0.5)(x)))
    x = ali_conv(1, bias=True, dtype="float32")(Dropout(0.5)(x))
    score = keras.layers.Flatten(dtype="float32")(x)
    return keras.Model([image, z], score, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class BiGAN(LatentModel):
    """BiGAN in its setting for permutation-invariant MNIST.

    Args:
        image_shape: (height, width, channels) of the images; "ali" takes 32x32.
        latent_dim: Length of z, U(-1, 1) for "bigan", N(0, I) for "ali".
        variant: "bigan" or "ali".
        width: Units of the hidden layers ("bigan"), or of the last joint layers ("ali").
        weight_decay: Factor of w^2 / 2 in both players' losses; the paper of ALI has none.
        decay_start: Step from which the learning rate falls ("bigan").
        decay_end: Step at which it has fallen to 1 % ("bigan").
        bidirectional: No D: E and G minimize |x - G(E(x))|^2 + |z - E(G(z))|^2, both summed over
            dimensions; for "ali", E(x) is the mean alone.
    """

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=50,
        variant="bigan",
        width=1024,
        weight_decay=2.5e-5,
        decay_start=78_000,
        decay_end=156_000,
        bidirectional=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.variant, self.width, self.weight_decay = variant, width, weight_decay
        self.decay_start, self.decay_end = decay_start, decay_end
        self.bidirectional = bidirectional
        sizes = image_shape, latent_dim, width
        if variant == "bigan":
            builders = build_generator, build_encoder, build_discriminator
            self.prior = (-1.0, 1.0)
        elif variant == "ali":
            if tuple(image_shape[:2]) != (32, 32) or width % 64:
                raise BadInput(
                    "ALI's networks take images of 32x32 and a width that is a multiple of 64, not "
                    f"{image_shape[0]}x{image_shape[1]} and {width}."
                )
            builders = build_ali_generator, build_ali_encoder, build_ali_discriminator
        else:
            raise BadInput(f"The variant is 'bigan' or 'ali', not {variant!r}.")
        self.generator, self.encoder = (build(*sizes) for build in builders[:2])
        if not bidirectional:
            self.discriminator = builders[2](*sizes)

    def players(self):
        both = {"generator": [self.generator, self.encoder]}
        return both if self.bidirectional else {"discriminator": [self.discriminator]} | both

    def default_optimizers(self):
        def adam():
            if self.variant == "ali":
                return Adam(1e-4, beta_1=0.5)
            decay_steps = self.decay_end - self.decay_start
            rate = HoldThenDecay(2e-4, self.decay_start, decay_steps, final=0.01, exponential=True)
            return Adam(rate, beta_1=0.5)

        return {player: adam() for player in self.players()}

    def infer(self, image):
        """Encodings of images in training, drawn from N(mean, deviation) for "ali"."""
        z = self.encoder(image, training=True)
        if self.variant == "bigan":
            return z
        mean, log_deviation = tf.split(z, 2, axis=1)
        return mean + tf.exp(log_deviation) * random.normal(tf.shape(mean))

    def score(self, real, z):
        """The scores of pairs (x, E(x)) of `real` and of pairs (G(z), z), both [N, 1]."""
        real_score = self.discriminator([real, self.infer(real)], training=True)
        fake_score = self.discriminator([self.generator(z, training=True), z], training=True)
        return real_score, fake_score

    def discriminator_loss(self, real_score, fake_score):
        half = 0.5 if self.variant == "bigan" else 1.0  # BiGAN takes means, ALI sums
        return {
            "real": half * tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": half * tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, real_score, fake_score):
        half = 0.5 if self.variant == "bigan" else 1.0
        return {
            "real": half * tf.reduce_mean(tf.nn.softplus(real_score)),
            "fake": half * tf.reduce_mean(tf.nn.softplus(-fake_score)),
        }

    def losses(self, real, z):
        scores = self.score(real, z)
        return {
            "discriminator": self.discriminator_loss(*scores)
            | self.decay("discriminator", self.weight_decay),
            "generator": self.generator_loss(*scores) | self.decay("generator", self.weight_decay),
        }

    def errors(self, real, z):
        """The errors of G(E(real)) and of E(G(z)): sums over dimensions, means over N."""

        def squared_distance(a, b):
            return tf.reduce_mean(tf.reduce_sum(tf.square(a - b), axis=range(1, a.shape.rank)))

        def encode(image):
            return self.encoder(image, training=True)[:, : self.latent_dim]

        rebuilt = self.generator(encode(real), training=True)
        found = encode(self.generator(z, training=True))
        return {
            "image": squared_distance(real, rebuilt),
            "latent": squared_distance(z, found),
        } | self.decay("generator", self.weight_decay)

    def train_step(self, data):
        real = data["image"]
        if self.bidirectional:
            return self.update("generator", self.errors, real, self.latents(real.shape[0]))
        return self.update_together(self.losses, real, self.latents(real.shape[0]))

    def encode(self, image):
        """Latents [N, latent_dim] of images; for "ali" the means."""
        return self.encoder(image, training=False)[:, : self.latent_dim]

    def reconstruct(self, image):
        """The generator's images for the encodings of images."""
        return self(self.encode(image))

    def preview(self, data):
        return self.reconstructions_and_samples(data["image"])

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        return super().endpoints() | {
            "encode": (lambda image: {"z": self.encode(image)}, [image]),
            "reconstruct": (lambda image: {"image": self.reconstruct(image)}, [image]),
        }
