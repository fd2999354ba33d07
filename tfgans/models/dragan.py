"""DRAGAN — On Convergence and Stability of GANs.

Kodali, Abernethy, Hays, Kira, 2017, arXiv:1705.07215.

New here: the game of GAN, with a penalty on the norm of D's gradient near the real data alone. The
paper blames mode collapse on bad equilibria, in which D has sharp gradients around real images; the
penalty asks for a norm of 1 there, wherever the fakes are.

Differs from the paper: its text adds normal noise to the images; this is the authors' code, whose
noise is uniform and one-sided, half as large as the deviation of the batch, and scaled by a random
number for each image (`centered=True` gives noise around 0 of the same size). The networks are the
convolutional ones of DCGAN in place of the code's small fully connected ones for MNIST. D has
biases and no batch normalization, with which the score of one image depends on the others. With
several devices, each takes the deviation of its own part of the batch.

Reference: kodalinaveen3/DRAGAN (DRAGAN.ipynb).
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.models.dcgan import build_discriminator, build_generator
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam
from tfgans.penalties import between, gradient_norm, input_gradient


@keras.saving.register_keras_serializable("tfgans")
class DRAGAN(LatentModel):
    """GAN whose discriminator has gradients of norm 1 around the real images.

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        latent_dim: Length of z, uniform in [-1, 1].
        width: Channels of the layers nearest to the image; they double away from it.
        penalty_weight: Weight of the gradient penalty, the paper's lambda.
        noise_scale: Range of the noise, in deviations of the batch.
        centered: The noise lies around 0; otherwise it is positive.
    """

    prior = (-1.0, 1.0)

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=100,
        width=64,
        penalty_weight=10.0,
        noise_scale=0.5,
        centered=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.width = image_shape, latent_dim, width
        self.penalty_weight = penalty_weight
        self.noise_scale, self.centered = noise_scale, centered
        self.generator = build_generator(image_shape, latent_dim, width, kernel_size=4)
        self.discriminator = build_discriminator(
            image_shape, width, kernel_size=4, use_bias=True, normalized=False
        )

    def default_optimizers(self):
        def adam():
            return Adam(1e-4, beta_1=0.5, beta_2=0.9)

        return {"discriminator": adam(), "generator": adam()}

    def around(self, real):
        """A random point near each real image, [N, H, W, C]."""
        deviation = tf.math.reduce_std(real)  # one number, over all pixels of the batch
        noise = random.uniform(real.shape) - (0.5 if self.centered else 0.0)
        noisy = real + self.noise_scale * deviation * noise
        return between(real, noisy, random.uniform([real.shape[0], 1, 1, 1]))

    def gradient_penalty(self, real):
        """Mean of (|gradient of D| - 1)^2 near the real images; no fake takes part."""
        gradient = input_gradient(
            lambda x: self.discriminator(x, training=True), self.around(real), [self.discriminator]
        )
        return tf.reduce_mean(tf.square(gradient_norm(gradient) - 1.0))

    def discriminator_loss(self, real):
        fake = self.generator(self.latents(real.shape[0]), training=True)
        real_score = self.discriminator(real, training=True)
        fake_score = self.discriminator(fake, training=True)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
            "penalty": self.penalty_weight * self.gradient_penalty(real),
        }

    def generator_loss(self, n):
        fake = self.generator(self.latents(n), training=True)
        score = self.discriminator(fake, training=True)
        return {"fake": tf.reduce_mean(tf.nn.softplus(-score))}

    def train_step(self, data):
        real = data["image"]
        d = self.update("discriminator", self.discriminator_loss, real)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        return d | g
