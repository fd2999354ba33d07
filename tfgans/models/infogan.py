"""InfoGAN — Interpretable Representation Learning by Information Maximizing GANs.

Chen et al., NeurIPS 2016, arXiv:1606.03657.

New here: a part of the latent vector is a code of categories and numbers, and a third network Q
reads the code back from the generated image. Its log-likelihood bounds the mutual information
between code and image from below, L_I <= I(c; G(z, c)) (eq. 5); generator and Q raise the bound, so
that without any label the code comes to mean something visible. Q shares all but its last layers
with the discriminator. The networks are those of the MNIST experiment.

Differs from the paper: Q moves with the discriminator, and both players carry -lambda L_I, as in
the authors' code, so the shared layers learn to tell codes apart in the discriminator's move too.
One z serves both moves of a step; the code draws again for the second. The entropy of a continuous
code, a constant, is taken as if it were N(0, 1) though it is drawn from U(-1, 1), as in the code: a
perfect Q of unit deviation shows 1/6 per code. The leak is 0.1 as in the paper, in the code 0.01.
Images are [-1, 1] as everywhere in tfgans; inside they are [0, 1].

Reference: openai/InfoGAN.
"""

import math

import keras
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.latent import LatentModel
from tfgans.models.serving import drawing
from tfgans.optimizers import Adam
from tfgans.shapes import halved


def initializer(mean=0.0):
    return keras.initializers.RandomNormal(mean, 0.02)


def truncated_initializer():
    return keras.initializers.TruncatedNormal(stddev=0.02)


def dense(units, **kwargs):
    return keras.layers.Dense(units, kernel_initializer=initializer(), **kwargs)


def norm(x):
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, gamma_initializer=initializer(mean=1.0)
    )(x)


def build_generator(image_shape, latent_dim, dense_width, width, logits=False):
    """z [N, latent_dim] -> images in [-1, 1], or the logits of their pixels in [0, 1]."""
    rows, columns = halved(image_shape, 2)

    def deconv(filters, **kwargs):
        return keras.layers.Conv2DTranspose(
            filters, 4, strides=2, padding="same", kernel_initializer=initializer(), **kwargs
        )

    z = keras.Input([latent_dim], name="z")
    x = keras.layers.ReLU()(norm(dense(dense_width)(z)))
    x = keras.layers.ReLU()(norm(dense(rows * columns * 2 * width)(x)))
    x = keras.layers.Reshape([rows, columns, 2 * width])(x)
    x = keras.layers.ReLU()(norm(deconv(width)(x)))
    if logits:
        return keras.Model(z, deconv(image_shape[2], dtype="float32")(x), name="decoder")
    x = deconv(image_shape[2], activation="sigmoid", dtype="float32")(x)
    image = keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x)
    return keras.Model(z, image, name="generator")


def build_trunk(image_shape, dense_width, width, leak):
    """Images in [-1, 1] -> the features that D and Q share, [N, dense_width]."""

    def conv(filters):
        return keras.layers.Conv2D(
            filters, 4, strides=2, padding="same", kernel_initializer=truncated_initializer()
        )

    image = keras.Input(image_shape, name="image")
    x = keras.layers.Rescaling(0.5, 0.5)(image)
    x = keras.layers.LeakyReLU(leak)(conv(width)(x))
    x = keras.layers.LeakyReLU(leak)(norm(conv(2 * width)(x)))
    x = norm(dense(dense_width)(keras.layers.Flatten()(x)))
    return keras.Model(image, keras.layers.LeakyReLU(leak)(x), name="trunk")


def build_head(dense_width):
    """Features -> scores [N, 1]."""
    x = keras.Input([dense_width])
    return keras.Model(x, dense(1, dtype="float32")(x), name="head")


def build_recognition(dense_width, width, leak, categories, continuous):
    """Q: features -> logits of each categorical code, then means and log variances."""
    x = keras.Input([dense_width])
    y = keras.layers.LeakyReLU(leak)(norm(dense(2 * width)(x)))
    codes = dense(sum(categories) + 2 * continuous, dtype="float32")(y)
    return keras.Model(x, codes, name="recognition")


