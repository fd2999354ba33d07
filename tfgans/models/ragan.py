"""RaGAN — The Relativistic Discriminator: a Key Element Missing from Standard GAN.

Jolicoeur-Martineau, ICLR 2019, arXiv:1807.00734.

New here: D does not say whether an image is real, but whether it is more realistic than an image of
the other kind, or than the average of these. C(x) is D's plain output; its difference to the other
kind takes the place of C(x) in any loss, so a constant added to all outputs changes nothing. G's
loss contains the real images, too: G makes fakes more real and real images less so.

Differs from the paper: nothing known in the formulas; the author's code halves the two-term losses.
The gradient penalty of the "-GP" variants, the networks for cats and the packed discriminator are
not built. Spectral normalization and the details of the networks are those of `sngan.py`; real and
generated images pass D together. With several devices, each takes the averages of its own part of
the batch. Samples are made with the moving averages of batch normalization.

Reference: AlexiaJM/RelativisticGAN (code/GAN_losses_iter.py).
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput, nearest
from tfgans.models.latent import LatentModel
from tfgans.models.sngan import build_plain_discriminator, build_plain_generator
from tfgans.optimizers import Adam

DISTANCES = ("rasgan", "ralsgan", "rahinge", "rsgan")


@keras.saving.register_keras_serializable("tfgans")
class RaGAN(LatentModel):
    """Relativistic GAN on the plain convolutional networks of SNGAN, for CIFAR-10.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        generator_channels: Channels of the first grid, then of each layer that doubles it.
        discriminator_channels: Channels of D's layers from the image on, see `SNGAN`.
        distance: "rasgan", "ralsgan" or "rahinge": the logistic, least squares or hinge loss of
            the difference to the average; "rsgan": the logistic loss of pairs.
    """

    batches_per_step = 2  # real images for D, and others for G

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=128,
        generator_channels=(512, 256, 128, 64),
        discriminator_channels=(64, 128, 256, 512),
        distance="rasgan",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if distance not in DISTANCES:
            raise BadInput(nearest("distance of RaGAN", distance, DISTANCES))
        self.image_shape, self.latent_dim, self.distance = image_shape, latent_dim, distance
        self.generator_channels = generator_channels
        self.discriminator_channels = discriminator_channels
        self.generator = build_plain_generator(image_shape, latent_dim, generator_channels)
        self.discriminator = build_plain_discriminator(image_shape, discriminator_channels)

    def default_optimizers(self):
        def adam():
            return Adam(2e-4, beta_1=0.5, beta_2=0.999)

        return {"discriminator": adam(), "generator": adam()}

    def scores(self, real):
        """C(x) of `real` and C(G(z)), each [N, 1]."""
        fake = self.generator(self.latents(real.shape[0]), training=True)
        score = self.discriminator(tf.concat([real, fake], axis=0), training=True)
        return tf.split(score, 2)

    def relativistic_loss(self, high_score, low_score):
        """The terms that are small where `high_score` is above `low_score`, both [N, 1].

        D wants real images above fakes, G fakes above real images.
        """
        if self.distance == "rsgan":
            return {"pairs": tf.reduce_mean(tf.nn.softplus(low_score - high_score))}
        high = high_score - tf.reduce_mean(low_score)
        low = low_score - tf.reduce_mean(high_score)
        if self.distance == "rasgan":
            return {
                "high": tf.reduce_mean(tf.nn.softplus(-high)),
                "low": tf.reduce_mean(tf.nn.softplus(low)),
            }
        if self.distance == "ralsgan":
            return {
                "high": tf.reduce_mean(tf.square(high - 1.0)),
                "low": tf.reduce_mean(tf.square(low + 1.0)),
            }
        return {
            "high": tf.reduce_mean(tf.nn.relu(1.0 - high)),
            "low": tf.reduce_mean(tf.nn.relu(1.0 + low)),
        }

    def discriminator_loss(self, real):
        real_score, fake_score = self.scores(real)
        return self.relativistic_loss(real_score, fake_score)

    def generator_loss(self, real):
        real_score, fake_score = self.scores(real)
        return self.relativistic_loss(fake_score, real_score)

    def train_step(self, data):
        for_d, for_g = self.split(data)
        d = self.update("discriminator", self.discriminator_loss, for_d["image"])
        g = self.update("generator", self.generator_loss, for_g["image"])
        return d | g
