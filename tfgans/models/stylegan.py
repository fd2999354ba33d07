"""StyleGAN — A Style-Based Generator Architecture for Generative Adversarial Networks.

Karras et al., CVPR 2019, arXiv:1812.04948.

New here: z does not enter the generator. A mapping network turns it into w, and at each layer w
sets the mean and the deviation of all feature maps, of which the layer's own ones are taken away
before (AdaIN). The generator begins with a learned constant, and each layer adds noise of its own,
which makes details that no style describes. Two latents may share an image (style mixing), and w is
pulled towards its mean for images of less variety (truncation).

Differs from the paper: stages are counted in steps, and the batch is the same at all resolutions;
the authors' falls from 256 at 8x8 to 32 from 64x64 on. The fade moves with every step. The average
of G is taken after G's move, in the code between the moves of D and G. The labels of fakes are
those of the real images of the batch. Images need not be square: the first grid takes their aspect
ratio, its shorter side 4 to 7. Left out: WGAN-GP, the loss of configurations A to C and of
CelebA-HQ, which `progan` has, and the paper's measures of disentanglement by linear separability.

As in the code and not in the text: the R1 penalty is taken per pixel of a full-size image although
smaller ones are shown; optimizers forget everything when a fade begins and when it ends; the mean
of w follows both players' batches; truncation changes the first 8 layers only. With labels z and a
learned vector of the class are normalized together, and D has one score for each class, as in the
code, which the paper does not use.

Reference: NVlabs/stylegan.
"""

import keras
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.layers.conditional_norm import ConditionalNorm
from tfgans.layers.equalized import SQRT2, EqualizedConv2D, EqualizedDense
from tfgans.models import progan
from tfgans.models.latent import LatentModel
from tfgans.models.progan import Growth, faded_image, forget, grown_image, lrelu
from tfgans.models.serving import COUNT, SEED, to_uint8
from tfgans.ops.pixel_norm import pixel_norm
from tfgans.ops.resample import fir_kernel, upfirdn
from tfgans.optimizers import Adam
from tfgans.penalties import input_gradient
from tfgans.shapes import halved, halvings

COARSE = 4  # layers with sides up to 8 pixels, which the preview mixes with the finer ones
COLUMNS = 8  # of the preview
SMOOTH = (1, 2, 1)  # taps of the low-pass filter


def initializer():
    return keras.initializers.RandomNormal(stddev=1.0)


def part(layer, *input_shape):
    """Builds a layer that belongs to a network: each network is whole when constructed."""
    layer.build(input_shape)
    return layer


def blur(x):
    """Low-pass filter with zeros around the image: [N, H, W, C] -> [N, H, W, C]."""
    return upfirdn(x, fir_kernel(SMOOTH), padding=(1, 1, 1, 1))


# Networks of all models with styles.


class Network(keras.layers.Layer):
    """A layer whose casts are written out: styles, statistics and images stay float32."""

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(autocast=False, dtype=dtype, **kwargs)
        self.built = True

    def add_weight(self, **kwargs):
        return super().add_weight(autocast=False, **kwargs)


class Noisy:
    """Part of a layer with a stored noise image `noise`, [H, W] = `size`."""

    def noise_image(self, n, noise):
        """The noise [n or 1, H, W, 1] for a word; noise that is no word is returned as it is."""
        if not isinstance(noise, str):
            return noise
        if noise == "random":
            return random.normal([n, *self.size, 1])
        if noise == "const":
            return tf.reshape(self.noise, [1, *self.size, 1])
        return tf.zeros([1, *self.size, 1])


