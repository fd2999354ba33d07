"""Element-wise operations of convolutional networks, with hand-written gradients.

Each operation is one pass over memory, forward and backward (`machine.compiled`). The gradients
have the same values as TensorFlow's. They are written out for two reasons. The forward pass keeps
its result and nothing else. And the sums over pixels become products with a vector of ones, which
on a CPU in float32 are two to four times as fast as `tf.reduce_sum`. The gradients consist of
differentiable operations, so penalties on gradients can be trained.
"""

import functools

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


# One function for each limit of activations, None for none.


def _limited(y, limit):
    return y if limit is None else tf.clip_by_value(y, -limit, limit)


@functools.cache
def _styled(limit):
    def activation(x, scale, noise, bias):
        # Computed in float32 and rounded once, at the end.
        y = tf.cast(x, "float32") * scale[:, None, None, :] + noise
        y = tf.nn.leaky_relu(tf.nn.bias_add(y, bias), SLOPE)
        return tf.cast(_limited(y, limit), x.dtype)

    return compiled(activation)


@functools.cache
def _biased(limit):
    def activation(x, bias):
        return _limited(tf.nn.leaky_relu(tf.nn.bias_add(x, bias), SLOPE), limit)

    return compiled(activation, on_cpu=False)  # oneDNN fuses all but the limit with a convolution


@functools.cache
def _slope_times(limit):
    def product(dy, y):
        # y and the input of the activation have the same sign.
        dx = tf.raw_ops.LeakyReluGrad(gradients=dy, features=y, alpha=SLOPE)
        if limit is None:
            return dx
        return tf.where(tf.abs(y) < tf.cast(limit, y.dtype), dx, tf.zeros_like(dx))

    return compiled(product)


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


def leaky_relu_gradient(dy, y, limit=None):
    """Gradient of a leaky ReLU, and of a limit after it, from its output y.

    Equals: where(y > 0, dy, 0.2 * dy), and 0 where |y| is the limit.

    Args:
        dy: Upstream gradient, [N, H, W, C].
        y: Output of the activation, [N, H, W, C].
        limit: Largest absolute value of y; None for none.

    Returns:
        [N, H, W, C].
    """

    @own_gradient
    def product(dy, y):
        return _slope_times(limit)(dy, y), lambda ddy: (leaky_relu_gradient(ddy, y, limit), None)

    return product(dy, y)


def biased_leaky_relu(x, bias, limit=None):
    """Bias, leaky ReLU, and a limit of the result.

    Equals: clip_by_value(leaky_relu(x + bias), -limit, limit), slope 0.2. No more than the result
    is kept for the gradient.

    Args:
        x: [N, H, W, C].
        bias: [C].
        limit: Number above 0; None for none.

    Returns:
        [N, H, W, C].
    """

    @own_gradient
    def activated(x, bias):
        y = _biased(limit)(x, bias)

        def gradient(dy):
            dx = leaky_relu_gradient(dy, y, limit)
            return dx, sum_over_batch_and_pixels(dx)

        return y, gradient

    return activated(x, bias)


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


def styled_activation(x, scale, noise, bias, limit=None):
    """The operations after a modulated convolution.

    Equals: leaky_relu(scale[:, None, None, :] * x + noise + bias), slope 0.2, between -limit and
    limit.

    Args:
        x: [N, H, W, C].
        scale: [N, C], float32.
        noise: [N or 1, H, W, 1], float32.
        bias: [C], float32.
        limit: Number above 0; None for none.

    Returns:
        [N, H, W, C] of x's dtype.
    """

    @own_gradient
    def activated(x, scale, noise, bias):
        y = _styled(limit)(x, scale, noise, bias)

        def gradient(dy):
            dz = leaky_relu_gradient(dy, y, limit)
            dnoise = tf.cast(sum_over_channels(dz), "float32")
            if noise.shape[0] == 1:
                dnoise = tf.reduce_sum(dnoise, axis=0, keepdims=True)
            dbias = tf.cast(sum_over_batch_and_pixels(dz), "float32")
            dscale = tf.cast(sum_over_pixels(_product(dz, x)), "float32")
            return scale_channels(dz, scale), dscale, dnoise, dbias

        return y, gradient

    return activated(x, scale, noise, bias)
