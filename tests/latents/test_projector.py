"""StyleGAN2's projector and the base of all searches."""

import numpy as np
import pytest
import tensorflow as tf

from tfgans import latents
from tfgans.errors import BadInput
from tfgans.latents import projector
from tfgans.latents.perceptual import distance_to, shrink


def test_schedules():
    t = tf.constant([0, 0.025, 0.05, 0.3, 0.75, 0.875])
    np.testing.assert_allclose(projector.rate_factor(t), [0, 0.5, 1, 1, 1, 0.5], atol=1e-6)
    t = tf.constant([0, 0.3, 0.5, 0.75, 0.9])
    expected = [0.05, 0.018, 0.05 / 9, 0, 0]
    np.testing.assert_allclose(projector.exploration(t), expected, atol=1e-8)


def test_autocorrelation():
    ones, (y, x) = np.ones([1, 64, 64, 1]), np.mgrid[:64, :64]
    checkers = np.where((y + x) % 2, 1.0, -1.0)[None, ..., None]
    white = np.random.RandomState(0).randn(400, 64, 64, 1)
    np.testing.assert_allclose(projector.autocorrelation(ones), [8.0])  # 4 scales, 2 directions
    np.testing.assert_allclose(projector.autocorrelation(checkers), [2.0])  # the finest scale alone
    np.testing.assert_allclose(projector.autocorrelation(ones[:, :8, :8]), [2.0])
    np.testing.assert_allclose(projector.autocorrelation(ones[:, :4, :4]), [2.0])
    # For white noise a mean product of neighbors is N(0, 1 / pixels), and each mean over 2x2
    # divides the variance by 4 and its square by 16: 2 sum over k of 4^k / 4096 / 16^k.
    expected = 2 * sum(4**k / 4096 / 16**k for k in range(4))
    mean = np.mean(projector.autocorrelation(white))
    assert abs(mean - expected) < 0.1 * expected and abs(mean - 7e-4) < 1e-4


def identity(images):
    return [images]


def test_the_projector_finds_the_least_squares_w(linear_space):
    """The deviation of w is that of the vector, sqrt(16), not that of a component."""
    rng = np.random.RandomState(0)
    a = rng.randn(300, 16)
    space = linear_space(a[None], [10, 10, 3])
    target = rng.randn(2, 300)
    search = latents.Projector(space, target.reshape(2, 10, 10, 3), identity)
    assert abs(search.w_std - 4.0) < 0.02
    search.run(every=1000)
    expected = np.linalg.lstsq(a, target.T, rcond=None)[0].T
    found = search.ws.numpy()[:, 0]
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < 1e-6


def test_the_same_w_for_all_layers(linear_space):
    """W, not W+: two layers that each make a part of the image share the best common w."""
    rng = np.random.RandomState(1)
    a = rng.randn(2, 24, 4)
    space = linear_space(a, [4, 4, 3], parts=True)
    target = rng.randn(1, 4, 4, 3)
    search = latents.Projector(space, target, identity, steps=500).run(every=500)
    ws = search.ws.numpy()[0]
    np.testing.assert_array_equal(ws[0], ws[1])
    stacked, wanted = a.reshape(48, 4), target.reshape(48)
    best, residual = np.linalg.lstsq(stacked, wanted, rcond=None)[:2]
    np.testing.assert_allclose(ws[0], best, atol=1e-3)
    np.testing.assert_allclose(search.history[-1][2], residual, rtol=1e-4)


@pytest.fixture(scope="module")
def own_image(small):
    """A generated image from a w near the mean."""
    z = small.sample_z(10_000, 123)
    mean = np.mean(small.w(z), axis=0)
    offset = 0.3 * np.random.RandomState(5).randn(10).astype("float32")
    ws = np.tile(mean + offset, [1, small.num_ws, 1]).astype("float32")
    return small.images(ws)


def test_it_recovers_an_image_of_the_generator(small, own_image):
    search = latents.Projector(small, own_image).run(every=100)
    assert search.history[0][0] == 0 and search.history[-1][0] == 1000
    first, last = search.history[0][2][0], search.history[-1][2][0]
    assert last < 0.01 * first
    for image in search.noise:
        assert abs(np.mean(image)) < 1e-5 and abs(np.mean(image.value**2) - 1) < 1e-4
    start = latents.Projector(small, own_image).noise[0]
    assert np.abs(search.noise[0] - start.value).max() > 1e-3  # the optimizer reached it


