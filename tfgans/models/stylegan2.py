"""StyleGAN2 — Analyzing and Improving the Image Quality of StyleGAN.

Karras et al., CVPR 2020, arXiv:1912.04958; conditioning, EMA ramp-up, half precision and adaptive
augmentation from Training GANs with Limited Data, NeurIPS 2020, arXiv:2006.06676.

New here: the style scales the weights of each convolution, which are then normalized per sample
(modulation, demodulation); no growing, but a generator with image skips and a residual
discriminator; a penalty asks the generator for steps of equal length in the image for steps of
equal length in w (path length); both regularizers run every few steps only, as moves of their own.

Differs from the paper: labels are embedded, normalized and concatenated, and the discriminator is a
projection on a mapped label, as in the code of 2020 (the code of 2019 summed one output per label).
The label of a fake is that of the real image at its place in the batch. Gradients are not cleaned
of NaN: a NaN stops the run and is named. `image_shape` need not be square: the constant at the
start takes the aspect ratio, its shorter side 4 to 7.

Reference: NVlabs/stylegan2-ada-pytorch, NVlabs/stylegan2.
"""

import functools

import keras
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.adaptive_augment import AdaptiveAugment
from tfgans.layers.equalized import EqualizedDense
from tfgans.layers.minibatch_stddev import MinibatchStdDev
from tfgans.models.inputs import need_periods
from tfgans.models.latent import LatentModel
from tfgans.models.stylegan import (
    Network,
    Noisy,
    StyleGenerator,
    initializer,
    part,
    style_endpoints,
)
from tfgans.ops.modulated_conv import demodulation, filtered_conv, modulated_conv, within_range
from tfgans.ops.pixel_norm import pixel_norm
from tfgans.ops.pointwise import biased_leaky_relu, clip, styled_activation
from tfgans.ops.recompute import Recomputing
from tfgans.ops.resample import downsample, upsample
from tfgans.optimizers import Adam
from tfgans.penalties import input_gradient
from tfgans.shapes import halved, halvings

# A gain of sqrt(2) follows each leaky ReLU, a gain of sqrt(1/2) each residual branch. Both go into
# the small tensors before it, weights, demodulation and bias: g max(x, ax) = max(gx, agx).
SQRT2, SQRT_HALF = 2.0**0.5, 0.5**0.5


def precision(level, levels):
    """The policy's dtype on the four finest levels, float32 below and always on the coarsest."""
    return None if level > max(levels - 4, 0) else "float32"


def limit(clamp, dtype, gain=1.0):
    """The largest absolute value of activations of a type, clamp * gain; None for none."""
    if clamp is None and dtype == "float16":
        clamp = 256.0  # as the official code wherever it uses float16
    return None if clamp is None else clamp * gain


class Mapping(Network):
    """Maps z, a label, or both to w: [N, latent_dim], [N, num_classes] -> [N, style_dim]."""

    def __init__(self, latent_dim, num_classes, style_dim, num_layers, **kwargs):
        super().__init__(**kwargs)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        width = latent_dim
        if num_classes:
            self.embed = part(EqualizedDense(style_dim, dtype="float32"), None, num_classes)
            width += style_dim
        self.dense = []
        for _ in range(num_layers):
            layer = EqualizedDense(style_dim, lr_mul=0.01, post_gain=SQRT2, dtype="float32")
            self.dense.append(part(layer, None, width))
            width = style_dim

    def call(self, z=None, label=None):
        inputs = []
        if self.latent_dim:
            inputs.append(pixel_norm(z))
        if self.num_classes:
            inputs.append(pixel_norm(self.embed(label)))
        w = tf.concat(inputs, axis=1)
        for dense in self.dense:
            w = tf.nn.leaky_relu(dense(w), 0.2)
        return w


