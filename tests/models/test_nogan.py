"""NoGAN: sizes of its networks, no checkers at the start, its phases, the switch, terms by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import models
from tfgans.errors import BadInput
from tfgans.layers.dropout import Dropout
from tfgans.layers.pixel_shuffle import PixelShuffle
from tfgans.layers.self_attention import SelfAttention
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models import nogan
from tfgans.models.nogan import Blur, NoGAN, enlarged_by_edges, luma, shown

CONTRACT = {"served": ["encoder", "decoder", "decoder_alone"], "answer": [8, 8, 3]}
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def small(**settings):
    given = {
        "image_shape": (32, 32, 3),
        "width": 4,
        "blocks": (1, 1, 1, 1),
        "critic_width": 4,
        "critic_blocks": 2,
        "pretrain_steps": 2,
        "critic_steps": 2,
    }
    model = NoGAN(**given | settings)
    model.compile(run_eagerly=True)
    return model


def pictures(side=32, n=2, seed=0):
    return tf.constant(np.random.RandomState(seed).uniform(-1, 1, [n, side, side, 3]), "float32")


def batch():
    return {"input": pictures(), "target": pictures(seed=1)}


def layers_of(network, kind):
    return [x for x in network.layers if isinstance(x, kind)]


@pytest.mark.parametrize(
    "preset, numbers, encoder",
    [
        ("artistic", 63_646_881, 21_284_672),
        ("stable", 218_222_197, 42_500_160),
        ("video", 218_222_197, 42_500_160),
    ],
)
def test_networks_of_deoldify(preset, numbers, encoder):
    """ResNet34 and 101 have these numbers without their heads; the sums are those of the files."""
    with without_numbers():
        model = NoGAN(preset=preset)
    assert trainable(model.encoder) == encoder
    assert trainable(model.encoder) + trainable(model.decoder) == numbers
    assert trainable(model.discriminator) == 94_555_649
    factor = 1 if preset == "artistic" else 4
    expected = [64, *(factor * n for n in (64, 128, 256, 512))]
    assert [x.shape[-1] for x in model.encoder.outputs] == expected
    joined = [x.output.shape[-1] for x in layers_of(model.decoder, keras.layers.Concatenate)]
    deep = preset == "artistic"
    assert joined == ([512, 512, 448, 400, 303] if deep else [1536, 1024, 768, 320, 259])
    (attention,) = layers_of(model.decoder, SelfAttention)
    assert attention.output.shape[-1] == (768 if deep else 512)
    assert attention.theta.layer.filters == (96 if deep else 64)
    assert models.get("deoldify") is NoGAN


def test_sizes_of_the_maps():
    model = small(image_shape=(64, 96, 3))
    maps = model.encoder(tf.zeros([1, 64, 96, 3]))
    assert [x.shape[1:3] for x in maps] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert model.decoder([tf.zeros([1, 64, 96, 3]), *maps]).shape == (1, 64, 96, 3)
    assert model.discriminator(tf.zeros([1, 64, 96, 3])).shape == (1, 5, 9, 1)
    (attention,) = layers_of(model.decoder, SelfAttention)
    found = keras.Model(model.decoder.input, attention.output)
    assert found([tf.zeros([1, 64, 96, 3]), *maps]).shape[1:3] == (8, 12)  # an eighth


@pytest.mark.parametrize("preset", ["artistic", "stable"])
def test_no_checkers_at_the_start(preset):
    """All five pixel shuffles give squares of one value, which the others blur only afterwards."""
    model, image = small(preset=preset), pictures()
    shuffles = layers_of(model.decoder, PixelShuffle)
    assert len(shuffles) == 5 and len(layers_of(model.decoder, Blur)) == 4
    network = keras.Model(model.decoder.input, [x.output for x in shuffles])
    for found in network([image, *model.encoder(image)]):
        x = found.numpy()
        for i, j in ((0, 1), (1, 0), (1, 1)):
            np.testing.assert_array_equal(x[:, i::2, j::2], x[:, ::2, ::2])
        assert x[:, ::2, ::2].std() > 1e-3


def test_the_last_shuffle_begins_as_a_plain_convolution():
    """Weight normalization: the numbers of `he` have a length of about sqrt(2)."""
    model = small(width=64)
    (layer,) = [x for x in model.decoder.layers if type(x).__name__ == "WeightNorm"]
    length = np.linalg.norm(layer.kernel.numpy()[0, 0], axis=0)
    assert np.mean(length) == pytest.approx(2**0.5, rel=0.02)
    np.testing.assert_allclose(layer.gain, 2**0.5, rtol=1e-6)


def test_blur_repeats_the_first_row_and_column():
    x = np.random.RandomState(0).randn(2, 4, 5, 3).astype("float32")
    wide = np.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]], "edge")
    expected = (wide[:, 1:, 1:] + wide[:, :-1, 1:] + wide[:, 1:, :-1] + wide[:, :-1, :-1]) / 4
    np.testing.assert_allclose(Blur()(x), expected, atol=1e-6)


def following(layer):
    return [node.operation for node in layer._outbound_nodes]


def test_order_of_the_decoder():
    """Convolution, ReLU, normalization; in front of a shuffle convolution, normalization, ReLU."""
    model = small()
    norms = keras.layers.BatchNormalization
    sizes = {"up": 0, "plain": 0}
    for layer in layers_of(model.decoder, SpectralNorm):
        if layer.layer.use_bias:  # the last block, which has no normalization
            continue
        (first,) = following(layer)
        (second,) = following(first)
        up = layer.layer.kernel_size == (1, 1)
        first, second = (second, first) if up else (first, second)
        assert isinstance(first, keras.layers.ReLU) and isinstance(second, norms)
        sizes["up" if up else "plain"] += 1
    assert sizes == {"up": 4, "plain": 2 + 8}
    shifts = {float(x.beta[0]) for x in layers_of(model.decoder, norms)}
    assert shifts == {0.0, np.float32(1e-3)}  # fastai's for maps of the encoder
    for x in layers_of(model.decoder, norms) + layers_of(model.encoder, norms):
        assert (x.momentum, x.epsilon) == (0.9, 1e-5)


def test_a_bottleneck_halves_in_its_second_convolution():
    network = nogan.build_encoder(4, (1, 1, 1, 1), bottleneck=True)
    found = [
        x.kernel_size for x in layers_of(network, keras.layers.Conv2D) if x.strides == (2, 2)
    ]
    assert found == [(7, 7), (3, 3), (3, 3), (3, 3)]


def test_the_attention_begins_as_the_identity():
    model = small()
    for network in (model.decoder, model.discriminator):
        (layer,) = layers_of(network, SelfAttention)
        assert not layer.pooled
        x = tf.random.normal([1, 4, 4, layer.output.shape[-1]])
        np.testing.assert_array_equal(layer(x), x)


def test_the_answer_has_a_range_and_sees_the_image_itself():
    model, x = small(), pictures()
    wild = 1e4 * x
    found = model.answer(wild).numpy()
    assert np.abs(found).max() <= 3.0 and found.std() > 1.0
    maps = model.encoder(x)
    first, second = (model.decoder([image, *maps]) for image in (x, -x))
    assert np.abs(first - second).max() > 1e-3


def test_units_of_imagenet():
    x = pictures()
    own = nogan.standardized(keras.Input([None, None, 3]))
    network = keras.Model(own._keras_history.operation.input, own)
    wanted = ((x + 1) / 2 - np.array(MEAN)) / np.array(DEVIATION)
    np.testing.assert_allclose(network(x), wanted, atol=1e-5)
    np.testing.assert_allclose(shown(network(x)), x, atol=1e-5)


def planted(score, found=None):
    """A model whose critic gives one score, and whose answer is given."""
    model = small(feature_weight=3.0)
    model.discriminator = lambda image, training: tf.fill([len(image), 2, 2, 1], score)
    if found is not None:
        model.answer = lambda image, **phase: found
    return model


def test_the_perceptual_loss():
    """The mean absolute error in ImageNet's units, and 20, 70 and 10 for the three layers."""
    found, target = tf.zeros([2, 32, 32, 3]), pictures(seed=1)
    model, seen = planted(0.0, found), []

    def look(image):
        seen.append(image)
        return [tf.reduce_mean(image) * tf.ones([3]) * k for k in (1.0, 2.0, 4.0)]

    model.look = look
    terms = model.generator_loss(None, target)
    own = ((target + 1) / 2 - np.array(MEAN)) / np.array(DEVIATION)
    assert float(terms["pixels"]) == pytest.approx(np.mean(np.abs(own)), rel=1e-5)
    np.testing.assert_allclose(seen[0], shown(found))
    np.testing.assert_array_equal(seen[1], target)
    apart = abs(np.mean(shown(found)) - np.mean(target))
    assert float(terms["features"]) == pytest.approx(200.0 * apart, rel=1e-4)
    same = model.distance(tf.cast(own, "float32"), target)
    assert float(same["pixels"]) < 1e-6 and float(same["features"]) < 1e-3
    assert nogan.LAYERS == ("block3_conv3", "block4_conv3", "block5_conv3")


