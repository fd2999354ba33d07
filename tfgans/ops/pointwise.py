"""Element-wise operations of convolutional networks, with hand-written gradients.

Each operation is one pass over memory, forward and backward (`machine.compiled`). The gradients
have the same values as TensorFlow's. They are written out for two reasons. The forward pass keeps
its result and nothing else. And the sums over pixels become products with a vector of ones, which
on a CPU in float32 are two to four times as fast as `tf.reduce_sum`. The gradients consist of
differentiable operations, so penalties on gradients can be trained.
"""

import tensorflow as tf

from tfgans.ops.exporting import own_gradient
from tfgans.ops.machine import compiled

SLOPE = 0.2  # of every leaky ReLU here


def sum_over_pixels(x):
    """Equals: reduce_sum(x, [1, 2]), [N, H, W, C] -> [N, C]."""
    pixels = x.shape[1] * x.shape[2]
    ones = tf.ones([tf.shape(x)[0], 1, pixels], x.dtype)
    return tf.matmul(ones, tf.reshape(x, [-1, pixels, x.shape[3]]))[:, 0]


def sum_over_batch_and_pixels(x):
    """Equals: reduce_sum(x, [0, 1, 2]), [N, H, W, C] -> [C]."""
    x = tf.reshape(x, [-1, x.shape[3]])
    return tf.matmul(tf.ones([1, tf.shape(x)[0]], x.dtype), x)[0]


def sum_over_channels(x):
    """Equals: reduce_sum(x, 3, keepdims=True), [N, H, W, C] -> [N, H, W, 1]."""
    rows = tf.reshape(x, [-1, x.shape[3]])
    return tf.reshape(tf.matmul(rows, tf.ones([x.shape[3], 1], x.dtype)), [-1, *x.shape[1:3], 1])


@compiled
def _times(x, scale):
    return x * tf.cast(scale, x.dtype)[:, None, None, :]


@compiled
def _product(a, b):
    return a * b


@compiled
def _activation(x, scale, noise, bias):
    # Computed in float32 and rounded once, at the end.
    y = tf.cast(x, "float32") * scale[:, None, None, :] + noise
    return tf.cast(tf.nn.leaky_relu(tf.nn.bias_add(y, bias), SLOPE), x.dtype)


@compiled
def _slope_times(dy, y):
    # y and the input of the activation have the same sign.
    return tf.raw_ops.LeakyReluGrad(gradients=dy, features=y, alpha=SLOPE)


@own_gradient
def scale_channels(x, scale):
    """Multiplies each channel of each image by a number.

    Equals: x * scale[:, None, None, :].

    Args:
        x: [N, H, W, C].
        scale: [N, C].

    Returns:
        [N, H, W, C] of x's dtype.
    """

    def gradient(dy):
        return scale_channels(dy, scale), tf.cast(sum_over_pixels(_product(dy, x)), scale.dtype)

    return _times(x, scale), gradient


@own_gradient
def leaky_relu_gradient(dy, y):
    """Gradient of a leaky ReLU from its output y.

    Equals: where(y > 0, dy, 0.2 * dy).

    Args:
        dy: Upstream gradient, [N, H, W, C].
        y: Output of the activation, [N, H, W, C].

    Returns:
        [N, H, W, C].
    """
    return _slope_times(dy, y), lambda ddy: (leaky_relu_gradient(ddy, y), None)


@own_gradient
def biased_leaky_relu(x, bias):
    """Bias and leaky ReLU.

    Equals: leaky_relu(x + bias), slope 0.2.

    Args:
        x: [N, H, W, C].
        bias: [C].

    Returns:
        [N, H, W, C].
    """
    y = tf.nn.leaky_relu(tf.nn.bias_add(x, bias), SLOPE)  # oneDNN fuses both with a convolution

    def gradient(dy):
        dx = leaky_relu_gradient(dy, y)
        return dx, sum_over_batch_and_pixels(dx)

    return y, gradient


@compiled
def _inside(dy, x, limit):
    return tf.where(tf.abs(x) <= tf.cast(limit, x.dtype), dy, tf.zeros_like(dy))


@own_gradient
def clip_gradient(dy, x, limit):
    """Gradient of `clip`.

    Equals: where(|x| <= limit, dy, 0).

    Args:
        dy: Upstream gradient, [N, H, W, C].
        x: Input of the clipping, [N, H, W, C].
        limit: Scalar.

    Returns:
        [N, H, W, C].
    """
    return _inside(dy, x, limit), lambda ddy: (clip_gradient(ddy, x, limit), None, None)


def clip(x, limit):
    """Limits values to [-limit, limit].

    Equals: clip_by_value(x, -limit, limit). In the gradient of TensorFlow's own, its layout
    optimizer on a GPU meets a scalar where it expects an image, and gives up on the whole graph.

    Args:
        x: [N, H, W, C].
        limit: Number above 0.

    Returns:
        [N, H, W, C].
    """

    @own_gradient
    def clipped(x):
        y = tf.clip_by_value(x, -limit, limit)
        return y, lambda dy: clip_gradient(dy, x, tf.constant(limit))

    return clipped(x)


def choose(condition, a, b):
    """Takes numbers of a or of b.

    Equals: where(condition, a, b) of finite numbers. The gradient of TensorFlow's own holds a
    scalar zero, which its layout optimizer on a GPU cannot take, as in `clip`.

    Args:
        condition: Boolean, of a shape that broadcasts to those of a and b.
        a: [N, H, W, C].
        b: [N, H, W, C].

    Returns:
        [N, H, W, C].
    """
    share = tf.cast(condition, a.dtype)
    return share * a + (1.0 - share) * b


@own_gradient
def styled_activation(x, scale, noise, bias):
    """The operations after a modulated convolution.

    Equals: leaky_relu(scale[:, None, None, :] * x + noise + bias), slope 0.2.

    Args:
        x: [N, H, W, C].
        scale: [N, C], float32.
        noise: [N or 1, H, W, 1], float32.
        bias: [C], float32.

    Returns:
        [N, H, W, C] of x's dtype.
    """
    y = _activation(x, scale, noise, bias)

    def gradient(dy):
        dz = leaky_relu_gradient(dy, y)
        dnoise = tf.cast(sum_over_channels(dz), "float32")
        if noise.shape[0] == 1:
            dnoise = tf.reduce_sum(dnoise, axis=0, keepdims=True)
        dbias = tf.cast(sum_over_batch_and_pixels(dz), "float32")
        dscale = tf.cast(sum_over_pixels(_product(dz, x)), "float32")
        return scale_channels(dz, scale), dscale, dnoise, dbias

    return y, gradient
