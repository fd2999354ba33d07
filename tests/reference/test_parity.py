"""The counterparts of tensorflow-gan and tensorflow-addons in tfgans, against their numbers.

Relative limit 1e-5. Where the old packages differ from the papers we are on the side of the papers:
the test then holds the relation between both. Metrics and the losses of LSGAN have tests of their
own (tests/metrics, tests/models/test_lsgan.py); layers and images that Keras itself has now are
compared by tests/reference/test_migration.py.
"""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.layers.conditional_norm import ConditionalBatchNorm
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.layers.weight_norm import WeightNorm
from tfgans.models import cyclegan, progan, wgan_gp
from tfgans.models.cyclegan import CycleGAN, ImagePool
from tfgans.models.gan import GAN
from tfgans.models.improved_gan import ImprovedGAN, VirtualBatchNorm
from tfgans.models.infogan import InfoGAN
from tfgans.models.sngan import SNGAN
from tfgans.models.wgan_gp import WGANGP

FILE = np.load(pathlib.Path(__file__).with_name("tfgan_tfa.npz"))


def group(prefix):
    """The arrays below a prefix, by the rest of their names."""
    return {k[len(prefix) + 1 :]: FILE[k] for k in FILE.files if k.startswith(prefix + "/")}


def close(ours, theirs, tolerance=1e-5):
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale)


REF = group("losses")
SHAPE = {"image_shape": (8, 8, 1), "latent_dim": 4}
BATCH = tf.zeros([5, 8, 8, 1])


def planted(model, answer=lambda score: score):
    """A model whose discriminator gives the reference's scores, and those scores as tensors."""
    real, fake = tf.constant(REF["real"]), tf.constant(REF["fake"])
    model.generator = lambda z, training: "fake"
    model.discriminator = lambda x, training: answer(fake if isinstance(x, str) else real)
    return model, real, fake


def compare(terms, name, tape, factor=1.0, constant=0.0, **sources):
    """The sum of a loss' terms and its gradients, times `factor`, plus `constant`."""
    with tape:
        total = factor * sum(terms.values()) + constant
    close(total, REF[f"{name}/value"])
    for key, source in sources.items():
        close(tape.gradient(total, source), REF[f"{name}/grad_{key}"])


@pytest.fixture
def tape():
    return tf.GradientTape(persistent=True)


# Losses


def test_gan(tape):
    """Ours is half of D's loss, as in the paper's code; TF-GAN smooths the labels by default."""
    model, real, fake = planted(GAN(generator_width=4, discriminator_width=4, **SHAPE))
    with tape, random.scope(0):
        tape.watch((real, fake))
        terms = model.discriminator_loss(BATCH)
    for kind in ("minimax", "modified"):
        name = f"{kind}_discriminator_loss_smoothing_0"
        compare(terms, name, tape, factor=2.0, real=real, fake=fake)


def test_gan_generators(tape):
    """The saturating loss has the same gradient; TF-GAN's value carries -log(1 + 1/e)."""
    for saturating, name, constant in (
        (False, "modified_generator_loss", 0.0),
        (True, "minimax_generator_loss", -np.log(1 + np.exp(-1))),
    ):
        model, _, fake = planted(
            GAN(generator_width=4, discriminator_width=4, saturating=saturating, **SHAPE)
        )
        tape = tf.GradientTape(persistent=True)
        with tape, random.scope(0):
            tape.watch(fake)
            terms = model.generator_loss(5)
        compare(terms, name, tape, constant=constant, fake=fake)


def test_label_smoothing(tape):
    """TF-GAN's 0.25 asks for 0.875 of real images: ImprovedGAN's `real_target`."""
    model, real, fake = planted(
        ImprovedGAN(
            (16, 16, 1),
            4,
            4,
            4,
            minibatch_kernels=0,
            history_weight=0,
            real_target=0.875,
            reference_size=0,
        ),
        answer=lambda score: (score, None),
    )
    with tape, random.scope(0):
        tape.watch((real, fake))
        terms = model.discriminator_loss(BATCH)
    for kind in ("minimax", "modified"):
        compare(terms, f"{kind}_discriminator_loss", tape, real=real, fake=fake)


def test_wasserstein(tape):
    model = WGANGP(width=4, penalty_weight=0.0, **SHAPE)
    real, fake = tf.constant(REF["real"]), tf.constant(REF["fake"])
    model.gradient_penalty = lambda real, fake: 0.0
    with tape, random.scope(0):
        tape.watch((real, fake))
        both = tf.concat([real, fake], axis=0)
        model.generator = lambda z, training: BATCH
        model.discriminator = lambda x, training: both if len(x) == 2 * len(BATCH) else fake
        d, g = model.discriminator_loss(BATCH), model.generator_loss(5)
    compare(d, "wasserstein_discriminator_loss", tape, real=real, fake=fake)
    compare(g, "wasserstein_generator_loss", tape, fake=fake)


