"""CartoonGAN — CartoonGAN: Generative Adversarial Networks for Photo Cartoonization.

Chen, Lai, Liu, CVPR 2018; no arXiv.

New here: photographs become cartoons, learned without pairs and in one direction. Clear edges are a
small part of a cartoon, so a discriminator could overlook them: it is also shown cartoons with
blurred edges, as fakes. The content of the photograph is kept by a distance in a layer of VGG19,
and the generator learns that alone before the game begins.

    stage 0   the generator alone, on the content
    stage 1   the discriminator, then the generator on its score and the content

Differs from the paper: as in the authors' code, squares take the place of the logarithms
(`least_squares=False` brings them back), D's three terms count a third each, D sees past fakes half
the time, and the game's learning rate is 1e-5. Convolutions have no biases, which the code sets to
zero before each step. G moves against D as it is after D's move; the code's G follows the scores of
before. The cartoon with blurred edges is that of the same batch and is made while training; the
code draws it from a folder of its own. Without a file of VGG19's weights a small network stands in
for it, which is printed (`features/perceptual.py`).

Reference: FlyingGoblin/CartoonGAN, the authors'; taki0112/CartoonGAN-Tensorflow for blurred edges.
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.features import perceptual
from tfgans.layers.image_pool import ImagePool
from tfgans.models.cyclegan import conv, doubled, residual, squared
from tfgans.models.pix2pix import initializer
from tfgans.models.translation import TranslationModel
from tfgans.ops.resample import extended
from tfgans.optimizers import Adam, HoldThenDecay, InTurn
from tfgans.shapes import halved

LAYER = "block4_conv4"  # of VGG19, before its ReLU
SIDE = 224  # of the images that VGG19 sees
UNIT = 4  # both networks halve an image twice


def norm():
    """Instance normalization with gains that begin between 0 and 1, as in the authors' Torch."""
    start = keras.initializers.RandomUniform(0.0, 1.0)
    return keras.layers.GroupNormalization(groups=-1, epsilon=1e-5, gamma_initializer=start)


def plain(x, filters, **kwargs):
    """A convolution of 3x3 with zeros around the image."""
    return keras.layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer=initializer(), **kwargs
    )(x)


def build_generator(channels, width=64, blocks=8):
    """Images [N, H, W, channels] -> likewise in [-1, 1]; sides are multiples of 4, at least 8."""

    def relu(x):
        return keras.layers.ReLU()(norm()(x))

    image = keras.Input([None, None, channels])
    x = relu(conv(image, width, 7, use_bias=False))
    for filters in (2 * width, 4 * width):
        x = relu(plain(conv(x, filters, strides=2, use_bias=False), filters))
    for _ in range(blocks):
        x = residual(x, norm, use_bias=False)
    for filters in (2 * width, width):
        x = relu(plain(doubled(x, filters, use_bias=False), filters))
    output = conv(x, channels, 7, use_bias=False, activation="tanh", dtype="float32")
    return keras.Model(image, output, name="generator")


