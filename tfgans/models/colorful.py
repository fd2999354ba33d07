"""Colorful — Colorful Image Colorization.

Zhang, Isola, Efros, ECCV 2016, arXiv:1603.08511.

New here: colors for a gray image, as a classification. A network names the probability of each of
some hundred colors (bins of a and b in CIELAB, 10 wide) for each pixel, where a regression would
answer with the mean of all that are plausible, which is gray. Rare, vivid colors count more in the
loss. The answer is the annealed mean of the distribution: between its mode, which is vivid and
spotted, and its mean. There is no adversary: it is the baseline of the GANs that colorize.

Differs from the paper: its table of 313 bins is a file; here the bins are those whose square holds
a color of sRGB, 261. The probability of the bins comes from a count of all training images; here it
is counted while training, from the batches so far. The input is divided by 100, as in the authors'
code for PyTorch. Gray images weigh 0, as in the code for training. The colors of the targets at a
quarter of the size are those of every fourth pixel; a second fall of the learning rate, at 450,000
steps, is the solver's. The initialization, which the authors' files do not give, is that of Keras.

Reference: richzhang/colorization (caffe branch: resources/caffe_traininglayers.py,
train/solver.prototxt; colorizers/eccv16.py for the network).
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.models.translation import TranslationModel
from tfgans.ops.lab import lab_to_rgb, rgb_to_lab
from tfgans.optimizers import Adam
from tfgans.shapes import halved

GRID = 10.0  # side of a bin
SIGMA = 5.0  # of the soft encoding, and of the smoothing of the prior
COLORED = 5.0  # |a| or |b| above it make an image colored
FACTOR = 4  # from the network's output to the image


@functools.cache
def bins():
    """The centers (a, b) of all bins that hold a color of sRGB, float32 [Q, 2]."""
    steps = np.linspace(-1, 1, 86, dtype="float32")  # every third of 256 values
    face = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    # The colors of the greatest chroma of each hue and lightness are on the faces of the cube.
    cube = np.concatenate([np.insert(face, k, v, axis=1) for k in range(3) for v in (-1, 1)])
    with tf.init_scope():
        ab = rgb_to_lab(cube).numpy()[:, 1:]
    return (GRID * np.unique(np.rint(ab / GRID), axis=0)).astype("float32")


def squared_distances(ab):
    """[..., 2] -> squared distances to the centers of all bins, [..., Q]."""
    a, b = tf.unstack(tf.constant(bins()), axis=1)  # no matrix product: GPUs round those
    return tf.square(ab[..., :1] - a) + tf.square(ab[..., 1:] - b)


def encode(ab, neighbors):
    """Colors as soft labels: Gaussian weights of the nearest bins, with the sum 1.

    Args:
        ab: [..., 2].
        neighbors: Number of bins with a weight above 0.

    Returns:
        [..., Q].
    """
    nearest, index = tf.math.top_k(-squared_distances(ab), neighbors)
    weight = tf.nn.softmax(nearest / (2.0 * SIGMA**2))
    return tf.reduce_sum(tf.one_hot(index, len(bins())) * weight[..., tf.newaxis], axis=-2)


def annealed_mean(logits, temperature):
    """Logits [..., Q] -> colors [..., 2]: the mean after a softmax of log p / temperature."""
    return tf.matmul(tf.nn.softmax(logits / temperature), tf.constant(bins()))


def rebalancing(prior, uniform_share):
    """The weights [Q] of bins by their probabilities [Q]: rare ones count more; the mean is 1."""
    share, count = uniform_share, prior.shape[0]
    weight = 1.0 / ((1.0 - share) * prior + share / count)
    return weight / tf.reduce_sum(prior * weight)


def smoothed(prior):
    """Probabilities [Q], each spread over its neighbors as by a Gaussian; the sum stays."""
    kernel = tf.exp(-squared_distances(tf.constant(bins())) / (2.0 * SIGMA**2))  # [Q, Q]
    kernel /= tf.reduce_sum(kernel, axis=1, keepdims=True)
    return tf.linalg.matvec(kernel, prior, transpose_a=True)


def build_classifier(size, width=64, colors=None):
    """Lightness (L - 50) / 100 [N, H, W, 1] -> logits of the bins, [N, H / 4, W / 4, Q].

    Args:
        size: (height, width), multiples of 8.
        width: Channels of the first layers; they double to 8 times that.
        colors: Q; the number of `bins` without it.
    """

    def conv(x, filters, stride=1, dilation=1):
        x = keras.layers.ZeroPadding2D(dilation)(x)  # "same" would pad one side only at stride 2
        return keras.layers.Conv2D(filters, 3, stride, dilation_rate=dilation, activation="relu")(x)

    halved((*size, 1), 3)  # raises BadInput where that is not possible
    gray = x = keras.Input([*size, 1])
    groups = [
        [(1, 1), (1, 2)],  # channels by `width`, stride
        [(2, 1), (2, 2)],
        [(4, 1), (4, 1), (4, 2)],
        [(8, 1)] * 3,
        [(8, 1)] * 3,
        [(8, 1)] * 3,
        [(8, 1)] * 3,
    ]
    for k, layers in enumerate(groups):
        for factor, stride in layers:
            x = conv(x, factor * width, stride, dilation=2 if k in (4, 5) else 1)
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    x = keras.layers.Conv2DTranspose(4 * width, 4, 2, "same", activation="relu")(x)
    x = conv(conv(x, 4 * width), 4 * width)
    logits = keras.layers.Conv2D(colors or len(bins()), 1, dtype="float32")(x)
    return keras.Model(gray, logits, name="classifier")


@keras.saving.register_keras_serializable("tfgans")
class Colorful(TranslationModel):
    """Colors gray images, learned from images whose color was taken away.

    Args:
        image_shape: (height, width, 3) of the images; sides are multiples of 8.
        width: Channels of the first layers.
        neighbors: Bins with a weight above 0 in the soft label of a color: 5 in the paper, 10 in
            the code.
        uniform_share: The paper's lambda: 1 gives all colors the same weight, 0 the inverse of
            their probability.
        temperature: Temperature of the annealed mean; 1 gives the mean, near 0 it is the mode.
        decay_weight: Weight of half the sum of squares of the kernels.
    """

    data_kind = "degraded"
    degradations = ("lightness", "gray")
    input_channels = 1

    def __init__(
        self,
        image_shape=(176, 176, 3),
        width=64,
        neighbors=5,
        uniform_share=0.5,
        temperature=0.38,
        decay_weight=1e-3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if image_shape[2] != 3:
            raise BadInput(
                f"Colorful makes RGB images, not images of {image_shape[2]} channels. "
                "Set the last number of model.image_shape to 3."
            )
        self.image_shape, self.width, self.neighbors = image_shape, width, neighbors
        self.uniform_share, self.temperature = uniform_share, temperature
        self.decay_weight = decay_weight
        self.classifier = build_classifier(image_shape[:2], width)
        self.shares = self.add_state("shares", 0.0, [len(bins())])  # of bins, summed over batches

    def players(self):
        return {"classifier": [self.classifier]}

    def default_optimizers(self):
        lasts = [225_000 - 1, 450_000 - 1]  # updates of a rate
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(lasts, [3e-5, 3e-6, 3e-7])
        return {"classifier": Adam(rate, beta_1=0.9, beta_2=0.99)}

    def prior(self):
        """Probabilities of the bins in the images so far, smoothed; of equal ones before any."""
        total = tf.reduce_sum(self.shares)
        return smoothed(tf.where(total > 0.0, self.shares / total, 1.0 / len(bins())))

    def logits(self, gray, training):
        """Gray images in [-1, 1] -> logits of the bins at a quarter of the size."""
        lightness = rgb_to_lab(tf.concat([gray] * 3, axis=-1))[..., :1]
        return self.classifier((lightness - 50.0) / 100.0, training=training)

    def classifier_loss(self, gray, ab, prior):
        """Cross-entropy with soft labels, weighted by the rarity of each pixel's nearest bin.

        Args:
            gray: Lightness [N, H, W, 1] in [-1, 1].
            ab: Colors [N, H, W, 2], a and b of CIELAB.
            prior: Share of each bin of colors in the data, [bins].
        """
        label = encode(ab[:, ::FACTOR, ::FACTOR], self.neighbors)
        entropy = tf.nn.softmax_cross_entropy_with_logits(label, self.logits(gray, training=True))
        rarity = tf.gather(rebalancing(prior, self.uniform_share), tf.argmax(label, axis=-1))
        colored = tf.reduce_any(tf.abs(ab) > COLORED, axis=[1, 2, 3])
        weight = rarity * tf.cast(colored, "float32")[:, tf.newaxis, tf.newaxis]
        kernels = [w for w in self.classifier.trainable_variables if w.name == "kernel"]
        decay = tf.add_n([tf.nn.l2_loss(tf.cast(w, "float32")) for w in kernels])
        return {
            "entropy": tf.reduce_mean(weight * entropy),
            "decay": self.decay_weight * decay,
        }

    def train_step(self, data):
        ab = rgb_to_lab(data["target"])[..., 1:]
        nearest = tf.argmin(squared_distances(ab[:, ::FACTOR, ::FACTOR]), axis=-1)
        found = tf.one_hot(nearest, len(bins()))  # [N, H / 4, W / 4, Q]
        self.shares.assign_add(tf.reduce_mean(found, axis=[0, 1, 2]))
        return self.update("classifier", self.classifier_loss, data["input"], ab, self.prior())

    def colorize(self, gray):
        """Gray images [N, H, W, 1] in [-1, 1] -> RGB images of the same lightness."""
        if gray.shape[-1] != 1:
            raise BadInput(
                f"Colorful colors gray images, [N, H, W, 1], not images of the shape "
                f"{list(gray.shape)}. `tfgans.data.convert.to_channels(images, 1)` makes them gray."
            )
        ab = annealed_mean(self.logits(gray, training=False), self.temperature)
        ab = tf.image.resize(ab, gray.shape[1:3], "bilinear")
        lightness = rgb_to_lab(tf.concat([gray] * 3, axis=-1))[..., :1]
        return lab_to_rgb(tf.concat([lightness, ab], axis=-1))

    def directions(self):
        return {"colorize": ({"input": self.image_spec(channels=1)}, self.colorize)}
