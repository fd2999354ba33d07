"""CoVST: features are blended and handed on, the generator stands still, weights of the terms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import fit, new, without_numbers

from tfgans import models, storage
from tfgans.data.motion import SyntheticSquares
from tfgans.errors import BadInput
from tfgans.metrics.temporal import temporal_error
from tfgans.models.covst import CoVST, halves_of, masked_squares, scaled
from tfgans.models.cyclegan import CycleGAN
from tfgans.models.pix2pix import build_unet
from tfgans.ops.warp import warp

CONTRACT = {
    "games": [],
    "answer": (8, 8, 8, 3),
    "served": ["encoder", "decoder", "flow_network", "mask_network"],
}
KEYS = np.random.RandomState(0)
VIDEO = tf.constant(KEYS.uniform(-1, 1, [2, 5, 16, 16, 3]), "float32")


def small(**settings):
    given = {"image_shape": (16, 16, 3), "features": 16, "flow_width": 2}
    return CoVST(**given | settings)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    found = small()
    found.compile(run_eagerly=True)
    return found


@pytest.fixture
def planted(model, monkeypatch):
    """The model with a given mask and flow: `planted(mask, flow)`."""

    def plant(mask, flow=None):
        if mask is not None:
            monkeypatch.setattr(
                model, "mask_network", lambda x: tf.fill([*x.shape[:3], 1], float(mask))
            )
        if flow is not None:
            monkeypatch.setattr(
                model, "flow_network", lambda pair: tf.zeros_like(pair[0])[..., :2] + flow
            )
        return model

    return plant


def test_with_a_mask_of_0_each_frame_is_by_itself(planted):
    """O_t is Dec(E(I_t)) bit for bit, whatever the flow."""
    found = planted(0, [3.0, -2.0]).stylize(VIDEO)
    for t in range(5):
        alone = planted(0).decode(planted(0).encode(VIDEO[:, t]))
        np.testing.assert_array_equal(found[:, t], alone)
    np.testing.assert_array_equal(planted(0).per_frame(VIDEO), found)


def test_with_a_mask_of_1_and_no_flow_the_first_frame_stays(planted):
    found = planted(1, [0.0, 0.0]).stylize(VIDEO).numpy()
    np.testing.assert_array_equal(found, np.repeat(found[:, :1], 5, axis=1))
    assert np.ptp(planted(1).per_frame(VIDEO), axis=1).max() > 0.01


@pytest.mark.parametrize("mask", [None, 0.3])
def test_a_film_that_stands_still_does_so_with_any_mask(planted, mask):
    still = tf.repeat(VIDEO[:, :1], 4, axis=1)
    found = planted(mask, [0.0, 0.0]).stylize(still).numpy()
    np.testing.assert_allclose(found, np.repeat(found[:, :1], 4, axis=1), atol=1e-5)


def test_blended_features_are_handed_on(planted):
    """M = 0.5 on noise: the variance of Fo in time is a third of that of F.

    The recursion x <- 0.5 x + 0.5 n has the variance 0.25 / (1 - 0.25); handing on F_t would give
    0.25 + 0.25 = a half.
    """
    model = planted(0.5, [0.0, 0.0])
    noise = 0.1 * KEYS.standard_normal([7, 48, 16, 16, 3]).astype("float32")
    frames = VIDEO[:1, 0] + noise  # 48 films of 7 frames
    _, past = model.first_frame(frames[0])
    for t in range(1, 7):
        _, past = model.next_frame(frames[t], frames[t - 1], past)
    share = np.var(past, axis=0).mean() / np.var(model.encode(frames[6]), axis=0).mean()
    assert share == pytest.approx(1 / 3, abs=0.05)


def test_the_flow_of_features():
    """At a quarter of the size 4 pixels are one cell; the horizontal part goes with the width."""
    flow = tf.zeros([1, 16, 32, 2]) + [4.0, -8.0]
    found = scaled(flow, [4, 8])
    assert found.shape == (1, 4, 8, 2)
    np.testing.assert_allclose(found, np.broadcast_to([1.0, -2.0], found.shape), atol=1e-6)
    np.testing.assert_allclose(scaled(flow, [4, 32])[0, 0, 0], [4.0, -2.0], atol=1e-6)


def test_features_follow_the_motion(planted):
    """A mask of 1 and a flow of 4 pixels: the features of the frame before, one cell on."""
    model = planted(1, [4.0, 0.0])
    past = model.encode(VIDEO[:, 0])
    found = model.blend(model.encode(VIDEO[:, 1]), past, model.flow(VIDEO[:, 1], VIDEO[:, 0]))
    assert found.shape == (2, 4, 4, 16)
    np.testing.assert_allclose(found[:, :, :-1], past[:, :, 1:], atol=1e-5)


def test_the_mask_sees_differences_of_features(model, monkeypatch):
    seen = []
    network = model.mask_network
    monkeypatch.setattr(model, "mask_network", lambda x: seen.append(x) or network(x))
    past, own = (model.encode(VIDEO[:, t]) for t in (0, 1))
    model.blend(own, past, tf.zeros([2, 16, 16, 2]))
    np.testing.assert_allclose(seen[0], np.abs(past - own), atol=1e-6)


def test_terms(planted):
    """Weights, masks, and the style of the frame before as target, warped by the true flow."""
    model = planted(0, [1.0, 2.0])
    true = tf.constant(KEYS.randint(-2, 3, [2, 2, 16, 16, 2]), "float32")
    visible = tf.constant(KEYS.randint(0, 2, [2, 2, 16, 16, 1]), "float32")
    terms = model.losses(VIDEO[:, :2], true, visible)
    assert terms["flow"].keys() == {"temporal", "style", "flow"}
    assert terms["mask"].keys() == {"temporal", "style"}
    alone = model.per_frame(VIDEO)
    past = warp(alone[:, 0], true[:, 1])
    wanted = 1e5 * np.mean(visible[:, 1] * (alone[:, 1] - past) ** 2)
    assert float(terms["mask"]["temporal"]) == pytest.approx(wanted, rel=1e-4)
    assert float(terms["mask"]["style"]) == 0.0  # a mask of 0 is the frame's own style
    wanted = 10 * np.mean((true[:, 1] - [1.0, 2.0]) ** 2)
    assert float(terms["flow"]["flow"]) == pytest.approx(wanted, rel=1e-5)
    model = planted(1, [0.0, 0.0])
    terms = model.losses(VIDEO[:, :2], 0 * true, visible)
    assert float(terms["mask"]["temporal"]) == pytest.approx(0.0, abs=1e-3)
    wanted = 2e4 * np.mean((1 - visible[:, 1]) * (alone[:, 1] - alone[:, 0]) ** 2)
    assert float(terms["mask"]["style"]) == pytest.approx(wanted, rel=1e-4)
    half = tf.concat([tf.ones([1, 4, 4, 1]), tf.zeros([1, 4, 4, 1])], axis=2)
    assert float(masked_squares(half, tf.ones([1, 4, 8, 3]), 0.0)) == pytest.approx(0.5)


def test_longer_clips_show_what_is_handed_on(planted, monkeypatch):
    """A mask of 1 and no flow: all frames keep the first one's style; their terms are means."""
    model = planted(1, [0.0, 0.0])
    monkeypatch.setattr(model, "length", 4)
    nothing, all_seen = tf.zeros([2, 4, 16, 16, 2]), tf.ones([2, 4, 16, 16, 1])
    style = model.per_frame(VIDEO).numpy()
    apart = [np.mean((style[:, 0] - style[:, t]) ** 2) for t in range(4)]
    terms = model.losses(VIDEO[:, :4], nothing, all_seen)["mask"]
    assert float(terms["temporal"]) == pytest.approx(1e5 * np.mean(apart[:3]), rel=1e-4)
    terms = model.losses(VIDEO[:, :4], nothing, 0.0 * all_seen)["mask"]
    assert float(terms["style"]) == pytest.approx(2e4 * np.mean(apart[1:]), rel=1e-4)