@keras.saving.register_keras_serializable("tfgans")
class InfoGAN(LatentModel):
    """InfoGAN in its setting for MNIST: one code of ten categories, two continuous ones.

    Args:
        image_shape: (height, width, channels) of the images.
        noise_dim: Length of the part of z that is not code, U(-1, 1).
        categories: Number of values of each categorical code.
        continuous: Number of continuous codes, U(-1, 1).
        dense_width: Units of the dense layers.
        width: Channels at half the image's resolution; twice as many at a quarter.
        leak: Slope of the discriminator's rectifiers below 0.
        information_weight: Weight of L_I, the paper's lambda.
        learned_deviation: Q also predicts the deviation of continuous codes; else it is 1.
    """

    prior = None  # `latents` draws it
    uses = {"traverse": "image"}

    def __init__(
        self,
        image_shape=(28, 28, 1),
        noise_dim=62,
        categories=(10,),
        continuous=2,
        dense_width=1024,
        width=64,
        leak=0.1,
        information_weight=1.0,
        learned_deviation=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.noise_dim, self.categories = image_shape, noise_dim, categories
        self.continuous, self.dense_width, self.width = continuous, dense_width, width
        self.leak, self.information_weight = leak, information_weight
        self.learned_deviation = learned_deviation
        if not categories and not continuous:
            raise BadInput("InfoGAN needs a code: categories such as [10], or continuous above 0.")
        self.latent_dim = noise_dim + sum(categories) + continuous
        self.generator = build_generator(image_shape, self.latent_dim, dense_width, width)
        self.trunk = build_trunk(image_shape, dense_width, width, leak)
        self.head = build_head(dense_width)
        self.recognition = build_recognition(dense_width, width, leak, categories, continuous)

    def players(self):
        return {
            "discriminator": [self.trunk, self.head, self.recognition],
            "generator": [self.generator],
        }

    def default_optimizers(self):
        def adam(rate):
            return Adam(rate, beta_1=0.5)

        return {"discriminator": adam(2e-4), "generator": adam(1e-3)}

    def latents(self, n):
        """Draws n latent vectors: noise, one-hot categories, continuous codes."""
        parts = [random.uniform([n, self.noise_dim], -1.0, 1.0)]
        for k in self.categories:
            parts.append(tf.one_hot(random.uniform([n], 0, k, "int32"), k))
        parts.append(random.uniform([n, self.continuous], -1.0, 1.0))
        return tf.concat(parts, axis=1)

    def split_codes(self, z):
        """The one-hot categories [N, k] of latents z, a list, and their continuous codes."""
        _, *one_hots, c = tf.split(z, [self.noise_dim, *self.categories, self.continuous], axis=1)
        return one_hots, c

    def split_prediction(self, prediction):
        """Splits Q's output, a `prediction`, into logits of each category, means and deviations."""
        sizes = [*self.categories, self.continuous, self.continuous]
        *logits, mean, log_variance = tf.split(prediction, sizes, axis=1)
        deviation = tf.exp(0.5 * log_variance) if self.learned_deviation else tf.ones_like(mean)
        return logits, mean, deviation

    def information(self, z, prediction):
        """L_I of z and a `prediction`, eq. 5: H(c) + E log Q(c | x), summed over all codes."""
        one_hots, c = self.split_codes(z)
        logits, mean, deviation = self.split_prediction(prediction)
        bounds = {}
        if self.categories:
            errors = [
                tf.nn.softmax_cross_entropy_with_logits(one_hot, logit)
                for one_hot, logit in zip(one_hots, logits, strict=True)
            ]
            entropy = sum(math.log(k) for k in self.categories)
            bounds["categorical"] = entropy - tf.reduce_mean(tf.add_n(errors))
        if self.continuous:  # both densities without the factor that they share
            q = -0.5 * tf.square((c - mean) / deviation) - tf.math.log(deviation)
            prior = -0.5 * tf.square(c)
            bounds["continuous"] = tf.reduce_mean(tf.reduce_sum(q - prior, axis=1))
        return bounds

    def information_loss(self, z, features):
        bounds = self.information(z, self.recognition(features, training=True))
        return {name: -self.information_weight * bound for name, bound in bounds.items()}

    def discriminator_loss(self, real, z):
        fake = self.generator(z, training=True)
        real_score = self.head(self.trunk(real, training=True))
        features = self.trunk(fake, training=True)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(self.head(features))),
        } | self.information_loss(z, features)

    def generator_loss(self, z):
        features = self.trunk(self.generator(z, training=True), training=True)
        adversarial = {"fake": tf.reduce_mean(tf.nn.softplus(-self.head(features)))}
        return adversarial | self.information_loss(z, features)

    def train_step(self, data):
        real = data["image"]
        z = self.latents(real.shape[0])
        d = self.update("discriminator", self.discriminator_loss, real, z)
        g = self.update("generator", self.generator_loss, z)
        return d | g

    def encode(self, image):
        """Reads the codes of images [N, H, W, C] with Q.

        Returns:
            A dict: "category_0", ..., the probabilities [N, k] of each categorical code, and
            "continuous", the means [N, continuous] of the others.
        """
        features = self.trunk(image, training=False)
        logits, mean, _ = self.split_prediction(self.recognition(features, training=False))
        found = {f"category_{i}": tf.nn.softmax(logit) for i, logit in enumerate(logits)}
        return found | ({"continuous": mean} if self.continuous else {})

    def traversal_latents(self):
        """Latents of a square grid of images: along each row one code runs through its values.

        Each row has a latent of its own; the codes take turns from top to bottom.
        """
        side = max([10, *self.categories])
        kinds = [*self.categories, *[0] * self.continuous]
        offsets = [self.noise_dim]
        for k in kinds[:-1]:
            offsets.append(offsets[-1] + (k or 1))
        z = self.latents(side)
        rows = []
        for i in range(side):
            code = i * len(kinds) // side
            offset, k = offsets[code], kinds[code]
            if k:
                values = tf.one_hot(tf.range(side) * k // side, k)
            else:
                values = tf.linspace(-1.0, 1.0, side)[:, tf.newaxis]
            row = tf.repeat(z[i : i + 1], side, axis=0)
            rows.append(tf.concat([row[:, :offset], values, row[:, offset + (k or 1) :]], axis=1))
        return tf.concat(rows, axis=0)

    def traverse(self, seed=None):
        """Images of a square grid, of a seed: along each row one code runs through its values."""
        with drawing(seed):
            return self(self.traversal_latents())

    def preview(self, data):
        return self(self.traversal_latents())

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        return super().endpoints() | {"encode": (self.encode, [image])}
