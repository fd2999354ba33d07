"""RaGAN: its losses by numbers, a constant on all scores, real images in G's loss, the game."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.ragan import DISTANCES, RaGAN

CONTRACT = {
    "games": [{"distance": distance} for distance in DISTANCES],
    "like_one_device": {"distance": "rsgan"},  # the others take averages over the batch
}
ALL = pytest.mark.parametrize("distance", DISTANCES)


def small(**settings):
    return RaGAN(
        image_shape=(8, 8, 1),
        latent_dim=4,
        generator_channels=(4, 4),
        discriminator_channels=(4, 4),
        **settings,
    )


def losses(distance, real_score, fake_score):
    """D's and G's loss for given scores, and their gradients by the scores."""
    model, n = small(distance=distance), len(real_score)
    scores = [tf.reshape(tf.constant(s, "float32"), [n, 1]) for s in (real_score, fake_score)]
    model.discriminator = lambda images, training: tf.concat(scores, axis=0)
    with tf.GradientTape(persistent=True) as tape, random.scope(0):
        tape.watch(scores)
        d = tf.add_n(list(model.discriminator_loss(tf.zeros([n, 8, 8, 1])).values()))
        g = tf.add_n(list(model.generator_loss(tf.zeros([n, 8, 8, 1])).values()))
    return float(d), float(g), tape.gradient(d, scores), tape.gradient(g, scores)


@pytest.mark.parametrize(
    "distance, d_loss, g_loss, undecided",
    [
        ("rsgan", 0.126928, 2.126928, 0.693147),
        ("rasgan", 0.253856, 4.253856, 1.386294),
        ("ralsgan", 2.0, 18.0, 2.0),
        ("rahinge", 0.0, 6.0, 2.0),
    ],
)
def test_values_of_constant_scores(distance, d_loss, g_loss, undecided):
    """C = 3 for real and 1 for fake images, then C the same for all. Sums, not halves."""
    d, g, *_ = losses(distance, [3.0] * 8, [1.0] * 8)
    assert (d, g) == (pytest.approx(d_loss, abs=1e-6), pytest.approx(g_loss, abs=1e-5))
    d, g, *_ = losses(distance, [7.0] * 8, [7.0] * 8)
    assert d == g == pytest.approx(undecided, abs=1e-6)


def formula(distance, real, fake):
    """D's loss of given scores, written with loops over images. G's exchanges the two."""

    def softplus(t):
        return np.log1p(np.exp(t))

    if distance == "rsgan":
        return np.mean([softplus(-(r - f)) for r, f in zip(real, fake, strict=True)])
    of_real = {
        "rasgan": lambda t: softplus(-t),
        "ralsgan": lambda t: (t - 1) ** 2,
        "rahinge": lambda t: max(0.0, 1 - t),
    }[distance]
    of_fake = {
        "rasgan": softplus,
        "ralsgan": lambda t: (t + 1) ** 2,
        "rahinge": lambda t: max(0.0, 1 + t),
    }[distance]
    return np.mean([of_real(r - np.mean(fake)) for r in real]) + np.mean(
        [of_fake(f - np.mean(real)) for f in fake]
    )


@ALL
def test_losses_and_gradients_of_any_scores(distance):
    """Against the formulas; gradients against finite differences, the averages included."""
    rng = np.random.RandomState(1)
    real, fake = rng.randn(2, 6)
    d, g, d_by, g_by = losses(distance, real, fake)
    assert d == pytest.approx(formula(distance, real, fake), abs=1e-5)
    assert g == pytest.approx(formula(distance, fake, real), abs=1e-5)
    for k in range(6):
        step = 1e-4 * np.eye(6)[k]
        for gradients, loss in (
            (d_by, lambda r, f: formula(distance, r, f)),
            (g_by, lambda r, f: formula(distance, f, r)),
        ):
            by_real = loss(real + step, fake) - loss(real - step, fake)
            by_fake = loss(real, fake + step) - loss(real, fake - step)
            assert float(gradients[0][k, 0]) == pytest.approx(by_real / 2e-4, abs=1e-4)
            assert float(gradients[1][k, 0]) == pytest.approx(by_fake / 2e-4, abs=1e-4)


@ALL
def test_a_constant_on_all_scores_changes_nothing(distance):
    """Only differences count; the loss of an ordinary GAN would change."""
    real, fake = np.random.randn(2, 8)
    first, second = losses(distance, real, fake), losses(distance, real + 5.0, fake + 5.0)
    for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@ALL
def test_g_wants_real_images_to_look_less_real(distance):
    """The slopes of G's loss in the scores of real images are positive, as large as the others."""
    *_, by = losses(distance, [3.0] * 8, [1.0] * 8)
    real, fake = (gradient.numpy() for gradient in by)
    assert (real > 0.01).all() and (fake < -0.01).all()
    assert real.sum() == pytest.approx(-fake.sum(), abs=1e-5)


