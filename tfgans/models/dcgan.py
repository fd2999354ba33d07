"""DCGAN — Unsupervised Representation Learning with Deep Convolutional GANs.

Radford, Metz, Chintala, ICLR 2016, arXiv:1511.06434.

New here: networks of strided convolutions without pooling or hidden dense layers, batch
normalization everywhere but at the two ends that touch images, ReLU against LeakyReLU, and Adam
with a small beta_1. The recipe made the training of GANs routine, and most later papers begin with
these networks.

Differs from the paper: both players' losses contain the weight decay of the authors' code, which
the paper does not mention (`decay_weight=0` leaves it out). Samples are made with the moving
averages of batch normalization; the code uses the statistics of the batch. The code moves G first;
here D moves first. `kernel_size=4` with `width=64` gives the networks of the third author's Torch
code, which most later papers mean by "DCGAN", but with the constant of the Theano code in batch
normalization.

Reference: Newmu/dcgan_code (faces/train_uncond_dcgan.py), soumith/dcgan.torch.
"""

import keras
import tensorflow as tf

from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved, halvings


def initializer(mean=0.0):
    return keras.initializers.RandomNormal(mean, 0.02)


# Sizes of kernels and constant of the normalization in the Torch code.
TORCH = {"kernel_size": 4, "epsilon": 1e-5}


def normalize(x, epsilon):
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=epsilon, gamma_initializer=initializer(1.0)
    )(x)


def build_generator(image_shape, latent_dim, width, kernel_size=5, epsilon=1e-8):
    """z [N, latent_dim] -> images in [-1, 1].

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        latent_dim: Length of z.
        width: Channels before the last convolution; they double towards z.
        kernel_size: 5 as in the Theano code; 4 as in the Torch code, where also the first
            normalization is per channel instead of per feature.
        epsilon: Constant of the normalization: 1e-8 as in the Theano code, 1e-5 in the Torch code.
    """
    stages = halvings(image_shape, fewest=1)
    grid = halved(image_shape, stages)
    widest = width << (stages - 1)
    z = keras.Input([latent_dim])
    x = keras.layers.Dense(
        grid[0] * grid[1] * widest, use_bias=False, kernel_initializer=initializer()
    )(z)
    to_map = keras.layers.Reshape([*grid, widest])
    x = normalize(to_map(x), epsilon) if kernel_size == 4 else to_map(normalize(x, epsilon))
    image = deconvs(keras.layers.ReLU()(x), image_shape[2], stages, width, kernel_size, epsilon)
    return keras.Model(z, image, name="generator")


def deconvs(x, channels, stages, width, kernel_size, epsilon):
    """Maps [N, H, W, C] -> images in [-1, 1], doubled `stages` times; see `build_generator`."""
    for left in reversed(range(stages - 1)):
        x = deconv(width << left, kernel_size)(x)
        x = keras.layers.ReLU()(normalize(x, epsilon))
    return deconv(channels, kernel_size, activation="tanh", dtype="float32")(x)


def deconv(filters, kernel_size, **kwargs):
    # "same" pads the other side than the authors' code does: all images are mirrored, no more.
    return keras.layers.Conv2DTranspose(
        filters,
        kernel_size,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=initializer(),
        **kwargs,
    )


def build_discriminator(
    image_shape, width, kernel_size=5, use_bias=False, epsilon=1e-8, normalized=True
):
    """Images in [-1, 1] -> scores [N, 1].

    Without biases, its scores in training do not depend on the contrast of a batch, because the
    first normalization removes it: samples begin gray and gain contrast slowly.

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        width: Channels of the first convolution; they double at each following one.
        kernel_size: 5 as in the Theano code, 4 as in the Torch code.
        use_bias: Give biases to the layers that no normalization follows.
        epsilon: Constant of the normalization, see `build_generator`.
        normalized: Normalize after all convolutions but the first; otherwise after none.
    """
    image = keras.Input(image_shape)
    stages = halvings(image_shape, fewest=1)
    x = convs(image, stages, width, kernel_size, epsilon, use_bias, normalized)
    x = keras.layers.Flatten()(x)
    score = keras.layers.Dense(
        1, use_bias=use_bias, kernel_initializer=initializer(), dtype="float32"
    )(x)
    return keras.Model(image, score, name="discriminator")


def convs(x, stages, width, kernel_size, epsilon, use_bias=False, normalized=True):
    """Images -> maps, halved `stages` times; see `build_discriminator`."""
    for stage in range(stages):
        x = keras.layers.Conv2D(
            width << stage,
            kernel_size,
            strides=2,
            padding="same",
            use_bias=use_bias and not (normalized and stage),
            kernel_initializer=initializer(),
        )(x)
        x = keras.layers.LeakyReLU(0.2)(normalize(x, epsilon) if normalized and stage else x)
    return x


@keras.saving.register_keras_serializable("tfgans")
class DCGAN(LatentModel):
    """Deep convolutional GAN, in the authors' setting for faces.

    Args:
        image_shape: (height, width, channels) of the images. The shorter side is 4 to 7 times a
            power of two, and the longer one a multiple of that power.
        latent_dim: Length of z, uniform in [-1, 1].
        width: Channels of the layers nearest to the image; they double away from it.
        kernel_size: Side of all kernels: 5, or 4 as in the Torch code.
        decay_weight: Weight of half the sum of squares of each player's weights.
    """

    prior = (-1.0, 1.0)

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=100,
        width=128,
        kernel_size=5,
        decay_weight=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.width = image_shape, latent_dim, width
        self.kernel_size, self.decay_weight = kernel_size, decay_weight
        self.generator = build_generator(image_shape, latent_dim, width, kernel_size)
        self.discriminator = build_discriminator(image_shape, width, kernel_size)

    def default_optimizers(self):
        def adam():
            return Adam(2e-4, beta_1=0.5, beta_2=0.999)

        return {"discriminator": adam(), "generator": adam()}

    def discriminator_loss(self, real):
        fake = self.generator(self.latents(real.shape[0]), training=True)
        # Two batches, for batch normalization: real and fake images are never mixed.
        real_score = self.discriminator(real, training=True)
        fake_score = self.discriminator(fake, training=True)
        return {  # -log D(x) and -log(1 - D(G(z))), from scores before the sigmoid
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
        } | self.decay("discriminator", self.decay_weight)

    def generator_loss(self, n):
        fake = self.generator(self.latents(n), training=True)
        score = self.discriminator(fake, training=True)
        return {
            "fake": tf.reduce_mean(tf.nn.softplus(-score)),
        } | self.decay("generator", self.decay_weight)

    def train_step(self, data):
        real = data["image"]
        d = self.update("discriminator", self.discriminator_loss, real)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        return d | g
