"""Up- and down-sampling of images by finite impulse response (FIR) filters.

StyleGAN2 (Karras et al., CVPR 2020, arXiv:1912.04958) low-pass filters whenever it changes the
resolution. `upfirdn` is the general operation: insert zeros, pad, convolve with a fixed kernel,
keep every n-th pixel. Its gradient is the same operation with `up` and `down` exchanged, so it has
derivatives of any order; `tf.image.resize` drops its second derivative silently.
"""

import numpy as np
import tensorflow as tf

from tfgans.ops.exporting import own_gradient

BINOMIAL = (1, 3, 3, 1)


def fir_kernel(taps=BINOMIAL, gain=1.0):
    """Two-dimensional kernel [k, k] of a low-pass filter of k `taps` numbers; its sum is `gain`."""
    kernel = np.outer(taps, taps).astype("float32")
    return kernel * np.float32(gain / kernel.sum())


def upfirdn(x, kernel, up=(1, 1), down=(1, 1), padding=(0, 0, 0, 0)):
    """Inserts zeros, pads, convolves and decimates each channel of a batch of images.

    Args:
        x: [N, H, W, C]; H and W must be known when the graph is built.
        kernel: Array [kh, kw], applied as a true convolution (not a correlation).
        up: (vertical, horizontal) factors; up - 1 zeros follow each pixel, the last one too.
        down: (vertical, horizontal) factors; every `down`-th pixel is kept, from the first.
        padding: (top, bottom, left, right) pixels of zeros, counted after the zeros are inserted;
            negative numbers crop.

    Returns:
        [N, (H * up + top + bottom - kh) // down + 1, ..., C].
    """
    top, _, left, _ = padding
    kernel = np.asarray(kernel)
    kh, kw = kernel.shape
    height, width = x.shape[1:3]

    @own_gradient
    def apply(x):
        y = _forward(x, kernel, up, down, padding)

        def gradient(dy):
            back = (
                kh - 1 - top,
                height * up[0] - y.shape[1] * down[0] + top - up[0] + 1,
                kw - 1 - left,
                width * up[1] - y.shape[2] * down[1] + left - up[1] + 1,
            )
            return upfirdn(dy, kernel[::-1, ::-1], down, up, back)

        return y, gradient

    return apply(x)


def _forward(x, kernel, up, down, padding):
    height, width, channels = x.shape[1:]
    if up != (1, 1):
        x = tf.reshape(x, [-1, height, 1, width, 1, channels])
        x = tf.pad(x, [[0, 0], [0, 0], [0, up[0] - 1], [0, 0], [0, up[1] - 1], [0, 0]])
        x = tf.reshape(x, [-1, height * up[0], width * up[1], channels])
    top, bottom, left, right = (max(p, 0) for p in padding)
    if min(padding) < 0:
        # Padding first: a crop may be larger than the image, and then takes padding away.
        x = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]])
        top, bottom, left, right = (max(-p, 0) for p in padding)
        x = x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]
        top = bottom = left = right = 0
    filters = np.broadcast_to(kernel[::-1, ::-1, None, None], (*kernel.shape, channels, 1))
    stride = down[0] if down[0] == down[1] else 1  # TensorFlow has one stride for both axes
    x = tf.nn.depthwise_conv2d(
        x,
        tf.constant(filters, x.dtype),
        strides=[1, stride, stride, 1],
        padding=[[0, 0], [top, bottom], [left, right], [0, 0]],
    )
    return x if down[0] == down[1] else x[:, :: down[0], :: down[1]]


def upsample(x):
    """Doubles the resolution of x with the binomial filter: [N, H, W, C] -> [N, 2H, 2W, C]."""
    height, width, channels = x.shape[1:]
    kernel = fir_kernel(gain=4.0)
    if channels > 4:
        return upfirdn(x, kernel, up=(2, 2), padding=(2, 1, 2, 1))
    # With the few channels of an image, one transposed convolution, mostly of zeros, is faster.
    kernel = kernel[:, :, None, None] * np.eye(channels, dtype="float32")
    shape = [tf.shape(x)[0], 2 * height, 2 * width, channels]
    return tf.nn.conv2d_transpose(x, tf.constant(kernel, x.dtype), shape, 2, "SAME")


def downsample(x):
    """Halves the resolution of x with the binomial filter: [N, H, W, C] -> [N, H/2, W/2, C]."""
    return upfirdn(x, fir_kernel(), down=(2, 2), padding=(1, 1, 1, 1))


def mean_pool(x):
    """Halves the resolution by means over 3x3 pixels; those beyond the border do not count.

    This is PyTorch's average pooling with kernel 3, stride 2, padding 1, count_include_pad=False.

    Args:
        x: [N, H, W, C].

    Returns:
        [N, ceil(H / 2), ceil(W / 2), C].
    """
    around = [[0, 0], [1, 1], [1, 1], [0, 0]]
    total = tf.nn.avg_pool2d(tf.pad(x, around), 3, 2, "VALID")
    share = tf.nn.avg_pool2d(tf.pad(tf.ones_like(x[:1, ..., :1]), around), 3, 2, "VALID")
    return total / share


def pooled(x, times):
    """Halves the resolution of x [N, H, W, C] so many `times` by `mean_pool`."""
    for _ in range(times):
        x = mean_pool(x)
    return x


def enlarged(x, times):
    """Doubles the resolution so many `times`: each pixel of x [..., H, W, C] becomes four."""
    for axis in (-3, -2):
        x = tf.repeat(x, 2**times, axis)
    return x


def extended(image, unit, mirrored=False):
    """Adds rows and columns at the end until both sides are multiples of a unit.

    A gather keeps the number of channels in the graph, which `tf.pad` by unknown numbers loses.

    Args:
        image: [N, H, W, C].
        unit: Pixels.
        mirrored: The added pixels are those before the last one, backwards; else they repeat it.
    """
    for axis in (1, 2):
        last = tf.shape(image)[axis] - 1
        places = tf.range((last + unit) // unit * unit)
        places = last - tf.abs(places - last) if mirrored else tf.minimum(places, last)
        image = tf.gather(image, places, axis=axis)
    return image


def resize_nearest(x, height, width):
    """Resizes maps of labels: row i of the result is row floor(i H / height), and so for columns.

    This is PyTorch's rule "nearest". `tf.image.resize` takes the pixel under the new one's center.

    Args:
        x: [N, H, W, C].
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        [N, height, width, C].
    """
    rows = np.arange(height) * x.shape[1] // height
    columns = np.arange(width) * x.shape[2] // width
    return tf.gather(tf.gather(x, rows, axis=1), columns, axis=2)
