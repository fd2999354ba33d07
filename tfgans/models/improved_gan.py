"""Improved GAN — Improved Techniques for Training GANs.

Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, NeurIPS 2016, arXiv:1606.03498.

New here: five techniques, each with a switch. Feature matching gives the generator another goal,
the mean features of the data (3.1). Minibatch discrimination lets D see how close the samples of a
batch are to each other (3.2). Historical averaging holds the weights near their own mean (3.3).
One-sided label smoothing asks D for 0.9 on real images, and still for 0 on fakes (3.4). Virtual
batch normalization uses a fixed reference batch, so samples do not depend on each other (3.5). The
defaults are the row "-L+HA" of table 3: all but feature matching, without labels. The classifier
of section 5, with K+1 classes, is a separate system and not in this file.

Differs from the paper: the networks and rates are those of the authors' CIFAR-10 code, which has no
historical averaging and, for CIFAR-10, no virtual batch normalization; the paper gives no weight
for the former. G's adversarial loss is the non-saturating one, in that code log(1 - D). Weights are
initialized from the first batch, in the code from 500 images. The code's Adam has 1e-8 inside the
root, here 1e-4 outside, which is the same for large and for small gradients.

Reference: openai/improved-gan (mnist_svhn_cifar10/train_cifar_minibatch_discrimination.py;
imagenet/model.py for virtual batch normalization).
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput, nearest
from tfgans.layers.dropout import Dropout
from tfgans.layers.gaussian_noise import GaussianNoise
from tfgans.layers.virtual_batch_norm import VirtualBatchNorm
from tfgans.layers.weight_norm import WeightNorm, initialize
from tfgans.models.cgan import with_label
from tfgans.models.latent import LatentModel
from tfgans.optimizers import Adam, HoldThenDecay
from tfgans.shapes import halved, halvings


def initializer():
    return keras.initializers.RandomNormal(stddev=0.05)


class MinibatchDiscrimination(keras.layers.Layer):
    """Appends to each sample's features its closeness to the other samples of the batch.

    Args:
        kernels: Number of appended similarities, the paper's B.
        kernel_dim: Length of the vectors whose L1 distance is taken, the paper's C.
    """

    def __init__(self, kernels=100, kernel_dim=5, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.kernels, self.kernel_dim = kernels, kernel_dim

    def build(self, input_shape):
        shape = (input_shape[-1], self.kernels, self.kernel_dim)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=initializer())
        self.log_scale = self.add_weight(
            name="log_scale", shape=shape[1:], initializer="zeros", aggregation="mean"
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(self.kernels,),
            initializer=keras.initializers.Constant(-1.0),
            aggregation="mean",
        )

    def distances(self, x):
        """L1 distances of all pairs under each kernel: [N, N, B], huge on the diagonal."""
        norm = tf.sqrt(tf.reduce_sum(tf.square(self.kernel), axis=0))
        m = tf.einsum("na,abc->nbc", x, self.kernel * (tf.exp(self.log_scale) / norm))
        distance = tf.reduce_sum(tf.abs(m[:, tf.newaxis] - m[tf.newaxis]), axis=3)
        return distance + 1e6 * tf.eye(tf.shape(x)[0])[:, :, tf.newaxis]

    def call(self, x):
        closeness = tf.reduce_sum(tf.exp(-self.distances(x)), axis=1)  # [N, B], over j != i
        return tf.concat([x, closeness + self.bias], axis=1)

    def initialize(self, x):
        """Makes the mean distance to the nearest sample 2, and the mean output 0."""
        distances = self.distances(tf.cast(x, "float32"))
        unit = 0.5 * tf.reduce_mean(tf.reduce_min(distances, axis=1), axis=0)  # [B]
        closeness = tf.reduce_sum(tf.exp(-distances / unit), axis=1)
        self.log_scale.assign(self.log_scale - tf.math.log(unit)[:, tf.newaxis])
        self.bias.assign(-tf.reduce_mean(closeness, axis=0))


class PutReference(keras.layers.Layer):
    """Puts a fixed batch of latents z ~ U(0, 1) in front of the batch.

    Args:
        size: Samples in the fixed batch.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def build(self, input_shape):
        self.z = self.add_weight(
            name="z",
            shape=(self.size, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(0.0, 1.0),
            trainable=False,
        )

    def call(self, z):
        return tf.concat([self.z, z], axis=0)


class DropReference(keras.layers.Layer):
    """Takes the fixed batch away again.

    Args:
        size: Samples in the fixed batch.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, x):
        return x[self.size :]


def build_generator(image_shape, latent_dim, width, reference_size, num_classes=0):
    """z [N, latent_dim] -> images in [-1, 1]: a grid of 4 to 7 pixels, doubled.

    With classes it takes a label [N, num_classes] too, which enters every layer.
    """
    doublings, channels = halvings(image_shape, fewest=1), image_shape[2]
    grid = halved(image_shape, doublings)

    def normalized(x):
        if reference_size:
            x = VirtualBatchNorm(reference_size)(x)
        else:
            x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-6, scale=False)(x)
        return keras.layers.ReLU()(x)

    def deconv(filters):
        return keras.layers.Conv2DTranspose(
            filters, 5, 2, "same", use_bias=False, kernel_initializer=initializer()
        )

    z = keras.Input([latent_dim])
    label = keras.Input([num_classes], name="label") if num_classes else None
    x = with_label(PutReference(reference_size)(z) if reference_size else z, label)
    widths = [width << k for k in reversed(range(doublings))]
    units = grid[0] * grid[1] * widths[0]
    x = normalized(keras.layers.Dense(units, use_bias=False, kernel_initializer=initializer())(x))
    x = keras.layers.Reshape([*grid, widths[0]])(x)
    for filters in widths[1:]:
        x = normalized(deconv(filters)(with_label(x, label)))
    x = WeightNorm(
        channels, 5, 2, transposed=True, start_std=0.1, train_gain=True, dtype="float32"
    )(with_label(x, label))
    image = keras.layers.Activation("tanh", dtype="float32")(x)
    if reference_size:
        image = DropReference(reference_size, dtype="float32")(image)
    return keras.Model([z, label] if num_classes else z, image, name="generator")


def conv_trunk(x, width):
    """Nine convolutions with weight normalization: [N, H, W, C] -> features [N, 2 width]."""

    def conv(x, filters, size=3, **kwargs):
        return keras.layers.LeakyReLU(0.2)(WeightNorm(filters, size, **kwargs)(x))

    for filters in (width, 2 * width):
        x = conv(conv(x, filters), filters)
        x = Dropout(0.5)(conv(x, filters, strides=2))
    if min(x.shape[1:3]) < 3:
        raise BadInput("These convolutions take images of 9x9 pixels or more.")
    x = conv(x, 2 * width, padding="valid")
    x = conv(conv(x, 2 * width, size=1), 2 * width, size=1)
    return keras.layers.GlobalAveragePooling2D(dtype="float32")(x)


def build_discriminator(image_shape, width, kernels, kernel_dim):
    """Images in [-1, 1] -> scores [N, 1], and the features [N, 2 width] that G can match."""
    image = keras.Input(image_shape)
    features = conv_trunk(GaussianNoise(0.2)(image), width)
    x = MinibatchDiscrimination(kernels, kernel_dim)(features) if kernels else features
    score = WeightNorm(1, size=0, start_std=0.1, train_gain=True, dtype="float32")(x)
    return keras.Model(image, [score, features], name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class ImprovedGAN(LatentModel):
    """GAN with the improved techniques, on the authors' networks for CIFAR-10.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ U(0, 1).
        generator_width: Channels of the generator's last hidden layer; doubles towards the grid.
        discriminator_width: Channels of the discriminator's first half; its second has twice.
        feature_matching: Replaces the generator's adversarial loss by the distance of mean
            features: "squared" as in the paper, "absolute" as in the code; None keeps it.
        minibatch_kernels: Kernels of minibatch discrimination; 0 for none.
        kernel_dim: Length of the vectors that minibatch discrimination compares.
        history_weight: Weight of historical averaging for both players; 0 for none. It holds the
            weights more with every step. The paper does not state it.
        real_target: D's target for real images; 1 for no label smoothing.
        reference_size: Samples in the reference batch of the generator's virtual batch
            normalization; 0 for batch normalization.
        generator_moves: Generator updates per discriminator update.
        decay_steps: Length of the learning rate's schedule, in steps.
    """

    prior = (0.0, 1.0)
    stage_steps = (1,)  # the first step also initializes the weights

    def __init__(
        self,
        image_shape=(32, 32, 3),
        latent_dim=100,
        generator_width=128,
        discriminator_width=96,
        feature_matching=None,
        minibatch_kernels=100,
        kernel_dim=5,
        history_weight=1e-3,
        real_target=0.9,
        reference_size=100,
        generator_moves=3,
        decay_steps=600_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if feature_matching not in (None, "squared", "absolute"):
            word = str(feature_matching)
            raise BadInput(nearest("kind of feature matching", word, ["squared", "absolute"]))
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.generator_width, self.discriminator_width = generator_width, discriminator_width
        self.feature_matching, self.minibatch_kernels = feature_matching, minibatch_kernels
        self.kernel_dim, self.history_weight = kernel_dim, history_weight
        self.real_target, self.reference_size = real_target, reference_size
        self.generator_moves, self.decay_steps = generator_moves, decay_steps
        self.batches_per_step = 2 if feature_matching else 1  # G matches a batch of its own
        self.generator = build_generator(image_shape, latent_dim, generator_width, reference_size)
        self.discriminator = build_discriminator(
            image_shape, discriminator_width, minibatch_kernels, kernel_dim
        )
        self.weight_means = {}  # player -> mean of each of its weights over all steps
        if history_weight:
            self.weight_means = {
                player: [
                    self.add_state(f"{player}_mean_{i}", 0.0, shape=w.shape)
                    for i, w in enumerate(self.weights_of(player))
                ]
                for player in self.players()
            }

    def default_optimizers(self):
        def adam(moves):
            third = self.decay_steps * moves / 3
            rate = HoldThenDecay(3e-4, hold_steps=2 * third, decay_steps=third)
            return Adam(rate, beta_1=0.5, epsilon=1e-4)

        return {"discriminator": adam(1), "generator": adam(self.generator_moves)}

    def discriminator_loss(self, real):
        fake = self.generator(self.latents(real.shape[0]), training=True)
        real_score, _ = self.discriminator(real, training=True)
        fake_score, _ = self.discriminator(fake, training=True)
        agree, differ = tf.nn.softplus(-real_score), tf.nn.softplus(real_score)
        return {  # cross entropies with the targets `real_target` and 0
            "real": tf.reduce_mean(self.real_target * agree + (1.0 - self.real_target) * differ),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
        } | self.history_loss("discriminator")

    def generator_loss(self, real):
        fake = self.generator(self.latents(real.shape[0]), training=True)
        score, features = self.discriminator(fake, training=True)
        if not self.feature_matching:
            loss = {"fake": tf.reduce_mean(tf.nn.softplus(-score))}
        else:
            _, wanted = self.discriminator(real, training=True)
            gap = tf.reduce_mean(wanted, axis=0) - tf.reduce_mean(features, axis=0)
            squared = self.feature_matching == "squared"
            distance = tf.reduce_sum(tf.square(gap)) if squared else tf.reduce_mean(tf.abs(gap))
            loss = {"features": distance}
        return loss | self.history_loss("generator")

    def history_loss(self, player):
        """Squared distance of all weights of a player from their means, which are constants."""
        if not self.history_weight:
            return {}
        pairs = zip(self.weights_of(player), self.weight_means[player], strict=True)
        distances = [tf.reduce_sum(tf.square(w - mean)) for w, mean in pairs]
        return {"history": self.history_weight * tf.add_n(distances)}

    def remember(self):
        """Adds the present weights to their means over the steps 1 ... t."""
        t = tf.cast(self.step + 1, "float32")
        for player, means in self.weight_means.items():
            for mean, w in zip(means, self.weights_of(player), strict=True):
                mean.assign(mean + (w - mean) / t)

    def train_step(self, data):
        batches = [batch["image"] for batch in self.split(data)]
        if self.stage == 0:
            initialize(self.generator, self.latents(batches[0].shape[0]))
            initialize(self.discriminator, batches[0])
        self.remember()
        d = self.update("discriminator", self.discriminator_loss, batches[0])
        for _ in range(self.generator_moves):
            g = self.update("generator", self.generator_loss, batches[-1])
        return d | g
