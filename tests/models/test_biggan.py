"""BigGAN: chunks of z, the shared embedding, the penalty, truncation, statistics, the counts."""

import importlib
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import truncnorm
from tiny import trainable, without_numbers

from tfgans import latents, random
from tfgans.callbacks import Log
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.latents import sefa
from tfgans.layers.conditional_norm import (
    ConditionalNorm,
    LinearConditionalNorm,
    accumulate_statistics,
)
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models import biggan
from tfgans.models.biggan import (
    BigGAN,
    deep_down_block,
    deep_up_block,
    orthogonal_penalty,
    truncated,
)
from tfgans.ops.singular_value import largest_singular_values


def small(**settings):
    return BigGAN(**{
        "image_shape": (8, 8, 1), "latent_dim": 6, "num_classes": 3, "embedding_dim": 4,
        "generator_channels": (8, 8, 8), "discriminator_channels": (4, 8, 8),
        "discriminator_downs": 2, "generator_attention": 4, "discriminator_attention": 4,
        "truncations": (0.5, 2.0), "standing_batches": 3, "ema_decay": 0.9,
    } | settings)  # fmt: skip


@pytest.mark.parametrize(
    "name, changes, generator, discriminator",
    [
        ("biggan", {}, 70_433_988, 87_982_370),
        ("biggan-256", {}, 82_097_604, 99_225_890),
        ("biggan-512", {}, 82_296_804, 99_401_282),
        ("biggan-deep", {}, 50_244_484, 34_590_210),
        (
            "biggan-deep",
            {
                "image_shape": (256, 256, 3),
                "generator_channels": (2048, 2048, 1024, 1024, 512, 256, 128),
                "discriminator_channels": (128, 256, 512, 1024, 1024, 2048, 2048),
            },
            55_736_708,
            38_247_426,
        ),
        (
            "biggan",
            {
                "image_shape": (32, 32, 3),
                "latent_dim": 128,
                "generator_attention": 0,
                "discriminator_attention": 0,
                "generator_channels": (384,) * 4,
                "discriminator_channels": (384,) * 4,
                "discriminator_downs": 2,
            },
            9_487_619,
            9_836_929,
        ),
    ],
)
def test_networks_for_imagenet(name, changes, generator, discriminator, monkeypatch):
    """512: D's count is ours; the others are those of the authors' networks."""
    monkeypatch.setattr(BigGAN, "ema_of", lambda self, network: network)
    with without_numbers():
        model = BigGAN(**Config.load(name).model | changes)
    assert trainable(model.generator) == generator
    assert trainable(model.discriminator) == discriminator


def blocks_of(network):
    """The inputs of the first normalization of each block, and the image."""
    norms = [n for n in network.layers if isinstance(n, LinearConditionalNorm)]
    return keras.Model(network.inputs, [n.input[0] for n in norms[::2]] + [network.output])


def test_each_block_has_its_chunk_of_z():
    network = blocks_of(small().generator)
    label = tf.eye(3)[:1]
    z = np.random.default_rng(0).normal(size=[1, 6]).astype("float32")
    before = network([tf.constant(z), label])
    for chunk in range(3):
        changed = z.copy()
        changed[:, 2 * chunk : 2 * chunk + 2] += 1.0
        after = network([tf.constant(changed), label])
        same = [np.abs(a - b).max() == 0.0 for a, b in zip(before, after, strict=True)]
        # Chunk 0 makes the grid, chunk k enters in block k, whose input does not see it yet.
        assert same == [True] * chunk + [False] * (3 - chunk)


def test_deep_blocks_all_have_all_of_z():
    model = small(deep=True)
    norms = [n for n in model.generator.layers if isinstance(n, LinearConditionalNorm)]
    assert len(norms) == 16
    conditions = keras.Model(model.generator.inputs, [n.input[1] for n in norms])
    z = tf.random.normal([1, 6])
    for made in conditions([z, tf.eye(3)[1:2]]):
        np.testing.assert_array_equal(made[:, :6], z)
        assert made.shape == (1, 10)


