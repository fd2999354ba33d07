"""Closed walks."""

import numpy as np
import pytest

from tfgans import latents
from tfgans.errors import BadInput
from tfgans.latents.walks import loop, smooth_loop
from tfgans.models import StyleGAN2


def test_slerp_stays_on_the_sphere_and_meets_both_ends():
    a, b = np.random.RandomState(0).randn(2, 5, 64)
    a, b = (8 * v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    np.testing.assert_array_equal(latents.slerp(a, b, 0.0), a)
    np.testing.assert_array_equal(latents.slerp(a, b, 1.0), b)
    angle = np.arccos(np.sum(a * b, -1) / 64)
    for t in (0.25, 0.5, 0.9):  # equal steps of the angle
        middle = latents.slerp(a, b, t)
        np.testing.assert_allclose(np.linalg.norm(middle, axis=-1), 8.0)
        np.testing.assert_allclose(np.arccos(np.sum(a * middle, -1) / 64), t * angle)


def test_slerp_of_special_vectors():
    x, y = np.eye(2)
    np.testing.assert_allclose(latents.slerp(x, y, 0.5), [0.5**0.5, 0.5**0.5])
    np.testing.assert_allclose(latents.slerp(x, 3 * x, 0.5), [2, 0])  # parallel: straight
    rows = latents.slerp(np.array([x, x]), np.array([x, y]), 0.5)  # one row parallel, one not
    np.testing.assert_allclose(rows, [[1, 0], [0.5**0.5, 0.5**0.5]])
    with pytest.raises(BadInput, match="opposite vectors"):
        latents.slerp(x, -x, 0.5)
    almost = np.full(3, 0.1)  # its cosine with itself is 1 + 2e-16
    assert np.all(np.isfinite(latents.slerp(almost, 1.1 * almost, 0.5)))


def test_opposite_vectors_are_seen_in_float32_too():
    for a in np.random.RandomState(0).randn(50, 64).astype("float32"):
        with pytest.raises(BadInput, match="opposite vectors"):
            latents.slerp(a, np.float32(-1.3) * a, 0.5)


def test_a_straight_line_leaves_the_shell():
    a, b = np.random.RandomState(0).randn(2, 400, 512)
    straight = np.linalg.norm(latents.lerp(a, b, 0.5), axis=1).mean()
    round_ = np.linalg.norm(latents.slerp(a, b, 0.5), axis=1).mean()
    assert abs(straight - 16.0) < 0.1 and abs(round_ - 22.6) < 0.1
    np.testing.assert_array_equal(latents.lerp(a, b, 1.0), b)


def test_loops_are_closed(space):
    for kind in ("z", "w"):
        ws = latents.walk(space, [3, 4, 5], 8, kind)
        assert ws.shape == (24, 6, 10)
        np.testing.assert_allclose(ws[::8], space.of_seeds([3, 4, 5]), atol=1e-5)
        steps = np.abs(ws - np.roll(ws, 1, axis=0)).max(axis=(1, 2))
        assert 0 < steps.min() and steps.max() < 0.7 * np.abs(ws[0] - ws[8]).max()
    w = latents.walk(space, [3, 4], 4, "w")
    np.testing.assert_allclose(w[1], 0.75 * w[0] + 0.25 * w[4], atol=1e-5)


@pytest.mark.parametrize("name", ["biggan", "stylegan"])
def test_a_walk_meets_the_images_of_its_seeds(name, model_of):
    """In BigGAN the class stays on the way; z is drawn by seed, and made to images by the model."""
    model = model_of(name)
    label = np.eye(3, dtype="float32")[[1, 1]] if name == "biggan" else None
    space = latents.Space(model, None if label is None else 1)
    images = space.images(latents.walk(space, [3, 4], 4))
    wanted = model(space.z([3, 4]), label)
    np.testing.assert_allclose(images[::4], wanted, atol=1e-5)
    assert np.abs(images[2] - images[0]).max() > 1e-4  # the middle is another image
    halfway = latents.slerp(*space.z([3, 4]), 0.5)[None].astype("float32")
    np.testing.assert_allclose(images[2:3], model(halfway, None if label is None else label[:1]),
                               atol=1e-5)  # fmt: skip


def test_smooth_loop():
    z = smooth_loop(240, [64], 10, seed=0)
    assert abs(np.mean(z**2) - 1) < 1e-6
    steps = np.linalg.norm(z - np.roll(z, 1, axis=0), axis=1)
    assert steps[0] < 1.2 * np.median(steps)  # no jump at the seam
    # White noise through a Gaussian of deviation s: autocorrelation exp(-d^2 / 4 s^2).
    for d in (5, 10, 20):
        correlation = np.mean(z * np.roll(z, d, axis=0))
        assert abs(correlation - np.exp(-(d**2) / 400)) < 0.05


def test_the_tool_smooths_over_a_second(run, space, tmp_path, monkeypatch):
    space.model.save(tmp_path / "small.keras")
    seen = []
    monkeypatch.setattr(
        latents.walks, "smooth_loop", lambda *args: seen.append(args) or smooth_loop(*args)
    )
    run("walk", "small.keras", "smooth", "--seeds", 0, 1, "--frames", 4, "--rate", 6)
    assert [smoothing for _, _, smoothing, _ in seen] == [6]


def test_labels_go_straight_where_z_goes_round():
    model = StyleGAN2(
        image_shape=(4, 4, 1),
        latent_dim=4,
        style_dim=4,
        mapping_layers=1,
        channel_base=16,
        channel_max=4,
        num_classes=2,
    )
    space = latents.Space(model)
    ws = latents.walk(space, [0, 1], 4)
    z = latents.slerp(*space.z([0, 1]), 0.25)[None].astype("float32")
    label = np.array([[0.75, 0.25]], "float32")
    np.testing.assert_allclose(ws[1], space.ws(z, label)[0], atol=1e-6)


def test_loop_of_numbers():
    np.testing.assert_allclose(
        loop(np.array([0.0, 4.0]), 4, latents.lerp), [0, 1, 2, 3, 4, 3, 2, 1]
    )
