"""vid2vid: weights, the blend, what goes back in time, films at several distances, growth."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import TESTS, trainable, without_numbers

from tfgans import random
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.models.pix2pixhd import VGG_WEIGHTS
from tfgans.models.vid2vid import (
    Vid2Vid,
    blended,
    build_foreground,
    build_generator,
    triples,
)
from tfgans.ops.resample import mean_pool
from tfgans.ops.warp import confidence, warp
from tfgans.optimizers import Adam


def is_white(rows, colors):
    return tf.reduce_all(rows[..., -3:] > 0.9, axis=[1, 2, 3])  # the last frame


CONTRACT = {
    "is_real": is_white,
    "served": ["generators"],
    "answer": (8, 8, 8, 3),
    "rate": 3e-7,  # the flow counts 20 pixels, and its terms 10 times
    "exported_atol": 2e-2,  # in a film of noise, roundings grow five times with each frame
}


def small(**settings):
    sizes = {"image_shape": (8, 8, 3), "num_labels": 3, "edges": False, "width": 4, "blocks": 1}
    sizes |= {"downs": 1, "d_width": 2, "halvings": 1, "judged_scales": 1, "time_scales": 1}
    sizes |= {"scales": 1}
    sizes |= {"length": 5, "first_length": 5, "chunk": 3, "perceptual_weight": 0.0}
    model = Vid2Vid(**sizes | settings)
    model.compile(run_eagerly=True)
    return model


def clip(length=5, side=8, n=2, seed=0):
    """A batch: maps, frames, and a flow of up to two pixels."""
    keys = np.random.RandomState(seed)
    return {
        "map": tf.constant(keys.randint(0, 3, [n, length, side, side]), "int32"),
        "video": tf.constant(keys.uniform(-1, 1, [n, length, side, side, 3]), "float32"),
        "flow": tf.constant(keys.randint(-2, 3, [n, length, side, side, 2]), "float32"),
    }


FRAME = clip()["video"][:, 0]


def test_the_networks_of_the_paper():
    """365,391,366 weights for 36 channels, 702,486 of the small one, 2,776,769 for each D_V."""
    with without_numbers():
        model = Vid2Vid(time_scales=3)
        least = build_generator((16, 16), 3, 3, width=16, blocks=4, downs=2)
        front = build_foreground((16, 16), 3, 3, width=8, blocks=4, downs=2)
    assert trainable(model.generators[0]) == 365_391_366
    assert trainable(least) == 702_486
    assert [trainable(d) for found in model.of_films for d in found] == 6 * [2_776_769]
    assert model.of_films[0][0].input_shape[-1] == 3 * 3 + 2 * 2
    assert model.of_images[0].input_shape[-1] == 36 + 3
    shapes = [x.shape[1:] for x in model.generators[0].inputs]
    assert shapes == [(256, 512, 108), (256, 512, 6)]
    shapes = [x.shape[1:] for x in model.generators[1].inputs]
    assert shapes == [(512, 1024, 108), (512, 1024, 6), *2 * [(256, 512, 128)]]
    # Half the width: the labels' encoder alone, one branch, and the last layer.
    assert front.output["features"].shape[1:] == (16, 16, 8)
    assert len(front.inputs) == 1


def test_the_blend():
    """w = 0 and f = 0 is the frame before, w = 1 the painted one; f_u = 1 moves content left."""
    raw, none = tf.zeros_like(FRAME), tf.zeros([2, 8, 8, 2])
    np.testing.assert_array_equal(blended(raw, tf.zeros([2, 8, 8, 1]), FRAME, none), FRAME)
    np.testing.assert_array_equal(blended(raw, tf.ones([2, 8, 8, 1]), FRAME, none), raw)
    right = none + (1.0, 0.0)
    moved = blended(raw, tf.zeros([2, 8, 8, 1]), FRAME, right).numpy()
    np.testing.assert_allclose(moved[:, :, :-1], FRAME[:, :, 1:], atol=1e-6)
    np.testing.assert_allclose(moved[:, :, -1], FRAME[:, :, -1], atol=1e-6)


def fixed(model, raw=0.5, flow=(1.0, 0.0), weight=0.25):
    """A generator that answers numbers; returns its inputs."""
    given = []

    def network(inputs, training):
        given.append(inputs)
        ones = tf.ones_like(inputs[0][..., :1])
        found = {"raw": raw * tf.repeat(ones, 3, axis=-1), "flow": ones * flow}
        return found | {"weight": weight * ones, "painted": ones, "moved": ones}

    model.generators = [network]
    return given


def test_a_frame_moves_the_last_output_and_sees_three_maps():
    model, batch = small(), clip()
    given = fixed(model)
    seen = [model.semantics(batch["map"][:, t]) for t in range(3)]
    past = [batch["video"][:, 0], batch["video"][:, 1]]
    found = model.frame(seen, past)
    labels, before = given[0]
    for t in range(3):
        np.testing.assert_array_equal(labels[..., 3 * t : 3 * t + 3], seen[t])
    np.testing.assert_array_equal(before, tf.concat(past, axis=-1))
    wanted = 0.25 * 0.5 + 0.75 * warp(past[1], found["flow"])
    np.testing.assert_allclose(found["image"], wanted, atol=1e-6)
    alone = model.frame(seen, past, painted_alone=True)
    np.testing.assert_array_equal(alone["image"], alone["raw"])


def test_the_foreground_lies_over_both_images():
    model = small(foreground=[1])
    fixed(model)
    given = []
    model.foregrounds = [
        lambda inputs, training: given.append(inputs) or {"image": -tf.ones([2, 8, 8, 3])}
    ]
    batch = clip()
    seen = [model.semantics(batch["map"][:, t]) for t in range(3)]
    found = model.frame(seen, [FRAME, FRAME])
    inside = batch["map"][:, 2].numpy() == 1
    for name in ("image", "raw"):
        np.testing.assert_array_equal(found[name][inside], -np.ones([inside.sum(), 3]))
    np.testing.assert_array_equal(found["raw"][~inside], np.full([(~inside).sum(), 3], 0.5))
    np.testing.assert_array_equal(given[0][0], tf.concat(seen, axis=-1))  # labels alone


def test_the_last_layer_of_the_flow_counts_twenty_pixels():
    """A bias of (0.05, 0) is a flow of one pixel to the right; twice that at the next scale."""
    for scale, pixels in ((0, 1.0), (1, 2.0)):
        network = build_generator((8, 8), 3, 3, 4, 1, 1, scale)
        head = network.get_layer("flow")
        head.set_weights([np.zeros_like(head.kernel), np.array([0.05, 0.0])])
        shapes = [[1, *x.shape[1:]] for x in network.inputs]
        flow = network([tf.ones(shape) for shape in shapes])["flow"]
        np.testing.assert_allclose(flow, np.full([1, 8, 8, 2], (pixels, 0.0)), atol=1e-6)


def test_no_gradient_goes_back_in_time():
    """Not to the frame before; to the flow, that moves it, there is one."""
    model, batch = small(), clip()
    seen, real, flow = model.clip_of(batch)
    made = [tf.Variable(x) for x in real[:2]]
    with tf.GradientTape(persistent=True) as tape:
        terms, (new,) = model.losses(seen, real, flow, made, 2, 3)
        loss = tf.add_n(list(terms["generator"].values()))
    assert tape.gradient(loss, made) == [None, None]
    assert tape.gradient(new, made) == [None, None]
    bias = model.generators[0].get_layer("flow").bias
    assert np.abs(tape.gradient(new, bias.value)).max() > 0
    # In a move of several frames, too, where all pixels stay as they are.
    real, flow, frames = [real[0]] * 5, [tf.zeros_like(flow[0])] * 5, []
    draw = model.frame

    def watched(*given, **more):
        found = draw(*given, **more)
        frames.append(found["image"])
        return found

    model.frame = watched
    with tf.GradientTape(persistent=True) as tape:
        terms, _ = model.losses(seen, real, flow, real[:2], 2, 4)
        smooth = terms["generator"]["smooth"]
    # 0.5 of the mean belongs to the second frame: the first one's gradient is that of its own.
    wanted = 10.0 / 2 * np.sign(frames[0] - real[0]) / np.prod(FRAME.shape)
    np.testing.assert_allclose(tape.gradient(smooth, frames[0]), wanted, atol=1e-7)


def test_the_terms_of_the_flow_by_hand():
    """Means over all pixels: a mask over half of them halves a distance of 1."""
    model = small(own_first=True, flow_weight=3.0, smooth_weight=5.0)
    ramp = tf.broadcast_to(0.05 * tf.range(8.0)[:, None], [1, 8, 8, 3])  # from left to right
    changed = tf.concat([ramp[:, :4], ramp[:, 4:] - 1.0], axis=1)  # not where it was, below
    frame = {
        "real": changed,
        "real_before": ramp,
        "made_before": tf.fill([1, 8, 8, 3], 0.25),
        "true_flow": tf.zeros([1, 8, 8, 2]),
        "flow": tf.ones([1, 8, 8, 2]),
        "image": tf.zeros([1, 8, 8, 3]),
        "weight": tf.fill([1, 8, 8, 1], 0.5),
    }
    terms = model.flow_terms([frame])
    found = {name: float(value) for name, value in terms.items()}
    wanted = {"flow": 3.0 * 0.5, "smooth": 5.0 * 0.25 * 0.5, "weight": 0.25}
    wanted["warp"] = 3.0 * 0.5 * 0.05 * 7 / 8  # at the right border there is nothing to fetch
    assert found == pytest.approx(wanted)
    plain = small(smooth_weight=0.0)
    assert plain.flow_terms([frame]).keys() == {"flow", "warp"}


def test_frames_of_a_triple_are_1_3_9_apart():
    """With 7 frames at hand, scale 1 takes 0, 3, 6; a chunk's triples end at every third frame."""
    assert triples(0, 7, 1, first=0) == [(0, 3, 6)]
    assert triples(0, 7, 0, first=0) == [(4, 5, 6), (1, 2, 3)]
    assert triples(0, 19, 2, first=0) == [(0, 9, 18)]
    assert triples(0, 18, 2, first=0) == []
    assert triples(8, 14, 1) == [(7, 10, 13), (4, 7, 10)]  # they reach into the chunk before
    assert triples(2, 5, 0) == [(2, 3, 4)]  # given frames are in none


