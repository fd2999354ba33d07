"""Modulated and demodulated convolution of StyleGAN2.

Karras et al., CVPR 2020, arXiv:1912.04958, section 2.2: what instance normalization did to the
features is done to the weights, so that a style can no longer leave droplets in the image.
"""

import tensorflow as tf

from tfgans.ops import machine
from tfgans.ops.exporting import prepared
from tfgans.ops.pointwise import scale_channels, styled_activation
from tfgans.ops.resample import downsample, fir_kernel, upfirdn, upsample


def modulated_conv(x, kernel, style, demodulate=True, up=1, down=1):
    """Convolution whose weights are scaled by a style and normalized, per sample (paper eq. 1, 3).

    Args:
        x: [N, H, W, I].
        kernel: [k, k, I, O]. Up-sampling uses it as a true convolution, all else as a correlation.
        style: [N, I], float32.
        demodulate: Divide each sample's weights by their norm over k, k, I.
        up: 1 or 2: zero-insert, convolve, low-pass.
        down: 1 or 2: low-pass, convolve with stride.

    Returns:
        [N, H * up / down, W * up / down, O].
    """
    if not demodulate:
        return _modulated(x, kernel, style, up, down)
    kernel, style = _scaled_down(x, kernel, style)
    return scale_channels(_modulated(x, kernel, style, up, down), demodulation(kernel, style))


def styled_conv(x, kernel, style, noise, bias, up=1, gain=1.0):
    """Modulated and demodulated convolution, noise, bias and leaky ReLU, all times `gain`.

    Args: as `modulated_conv`, and
        noise: [N or 1, H * up, W * up, 1], float32.
        bias: [O], float32.
        gain: A number.
    """
    kernel, style = _scaled_down(x, kernel, style)
    x = _modulated(x, kernel, style, up, down=1)
    # Before the activation, in small tensors, the gain costs nothing.
    return styled_activation(x, gain * demodulation(kernel, style), gain * noise, gain * bias)


def demodulation(kernel, style):
    """What divides each sample's modulated weights by their norm: [N, O], float32."""
    energy = tf.matmul(tf.square(style), prepared(_energy, kernel))
    return tf.math.rsqrt(energy + 1e-8)


def _energy(kernel):
    """Sums of squares: [k, k, I, O] -> [I, O]."""
    return tf.reduce_sum(tf.square(kernel), axis=[0, 1])


def _scaled_down(x, kernel, style):
    """Keeps float16 within its range; demodulation takes these scales out again."""
    if x.dtype == tf.float16:
        kernel /= tf.reduce_max(tf.abs(kernel), axis=[0, 1, 2], keepdims=True)
        kernel *= tf.cast(tf.size(kernel[..., 0]), kernel.dtype) ** -0.5
        style /= tf.reduce_max(tf.abs(style), axis=1, keepdims=True)
    return kernel, style


def _modulated(x, kernel, style, up, down):
    """Convolution with weights scaled by a style, in the way that suits the machine."""
    n, channels, filters = x.shape[0], x.shape[3], kernel.shape[3]
    if kernel.shape[0] == up == down == 1:  # of an image: its few weights are what is scaled
        pixels = tf.reshape(x, [-1, x.shape[1] * x.shape[2], channels])
        kernels = tf.cast(kernel[0] * style[:, :, None], x.dtype)  # [N, I, O]
        return tf.reshape(tf.matmul(pixels, kernels), [-1, *x.shape[1:3], filters])
    if n is None or not machine.grouped_convolutions():
        return filtered_conv(scale_channels(x, style), kernel, up, down)
    kernels = kernel[None] * style[:, None, None, :, None]  # [N, k, k, I, O]
    kernels = tf.transpose(tf.cast(kernels, x.dtype), [1, 2, 3, 0, 4])  # [k, k, I, N, O]
    kernels = tf.reshape(kernels, [*kernel.shape[:3], n * filters])
    x = tf.transpose(x, [1, 2, 0, 3])  # [H, W, N, I]
    x = tf.reshape(x, [1, *x.shape[:2], n * channels])
    x = filtered_conv(x, kernels, up, down, groups=n)
    x = tf.reshape(x, [*x.shape[1:3], n, filters])
    return tf.transpose(x, [2, 0, 1, 3])


def filtered_conv(x, kernel, up=1, down=1, groups=1):
    """Convolution with the low-pass filter that its change of resolution needs."""
    k, _, _, filters = kernel.shape
    kernel = prepared(_arranged, kernel, x.dtype, up, groups)
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


def _arranged(kernel, dtype, up, groups):
    """[k, k, I, O] as TensorFlow's convolutions take it; a transposed one wants [k, k, O, I]."""
    kernel = tf.cast(kernel, dtype)
    k, _, channels, filters = kernel.shape
    if k == 1 or up == 1:
        return kernel
    kernel = tf.reshape(kernel, [k, k, channels, groups, filters // groups])
    kernel = tf.transpose(kernel, [0, 1, 4, 3, 2])
    return tf.reshape(kernel, [k, k, filters // groups, groups * channels])
