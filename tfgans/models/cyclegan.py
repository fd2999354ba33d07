"""CycleGAN — Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks.

Zhu et al., ICCV 2017, arXiv:1703.10593.

New here: two generators, G: A -> B and F: B -> A, and a discriminator for each domain, learned from
two sets of images that nobody has paired: translating there and back must return the image. Least
squares in place of the logarithm, residual networks with instance normalization, and discriminators
that also see fakes of the past keep it steady.

Differs from the paper: the identity terms, which the paper uses for paintings and photographs, are
on, as in the authors' later code (`identity_weight=0` leaves them out). Both generators move at
once, then both discriminators; the paper's first code moves the four networks one by one. Several
replicas share one pool of past fakes and play it through as one device would.

Reference: junyanz/pytorch-CycleGAN-and-pix2pix; junyanz/CycleGAN.
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput, command
from tfgans.layers.image_pool import ImagePool
from tfgans.layers.instance_norm import instance_norm
from tfgans.layers.reflection_pad import ReflectionPad
from tfgans.models.pix2pix import build_patch_discriminator, initializer
from tfgans.models.translation import TranslationModel
from tfgans.optimizers import Adam, HoldThenDecay
from tfgans.shapes import halved

NO_WAY_BACK = (
    "This CycleGAN translates from A to B alone: the published file that it was made of holds one "
    "generator. With the file of the other direction, "
    f"`{command('convert')} A_TO_B.pth --b-to-a B_TO_A.pth` makes a model of both."
)


def conv(x, filters, size=3, strides=1, **kwargs):
    """A convolution of an image with a border: reflected, or zeros where it halves the image."""
    x = keras.layers.ZeroPadding2D(1)(x) if strides > 1 else ReflectionPad(size // 2)(x)
    return keras.layers.Conv2D(filters, size, strides, kernel_initializer=initializer(), **kwargs)(
        x
    )


def doubled(x, filters, **kwargs):
    """A transposed convolution that doubles an image: the mirror image of one that halves it."""
    layer = keras.layers.Conv2DTranspose(filters, 3, 2, kernel_initializer=initializer(), **kwargs)
    # [N, 2H + 1, ...]; without the first row and column, the mirror image of the way down.
    return keras.layers.Cropping2D(((1, 0), (1, 0)))(layer(x))


def residual(x, norm=instance_norm, conv=conv, **kwargs):
    """Adds to x a function of it: two convolutions, each with a normalization."""
    y = keras.layers.ReLU()(norm()(conv(x, x.shape[-1], **kwargs)))
    return keras.layers.Add()([x, norm()(conv(y, x.shape[-1], **kwargs))])


def encode(image, width, blocks, downs=2, norm=instance_norm):
    """The first half of the generator: `downs` halvings, then residual blocks."""
    x = keras.layers.ReLU()(norm()(conv(image, width, 7)))
    for i in range(downs):
        x = keras.layers.ReLU()(norm()(conv(x, width * 2 ** (i + 1), strides=2)))
    for _ in range(blocks):
        x = residual(x, norm)
    return x


def grown(x, ups=2, norm=instance_norm, doubled=doubled):
    """`ups` doublings, each with half the channels."""
    for _ in range(ups):
        x = keras.layers.ReLU()(norm()(doubled(x, x.shape[-1] // 2)))
    return x


def decode(x, channels, ups=2, norm=instance_norm, doubled=doubled):
    """The second half of the generator: `grown`, and the image."""
    return conv(grown(x, ups, norm, doubled), channels, 7, activation="tanh", dtype="float32")


def build_resnet_generator(
    image_shape, channels, width=64, blocks=9, downs=2, norm=instance_norm, name="generator"
):
    """Images -> images of `channels` channels in [-1, 1], of the same size.

    Args:
        image_shape: (height, width, channels).
        channels: Channels of the output.
        width: Channels at full resolution; they double with each halving.
        blocks: Residual blocks at the lowest resolution.
        downs: Number of halvings.
        norm: Function that makes a normalization layer.
        name: Name of the network.
    """
    halved(image_shape, downs, least=2)  # raises BadInput where that is not possible
    image = keras.Input(image_shape)
    output = decode(encode(image, width, blocks, downs, norm), channels, downs, norm)
    return keras.Model(image, output, name=name)


def squared(score, wanted):
    return tf.reduce_mean(tf.square(score - wanted))


def l1(x, y):
    return tf.reduce_mean(tf.abs(x - y))


@keras.saving.register_keras_serializable("tfgans")
class CycleGAN(TranslationModel):
    """Translates between two domains, learned without pairs.

    Args:
        image_shape: (height, width, channels) of the images of both domains.
        width: Channels at full resolution, of all networks.
        blocks: Residual blocks of the generators: 9 from 256x256 on, 6 at 128x128.
        patch_layers: Number of halvings in the discriminators; 3 gives patches of 70x70 pixels.
        cycle_weight: Weight of the cycle consistency, the paper's lambda.
        identity_weight: Weight of the identity terms, as a part of `cycle_weight`.
        pool_size: Number of past fakes in the pool of each discriminator.
        hold_steps: Steps at the full learning rate.
        decay_steps: Steps over which it then falls to 0.
        one_way: Leave out the generator from B to A and both discriminators, for a published
            generator of one direction. Such a model translates; nothing can train it.
    """

    data_kind = "unpaired"

    def __init__(
        self,
        image_shape=(256, 256, 3),
        width=64,
        blocks=9,
        patch_layers=3,
        cycle_weight=10.0,
        identity_weight=0.5,
        pool_size=50,
        hold_steps=133_400,
        decay_steps=133_400,
        one_way=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.width, self.blocks = image_shape, width, blocks
        self.patch_layers, self.cycle_weight = patch_layers, cycle_weight
        self.identity_weight, self.pool_size = identity_weight, pool_size
        self.hold_steps, self.decay_steps = hold_steps, decay_steps
        self.one_way = one_way

        def generator(name):
            return build_resnet_generator(image_shape, image_shape[2], width, blocks, name=name)

        self.generator_ab = generator("generator_ab")
        if one_way:
            self.generator_ba, self.absent = None, {"b_to_a": NO_WAY_BACK}
            return
        self.generator_ba = generator("generator_ba")
        self.discriminator_a, self.discriminator_b = (
            build_patch_discriminator(
                image_shape, width, patch_layers, instance_norm, use_bias=True, name=name
            )
            for name in ("discriminator_a", "discriminator_b")
        )
        self.pool_a, self.pool_b = (
            ImagePool(pool_size, image_shape, name=name) for name in ("pool_a", "pool_b")
        )

    def players(self):
        if self.generator_ba is None:
            raise BadInput(
                "A CycleGAN of one way has no generator from B to A and no discriminators, so it "
                "cannot be trained. Make it of two files (--b-to-a FILE), or with one_way=false, "
                "which begins the other networks anew."
            )
        return {
            "discriminators": [self.discriminator_a, self.discriminator_b],
            "generators": [self.generator_ab, self.generator_ba],
        }

    def default_optimizers(self):
        def adam():
            rate = HoldThenDecay(2e-4, self.hold_steps, self.decay_steps)
            return Adam(rate, beta_1=0.5)

        return {"discriminators": adam(), "generators": adam()}

    def generators_loss(self, a, b):
        """The terms of images `a` and `b` [N, H, W, C], and their translations for the pools."""
        fake_a, fake_b = self.generator_ba(b, training=True), self.generator_ab(a, training=True)
        back_a = self.generator_ba(fake_b, training=True)
        back_b = self.generator_ab(fake_a, training=True)
        same_a, same_b = self.generator_ba(a, training=True), self.generator_ab(b, training=True)
        score_a = self.discriminator_a(fake_a, training=True)
        score_b = self.discriminator_b(fake_b, training=True)
        identity = self.identity_weight * self.cycle_weight
        terms = {
            "fake": squared(score_a, 1.0) + squared(score_b, 1.0),
            "cycle": self.cycle_weight * (l1(back_a, a) + l1(back_b, b)),
            "identity": identity * (l1(same_a, a) + l1(same_b, b)),
        }
        return terms, (fake_a, fake_b)

    def discriminators_loss(self, a, b, old_a, old_b):
        real_a = self.discriminator_a(a, training=True)
        real_b = self.discriminator_b(b, training=True)
        fake_a = self.discriminator_a(old_a, training=True)
        fake_b = self.discriminator_b(old_b, training=True)
        return {  # halved, which slows the discriminators down
            "a": 0.5 * (squared(real_a, 1.0) + squared(fake_a, 0.0)),
            "b": 0.5 * (squared(real_b, 1.0) + squared(fake_b, 0.0)),
        }

    def train_step(self, data):
        a, b = data["a"], data["b"]
        g, (fake_a, fake_b) = self.update("generators", self.generators_loss, a, b)
        old_a, old_b = self.pool_a(fake_a), self.pool_b(fake_b)  # fakes of before this move
        d = self.update("discriminators", self.discriminators_loss, a, b, old_a, old_b)
        return g | d

    def directions(self):
        return self.both_ways(self.generator_ab, self.generator_ba)