def test_a_discriminator_of_films_sees_frames_and_the_flow_between_them():
    model, seen = small(length=9, first_length=9, chunk=7, time_scales=2), []

    def judge(x, training):
        seen.append(x)
        return {"score": x[..., :1], "stage_1": x}

    model.of_films[1] = [judge]
    keys = np.random.RandomState(0)
    video = [tf.constant(keys.uniform(-1, 1, [2, 8, 8, 3]), "float32") for _ in range(9)]
    made = [-x for x in video]
    steps = [(1.0, 0.0), (2.0, 0.0), (0.0, -1.0), (0.0, 3.0)]
    flow = [tf.zeros([2, 8, 8, 2]) + steps[t % 4] for t in range(9)]
    model.film_terms(video, made, flow, [(2, 5, 8)], 1)
    real, fake = seen
    assert real.shape == fake.shape == (2, 8, 8, 13)
    for found, frames in ((real, video), (fake, made)):
        np.testing.assert_array_equal(found[..., 4:], tf.concat(frames[2:9:3], axis=-1))
        # Flows of frames 3, 4, 5 and 6, 7, 8, in units of 20 pixels.
        np.testing.assert_allclose(found[..., :4] - np.array([3, 3, 1, 2]) / 20, 0.0, atol=1e-6)