class StyleGenerator(Network):
    """Mapping and synthesis, with the running average of w.

    The tools in `tfgans.latents` ask for these words:

    Args:
        mapping: z [N, latent_dim], label [N, num_classes] or None -> w [N, style_dim].
        synthesis: ws [N, num_ws, style_dim], noise -> images. It has `num_ws`, the number of layers
            with a w of their own, and `convs`, those of them that have a noise image, coarsest
            first. Each has its `size` (height, width), its `noise`, and the dense layer `affine` of
            its w.
        style_dim: Length of w.
        truncated: Layers that truncation changes where no other number is given; None for all.
    """

    def __init__(self, mapping, synthesis, style_dim, truncated=None, **kwargs):
        super().__init__(**kwargs)
        self.mapping, self.synthesis, self.truncated = mapping, synthesis, truncated
        self.w_avg = self.add_weight(
            name="w_avg",
            shape=(style_dim,),
            initializer="zeros",
            trainable=False,
            aggregation="mean",
        )

    def styles(self, z, label=None, truncation=None, cutoff=None):
        """z, label -> one w per layer, [N, num_ws, style_dim].

        Args:
            z: [N, latent_dim].
            label: [N, num_classes] where the network is conditional.
            truncation: psi, a number or [N]: w_avg + psi (w - w_avg); None leaves w alone.
            cutoff: Truncate only the first `cutoff` layers.
        """
        num_ws = self.synthesis.num_ws
        ws = tf.repeat(self.mapping(z, label=label)[:, None], num_ws, axis=1)
        if truncation is None:
            return ws
        psi = tf.reshape(tf.cast(truncation, "float32"), [-1, 1, 1])
        truncated = (1.0 - psi) * self.w_avg + psi * ws  # exact for psi = 0 and 1
        cutoff = self.truncated if cutoff is None else cutoff
        cutoff = num_ws if cutoff is None else cutoff
        return tf.concat([truncated[:, :cutoff], ws[:, cutoff:]], axis=1)

    def training_styles(self, zs, label, mixing, decay, active):
        """Styles for a batch of training: moves w_avg, may mix two latents.

        Args:
            zs: One batch of latents [N, latent_dim], or two to be mixed.
            label: [N, num_classes] or None.
            mixing: Probability that the batch is mixed, at one cut for all its images.
            decay: Decay of w_avg, which follows the first latents.
            active: The cut lies before one of the layers 1 to `active` - 1.
        """
        # All latents go through the mapping network in one go.
        label = None if label is None else tf.tile(label, [len(zs), 1])
        ws = tf.split(self.styles(tf.concat(zs, axis=0), label), len(zs))
        mean = tf.reduce_mean(ws[0][:, 0], axis=0)
        self.w_avg.assign(mean + decay * (self.w_avg - mean))
        if len(zs) == 1:
            return ws[0]
        num_ws = self.synthesis.num_ws
        cut = random.uniform([], 1, active, "int32")
        cut = tf.where(random.uniform([]) < mixing, cut, num_ws)
        return tf.where(tf.range(num_ws)[:, None] < cut, ws[0], ws[1])

    def call(self, z, label=None, truncation=None, cutoff=None, noise="const"):
        return self.synthesis(self.styles(z, label, truncation, cutoff), noise=noise)


def style_endpoints(model):
    """The endpoints of a model whose averaged generator is a `StyleGenerator`."""
    generator = model.generator_ema
    z = tf.TensorSpec([None, model.latent_dim], name="z")
    label = tf.TensorSpec([None, model.num_classes], name="label")
    truncation = tf.TensorSpec([None], name="truncation")
    w = tf.TensorSpec([None, generator.synthesis.num_ws, model.style_dim], name="w")

    def mapping(z, label, truncation):
        return {"w": generator.styles(z, label, truncation)}

    @tf.function(input_signature=[w], autograph=False)  # once in the file
    def synthesis(w):
        return {"image": generator.synthesis(w, noise="const")}

    def image(z, label, truncation):
        return synthesis(mapping(z, label, truncation)["w"])

    def uint8(z, label, truncation):
        return {"image": to_uint8(image(z, label, truncation)["image"])}

    def endpoint(function):
        if model.num_classes:
            return function, [z, label, truncation]
        return lambda z, truncation: function(z, None, truncation), [z, truncation]

    return {
        "serving_default": endpoint(image),
        "uint8": endpoint(uint8),
        "mapping": endpoint(mapping),
        "synthesis": (synthesis, [w]),
        "sample": (lambda seed, n: {"image": model.sample(n, seed)}, [SEED, COUNT]),
    }