def test_all_normalizations_share_one_embedding_without_spectral_norm():
    model = small()
    network, shared = model.generator, model.generator.get_layer("shared")
    tables = [w for w in network.trainable_variables if 3 in w.shape and len(w.shape) == 2]
    assert len(tables) == 1 and tables[0] is shared.kernel
    inside = [w.layer for w in network._flatten_layers() if isinstance(w, SpectralNorm)]
    assert shared not in inside
    kernels = {id(layer.weights[0]) for layer in inside}
    matrices = [w for w in network.trainable_variables if len(w.shape) > 1 and w is not tables[0]]
    assert kernels == {id(w) for w in matrices}
    assert len(model.matrices()) == len(matrices)
    norms = [n for n in network.layers if isinstance(n, LinearConditionalNorm)]
    z, label = tf.random.normal([2, 6]), tf.eye(3)[:2]
    for norm in norms:  # the gradient comes from every block
        with tf.GradientTape() as tape:
            tape.watch(shared.kernel.value)
            condition = keras.Model(network.inputs, norm.input[1])([z, label])
            total = tf.reduce_sum(tf.square(norm.to_gamma(condition)))
        assert float(tf.reduce_max(tf.abs(tape.gradient(total, shared.kernel.value)))) > 0


def test_without_a_condition_the_norm_is_plain():
    norm = next(n for n in small().generator.layers if isinstance(n, LinearConditionalNorm))
    x = 3.0 + 2.0 * tf.random.normal([8, 4, 4, 8])
    y = norm(x, tf.zeros([8, norm.input[1].shape[1]]), training=True)
    mean, variance = tf.nn.moments(y, [0, 1, 2])
    np.testing.assert_allclose(mean, 0.0, atol=1e-5)
    np.testing.assert_allclose(variance, 1.0, atol=1e-3)
    assert not norm.use_bias and norm.norm.statistics == "cross_replica"


def test_orthogonal_penalty():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=[6, 6]))[0].astype("float32")
    orthogonal_rows = (q * np.arange(1, 7)[:, None])[:4].T  # [inputs 6, outputs 4]
    assert float(orthogonal_penalty([tf.constant(orthogonal_rows, "float32")])) < 1e-8
    equal = tf.constant([[0.6, 0.6], [0.8, 0.8]])  # two outputs with the same unit row
    assert float(orthogonal_penalty([equal])) == pytest.approx(2e-4)
    for shape in ((3, 3, 2, 5), (4, 9)):  # more inputs than outputs, and fewer
        kernel = tf.random.normal(shape)
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            total = orthogonal_penalty([kernel], 0.5)
        w = kernel.numpy().reshape(-1, shape[-1]).T.astype("float64")
        off = (w @ w.T) * (1 - np.eye(len(w)))
        assert float(total) == pytest.approx(0.5 * np.square(off).sum(), rel=1e-4)
        expected = (4 * 0.5 * off @ w).T.reshape(shape)
        np.testing.assert_allclose(tape.gradient(total, kernel), expected, rtol=1e-3, atol=1e-4)


def test_penalty_is_on_the_generator_alone():
    model = small(orthogonal_weight=1.0)
    with random.scope(0):
        g = model.generator_loss(2)
        d = model.discriminator_loss(tf.zeros([2, 8, 8, 1]), tf.eye(3)[:2])
    assert set(d) == {"real", "fake"}
    assert float(g["orthogonal"]) == pytest.approx(float(orthogonal_penalty(model.matrices(), 1.0)))
    assert float(g["orthogonal"]) > 0