def score(value, features):
    """A discriminator that answers numbers; for real (white) images features of 0."""

    def network(x, training):
        fake = tf.cast(x[..., -1:] < 0.9, "float32")
        return {"score": tf.fill([len(x), 3, 3, 1], value), "stage_1": features * fake}

    return network


@pytest.mark.parametrize("scales", [1, 2])
def test_losses_of_discriminators_by_hand(scales):
    """Twice for each image, the blended one and the painted one; once for three frames."""
    model = small(judged_scales=scales)
    model.of_images, model.of_films = [score(0.25, 0.5)] * scales, [[score(0.75, 0.1)] * scales]
    fixed(model)
    batch = clip()
    batch["video"] = tf.ones_like(batch["video"])
    terms, new = model.losses(*model.clip_of(batch), list(tf.zeros([2, 2, 8, 8, 3])), 2, 5)
    assert len(new) == 3
    d, films, g = (
        {name: float(value) for name, value in terms[player].items()}
        for player in ("discriminators", "discriminators_of_films_0", "generator")
    )
    assert d["real"] == pytest.approx(scales * 2 * 0.5 * 0.75**2)
    assert d["fake"] == pytest.approx(scales * 2 * 0.5 * 0.25**2)
    assert films["real"] == pytest.approx(scales * 0.5 * 0.25**2)
    assert films["fake"] == pytest.approx(scales * 0.5 * 0.75**2)
    assert g["fake"] == pytest.approx(scales * 2 * 0.75**2)
    assert g["film_fake"] == pytest.approx(scales * 0.25**2)
    share = 10.0 * 4 / (model.halvings + 1)  # and a mean over scales
    assert g["features"] == pytest.approx(2 * share * 0.5)
    assert g["film_features"] == pytest.approx(share * 0.1)


