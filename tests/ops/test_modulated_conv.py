"""The fast forms of StyleGAN2's equations 1 and 3 against the plain ones, image by image."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans.models.stylegan2 import StyledConv
from tfgans.ops.modulated_conv import demodulation, modulated_conv, within_range


def numbers(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), "float32")


def weights(kernel, style, demodulate=True):
    """w'' of each image, or w': [N, k, k, I, O]."""
    kernel, style = kernel.numpy().astype("float64"), style.numpy().astype("float64")
    modulated = style[:, None, None, :, None] * kernel  # eq. 1
    if not demodulate:
        return modulated
    return modulated / np.sqrt(np.sum(modulated**2, axis=(1, 2, 3), keepdims=True) + 1e-8)  # eq. 3


def plain(x, weights):
    images = [tf.nn.conv2d(x[n : n + 1], weights[n].astype("float32"), 1, "SAME") for n in range(3)]
    return np.concatenate(images)


@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize("size", [1, 3])
def test_modulated_conv(size, demodulate):
    x, kernel, style = numbers(3, 6, 5, 4), numbers(size, size, 4, 7), numbers(3, 4, seed=1)
    found = modulated_conv(x, kernel, style, demodulate)
    np.testing.assert_allclose(found, plain(x, weights(kernel, style, demodulate)), atol=1e-5)


def test_demodulation_is_the_norm_of_the_modulated_weights():
    kernel, style = numbers(3, 3, 4, 7), numbers(3, 4, seed=1)
    modulated = weights(kernel, style, demodulate=False)
    norms = np.sqrt(np.sum(modulated**2, axis=(1, 2, 3)) + 1e-8)
    np.testing.assert_allclose(demodulation(kernel, style), 1 / norms, rtol=1e-5)
    np.testing.assert_allclose(demodulation(kernel, 0.0 * style), 1e4, rtol=1e-5)  # 1 / sqrt(1e-8)


def test_the_range_of_float16_does_not_change_the_demodulated_weights():
    kernel, style = 3e5 * numbers(3, 3, 4, 7), 1e-9 * numbers(3, 4, seed=1)
    smaller, larger = within_range(kernel, style, tf.float16)
    np.testing.assert_allclose(weights(smaller, larger), weights(kernel, 1e9 * style), atol=1e-6)
    assert np.abs(smaller).max() < 0.167 and np.abs(larger).max() == 1  # 6: root of 3 * 3 * 4
    same = within_range(kernel, style, tf.float32)
    assert same[0] is kernel and same[1] is style


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_styled_conv_is_the_equations_noise_bias_and_activation(policy):
    layer = StyledConv(4, 7, (6, 5), 8, dtype=policy)
    np.testing.assert_array_equal(layer.affine(tf.zeros([1, 8])), np.ones([1, 4]))
    layer.noise_strength.assign(0.7)
    layer.bias.assign(numbers(7))
    x, w, noise = numbers(3, 6, 5, 4), numbers(3, 8, seed=1), numbers(3, 6, 5, 1, seed=2)
    y = plain(x, weights(layer.kernel.value, layer.affine(w))) + 0.7 * noise + layer.bias.value
    wanted = 2.0**0.5 * tf.nn.leaky_relu(y, 0.2)
    atol = 1e-5 if policy == "float32" else 1e-2
    np.testing.assert_allclose(layer(x, w, noise), wanted, atol=atol)
    np.testing.assert_allclose(layer(x, w, noise, gain=0.5), 0.5 * wanted, atol=atol)