def test_hinge(tape):
    """G's loss is that of Wasserstein, in TF-GAN too."""
    widths = {"generator_channels": (4, 4), "discriminator_channels": (4, 4)}
    model = SNGAN(**SHAPE, **widths)
    real, fake = tf.constant(REF["real"]), tf.constant(REF["fake"])
    with tape, random.scope(0):
        tape.watch((real, fake))
        model.score = lambda image, label: tf.concat([real, fake], axis=0)
        d = model.discriminator_loss(BATCH, None)
        model.score = lambda image, label: fake
        g = model.generator_loss(5)
    compare(d, "wasserstein_hinge_discriminator_loss", tape, real=real, fake=fake)
    compare(g, "wasserstein_hinge_generator_loss", tape, fake=fake)


def test_mutual_information(tape):
    """TF-GAN's penalty is a mean over the codes and the elements of each; the paper's bound a sum.

    So of two codes, the second of two elements, the gradients differ by 2 and by 4.
    """
    model = InfoGAN((8, 8, 1), 1, (3,), 2, 8, 4, learned_deviation=True)
    one_hot, code = np.eye(3, dtype="float32")[REF["category"]], REF["code"]
    z = tf.constant(np.concatenate([np.zeros([5, 1]), one_hot, code], axis=1), "float32")
    logits, mean, deviation = (tf.constant(REF[f"q_{k}"]) for k in ("logits", "mean", "deviation"))
    with tape:
        tape.watch((logits, mean, deviation))
        prediction = tf.concat([logits, mean, 2 * tf.math.log(deviation)], axis=1)
        bounds = model.information(z, prediction)
    error = np.log(3) - bounds["categorical"]  # minus the entropy of the codes
    prior = -0.5 * np.square(code).sum(axis=1).mean()
    per_element = -(bounds["continuous"] + prior) / 2 + 0.5 * np.log(2 * np.pi)
    name = "mutual_information_penalty"
    close((error + per_element) / 2, REF[f"{name}/value"])
    close(-tape.gradient(bounds["categorical"], logits) / 2, REF[f"{name}/grad_q_logits"])
    close(-tape.gradient(bounds["continuous"], mean) / 4, REF[f"{name}/grad_q_mean"])
    close(-tape.gradient(bounds["continuous"], deviation) / 4, REF[f"{name}/grad_q_deviation"])


def test_cycle_consistency(tape):
    """Ours is the paper's sum of both ways, TF-GAN's the mean of them."""
    x, y, x_back, y_back = (tf.constant(REF[k]) for k in ("x", "y", "x_back", "y_back"))
    with tape:
        tape.watch((x_back, y_back))
        ours = cyclegan.l1(x_back, x) + cyclegan.l1(y_back, y)
    compare({"": ours}, "cycle_consistency_loss", tape, 0.5, x_back=x_back, y_back=y_back)


def critic(x, w):
    return tf.reduce_sum(tf.tanh(tf.reshape(x, [-1, w.shape[0]]) @ w), axis=1)


def test_cyclegan_as_a_whole():
    """TF-GAN's weight 10 of the cycle is the paper's 5; it halves losses of G, we do not."""
    ref = group("totals")
    data = {k: tf.constant(ref[k]) for k in ("x", "fake_x", "x_back", "y", "fake_y", "y_back")}
    model = CycleGAN((8, 8, 1), 4, 1, 1, cycle_weight=5.0, identity_weight=0.0)
    there = {id(data["x"]): data["fake_y"], id(data["fake_x"]): data["y_back"]}
    back = {id(data["y"]): data["fake_x"], id(data["fake_y"]): data["x_back"]}
    model.generator_ab = lambda x, training: there.get(id(x), x)
    model.generator_ba = lambda x, training: back.get(id(x), x)
    model.discriminator_a = model.discriminator_b = lambda x, training: critic(x, ref["w"])
    g, _ = model.generators_loss(data["x"], data["y"])
    d = model.discriminators_loss(data["x"], data["y"], data["fake_x"], data["fake_y"])
    ways = ("cyclegan_loss/x2y", "cyclegan_loss/y2x")
    # each of their two generators carries the whole cycle loss
    close(0.5 * g["fake"] + 2 * g["cycle"], sum(ref[f"{w}/generator_loss"] for w in ways))
    close(d["b"], ref["cyclegan_loss/x2y/discriminator_loss"])
    close(d["a"], ref["cyclegan_loss/y2x/discriminator_loss"])


