"""Weight normalization, and the initialization from a batch that belongs to it."""

import keras
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.pixel_shuffle import ICNR


class WeightNorm(keras.layers.Layer):
    """Dense layer or convolution with the weight g w / |w| per output channel (arXiv:1602.07868).

    Args:
        filters: Channels of the output.
        size: Side of the kernel; 0 for a dense layer.
        strides: Strides of the convolution.
        padding: "same" or "valid".
        transposed: Transposed convolution.
        start_std: Standard deviation of the outputs after `initialize`.
        train_gain: Train g too.
        kernel_std: Standard deviation of the first w. It does not change the outputs, but how fast
            w turns.
        start_gain: The first g.
        shuffle_factor: r of a pixel shuffle that follows: w of the r^2 channels of a square begin
            alike, see `ICNR`.
    """

    def __init__(
        self,
        filters,
        size=3,
        strides=1,
        padding="same",
        transposed=False,
        start_std=1.0,
        train_gain=False,
        kernel_std=0.05,
        start_gain=1.0,
        shuffle_factor=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.size, self.strides, self.padding = filters, size, strides, padding
        self.transposed, self.start_std, self.train_gain = transposed, start_std, train_gain
        self.kernel_std, self.start_gain = kernel_std, start_gain
        self.shuffle_factor = shuffle_factor

    def build(self, input_shape):
        ends = [input_shape[-1], self.filters]  # [k, k, in, out], transposed [k, k, out, in]
        ends = ends[::-1] if self.transposed else ends
        shape = [self.size, self.size, *ends] if self.size else ends
        self.axes = [0, 1, 3] if self.transposed else list(range(len(shape) - 1))

        def weight(name, shape, initializer, trainable=True):
            # float32 in half precision too: the norm divides, so gradients of `kernel` are large.
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=initializer,
                trainable=trainable,
                autocast=False,
                aggregation="mean",
            )

        start = keras.initializers.RandomNormal(stddev=self.kernel_std)
        self.kernel = weight("kernel", shape, ICNR(start, self.shuffle_factor))
        start = keras.initializers.Constant(self.start_gain)
        self.gain = weight("gain", (self.filters,), start, self.train_gain)
        self.bias = weight("bias", (self.filters,), "zeros")

    def linear(self, x):
        norm = tf.sqrt(1e-6 + tf.reduce_sum(tf.square(self.kernel), self.axes, keepdims=True))
        kernel = tf.cast(self.kernel * (tf.reshape(self.gain, norm.shape) / norm), x.dtype)
        if self.transposed:
            return keras.ops.conv_transpose(x, kernel, self.strides, self.padding)
        if self.size:
            return keras.ops.conv(x, kernel, self.strides, self.padding)
        return tf.matmul(x, kernel)

    def call(self, x):
        y = self.linear(x)
        return y + tf.cast(self.bias, y.dtype)

    def initialize(self, x):
        """Makes outputs for a batch x have mean 0 and deviation `start_std` per channel."""
        y = self.linear(tf.cast(x, "float32"))
        mean, variance = tf.nn.moments(y, list(range(y.shape.rank - 1)))
        ratio = self.start_std * tf.math.rsqrt(variance)
        self.gain.assign(self.gain * ratio)
        self.bias.assign(-mean * ratio)


def initialize(network, x):
    """Runs a batch through a chain of layers; those that can initialize themselves do so.

    Args:
        network: A Keras model that is one chain of layers.
        x: Its input, the batch that they initialize themselves from, [N, ...].

    Raises:
        BadInput: One example alone has no deviation.
    """
    if x.shape[0] < 2:
        raise BadInput(
            "The first batch also initializes the weights, by its deviations: 2 examples or more "
            f"on each device are needed, not {x.shape[0]}. Change data.batch_size."
        )
    for layer in network.layers[1:]:
        if hasattr(layer, "initialize"):
            layer.initialize(x)
        x = layer(x, training=True)
