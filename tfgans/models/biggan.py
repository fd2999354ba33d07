"""BigGAN — Large Scale GAN Training for High Fidelity Natural Image Synthesis.

Brock et al., ICLR 2019, arXiv:1809.11096.

New here: SAGAN with many more weights and much larger batches. All conditional normalizations share
one embedding of the class; every block of G gets its own chunk of z; a penalty makes the rows of
G's matrices orthogonal, so that G stays good for latents that training hardly drew; and latents are
truncated, which trades variety for quality, with statistics of batch normalization taken anew for
each truncation. `deep=True` is BigGAN-deep of the appendix: blocks with bottlenecks, skips that
drop or add channels, and all of z in every block.

Differs from the paper: real and generated images pass D together. z is truncated by a monotone
function of each coordinate, which has the law of the paper's redrawing and gives the same image in
more and less typical forms. (The published modules multiply latents that are truncated at 2.)
Standing statistics lie at the limits in `truncations`; between them they are interpolated. They are
means over 16 batches; the paper takes 100 passes. The penalty's gradient is the true one, twice
that of a widely read PyTorch port. In BigGAN-deep, which the paper describes in less detail, the
attention of D stands behind the second block of its resolution, as in Google's compare_gan.

Reference: ajbrock/BigGAN-PyTorch, google/compare_gan.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput, nearest
from tfgans.layers.conditional_norm import (
    AffineNorm,
    LinearConditionalNorm,
    accumulate_statistics,
    standing_statistics,
)
from tfgans.models import sagan
from tfgans.models.inputs import need_classes
from tfgans.models.latent import LatentModel
from tfgans.models.sagan import need_attention, projected_score
from tfgans.models.serving import COUNT, SEED, to_uint8
from tfgans.models.sngan import down_block, relu, up_block
from tfgans.ops.singular_value import largest_singular_values
from tfgans.optimizers import Adam
from tfgans.shapes import halved

SETTLE_BATCH = 64  # images in a batch for standing statistics


# The normalized layers of SAGAN, which start orthogonal here.
conv, dense, with_attention = (
    functools.partial(layer, start="orthogonal")
    for layer in (sagan.conv, sagan.dense, sagan.with_attention)
)


def linear_norm(x, condition, sets):
    layer = LinearConditionalNorm(
        use_bias=False,
        spectral_norm=True,
        kernel_initializer="orthogonal",
        statistics="cross_replica",
        epsilon=1e-4,
        standing=sets,
    )
    return layer(x, condition)


def build_generator(
    image_shape, latent_dim, num_classes, embedding_dim, channels, attention, deep, wide_rgb, sets
):
    """z [N, latent_dim] and label vectors [N, num_classes] -> images in [-1, 1].

    Args:
        image_shape, latent_dim, num_classes, embedding_dim, deep, wide_rgb: See `BigGAN`.
        channels: Channels of the first grid, then after each doubling.
        attention: Height of the maps that attend to themselves; 0 for none.
        sets: Number of sets of standing statistics.
    """
    z, label = keras.Input([latent_dim], name="z"), keras.Input([num_classes], name="label")
    embedding = shared_embedding(label, embedding_dim)
    image = image_of(z, embedding, image_shape, channels, attention, sets, deep, wide_rgb)
    return keras.Model([z, label], image, name="generator")


def shared_embedding(label, size):
    """Linear in label vectors [N, K] -> [N, size]: what all normalizations share."""
    layer = keras.layers.Dense(
        size, use_bias=False, kernel_initializer="orthogonal", name="shared", dtype="float32"
    )
    return layer(label)


def image_of(z, embedding, image_shape, channels, attention, sets, deep=False, wide_rgb=False):
    """z [N, latent_dim] and embeddings [N, E] -> images. Arguments as those of `build_generator`.

    Without embeddings (None) the normalizations see their part of z alone.
    """

    def condition(part):
        return part if embedding is None else keras.ops.concatenate([part, embedding], axis=1)

    grid_channels, *widths = channels
    grid = halved(image_shape, len(widths))
    if deep:
        first, *conditions = [condition(z)] * len(channels)
    else:
        first, *chunks = keras.ops.split(z, len(channels), axis=1)
        conditions = [condition(chunk) for chunk in chunks]
    x = dense(grid[0] * grid[1] * grid_channels, name="first")(first)
    x = keras.layers.Reshape([*grid, grid_channels])(x)
    for width, given in zip(widths, conditions, strict=True):

        def block_norm(x, given=given):
            return linear_norm(x, given, sets)

        if deep:
            x = deep_up_block(x, x.shape[-1], block_norm, up=False)
            x = deep_up_block(x, width, block_norm, up=True)
        else:
            x = up_block(x, width, block_norm, conv)
        x = with_attention(x, attention)
    x = AffineNorm(statistics="cross_replica", epsilon=1e-4, standing=sets, name="last_norm")(x)
    outputs = x.shape[-1] if wide_rgb else image_shape[2]
    return conv(outputs, 3, activation="tanh", dtype="float32")(relu(x))[..., : image_shape[2]]


def build_discriminator(image_shape, num_classes, channels, downs, attention, deep):
    """Images and label vectors -> scores [N, 1]; the first `downs` widths halve the image."""
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label")
    if deep:
        stem, *widths = channels
        x = conv(stem, 3)(image)
        for width in widths:
            x = deep_down_block(x, width, down=True)
            x = deep_down_block(x, width, down=False)
            x = with_attention(x, attention)
    else:
        x = trunk(image, channels, downs, attention)
    return keras.Model([image, label], projected_score(x, label, dense), name="discriminator")


def trunk(x, channels, downs, attention):
    """Images -> maps before the sum over positions, through blocks that are not those of `deep`."""
    for k, width in enumerate(channels):
        x = down_block(x, width, down=k < downs, first=k == 0, wide=True, conv=conv)
        x = with_attention(x, attention)
    return x


def deep_up_block(x, channels, block_norm, up):
    """Block of BigGAN-deep: the skip keeps the first `channels` channels and has no weights."""
    narrow = x.shape[-1] // 4
    skip = x[..., :channels]
    y = conv(narrow, 1)(relu(block_norm(x)))
    y = relu(block_norm(y))
    if up:
        y, skip = (keras.layers.UpSampling2D(2)(t) for t in (y, skip))  # nearest
    y = conv(narrow, 3)(y)
    y = conv(narrow, 3)(relu(block_norm(y)))
    y = conv(channels, 1)(relu(block_norm(y)))
    return keras.layers.Add()([y, skip])


def deep_down_block(x, channels, down):
    """Block of BigGAN-deep: missing channels are added to the skip by a convolution."""
    narrow = channels // 4
    y = conv(narrow, 1)(relu(x))
    y = conv(narrow, 3)(relu(y))
    y = relu(conv(narrow, 3)(relu(y)))
    if down:
        y, x = (keras.layers.AveragePooling2D(2)(t) for t in (y, x))
    if missing := channels - x.shape[-1]:
        x = keras.layers.Concatenate()([x, conv(missing, 1)(x)])
    return keras.layers.Add()([conv(channels, 1)(y), x])


def need_chunks(latent_dim, channels):
    """Raises BadInput where z cannot be cut into a chunk for each number of channels."""
    if latent_dim % len(channels):
        raise BadInput(
            f"z is cut into {len(channels)} equal chunks, one for each number in "
            f"model.generator_channels: {latent_dim} in model.latent_dim cannot be cut so."
        )


def matrices_among(weights):
    """The kernels among some weights; biases and gains are left out."""
    return [w for w in weights if len(w.shape) > 1]


def orthogonal_penalty(kernels, weight=1e-4):
    """weight * sum over matrices of |(W W^T) off its diagonal|^2, section 3.1.

    A row of W [outputs, inputs] belongs to an output. |W W^T| equals |W^T W|, so the smaller of the
    two products serves; the diagonal holds the squared norms of the rows.

    Args:
        kernels: [..., outputs] each.
        weight: The paper's beta.
    """
    total = 0.0
    for kernel in kernels:
        w = tf.reshape(kernel, [-1, kernel.shape[-1]])  # [inputs, outputs]
        squares = tf.reduce_sum(tf.square(w), axis=0)
        tall = w.shape[0] > w.shape[1]
        product = tf.matmul(w, w, transpose_a=tall, transpose_b=not tall)
        total += tf.reduce_sum(tf.square(product)) - tf.reduce_sum(tf.square(squares))
    return weight * total


def truncated(z, limit):
    """Normal latents -> latents with |z| <= limit, as if each coordinate were redrawn until inside.

    A coordinate keeps its rank: if Phi(z) is uniform in [0, 1], the result's rank among the values
    inside is Phi(z).

    Args:
        z: [N, D], standard normal.
        limit: A scalar or [N], above 0.
    """
    limit = tf.reshape(tf.cast(limit, "float32"), [-1, 1])
    below = normal_share(-limit)
    # float32 holds small shares far better than those next to 1: the left half, mirrored.
    share = below + normal_share(-tf.abs(z)) * (1.0 - 2.0 * below)
    return tf.sign(z) * tf.minimum(-tf.math.ndtri(share), limit)


def normal_share(x):
    """Phi(x), the share of a standard normal below x."""
    return 0.5 * tf.math.erfc(-x * 0.5**0.5)


def weights_on_z(generator, latent_dim, chunk):
    """The matrix of all first operations on z, [outputs, latent_dim], for SeFa.

    These are the first layer, and the gains and biases of all blocks, each on its part of z.

    Args:
        generator: The network.
        latent_dim: Length of z.
        chunk: Length of one part; that of z where each block sees all of it.
    """
    norms = [n for n in generator.layers if isinstance(n, LinearConditionalNorm)]
    places = [(generator.get_layer("first"), 0)]
    for k, norm in enumerate(norms):
        begin = 0 if chunk == latent_dim else chunk * (1 + k // 2)  # two in each block
        places += [(norm.to_gamma, begin), (norm.to_beta, begin)]
    found = []
    for layer, begin in places:
        inputs = layer.layer.kernel.shape[0]
        slope = layer(tf.eye(inputs)) - layer(tf.zeros([1, inputs]))  # without the bias
        rows = np.zeros([slope.shape[1], latent_dim])
        rows[:, begin : begin + chunk] = tf.transpose(slope[:chunk])
        found.append(rows)
    return np.concatenate(found)


def take_statistics(model, batches, sets=1):
    """Fills the standing statistics of a model's averaged generator, unless they are filled.

    Args:
        model: Its averaged generator ends as `image_of` builds it.
        batches: Number of a set -> iterable of inputs of the generator.
        sets: Number of sets.
    """
    if all(model.generator_ema.get_layer("last_norm").norm.batches.numpy() > 0):
        return
    with model.distribute_strategy.scope(), random.scope(0):
        for k in range(sets):
            accumulate_statistics(model.generator_ema, batches(k), k)


@keras.saving.register_keras_serializable("tfgans")
class BigGAN(LatentModel):
    """BigGAN, in its setting for ImageNet at 128x128.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        num_classes: Length of the label vector.
        embedding_dim: Length of the class embedding that all normalizations share.
        generator_channels: Channels of the first grid, then after each doubling.
        discriminator_channels: Channels of each block, from the image on; with `deep`, of the first
            convolution, then after each halving.
        discriminator_downs: Number of blocks that halve the image, the first ones; with `deep` all
            resolutions but the first follow a halving.
        generator_attention: Height of the maps of G that attend to themselves; 0 for none.
        discriminator_attention: The same for D.
        deep: BigGAN-deep.
        orthogonal_weight: Weight of the orthogonal penalty on G.
        n_critic: Discriminator updates, each on its own batch, per generator update.
        ema_decay: Decay of the averaged generator, from the first step on.
        truncation_law: "redrawn": truncation t is the limit of z. "scaled": z with the limit 2 is
            multiplied by t, up to 1, as the published modules have it.
        truncations: Values of t for which the averaged generator has standing statistics, in
            ascending order, with "scaled" up to 1; the last one stands for no truncation.
        standing_batches: Batches of 64 images in each of these statistics.
        wide_rgb: The last convolution of G has as many outputs as inputs, as in the published
            modules of BigGAN-deep; the first ones are the image.
    """

    def __init__(
        self,
        image_shape=(128, 128, 3),
        latent_dim=120,
        num_classes=1000,
        embedding_dim=128,
        generator_channels=(1536, 1536, 768, 384, 192, 96),
        discriminator_channels=(96, 192, 384, 768, 1536, 1536),
        discriminator_downs=5,
        generator_attention=64,
        discriminator_attention=64,
        deep=False,
        orthogonal_weight=1e-4,
        n_critic=2,
        ema_decay=0.9999,
        truncation_law="redrawn",
        truncations=(0.04, 0.5, 1.0, 2.0, 4.0),
        standing_batches=16,
        wide_rgb=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        need_classes(self)
        if not deep:
            need_chunks(latent_dim, generator_channels)
        self.embedding_dim, self.generator_channels = embedding_dim, generator_channels
        self.discriminator_channels = discriminator_channels
        self.discriminator_downs = discriminator_downs
        self.generator_attention = generator_attention
        self.discriminator_attention = discriminator_attention
        self.deep, self.orthogonal_weight, self.n_critic = deep, orthogonal_weight, n_critic
        if truncation_law not in ("redrawn", "scaled"):
            raise BadInput(
                nearest("truncation_law of BigGAN", str(truncation_law), ["redrawn", "scaled"])
            )
        if truncation_law == "scaled" and max(truncations) > 1.0:
            raise BadInput(
                "With the law 'scaled' a truncation is at most 1, and model.truncations has "
                f"{max(truncations)}: set it, for example to [0.5, 1.0]."
            )
        self.ema_decay, self.truncation_law = ema_decay, truncation_law
        self.truncations, self.standing_batches = truncations, standing_batches
        self.wide_rgb = wide_rgb
        self.batches_per_step = n_critic
        self.generator = build_generator(
            image_shape,
            latent_dim,
            num_classes,
            embedding_dim,
            generator_channels,
            generator_attention,
            deep,
            wide_rgb,
            sets=len(truncations),
        )
        self.discriminator = build_discriminator(
            image_shape,
            num_classes,
            discriminator_channels,
            discriminator_downs,
            discriminator_attention,
            deep,
        )
        need_attention(self.generator, generator_attention)
        need_attention(self.discriminator, discriminator_attention)
        self.generator_ema = self.ema_of(self.generator)

    def default_optimizers(self):
        return {
            "discriminator": Adam(2e-4, beta_1=0.0, beta_2=0.999),
            "generator": Adam(5e-5, beta_1=0.0, beta_2=0.999),
        }

    def generate(self, n):
        """n new images and their labels, each class with the same probability."""
        label = self.random_label(n)
        return self.generator([self.latents(n), label], training=True), label

    def discriminator_loss(self, real, label):
        fake, fake_label = self.generate(real.shape[0])
        both = [tf.concat([real, fake], axis=0), tf.concat([label, fake_label], axis=0)]
        real_score, fake_score = tf.split(self.discriminator(both, training=True), 2)
        return {
            "real": tf.reduce_mean(tf.nn.relu(1.0 - real_score)),
            "fake": tf.reduce_mean(tf.nn.relu(1.0 + fake_score)),
        }

    def generator_loss(self, n):
        fake, label = self.generate(n)
        return {
            "fake": -tf.reduce_mean(self.discriminator([fake, label], training=True)),
            "orthogonal": orthogonal_penalty(self.matrices(), self.orthogonal_weight),
        }

    def matrices(self):
        """The kernels of G that the orthogonal penalty looks at: all but the shared embedding."""
        shared = self.generator.get_layer("shared").kernel
        found = matrices_among(self.generator.trainable_variables)
        return [tf.convert_to_tensor(w) for w in found if w is not shared]

    def train_step(self, data):
        for batch in self.split(data):
            real, label = batch["image"], self.one_hot(batch["label"])
            d = self.update("discriminator", self.discriminator_loss, real, label)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        self.update_ema(self.generator_ema, self.generator, self.ema_decay)
        return d | g

    def call(self, z, label=None, truncation=None):
        """Makes images with the averaged generator, [N, H, W, C] in [-1, 1].

        Args:
            z: [N, latent_dim], standard normal.
            label: Class numbers [N] or label vectors [N, num_classes].
            truncation: A number above 0 or [N], see `truncation_law`; the smaller, the more typical
                the images. None for the full variety.
        """
        if truncation is None:
            truncation = self.truncations[-1]
        else:
            z = self.cut(z, truncation)
        position = self.position(truncation)
        with standing_statistics(position):
            return self.generator_ema([z, self.one_hot(label)], training=False)

    def cut(self, z, truncation):
        """Latents z, cut to a truncation, a scalar or [N]."""
        if self.truncation_law == "redrawn":
            return truncated(z, truncation)
        return truncated(z, 2.0) * tf.reshape(tf.cast(truncation, "float32"), [-1, 1])

    def position(self, truncation):
        """Where a limit lies among `truncations`, from 0 to their number less 1, [N] or []."""
        truncation = tf.cast(truncation, "float32")
        found = tf.zeros_like(truncation)
        for low, high in zip(self.truncations, self.truncations[1:], strict=False):
            found += tf.clip_by_value((truncation - low) / (high - low), 0.0, 1.0)
        return found

    def sample(self, n, seed=None, *, labels=None, truncation=None):
        """As `LatentModel.sample`, with the truncation.

        Args:
            truncation: A number above 0, or one for each image; without it none.
        """
        most = 1.0 if self.truncation_law == "scaled" else np.inf
        if truncation is not None and not (0.0 < np.min(truncation) <= np.max(truncation) <= most):
            raise BadInput(
                "The truncation is above 0 and, with the law 'scaled', at most 1: "
                f"not {truncation}."
            )
        return super().sample(n, seed, labels=labels, truncation=truncation)

    def endpoints(self):
        """Those of `LatentModel`, the first two with the limit of z for each image."""
        z = tf.TensorSpec([None, self.latent_dim], name="z")
        label = tf.TensorSpec([None, self.num_classes], name="label")
        inputs = [z, label, tf.TensorSpec([None], name="truncation")]
        return {
            "serving_default": (lambda *inputs: {"image": self(*inputs)}, inputs),
            "uint8": (lambda *inputs: {"image": to_uint8(self(*inputs))}, inputs),
            "sample": (lambda seed, n: {"image": self.sample(n, seed)}, [SEED, COUNT]),
        }

    def settle(self):
        """Takes the standing statistics of the averaged generator, a set for each truncation.

        Once after a training step, which clears them; those of a file stay until then.
        """

        def batches(k):
            for _ in range(self.standing_batches):
                z = self.cut(self.latents(SETTLE_BATCH), self.truncations[k])
                yield [z, self.random_label(SETTLE_BATCH)]

        take_statistics(self, batches, len(self.truncations))

    def preview(self, batch):
        """Pictures of each class in a column; below them, one latent in each column, more and more.

        The last rows have up to four of `truncations`, from the first on.
        """
        made = super().preview(batch)
        if made.shape.rank != 5:
            return made
        columns, last = made.shape[1], max(len(self.truncations) - 2, 0)
        z, label = self.latents(columns), *self.condition_for(columns)
        shown = [self.truncations[k] for k in sorted({0, last // 3, 2 * last // 3, last})]
        rows = [self(z, label, tf.fill([columns], float(t))) for t in shown]
        return tf.concat([made, tf.stack(rows)], axis=0)

    def weights_on_z(self):
        """The matrix of all first operations on z, [outputs, latent_dim], for SeFa."""
        chunk = self.latent_dim // (1 if self.deep else len(self.generator_channels))
        return weights_on_z(self.generator_ema, self.latent_dim, chunk)

    def singular_values(self, count=3):
        """The `count` largest singular values of each matrix of G and D, largest first.

        They grow slowly in a training that is well, and those of G leap shortly before it collapses
        (section 4). The matrices are the stored ones, before spectral normalization.

        Returns:
            Path of the kernel -> array [count]; shorter for a matrix with fewer rows or columns.
        """
        weights = [*self.generator.trainable_variables, *self.discriminator.trainable_variables]
        return {w.path: largest_singular_values(w.numpy(), count) for w in matrices_among(weights)}

    def watched(self):
        """The largest singular value of all matrices of each player, for the log."""
        return {
            f"{player}/sigma": max(
                float(largest_singular_values(w.numpy(), 1)[0])
                for w in matrices_among(self.weights_of(player))
            )
            for player in self.players()
        }
