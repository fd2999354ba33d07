"""WGAN-GP — Improved Training of Wasserstein GANs.

Gulrajani et al., NeurIPS 2017, arXiv:1704.00028.

New here: the critic of WGAN is kept 1-Lipschitz by a penalty on the norm of its gradient, taken on
straight lines between real and generated images (eq. 3), instead of by clipping its weights. The
networks are the residual ones of the CIFAR-10 experiment.

Differs from the paper: nothing known in the unconditional setting; the class-conditional variant is
not built. Samples are made with the moving averages of batch normalization; the authors' code uses
the statistics of the batch.

Reference: igul222/improved_wgan_training (gan_cifar_resnet.py).
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput, nearest
from tfgans.layers.resampled_conv import DownConv2D, UpConv2D
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam, HoldThenDecay
from tfgans.penalties import between, gradient_norm, input_gradient
from tfgans.shapes import halved, halvings

NORMS = ("batch", "layer", "none")


def initializer(he=True):
    """Glorot's uniform distribution; `he` doubles its variance."""
    return keras.initializers.VarianceScaling(2.0 if he else 1.0, "fan_avg", "uniform")


def conv(filters, kernel_size, he=True, kind=keras.layers.Conv2D, **kwargs):
    return kind(filters, kernel_size, padding="same", kernel_initializer=initializer(he), **kwargs)


def layer_norm(x):
    """Normalizes the whole of each image, with a gain and a bias for each channel."""
    return keras.layers.GroupNormalization(groups=1, epsilon=1e-5)(x)


def relu(x, norm):
    """A normalization and a rectifier."""
    if norm == "batch":
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    if norm == "layer":
        x = layer_norm(x)
    return keras.layers.ReLU()(x)


def up_block(x, width, norm):
    """Pre-activated residual block that doubles the resolution."""
    # Doubling and a convolution of single pixels can change places.
    shortcut = keras.layers.UpSampling2D(2)(conv(width, 1, he=False)(x))  # nearest
    x = conv(width, 3, kind=UpConv2D)(relu(x, norm))
    x = conv(width, 3)(relu(x, norm))
    return keras.layers.Add()([shortcut, x])


def critic_block(x, width, norm, down=False, first=False):
    """Residual block of the critic; the first one is not pre-activated."""
    shortcut = keras.layers.AveragePooling2D(2)(x) if down else x
    if first or down:
        shortcut = conv(width, 1, he=False)(shortcut)
    x = conv(width, 3)(x if first else relu(x, norm))
    x = conv(width, 3, kind=DownConv2D if down else keras.layers.Conv2D)(relu(x, norm))
    return keras.layers.Add()([shortcut, x])


def build_generator(image_shape, latent_dim, width, norm):
    """z [N, latent_dim] -> images in [-1, 1], from 4x4 by doubling."""
    doublings = halvings(image_shape)
    grid = halved(image_shape, doublings)
    z = keras.Input([latent_dim])
    x = keras.layers.Dense(grid[0] * grid[1] * width)(z)
    x = keras.layers.Reshape([*grid, width])(x)
    for _ in range(doublings):
        x = up_block(x, width, norm)
    image = conv(image_shape[2], 3, he=False, activation="tanh", dtype="float32")(relu(x, norm))
    return keras.Model(z, image, name="generator")


def build_critic(image_shape, width, norm):
    """Images in [-1, 1] -> scores [N, 1]; halves the resolution down to 8x8."""
    downs = max(halvings(image_shape) - 1, 0)
    image = keras.Input(image_shape)
    x = critic_block(image, width, norm, down=downs > 0, first=True)
    for _ in range(downs - 1):
        x = critic_block(x, width, norm, down=True)
    x = critic_block(critic_block(x, width, norm), width, norm)
    x = keras.layers.GlobalAveragePooling2D()(relu(x, norm="none"))
    return keras.Model(image, keras.layers.Dense(1, dtype="float32")(x), name="discriminator")


def dequantized(image):
    """The 256 gray levels as the authors' code spaces them, plus noise that fills the gaps."""
    image = (image + 1.0) * (127.5 / 128.0) - 1.0
    return image + random.uniform(tf.shape(image), 0.0, 1.0 / 128.0)


@keras.saving.register_keras_serializable("tfgans")
class WGANGP(LatentModel):
    """Wasserstein GAN with gradient penalty on the residual networks for CIFAR-10.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        width: Channels of all residual blocks.
        n_critic: Critic updates, each on its own batch, per generator update.
        penalty_weight: Weight of the gradient penalty, the paper's lambda.
        generator_norm: Normalization of the generator: "batch", "layer" or "none".
        critic_norm: Normalization of the critic: "none" or "layer", which the paper recommends
            where one is needed; with "batch" the penalty would have no meaning.
        decay_steps: Steps over which both learning rates fall to 0.
    """

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=128,
        width=128,
        n_critic=5,
        penalty_weight=10.0,
        generator_norm="batch",
        critic_norm="none",
        decay_steps=100_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.width = image_shape, latent_dim, width
        self.n_critic, self.penalty_weight = n_critic, penalty_weight
        self.generator_norm, self.critic_norm = generator_norm, critic_norm
        self.decay_steps = decay_steps
        for word, known in ((generator_norm, NORMS), (critic_norm, NORMS[1:])):
            if word not in known:
                raise BadInput(nearest("normalization of this network", str(word), known))
        self.batches_per_step = n_critic
        self.generator = build_generator(image_shape, latent_dim, width, generator_norm)
        self.discriminator = build_critic(image_shape, width, critic_norm)

    def default_optimizers(self):
        def adam(updates):
            rate = HoldThenDecay(2e-4, hold_steps=0, decay_steps=updates)
            return Adam(rate, beta_1=0.0, beta_2=0.9)

        return {
            "discriminator": adam(self.decay_steps * self.n_critic),
            "generator": adam(self.decay_steps),
        }

    def discriminator_loss(self, real):
        fake = self.generator(self.latents(real.shape[0]), training=True)
        score = self.discriminator(tf.concat([real, fake], axis=0), training=True)
        real_score, fake_score = tf.split(score, 2)
        return {
            "wasserstein": tf.reduce_mean(fake_score) - tf.reduce_mean(real_score),
            "penalty": self.penalty_weight * self.gradient_penalty(real, fake),
        }

    def gradient_penalty(self, real, fake):
        """Mean of (|gradient of D| - 1)^2 on a random point of each real-fake line (eq. 3)."""
        image = between(real, fake, random.uniform([real.shape[0], 1, 1, 1]))
        gradient = input_gradient(
            lambda x: self.discriminator(x, training=True), image, [self.discriminator]
        )
        return tf.reduce_mean(tf.square(gradient_norm(gradient) - 1.0))

    def generator_loss(self, n):
        fake = self.generator(self.latents(n), training=True)
        return {"wasserstein": -tf.reduce_mean(self.discriminator(fake, training=True))}

    def train_step(self, data):
        for batch in self.split(data):
            real = dequantized(batch["image"])
            d = self.update("discriminator", self.discriminator_loss, real)
        g = self.update("generator", self.generator_loss, n=2 * real.shape[0])
        return d | g
