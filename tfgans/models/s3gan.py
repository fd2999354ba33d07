"""S3GAN — High-Fidelity Image Generation With Fewer Labels.

Lucic et al., ICML 2019, arXiv:1903.02271. Its rotation task is that
of SS-GAN, Self-Supervised GANs via Auxiliary Rotation Loss: Chen, Zhai, Ritter, Lucic, Houlsby,
CVPR 2019, arXiv:1811.11212.

New here: BigGAN needs the class of every image. Here most classes are unknown, and D fills them in:
it learns to name the class of the labeled images, and the projection of an unlabeled image is onto
the class that D names. Some images also pass D turned by 90, 180 and 270 degrees, and D says by how
much: this needs no labels, and keeps D's features good while the game goes on.

| | `labels` | `supervision` |
|---|---|---|
| S3GAN-CO | "some" | "rotation" |
| S2GAN-CO | "some" | "none" |
| S3GAN, S2GAN: all classes come from a classifier trained before | "all" | "rotation", "none" |
| clustering: the classes come from `tools/data.py cluster` | "all" | "none" |
| SS-GAN | "none" | "rotation" |

Differs from the paper: the authors' code passes turned generated images in D's move too, and
real ones in G's; nothing is computed from them, so they are left out. It adds 1e-10 to the
probability of a turn. SS-GAN has the networks of BigGAN here, and without labels they see z alone.

Not verified: the share of turned images, which the authors' code leaves to each configuration.

Reference: google/compare_gan (gans/s3gan.py, gans/ssgan.py).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput, nearest
from tfgans.layers.conditional_norm import standing_statistics
from tfgans.models.biggan import (
    SETTLE_BATCH,
    dense,
    image_of,
    need_chunks,
    shared_embedding,
    take_statistics,
    trunk,
    weights_on_z,
)
from tfgans.models.inputs import need_classes
from tfgans.models.latent import LatentModel
from tfgans.models.sagan import need_attention
from tfgans.models.sngan import relu
from tfgans.optimizers import Adam

TURNS = 4  # 0, 90, 180, 270 degrees


def build_generator(image_shape, latent_dim, num_classes, embedding_dim, channels, attention):
    """BigGAN's: z [N, latent_dim], and label vectors where there are classes, to images."""
    z, label = keras.Input([latent_dim], name="z"), keras.Input([num_classes], name="label")
    embedding = shared_embedding(label, embedding_dim) if num_classes else None
    image = image_of(z, embedding, image_shape, channels, attention, sets=1)
    return keras.Model([z, label] if num_classes else z, image, name="generator")


def build_discriminator(
    image_shape, num_classes, channels, downs, attention, supervision, labels, soft
):
    """Images, and label vectors [N, num_classes] where there are classes, to a dict of heads.

    A row of zeros in the labels says that the class is hidden.

    Returns:
        A network with the outputs "score" [N, 1]; with rotation "turn" [N, 4]; with labels "some"
        "classes" [N, num_classes]; the last two are logits.
    """
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label")
    x = relu(trunk(image, channels, downs, attention))
    h = keras.ops.sum(keras.ops.cast(x, "float32"), axis=[1, 2])  # [N, C]
    heads = {"score": dense(1, dtype="float32", name="psi")(h)}
    if supervision == "rotation":
        heads["turn"] = dense(TURNS, dtype="float32", name="turn")(h)
    if labels == "none":
        return keras.Model(image, heads, name="discriminator")
    y = label
    if labels == "some":
        heads["classes"] = dense(num_classes, dtype="float32", name="classes")(h)
        y = completed(label, heads["classes"], soft)
    embedding = dense(
        h.shape[-1], use_bias=False, start="glorot_normal", dtype="float32", name="embedding"
    )
    product = keras.layers.Dot(axes=1, dtype="float32")([embedding(y), h])
    heads["score"] = heads["score"] + product
    return keras.Model([image, label], heads, name="discriminator")


def completed(label, logits, soft):
    """Label vectors, and where they are zero, what a classifier says; a constant for gradients.

    Args:
        label: [N, K], rows of zeros for hidden classes.
        logits: [N, K].
        soft: Its probabilities in place of a one at its first choice.
    """
    known = keras.ops.cast(keras.ops.sum(label, axis=1, keepdims=True) > 0.5, "float32")
    if soft:
        said = keras.ops.softmax(logits, axis=1)
    else:
        said = keras.ops.one_hot(keras.ops.argmax(logits, axis=1), logits.shape[1])
    return keras.ops.stop_gradient(known * label + (1.0 - known) * said)


def with_turned(tensor, n, turn=lambda rows, k: tf.image.rot90(rows, k)):
    """[b, ...] -> [b + 3 n, ...]: all rows, then the last n of them turned once, twice, thrice."""
    return tf.concat([tensor, *(turn(tensor[-n:], k) for k in range(1, TURNS))], axis=0)


