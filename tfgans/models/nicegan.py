"""NICE-GAN — Reusing Discriminators for Encoding: Towards Unsupervised Image-to-Image Translation.

Chen, Huang, Huang, Sun, Fang, CVPR 2020, arXiv:2003.00273.

New here: no network only encodes. The first layers of each discriminator are the encoder of its
domain, and its generator begins from their output. They learn from the discriminator's loss alone:
in the generators' move gradients pass through them and leave them as they are. Three judges stand
behind each encoder: of patches, of almost the whole image, and of mean features, whose weights also
say where the encoder looks.

Differs from the paper: sizes and weights are those of the authors' code, with 300,000 steps (paper
100,000, as known). Gains and shifts of the residual blocks come from the mean over places, as in
the code's light version; the full one has a dense layer with 268 M weights there. The convolutions'
biases start at 0, in the code at random.

Reference: alpc91/NICE-GAN-pytorch (networks.py, NICE.py).
"""

import keras
import tensorflow as tf

from tfgans.layers.pixel_shuffle import PixelShuffle
from tfgans.layers.reflection_pad import ReflectionPad
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.cyclegan import l1, squared
from tfgans.models.discogan import initializer
from tfgans.models.translation import TranslationModel
from tfgans.optimizers import Adam, HoldThenDecay
from tfgans.shapes import halved

JUDGES = ("score", "wide", "attended")  # of patches, of the image, of mean features


def leaky(x):
    return keras.layers.LeakyReLU(0.2)(x)


class MixedNorm(keras.layers.Layer):
    """A mixture of instance and layer normalization with learned shares for each channel (ILN).

    Shares are a softmax over two numbers. Gains and shifts are learned, or given (AdaILN).

    Args:
        start: The first two numbers, for the instance and for the layer.
        given: Take the inputs [x, gain, shift], with gain and shift [N, C].
    """

    def __init__(self, start, given=False, **kwargs):
        super().__init__(**kwargs)
        self.start, self.given = start, given

    def build(self, shape):
        channels = (shape[0] if self.given else shape)[-1]

        def weight(name, value, *more):
            return self.add_weight(
                name=name,
                shape=(channels, *more),
                initializer=keras.initializers.Constant(value),
                autocast=False,  # float32 under every policy
            )

        self.instance, self.layer = (
            weight(name, value)
            for name, value in zip(("instance", "layer"), self.start, strict=True)
        )
        if not self.given:
            self.gain, self.shift = weight("gain", 1.0), weight("shift", 0.0)

    def normalized(self, x, axes):
        """x with mean 0 and variance 1 over axes; the variance is the unbiased one."""
        mean, variance = tf.nn.moments(x, axes, keepdims=True)
        count = 1
        for axis in axes:
            count *= x.shape[axis]
        return (x - mean) * tf.math.rsqrt(variance * (count / max(count - 1, 1)) + 1e-5)

    def call(self, inputs):
        x, gain, shift = inputs if self.given else (inputs, self.gain, self.shift)
        if self.given:
            gain, shift = (tf.cast(v, "float32")[:, None, None] for v in (gain, shift))
        x = tf.cast(x, "float32")  # squares overflow in float16
        share = tf.sigmoid(self.instance - self.layer)  # the softmax of two
        mixed = share * self.normalized(x, [1, 2]) + (1.0 - share) * self.normalized(x, [1, 2, 3])
        return tf.cast(gain * mixed + shift, self.compute_dtype)

    def compute_output_shape(self, shape):
        return shape[0] if self.given else shape


class Attention(keras.layers.Layer):
    """Judges mean and largest features, and adds to the features what the judge goes by.

    The score is w . [mean, maximum] over places, with w divided by its length. The features, twice
    side by side, times w, pass a 1x1 convolution and are added with a factor that starts at 0.
    """

    def build(self, shape):
        channels = shape[-1]
        self.judge = SpectralNorm(
            keras.layers.Dense(
                1, use_bias=False, kernel_initializer=initializer(), dtype="float32"
            ),
            dtype="float32",
        )
        self.judge.build((None, 2 * channels))
        self.mix = keras.layers.Conv2D(channels, 1, kernel_initializer=initializer())
        self.mix.build((*shape[:-1], 2 * channels))
        self.strength = self.add_weight(name="strength", shape=(1,), initializer="zeros")

    def call(self, x, training=False):
        """Features [N, h, w, C] -> those with attention, the score [N, 1], the map [N, h, w, 1].

        The map is the sum of what goes on from here, the features behind their leaky ReLU.
        """
        pooled = tf.concat([tf.reduce_mean(x, [1, 2]), tf.reduce_max(x, [1, 2])], axis=1)
        score = self.judge(tf.cast(pooled, "float32"), training=training)
        weights = tf.cast(tf.reshape(self.judge.layer.kernel, [-1]), x.dtype)
        mixed = self.mix(tf.concat([x, x], axis=-1) * weights)
        y = tf.cast(self.strength, x.dtype) * mixed + x
        return y, score, tf.reduce_sum(tf.nn.leaky_relu(y, 0.2), axis=-1, keepdims=True)

    def compute_output_shape(self, shape):
        return shape, (shape[0], 1), (*shape[:-1], 1)


