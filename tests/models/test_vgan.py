"""VGAN: sizes and weights, a mask of 0 is a still, gradients of the background, first frames."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import images, use
from tfgans.errors import BadInput
from tfgans.models.vgan import VGAN, build_discriminator

CONTRACT = {
    "games": [{}, {"from_frame": True}],
    # D's two answers: real and generated.
    "replace_score": lambda rows, outputs, score: tf.concat([score, tf.zeros_like(score)], axis=1),
}
BIG = 1e4  # a logit whose sigmoid is 0 or 1 exactly


def small(**settings):
    return VGAN(**{"image_shape": (16, 16, 3), "length": 4, "latent_dim": 4, "width": 4} | settings)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    found = small()
    found.compile(run_eagerly=True)
    return found


Z = tf.constant(np.random.RandomState(0).randn(3, 4), "float32")


def test_the_networks_of_the_paper():
    """Time is 2, 4, 8, 16, 32 and a side 4, 8, 16, 32, 64; weights as in the authors' code."""
    with without_numbers():
        model, one = VGAN(), VGAN(two_streams=False)
    shapes = [x.output.shape[1:] for x in model.generator.layers if "conv" in x.name]
    three = [shape for shape in shapes if len(shape) == 4]
    two = [shape for shape in shapes if len(shape) == 3]
    assert three == [(2, 4, 4, 512), (4, 8, 8, 256), (8, 16, 16, 128), (16, 32, 32, 64)]
    assert two == [(4, 4, 512), (8, 8, 256), (16, 16, 128), (32, 32, 64)]
    assert {name: x.shape[1:] for name, x in model.generator.output.items()} == {
        "video": (32, 64, 64, 3),
        "foreground": (32, 64, 64, 3),
        "mask": (32, 64, 64, 1),
        "background": (64, 64, 3),
    }
    assert trainable(model.generator) == 12_667_716 + 3_577_667
    assert trainable(one.generator) == 12_667_716 - (4**3 * 64 + 1)  # no mask
    assert trainable(model.discriminator) == 11_057_858
    down = [x.output.shape[1:] for x in model.discriminator.layers if "conv" in x.name]
    assert down == [
        (16, 32, 32, 64), (8, 16, 16, 128), (4, 8, 8, 256), (2, 4, 4, 512), (1, 1, 1, 2),
    ]  # fmt: skip
    norms = [x for x in model.discriminator.layers if "normalization" in x.name]
    assert [x.gamma.shape[0] for x in norms] == [128, 256, 512]
    assert {x.epsilon for x in norms} == {1e-3}
    slopes = [x for x in model.discriminator.layers if isinstance(x, keras.layers.LeakyReLU)]
    assert {round(float(x.negative_slope), 6) for x in slopes} == {0.2}


def test_the_start_of_the_weights():
    keras.utils.set_random_seed(1)
    network = build_discriminator(4, (16, 16, 3), 32)
    for layer in network.layers:
        if "conv" in layer.name:
            assert float(tf.math.reduce_std(layer.kernel)) == pytest.approx(0.01, rel=0.1)
            assert not np.any(layer.bias)
        elif "normalization" in layer.name:
            assert float(tf.reduce_mean(layer.gamma)) == pytest.approx(1.0, abs=0.02)
            assert float(tf.math.reduce_std(layer.gamma)) == pytest.approx(0.02, rel=0.5)


def masked(model, logit):
    """The clips that G makes of Z where the mask is sigmoid(logit) everywhere."""
    head = model.generator.get_layer("mask")
    before = head.get_weights()
    head.set_weights([np.zeros_like(before[0]), np.full_like(before[1], logit)])
    made = {name: x.numpy() for name, x in model.generator(Z, training=False).items()}
    terms = model.generator_loss(Z)
    head.set_weights(before)
    return made, float(terms["mask"])


def test_where_the_mask_is_0_the_clip_is_a_still(model):
    made, term = masked(model, -BIG)
    assert term == 0.0 and np.all(made["video"] == made["background"][:, None])
    assert np.all(made["video"].var(axis=1) == 0.0)


def test_where_the_mask_is_1_the_clip_is_the_foreground(model):
    made, term = masked(model, BIG)
    np.testing.assert_array_equal(made["video"], made["foreground"])
    assert term == pytest.approx(0.1) and made["video"].std(axis=1).max() > 0


def test_half_a_mask_is_the_mean_of_both(model):
    made, term = masked(model, 0.0)
    middle = 0.5 * (made["foreground"] + made["background"][:, None])
    np.testing.assert_allclose(made["video"], middle, atol=1e-7)
    assert term == pytest.approx(0.05)


def test_the_mask_begins_near_one_half(model):
    assert float(model.generator_loss(Z)["mask"]) == pytest.approx(0.05, abs=0.005)
    assert "mask" not in small(two_streams=False).generator_loss(Z)


