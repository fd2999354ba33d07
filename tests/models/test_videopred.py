"""VideoPred: sizes and weights, the gradient difference, corrections, losses at all sizes."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import fit, trainable, without_numbers

from tfgans import training
from tfgans.config import Config
from tfgans.data.motion import SyntheticSquares
from tfgans.errors import BadInput
from tfgans.models.videopred import VideoPred, gradient_difference

CONTRACT = {
    "replace_score": lambda rows, outputs, score: tf.repeat(score, outputs.shape[1], axis=1),
    "answer": (1, 8, 8, 3),
}


def small(**settings):
    given = {"image_shape": (8, 8, 3), "scales": 2, "width": 2, "small": True}
    return VideoPred(**given | settings)


VIDEO = tf.constant(np.random.RandomState(0).uniform(-1, 1, [3, 5, 8, 8, 3]), "float32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    found = small()
    found.compile(run_eagerly=True)
    return found


def test_the_networks_of_the_paper():
    """12,569,740 and, in the authors' small setting, 223,644 weights; 15 channels for D."""
    with without_numbers():
        paper, lesser = VideoPred(), VideoPred(width=16, small=True)
    assert trainable(paper.generator) == 12_569_740
    assert trainable(lesser.generator) == 223_644
    inputs = [x.shape[1:] for x in paper.discriminator.inputs]
    assert inputs == [(4, 4, 15), (8, 8, 15), (16, 16, 15), (32, 32, 15)]
    for model, convs, dense in (
        (paper, [64, 64, 128, 128, 128, 256, 256, 128, 256, 512, 128], [512, 1024, 1024, 1024]),
        (lesser, [32, 32, 32, 64, 32, 32, 64, 32, 32, 64, 128], 4 * [256]),
    ):
        made = model.generator(tf.zeros([1, 32, 32, 12]))
        assert [x.shape[1:] for x in made] == [(s, s, 3) for s in (4, 8, 16, 32)]
        layers = model.discriminator.layers
        kinds = keras.layers.Conv2D, keras.layers.Dense
        assert sorted(x.filters for x in layers if isinstance(x, kinds[0])) == sorted(convs)
        units = [x.units for x in layers if isinstance(x, kinds[1])]
        assert sorted(units) == sorted([*dense, *(u // 2 for u in dense), 1, 1, 1, 1])
        kernels = [x.kernel_size[0] for x in layers if isinstance(x, kinds[0])]
        assert sorted(kernels) == sorted([3, 3, 3, 3, 5, 5, 5, 7, 7, 5, 5])
        assert len([x for x in layers if isinstance(x, keras.layers.MaxPooling2D)]) == 1


def test_the_gradient_difference():
    """Constants and signs do not count; a ramp of 0.1 a pixel against a plain frame costs 0.1."""
    frame = VIDEO[:, 0]
    assert float(gradient_difference(frame + 0.25, frame)) == pytest.approx(0.0, abs=1e-6)
    assert float(gradient_difference(-frame, frame)) == 0.0
    ramp = tf.zeros([2, 5, 5, 3]) + 0.1 * tf.range(5, dtype="float32")[:, None]
    assert float(gradient_difference(ramp, 0 * ramp)) == pytest.approx(0.1, rel=1e-5)
    assert float(gradient_difference(ramp, 0 * ramp, 2.0)) == pytest.approx(0.01, rel=1e-5)
    turned = tf.transpose(ramp, [0, 2, 1, 3])
    assert float(gradient_difference(turned, ramp)) == pytest.approx(0.2, rel=1e-5)


def zeroed(model, scales):
    """Predictions of all sizes where the last convolutions of some sizes give 0."""
    heads = [model.generator.get_layer(f"correction_{k}") for k in scales]
    before = [head.get_weights() for head in heads]
    for head, weights in zip(heads, before, strict=True):
        head.set_weights([np.zeros_like(x) for x in weights])
    frames, _ = model.parts(VIDEO)
    made = model.generator(frames)
    for head, weights in zip(heads, before, strict=True):
        head.set_weights(weights)
    return made


def test_each_size_corrects_the_one_before(model):
    coarse, fine = zeroed(model, [0, 1])
    assert not np.any(coarse) and not np.any(fine)
    coarse, fine = zeroed(model, [1])
    assert np.any(coarse)
    enlarged = np.repeat(np.repeat(coarse, 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(fine, np.tanh(enlarged), atol=1e-6)
    bare, _ = zeroed(model, [])
    np.testing.assert_array_equal(bare, coarse)


def test_frames_at_all_sizes(model):
    """A coarse pixel is the mean of its square; given frames come first, in their order."""
    frames, true = model.parts(VIDEO)
    np.testing.assert_array_equal(frames[..., 3:6], VIDEO[:, 1])
    np.testing.assert_array_equal(true, VIDEO[:, 4])
    coarse, fine = model.sizes_of(true)
    np.testing.assert_array_equal(fine, true)
    means = true.numpy().reshape(3, 4, 2, 4, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(coarse, means, atol=1e-6)
    clips = model.clips(frames, [coarse, fine])
    assert [x.shape[1:] for x in clips] == [(4, 4, 15), (8, 8, 15)]
    np.testing.assert_array_equal(clips[1][..., 12:], true)
    np.testing.assert_allclose(clips[0][..., :3], model.sizes_of(VIDEO[:, 0])[0], atol=1e-6)


def test_the_answers_are_summed_over_the_sizes():
    """Logits of 0 at four sizes cost 4 ln 2 = 2.7726; of D's two terms each one that much."""
    model = small(image_shape=(32, 32, 3), scales=4)
    video = tf.zeros([2, 5, 32, 32, 3])
    model.discriminator = lambda clips, training: tf.zeros([2, 4])
    terms = model.discriminator_loss(*model.parts(video))
    assert float(terms["real"]) == pytest.approx(4 * math.log(2))
    assert float(terms["fake"]) == pytest.approx(4 * math.log(2))
    terms = model.generator_loss(*model.parts(video))
    assert float(terms["fake"]) == pytest.approx(0.05 * 2.7726, abs=1e-5)
    model.discriminator = lambda clips, training: tf.fill([2, 4], 4.0)
    terms = model.discriminator_loss(*model.parts(video))
    assert float(terms["real"]) == pytest.approx(4 * 0.01815, abs=1e-4)
    assert float(terms["fake"]) == pytest.approx(4 * 4.01815, abs=1e-4)
    assert float(model.generator_loss(*model.parts(video))["fake"]) < 0.05 * 0.08


@pytest.mark.parametrize("power", [1, 2])
def test_the_distance_is_summed_over_the_sizes(power, monkeypatch):
    model = small(power=power, distance_weight=2.0, adversarial_weight=0.0)
    frames, true = model.parts(VIDEO)
    off = [true_k + 0.25 for true_k in model.sizes_of(true)]
    monkeypatch.setattr(model, "generator", lambda frames, training: off)
    terms = model.generator_loss(frames, true)
    assert float(terms["distance"]) == pytest.approx(2.0 * 2 * 0.25**power, rel=1e-5)
    assert float(terms["difference"]) == pytest.approx(0.0, abs=1e-5)
    assert "fake" not in terms


def test_the_difference_is_summed_over_the_sizes():
    """Ramps of 0.1 and 0.2 a pixel against plain frames, at the two sizes."""
    model = small(difference_weight=3.0)
    coarse, fine = (
        tf.zeros([3, side, side, 3]) + slope * tf.range(side, dtype="float32")[:, None]
        for side, slope in ((4, 0.1), (8, 0.2))
    )
    model.generator = lambda frames, training: [coarse, fine]
    terms = model.generator_loss(*model.parts(tf.zeros_like(VIDEO)))
    assert float(terms["difference"]) == pytest.approx(3.0 * (0.1 + 0.2), rel=1e-4)


def test_the_adversarial_part_alone_reaches_all_weights_of_g(model):
    frames, true = model.parts(VIDEO)
    keras.utils.set_random_seed(3)
    with tf.GradientTape() as tape:
        loss = model.generator_loss(frames, true)["fake"]
    weights = model.generator.trainable_weights
    gradients = tape.gradient(loss, weights)
    assert all(x is not None for x in gradients)
    kernels = [x for x, w in zip(gradients, weights, strict=True) if "kernel" in w.path]
    assert np.mean([bool(np.any(x)) for x in kernels]) > 0.7  # at two channels a ReLU may be off
    assert np.any(kernels[0])


def test_without_the_adversarial_term_d_stands_still():
    model, moves = small(adversarial_weight=0.0), []
    model.compile(run_eagerly=True)
    model.update = lambda player, loss, *tensors: moves.append(player) or {}
    model.train_on_batch({"video": VIDEO})
    assert moves == ["generator"]


def test_optimizers_are_plain_descent():
    optimizers = VideoPred(**{"scales": 1, "width": 1, "small": True}).default_optimizers()
    for optimizer in optimizers.values():
        assert type(optimizer) is keras.optimizers.SGD and optimizer.momentum == 0.0
    rate = optimizers["generator"]._learning_rate
    for step, expected in ((0, 0.04), (50_000, 0.0225), (100_000, 0.005), (200_000, 0.005)):
        assert float(rate(step)) == pytest.approx(expected)
    assert float(optimizers["discriminator"].learning_rate) == pytest.approx(0.02)


def test_later_frames_are_predicted_from_predictions(model):
    given = VIDEO[:, :4]
    first = model.next_frame(given)
    second = model.next_frame(tf.concat([given[:, 1:], first[:, None]], axis=1))
    found = model.predict_frames(given, 2)
    np.testing.assert_allclose(found, tf.stack([first, second], axis=1), atol=1e-6)
    np.testing.assert_allclose(model.predict_frames(VIDEO[:, -4:], 1), model(VIDEO), atol=1e-6)
    larger = tf.concat([given, given], axis=3)  # G works at any size
    assert model.predict_frames(larger, 3).shape == (3, 3, 8, 16, 3)
    answer = model.endpoints()["predict"][0](given, tf.constant(2))
    np.testing.assert_allclose(answer["video"], found, atol=1e-6)
    with pytest.raises(BadInput, match="multiples of 2; these are 7 8"):
        model.predict_frames(given[:, :, :7])


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="scales is 1 to 4, not 5"):
        small(scales=5)
    with pytest.raises(BadInput, match="too small for D at size 1 of 2"):
        small(image_shape=(4, 4, 3))
    with pytest.raises(BadInput, match="2 or more, not 1"):
        small(length=1)


@pytest.mark.slow
def test_it_beats_a_copy_of_the_last_frame():
    """300 steps on squares that move: squared errors of new films are below those of a copy."""
    settings = Config.load("videopred", "demo", ["train.steps=300"])
    source, model = training.resolve(settings), training.build(settings)
    fit(model, settings, source, steps=300)
    length = model.length
    films = SyntheticSquares((32, 32), length, first=10**6)  # no training draws these
    video = np.stack([films.read(i, np.arange(length))["video"] for i in range(64)])
    video = video.astype("float32") / 127.5 - 1.0
    made, true = model(video[:, : length - 1])[:, 0], video[:, -1]
    error, copy = (np.mean(np.square(x - true)) for x in (made, video[:, -2]))
    assert error < 0.9 * copy
