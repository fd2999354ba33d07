"""Context encoder — Context Encoders: Feature Learning by Inpainting.

Pathak, Krähenbühl, Donahue, Darrell, Efros, CVPR 2016, arXiv:1604.07379.

New here: an encoder and a decoder learn to draw a missing part of an image from all around it. The
squared error gives its structure, and is a blur by itself, because many answers fit; a
discriminator of the drawn part alone makes it sharp. The generator's loss is a mean of the two:
0.999 of the error, 0.001 of the discriminator's.

    center   half of both sides misses in the middle; G draws that part, D sees it alone. A rim of
             the hole stays visible in the input, and counts ten times, so that both sides fit.
    random   blobs of 20 to 30 % miss; G draws the whole image, and D sees it.

Differs from the paper: blobs are drawn for each image, and scale with its size; the code takes one
of a large pattern for a batch. G moves against D as it is after D's move; the code's G follows the
scores of before. The networks for learning features, on AlexNet with a layer that is fully
connected in each channel, are not here. The sizes of other images than 128x128 follow from the
number of halvings.

Reference: pathak22/context-encoder (train.lua, train_random.lua).
"""

import keras
import tensorflow as tf

from tfgans.data.convert import to_channels
from tfgans.data.degraded import MEAN_COLOR, middle
from tfgans.errors import BadInput, nearest
from tfgans.images import table
from tfgans.models.dcgan import initializer, normalize
from tfgans.models.translation import PREVIEW, TranslationModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved, halvings

RIM_WEIGHT = 10.0  # of the squared error where the input is visible


def start():
    """How all convolutions begin: without biases, which the code sets to zero before each step."""
    return {"use_bias": False, "kernel_initializer": initializer()}


def norm(x):
    return normalize(x, epsilon=1e-5)


def leaky(x):
    return keras.layers.LeakyReLU(0.2)(x)


def widths_of(count, width):
    """Channels of layers that halve an image: 64, 128, 256, 512 for four, 64 twice for five."""
    return [width * 2 ** max(k - max(count - 4, 0), 0) for k in range(count)]


def encode(image, width):
    """The maps of an image, halved until 4 to 7 pixels are left; no normalization at the image."""
    x = image
    for k, filters in enumerate(widths_of(halvings(image.shape[1:], fewest=1), width)):
        x = keras.layers.Conv2D(filters, 4, 2, "same", **start())(x)
        x = leaky(norm(x) if k else x)
    return x


def build_generator(image_shape, output_shape, width=64, code_width=4000):
    """Images with a hole -> the missing part, or the whole image, in [-1, 1].

    Args:
        image_shape: (height, width, channels) of the input.
        output_shape: (height, width, channels) of the output.
        width: Channels of the first layer; they double up to 8 times that.
        code_width: Length of the code between encoder and decoder, which has no rows and columns.
    """
    count = halvings(output_shape, fewest=1)
    grid = halved(output_shape, count)
    image = keras.Input(image_shape)
    x = encode(image, width)
    x = keras.layers.Conv2D(code_width, x.shape[1:3], **start())(x)
    x = leaky(norm(x))  # [N, 1, 1, code_width]
    up = widths_of(count, width)[::-1]  # 512, 256, 128, 64
    x = keras.layers.Conv2DTranspose(up[0], grid, **start())(x)
    x = keras.layers.ReLU()(norm(x))
    for filters in up[1:]:
        x = keras.layers.Conv2DTranspose(filters, 4, 2, "same", **start())(x)
        x = keras.layers.ReLU()(norm(x))
    output = keras.layers.Conv2DTranspose(
        output_shape[2], 4, 2, "same", activation="tanh", dtype="float32", **start()
    )(x)
    return keras.Model(image, output, name="generator")


def build_discriminator(image_shape, width=64):
    """Images in [-1, 1] -> scores [N, 1]."""
    image = keras.Input(image_shape)
    x = encode(image, width)
    x = keras.layers.Conv2D(1, x.shape[1:3], dtype="float32", **start())(x)
    return keras.Model(image, keras.layers.Flatten(dtype="float32")(x), name="discriminator")