def test_films_of_all_time_scales_count_for_the_generator():
    model = small(length=9, first_length=9, chunk=7, time_scales=2)
    model.of_films = [[score(0.75, 0.1)], [score(0.5, 0.2)]]
    fixed(model)
    batch = clip(9)
    batch["video"] = tf.ones_like(batch["video"])
    terms, _ = model.losses(*model.clip_of(batch), list(tf.zeros([2, 2, 8, 8, 3])), 2, 9)
    g = terms["generator"]
    assert float(g["film_fake"]) == pytest.approx(0.25**2 + 0.5**2)
    share = 10.0 * 4 / (model.halvings + 1)
    assert float(g["film_features"]) == pytest.approx(share * (0.1 + 0.2))


def test_the_distance_in_vgg_counts_both_images():
    model = small(perceptual_weight=10.0)
    model.look = lambda x: [tf.reduce_mean(x, axis=-1)] * 5
    frame = {"real": tf.zeros([2, 8, 8, 3]), "seen": tf.zeros([2, 8, 8, 3])}
    frame |= {"image": tf.fill([2, 8, 8, 3], 0.1), "raw": tf.fill([2, 8, 8, 3], 0.2)}
    _, g = model.image_terms([frame])
    assert float(g["perceptual"]) == pytest.approx(10.0 * sum(VGG_WEIGHTS) * 0.3)