def turn_error(logits, n):
    """The mean cross-entropy of the turns of the last 4 n rows of `with_turned`, [b + 3 n, 4]."""
    turns = tf.repeat(tf.range(TURNS), n)  # n upright rows, n of 90 degrees, ...
    errors = tf.nn.sparse_softmax_cross_entropy_with_logits(turns, logits[-TURNS * n :])
    return tf.reduce_mean(errors)


def class_error(label, logits):
    """The mean cross-entropy over the rows with a label; 0 where there are none.

    A row of zeros must weigh 0: TensorFlow takes softmax - label for the gradient of any row.
    """
    known = tf.reduce_sum(label, axis=1)  # [N]
    errors = known * tf.nn.softmax_cross_entropy_with_logits(label, logits)
    return tf.math.divide_no_nan(tf.reduce_sum(errors), tf.reduce_sum(known))


@keras.saving.register_keras_serializable("tfgans")
class S3GAN(LatentModel):
    """BigGAN from few labels, in its setting for ImageNet at 128x128.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        num_classes: Number of classes; 0 with labels "none".
        labels: "some": the class of some images is known, and D learns to name the others'. "all":
            each image has a class. "none": there are no classes.
        supervision: "rotation": D says by how much an image is turned; its images must be square.
            "none": it does not.
        embedding_dim: See `BigGAN`, here and in the next five.
        generator_channels: Channels of G's blocks.
        discriminator_channels: Channels of D's blocks.
        discriminator_downs: Blocks of D that halve the image.
        generator_attention: Places of self-attention in G.
        discriminator_attention: Places of self-attention in D.
        rotated_batch_fraction: One part in so many of the rows of a batch (of each replica) are
            images in their four positions: b // rotated_batch_fraction // 4 images are turned.
        turn_weight_d: Weight of the rotation loss of real images in D's loss.
        turn_weight_g: Weight of the rotation loss of generated images in G's loss.
        class_weight: Weight of the classification loss of labeled images in D's loss.
        soft: Unlabeled images are projected onto D's probabilities in place of its first choice.
        class_shares: How often each class is drawn for generated images, [num_classes] numbers with
            the sum 1, as for clusters of unequal size; empty for equal shares.
        n_critic: Discriminator updates, each on its own batch, per generator update.
        ema_decay: Decay of the averaged generator, from the first step on.
        standing_batches: Batches of 64 images in its standing statistics.
    """

    data_kind = "partly_labeled"

    def __init__(
        self,
        image_shape=(128, 128, 3),
        latent_dim=120,
        num_classes=1000,
        labels="some",
        supervision="rotation",
        embedding_dim=128,
        generator_channels=(1536, 1536, 768, 384, 192, 96),
        discriminator_channels=(96, 192, 384, 768, 1536, 1536),
        discriminator_downs=5,
        generator_attention=64,
        discriminator_attention=64,
        rotated_batch_fraction=2,
        turn_weight_d=1.0,
        turn_weight_g=0.2,
        class_weight=1.0,
        soft=False,
        class_shares=(),
        n_critic=2,
        ema_decay=0.9999,
        standing_batches=16,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for word, known, argument in (
            (labels, ["some", "all", "none"], "labels"),
            (supervision, ["rotation", "none"], "supervision"),
        ):
            if word not in known:
                raise BadInput(nearest(f"{argument} of S3GAN", str(word), known))
        num_classes = 0 if labels == "none" else num_classes
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        self.labels, self.supervision = labels, supervision
        if labels != "none":
            need_classes(self)
        if supervision == "rotation" and image_shape[0] != image_shape[1]:
            raise BadInput(
                f"Images of {image_shape[0]}x{image_shape[1]} pixels change their shape when they "
                "are turned. Make them square, or set model.supervision to none."
            )
        if class_shares and (len(class_shares) != num_classes or abs(sum(class_shares) - 1) > 1e-3):
            raise BadInput(
                f"model.class_shares are {num_classes} numbers with the sum 1, one for each class; "
                f"given were {len(class_shares)} with the sum {sum(class_shares):g}."
            )
        need_chunks(latent_dim, generator_channels)
        self.embedding_dim, self.generator_channels = embedding_dim, generator_channels
        self.discriminator_channels = discriminator_channels
        self.discriminator_downs = discriminator_downs
        self.generator_attention = generator_attention
        self.discriminator_attention = discriminator_attention
        self.rotated_batch_fraction = rotated_batch_fraction
        self.turn_weight_d, self.turn_weight_g = turn_weight_d, turn_weight_g
        self.class_weight, self.soft, self.class_shares = class_weight, soft, class_shares
        self.n_critic, self.ema_decay = n_critic, ema_decay
        self.standing_batches = standing_batches
        self.batches_per_step = n_critic
        self.generator = build_generator(
            image_shape,
            latent_dim,
            num_classes,
            embedding_dim,
            generator_channels,
            generator_attention,
        )
        self.discriminator = build_discriminator(
            image_shape,
            num_classes,
            discriminator_channels,
            discriminator_downs,
            discriminator_attention,
            supervision,
            labels,
            soft,
        )
        need_attention(self.generator, generator_attention)
        need_attention(self.discriminator, discriminator_attention)
        self.generator_ema = self.ema_of(self.generator)

    def default_optimizers(self):
        return {
            "discriminator": Adam(5e-4, beta_1=0.0, beta_2=0.999),
            "generator": Adam(1e-4, beta_1=0.0, beta_2=0.999),
        }

    def random_label(self, n):
        """Draws n label vectors, [n, num_classes], by `class_shares`; [n, 0] without classes."""
        if not self.num_classes:
            return tf.zeros([n, 0])
        if not self.class_shares:
            return super().random_label(n)
        ends = np.cumsum(self.class_shares)[:-1].astype("float32")
        passed = tf.cast(random.uniform([n, 1]) >= ends, "int32")  # [n, num_classes - 1]
        return tf.one_hot(tf.reduce_sum(passed, axis=1), self.num_classes)

    def inputs(self, tensor, label):
        """The input of a network: a `tensor`, with the label where there are classes."""
        return [tensor, label] if self.num_classes else tensor

    def generate(self, n):
        """n new images, and their labels [n, num_classes]."""
        label = self.random_label(n)
        return self.generator(self.inputs(self.latents(n), label), training=True), label

    def turned(self, batch):
        """How many images of a batch are turned."""
        if self.supervision == "none":
            return 0
        n = batch // self.rotated_batch_fraction // TURNS
        if n < 1:
            raise BadInput(
                f"Of {batch} images on a device, one part in {self.rotated_batch_fraction} is to "
                "be filled by images in four positions, which leaves none. Give a batch_size of at "
                f"least {TURNS * self.rotated_batch_fraction} for each device and part of "
                "train.accumulate, or a smaller model.rotated_batch_fraction."
            )
        return n

    def with_turns(self, image, label):
        """A batch with its turned images behind it, and their labels; and their number n."""
        n = self.turned(image.shape[0])
        if not n:
            return image, label, 0
        return with_turned(image, n), with_turned(label, n, turn=lambda rows, k: rows), n

    def discriminator_loss(self, real, label):
        b = real.shape[0]
        fake, fake_label = self.generate(b)
        image, labels, n = self.with_turns(real, label)
        both = tf.concat([image, fake], axis=0), tf.concat([labels, fake_label], axis=0)
        found = self.discriminator(self.inputs(*both), training=True)
        terms = {
            "real": tf.reduce_mean(tf.nn.relu(1.0 - found["score"][:b])),
            "fake": tf.reduce_mean(tf.nn.relu(1.0 + found["score"][-b:])),
        }
        if n:
            terms["turn"] = self.turn_weight_d * turn_error(found["turn"][: b + 3 * n], n)
        if self.labels == "some":
            terms["classes"] = self.class_weight * class_error(label, found["classes"][:b])
        return terms

    def generator_loss(self, n):
        fake, label = self.generate(n)
        image, labels, turned = self.with_turns(fake, label)
        found = self.discriminator(self.inputs(image, labels), training=True)
        terms = {"fake": -tf.reduce_mean(found["score"][:n])}
        if turned:
            terms["turn"] = self.turn_weight_g * turn_error(found["turn"], turned)
        return terms

    def train_step(self, data):
        for batch in self.split(data):
            real = batch["image"]
            label = (
                self.one_hot(batch["label"]) if self.num_classes else self.random_label(len(real))
            )
            d = self.update("discriminator", self.discriminator_loss, real, label)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        self.update_ema(self.generator_ema, self.generator, self.ema_decay)
        return d | g

    def call(self, z, label=None):
        """Makes images with the averaged generator, see `LatentModel.call`."""
        with standing_statistics(0.0):
            return super().call(z, label)

    def settle(self):
        """Takes the standing statistics of the averaged generator, once after a training step."""

        def batches(_):
            for _ in range(self.standing_batches):
                yield self.inputs(self.latents(SETTLE_BATCH), self.random_label(SETTLE_BATCH))

        take_statistics(self, batches)

    def weights_on_z(self):
        """The matrix of all first operations on z, [outputs, latent_dim], for SeFa."""
        chunk = self.latent_dim // len(self.generator_channels)
        return weights_on_z(self.generator_ema, self.latent_dim, chunk)

    def condition_of(self, batch):
        """The labels of a batch, random ones where they are hidden."""
        if not self.num_classes:
            return ()
        label = self.one_hot(batch["label"])
        known = tf.reduce_sum(label, axis=1, keepdims=True) > 0.5
        return (tf.where(known, label, self.random_label(label.shape[0])),)

    def preview(self, batch):
        """As that of a model with class numbers: each column has a class."""
        if not self.num_classes:
            return super().preview(batch)
        return super().preview(batch | {"label": tf.argmax(batch["label"], axis=1)})

    def classify(self, image):
        """{"probability": [N, num_classes]} by D, for images [N, H, W, C] in [-1, 1]."""
        hidden = tf.zeros([tf.shape(image)[0], self.num_classes])
        found = self.discriminator([image, hidden], training=False)
        return {"probability": tf.nn.softmax(found["classes"])}

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        own = {"classify": (self.classify, [image])} if self.labels == "some" else {}
        return super().endpoints() | own
