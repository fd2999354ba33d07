"""SNGAN — Spectral Normalization for Generative Adversarial Networks.

Miyato et al., ICLR 2018, arXiv:1802.05957.

New here: every weight matrix of the discriminator is divided by its largest singular value, which
bounds the discriminator's Lipschitz constant without a penalty, at the cost of two products of a
matrix and a vector. With labels, the generator's batch normalization takes its gain and bias from
the class, and the discriminator gets an embedding of the class as further channels; `projection.py`
has the better discriminator for labels that followed. `penalties.spectral_energy` makes the
singular values small by a penalty instead (arXiv:1705.10941).

Differs from the paper: real and generated images pass the discriminator together, so that both see
the same normalized weights and the power iteration advances once per move; in the authors' code it
advances between the two. The learning rate falls to 0 over 50,000 steps, as in their configuration
for CIFAR-10; the paper trains for 100,000. Biases follow their code: all convolutions have one; the
layer behind the sum over positions has none in the network for CIFAR-10. The weights of the plain
convolutional networks start at N(0, 0.02), which the paper does not state. Samples are made with
the moving averages of batch normalization.

Reference: pfnet-research/sngan_projection.
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.conditional_norm import ConditionalBatchNorm
from tfgans.layers.resampled_conv import DownConv2D, UpConv2D
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.cgan import with_label
from tfgans.models.latent import LatentModel
from tfgans.models.wgan_gp import NORMS, dequantized, layer_norm
from tfgans.optimizers import Adam, HoldThenDecay
from tfgans.shapes import halved


def initializer(gain=1.0):
    """Glorot's uniform initialization, its deviation multiplied by `gain`."""
    return keras.initializers.VarianceScaling(gain**2, "fan_avg", "uniform")


def conv(filters, kernel_size, gain=1.0, kind=keras.layers.Conv2D, **kwargs):
    return kind(
        filters, kernel_size, padding="same", kernel_initializer=initializer(gain), **kwargs
    )


def block_conv(filters, kernel_size, **kwargs):
    """A convolution of a residual block: before a ReLU, that of 3x3 starts larger."""
    return conv(filters, kernel_size, 2**0.5 if kernel_size == 3 else 1.0, **kwargs)


def normalized_conv(filters, kernel_size, **kwargs):
    return SpectralNorm(block_conv(filters, kernel_size, **kwargs))


def relu(x):
    return keras.layers.ReLU()(x)


def norm(x, label=None, kind="batch"):
    if kind == "none":
        return x
    if kind == "layer":
        return layer_norm(x)
    if label is not None:
        return ConditionalBatchNorm(momentum=0.9, epsilon=2e-5)(x, label)
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=2e-5)(x)


def up_block(x, channels, block_norm, conv=block_conv):
    """Residual block that doubles the resolution; `block_norm` normalizes its maps."""
    # Doubling and a convolution of single pixels can change places.
    shortcut = keras.layers.UpSampling2D(2)(conv(channels, 1)(x))  # nearest
    x = conv(channels, 3, kind=UpConv2D)(relu(block_norm(x)))
    x = conv(channels, 3)(relu(block_norm(x)))
    return keras.layers.Add()([x, shortcut])


def down_block(x, channels, down, first=False, wide=False, conv=normalized_conv):
    """Spectrally normalized residual block; the first of a network is not pre-activated.

    Args:
        x: [N, H, W, C].
        channels: Channels of the result.
        down: The block halves the resolution.
        first: It is the first one.
        wide: `channels` stand between the two convolutions, not C; in the first block always.
        conv: Number of channels and size -> a normalized convolution.
    """
    hidden = channels if first or wide else x.shape[-1]
    shortcut = keras.layers.AveragePooling2D(2)(x) if down else x
    if first or down or channels != x.shape[-1]:
        shortcut = conv(channels, 1)(shortcut)
    x = conv(hidden, 3)(x if first else relu(x))
    x = conv(channels, 3, kind=DownConv2D if down else keras.layers.Conv2D)(relu(x))
    return keras.layers.Add()([x, shortcut])


