"""GauGAN — Semantic Image Synthesis with Spatially-Adaptive Normalization (SPADE).

Park et al., CVPR 2019, arXiv:1903.07291.

New here: the label map is no input that normalization can wash out. After each normalization it
says how much each pixel is scaled and shifted (SPADE), so the network needs no way down: it begins
with a few pixels, the map's own or a code z, and doubles them. With an encoder, z comes from a
photograph and stands for its style, and the label map for its content.

Differs from the paper: without a file of VGG19's weights a small network stands in for it, which is
printed (`features/perceptual.py`). In use, the code of a style is the mean that the encoder finds,
where the authors draw around it; so the same photograph gives the same style.

Reference: NVlabs/SPADE.
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.data.label_maps import in_colors
from tfgans.errors import BadInput, nearest
from tfgans.features import perceptual
from tfgans.images import table
from tfgans.layers.conditional_norm import SpatialConditionalNorm
from tfgans.layers.instance_norm import instance_norm
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.pix2pixhd import (
    VGG_WEIGHTS,
    build_discriminator,
    feature_matching,
    judged,
    maps_of,
)
from tfgans.models.translation import PREVIEW, TranslationModel
from tfgans.ops.label_maps import semantics
from tfgans.ops.resample import resize_nearest
from tfgans.optimizers import Adam, HoldThenDecay
from tfgans.shapes import halved

DOUBLINGS = {"normal": 5, "more": 6, "most": 7}
STYLES = 3  # styles that a preview shows


def initializer():
    """Glorot's normal distribution with a gain of 0.02."""
    return keras.initializers.VarianceScaling(0.02**2, "fan_avg", "untruncated_normal")


