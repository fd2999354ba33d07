"""Virtual batch normalization: the mixture of statistics by the formula, in both forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.virtual_batch_norm import VirtualBatchNorm


@pytest.mark.parametrize("size, shape", [(1, [4, 4, 2]), (5, [4, 4, 2]), (3, [9, 2]), (3, [6])])
@pytest.mark.parametrize("live", ["sample", "batch"])
def test_statistics_are_mixed_with_those_of_the_live_rows(size, shape, live):
    """With one reference sample both weigh 1/2; in general R / (R + 1) and 1 / (R + 1)."""
    layer, x = VirtualBatchNorm(size, live), 3.0 * tf.random.normal([size + 4, *shape]) + 1.0
    y, x = layer(x).numpy(), x.numpy().astype("float64")
    reference, space = x[:size], tuple(range(1, len(shape)))
    mean, square = (z.mean(axis=(0, *space)) for z in (reference, reference**2))
    normal = (reference - mean) / np.sqrt(square - mean**2 + 1e-5)
    np.testing.assert_allclose(y[:size], normal, atol=1e-4)
    axes = space if live == "sample" else (0, *space)
    own, own_square = (z[size:].mean(axis=axes, keepdims=True) for z in (x, x**2))
    m, s = (size * mean + own) / (size + 1), (size * square + own_square) / (size + 1)
    np.testing.assert_allclose(y[size:], (x[size:] - m) / np.sqrt(s - m**2 + 1e-5), atol=1e-4)


def test_a_shift_of_all_live_rows_is_seen():
    """The check of SEGAN's form: B = 4, the live rows 10 higher, of the variance v before.

    Their mean is shifted by (10 - 2) / sigma with sigma^2 = v + 0.2 * 0.8 * 100; plain batch
    normalization of the live rows would hide it.
    """
    layer = VirtualBatchNorm(live="batch", gain=True)
    x = np.random.RandomState(0).standard_normal([4, 50, 3]).astype("float32")
    x -= x.mean(axis=(0, 1))
    layer.build([8, 50, 3])
    layer.gamma.assign(tf.ones(3))
    y = layer(np.concatenate([x, x + 10.0])).numpy()
    np.testing.assert_allclose(y[:4].mean(axis=(0, 1)), 0.0, atol=1e-3)
    np.testing.assert_allclose(y[:4].var(axis=(0, 1)), 1.0, atol=1e-3)
    sigma = np.sqrt(x.var(axis=(0, 1)) + 0.2 * 0.8 * 100)
    np.testing.assert_allclose(y[4:].mean(axis=(0, 1)), (10 - 2) / sigma, rtol=1e-3)


def test_the_reference_has_gradients_and_is_half_of_the_rows():
    layer, x = VirtualBatchNorm(gain=True), tf.random.normal([6, 5, 2])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)[3:]  # the live rows
        loss = tf.reduce_sum(y**2 * tf.range(1.0, 6.0)[:, tf.newaxis])
    gradient = tape.gradient(loss, x)
    assert np.abs(gradient[:3]).max() > 1e-3 and np.abs(gradient[3:]).max() > 1e-3
    whole = tf.function(layer, input_signature=[tf.TensorSpec([None, 5, 2])])(x)
    np.testing.assert_allclose(whole[3:], y, atol=1e-6)
    other = tf.concat([x[:3], x[3:4], tf.random.normal([2, 5, 2])], axis=0)
    np.testing.assert_allclose(layer(other)[3], y[0], atol=1e-6)  # of its own sample alone


def test_gain_bias_and_words():
    plain, gained = VirtualBatchNorm(2), VirtualBatchNorm(2, gain=True)
    for layer in (plain, gained):
        layer.build([4, 8, 400])
    assert [w.name for w in plain.weights] == ["bias"] and len(gained.weights) == 2
    assert 0.01 < np.std(gained.gamma) < 0.03 and abs(np.mean(gained.gamma) - 1) < 0.01
    keras.config.set_dtype_policy("mixed_float16")
    layer = VirtualBatchNorm(live="batch")
    y = layer(300.0 * tf.random.normal([4, 9, 2], dtype="float16"))  # squares overflow in float16
    assert y.dtype == "float16" and np.isfinite(y).all() and np.abs(y).max() > 1
    with pytest.raises(BadInput, match="`live` must be one of sample, batch: 'rows'"):
        VirtualBatchNorm(live="rows")
