"""StarGAN — Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation.

Choi, Choi, Kim, Ha, Kim, Choo, CVPR 2018, arXiv:1711.09020.

New here: one generator for all domains. It is told the attributes that the result shall have, as
constant maps beside the image. D scores patches as real or not, and reads the attributes in a
second head: from real images it learns them, and from its own images G learns to show those that
it was told. The way back to the true attributes must return the image. The score is that of WGAN
with a gradient penalty, so D has no normalization. Two data sets with different attributes train
one model: a mask tells which part of a label is known, and D answers for that part alone.

The convolutions of G pad with zeros, and must: instance normalization takes away what a constant
map adds to a channel, so it is at the borders that G first sees the attributes.

Differs from the paper: the wanted attributes are those of other images, as in the paper, but of
another batch of the same step, where the code shuffles those of the batch. Learning rates fall to
0 over the second half, as the paper says; in the code they hardly fall. Two data sets take turns in
a batch, in the code from batch to batch. At other sizes than 128x128 D halves the image down to 2
or 3 pixels; the code always halves it six times.

Reference: yunjey/stargan (model.py, solver.py).
"""

import keras
import tensorflow as tf

from tfgans import images, random
from tfgans.errors import BadInput, nearest
from tfgans.models.cgan import with_label
from tfgans.models.cyclegan import l1, residual
from tfgans.models.discogan import initializer
from tfgans.models.inputs import need_classes
from tfgans.models.translation import PREVIEW, TranslationModel
from tfgans.ops.checking import ensure
from tfgans.optimizers import Adam, HoldThenDecay
from tfgans.penalties import between, gradient_norm, input_gradient
from tfgans.shapes import halved, halvings


def instance():
    """Instance normalization with a gain and a bias for each channel."""
    return keras.layers.GroupNormalization(groups=-1, epsilon=1e-5)


def running():
    """The same arithmetic with stored statistics, in use."""
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)


NORMS = {"instance": instance, "running": running}


def conv(x, filters, size=3, strides=1, kind=keras.layers.Conv2D, **kwargs):
    """A convolution that pads with zeros, without biases."""
    return kind(
        filters, size, strides, "same", use_bias=False, kernel_initializer=initializer(), **kwargs
    )(x)


def build_generator(image_shape, num_classes, width, blocks, norm=instance):
    """Images and wanted label [N, num_classes] -> images in [-1, 1] of the same size."""

    def relu(x):
        return keras.layers.ReLU()(norm()(x))

    halved(image_shape, 2)  # raises BadInput where that is not possible
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label")
    x = relu(conv(with_label(image, label), width, 7))
    for channels in (2 * width, 4 * width):
        x = relu(conv(x, channels, 4, 2))
    for _ in range(blocks):
        x = residual(x, norm, conv)
    for channels in (2 * width, width):
        x = relu(conv(x, channels, 4, 2, keras.layers.Conv2DTranspose))
    x = conv(x, image_shape[2], 7, activation="tanh", dtype="float32")
    return keras.Model([image, label], x, name="generator")


def build_discriminator(image_shape, num_classes, width):
    """Images -> scores of patches [N, h, w, 1], and logits of the attributes [N, num_classes].

    h and w are what halvings leave of the image, with 2 or 3 for the shorter one.
    """
    image = x = keras.Input(image_shape, name="image")
    for k in range(halvings(image_shape, least=2, fewest=1)):
        x = keras.layers.Conv2D(width << k, 4, 2, "same", kernel_initializer=initializer())(x)
        x = keras.layers.LeakyReLU(0.01)(x)
    score = conv(x, 1, dtype="float32")
    logits = keras.layers.Conv2D(
        num_classes, x.shape[1:3], use_bias=False, kernel_initializer=initializer(), dtype="float32"
    )(x)
    logits = keras.layers.Reshape([num_classes], dtype="float32")(logits)
    return keras.Model(image, [score, logits], name="discriminator")


def of_attributes(logits, label):
    """The cross-entropies of attributes, of each by itself, summed: [N, K] and [N, K] -> [N]."""
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(label, logits), axis=1)


