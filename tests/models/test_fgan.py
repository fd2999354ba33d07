"""f-GAN: each divergence of two Gaussians, the bound, the conjugates, the game."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.fgan import DIVERGENCES, FGAN

CONTRACT = {
    "games": [{"saturating": True}, *({"divergence": divergence} for divergence in DIVERGENCES)]
}

LOG_2 = np.log(2.0)
F = {  # the generators f(u) of the divergences E_Q f(p/q)
    "kl": lambda u: u * np.log(u),
    "reverse_kl": lambda u: -np.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "neyman": lambda u: (1 - u) ** 2 / u,
    "squared_hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "js": lambda u: u * np.log(u) - (u + 1) * np.log((1 + u) / 2),
    "gan": lambda u: u * np.log(u) - (u + 1) * np.log(u + 1),
    "total_variation": lambda u: np.abs(u - 1) / 2,
}
OPTIMUM = {  # the best V, from log(p/q)
    "kl": lambda log_ratio: 1 + log_ratio,
    "reverse_kl": lambda log_ratio: log_ratio,
    "pearson": lambda log_ratio: 2 * np.expm1(log_ratio),
    "neyman": lambda log_ratio: 2 * log_ratio,
    "squared_hellinger": lambda log_ratio: log_ratio / 2,
    "js": lambda log_ratio: log_ratio,
    "gan": lambda log_ratio: log_ratio,
    "total_variation": lambda log_ratio: 50 * log_ratio,
}
NARROW = {  # the divergence of P = N(0, 1) from Q = N(1, 1), in closed form
    "kl": 0.5,
    "reverse_kl": 0.5,
    "pearson": np.e - 1,
    "neyman": np.e - 1,
    "squared_hellinger": 2 * (1 - np.exp(-1 / 8)),
    "js": 0.22284,
    "gan": 0.22284 - 2 * LOG_2,
    "total_variation": 2 * scipy.special.ndtr(0.5) - 1,
}
WIDE = {  # from Q = N(1, 4), of deviation 2, where P and Q cannot be exchanged
    "kl": LOG_2 + 2 / 8 - 0.5,
    "reverse_kl": -LOG_2 + 5 / 2 - 0.5,
    "pearson": 0.74403,
    "squared_hellinger": 2 * (1 - np.sqrt(4 / 5) * np.exp(-1 / 20)),
    "js": 0.25635,
    "gan": -1.12994,
    "total_variation": 0.39007,
}
ALL = pytest.mark.parametrize("name", DIVERGENCES)


def tiny(**settings):
    return FGAN((4, 4, 1), latent_dim=4, generator_width=8, discriminator_width=4, **settings)


X = np.linspace(-30.0, 32.0, 62_001)
P = np.exp(-(X**2) / 2) / np.sqrt(2 * np.pi)


def gaussian(deviation):
    """q = N(1, deviation^2) on the grid, and log(p/q)."""
    z = (X - 1) / deviation
    q = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) / deviation
    return q, (z**2 - X**2) / 2 + np.log(deviation)


def bound(name, v, q):
    """E_P T - E_Q f*(T) by quadrature."""
    activation, conjugate = DIVERGENCES[name]
    v = tf.constant(v, "float64")
    return np.sum(P * activation(v) - q * conjugate(v)) * (X[1] - X[0])


@ALL
def test_divergence_of_two_gaussians(name):
    q, log_ratio = gaussian(1.0)
    np.testing.assert_allclose(log_ratio, 0.5 - X, atol=1e-9)
    assert bound(name, OPTIMUM[name](log_ratio), q) == pytest.approx(NARROW[name], abs=1e-4)


@pytest.mark.parametrize("name", WIDE)
def test_divergence_from_a_wider_gaussian(name):
    """One part in 1600 of Q lies where q/p > e^20, and e^v is replaced by its tangent."""
    q, log_ratio = gaussian(2.0)
    assert bound(name, OPTIMUM[name](log_ratio), q) == pytest.approx(WIDE[name], abs=1e-3)


@ALL
def test_any_other_function_gives_less(name):
    q, log_ratio = gaussian(1.0)
    best = OPTIMUM[name](log_ratio)
    top = bound(name, best, q)
    for v in (best + 0.3, best - 0.3, 0.5 * best, best + 0.5 * np.sin(3 * X), 0.0 * X):
        assert bound(name, v, q) <= top + 1e-9
    assert bound(name, 0.02 * best + 0.5, q) < top - 1e-3


@ALL
def test_conjugate_is_the_conjugate(name):
    """f*(T) is the largest u T - f(u); Pearson's V below -2 would need negative u."""
    activation, conjugate = DIVERGENCES[name]
    v = np.linspace(-1.9, 3.0, 15)
    t = activation(tf.constant(v)).numpy()
    u = np.append(np.exp(np.linspace(-9.0, 9.0, 20_001)), 1.0)
    found = np.max(u * t[:, None] - F[name](u), axis=1)
    np.testing.assert_allclose(conjugate(tf.constant(v)), found, rtol=1e-5, atol=2e-4)


