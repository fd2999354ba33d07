import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.layers import adaptive_augment as ada
from tfgans.layers.adaptive_augment import AdaptiveAugment

GROUPS = ("blit", "geom", "color", "filter", "noise", "cutout")
MANY = 20000  # samples in the tests of frequencies and strengths


def noise_images(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def blob(height, width, x, y, radius=2.0):
    """[1, H, W, 1]: a Gaussian centered at (x, y) from the center of the image, in pixels."""
    dx = np.arange(width) - (width - 1) / 2 - x
    dy = np.arange(height) - (height - 1) / 2 - y
    image = np.exp(-(dx**2 + dy[:, None] ** 2) / (2 * radius**2))
    return image[None, :, :, None].astype("float32")


def centroid(image):
    """(x, y) of the center of mass of [1, H, W, 1], from the center of the image."""
    mass = np.asarray(image)[0, :, :, 0]
    x = np.arange(mass.shape[1]) - (mass.shape[1] - 1) / 2
    y = np.arange(mass.shape[0]) - (mass.shape[0] - 1) / 2
    return np.array([mass.sum(0) @ x, mass.sum(1) @ y]) / mass.sum()


def drawn(draw, p, *args, n=MANY):
    with random.scope(seed=1):
        return draw(n, tf.constant(p), *args).numpy()


@pytest.fixture
def only(monkeypatch):
    """only(k): from here on, the k-th of the drawn transforms happens and no other one."""
    original = ada.sometimes

    def choose(k):
        calls = iter(range(100))
        monkeypatch.setattr(
            ada,
            "sometimes",
            lambda p, value, neutral: original(float(next(calls) == k), value, neutral),
        )

    return choose


# === The filters ===


@pytest.mark.parametrize(("taps", "moments"), [(ada.SYM2, 2), (ada.SYM6, 6)])
def test_wavelets_are_orthonormal_with_vanishing_moments(taps, moments):
    n = len(taps)
    assert n == 2 * moments
    assert taps.sum() == pytest.approx(np.sqrt(2), abs=1e-10)
    for shift in range(0, n, 2):
        assert taps[shift:] @ taps[: n - shift] == pytest.approx(float(shift == 0), abs=1e-10)
    k = np.arange(n)
    for m in range(moments):  # the high-pass filter is blind to polynomials of low degree
        assert (taps * (-1.0) ** k) @ (k - n / 2) ** m == pytest.approx(0, abs=1e-6)
    assert abs((taps * (-1.0) ** k) @ (k - n / 2) ** moments) > 0.5


@pytest.mark.parametrize("size", [2, 5, 16])
def test_down_sampling_undoes_up_sampling(size):
    up, down = ada.upsampling(size), ada.downsampling(size)
    period = 4 * size - 4
    rows = up[np.arange(-ada.CENTER, 2 * size + ada.CENTER) % period]
    np.testing.assert_allclose(down @ rows, np.eye(size), atol=1e-6)
    np.testing.assert_allclose(up.sum(1), 1, atol=1e-6)  # constants are kept
    np.testing.assert_array_equal(up[0], up[period])


def test_octaves_split_the_spectrum():
    filters = ada.octave_filters()
    assert filters.shape == (4, 43)
    np.testing.assert_allclose(filters, filters[:, ::-1], atol=1e-10)
    np.testing.assert_allclose(filters.sum(0), np.eye(43)[21], atol=1e-10)
    response = np.abs(np.fft.rfft(filters, 1024))  # [4, 513], from constant to alternating
    np.testing.assert_allclose(response[:, 0], [1, 0, 0, 0], atol=1e-10)
    np.testing.assert_allclose(response[:, -1], [0, 0, 0, 1], atol=1e-10)
    in_octave = [response[:, a:b].sum(1).argmax() for a, b in ((0, 64), (64, 128), (128, 256))]
    assert in_octave == [0, 1, 2] and response[:, 256:].sum(1).argmax() == 3


# === The controller ===


def test_p_moves_by_images_over_speed_and_stays_above_zero():
    layer = AdaptiveAugment()
    confident, unsure = tf.ones([64, 1]), tf.concat([tf.ones([32, 1]), -tf.ones([32, 1])], 0)

    def adjust_ten_times(scores):
        for _ in range(10):
            for _ in range(4):
                layer.observe(scores)
            layer.adjust()
            assert layer.images_seen.numpy() == layer.sign_sum.numpy() == 0

    adjust_ten_times(3 * confident)  # the sign counts, not the size
    assert layer.p.numpy() == pytest.approx(5.12e-3, rel=1e-5)
    adjust_ten_times(unsure)
    assert layer.p.numpy() == pytest.approx(0, abs=1e-8)
    adjust_ten_times(unsure)
    assert layer.p.numpy() >= 0
    layer.p.assign(1.0)
    adjust_ten_times(confident)
    assert layer.p.numpy() == pytest.approx(1.00512, rel=1e-6)  # not clamped


def test_r_t_is_the_mean_of_all_observations():
    for positive, direction in ((81, 1), (79, -1)):  # out of 100; r_t = 0.62 and 0.58, target 0.6
        layer = AdaptiveAugment(initial_p=0.5, speed_kimg=100)
        scores = tf.concat([tf.ones([positive]), -tf.ones([100 - positive])], 0)
        layer.observe(scores[:30])
        layer.observe(scores[30:])
        layer.adjust()
        assert layer.p.numpy() == pytest.approx(0.5 + direction * 100 / 100_000, rel=1e-6)
    layer.adjust()  # nothing observed, nothing moved
    assert layer.p.numpy() == pytest.approx(0.499, rel=1e-6)


def test_patch_scores_count_as_one_image():
    layer = AdaptiveAugment()
    layer.observe(tf.ones([8, 4, 4, 1]))
    assert layer.images_seen.numpy() == layer.sign_sum.numpy() == 8


REPLICAS = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tfgans import random
from tfgans.layers.adaptive_augment import AdaptiveAugment

def step(layer, scores):
    layer.observe(scores[:3])
    layer.observe(scores[3:])
    seen = tf.identity(layer.images_seen)
    layer.adjust()
    return seen

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
single = AdaptiveAugment(initial_p=0.5, speed_kimg=1)
with strategy.scope():
    double = AdaptiveAugment(initial_p=0.5, speed_kimg=1)

@tf.function
def distributed(halves):
    return strategy.run(lambda scores: step(double, scores), args=(halves,))

ps = []
for i in range(12):
    scores = np.random.default_rng(i).normal(1.3, 1, 16).astype("float32")  # r_t about 0.8
    halves = strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(scores[8 * c.replica_id_in_sync_group :][:8])
    )
    assert step(single, scores) == 16
    assert [v.numpy() for v in strategy.experimental_local_results(distributed(halves))] == [16, 16]
    replicas = [v.numpy() for v in strategy.experimental_local_results(double.p.value)]
    assert replicas == [single.p.numpy()] * 2, (replicas, single.p.numpy())
    ps.append(replicas[0])