@pytest.mark.parametrize("limit, deviation", [(0.5, 0.2839), (1.0, 0.5396), (2.0, 0.8796)])
def test_truncation_has_the_law_of_redrawing(limit, deviation):
    z = tf.constant(np.random.default_rng(0).normal(size=[20_000, 4]), "float32")
    cut = truncated(z, limit).numpy()
    assert np.abs(cut).max() <= limit
    assert cut.std() == pytest.approx(deviation, abs=0.003)
    share = np.sort(cut.ravel())[:: len(cut.ravel()) // 50]
    known = truncnorm(-limit, limit)
    np.testing.assert_allclose(known.cdf(share), np.arange(len(share)) / 50, atol=0.01)
    order = np.argsort(z[:, 0])
    assert (np.diff(cut[order, 0]) >= 0).all()  # the same image, more or less typical
    rows = truncated(z[:2], [limit, 0.1]).numpy()
    np.testing.assert_array_equal(rows[0], cut[0])
    assert np.abs(rows[1]).max() <= 0.1


@pytest.mark.parametrize("limit", [30.0, np.inf])
def test_a_limit_beyond_all_latents_changes_nothing(limit):
    z = tf.constant([[-9.0, -6.0, -1.0, 0.0, 0.3, 6.0, 9.0]])
    np.testing.assert_allclose(truncated(z, limit), z, rtol=1e-5)


def test_statistics_are_taken_for_each_truncation():
    model = small()
    z, label = tf.random.normal([4, 6]), tf.one_hot([0, 1, 2, 0], 3)
    moving = model(z, label, truncation=0.5).numpy()
    before = [w.numpy() for w in model.variables]
    model.settle()
    average = {id(w) for w in model.generator_ema.weights}
    for old, w in zip(before, model.variables, strict=True):  # its standing statistics alone
        standing = w.name in ("standing_mean", "standing_variance", "batches")
        assert (old != w.numpy()).any() == (id(w) in average and standing), w.path
    norms = [n for n in model.generator_ema._flatten_layers() if isinstance(n, ConditionalNorm)]
    assert len(norms) == 5
    for norm in norms:
        np.testing.assert_array_equal(norm.batches, [3.0, 3.0])
        assert np.abs(norm.standing_variance[0] - norm.standing_variance[1]).max() > 1e-4
    first = [w.numpy() for w in model.variables]
    model.settle()
    for old, w in zip(first, model.variables, strict=True):  # the same numbers each time
        np.testing.assert_array_equal(old, w.numpy())
    settled = model(z, label, truncation=0.5).numpy()
    assert np.abs(settled - moving).max() > 1e-3

    # By hand: the set of 0.5, and none in between.
    network = model.ema_of(model.generator_ema)
    with random.scope(0):
        batches = [[truncated(model.latents(64), 0.5), model.random_label(64)] for _ in range(3)]
    accumulate_statistics(network, batches, 0)
    accumulate_statistics(network, batches, 1)
    model.generator_ema.set_weights(network.get_weights())
    np.testing.assert_allclose(model(z, label, truncation=0.5), settled, atol=1e-5)
    np.testing.assert_allclose(
        model(z, label, truncation=2.0), model(z, label, tf.fill([4], 2.0)), atol=1e-6
    )


def test_preview_shows_truncations():
    model, cuts = small(truncations=(0.04, 0.5, 1.0, 2.0, 4.0)), []
    truncate = model.cut
    model.cut = lambda z, t: cuts.append((z.numpy(), t.numpy())) or truncate(z, t)
    with random.scope(0):
        table = model.preview({"label": tf.range(12) % 3})
    assert table.shape == (2 + 4, 6, 8, 8, 1)
    for k, limit in enumerate((0.04, 0.5, 1.0, 2.0)):
        np.testing.assert_array_equal(cuts[k][0], cuts[0][0])
        np.testing.assert_array_equal(cuts[k][1], np.full(6, limit, "float32"))


def test_positions_among_the_truncations():
    model = small(truncations=(0.5, 1.0, 2.0))
    limits = [0.1, 0.5, 0.75, 1.0, 1.5, 2.0, 9.0]
    np.testing.assert_allclose(model.position(limits), [0, 0, 0.5, 1, 1.5, 2, 2])


def test_a_training_step_clears_the_statistics_of_the_average():
    model = small()
    model.compile(run_eagerly=True)
    model.settle()
    model.train_on_batch({"image": tf.zeros([8, 8, 8, 1]), "label": tf.range(8) % 3})
    for norm in model.generator_ema._flatten_layers():
        if isinstance(norm, ConditionalNorm):
            np.testing.assert_array_equal(norm.batches, [0.0, 0.0])


def test_statistics_are_taken_once_after_a_training_step(monkeypatch):
    """Preview, measurement and snapshot of one tick share them."""
    model, taken = small(), []
    take = biggan.accumulate_statistics
    monkeypatch.setattr(biggan, "accumulate_statistics", lambda *a: taken.append(a[2]) or take(*a))
    model.compile(run_eagerly=True)
    for _ in range(2):
        model.settle()
        model.settle()
        model.train_on_batch({"image": tf.zeros([8, 8, 8, 1]), "label": tf.range(8) % 3})
    assert taken == [0, 1, 0, 1]


def test_two_moves_of_d_then_one_of_g_then_the_average():
    model, moves = small(), []
    model.compile(run_eagerly=True)
    rates = {p: (float(o.learning_rate), o.beta_1, o.beta_2) for p, o in model.optimizers.items()}
    assert rates == {
        "discriminator": (pytest.approx(2e-4), 0.0, 0.999),
        "generator": (pytest.approx(5e-5), 0.0, 0.999),
    }
    update = model.update

    def recorded(player, loss, *args, n=None):
        moves.append((player, n or args[0].shape[0]))
        return update(player, loss, *args, n=n)

    model.update = recorded
    before = model.generator_ema.get_weights()
    model.train_on_batch({"image": tf.zeros([8, 8, 8, 1]), "label": tf.range(8) % 3})
    assert moves == [("discriminator", 4), ("discriminator", 4), ("generator", 4)]
    for old, new, live in zip(
        before, model.generator_ema.weights, model.generator.weights, strict=True
    ):
        expected = 0.9 * old + 0.1 * live.numpy() if live.trainable else live.numpy()
        np.testing.assert_allclose(new, expected, atol=1e-6)


def test_losses_by_numbers():
    model, label = small(orthogonal_weight=0.0), tf.one_hot([0, 1], 3)
    model.discriminator = lambda inputs, training: tf.reshape([3.0, -3.0, 0.5, -3.0], [4, 1])
    with random.scope(0):
        d = model.discriminator_loss(tf.zeros([2, 8, 8, 1]), label)
    assert float(d["real"]) == pytest.approx((0 + 4) / 2)
    assert float(d["fake"]) == pytest.approx((1.5 + 0) / 2)
    model.discriminator = lambda inputs, training: tf.reshape([3.0, -1.0], [2, 1])
    with random.scope(0):
        assert float(model.generator_loss(2)["fake"]) == -1.0


@pytest.mark.parametrize("up", [True, False])
def test_skip_of_a_deep_generator_block(up):
    x = keras.Input([4, 4, 8])
    network = keras.Model(
        x, deep_up_block(x, 4, lambda x: keras.layers.BatchNormalization()(x), up)
    )
    last = [w for w in network.layers if isinstance(w, SpectralNorm)][-1]
    assert last.layer.kernel.shape == (1, 1, 2, 4)
    last.call = lambda x, training=False: tf.zeros([*x.shape[:3], 4])
    image = tf.random.normal([2, 4, 4, 8])
    kept = image[..., :4]
    expected = tf.repeat(tf.repeat(kept, 2, axis=1), 2, axis=2) if up else kept
    np.testing.assert_array_equal(network(image), expected)
    hidden = [tuple(w.layer.kernel.shape) for w in network.layers if isinstance(w, SpectralNorm)]
    assert hidden == [(1, 1, 8, 2), (3, 3, 2, 2), (3, 3, 2, 2), (1, 1, 2, 4)]


def test_skip_of_a_deep_discriminator_block():
    x = keras.Input([4, 4, 4])
    network = keras.Model(x, deep_down_block(x, 8, down=True))
    convolutions = [w for w in network.layers if isinstance(w, SpectralNorm)]
    shapes = sorted(tuple(w.layer.kernel.shape) for w in convolutions)
    assert shapes == [(1, 1, 2, 8), (1, 1, 4, 2), (1, 1, 4, 4), (3, 3, 2, 2), (3, 3, 2, 2)]
    for layer in convolutions:
        if tuple(layer.layer.kernel.shape) in ((1, 1, 2, 8), (1, 1, 4, 4)):
            width = layer.layer.kernel.shape[-1]
            layer.call = lambda x, training=False, width=width: tf.zeros([*x.shape[:3], width])
    image = tf.random.normal([2, 4, 4, 4])
    mean = tf.nn.avg_pool2d(image, 2, 2, "VALID")
    np.testing.assert_allclose(network(image), tf.concat([mean, 0 * mean], -1), atol=1e-6)


def test_singular_values_show_a_collapse(tmp_path):
    diagonal = np.diag([3.0, 5.0, 0.5, 1.0]).astype("float32")
    np.testing.assert_allclose(largest_singular_values(diagonal, 3), [5, 3, 1], atol=1e-3)
    wide = np.random.default_rng(0).normal(size=[5, 5, 8, 100]).astype("float32")
    exact = np.linalg.svd(wide.reshape(200, 100), compute_uv=False)[:3]
    np.testing.assert_allclose(largest_singular_values(wide, 3), exact, rtol=1e-4)
    model = small()
    found = model.singular_values()
    matrices = [w for n in (model.generator, model.discriminator) for w in n.trainable_variables]
    assert found.keys() == {w.path for w in matrices if len(w.shape) > 1}
    before = model.watched()
    kernel = max(
        (w for w in model.generator.trainable_variables if len(w.shape) == 4), key=lambda w: w.path
    )
    kernel.assign(100.0 * kernel)
    after = model.watched()
    assert after["generator/sigma"] > 50 * before["generator/sigma"]
    assert after["discriminator/sigma"] == before["discriminator/sigma"]
    model.compile()
    log = Log(1, tmp_path, 8, "images")
    log.set_model(model)
    log.on_train_begin()
    log.on_tick(1, {"generator/fake": 0.5})
    assert "generator/sigma" in (tmp_path / "log.csv").read_text()


def test_a_warning_and_a_break_are_read_from_a_run(tmp_path, monkeypatch):
    """Sigma of G leaps at step 50, and the figure is lost for good from step 70 on."""
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "benchmarks")
    collapse = importlib.import_module("collapse")
    sigma = [1.0, 1.3, 1.8, 1.9, 2.7, 2.0, 4.0, 5.0]
    figures = [9.0, 5.0, 2.0, 1.0, 2.5, 1.5, 4.0, 3.0]
    steps = [str(10 * (k + 1)) for k in range(8)]
    for name, columns, rows in (
        ("log", "generator/sigma,discriminator/sigma", [f"{s},{9 * s}" for s in sigma]),
        ("metrics", "metrics/own_fid", map(str, figures)),
    ):
        lines = [f"step,{columns}", *(f"{a},{b}" for a, b in zip(steps, rows, strict=True))]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    read, found, of_g, of_d = collapse.joined(tmp_path)
    assert (found, of_g) == (figures, sigma) and of_d == [9 * s for s in sigma]
    assert collapse.warning(read, of_g, [1.0] * 8) == collapse.warning(read, [1.0] * 8, of_d) == 50
    assert collapse.warning(read[:4], of_g[:4]) is None
    assert collapse.break_of(read, found) == 70
    assert collapse.break_of(read[:6], found[:6]) is None


