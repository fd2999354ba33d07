"""NoGAN — DeOldify, restoration of images with very little of a game.

Antic, 2018-2019; Antic, Howard, Manor, Decrappification, DeOldification, and Super Resolution,
fast.ai, 2019. There is no arXiv paper; it builds on SAGAN, two learning rates, ResNet and U-Net.

New here: most of the training has no adversary. The generator learns alone from pairs of damaged
and clean images, then the critic alone from its answers, and the two play at the end, for a short
time, until the answers have the detail that a perceptual loss does not give.

    phase 1   encoder and decoder ("generator") on pixels and features
    phase 2   critic alone ("critic"), which tells real images from the answers of phase 1
    phase 3   decoder and critic ("decoder", "discriminator") on features and the critic's score:
              the critic moves until its loss is below 0.65, then the decoder moves once

Phases 2 and 3 can be repeated. Each has optimizers of its own; in phase 3 they have no momentum.
The encoder of phase 3 stands still, with its statistics.

Differs from the code: VGG16 without batch normalization is in the perceptual loss, and without a
file of its weights a small network stands in for it, which is printed (`features/perceptual.py`).
The encoder begins with random numbers; the code has ImageNet's and lets its lower layers learn at a
1000th of the rate. One size of images, where the code goes on to larger ones; one learning rate
that rises and falls for phase 1. The answers that the critic sees in phase 2 are made anew. The
code lets statistics, gains and shifts of the encoder's normalizations go on in phase 3. Images are
mirrored at most; the code warps and brightens them too. The distance of Gram matrices of fast.ai's
"decrappify" is an option (`gram_weight=5000`, with `layer_weights=(5, 15, 2)`); its phase 3, on 50
times the squared error of pixels at a rate of 1e-4 with a beta_2 of 0.99, is not here.

Reference: jantic/DeOldify (deoldify/unet.py, layers.py, critics.py, loss.py, the notebooks).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans.data.convert import LUMA
from tfgans.errors import BadInput, nearest
from tfgans.features import perceptual
from tfgans.images import table
from tfgans.layers.dropout import Dropout
from tfgans.layers.pixel_shuffle import ICNR, PixelShuffle
from tfgans.layers.self_attention import SelfAttention
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.layers.weight_norm import WeightNorm
from tfgans.models.translation import PREVIEW, TranslationModel
from tfgans.ops.resample import extended
from tfgans.optimizers import Adam
from tfgans.shapes import halved

HALVINGS = 5  # of the encoder
MEAN, DEVIATION = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])  # ImageNet's, of [0, 1]
LAYERS = ("block3_conv3", "block4_conv3", "block5_conv3")  # before VGG16's last three poolings
PRESETS = {  # blocks of the ResNet, bottlenecks, deep decoder, weight of features, rate in phase 3
    "artistic": ((3, 4, 6, 3), False, True, 2.0, 1e-5),
    "stable": ((3, 4, 23, 3), True, False, 1.5, 2e-5),
    "video": ((3, 4, 23, 3), True, False, 1.5, 5e-6),
}
DAMAGES = ("gray", "grain", "jpeg", "noise", "hole", "blobs")
UNKNOWN = 1e9  # a loss of the critic that lets nobody else move
GRAY = ("gray", "grain")  # those that take the color


class Blur(keras.layers.Layer):
    """The mean of each pixel, the one above, and the two left of them; edges are repeated."""

    def call(self, x):
        x = tf.concat([x[:, :1], x], axis=1)
        x = tf.concat([x[:, :, :1], x], axis=2)
        return tf.nn.avg_pool2d(x, 2, 1, "VALID")

    def compute_output_shape(self, input_shape):
        return input_shape


def he():
    return keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")


def norm(x, shift=0.0):
    shift = keras.initializers.Constant(shift)
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, beta_initializer=shift)(x)


def relu(x):
    return keras.layers.ReLU()(x)


def standardized(image):
    """Images in [-1, 1] in the units of ImageNet's statistics."""
    scale, offset = 0.5 / DEVIATION, (0.5 - MEAN) / DEVIATION
    return keras.layers.Rescaling(scale.tolist(), offset.tolist())(image)


