"""GAN — Generative Adversarial Nets.

Goodfellow et al., NeurIPS 2014, arXiv:1406.2661.

New here: a generator and a discriminator trained against each other. At its optimum the
discriminator knows the Jensen-Shannon divergence of data and generator, and the generator minimizes
it. The networks are those of the MNIST experiment: rectifiers against maxout with dropout.

Differs from the paper: the generator maximizes log D(G(z)) rather than minimizing log(1 - D(G(z))),
as the authors' code does and section 3 of the paper recommends; `saturating=True` is the formula of
the paper's Algorithm 1. The discriminator's loss is the mean of its two cross entropies, half the
paper's sum, as in the code. The players move one after the other (Algorithm 1); in the code both
move at once. The learning rate has no floor; the code would reach its floor after three million
updates. The generator starts with one gray, in the code with the mean digit. Images are [-1, 1] as
everywhere in tfgans; inside they are [0, 1].

Reference: goodfeli/adversarial.
"""

import math

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.dropout import Dropout
from tfgans.layers.maxout import Maxout
from tfgans.models.latent import LatentModel
from tfgans.optimizers import RisingMomentumSGD


def initializer(spread):
    """U(-spread, spread)."""
    return keras.initializers.RandomUniform(-spread, spread)


def build_generator(image_shape, latent_dim, width, mean_pixel):
    """z [N, latent_dim] -> images in [-1, 1]."""
    gray = keras.initializers.Constant(math.log(mean_pixel / (1.0 - mean_pixel)))
    z = keras.Input([latent_dim])
    x = keras.layers.Dense(width, "relu", kernel_initializer=initializer(0.05))(z)
    x = keras.layers.Dense(width, "relu", kernel_initializer=initializer(0.05))(x)
    x = keras.layers.Dense(
        math.prod(image_shape),
        "sigmoid",
        kernel_initializer=initializer(0.05),
        bias_initializer=gray,
        dtype="float32",
    )(x)
    x = keras.layers.Reshape(image_shape, dtype="float32")(x)
    image = keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x)
    return keras.Model(z, image, name="generator")


def build_discriminator(image_shape, width, pieces):
    """Images in [-1, 1] -> scores [N, 1]."""
    image = keras.Input(image_shape)
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    x = Maxout(width, pieces, 0.005)(Dropout(0.2)(x))
    x = Dropout(0.5)(Maxout(width, pieces, 0.005)(Dropout(0.5)(x)))
    score = keras.layers.Dense(1, kernel_initializer=initializer(0.005), dtype="float32")(x)
    return keras.Model(image, score, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class GAN(LatentModel):
    """The first GAN, in its setting for MNIST.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z, uniform with unit variance.
        generator_width: Units of the generator's hidden layers.
        discriminator_width: Maxout units of the discriminator's hidden layers.
        pieces: Affine maps per maxout unit.
        mean_pixel: Mean of the data, between black (0) and white (1); the generator starts with
            this gray.
        saturating: Minimize log(1 - D(G(z))) instead of -log D(G(z)).
        epoch_steps: Updates per pass over the data, the unit of the momentum's schedule.
    """

    prior = (-(3**0.5), 3**0.5)

    def __init__(
        self,
        image_shape=(28, 28, 1),
        latent_dim=100,
        generator_width=1200,
        discriminator_width=240,
        pieces=5,
        mean_pixel=0.1307,
        saturating=False,
        epoch_steps=500,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0.0 < mean_pixel < 1.0:
            raise BadInput(
                "model.mean_pixel is the mean of the data with black 0 and white 1: a number above "
                f"0 and below 1, not {mean_pixel}."
            )
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.generator_width, self.discriminator_width = generator_width, discriminator_width
        self.pieces, self.mean_pixel = pieces, mean_pixel
        self.saturating, self.epoch_steps = saturating, epoch_steps
        self.generator = build_generator(image_shape, latent_dim, generator_width, mean_pixel)
        self.discriminator = build_discriminator(image_shape, discriminator_width, pieces)

    def default_optimizers(self):
        def sgd():
            # Divided by 1.000004 after each update, in a form that float32 can hold.
            rate = keras.optimizers.schedules.ExponentialDecay(
                0.1, decay_steps=1.0 / math.log(1.000004), decay_rate=math.exp(-1.0)
            )
            return RisingMomentumSGD(rate, 0.5, 0.7, rise_steps=250 * self.epoch_steps)

        return {"discriminator": sgd(), "generator": sgd()}

    def discriminator_loss(self, real):
        fake = self.generator(self.latents(real.shape[0]), training=True)
        real_score = self.discriminator(real, training=True)
        fake_score = self.discriminator(fake, training=True)
        return {  # -log D(x) and -log(1 - D(G(z))), from scores before the sigmoid
            "real": 0.5 * tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": 0.5 * tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, n):
        fake = self.generator(self.latents(n), training=True)
        score = self.discriminator(fake, training=True)
        if self.saturating:
            return {"fake": -tf.reduce_mean(tf.nn.softplus(score))}
        return {"fake": tf.reduce_mean(tf.nn.softplus(-score))}

    def train_step(self, data):
        real = data["image"]
        d = self.update("discriminator", self.discriminator_loss, real)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        return d | g