def test_the_flow_learns_from_all_neighbors():
    """Stage 0 sees each frame of a clip but the first, beside the one before it."""
    model = small(length=3)
    model.compile(run_eagerly=True)
    model.update = lambda player, loss, *tensors: moves.append((player, loss, tensors)) or {}
    true, moves = tf.random.stateless_normal([2, 3, 16, 16, 2], [0, 1]), []
    model.train_on_batch({"video": VIDEO[:, :3], "flow": true, "visible": true[..., :1]})
    ((player, loss, (frame, before, flow)),) = moves
    assert player == "flow" and loss == model.flow_loss
    np.testing.assert_array_equal(frame, tf.concat([VIDEO[0, 1:3], VIDEO[1, 1:3]], 0))
    np.testing.assert_array_equal(before, tf.concat([VIDEO[0, :2], VIDEO[1, :2]], 0))
    np.testing.assert_array_equal(flow, tf.concat([true[0, 1:], true[1, 1:]], 0))
    model.flow = lambda *frames: flow + 2.0
    assert float(loss(frame, before, flow)["flow"]) == pytest.approx(4.0 * model.flow_weight)


def test_moves():
    """Stage 0 moves the flow alone; the generator never moves, in 20 steps."""
    model, settings, source = new("covst", eager=False)
    network = [w.numpy() for w in model.encoder.weights + model.decoder.weights]
    mask = [w.numpy() for w in model.mask_network.weights]
    assert {*fit(model, settings, source, steps=2)} == {"flow/flow"}
    for before, after in zip(mask, model.mask_network.weights, strict=True):
        np.testing.assert_array_equal(before, after)
    logs = fit(model, settings, source, steps=18)
    assert {"flow/flow", "flow/temporal", "flow/style", "mask/temporal", "mask/style"} <= {*logs}
    assert any(
        np.any(a != b.numpy()) for a, b in zip(mask, model.mask_network.weights, strict=True)
    )
    now = model.encoder.weights + model.decoder.weights
    assert len(now) == len(network) > 10
    for before, after in zip(network, now, strict=True):
        np.testing.assert_array_equal(before, after)


