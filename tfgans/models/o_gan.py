"""O-GAN — O-GAN: Extremely Concise Approach for Auto-Encoding Generative Adversarial Networks.

Jianlin Su, arXiv 2019, arXiv:1903.01931.

New here: the discriminator is the encoder. Its output is a vector E(x) as long as z, and this
vector is split into two parts that do not affect each other. Its mean is the score, low for real
images. Its direction, the rest divided by its length, is the encoding: E and G together raise the
Pearson correlation of z with E(G(z)), which no shift or scale of E(G(z)) changes. The game itself
is that of GAN-QP (arXiv:1811.07296): a quadratic term, divided by the distance of the two images,
bounds the difference of their scores, and the critic needs no Lipschitz constraint.

Differs from the paper: the authors' code writes one loss with two stopped gradients and has one
optimizer. Here each player has the terms that have a gradient for it, from one forward pass, and an
RMSprop of its own with the same setting; all gradients are the same. The code passes the fakes
through E twice, and its moving averages count them twice. The networks are made of DCGAN's parts:
batch normalization keeps 0.9 of its averages (0.99 in the code), its gains start in N(1, 0.02) (at
1 in the code), and no bias precedes a normalization or the tanh. An encoding is multiplied by 0.9
before it goes into G, as in the code for 256x256; the one for 128x128 takes 0.8. The variants with
self-modulation and with averaged weights are not in this file.

Reference: bojone/o-gan (o_gan_celeba.py).
"""

import keras
import tensorflow as tf

from tfgans.models.dcgan import convs, deconvs, initializer, normalize
from tfgans.models.latent import LatentModel
from tfgans.shapes import halved, halvings

KERNEL_SIZE, EPSILON = 5, 1e-3  # of all convolutions, of all normalizations
SHRINK = 0.9  # of an encoding before it goes into the generator


def build_generator(image_shape, latent_dim, width):
    """z [N, latent_dim] -> images in [-1, 1]."""
    stages = halvings(image_shape, fewest=1)
    grid, widest = halved(image_shape, stages), width << (stages - 1)
    z = keras.Input([latent_dim])
    x = keras.layers.Dense(
        grid[0] * grid[1] * widest, use_bias=False, kernel_initializer=initializer()
    )(z)
    x = normalize(keras.layers.Reshape([*grid, widest])(x), EPSILON)
    x = keras.layers.ReLU()(x)
    image = deconvs(x, image_shape[2], stages, width, KERNEL_SIZE, EPSILON)
    return keras.Model(z, image, name="generator")


def build_discriminator(image_shape, latent_dim, width):
    """Images in [-1, 1] -> vectors E(x) [N, latent_dim]."""
    image = keras.Input(image_shape)
    stages = halvings(image_shape, fewest=1)
    x = convs(image, stages, width, KERNEL_SIZE, EPSILON, use_bias=True)
    x = keras.layers.Flatten()(x)
    vector = keras.layers.Dense(latent_dim, kernel_initializer=initializer(), dtype="float32")(x)
    return keras.Model(image, vector, name="discriminator")


def score(vector):
    """The mean of each vector E(x): [N, latent_dim] -> [N], low for real images."""
    return tf.reduce_mean(vector, axis=1)


def direction(vector):
    """Each vector without its mean, divided by its length: [N, latent_dim] on the unit sphere."""
    return tf.math.l2_normalize(vector - tf.reduce_mean(vector, axis=1, keepdims=True), axis=1)


def correlation(a, b):
    """Pearson's correlation of each row of a with the same row of b, [N]."""
    return tf.reduce_sum(direction(a) * direction(b), axis=1)


@keras.saving.register_keras_serializable("tfgans")
class OGAN(LatentModel):
    """O-GAN in the setting of its code for CelebA-HQ at 128x128.

    Args:
        image_shape: (height, width, channels) of the images, see `DCGAN`.
        latent_dim: Length of z ~ N(0, I), and of E(x).
        width: Channels of the layers nearest to the image; they double away from it.
        correlation_weight: Weight of the correlation; 1 in the code for 256x256.
    """

    def __init__(
        self,
        image_shape=(128, 128, 3),
        latent_dim=128,
        width=64,
        correlation_weight=0.5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.width = image_shape, latent_dim, width
        self.correlation_weight = correlation_weight
        self.generator = build_generator(image_shape, latent_dim, width)
        self.discriminator = build_discriminator(image_shape, latent_dim, width)

    def default_optimizers(self):
        def rmsprop():
            # Keras 2 adds 1e-7 to the root of the mean square, Keras 3 its square under the root.
            return keras.optimizers.RMSprop(1e-4, rho=0.99, epsilon=1e-14)

        return {"discriminator": rmsprop(), "generator": rmsprop()}

    def discriminator_loss(self, real, fake, real_vector, fake_vector):
        difference = score(real_vector) - score(fake_vector)  # [N], pair by pair
        distance = tf.reduce_mean(tf.square(real - fake), axis=[1, 2, 3])
        return {
            "difference": tf.reduce_mean(difference),
            "quadratic": tf.reduce_mean(0.25 * tf.square(difference) / distance),
        }

    def generator_loss(self, fake_vector):
        return {"fake": tf.reduce_mean(score(fake_vector))}

    def correlation_loss(self, z, fake_vector):
        return {
            "correlation": -self.correlation_weight * tf.reduce_mean(correlation(z, fake_vector))
        }

    def losses(self, real, z):
        fake = self.generator(z, training=True)
        # Two batches, for batch normalization: real and fake images are never mixed.
        real_vector = self.discriminator(real, training=True)
        fake_vector = self.discriminator(fake, training=True)
        both = self.correlation_loss(z, fake_vector)  # E and G raise it together
        d = self.discriminator_loss(real, fake, real_vector, fake_vector)
        return {"discriminator": d | both, "generator": self.generator_loss(fake_vector) | both}

    def train_step(self, data):
        real = data["image"]
        return self.update_together(self.losses, real, self.latents(real.shape[0]))

    def encode(self, image):
        """Latents [N, latent_dim] of images: E(x) with mean 0 and deviation 1."""
        return self.latent_dim**0.5 * direction(self.discriminator(image, training=False))

    def reconstruct(self, image):
        """The generator's images for the encodings of images."""
        return self(SHRINK * self.encode(image))

    def preview(self, data):
        return self.reconstructions_and_samples(data["image"])

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        return super().endpoints() | {
            "encode": (lambda image: {"z": self.encode(image)}, [image]),
            "reconstruct": (lambda image: {"image": self.reconstruct(image)}, [image]),
        }
