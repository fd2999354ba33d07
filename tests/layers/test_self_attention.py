"""Self-attention against a loop over positions, its two forms, in parts as in one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans.layers.self_attention import SelfAttention
from tfgans.ops.attention import attend


def layer_on(shape, gain=0.7, **settings):
    layer = SelfAttention(**settings)
    layer.build((None, *shape))
    layer.gain.assign(gain)
    return layer


def kernel(conv):
    """The used kernel of a 1x1 convolution, [I, O]."""
    if isinstance(conv, keras.layers.Conv2D):
        return conv.kernel.numpy()[0, 0]
    w, u = conv.layer.kernel.numpy()[0, 0], conv.u.numpy()[:, 0]
    v = w @ u / np.linalg.norm(w @ u)
    return w / np.linalg.norm(v @ w)


@pytest.mark.parametrize("pooled", [True, False])
def test_equals_a_loop_over_positions(pooled):
    x = tf.random.normal([2, 4, 6, 16])
    layer = layer_on([4, 6, 16], pooled=pooled)
    theta, phi, g = (x.numpy() @ kernel(part) for part in (layer.theta, layer.phi, layer.g))
    if pooled:
        phi, g = (part.reshape(2, 2, 2, 3, 2, part.shape[-1]).max(axis=(2, 4)) for part in (phi, g))
    assert theta.shape[-1] == 2 and g.shape[-1] == (8 if pooled else 16)
    expected = np.zeros([2, 4, 6, 16])
    for n in range(2):
        keys, values = phi[n].reshape(-1, 2), g[n].reshape(-1, g.shape[-1])
        for i in range(4):
            for j in range(6):
                share = np.exp(keys @ theta[n, i, j])
                o = share / share.sum() @ values
                expected[n, i, j] = x[n, i, j] + 0.7 * (o @ kernel(layer.o) if pooled else o)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


@pytest.mark.parametrize("pooled", [True, False])
def test_maps_of_any_size(pooled):
    """A graph that does not know the sides gives the same."""
    layer = layer_on([None, None, 16], pooled=pooled)
    run = tf.function(layer, input_signature=[tf.TensorSpec([None, None, None, 16])])
    for shape in ([2, 4, 6, 16], [1, 8, 2, 16]):
        x = tf.random.normal(shape)
        np.testing.assert_allclose(run(x), layer(x), atol=1e-6)
    image = keras.Input([None, None, 16])
    network = keras.Model(image, layer(image))
    x = tf.random.normal([2, 4, 6, 16])
    np.testing.assert_allclose(network(x), layer(x), atol=1e-6)


def test_starts_as_the_identity_and_only_the_gain_learns_there():
    x = tf.random.normal([2, 4, 4, 8])
    layer = layer_on([4, 4, 8], gain=0.0)
    with tf.GradientTape() as tape:
        y = layer(x)
        loss = tf.reduce_sum(y * tf.random.normal(y.shape))
    np.testing.assert_array_equal(x, y)
    gradients = tape.gradient(loss, [w.value for w in layer.trainable_variables])
    for w, gradient in zip(layer.trainable_variables, gradients, strict=True):
        assert (float(tf.reduce_max(tf.abs(gradient))) > 0) == (w is layer.gain), w.path


def test_without_theta_and_phi_every_position_takes_the_mean():
    x = tf.random.normal([1, 4, 4, 8])
    layer = layer_on([4, 4, 8], gain=1.0, spectral_norm=False)
    for part in (layer.theta, layer.phi):
        part.kernel.assign(tf.zeros_like(part.kernel))
    o = (layer(x) - x).numpy().reshape(16, 8)
    g = (x.numpy() @ kernel(layer.g)).reshape(2, 2, 2, 2, 4).max(axis=(1, 3))
    np.testing.assert_allclose(o, np.tile(g.mean(axis=(0, 1)) @ kernel(layer.o), [16, 1]), 0, 1e-6)


def test_positions_have_no_order():
    """Any permutation without pooling; with it, one of cells of 2x2."""
    x, order = tf.random.normal([1, 4, 4, 8]), np.random.RandomState(0).permutation(16)
    full = layer_on([4, 4, 8], pooled=False)
    flat = tf.reshape(x, [1, 16, 8])
    moved = full(tf.reshape(tf.gather(flat, order, axis=1), [1, 4, 4, 8]))
    expected = tf.gather(tf.reshape(full(x), [1, 16, 8]), order, axis=1)
    np.testing.assert_allclose(tf.reshape(moved, [1, 16, 8]), expected, atol=1e-5)
    pooled = layer_on([4, 4, 8])
    turned = tf.concat([x[:, 2:], x[:, :2]], axis=1)  # rows of cells change places
    expected = tf.concat([pooled(x)[:, 2:], pooled(x)[:, :2]], axis=1)
    np.testing.assert_allclose(pooled(turned), expected, atol=1e-5)
    shifted = tf.roll(x, 1, axis=1)
    assert np.abs(pooled(shifted) - tf.roll(pooled(x), 1, axis=1)).max() > 1e-3


def test_weights_sum_to_one_over_what_is_looked_at():
    layer, x = layer_on([64, 64, 8]), tf.random.normal([1, 64, 64, 8])
    weights = layer.attention(x).numpy()
    assert weights.shape == (1, 64, 64, 32, 32)  # 4096 x 1024
    np.testing.assert_allclose(weights.sum(axis=(3, 4)), 1.0, atol=1e-5)
    assert np.abs(weights.sum(axis=(1, 2)) / 4 - 1.0).max() > 0.01


@pytest.mark.parametrize("most", [12, 100, 7])
def test_parts_change_neither_the_result_nor_its_gradients(most):
    given = [tf.random.normal([2, n, c]) for n, c in ((10, 3), (12, 3), (12, 5))]
    found = []
    for limit in (most, 10**6):
        with tf.GradientTape() as outer:
            outer.watch(given)
            with tf.GradientTape() as tape:
                tape.watch(given)
                y = attend(*given, most=limit)
                loss = tf.reduce_sum(tf.sin(y))
            first = tape.gradient(loss, given)
            penalty = tf.add_n([tf.reduce_sum(tf.square(g)) for g in first])
        found.append([y, *first, *outer.gradient(penalty, given)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_large_map_is_never_held_whole():
    """At 64x64 without pooling, four parts of the 4096 x 4096 weights."""
    graph = tf.function(attend).get_concrete_function(
        *(tf.TensorSpec([1, 4096, c]) for c in (4, 4, 8))
    )
    shapes = [out.shape for op in graph.graph.get_operations() for out in op.outputs]
    inner = [
        out.shape
        for f in graph.graph._functions.values()
        for op in getattr(f, "graph", graph.graph).get_operations()
        for out in op.outputs
    ]
    sizes = [s.num_elements() for s in shapes + inner if s.rank and s.num_elements()]
    assert max(sizes) == 1024 * 4096