def resnet(z, image_shape, channels, block_norm, last_norm):
    """z [N, latent_dim] -> images in [-1, 1], through residual blocks.

    Args:
        z: Keras input.
        image_shape: (height, width, channels) of the images.
        channels: Channels of the first grid, then of each block that doubles it.
        block_norm: Function that normalizes the maps of the blocks.
        last_norm: The same before the last convolution.
    """
    grid_channels, *blocks = channels
    grid = halved(image_shape, len(blocks))
    x = keras.layers.Dense(grid[0] * grid[1] * grid_channels, kernel_initializer=initializer())(z)
    x = keras.layers.Reshape([*grid, grid_channels])(x)
    for width in blocks:
        x = up_block(x, width, block_norm)
    return conv(image_shape[2], 3, activation="tanh", dtype="float32")(relu(last_norm(x)))


def build_generator(image_shape, latent_dim, channels, num_classes, kind="batch"):
    """z [N, latent_dim] (and label vectors [N, num_classes]) -> images in [-1, 1].

    `kind` is the kind of normalization: "batch", or without classes "layer" or "none".
    """
    z = keras.Input([latent_dim], name="z")
    label = keras.Input([num_classes], name="label") if num_classes else None
    image = resnet(
        z, image_shape, channels, lambda x: norm(x, label, kind), lambda x: norm(x, kind=kind)
    )
    return keras.Model([z, label] if num_classes else z, image, name="generator")


def pooled_features(image, channels, downs, label=None):
    """The sums of features over positions, [N, channels[-1]]; the first `downs` blocks halve.

    A label is appended behind the third block.
    """
    x = image
    for k, width in enumerate(channels):
        if k == 3 and label is not None:
            x = append_label(x, label)
        x = down_block(x, width, down=k < downs, first=k == 0)
    # The sum over positions, not the mean: [N, C].
    return keras.ops.sum(keras.ops.cast(relu(x), "float32"), axis=[1, 2])


def psi(x, bias):
    """Features [N, C] -> scores [N, 1]."""
    one = keras.layers.Dense(1, use_bias=bias, kernel_initializer=initializer(), dtype="float32")
    return SpectralNorm(one, name="psi")(x)


def build_discriminator(image_shape, channels, downs, bias, num_classes):
    """Images (and label vectors) -> scores [N, 1]; the first `downs` blocks halve the image."""
    if num_classes and len(channels) < 4:
        raise BadInput(
            "The label enters SNGAN's discriminator behind the third block, and there are "
            f"{len(channels)}: give four numbers or more in model.discriminator_channels."
        )
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label") if num_classes else None
    score = psi(pooled_features(image, channels, downs, label), bias)
    return keras.Model([image, label] if num_classes else image, score, name="discriminator")


def append_label(x, label):
    """The embedded label as 128 more channels."""
    embedding = keras.layers.Dense(128, use_bias=False, kernel_initializer=initializer())
    return with_label(x, SpectralNorm(embedding, name="embedding")(label))


def plain_initializer():
    return keras.initializers.RandomNormal(stddev=0.02)


def build_plain_generator(image_shape, latent_dim, channels):
    """Transposed convolutions, table 3a: z [N, latent_dim] -> images in [-1, 1]."""
    grid_channels, *rest = channels
    grid = halved(image_shape, len(rest))
    z = keras.Input([latent_dim], name="z")
    x = keras.layers.Dense(
        grid[0] * grid[1] * grid_channels, kernel_initializer=plain_initializer()
    )(z)
    x = keras.layers.Reshape([*grid, grid_channels])(x)
    for width in rest:
        x = keras.layers.Conv2DTranspose(
            width, 4, strides=2, padding="same", kernel_initializer=plain_initializer()
        )(x)
        x = relu(norm(x))
    image = keras.layers.Conv2D(
        image_shape[2],
        3,
        padding="same",
        kernel_initializer=plain_initializer(),
        activation="tanh",
        dtype="float32",
    )(x)
    return keras.Model(z, image, name="generator")