def test_the_background_gathers_the_gradients_of_all_frames(model):
    """It has no time: its gradient is the sum over frames of (1 - mask) times theirs."""
    network = model.generator
    inner = keras.Model(network.inputs, [network.output[x] for x in ("foreground", "mask")])
    front, mask = inner(Z)
    back = tf.Variable(network(Z)["background"])
    weights = tf.random.stateless_normal(front.shape, [0, 1])
    outer = keras.Model(
        [network.output[x] for x in ("foreground", "mask", "background")], network.output["video"]
    )
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(weights * outer([front, mask, back]))
    found = tape.gradient(total, back)
    np.testing.assert_allclose(found, tf.reduce_sum((1 - mask) * weights, axis=1), atol=1e-5)


def answers(model, *pairs):
    """A discriminator that gives these logits, of being real and generated, call after call."""
    calls, left = [], list(pairs)

    def discriminator(video, training):
        calls.append((video, training))
        return tf.constant([left.pop(0)] * len(video), "float32")

    model.discriminator = discriminator
    return calls


def test_losses_of_known_answers():
    """Equal logits: ln 2 for D, and for G. A gap of 4 costs 0.01815 or 4.01815."""
    model, real = small(), tf.zeros([3, 4, 16, 16, 3])
    answers(model, [0, 0], [0, 0])
    terms = model.discriminator_loss(real, Z)
    assert float(sum(terms.values())) == pytest.approx(math.log(2), abs=1e-6)
    answers(model, [0, 0])
    assert float(model.generator_loss(Z)["fake"]) == pytest.approx(math.log(2), abs=1e-6)
    calls = answers(model, [4, 0], [4, 0])
    terms = model.discriminator_loss(real, Z)
    assert float(terms["real"]) == pytest.approx(0.5 * 0.01815, abs=1e-5)
    assert float(terms["fake"]) == pytest.approx(0.5 * 4.01815, abs=1e-5)
    np.testing.assert_array_equal(calls[0][0], real)
    assert all(training for _, training in calls)
    answers(model, [4, 0])
    assert float(model.generator_loss(Z)["fake"]) == pytest.approx(0.01815, abs=1e-5)


def test_g_is_judged_by_the_d_that_has_moved():
    """Both moves are about the same latents, and D moves first."""
    model, moves = small(), []
    model.compile(run_eagerly=True)
    model.update = lambda player, loss, *tensors: moves.append((player, tensors)) or {}
    model.train_on_batch({"video": tf.zeros([3, 4, 16, 16, 3])})
    (first, (real, z)), (second, (again,)) = moves
    assert (first, second) == ("discriminator", "generator") and real.shape[0] == 3
    np.testing.assert_array_equal(z, again)


def test_layers_are_clips(model):
    made = model.endpoints()["layers"][0](tf.constant(3, "int64"), tf.constant(2))
    assert list(made) == ["video", "foreground", "mask", "background"]
    assert {tuple(x.shape) for x in made.values()} == {(2, 4, 16, 16, 3)}
    share = (made["mask"] + 1.0) / 2.0
    blend = share * made["foreground"] + (1.0 - share) * made["background"]
    np.testing.assert_allclose(made["video"], blend, atol=1e-6)
    np.testing.assert_allclose(made["video"], model.sample(2, seed=3), atol=1e-6)


# The version that continues a first frame.

FRAMES = tf.constant(np.random.RandomState(1).uniform(-1, 1, [3, 16, 16, 3]), "float32")


@pytest.fixture(scope="module")
def onward():
    keras.utils.set_random_seed(2)
    found = small(from_frame=True)
    found.compile(run_eagerly=True)
    return found


def weights(kernel, inputs, outputs, norm=True):
    """Number of weights of a convolution with a bias, and of a normalization after it."""
    return math.prod(kernel) * inputs * outputs + outputs + 2 * outputs * norm


