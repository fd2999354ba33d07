"""LSGAN — Least Squares Generative Adversarial Networks.

Mao, Li, Xie, Lau, Wang, Smolley, ICCV 2017, arXiv:1611.04076.

New here: the sigmoid cross entropy of GAN becomes a squared distance of D's plain output to the
targets a (fake) and b (real) for D, and c for G (eq. 2). A fake that D takes for real, but that
lies far from the data, is still pulled towards them. With b - c = 1 and b - a = 2 the generator
minimizes the Pearson chi-square divergence (section 3.2). The generator is the one for LSUN, two
convolutions at each of the coarse resolutions.

Differs from the paper: losses are means over the batch; the authors' code sums, which changes only
the meaning of Adam's epsilon. The discriminator is DCGAN's; in the code its gains start at exactly
1, and its weights come from a normal distribution that is truncated at two deviations. G's step
draws new latents; the code uses those of D's step again.

Reference: xudonmao/LSGAN (vgg.py, train_lsun.py).
"""

import keras
import tensorflow as tf

from tfgans.models.dcgan import build_discriminator
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved, halvings


def initializer():
    return keras.initializers.RandomNormal(0.0, 0.02)


def deconv(x, filters, strides):
    """3x3 transposed convolution, batch normalization, ReLU."""
    x = keras.layers.Conv2DTranspose(
        filters,
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=initializer(),
    )(x)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return keras.layers.ReLU()(x)


def build_generator(image_shape, latent_dim, width):
    """z [N, latent_dim] -> images in [-1, 1].

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        latent_dim: Length of z.
        width: Channels at the full resolution; twice as many at half of it, four times below.
    """
    stages = halvings(image_shape, fewest=1)
    grid = halved(image_shape, stages)
    widest = width * min(4, 2**stages)
    z = keras.Input([latent_dim])
    x = keras.layers.Dense(
        grid[0] * grid[1] * widest, use_bias=False, kernel_initializer=initializer()
    )(z)
    x = keras.layers.Reshape([*grid, widest])(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
    for left in reversed(range(stages)):
        x = deconv(x, width * min(4, 2**left), strides=2)
        if left >= 2:
            x = deconv(x, 4 * width, strides=1)
    image = keras.layers.Conv2DTranspose(
        image_shape[2],
        3,
        padding="same",
        kernel_initializer=initializer(),
        activation="tanh",
        dtype="float32",
    )(x)
    return keras.Model(z, image, name="generator")


@keras.saving.register_keras_serializable("tfgans")
class LSGAN(LatentModel):
    """Least-squares GAN, in its setting for LSUN.

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        latent_dim: Length of z, uniform in [-1, 1].
        width: Channels of the layers nearest to the image, in both networks.
        fake_target: D's target for fakes, the paper's a.
        real_target: D's target for real images, the paper's b.
        wanted: G's target for D's score of fakes, the paper's c. (a, b, c) = (-1, 1, 0) makes G
            minimize the Pearson chi-square divergence.
    """

    prior = (-1.0, 1.0)

    def __init__(
        self,
        image_shape=(112, 112, 3),
        latent_dim=1024,
        width=64,
        fake_target=0.0,
        real_target=1.0,
        wanted=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.width = image_shape, latent_dim, width
        self.fake_target, self.real_target, self.wanted = fake_target, real_target, wanted
        self.generator = build_generator(image_shape, latent_dim, width)
        self.discriminator = build_discriminator(image_shape, width, use_bias=True, epsilon=1e-5)

    def default_optimizers(self):
        def adam():
            return Adam(1e-3, beta_1=0.5, beta_2=0.999)

        return {"discriminator": adam(), "generator": adam()}

    def discriminator_loss(self, real):
        fake = self.generator(self.latents(real.shape[0]), training=True)
        real_score = self.discriminator(real, training=True)
        fake_score = self.discriminator(fake, training=True)
        return {
            "real": 0.5 * tf.reduce_mean(tf.square(real_score - self.real_target)),
            "fake": 0.5 * tf.reduce_mean(tf.square(fake_score - self.fake_target)),
        }

    def generator_loss(self, n):
        fake = self.generator(self.latents(n), training=True)
        score = self.discriminator(fake, training=True)
        return {"fake": 0.5 * tf.reduce_mean(tf.square(score - self.wanted))}

    def train_step(self, data):
        real = data["image"]
        d = self.update("discriminator", self.discriminator_loss, real)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        return d | g
