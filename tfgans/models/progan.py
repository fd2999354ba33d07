"""ProGAN — Progressive Growing of GANs for Improved Quality, Stability, and Variation.

Karras et al., ICLR 2018, arXiv:1710.10196.

New here: training starts at 4x4 pixels and doubles the resolution again and again. The layers of a
new resolution fade in: for a while G shows a blend of its new image and the doubled old one, D
reads both, and real images are blurred alike. Four smaller inventions hold it together: weights
scaled at run time (equalized learning rate), pixel norm in G, the standard deviation of the
minibatch as a feature of D, and a small penalty that keeps the scores of WGAN-GP near zero.

Differs from the paper: stages are counted in steps, and the batch is the same at all resolutions;
the authors' shrinks from 16 to 14, 6 and 3 at 256, 512 and 1024 pixels to fit their memory. The
standard deviation is that of groups of 4, as in the authors' code of 2018; `minibatch_group=16` is
the paper's. The fade moves with every step, in the code with every fourth. The average of G is
taken after G's move, in the code before it. The labels of fakes are those of the real images of the
batch. Images need not be square: the first grid takes their aspect ratio, its shorter side 4 to 7.

As in the code and not in the text: the gradient penalty is taken per pixel of a full-size image
although smaller ones are shown, so that nothing jumps when the resolution doubles; optimizers
forget everything when a fade begins and when it ends; labels, where there are any, are learned as
by an AC-GAN.

Reference: tkarras/progressive_growing_of_gans.
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.layers.equalized import SQRT2, EqualizedConv2D, EqualizedDense
from tfgans.layers.minibatch_stddev import MinibatchStdDev
from tfgans.models.latent import LatentModel
from tfgans.ops.pixel_norm import pixel_norm
from tfgans.optimizers import Adam
from tfgans.penalties import between, gradient_norm, input_gradient
from tfgans.shapes import halved, halvings


def double(x):
    """Nearest neighbor: [N, H, W, C] -> [N, 2H, 2W, C]."""
    return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)


def halve(x, factor=2):
    """Means of squares: [N, H, W, C] -> [N, H / factor, W / factor, C]."""
    return tf.nn.avg_pool2d(x, factor, factor, "VALID")


def blend(new, old, fade):
    """`old` where fade is 1, `new` where it is 0."""
    return new + (old - new) * tf.cast(fade, new.dtype)


def lrelu(x):
    return tf.nn.leaky_relu(x, 0.2)


def faded_image(maps, to_rgb, fade=None):
    """The image of the last of some feature maps, blended with that of the map before.

    Args:
        maps: Feature maps, coarsest first, each twice as large as the one before.
        to_rgb: Their layers to image channels.
        fade: Share of the coarser image; None for the new one alone.
    """
    k = len(maps) - 1
    image = to_rgb[k](maps[k])
    return image if fade is None else blend(image, double(to_rgb[k - 1](maps[k - 1])), fade)


def grown_image(maps, to_rgb, lod):
    """The full-size image with the detail that networks have learned so far; see `faded_image`.

    Args:
        lod: Level of detail: 0 is full size, k has 2^k times fewer pixels a side, a fraction is a
            blend of two. It may be a variable.
    """
    image = None
    for k, x in enumerate(maps):
        new = to_rgb[k](x)
        fade = tf.clip_by_value(lod - (len(maps) - 1 - k), 0.0, 1.0)
        image = new if image is None else blend(new, double(image), fade)
    return image


class Growth:
    """The schedule of networks that grow: the resolution of each stage, and its fade.

    Stage 0 trains at the first resolution. Then two stages belong to each: in stages 1, 3, 5, ...
    it fades in, in stages 2, 4, 6, ... it is alone.

    Args:
        image_shape: (height, width, channels) of the full-size images.
        stable_steps: Steps at each resolution but the last without fading.
        fade_steps: Steps in which a resolution fades in.
        first: Doublings from the coarsest grid to the first resolution.

    Attributes:
        levels: Doublings from the coarsest grid to a full-size image.
        stage_steps: Lengths in steps of all stages but the last.
    """

    def __init__(self, image_shape, stable_steps, fade_steps, first=0):
        self.image_shape, self.fade_steps, self.first = image_shape, fade_steps, first
        self.levels = halvings(image_shape)
        self.stage_steps = (stable_steps, fade_steps) * (self.levels - first)

    def level(self, stage):
        """Doublings from the coarsest grid to the images of a stage."""
        return self.first + (stage + 1) // 2

    def shape(self, stage):
        """(height, width, channels) of the images of a stage."""
        missing = self.levels - self.level(stage)
        height, width, channels = self.image_shape
        return height >> missing, width >> missing, channels

    def fade(self, stage, step):
        """Share of the coarser image, falling from 1 to 0 in a stage that fades; None in others."""
        if stage % 2 == 0:
            return None
        begun = sum(self.stage_steps[:stage])
        return 1.0 - tf.cast(step - begun, "float32") / self.fade_steps

    def lod(self, stage, step):
        """Level of detail: the number of missing doublings, a fraction in a stage that fades."""
        missing = tf.constant(self.levels - self.level(stage), "float32")
        fade = self.fade(stage, step)
        return missing if fade is None else missing + fade

    def shown(self, real, stage, step):
        """Real images at the resolution of a stage, as blurred as the fakes."""
        shape, fade = self.shape(stage), self.fade(stage, step)
        if real.shape[1] is None:  # `tfgans.data` gives each stage its own size
            real = tf.ensure_shape(real, [None, *shape])
        real = halve(real, real.shape[1] // shape[0])
        return real if fade is None else blend(real, double(halve(real)), fade)


class Generator(keras.layers.Layer):
    """Makes images at every resolution; holds the layers of all of them from the start.

    Args:
        image_shape: (height, width, channels) of the full-size images.
        latent_dim: Length of z.
        num_classes: Length of the label vector; 0 for none.
        channel_base: Channels of a level of nominal side s = 4, 8, ..., times s.
        channel_max: Maximum of the channels of a level.

    Attributes:
        levels: Number of doublings from the first grid to a full-size image.
        lod: Level of detail that `call` shows: 0 is full size, k has 2^k times fewer pixels a
            side, a fraction is a blend of two.
    """

    def __init__(
        self,
        image_shape,
        latent_dim,
        num_classes,
        channel_base,
        channel_max,
        dtype="float32",
        name="generator",
        **kwargs,
    ):
        super().__init__(dtype=dtype, name=name, **kwargs)
        self.levels = halvings(image_shape)
        rows, columns = halved(image_shape, self.levels)
        channels = [min(channel_base // (4 * 2**k), channel_max) for k in range(self.levels + 1)]
        self.grid = (rows, columns, channels[0])
        units = rows * columns * channels[0]
        # The gain of a 4x4 convolution, which is how the paper writes this layer.
        self.dense = EqualizedDense(units, gain=SQRT2 / 4, bias_start=None, dtype="float32")
        self.dense.build((None, latent_dim + num_classes))
        self.bias = self.add_weight(name="bias", shape=(channels[0],), initializer="zeros")
        self.conv = EqualizedConv2D(channels[0], channels[0], 3)
        self.convs = []  # two a level after the first
        for old, new in zip(channels, channels[1:], strict=False):
            up = EqualizedConv2D(old, new, 3, up=True)
            self.convs.extend([up, EqualizedConv2D(new, new, 3)])
        self.to_rgb = [
            EqualizedConv2D(count, image_shape[2], 1, gain=1.0, dtype="float32")
            for count in channels
        ]
        self.lod = self.add_weight(
            name="lod",
            trainable=False,
            aggregation="mean",
            initializer=keras.initializers.Constant(self.levels),
        )
        self.built = True

    def features(self, z, label, level):
        """Feature maps of all resolutions up to that of `level`, coarsest first."""
        z = z if label is None else tf.concat([z, label], axis=1)
        x = tf.reshape(self.dense(pixel_norm(z)), [-1, *self.grid]) + self.bias
        x = pixel_norm(lrelu(x))
        maps = [pixel_norm(lrelu(self.conv(x)))]
        for up, conv in zip(self.convs[: 2 * level : 2], self.convs[1::2], strict=False):
            x = pixel_norm(lrelu(up(maps[-1])))
            maps.append(pixel_norm(lrelu(conv(x))))
        return maps

    def images(self, z, label, level, fade=None):
        """Images after `level` doublings, blended with those of the level before where it fades."""
        return faded_image(self.features(z, label, level), self.to_rgb, fade)

    def call(self, z, label=None):
        return grown_image(self.features(z, label, self.levels), self.to_rgb, self.lod)


class Discriminator(keras.layers.Layer):
    """Scores images of any of the resolutions: [N, H, W, C] -> [N, 1 + num_classes].

    Args: as for `Generator`, and
        minibatch_group: Samples per group of the minibatch standard deviation, at most.
    """

    def __init__(
        self,
        image_shape,
        num_classes,
        channel_base,
        channel_max,
        minibatch_group,
        dtype="float32",
        name="discriminator",
        **kwargs,
    ):
        super().__init__(dtype=dtype, name=name, **kwargs)
        levels = halvings(image_shape)
        self.rows, columns = halved(image_shape, levels)
        channels = [min(channel_base // (4 * 2**k), channel_max) for k in range(levels + 1)]
        self.from_rgb = [EqualizedConv2D(image_shape[2], count, 1) for count in channels]
        self.convs = []  # two a level after the first, coarsest first
        for old, new in zip(channels, channels[1:], strict=False):
            down = EqualizedConv2D(new, old, 3, down=True)
            self.convs.extend([EqualizedConv2D(new, new, 3), down])
        coarsest = channels[0]
        self.stddev = MinibatchStdDev(minibatch_group)
        self.conv = EqualizedConv2D(coarsest + 1, coarsest, 3, dtype="float32")
        self.dense = EqualizedDense(coarsest, gain=SQRT2, dtype="float32")
        self.dense.build((None, self.rows * columns * coarsest))
        self.output_dense = EqualizedDense(1 + num_classes, dtype="float32")
        self.output_dense.build((None, coarsest))
        self.built = True

    def call(self, image, fade=None):
        level = (image.shape[1] // self.rows).bit_length() - 1
        x = lrelu(self.from_rgb[level](image))
        for k in reversed(range(level)):
            x = self.block(*self.convs[2 * k : 2 * k + 2], x)
            if fade is not None and k == level - 1:
                x = blend(x, lrelu(self.from_rgb[k](halve(image))), fade)
        x = lrelu(self.conv(self.stddev(x)))
        x = tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])
        return self.output_dense(lrelu(self.dense(x)))

    def block(self, conv, down, x):
        """The two convolutions of a resolution, the second of which halves it."""
        return lrelu(down(lrelu(conv(x))))


@keras.saving.register_keras_serializable("tfgans")
class ProGAN(LatentModel):
    """Progressively growing GAN, for 1024x1024 images by default; `Growth` says the stages.

    Args:
        image_shape: (height, width, channels) of the images; sides a multiple of a power of two
            with the shorter one 4 to 7 of these.
        latent_dim: Length of z ~ N(0, I).
        num_classes: Length of the label vector; 0 for an unconditional model.
        channel_base: Channels of a level of nominal side s = 4, 8, ..., times s.
        channel_max: Maximum of the channels of a level.
        minibatch_group: Samples per group of the minibatch standard deviation, at most.
        stable_steps: Steps at each resolution but the last without fading: 800,000 images.
        fade_steps: Steps in which a resolution fades in: 800,000 images.
        penalty_weight: Weight of the gradient penalty, the paper's lambda.
        penalty_target: Target of the gradient's norm, the paper's gamma: 1, for CIFAR-10 750.
        drift_weight: Weight of the squared scores of real images, the paper's epsilon_drift.
        label_weight: Weight of the cross entropy of labels.
        ema_decay: Decay of the averaged generator.
    """

    def __init__(
        self,
        image_shape=(1024, 1024, 3),
        latent_dim=512,
        num_classes=0,
        channel_base=16384,
        channel_max=512,
        minibatch_group=4,
        stable_steps=50_000,
        fade_steps=50_000,
        penalty_weight=10.0,
        penalty_target=1.0,
        drift_weight=0.001,
        label_weight=1.0,
        ema_decay=0.999,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.num_classes = image_shape, latent_dim, num_classes
        self.channel_base, self.channel_max = channel_base, channel_max
        self.minibatch_group = minibatch_group
        self.stable_steps, self.fade_steps = stable_steps, fade_steps
        self.penalty_weight, self.penalty_target = penalty_weight, penalty_target
        self.drift_weight, self.label_weight = drift_weight, label_weight
        self.ema_decay = ema_decay
        self.generator = Generator(image_shape, latent_dim, num_classes, channel_base, channel_max)
        self.discriminator = Discriminator(
            image_shape, num_classes, channel_base, channel_max, minibatch_group
        )
        self.generator_ema = self.ema_of(self.generator)
        self.growth = Growth(image_shape, stable_steps, fade_steps)
        self.stage_steps = self.growth.stage_steps

    def default_optimizers(self):
        def adam():
            return Adam(0.001, beta_1=0.0, beta_2=0.99)

        return {"discriminator": adam(), "generator": adam()}

    def stage_begins(self, stage):
        for optimizer in self.optimizers.values():
            forget(getattr(optimizer, "inner_optimizer", optimizer))  # inside of loss scaling

    def stage_shape(self, stage):
        return self.growth.shape(stage)

    @property
    def level(self):
        return self.growth.level(self.stage)

    @property
    def fade(self):
        return self.growth.fade(self.stage, self.step)

    @property
    def lod(self):
        return self.growth.lod(self.stage, self.step)

    def shown(self, real):
        return self.growth.shown(real, self.stage, self.step)

    def fakes(self, n, label):
        return self.generator.images(self.latents(n), label, self.level, self.fade)

    def score(self, image):
        """D's scores of an image, [N, 1], and its guesses of labels [N, num_classes], as logits."""
        outputs = self.discriminator(image, fade=self.fade)
        return outputs[:, :1], outputs[:, 1:]

    def discriminator_loss(self, real, label):
        fake = self.fakes(real.shape[0], label)
        real_score, real_guess = self.score(real)
        fake_score, fake_guess = self.score(fake)
        terms = {
            "wasserstein": tf.reduce_mean(fake_score) - tf.reduce_mean(real_score),
            "penalty": self.penalty_weight * self.gradient_penalty(real, fake),
            "drift": self.drift_weight * tf.reduce_mean(tf.square(real_score)),
        }
        if self.num_classes:
            error = cross_entropy(label, real_guess) + cross_entropy(label, fake_guess)
            terms["label"] = self.label_weight * error
        return terms

    def gradient_penalty(self, real, fake):
        """Mean of (|gradient of D| / target - 1)^2 on a random point of each real-fake line."""
        image = between(real, fake, random.uniform([real.shape[0], 1, 1, 1]))
        gradient = input_gradient(lambda x: self.score(x)[0], image, [self.discriminator])
        # One pixel here is the mean of 4^k of a full-size image, each with 1 / 4^k of its gradient.
        norm = gradient_norm(gradient) / 2 ** (self.generator.levels - self.level)
        return tf.reduce_mean(tf.square(norm / self.penalty_target - 1.0))

    def generator_loss(self, label, n):
        score, guess = self.score(self.fakes(n, label))
        terms = {"wasserstein": -tf.reduce_mean(score)}
        if self.num_classes:
            terms["label"] = self.label_weight * cross_entropy(label, guess)
        return terms

    def train_step(self, data):
        real, label = self.shown(data["image"]), self.one_hot(data.get("label"))
        n = real.shape[0]
        d = self.update("discriminator", self.discriminator_loss, real, label)
        g = self.update("generator", self.generator_loss, label, n=n)
        lod = self.lod
        self.generator.lod.assign(lod)
        self.update_ema(self.generator_ema, self.generator, self.ema_decay)
        return d | g | {"generator/lod": lod}

    def call(self, z, label=None):
        """Full-size images with the detail that the averaged generator has learned so far."""
        return self.generator_ema(z, label=self.one_hot(label))

    def weights_on_z(self):
        """The matrix of the first operation on z, [outputs, latent_dim], for SeFa."""
        return self.generator_ema.dense.kernel.numpy()[: self.latent_dim].T


def cross_entropy(label, guess):
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(label, guess))


def forget(optimizer):
    """Resets all variables of an optimizer except its learning rate."""
    for variable in optimizer.variables:
        if variable is not optimizer._learning_rate:
            variable.assign(tf.zeros_like(variable))