def test_optimizers():
    for optimizer in small(decay_steps=20_000).default_optimizers().values():
        rate = optimizer._learning_rate
        for step, wanted in ((0, 1e-4), (19_999, 1e-4), (20_000, 0.8e-4), (40_000, 0.64e-4)):
            assert float(rate(step)) == pytest.approx(wanted)


def test_the_networks():
    with without_numbers():
        model = CoVST()
    layers = [x for x in model.mask_network.layers if isinstance(x, keras.layers.Conv2D)]
    assert [(x.filters, x.kernel_size) for x in layers] == [(32, (3, 3)), (16, (3, 3)), (1, (3, 3))]
    assert model.mask_network.input_shape[-1] == 256
    flow = model.flow_network(2 * [tf.zeros([1, 32, 48, 3])])
    assert flow.shape == (1, 32, 48, 2) and not np.any(flow)
    halved = [x for x in model.flow_network.layers if getattr(x, "strides", 1) == (2, 2)]
    assert len(halved) == 8  # four times there, four times back


@pytest.fixture
def cyclegan(tmp_path):
    keras.utils.set_random_seed(3)
    given = CycleGAN((12, 12, 3), width=4, blocks=1, patch_layers=1, pool_size=1)
    storage.save(given, tmp_path / "given.keras")
    return given, str(tmp_path / "given.keras")