def test_losses_of_an_undecided_critic():
    """ln 2 for the critic, halved as in the code; ln 2 and the weighted distance for the decoder."""
    model, target = planted(0.0, tf.zeros([2, 32, 32, 3])), pictures(seed=1)
    for loss in (model.critic_loss, model.discriminator_loss):
        terms = loss(pictures(), target)
        assert float(terms["real"] + terms["fake"]) == pytest.approx(0.693147, abs=1e-6)
    alone, terms = model.generator_loss(None, target), model.decoder_loss(pictures(), target)
    assert float(terms["fake"]) == pytest.approx(0.693147, abs=1e-6)
    for name in ("pixels", "features"):
        assert float(terms[name]) == pytest.approx(3.0 * float(alone[name]), rel=1e-5)
    assert set(terms) == {"pixels", "features", "fake"}


def test_signs_of_the_scores():
    model, target = planted(3.0, tf.zeros([2, 32, 32, 3])), pictures(seed=1)
    low, high = np.log1p(np.exp(-3.0)), np.log1p(np.exp(3.0))
    d, g = model.discriminator_loss(None, target), model.decoder_loss(None, target)
    assert float(d["real"]) == pytest.approx(low / 2, rel=1e-5)
    assert float(d["fake"]) == pytest.approx(high / 2, rel=1e-5)
    assert float(g["fake"]) == pytest.approx(low, rel=1e-5)


