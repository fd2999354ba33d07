"""Projection — cGANs with Projection Discriminator.

Miyato & Koyama, ICLR 2018, arXiv:1802.05637.

New here: the logarithm of the ratio that an ideal D knows splits into a part of the image alone and
one of the image and its class. If both have the form of an exponential family, D is

    D(x, y) = psi(phi(x)) + <v_y, phi(x)>,

the score of SNGAN plus the inner product of its features with a vector of the class. A label that
is appended to features cannot express it. The generator's batch normalization takes its gain and
bias from the class.

Differs from the paper: networks, their details and the noise on images are those of `sngan.py`;
real and generated images pass D together. G's move comes first in a step, with twice the batch, as
in the authors' code. The classes of generated images are uniform. Samples are made with the moving
averages of batch normalization.

Reference: pfnet-research/sngan_projection.
"""

import keras
import tensorflow as tf

from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.inputs import need_classes
from tfgans.models.latent import LatentModel
from tfgans.models.sngan import build_generator, initializer, pooled_features, psi
from tfgans.models.wgan_gp import dequantized
from tfgans.optimizers import Adam, HoldThenDecay


def build_discriminator(image_shape, channels, downs, bias, num_classes):
    """Images and label vectors -> scores [N, 1]; the first `downs` blocks halve the image."""
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label")
    phi = pooled_features(image, channels, downs)  # [N, C]
    embedding = keras.layers.Dense(
        channels[-1], use_bias=False, kernel_initializer=initializer(), dtype="float32"
    )
    score = psi(phi, bias)
    v = SpectralNorm(embedding, name="embedding")(label)  # [N, C]
    score += keras.layers.Dot(axes=1, dtype="float32")([v, phi])
    return keras.Model([image, label], score, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class ProjectionGAN(LatentModel):
    """Conditional GAN with a projection discriminator, in its setting for ImageNet at 128x128.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        num_classes: Length of the label vector.
        generator_channels: Channels of the first grid, then of each block that doubles it.
        discriminator_channels: Channels of each block, from the image on.
        discriminator_downs: Number of blocks that halve the image, the first ones.
        discriminator_bias: psi has a bias.
        hinge: Hinge loss; False for the non-saturating logistic loss of GAN.
        n_critic: Discriminator updates, each on its own batch, per generator update.
        decay_start: Step from which both learning rates fall.
        decay_end: Step at which they are 0.
    """

    def __init__(
        self,
        image_shape=(128, 128, 3),
        latent_dim=128,
        num_classes=1000,
        generator_channels=(1024, 1024, 512, 256, 128, 64),
        discriminator_channels=(64, 128, 256, 512, 1024, 1024),
        discriminator_downs=5,
        discriminator_bias=True,
        hinge=True,
        n_critic=5,
        decay_start=400_000,
        decay_end=450_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        need_classes(self)
        self.generator_channels = generator_channels
        self.discriminator_channels = discriminator_channels
        self.discriminator_downs, self.discriminator_bias = discriminator_downs, discriminator_bias
        self.hinge, self.n_critic = hinge, n_critic
        self.decay_start, self.decay_end = decay_start, decay_end
        self.batches_per_step = n_critic
        self.generator = build_generator(image_shape, latent_dim, generator_channels, num_classes)
        self.discriminator = build_discriminator(
            image_shape,
            discriminator_channels,
            downs=discriminator_downs,
            bias=discriminator_bias,
            num_classes=num_classes,
        )

    def default_optimizers(self):
        def adam(updates):
            decay_steps = self.decay_end - self.decay_start
            rate = HoldThenDecay(2e-4, self.decay_start * updates, decay_steps * updates)
            return Adam(rate, beta_1=0.0, beta_2=0.9)

        return {"discriminator": adam(self.n_critic), "generator": adam(1)}

    def generate(self, n):
        """n new images and their labels, each class with the same probability."""
        label = self.random_label(n)
        return self.generator([self.latents(n), label], training=True), label

    def discriminator_loss(self, real, label):
        fake, fake_label = self.generate(real.shape[0])
        both = [tf.concat([real, fake], axis=0), tf.concat([label, fake_label], axis=0)]
        real_score, fake_score = tf.split(self.discriminator(both, training=True), 2)
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
        fake, label = self.generate(n)
        score = self.discriminator([fake, label], training=True)
        if self.hinge:
            return {"fake": -tf.reduce_mean(score)}
        return {"fake": tf.reduce_mean(tf.nn.softplus(-score))}

    def train_step(self, data):
        batches = self.split(data)
        g = self.update("generator", self.generator_loss, n=2 * batches[0]["image"].shape[0])
        for batch in batches:
            real, label = dequantized(batch["image"]), self.one_hot(batch["label"])
            d = self.update("discriminator", self.discriminator_loss, real, label)
        return g | d
