"""SRGAN — Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network.

Ledig et al., CVPR 2017, arXiv:1609.04802.

New here: a deep residual network that enlarges images four times, by pixel shuffles at its end.
Trained on the mean squared error it is SRResNet, whose PSNR is high and whose textures are smooth:
it answers with the mean of all images that fit. SRGAN goes on from there, with the distance in
features of VGG19 and a discriminator, and answers with one of them.

    stage 0   generator on the mean squared error: SRResNet, kept for comparison
    stage 1   discriminator, then generator on features and the discriminator's score: SRGAN

Differs from the paper: without a file of VGG19's weights a small network stands in for it, which is
printed (`features/perceptual.py`). The initialization, which the paper does not give, is that of
Keras, PReLU begins at 0.25, and its slope is one number for each layer, as in public code. Adam's
moments go on into stage 1. In use, images are cut to [-1, 1].

Reference: no code of the authors; Lornatang/SRGAN-PyTorch.
"""

import keras
import tensorflow as tf

from tfgans.errors import BadInput, nearest
from tfgans.features import perceptual
from tfgans.images import table
from tfgans.layers.pixel_shuffle import PixelShuffle
from tfgans.models.translation import PREVIEW, TranslationModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved

FACTOR = 4
LAYERS = {"vgg54": "block5_conv4", "vgg22": "block2_conv2"}  # after ReLU, before the pooling


def norm(x):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def prelu(x):
    """ReLU with a learned slope below 0, one number for all channels."""
    slope = keras.initializers.Constant(0.25)
    return keras.layers.PReLU(slope, shared_axes=[1, 2, 3])(x)


def build_generator(channels, width=64, blocks=16):
    """Images of any size in [0, 1] -> images of four times the height and width, about [-1, 1]."""

    def conv(x, filters, size=3, **kwargs):
        return keras.layers.Conv2D(filters, size, padding="same", **kwargs)(x)

    image = keras.Input([None, None, channels])
    first = x = prelu(conv(image, width, 9))
    for _ in range(blocks):
        y = prelu(norm(conv(x, width, use_bias=False)))
        x = keras.layers.Add()([x, norm(conv(y, width, use_bias=False))])
    x = keras.layers.Add()([first, norm(conv(x, width, use_bias=False))])
    for _ in range(2):
        x = prelu(PixelShuffle(2)(conv(x, 4 * width)))
    return keras.Model(image, conv(x, channels, 9, dtype="float32"), name="generator")