@pytest.mark.parametrize("own_first", [False, True])
def test_training_goes_on_from_the_models_own_frames(own_first):
    """The first two frames are real, or 0; later ones are those that the model has made."""
    model, pasts, alone = small(length=7, first_length=7, chunk=2, own_first=own_first), [], []

    def frame(seen, past, painted_alone, training):
        pasts.append(past)
        alone.append(painted_alone)
        found = {"image": tf.fill([2, 8, 8, 3], 0.1 * len(pasts)), "raw": past[-1]}
        return found | {"flow": tf.zeros([2, 8, 8, 2]), "weight": tf.zeros([2, 8, 8, 1])}

    model.frame = frame
    batch = clip(7)
    with random.scope(0):
        model.train_step(batch)
    first = [0.0 * x if own_first else x for x in tf.unstack(batch["video"], axis=1)[:2]]
    ours = [tf.fill([2, 8, 8, 3], 0.1 * k) for k in range(1, 6)]
    film = [*first, *ours]
    assert len(pasts) == 5
    for t, past in enumerate(pasts):
        for found, wanted in zip(past, film[t : t + 2], strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert alone == [own_first, *4 * [False]]


def test_films_grow_and_are_cut_into_moves():
    """12 generated frames, then 24, 48, 96; each chunk of 6 is a move of its own."""
    with without_numbers():
        model = Vid2Vid(image_shape=(64, 64, 3), scales=1, width=8, d_width=4)
    assert [model.stage_length(k) for k in range(4)] == [14, 26, 50, 98]
    assert model.stage_steps == 3 * (14_875,)
    assert model.chunks(14) == [(2, 8), (8, 14)]
    assert model.chunks(11) == [(2, 8), (8, 11)]
    rates = {name: o._learning_rate for name, o in model.default_optimizers().items()}
    one = 14_875
    moves = one * np.array([2, 4, 8, 16])
    assert float(rates["generator"](moves[:2].sum())) == pytest.approx(2e-4)
    assert float(rates["generator"](moves[:2].sum() + moves[2:].sum() / 2)) == pytest.approx(1e-4)
    assert float(rates["generator"](moves.sum())) == pytest.approx(0.0, abs=1e-9)
    # The first chunk of each film is too short for frames 3 apart.
    assert float(rates["discriminators_of_films_1"](one * (1 + 3))) == pytest.approx(2e-4)
    later = one * (1 + 3) + one * (7 + 15) / 2
    assert float(rates["discriminators_of_films_1"](later)) == pytest.approx(1e-4)
    adam = model.default_optimizers()["generator"]
    assert (adam.beta_1, adam.beta_2) == (0.5, 0.999)


@pytest.mark.parametrize("settings, steps", [({}, 133_875), ({"scales": 3}, 208_250)])
def test_each_finer_scale_has_half_the_rate(settings, steps):
    """512 wide at 2e-4, 1024 at 1e-4, 2048 at 5e-5: alone in the first stage, then all together."""
    with without_numbers():
        model = Vid2Vid(image_shape=(64, 128, 3), width=8, d_width=4, **settings)
    optimizers = model.default_optimizers()
    rates = [optimizers["generator"], *(optimizers[f"joint_{k}"] for k in range(1, model.scales))]
    rates = [float(optimizer._learning_rate(0)) for optimizer in rates]
    np.testing.assert_allclose(rates, [2e-4, 1e-4, 5e-5][: model.scales])
    alone = [float(optimizers[f"finer_{k}"].learning_rate) for k in range(1, model.scales)]
    np.testing.assert_allclose(alone, rates[1:])
    assert sum(model.stage_steps) + model.growth_steps == steps
    config = Config.load("vid2vid")
    said = f"train.steps={steps}" in (TESTS.parent / "configs/vid2vid.yaml").read_text()
    size = {"image_shape": [512, 1024, 3]}
    assert said if settings else config.train.steps == steps and config.model == size


def numbers(network):
    return np.concatenate([np.ravel(w) for w in network.trainable_weights])


def test_a_finer_scale_is_trained_alone_and_then_with_the_coarse_one():
    model = small(scales=2, image_shape=(16, 16, 3), growth_steps=1, foreground=[2], blocks=2)
    plan = [(0, 5, False), (1, 5, True), (1, 5, False)]
    assert model.plan == plan and model.stage_steps == (1, 1)
    coarse, fine = (model.networks(scale) for scale in range(2))
    movers = [("generator", coarse), ("finer_1", fine), ("joint_1", [*coarse, *fine])]
    batch = clip(side=16)
    for stage, (player, networks) in enumerate(movers):
        model.now = stage
        before = [numbers(x) for x in (*coarse, *fine)]
        with random.scope(0, stage):
            logs = model.train_step(batch)
        assert model.mover == player
        assert {name.split("/")[0] for name in logs} == {
            "discriminators", "discriminators_of_films_0", player,
        }  # fmt: skip
        for network, old in zip((*coarse, *fine), before, strict=True):
            moved = any(network is x for x in networks)
            assert bool(np.any(numbers(network) != old)) == moved, network.name
    rates = model.default_optimizers()
    assert float(rates["finer_1"].learning_rate) == pytest.approx(1e-4)
    assert float(rates["joint_1"]._learning_rate(0)) == pytest.approx(1e-4)


def test_a_coarse_stage_sees_means_and_half_the_flow():
    model = small(scales=2, image_shape=(16, 16, 3))
    batch = clip(side=16)
    batch["flow"] = tf.zeros_like(batch["flow"]) + (2.0, -4.0)
    seen, real, flow = model.clip_of(batch)
    np.testing.assert_allclose(real[3], mean_pool(batch["video"][:, 3]), atol=1e-6)
    np.testing.assert_allclose(flow[3], np.full([2, 8, 8, 2], (1.0, -2.0)), atol=1e-6)
    hot = tf.one_hot(batch["map"][:, 3], 3)
    np.testing.assert_allclose(seen[3], mean_pool(hot), atol=1e-6)
    made = model.generate(batch["map"], batch["video"][:, :2])
    assert made.shape == (2, 5, 16, 16, 3)
    np.testing.assert_array_equal(made[:, :, ::2], made[:, :, 1::2])  # each pixel four times
    np.testing.assert_allclose(made[:, 0, ::2, ::2], real[0], atol=1e-6)
    given = []
    coarse, fine = model.generators

    def watched(inputs, training):
        given.append(inputs)
        return coarse(inputs, training=training)

    model.now, model.generators = model.stage_steps[0] * 2, [watched, fine]
    seen = [model.semantics(x) for x in tf.unstack(batch["map"][:, :3], axis=1)]
    past = tf.unstack(batch["video"][:, :2], axis=1)
    assert model.frame(seen, past)["image"].shape == (2, 16, 16, 3)
    np.testing.assert_allclose(given[0][0], mean_pool(tf.concat(seen, -1)), atol=1e-6)
    np.testing.assert_allclose(given[0][1], mean_pool(tf.concat(past, -1)), atol=1e-6)


@pytest.mark.parametrize("own_first", [False, True])
def test_a_film_goes_on_frame_by_frame(own_first):
    """In one go or one by one, the same; later maps change nothing in the frames before."""
    model, batch = small(own_first=own_first), clip(6)
    first = None if own_first else batch["video"][:, :2]
    whole = model.generate(batch["map"], first).numpy()
    assert whole.shape == (2, 6, 8, 8, 3)
    one_by_one = list(model.frames_of(iter(tf.unstack(batch["map"], axis=1)), first))
    np.testing.assert_allclose(whole, np.stack([x["image"] for x in one_by_one], axis=1), atol=1e-5)
    for length in (1, 2, 4):
        shorter = model.generate(batch["map"][:, :length], first)
        np.testing.assert_allclose(shorter, whole[:, :length], atol=1e-5)
    seen = [model.semantics(batch["map"][:, max(t, 0)]) for t in (-2, -1, 0, 1)]
    if own_first:
        blank = tf.zeros([2, 8, 8, 3])
        painted = model.frame(seen[:3], [blank, blank])["raw"]
        np.testing.assert_allclose(whole[:, 0], painted, atol=1e-5)
        second = model.frame(seen[1:], [blank, painted])["image"]
        np.testing.assert_allclose(whole[:, 1], second, atol=1e-5)
    else:
        np.testing.assert_array_equal(whole[:, :2], first)
        seen = [model.semantics(batch["map"][:, t]) for t in range(3)]
        third = model.frame(seen, tf.unstack(first, axis=1))["image"]
        np.testing.assert_allclose(whole[:, 2], third, atol=1e-5)


def test_the_flow_terms_alone_find_the_motion():
    """A square that moves 2 pixels a frame: 300 steps bring the error below one pixel."""
    keras.utils.set_random_seed(0)
    side, keys = 12, np.random.RandomState(0)
    square, ground = keys.uniform(-1, 1, [4, 4, 3]), keys.uniform(-0.3, 0.3, [side, side, 3])
    video, maps = np.tile(ground, [1, 5, 1, 1, 1]), np.zeros([1, 5, side, side], "int32")
    flow = np.zeros([1, 5, side, side, 2], "float32")
    for t in range(5):
        inside = slice(4, 8), slice(2 * t, 4 + 2 * t)
        video[0, t, *inside], maps[0, t, *inside] = square, 1
        flow[0, t, *inside, 0] = -2.0  # it was two pixels to the left
    model = small(image_shape=(side, side, 3))
    batch = {"map": tf.constant(maps), "flow": tf.constant(flow)}
    batch["video"] = tf.constant(video, "float32")
    seen, real, true = model.clip_of(batch)

    def three(frames, last):
        """Frames 0 to 2, or 2 to 4, as a batch."""
        return tf.concat(frames[last - 2 : last + 1], axis=0)

    window = [three(seen, last) for last in (2, 3, 4)]
    past = [three(real, last) for last in (2, 3)]
    now, before, wanted = three(real, 4), past[-1], three(true, 4)
    inside = confidence(now, before, wanted) * tf.cast(wanted[..., :1] < 0.0, "float32")
    generator = model.generators[0]
    adam = Adam(2e-3)
    adam.build(generator.trainable_variables)
    given = {"real": now, "real_before": before, "made_before": before, "true_flow": wanted}

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            terms = model.flow_terms([model.frame(window, past, training=True) | given])
            loss = terms["flow"] + terms["warp"]
        values = [w.value for w in generator.trainable_variables]
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(loss, values, unconnected_gradients=zero)
        adam.apply(gradients, generator.trainable_variables)

    def error():
        found = model.frame(window, past, training=True)["flow"]
        distance = tf.norm(found - wanted, axis=-1, keepdims=True)
        return float(tf.reduce_sum(inside * distance) / tf.reduce_sum(inside))

    assert error() > 1.5
    for _ in range(300):
        step()
    assert error() < 1.0


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match=r"first_length is 3 to model.length \(5\).*, not 2"):
        small(first_length=2)
    with pytest.raises(BadInput, match="2 scales of time need model.length 9 or more, not 8"):
        small(length=8, time_scales=2)
    with pytest.raises(BadInput, match=r"numbers below 3, not \[3\]"):
        small(foreground=[1, 3])
    with pytest.raises(BadInput, match="normalization of vid2vid .*instance"):
        small(norm="instances")
    with pytest.raises(BadInput, match="at least 4 pixels, not 2x8"):  # one pixel reflects nothing
        small(image_shape=(2, 8, 3))
    kinds = {type(x).__name__ for x in small(norm="instance").generators[0].layers}
    assert "GroupNormalization" in kinds and "BatchNorm" not in kinds
