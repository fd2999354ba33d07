"""LAPGAN — Deep Generative Image Models using a Laplacian Pyramid of Adversarial Networks.

Denton, Chintala, Szlam, Fergus, NeurIPS 2015, arXiv:1506.05751.

New here: an image is drawn coarse to fine. A plain GAN makes the coarsest image I_K; then each
level k enlarges the image so far, l_k = u(I_k+1), and a GAN of its own adds the missing detail h_k,
I_k = l_k + h_k. Each level is a game of two players who share nothing with the other levels, and
learns from real coarse images. The generators form a chain only after the training.

Differs from the paper: the class-conditional variant and the LSUN networks are not built. All
levels train in one run, as independently as in separate runs. Real and generated details belong to
the same coarse images of a batch, and G moves on these too; the code draws new ones for each, and
twice as many for G. Images are standardized by one mean and deviation, in the code by those of each
pixel. The coarse GAN has the paper's two layers of rectifiers and the code's initial weights. The
momentum ends at the paper's 0.8, in the code at 0.7. u and d are bilinear, as in the code.

Reference: facebook/eyescream (cifar/scripts/train_cifar_coarse_to_fine.lua, train_cifar.lua).
"""

import math

import keras
import tensorflow as tf

from tfgans import random
from tfgans.layers.dropout import Dropout
from tfgans.models.gan import RisingMomentumSGD
from tfgans.models.latent import LatentModel
from tfgans.shapes import halved