class Conv(Network):
    """Plain convolution with equalized learning rate; activated where it has a bias."""

    def __init__(
        self, channels, filters, kernel_size, use_bias=True, up=1, down=1, clamp=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.use_bias, self.up, self.down, self.clamp = use_bias, up, down, clamp
        shape = (kernel_size, kernel_size, channels, filters)
        self.scale = (kernel_size * kernel_size * channels) ** -0.5
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=initializer())
        if use_bias:
            self.bias = self.add_weight(name="bias", shape=(filters,), initializer="zeros")

    def call(self, x, gain=1.0):
        dtype, act_gain = self.compute_dtype, gain * SQRT2 if self.use_bias else gain
        kernel = self.kernel * (self.scale * act_gain)
        x = filtered_conv(tf.cast(x, dtype), kernel, self.up, self.down)
        if not self.use_bias:
            return x
        bias = tf.cast(self.bias * act_gain, dtype)
        return biased_leaky_relu(x, bias, limit(self.clamp, dtype, gain))


class ModulatedConv2D(Network):
    """Convolution whose weights a style s scales, and may normalize, for each image.

        w'_ijk = s_i w_ijk                                  (eq. 1, modulation)
        w''_ijk = w'_ijk / sqrt(sum_ik w'_ijk^2 + 1e-8)     (eq. 3, demodulation)

    for input channel i, output channel j and pixel k of the kernel. Convolutions are linear: the
    root in eq. 3 may divide output channel j of conv(x, w') instead.
    """

    def __init__(self, channels, filters, kernel_size, style_dim, up=1, clamp=None, **kwargs):
        super().__init__(**kwargs)
        self.up, self.clamp = up, clamp
        self.affine = EqualizedDense(channels, bias_start=1.0, dtype="float32")
        part(self.affine, None, style_dim)
        shape = (kernel_size, kernel_size, channels, filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=initializer())


class StyledConv(Noisy, ModulatedConv2D):
    """Modulated and demodulated 3x3 convolution, noise, bias, activation."""

    def __init__(self, channels, filters, size, style_dim, **kwargs):
        super().__init__(channels, filters, 3, style_dim, **kwargs)
        self.size = size
        self.noise_strength = self.add_weight(name="noise_strength", initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(filters,), initializer="zeros")
        self.noise = self.add_weight(
            name="noise", shape=size, initializer=initializer(), trainable=False
        )

    def call(self, x, w, noise, gain=1.0):
        x, act_gain = tf.cast(x, self.compute_dtype), gain * SQRT2
        kernel, style = within_range(self.kernel, self.affine(w), x.dtype)
        x = modulated_conv(x, kernel, style, demodulate=False, up=self.up)  # conv(x, w'), eq. 1
        scale = act_gain * demodulation(kernel, style)  # 1 / sqrt(sum w'^2 + 1e-8), eq. 3
        noise, bias = act_gain * (noise * self.noise_strength), act_gain * self.bias
        largest = limit(self.clamp, self.compute_dtype, gain)
        return styled_activation(x, scale, noise, bias, largest)  # leaky_relu(scale x + ...)


class ToRGB(ModulatedConv2D):
    """Modulated 1x1 convolution to image channels: not demodulated, not activated, float32."""

    def __init__(self, channels, image_channels, style_dim, **kwargs):
        super().__init__(channels, image_channels, 1, style_dim, **kwargs)
        self.scale = channels**-0.5
        self.bias = self.add_weight(name="bias", shape=(image_channels,), initializer="zeros")

    def call(self, x, w):
        style = self.affine(w) * self.scale
        x = modulated_conv(x, self.kernel, style, demodulate=False)  # conv(x, w'), eq. 1
        x, largest = x + tf.cast(self.bias, x.dtype), limit(self.clamp, x.dtype)
        return tf.cast(x if largest is None else clip(x, largest), "float32")