@ALL
def test_threshold_between_real_and_fake(name):
    """Where p = q the best T is f'(1) (paper, table 6)."""
    t = float(DIVERGENCES[name][0](tf.constant(OPTIMUM[name](0.0), "float64")))
    expected = {"kl": 1.0, "reverse_kl": -1.0, "gan": -LOG_2}.get(name, 0.0)
    assert t == pytest.approx(expected, abs=1e-7)
    if name != "total_variation":  # its f has a corner at 1
        slope = (F[name](1 + 1e-4) - F[name](1 - 1e-4)) / 2e-4
        assert t == pytest.approx(slope, abs=1e-6)


class Affine(keras.layers.Layer):
    """V(x) = a x + b on numbers."""

    def build(self, shape):
        self.a, self.b = self.add_weight(initializer="zeros"), self.add_weight(initializer="zeros")

    def call(self, x, training=False):
        return self.a * x + self.b


@pytest.mark.parametrize(
    "name, a, b",
    [
        ("kl", -1.0, 1.5),
        ("reverse_kl", -1.0, 0.5),
        ("squared_hellinger", -0.5, 0.25),
        ("js", -1.0, 0.5),
        ("gan", -1.0, 0.5),
    ],
)
def test_trained_discriminator_estimates_the_divergence(name, a, b):
    model = tiny(divergence=name)
    quantiles = scipy.special.ndtri((np.arange(4096) + 0.5) / 4096).astype("float32")[:, None]
    real, fake = tf.constant(quantiles), tf.constant(quantiles + 1.0)
    model.discriminator = Affine()
    model.discriminator.build(None)
    model.optimizers["discriminator"] = keras.optimizers.Adam(0.1)
    model.optimizers["discriminator"].build(model.weights_of("discriminator"))

    def loss(real):
        return model.discriminator_loss(model.discriminator(real), model.discriminator(fake))

    @tf.function
    def move():
        return model.update("discriminator", loss, real)

    for _ in range(120):
        logs = move()
    estimate = -float(logs["discriminator/real"] + logs["discriminator/fake"])
    assert estimate == pytest.approx(NARROW[name], rel=0.02)
    assert float(model.discriminator.a.numpy()) == pytest.approx(a, abs=0.05)
    assert float(model.discriminator.b.numpy()) == pytest.approx(b, abs=0.05)


@ALL
@pytest.mark.parametrize("saturating", [False, True])
def test_generator_always_wants_a_larger_v(name, saturating):
    model = tiny(divergence=name, saturating=saturating)
    v = tf.Variable(np.linspace(-1.5, 1.5, 8, dtype="float32")[:, None])
    with tf.GradientTape() as tape:
        loss = model.generator_loss(v.value())["fake"]
    activation, conjugate = DIVERGENCES[name]
    expected = -np.mean((conjugate if saturating else activation)(v.value()))
    assert float(loss) == pytest.approx(expected, abs=1e-6)
    assert np.all(tape.gradient(loss, v) < 0)


