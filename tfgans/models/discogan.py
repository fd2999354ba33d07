"""DiscoGAN — Learning to Discover Cross-Domain Relations with Generative Adversarial Networks.

Kim, Cha, Kim, Lee, Kim, ICML 2017, arXiv:1703.05192.

New here: two generators between two domains, each of which must undo the other, so that every image
has one partner: relations such as a common direction are found without any pair. A GAN alone maps
many images to one, and a reconstruction in one direction does not prevent it. G also matches the
mean features of D, and the reconstruction counts little at first.

Differs from the paper: sizes, weights and order of moves are those of the authors' code (batches of
64 in place of 200, a weight decay of 1e-5 in place of 1e-4, as known): every third step moves both
discriminators, the others move both generators. Images are [-1, 1] as everywhere in tfgans; inside
they are [0, 1], and losses are taken there. Images are made with the moving averages of batch
normalization, in the code with the statistics of the batch.

Reference: SKTBrain/DiscoGAN (discogan/model.py, discogan/image_translation.py).
"""

import keras
import tensorflow as tf

from tfgans.models.translation import TranslationModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved, halvings

ROUND = 3  # steps: one of the discriminators, then generators


def initializer():
    """U(-b, b), b = 1 / sqrt(inputs of a unit; if transposed, its outputs), as in newer PyTorch."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def conv(x, filters, transposed=False, strides=2, padding="same", **kwargs):
    kind = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
    return kind(
        filters, 4, strides, padding, use_bias=False, kernel_initializer=initializer(), **kwargs
    )(x)


def norm(x):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def leaky(x):
    return keras.layers.LeakyReLU(0.2)(x)


def relu(x):
    return keras.layers.ReLU()(x)


def build_generator(image_shape, width, bottleneck, name):
    """Images in [-1, 1] -> images in [-1, 1]: down to 4 to 7 pixels, and up again.

    Args:
        image_shape: (height, width, channels).
        width: Channels after the first halving; they double with each further one.
        bottleneck: Channels of a code of one pixel in the middle; 0 for none.
        name: Name of the network.
    """
    times = halvings(image_shape, fewest=2)
    widths = [width << k for k in range(times)]
    image = keras.Input(image_shape)
    x = leaky(conv(keras.layers.Rescaling(0.5, 0.5)(image), width))
    for filters in widths[1:]:
        x = leaky(norm(conv(x, filters)))
    if bottleneck:
        grid = halved(image_shape, times)
        x = keras.layers.Conv2D(bottleneck, grid, use_bias=False, kernel_initializer=initializer())(
            x
        )
        x = keras.layers.Conv2DTranspose(
            widths[-1], grid, use_bias=False, kernel_initializer=initializer()
        )(leaky(norm(x)))
        x = relu(norm(x))
    for filters in reversed(widths[:-1]):
        x = relu(norm(conv(x, filters, transposed=True)))
    x = conv(x, image_shape[2], transposed=True, activation="sigmoid", dtype="float32")
    return keras.Model(image, keras.layers.Rescaling(2.0, -1.0, dtype="float32")(x), name=name)


def build_discriminator(image_shape, width, name):
    """Images -> scores [N, 1], and the features [N, h, w, C] behind each normalization."""
    times = halvings(image_shape, fewest=2)
    image = keras.Input(image_shape)
    x = leaky(conv(keras.layers.Rescaling(0.5, 0.5)(image), width))
    features = []
    for k in range(1, times):
        x = leaky(norm(conv(x, width << k)))
        features.append(x)
    score = keras.layers.Conv2D(
        1,
        halved(image_shape, times),
        use_bias=False,
        kernel_initializer=initializer(),
        dtype="float32",
    )(x)
    score = keras.layers.Flatten(dtype="float32")(score)
    return keras.Model(image, [score, *features], name=name)


def squared_error(x, y):
    """The mean squared difference of images in [0, 1], from images in [-1, 1]."""
    return 0.25 * tf.reduce_mean(tf.square(x - y))


def feature_distance(real, fake):
    """Squared differences of the mean features of two batches: a mean over places, a sum over maps.

    Args:
        real: Maps of features [N, h, w, C] of real images, one for each layer.
        fake: Those of generated images.
    """
    gaps = (
        tf.reduce_mean(tf.cast(x, "float32"), axis=0)
        - tf.reduce_mean(tf.cast(y, "float32"), axis=0)
        for x, y in zip(real, fake, strict=True)
    )
    return tf.add_n([tf.reduce_mean(tf.square(gap)) for gap in gaps])


@keras.saving.register_keras_serializable("tfgans")
class DiscoGAN(TranslationModel):
    """Discovers a relation between two domains, in the setting of the authors' code.

    Args:
        image_shape: (height, width, channels) of the images of both domains.
        width: Channels after the first halving, of all networks.
        bottleneck: Channels of a code of one pixel in the generators, 100 in the code; 0 for none.
        feature_share: Share of the feature distance in G's adversarial loss.
        first_rate: Share of the reconstruction in G's loss, in the first steps.
        last_rate: The same afterwards.
        first_steps: Number of the first steps.
        weight_decay: Factor of w^2 / 2 in both losses.
    """

    data_kind = "unpaired"

    def __init__(
        self,
        image_shape=(64, 64, 3),
        width=64,
        bottleneck=0,
        feature_share=0.9,
        first_rate=0.01,
        last_rate=0.5,
        first_steps=10_000,
        weight_decay=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.width, self.bottleneck = image_shape, width, bottleneck
        self.feature_share, self.first_rate = feature_share, first_rate
        self.last_rate, self.first_steps = last_rate, first_steps
        self.weight_decay = weight_decay
        self.generator_ab, self.generator_ba = (
            build_generator(image_shape, width, bottleneck, name)
            for name in ("generator_ab", "generator_ba")
        )
        self.discriminator_a, self.discriminator_b = (
            build_discriminator(image_shape, width, name)
            for name in ("discriminator_a", "discriminator_b")
        )

    def players(self):
        return {
            "discriminators": [self.discriminator_a, self.discriminator_b],
            "generators": [self.generator_ab, self.generator_ba],
        }

    def default_optimizers(self):
        return {player: Adam(2e-4, beta_1=0.5) for player in self.players()}

    def reconstruction_rate(self):
        """r, the share of the reconstruction in the loss of G."""
        return tf.where(self.step < self.first_steps, self.first_rate, self.last_rate)

    def discriminators_loss(self, a, b):
        fake_a, fake_b = self.generator_ba(b, training=True), self.generator_ab(a, training=True)
        terms = {}
        for word, judge, real, fake in (
            ("a", self.discriminator_a, a, fake_a),
            ("b", self.discriminator_b, b, fake_b),
        ):
            real_score, fake_score = judge(real, training=True)[0], judge(fake, training=True)[0]
            terms[word] = 0.5 * (
                tf.reduce_mean(tf.nn.softplus(-real_score))
                + tf.reduce_mean(tf.nn.softplus(fake_score))
            )
        return terms | self.decay("discriminators", self.weight_decay)

    def generators_loss(self, a, b):
        fake_a, fake_b = self.generator_ba(b, training=True), self.generator_ab(a, training=True)
        back_a = self.generator_ba(fake_b, training=True)
        back_b = self.generator_ab(fake_a, training=True)
        rate = self.reconstruction_rate()
        fooling, features = [], []
        for judge, real, fake in (
            (self.discriminator_a, a, fake_a),
            (self.discriminator_b, b, fake_b),
        ):
            _, *of_real = judge(real, training=True)
            score, *of_fake = judge(fake, training=True)
            fooling.append(tf.reduce_mean(tf.nn.softplus(-score)))
            features.append(feature_distance(of_real, of_fake))
        return {
            "fake": (1.0 - rate) * (1.0 - self.feature_share) * tf.add_n(fooling),
            "features": (1.0 - rate) * self.feature_share * tf.add_n(features),
            "reconstruction": rate * (squared_error(back_a, a) + squared_error(back_b, b)),
        } | self.decay("generators", self.weight_decay)

    def train_step(self, data):
        a, b = data["a"], data["b"]
        if self.due(ROUND):
            return self.update("discriminators", self.discriminators_loss, a, b)
        return self.update("generators", self.generators_loss, a, b)

    def directions(self):
        return self.both_ways(self.generator_ab, self.generator_ba)
