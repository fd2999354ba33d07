"""Conditional normalization: closed forms, kinds of statistics, sources of gain and bias."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.layers.conditional_norm import (
    AffineNorm,
    ConditionalBatchNorm,
    ConditionalNorm,
    LinearConditionalNorm,
    SpatialConditionalNorm,
    accumulate_statistics,
    standing_statistics,
)
from tfgans.ops.resample import resize_nearest

SHAPE = (4, 3, 5, 2)  # N, H, W, C


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def features(seed=0, shape=SHAPE):
    """Channels and images of different means and deviations."""
    levels = numbers(shape[0], 1, 1, shape[3], seed=seed + 100)
    return numbers(*shape, seed=seed) * (2.0 + levels) + 5.0 * levels


def statistics_of(x, axes=(0, 1, 2)):
    x = x.astype("float64")
    return x.mean(axes), x.var(axes)


def normalized(x, mean, variance, epsilon=1e-5):
    return (x.astype("float64") - mean) / np.sqrt(variance + epsilon)


def spread(vector_or_map):
    return vector_or_map if vector_or_map.ndim == 4 else vector_or_map[:, None, None]


# === Where mean and variance come from ===


@pytest.mark.parametrize("gamma", [SHAPE, (4, 2)], ids=["map", "vector"])
@pytest.mark.parametrize("beta", [SHAPE, (4, 2)], ids=["map", "vector"])
@pytest.mark.parametrize("statistics", ["batch", "cross_replica", "instance"])
def test_closed_form(statistics, gamma, beta):
    x, gamma, beta = features(), numbers(*gamma, seed=1), numbers(*beta, seed=2)
    if statistics == "instance":
        mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    else:
        mean, variance = statistics_of(x)
    found = ConditionalNorm(statistics, epsilon=0.1)(x, gamma, beta, training=True)
    wanted = spread(gamma) * normalized(x, mean, variance, 0.1) + spread(beta)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_moving_averages_follow_the_batches_and_are_used_in_inference():
    layer, one, zero = ConditionalNorm(momentum=0.8), np.ones([4, 2]), np.zeros([4, 2])
    mean, variance = np.zeros(2), np.ones(2)
    for seed in range(3):
        x = features(seed)
        layer(x, one, zero, training=True)
        batch_mean, batch_variance = statistics_of(x)
        mean, variance = 0.8 * mean + 0.2 * batch_mean, 0.8 * variance + 0.2 * batch_variance
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)
    x = features(7)
    np.testing.assert_allclose(layer(x, one, zero), normalized(x, mean, variance), atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)  # inference moves nothing


def test_an_instance_is_normalized_alone_and_without_weights():
    layer, x = ConditionalNorm("instance"), features()
    one, zero = np.ones([4, 2]), np.zeros([4, 2])
    together = layer(x, one, zero, training=True)
    for i in range(4):
        alone = layer(x[i : i + 1], one[:1], zero[:1])
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-5)
    assert layer.weights == []


def on_two_replicas(strategy, layer, x, gamma, beta, weights):
    """Results, gradients to x and moving variances of both replicas, which see half of x each."""

    def halves(array):
        return strategy.experimental_distribute_values_from_function(
            lambda c: tf.constant(np.split(array, 2)[c.replica_id_in_sync_group])
        )

    @tf.function
    def step(x, gamma, beta, weights):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, gamma, beta, training=True)
            loss = tf.reduce_sum(weights * y)
        return y, tape.gradient(loss, x), tf.identity(layer.moving_variance)

    found = strategy.run(step, [halves(array) for array in (x, gamma, beta, weights)])
    return [[t.numpy() for t in strategy.experimental_local_results(part)] for part in found]


def test_replicas_share_their_statistics_if_asked_to(two_replicas):
    x, gamma, beta, weights = features(), numbers(4, 2), numbers(4, 2, seed=1), numbers(*SHAPE)
    single = ConditionalNorm()
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        y = single(tensor, gamma, beta, training=True)
        loss = tf.reduce_sum(weights * y)
    wanted, gradient = y.numpy(), tape.gradient(loss, tensor).numpy()
    apart = [
        spread(gamma)[part] * normalized(x[part], *statistics_of(x[part])) + spread(beta)[part]
        for part in (slice(0, 2), slice(2, 4))
    ]
    assert np.abs(np.concatenate(apart) - wanted).max() > 0.2

    with two_replicas.scope():
        shared, local = ConditionalNorm("cross_replica"), ConditionalNorm("batch")
        for layer in (shared, local):
            layer.build(SHAPE)
    found, gradients, moving = on_two_replicas(two_replicas, shared, x, gamma, beta, weights)
    np.testing.assert_allclose(np.concatenate(found), wanted, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(gradients), gradient, atol=1e-5)
    for replica in moving:
        np.testing.assert_allclose(replica, single.moving_variance, rtol=1e-5)
    found, *_ = on_two_replicas(two_replicas, local, x, gamma, beta, weights)
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(apart), atol=1e-5)


@pytest.mark.parametrize("within", [False, True], ids=["one device", "two replicas"])
def test_standing_statistics_are_the_mean_over_batches(within, two_replicas):
    strategy = two_replicas if within else tf.distribute.get_strategy()
    with strategy.scope():
        image, v = keras.Input(SHAPE[1:]), keras.Input([3])
        layer = LinearConditionalNorm(statistics="cross_replica", standing=3, spectral_norm=True)
        network = keras.Model([image, v], layer(image, v))
        x, v, norm = features(60), numbers(4, 3), layer.norm
        network([features(50), v], training=True)
        standing = (norm.standing_mean, norm.standing_variance, norm.batches)
        others = [w for w in network.weights if not any(w is s for s in standing)]
        before, moving = [w.numpy() for w in others], network([x, v]).numpy()

        means, variances = np.zeros([3, 2]), np.zeros([3, 2])
        for first, k in ((0, 1), (10, 1), (20, 0), (30, 2)):  # the second replaces the first
            batches = [features(first + i) for i in range(5)]
            accumulate_statistics(network, [[batch, v] for batch in batches], k)
            means[k], variances[k] = np.mean([statistics_of(b) for b in batches], axis=0)
            np.testing.assert_allclose(norm.standing_mean, means, rtol=1e-5)
            np.testing.assert_allclose(norm.standing_variance, variances, rtol=1e-5)
            with standing_statistics(1):
                found = network([x, v])
            if k < 2:  # not all sets are filled
                np.testing.assert_allclose(found, moving, atol=1e-6)
        gamma, beta = 1.0 + layer.to_gamma(v), layer.to_beta(v)
        for position in (0, 2, 0.25, 1.5, [0.0, 1.0, 2.0, 1.25]):
            at = np.broadcast_to(position, [4])
            mean, variance = (
                np.stack([np.interp(at, range(3), s[:, c]) for c in range(2)], axis=1)
                for s in (means, variances)
            )
            unit = normalized(x, spread(mean), spread(variance))
            wanted = spread(gamma.numpy()) * unit + spread(beta.numpy())
            with standing_statistics(position):
                found = network([x, v])
            np.testing.assert_allclose(found, wanted, atol=1e-4)
            assert np.abs(found - moving).max() > 0.1
        np.testing.assert_allclose(network([x, v]), moving, atol=1e-6)
        assert len(others) == 8
        for weight, old in zip(others, before, strict=True):
            np.testing.assert_array_equal(weight, old, err_msg=weight.path)
        norm.batches.assign(tf.zeros([3]))  # as `update_ema` does
        with standing_statistics(1):
            np.testing.assert_allclose(network([x, v]), moving, atol=1e-6)


def test_each_batch_is_normalized_by_itself_while_statistics_accumulate():
    image, label = keras.Input(SHAPE[1:]), keras.Input([3])
    first, second = (ConditionalBatchNorm(standing=1) for _ in range(2))
    network = keras.Model([image, label], second(first(image, label), label))
    label = np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    accumulate_statistics(network, [[features(k), label] for k in range(3)])
    np.testing.assert_allclose(second.norm.standing_mean, 0.0, atol=1e-6)
    np.testing.assert_allclose(second.norm.standing_variance, 1.0, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("statistics", ["batch", "cross_replica", "instance"])
def test_half_precision_computes_in_float32_and_rounds_once(statistics, dtype):
    """Squares of these features overflow float16."""
    x = tf.cast(3e3 * features(), dtype)
    gamma, beta = 1.0 + 1e-4 * numbers(4, 2), numbers(4, 2, seed=1)
    layer = ConditionalNorm(statistics, dtype=f"mixed_{dtype}")
    exact = ConditionalNorm(statistics)
    for training in (True, False):
        found = layer(x, gamma, beta, training=training)
        wanted = exact(tf.cast(x, "float32"), gamma, beta, training=training)
        assert found.dtype == dtype and np.isfinite(found).all()
        np.testing.assert_array_equal(found, tf.cast(wanted, dtype))
    for ours, theirs in zip(layer.weights, exact.weights, strict=True):
        assert ours.dtype == "float32"
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("statistics", ["batch", "instance"])
def test_gradients(statistics):
    """dL/dgamma = sum(dy x'), dL/dbeta = sum(dy); dL/dx is orthogonal to 1 and to x'."""
    x, dy = features(), numbers(*SHAPE, seed=3)
    gamma, beta = tf.constant(numbers(1, 2).repeat(4, 0)), tf.constant(numbers(4, 2, seed=1))
    tensor, layer = tf.constant(x), ConditionalNorm(statistics, epsilon=1e-8)
    with tf.GradientTape() as tape:
        tape.watch([tensor, gamma, beta])
        loss = tf.reduce_sum(dy * layer(tensor, gamma, beta, training=True))
    dx, dgamma, dbeta = (g.numpy() for g in tape.gradient(loss, [tensor, gamma, beta]))
    axes = (1, 2) if statistics == "instance" else (0, 1, 2)
    unit = normalized(x, x.mean(axes, keepdims=True), x.var(axes, keepdims=True), 1e-8)
    np.testing.assert_allclose(dgamma, (dy * unit).sum((1, 2)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dbeta, dy.sum((1, 2)), rtol=1e-4, atol=1e-4)
    assert np.abs(dx).max() > 0.1
    np.testing.assert_allclose(dx.sum(axes), 0.0, atol=1e-5)
    np.testing.assert_allclose((dx * unit).sum(axes), 0.0, atol=1e-4)


def test_another_word_is_refused():
    with pytest.raises(BadInput, match="batch, cross_replica, instance: 'layer'"):
        ConditionalNorm("layer")


# === Where gamma and beta come from ===


def layer_and_batch():
    layer = ConditionalBatchNorm()
    layer.build([None, 3, 3, 4], [None, 5])
    return layer, tf.random.normal([6, 3, 3, 4]) * 3.0 + 1.0, tf.one_hot([2, 0, 2, 4, 4, 2], 5)


def test_tables_start_as_plain_batch_normalization():
    layer, x, label = layer_and_batch()
    assert [w.name for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert layer.gamma.shape == layer.beta.shape == (5, 4)
    plain = keras.layers.BatchNormalization(momentum=0.9, epsilon=2e-5)
    np.testing.assert_allclose(layer(x, label, training=True), plain(x, training=True), atol=1e-6)
    np.testing.assert_allclose(layer(x, label), plain(x), atol=1e-6)  # the same moving averages
    np.testing.assert_allclose(layer.norm.moving_mean, 0.1 * np.mean(x, (0, 1, 2)), rtol=1e-5)


def test_each_class_has_its_own_gain_and_bias():
    layer, x, label = layer_and_batch()
    unit = layer(x, label, training=True).numpy()
    layer.gamma.assign(tf.random.normal([5, 4]))
    layer.beta.assign(tf.random.normal([5, 4]))
    found = layer(x, label, training=True).numpy()
    for i, k in enumerate([2, 0, 2, 4, 4, 2]):
        expected = unit[i] * layer.gamma.numpy()[k] + layer.beta.numpy()[k]
        np.testing.assert_allclose(found[i], expected, atol=1e-5)


def test_only_rows_of_present_classes_get_a_gradient():
    layer, x, label = layer_and_batch()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, label, training=True) ** 3)
    for gradient in tape.gradient(loss, [layer.gamma.value, layer.beta.value]):
        moved = np.abs(gradient).max(axis=1) > 0
        np.testing.assert_array_equal(moved, [True, False, True, False, True])


def test_a_map_of_labels_mixes_classes_at_each_pixel():
    layer, x, _ = layer_and_batch()
    layer.gamma.assign(tf.random.normal([5, 4]))
    layer.beta.assign(tf.random.normal([5, 4]))
    a, b = (layer(x, tf.one_hot([k] * 6, 5)) for k in (1, 3))
    share = np.array([1.0, 0.25, 0.0], "float32")[:, None]  # of class 1, from left to right
    columns = share * tf.one_hot(1, 5) + (1 - share) * tf.one_hot(3, 5)  # [W, K]
    found = layer(x, tf.broadcast_to(columns, [6, 3, 3, 5]))
    np.testing.assert_allclose(found[:, :, 0], a[:, :, 0], atol=1e-6)
    np.testing.assert_allclose(found[:, :, 2], b[:, :, 2], atol=1e-6)
    np.testing.assert_allclose(found[:, :, 1], 0.25 * a[:, :, 1] + 0.75 * b[:, :, 1], atol=1e-5)


def plain_norm(x):
    return normalized(x, *statistics_of(x))


def test_self_modulation():
    """Spec of the paper: 21,024 numbers for z of 128, 256 channels and 32 hidden units."""
    layer = LinearConditionalNorm(hidden=32)
    layer.build((None, 4, 4, 256), (None, 128))
    assert sum(np.prod(w.shape) for w in layer.trainable_weights) == 21024
    x, z = features(shape=(4, 4, 4, 256)), numbers(4, 128)
    other = z.copy()
    other[2] += 1.0
    found, changed = layer(x, z, training=True), layer(x, other, training=True)
    differs = np.abs(found - changed).max(axis=(1, 2, 3)) > 1e-3
    np.testing.assert_array_equal(differs, [False, False, True, False])

    h = np.maximum(z @ layer.hidden_layer.kernel + layer.hidden_layer.bias, 0.0)
    gamma = 1.0 + h @ layer.to_gamma.kernel + layer.to_gamma.bias
    beta = h @ layer.to_beta.kernel + layer.to_beta.bias
    np.testing.assert_allclose(found, spread(gamma) * plain_norm(x) + spread(beta), atol=1e-3)
    assert (
        np.abs(layer.to_gamma.kernel - layer.to_beta.kernel.numpy()).max() > 0.1
    )  # other start values
    for dense in (layer.to_gamma, layer.to_beta):
        dense.kernel.assign(tf.zeros_like(dense.kernel))
    np.testing.assert_allclose(layer(x, z, training=True), plain_norm(x), atol=1e-4)


def test_biggan():
    """No biases; a condition of 0 is plain normalization; A and B have the norm 1."""
    layer = LinearConditionalNorm(
        use_bias=False, spectral_norm=True, kernel_initializer="orthogonal", epsilon=1e-4
    )
    x, v = features(), numbers(4, 3)
    layer.build(x.shape, v.shape)
    assert [tuple(w.shape) for w in layer.trainable_weights] == [(3, 2), (3, 2)]
    plain = normalized(x, *statistics_of(x), 1e-4)
    np.testing.assert_allclose(layer(x, 0 * v, training=True), plain, atol=1e-5)
    matrices = []
    for dense in (layer.to_gamma, layer.to_beta):
        orthonormal = np.linalg.qr(numbers(3, 2, seed=len(matrices) + 5))[0]
        dense.layer.kernel.assign(orthonormal * [6.0, 2.0])  # the singular values
        matrices.append(orthonormal * [1.0, 1 / 3])
    u = layer.to_gamma.u.numpy()
    layer(x, v)
    np.testing.assert_array_equal(layer.to_gamma.u, u)
    for _ in range(8):
        found = layer(x, v, training=True)
    gamma, beta = 1.0 + v @ matrices[0], v @ matrices[1]
    np.testing.assert_allclose(found, spread(gamma) * plain + spread(beta), atol=1e-4)


def test_spade():
    layer = SpatialConditionalNorm(hidden=8)
    x, labels = features(), np.eye(6)[np.random.default_rng(0).integers(0, 6, [4, 6, 10])]
    labels = labels.astype("float32")
    layer.build(x.shape, labels.shape)
    assert (
        np.abs(layer.to_gamma.kernel - layer.to_beta.kernel.numpy()).max() > 0.1
    )  # other start values
    for conv in (layer.shared, layer.to_gamma, layer.to_beta):
        conv.bias.assign(numbers(*conv.bias.shape, seed=4))

    def conv(x, layer):
        return tf.nn.conv2d(x, layer.kernel.value, 1, "SAME") + layer.bias.value

    h = tf.nn.relu(conv(labels[:, ::2, ::2], layer.shared))  # the map at half its size
    gamma, beta = 1.0 + conv(h, layer.to_gamma).numpy(), conv(h, layer.to_beta).numpy()
    found = layer(x, labels, training=True)
    np.testing.assert_allclose(found, gamma * plain_norm(x) + beta, atol=1e-4)
    again = layer(x, resize_nearest(labels, 3, 5), training=True)
    np.testing.assert_array_equal(found, again)

    for conv in (layer.to_gamma, layer.to_beta):
        conv.kernel.assign(tf.zeros_like(conv.kernel))
        conv.bias.assign(tf.zeros_like(conv.bias))
    np.testing.assert_allclose(layer(x, labels, training=True), plain_norm(x), atol=1e-5)
    layer.to_gamma.bias.assign(tf.ones_like(layer.to_gamma.bias))
    np.testing.assert_allclose(layer(x, labels, training=True), 2 * plain_norm(x), atol=1e-5)


FORMS = {
    "classes": (lambda: ConditionalBatchNorm(), [5]),
    "linear": (lambda: LinearConditionalNorm(2, kernel_initializer="he_normal", epsilon=9.0), [5]),
    "biggan": (lambda: LinearConditionalNorm(spectral_norm=True, standing=True), [5]),
    "spatial": (
        lambda: SpatialConditionalNorm(
            4, kernel_initializer=keras.initializers.VarianceScaling(0.02**2, "fan_avg")
        ),
        [6, 10, 5],
    ),
}


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("form", FORMS)
def test_within_a_network_its_copy_and_its_half_precision(form, precision):
    keras.config.set_dtype_policy(precision)
    make, shape = FORMS[form]
    image, condition = keras.Input(SHAPE[1:]), keras.Input(shape)
    network = keras.Model([image, condition], make()(image, condition))
    inputs = [features(), numbers(4, *shape)]
    network(inputs, training=True)
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    found = network(inputs)
    np.testing.assert_array_equal(copy(inputs), found)
    assert network.output.dtype == found.dtype == precision.removeprefix("mixed_")
    assert all(weight.dtype == "float32" for weight in network.weights)

    keras.config.set_dtype_policy("float32")
    image, condition = keras.Input(SHAPE[1:]), keras.Input(shape)
    exact = keras.Model([image, condition], make()(image, condition))
    exact.set_weights(network.get_weights())
    wanted = exact(inputs).numpy()
    tolerance = {"float32": 0.0, "mixed_float16": 2e-3, "mixed_bfloat16": 2e-2}[precision]
    np.testing.assert_allclose(
        tf.cast(found, "float32"), wanted, atol=tolerance * np.abs(wanted).max()
    )


def test_affine_norm_is_plain_batch_normalization():
    layer, plain, x = AffineNorm(momentum=0.8), keras.layers.BatchNormalization(), features()
    plain.momentum, plain.epsilon = 0.8, 1e-5
    for norm in (layer, plain):
        norm.build(SHAPE)
        norm.gamma.assign([2.0, -1.0])
        norm.beta.assign([0.5, 3.0])
    for training in (True, False):
        found, wanted = layer(x, training=training), plain(x, training=training)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
