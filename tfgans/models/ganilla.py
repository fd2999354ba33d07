"""GANILLA — GANILLA: Generative Adversarial Networks for Image to Illustration Translation.

Hicsonmez, Samet, Akbas, Duygulu, Image and Vision Computing 2020, arXiv:2002.05638.

New here: a generator for CycleGAN's game that keeps the content of a photograph while it takes the
style of illustrations. On the way down, each residual block joins its input and its result side by
side and lets a convolution choose. On the way up there are no transposed convolutions: enlarged
coarse maps are added to the maps of the way down, as in a feature pyramid, so that edges of the
input reach the output.

Differs from the paper: the identity terms of the authors' code are on, which the paper does not
name (`identity_weight=0` leaves them out). The code multiplies the finest map by two of its four
fixed weights of levels, which are all 1; here they are left out.

Reference: giddyyupp/ganilla (models/networks.py, models/cycle_gan_model.py).
"""

import keras

from tfgans.layers.image_pool import ImagePool
from tfgans.layers.instance_norm import instance_norm
from tfgans.layers.reflection_pad import ReflectionPad
from tfgans.models.cyclegan import CycleGAN, l1, squared
from tfgans.models.pix2pix import build_patch_discriminator, initializer
from tfgans.models.translation import TranslationModel
from tfgans.shapes import halved

LAYERS = ((1, 1), (2, 2), (2, 2), (4, 2))  # channels in `width`, and the stride of the first block
BLOCKS = 2  # of each layer
PYRAMID = 2  # channels of the maps that are added, in `width`


def conv(x, filters, size=3, strides=1, **kwargs):
    """A convolution that keeps the size, its border filled by reflection."""
    x = ReflectionPad(size // 2)(x) if size > 1 else x
    return keras.layers.Conv2D(filters, size, strides, kernel_initializer=initializer(), **kwargs)(
        x
    )


def relu(x):
    return keras.layers.ReLU()(instance_norm()(x))


def block(x, filters, strides):
    """Two convolutions, joined with their input, and a third one over both."""
    y = relu(conv(x, filters, strides=strides, use_bias=False))
    y = instance_norm()(conv(y, filters, use_bias=False))
    if strides > 1 or x.shape[-1] != filters:
        # A 1x1 convolution with strides reads every second pixel. On a CPU, TensorFlow 2.21 writes
        # beyond its memory in the gradient of one with two channels.
        x = instance_norm()(conv(x[:, ::strides, ::strides], filters, 1, use_bias=False))
    both = keras.layers.Concatenate()([y, x])
    return relu(conv(both, filters, use_bias=False))


def build_generator(image_shape, channels, width=64, name="generator"):
    """Images -> images of `channels` channels in [-1, 1], of the same size.

    Args:
        image_shape: (height, width, channels); sides are multiples of 16.
        channels: Channels of the output.
        width: Channels at full resolution.
        name: Name of the network.
    """
    halved(image_shape, 4, least=2)  # raises BadInput where that is not possible
    image = keras.Input(image_shape)
    x = relu(conv(image, width, 7))
    x = keras.layers.MaxPooling2D(3, 2)(ReflectionPad(1)(x))
    levels = []
    for part, strides in LAYERS:
        for k in range(BLOCKS):
            x = block(x, part * width, strides if k == 0 else 1)
        levels.append(conv(x, PYRAMID * width, 1))
    x = levels.pop()
    while levels:
        x = keras.layers.Add()([keras.layers.UpSampling2D(2)(x), levels.pop()])
    x = conv(keras.layers.UpSampling2D(2)(x), width)
    output = conv(x, channels, 7, activation="tanh", dtype="float32")
    return keras.Model(image, output, name=name)


@keras.saving.register_keras_serializable("tfgans")
class GANILLA(TranslationModel):
    """Photographs to illustrations and back, learned without pairs.

    Args:
        image_shape: (height, width, channels) of the images of both domains.
        width: Channels at full resolution, of all networks.
        patch_layers: Number of halvings in the discriminators; 3 gives patches of 70x70 pixels.
        cycle_weight: Weight of the cycle consistency.
        identity_weight: Weight of the identity terms, as a part of `cycle_weight`.
        pool_size: Number of past fakes in the pool of each discriminator.
        hold_steps: Steps at the full learning rate.
        decay_steps: Steps over which it then falls to 0.
    """

    data_kind = "unpaired"

    def __init__(
        self,
        image_shape=(256, 256, 3),
        width=64,
        patch_layers=3,
        cycle_weight=10.0,
        identity_weight=0.5,
        pool_size=50,
        hold_steps=540_000,
        decay_steps=540_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.width, self.patch_layers = image_shape, width, patch_layers
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.pool_size, self.hold_steps, self.decay_steps = pool_size, hold_steps, decay_steps
        self.generator_ab, self.generator_ba = (
            build_generator(image_shape, image_shape[2], width, name)
            for name in ("generator_ab", "generator_ba")
        )
        self.discriminator_a, self.discriminator_b = (
            build_patch_discriminator(
                image_shape, width, patch_layers, instance_norm, use_bias=True, name=name
            )
            for name in ("discriminator_a", "discriminator_b")
        )
        self.pool_a, self.pool_b = (
            ImagePool(pool_size, image_shape, name=name) for name in ("pool_a", "pool_b")
        )

    # The game is CycleGAN's.
    players = CycleGAN.players
    default_optimizers = CycleGAN.default_optimizers
    discriminators_loss = CycleGAN.discriminators_loss
    train_step = CycleGAN.train_step
    directions = CycleGAN.directions

    def generators_loss(self, a, b):
        """The terms of images `a` and `b` [N, H, W, C], and their translations for the pools."""
        fake_a, fake_b = self.generator_ba(b, training=True), self.generator_ab(a, training=True)
        back_a = self.generator_ba(fake_b, training=True)
        back_b = self.generator_ab(fake_a, training=True)
        score_a = self.discriminator_a(fake_a, training=True)
        score_b = self.discriminator_b(fake_b, training=True)
        terms = {
            "fake": squared(score_a, 1.0) + squared(score_b, 1.0),
            "cycle": self.cycle_weight * (l1(back_a, a) + l1(back_b, b)),
        }
        if self.identity_weight:
            same_a = self.generator_ba(a, training=True)
            same_b = self.generator_ab(b, training=True)
            weight = self.identity_weight * self.cycle_weight
            terms["identity"] = weight * (l1(same_a, a) + l1(same_b, b))
        return terms, (fake_a, fake_b)