def test_a_given_generator(cyclegan, tmp_path):
    """It is cut in halves for any size, is beside a release and in no file; its hash is checked."""
    given, path = cyclegan
    model = small(generator=path, direction="b_to_a")
    own = model.flow_network.weights + model.mask_network.weights
    assert len(model.weights) == len(own) + 1  # and the step
    model.compile(run_eagerly=True)
    frames = VIDEO[:1, :3, :12, :12]
    np.testing.assert_allclose(model.per_frame(frames)[0], given.generator_ba(frames[0]), atol=1e-5)
    again = storage.release(model, "steady", tmp_path / "releases")
    served = tf.saved_model.load(str(again)).signatures["serving_default"](video=VIDEO)["video"]
    np.testing.assert_allclose(served, model(VIDEO), atol=1e-5)
    np.testing.assert_allclose(models.load(again)(VIDEO), model(VIDEO), atol=1e-5)
    storage.save(model, tmp_path / "alone.keras")
    given.generator_ab.weights[0].assign_add(tf.ones(given.generator_ab.weights[0].shape))
    storage.save(given, path)
    with pytest.raises(BadInput, match="another file than the one"):
        models.load(tmp_path / "alone.keras")(VIDEO)
    np.testing.assert_allclose(models.load(again)(VIDEO), model(VIDEO), atol=1e-5)
    with pytest.raises(BadInput, match="64 channels.*|set model.features=16"):
        small(generator=path, features=64)(VIDEO)
    with pytest.raises(BadInput, match="direction"):
        small(generator=path, direction="c_to_a")(VIDEO)
    with pytest.raises(FileNotFoundError, match="No model at nowhere"):
        small(generator="nowhere")(VIDEO)


def test_generators_that_cannot_be_cut(tmp_path):
    with pytest.raises(BadInput, match="no residual blocks"):
        halves_of(build_unet((16, 16, 3), 3, 2))
    maps, _, _ = new("pix2pixhd")
    storage.save(maps, tmp_path / "maps.keras")
    with pytest.raises(BadInput, match="paints label maps.*vid2vid"):
        small(generator=str(tmp_path / "maps.keras"))(VIDEO)


def test_a_film_as_a_stream(model):
    """One frame after the other is the same as all at once."""
    found = list(model.stream(iter(VIDEO[0])))
    np.testing.assert_allclose(found, model.stylize(VIDEO[:1])[0], atol=1e-5)


def test_frames_of_any_size(model):
    """Sides of 20 and 28 are no multiples of 16; the flow has their size."""
    video = tf.constant(KEYS.uniform(-1, 1, [1, 3, 20, 28, 3]), "float32")
    assert model.flow(video[:, 1], video[:, 0]).shape == (1, 20, 28, 2)
    assert model.stylize(video).shape == video.shape


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="2 or more"):
        small(length=1)


@pytest.mark.thorough
def test_training_makes_noisy_films_steadier():
    """A still film with noise: 40 steps teach the mask to keep what was seen before."""
    model, keys = small(image_shape=(32, 32, 3), pretrain_steps=0), np.random.default_rng(0)
    model.compile({player: {"learning_rate": 1e-3} for player in model.players()})
    stills = [SyntheticSquares((32, 32), 1).read(i, [0])["video"][0] for i in range(4)]
    stills = np.stack(stills) / 127.5 - 1.0

    def noisy(frames, length):
        noise = keys.normal(0, 0.1, [len(frames), length, *frames.shape[1:]])
        return (frames[:, None] + noise).astype("float32")

    film, true = noisy(stills[:1], 8), np.repeat(stills[:1], 8, axis=0).astype("float32")
    flow = np.zeros([4, 2, 32, 32, 2], "float32")

    def error(make):
        return temporal_error(make(film).numpy()[0], true, np.zeros([8, 32, 32, 2], "float32"))

    alone, before = error(model.per_frame), error(model.stylize)
    for _ in range(40):
        model.train_on_batch(
            {"video": noisy(stills, 2), "flow": flow, "visible": np.ones_like(flow[..., :1])}
        )
    assert error(model.stylize) < 0.2 * before < 0.2 * alone