def build_discriminator(image_shape, width, wide_halvings, name):
    """Images in [-1, 1] -> a dict: three scores, and what the encoder found.

    Keys: "score", of patches of 70x70 pixels; "wide", of 286x286; "attended", [N, 1]; "code", the
    features [N, H / 4, W / 4, 2 width] from which a generator begins; "map", where the encoder
    looks.

    Args:
        image_shape: (height, width, channels); a side must be 96 pixels or more, 48 with one
            halving in the wide judge.
        width: Channels of the first convolution.
        wide_halvings: Halvings of the wide judge behind the common ones: 2.
        name: Name of the network.
    """
    halved(image_shape, 3 + wide_halvings, least=3)  # raises BadInput where that is not possible

    def conv(x, filters, strides=2, use_bias=True, **kwargs):
        layer = keras.layers.Conv2D(
            filters, 4, strides, use_bias=use_bias, kernel_initializer=initializer(), **kwargs
        )
        return SpectralNorm(layer)(ReflectionPad(1)(x))

    image = keras.Input(image_shape, name="image")
    x = leaky(conv(leaky(conv(image, width)), 2 * width))
    x, attended, where = Attention()(x)
    code = leaky(x)
    shared = leaky(conv(code, 4 * width))
    near = leaky(conv(shared, 8 * width, 1))
    far = shared
    for k in range(wide_halvings):
        far = leaky(conv(far, 8 * width << k))
    far = leaky(conv(far, 8 * width << wide_halvings, 1))
    found = {
        "score": conv(near, 1, 1, use_bias=False, dtype="float32"),
        "wide": conv(far, 1, 1, use_bias=False, dtype="float32"),
        "attended": attended,
        "code": code,
        "map": where,
    }
    return keras.Model(image, found, name=name)