def build_discriminator(image_shape, width=64, dense_width=1024):
    """Images in [-1, 1] -> scores [N, 1]."""
    halved(image_shape, 4)  # raises BadInput where that is not possible
    image = keras.Input(image_shape)
    x = keras.layers.Conv2D(width, 3, padding="same")(image)
    x = keras.layers.LeakyReLU(0.2)(x)
    for k in range(1, 8):
        x = keras.layers.ZeroPadding2D(1)(x)  # "same" would pad one side only where it halves
        filters, stride = width * 2 ** (k // 2), 1 + k % 2
        x = keras.layers.Conv2D(filters, 3, stride, use_bias=False)(x)
        x = keras.layers.LeakyReLU(0.2)(norm(x))
    x = keras.layers.Dense(dense_width)(keras.layers.Flatten()(x))
    score = keras.layers.Dense(1, dtype="float32")(keras.layers.LeakyReLU(0.2)(x))
    return keras.Model(image, score, name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class SRGAN(TranslationModel):
    """Enlarges images four times, learned from images that were reduced.

    Args:
        image_shape: (height, width, channels) of the large images in training.
        width: Channels of the generator, and of the discriminator's first layer.
        blocks: Residual blocks of the generator.
        dense_width: Units of the discriminator's hidden layer after its convolutions.
        pretrain_steps: Steps of stage 0, in which the generator is alone.
        fine_steps: Steps of stage 1 after which the learning rate is a tenth.
        adversarial_weight: Weight of the discriminator's score in the generator's loss.
        content: "vgg54" or "vgg22" for the distance in the features of that layer, "mse" for that
            of the pixels.
        feature_divisor: Features are divided by it, so that their distance is as large as the mean
            squared error of pixels: 12.75 for the weights of the VGG paper, which Keras publishes;
            1 in public code for those of torchvision.
        vgg: Path of VGG19's weights, of Keras or torchvision; "" for the stand-in.
    """

    data_kind = "degraded"
    degradations = ("bicubic4",)

    def __init__(
        self,
        image_shape=(96, 96, 3),
        width=64,
        blocks=16,
        dense_width=1024,
        pretrain_steps=1_000_000,
        fine_steps=100_000,
        adversarial_weight=1e-3,
        content="vgg54",
        feature_divisor=12.75,
        vgg="",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if content not in (*LAYERS, "mse"):
            raise BadInput(nearest("content of SRGAN", str(content), [*LAYERS, "mse"]))
        self.image_shape, self.width, self.blocks = image_shape, width, blocks
        self.dense_width, self.pretrain_steps = dense_width, pretrain_steps
        self.fine_steps, self.adversarial_weight = fine_steps, adversarial_weight
        self.content, self.feature_divisor, self.vgg = content, feature_divisor, vgg
        self.stage_steps = (pretrain_steps,)
        self.input_channels = image_shape[2]
        self.discriminator = build_discriminator(image_shape, width, dense_width)
        self.generator = build_generator(image_shape[2], width, blocks)
        self.srresnet = self.ema_of(self.generator)  # the generator at the end of stage 0
        if content in LAYERS:
            self.look = self.frozen(*perceptual.network(vgg, [LAYERS[content]]))

    def default_optimizers(self):
        def adam(fine):
            last = fine - 1  # update at the full rate
            rate = keras.optimizers.schedules.PiecewiseConstantDecay([last], [1e-4, 1e-5])
            return Adam(rate, beta_1=0.9)

        return {
            "discriminator": adam(self.fine_steps),
            "generator": adam(self.pretrain_steps + self.fine_steps),
        }

    def enlarged(self, small):
        """The generator's answer to small images in [-1, 1], in training."""
        return self.generator((small + 1.0) / 2.0, training=True)

    def pixel_loss(self, small, real):
        return {"pixels": tf.reduce_mean(tf.square(self.enlarged(small) - real))}

    def discriminator_loss(self, small, real):
        real_score = self.discriminator(real, training=True)
        fake_score = self.discriminator(self.enlarged(small), training=True)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, small, real):
        fake = self.enlarged(small)
        score = self.discriminator(fake, training=True)
        if self.content == "mse":
            content = tf.reduce_mean(tf.square(fake - real))
        else:
            weights = [self.feature_divisor**-2]
            content = perceptual.distance(self.look, fake, real, weights, tf.square)
        return {
            "content": content,
            "fake": self.adversarial_weight * tf.reduce_mean(tf.nn.softplus(-score)),
        }

    def stage_begins(self, stage):
        if stage == 1:
            self.update_ema(self.srresnet, self.generator, 0.0)

    def settle(self):
        if int(self.step.numpy()) <= self.pretrain_steps:
            self.update_ema(self.srresnet, self.generator, 0.0)

    def train_step(self, data):
        small, real = data["input"], data["target"]
        if self.stage == 0:
            return self.update("generator", self.pixel_loss, small, real)
        d = self.update("discriminator", self.discriminator_loss, small, real)
        g = self.update("generator", self.generator_loss, small, real)
        return d | g

    def enlarge(self, image):
        """Images [N, H, W, C] of any size in [-1, 1] -> [N, 4 H, 4 W, C]."""
        return used(self.generator, image)

    def enlarge_smoothly(self, image):
        """The enlarged image by SRResNet, which has met no discriminator."""
        return used(self.srresnet, image)

    def directions(self):
        image = tf.TensorSpec([None, None, None, self.image_shape[2]], name="image")
        return {
            "enlarge": ({"input": image}, self.enlarge),
            "srresnet": ({"input": image}, self.enlarge_smoothly),
        }

    def preview(self, batch):
        """Rows of a bicubic enlargement, SRResNet's, SRGAN's, and the target."""
        small, real = (batch[key][:PREVIEW] for key in ("input", "target"))
        return table(bicubic(small), self.enlarge_smoothly(small), self.enlarge(small), real)


def used(generator, image):
    fake = generator((image + 1.0) / 2.0, training=False)
    return tf.clip_by_value(fake, -1.0, 1.0)


def bicubic(image):
    """Images [N, H, W, C] in [-1, 1], enlarged four times without a network."""
    rows, columns = image.shape[1:3]
    large = tf.image.resize(image, [FACTOR * rows, FACTOR * columns], "bicubic")
    return tf.clip_by_value(large, -1.0, 1.0)