@pytest.mark.parametrize("loss, expected", [(0.693147, 0), (0.66, 0), (0.5, 25), (0.64, 25)])
def test_the_switch(loss, expected):
    """The decoder waits for a critic below 0.65, and then moves once: 25 of 50 steps, or none."""
    model, moved = small(), []

    def update(player, *arguments):
        moved.append(player)
        return {f"{player}/real": tf.constant(loss / 2), f"{player}/fake": tf.constant(loss / 2)}

    model.update = update
    model.now = sum(model.stage_steps)
    for _ in range(50):
        model.chosen = model.choice()
        model.train_step(batch())
    assert moved.count("decoder") == expected and len(moved) == 50
    assert moved[:2] == (["discriminator", "decoder"] if expected else ["discriminator"] * 2)


def test_the_switch_in_a_training():
    model = small(switch_below=100.0, pretrain_steps=1, critic_steps=1)
    played = []
    for _ in range(6):
        before = {player: int(o.iterations) for player, o in model.optimizers.items()}
        model.train_on_batch(batch())
        played += [p for p, o in model.optimizers.items() if int(o.iterations) > before[p]]
    assert played == ["generator", "critic", *["discriminator", "decoder"] * 2]
    with_strict = small(switch_below=0.0, pretrain_steps=1, critic_steps=1)
    for _ in range(5):
        with_strict.train_on_batch(batch())
    assert int(with_strict.optimizers["decoder"].iterations) == 0