@keras.saving.register_keras_serializable("tfgans")
class StarGAN(TranslationModel):
    """Gives images other attributes with one generator, in the setting for CelebA at 128x128.

    Args:
        image_shape: (height, width, channels) of the images.
        num_classes: Number of attributes, or of classes; a label is a vector of 0 and 1.
        exclusive: Each image is of one class, such as an expression of a face; False for
            attributes that are there or not, each by itself.
        second_classes: Classes of a second data set, each image of one; 0 for a single set. A label
            then is [attributes, classes, mask of 2], and `num_classes` counts all of it.
        width: Channels of G at full resolution, and of D after its first halving.
        blocks: Residual blocks of G.
        n_critic: Moves of D, each on its own batch, per move of G.
        class_weight: Weight of the cross-entropy of the attributes, for both players.
        cycle_weight: Weight of the L1 distance after the way there and back.
        penalty_weight: Weight of the gradient penalty.
        hold_steps: Steps at the full learning rates; in each D moves n_critic times.
        decay_steps: Steps over which they then fall to 0.
        statistics: "instance": each image is normalized by its own statistics. "running" is for the
            use of a published file, by the ones that it holds; a training would take those of the
            batch.
    """

    data_kind = "attribute_sets"

    def __init__(
        self,
        image_shape=(128, 128, 3),
        num_classes=5,
        exclusive=False,
        second_classes=0,
        width=64,
        blocks=6,
        n_critic=5,
        class_weight=1.0,
        cycle_weight=10.0,
        penalty_weight=10.0,
        hold_steps=20_000,
        decay_steps=20_000,
        statistics="instance",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.num_classes, self.exclusive = image_shape, num_classes, exclusive
        need_classes(self, least=2 if exclusive else 1)
        self.second_classes = second_classes
        self.first_classes = num_classes - second_classes - 2 if second_classes else num_classes
        if exclusive and second_classes:
            raise BadInput(
                "model.exclusive is for a single data set. Of two, the first has attributes and "
                "the second has classes: leave it out."
            )
        if self.first_classes < 1:
            raise BadInput(
                f"model.num_classes is {num_classes}, and with second_classes = {second_classes} "
                f"it is {second_classes + 3} or more: attributes, classes, and 2 for the mask."
            )
        self.width, self.blocks, self.n_critic = width, blocks, n_critic
        self.class_weight, self.cycle_weight = class_weight, cycle_weight
        self.penalty_weight = penalty_weight
        self.hold_steps, self.decay_steps = hold_steps, decay_steps
        self.statistics = statistics
        if statistics not in NORMS:
            raise BadInput(nearest("kind of statistics", statistics, NORMS))
        self.batches_per_step = max(n_critic, 2)  # the wanted labels come from another batch
        self.generator = build_generator(image_shape, num_classes, width, blocks, NORMS[statistics])
        read = self.first_classes + second_classes  # D reads no mask
        self.discriminator = build_discriminator(image_shape, read, width)

    def default_optimizers(self):
        def adam(moves):
            rate = HoldThenDecay(1e-4, moves * self.hold_steps, moves * self.decay_steps)
            return Adam(rate, beta_1=0.5, beta_2=0.999)

        return {"discriminator": adam(self.n_critic), "generator": adam(1)}

    def told(self, label):
        """Labels of a batch as vectors. Raises BadInput where classes should exclude each other."""
        label = self.one_hot(label)
        if self.exclusive:
            count = tf.reduce_sum(label, axis=1)
            rule = (
                "With exclusive=True each image has one class (for attributes: False); the "
                "fewest and the most that an image of this batch has are"
            )
            found = tf.stack([tf.reduce_min(count), tf.reduce_max(count)])
            ensure(tf.reduce_all(count == 1.0), rule, found)
        if self.second_classes:
            first, second, mask = self.parts(label)
            counts = tf.stack([tf.reduce_sum(x, axis=1) for x in (mask, second)], axis=1)
            known = tf.stack([tf.ones_like(mask[:, 1]), mask[:, 1]], axis=1)
            unknown = tf.reduce_sum(first, axis=1) * mask[:, 1]
            fits = tf.reduce_all(counts == known) & tf.reduce_all(unknown == 0.0)
            rule = "A label of two data sets is [attributes, 0.., 1, 0] or [0.., class, 0, 1]:"
            ensure(fits, rule, label)
        return label

    def parts(self, label):
        """The attributes, the class, and the mask of labels of two data sets."""
        return tf.split(label, [self.first_classes, self.second_classes, 2], axis=1)

    def reading_error(self, logits, label):
        """Cross-entropy of `logits` and a `label`: summed over attributes, averaged over images.

        With two data sets each image counts with the part that is known of it.
        """

        def of_class(logits, label):
            return tf.nn.softmax_cross_entropy_with_logits(label, logits)

        if self.second_classes:
            first, second, mask = self.parts(label)
            count = self.first_classes
            errors = mask[:, 0] * of_attributes(logits[:, :count], first)
            errors += mask[:, 1] * of_class(logits[:, count:], second)
        else:
            errors = (of_class if self.exclusive else of_attributes)(logits, label)
        return tf.reduce_mean(errors)

    def discriminator_loss(self, real, label, wanted):
        fake = self.generator([real, wanted], training=True)
        score, logits = self.discriminator(tf.concat([real, fake], axis=0), training=True)
        real_score, fake_score = tf.split(score, 2)
        return {
            "wasserstein": tf.reduce_mean(fake_score) - tf.reduce_mean(real_score),
            "class": self.class_weight * self.reading_error(tf.split(logits, 2)[0], label),
            "penalty": self.penalty_weight * self.gradient_penalty(real, fake),
        }

    def gradient_penalty(self, real, fake):
        """Mean of (|gradient of the sum of D's patches| - 1)^2 between a `real` and its `fake`."""
        image = between(real, fake, random.uniform([real.shape[0], 1, 1, 1]))
        gradient = input_gradient(
            lambda x: self.discriminator(x, training=True)[0], image, [self.discriminator]
        )
        return tf.reduce_mean(tf.square(gradient_norm(gradient) - 1.0))

    def generator_loss(self, real, label, wanted):
        fake = self.generator([real, wanted], training=True)
        back = self.generator([fake, label], training=True)
        score, logits = self.discriminator(fake, training=True)
        return {
            "wasserstein": -tf.reduce_mean(score),
            "class": self.class_weight * self.reading_error(logits, wanted),
            "cycle": self.cycle_weight * l1(real, back),
        }

    def train_step(self, data):
        batches = [(batch["image"], self.told(batch["label"])) for batch in self.split(data)]
        others = batches[1:] + batches[:1]  # attributes from the data, of other images
        moves = [(*own, wanted) for own, (_, wanted) in zip(batches, others, strict=True)]
        for move in moves[: self.n_critic]:
            d = self.update("discriminator", self.discriminator_loss, *move)
        return d | self.update("generator", self.generator_loss, *move)

    def edit(self, image, label):
        """Images [N, H, W, C] with other attributes.

        Args:
            image: [N, H, W, C] in [-1, 1].
            label: All attributes that the result shall have, [N, num_classes] of 0 and 1, or
                class numbers [N]. With two data sets: [attributes, 0.., 1, 0] or
                [0.., class, 0, 1].
        """
        return self.generator([tf.convert_to_tensor(image), self.one_hot(label)], training=False)

    def changed(self, image, label):
        """For each image an edit in which each attribute in turn changes, or one of each class.

        Args:
            image: [N, H, W, C] in [-1, 1].
            label: Their labels, [N, num_classes]. Attributes that are unknown are 0.

        Returns:
            [N, K, H, W, C], with K = num_classes, less 2 for two data sets.
        """
        made = [self.edit(image, wanted) for wanted in self.changes(label)]
        return tf.stack(made, axis=1)

    def changes(self, label):
        """Labels in which each attribute in turn changes, and one of each class."""
        if not self.second_classes:
            keep = 0.0 if self.exclusive else 1.0
            return [tf.abs(keep * label - one) for one in tf.unstack(tf.eye(self.num_classes))]
        first, second, mask = self.parts(label)
        wanted = [
            tf.concat([tf.abs(first - one), 0.0 * second, 0.0 * mask + [1.0, 0.0]], axis=1)
            for one in tf.unstack(tf.eye(self.first_classes))
        ]
        return wanted + [
            tf.concat([0.0 * first, 0.0 * second + one, 0.0 * mask + [0.0, 1.0]], axis=1)
            for one in tf.unstack(tf.eye(self.second_classes))
        ]

    def directions(self):
        label = tf.TensorSpec([None, self.num_classes], name="label")
        return {"edit": ({"image": self.image_spec(), "label": label}, self.edit)}

    def outputs(self, batch, direction=None):
        """The images with the labels of the next ones: own labels would change nothing."""
        return super().outputs(batch | {"label": tf.roll(batch["label"], -1, axis=0)}, direction)

    def preview(self, batch):
        """A row for each image: itself, then each attribute changed, or each class."""
        image = tf.convert_to_tensor(batch["image"][:PREVIEW])
        label = self.one_hot(batch["label"])[:PREVIEW]
        return images.table(image, *tf.unstack(self.changed(image, label), axis=1))