def build_generator(image_shape, width, blocks, name):
    """Codes of a discriminator [N, H / 4, W / 4, 2 width] -> images in [-1, 1].

    Args:
        image_shape: (height, width, channels) of the images.
        width: Channels of the images' features at full resolution.
        blocks: Residual blocks.
        name: Name of the network.
    """
    rows, columns = halved(image_shape, 2)
    widest = 4 * width

    def conv(x, filters, size=3, use_bias=False, **kwargs):
        x = ReflectionPad(size // 2)(x) if size > 1 else x
        return keras.layers.Conv2D(
            filters, size, use_bias=use_bias, kernel_initializer=initializer(), **kwargs
        )(x)

    def dense(x):
        return keras.layers.Dense(widest, use_bias=False, kernel_initializer=initializer())(x)

    def normalized(x):
        return keras.layers.ReLU()(MixedNorm((1.0, 3.2))(x))

    code = keras.Input([rows, columns, 2 * width], name="code")
    x = normalized(conv(code, widest, use_bias=True))
    style = keras.layers.GlobalAveragePooling2D()(x)
    for _ in range(2):
        style = keras.layers.ReLU()(dense(style))
    gain, shift = dense(style), dense(style)
    for _ in range(blocks):
        y = keras.layers.ReLU()(MixedNorm((3.2, 1.0), True)([conv(x, widest), gain, shift]))
        y = MixedNorm((3.2, 1.0), True)([conv(y, widest), gain, shift])
        x = keras.layers.Add()([x, y])
    for filters in (2 * width, width):
        x = normalized(conv(x, filters))
        x = normalized(PixelShuffle(2)(conv(x, 4 * filters, 1, use_bias=True)))
    image = conv(x, image_shape[2], 7, activation="tanh", dtype="float32")
    return keras.Model(code, image, name=name)


@keras.saving.register_keras_serializable("tfgans")
class NICEGAN(TranslationModel):
    """Translates between two domains whose discriminators are the encoders.

    Args:
        image_shape: (height, width, channels) of the images of both domains.
        width: Channels at full resolution, of all networks.
        blocks: Residual blocks of the generators.
        wide_halvings: Halvings of the wide judge behind the common ones; 1 for small images.
        cycle_weight: Weight of the way there and back.
        reconstruction_weight: Weight of the reconstruction from the code of the same domain.
        weight_decay: Factor of w^2 / 2 in both losses.
        hold_steps: Steps at the full learning rate.
        decay_steps: Steps over which it then falls to 0.
    """

    data_kind = "unpaired"

    def __init__(
        self,
        image_shape=(256, 256, 3),
        width=64,
        blocks=6,
        wide_halvings=2,
        cycle_weight=10.0,
        reconstruction_weight=10.0,
        weight_decay=1e-4,
        hold_steps=150_000,
        decay_steps=150_000,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.width, self.blocks = image_shape, width, blocks
        self.wide_halvings, self.cycle_weight = wide_halvings, cycle_weight
        self.reconstruction_weight, self.weight_decay = reconstruction_weight, weight_decay
        self.hold_steps, self.decay_steps = hold_steps, decay_steps
        self.generator_ab, self.generator_ba = (
            build_generator(image_shape, width, blocks, name)
            for name in ("generator_ab", "generator_ba")
        )
        self.discriminator_a, self.discriminator_b = (
            build_discriminator(image_shape, width, wide_halvings, name)
            for name in ("discriminator_a", "discriminator_b")
        )

    def players(self):
        return {
            "discriminators": [self.discriminator_a, self.discriminator_b],
            "generators": [self.generator_ab, self.generator_ba],
        }

    def default_optimizers(self):
        def adam():
            return Adam(HoldThenDecay(1e-4, self.hold_steps, self.decay_steps), beta_1=0.5)

        return {"discriminators": adam(), "generators": adam()}

    def discriminators_loss(self, a, b):
        of_a, of_b = self.discriminator_a(a, training=True), self.discriminator_b(b, training=True)
        # No gradient of a fake reaches the encoder that it was made from.
        fake_a = tf.stop_gradient(self.generator_ba(of_b["code"], training=True))
        fake_b = tf.stop_gradient(self.generator_ab(of_a["code"], training=True))
        terms = {}
        for word, real, fake in (
            ("a", of_a, self.discriminator_a(fake_a, training=True)),
            ("b", of_b, self.discriminator_b(fake_b, training=True)),
        ):
            parts = [squared(real[key], 1.0) + squared(fake[key], 0.0) for key in JUDGES]
            terms[word] = tf.add_n(parts)
        return terms | self.decay("discriminators", self.weight_decay)

    def generators_loss(self, a, b):
        code_a = self.discriminator_a(a, training=True)["code"]
        code_b = self.discriminator_b(b, training=True)["code"]
        of_a = self.discriminator_a(self.generator_ba(code_b, training=True), training=True)
        of_b = self.discriminator_b(self.generator_ab(code_a, training=True), training=True)
        back_a = self.generator_ba(of_b["code"], training=True)
        back_b = self.generator_ab(of_a["code"], training=True)
        same_a = self.generator_ba(code_a, training=True)
        same_b = self.generator_ab(code_b, training=True)
        fooled = [squared(found[key], 1.0) for found in (of_a, of_b) for key in JUDGES]
        weight = self.reconstruction_weight
        return {
            "fake": tf.add_n(fooled),
            "cycle": self.cycle_weight * (l1(back_a, a) + l1(back_b, b)),
            "reconstruction": weight * (l1(same_a, a) + l1(same_b, b)),
        } | self.decay("generators", self.weight_decay)

    def train_step(self, data):
        a, b = data["a"], data["b"]
        d = self.update("discriminators", self.discriminators_loss, a, b)
        return d | self.update("generators", self.generators_loss, a, b)

    def attention(self, image, domain="a"):
        """Where the encoder of a domain looks, [N, H / 4, W / 4, 1], 0 to 1 in each image.

        Args:
            image: [N, H, W, C] in [-1, 1].
            domain: "a" or "b".
        """
        encoder = {"a": self.discriminator_a, "b": self.discriminator_b}[domain]
        found = tf.cast(encoder(image, training=False)["map"], "float32")
        low, high = (f(found, [1, 2], keepdims=True) for f in (tf.reduce_min, tf.reduce_max))
        return (found - low) / tf.maximum(high - low, 1e-6)

    def directions(self):
        def there(image):
            return self.generator_ab(self.discriminator_a(image, training=False)["code"])

        def back(image):
            return self.generator_ba(self.discriminator_b(image, training=False)["code"])

        return self.both_ways(there, back)

    def endpoints(self):
        image = self.image_spec()
        return super().endpoints() | {
            f"attention_{domain}": (
                lambda image, domain=domain: {"map": self.attention(image, domain)},
                [image],
            )
            for domain in "ab"
        }
