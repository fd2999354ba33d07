"""Normalization whose gain gamma and bias beta come from a condition.

Every form computes, for each channel,

    gamma * (x - mean) / sqrt(variance + epsilon) + beta.

`ConditionalNorm` decides where mean and variance come from and takes gamma and beta as inputs. The
other layers make gamma and beta, and leave the rest to it:

| Layer | gamma and beta | Papers |
|---|---|---|
| `ConditionalBatchNorm` | rows of tables, one for each class | SNGAN, projection, SAGAN |
| `LinearConditionalNorm` | linear in a vector or in a hidden layer | BigGAN, self-modulation |
| `SpatialConditionalNorm` | convolutions of a label map | SPADE |
| `AffineNorm` | two weights, without a condition | BigGAN, before its last convolution |

A network with styles of its own kind, as StyleGAN's AdaIN, calls `ConditionalNorm` itself.
"""

import contextlib
import contextvars

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.ops.resample import resize_nearest

STATISTICS = ("batch", "cross_replica", "instance")

_accumulating = contextvars.ContextVar("accumulating", default=None)  # the set that is filled
_mixture = contextvars.ContextVar("mixture", default=None)  # weights of the rows at each pixel
_position = contextvars.ContextVar("position", default=None)  # among the sets that are used


class ConditionalNorm(keras.layers.Layer):
    """Normalizes x and applies a given gain and bias: gamma * normalized(x) + beta.

    Called with x [N, H, W, C], gamma and beta; these are vectors [N, C] or maps [N, H, W, C]. The
    layer has no trainable weights and computes in float32.

    Args:
        statistics: Source of mean and variance. "batch": the images on this replica (Ioffe &
            Szegedy, 2015, arXiv:1502.03167). "cross_replica": the images on all replicas (Brock et
            al., 2019, arXiv:1809.11096). "instance": each image alone, also in inference (Ulyanov
            et al., 2016, arXiv:1607.08022).
        momentum: Decay of the moving averages, which "batch" and "cross_replica" use in inference.
        epsilon: Constant added to the variance.
        standing: Number of sets of standing statistics to keep too. `accumulate_statistics` fills
            a set, and inference inside `standing_statistics` uses it in place of the moving
            averages.

    Raises:
        BadInput: `statistics` is another word.
    """

    def __init__(self, statistics="batch", momentum=0.9, epsilon=1e-5, standing=0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.statistics, self.momentum = statistics, momentum
        self.epsilon, self.standing = epsilon, standing
        if statistics not in STATISTICS:
            raise BadInput(f"`statistics` must be one of {', '.join(STATISTICS)}: {statistics!r}.")

    def build(self, x_shape):
        if self.statistics == "instance":
            return
        channels = x_shape[-1:]
        self.moving_mean = self.add_statistic("moving_mean", channels, "zeros")
        self.moving_variance = self.add_statistic("moving_variance", channels, "ones")
        if self.standing:
            sets = (self.standing, *channels)
            self.standing_mean = self.add_statistic("standing_mean", sets, "zeros")
            self.standing_variance = self.add_statistic("standing_variance", sets, "zeros")
            self.batches = self.add_statistic("batches", (self.standing,), "zeros")

    def add_statistic(self, name, shape, initializer):
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, autocast=False
        )

    def call(self, x, gamma, beta, training=False):
        x, gamma, beta = (tf.cast(tensor, "float32") for tensor in (x, gamma, beta))
        gamma, beta = (mixed(over_pixels(rows), x) for rows in (gamma, beta))
        if self.statistics == "instance":
            mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)  # [N, 1, 1, C]
        elif training or (self.standing and _accumulating.get() is not None):
            mean, variance = self.batch_statistics(x)  # [C]
            self.record(mean, variance, training)
        else:
            mean, variance = self.stored_statistics()  # [C] or [N, 1, 1, C]
        x = gamma * tf.math.rsqrt(variance + self.epsilon) * (x - mean) + beta
        return tf.cast(x, self.compute_dtype)

    def batch_statistics(self, x):
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        if self.statistics == "cross_replica":
            # Law of total variance: the mean variance within replicas, plus that of their means.
            local, mean = mean, mean_over_replicas(mean)
            variance = mean_over_replicas(variance + tf.square(local - mean))
        return mean, variance

    def record(self, mean, variance, training):
        if training:
            decay = self.momentum
            self.moving_mean.assign(decay * self.moving_mean + (1.0 - decay) * mean)
            self.moving_variance.assign(decay * self.moving_variance + (1.0 - decay) * variance)
        else:
            one = tf.one_hot(_accumulating.get(), self.standing)  # [sets]
            self.batches.assign_add(one)
            share = (one / tf.maximum(self.batches, 1.0))[:, tf.newaxis]
            self.standing_mean.assign_add(share * (mean - self.standing_mean))
            self.standing_variance.assign_add(share * (variance - self.standing_variance))

    def stored_statistics(self):
        moving = tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)
        position = _position.get()
        if not self.standing or position is None:
            return moving
        # A set weighs 1 at its own position, and less up to 0 at those of its neighbors.
        distance = tf.abs(tf.reshape(position, [-1, 1]) - tf.range(float(self.standing)))
        share = tf.maximum(1.0 - distance, 0.0)  # [N or 1, sets]
        filled = tf.reduce_all(self.batches > 0)
        return [
            tf.where(filled, tf.matmul(share, s), m)[:, tf.newaxis, tf.newaxis]
            for s, m in zip((self.standing_mean, self.standing_variance), moving, strict=True)
        ]

    def compute_output_shape(self, x_shape):
        return x_shape


