"""FashionGAN — Be Your Own Prada: Fashion Synthesis with Structural Coherence.

Zhu, Fidler, Urtasun, Lin, Loy, ICCV 2017, arXiv:1710.07346.

New here: a sentence gives a person in a photograph other clothes, in two games. The first draws a
new label map; it sees a map of the person so small and with classes so merged that the old clothes
cannot be read from it, and pose and body can. The second paints the new map. Hair and face are
those of the photograph, pixel for pixel.

Differs from the paper: its text code comes from a recurrent network that was trained elsewhere, on
names of clothes and colors; here it is a bag of words and of pairs of words. Both games are played
in each step; they share nothing but the data. Sizes are a multiple of 1/128 of the side, so at
64x64 pixels z begins with 2x2 places, not 4x4.

Differs from the authors' code: there the weights 0.1 and 0.9 of D's terms stand in the printed loss
and not in the gradient; real maps go through the softmax as made ones do; and the made map's logits
are blurred before the largest is taken. Its terms beside the game, cross-entropy of the map and
absolute error of the image with a weight of 100 each, are options here. The skin of arms and legs
is moved halfway to the mean of the photograph's, in the code to its median.

Reference: zhusz/ICCV17-fashionGAN (sr1/net_graph_sr1.lua, ih1/net_graph_ih1.lua, demo_full.lua).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.data.captions import BIGRAMS, vectors
from tfgans.data.label_maps import in_colors
from tfgans.data.outfits import ARMS, CLASSES, FACE, GROUND, HAIR, LEGS
from tfgans.errors import BadInput
from tfgans.models.base import BaseModel
from tfgans.models.cgan import with_label
from tfgans.models.serving import SEED, drawing
from tfgans.models.translation import FIXED
from tfgans.ops.checking import ensure
from tfgans.optimizers import Adam
from tfgans.shapes import halved

MERGED = 4  # channels of the small map: ground, hair, face, and clothes with the rest of the body
POOL = 16  # pixels of a side that it makes one
# Three numbers for each class, as the painter sees it.
CODES = (
    np.array(
        [[2, 2, 2], [3, 2, 1], [2, 3, 1], [1, 3, 2], [1, 2, 3], [2, 1, 3], [3, 1, 2]], "float32"
    )
    / 4
)
BLUR = 1.0  # deviation of the Gaussian over 5x5 pixels that these go through
PREVIEW = 6


def initializer(mean=0.0, deviation=0.02 / 16):
    return keras.initializers.RandomNormal(mean, deviation)


def norm(x):
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, gamma_initializer=initializer(1.0, 0.02)
    )(x)


def leaky(x):
    return keras.layers.LeakyReLU(0.2)(x)


def conv(x, filters, size=3, strides=1, padding="same"):
    """A convolution without biases; 4x4 with strides of 2 is padded by 1 on all sides."""
    return keras.layers.Conv2D(
        filters, size, strides, padding, use_bias=False, kernel_initializer=initializer()
    )(x)


def doubled(x, filters, **kwargs):
    return keras.layers.Conv2DTranspose(
        filters, 4, 2, "same", use_bias=False, kernel_initializer=initializer(), **kwargs
    )(x)


def convs(x, *channels, size=3, strides=1):
    for filters in channels:
        x = leaky(norm(conv(x, filters, size, strides)))
    return x


def up(x, *channels):
    for filters in channels:
        x = keras.layers.ReLU()(norm(doubled(x, filters)))
    return x


def begun(z, text, grid, text_width, width):
    """z and a short code of the text -> [N, height / 32, width / 32, 16 width]."""
    code = leaky(
        keras.layers.Dense(text_width, use_bias=False, kernel_initializer=initializer())(text)
    )
    x = keras.layers.Concatenate()([z, code])[:, None, None]
    x = keras.layers.Conv2DTranspose(
        16 * width, grid, use_bias=False, kernel_initializer=initializer()
    )(x)
    return keras.layers.ReLU()(norm(x))


def judged(x, text, text_width):
    """The end of D: the text joins at each place, and one score [N, 1] is left."""
    channels, grid = x.shape[-1], x.shape[1:3]
    code = keras.layers.Dense(text_width, use_bias=False, kernel_initializer=initializer())(text)
    x = convs(with_label(x, leaky(norm(code))), channels, size=1)
    score = keras.layers.Conv2D(
        1, grid, use_bias=False, kernel_initializer=initializer(), dtype="float32"
    )(x)
    return keras.layers.Flatten(dtype="float32")(score)


def build_drawer(shape, latent_dim, condition_dim, text_width, width):
    """z, texts and small maps -> logits of the new map [N, H, W, 7]."""
    small, w = halved(shape, 4), width
    z, text = keras.Input([latent_dim], name="z"), keras.Input([condition_dim], name="text")
    before = keras.Input([*small, MERGED], name="before")
    x = up(begun(z, text, halved(shape, 5), text_width, w), 8 * w)
    x = keras.layers.Concatenate()([x, convs(before, w, 2 * w)])
    x = convs(up(x, 4 * w), 8 * w, 8 * w, 4 * w)
    logits = doubled(up(x, 2 * w, w), len(CLASSES), dtype="float32")
    return keras.Model([z, text, before], logits, name="generator_1")


def build_map_judge(shape, condition_dim, text_width, width):
    """Probabilities of a map, texts and small maps -> scores [N, 1]."""
    w = width
    image = keras.Input([*shape[:2], len(CLASSES)], name="map")
    text = keras.Input([condition_dim], name="text")
    before = keras.Input([*halved(shape, 4), MERGED], name="before")
    x = convs(leaky(conv(image, w, 4, 2)), 2 * w, 4 * w, size=4, strides=2)
    x = convs(convs(x, 8 * w, 8 * w, 4 * w), 8 * w, size=4, strides=2)
    x = keras.layers.Concatenate()([x, convs(leaky(conv(before, w)), 2 * w)])
    score = judged(convs(x, 8 * w, size=4, strides=2), text, text_width)
    return keras.Model([image, text, before], score, name="discriminator_1")


def build_painter(shape, latent_dim, condition_dim, text_width, width):
    """z, texts and codes of the new map -> images in [-1, 1]."""
    w = width
    z, text = keras.Input([latent_dim], name="z"), keras.Input([condition_dim], name="text")
    codes = keras.Input([*shape[:2], 3], name="codes")
    x = up(begun(z, text, halved(shape, 5), text_width, w), 8 * w, 8 * w)
    x = keras.layers.Concatenate()([x, convs(codes, w, 2 * w, 4 * w, size=4, strides=2)])
    x = convs(up(x, 8 * w), 8 * w, 8 * w, 8 * w, 4 * w, 2 * w)
    image = doubled(up(x, w), shape[2], activation="tanh", dtype="float32")
    return keras.Model([z, text, codes], image, name="generator_2")


def build_image_judge(shape, condition_dim, text_width, width):
    """Images, texts and codes of their maps -> scores [N, 1]."""
    w = width
    image, codes = keras.Input(shape, name="image"), keras.Input([*shape[:2], 3], name="codes")
    text = keras.Input([condition_dim], name="text")
    halves = [
        convs(leaky(conv(x, w, 4, 2)), 2 * w, 4 * w, size=4, strides=2) for x in (image, codes)
    ]
    x = convs(keras.layers.Concatenate()(halves), *5 * [8 * w])
    score = judged(convs(x, 8 * w, 16 * w, size=4, strides=2), text, text_width)
    return keras.Model([image, text, codes], score, name="discriminator_2")


def merged(maps):
    """Class numbers [N, H, W] -> small maps [N, H / 16, W / 16, 4]: means of one-hot."""
    numbers = tf.where((maps == GROUND) | (maps == HAIR) | (maps == FACE), maps, MERGED - 1)
    return tf.nn.avg_pool2d(tf.one_hot(numbers, MERGED), POOL, POOL, "VALID")


def coded(maps):
    """Class numbers [N, H, W] -> three numbers for each pixel, blurred, in [-0.5, 0.25]."""
    line = np.exp(-0.5 * (np.arange(-2, 3) / BLUR) ** 2)
    kernel = np.outer(line, line) / np.sum(line) ** 2
    kernel = np.repeat(kernel[..., None, None], 3, axis=2).astype("float32")
    codes = tf.gather(CODES, maps)  # [N, H, W, 3]
    return tf.nn.depthwise_conv2d(codes, kernel, [1, 1, 1, 1], "SAME") - 0.5


def pasted(image, photo, new, old):
    """Hair and face of the photograph on an image, and arms and legs nearer to the photograph's.

    Args:
        image: The painted image, [N, H, W, C] in [-1, 1].
        photo: The photograph, of the same shape.
        new: The map that was painted, [N, H, W].
        old: The map of the photograph.
    """
    for part in (LEGS, ARMS):
        was = tf.cast(old == part, "float32")[..., None]
        area = tf.reduce_sum(was, axis=(1, 2), keepdims=True)
        color = tf.reduce_sum(was * photo, axis=(1, 2), keepdims=True) / tf.maximum(area, 1.0)
        move = (new == part)[..., None] & (area > 0.0)
        image = tf.where(move, (image + color) / 2.0, image)
    return tf.where(((old == HAIR) | (old == FACE))[..., None], photo, image)


@keras.saving.register_keras_serializable("tfgans")
class FashionGAN(BaseModel):
    """Other clothes by a sentence, in its setting for 128x128 pixels.

    Label maps have the seven classes of `data.outfits.CLASSES`.

    Args:
        image_shape: (height, width, 3) of the photographs; the sides are multiples of 32.
        noise_dim: Length of z ~ N(0, I).
        text_dim: Length of a given embedding of a text, where no words are.
        words: All words of the sentences. None: embeddings are given.
        text_width: Length to which each network shortens the text.
        width: Channels of the first convolutions.
        wrong_weight: Weight of real pairs with a sentence about another person, in D.
        fake_weight: Weight of made ones, in D.
        map_weight: Weight of the map's cross-entropy, in the first G; 100 in the authors' code.
        distance_weight: Weight of the image's absolute error, in the second G; 100 in that code.
    """

    data_kind = "outfits"
    num_labels, unlabeled, legend = len(CLASSES), False, CLASSES

    def __init__(
        self,
        image_shape=(128, 128, 3),
        noise_dim=80,
        text_dim=100,
        words=None,
        text_width=20,
        width=64,
        wrong_weight=0.1,
        fake_weight=0.9,
        map_weight=0.0,
        distance_weight=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if any(side % 32 for side in image_shape[:2]):
            raise BadInput(
                f"FashionGAN takes images whose sides are multiples of 32, not {image_shape}."
            )
        self.image_shape, self.noise_dim, self.text_dim = image_shape, noise_dim, text_dim
        self.words, self.text_width, self.width = words, text_width, width
        self.wrong_weight, self.fake_weight = wrong_weight, fake_weight
        self.map_weight, self.distance_weight = map_weight, distance_weight
        self.condition_dim = len(words) + BIGRAMS if words else text_dim
        text = self.condition_dim, text_width, width
        self.generator_1 = build_drawer(image_shape, noise_dim, *text)
        self.discriminator_1 = build_map_judge(image_shape, *text)
        self.generator_2 = build_painter(image_shape, noise_dim, *text)
        self.discriminator_2 = build_image_judge(image_shape, *text)

    def players(self):
        return {
            name: [getattr(self, name)]
            for name in ("discriminator_1", "generator_1", "discriminator_2", "generator_2")
        }

    def default_optimizers(self):
        return {name: Adam(2e-4, beta_1=0.5) for name in self.players()}

    def latents(self, n):
        return random.normal([n, self.noise_dim])

    def condition_vectors(self, sentences):
        """Vectors [n, condition_dim] of sentences. Raises BadInput for unknown words."""
        return vectors(sentences, self)

    # The game, which both networks play with maps and with images.

    def drawn(self, text, before, training=False):
        """Probabilities of new maps [N, H, W, 7], and their logits.

        Args:
            text: Conditions [N, condition_dim].
            before: `merged` maps of the persons, [N, H / 16, W / 16, 4].
        """
        logits = self.generator_1(
            [self.latents(tf.shape(text)[0]), text, before], training=training
        )
        return tf.nn.softmax(logits), logits

    def painted(self, text, codes, training=False):
        """Images of a `text` and of the `codes` of maps; the second value is the image too."""
        image = self.generator_2([self.latents(tf.shape(text)[0]), text, codes], training=training)
        return image, image

    def discriminator_loss(self, discriminator, make, text, real, given, wrong, wrong_given):
        """Real ones with their text, real ones with the text of another person, made ones.

        Args:
            discriminator: Network of the game.
            make: `drawn` or `painted`.
            text: Vectors of texts.
            real: Maps as one-hot vectors, or photographs.
            given: Small maps, or codes of maps.
            wrong: The same as `real`, of other people.
            wrong_given: The same as `given`, of these.
        """
        fake, _ = make(text, given, training=True)
        # Three batches, for batch normalization.
        real_score = discriminator([real, text, given], training=True)
        wrong_score = discriminator([wrong, text, wrong_given], training=True)
        fake_score = discriminator([fake, text, given], training=True)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "wrong": self.wrong_weight * tf.reduce_mean(tf.nn.softplus(wrong_score)),
            "fake": self.fake_weight * tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def drawer_loss(self, text, maps):
        before = merged(maps)
        fake, logits = self.drawn(text, before, training=True)
        score = self.discriminator_1([fake, text, before], training=True)
        terms = {"fake": tf.reduce_mean(tf.nn.softplus(-score))}
        if self.map_weight:
            costs = tf.nn.sparse_softmax_cross_entropy_with_logits(maps, logits)
            terms["map"] = self.map_weight * tf.reduce_mean(costs)
        return terms

    def painter_loss(self, text, maps, real):
        codes = coded(maps)
        fake, _ = self.painted(text, codes, training=True)
        score = self.discriminator_2([fake, text, codes], training=True)
        terms = {"fake": tf.reduce_mean(tf.nn.softplus(-score))}
        if self.distance_weight:
            terms["distance"] = self.distance_weight * tf.reduce_mean(tf.abs(fake - real))
        return terms

    def train_step(self, data):
        text, maps, wrong = data["condition"], data["map"], data["wrong_map"]
        one_hot = [tf.one_hot(x, len(CLASSES)) for x in (maps, wrong)]
        logs = self.update(
            "discriminator_1", self.discriminator_loss, self.discriminator_1, self.drawn,
            text, one_hot[0], merged(maps), one_hot[1], merged(wrong),
        )  # fmt: skip
        logs |= self.update("generator_1", self.drawer_loss, text, maps)
        logs |= self.update(
            "discriminator_2", self.discriminator_loss, self.discriminator_2, self.painted,
            text, data["image"], coded(maps), data["wrong"], coded(wrong),
        )  # fmt: skip
        return logs | self.update("generator_2", self.painter_loss, text, maps, data["image"])

    # Use.

    def redress(self, image, maps, condition, seed=None):
        """Gives people other clothes; the same ones for the same seed.

        Args:
            image: Photographs [N, H, W, 3] in [-1, 1].
            maps: Class numbers of their pixels, int32 [N, H, W].
            condition: Texts [N, condition_dim]: embeddings, or see `condition_vectors`.
            seed: Seed of z; without it a new one each time.

        Returns:
            Images [N, H, W, 3] in [-1, 1], and their maps [N, H, W]. Hair and face are those of the
            photographs.

        Raises:
            BadInput: A map holds a number that is no class.
        """
        with drawing(seed):
            return self.redressed(image, maps, condition)

    def redressed(self, image, maps, condition):
        """`redress` with the z of the random scope that it is called in.

        Args:
            image: As `redress`, and so are the others.
            maps: Likewise.
            condition: Likewise.
        """
        image, maps, condition = map(tf.convert_to_tensor, (image, maps, condition))
        rule = f"Maps hold classes from 0 to {len(CLASSES) - 1}; the least and greatest number are"
        span = tf.stack([tf.reduce_min(maps), tf.reduce_max(maps)])
        ensure(tf.reduce_all((maps >= 0) & (maps < len(CLASSES))), rule, span)
        _, logits = self.drawn(condition, merged(maps))
        new = tf.argmax(logits, axis=-1, output_type="int32")
        made, _ = self.painted(condition, coded(new))
        return pasted(made, image, new, maps), new

    def call(self, image, maps, condition):
        return self.redress(image, maps, condition, FIXED)[0]

    def outputs(self, batch):
        """Photographs of a batch, dressed as their own texts say."""
        image, maps = (tf.convert_to_tensor(batch[name]) for name in ("image", "map"))
        return self.redressed(image, maps, batch["condition"])[0]

    def preview(self, batch):
        """Rows: photographs and maps; whose clothes they get; their new maps and images."""
        image, maps, text = (
            tf.convert_to_tensor(batch[name][:PREVIEW]) for name in ("image", "map", "condition")
        )
        made, new = self.redressed(image, maps, tf.roll(text, -1, axis=0))
        colors = [in_colors(x, len(CLASSES), CLASSES) for x in (maps.numpy(), new.numpy())]
        return tf.stack([image, colors[0], tf.roll(image, -1, axis=0), colors[1], made])

    def endpoints(self):
        """A photograph, its map, a text and a seed: the image, and in `redress` its map too."""

        def image_of(*inputs):
            return {"image": redress(*inputs)["image"]}

        def redress(image, maps, condition, seed):
            made, new = self.redress(image, maps, condition, seed)
            return {"image": made, "map": new}

        height, width, channels = self.image_shape
        inputs = [
            tf.TensorSpec([None, height, width, channels], name="image"),
            tf.TensorSpec([None, height, width], "int32", name="map"),
            tf.TensorSpec([None, self.condition_dim], name="condition"),
            SEED,
        ]
        return {"serving_default": (image_of, inputs), "redress": (redress, inputs)}
