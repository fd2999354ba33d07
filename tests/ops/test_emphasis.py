"""Pre-emphasis and its inverse: numbers known beforehand, SciPy's recursion, parts of a wave."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import signal

from tfgans.ops.emphasis import deemphasis, preemphasis

WAVE = np.random.RandomState(0).uniform(-1, 1, [2, 16_384, 1]).astype("float32")


def test_a_constant():
    """1, 1, 1, ... becomes 1, 0.05, 0.05, ..."""
    found = preemphasis(tf.ones([1, 5]), 0.95)
    np.testing.assert_allclose(found, [[1, 0.05, 0.05, 0.05, 0.05]], atol=1e-6)


@pytest.mark.parametrize("a", [0.0, 0.5, 0.95, 0.999, -0.9])
def test_one_is_the_inverse_of_the_other(a):
    np.testing.assert_allclose(deemphasis(preemphasis(WAVE, a), a), WAVE, atol=1e-5)
    wanted = signal.lfilter([1.0], [1.0, -a], WAVE.astype("float64"), axis=1)
    np.testing.assert_allclose(deemphasis(WAVE, a), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [[1, 2, 3, 500], [16_000, 384], [7]])
def test_parts_with_the_sample_before_are_the_whole(sizes):
    whole, ends = WAVE[:, : sum(sizes)], np.cumsum(sizes)
    for filtered, inside in ((preemphasis, True), (deemphasis, False)):
        parts, before = [], None
        for end, size in zip(ends, sizes, strict=True):
            part = whole[:, end - size : end]
            parts.append(filtered(part, 0.95, before).numpy())
            before = part[:, -1] if inside else parts[-1][:, -1]
        np.testing.assert_allclose(np.concatenate(parts, 1), filtered(whole, 0.95), atol=1e-5)


def test_graphs_of_any_length_and_gradients():
    either = tf.function(
        lambda x: deemphasis(x, 0.95), input_signature=[tf.TensorSpec([None, None])]
    )
    for length in (0, 1, 40):
        np.testing.assert_allclose(
            either(WAVE[:, :length, 0]), deemphasis(WAVE[:, :length, 0], 0.95), atol=1e-6
        )
    with tf.GradientTape() as tape:
        x = tf.zeros([1, 4], "float64")
        tape.watch(x)
        last = deemphasis(x, 0.5)[0, -1]
    np.testing.assert_allclose(tape.gradient(last, x), [[0.125, 0.25, 0.5, 1.0]])
