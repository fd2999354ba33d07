"""f-GAN — Training Generative Neural Samplers using Variational Divergence Minimization.

Nowozin, Cseke, Tomioka, NeurIPS 2016, arXiv:1606.00709.

New here: every f-divergence of data P and generator Q, E_Q f(p/q), is the maximum over all
functions T of E_P T(x) - E_Q f*(T(x)) (eq. 4), where f* is the convex conjugate of f. So D can
estimate any of them, and G can minimize it. D's plain output V becomes T = g(V), where g keeps T in
the domain of f* (eq. 6, table 6). GAN is one case. The networks are those of the MNIST experiment.

Differs from the paper: e^v continues as a straight line above v = 20, so that nothing overflows;
out there the estimate is no longer a lower bound. G maximizes E_Q T, the trick of section 3.2;
`saturating=True` minimizes the bound itself. Images are [-1, 1] as everywhere in tfgans; inside
they are [0, 1]. Samples are made with the moving averages of batch normalization. In the author's
tutorial two of the g fall; here all rise, so that a large V always means a real image.

Reference: nowozin/mlss2018-madrid-gan.
"""

import math

import keras
import tensorflow as tf

from tfgans.errors import BadInput, nearest
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam


def exp(v):
    """e^v, above v = 20 its tangent there: the slope neither overflows nor vanishes."""
    return tf.exp(tf.minimum(v, 20.0)) * (1.0 + tf.nn.relu(v - 20.0))


LOG_2 = math.log(2.0)
DIVERGENCES = {  # name -> T = g(v), and f*(T) as a function of v; f(u) stands above
    # u log u
    "kl": (lambda v: v, lambda v: exp(v - 1.0)),
    # -log u
    "reverse_kl": (lambda v: -exp(-v), lambda v: v - 1.0),
    # (u - 1)^2
    "pearson": (lambda v: v, lambda v: v * v / 4.0 + v),
    # (1 - u)^2 / u
    "neyman": (lambda v: 1.0 - exp(-v), lambda v: 2.0 - 2.0 * exp(-v / 2.0)),
    # (sqrt(u) - 1)^2
    "squared_hellinger": (lambda v: 1.0 - exp(-v), lambda v: exp(v) - 1.0),
    # u log u - (u + 1) log((u + 1) / 2): twice the Jensen-Shannon divergence
    "js": (lambda v: LOG_2 - tf.nn.softplus(-v), lambda v: tf.nn.softplus(v) - LOG_2),
    # u log u - (u + 1) log(u + 1): the same, less log 4
    "gan": (lambda v: -tf.nn.softplus(-v), lambda v: tf.nn.softplus(v)),
    # |u - 1| / 2
    "total_variation": (lambda v: tf.tanh(v) / 2.0, lambda v: tf.tanh(v) / 2.0),
}


def initializer():
    return keras.initializers.RandomNormal(0.0, 0.05)


def build_generator(image_shape, latent_dim, width):
    """z [N, latent_dim] -> images in [-1, 1]."""
    z = x = keras.Input([latent_dim])
    for _ in range(2):
        x = keras.layers.Dense(width, use_bias=False, kernel_initializer=initializer())(x)
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=2e-5)(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.Dense(
        math.prod(image_shape), "sigmoid", kernel_initializer=initializer(), dtype="float32"
    )(x)
    x = keras.layers.Reshape(image_shape, dtype="float32")(x)
    image = keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x)
    return keras.Model(z, image, name="generator")


def build_discriminator(image_shape, width):
    """Images in [-1, 1] -> V [N, 1], the paper's variational function before g."""
    image = keras.Input(image_shape)
    x = keras.layers.Flatten()(keras.layers.Rescaling(0.5, 0.5)(image))
    x = keras.layers.Dense(width, "elu", kernel_initializer=initializer())(x)
    x = keras.layers.Dense(width, "elu", kernel_initializer=initializer())(x)
    v = keras.layers.Dense(1, kernel_initializer=initializer(), dtype="float32")(x)
    return keras.Model(image, v, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class FGAN(LatentModel):
    """GAN for any of eight f-divergences, in its setting for MNIST.

    Args:
        image_shape: (height, width, channels) of the images.
        divergence: The one that G minimizes: "kl", "reverse_kl", "pearson", "neyman",
            "squared_hellinger", "js", "gan" or "total_variation".
        latent_dim: Length of z, uniform in [-1, 1].
        generator_width: Units of the generator's hidden layers.
        discriminator_width: Units of the discriminator's hidden layers.
        saturating: G minimizes -E f*(T), the bound itself, instead of -E T.
    """

    prior = (-1.0, 1.0)

    def __init__(
        self,
        image_shape=(28, 28, 1),
        divergence="gan",
        latent_dim=100,
        generator_width=1200,
        discriminator_width=240,
        saturating=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if divergence not in DIVERGENCES:
            raise BadInput(nearest("divergence", divergence, DIVERGENCES))
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.divergence, self.saturating = divergence, saturating
        self.generator_width, self.discriminator_width = generator_width, discriminator_width
        self.generator = build_generator(image_shape, latent_dim, generator_width)
        self.discriminator = build_discriminator(image_shape, discriminator_width)
        self.activation, self.conjugate = DIVERGENCES[divergence]

    def default_optimizers(self):
        def adam():
            return Adam(2e-4, beta_1=0.5, beta_2=0.999)

        return {"discriminator": adam(), "generator": adam()}

    def discriminator_loss(self, real_v, fake_v):
        """Minus the bound: the negated sum of the terms estimates the divergence.

        Args:
            real_v: V of real images, [N, 1].
            fake_v: V of generated ones.
        """
        return {
            "real": -tf.reduce_mean(self.activation(real_v)),  # -E_P T(x)
            "fake": tf.reduce_mean(self.conjugate(fake_v)),  # E_Q f*(T(x))
        }

    def generator_loss(self, fake_v):
        if self.saturating:
            return {"fake": -tf.reduce_mean(self.conjugate(fake_v))}
        return {"fake": -tf.reduce_mean(self.activation(fake_v))}

    def losses(self, real, z):
        fake = self.generator(z, training=True)
        real_v = self.discriminator(real, training=True)
        fake_v = self.discriminator(fake, training=True)
        d = self.discriminator_loss(real_v, fake_v)
        return {"discriminator": d, "generator": self.generator_loss(fake_v)}

    def train_step(self, data):  # Algorithm 1: one step of both from the same point
        real = data["image"]
        return self.update_together(self.losses, real, self.latents(real.shape[0]))