@ALL
def test_adding_to_d_is_nothing_and_moving_an_image_is_something(distance):
    """The bias of D's last layer has no gradient in either loss; all kernels have one."""
    model = small(distance=distance)
    real = tf.random.normal([4, 8, 8, 1])
    *weights, kernel, bias = model.discriminator.trainable_variables
    assert bias.shape == (1,) and kernel.shape[-1] == 1
    for loss in (model.discriminator_loss, model.generator_loss):
        values = [kernel.value, bias.value]
        with tf.GradientTape() as tape, random.scope(0):
            tape.watch(values)
            total = tf.add_n(list(loss(real).values()))
        by_kernel, by_bias = tape.gradient(total, values)
        assert float(tf.abs(by_bias)[0]) < 1e-6 < 1e-3 < float(tf.reduce_max(tf.abs(by_kernel)))


def test_scores_belong_to_their_images():
    """The first result of `scores` is that of the real images; each comes once."""
    model = small()
    model.generator = lambda z, training: tf.fill([z.shape[0], 8, 8, 1], -1.0)
    model.discriminator = lambda images, training: tf.reduce_mean(images, [1, 2])
    with random.scope(0):
        real_score, fake_score = model.scores(tf.fill([3, 8, 8, 1], 0.5))
    np.testing.assert_array_equal(real_score, np.full([3, 1], 0.5))
    np.testing.assert_array_equal(fake_score, np.full([3, 1], -1.0))


def test_each_player_gets_real_images_of_its_own():
    model = small()
    moves = []
    model.update = lambda player, loss, real: moves.append((player, loss, real.numpy())) or {}
    image = np.random.rand(8, 8, 8, 1).astype("float32")
    model.train_step({"image": tf.constant(image)})
    (first, d_loss, for_d), (second, g_loss, for_g) = moves
    assert (first, second) == ("discriminator", "generator")
    assert (d_loss, g_loss) == (model.discriminator_loss, model.generator_loss)
    np.testing.assert_array_equal(for_d, image[0::2])
    np.testing.assert_array_equal(for_g, image[1::2])
    assert model.batches_per_step == 2


def test_setting_of_the_paper():
    """SNGAN's plain networks for CIFAR-10, and Adam with the moments of DCGAN."""
    model = RaGAN()
    counts = [
        sum(int(np.prod(w.shape)) for w in network.trainable_variables)
        for network in (model.generator, model.discriminator)
    ]
    generator = 128 * 8192 + 8192 + 16 * (512 * 256 + 256 * 128 + 128 * 64) + 3 * (256 + 128 + 64)
    assert counts[0] == generator + 9 * 64 * 3 + 3
    kernels = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 16 * (64**2 + 128**2 + 256**2)
    biases = 2 * (64 + 128 + 256) + 512
    assert counts[1] == kernels + biases + 16 * 512 + 1
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)
    assert model.distance == "rasgan"


def test_an_unknown_distance_is_refused():
    with pytest.raises(BadInput, match="ralsgan"):
        small(distance="ralsgam")


def test_latents_are_normal():
    model = small()
    with random.scope(0):
        z = model.latents(4096).numpy()
    assert z.std() == pytest.approx(1.0, abs=0.02) and np.abs(z).max() > 3
