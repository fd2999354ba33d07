"""Doubling or halving the resolution and a convolution in one, with a kernel one larger.

Weights that meet equal pixels, or go into one mean, are summed beforehand. For a 3 x 3 kernel that
leaves 4 of 9 multiplications, in both directions; the result is the same to rounding, also at the
borders. The authors of ProGAN do it (arXiv:1710.10196).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans.ops.exporting import prepared


def widened(kernel, flipped=False):
    """[k, k, ...] -> [k + 1, k + 1, ...]: the sum of the kernel and its shifts by one pixel.

    As a product of matrices, which can turn the kernel by half a circle as well: on a CPU slices,
    their gradients and reversals have one thread.
    """
    k = kernel.shape[0]
    shifts = np.eye(k + 1, k) + np.eye(k + 1, k, -1)  # where a row goes
    shifts = np.kron(shifts, shifts)[:: -1 if flipped else 1]  # [(k + 1)^2, k^2]
    rows = tf.reshape(kernel, [k * k, -1])
    rows = tf.matmul(tf.constant(shifts, kernel.dtype), rows)
    return tf.reshape(rows, [k + 1, k + 1, *kernel.shape[2:]])


def up_conv(x, kernel, scale=1.0):
    """[N, H, W, I], `scale` times [k, k, I, O] -> [N, 2H, 2W, O]; k is odd, the padding `SAME`."""
    shape = [tf.shape(x)[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[3]]
    kernel = prepared(_up_kernel, kernel, x.dtype, scale)
    return tf.nn.conv2d_transpose(x, kernel, shape, 2, "SAME")


def _up_kernel(kernel, dtype, scale):
    """[k, k, I, O] -> [k + 1, k + 1, O, I]."""
    return widened(tf.transpose(tf.cast(kernel, dtype) * scale, [0, 1, 3, 2]), flipped=True)


def down_conv(x, kernel, scale=1.0):
    """[N, H, W, I], `scale` times [k, k, I, O] -> [N, H / 2, W / 2, O], rounded down; k is odd."""
    y = tf.nn.conv2d(x, widened(tf.cast(kernel, x.dtype) * (scale / 4)), 2, "SAME")
    height, width = x.shape[1:3]
    # Of an odd side the mean of squares leaves the last row out. Explicit padding instead of
    # "SAME" would do it too, with half the speed of the gradient on a CPU.
    return y[:, : height // 2, : width // 2] if height % 2 or width % 2 else y


@keras.saving.register_keras_serializable("tfgans")
class UpConv2D(keras.layers.Conv2D):
    """Doubles the resolution (nearest neighbor), then convolves.

    Takes the arguments of Conv2D: an odd kernel, `padding="same"`, with a bias, of stride 1.
    """

    def call(self, x):
        return self.activation(up_conv(x, self.kernel) + self.bias)

    def compute_output_shape(self, shape):
        n, height, width, _ = shape
        return n, 2 * height, 2 * width, self.filters


@keras.saving.register_keras_serializable("tfgans")
class DownConv2D(keras.layers.Conv2D):
    """Convolves, then halves the resolution (mean of squares).

    Takes the same arguments, but for an activation, which would have to come before the mean.
    """

    def call(self, x):
        return down_conv(x, self.kernel) + self.bias

    def compute_output_shape(self, shape):
        n, height, width, _ = shape
        return n, height // 2, width // 2, self.filters
