"""Equalized learning rate of ProGAN (Karras et al., ICLR 2018, arXiv:1710.10196, section 4.1).

The stored weight is drawn from N(0, 1) and multiplied by He's constant at run time. Adam's steps do
not depend on the scale of the gradient, so all weights move at the same relative speed.
"""

import keras
import tensorflow as tf

from tfgans.layers.resampled_conv import down_conv, up_conv
from tfgans.ops.exporting import prepared

SQRT2 = 2.0**0.5  # He's gain of layers that a leaky ReLU follows


class EqualizedDense(keras.layers.Layer):
    """Dense layer on the last axis with equalized learning rate.

    Args:
        units: Length of the output.
        gain: Factor of the weight alone; ProGAN takes sqrt(2) before a leaky ReLU.
        post_gain: Factor of the whole output, weight and bias.
        lr_mul: Learning rate multiplier. The stored weight is drawn with deviation 1 / lr_mul;
            weight and bias are multiplied by lr_mul at run time.
        bias_start: Start value of the bias in effect; None for no bias.
    """

    def __init__(self, units, gain=1.0, post_gain=1.0, lr_mul=1.0, bias_start=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units, self.gain, self.post_gain = units, gain, post_gain
        self.lr_mul, self.bias_start = lr_mul, bias_start

    def build(self, input_shape):
        fan_in = input_shape[-1]
        self.scale = self.gain * self.post_gain * self.lr_mul / fan_in**0.5
        normal = keras.initializers.RandomNormal(stddev=1.0 / self.lr_mul)
        self.kernel = self.add_weight(name="kernel", shape=(fan_in, self.units), initializer=normal)
        if self.bias_start is not None:
            start = keras.initializers.Constant(self.bias_start / self.lr_mul)
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer=start)

    def call(self, x):
        x = tf.matmul(x * self.scale, self.kernel)  # the input is smaller than the kernel
        return x if self.bias_start is None else x + self.bias * (self.lr_mul * self.post_gain)


class EqualizedConv2D(keras.layers.Layer):
    """Convolution with equalized learning rate, `SAME`.

    Args:
        channels: Channels of the input.
        filters: Channels of the output.
        kernel_size: Side of the kernel.
        gain: Factor of the weight beside He's 1 / sqrt(inputs).
        up: Double the resolution (nearest neighbor) before.
        down: Halve it (mean) after, before the bias.
        use_bias: Add a bias.
    """

    def __init__(
        self,
        channels,
        filters,
        kernel_size,
        gain=SQRT2,
        up=False,
        down=False,
        use_bias=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.up, self.down, self.use_bias = up, down, use_bias
        self.scale = gain / (kernel_size * kernel_size * channels) ** 0.5
        shape = (kernel_size, kernel_size, channels, filters)
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=normal)
        if use_bias:
            self.bias = self.add_weight(name="bias", shape=(filters,), initializer="zeros")
        self.built = True

    def call(self, x):
        if self.up:
            x = up_conv(x, self.kernel, self.scale)
        elif self.down:
            x = down_conv(x, self.kernel, self.scale)
        else:
            kernel = prepared(_scaled, self.kernel, x.dtype, self.scale)
            x = tf.nn.conv2d(x, kernel, 1, "SAME")
        return x + self.bias if self.use_bias else x


def _scaled(kernel, dtype, scale):
    return tf.cast(kernel, dtype) * scale