def test_phases_move_their_networks_only():
    """All variables count, statistics and vectors of power iterations too."""
    model = small(switch_below=100.0, pretrain_steps=1, critic_steps=1)
    networks = {name: getattr(model, name) for name in ("encoder", "decoder", "discriminator")}
    found = []
    for _ in range(4):
        before = {name: x.get_weights() for name, x in networks.items()}
        model.train_on_batch(batch())
        found.append(
            {
                name
                for name, x in networks.items()
                if any((a != b).any() for a, b in zip(before[name], x.get_weights(), strict=True))
            }
        )
    assert found[0] == {"encoder", "decoder"}  # phase 1
    assert found[1] == {"discriminator"}  # phase 2
    # Phase 3: the networks of both players run in training, the encoder never.
    for moves in found[2:]:
        assert moves <= {"decoder", "discriminator"}
    values = [w.numpy() for w in model.weights_of("decoder")]
    model.train_on_batch(batch())  # the critic's turn: the decoder's trained weights stay
    for old, new in zip(values, model.weights_of("decoder"), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_generator_of_phase_1_is_kept():
    model = small(switch_below=100.0)
    for _ in range(2):
        model.train_on_batch(batch())
    model.settle()
    end = model.restore(batch()["input"])
    np.testing.assert_array_equal(model.restore_alone(batch()["input"]), end)
    for _ in range(5):
        model.train_on_batch(batch())
    model.settle()
    np.testing.assert_array_equal(model.restore_alone(batch()["input"]), end)
    assert np.abs(model.restore(batch()["input"]) - end).max() > 1e-6


def test_phases_can_be_repeated():
    model = small(pretrain_steps=3, critic_steps=2, game_steps=4, repeats=3)
    assert tuple(model.stage_steps) == (3, 2, 4, 2, 4, 2)
    model.last.assign(0.1)
    model.stage_begins(3)
    model.now = 3 + 2 + 4 + 2
    assert model.stage == 4 and model.choice() == "discriminator"
    model.last.assign(0.1)
    assert model.choice() == "decoder"
    model.now = 3  # phase 2 knows no switch
    assert model.choice() == "discriminator"


@pytest.mark.parametrize(
    "preset, rate, weight", [("artistic", 1e-5, 2.0), ("stable", 2e-5, 1.5), ("video", 5e-6, 1.5)]
)
def test_optimizers_of_the_notebooks(preset, rate, weight):
    """Phase 3 has no momentum, and a critic five times as fast."""
    model = small(preset=preset)
    found = model.default_optimizers()
    for player, factor in (("decoder", 1), ("discriminator", 5)):
        adam = found[player]
        assert (adam.beta_1, adam.beta_2, adam.weight_decay) == (0.0, 0.9, 1e-3)
        assert float(adam.learning_rate) == pytest.approx(factor * rate)
    for player in ("generator", "critic"):
        adam = found[player]
        assert (adam.beta_1, adam.beta_2, adam.weight_decay) == (0.9, 0.99, 1e-3)
    adam = NoGAN.default_optimizers(_Lengths(preset))["generator"]
    schedule = keras.saving.deserialize_keras_object(adam.get_config()["learning_rate"])
    rates = [float(schedule(step)) for step in (0, 1000, 10_000)]
    assert rates == pytest.approx([4e-5, 1e-3, 0.0], abs=1e-8)
    target = pictures(seed=1)
    model.discriminator = lambda image, training: tf.zeros([len(image), 2, 2, 1])
    model.answer = lambda image, **phase: tf.zeros([2, 32, 32, 3])
    ratio = model.decoder_loss(None, target)["pixels"] / model.generator_loss(None, target)["pixels"]
    assert float(ratio) == pytest.approx(weight, rel=1e-5)


class _Lengths:
    def __init__(self, preset):
        self.preset, self.pretrain_steps, self.critic_steps, self.repeats = preset, 10_000, 10, 1


def test_the_critic_drops_whole_maps():
    with without_numbers():
        critic = nogan.build_critic()
    drops = layers_of(critic, Dropout)
    assert [x.rate for x in drops] == [0.075, 0.15, 0.15, 0.15]
    assert all(x.whole_maps for x in drops)
    found = [
        (x.layer.filters, x.layer.kernel_size[0], x.layer.strides[0])
        for x in layers_of(critic, SpectralNorm)
    ]
    assert found == [
        (256, 4, 2),
        (256, 3, 1),
        (512, 4, 2),
        (512, 3, 1),
        (1024, 4, 2),
        (1024, 3, 1),
        (2048, 4, 2),
        (2048, 3, 1),
        (1, 4, 1),
    ]


def test_any_size_is_restored():
    """Edges are repeated up to a multiple of 32, and cut off again."""
    model, x = small(damage="noise"), pictures(64)[:, :37, :50]
    wide = np.pad(x, [[0, 0], [0, 27], [0, 14], [0, 0]], "edge")
    np.testing.assert_array_equal(enlarged_by_edges(x, 32), wide)
    expected = np.clip(shown(model.answer(tf.constant(wide))), -1, 1)[:, :37, :50]
    np.testing.assert_allclose(model.restore(x), expected, atol=1e-6)
    assert model.restore(tf.zeros([1, 3, 70, 3])).shape == (1, 3, 70, 3)
    assert model.endpoints().keys() == {"serving_default", "restore", "restore_alone"}


def test_a_model_that_colors():
    """It takes the luma of a colored image; `colorize` gives the image's own luma back."""
    model, x = small(), 0.3 * pictures()
    np.testing.assert_allclose(model.restore(x), model.restore(luma(x)), atol=1e-5)
    found = model.colorize(x)
    inside = (np.abs(found) < 1.0).all(axis=-1)  # nothing was clipped
    assert inside.mean() > 0.5
    apart = np.abs(luma(found) - luma(x))[..., 0]
    assert apart[inside].max() < 1e-5
    assert np.std(found - luma(found)) > 1e-3
    assert "colorize" in model.endpoints()
    other = small(damage="jpeg")
    assert np.abs(other.restore(x) - other.restore(luma(x))).max() > 1e-4
    assert model.degradations == ("gray",) and other.degradations == ("jpeg",)


def test_the_preview_is_damaged_phase_1_phase_3_and_target():
    model, given = small(), batch()
    table = model.preview({key: value.numpy() for key, value in given.items()})
    x, target = given["input"], given["target"]
    for column, expected in enumerate((x, model.restore_alone(x), model.restore(x), target)):
        np.testing.assert_array_equal(table[:, column], expected)


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="No preset of NoGAN named 'artist'. Did you mean 'artist"):
        small(preset="artist")
    with pytest.raises(BadInput, match="No damage that NoGAN undoes named 'blur'"):
        small(damage="blur")
    with pytest.raises(BadInput, match="RGB images, not on 1 channels"):
        small(image_shape=(32, 32, 1))
    with pytest.raises(BadInput, match="multiples of 32, not 40x64"):
        small(image_shape=(40, 64, 3))
    with pytest.raises(BadInput, match="at least 64 pixels, not 32x32"):
        small(critic_blocks=3)
    with pytest.raises(BadInput, match="model.blocks takes 4 numbers, not 3"):
        small(blocks=(1, 1, 1))