def build_plain_discriminator(image_shape, channels):
    """Convolutions, table 3b: two for each width but the last; the second halves the image."""

    def leaky_conv(x, width, kernel_size, strides=1):
        layer = keras.layers.Conv2D(
            width, kernel_size, strides, padding="same", kernel_initializer=plain_initializer()
        )
        return keras.layers.LeakyReLU(0.1)(SpectralNorm(layer)(x))

    *widths, last = channels
    image = x = keras.Input(image_shape, name="image")
    for width in widths:
        x = leaky_conv(leaky_conv(x, width, 3), width, 4, strides=2)
    x = keras.layers.Flatten()(leaky_conv(x, last, 3))
    one = keras.layers.Dense(1, kernel_initializer=plain_initializer(), dtype="float32")
    return keras.Model(image, SpectralNorm(one)(x), name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class SNGAN(LatentModel):
    """GAN with a spectrally normalized discriminator, on the residual networks for CIFAR-10.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        num_classes: Length of the label vector; 0 for an unconditional model.
        architecture: "resnet", or "cnn" for the plain convolutional networks.
        generator_channels: Channels of the first grid, then of each block that doubles it.
        discriminator_channels: Channels of each block, from the image on.
        discriminator_downs: Number of blocks that halve the image, the first ones ("resnet").
        discriminator_bias: The score has a bias ("resnet").
        generator_norm: Normalization of the generator ("resnet"): "batch", which takes its gain and
            bias from the class where there are classes; without classes also "layer" or "none".
        hinge: Hinge loss; False for the non-saturating logistic loss of GAN.
        n_critic: Discriminator updates, each on its own batch, per generator update.
        decay_start: Step from which both learning rates fall.
        decay_end: Step at which they are 0.
    """

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=128,
        num_classes=0,
        architecture="resnet",
        generator_channels=(256, 256, 256, 256),
        discriminator_channels=(128, 128, 128, 128),
        discriminator_downs=2,
        discriminator_bias=False,
        generator_norm="batch",
        hinge=True,
        n_critic=5,
        decay_start=0,
        decay_end=50_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        self.architecture, self.generator_channels = architecture, generator_channels
        self.discriminator_channels = discriminator_channels
        self.discriminator_downs, self.discriminator_bias = discriminator_downs, discriminator_bias
        self.generator_norm, self.hinge, self.n_critic = generator_norm, hinge, n_critic
        self.decay_start, self.decay_end = decay_start, decay_end
        self.batches_per_step = n_critic
        if generator_norm not in (NORMS[:1] if num_classes or architecture == "cnn" else NORMS):
            raise BadInput(
                f"The generator's normalization is one of {', '.join(NORMS)}, and with classes or "
                f"the plain networks it is batch: not {generator_norm!r}."
            )
        if architecture == "resnet":
            self.generator = build_generator(
                image_shape, latent_dim, generator_channels, num_classes, generator_norm
            )
            self.discriminator = build_discriminator(
                image_shape,
                discriminator_channels,
                downs=discriminator_downs,
                bias=discriminator_bias,
                num_classes=num_classes,
            )
        elif architecture == "cnn" and not num_classes:
            self.generator = build_plain_generator(image_shape, latent_dim, generator_channels)
            self.discriminator = build_plain_discriminator(image_shape, discriminator_channels)
        else:
            raise BadInput(
                "The architecture is 'resnet', or, without classes, 'cnn'; not "
                f"{architecture!r} with num_classes = {num_classes}."
            )

    def default_optimizers(self):
        def adam(updates):
            decay_steps = self.decay_end - self.decay_start
            rate = HoldThenDecay(2e-4, self.decay_start * updates, decay_steps * updates)
            return Adam(rate, beta_1=0.0, beta_2=0.9)

        return {"discriminator": adam(self.n_critic), "generator": adam(1)}

    def generate(self, n):
        """Images of n new latents, and of uniformly drawn classes where there are classes."""
        z = self.latents(n)
        if not self.num_classes:
            return self.generator(z, training=True), None
        label = self.random_label(n)
        return self.generator([z, label], training=True), label

    def score(self, image, label):
        return self.discriminator([image, label] if self.num_classes else image, training=True)

    def discriminator_loss(self, real, label):
        fake, fake_label = self.generate(real.shape[0])
        if self.num_classes:
            label = tf.concat([label, fake_label], axis=0)
        score = self.score(tf.concat([real, fake], axis=0), label)
        real_score, fake_score = tf.split(score, 2)
        if self.hinge:
            return {
                "real": tf.reduce_mean(tf.nn.relu(1.0 - real_score)),
                "fake": tf.reduce_mean(tf.nn.relu(1.0 + fake_score)),
            }
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, n):
        score = self.score(*self.generate(n))
        if self.hinge:
            return {"fake": -tf.reduce_mean(score)}
        return {"fake": tf.reduce_mean(tf.nn.softplus(-score))}

    def train_step(self, data):
        batches = self.split(data)
        g = self.update("generator", self.generator_loss, n=2 * batches[0]["image"].shape[0])
        for batch in batches:
            real = dequantized(batch["image"])  # as in WGAN-GP
            label = self.one_hot(batch.get("label"))
            d = self.update("discriminator", self.discriminator_loss, real, label)
        return g | d
