"""SAGAN — Self-Attention Generative Adversarial Networks.

Zhang et al., ICML 2019, arXiv:1805.08318.

New here: convolutions see a neighborhood, and parts that belong together stand far apart. One layer
of self-attention in each network lets every position of a map take from all others what it needs.
Spectral normalization is in the generator too, and D learns four times as fast as G, one move each.

Differs from the paper: in its formulas attention has all positions and no pooling; the authors'
code, followed here, pools what is attended to. Their code differentiates the vectors of the power
iteration; here they are constants, as SNGAN has them. Real and generated images pass D together,
and its power iteration advances in both players' moves. Their code leaves Adam's beta_2 at 0.999;
the paper's 0.9 stands here. Samples are made with the moving averages of batch normalization.

Reference: brain-research/self-attention-gan.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.conditional_norm import ConditionalBatchNorm
from tfgans.layers.self_attention import SelfAttention
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.inputs import need_classes
from tfgans.models.latent import LatentModel
from tfgans.models.sngan import down_block, relu, up_block
from tfgans.optimizers import Adam
from tfgans.shapes import halved


def conv(filters, kernel_size, kind=keras.layers.Conv2D, start="glorot_uniform", **kwargs):
    layer = kind(filters, kernel_size, padding="same", kernel_initializer=start, **kwargs)
    return SpectralNorm(layer)


def dense(units, name=None, start="glorot_uniform", **kwargs):
    return SpectralNorm(keras.layers.Dense(units, kernel_initializer=start, **kwargs), name=name)


def with_attention(x, side, start="glorot_uniform"):
    """Self-attention behind the block whose maps are `side` pixels high; the others pass."""
    return SelfAttention(name="attention", kernel_initializer=start)(x) if x.shape[1] == side else x


def build_generator(
    image_shape, latent_dim, num_classes, channels, attention, momentum, last_momentum
):
    """z [N, latent_dim] and label vectors [N, num_classes] -> images in [-1, 1]."""
    z, label = keras.Input([latent_dim], name="z"), keras.Input([num_classes], name="label")
    grid_channels, *blocks = channels
    grid = halved(image_shape, len(blocks))
    x = keras.layers.Reshape([*grid, grid_channels])(dense(grid[0] * grid[1] * grid_channels)(z))

    def block_norm(x):
        return ConditionalBatchNorm(momentum=momentum, epsilon=1e-5)(x, label)

    for width in blocks:
        x = with_attention(up_block(x, width, block_norm, conv), attention)
    x = keras.layers.BatchNormalization(momentum=last_momentum, epsilon=1e-5)(x)
    image = conv(image_shape[2], 3, activation="tanh", dtype="float32")(relu(x))
    return keras.Model([z, label], image, name="generator")


def projected_score(x, label, dense):
    """Maps and label vectors -> dense(h) + <embedding of the label, h>, h summed over positions.

    Args:
        x: [N, H, W, C].
        label: [N, num_classes].
        dense: Number of units -> a normalized layer.
    """
    h = keras.ops.sum(keras.ops.cast(relu(x), "float32"), axis=[1, 2])  # [N, C]
    v = dense(h.shape[-1], use_bias=False, dtype="float32", name="embedding")(label)
    product = keras.layers.Dot(axes=1, dtype="float32")([v, h])
    return dense(1, dtype="float32", name="psi")(h) + product


def build_discriminator(image_shape, num_classes, channels, attention):
    """Images and label vectors -> scores [N, 1]; all blocks but the last halve the image."""
    image = keras.Input(image_shape, name="image")
    label = keras.Input([num_classes], name="label")
    x = image
    for k, width in enumerate(channels):
        x = down_block(x, width, k < len(channels) - 1, first=k == 0, wide=True, conv=conv)
        x = with_attention(x, attention)
    return keras.Model([image, label], projected_score(x, label, dense), name="discriminator")


def need_attention(network, side):
    """Raises BadInput where self-attention is wanted and no block has maps of that height."""
    if side and not any(isinstance(layer, SelfAttention) for layer in network.layers):
        blocks = [layer for layer in network.layers if isinstance(layer, keras.layers.Add)]
        found = {layer.output.shape[1] for layer in blocks}
        raise BadInput(
            f"No block of the {network.name} has maps {side} pixels high behind it; there are maps "
            f"of {', '.join(map(str, sorted(found)))}. Choose attention among them, or 0 for none."
        )


@keras.saving.register_keras_serializable("tfgans")
class SAGAN(LatentModel):
    """Class-conditional GAN with self-attention, in its setting for ImageNet at 128x128.

    Args:
        image_shape: (height, width, channels) of the images.
        latent_dim: Length of z ~ N(0, I).
        num_classes: Length of the label vector.
        generator_channels: Channels of the first grid, then of each block that doubles it.
        discriminator_channels: Channels of each block, from the image on; all but the last halve.
        attention: Height of the maps that attend to themselves, in both networks; 0 for none.
        momentum: Decay of the moving averages of conditional batch normalization.
        last_momentum: The same for the last batch normalization.
    """

    def __init__(
        self,
        image_shape=(128, 128, 3),
        latent_dim=128,
        num_classes=1000,
        generator_channels=(1024, 1024, 512, 256, 128, 64),
        discriminator_channels=(64, 128, 256, 512, 1024, 1024),
        attention=64,
        momentum=0.999,
        last_momentum=0.9999,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        need_classes(self)
        self.generator_channels = generator_channels
        self.discriminator_channels = discriminator_channels
        self.attention = attention
        self.momentum, self.last_momentum = momentum, last_momentum
        self.generator = build_generator(
            image_shape,
            latent_dim,
            num_classes,
            generator_channels,
            attention,
            momentum,
            last_momentum,
        )
        self.discriminator = build_discriminator(
            image_shape, num_classes, discriminator_channels, attention
        )
        need_attention(self.generator, attention)
        need_attention(self.discriminator, attention)

    def default_optimizers(self):
        return {
            "discriminator": Adam(4e-4, beta_1=0.0, beta_2=0.9),
            "generator": Adam(1e-4, beta_1=0.0, beta_2=0.9),
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
        return {"fake": -tf.reduce_mean(self.discriminator([fake, label], training=True))}

    def train_step(self, data):
        real, label = data["image"], self.one_hot(data["label"])
        d = self.update("discriminator", self.discriminator_loss, real, label)
        g = self.update("generator", self.generator_loss, n=real.shape[0])
        return d | g

    def looks(self, z, label):
        """Images, and where each position of their maps looks, [N, h, w, h', w'].

        Args:
            z: [N, latent_dim].
            label: Class numbers [N] or label vectors [N, num_classes].
        """
        layer = self.generator.get_layer("attention")
        network = keras.Model(self.generator.inputs, [self.generator.output, layer.input])
        image, maps = network([z, self.one_hot(label)], training=False)
        return image, layer.attention(maps)

    def endpoints(self):
        """Those of `LatentModel`, and the maps of attention beside the images."""
        found = super().endpoints()
        if self.attention:
            _, inputs = found["serving_default"]
            found["attention"] = (self.attended, inputs)
        return found

    def attended(self, z, label):
        image, weights = self.looks(z, label)
        return {"image": image, "attention": weights}

    def preview(self, batch):
        """Pictures of each class in a column; below them, where two of their positions look.

        The last four rows are one picture for each column with a gray mark in its middle, and where
        this position looks, from black to white for most; then the same for a position near a
        corner.
        """
        made = super().preview(batch)
        if not self.attention or made.shape.rank != 5:
            return made
        rows = list(made)
        columns = made.shape[1]
        image, weights = self.looks(self.latents(columns), *self.condition_for(columns))
        for part in (0.5, 0.15):
            rows += [marked(image.numpy(), part), seen(weights.numpy(), part, self.image_shape)]
        return tf.stack(rows)


def marked(image, part):
    """Images [N, H, W, C] with a gray square at a part of their height and width."""
    image = image.copy()
    height, width = image.shape[1:3]
    size = max(height // 16, 1)
    y, x = int(part * height), int(part * width)
    image[:, y - size : y + size, x - size : x + size] = 0.0
    return image


def seen(weights, part, image_shape):
    """Where the position at a part of height and width looks, as images in [-1, 1].

    Args:
        weights: [N, h, w, h', w'].
        part: From 0 to 1.
        image_shape: (height, width, channels) of the result.
    """
    height, width, channels = image_shape
    share = weights[:, int(part * weights.shape[1]), int(part * weights.shape[2])]  # [N, h', w']
    share = 2.0 * share / share.max(axis=(1, 2), keepdims=True) - 1.0
    rows = np.arange(height) * share.shape[1] // height
    columns = np.arange(width) * share.shape[2] // width
    return np.repeat(share[:, rows][:, :, columns, None], channels, axis=3)