def down(image):
    """d: halves the resolution."""
    return tf.image.resize(image, [image.shape[1] // 2, image.shape[2] // 2])


def up(image):
    """u: doubles the resolution."""
    return tf.image.resize(image, [2 * image.shape[1], 2 * image.shape[2]])


def start(fan_in):
    """Torch's default for kernels and biases, U(-1, 1) / sqrt(fan-in)."""
    bound = fan_in**-0.5
    return {
        f"{word}_initializer": keras.initializers.RandomUniform(-bound, bound)
        for word in ("kernel", "bias")
    }


def conv(x, filters, size, **kwargs):
    return keras.layers.Conv2D(filters, size, **start(size**2 * x.shape[-1]), **kwargs)(x)


def dense(units, stddev, **kwargs):
    normal = keras.initializers.RandomNormal(stddev=stddev)
    return keras.layers.Dense(units, kernel_initializer=normal, **kwargs)


def build_coarse_generator(shape, latent_dim, width, name):
    """z [N, latent_dim] -> the coarsest images, standardized."""
    z = keras.Input([latent_dim])
    x = dense(width, 0.05, activation="relu")(z)
    x = dense(width, 0.05, activation="relu")(x)
    x = dense(math.prod(shape), 0.05, dtype="float32")(x)
    return keras.Model(z, keras.layers.Reshape(shape, dtype="float32")(x), name=name)


def build_coarse_discriminator(shape, width, name):
    """The coarsest images -> scores [N, 1]."""
    image = keras.Input(shape)
    x = keras.layers.Flatten()(image)
    for _ in range(2):
        x = Dropout(0.5)(dense(width, 0.005, activation="relu")(x))
    return keras.Model(image, dense(1, 0.005, dtype="float32")(x), name=name)


def build_detail_generator(shape, width, name):
    """Noise [N, H, W, 1] and enlarged coarse images -> details, which have no bounds."""
    noise, coarse = keras.Input([*shape[:2], 1]), keras.Input(shape)
    x = keras.layers.Concatenate()([noise, coarse])
    x = conv(x, width, 7, padding="same", activation="relu")
    x = conv(x, width, 7, padding="same", activation="relu")
    detail = conv(x, shape[2], 5, padding="same", dtype="float32")
    return keras.Model([noise, coarse], detail, name=name)


def build_detail_discriminator(shape, width, name):
    """Details and enlarged coarse images -> scores [N, 1], of their sum alone."""
    detail, coarse = keras.Input(shape), keras.Input(shape)
    x = keras.layers.Add()([detail, coarse])
    x = conv(x, width, 5, activation="relu")
    x = conv(x, width, 5, strides=2, activation="relu")
    x = Dropout(0.5)(keras.layers.Flatten()(x))
    score = keras.layers.Dense(1, **start(x.shape[-1]), dtype="float32")(x)
    return keras.Model([detail, coarse], score, name=name)


class Cascade(keras.layers.Layer):
    """All generators in a chain: the coarsest image, then detail upon detail.

    Args:
        generators: One for each level, the finest first.
    """

    def __init__(self, generators, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.generators = generators
        self.built = True

    def call(self, noises):
        *generators, coarsest = self.generators
        *noises, z = noises
        image = coarsest(z)
        for generator, noise in zip(reversed(generators), reversed(noises), strict=True):
            coarse = up(image)
            image = coarse + generator([noise, coarse])
        return image


@keras.saving.register_keras_serializable("tfgans")
class LAPGAN(LatentModel):
    """Laplacian pyramid of GANs in its setting for CIFAR-10.

    The players of level k are discriminator_k and generator_k; level 0 is the finest.

    Args:
        image_shape: (height, width, channels) of the images.
        widths: Channels of the networks of each detail level, the finest first.
        coarse_latent_dim: Length of the coarsest level's z ~ U(-1, 1).
        coarse_generator_width: Units of the coarsest generator's hidden layers.
        coarse_discriminator_width: Units of the coarsest discriminator's hidden layers.
        pixel_mean: Mean of the data in [-1, 1].
        pixel_std: Standard deviation of the data; the networks see mean 0 and deviation 1.
        epoch_steps: Steps per pass over the data, the unit of the schedules.
    """

    prior = (-1.0, 1.0)

    def __init__(
        self,
        image_shape=(32, 32, 3),
        widths=(128, 64),
        coarse_latent_dim=100,
        coarse_generator_width=1200,
        coarse_discriminator_width=600,
        pixel_mean=-0.053,
        pixel_std=0.503,
        epoch_steps=703,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.widths = image_shape, widths
        self.coarse_latent_dim = coarse_latent_dim
        self.coarse_generator_width = coarse_generator_width
        self.coarse_discriminator_width = coarse_discriminator_width
        self.pixel_mean, self.pixel_std, self.epoch_steps = pixel_mean, pixel_std, epoch_steps
        levels = len(widths)
        halved(image_shape, levels, least=8)  # raises BadInput where that is not possible
        shapes = [(*halved(image_shape, k), image_shape[2]) for k in range(levels + 1)]
        self.generators, self.discriminators = [], []
        for k, width in enumerate(widths):
            shape = shapes[k]
            self.generators.append(build_detail_generator(shape, width, f"generator_{k}"))
            self.discriminators.append(
                build_detail_discriminator(shape, width, f"discriminator_{k}")
            )
        shape, names = shapes[levels], (f"generator_{levels}", f"discriminator_{levels}")
        width = coarse_generator_width
        self.generators.append(build_coarse_generator(shape, coarse_latent_dim, width, names[0]))
        width = coarse_discriminator_width
        self.discriminators.append(build_coarse_discriminator(shape, width, names[1]))
        self.generator = Cascade(self.generators)
        # z is the noise of all levels, one after the other.
        noise_sizes = [rows * columns for rows, columns, _ in shapes[:-1]]
        self.noise_sizes = [*noise_sizes, coarse_latent_dim]
        self.latent_dim = sum(self.noise_sizes)

    def players(self):
        discriminators = {f"discriminator_{k}": [d] for k, d in enumerate(self.discriminators)}
        return discriminators | {f"generator_{k}": [g] for k, g in enumerate(self.generators)}

    def default_optimizers(self):
        def sgd():
            rate = keras.optimizers.schedules.ExponentialDecay(  # divided by 1.000004 each pass
                0.02, decay_steps=self.epoch_steps / math.log(1.000004), decay_rate=math.exp(-1.0)
            )
            return RisingMomentumSGD(rate, 0.5, 0.8, rise_steps=375 * self.epoch_steps)

        return {player: sgd() for player in self.players()}

    def pyramid(self, image):
        """Details h_k and enlarged coarse images l_k of all levels; the coarsest l is 0."""
        image = (image - self.pixel_mean) / self.pixel_std
        levels = []
        for _ in self.widths:
            smaller = down(image)
            coarse = up(smaller)
            levels.append((image - coarse, coarse))
            image = smaller
        return [*levels, (image, tf.zeros_like(image))]

    def draw(self, k, coarse):
        """The detail that generator k adds to enlarged coarse images, or the coarsest images."""
        n = coarse.shape[0]
        if k == len(self.widths):
            z = random.uniform([n, self.coarse_latent_dim], -1.0, 1.0)
            return self.generators[k](z, training=True)
        noise = random.uniform([*coarse.shape[:3], 1], -1.0, 1.0)
        return self.generators[k]([noise, coarse], training=True)

    def score(self, k, detail, coarse):
        if k == len(self.widths):
            return self.discriminators[k](detail, training=True)
        return self.discriminators[k]([detail, coarse], training=True)

    def discriminator_loss(self, k, detail, coarse):
        real_score = self.score(k, detail, coarse)
        fake_score = self.score(k, self.draw(k, coarse), coarse)
        return {  # cross entropy, half of the batch real and half generated
            "real": 0.5 * tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": 0.5 * tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, k, coarse):
        return {
            "fake": tf.reduce_mean(tf.nn.softplus(-self.score(k, self.draw(k, coarse), coarse)))
        }

    def train_step(self, data):
        logs = {}
        for k, (detail, coarse) in enumerate(self.pyramid(data["image"])):
            logs |= self.update(f"discriminator_{k}", self.discriminator_loss, k, detail, coarse)
            logs |= self.update(f"generator_{k}", self.generator_loss, k, coarse)
        return logs

    def call(self, z):
        noises = tf.split(z, list(self.noise_sizes), axis=1)
        for k in range(len(self.widths)):
            noises[k] = tf.reshape(noises[k], [-1, *halved(self.image_shape, k), 1])
        image = self.generator(noises) * self.pixel_std + self.pixel_mean
        return tf.clip_by_value(image, -1.0, 1.0)
