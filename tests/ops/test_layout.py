"""On a GPU TensorFlow's layout optimizer must take our graphs: it runs here for a described GPU."""

import pathlib
import sys

import pytest
import tensorflow as tf

from tfgans import random
from tfgans.layers.dropout import Dropout
from tfgans.ops.pointwise import choose, clip

sys.path.append(str(pathlib.Path(__file__).parents[2] / "benchmarks"))
import virtual_gpu  # noqa: E402


def dropped(x):
    with random.scope(0):
        return Dropout(0.5)(x, training=True)


def convolved(activation):
    """The gradient of a gradient of two convolutions, as penalties on gradients have it."""

    def gradients(x, kernel):
        with tf.GradientTape() as outer:
            outer.watch([x, kernel])
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = activation(tf.nn.conv2d(x, kernel, 1, "SAME"))
                y = activation(tf.nn.conv2d(y, kernel, 1, "SAME"))
                total = tf.reduce_sum(y * y)
            penalty = tf.reduce_sum(tape.gradient(total, x) ** 2)
        return outer.gradient(penalty, kernel)

    specs = tf.TensorSpec([4, 16, 16, 32]), tf.TensorSpec([3, 3, 32, 32])
    return tf.function(gradients, autograph=False).get_concrete_function(*specs).graph


@pytest.mark.parametrize("machine", ["plain", "gpu"])
@pytest.mark.parametrize(
    "activation",
    [lambda x: clip(x, 0.5), dropped, lambda x: choose(x > 0.0, 2.0 * x, x * x)],
    ids=["clip", "dropout", "choose"],
)
def test_convolutions_get_the_layout_of_a_gpu(activation, machine, monkeypatch):
    monkeypatch.setenv("TFGANS_MACHINE", machine)
    found = virtual_gpu.counts(virtual_gpu.optimized(convolved(activation)))
    assert found["convolutions"] == found["NCHW"] > 6


@pytest.mark.parametrize(
    "activation",
    [
        lambda x: tf.clip_by_value(x, -0.5, 0.5),
        lambda x: tf.where(x > 0.0, 2.0 * x, 0.0),
    ],
    ids=["clip_by_value", "where"],
)
def test_a_scalar_in_a_select_keeps_the_layout_optimizer_from_all(activation):
    """The fault that the forms above avoid: if TensorFlow mends it, they may become plain."""
    found = virtual_gpu.counts(virtual_gpu.optimized(convolved(activation)))
    assert found["convolutions"] > found["NCHW"] == 0