def build_discriminator(image_shape, width=32):
    """Images -> maps of scores, a quarter of the size; each score sees 37 pixels square."""
    halved(image_shape, 2, least=2)  # raises BadInput where that is not possible

    def leaky(x):
        return keras.layers.LeakyReLU(0.2)(x)

    image = keras.Input(image_shape)
    x = leaky(plain(image, width))
    for filters in (2 * width, 4 * width):
        x = leaky(conv(x, filters, strides=2, use_bias=False))
        x = leaky(norm()(plain(x, 2 * filters)))
    x = leaky(norm()(plain(x, 8 * width)))
    return keras.Model(image, plain(x, 1, dtype="float32"), name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class CartoonGAN(TranslationModel):
    """Photographs to cartoons, learned without pairs.

    Args:
        image_shape: (height, width, channels) of the images in training.
        width: Channels of the generator at full resolution.
        discriminator_width: Channels of the discriminator at full resolution.
        blocks: Residual blocks of the generator.
        content_weight: Weight of the distance in VGG19's layer. The paper's 10 is for weights as in
            Keras' file, which see colors in 0..255; those of torchvision give smaller numbers.
        least_squares: Squared distances to 1 and 0; False for the logarithms of the paper.
        pool_size: Number of past fakes in the pool of the discriminator.
        learning_rates: Those of the two stages.
        pretrain_steps: Steps of stage 0; in the second half its learning rate falls to 0.
        hold_steps: Steps of stage 1 at its full learning rate.
        decay_steps: Steps over which it then falls to 0.
        vgg: Path of VGG19's weights, of Keras or torchvision; "" for the stand-in.
    """

    data_kind = "unpaired"
    smoothed_edges = True  # data["b_smoothed"]

    def __init__(
        self,
        image_shape=(256, 256, 3),
        width=64,
        discriminator_width=32,
        blocks=8,
        content_weight=10.0,
        least_squares=True,
        pool_size=50,
        learning_rates=(2e-4, 1e-5),
        pretrain_steps=13_500,
        hold_steps=67_500,
        decay_steps=67_500,
        vgg="",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if image_shape[2] not in (1, 3):
            raise BadInput(
                f"VGG19 sees gray or RGB images, not {image_shape[2]} channels. Set the last "
                "number of model.image_shape to 1 or 3."
            )
        self.image_shape, self.width, self.blocks = image_shape, width, blocks
        self.discriminator_width, self.content_weight = discriminator_width, content_weight
        self.least_squares, self.pool_size = least_squares, pool_size
        self.learning_rates, self.pretrain_steps = learning_rates, pretrain_steps
        self.hold_steps, self.decay_steps, self.vgg = hold_steps, decay_steps, vgg
        self.stage_steps = (pretrain_steps,)
        self.discriminator = build_discriminator(image_shape, discriminator_width)
        self.generator = build_generator(image_shape[2], width, blocks)
        self.pool = ImagePool(pool_size, image_shape, name="pool")
        self.look = self.frozen(*perceptual.network(vgg, [LAYER], rectified=False, side=SIDE))

    def default_optimizers(self):
        half = self.pretrain_steps // 2
        alone = HoldThenDecay(self.learning_rates[0], half, self.pretrain_steps - half)
        rate = HoldThenDecay(self.learning_rates[1], self.hold_steps, self.decay_steps)
        return {
            "discriminator": Adam(rate, beta_1=0.5),
            "generator": Adam(InTurn(alone, self.pretrain_steps, rate), beta_1=0.5),
        }

    def content(self, fake, photo):
        return perceptual.distance(self.look, fake, photo, [self.content_weight])

    def content_loss(self, photo):
        return {"content": self.content(self.generator(photo, training=True), photo)}

    def discriminator_loss(self, real, smoothed, fake):
        real_score = self.discriminator(real, training=True)
        smoothed_score = self.discriminator(smoothed, training=True)
        fake_score = self.discriminator(fake, training=True)
        if self.least_squares:
            return {
                "real": squared(real_score, 1.0) / 3.0,
                "smoothed": squared(smoothed_score, 0.0) / 3.0,
                "fake": squared(fake_score, 0.0) / 3.0,
            }
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "smoothed": tf.reduce_mean(tf.nn.softplus(smoothed_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, photo):
        fake = self.generator(photo, training=True)
        score = self.discriminator(fake, training=True)
        if self.least_squares:
            adversarial = squared(score, 1.0)
        else:
            adversarial = tf.reduce_mean(tf.nn.softplus(-score))
        return {"fake": adversarial, "content": self.content(fake, photo)}

    def train_step(self, data):
        photo, real, smoothed = data["a"], data["b"], data["b_smoothed"]
        if self.stage == 0:
            return self.update("generator", self.content_loss, photo)
        old = self.pool(self.generator(photo, training=True))
        d = self.update("discriminator", self.discriminator_loss, real, smoothed, old)
        g = self.update("generator", self.generator_loss, photo)
        return d | g

    def cartoon(self, image):
        """Images [N, H, W, C] of any size from 8x8 on, in [-1, 1] -> cartoons of the same size."""
        rows, columns = tf.unstack(tf.shape(image)[1:3])
        found = self.generator(extended(image, UNIT, mirrored=True), training=False)
        return found[:, :rows, :columns]

    def directions(self):
        image = tf.TensorSpec([None, None, None, self.image_shape[2]], name="image")
        return {"translate": ({"a": image}, self.cartoon)}
