"""DualGAN — DualGAN: Unsupervised Dual Learning for Image-to-Image Translation.

Yi, Zhang, Tan, Gong, ICCV 2017, arXiv:1704.02510.

New here: the two-way cycle of CycleGAN, found at the same time, as a game of Wasserstein critics.
Two U-Nets translate between two domains. A recovery error, which weighs hundreds of times as much
as the critics, asks each of them to undo the other.

Differs from the paper: the defaults are those of the authors' code, a gradient penalty and critics
that judge whole images. The paper clips the critics' weights and judges patches of 70x70 pixels,
with 2 to 4 moves of the critics for one of the generators, in the code one. The setting
`critic="clipped", judged="patches"` has the code's patches, of 129x129 pixels. Noise is dropout in
the paper, in training and in use, and none in the code (`dropout=0.5`). The mean square of RMSProp
starts at 0, in the code at 1, which makes its first moves much smaller. At 256x256 the innermost
map is one pixel, whose normalization leaves its learned shift alone: everything passes through the
skip connections, as in the code.

Reference: duxingren14/DualGAN (model.py, ops.py, main.py).
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput, nearest
from tfgans.models.cyclegan import l1
from tfgans.models.pix2pix import build_unet
from tfgans.models.translation import TranslationModel
from tfgans.penalties import between, gradient_norm, input_gradient
from tfgans.shapes import halvings

WIDTHS = (1, 2, 4, 8, 8)  # channels of the critics, in `width`


def initializer():
    return keras.initializers.TruncatedNormal(stddev=0.02)


def norm(**kwargs):
    """Each channel of each image by itself, with a scale near 1 and a shift."""
    near_one = keras.initializers.RandomNormal(1.0, 0.02)
    return keras.layers.GroupNormalization(
        groups=-1, epsilon=1e-5, gamma_initializer=near_one, **kwargs
    )


def build_critic(image_shape, width, judged, name):
    """Images -> scores [N, 1], or a map of scores of patches [N, h, w, 1]."""
    times = min(halvings(image_shape, least=2), len(WIDTHS))  # a single pixel normalizes to 0
    image = x = keras.Input(image_shape)
    for k, part in enumerate(WIDTHS[:times]):
        x = keras.layers.Conv2D(
            part * width, 3 if k else 5, 2, "same", kernel_initializer=initializer()
        )(x)
        # float32 in half precision too: the penalty's gradient holds powers of its deviations.
        x = keras.layers.LeakyReLU(0.2)(norm(dtype="float32")(x) if k else x)
    if judged == "patches":
        layer = keras.layers.Conv2D(
            1, 3, 2, "same", kernel_initializer=initializer(), dtype="float32"
        )
    else:
        x = keras.layers.Flatten()(x)
        layer = keras.layers.Dense(1, kernel_initializer=initializer(), dtype="float32")
    return keras.Model(image, layer(x), name=name)


@keras.saving.register_keras_serializable("tfgans")
class DualGAN(TranslationModel):
    """Translates between two domains, learned without pairs, in the setting of the authors' code.

    Args:
        image_shape: (height, width, channels) of the images of both domains.
        width: Channels at full resolution, of all networks.
        dropout: Rate in the three innermost steps up of the generators, in training and in use.
        critic: "penalty" for a gradient penalty, "clipped" for clipped weights.
        judged: "images" or "patches".
        recovery_weight: Weight of the L1 distance after the way there and back, the paper's lambda.
        penalty_weight: Weight of the gradient penalty.
        clip: Largest absolute value of a weight of a clipped critic.
        n_critic: Moves of the critics per move of the generators.
    """

    data_kind = "unpaired"

    def __init__(
        self,
        image_shape=(256, 256, 3),
        width=64,
        dropout=0.0,
        critic="penalty",
        judged="images",
        recovery_weight=500.0,
        penalty_weight=10.0,
        clip=0.01,
        n_critic=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for what, word, known in (
            ("kind of critic", critic, ["penalty", "clipped"]),
            ("thing that is judged", judged, ["images", "patches"]),
        ):
            if word not in known:
                raise BadInput(nearest(what, str(word), known))
        self.image_shape, self.width, self.dropout = image_shape, width, dropout
        self.critic, self.judged, self.recovery_weight = critic, judged, recovery_weight
        self.penalty_weight, self.clip, self.n_critic = penalty_weight, clip, n_critic
        self.noisy = dropout > 0.0
        self.batches_per_step = n_critic
        self.generator_ab, self.generator_ba = (
            build_unet(
                image_shape,
                image_shape[2],
                width,
                norm,
                use_bias=True,
                dropout=dropout,
                kernels=(5, 3),
                norm_code=True,
                start=initializer,
                name=name,
            )
            for name in ("generator_ab", "generator_ba")
        )
        self.discriminator_a, self.discriminator_b = (
            build_critic(image_shape, width, judged, name)
            for name in ("discriminator_a", "discriminator_b")
        )

    def players(self):
        return {
            "discriminators": [self.discriminator_a, self.discriminator_b],
            "generators": [self.generator_ab, self.generator_ba],
        }

    def default_optimizers(self):
        # That of TensorFlow 1, also under the root: with Keras' 1e-7 clipped critics stand still.
        return {p: keras.optimizers.RMSprop(5e-5, rho=0.9, epsilon=1e-10) for p in self.players()}

    def discriminators_loss(self, a, b):
        fake_a, fake_b = self.generator_ba(b, training=True), self.generator_ab(a, training=True)
        terms = {}
        for word, judge, real, fake in (
            ("a", self.discriminator_a, a, fake_a),
            ("b", self.discriminator_b, b, fake_b),
        ):
            terms[f"real_{word}"] = -tf.reduce_mean(judge(real, training=True))
            terms[f"fake_{word}"] = tf.reduce_mean(judge(fake, training=True))
            if self.critic == "penalty":
                terms[f"penalty_{word}"] = self.penalty_weight * self.penalty(judge, real, fake)
        return terms

    def penalty(self, judge, real, fake):
        """(|gradient| - 1)^2 at a random point between each image and its fake.

        Args:
            judge: A critic.
            real, fake: Images [N, H, W, C].
        """
        middle = between(real, fake, random.uniform([real.shape[0], 1, 1, 1]))
        gradient = input_gradient(lambda x: judge(x, training=True), middle, [judge])
        return tf.reduce_mean(tf.square(gradient_norm(gradient) - 1.0))

    def generators_loss(self, a, b):
        fake_a, fake_b = self.generator_ba(b, training=True), self.generator_ab(a, training=True)
        back_a = self.generator_ba(fake_b, training=True)
        back_b = self.generator_ab(fake_a, training=True)
        return {
            "fake_a": -tf.reduce_mean(self.discriminator_a(fake_a, training=True)),
            "fake_b": -tf.reduce_mean(self.discriminator_b(fake_b, training=True)),
            "recovery": self.recovery_weight * (l1(back_a, a) + l1(back_b, b)),
        }

    def clip_critics(self):
        for w in self.weights_of("discriminators"):
            w.assign(tf.clip_by_value(w, -self.clip, self.clip))

    def train_step(self, data):
        logs = {}
        for batch in self.split(data):
            logs |= self.update("discriminators", self.discriminators_loss, batch["a"], batch["b"])
            if self.critic == "clipped":
                self.clip_critics()
        return logs | self.update("generators", self.generators_loss, batch["a"], batch["b"])

    def directions(self):
        return self.both_ways(self.generator_ab, self.generator_ba)