def test_the_networks_from_a_frame():
    """As in the authors' code for beaches, layer by layer: 128 channels, a code of 4x4x1024."""
    with without_numbers():
        model = VGAN(from_frame=True, width=128)
    found = [x for x in model.generator.layers if "conv" in x.name]
    down = [x for x in found if type(x) is keras.layers.Conv2D]
    assert [x.output.shape[1:] for x in down] == [
        (32, 32, 128), (16, 16, 256), (8, 8, 512), (4, 4, 1024),
    ]  # fmt: skip
    three = [x for x in found if isinstance(x, keras.layers.Conv3DTranspose)]
    assert [x.output.shape[1:] for x in three] == [
        (2, 4, 4, 1024), (4, 8, 8, 512), (8, 16, 16, 256), (16, 32, 32, 128),
    ]  # fmt: skip
    assert three[0].kernel_size == (2, 1, 1) and three[1].kernel_size == (4, 4, 4)
    two = [x for x in found if isinstance(x, keras.layers.Conv2DTranspose)]
    assert [x.output.shape[1:] for x in two] == [(8, 8, 512), (16, 16, 256), (32, 32, 128)]
    assert model.generator.output["video"].shape[1:] == (32, 64, 64, 3)
    square, cube = (4, 4), (4, 4, 4)
    encoder = weights(square, 3, 128, norm=False) + sum(
        weights(square, n, 2 * n) for n in (128, 256, 512)
    )
    background = sum(weights(square, 2 * n, n) for n in (512, 256, 128))
    foreground = weights((2, 1, 1), 1024, 1024) + sum(
        weights(cube, 2 * n, n) for n in (512, 256, 128)
    )
    heads = weights(square, 128, 3, norm=False) + weights(cube, 128, 4, norm=False)
    assert trainable(model.generator) == encoder + background + foreground + heads
    judge = weights(cube, 3, 128, norm=False) + sum(
        weights(cube, n, 2 * n) for n in (128, 256, 512)
    )
    judge += weights((2, 4, 4), 1024, 2, norm=False)
    assert trainable(model.discriminator) == judge
    norms = [x for x in model.generator.layers if "normalization" in x.name]
    assert [x.gamma.shape[0] for x in norms if x.epsilon == 1e-3] == [256, 512, 1024]


def test_the_first_frame_is_held_and_no_mask(onward, monkeypatch):
    """10 * mean |v_1 - x_1| of the first frame alone; the mask costs nothing."""
    assert {*onward.generator_loss(FRAMES)} == {"fake", "first"}
    given = np.random.RandomState(2).uniform(-1, 1, [3, 4, 16, 16, 3]).astype("float32")
    given[:, 0] = FRAMES - 0.3
    monkeypatch.setattr(onward, "generator", lambda frames, training: {"video": given})
    assert float(onward.generator_loss(FRAMES)["first"]) == pytest.approx(3.0, rel=1e-5)
    given[:, 0] = FRAMES
    assert float(onward.generator_loss(FRAMES)["first"]) == 0.0
    assert {*small(from_frame=True, two_streams=False).generator_loss(FRAMES)} == {"fake", "first"}


@pytest.mark.parametrize("term", ["fake", "first"])
def test_each_term_reaches_the_encoder(onward, term):
    """All of it, its first layer too, and the heads of both streams."""
    network = onward.generator
    with tf.GradientTape() as tape:
        cost = onward.generator_loss(FRAMES)[term]
    found = tape.gradient(cost, [w.value for w in network.trainable_variables])
    assert all(gradient is not None and np.any(gradient) for gradient in found)


def test_different_frames_make_different_clips(onward):
    """D's clips and G's begin with the frames of the batch, and nothing is drawn."""
    moves, video = [], tf.stack(4 * [FRAMES], axis=1) * [[[[[1.0]]], [[[0.5]]], [[[0.0]]], [[[0]]]]]
    onward.update = lambda player, loss, *tensors: moves.append((player, tensors)) or {}
    onward.train_on_batch({"video": video})
    del onward.update
    (first, (real, start)), (second, (again,)) = moves
    assert (first, second) == ("discriminator", "generator")
    np.testing.assert_array_equal(real, video)
    for frames in (start, again):
        np.testing.assert_array_equal(frames, FRAMES)
    made = onward.outputs({"video": video.numpy()}).numpy()
    assert made.shape == (3, 4, 16, 16, 3) and np.ptp(made, axis=0).max() > 0
    np.testing.assert_array_equal(made, onward(FRAMES))
    shown = np.asarray(onward.preview({"video": video}))
    assert shown.shape == (10, 4, 16, 16, 3)  # of two samples
    np.testing.assert_array_equal(shown[0], video[0])


def test_a_frame_is_continued_in_use(onward, tmp_path):
    """From a file to a film, and in an export without tfgans."""
    export = tmp_path / "export"
    onward.export(export)
    served = tf.saved_model.load(str(export)).signatures
    np.testing.assert_allclose(
        served["serving_default"](image=FRAMES)["video"], onward(FRAMES), atol=2e-6
    )
    assert {*served["layers"](image=FRAMES)} == {"video", "foreground", "mask", "background"}
    images.save_grid(FRAMES[:1], tmp_path / "still.png")
    made, found, _ = use.call(onward, "serving_default", {"image": str(tmp_path / "still.png")})
    assert made["video"].shape == (1, 4, 16, 16, 3)
    files = use.write(made, found, tmp_path / "onward")
    assert [file.name for file in files] == ["onward.gif", "onward.png"]
    with pytest.raises(BadInput, match="serving_default takes image=FILE"):
        onward.sample(2, seed=0)
    with pytest.raises(BadInput, match="draws nothing at random"):
        use.call(onward, "sample", {})


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="length is a multiple of 4, not 6"):
        small(length=6)