def conv(x, filters, size, stride=1, normed=lambda layer: layer, **kwargs):
    """A convolution padded by size // 2 on all sides, as PyTorch does it where it halves, too."""
    layer = keras.layers.Conv2D(filters, size, stride, kernel_initializer=initializer(), **kwargs)
    return normed(layer)(keras.layers.ZeroPadding2D(size // 2)(x))


def build_generator(input_shape, channels, width, doublings, latent_dim, spade_width):
    """Semantics (and codes z [N, latent_dim], if that is above 0) -> images in [-1, 1].

    Args:
        input_shape: (height, width, channels) of the semantics.
        channels: Channels of the images.
        width: Channels of the last block; the first ones have 16 times as many.
        doublings: Doublings from the first grid to the image.
        latent_dim: Length of z; 0 for a start from the semantics.
        spade_width: Channels between semantics and the scales and shifts of SPADE.
    """
    rows, columns = (side >> doublings for side in input_shape[:2])
    seen = keras.Input(input_shape)

    def spade(x, active=True):
        layer = SpatialConditionalNorm(
            spade_width, initializer(), statistics="cross_replica", momentum=0.9, epsilon=1e-5
        )
        return keras.layers.LeakyReLU(0.2)(layer(x, seen)) if active else layer(x, seen)

    def block(x, filters):
        least = min(x.shape[-1], filters)
        y = conv(spade(x), least, 3, normed=SpectralNorm)
        y = conv(spade(y), filters, 3, normed=SpectralNorm)
        if x.shape[-1] != filters:
            x = conv(spade(x, active=False), filters, 1, normed=SpectralNorm, use_bias=False)
        return keras.layers.Add()([x, y])

    def up(x):
        return keras.layers.UpSampling2D()(x)

    first = 16 * width
    if latent_dim:
        z = keras.Input([latent_dim])
        x = keras.layers.Dense(rows * columns * first, kernel_initializer=initializer())(z)
        x = keras.layers.Reshape([rows, columns, first])(x)
    else:
        x = conv(Smaller(rows, columns)(seen), first, 3)
    x = up(block(x, first))
    x = block(x, first)
    x = block(up(x) if doublings > 5 else x, first)
    for filters in (8 * width, 4 * width, 2 * width, width):
        x = block(up(x), filters)
    if doublings > 6:
        x = block(up(x), width // 2)
    image = conv(keras.layers.LeakyReLU(0.2)(x), channels, 3, activation="tanh", dtype="float32")
    return keras.Model([seen, z] if latent_dim else [seen], image, name="generator")


class Smaller(keras.layers.Layer):
    """Resizes label maps to a grid by nearest neighbors.

    Args:
        rows: Rows of the grid.
        columns: Columns of the grid.
    """

    def __init__(self, rows, columns, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.columns = rows, columns

    def call(self, x):
        return resize_nearest(x, self.rows, self.columns)


def build_encoder(side, channels, width, latent_dim):
    """Square photographs -> the mean and the log of the variance of z, [N, 2 latent_dim].

    Args:
        side: Rows and columns of the photographs, halved to 4.
        channels: Channels of the photographs.
        width: Channels of the first layer; they double up to 8 times that.
        latent_dim: Length of z.
    """
    image = keras.Input([side, side, channels])
    x = image
    for i in range(side.bit_length() - 3):
        x = conv(x, width * min(2**i, 8), 3, 2, normed=SpectralNorm, use_bias=False)
        x = keras.layers.LeakyReLU(0.2)(instance_norm()(x))
    dense = keras.layers.Dense(2 * latent_dim, kernel_initializer=two_matrices, dtype="float32")
    return keras.Model(image, dense(keras.layers.Flatten()(x)), name="encoder")


@keras.saving.register_keras_serializable("tfgans")
def two_matrices(shape, dtype=None):
    """The kernel of the mean and that of the variance, side by side, each with its own start."""
    rows, columns = shape
    return tf.concat([initializer()([rows, columns // 2], dtype) for _ in range(2)], axis=1)


@keras.saving.register_keras_serializable("tfgans")
class GauGAN(TranslationModel):
    """Makes photographs from label maps, in the style of another photograph if wanted.

    Args:
        image_shape: (height, width, channels) of the photographs.
        num_labels: Number of classes in the label maps.
        unlabeled: If true, pixels may have no class; they are one more channel.
        instances: If true, the borders between objects are an input.
        legend: Name and color of each class, [[name, [r, g, b]], ...], for pictures of label maps;
            without it they have colors of their own.
        width: Channels of the first layer of discriminators and encoder, and of the last block of
            the generator.
        upsampling: "normal" begins with 1/32 of both sides, "more" with 1/64, "most" with 1/128.
        encoder: If true, photographs give the style.
        encoder_side: Rows and columns of the photographs that the encoder sees, a power of 2.
        latent_dim: Length of z, for the encoder.
        spade_width: Channels between label map and the scales and shifts of SPADE.
        scales: Scales that are judged.
        halvings: Stages of a discriminator that halve the image.
        matching_weight: Weight of feature matching.
        perceptual_weight: Weight of the distance in VGG19; 0 leaves it out.
        divergence_weight: Weight of the divergence of z from normal numbers.
        vgg: Path of VGG19's weights, of Keras or torchvision; "" for the stand-in.
        hold_steps: Steps at the full learning rate.
        decay_steps: Steps over which it then falls to 0.
    """

    data_kind = "label_maps"

    def __init__(
        self,
        image_shape=(256, 256, 3),
        num_labels=182,
        unlabeled=True,
        instances=True,
        legend=None,
        width=64,
        upsampling="normal",
        encoder=False,
        encoder_side=256,
        latent_dim=256,
        spade_width=128,
        scales=2,
        halvings=3,
        matching_weight=10.0,
        perceptual_weight=10.0,
        divergence_weight=0.05,
        vgg="",
        hold_steps=369_600,
        decay_steps=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if upsampling not in DOUBLINGS:
            raise BadInput(nearest("upsampling of GauGAN", str(upsampling), DOUBLINGS))
        halved(image_shape, DOUBLINGS[upsampling])  # raises BadInput where that is not possible
        if encoder and (encoder_side < 8 or encoder_side & (encoder_side - 1)):
            raise BadInput(f"model.encoder_side is a power of 2 from 8 on, not {encoder_side}.")
        self.image_shape, self.num_labels, self.unlabeled = image_shape, num_labels, unlabeled
        self.instances, self.legend, self.width = instances, legend, width
        self.upsampling, self.encoder, self.encoder_side = upsampling, encoder, encoder_side
        self.latent_dim, self.spade_width, self.scales = latent_dim, spade_width, scales
        self.halvings, self.matching_weight = halvings, matching_weight
        self.perceptual_weight, self.divergence_weight = perceptual_weight, divergence_weight
        self.vgg, self.hold_steps, self.decay_steps = vgg, hold_steps, decay_steps
        self.channels = num_labels + unlabeled
        seen, (*size, colors) = self.channels + instances, image_shape
        self.generator = build_generator(
            (*size, seen),
            colors,
            width,
            DOUBLINGS[upsampling],
            latent_dim if encoder else 0,
            spade_width,
        )
        self.discriminators = [  # the finest scale first
            build_discriminator(
                (None, None, seen + colors),
                width,
                halvings,
                normed=SpectralNorm,
                use_bias=False,
                start=initializer,
                name=f"discriminator_{k + 1}",
            )
            for k in range(scales)
        ]
        if encoder:
            self.style_encoder = build_encoder(encoder_side, colors, width, latent_dim)
        if perceptual_weight:
            self.look = self.frozen(*perceptual.network(vgg, prepare=False))

    def players(self):
        encoder = [self.style_encoder] if self.encoder else []
        return {"discriminators": self.discriminators, "generator": [self.generator, *encoder]}

    def default_optimizers(self):
        def adam(rate):
            if self.decay_steps:
                rate = HoldThenDecay(rate, self.hold_steps, self.decay_steps)
            return Adam(rate, beta_1=0.0, beta_2=0.9)

        return {"discriminators": adam(4e-4), "generator": adam(1e-4)}

    # The networks.

    def draw(self, seen, z=None, training=False):
        """Photographs of semantics, `seen`, and of codes z [N, latent_dim] with an encoder."""
        return self.generator([seen, z] if self.encoder else [seen], training=training)

    def encode(self, image, training=False):
        """The mean and the log variance of the z of each image, [N, latent_dim] both."""
        side = self.encoder_side
        if image.shape[1:3] != (side, side):
            image = tf.image.resize(image, [side, side])
        return tf.split(self.style_encoder(image, training=training), 2, axis=1)

    # The game.

    def divergence(self, mean, log_variance):
        """KL(N(mean, exp(log_variance)) || N(0, 1)): a sum over z, and over the whole batch."""
        own = 0.5 * tf.reduce_sum(tf.square(mean) + tf.math.expm1(log_variance) - log_variance)
        # The mean over replicas and parts that is to come makes this the sum.
        return own * tf.distribute.get_strategy().num_replicas_in_sync * self.accumulate

    def fakes(self, seen, target):
        """Photographs of semantics, `seen`, in the styles of a target; the terms of their codes."""
        if not self.encoder:
            return self.draw(seen, training=True), {}
        mean, log_variance = self.encode(target, training=True)
        z = mean + tf.exp(0.5 * log_variance) * random.normal([target.shape[0], self.latent_dim])
        kl = self.divergence_weight * self.divergence(mean, log_variance)
        return self.draw(seen, z, training=True), {"divergence": kl}

    def compare(self, seen, fake, real):
        """The findings in fakes and in real images, which pass as one batch, at each scale.

        Args:
            seen: Semantics [N, H, W, K].
            fake, real: Images [N, H, W, C].
        """
        pairs = []
        for found in judged(
            self.discriminators, tf.tile(seen, [2, 1, 1, 1]), tf.concat([fake, real], 0)
        ):
            halves = {name: tf.split(x, 2, axis=0) for name, x in found.items()}
            pairs.append([{name: x[k] for name, x in halves.items()} for k in range(2)])
        return pairs

    def generator_loss(self, labels, instances, target):
        seen = semantics(labels, instances, self.channels)
        fake, terms = self.fakes(seen, target)
        pairs = self.compare(seen, fake, target)
        scores = [tf.reduce_mean(found["score"]) for found, _ in pairs]
        matching = [feature_matching(*pair) for pair in pairs]
        terms["fake"] = -tf.add_n(scores) / self.scales
        terms["features"] = self.matching_weight * tf.add_n(matching) / self.scales
        if self.perceptual_weight:
            distance = perceptual.distance(self.look, fake, target, VGG_WEIGHTS)
            terms["perceptual"] = self.perceptual_weight * distance
        return terms

    def discriminators_loss(self, labels, instances, target):
        seen = semantics(labels, instances, self.channels)
        fake, _ = self.fakes(seen, target)
        pairs = self.compare(seen, fake, target)
        real = [tf.reduce_mean(tf.nn.relu(1.0 - found["score"])) for _, found in pairs]
        fake = [tf.reduce_mean(tf.nn.relu(1.0 + found["score"])) for found, _ in pairs]
        return {"real": tf.add_n(real) / self.scales, "fake": tf.add_n(fake) / self.scales}

    def train_step(self, data):
        given = data["map"], data.get("instances"), data["target"]
        g = self.update("generator", self.generator_loss, *given)
        d = self.update("discriminators", self.discriminators_loss, *given)
        return g | d

    # Use.

    def photograph(self, labels, *rest):
        """Photographs of label maps, in the styles of others with an encoder.

        Args:
            labels: Class numbers, int32 [N, H, W]; unlabeled pixels have the number num_labels.
            rest: Instances, int32 [N, H, W], if the model takes them; photographs [N, H, W, C] in
                [-1, 1] of any content, whose style is wanted, if there is an encoder.
        """
        if not self.encoder:
            return self.draw(semantics(labels, *rest or [None], self.channels))
        *instances, style = rest
        mean, _ = self.encode(style)
        return self.from_code(labels, *instances, mean)

    def from_code(self, labels, *rest):
        """Photographs of `labels` and of `rest`: instances, if any, and codes [N, latent_dim]."""
        *instances, z = rest
        seen = semantics(labels, *instances or [None], self.channels)
        return self.draw(seen, tf.convert_to_tensor(z))

    def directions(self):
        style = {"target": self.image_spec("style")} if self.encoder else {}
        return {"translate": (maps_of(self) | style, self.photograph)}

    def endpoints(self):
        found = super().endpoints()
        if self.encoder:
            z = tf.TensorSpec([None, self.latent_dim], name="z")

            def generate(*given):
                return {"image": self.from_code(*given)}

            found["generate"] = generate, [*maps_of(self).values(), z]
        return found

    def preview(self, batch):
        """Rows of map, target and image; with an encoder, images in the styles of the first row."""
        n = PREVIEW // 2 if self.encoder else PREVIEW
        given = [batch[key][:n] for key in maps_of(self)]
        target = batch["target"][:n]
        columns = [in_colors(given[0], self.channels, self.legend), target]
        if not self.encoder:
            return table(*columns, self.photograph(*given))
        white = tf.ones_like(target[:1])
        columns = [tf.concat([white, column], axis=0) for column in columns]
        for k in range(min(STYLES, len(target))):
            style = target[k : k + 1]
            made = self.photograph(*given, tf.repeat(style, len(target), axis=0))
            columns.append(tf.concat([style, made], axis=0))
        return table(*columns)
