"""Modulated and demodulated convolution of StyleGAN2 in fast forms.

Karras et al., CVPR 2020, arXiv:1912.04958, section 2.2. Each image n has weights of its own, made
of the kernel and of its style:

    w'[n, :, :, i, j] = style[n, i] kernel[:, :, i, j]                    (eq. 1, modulation)
    w''[n, ..., j] = w'[n, ..., j] / sqrt(sum(w'[n, ..., j]^2) + 1e-8)    (eq. 3, demodulation)

with input channel i and output channel j. These weights are never made: a convolution is linear, so
the style scales its input, and the root its output. (The official code makes them, and convolves in
one group for each image. On an H200 that was slower here, see docs/performance.md.)
"""

import tensorflow as tf

from tfgans.ops.exporting import prepared
from tfgans.ops.pointwise import scale_channels
from tfgans.ops.resample import downsample, fir_kernel, upfirdn, upsample


def modulated_conv(x, kernel, style, demodulate=True, up=1, down=1):
    """Convolution with weights that a style scales, and that may be normalized, for each image.

    Equals: conv(x[n], w''[n]) for each n, or conv(x[n], w'[n]) without demodulation.

    Args:
        x: [N, H, W, I].
        kernel: [k, k, I, O]. Up-sampling uses it as a true convolution, all else as a correlation.
        style: [N, I], float32.
        demodulate: Use w'' in place of w'.
        up: 1 or 2: insert zeros, convolve, low-pass.
        down: 1 or 2: low-pass, convolve with stride.

    Returns:
        [N, H * up / down, W * up / down, O].
    """
    if not demodulate:
        return _modulated(x, kernel, style, up, down)
    kernel, style = within_range(kernel, style, x.dtype)
    return scale_channels(_modulated(x, kernel, style, up, down), demodulation(kernel, style))


def demodulation(kernel, style):
    """Factors that normalize the weights of each image.

    Equals: 1 / sqrt(sum(w'[n, :, :, :, j]^2) + 1e-8).

    Args:
        kernel: [k, k, I, O].
        style: [N, I], float32.

    Returns:
        [N, O], float32.
    """
    # sum_ik (s_i w_ijk)^2 = sum_i s_i^2 sum_k w_ijk^2
    energy = tf.matmul(tf.square(style), prepared(_energy, kernel))
    return tf.math.rsqrt(energy + 1e-8)


def _energy(kernel):
    """Sums of squares: [k, k, I, O] -> [I, O]."""
    return tf.reduce_sum(tf.square(kernel), axis=[0, 1])


def within_range(kernel, style, dtype):
    """Kernel and style in a scale in which convolutions of float16 neither overflow nor underflow.

    Equals: kernel and style, where both `modulated_conv` and `demodulation` use the result: w''
    does not depend on the scale of the style or of an output channel.

    Args:
        kernel: [k, k, I, O].
        style: [N, I], float32.
        dtype: The convolution's; for others than float16, nothing changes.
    """
    if dtype == tf.float16:
        kernel /= tf.reduce_max(tf.abs(kernel), axis=[0, 1, 2], keepdims=True)
        kernel *= tf.cast(tf.size(kernel[..., 0]), kernel.dtype) ** -0.5
        style /= tf.reduce_max(tf.abs(style), axis=1, keepdims=True)
    return kernel, style


def _modulated(x, kernel, style, up, down):
    """Convolution with w'.

    Equals: conv(x[n], w'[n]) for each n.
    """
    channels, filters = x.shape[3], kernel.shape[3]
    if kernel.shape[0] == up == down == 1:
        # To the few channels of an image: w' is small.
        pixels = tf.reshape(x, [-1, x.shape[1] * x.shape[2], channels])
        kernels = tf.cast(kernel[0] * style[:, :, None], x.dtype)  # [N, I, O]
        return tf.reshape(tf.matmul(pixels, kernels), [-1, *x.shape[1:3], filters])
    return filtered_conv(scale_channels(x, style), kernel, up, down)


def filtered_conv(x, kernel, up=1, down=1):
    """Convolution, with the low-pass filter that a change of resolution needs.

    Equals: conv(x, kernel); upfirdn(conv(zeros inserted into x, kernel)) to double the resolution;
    conv(upfirdn(x), kernel) with stride 2 to halve it.

    Args:
        x: [N, H, W, I].
        kernel: [k, k, I, O]; k is 1 or 3.
        up: 2 to double the resolution, else 1.
        down: 2 to halve it, else 1.
    """
    k, _, _, filters = kernel.shape
    kernel = prepared(_arranged, kernel, x.dtype, up)
    if k == 1:
        x = downsample(x) if down == 2 else x
        x = tf.nn.conv2d(x, kernel, 1, "VALID")
        return upsample(x) if up == 2 else x
    if down == 2:
        x = upfirdn(x, fir_kernel(), padding=(k // 2 + 1,) * 4)
        return tf.nn.conv2d(x, kernel, 2, "VALID")
    if up == 1:
        return tf.nn.conv2d(x, kernel, 1, "SAME")
    height, width = (2 * side + k - 2 for side in x.shape[1:3])
    x = tf.nn.conv2d_transpose(x, kernel, [tf.shape(x)[0], height, width, filters], 2, "VALID")
    return upfirdn(x, fir_kernel(gain=4.0), padding=(1, 1, 1, 1))  # [N, 2H, 2W, O]


def _arranged(kernel, dtype, up):
    """Casts [k, k, I, O]; for a transposed convolution -> [k, k, O, I]."""
    kernel = tf.cast(kernel, dtype)
    return kernel if kernel.shape[0] == 1 or up == 1 else tf.transpose(kernel, [0, 1, 3, 2])