def over_pixels(vector_or_map):
    """[N, C] -> [N, 1, 1, C]; [N, H, W, C] stays."""
    is_map = vector_or_map.shape.rank == 4
    return vector_or_map if is_map else vector_or_map[:, tf.newaxis, tf.newaxis]


def mixed(rows, x):
    """Gains or biases, [k, ...]; inside `mixed_over`, their mean at each pixel, [1, H, W, C]."""
    weights = _mixture.get()
    if weights is None:
        return rows
    share = tf.image.resize(weights, x.shape[1:3], "area")  # sums stay 1
    rows = tf.broadcast_to(rows, [*share.shape[2:], *share.shape[:2], rows.shape[3]])
    return tf.einsum("hwk,khwc->hwc", share, rows)[None]


@contextlib.contextmanager
def mixed_over(weights):
    """Inside, all rows of a batch have the same mixture of their gains and biases.

    Args:
        weights: [H, W, k] for a batch of k rows, with the sum 1 at each pixel; resized to each map.
    """
    before = _mixture.set(tf.cast(weights, "float32"))
    try:
        yield
    finally:
        _mixture.reset(before)


def mean_over_replicas(tensor):
    """The mean of a tensor that each replica has; the tensor itself outside of `strategy.run`."""
    replica = tf.distribute.get_replica_context()
    return tensor if replica is None else replica.all_reduce("mean", tensor)


def accumulate_statistics(network, batches, which=0):
    """Sets one set of standing statistics of a network to the mean over batches (Brock et al.).

    BigGAN has a set for each truncation, each from about 100 batches of truncated z. Each layer
    with `standing` normalizes by the statistics of the batch and adds them to the set's mean.
    Nothing else changes: the network runs in inference, so moving averages and the vectors of
    spectral normalization stay. `BaseModel.update_ema` clears the standing statistics of an
    averaged copy, because they belong to earlier weights.

    Args:
        network: A Keras model or layer, called outside of `strategy.run`.
        batches: Iterable of inputs of `network`, such as [z, label] with truncated z.
        which: Number of the set.
    """
    for layer in network._flatten_layers():
        if isinstance(layer, ConditionalNorm) and layer.standing:
            keep = 1.0 - tf.one_hot(which, layer.standing)
            layer.batches.assign(layer.batches * keep)
            for statistic in (layer.standing_mean, layer.standing_variance):
                statistic.assign(statistic * keep[:, tf.newaxis])
    before = _accumulating.set(which)
    try:
        for batch in batches:
            network(batch, training=False)
    finally:
        _accumulating.reset(before)


@contextlib.contextmanager
def standing_statistics(position):
    """Inside, networks in inference use their standing statistics, once all sets are filled.

    Args:
        position: Number of a set, or a number between two, whose statistics are interpolated; a
            scalar, or [N] for one of its own for each image of a batch.
    """
    before = _position.set(tf.cast(position, "float32"))
    try:
        yield
    finally:
        _position.reset(before)


