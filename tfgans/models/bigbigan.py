"""BigBiGAN — Large Scale Adversarial Representation Learning.

Donahue, Simonyan, NeurIPS 2019, arXiv:1907.02544.

New here: BiGAN with the networks of BigGAN, to learn features of images without labels. D gives
three scores to a pair of an image and a latent: s_x sees the image alone, s_z the latent alone, and
s_xz both. The unary scores hold each marginal law in place, which makes the game stable at this
size. Each score has a hinge loss of its own. The encoder E is a large ResNet on a picture twice as
large as that of G and D, gives a mean and a deviation for each latent, and learns ten times as fast
as G. Its pooled features are those that linear probes read.

Differs from the paper: images come in the size of G. E enlarges them itself (bilinear, by
`encoder_scale`); the paper and the released modules give E pictures of 256x256, and D the same
pictures in half that size. G and E move at once from the same forward pass as two players, because
they have two learning rates; each has the joint loss, of which only its own half has a gradient for
it. The batch of that move is the one on which D moved last. Statistics of batch normalization in E
are those of all replicas, as in G. The deterministic E and the RevNet-50 x4 are not in this file.
Standing statistics of G are means over `standing_batches` batches, as in `biggan.py`.

Not verified: width and depth of H, J and of the head of E, and the order of their parts; where the
strides of E's blocks stand; two moves of D for each of G and E; the learning rate of E; that E has
no averaged weights. They are arguments of the constructor or of `default_optimizers`.

Reference: deepmind/bigbigan-resnet50 on TensorFlow Hub (signatures and names of weights; there is
no published training code), LEGO999/BigBiGAN-TensorFlow2.0 (an unofficial small one).
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.layers.conditional_norm import AffineNorm, standing_statistics
from tfgans.models import biggan
from tfgans.models.biggan import (
    SETTLE_BATCH,
    dense,
    image_of,
    shared_embedding,
    take_statistics,
    trunk,
)
from tfgans.models.latent import LatentModel
from tfgans.models.sagan import need_attention
from tfgans.models.sngan import relu
from tfgans.optimizers import Adam

SCORES = ("image", "latent", "pair")  # s_x, s_z, s_xz


def build_generator(image_shape, latent_dim, embedding_dim, channels, attention):
    """z [N, latent_dim] -> images in [-1, 1]: BigGAN's, with one learnt vector for all images."""
    z = keras.Input([latent_dim], name="z")
    embedding = None
    if embedding_dim:
        embedding = shared_embedding(keras.ops.ones_like(z[:, :1]), embedding_dim)
    image = image_of(z, embedding, image_shape, channels, attention, sets=1)
    return keras.Model(z, image, name="generator")


def residual_mlp(x, width, blocks, dense):
    """Blocks of two dense layers with ReLU, their inputs added: [N, C] -> [N, width]."""
    for _ in range(blocks):
        skip = x if x.shape[-1] == width else dense(width)(x)
        x = relu(dense(width)(relu(dense(width)(x))))
        x = keras.layers.Add()([skip, x])
    return x


def build_discriminator(image_shape, latent_dim, channels, downs, attention, width, blocks):
    """Images and latents -> the scores s_x, s_z and s_xz, [N, 3], all spectrally normalized.

    F is the trunk of BigGAN's D up to the sum over positions; H on the latent and J on the features
    of F and H are MLPs with skips.
    """
    image, z = keras.Input(image_shape, name="image"), keras.Input([latent_dim], name="z")
    maps = relu(trunk(image, channels, downs, attention))
    f = keras.ops.sum(keras.ops.cast(maps, "float32"), axis=[1, 2])
    h = residual_mlp(z, width, blocks, dense)
    j = residual_mlp(keras.layers.Concatenate()([f, h]), width, blocks, dense)
    scores = [dense(1, name=f"theta_{word}", dtype="float32")(x) for word, x in
              zip(SCORES, (f, h, j), strict=True)]  # fmt: skip
    return keras.Model(
        [image, z], keras.layers.Concatenate(dtype="float32")(scores), name="discriminator"
    )


def plain_conv(filters, size, strides=1):
    return keras.layers.Conv2D(
        filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal"
    )


def norm(x):
    return AffineNorm(statistics="cross_replica")(x)


def bottleneck(x, width, strides):
    """Residual block of ResNet-50: 1x1, 3x3 and 1x1 to four times as many channels."""
    skip = x
    if strides > 1 or x.shape[-1] != 4 * width:
        skip = norm(plain_conv(4 * width, 1, strides)(x))
    x = relu(norm(plain_conv(width, 1)(x)))
    x = relu(norm(plain_conv(width, 3, strides)(x)))
    x = norm(plain_conv(4 * width, 1)(x))
    return relu(keras.layers.Add()([x, skip]))


