"""Hand-written gradients against TensorFlow's gradients of the plain formula."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.ops.exporting import exporting
from tfgans.ops.machine import kind
from tfgans.ops.pointwise import (
    biased_leaky_relu,
    choose,
    clip,
    scale_channels,
    styled_activation,
    sum_over_pixels,
)


def numbers(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def plain_scale(x, scale):
    return x * scale[:, None, None, :]


def plain_activation(x, bias):
    return tf.nn.leaky_relu(x + bias, 0.2)


def plain_styled(x, scale, noise, bias):
    return tf.nn.leaky_relu(x * scale[:, None, None, :] + noise + bias, 0.2)


def limited(function):
    return lambda *tensors: tf.clip_by_value(function(*tensors), -0.4, 0.4)


def derivatives(function, *tensors):
    """The value, its gradients, and the gradients of the squared norm of these gradients."""
    weights = numbers(*tensors[0].shape, seed=9)
    with tf.GradientTape() as outer:
        outer.watch(tensors)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            y = function(*tensors)
            total = tf.reduce_sum(weights * y * y)  # y^2, so that there is a second derivative
        first = tape.gradient(total, tensors)
        size = sum(tf.reduce_sum(tf.square(gradient)) for gradient in first)
    return [y, *first, *outer.gradient(size, tensors)]


SIDES = tf.constant([True, False])[:, None, None, None]
CASES = [
    (scale_channels, plain_scale, [(2, 3)]),
    (biased_leaky_relu, plain_activation, [(3,)]),
    (functools.partial(biased_leaky_relu, limit=0.4), limited(plain_activation), [(3,)]),
    (
        functools.partial(styled_activation, limit=0.4),
        limited(plain_styled),
        [(2, 3), (2, 4, 5, 1), (3,)],
    ),
    (functools.partial(clip, limit=0.7), lambda x: tf.clip_by_value(x, -0.7, 0.7), []),
    (functools.partial(choose, SIDES), functools.partial(tf.where, SIDES), [(2, 4, 5, 3)]),
    (styled_activation, plain_styled, [(2, 3), (2, 4, 5, 1), (3,)]),
    (styled_activation, plain_styled, [(2, 3), (1, 4, 5, 1), (3,)]),
]


@pytest.mark.parametrize("function, plain, shapes", CASES)
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("machine", ["plain", "gpu"])  # single operations, compiled ones
def test_value_and_both_gradients_equal_the_plain_formula(
    function, plain, shapes, graph, machine, monkeypatch
):
    monkeypatch.setenv("TFGANS_MACHINE", machine)
    tensors = [numbers(*shape, seed=k) for k, shape in enumerate([(2, 4, 5, 3), *shapes])]
    run = tf.function(derivatives) if graph else derivatives
    pairs = zip(run(function, *tensors), derivatives(plain, *tensors), strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_half_precision_rounds_once():
    x, scale, noise, bias = (numbers(*s) for s in [(2, 4, 5, 3), (2, 3), (2, 4, 5, 1), (3,)])
    x = tf.cast(x, "bfloat16")
    y = styled_activation(x, scale, noise, bias)
    exact = plain_styled(tf.cast(x, "float32"), scale, noise, bias)
    np.testing.assert_array_equal(y, tf.cast(exact, "bfloat16"))


def test_the_machine_decides_what_is_compiled(monkeypatch):
    """The graph holds calls of compiled functions, or it does not."""

    def launches(machine, dtype, function=lambda x: scale_channels(x, tf.ones([2, 3]))):
        monkeypatch.setenv("TFGANS_MACHINE", machine)
        x = tf.TensorSpec([2, 4, 5, 3], dtype)
        step = tf.function(lambda x: function(x))
        calls = step.get_concrete_function(x).graph.get_operations()
        return any("PartitionedCall" in call.type for call in calls)

    assert [launches("cpu", "float32"), launches("cpu", "bfloat16")] == [False, True]
    assert [launches("gpu", "float32"), launches("plain", "bfloat16")] == [True, False]
    one = functools.partial(biased_leaky_relu, bias=tf.zeros([3], "bfloat16"))
    assert [launches("gpu", "bfloat16", one), launches("cpu", "bfloat16", one)] == [True, False]
    with exporting():  # as for a CPU
        assert [launches("gpu", "float32"), launches("gpu", "bfloat16")] == [False, True]
    monkeypatch.setenv("TFGANS_MACHINE", "abacus")
    with pytest.raises(BadInput, match="not 'abacus'"):
        kind()


def test_sum_over_pixels():
    x = numbers(2, 4, 5, 3)
    np.testing.assert_allclose(sum_over_pixels(x), x.numpy().sum(axis=(1, 2)), rtol=1e-5)
