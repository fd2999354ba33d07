"""Random numbers in plain arithmetic: those of TensorFlow, for any seed and shape."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.ops import machine, philox
from tfgans.ops.exporting import exporting

SEEDS = [[0, 0], [5, 7], [123456789012345, 2**40 + 3], [-1, 2**62 + 11], [-(2**63), 2**63 - 1]]
SHAPES = [[], [1], [7], [0, 3], [2, 4, 4, 3]]


def of(i, j):
    """Each seed and each shape is part of `make test`, the other pairs of `make test-rest`."""
    return pytest.param(SEEDS[i], SHAPES[j], marks=[pytest.mark.thorough] * (i != j))


@pytest.mark.parametrize("seed, shape", [of(i, j) for i in range(5) for j in range(5)])
def test_they_are_those_of_tensorflow(seed, shape):
    seed, shape = tf.constant(seed, "int64"), tf.constant(shape, "int32")
    for low, high in ((0, 1), (-3, 5)):
        wanted = tf.random.stateless_uniform(shape, seed, low, high)
        found = philox.stateless_uniform(shape, seed, low, high)
        np.testing.assert_array_equal(found, wanted)
    for high in (3, 1000, 2**15):
        wanted = tf.random.stateless_uniform(shape, seed, 1, high, "int32")
        np.testing.assert_array_equal(
            philox.stateless_uniform(shape, seed, 1, high, "int32"), wanted
        )
    wanted = tf.random.stateless_normal(shape, seed)
    found = philox.stateless_normal(shape, seed)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=3e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_xla_makes_the_same_of_its_words(seed):
    """In functions that it compiles as a whole."""
    shape, seed = [7, 3], tf.constant(seed, "int64")

    def draws(seed):
        uniform, normal = philox.stateless_uniform, philox.stateless_normal
        return (
            uniform(shape, seed, 1, 1000, "int32"),
            uniform(shape, seed, -3, 5),
            normal(shape, seed),
        )

    whole, reason = machine.whole(draws, seed)
    assert reason == ""
    for found, wanted in zip(whole(seed), draws(seed), strict=True):
        np.testing.assert_allclose(found, wanted, atol=3e-6)


def test_blocks_beyond_half_a_word():
    """The counter's upper half: 2^16 blocks are 2^18 numbers."""
    seed = tf.constant([3, 4], "int64")
    np.testing.assert_array_equal(
        philox.stateless_uniform([2**18 + 9], seed, 0, 1)[-20:],
        tf.random.stateless_uniform([2**18 + 9], seed)[-20:],
    )


def test_plain_exports_draw_with_them():
    def draw():
        with random.scope(3):
            return random.normal([4]), random.uniform([4], 0, 9, "int32")

    with exporting(plain=True):
        graph = tf.function(draw).get_concrete_function()
    assert not [op.type for op in graph.graph.get_operations() if "Random" in op.type]
    for found, wanted in zip(graph(), draw(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