assert 0 < np.sum(np.diff(ps) > 0) < 11, ps  # it went up and down

@tf.function
def augmented():
    def run():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        with random.scope(0, 0, replica):
            return double(tf.ones([2, 8, 8, 3]))
    return strategy.run(run)

a, b = strategy.experimental_local_results(augmented())
assert np.abs(a - b).max() > 0.01
print("agreed")
"""


@pytest.mark.thorough
def test_two_replicas_move_p_as_one_device():
    root = pathlib.Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", REPLICAS], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert run.stdout.strip() == "agreed", run.stderr[-3000:]


# === The layer ===


@pytest.mark.parametrize("shape", [(2, 16, 16, 3), (2, 9, 14, 1), (2, 8, 5, 2), (2, 24, 11, 4)])
def test_p_zero_is_the_identity(shape):
    images = noise_images(*shape)
    for transforms in (*ada.PRESETS, *GROUPS):
        with random.scope(0):
            augmented = AdaptiveAugment(transforms)(images)
        np.testing.assert_allclose(augmented, images, atol=2e-5)


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_works_alone_and_others_are_skipped(group):
    images = noise_images(4, 12, 16, 3)
    with random.scope(0):
        augmented = AdaptiveAugment([group], initial_p=1.0)(images)
    with random.scope(0):
        np.testing.assert_array_equal(AdaptiveAugment(group, initial_p=1.0)(images), augmented)
    assert np.isfinite(augmented).all() and np.abs(augmented - images).max() > 0.05
    if group == "color":  # maps equal pixels to equal pixels
        with random.scope(0):
            flat = AdaptiveAugment(group, initial_p=1.0)(np.full([1, 4, 4, 3], 0.3, "float32"))
        np.testing.assert_allclose(flat, flat[:, :1, :1] + tf.zeros_like(flat), atol=1e-6)
    if group == "noise":
        assert np.abs(np.mean(augmented - images, axis=(1, 2, 3))).max() < 0.05


def test_presets_add_one_group_after_the_other():
    for name, count in zip(("b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc"), range(1, 7), strict=True):
        assert tuple(AdaptiveAugment(name).groups) == GROUPS[:count]
    assert AdaptiveAugment().transforms == "bgc"
    for wrong in ("bgx", ["colour"]):
        with pytest.raises(ValueError, match="bgcfnc.*cutout"):
            AdaptiveAugment(wrong)


def test_any_batch_size_in_one_graph():
    layer = AdaptiveAugment("bgcfnc", initial_p=1.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 10, 12, 3])])
    def graph(images):
        with random.scope(4):
            return layer(images)

    images = noise_images(5, 10, 12, 3)
    with random.scope(4):
        eager = layer(images)
    np.testing.assert_allclose(graph(images), eager, atol=2e-5)
    # A sample's transform does not depend on who else is in the batch.
    np.testing.assert_allclose(graph(images[:2]), eager[:2], atol=2e-5)


def test_draws_are_a_function_of_the_scope():
    layer, images = AdaptiveAugment("bgcfnc", initial_p=0.8), noise_images(4, 8, 8, 3)

    def augmented(*place):
        with random.scope(*place):
            return layer(images).numpy()

    np.testing.assert_array_equal(augmented(1, 2, 0), augmented(1, 2, 0))
    for other in ((2, 2, 0), (1, 3, 0), (1, 2, 1)):
        assert np.abs(augmented(1, 2, 0) - augmented(*other)).max() > 0.1
    same = np.repeat(images[:1], 4, axis=0)
    with random.scope(0):
        assert np.abs(np.diff(layer(same), axis=0)).max(axis=(1, 2, 3)).min() > 0.01


def test_numbers_of_the_authors_code(monkeypatch):
    """The official code printed the expected numbers, from the same draws."""
    count = iter(range(100))

    def draw(shape):
        size = int(np.prod(shape))
        numbers = ((next(count) + 1) * 0.37 + (np.arange(size) + 1) * 0.618034) % 1
        return numbers.reshape(shape).astype("float32")

    def uniform(shape, minval=0, maxval=1, dtype="float32"):
        return tf.cast(minval + (maxval - minval) * draw(shape), dtype)

    monkeypatch.setattr(random, "uniform", uniform)
    monkeypatch.setattr(random, "normal", lambda shape: tf.constant(3 * draw(shape) - 1.5))
    n, y, x, c = np.ogrid[:2, :24, :22, :3]
    images = np.sin(0.7 * x + 0.4 * y + 2 * c + n).astype("float32")
    groups = ["blit", "geom", "color", "filter", "cutout"]
    augmented = AdaptiveAugment(groups, initial_p=1.0)(images).numpy()
    diagonal = np.arange(1, 22, 4)
    expected = [
        [
            [0.69578, -1.5225, 1.7411],
            [-1.3530, 0.80433, 1.2717],
            [1.0847, 0.75504, -0.95061],
            [0.51730, -0.89911, 1.2699],
            [0, 0, 0],  # cut out
            [1.7161, 0.50973, -1.2884],
        ],
        [
            [1.1222, -0.0017712, -1.3672],
            [1.0766, -1.8429, 0.73784],
            [-1.2964, 1.6691, -0.23812],
            [1.3975, -1.2253, -0.34587],
            [-1.4658, 0.57721, 1.1862],
            [-0.39435, 1.2227, -0.85590],
        ],
    ]
    np.testing.assert_allclose(augmented[:, diagonal, diagonal], expected, atol=2e-4)


@keras.saving.register_keras_serializable("tests")
class Holder(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.augment = AdaptiveAugment(["geom", "noise"], target=0.5, speed_kimg=1)

    def call(self, x):
        return x


def test_saving_keeps_p_and_what_was_observed(tmp_path):
    model = Holder()
    model(tf.zeros([1, 2]))
    model.augment.observe(tf.ones([16]))
    model.augment.adjust()
    model.augment.observe(tf.ones([6]))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").augment
    assert loaded.p.numpy() == pytest.approx(0.016)
    assert loaded.images_seen.numpy() == loaded.sign_sum.numpy() == 6
    assert not loaded.trainable_variables and len(loaded.variables) == 3
    config = AdaptiveAugment(["geom", "noise"], 0.5, 100, 8, 0.25).get_config()
    again = AdaptiveAugment.from_config(config)
    assert list(again.groups) == ["geom", "noise"]
    assert (again.target, again.speed_kimg, again.every, again.p.numpy()) == (0.5, 100, 8, 0.25)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_mixed_precision_computes_in_float32(dtype):
    images = tf.cast(noise_images(8, 16, 16, 3), dtype)
    mixed = AdaptiveAugment("bgcfnc", initial_p=1.0, dtype="mixed_float16")
    with random.scope(0):
        augmented = mixed(images)
    with random.scope(0):
        exact = AdaptiveAugment("bgcfnc", initial_p=1.0)(tf.cast(images, "float32"))
    assert augmented.dtype == dtype and mixed.p.dtype == "float32"
    assert np.isfinite(augmented).all()
    np.testing.assert_allclose(augmented, exact, rtol=2e-3, atol=2e-3 if dtype == "float16" else 0)
    mixed.observe(tf.ones([3], "float16"))
    assert mixed.sign_sum.numpy() == 3


# === Derivatives ===


@pytest.mark.parametrize("shape", [(3, 8, 8, 3), (3, 7, 10, 1)])
def test_first_derivative_is_the_adjoint(shape):
    layer = AdaptiveAugment("bgcfnc", initial_p=1.0)
    images, direction = noise_images(2, *shape)

    def augmented(x):
        with random.scope(3):
            return layer(x)

    # The layer is affine in the images, so the difference quotient is exact for any step.
    change = augmented(images + direction) - augmented(images)
    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        along_change = tf.reduce_sum(change * augmented(x))
    analytic = tf.reduce_sum(tape.gradient(along_change, x) * direction)
    np.testing.assert_allclose(analytic, tf.reduce_sum(change**2), rtol=1e-4)


def test_second_derivatives_of_the_gradient_norm():
    layer = AdaptiveAugment("bgcfnc", initial_p=1.0)
    kernel = tf.constant(noise_images(3, 3, 3, 4))
    images = tf.constant(noise_images(2, 8, 8, 3))

    @tf.function
    def penalty(x, k):
        """R1: with respect to the images before augmentation."""
        with random.scope(5), tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(tf.sin(tf.nn.conv2d(layer(x), k, 1, "VALID")))
        return tf.reduce_sum(tape.gradient(score, x) ** 2)

    for i in (0, 1):  # with respect to the images, then to D's weights
        point = [images, kernel]
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = penalty(*point)
        gradient = tape.gradient(value, point)[i]
        norm = tf.norm(gradient)
        step = [tf.zeros_like(images), tf.zeros_like(kernel)]
        step[i] = 2e-3 * gradient / norm
        ahead = penalty(images + step[0], kernel + step[1])
        behind = penalty(images - step[0], kernel - step[1])
        assert norm > 1
        np.testing.assert_allclose((ahead - behind) / 4e-3, norm, rtol=1e-2)


def test_r1_of_a_linear_d_does_not_see_flips():
    """The gradient is with respect to x before augmentation: for a.A(x), the adjoint of A on a."""
    a = tf.constant(blob(32, 32, 3, -5, radius=3))
    flips = tf.constant(np.diag([-1, 1, 1]).astype("float32"))[None]
    x = tf.constant(noise_images(1, 32, 32, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = tf.reduce_sum(a * ada.warp(x, flips))
    gradient = tape.gradient(score, x)
    np.testing.assert_allclose(tf.norm(gradient), tf.norm(a), rtol=1e-3)
    np.testing.assert_allclose(gradient, a[:, :, ::-1], atol=0.05)


# === Geometry ===


def flips_and_turns(image):
    """The eight versions of an image, in the order (flip, turns)."""
    return [np.rot90(flipped, k) for flipped in (image, image[:, ::-1]) for k in range(4)]


def test_blits_show_all_eight_flips_and_turns_equally_often():
    image = blob(4, 4, 1, 0.5, radius=1.0)[0]  # at 4x4 pixels translations round to 0
    with random.scope(0):
        augmented = AdaptiveAugment("b", initial_p=1.0)(np.repeat(image[None], 800, 0)).numpy()
    versions = np.stack(flips_and_turns(image))
    distance = np.abs(augmented[:, None] - versions).max(axis=(2, 3, 4))  # [N, 8]
    assert distance.min(1).max() < 0.15 < np.sort(distance, 1)[:, 1].min()
    counts = np.bincount(distance.argmin(1), minlength=8)
    assert np.abs(counts - 100).max() < 40
    # Half of the samples are flipped, a quarter is not turned.


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_blits_happen_with_probability_p(p):
    maps = drawn(ada.draw_blit, p, 24, 40)
    linear = maps[:, :2, :2]
    flipped = np.linalg.det(linear) < 0
    assert flipped.mean() == pytest.approx(p / 2, abs=0.015)
    linear[flipped] = np.diag([-1, 1]) @ linear[flipped]
    turns = np.round(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]) / (np.pi / 2)) % 4
    for k, share in enumerate([1 - 0.75 * p, p / 4, p / 4, p / 4]):
        assert (turns == k).mean() == pytest.approx(share, abs=0.015)
    shift = -np.linalg.solve(maps[:, :2, :2], maps[:, :2, 2:])[..., 0]
    assert np.abs(shift - np.round(shift)).max() < 1e-4
    x, y = np.round(np.abs(shift)).T
    assert x.max() == 5 and y.max() == 3  # 0.125 of width and height
    assert (x == 2).mean() == pytest.approx(p * 2 / 10, abs=0.015)
    assert ((x == 0) & (y == 0)).mean() == pytest.approx(1 - p + p / 60, abs=0.015)


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_strengths_of_geometry(p):
    maps = drawn(ada.draw_geom, p, 20, 50)
    linear = maps[:, :2, :2].astype("float64")
    scale = -np.log2(np.linalg.det(linear)) / 2
    first, second = np.linalg.svd(linear, compute_uv=False).T
    stretch = np.log2(first / second) / 2
    shift = -np.linalg.solve(linear, maps[:, :2, 2:])[..., 0] / [50, 20]
    for values, deviation in ((scale, 0.2), (stretch, 0.2), (shift, 0.125)):
        happened = np.abs(values) > 1e-5
        assert happened.mean() == pytest.approx(p, abs=0.015)
        assert np.sqrt(np.mean(values[happened] ** 2)) == pytest.approx(deviation, rel=0.03)
    assert scale.mean() == pytest.approx(0, abs=0.01)
    assert np.array_equal(shift[:, 0] != 0, shift[:, 1] != 0)  # both axes or none

    # A map scaling @ rotation has L L' diagonal, rotation @ scaling has L' L diagonal.
    linear = linear[stretch > 0.01]
    turned_before = np.abs((linear @ linear.swapaxes(1, 2))[:, 0, 1]) > 1e-6
    turned_after = np.abs((linear.swapaxes(1, 2) @ linear)[:, 0, 1]) > 1e-6
    p_rotate = 1 - np.sqrt(1 - p)
    assert turned_before.mean() == pytest.approx(p_rotate, abs=0.02)
    assert turned_after.mean() == pytest.approx(p_rotate, abs=0.02)
    assert (turned_before | turned_after).mean() == pytest.approx(p, abs=0.02)


def test_angles_are_uniform(only):
    for k in (1, 3):
        only(k)
        maps = drawn(ada.draw_geom, 1.0, 8, 8)
        angles = np.arctan2(maps[:, 1, 0], maps[:, 0, 0])
        counts = np.histogram(angles, 8, (-np.pi, np.pi))[0]
        np.testing.assert_allclose(counts, MANY / 8, rtol=0.1)


def test_p_above_one_is_as_one():
    images = noise_images(3, 8, 8, 3)
    one, more = (AdaptiveAugment("bgcfnc", initial_p=p) for p in (1.0, 1.7))
    with random.scope(0):
        expected = one(images)
    with random.scope(0):
        np.testing.assert_array_equal(more(images), expected)


@pytest.mark.parametrize("shape", [(1, 12, 12, 3), (1, 9, 14, 1)])
def test_whole_pixel_translations_are_exact(shape):
    image = noise_images(*shape)
    for x, y in ((0, 0), (3, 0), (0, -2), (-4, 5)):
        maps = ada.translation(tf.constant([-float(x)]), tf.constant([-float(y)]))
        mirrored = np.pad(image, ((0, 0), (8, 8), (8, 8), (0, 0)), "reflect")
        expected = mirrored[:, 8 - y : 8 - y + shape[1], 8 - x : 8 - x + shape[2]]
        np.testing.assert_allclose(ada.warp(image, maps), expected, atol=1e-5)


@pytest.mark.parametrize("size", [16, 17])
def test_quarter_turns_are_rot90_and_keep_the_center(size):
    image = blob(size, size, 3, 1)[0] - 0.5 * blob(size, size, -2, -4)[0]
    maps = ada.rotation(np.pi / 2 * tf.constant([0.0, 1.0, 2.0, 3.0]))
    turned = ada.warp(np.repeat(image[None], 4, 0), maps)
    for k in range(4):  # sym6 is not symmetric, which moves a pixel by up to 0.1
        np.testing.assert_allclose(turned[k], np.rot90(image, k), atol=0.06)
    flipped = ada.warp(image[None], np.diag([-1, 1, 1]).astype("float32")[None])[0]
    np.testing.assert_allclose(flipped, image[:, ::-1], atol=0.06)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 33), (24, 40)])
def test_maps_are_about_the_center(height, width):
    turn = ada.rotation(tf.constant([0.6]))
    grow = ada.scaling(1 / tf.constant([1.5]), 1 / 1.2)
    for maps, expected in (
        (turn, [[0.825, 0.565], [-0.565, 0.825]]),  # cos and sin of 0.6
        (grow, [[1.5, 0], [0, 1.2]]),
        (grow @ turn, np.array([[0.825, 0.565], [-0.565, 0.825]]) @ [[1.5, 0], [0, 1.2]]),
    ):
        for point in ((0, 0), (4, -3)):
            moved = centroid(ada.warp(blob(height, width, *point), maps))
            assert np.abs(moved - expected @ np.array(point)).max() < 0.12
    shift = ada.translation(tf.constant([-2.5]), tf.constant([1.3]))
    moved = centroid(ada.warp(blob(height, width, 1, 1), shift))
    assert np.abs(moved - [3.5, -0.3]).max() < 0.12


def test_constant_images_stay_constant_up_to_the_end_of_the_mirror_images():
    image = np.ones([1, 16, 16, 1], "float32")
    zoomed_out = [ada.warp(image, ada.scaling(tf.constant([s]), s))[0, :, :, 0] for s in (2.0, 6.0)]
    np.testing.assert_allclose(zoomed_out[0], 1, atol=1e-5)
    frame = zoomed_out[1].numpy()  # 6 x 16 pixels wide; 3 x 16 - 2 of them are not 0
    np.testing.assert_allclose(frame[6:10, 6:10], 1, atol=0.03)
    np.testing.assert_allclose(frame[[0, 1, 2, -3, -2, -1]], 0, atol=0.03)
    assert frame.sum() == pytest.approx((46 / 6) ** 2, rel=0.1)


def test_zooming_out_does_not_alias():
    """Bilinear interpolation alone would keep the contrast of a pattern above the new Nyquist."""
    stripes = np.cos(2 * np.pi * np.arange(64) * 0.4)[None, None, :, None].astype("float32")
    stripes = np.repeat(stripes, 64, axis=1)
    shown = ada.warp(stripes, ada.scaling(tf.constant([1.6]), 1.6))  # 0.64 periods per pixel
    assert np.std(shown) < 0.4 * np.std(stripes)


# === Color ===


def luma_and_chroma(colors):
    luma = colors.mean(-1)
    return luma, np.linalg.norm(colors - luma[..., None], axis=-1)


def test_each_color_transform_alone(only):
    colors = noise_images(1, 4, 4, 3)
    luma, chroma = luma_and_chroma(colors)  # [1, 4, 4]

    def transformed(k):
        only(k)
        maps = drawn(ada.draw_color, 1.0)
        return ada.recolor(np.repeat(colors, MANY, 0), tf.constant(maps)).numpy()

    brightness = transformed(0) - colors
    np.testing.assert_allclose(brightness - brightness[:, :1, :1, :1], 0, atol=1e-5)
    assert brightness.std() == pytest.approx(0.2, rel=0.03)

    contrast = transformed(1) / colors
    np.testing.assert_allclose(contrast / contrast[:, :1, :1, :1], 1, rtol=1e-4)
    assert np.log2(contrast[:, 0, 0, 0]).std() == pytest.approx(0.5, rel=0.03)

    new_luma, new_chroma = luma_and_chroma(transformed(2))
    np.testing.assert_allclose(np.abs(new_luma), np.abs(luma) + 0 * new_luma, atol=1e-5)
    np.testing.assert_allclose(new_chroma, chroma + 0 * new_luma, atol=1e-5)
    assert (new_luma[:, 0, 0] * luma[0, 0, 0] < 0).mean() == pytest.approx(0.5, abs=0.015)

    turned = transformed(3)
    new_luma, new_chroma = luma_and_chroma(turned)
    np.testing.assert_allclose(new_luma, luma + 0 * new_luma, atol=1e-5)
    np.testing.assert_allclose(new_chroma, chroma + 0 * new_luma, atol=1e-5)
    across = (colors - luma[..., None])[0, 0, 0]
    new_across = (turned - new_luma[..., None])[:, 0, 0]
    cosine = new_across @ across / chroma[0, 0, 0] ** 2
    assert np.mean(cosine) == pytest.approx(0, abs=0.03)  # the angle is uniform, so cos and
    assert np.mean(cosine**2) == pytest.approx(0.5, abs=0.02)  # cos^2 have the means 0 and 1/2

    new_luma, new_chroma = luma_and_chroma(transformed(4))
    np.testing.assert_allclose(new_luma, luma + 0 * new_luma, atol=1e-4)
    assert np.log2(new_chroma / chroma)[:, 0, 0].std() == pytest.approx(1, rel=0.03)


def test_colors_happen_with_probability_p():
    maps = drawn(ada.draw_color, 0.4)
    untouched = np.abs(maps - np.eye(4)).max(axis=(1, 2)) < 1e-6
    assert untouched.mean() == pytest.approx(0.6**4 * 0.8, abs=0.015)  # half of the flips are none


def test_brightness_comes_before_contrast():
    with random.scope(0):
        maps = ada.draw_color(1000, tf.constant(1.0)).numpy()
    grey = ada.recolor(np.zeros([1000, 1, 1, 3], "float32"), tf.constant(maps)).numpy()
    gain = np.abs(maps[:, :3, :3].sum(2).mean(1))  # contrast, and sign of the luma
    assert np.std(np.abs(grey[:, 0, 0, 0]) / gain) == pytest.approx(0.2 * 0.603, rel=0.1)
    assert np.mean((grey[:, 0, 0, 0] / gain) ** 2) == pytest.approx(0.04, rel=0.15)


def test_channels_other_than_three():
    """One channel acts as three equal ones; alpha and images of two channels keep their values."""
    rgb = noise_images(6, 5, 5, 4)
    maps = tf.constant(drawn(ada.draw_color, 1.0, n=6))
    grey = rgb[..., :1]
    in_color = ada.recolor(np.repeat(grey, 3, -1), maps)
    np.testing.assert_allclose(
        ada.recolor(grey, maps), tf.reduce_mean(in_color, -1, keepdims=True), atol=1e-5
    )
    np.testing.assert_array_equal(ada.recolor(rgb, maps)[..., 3], rgb[..., 3])
    np.testing.assert_allclose(
        ada.recolor(rgb, maps)[..., :3], ada.recolor(rgb[..., :3], maps), atol=1e-6
    )
    with random.scope(0):
        two = AdaptiveAugment("color", initial_p=1.0)(rgb[..., :2])
    np.testing.assert_array_equal(two, rgb[..., :2])


# === Frequencies ===


def test_gains_keep_the_expected_power(only):
    for octave in range(4):
        only(octave)
        gains = drawn(ada.draw_gains, 1.0)
        np.testing.assert_allclose(gains**2 @ [10 / 13, 1 / 13, 1 / 13, 1 / 13], 1, rtol=1e-4)
        relative = np.log2(gains[:, octave] / gains[:, (octave + 1) % 4])
        assert relative.std() == pytest.approx(1, rel=0.03)
        others = np.delete(gains, octave, axis=1)
        np.testing.assert_allclose(others, others[:, :1] + 0 * others, rtol=1e-5)


def test_gains_happen_with_probability_p():
    gains = drawn(ada.draw_gains, 0.3)
    assert (np.abs(gains - 1).max(1) < 1e-6).mean() == pytest.approx(0.7**4, abs=0.015)


@pytest.mark.parametrize(("height", "width"), [(64, 48), (6, 9)])
def test_octaves_are_amplified_along_both_axes(height, width):
    checkers = (-1.0) ** np.add.outer(np.arange(height), np.arange(width))[None, :, :, None]
    ones = np.ones([1, height, width, 1])
    image = np.concatenate([ones, checkers], -1).astype("float32")
    amplified = ada.amplify(image, tf.constant([[2.0, 5.0, 7.0, 3.0]]))
    np.testing.assert_allclose(amplified, image * [4, 9], rtol=1e-4)


def test_amplifying_an_impulse_gives_the_filter():
    image = np.zeros([1, 64, 64, 1], "float32")
    image[0, 30, 33] = 1
    gains = np.array([[0.5, 1.5, 2.0, 3.0]], "float32")
    taps = (gains @ ada.octave_filters())[0]
    shown = ada.amplify(image, gains)[0, 30 - 21 : 30 + 22, 33 - 21 : 33 + 22, 0]
    np.testing.assert_allclose(shown, np.outer(taps, taps), atol=1e-5)


# === Corruptions ===


def test_noise_has_a_level_per_sample():
    noise = drawn(ada.draw_noise, 0.5, 8, 8, 3)
    level = noise.std(axis=(1, 2, 3))
    assert (level > 0).mean() == pytest.approx(0.5, abs=0.015)
    level = level[level > 0]
    assert np.sqrt(np.mean(level**2)) == pytest.approx(0.1, rel=0.03)
    assert np.mean(level) == pytest.approx(
        0.1 * np.sqrt(2 / np.pi), rel=0.03
    )  # mean of |N(0, 0.1)|


def test_cutout_removes_a_box_of_half_the_side():
    masks = drawn(ada.draw_cutout, 0.4, 12, 20, n=4000)[..., 0]
    holes = masks == 0
    assert set(np.unique(masks)) == {0, 1}
    assert holes.any(axis=(1, 2)).mean() == pytest.approx(0.4, abs=0.03)
    holes = holes[holes.any(axis=(1, 2))]
    rows, columns = holes.any(2), holes.any(1)
    np.testing.assert_array_equal(holes, rows[:, :, None] & columns[:, None])  # a box
    for side, length in ((rows, 12), (columns, 20)):
        assert side.sum(1).max() == length / 2
        assert np.abs(np.diff(side.astype(int), axis=1)).sum(1).max() <= 2  # in one piece
        # The center is uniform over the image: half of the boxes lie more than half a pixel over
        # the border.
        assert (side.sum(1) == length / 2).mean() == pytest.approx(0.5 + 1 / length, abs=0.04)
        assert side.mean() == pytest.approx(0.4375, abs=0.02)
