"""Convolutions that double or halve the resolution in one operation, as in ProGAN's code.

Each form equals two operations, to rounding and also at the borders: doubling (nearest neighbor)
then a convolution, or a convolution then halving (mean of 2x2 pixels). Pixels that are equal, or
that go into one mean, share their sum of weights; the kernel of these sums is one pixel larger. For
a 3x3 kernel that takes 4 of 9 multiplications, in both directions.

Reference: tkarras/progressive_growing_of_gans (Karras et al., ICLR 2018, arXiv:1710.10196).
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans.ops.exporting import prepared


def widened(kernel, flipped=False):
    """The sum of a kernel and its shifts by one pixel: [k, k, ...] -> [k + 1, k + 1, ...].

    Equals: four copies of the kernel, padded by a row and a column at each of the four corners, and
    added. It is a product of matrices, because slices, their gradients and reversals use one thread
    on a CPU.

    Args:
        kernel: [k, k, ...].
        flipped: Rotate the result by 180 degrees.
    """
    k = kernel.shape[0]
    shifts = np.eye(k + 1, k) + np.eye(k + 1, k, -1)  # row i goes to rows i and i + 1
    shifts = np.kron(shifts, shifts)[:: -1 if flipped else 1]  # [(k + 1)^2, k^2]
    rows = tf.reshape(kernel, [k * k, -1])
    rows = tf.matmul(tf.constant(shifts, kernel.dtype), rows)
    return tf.reshape(rows, [k + 1, k + 1, *kernel.shape[2:]])


def up_conv(x, kernel, scale=1.0):
    """Doubles the resolution and convolves.

    Equals: conv(repeat(repeat(x, 2, axis=1), 2, axis=2), scale * kernel), padding "SAME".

    Args:
        x: [N, H, W, I].
        kernel: [k, k, I, O]; k is odd.
        scale: Factor of the kernel.

    Returns:
        [N, 2H, 2W, O].
    """
    shape = [tf.shape(x)[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[3]]
    kernel = prepared(_up_kernel, kernel, x.dtype, scale)
    return tf.nn.conv2d_transpose(x, kernel, shape, 2, "SAME")


def _up_kernel(kernel, dtype, scale):
    """The kernel of the transposed convolution: [k, k, I, O] -> [k + 1, k + 1, O, I]."""
    return widened(tf.transpose(tf.cast(kernel, dtype) * scale, [0, 1, 3, 2]), flipped=True)


def down_conv(x, kernel, scale=1.0):
    """Convolves and halves the resolution.

    Equals: avg_pool(conv(x, scale * kernel), 2), padding "SAME"; of an odd side, the pool leaves
    out the last row or column.

    Args:
        x: [N, H, W, I].
        kernel: [k, k, I, O]; k is odd.
        scale: Factor of the kernel.

    Returns:
        [N, H // 2, W // 2, O].
    """
    y = tf.nn.conv2d(x, widened(tf.cast(kernel, x.dtype) * (scale / 4)), 2, "SAME")
    height, width = x.shape[1:3]
    # Explicit padding would leave out the last row too, but halves the gradient's speed on a CPU.
    return y[:, : height // 2, : width // 2] if height % 2 or width % 2 else y


class UpConv2D(keras.layers.Conv2D):
    """Doubles the resolution (nearest neighbor), then convolves.

    Args: as `Conv2D`, with an odd kernel size, padding "same", stride 1 and a bias.
    """

    def call(self, x):
        return self.activation(up_conv(x, self.kernel) + self.bias)

    def compute_output_shape(self, shape):
        n, height, width, _ = shape
        return n, 2 * height, 2 * width, self.filters


class DownConv2D(keras.layers.Conv2D):
    """Convolves, then halves the resolution (mean of 2x2 pixels).

    Args: as `UpConv2D`, without an activation, which would come before the mean.
    """

    def call(self, x):
        return down_conv(x, self.kernel) + self.bias

    def compute_output_shape(self, shape):
        n, height, width, _ = shape
        return n, height // 2, width // 2, self.filters