def conv(x, filters, size=3, stride=1, bias=False, start=None, padding="same", **kwargs):
    """A spectrally normalized convolution; sides are even where it halves them."""
    start = start or he()
    layer = keras.layers.Conv2D(
        filters, size, stride, padding, use_bias=bias, kernel_initializer=start, **kwargs
    )
    return SpectralNorm(layer)(x)


def plain_conv(x, filters, size=3, stride=1):
    """A convolution of the encoder, and its normalization."""
    if size == 1 and stride > 1:  # every second pixel
        x, stride = keras.layers.MaxPooling2D(1, stride)(x), 1
    x = keras.layers.ZeroPadding2D(size // 2)(x) if size > 1 else x
    start = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    x = keras.layers.Conv2D(filters, size, stride, use_bias=False, kernel_initializer=start)(x)
    return norm(x)


def residual(x, filters, stride, bottleneck):
    """A block of ResNet; a bottleneck has three convolutions and four times the channels."""
    if bottleneck:
        y = relu(plain_conv(x, filters, 1))
        y = relu(plain_conv(y, filters, 3, stride))
        y = plain_conv(y, 4 * filters, 1)
    else:
        y = relu(plain_conv(x, filters, 3, stride))
        y = plain_conv(y, filters, 3)
    if stride > 1 or x.shape[-1] != y.shape[-1]:
        x = plain_conv(x, y.shape[-1], 1, stride)
    return relu(keras.layers.Add()([x, y]))


def build_encoder(width=64, blocks=(3, 4, 6, 3), bottleneck=False):
    """ResNet without its head: images in [-1, 1] -> maps at 1/2, 1/4, 1/8, 1/16 and 1/32."""
    image = keras.Input([None, None, 3], name="image")
    x = relu(plain_conv(standardized(image), width, 7, 2))
    maps = [x]
    x = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(x))  # all are 0 or more
    for k, count in enumerate(blocks):
        for i in range(count):
            x = residual(x, width * 2**k, 2 if k and not i else 1, bottleneck)
        maps.append(x)
    return keras.Model(image, maps, name="encoder")


def convolved(x, filters):
    """The order of DeOldify: convolution, ReLU, normalization."""
    return norm(relu(conv(x, filters)))


def enlarged(x, filters, skip):
    """Doubles a map to `filters` channels, without checkers at the start; the skip beside it."""
    x = relu(norm(conv(x, 4 * filters, 1, start=ICNR(he()))))
    x = Blur()(PixelShuffle(2)(x))
    return relu(keras.layers.Concatenate()([x, norm(skip, shift=1e-3)]))


def build_decoder(encoder, width=64, deep=True):
    """The image and the encoder's maps -> a clean image in ImageNet's units, in (-3, 3).

    Args:
        encoder: A network of `build_encoder`.
        width: Its width. A wide decoder has 8 times as many channels, 4 times at the end.
        deep: Two convolutions in each step, whose channels follow from what they join; else one.
    """
    image = keras.Input([None, None, 3], name="image")
    maps = [keras.Input(x.shape[1:], name=f"map_{k}") for k, x in enumerate(encoder.outputs)]
    *skips, x = maps
    channels = x.shape[-1]
    x = relu(norm(x, shift=1e-3))
    x = convolved(convolved(x, 2 * channels), channels)
    for k, skip in enumerate(reversed(skips)):
        last = k == len(skips) - 1
        half = x.shape[-1] // 2 if deep else 8 * width
        if last and not deep:
            half //= 2
        x = enlarged(x, half, skip)
        if deep:
            joined = x.shape[-1] // 2 if last else x.shape[-1]
            x = convolved(x, int(1.5 * joined))
            x = convolved(x, int(1.5 * joined))
        else:
            x = convolved(x, half)
        if k == 1:
            x = SelfAttention(pooled=False, kernel_initializer=he())(x)
    # Gain and kernel begin as a convolution of `he`, whose kernels have a mean length of sqrt(2).
    start = {"kernel_std": (2 / x.shape[-1]) ** 0.5, "start_gain": 2**0.5}
    x = WeightNorm(4 * x.shape[-1], 1, train_gain=True, shuffle_factor=2, **start)(x)
    x = PixelShuffle(2)(relu(x))
    x = keras.layers.Concatenate()([x, standardized(image)])
    channels = x.shape[-1]
    y = relu(conv(x, channels, bias=True))
    y = relu(conv(y, channels, bias=True))
    x = conv(keras.layers.Add()([x, y]), 3, 1, bias=True, dtype="float32")
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    x = keras.layers.Rescaling(6.0, -3.0, dtype="float32")(x)
    return keras.Model([image, *maps], x, name="decoder")


