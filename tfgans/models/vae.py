"""VAE — Auto-Encoding Variational Bayes.

Kingma, Welling, ICLR 2014, arXiv:1312.6114, as the baseline of "Are GANs Created Equal?", Lucic et
al., NeurIPS 2018, arXiv:1711.10337.

New here: no discriminator. An encoder gives a normal distribution q(z | x) of latents for an image,
a decoder gives a distribution p(x | z) of images for a latent, and both raise the same lower bound
of the likelihood, log p(x) >= E_q log p(x | z) - KL(q(z | x) || p(z)). A latent is drawn as
mean + deviation * noise, so the gradient of the reconstruction passes through the draw into the
encoder. The decoder averages over all images that a latent may stand for: reconstructions and
samples are blurred, and adversarial losses are measured against this.

Differs from the paper: networks and settings are those of the study, which takes the convolutional
networks of InfoGAN; the paper has fully connected ones. The study's code sums the reconstruction
over height and width and averages it over channels; here it is the sum over channels too, as the
bound says. Gains of batch normalization start at N(1, 0.02), as in `infogan.py`, in the study's
code at 1. Reconstructions are those of the mean of q; samples show the probability of white at each
pixel, no draws of black and white. Images are [-1, 1] as everywhere in tfgans; the likelihood is
that of (x + 1) / 2.

Reference: google/compare_gan at commit 51029dc (compare_gan/src/gans/VAE.py).
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.models.infogan import build_generator, build_trunk, dense
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam


def build_encoder(image_shape, latent_dim, dense_width, width):
    """Images in [-1, 1] -> means of latents, and their deviations before softplus, side by side."""
    trunk = build_trunk(image_shape, dense_width, width, leak=0.2)
    x = dense(2 * latent_dim, dtype="float32")(trunk.output)
    return keras.Model(trunk.input, x, name="encoder")


@keras.saving.register_keras_serializable("tfgans")
class VAE(LatentModel):
    """Variational autoencoder in the study's setting for MNIST.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        dense_width: Units of the dense layers.
        width: Channels at half the image's resolution; twice as many at a quarter.
    """

    def __init__(
        self, image_shape=(28, 28, 1), latent_dim=64, dense_width=1024, width=64, **kwargs
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.dense_width, self.width = dense_width, width
        self.encoder = build_encoder(image_shape, latent_dim, dense_width, width)
        self.decoder = build_generator(image_shape, latent_dim, dense_width, width, logits=True)

    def players(self):
        return {"autoencoder": [self.encoder, self.decoder]}

    def default_optimizers(self):
        return {"autoencoder": Adam(5e-5, beta_1=0.5)}

    def posterior(self, image, training=False):
        """q(z | x) of an image: the mean and the deviation of each latent, both [N, latent_dim]."""
        mean, x = tf.split(self.encoder(image, training=training), 2, axis=1)
        return mean, 1e-6 + tf.nn.softplus(x)

    def reconstruction(self, image, logits):
        """-log p(x | z) of an image by `logits`: pixels are black or white, independent of others.

        Summed over pixels and channels, averaged over the batch.
        """
        t = 0.5 * image + 0.5  # [-1, 1] -> [0, 1]
        # -t log sigmoid(logits) - (1 - t) log(1 - sigmoid(logits))
        nll = tf.nn.softplus(logits) - t * logits
        return tf.reduce_mean(tf.reduce_sum(nll, axis=[1, 2, 3]))

    def divergence(self, mean, deviation):
        """KL(N(mean, deviation^2) || N(0, 1)), summed over latents, averaged over the batch."""
        kl = 0.5 * (tf.square(mean) + tf.square(deviation) - 1.0) - tf.math.log(deviation)
        return tf.reduce_mean(tf.reduce_sum(kl, axis=1))

    def autoencoder_loss(self, image):
        mean, deviation = self.posterior(image, training=True)
        z = mean + deviation * random.normal(mean.shape)  # one draw for each image
        logits = self.decoder(z, training=True)
        return {
            "reconstruction": self.reconstruction(image, logits),
            "kl": self.divergence(mean, deviation),
        }

    def train_step(self, data):
        return self.update("autoencoder", self.autoencoder_loss, data["image"])

    def call(self, z):
        return 2.0 * tf.sigmoid(self.decoder(z, training=False)) - 1.0

    @property
    def sampling_generator(self):
        return self.decoder

    def encode(self, image):
        """The posterior of images: its means "z" and its deviations "deviation"."""
        mean, deviation = self.posterior(image)
        return {"z": mean, "deviation": deviation}

    def reconstruct(self, image):
        """Images [N, H, W, C] decoded from the means of the posterior."""
        return self(self.encode(image)["z"])

    def preview(self, data):
        return self.reconstructions_and_samples(data["image"])

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        return super().endpoints() | {
            "encode": (self.encode, [image]),
            "reconstruct": (lambda image: {"image": self.reconstruct(image)}, [image]),
        }