@pytest.mark.parametrize("deep", [False, True])
def test_sefa_sees_all_operations_on_z(deep):
    """A is the slope of the grid and of all gains and biases in z."""
    model = small(deep=deep)
    network = model.generator_ema
    norms = [n for n in network.layers if isinstance(n, LinearConditionalNorm)]
    places = [network.get_layer("first").output, *(n.input[1] for n in norms)]
    seen = keras.Model(network.inputs, places)

    def operations(z):
        grid, *conditions = seen([z[None], tf.eye(3)[1:2]])
        parts = [grid]
        for norm, v in zip(norms, conditions, strict=True):
            parts += [norm.to_gamma(v), norm.to_beta(v)]
        return tf.concat(parts, axis=1)[0]

    z = tf.random.normal([6])
    with tf.GradientTape() as tape:
        tape.watch(z)
        made = operations(z)
    weights = sefa.first_weights(latents.Space(model, label=1), [0])
    np.testing.assert_allclose(weights, tape.jacobian(made, z), atol=1e-5)
    values, directions = sefa.sefa(weights)
    np.testing.assert_allclose(directions @ directions.T, np.eye(6), atol=1e-6)
    space = latents.Space(model, label=1)
    assert latents.walk(space, [0, 1], 2, "z", None).shape[1:] == (1, 6)


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="3 equal chunks.*7 in model.latent_dim"):
        small(latent_dim=7)
    with pytest.raises(BadInput, match="No block of the generator has maps 5"):
        small(generator_attention=5)
    with pytest.raises(BadInput, match="from 0 to 2"):
        small().sample(1, labels=[3])
    with pytest.raises(BadInput, match="truncation is above 0"):
        small().sample(2, truncation=-0.5)
    with pytest.raises(BadInput, match="at most 1: not 1.5"):
        small(truncation_law="scaled", truncations=(0.5, 1.0)).sample(1, truncation=1.5)
    with pytest.raises(BadInput, match="at most 1, and model.truncations has 2.0"):
        small(truncation_law="scaled")
    with pytest.raises(BadInput, match="redrawn"):
        small(truncation_law="redraw")
    assert small(deep=True, latent_dim=7).sample(2, seed=0, truncation=0.3).shape == (2, 8, 8, 1)
