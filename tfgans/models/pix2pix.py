"""pix2pix — Image-to-Image Translation with Conditional Adversarial Networks.

Isola et al., CVPR 2017, arXiv:1611.07004.

New here: a GAN conditioned on an image. The generator is a U-Net, whose skip connections carry what
input and output share; the discriminator sees input and output together and judges overlapping
patches of 70x70 pixels (PatchGAN); an L1 distance to the target takes care of low frequencies. The
only noise is dropout, which stays on when the model is used.

Differs from the paper: the two moves of a step draw their own dropout masks; in the code the
discriminator judges the same fake before and after its own move. Images whose sides are no powers
of two are halved as often as both sides can be. In use, batch normalization takes the statistics of
each image by itself: for any batch, that is the paper's test with batches of one.

Differs from the authors' second program: dropout is in the first to third step up from the
innermost map, as in their first program. The second one has it in the second to fourth of eight
steps; its published weights are used that way, with `dropout_steps=(2, 3, 4)`.

Reference: phillipi/pix2pix; junyanz/pytorch-CycleGAN-and-pix2pix for the biases: convolutions
before a normalization have none.
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.dropout import Dropout
from tfgans.models.translation import TranslationModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved


class BatchNorm(keras.layers.Layer):
    """Batch normalization without moving averages.

    In training it takes the statistics of the batch, in use those of each image by itself. With
    batches of one, which the paper trains and tests with, both are the same.
    """

    def build(self, shape):
        near_one = keras.initializers.RandomNormal(1.0, 0.02)
        whole = {"shape": shape[-1:], "autocast": False}  # float32 under every policy
        self.gamma = self.add_weight(name="gamma", initializer=near_one, **whole)
        self.beta = self.add_weight(name="beta", initializer="zeros", **whole)

    def call(self, x, training=False):
        axes = [0, 1, 2] if training else [1, 2]
        x = tf.cast(x, "float32")  # squares overflow in float16
        mean, variance = tf.nn.moments(x, axes, keepdims=True)
        x = self.gamma * (x - mean) * tf.math.rsqrt(variance + 1e-5) + self.beta
        return tf.cast(x, self.compute_dtype)


def initializer():
    return keras.initializers.RandomNormal(stddev=0.02)


def build_unet(
    input_shape,
    channels,
    width=64,
    norm=BatchNorm,
    use_bias=False,
    dropout=0.5,
    dropout_steps=(1, 2, 3),
    skips=True,
    kernels=(4, 4),
    norm_code=False,
    start=initializer,
    name="generator",
):
    """Images -> images of `channels` channels in [-1, 1], of the same size.

    Args:
        input_shape: (height, width, channels). The image is halved to one pixel if it can be.
        channels: Channels of the output.
        width: Channels of the first step; they double up to 8 times that.
        norm: Function that makes a normalization layer.
        use_bias: Give a bias to the convolutions before a normalization.
        dropout: Rate of the dropout, in training and in use.
        dropout_steps: Steps up with dropout; the innermost one is 1. The last step has no place
            for it.
        skips: False for the encoder-decoder that the paper compares with.
        kernels: Sides of the kernels of the two convolutions at full resolution, and of all others.
        norm_code: Normalize the innermost map too.
        start: Function that makes an initializer of kernels.
        name: Name of the network.
    """
    rows, columns, _ = input_shape
    both = rows | columns
    depth = max((both & -both).bit_length() - 1, 4)  # as often as both sides can be halved
    halved((rows, columns, channels), depth)  # raises BadInput where that is less than 4 times
    if not set(dropout_steps) <= set(range(1, depth)):
        raise BadInput(
            f"Dropout can be in the steps 1 to {depth - 1} of the {depth} steps up, not in "
            f"{list(dropout_steps)}. Change model.dropout_steps."
        )
    widths = [width * min(2**i, 8) for i in range(depth)]
    image = keras.Input(input_shape)
    x, encoded = image, []
    for i, filters in enumerate(widths):
        if i > 0:
            x = keras.layers.LeakyReLU(0.2)(x)
        size = kernels[0 if i == 0 else 1]
        x = keras.layers.Conv2D(
            filters, size, 2, "same", use_bias=use_bias, kernel_initializer=start()
        )(x)
        last = i == depth - 1  # a single pixel, which a normalization makes 0
        if i > 0 and (norm_code or not last):
            x = norm()(x)
        encoded.append(x)
    for i in reversed(range(1, depth)):
        x = keras.layers.Conv2DTranspose(
            widths[i - 1], kernels[1], 2, "same", use_bias=use_bias, kernel_initializer=start()
        )(keras.layers.ReLU()(x))
        x = norm()(x)
        if depth - i in dropout_steps:
            x = Dropout(dropout, always=True)(x)
        if skips:
            x = keras.layers.Concatenate()([x, encoded[i - 1]])
    output = keras.layers.Conv2DTranspose(
        channels,
        kernels[0],
        2,
        "same",
        activation="tanh",
        kernel_initializer=start(),
        dtype="float32",
    )(keras.layers.ReLU()(x))
    return keras.Model(image, output, name=name)


def build_patch_discriminator(
    input_shape, width=64, layers=3, norm=BatchNorm, use_bias=False, name="discriminator"
):
    """Images -> maps of scores; each score sees 1, 16, 34, 70, 142, 286 or 574 pixels square.

    Args:
        input_shape: (height, width, channels).
        width: Channels of the first layer; they double up to 8 times that.
        layers: Number of layers that halve the image, 0 to 6 for the sizes above.
        norm: Function that makes a normalization layer.
        use_bias: Give a bias to the convolutions before a normalization.
        name: Name of the network.
    """
    if min(input_shape[:2]) >> layers < 3:
        raise BadInput(
            f"A PatchGAN that halves {layers} times needs images of at least {3 << layers} pixels, "
            f"not {input_shape[0]}x{input_shape[1]}. Lower model.patch_layers."
        )

    def conv(x, filters, stride=1, use_bias=True, **kwargs):
        if layers == 0:  # PixelGAN
            return keras.layers.Conv2D(
                filters, 1, use_bias=use_bias, kernel_initializer=initializer(), **kwargs
            )(x)
        x = keras.layers.ZeroPadding2D(1)(x)  # "same" would keep the size at stride 1
        return keras.layers.Conv2D(
            filters, 4, stride, use_bias=use_bias, kernel_initializer=initializer(), **kwargs
        )(x)

    image = keras.Input(input_shape)
    x = keras.layers.LeakyReLU(0.2)(conv(image, width, stride=2))
    for i in range(1, max(layers, 1) + 1):
        x = conv(x, width * min(2**i, 8), 2 if i < layers else 1, use_bias)
        x = keras.layers.LeakyReLU(0.2)(norm()(x))
    return keras.Model(image, conv(x, 1, dtype="float32"), name=name)


@keras.saving.register_keras_serializable("tfgans")
class Pix2Pix(TranslationModel):
    """Translates images into images, learned from pairs.

    Args:
        image_shape: (height, width, channels) of the targets.
        input_channels: Channels of the inputs.
        width: Channels at full resolution, of both networks.
        patch_layers: Number of halvings in the discriminator; 0, 1, 3, 5 are the paper's patches
            of 1, 16, 70 and 286 pixels.
        l1_weight: Weight of the L1 distance to the target, the paper's lambda.
        adversarial_weight: Weight of the adversarial term; 0 leaves L1 alone.
        conditional: False for a discriminator that does not see the input.
        skips: False for an encoder-decoder in place of the U-Net.
        dropout_steps: Steps up of the generator with dropout, which stays on in use; the innermost
            one is 1. Without any, translations have no noise.
    """

    data_kind = "paired"

    def __init__(
        self,
        image_shape=(256, 256, 3),
        input_channels=3,
        width=64,
        patch_layers=3,
        l1_weight=100.0,
        adversarial_weight=1.0,
        conditional=True,
        skips=True,
        dropout_steps=(1, 2, 3),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.input_channels, self.width = image_shape, input_channels, width
        self.patch_layers, self.l1_weight = patch_layers, l1_weight
        self.adversarial_weight, self.conditional = adversarial_weight, conditional
        self.skips, self.dropout_steps = skips, dropout_steps
        self.noisy = bool(dropout_steps)
        *size, channels = image_shape
        self.generator = build_unet(
            (*size, input_channels), channels, width, skips=skips, dropout_steps=dropout_steps
        )
        shown = input_channels + channels if conditional else channels
        self.discriminator = build_patch_discriminator((*size, shown), width, patch_layers)

    def default_optimizers(self):
        return {
            "discriminator": Adam(2e-4, beta_1=0.5),
            "generator": Adam(2e-4, beta_1=0.5),
        }

    def score(self, input, output):
        """Scores of patches of an output, given the input."""
        if self.conditional:
            output = tf.concat([input, output], axis=-1)
        return self.discriminator(output, training=True)

    def discriminator_loss(self, input, target):
        fake = self.generator(input, training=True)
        real_score, fake_score = self.score(input, target), self.score(input, fake)
        return {  # halved, which slows the discriminator down
            "real": 0.5 * tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": 0.5 * tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, input, target):
        fake = self.generator(input, training=True)
        score = self.score(input, fake)
        return {
            "fake": self.adversarial_weight * tf.reduce_mean(tf.nn.softplus(-score)),
            "l1": self.l1_weight * tf.reduce_mean(tf.abs(target - fake)),
        }

    def train_step(self, data):
        input, target = data["input"], data["target"]
        d = self.update("discriminator", self.discriminator_loss, input, target)
        g = self.update("generator", self.generator_loss, input, target)
        return d | g

    def directions(self):
        image = self.image_spec(channels=self.input_channels)
        return {"translate": ({"input": image}, self.generator)}