def build_critic(width=256, blocks=3):
    """Images in [-1, 1] -> a map of scores; the sides are halved `blocks` + 1 times."""

    def leaky(x, filters, size, stride=1):
        return keras.layers.LeakyReLU(0.2)(conv(x, filters, size, stride, bias=True))

    image = keras.Input([None, None, 3], name="image")
    x = Dropout(0.075, whole_maps=True)(leaky(standardized(image), width, 4, 2))
    for k in range(blocks):
        x = Dropout(0.15, whole_maps=True)(leaky(x, width * 2**k, 3))
        x = leaky(x, width * 2 ** (k + 1), 4, 2)
        if k == 0:
            x = SelfAttention(pooled=False, kernel_initializer=he())(x)
    x = leaky(x, width * 2**blocks, 3)
    score = conv(x, 1, 4, padding="valid", dtype="float32")
    return keras.Model(image, score, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class NoGAN(TranslationModel):
    """Restores or colors images, learned from images that were damaged.

    Args:
        image_shape: (height, width, 3) of the images in training, multiples of 32.
        preset: "artistic" for ResNet34 and a deep decoder; "stable" and "video" for ResNet101 and a
            wide one. Each has its weight of the features and its learning rate in phase 3.
        damage: The damage that is undone, see `data/degraded.py`: "gray", "grain" (gray with noise,
            as for DeOldify's films), "jpeg", "noise", "hole" or "blobs".
        width: Channels of the encoder's first layer.
        blocks: Residual blocks of the four parts of the encoder; None for those of the preset.
        critic_width: Channels of the critic's first layer.
        critic_blocks: Halvings of the critic after its first one.
        pretrain_steps: Steps of phase 1.
        critic_steps: Steps of phase 2.
        game_steps: Steps of phase 3, where phases 2 and 3 are repeated; the last one has no end.
        repeats: Number of rounds of phases 2 and 3.
        switch_below: The critic's loss below which the decoder moves.
        layer_weights: Weights of three layers of VGG16 in the perceptual loss, from fine to coarse.
        gram_weight: Weight of the distance between Gram matrices of these layers, each times the
            square of its layer's weight: 0, or 5,000 as in fast.ai's "decrappify".
        feature_weight: Weight of that loss in phase 3; 0 for that of the preset.
        vgg: Path of VGG16's weights, of Keras or torchvision; "" for the stand-in.
    """

    data_kind = "degraded"
    input_channels = 3
    choices = ("discriminator", "decoder")  # who moves in phase 3

    def __init__(
        self,
        image_shape=(192, 192, 3),
        preset="artistic",
        damage="gray",
        width=64,
        blocks=None,
        critic_width=256,
        critic_blocks=3,
        pretrain_steps=200_000,
        critic_steps=20_000,
        game_steps=4_000,
        repeats=1,
        switch_below=0.65,
        layer_weights=(20.0, 70.0, 10.0),
        gram_weight=0.0,
        feature_weight=0.0,
        vgg="",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if preset not in PRESETS:
            raise BadInput(nearest("preset of NoGAN", str(preset), PRESETS))
        if damage not in DAMAGES:
            raise BadInput(nearest("damage that NoGAN undoes", str(damage), DAMAGES))
        if image_shape[2] != 3:
            raise BadInput(
                f"NoGAN works on RGB images, not on {image_shape[2]} channels. "
                f"--set 'model.image_shape={[*image_shape[:2], 3]}' converts the images."
            )
        if blocks and len(blocks) != HALVINGS - 1:
            raise BadInput(f"model.blocks takes {HALVINGS - 1} numbers, not {len(blocks)}.")
        halved(image_shape, HALVINGS)  # raises BadInput where that is not possible
        halved(image_shape, critic_blocks + 1, least=4)  # the critic's last kernel
        self.image_shape, self.preset, self.damage = image_shape, preset, damage
        self.width, self.blocks, self.critic_width = width, blocks, critic_width
        self.critic_blocks, self.pretrain_steps = critic_blocks, pretrain_steps
        self.critic_steps, self.game_steps = critic_steps, game_steps
        self.repeats, self.switch_below = repeats, switch_below
        self.layer_weights, self.gram_weight = layer_weights, gram_weight
        self.feature_weight, self.vgg = feature_weight, vgg
        rounds = [critic_steps, game_steps] * repeats
        self.stage_steps = (pretrain_steps, *rounds[:-1])  # odd: phase 2, even: phase 3
        own_blocks, bottleneck, deep, *_ = PRESETS[preset]
        self.encoder = build_encoder(width, blocks or own_blocks, bottleneck)
        self.decoder = build_decoder(self.encoder, width, deep)
        self.discriminator = build_critic(critic_width, critic_blocks)
        self.decoder_alone = self.ema_of(self.decoder)  # the decoder at the end of phase 1
        self.look = self.frozen(*perceptual.network(vgg, LAYERS, "VGG16"))
        # The critic's loss in its last move; large after a move of the decoder.
        self.last = self.add_state("last", UNKNOWN)

    @property
    def degradations(self):
        return (self.damage,)

    def players(self):
        return {
            "generator": [self.encoder, self.decoder],
            "critic": [self.discriminator],
            "decoder": [self.decoder],
            "discriminator": [self.discriminator],
        }

    def default_optimizers(self):
        def one_cycle(peak, steps):
            """Rises over a tenth of the steps, and falls as a cosine to 0."""
            rise = max(steps // 10, 1)
            return keras.optimizers.schedules.CosineDecay(
                peak / 25, max(steps - rise, 1), warmup_target=peak, warmup_steps=rise
            )

        *_, rate = PRESETS[self.preset]
        critic_steps = self.critic_steps * self.repeats
        alone = {"beta_1": 0.9, "beta_2": 0.99, "weight_decay": 1e-3}
        together = alone | {"beta_1": 0.0, "beta_2": 0.9}
        return {
            "generator": Adam(one_cycle(1e-3, self.pretrain_steps), **alone),
            "critic": Adam(one_cycle(1e-3, critic_steps), **alone),
            "decoder": Adam(rate, **together),
            "discriminator": Adam(5 * rate, **together),
        }

    def stage_begins(self, stage):
        self.last.assign(UNKNOWN)  # the critic moves first
        if stage == 1:
            self.update_ema(self.decoder_alone, self.decoder, 0.0)

    def settle(self):
        if int(self.step.numpy()) <= self.pretrain_steps:
            self.update_ema(self.decoder_alone, self.decoder, 0.0)

    def choice(self):
        """Who moves in phase 3: the decoder, once, after a move of the critic that was right."""
        own = self.stage and self.stage % 2 == 0
        right = float(tf.convert_to_tensor(self.last)) < self.switch_below
        return "decoder" if own and right else "discriminator"

    def answer(self, image, training=False, encoder=False):
        """Clean images in ImageNet's units, in (-3, 3).

        Args:
            image: [N, H, W, 3] in [-1, 1], both sides multiples of 32.
            training: The decoder is in training.
            encoder: And so is the encoder.
        """
        maps = self.encoder(image, training=encoder)
        return self.decoder([image, *maps], training=training)

    def distance(self, found, target):
        """The terms of the perceptual loss between an answer, `found`, and a `target`."""
        own = ((target + 1.0) / 2.0 - MEAN) / DEVIATION
        image, weights = shown(found), self.layer_weights
        terms = {
            "pixels": tf.reduce_mean(tf.abs(found - own)),
            "features": perceptual.distance(self.look, image, target, weights),
        }
        if self.gram_weight:
            weights = [self.gram_weight * weight**2 for weight in weights]
            terms["gram"] = perceptual.distance(self.grams, image, target, weights)
        return terms

    def grams(self, image):
        """The Gram matrices of the layers for images, [N, C, C] each, divided by C H W."""
        return [
            tf.einsum("nhwc,nhwd->ncd", x, x) / tf.cast(tf.size(x[0]), x.dtype)
            for x in self.look(image)
        ]

    def generator_loss(self, image, target):
        return self.distance(self.answer(image, training=True, encoder=True), target)

    def told_apart(self, fake, target):
        """Half of the critic's cross-entropies: a `target` is 1, a `fake` 0, everywhere."""
        real_score = self.discriminator(target, training=True)
        fake_score = self.discriminator(shown(fake), training=True)
        return {
            "real": 0.5 * tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": 0.5 * tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def critic_loss(self, image, target):
        """Phase 2: the answer to an image is that of use, beside a `target`; G stands still."""
        return self.told_apart(self.answer(image), target)

    def discriminator_loss(self, image, target):
        return self.told_apart(self.answer(image, training=True), target)

    def decoder_loss(self, image, target):
        found = self.answer(image, training=True)
        score = self.discriminator(shown(found), training=True)
        weight = self.feature_weight or PRESETS[self.preset][3]
        terms = {name: weight * term for name, term in self.distance(found, target).items()}
        return terms | {"fake": tf.reduce_mean(tf.nn.softplus(-score))}

    def train_step(self, data):
        image, target = data["input"], data["target"]
        if self.stage == 0:
            return self.update("generator", self.generator_loss, image, target)
        if self.stage % 2:
            return self.update("critic", self.critic_loss, image, target)
        logs = {}
        if self.chosen != "decoder":
            logs |= self.update("discriminator", self.discriminator_loss, image, target)
            self.last.assign(tf.add_n(list(logs.values())))
        if self.chosen != "discriminator":
            logs |= self.update("decoder", self.decoder_loss, image, target)
            self.last.assign(UNKNOWN)
        return logs

    def restore(self, image):
        """Images [N, H, W, 3] of any size in [-1, 1] -> clean images of the same size.

        A model that colors takes the luma of colored ones.
        """
        return self.used(image, self.decoder)

    def restore_alone(self, image):
        """The answer to an image by the generator of phase 1, which has met no critic."""
        return self.used(image, self.decoder_alone)

    def colorize(self, image):
        """The image's own luma with the colors of `restore`, as DeOldify shows images and films."""
        found = self.restore(image)
        return tf.clip_by_value(luma(image) + found - luma(found), -1.0, 1.0)

    def used(self, image, decoder):
        image = luma(image) if self.damage in GRAY else image
        whole = extended(image, 2**HALVINGS)
        found = shown(decoder([whole, *self.encoder(whole, training=False)], training=False))
        rows, columns = tf.unstack(tf.shape(image)[1:3])
        found = found[:, :rows, :columns]
        found.set_shape([None, *image.shape[1:3], 3])
        return tf.clip_by_value(found, -1.0, 1.0)

    def directions(self):
        image = tf.TensorSpec([None, None, None, 3], name="image")
        found = {"restore": self.restore, "restore_alone": self.restore_alone}
        if self.damage in GRAY:
            found["colorize"] = self.colorize
        return {name: ({"input": image}, function) for name, function in found.items()}

    def preview(self, batch):
        """Rows of the damaged image, after phase 1, after phase 3 (so far), and the target."""
        image, target = (tf.constant(batch[key][:PREVIEW]) for key in ("input", "target"))
        return table(image, self.restore_alone(image), self.restore(image), target)


def shown(found):
    """An answer in ImageNet's units as an image, about [-1, 1]."""
    return 2.0 * (found * tf.constant(DEVIATION, "float32") + tf.constant(MEAN, "float32")) - 1.0


def luma(image):
    """The luma of images [N, H, W, 3], three times."""
    return tf.repeat(image @ LUMA, 3, axis=-1)