@ALL
def test_extreme_scores_stay_finite_and_still_pull(name):
    activation, conjugate = DIVERGENCES[name]
    v = tf.constant([-1000.0, -100.0, 100.0, 1000.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(v)
        t, f = activation(v), conjugate(v)
    for value in (t, f, tape.gradient(t, v), tape.gradient(f, v)):
        assert np.all(np.isfinite(value))
    if name == "kl":
        assert np.all(tape.gradient(f, v)[2:] > 1e8)
    if name == "reverse_kl":
        assert np.all(tape.gradient(t, v)[:2] > 1e8)


def test_js_is_gan_plus_log_4():
    model = {name: tiny(divergence=name) for name in ("js", "gan")}
    losses = {}
    for name, one in model.items():
        terms = one.discriminator_loss(-tf.ones([8, 1]), tf.ones([8, 1]))
        losses[name] = float(terms["real"] + terms["fake"])
    assert losses["gan"] == pytest.approx(2 * np.log1p(np.e), abs=1e-5)  # 2 softplus(1)
    assert losses["gan"] - losses["js"] == pytest.approx(2 * LOG_2, abs=1e-5)


def test_networks_of_the_paper():
    model = FGAN()
    shapes = [tuple(w.shape) for w in model.discriminator.weights]
    assert shapes == [(784, 240), (240,), (240, 240), (240,), (240, 1), (1,)]
    kinds = [type(layer).__name__ for layer in model.generator.layers[1:]]
    hidden = ["Dense", "BatchNormalization", "ReLU"]
    assert kinds == 2 * hidden + ["Dense", "Reshape", "Rescaling"]
    trainable = sum(int(np.prod(w.shape)) for w in model.generator.trainable_variables)
    assert trainable == 100 * 1200 + 1200 * 1200 + 4 * 1200 + 1200 * 784 + 784 == 2_506_384
    assert model.discriminator.count_params() == 246_481
    for network in (model.generator, model.discriminator):
        for w in network.trainable_variables:
            if w.name == "kernel" and len(w.shape) == 2 and w.shape[1] > 1:
                assert w.numpy().std() == pytest.approx(0.05, rel=0.02)
    activations = [layer.activation.__name__ for layer in model.discriminator.layers[-3:]]
    assert activations == ["elu", "elu", "linear"]
    with random.scope(0):
        z = model.latents(1024).numpy()
    assert -1 <= z.min() < -0.99 and z.std() == pytest.approx(3**-0.5, abs=0.01)


def test_misspelt_divergence():
    with pytest.raises(BadInput, match="Did you mean 'reverse_kl'"):
        tiny(divergence="reversekl")


def test_both_players_move_from_the_same_point():
    """Algorithm 1: the gradients of one bound, taken before any weight moves."""
    model = tiny()
    model.compile({p: keras.optimizers.SGD(0.1) for p in model.players()}, run_eagerly=True)
    real, players = tf.random.uniform([8, 4, 4, 1], -1, 1), list(model.players())
    weights = {player: model.weights_of(player) for player in players}
    values = [w.value for player in players for w in weights[player]]
    with tf.GradientTape(persistent=True) as tape, random.scope(0):
        tape.watch(values)
        terms = model.losses(real, model.latents(8))
        totals = {player: tf.add_n(list(terms[player].values())) for player in players}
    wanted = [
        w.numpy() - 0.1 * tape.gradient(totals[player], w.value).numpy()
        for player in players
        for w in weights[player]
    ]
    seen, discriminator = [], model.discriminator
    model.discriminator = lambda x, training: seen.append(x) or discriminator(x, training=training)
    model.players = lambda: {"discriminator": [discriminator], "generator": [model.generator]}
    with random.scope(0):
        model.train_step({"image": real})
    assert len(seen) == 2 and seen[0] is real
    for found, w in zip((w for p in players for w in weights[p]), wanted, strict=True):
        np.testing.assert_allclose(found.numpy(), w, atol=1e-6)
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, float(optimizer.learning_rate)) == (0.5, pytest.approx(2e-4))