# Penalties


@pytest.mark.parametrize("case, target", [("default", 1.0), ("target_2", 2.0)])
def test_gradient_penalty(monkeypatch, case, target):
    """Value and second derivative: of WGAN-GP, and of ProGAN, whose target divides as TF-GAN's."""
    ref = group("penalty")
    real, fake = (tf.constant(ref[k][..., np.newaxis]) for k in ("real", "fake"))
    alpha, w = ref["alpha"].reshape(4, 1, 1, 1), tf.constant(ref["w"])
    if target == 1.0:
        monkeypatch.setattr(wgan_gp.random, "uniform", lambda shape: tf.constant(alpha))
        model = WGANGP(width=4, **SHAPE)
        model.discriminator = lambda x, training: critic(x, w)
    else:
        monkeypatch.setattr(progan.random, "uniform", lambda shape: tf.constant(alpha))
        model = finished_progan(target)
        model.score = lambda x: (critic(x, w), None)
    with tf.GradientTape() as tape:
        tape.watch(w)
        penalty = model.gradient_penalty(real, fake)
    close(penalty, ref[f"{case}/value"])
    close(tape.gradient(penalty, w), ref[f"{case}/grad_w"])


def finished_progan(target):
    """A ProGAN with one resolution, so at full size from the start."""
    return progan.ProGAN((4, 4, 1), 4, channel_base=16, channel_max=4, penalty_target=target)


def test_gan_loss_with_penalty(monkeypatch):
    """`gan_loss(model, gradient_penalty_weight=10)` is Wasserstein with the penalty on top."""
    ref = group("totals")
    model = WGANGP(width=4, penalty_weight=10.0, **SHAPE)
    real, fake = (tf.reshape(ref[k], [4, 3, 2, 1]) for k in ("x", "fake_x"))
    model.latents, model.generator = lambda n: None, lambda z, training: fake
    model.discriminator = lambda x, training: critic(x, ref["w"])
    alpha = tf.reshape(ref["alpha"], [4, 1, 1, 1])
    monkeypatch.setattr(wgan_gp.random, "uniform", lambda shape: alpha)
    d, g = model.discriminator_loss(real), model.generator_loss(4)
    close(d["wasserstein"] + d["penalty"], ref["gan_loss_penalty_10/discriminator_loss"])
    close(d["wasserstein"], ref["gan_loss/discriminator_loss"])
    close(g["wasserstein"], ref["gan_loss/generator_loss"])


# Layers


def test_virtual_batch_norm():
    """The same statistics. TF-GAN's epsilon is 1e-3, ours the 1e-5 of the authors' code."""
    ref = group("features")
    x, reference = ref["x"], ref["reference"]
    layer = VirtualBatchNorm(len(reference))
    ours = layer(np.concatenate([reference, x]))

    def theirs(name, square, mean):
        """With epsilon 1e-5, without gain and bias."""
        variance = square - mean**2
        plain = (ref[name] - ref["beta"]) / ref["gamma"]
        return plain * np.sqrt((variance + 1e-3) / (variance + 1e-5))

    mean, square = (t.mean(axis=(0, 1, 2)) for t in (reference, reference**2))
    close(ours[:5], theirs("virtual_batch_norm_of_reference", square, mean))
    mean, square = (
        (t.mean(axis=(1, 2), keepdims=True) + 5 * r) / 6 for t, r in ((x, mean), (x**2, square))
    )
    close(ours[5:], theirs("virtual_batch_norm", square, mean))


def test_conditional_batch_norm():
    ref = group("features")
    layer = ConditionalBatchNorm(epsilon=1e-3)
    layer.build(ref["x"].shape, ref["one_hot"].shape)
    layer.gamma.assign(ref["class_gamma"].reshape(2, 4))
    layer.beta.assign(ref["class_beta"].reshape(2, 4))
    y = layer(tf.constant(ref["x"]), tf.constant(ref["one_hot"]), training=True)
    close(y, ref["conditional_batch_norm"])