class Conditioned(keras.layers.Layer):
    """Layer around a `ConditionalNorm`; a subclass makes gamma and beta of a condition.

    Args: as `ConditionalNorm`.
    """

    def __init__(self, statistics="batch", momentum=0.9, epsilon=1e-5, standing=0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.norm = ConditionalNorm(
            statistics, momentum, epsilon, standing, dtype=self.dtype_policy
        )

    def compute_output_shape(self, x_shape):
        return x_shape

    def get_config(self):
        names = ("statistics", "momentum", "epsilon", "standing")
        return super().get_config() | {name: getattr(self.norm, name) for name in names}


class ConditionalBatchNorm(Conditioned):
    """gamma and beta are rows of two tables (Dumoulin et al., 2017, arXiv:1610.07629).

    Called with x [N, H, W, C] and label vectors [N, K]. For the class y of an image, gamma is row y
    of a table [K, C] that starts at 1, and beta row y of one that starts at 0. A map of label
    vectors, [N, H, W, K], mixes the rows at each pixel (Suzuki et al., 2018, arXiv:1811.10153).

    Args:
        momentum: Share that the moving averages keep of their old value at each step, as in SNGAN.
        epsilon: Number added to the variance, as in SNGAN.
        **kwargs: As `ConditionalNorm`.
    """

    def __init__(self, momentum=0.9, epsilon=2e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def build(self, x_shape, label_shape):
        table = (label_shape[-1], x_shape[-1])
        self.gamma = self.add_weight(name="gamma", shape=table, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=table, initializer="zeros", autocast=False)
        self.norm.build(x_shape)

    def call(self, x, label, training=False):
        label = tf.cast(label, "float32")
        gamma, beta = tf.matmul(label, self.gamma), tf.matmul(label, self.beta)
        return self.norm(x, gamma, beta, training=training)


class LinearConditionalNorm(Conditioned):
    """gamma = 1 + A v and beta = B v, linear in a vector v or in a hidden layer on it.

    Called with x [N, H, W, C] and v [N, D]. In BigGAN (Brock et al., 2019, arXiv:1809.11096,
    appendix B) v is a chunk of z beside an embedding of the class, and A and B are spectrally
    normalized and have no bias. In self-modulation (Chen et al., 2019, arXiv:1810.01365) v is z,
    and A and B act on max(0, W v + b).

    Args:
        hidden: Units of the hidden layer; 0 for none.
        use_bias: A, B and the hidden layer have biases, which start at 0.
        spectral_norm: Their matrices are spectrally normalized.
        kernel_initializer: Start of their matrices, a Keras initializer or its name.
        **kwargs: As `ConditionalNorm`.
    """

    def __init__(
        self,
        hidden=0,
        use_bias=True,
        spectral_norm=False,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden, self.use_bias, self.spectral_norm = hidden, use_bias, spectral_norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, x_shape, v_shape):
        size = v_shape[-1]
        if self.hidden:
            self.hidden_layer = self.dense(size, self.hidden, activation="relu")
            size = self.hidden
        self.to_gamma = self.dense(size, x_shape[-1])
        self.to_beta = self.dense(size, x_shape[-1])
        self.norm.build(x_shape)

    def dense(self, size, units, activation=None):
        layer = keras.layers.Dense(
            units,
            activation,
            use_bias=self.use_bias,
            kernel_initializer=self.kernel_initializer.clone(),  # other numbers for each matrix
            dtype="float32",
        )
        layer = SpectralNorm(layer) if self.spectral_norm else layer
        layer.build((None, size))
        return layer

    def call(self, x, v, training=False):
        h = self.hidden_layer(v) if self.hidden else v
        return self.norm(x, 1.0 + self.to_gamma(h), self.to_beta(h), training=training)

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "use_bias": self.use_bias,
            "spectral_norm": self.spectral_norm,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


class AffineNorm(Conditioned):
    """gamma and beta are weights, [C], as in plain batch normalization; they start at 1 and 0.

    Args: as `ConditionalNorm`.
    """

    def build(self, x_shape):
        size = x_shape[-1:]
        self.gamma = self.add_weight(name="gamma", shape=size, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=size, initializer="zeros", autocast=False)
        self.norm.build(x_shape)

    def call(self, x, training=False):
        gamma, beta = (tf.convert_to_tensor(w)[tf.newaxis] for w in (self.gamma, self.beta))
        return self.norm(x, gamma, beta, training=training)


class SpatialConditionalNorm(Conditioned):
    """gamma and beta are maps made of a label map (SPADE: Park et al., 2019, arXiv:1903.07291).

    Called with x [N, H, W, C] and a label map m [N, H', W', K], which is resized to x by nearest
    neighbors. With h = max(0, conv(m)), gamma = 1 + conv(h) and beta = conv(h); all three
    convolutions are 3x3 and have a bias. The 1 is that of the authors' code.

    Args:
        hidden: Channels of h.
        kernel_initializer: Start of the kernels, a Keras initializer or its name.
        **kwargs: As `ConditionalNorm`.
    """

    def __init__(self, hidden=128, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, x_shape, m_shape):
        self.shared = self.conv(m_shape[-1], self.hidden, activation="relu")
        self.to_gamma = self.conv(self.hidden, x_shape[-1])
        self.to_beta = self.conv(self.hidden, x_shape[-1])
        self.norm.build(x_shape)

    def conv(self, channels, filters, activation=None):
        layer = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            activation=activation,
            kernel_initializer=self.kernel_initializer.clone(),  # other numbers for each kernel
            dtype=self.dtype_policy,
        )
        layer.build((None, None, None, channels))
        return layer

    def call(self, x, m, training=False):
        h = self.shared(resize_nearest(m, *x.shape[1:3]))
        gamma = 1.0 + tf.cast(self.to_gamma(h), "float32")
        return self.norm(x, gamma, self.to_beta(h), training=training)

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
