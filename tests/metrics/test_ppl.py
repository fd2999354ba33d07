"""Path lengths in closed form and of models; LPIPS from its definition."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import models, random
from tfgans.errors import BadInput
from tfgans.features.lpips import lpips_input
from tfgans.metrics import lpips, ppl, ppl_of_model
from tfgans.metrics.ppl import crop_face, shrink, slerp, trimmed_mean


def squared(a, b):
    return np.square(np.asarray(a) - np.asarray(b)).reshape(len(a), -1).sum(axis=1)


@pytest.fixture
def latents(rng):
    return rng.normal(size=[2, 200, 12])  # float64


@pytest.mark.parametrize("sampling", ["end", "full"])
def test_linear_generator_in_closed_form(latents, sampling, rng):
    """The length is mean |A (w1 - w0)|^2 everywhere on the line."""
    a = rng.normal(size=[12, 20])
    start, end = latents
    value = ppl(lambda w: w @ a, squared, start, end, "w", sampling)
    assert value == pytest.approx(trimmed_mean(squared(start @ a, end @ a)), rel=1e-5)


def test_identity_on_the_sphere_in_closed_form(rng):
    """The length is mean omega^2, about (pi / 2)^2 in many dimensions."""
    start, end = rng.normal(size=[2, 400, 512])
    for sampling in ("end", "full"):
        value = ppl(lambda z: z, squared, start, end, "z", sampling)
        assert value == pytest.approx((np.pi / 2) ** 2, rel=0.01)
    cosine = (start * end).sum(1) / np.linalg.norm(start, axis=1) / np.linalg.norm(end, axis=1)
    assert value == pytest.approx(trimmed_mean(np.arccos(cosine) ** 2), rel=1e-4)


def test_the_step_does_not_matter_but_the_place_does(latents):
    start, end = latents

    def generator(w):
        return tf.sin(w)

    fine, coarse = (ppl(generator, squared, start, end, epsilon=e) for e in (1e-4, 1e-3))
    assert fine == pytest.approx(coarse, rel=0.01)
    full = ppl(generator, squared, start, end, sampling="full")
    assert abs(full / fine - 1) > 0.02
    with pytest.raises(BadInput, match="sampling"):
        ppl(generator, squared, start, end, sampling="both")


def stylegan2(**changes):
    """8x8, with visible noise."""
    settings = {"latent_dim": 6, "style_dim": 5, "mapping_layers": 1, "channel_max": 8}
    model = models.StyleGAN2((8, 8, 3), channel_base=64, **settings | changes)
    for conv in model.generator_ema.synthesis.convs:
        conv.noise_strength.assign(0.5)
    return model


@pytest.mark.parametrize("space", ["w", "z"])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_a_model_has_the_speed_of_its_images(space, num_classes):
    """Compares one batch of 12 paths with the squared derivative by central differences, h = 0.002;
    all images have the same noise, and each path keeps its label."""
    model = stylegan2(num_classes=num_classes)
    generator, classes = model.generator_ema, np.arange(12) % 3 if num_classes else None
    label = model.one_hot(classes)
    with random.scope(5, step=1):
        start, end = model.latents(12), model.latents(12)
        noise = [random.normal([1, *conv.size, 1]) for conv in generator.synthesis.convs]
    if space == "w":
        start, end = generator.mapping(start, label=label), generator.mapping(end, label=label)

    def image(t):
        if space == "z":
            ws = generator.styles(6**0.5 * slerp(start, end, t), label)
        else:
            ws = tf.repeat((start + t * (end - start))[:, None], generator.synthesis.num_ws, axis=1)
        return generator.synthesis(ws, noise=noise).numpy()

    expected = trimmed_mean(squared(image(0.002), image(-0.002)) / 0.004**2)
    found = ppl_of_model(model, squared, 12, space, "end", classes, seed=5)
    assert found == pytest.approx(expected, rel=0.02)


def test_models_that_trained_in_half_precision_are_measured_in_float32():
    """In float16 a step of 1e-4 is lost among roundings."""
    model = stylegan2()
    keras.config.set_dtype_policy("mixed_float16")
    half = stylegan2()
    half.set_weights(model.get_weights())
    wanted = ppl_of_model(model, squared, 12)
    assert ppl_of_model(half, squared, 12) == pytest.approx(wanted, rel=1e-3)


def test_models_without_such_paths_are_refused():
    wgan_gp = models.get("wgan_gp")((8, 8, 1), width=4)
    assert ppl_of_model(wgan_gp, squared, 3, "z", "full") > 0
    with pytest.raises(BadInput, match="WGANGP has no w"):
        ppl_of_model(wgan_gp, squared, 3, "w")
    with pytest.raises(BadInput, match=r"z of GAN is not N\(0, I\)"):
        ppl_of_model(models.get("gan")((8, 8, 1)), squared, 3, "z")


def test_slerp_stays_on_the_sphere_and_meets_both_ends(latents):
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in latents)
    t = np.full([200, 1], 0.3)
    np.testing.assert_allclose(np.linalg.norm(slerp(a, b, t), axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(slerp(a, b, 0 * t), a, atol=1e-12)
    np.testing.assert_allclose(slerp(5 * a, 2 * b, 0 * t + 1), b, atol=1e-12)


def test_outer_percents_are_left_out_ends_included():
    values = np.arange(1000.0)
    values[-3:] = 1e9
    assert trimmed_mean(values) == pytest.approx(np.arange(9, 991).mean())


def test_slerp_of_parallel_vectors_in_float32(rng):
    """Their cosine may be rounded above 1."""
    a = rng.normal(size=[200, 64]).astype("float32")
    for t in (0.0, 0.5):
        found = slerp(tf.constant(a), tf.constant(2 * a), tf.fill([200, 1], t))
        np.testing.assert_allclose(found, tf.nn.l2_normalize(a, axis=1), atol=1e-3)


def test_crop_and_shrink_of_faces():
    images = np.zeros([1, 1024, 1024, 1], "float32")
    images[:, 384:896, 256:768] = 1
    cut = crop_face(images)
    assert cut.shape == (1, 512, 512, 1) and cut.min() == 1
    assert shrink(tf.constant(cut)).shape == (1, 256, 256, 1)
    small = tf.constant(np.arange(256.0 * 256).reshape(1, 256, 256, 1))
    assert shrink(small) is small


def test_lpips_identities(rng):
    a, b = ([rng.normal(size=[3, s, s, c]) for s, c in ((8, 4), (4, 6))] for _ in range(2))
    weights = [rng.uniform(size=4), rng.uniform(size=6)]
    value = lpips(a, b, weights).numpy()
    assert value.shape == (3,) and (value > 0).all()
    np.testing.assert_array_equal(lpips(a, a, weights), 0)
    np.testing.assert_allclose(lpips(b, a, weights), value)
    np.testing.assert_allclose(lpips([5 * a[0], a[1]], b, weights), value, rtol=1e-8)
    by_hand = 0
    for x, y, w in zip(a, b, weights, strict=True):
        x, y = (t / np.linalg.norm(t, axis=3, keepdims=True) for t in (x, y))
        by_hand += ((x - y) ** 2 @ w).mean(axis=(1, 2))
    np.testing.assert_allclose(value, by_hand, rtol=1e-8)


def test_lpips_of_orthogonal_features_is_twice_the_weight():
    a, b = np.zeros([1, 5, 5, 4]), np.zeros([1, 5, 5, 4])
    a[..., 1], b[..., 2] = 3, 7
    assert lpips([a], [b], [np.full(4, 0.3)]).numpy() == pytest.approx(0.6, rel=1e-9)


def test_lpips_has_finite_gradients_where_features_are_zero():
    x = tf.zeros([1, 2, 2, 3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = lpips([x], [tf.ones_like(x)], [tf.ones(3)])
    assert np.isfinite(tape.gradient(value, x)).all()


def test_lpips_input_is_version_0_1():
    white = lpips_input(np.ones([1, 2, 2, 3], "float32"))
    expected = [(1 + 0.030) / 0.458, (1 + 0.088) / 0.448, (1 + 0.188) / 0.450]
    np.testing.assert_allclose(white[0, 0, 0], expected, rtol=1e-6)