# Networks of this paper.


class Mapping(Network):
    """Maps z, and a label where there is one, to w: [N, latent_dim] -> [N, style_dim]."""

    def __init__(self, latent_dim, num_classes, style_dim, num_layers, **kwargs):
        super().__init__(**kwargs)
        self.num_classes, width = num_classes, latent_dim
        if num_classes:
            shape, width = (num_classes, latent_dim), 2 * latent_dim
            self.embedding = self.add_weight(
                name="embedding", shape=shape, initializer=initializer()
            )
        self.dense = []
        for _ in range(num_layers):
            layer = EqualizedDense(style_dim, gain=SQRT2, lr_mul=0.01, dtype="float32")
            self.dense.append(part(layer, None, width))
            width = style_dim

    def call(self, z, label=None):
        if self.num_classes:
            z = tf.concat([z, tf.matmul(label, self.embedding)], axis=1)
        w = pixel_norm(z)
        for dense in self.dense:
            w = lrelu(dense(w))
        return w


class Styled(Noisy, Network):
    """All that follows a convolution: noise, bias, activation, and the style by AdaIN.

        AdaIN(x, y) = y_s (x - mean(x)) / deviation(x) + y_b,  y = (y_s, y_b) = A w    (eq. 1)

    with the statistics of each feature map of each image. A yields y_s - 1 and y_b.
    """

    def __init__(self, filters, size, style_dim, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.noise_weight = self.add_weight(
            name="noise_weight", shape=(filters,), initializer="zeros"
        )
        self.bias = self.add_weight(name="bias", shape=(filters,), initializer="zeros")
        self.affine = part(EqualizedDense(2 * filters, dtype="float32"), None, style_dim)
        self.norm = ConditionalNorm("instance", epsilon=1e-8, dtype=self.dtype_policy)
        self.noise = self.add_weight(
            name="noise", shape=size, initializer=initializer(), trainable=False
        )

    def styled(self, x, w, noise):
        x += tf.cast(noise * self.noise_weight + self.bias, x.dtype)
        scale, shift = tf.split(self.affine(w), 2, axis=1)
        return self.norm(lrelu(x), scale + 1.0, shift)


class StyledConstant(Styled):
    """The first layer: a learned constant in place of a convolution."""

    def __init__(self, filters, size, style_dim, **kwargs):
        super().__init__(filters, size, style_dim, **kwargs)
        self.constant = self.add_weight(name="constant", shape=(*size, filters), initializer="ones")

    def call(self, x, w, noise):
        x = tf.repeat(tf.expand_dims(self.constant, 0), tf.shape(w)[0], axis=0)
        return self.styled(x, w, noise)


class StyledConv(Styled):
    """A 3x3 convolution, which may double the image and blur it, and all that follows it."""

    def __init__(self, channels, filters, size, style_dim, up=False, **kwargs):
        super().__init__(filters, size, style_dim, **kwargs)
        self.conv = EqualizedConv2D(
            channels, filters, 3, up=up, use_bias=False, dtype=self.dtype_policy
        )

    def call(self, x, w, noise):
        x = self.conv(x)
        return self.styled(blur(x) if self.conv.up else x, w, noise)


class Synthesis(Network):
    """Grows a learned constant into an image: [N, num_ws, style_dim] -> [N, H, W, C].

    Layers 2k and 2k + 1 have the size of level k. Noise is "random", "const" (the stored images),
    "none", or a list with one image for each layer, [N or 1, H, W, 1].

    Attributes:
        lod: Level of detail that `call` shows, as that of ProGAN.
    """

    def __init__(self, image_shape, style_dim, channel_base, channel_max, **kwargs):
        super().__init__(**kwargs)
        self.levels = halvings(image_shape)
        rows, columns = halved(image_shape, self.levels)
        self.num_ws = 2 * self.levels + 2
        channels = [min(channel_base // (4 * 2**k), channel_max) for k in range(self.levels + 1)]
        self.convs = [StyledConstant(channels[0], (rows, columns), style_dim)]
        self.to_rgb = []
        for k, count in enumerate(channels):
            settings = {"dtype": None if k else "float32"}
            at = (count, (rows * 2**k, columns * 2**k), style_dim)
            if k:
                self.convs.append(StyledConv(channels[k - 1], *at, up=True, **settings))
            self.convs.append(StyledConv(count, *at, **settings))
            rgb = EqualizedConv2D(count, image_shape[2], 1, gain=1.0, dtype="float32")
            self.to_rgb.append(rgb)
        self.lod = self.add_weight(
            name="lod", initializer="zeros", trainable=False, aggregation="mean"
        )

    def features(self, ws, level, noise):
        """Feature maps of all resolutions up to that of `level`, coarsest first."""
        x, maps, n = None, [], tf.shape(ws)[0]
        for k, conv in enumerate(self.convs[: 2 * level + 2]):
            image = conv.noise_image(n, noise if isinstance(noise, str) else noise[k])
            x = conv(x, ws[:, k], image)
            maps.append(x)
        return maps[1::2]

    def images(self, ws, level, fade=None, noise="random"):
        """Images after `level` doublings, blended with those of the level before where it fades."""
        return faded_image(self.features(ws, level, noise), self.to_rgb, fade)

    def call(self, ws, noise="random"):
        return grown_image(self.features(ws, self.levels, noise), self.to_rgb, self.lod)


class Generator(StyleGenerator):
    """Mapping and synthesis of this paper; see `StyleGAN`."""

    def __init__(
        self, image_shape, latent_dim, num_classes, style_dim, mapping_layers, channel_base,
        channel_max, truncated_layers, name="generator", **kwargs,
    ):  # fmt: skip
        mapping = Mapping(latent_dim, num_classes, style_dim, mapping_layers)
        synthesis = Synthesis(image_shape, style_dim, channel_base, channel_max)
        super().__init__(mapping, synthesis, style_dim, truncated_layers, name=name, **kwargs)


class Discriminator(progan.Discriminator):
    """ProGAN's, with a low-pass filter before each halving, and one score for each class.

    Args: as for ProGAN's.
    """

    def __init__(self, image_shape, num_classes, channel_base, channel_max, minibatch_group, **kw):
        others = max(num_classes, 1) - 1  # ProGAN's has one output more than classes
        super().__init__(image_shape, others, channel_base, channel_max, minibatch_group, **kw)

    def block(self, conv, down, x):
        return lrelu(down(blur(lrelu(conv(x)))))


@keras.saving.register_keras_serializable("tfgans")
class StyleGAN(LatentModel):
    """StyleGAN, configuration F for 1024x1024 images by default.

    It grows as ProGAN does, from level `first_level` on; `Growth` says the stages.

    Args:
        image_shape: (height, width, channels) of the images; sides a multiple of a power of two
            with the shorter one 4 to 7 of these.
        latent_dim: Length of z ~ N(0, I).
        style_dim: Length of w.
        num_classes: Length of the label vector; 0 for an unconditional model.
        mapping_layers: Dense layers of the mapping network.
        channel_base: Channels of a level of nominal side s = 4, 8, ..., times s.
        channel_max: Maximum of the channels of a level.
        minibatch_group: Samples per group of the minibatch standard deviation, at most.
        first_level: Doublings of the first grid to the images of the first stage: 1, 8x8.
        stable_steps: Steps at each resolution but the last without fading: 600,000 images.
        fade_steps: Steps in which a resolution fades in: 600,000 images.
        style_mixing: Probability that two latents share the images of a batch.
        truncated_layers: Layers that truncation changes, coarsest first.
        r1_gamma: gamma of the R1 penalty.
        w_avg_decay: Decay of the running mean of w.
        learning_rates: Learning rate at each resolution, from that of the first stage on; the last
            one holds for all further ones.
        ema_kimg: Half-life of the averaged generator, in thousands of images.
    """

    def __init__(
        self, image_shape=(1024, 1024, 3), latent_dim=512, style_dim=512, num_classes=0,
        mapping_layers=8, channel_base=16384, channel_max=512, minibatch_group=4, first_level=1,
        stable_steps=18_750, fade_steps=18_750, style_mixing=0.9, truncated_layers=8,
        r1_gamma=10.0, w_avg_decay=0.995,
        learning_rates=(0.001, 0.001, 0.001, 0.001, 0.0015, 0.002, 0.003), ema_kimg=10.0,
        **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.style_dim = image_shape, latent_dim, style_dim
        self.num_classes, self.mapping_layers = num_classes, mapping_layers
        self.channel_base, self.channel_max = channel_base, channel_max
        self.minibatch_group, self.first_level = minibatch_group, first_level
        self.stable_steps, self.fade_steps = stable_steps, fade_steps
        self.style_mixing, self.truncated_layers = style_mixing, truncated_layers
        self.r1_gamma, self.w_avg_decay = r1_gamma, w_avg_decay
        self.learning_rates, self.ema_kimg = learning_rates, ema_kimg
        if not 0 <= first_level <= (most := halvings(image_shape)):
            raise BadInput(
                f"first_level is a number of doublings from 0 to {most} for images of "
                f"{image_shape[0]}x{image_shape[1]} pixels, not {first_level}: set "
                "model.first_level, or take larger images."
            )
        self.growth = Growth(image_shape, stable_steps, fade_steps, first_level)
        self.stage_steps = self.growth.stage_steps
        self.generator = Generator(
            image_shape, latent_dim, num_classes, style_dim, mapping_layers, channel_base,
            channel_max, truncated_layers,
        )  # fmt: skip
        self.generator.synthesis.lod.assign(self.growth.levels - first_level)
        self.discriminator = Discriminator(
            image_shape, num_classes, channel_base, channel_max, minibatch_group
        )
        self.generator_ema = self.ema_of(self.generator)

    def default_optimizers(self):
        rate = self.rate(self.stage_of(int(self.step.numpy())))

        def adam():
            return Adam(rate, beta_1=0.0, beta_2=0.99)

        return {"discriminator": adam(), "generator": adam()}

    def rate(self, stage):
        """The paper's learning rate at the resolution of a stage."""
        resolution = self.growth.level(stage) - self.first_level
        return self.learning_rates[min(resolution, len(self.learning_rates) - 1)]

    def stage_begins(self, stage):
        # Stages without steps lie in between, where the steps of a fade are 0.
        factor = self.rate(stage) / self.rate(self.stage_of(self.now - 1))
        for optimizer in self.optimizers.values():
            own = getattr(optimizer, "inner_optimizer", optimizer)  # inside of loss scaling
            moved = int(own.iterations.numpy()) > 0  # a new optimizer begins with this stage's rate
            forget(own)
            if moved and factor != 1.0:
                own.learning_rate = own.learning_rate * factor

    def stage_shape(self, stage):
        return self.growth.shape(stage)

    @property
    def level(self):
        return self.growth.level(self.stage)

    @property
    def fade(self):
        return self.growth.fade(self.stage, self.step)

    def fakes(self, n, label):
        """n images of new latents and a `label`, of this stage's resolution, some of them mixed."""
        zs = [self.latents(n) for _ in range(2 if self.style_mixing else 1)]
        active = 2 * self.level + 2  # layers of the resolutions that are there already
        mixing, decay = self.style_mixing, self.w_avg_decay
        ws = self.generator.training_styles(zs, label, mixing, decay, active)
        return self.generator.synthesis.images(ws, self.level, self.fade)

    def score(self, image, label):
        """D's scores of an image, [N, 1]; with a label those of its class."""
        scores = self.discriminator(image, fade=self.fade)
        return scores if label is None else tf.reduce_sum(scores * label, 1, keepdims=True)

    def discriminator_loss(self, real, label):
        fake = self.fakes(real.shape[0], label)
        return {
            "real": tf.reduce_mean(tf.nn.softplus(-self.score(real, label))),
            "fake": tf.reduce_mean(tf.nn.softplus(self.score(fake, label))),
            "r1": 0.5 * self.r1_gamma * self.r1_penalty(real, label),
        }

    def r1_penalty(self, real, label):
        """Mean of |gradient of D|^2 at `real` images of a label."""
        gradient = input_gradient(lambda x: self.score(x, label), real, [self.discriminator])
        penalty = tf.reduce_mean(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]))
        # One pixel here is the mean of 4^k of a full-size image, each with 1 / 4^k of its gradient.
        return penalty / 4 ** (self.growth.levels - self.level)

    def generator_loss(self, label, n):
        return {"fake": tf.reduce_mean(tf.nn.softplus(-self.score(self.fakes(n, label), label)))}

    def train_step(self, data):
        real = self.growth.shown(data["image"], self.stage, self.step)
        label, n = self.one_hot(data.get("label")), real.shape[0]
        d = self.update("discriminator", self.discriminator_loss, real, label)
        g = self.update("generator", self.generator_loss, label, n=n)
        lod = self.growth.lod(self.stage, self.step)
        self.generator.synthesis.lod.assign(lod)
        batch = n * tf.distribute.get_strategy().num_replicas_in_sync
        self.update_ema(self.generator_ema, self.generator, 0.5 ** (batch / (1e3 * self.ema_kimg)))
        return d | g | {"generator/lod": lod}

    def call(self, z, label=None, truncation=None, cutoff=None, noise="const"):
        """Full-size images with the detail that the averaged generator has learned so far.

        Args:
            z: [N, latent_dim].
            label: Class numbers [N] or label vectors [N, num_classes].
            truncation: psi, a number or [N]; 1 or None for the full variety, 0 for the mean.
            cutoff: Truncate only the first `cutoff` layers; None for `truncated_layers`.
            noise: "const" for the stored noise images, "random", or "none".

        Returns:
            [N, H, W, C] in about [-1, 1].
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

    def preview(self, batch):
        """Samples, and below them a table of mixed styles, as in figure 3 of the paper.

        The images at its left and at its top are the sources. All others have the coarse styles,
        of sides up to 8 pixels, of the one at the left, and the finer ones of the one at the top.
        """
        samples = self.outputs(batch)
        samples = samples[: len(samples) // COLUMNS * COLUMNS]
        generator, lines = self.generator_ema, COLUMNS // 2 - 1
        count = lines + COLUMNS - 1
        ws = generator.styles(self.latents(count), *self.condition_for(count))
        rows, columns = ws[:lines], ws[lines:]
        num_ws = generator.synthesis.num_ws
        mixed = tf.where(
            tf.range(num_ws)[:, None] < COARSE, rows[:, None], columns[None]
        )  # [rows, columns, num_ws, style_dim]
        mixed = tf.concat([rows[:, None], mixed], axis=1)
        ws = tf.concat([columns, tf.reshape(mixed, [-1, *ws.shape[1:]])], axis=0)
        made = generator.synthesis(ws, noise="const")
        corner = tf.ones([1, *self.image_shape])
        made = tf.concat([samples, corner, made], axis=0)
        return tf.reshape(made, [-1, COLUMNS, *self.image_shape])

    def endpoints(self):
        return style_endpoints(self)
