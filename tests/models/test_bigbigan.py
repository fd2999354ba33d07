"""BigBiGAN: three hinges, two sides of a pair, rates, the one vector in G, the encoder, counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny, trainable, without_numbers

from tfgans import latents, random
from tfgans.errors import BadInput
from tfgans.latents import sefa
from tfgans.layers.conditional_norm import (
    ConditionalNorm,
    LinearConditionalNorm,
    accumulate_statistics,
)
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models import bigbigan, biggan
from tfgans.models.bigbigan import BigBiGAN

CONTRACT = {
    "replace_score": lambda rows, outputs, score: score,  # all three, [N, 3]
    "served": ["generator_ema", "encoder"],
    "atol": {"moving_mean": 1e-5, "moving_variance": 1e-5},  # of maps, not of small weights
}


def small(**settings):
    return BigBiGAN(**tiny("bigbigan").model | settings)


@pytest.fixture(scope="module")
def model():
    """For tests that change no weight."""
    return small()


def images(n=4, seed=0):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, 16, 16, 3]), "float32")


def with_scores(model, monkeypatch, real, fake):
    """The losses (D, G, E) where each pair of its kind has these scores."""
    scores = tf.constant([real] * 4), tf.constant([fake] * 4)
    monkeypatch.setattr(model, "scores", lambda real: scores)
    d, both = model.discriminator_loss(None), model.joint_loss(None)
    return [{k: float(v) for k, v in t.items()} for t in (d, both["generator"], both["encoder"])]


@pytest.mark.parametrize(
    "real, fake, d, g",
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (2, 2, 2), (0, 0, 0)),
        ((2.0, 2.0, 2.0), (-2.0, -2.0, -2.0), (0, 0, 0), (4, 4, 4)),
        # The sum of the real scores is 2: one hinge on it would be 0.
        ((5.0, -3.0, 0.0), (-2.0, -2.0, -2.0), (0, 4, 1), (7, -1, 2)),
        ((0.0, 0.0, 0.0), (0.5, 2.0, -3.0), (2.5, 4, 1), (-0.5, -2, 3)),
    ],
)
def test_losses_of_known_scores(model, monkeypatch, real, fake, d, g):
    for_d, for_g, for_e = with_scores(model, monkeypatch, real, fake)
    assert list(for_d) == ["image", "latent", "pair"]
    np.testing.assert_allclose(list(for_d.values()), d, atol=1e-6)
    np.testing.assert_allclose(list(for_g.values()), g, atol=1e-6)
    assert for_e == for_g


def test_each_score_sees_its_own_side(model):
    """s_x is free of z, s_z of x; s_xz depends on both."""
    network = model.discriminator
    z = tf.random.stateless_normal([4, 9], [0, 0])
    base = network([images(), z]).numpy()
    other_z = network([images(), z + 1.0]).numpy() - base
    other_x = network([images(seed=1), z]).numpy() - base
    assert np.abs(other_z[:, 0]).max() < 1e-6 < 1e-4 < np.abs(other_z[:, 1:]).min()
    assert np.abs(other_x[:, 1]).max() < 1e-6
    assert all(np.abs(other_x[:, k]).min() > 1e-4 for k in (0, 2))


def test_pairs_are_images_with_their_encodings_and_samples_with_their_latents(model, monkeypatch):
    seen, rows = [], tf.reshape(tf.range(24.0), [8, 3])
    monkeypatch.setattr(model, "discriminator", lambda pair, training: seen.append(pair) or rows)
    drawn = tf.random.stateless_normal([4, 9], [1, 0])
    monkeypatch.setattr(model, "latents", lambda n: drawn[:n])
    with random.scope(0):
        real_score, fake_score = model.scores(images())
    np.testing.assert_array_equal(real_score, rows[:4])
    np.testing.assert_array_equal(fake_score, rows[4:])
    ((image, latent),) = seen
    np.testing.assert_array_equal(image[:4], images())
    np.testing.assert_allclose(image[4:], model.generator(drawn, training=True), atol=1e-5)
    np.testing.assert_array_equal(latent[4:], drawn)
    with random.scope(0):
        np.testing.assert_allclose(latent[:4], model.infer(images()), atol=1e-5)


def test_encodings_are_drawn(model, monkeypatch):
    """mean + softplus(x) * noise; deviations near 0 make them certain."""
    mean, x = [0.5, -1.0, 2.0] * 3, [0.0, 1.0, -2.0] * 3
    row = tf.constant([mean + x] * 4000)
    monkeypatch.setattr(model, "encoder", lambda image, training: (row, None, None))
    with random.scope(0):
        z = model.infer(None).numpy()
    np.testing.assert_allclose(z.mean(0), mean, atol=0.06)
    np.testing.assert_allclose(z.std(0), np.log1p(np.exp(x)), rtol=0.06)
    found = model.encode(None)
    np.testing.assert_allclose(found["z"][0], mean)
    np.testing.assert_allclose(found["deviation"][0], np.log1p(np.exp(x)), rtol=1e-5)


def test_generator_and_encoder_move_at_once_with_rates_of_their_own():
    """E's gradient passes D and comes from data pairs, G's from samples; D stays."""
    model = small()
    rates = {p: float(o.learning_rate) for p, o in model.default_optimizers().items()}
    assert rates["encoder"] == pytest.approx(10 * rates["generator"], rel=1e-6)
    assert rates["generator"] == pytest.approx(5e-5, rel=1e-6)
    assert rates["discriminator"] == pytest.approx(2e-4, rel=1e-6)
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.0, 0.999)
    sgd = {"generator": 0.1, "encoder": 1.0, "discriminator": 0.5}
    model.compile({p: keras.optimizers.SGD(rate) for p, rate in sgd.items()}, run_eagerly=True)
    moving = [*model.weights_of("generator"), *model.weights_of("encoder")]
    still = [w.numpy() for w in model.weights_of("discriminator")]
    state = [(v, v.numpy()) for v in model.non_trainable_variables]
    with random.scope(0), tf.GradientTape() as tape:
        real_score, fake_score = model.scores(images())
        values = [w.value for w in moving]
        total = tf.reduce_mean(tf.reduce_sum(real_score, 1) - tf.reduce_sum(fake_score, 1))
    gradients = tape.gradient(total, values)
    split = len(model.weights_of("generator"))
    expected = [
        w.numpy() - (0.1 if k < split else 1.0) * g
        for k, (w, g) in enumerate(zip(moving, gradients, strict=True))
    ]
    for variable, value in state:
        variable.assign(value)
    with random.scope(0):
        logs = model.update_together(model.joint_loss, images(), players=["generator", "encoder"])
    assert {name.split("/")[0] for name in logs} == {"generator", "encoder"}
    for w, value in zip(moving, expected, strict=True):
        np.testing.assert_allclose(w, value, atol=2e-5, err_msg=w.path)
    assert max(np.abs(g).max() for g in gradients[split:]) > 1e-3
    for w, value in zip(model.weights_of("discriminator"), still, strict=True):
        np.testing.assert_array_equal(w, value)


def test_two_moves_of_d_then_one_of_both_then_the_average(model, monkeypatch):
    moves, kernel = [], model.generator.get_layer("shared").kernel
    monkeypatch.setattr(
        model, "update", lambda player, loss, real: moves.append((player, real.shape[0])) or {}
    )
    monkeypatch.setattr(
        model,
        "update_together",
        lambda loss, real, players: moves.append((tuple(players), real.shape[0])) or {},
    )
    before = model.generator_ema.get_weights()
    kernel.assign_add(tf.ones([1, 4]))
    model.train_step({"image": images(8)})
    both = (("generator", "encoder"), 4)
    assert moves == [("discriminator", 4), ("discriminator", 4), both]
    for old, new, live in zip(
        before, model.generator_ema.weights, model.generator.weights, strict=True
    ):
        expected = 0.9 * old + 0.1 * live.numpy() if live.trainable else live.numpy()
        np.testing.assert_allclose(new, expected, atol=1e-6)


def test_the_generator_keeps_one_vector_for_all_images(model):
    """The normalizations see [chunk of z, vector]; without the vector the chunk alone."""
    norms = [n for n in model.generator.layers if isinstance(n, LinearConditionalNorm)]
    shared = model.generator.get_layer("shared").kernel
    assert shared.shape == (1, 4) and len(norms) == 4
    assert {norm.to_gamma.layer.kernel.shape[0] for norm in norms} == {3 + 4}
    inputs = keras.Model(model.generator.inputs, [norm.input[1] for norm in norms])
    z = tf.random.stateless_normal([2, 9], [0, 0])
    for k, condition in enumerate(inputs(z)):
        chunk = 1 + k // 2
        np.testing.assert_array_equal(condition[:, :3], z[:, 3 * chunk : 3 * chunk + 3])
        np.testing.assert_array_equal(condition[:, 3:], np.repeat(shared.numpy(), 2, axis=0))
    bare = bigbigan.build_generator((16, 16, 3), 9, 0, (8, 8, 8), 8)
    norms = [n for n in bare.layers if isinstance(n, LinearConditionalNorm)]
    assert {norm.to_gamma.layer.kernel.shape[0] for norm in norms} == {3}
    difference = trainable(model.generator) - trainable(bare)
    assert difference == 4 + 4 * sum(2 * n.to_gamma.layer.kernel.shape[1] for n in norms)


def test_the_discriminator_is_spectrally_normalized_and_the_encoder_is_not(model):
    def leaves(network):
        kinds = (keras.layers.Dense, keras.layers.Conv2D)
        return [layer for layer in network.layers if isinstance(layer, kinds)]

    assert not leaves(model.discriminator)  # all are inside of SpectralNorm
    wrapped = [w for w in model.discriminator._flatten_layers() if isinstance(w, SpectralNorm)]
    assert len(wrapped) == 3 * 3 - 1 + 1 + 4 + 2 * 2 + 1 + 3  # convs, attention, H and J, scores
    assert not any(isinstance(w, SpectralNorm) for w in model.encoder._flatten_layers())


def test_the_encoder_looks_at_twice_the_size(model):
    """A ResNet's first map has a quarter of the enlarged side: half of the image's own."""
    first = next(x for x in model.encoder.layers if isinstance(x, keras.layers.Conv2D))
    assert first.input.shape[1:] == (32, 32, 3) and first.output.shape[1:3] == (16, 16)
    enlarge = keras.Model(model.encoder.inputs, first.input)
    constant = tf.fill([1, 16, 16, 3], 0.25)
    np.testing.assert_allclose(enlarge(constant), np.full([1, 32, 32, 3], 0.25), atol=1e-6)
    steep = tf.tile(tf.reshape(tf.range(16.0), [1, 16, 1, 1]), [1, 1, 16, 3])
    rows = enlarge(steep)[0, :, 5, 0].numpy()
    np.testing.assert_allclose(np.diff(rows)[1:-1], 0.5, atol=1e-5)  # linear, not in steps


def test_features_for_probes(model):
    """The means over positions; these, normalized by moving averages, in two halves."""
    (norm,) = (x for x in model.encoder.layers if isinstance(x, keras.layers.BatchNormalization))
    last = [x for x in model.encoder.layers if isinstance(x, keras.layers.Add)][-2]
    a = norm.input.shape[-1]
    assert norm.synchronized and not norm.trainable_variables and a == 4 * 4 * 2
    assert last.output.shape[1:] == (4, 4, a)  # the last block; the head's follows
    before = norm.moving_mean.numpy()
    law, pooled, _ = model.encoder(images(), training=True)
    moved = 0.9 * before + 0.1 * tf.reduce_mean(pooled, 0)
    np.testing.assert_allclose(norm.moving_mean, moved, atol=1e-6)
    mean, deviation = tf.linspace(0.0, 0.2, a), tf.linspace(0.5, 2.0, a)
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(tf.square(deviation))
    found = model.features(images())
    pooled, crelu = found["avepool_feat"].numpy(), found["bn_crelu_feat"].numpy()
    b = (pooled - mean) / np.sqrt(np.square(deviation) + norm.epsilon)
    np.testing.assert_allclose(crelu, np.maximum(np.concatenate([b, -b], 1), 0), atol=1e-5)
    maps = keras.Model(model.encoder.inputs, last.output)(images())
    np.testing.assert_allclose(pooled, tf.reduce_mean(tf.nn.relu(maps), [1, 2]), atol=1e-5)
    assert pooled.min() >= 0 and law.shape == (4, 18)


def test_reconstructions_are_of_the_means(model):
    image = images()
    np.testing.assert_array_equal(model.reconstruct(image), model(model.encode(image)["z"]))
    with random.scope(0):
        picture = model.preview({"image": images(24).numpy()}).numpy()
    assert picture.shape == (64, 16, 16, 3)
    np.testing.assert_array_equal(picture[:8], images(24)[:8])
    np.testing.assert_allclose(picture[8:16], model.reconstruct(images(24)[:8]), atol=1e-5)


def test_statistics_are_taken_once_after_a_training_step(model, monkeypatch):
    taken = []
    take = accumulate_statistics
    monkeypatch.setattr(biggan, "accumulate_statistics", lambda *a: taken.append(0) or take(*a))
    model.update_ema(model.generator_ema, model.generator, 0.0)  # as a training step does
    z = tf.random.stateless_normal([4, 9], [0, 0])
    moving = model(z).numpy()
    model.settle()
    model.settle()
    assert taken == [0]
    assert np.abs(model(z) - moving).max() > 1e-3

    def norms(network):
        return [n for n in network._flatten_layers() if isinstance(n, ConditionalNorm)]

    with random.scope(0):
        take(model.generator, [model.latents(64) for _ in range(2)])
    for norm, same in zip(norms(model.generator_ema), norms(model.generator), strict=True):
        np.testing.assert_array_equal(norm.batches, [2.0])
        np.testing.assert_allclose(norm.standing_mean, same.standing_mean, atol=1e-5)
    for norm in norms(model.generator):
        norm.batches.assign([0.0])
    model.update_ema(model.generator_ema, model.generator, 0.9)
    model.settle()
    assert taken == [0, 0]


def test_networks_for_imagenet(monkeypatch):
    """G and F are BigGAN's of 128x128; E is a ResNet-50 of 23,508,032 weights and its head."""
    monkeypatch.setattr(BigBiGAN, "ema_of", lambda self, network: network)
    with without_numbers():
        model = BigBiGAN()
    assert trainable(model.generator) == 70_433_988 - 999 * 128  # one row of the shared embedding
    f = 87_982_370 - 1000 * 1536  # BigGAN's D without its embedding of classes
    w = 2048
    # Eight layers each, and a linear skip where the width changes.
    h = 2 * (120 * w + w) + 7 * (w * w + w)
    j = 2 * ((1536 + w) * w + w) + 7 * (w * w + w)
    assert trainable(model.discriminator) == f + h + j + 2 * (w + 1)
    head = 2 * (2048 * 4096 + 4096) + 3 * (4096**2 + 4096) + 4096 * 240 + 240
    assert trainable(model.encoder) == 23_508_032 + head
    shapes = [tuple(o.shape) for o in model.encoder.outputs]
    assert shapes == [(None, 240), (None, 2048), (None, 2048)]
    first = next(x for x in model.encoder.layers if isinstance(x, keras.layers.Conv2D))
    assert first.input.shape[1:] == (256, 256, 3)
    assert model.batches_per_step == 2


def test_sefa_sees_all_operations_on_z(model):
    network = model.generator_ema
    norms = [n for n in network.layers if isinstance(n, LinearConditionalNorm)]
    places = [network.get_layer("first").output, *(n.input[1] for n in norms)]
    seen = keras.Model(network.inputs, places)
    z = tf.random.stateless_normal([9], [0, 0])
    with tf.GradientTape() as tape:
        tape.watch(z)
        grid, *conditions = seen(z[None])
        parts = [grid]
        for norm, v in zip(norms, conditions, strict=True):
            parts += [norm.to_gamma(v), norm.to_beta(v)]
        made = tf.concat(parts, axis=1)[0]
    weights = sefa.first_weights(latents.Space(model), [0])
    np.testing.assert_allclose(weights, tape.jacobian(made, z), atol=1e-5)


def test_settings_that_do_not_fit(model):
    with pytest.raises(BadInput, match="3 equal chunks.*10 in model.latent_dim"):
        small(latent_dim=10)
    with pytest.raises(BadInput, match="No block of the discriminator has maps 5"):
        small(discriminator_attention=5)
    with pytest.raises(BadInput, match="takes no labels"):
        model.sample(2, labels=[0, 1])