@pytest.mark.thorough
def test_noise_is_kept_white(small, own_image):
    """Without the regularizer the noise images would encode some of the image."""

    class Free(latents.Projector):
        noise_weight = 0.0

    found = []
    for kind in (latents.Projector, Free):
        search = kind(small, own_image, steps=60).run(every=60)
        found.append(sum(float(projector.autocorrelation(i.value)[0]) for i in search.noise))
    assert found[0] < 0.3 * found[1]


def test_a_stopped_search_goes_on_bit_for_bit(small, own_image, tmp_path):
    whole = latents.Projector(small, own_image, steps=20).run(tmp_path / "whole.npz", every=5)

    class Stop(Exception):
        pass

    def stop(step, distance):
        if step == 15:
            raise Stop

    broken = latents.Projector(small, own_image, steps=20)
    with pytest.raises(Stop):  # before the state of step 15 is written
        broken.run(tmp_path / "state.npz", every=5, show=stop)
    again = latents.Projector(small, own_image, steps=20)
    again.run(tmp_path / "state.npz", every=5)
    np.testing.assert_array_equal(whole.ws, again.ws)
    for a, b in zip(whole.noise, again.noise, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [step for step, *_ in again.history] == [0, 5, 10, 15, 20]
    np.testing.assert_array_equal(whole.history[2][1], again.history[2][1])
    other = latents.Projector(small, own_image + 0.1, steps=20)
    with pytest.raises(BadInput, match="belongs to another search, model or images"):
        other.run(tmp_path / "state.npz")
    for layer in small.generator.mapping.dense:
        layer.bias.assign_add(tf.ones_like(layer.bias))
    another = latents.Projector(small, own_image, steps=20)
    for layer in small.generator.mapping.dense:
        layer.bias.assign_sub(tf.ones_like(layer.bias))
    with pytest.raises(BadInput, match="belongs to another search, model"):
        another.run(tmp_path / "state.npz")
    longer = latents.Projector(small, own_image, steps=21)
    with pytest.raises(BadInput, match="belongs to another search"):
        longer.run(tmp_path / "state.npz")


def test_images_of_a_batch_do_not_see_each_other(small, own_image):
    both = np.concatenate([own_image, -own_image])
    one = latents.Projector(small, both[:1], steps=10).run()
    two = latents.Projector(small, both, steps=10).run()
    np.testing.assert_allclose(one.ws, two.ws[:1], atol=1e-3)
    assert np.abs(two.ws[0] - two.ws[1]).max() > 0.1


def test_sides_that_are_no_multiples_of_256_are_averaged_too():
    """As adaptive pooling: pixel k covers the pixels from floor(k n / m) to ceil((k + 1) n / m)."""
    images = np.random.RandomState(0).rand(1, 384, 300, 1).astype("float32")
    small = shrink(images).numpy()
    assert small.shape == (1, 256, 200, 1)
    for y, x in ((0, 0), (1, 1), (255, 199), (100, 7)):
        rows = slice(y * 384 // 256, -(-(y + 1) * 384 // 256))
        columns = slice(x * 300 // 200, -(-(x + 1) * 300 // 200))
        assert small[0, y, x, 0] == pytest.approx(images[0, rows, columns].mean(), rel=1e-5)
    same = images[:, :256]
    assert shrink(same[:, :, :256]).shape == (1, 256, 256, 1)


def test_features_see_at_most_256_pixels_and_are_reduced_as_asked():
    images = np.random.RandomState(0).rand(2, 512, 512, 1).astype("float32")
    seen = []

    def features(images):
        seen.append(images.shape)
        return [images, 2 * images[:, :2]]

    zero = np.zeros_like(images)
    total = distance_to(zero, features)(images)
    assert seen == [(2, 256, 256, 1)] * 2
    small = images.reshape(2, 256, 2, 256, 2).mean((2, 4))
    expected = (small**2).sum((1, 2)) + 4 * (small[:, :2] ** 2).sum((1, 2))
    np.testing.assert_allclose(total, expected, rtol=1e-4)
    mean = distance_to(zero, features, tf.reduce_mean)(images)
    expected = (small**2).mean((1, 2)) + 4 * (small[:, :2] ** 2).mean((1, 2))
    np.testing.assert_allclose(mean, expected, rtol=1e-4)