class Synthesis(Recomputing, Network):
    """Grows a learned constant into an image: [N, num_ws, style_dim] -> [N, H, W, C].

    Noise is "random", "const" (the stored images), "none", or a list with one image for each
    convolution, [N or 1, H, W, 1].
    """

    def __init__(
        self, image_shape, style_dim, channel_base, channel_max, architecture, clamp,
        recompute_from=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.architecture, self.recompute_from = architecture, recompute_from
        levels = halvings(image_shape)
        rows, columns = halved(image_shape, levels)
        self.num_ws = 2 * levels + 2
        channels = [min(channel_base // (4 * 2**k), channel_max) for k in range(levels + 1)]
        self.constant = self.add_weight(
            name="constant", shape=(rows, columns, channels[0]), initializer=initializer()
        )
        self.convs, self.to_rgb, self.skips = [], [], []  # two convs a level, one at the first
        for k in range(levels + 1):
            settings = {"dtype": precision(k, levels), "clamp": clamp}
            styled = settings | {"style_dim": style_dim}
            size = (rows * 2**k, columns * 2**k)
            block = [StyledConv(channels[k], channels[k], size, **styled)]
            if k > 0:
                block.insert(0, StyledConv(channels[k - 1], channels[k], size, up=2, **styled))
            if k > 0 and architecture == "resnet":
                skip = Conv(channels[k - 1], channels[k], 1, use_bias=False, up=2, **settings)
                self.skips.append(skip)
            self.convs.extend(block)
            if k == levels or architecture == "skip":
                self.to_rgb.append(ToRGB(channels[k], image_shape[2], **styled))

    def call(self, ws, noise="random"):
        image, index, ws = None, 0, tf.unstack(ws, axis=1)
        n = tf.shape(ws[0])[0]
        x = tf.tile(tf.expand_dims(self.constant, 0), [n, 1, 1, 1])
        levels = len(self.convs) // 2
        for k in range(levels + 1):
            block, residual = self.convs[max(2 * k - 1, 0) : 2 * k + 1], None
            if k > 0 and self.architecture == "resnet":
                residual = self.skips[k - 1](x, gain=SQRT_HALF)
            for conv in block:
                last = conv is block[-1] and residual is not None
                image_noise = conv.noise_image(n, noise if isinstance(noise, str) else noise[index])
                scaled = functools.partial(conv, gain=SQRT_HALF if last else 1.0)
                x = self.run(scaled, min(conv.size), [conv], x, ws[index], image_noise)
                index += 1
            if residual is not None:
                x += residual
            if self.architecture == "skip" or k == levels:
                # A ToRGB shares its w with the first convolution of the next block.
                rgb = self.to_rgb[k if self.architecture == "skip" else 0](x, ws[index])
                image = rgb if image is None else upsample(image) + rgb
        return image


class Generator(StyleGenerator):
    """Mapping and synthesis of this paper; see `StyleGAN2`."""

    def __init__(
        self, image_shape, latent_dim, num_classes, style_dim, mapping_layers, channel_base,
        channel_max, architecture, clamp, recompute_from=None, name="generator", **kwargs,
    ):  # fmt: skip
        mapping = Mapping(latent_dim, num_classes, style_dim, mapping_layers)
        synthesis = Synthesis(
            image_shape, style_dim, channel_base, channel_max, architecture, clamp, recompute_from
        )
        super().__init__(mapping, synthesis, style_dim, name=name, **kwargs)


class Discriminator(Recomputing, Network):
    """Scores images, [N, H, W, C] -> [N, 1]; with labels the score of the pair.

    Args: as for `StyleGAN2`; `mapping_layers` are those of the mapping of labels.
    """

    def __init__(
        self, image_shape, num_classes, channel_base, channel_max, architecture, clamp,
        minibatch_group, minibatch_features, mapping_layers=8, recompute_from=None,
        name="discriminator", **kwargs,
    ):  # fmt: skip
        super().__init__(name=name, **kwargs)
        self.architecture, self.num_classes = architecture, num_classes
        self.recompute_from = recompute_from
        levels = halvings(image_shape)
        rows, columns = halved(image_shape, levels)
        channels = [min(channel_base // (4 * 2**k), channel_max) for k in range(levels + 1)]
        self.convs, self.from_rgb, self.skips = [], [], []  # two convs a level, finest first
        for k in range(levels, 0, -1):
            settings = {"clamp": clamp, "dtype": precision(k, levels)}
            if k == levels or architecture == "skip":
                self.from_rgb.append(Conv(image_shape[2], channels[k], 1, **settings))
            if architecture == "resnet":
                skip = Conv(channels[k], channels[k - 1], 1, use_bias=False, down=2, **settings)
                self.skips.append(skip)
            conv0 = Conv(channels[k], channels[k], 3, **settings)
            conv1 = Conv(channels[k], channels[k - 1], 3, down=2, **settings)
            self.convs.extend([conv0, conv1])
        coarsest = channels[0]
        if levels == 0 or architecture == "skip":
            self.from_rgb.append(Conv(image_shape[2], coarsest, 1, clamp=clamp))
        self.stddev = None
        if minibatch_features:
            stddev = MinibatchStdDev(minibatch_group, minibatch_features)
            self.stddev = part(stddev, None, rows, columns, coarsest)
        self.conv = Conv(coarsest + minibatch_features, coarsest, 3, clamp=clamp, dtype="float32")
        dense = EqualizedDense(coarsest, post_gain=SQRT2, dtype="float32")
        self.dense = part(dense, None, rows * columns * coarsest)
        outputs = coarsest if num_classes else 1
        self.output_dense = part(EqualizedDense(outputs, dtype="float32"), None, coarsest)
        if num_classes:
            self.mapping = Mapping(0, num_classes, coarsest, mapping_layers)

    def call(self, image, label=None):
        x, from_rgb = None, iter(self.from_rgb)
        for k in range(len(self.convs) // 2):
            if x is None or self.architecture == "skip":
                rgb = next(from_rgb)(image)
                x = rgb if x is None else x + tf.cast(rgb, x.dtype)
            if self.architecture == "skip":
                image = downsample(image)
            layers = [*self.convs[2 * k : 2 * k + 2], *self.skips[k : k + 1]]
            x = self.run(functools.partial(self.block, k), min(x.shape[1:3]), layers, x)
        x = 0.0 if x is None else tf.cast(x, "float32")
        for last in from_rgb:
            x += last(image)
        if self.stddev is not None:
            x = self.stddev(x)
        x = self.conv(x)
        x = tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])
        x = self.output_dense(tf.nn.leaky_relu(self.dense(x), 0.2))
        if not self.num_classes:
            return x
        return tf.reduce_sum(x * self.mapping(label=label), 1, keepdims=True) * x.shape[1] ** -0.5

    def block(self, k, x):
        """Two convolutions, and the shortcut of a residual discriminator."""
        conv0, conv1 = self.convs[2 * k : 2 * k + 2]
        if not self.skips:
            return conv1(conv0(x))
        residual = self.skips[k](x, gain=SQRT_HALF)
        return residual + conv1(conv0(x), gain=SQRT_HALF)


@keras.saving.register_keras_serializable("tfgans")
class StyleGAN2(LatentModel):
    """StyleGAN2, configuration F by default.

    Args:
        image_shape: (height, width, channels) of the images; any channels, sides a multiple of a
            power of two with the shorter one 4 to 7 of these.
        latent_dim: Length of z ~ N(0, I).
        style_dim: Length of w.
        num_classes: Length of the label vector; 0 for an unconditional model.
        mapping_layers: Dense layers of the mapping network.
        channel_base: Channels of a level of nominal side s = 4, 8, ..., times s.
        channel_max: Maximum of the channels of a level.
        generator_architecture: "skip", "resnet" or "orig".
        discriminator_architecture: "skip", "resnet" or "orig".
        conv_clamp: Bound of activations; None for none (256 in float16).
        minibatch_group: Samples per group of the minibatch standard deviation, at most.
        minibatch_features: Number of its feature maps; 0 leaves it out.
        discriminator_mapping_layers: Dense layers of the discriminator's mapping of labels.
        style_mixing: Probability that two latents share an image.
        r1_gamma: gamma of the R1 penalty.
        r1_every: Steps between R1 penalties.
        path_length_weight: Weight of the path length penalty; 0 leaves it out.
        path_length_every: Steps between path length penalties.
        path_length_decay: Rate at which the running mean of lengths moves.
        path_length_shrink: The penalty uses a batch this many times smaller.
        w_avg_decay: Decay of the running mean of w.
        learning_rate: Learning rate of both players before the correction for lazy regularization.
        ema_kimg: Half-life of the averaged generator, in thousands of images.
        ema_rampup: Limits the half-life to this part of the images seen so far; None for no limit.
        augment: Transforms of adaptive discriminator augmentation, such as "bgc"; None for none.
        augment_target: Mean sign of D on real images that augmentation aims at.
        augment_kimg: Thousands of images in which the probability of augmentation can go from 0 to
            1: 500 from scratch, 100 for fine-tuning.
        recompute_from: Shorter side of images, in pixels, from which on gradients compute the
            network's parts again: less memory, more time, the same numbers. None for never.
    """

    def __init__(
        self, image_shape=(1024, 1024, 3), latent_dim=512, style_dim=512, num_classes=0,
        mapping_layers=8, channel_base=32768, channel_max=512, generator_architecture="skip",
        discriminator_architecture="resnet", conv_clamp=None, minibatch_group=4,
        minibatch_features=1, discriminator_mapping_layers=8, style_mixing=0.9, r1_gamma=10.0,
        r1_every=16, path_length_weight=2.0, path_length_every=4, path_length_decay=0.01,
        path_length_shrink=2, w_avg_decay=0.995, learning_rate=0.002, ema_kimg=10.0,
        ema_rampup=None, augment=None, augment_target=0.6, augment_kimg=500,
        recompute_from=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.style_dim = image_shape, latent_dim, style_dim
        self.num_classes, self.mapping_layers = num_classes, mapping_layers
        self.channel_base, self.channel_max = channel_base, channel_max
        self.generator_architecture = generator_architecture
        self.discriminator_architecture = discriminator_architecture
        self.conv_clamp, self.minibatch_group = conv_clamp, minibatch_group
        self.minibatch_features, self.style_mixing = minibatch_features, style_mixing
        self.discriminator_mapping_layers = discriminator_mapping_layers
        self.r1_gamma, self.r1_every = r1_gamma, r1_every
        self.path_length_weight, self.path_length_every = path_length_weight, path_length_every
        self.path_length_decay, self.path_length_shrink = path_length_decay, path_length_shrink
        self.w_avg_decay, self.learning_rate = w_avg_decay, learning_rate
        self.ema_kimg, self.ema_rampup = ema_kimg, ema_rampup
        self.augment, self.augment_target = augment, augment_target
        self.augment_kimg, self.recompute_from = augment_kimg, recompute_from
        need_periods(self, "r1_every", "path_length_every")
        for word in (generator_architecture, discriminator_architecture):
            if word not in ("skip", "resnet", "orig"):
                raise BadInput(f"An architecture is 'skip', 'resnet' or 'orig', not {word!r}.")
        both = {"image_shape": image_shape, "num_classes": num_classes, "clamp": conv_clamp}
        both |= {"channel_base": channel_base, "channel_max": channel_max}
        both["recompute_from"] = recompute_from
        self.generator = Generator(
            latent_dim=latent_dim,
            style_dim=style_dim,
            mapping_layers=mapping_layers,
            architecture=generator_architecture,
            **both,
        )
        self.discriminator = Discriminator(
            architecture=discriminator_architecture,
            minibatch_group=minibatch_group,
            minibatch_features=minibatch_features,
            mapping_layers=discriminator_mapping_layers,
            **both,
        )
        self.generator_ema = self.ema_of(self.generator)
        self.path_length_mean = self.add_state("path_length_mean", 0.0)
        self.augmentation = None
        if augment:
            self.augmentation = AdaptiveAugment(augment, augment_target, augment_kimg)

    def default_optimizers(self):
        def lazy_adam(every):  # as many regularization steps as every-th main step
            c = every / (every + 1)
            return Adam(self.learning_rate * c, beta_1=0.0, beta_2=0.99**c)

        g, d = lazy_adam(self.path_length_every), lazy_adam(self.r1_every)
        return {"generator": g, "discriminator": d}

    def training_styles(self, n, label):
        """Styles for n images of a label: moves w_avg, mixes two latents by `style_mixing`."""
        zs = [self.latents(n) for _ in range(2 if self.style_mixing else 1)]
        mixing, decay, num_ws = self.style_mixing, self.w_avg_decay, self.generator.synthesis.num_ws
        return self.generator.training_styles(zs, label, mixing, decay, active=num_ws)

    def score(self, image, label):
        """D's scores of an image and its label; the image is augmented where `augment` is set."""
        if self.augmentation is not None:
            image = self.augmentation(image)
        return self.discriminator(image, label=label)

    def generator_loss(self, label, n):
        fake = self.generator.synthesis(self.training_styles(n, label))
        return {"fake": tf.reduce_mean(tf.nn.softplus(-self.score(fake, label)))}

    def path_length_penalty(self, label, n):
        n = max(n // self.path_length_shrink, 1)
        ws = self.training_styles(n, None if label is None else label[:n])
        with tf.GradientTape() as tape:
            tape.watch(ws)
            image = self.generator.synthesis(ws)
            noise = random.normal(tf.shape(image)) / (image.shape[1] * image.shape[2]) ** 0.5
            projection = tf.reduce_sum(image * noise)
        gradient = tape.gradient(projection, ws)  # J^T y, [n, num_ws, style_dim]
        length = tf.sqrt(tf.reduce_mean(tf.reduce_sum(tf.square(gradient), axis=2), axis=1))
        mean = self.path_length_mean
        # The gradient flows through the new mean too, as in the official code.
        new_mean = mean + self.path_length_decay * (tf.reduce_mean(length) - mean)
        mean.assign(new_mean)
        penalty = self.path_length_weight * tf.reduce_mean(tf.square(length - new_mean))
        return {"path_length": penalty * self.path_length_every}

    def discriminator_loss(self, real, label):
        fake = self.generator.synthesis(self.training_styles(real.shape[0], label))
        real_score, fake_score = self.score(real, label), self.score(fake, label)
        if self.augmentation is not None:
            self.augmentation.observe(real_score)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-real_score)),
            "fake": tf.reduce_mean(tf.nn.softplus(fake_score)),
        }

    def r1_penalty(self, real, label):
        gradient = input_gradient(lambda x: self.score(x, label), real, [self.discriminator])
        penalty = tf.reduce_mean(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]))
        return {"r1": 0.5 * self.r1_gamma * penalty * self.r1_every}

    def train_step(self, data):
        real, label = data["image"], self.one_hot(data.get("label"))
        n = real.shape[0]
        logs = self.update("generator", self.generator_loss, label, n=n)
        if self.path_length_weight and self.due(self.path_length_every):
            logs |= self.update("generator", self.path_length_penalty, label, n=n)
        logs |= self.update("discriminator", self.discriminator_loss, real, label)
        if self.due(self.r1_every):
            logs |= self.update("discriminator", self.r1_penalty, real, label)
        if self.augmentation is not None and self.due(self.augmentation.every):
            self.augmentation.adjust()
        self.update_ema(self.generator_ema, self.generator, self.ema_decay(n))
        return logs

    def ema_decay(self, n):
        """0.5^(batch / half-life), the half-life in images; n is a replica's part of the batch."""
        batch = n * tf.distribute.get_strategy().num_replicas_in_sync
        half_life = 1000.0 * self.ema_kimg
        if self.ema_rampup is not None:
            seen = tf.cast(self.step, "float32") * batch
            half_life = tf.maximum(tf.minimum(half_life, self.ema_rampup * seen), 1e-8)
        return 0.5 ** (batch / half_life)

    def call(self, z, label=None, truncation=None, cutoff=None, noise="const"):
        """Makes images with the averaged generator, [N, H, W, C] in about [-1, 1].

        Args:
            z: [N, latent_dim].
            label: Class numbers [N] or label vectors [N, num_classes].
            truncation: psi, a number or [N]; 1 or None for the full variety, 0 for the mean image.
            cutoff: Truncate only the first `cutoff` of the num_ws layers.
            noise: "const" for the stored noise images, "random", or "none".
        """
        options = {"truncation": truncation, "cutoff": cutoff, "noise": noise}
        return self.generator_ema(z, label=self.one_hot(label), **options)

    def sample(self, n, seed=None, *, labels=None, truncation=None):
        """As `LatentModel.sample`, with the truncation.

        Args:
            truncation: The truncation psi: a number, or one for each image; without it 1, no
                truncation.
        """
        return super().sample(n, seed, labels=labels, truncation=truncation)

    def endpoints(self):
        return style_endpoints(self)