@keras.saving.register_keras_serializable("tfgans")
class ContextEncoder(TranslationModel):
    """Fills holes in images, learned from images in which holes were made.

    Args:
        image_shape: (height, width, channels) of the images.
        region: "center" for a hole in the middle, "random" for blobs anywhere.
        width: Channels of the first layer of each network.
        code_width: Length of the code between encoder and decoder.
        overlap: Width of the rim of the central hole that stays visible in the input, in pixels.
        l2_weight: Weight of the squared error, below 1; the discriminator's is the rest.
    """

    data_kind = "degraded"

    def __init__(
        self,
        image_shape=(128, 128, 3),
        region="center",
        width=64,
        code_width=4000,
        overlap=4,
        l2_weight=0.999,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if region not in ("center", "random"):
            raise BadInput(
                nearest("region of a context encoder", str(region), ["center", "random"])
            )
        rows, columns, channels = image_shape
        part = [*halved(image_shape, 1), channels] if region == "center" else image_shape
        if region == "center" and not 0 <= 2 * overlap < min(part[:2]):
            raise BadInput(
                f"The hole of {part[0]}x{part[1]} pixels has no inside with a rim of {overlap}. "
                "Lower model.overlap."
            )
        self.image_shape, self.region, self.width = image_shape, region, width
        self.code_width, self.overlap, self.l2_weight = code_width, overlap, l2_weight
        self.input_channels, self.hole = channels, middle(image_shape, overlap)  # [H, W, 1]
        self.generator = build_generator(image_shape, part, width, code_width)
        self.discriminator = build_discriminator(part, width)

    @property
    def degradations(self):
        return ("hole",) if self.region == "center" else ("blobs",)

    def default_optimizers(self):
        """G is ten times as fast where its loss is a mean of two, as in the code."""
        faster = 10 if 0 < self.l2_weight < 1 else 1
        return {
            "discriminator": Adam(2e-4, beta_1=0.5),
            "generator": Adam(faster * 2e-4, beta_1=0.5),
        }

    def part(self, image):
        """The part of an image that G draws and D sees: the middle half of both sides, or all."""
        if self.region == "random":
            return image
        rows, columns = image.shape[1:3]
        return image[:, rows // 4 : 3 * rows // 4, columns // 4 : 3 * columns // 4]

    def error(self, drawn, target, mask):
        """The mean squared error of the drawn part; in the center the visible rim counts more.

        Args:
            drawn: G's answer.
            target: Images [N, H, W, C] in [-1, 1].
            mask: [N, H, W, 1], 1 where G is to draw.
        """
        weight = 1.0
        if self.region == "center":
            weight = RIM_WEIGHT + (1.0 - RIM_WEIGHT) * self.part(mask)
        return tf.reduce_mean(weight * tf.square(drawn - self.part(target)))

    def discriminator_loss(self, image, target):
        fake_score = self.discriminator(self.generator(image, training=True), training=True)
        real_score = self.discriminator(self.part(target), training=True)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def generator_loss(self, image, target, mask):
        drawn = self.generator(image, training=True)
        score = self.discriminator(drawn, training=True)
        return {
            "l2": self.l2_weight * self.error(drawn, target, mask),
            "fake": (1.0 - self.l2_weight) * tf.reduce_mean(tf.nn.softplus(-score)),
        }

    def train_step(self, data):
        image, target, mask = data["input"], data["target"], data["mask"]
        d = self.update("discriminator", self.discriminator_loss, image, target)
        g = self.update("generator", self.generator_loss, image, target, mask)
        return d | g

    def inpaint(self, image, mask):
        """Fills the pixels where the mask is above 0; all others stay as they are.

        Args:
            image: [N, H, W, C] in [-1, 1].
            mask: [N, H, W, 1], of numbers or truth values. A model of the center knows one hole, so
                no pixel outside of it may be missing: those stay as they are, too.
        """
        inside = tf.cast(tf.cast(mask, "float32") > 0.0, "float32")
        if self.region == "center":
            inside *= self.hole
        color = to_channels(MEAN_COLOR, image.shape[3])
        empty = self.hole if self.region == "center" else inside
        drawn = self.generator(tf.where(empty > 0.0, color, image), training=False)
        if self.region == "center":
            rows, columns = image.shape[1] // 4, image.shape[2] // 4
            drawn = tf.pad(drawn, [[0, 0], [rows, rows], [columns, columns], [0, 0]])
        return inside * drawn + (1.0 - inside) * image

    def directions(self):
        mask = self.image_spec("mask", channels=1)
        return {"inpaint": ({"input": self.image_spec(), "mask": mask}, self.inpaint)}

    def preview(self, batch):
        """Rows of an image with a hole, the filled one, and the target."""
        given = [batch[key][:PREVIEW] for key in ("input", "mask", "target")]
        return table(given[0], self.inpaint(*given[:2]), given[2])