def build_encoder(image_shape, latent_dim, scale, width, groups, head_width, head_blocks):
    """Images -> ([N, 2 latent_dim], features [N, C], normalized features [N, C]).

    The first holds means of latents, and their deviations before softplus. The features are the
    means over positions of the last maps of a ResNet with `groups` blocks at each resolution.
    """
    image = keras.Input(image_shape, name="image")
    x = keras.layers.UpSampling2D(scale, interpolation="bilinear")(image)
    x = relu(norm(plain_conv(width, 7, 2)(x)))
    x = keras.layers.MaxPooling2D(3, 2, "same")(x)
    for k, blocks in enumerate(groups):
        for i in range(blocks):
            x = bottleneck(x, width << k, strides=2 if k and not i else 1)
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    # Only the probe reads these: no gain, no bias, nothing to train.
    normalized = keras.layers.BatchNormalization(
        momentum=0.9, center=False, scale=False, synchronized=True, dtype="float32"
    )(pooled)
    x = residual_mlp(pooled, head_width, head_blocks, keras.layers.Dense)
    law = keras.layers.Dense(2 * latent_dim, dtype="float32")(x)
    return keras.Model(image, [law, pooled, normalized], name="encoder")


@keras.saving.register_keras_serializable("tfgans")
class BigBiGAN(LatentModel):
    """BigBiGAN in its setting for ImageNet, with G at 128x128 and a ResNet-50 at 256x256.

    Args:
        image_shape: (height, width, channels) of the images, for G, D and E.
        latent_dim: Length of z ~ N(0, I).
        constant_embedding: G keeps the class embedding of BigGAN as one learnt vector for all
            images, as the released modules do; without it the normalizations see z alone.
        embedding_dim: Length of this vector.
        generator_channels: Channels of the first grid, then after each doubling.
        discriminator_channels: Channels of each block of F, from the image on.
        discriminator_downs: Number of these blocks that halve the image, the first ones.
        generator_attention: Height of the maps of G that attend to themselves; 0 for none.
        discriminator_attention: The same for F.
        joint_width: Units of the layers of H and J.
        joint_blocks: Blocks of two layers in H, and in J.
        encoder_scale: Factor by which E enlarges the images.
        encoder_width: Channels of E's first convolution; its features have 32 times as many with
            four groups.
        encoder_groups: Residual blocks of E at each resolution.
        head_width: Units of the layers between E's features and the latent.
        head_blocks: Blocks of two such layers.
        n_critic: Moves of D, each on its own batch, for each of G and E.
        ema_decay: Decay of the averaged generator.
        standing_batches: Batches of 64 images in its standing statistics.
    """

    def __init__(
        self,
        image_shape=(128, 128, 3),
        latent_dim=120,
        constant_embedding=True,
        embedding_dim=128,
        generator_channels=(1536, 1536, 768, 384, 192, 96),
        discriminator_channels=(96, 192, 384, 768, 1536, 1536),
        discriminator_downs=5,
        generator_attention=64,
        discriminator_attention=64,
        joint_width=2048,
        joint_blocks=4,
        encoder_scale=2,
        encoder_width=64,
        encoder_groups=(3, 4, 6, 3),
        head_width=4096,
        head_blocks=2,
        n_critic=2,
        ema_decay=0.9999,
        standing_batches=16,
        **kwargs,
    ):
        super().__init__(**kwargs)
        biggan.need_chunks(latent_dim, generator_channels)
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.constant_embedding, self.embedding_dim = constant_embedding, embedding_dim
        self.generator_channels = generator_channels
        self.discriminator_channels = discriminator_channels
        self.discriminator_downs = discriminator_downs
        self.generator_attention = generator_attention
        self.discriminator_attention = discriminator_attention
        self.joint_width, self.joint_blocks = joint_width, joint_blocks
        self.encoder_scale, self.encoder_width = encoder_scale, encoder_width
        self.encoder_groups = encoder_groups
        self.head_width, self.head_blocks = head_width, head_blocks
        self.n_critic, self.ema_decay = n_critic, ema_decay
        self.standing_batches = standing_batches
        self.batches_per_step = n_critic
        self.generator = build_generator(
            image_shape,
            latent_dim,
            embedding_dim if constant_embedding else 0,
            generator_channels,
            generator_attention,
        )
        self.discriminator = build_discriminator(
            image_shape,
            latent_dim,
            discriminator_channels,
            discriminator_downs,
            discriminator_attention,
            joint_width,
            joint_blocks,
        )
        need_attention(self.generator, generator_attention)
        need_attention(self.discriminator, discriminator_attention)
        self.encoder = build_encoder(
            image_shape,
            latent_dim,
            encoder_scale,
            encoder_width,
            encoder_groups,
            head_width,
            head_blocks,
        )
        self.generator_ema = self.ema_of(self.generator)

    def players(self):
        return {
            "discriminator": [self.discriminator],
            "generator": [self.generator],
            "encoder": [self.encoder],
        }

    def default_optimizers(self):
        return {
            "discriminator": Adam(2e-4, beta_1=0.0, beta_2=0.999),
            "generator": Adam(5e-5, beta_1=0.0, beta_2=0.999),
            "encoder": Adam(5e-4, beta_1=0.0, beta_2=0.999),
        }

    def law(self, image, training=False):
        """q(z | x) of an image x: mean and deviation of each latent, both [N, latent_dim]."""
        mean, x = tf.split(self.encoder(image, training=training)[0], 2, axis=1)
        return mean, tf.nn.softplus(x)

    def infer(self, image):
        """Latents of images in training, drawn from N(mean, deviation^2)."""
        mean, deviation = self.law(image, training=True)
        return mean + deviation * random.normal(tf.shape(mean))

    def scores(self, real):
        """s_x, s_z, s_xz of pairs (x, E(x)) of `real` and of as many (G(z), z), [N, 3] each."""
        z = self.latents(real.shape[0])
        images = tf.concat([real, self.generator(z, training=True)], axis=0)
        latents = tf.concat([self.infer(real), z], axis=0)
        return tf.split(self.discriminator([images, latents], training=True), 2)

    def discriminator_loss(self, real):
        """A hinge for each score, of `real` and of fakes; the sum of the scores has none."""
        real_score, fake_score = self.scores(real)
        return by_score(tf.nn.relu(1.0 - real_score) + tf.nn.relu(1.0 + fake_score))

    def joint_loss(self, real):
        """The loss of G and E on `real`: the first part moves E alone, the second G alone."""
        real_score, fake_score = self.scores(real)
        terms = by_score(real_score - fake_score)
        return {"generator": terms, "encoder": terms}

    def train_step(self, data):
        for batch in self.split(data):
            real = batch["image"]
            d = self.update("discriminator", self.discriminator_loss, real)
        both = self.update_together(self.joint_loss, real, players=["generator", "encoder"])
        self.update_ema(self.generator_ema, self.generator, self.ema_decay)
        return d | both

    def call(self, z):
        """Makes images with the averaged generator and its standing statistics."""
        with standing_statistics(0.0):
            return self.generator_ema(z, training=False)

    def encode(self, image):
        """The law of the latents of images: the means "z" and the deviations "deviation"."""
        mean, deviation = self.law(image)
        return {"z": mean, "deviation": deviation}

    def reconstruct(self, image):
        """The generator's images for the means of the latents of images."""
        return self(self.encode(image)["z"])

    def features(self, image):
        """The features that linear probes read.

        Args:
            image: [N, H, W, C] in [-1, 1].

        Returns:
            {"avepool_feat": E's features a [N, F], "bn_crelu_feat": max(0, b) and max(0, -b) side
            by side [N, 2 F], with b = a normalized by its moving averages}.
        """
        _, pooled, b = self.encoder(image, training=False)
        crelu = tf.concat([tf.nn.relu(b), tf.nn.relu(-b)], axis=1)
        return {"avepool_feat": pooled, "bn_crelu_feat": crelu}

    def preview(self, data):
        return self.reconstructions_and_samples(data["image"])

    def endpoints(self):
        image = tf.TensorSpec([None, *self.image_shape], name="image")
        return super().endpoints() | {
            "encode": (self.encode, [image]),
            "reconstruct": (lambda image: {"image": self.reconstruct(image)}, [image]),
            "features": (self.features, [image]),
        }

    def settle(self):
        """Takes the standing statistics of the averaged generator, once after a training step."""
        batches = (self.latents(SETTLE_BATCH) for _ in range(self.standing_batches))
        take_statistics(self, lambda _: batches)

    def weights_on_z(self):
        """The matrix of all first operations on z, [outputs, latent_dim], for SeFa."""
        chunk = self.latent_dim // len(self.generator_channels)
        return biggan.weights_on_z(self.generator_ema, self.latent_dim, chunk)


def by_score(values):
    """The mean of each column of [N, 3], by the name of its score."""
    return dict(zip(SCORES, tf.unstack(tf.reduce_mean(values, axis=0)), strict=True))
