"""UNIT — Unsupervised Image-to-Image Translation Networks.

Liu, Breuel, Kautz, NIPS 2017, arXiv:1703.00848.

New here: both domains have one space of codes. Two VAE-GANs share the layers that are far from the
pixels, the last of the encoders and the first of the decoders, so a code says the content and not
the domain. A translation is the code of one domain in the decoder of the other one. A code is
N(mean, 1), so the KL divergence to the prior N(0, 1) is mean^2 / 2.

    a -> encoder_a \\                                        / decoder_a -> a
                     encoder_shared -> + noise -> decoder_shared
    b -> encoder_b /                                        \\ decoder_b -> b

Differs from the paper: networks, weights of the terms and their order are those of the authors'
code of 2017 (branch version_02), in its setting for animals and for streets; there the KL terms
lack the factor 1/2, and are taken of the noisy code, which adds a constant. Biases start at 0. The
code's later branch, which shares no layer, its D of three scales, and its small networks for digits
with classes are not built.

Not verified: the paper's figures for digits (90.53 % from SVHN to MNIST) are as known.

Reference: mingyuliutw/UNIT, branch version_02 (src/trainers/cocogan_nets.py, cocogan_trainer.py,
exps/unit/corgi2husky.yaml, blondhair.yaml).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import images
from tfgans.errors import BadInput
from tfgans.layers.gaussian_noise import GaussianNoise
from tfgans.layers.instance_norm import instance_norm
from tfgans.models.cyclegan import doubled, l1, residual
from tfgans.models.pix2pix import initializer
from tfgans.models.translation import TranslationModel
from tfgans.optimizers import Adam
from tfgans.shapes import halved

HALVINGS = 2  # of the encoders
SHOWN = 4  # rows of each domain in a sample grid, at most


def conv(x, filters, size=3, strides=1, **kwargs):
    """A convolution of an image with a border of zeros."""
    if size > 1:
        x = keras.layers.ZeroPadding2D(size // 2)(x)
    return keras.layers.Conv2D(filters, size, strides, kernel_initializer=initializer(), **kwargs)(
        x
    )


def leaky(x):
    return keras.layers.LeakyReLU(0.01)(x)


def activated(x, normalized):
    return keras.layers.ReLU()(instance_norm()(x)) if normalized else leaky(x)


def residuals(x, blocks):
    for _ in range(blocks):
        x = residual(x, conv=conv)
    return x


def build_encoder(image_shape, width, blocks, normalized, name):
    """Images in [-1, 1] -> maps [N, H / 4, W / 4, 4 width], the own part of an encoder."""
    halved(image_shape, HALVINGS)  # raises BadInput where that is not possible
    image = keras.Input(image_shape, name="image")
    x = leaky(conv(image, width, 7))
    for k in range(1, HALVINGS + 1):
        x = activated(conv(x, width << k, strides=2), normalized)
    return keras.Model(image, residuals(x, blocks), name=name)


def build_shared(map_shape, blocks, name):
    """Maps -> maps: the end of both encoders, which is the mean, or the start of both decoders."""
    x = keras.Input(map_shape)
    return keras.Model(x, residuals(x, blocks), name=name)


def build_decoder(map_shape, channels, blocks, normalized, name):
    """Maps -> images in [-1, 1] of `channels` channels, the own part of a decoder."""
    inputs = keras.Input(map_shape)
    x = residuals(inputs, blocks)
    for _ in range(HALVINGS):
        x = activated(doubled(x, x.shape[-1] // 2), normalized)
    image = conv(x, channels, 1, activation="tanh", dtype="float32")
    return keras.Model(inputs, image, name=name)


def build_discriminators(image_shape, width, layers, shared):
    """Two networks, images -> scores of patches [N, h, w, 1]; each layer halves the image.

    Args:
        image_shape: (height, width, channels).
        width: Channels of the first layer; each further one has twice as many.
        layers: Number of layers before the score.
        shared: So many of them, and the score, are the same for both domains; 0 for none. Then the
            first kernel has 7x7 pixels in place of 3x3, as in the code.
    """

    def made(k):
        size = 7 if shared and k == 0 else 3
        kernel = keras.layers.Conv2D(width << k, size, strides=2, kernel_initializer=initializer())
        return [keras.layers.ZeroPadding2D(size // 2), kernel, keras.layers.LeakyReLU(0.01)]

    def score():
        return keras.layers.Conv2D(1, 1, kernel_initializer=initializer(), dtype="float32")

    if not 0 <= shared < layers:
        raise BadInput(
            f"D shares {shared} of its {layers} layers: set model.shared_layers to a number from 0 "
            f"to {layers - 1}."
        )
    common = [layer for k in range(layers - shared, layers) for layer in made(k)]
    common += [score()] if shared else []
    found = []
    for domain in "ab":
        image = x = keras.Input(image_shape, name="image")
        own = [layer for k in range(layers - shared) for layer in made(k)]
        for layer in [*own, *(common or [score()])]:
            x = layer(x)
        found.append(keras.Model(image, x, name=f"discriminator_{domain}"))
    return found


def mean_square(x):
    return tf.reduce_mean(tf.square(tf.cast(x, "float32")))


def rows_by_codes(model, batch):
    """Rows of image, reconstruction, translation, and the way back, by `encode` and `decode`.

    Args:
        model: It has one space of codes for the domains "a" and "b".
        batch: "a" and "b" -> images [N, H, W, C] in [-1, 1]; the first few of each are shown.
    """
    rows = []
    for own, other in (("a", "b"), ("b", "a")):
        image = tf.convert_to_tensor(batch[own][:SHOWN])
        code = model.encode(image, own)
        fake = model.decode(code, other)
        back = model.decode(model.encode(fake, other), own)
        rows.append(images.table(image, model.decode(code, own), fake, back))
    return np.concatenate(rows)


def encoders_of(model):
    """The endpoints "encode" for images of "a" and "encode_b" for those of "b"."""
    image = [model.image_spec()]
    return {
        "encode": (lambda image: {"code": model.encode(image, "a")}, image),
        "encode_b": (lambda image: {"code": model.encode(image, "b")}, image),
    }


@keras.saving.register_keras_serializable("tfgans")
class UNIT(TranslationModel):
    """Two VAE-GANs with one space of codes, in the authors' setting for animals at 216x216.

    Args:
        image_shape: (height, width, channels) of the images of both domains, sides multiples of 4.
        width: Channels at full resolution, and of D after its first layer.
        blocks: Residual blocks of each encoder, and of each decoder.
        shared_blocks: Residual blocks that the encoders share, and again the decoders.
        normalized: Instance normalization and ReLU where encoders halve the image and decoders
            double it; False for leaky ReLU alone, the code's choice for faces.
        discriminator_layers: Halvings in D.
        shared_layers: The last so many of them are the same for both domains: 4 in the code for
            faces.
        adversarial_weight: Weight of the game, in both players' losses.
        reconstruction_weight: Weight of the distance between images and their reconstructions.
        kl_weight: Weight of the squares of the codes of images.
        cycle_weight: Weight of the distance after the way there and back.
        kl_cycle_weight: Weight of the squares of the codes of translations.
        weight_decay: Factor of w^2 / 2 in both losses.
    """

    data_kind = "unpaired"

    def __init__(
        self,
        image_shape=(216, 216, 3),
        width=64,
        blocks=3,
        shared_blocks=1,
        normalized=True,
        discriminator_layers=6,
        shared_layers=0,
        adversarial_weight=10.0,
        reconstruction_weight=100.0,
        kl_weight=0.1,
        cycle_weight=100.0,
        kl_cycle_weight=0.1,
        weight_decay=1e-4,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.width, self.blocks = image_shape, width, blocks
        self.shared_blocks, self.normalized = shared_blocks, normalized
        self.discriminator_layers, self.shared_layers = discriminator_layers, shared_layers
        self.adversarial_weight, self.weight_decay = adversarial_weight, weight_decay
        self.reconstruction_weight, self.kl_weight = reconstruction_weight, kl_weight
        self.cycle_weight, self.kl_cycle_weight = cycle_weight, kl_cycle_weight
        self.encoder_a, self.encoder_b = (
            build_encoder(image_shape, width, blocks, normalized, name)
            for name in ("encoder_a", "encoder_b")
        )
        maps = self.encoder_a.output.shape[1:]
        self.encoder_shared = build_shared(maps, shared_blocks, "encoder_shared")
        self.noise = GaussianNoise(1.0)
        self.decoder_shared = build_shared(maps, shared_blocks, "decoder_shared")
        self.decoder_a, self.decoder_b = (
            build_decoder(maps, image_shape[2], blocks, normalized, name)
            for name in ("decoder_a", "decoder_b")
        )
        self.discriminator_a, self.discriminator_b = build_discriminators(
            image_shape, width, discriminator_layers, shared_layers
        )

    def players(self):
        encoders = [self.encoder_a, self.encoder_b, self.encoder_shared]
        decoders = [self.decoder_shared, self.decoder_a, self.decoder_b]
        return {
            "discriminators": [self.discriminator_a, self.discriminator_b],
            "generators": [*encoders, *decoders],
        }

    def default_optimizers(self):
        return {player: Adam(1e-4, beta_1=0.5) for player in self.players()}

    def mean(self, image, domain, training=True):
        """The mean of the codes of an image of a domain, "a" or "b", [N, H / 4, W / 4, 4 width]."""
        encoder = self.encoder_a if domain == "a" else self.encoder_b
        return self.encoder_shared(encoder(image, training=training), training=training)

    def decoded(self, *means):
        """Codes as images in A, and as images in B.

        Both see the same noise.

        Args:
            means: Means of the codes of one batch, or of several.
        """
        code = tf.concat([self.noise(mean, training=True) for mean in means], axis=0)
        maps = self.decoder_shared(code, training=True)
        return self.decoder_a(maps, training=True), self.decoder_b(maps, training=True)

    def crossed(self, a, b):
        """The means of `a` and `b`, reconstructions a and b, translations to a and to b."""
        means = self.mean(a, "a"), self.mean(b, "b")
        in_a, in_b = self.decoded(*means)
        same_a, fake_a = tf.split(in_a, 2)
        fake_b, same_b = tf.split(in_b, 2)
        return means, (same_a, same_b), (fake_a, fake_b)

    def discriminators_loss(self, a, b):
        """The terms on `a` and `b`: only translations are fakes; reconstructions are not judged."""
        _, _, (fake_a, fake_b) = self.crossed(a, b)
        terms = {}
        for word, judge, real, fake in (
            ("a", self.discriminator_a, a, fake_a),
            ("b", self.discriminator_b, b, fake_b),
        ):
            real_score, fake_score = judge(real, training=True), judge(fake, training=True)
            terms[word] = self.adversarial_weight * (
                tf.reduce_mean(tf.nn.softplus(-real_score))
                + tf.reduce_mean(tf.nn.softplus(fake_score))
            )
        return terms | self.decay("discriminators", self.weight_decay)

    def generators_loss(self, a, b):
        means, (same_a, same_b), (fake_a, fake_b) = self.crossed(a, b)
        mean_ab, mean_ba = self.mean(fake_b, "b"), self.mean(fake_a, "a")
        back_a, _ = self.decoded(mean_ab)
        _, back_b = self.decoded(mean_ba)
        scores = (
            self.discriminator_a(fake_a, training=True),
            self.discriminator_b(fake_b, training=True),
        )
        fooled = tf.add_n([tf.reduce_mean(tf.nn.softplus(-score)) for score in scores])
        return {
            "fake": self.adversarial_weight * fooled,
            "reconstruction": self.reconstruction_weight * (l1(same_a, a) + l1(same_b, b)),
            "kl": self.kl_weight * tf.add_n([mean_square(mean) for mean in means]),
            "cycle": self.cycle_weight * (l1(back_a, a) + l1(back_b, b)),
            "kl_cycle": self.kl_cycle_weight * (mean_square(mean_ab) + mean_square(mean_ba)),
        } | self.decay("generators", self.weight_decay)

    def train_step(self, data):
        a, b = data["a"], data["b"]
        d = self.update("discriminators", self.discriminators_loss, a, b)
        return d | self.update("generators", self.generators_loss, a, b)

    def encode(self, image, domain="a"):
        """The codes of images, without noise: [N, H / 4, W / 4, 4 width].

        Args:
            image: [N, H, W, C] in [-1, 1].
            domain: "a" or "b", that of the images.
        """
        return tf.cast(self.mean(image, domain, training=False), "float32")

    def decode(self, code, domain="b"):
        """The images of a domain that codes stand for, [N, H, W, C] in [-1, 1].

        Args:
            code: As `encode` returns it, of either domain.
            domain: "a" or "b", that of the result.
        """
        decoder = self.decoder_a if domain == "a" else self.decoder_b
        return decoder(self.decoder_shared(code, training=False), training=False)

    def directions(self):
        return self.both_ways(
            lambda image: self.decode(self.encode(image, "a"), "b"),
            lambda image: self.decode(self.encode(image, "b"), "a"),
        )

    def preview(self, batch):
        """For each domain rows of image, reconstruction, translation, and the way back."""
        return rows_by_codes(self, batch)

    def endpoints(self):
        """Both directions; `encode` takes images of the first domain, `encode_b` of the second."""
        return super().endpoints() | encoders_of(self)
