"""ComboGAN — Unrestrained Scalability for Image Domain Translation.

Anoosheh, Agustsson, Timofte, Van Gool, CVPR Workshops 2018, arXiv:1712.06909.

New here: CycleGAN's generators are cut in two. Each of n domains has an encoder, a decoder and a
discriminator of its own; a translation from i to j is decoder j of encoder i. So n domains need n
of each, where CycleGAN needs two generators for each pair, and an image is encoded once for all
targets. A step plays CycleGAN's game between two domains that are drawn for it. Networks,
optimizers and pools of all others stand still, bit for bit.

Differs from the paper: the authors' code of December 2017 is followed, as far as it is known. Later
versions have PReLU, a smooth L1, other discriminators and blocks that domains share; these are not
built. A learning rate falls with the moves of its own domain, of which each step makes 2 of n, on
average; in the code it falls with the epochs.

Not verified: the size of the average that the forward term compares; the steps over which the
latent term grows, here those of the whole training.

Reference: AAnoosheh/ComboGAN (models/networks.py, models/combogan_model.py at e0f85a0).
"""

import itertools

import keras
import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.images import table
from tfgans.layers.image_pool import ImagePool
from tfgans.layers.instance_norm import instance_norm
from tfgans.models.cyclegan import decode, encode, l1, residual, squared
from tfgans.models.pix2pix import build_patch_discriminator, initializer
from tfgans.models.translation import TranslationModel
from tfgans.ops.checking import ensure
from tfgans.ops.exporting import is_plain
from tfgans.optimizers import Adam, HoldThenDecay
from tfgans.shapes import halved

PAIR = 2  # random stream of the pairs
ROWS = 2  # examples in a sample grid


def doubled(x, filters):
    """A transposed convolution with a kernel of 4x4, without checkers of uneven overlap."""
    return keras.layers.Conv2DTranspose(filters, 4, 2, "same", kernel_initializer=initializer())(x)


def build_encoder(image_shape, width=64, blocks=4, name="encoder"):
    """Images of one domain -> codes [N, H / 4, W / 4, 4 width] that all decoders read."""
    halved(image_shape, 2, least=2)  # raises BadInput where that is not possible
    image = keras.Input(image_shape)
    return keras.Model(image, encode(image, width, blocks), name=name)


def build_decoder(image_shape, width=64, blocks=5, name="decoder"):
    """Codes [N, H / 4, W / 4, 4 width] -> images of one domain in [-1, 1]."""
    rows, columns = halved(image_shape, 2)
    x = code = keras.Input([rows, columns, 4 * width])
    for _ in range(blocks):
        x = residual(x)
    return keras.Model(code, decode(x, image_shape[2], doubled=doubled), name=name)


