"""Doubling or halving the resolution and a convolution in one, with a kernel one larger.

Weights that meet equal pixels, or go into one mean, are summed beforehand. For a 3 x 3 kernel that
leaves 4 of 9 multiplications, in both directions; the result is the same to rounding, also at the
borders. The authors of ProGAN do it (arXiv:1710.10196).
"""

import keras
import numpy as np
import tensorflow as tf


def widened(kernel):
    """[k, k, ...] -> [k + 1, k + 1, ...]: the sum of the kernel and its shifts by one pixel.

    As a product of matrices: on a CPU the gradient of slices takes a fifth of ProGAN's step.
    """
    k = kernel.shape[0]
    shifts = np.eye(k + 1, k) + np.eye(k + 1, k, -1)  # where a row goes
    shifts = tf.constant(np.kron(shifts, shifts), kernel.dtype)  # [(k + 1)^2, k^2]
    rows = tf.reshape(kernel, [k * k, -1])
    return tf.reshape(tf.matmul(shifts, rows), [k + 1, k + 1, *kernel.shape[2:]])


def up_conv(x, kernel):
    """[N, H, W, I], [k, k, I, O] -> [N, 2H, 2W, O]; k is odd, the padding `SAME`."""
    kernel = tf.transpose(widened(kernel)[::-1, ::-1], [0, 1, 3, 2])
    shape = [tf.shape(x)[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[2]]
    return tf.nn.conv2d_transpose(x, kernel, shape, 2, "SAME")


def down_conv(x, kernel):
    """[N, H, W, I], [k, k, I, O] -> [N, H / 2, W / 2, O], rounded down; k is odd, `SAME`."""
    y = tf.nn.conv2d(x, widened(kernel) / 4, 2, "SAME")
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
        return self.activation(up_conv(x, tf.convert_to_tensor(self.kernel)) + self.bias)

    def compute_output_shape(self, shape):
        n, height, width, _ = shape
        return n, 2 * height, 2 * width, self.filters


@keras.saving.register_keras_serializable("tfgans")
class DownConv2D(keras.layers.Conv2D):
    """Convolves, then halves the resolution (mean of squares).

    Takes the same arguments, but for an activation, which would have to come before the mean.
    """

    def call(self, x):
        return down_conv(x, tf.convert_to_tensor(self.kernel)) + self.bias

    def compute_output_shape(self, shape):
        n, height, width, _ = shape
        return n, height // 2, width // 2, self.filters
