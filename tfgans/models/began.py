"""BEGAN — Boundary Equilibrium Generative Adversarial Networks.

Berthelot, Schumm, Metz, arXiv 2017, arXiv:1703.10717.

New here: the discriminator is an autoencoder, and the game compares its errors on real and
generated images, L(v) = |v - D(v)|. A controller moves the weight k_t of the generated images, so
that the ratio of the two errors stays at gamma. A small gamma gives fine images, a large one
diverse images. The distance from that balance also tells how far the training has come (section
3.4).

Differs from the paper: the learning rate is halved every 100,000 steps down to 2e-5, as in the code
below, where the paper halves it when the convergence measure stalls. D moves before G, and k_t
moves after both, by the errors that each move saw; the code moves both at once. The optional skip
connections and vanishing residuals (section 3.5.1) are not built. The authors published no code.

Reference: carpedm20/BEGAN-tensorflow.
"""

import keras
import tensorflow as tf

from tfgans.layers.conditional_norm import mean_over_replicas
from tfgans.layers.resampled_conv import UpConv2D
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved, halvings


def conv(filters, strides=1, kind=keras.layers.Conv2D):
    return kind(filters, 3, strides, padding="same", activation="elu")


def build_decoder(image_shape, code_dim, width, name):
    """Codes [N, code_dim] -> images without bounds: the generator, and the second half of D."""
    doublings = halvings(image_shape, least=8)
    grid = halved(image_shape, doublings)
    code = keras.Input([code_dim])
    x = keras.layers.Dense(grid[0] * grid[1] * width)(code)
    x = keras.layers.Reshape([*grid, width])(x)
    for stage in range(doublings + 1):
        x = conv(width, kind=UpConv2D if stage > 0 else keras.layers.Conv2D)(x)
        x = conv(width)(x)
    image = keras.layers.Conv2D(image_shape[2], 3, padding="same", dtype="float32")(x)
    return keras.Model(code, image, name=name)


def build_encoder(image_shape, code_dim, width):
    """Images -> codes [N, code_dim]; the channels grow by `width` with each halving."""
    stages = halvings(image_shape, least=8) + 1
    image = keras.Input(image_shape)
    x = conv(width)(image)
    for stage in range(1, stages + 1):
        x = conv(width * stage)(conv(width * stage)(x))
        if stage < stages:
            x = conv(width * stage, strides=2)(x)
    code = keras.layers.Dense(code_dim)(keras.layers.Flatten()(x))
    return keras.Model(image, code, name="encoder")


def build_autoencoder(image_shape, code_dim, width):
    """Images -> images of the same shape, through a code."""
    encoder = build_encoder(image_shape, code_dim, width)
    decoder = build_decoder(image_shape, code_dim, width, "decoder")
    image = keras.Input(image_shape)
    return keras.Model(image, decoder(encoder(image)), name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class BEGAN(LatentModel):
    """Boundary equilibrium GAN on the paper's networks for 64x64 faces.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ U(-1, 1), and of the autoencoder's code.
        width: Channels of the decoders, the paper's n.
        gamma: Wanted ratio of the error of generated images to that of real ones.
        k_rate: Rate of the controller, the paper's lambda_k.
        shared_z: Give both players the same latents, as in the code; False lets each draw its own.
        halving_steps: Steps between halvings of the learning rate, from 1e-4 down to 2e-5.
    """

    prior = (-1.0, 1.0)

    def __init__(
        self,
        image_shape=(64, 64, 3),
        latent_dim=64,
        width=128,
        gamma=0.5,
        k_rate=0.001,
        shared_z=False,
        halving_steps=100_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.width = image_shape, latent_dim, width
        self.gamma, self.k_rate = gamma, k_rate
        self.shared_z, self.halving_steps = shared_z, halving_steps
        self.generator = build_decoder(image_shape, latent_dim, width, "generator")
        self.discriminator = build_autoencoder(image_shape, latent_dim, width)
        self.k = self.add_state("k", 0.0)  # k_t, the weight of generated images in D's loss

    def default_optimizers(self):
        def adam():
            lasts = [self.halving_steps * k - 1 for k in (1, 2, 3)]  # updates of a rate
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(
                lasts, [1e-4, 5e-5, 2.5e-5, 2e-5]
            )
            return Adam(rate)

        return {"discriminator": adam(), "generator": adam()}

    def error(self, image):
        """L(v): mean absolute error of the rebuilt images, over pixels and batch."""
        return tf.reduce_mean(tf.abs(image - self.discriminator(image, training=True)))

    def discriminator_loss(self, real, z):
        fake = self.generator(z, training=True)
        return {"real": self.error(real), "fake": -self.k * self.error(fake)}

    def generator_loss(self, z):
        return {"fake": self.error(self.generator(z, training=True))}

    def move_balance(self, real_error, fake_error):
        """Moves k by gamma * `real_error` - `fake_error`; returns it and the measure M."""
        balance = mean_over_replicas(self.gamma * real_error - fake_error)
        self.k.assign(tf.clip_by_value(self.k + self.k_rate * balance, 0.0, 1.0))
        return {"balance/k": self.k + 0.0, "balance/measure": real_error + tf.abs(balance)}

    def train_step(self, data):
        real = data["image"]
        z = self.latents(real.shape[0])
        d = self.update("discriminator", self.discriminator_loss, real, z)
        if not self.shared_z:
            z = self.latents(real.shape[0])
        g = self.update("generator", self.generator_loss, z)
        return d | g | self.move_balance(d["discriminator/real"], g["generator/fake"])

    def call(self, z):
        return tf.clip_by_value(self.generator(z, training=False), -1.0, 1.0)