@keras.saving.register_keras_serializable("tfgans")
class ComboGAN(TranslationModel):
    """Translates between any two of several domains, learned without pairs.

    Args:
        image_shape: (height, width, channels) of the images of all domains.
        num_domains: Number of domains, at least 2.
        width: Channels at full resolution, of all networks.
        encoder_blocks: Residual blocks of each encoder.
        decoder_blocks: Residual blocks of each decoder.
        patch_layers: Number of halvings in the discriminators; 3 gives patches of 70x70 pixels.
        cycle_weight: Weight of the cycle consistency.
        autoencode_weight: Weight of the distance of an image from what its own decoder makes of it.
        forward_weight: Weight of the distance of an image from its translation, both averaged over
            3x3 pixels.
        latent_weight: Weight of the distance of a translation's code from that of its image; it
            grows to this value over the training.
        pool_size: Number of past fakes in the pool of each discriminator.
        hold_steps: Steps of the training at the full learning rate.
        decay_steps: Steps over which it then falls to 0.
    """

    data_kind = "domains"

    def __init__(
        self,
        image_shape=(256, 256, 3),
        num_domains=4,
        width=64,
        encoder_blocks=4,
        decoder_blocks=5,
        patch_layers=3,
        cycle_weight=10.0,
        autoencode_weight=0.0,
        forward_weight=0.0,
        latent_weight=0.0,
        pool_size=50,
        hold_steps=200_000,
        decay_steps=200_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_domains < 2:
            raise BadInput(
                f"ComboGAN translates between two or more domains, not {num_domains}. Set "
                "model.num_domains, or leave it out, and it follows from the data."
            )
        self.image_shape, self.num_domains, self.width = image_shape, num_domains, width
        self.encoder_blocks, self.decoder_blocks = encoder_blocks, decoder_blocks
        self.patch_layers, self.cycle_weight = patch_layers, cycle_weight
        self.autoencode_weight, self.forward_weight = autoencode_weight, forward_weight
        self.latent_weight, self.pool_size = latent_weight, pool_size
        self.hold_steps, self.decay_steps = hold_steps, decay_steps
        domains = range(num_domains)
        self.encoders = [
            build_encoder(image_shape, width, encoder_blocks, f"encoder_{k}") for k in domains
        ]
        self.decoders = [
            build_decoder(image_shape, width, decoder_blocks, f"decoder_{k}") for k in domains
        ]
        self.discriminators = [
            build_patch_discriminator(
                image_shape, width, patch_layers, instance_norm, True, f"discriminator_{k}"
            )
            for k in domains
        ]
        self.pools = [ImagePool(pool_size, image_shape, name=f"pool_{k}") for k in domains]

    @property
    def choices(self):
        """All pairs of domains; their order plays no role in the game."""
        return [*itertools.combinations(range(self.num_domains), 2)]

    def choice(self):
        """The two domains of this step."""
        pairs = self.choices
        draws = np.random.default_rng([self.draw_seed, self.now, PAIR])
        return pairs[draws.integers(len(pairs))]

    def players(self):
        domains = range(self.num_domains)
        return {f"discriminator_{k}": [self.discriminators[k]] for k in domains} | {
            f"generator_{k}": [self.encoders[k], self.decoders[k]] for k in domains
        }

    def default_optimizers(self):
        share = 2 / self.num_domains  # of the steps move a domain

        def adam():
            rate = HoldThenDecay(2e-4, share * self.hold_steps, share * self.decay_steps)
            return Adam(rate, beta_1=0.5)

        return {player: adam() for player in self.players()}

    def generators_loss(self, i, j, a, b):
        """The terms of both domains, the same for both players, and the fakes for the pools.

        Args:
            i: Number of the domain of a.
            j: Number of the domain of b.
            a: Images [N, H, W, C] in [-1, 1].
            b: Images [N, H, W, C] in [-1, 1].
        """
        code_a, code_b = self.encoders[i](a, training=True), self.encoders[j](b, training=True)
        fake_a = self.decoders[i](code_b, training=True)
        fake_b = self.decoders[j](code_a, training=True)
        again_a = self.encoders[j](fake_b, training=True)  # the code of a, once more
        again_b = self.encoders[i](fake_a, training=True)
        back_a = self.decoders[i](again_a, training=True)
        back_b = self.decoders[j](again_b, training=True)
        score_a = self.discriminators[i](fake_a, training=True)
        score_b = self.discriminators[j](fake_b, training=True)
        terms = {
            "fake": squared(score_a, 1.0) + squared(score_b, 1.0),
            "cycle": self.cycle_weight * (l1(back_a, a) + l1(back_b, b)),
        }
        if self.autoencode_weight:
            same_a = self.decoders[i](code_a, training=True)
            same_b = self.decoders[j](code_b, training=True)
            terms["autoencode"] = self.autoencode_weight * (l1(same_a, a) + l1(same_b, b))
        if self.forward_weight:
            change = l1(averaged(fake_b), averaged(a)) + l1(averaged(fake_a), averaged(b))
            terms["forward"] = self.forward_weight * change
        if self.latent_weight:
            drift = l1(again_a, tf.stop_gradient(code_a)) + l1(again_b, tf.stop_gradient(code_b))
            done = tf.cast(self.step, "float32") / (self.hold_steps + self.decay_steps)
            terms["latent"] = self.latent_weight * tf.minimum(done, 1.0) * tf.cast(drift, "float32")
        return {f"generator_{i}": terms, f"generator_{j}": terms}, (fake_a, fake_b)

    def discriminator_loss(self, k, real, old):
        real_score = self.discriminators[k](real, training=True)
        fake_score = self.discriminators[k](old, training=True)
        return {  # halved, which slows the discriminators down
            "real": 0.5 * squared(real_score, 1.0),
            "fake": 0.5 * squared(fake_score, 0.0),
        }

    def train_step(self, data):
        i, j = self.chosen
        a, b = data[str(i)], data[str(j)]
        players = [f"generator_{i}", f"generator_{j}"]
        logs, fakes = self.update_together(self.generators_loss, i, j, a, b, players=players)
        for k, real, fake in zip((i, j), (a, b), fakes, strict=True):
            old = self.pools[k](fake)  # fakes of before this move
            logs |= self.update(f"discriminator_{k}", self.discriminator_loss, k, real, old)
        return logs

    def translated(self, image, source, target):
        """Images [N, H, W, C] of some domains as images of others.

        Args:
            image: [N, H, W, C] in [-1, 1].
            source: Numbers of their domains, [N] or one for all.
            target: Numbers of the domains of the results, likewise.
        """
        image = tf.convert_to_tensor(image)
        code = by_number(self.encoders, image, source, "Domains")
        return by_number(self.decoders, code, target, "Domains")

    def directions(self):
        """One, with the numbers of the two domains as inputs."""
        numbers = {word: tf.TensorSpec([None], "int32", name=word) for word in ("source", "target")}
        return {"translate": ({"image": self.image_spec()} | numbers, self.translated)}

    def outputs(self, batch, direction=None):
        """Translations from the first domain to the second."""
        return self.translated(batch["0"], 0, 1)

    def preview(self, batch):
        """A row for each domain, a column for each target; an image itself is in its own column."""
        domains, rows = range(self.num_domains), []
        for k in range(min(ROWS, len(batch["0"]))):
            for i in domains:
                image = batch[str(i)][k : k + 1]
                row = [image if i == j else self.translated(image, i, j) for j in domains]
                rows.append(table(*row))
        return np.concatenate(rows)


def by_number(networks, x, number, what):
    """Each row by the network of its number: all rows of a network at once, the others not at all.

    Args:
        networks: Networks from and to tensors of one shape.
        x: [N, ...].
        number: [N], or one for all.
        what: Name of the numbers, in the plural, for the error.

    Raises:
        BadInput: There is no network of such a number.
    """
    rows, (shape, dtype) = tf.shape(x)[0], (networks[0].output_shape[1:], networks[0].output.dtype)
    number, count = tf.broadcast_to(tf.cast(number, "int32"), [rows]), len(networks)
    rule = f"{what} are numbers from 0 to {count - 1}; the least and greatest are"
    span = tf.stack([tf.reduce_min(number), tf.reduce_max(number)])
    ensure(tf.reduce_all((number >= 0) & (number < count)), rule, span)
    if is_plain():  # all networks make all rows, where rows cannot be sorted
        made = tf.stack([network(x, training=False) for network in networks], axis=1)
        return tf.gather(made, number, axis=1, batch_dims=1)
    places, made = tf.dynamic_partition(tf.range(rows), number, count), []
    for network, part in zip(networks, tf.dynamic_partition(x, number, count), strict=True):
        made.append(
            tf.cond(
                tf.shape(part)[0] > 0,
                lambda network=network, part=part: network(part, training=False),
                lambda: tf.zeros([0, *shape], dtype),
            )
        )
    return tf.ensure_shape(tf.dynamic_stitch(places, made), [None, *shape])


def averaged(image):
    """The means over 3x3 pixels, at every second place."""
    return tf.nn.avg_pool2d(image, 3, 2, "VALID")