@pytest.mark.parametrize("case", ["dense", "conv"])
def test_spectral_norm(case):
    """tensorflow-addons' first forward. After it theirs has overwritten its kernel; ours has not.

    Its gradient leaves out sigma: it is G, and ours is (G - <G, W / sigma> v u) / sigma.
    """
    ref = group(f"tfa_spectral_normalization/{case}")
    inner = keras.layers.Dense(3) if case == "dense" else keras.layers.Conv2D(3, 3)
    layer = SpectralNorm(inner)
    layer.build(ref["x"].shape)
    inner.kernel.assign(ref["kernel"])
    inner.bias.assign(ref["bias"])
    layer.u.assign(ref["u"].T)
    x = tf.constant(ref["x"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        value = tf.reduce_sum(y * ref["probe"])
    by_x, by_kernel, by_bias = tape.gradient(value, [x, inner.kernel.value, inner.bias.value])
    first = {k.removeprefix("forward_1/"): v for k, v in ref.items()}
    close(y, first["y"])
    close(by_x, first["grad_x"])
    close(by_bias, first["grad_bias"])
    close(layer.u, ref["forward_1/u"].T)
    np.testing.assert_array_equal(inner.kernel, ref["kernel"])
    w, g = ref["kernel"].reshape(-1, 3), first["grad_kernel"].reshape(-1, 3)
    u = ref["forward_1/u"].T
    v = w @ ref["u"].T
    v /= np.linalg.norm(v)
    sigma = float((v.T @ w @ u)[0, 0])
    close(ref["kernel"] / sigma, ref["forward_1/kernel"])  # the kernel that theirs stores
    expected = (g - np.sum(g * w / sigma) * (v @ u.T)) / sigma
    close(tf.reshape(by_kernel, [-1, 3]), expected)


def test_weight_norm():
    """As tensorflow-addons' without `data_init`: values, and gradients of v, of g and of x."""
    ref = group("tfa_weight_normalization")
    layer = WeightNorm(3, size=0, train_gain=True)
    layer.build(ref["x"].shape)
    layer.kernel.assign(ref["v"])
    layer.gain.assign(np.linalg.norm(ref["v"], axis=0))
    layer.bias.assign(ref["bias"])
    x = tf.constant(ref["x"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        value = tf.reduce_sum(y * ref["probe"])
    sources = [x, layer.kernel.value, layer.gain.value, layer.bias.value]
    by_x, by_v, by_g, by_bias = tape.gradient(value, sources)
    close(y, ref["norm_init/y"])
    close(by_x, ref["norm_init/grad_x"])
    close(by_v, ref["norm_init/grad_kernel"])
    close(by_g, ref["norm_init/grad_g"])
    close(by_bias, ref["norm_init/grad_bias"])


def test_weight_norm_by_data():
    """Ours gives mean 0 and variance 1, as the paper; theirs measures with v, not v / |v|."""
    ref = group("tfa_weight_normalization")
    layer = WeightNorm(3, size=0)
    layer.build(ref["x"].shape)
    layer.kernel.assign(ref["v"])
    layer.initialize(tf.constant(ref["x"]))
    y = layer(ref["x"]).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=0), 1, atol=1e-5)
    theirs = ref["data_init/y"]
    np.testing.assert_allclose(theirs.std(axis=0), 1 / np.linalg.norm(ref["v"], axis=0), rtol=1e-4)


def test_image_pool():
    """CycleGAN's pool forgets what it shows at once; TF-GAN's stores it too and shows it again."""
    ref = group("tensor_pool")["size_3"]
    pool, shown = ImagePool(3, (1, 1, 1)), []
    for step in range(len(ref)):
        with random.scope(0, step):
            shown.append(int(pool(tf.fill([1, 1, 1, 1], float(step)))[0, 0, 0, 0]))

    def again(sequence):
        """Images that came back after they had been shown, except the first three."""
        return [x for i, x in enumerate(sequence) if x > 2 and x in sequence[:i]]

    assert list(ref[:3]) == shown[:3] == [0, 1, 2]  # both fill up first
    assert again(list(ref)) and not again(shown)
    for sequence in (list(ref), shown):
        new = sum(x == i for i, x in enumerate(sequence))
        assert new == pytest.approx(150, abs=30)


# Averages


@pytest.mark.parametrize("case", ["moving_average", "moving_average_dynamic"])
def test_moving_average(case):
    """`update_ema` after each step is tensorflow-addons' MovingAverage(average_decay=0.9)."""
    ref = group("tfa_optimizers")
    model = GAN(generator_width=4, discriminator_width=4, **SHAPE)
    image = keras.Input([1])
    network = keras.Model(image, keras.layers.Dense(4, use_bias=False)(image))
    network.set_weights([ref["w"][np.newaxis]])
    average = model.ema_of(network)
    for step, w in enumerate(ref[f"{case}/w"]):
        network.set_weights([w[np.newaxis]])
        decay = min(0.9, (1 + step) / (10 + step)) if "dynamic" in case else 0.9
        model.update_ema(average, network, decay)
        close(average.get_weights()[0][0], ref[f"{case}/average"][step])
