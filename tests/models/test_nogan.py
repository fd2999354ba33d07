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
from tfgans.models.nogan import Blur, NoGAN, luma, shown
from tfgans.ops.resample import extended

CONTRACT = {
    # The encoder's gradients are ill-conditioned at this size: weights that differ by one part in
    # 10^7 have gradients that differ by one in 10^3. So phase 1 is left out.
    "like_one_device": {"pretrain_steps": 0},
    "rate": 2e-4,
    "served": ["encoder", "decoder", "decoder_alone"],
    "answer": [8, 8, 3],
}
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


SMALL = {
    "image_shape": (32, 32, 3),
    "width": 4,
    "blocks": (1, 1, 1, 1),
    "critic_width": 4,
    "critic_blocks": 2,
    "pretrain_steps": 1,
    "critic_steps": 1,
    "switch_below": 0.65,
}


@pytest.fixture(scope="module")
def model():
    """One for all tests that do not train it."""
    keras.utils.set_random_seed(0)
    model = NoGAN(**SMALL)
    model.look.load()
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
    assert nogan.PRESETS["video"][:4] == nogan.PRESETS["stable"][:4]  # the same networks
    assert models.get("deoldify") is NoGAN


def test_sizes_of_the_maps(model):
    image = tf.zeros([1, 32, 64, 3])
    maps = model.encoder(image)
    assert [x.shape[1:3] for x in maps] == [(16, 32), (8, 16), (4, 8), (2, 4), (1, 2)]
    (attention,) = layers_of(model.decoder, SelfAttention)
    network = keras.Model(model.decoder.input, [attention.output, model.decoder.output])
    seen, found = network([image, *maps])
    assert seen.shape[1:3] == (4, 8) and found.shape == image.shape  # an eighth, and all
    assert model.discriminator(image).shape == (1, 1, 5, 1)


@pytest.mark.parametrize("deep", [True, False])
def test_no_checkers_at_the_start(deep):
    """All five pixel shuffles give squares of one value, which the others blur only afterwards."""
    encoder = nogan.build_encoder(4, (1, 1, 1, 1), bottleneck=not deep)
    decoder, image = nogan.build_decoder(encoder, 4, deep), pictures()
    shuffles = layers_of(decoder, PixelShuffle)
    assert len(shuffles) == 5 and len(layers_of(decoder, Blur)) == 4
    network = keras.Model(decoder.input, [x.output for x in shuffles])
    for found in network([image, *encoder(image)]):
        x = found.numpy()
        for i, j in ((0, 1), (1, 0), (1, 1)):
            np.testing.assert_array_equal(x[:, i::2, j::2], x[:, ::2, ::2])
        assert x[:, ::2, ::2].std() > 1e-3


def test_the_last_shuffle_begins_as_a_plain_convolution(model):
    """Weight normalization: the numbers of `he` have a length of about sqrt(2)."""
    (layer,) = [x for x in model.decoder.layers if type(x).__name__ == "WeightNorm"]
    length = np.linalg.norm(layer.kernel.numpy()[0, 0], axis=0)
    assert np.mean(length) == pytest.approx(2**0.5, rel=0.15)
    np.testing.assert_allclose(layer.gain, 2**0.5, rtol=1e-6)


def test_blur_repeats_the_first_row_and_column():
    x = np.random.RandomState(0).randn(2, 4, 5, 3).astype("float32")
    wide = np.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]], "edge")
    expected = (wide[:, 1:, 1:] + wide[:, :-1, 1:] + wide[:, 1:, :-1] + wide[:, :-1, :-1]) / 4
    np.testing.assert_allclose(Blur()(x), expected, atol=1e-6)


def following(layer):
    return [node.operation for node in layer._outbound_nodes]


def test_order_of_the_decoder(model):
    """Convolution, ReLU, normalization; in front of a shuffle convolution, normalization, ReLU."""
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
    found = [x.kernel_size for x in layers_of(network, keras.layers.Conv2D) if x.strides == (2, 2)]
    assert found == [(7, 7), (3, 3), (3, 3), (3, 3)]


def test_the_attention_begins_as_the_identity(model):
    for network in (model.decoder, model.discriminator):
        (layer,) = layers_of(network, SelfAttention)
        assert not layer.pooled
        x = tf.random.normal([1, 4, 4, layer.output.shape[-1]])
        np.testing.assert_array_equal(layer(x), x)


def test_the_answer_has_a_range_and_sees_the_image_itself(model):
    x = pictures()
    maps = model.encoder(x)
    found, other, wild = (model.decoder([image, *maps]) for image in (x, -x, 1e5 * x))
    assert np.abs(found - other).max() > 1e-3
    assert 2.0 < np.abs(wild).max() <= 3.0


def test_units_of_imagenet():
    x = pictures()
    own = nogan.standardized(keras.Input([None, None, 3]))
    network = keras.Model(own._keras_history.operation.input, own)
    wanted = ((x + 1) / 2 - np.array(MEAN)) / np.array(DEVIATION)
    np.testing.assert_allclose(network(x), wanted, atol=1e-5)
    np.testing.assert_allclose(shown(network(x)), x, atol=1e-5)


@pytest.fixture
def planted(model, monkeypatch):
    """The model with a critic of one score, whose answers are black in ImageNet's units."""

    def planted(score, **settings):
        answer, scores = tf.zeros([2, 32, 32, 3]), tf.fill([2, 2, 2, 1], score)
        monkeypatch.setattr(model, "discriminator", lambda x, training: scores)
        monkeypatch.setattr(model, "answer", lambda image, **phase: answer)
        for name, value in settings.items():
            monkeypatch.setattr(model, name, value)
        return model

    return planted


def test_the_perceptual_loss(planted):
    """The mean absolute error in ImageNet's units, and 20, 70 and 10 for the three layers."""
    found, target, seen = tf.zeros([2, 32, 32, 3]), pictures(seed=1), []

    def look(image):
        seen.append(image)
        return [k * tf.reduce_mean(image)[None] for k in (1.0, 2.0, 4.0)]

    model = planted(0.0, look=look)
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


def test_gram_matrices_as_in_decrappify(planted):
    """5000 w^2 times the mean |difference| of sums over places of x_c x_d / (C H W), each layer."""
    target, layers = pictures(seed=1), {}

    def look(image):
        layers[image is target] = [image[..., :2], 3.0 * image[:, ::2, ::2], image[:, :1]]
        return layers[image is target]

    model = planted(0.0, look=look, layer_weights=(5.0, 15.0, 2.0))
    assert set(model.generator_loss(None, target)) == {"pixels", "features"}
    model = planted(0.0, look=look, gram_weight=5000.0, feature_weight=4.0)
    term, expected = float(model.generator_loss(None, target)["gram"]), 0.0
    for weight, a, b in zip((5, 15, 2), layers[False], layers[True], strict=True):
        flat = [np.reshape(x, [2, -1, x.shape[-1]]) for x in (a, b)]
        a, b = (x.transpose(0, 2, 1) @ x / (x.shape[1] * x.shape[2]) for x in flat)
        expected += 5000 * weight**2 * np.mean(np.abs(a - b))
    assert term == pytest.approx(expected, rel=1e-4)
    game = model.decoder_loss(pictures(), target)
    assert float(game["gram"]) == pytest.approx(4 * expected, rel=1e-4)


def test_losses_of_an_undecided_critic(planted):
    """Twice half of ln 2 for the critic; ln 2 and the weighted distance for the decoder."""
    model, target = planted(0.0, feature_weight=3.0), pictures(seed=1)
    for loss in (model.critic_loss, model.discriminator_loss):
        terms = loss(pictures(), target)
        assert float(terms["real"] + terms["fake"]) == pytest.approx(0.693147, abs=1e-6)
    alone, terms = model.generator_loss(None, target), model.decoder_loss(pictures(), target)
    assert float(terms["fake"]) == pytest.approx(0.693147, abs=1e-6)
    for name in ("pixels", "features"):
        assert float(terms[name]) == pytest.approx(3.0 * float(alone[name]), rel=1e-5)
    assert set(terms) == {"pixels", "features", "fake"}


def test_signs_of_the_scores(planted):
    model, target = planted(3.0), pictures(seed=1)
    low, high = np.log1p(np.exp(-3.0)), np.log1p(np.exp(3.0))
    d, g = model.discriminator_loss(None, target), model.decoder_loss(None, target)
    assert float(d["real"]) == pytest.approx(low / 2, rel=1e-5)
    assert float(d["fake"]) == pytest.approx(high / 2, rel=1e-5)
    assert float(g["fake"]) == pytest.approx(low, rel=1e-5)


@pytest.mark.parametrize("loss, expected", [(0.693147, 0), (0.66, 0), (0.5, 25), (0.64, 25)])
def test_the_switch(model, monkeypatch, loss, expected):
    """The decoder waits for a critic below 0.65, and then moves once: 25 of 50 steps, or none."""
    moved = []

    def update(player, *arguments):
        moved.append(player)
        return {f"{player}/real": tf.constant(loss / 2), f"{player}/fake": tf.constant(loss / 2)}

    monkeypatch.setattr(model, "update", update)
    monkeypatch.setattr(model, "now", sum(model.stage_steps))
    model.stage_begins(2)
    for _ in range(50):
        model.chosen = model.choice()
        model.train_step({"input": None, "target": None})
    assert moved.count("decoder") == expected and len(moved) == 50
    assert moved[:2] == (["discriminator", "decoder"] if expected else ["discriminator"] * 2)


def test_phases_move_their_networks_only():
    """All variables count, statistics and vectors of power iterations too."""
    model = NoGAN(**SMALL | {"switch_below": 100.0})
    model.compile(run_eagerly=True)
    names = ("encoder", "decoder", "discriminator", "decoder_alone")
    networks = {name: getattr(model, name) for name in names}
    played, changed, trained = [], [], []
    for _ in range(5):
        moves = {player: int(o.iterations) for player, o in model.optimizers.items()}
        weights = {name: x.get_weights() for name, x in networks.items()}
        own = [w.numpy() for w in model.weights_of("decoder")]
        model.train_on_batch(batch())
        model.settle()
        played += [p for p, o in model.optimizers.items() if int(o.iterations) > moves[p]]
        changed.append(
            {
                name
                for name, x in networks.items()
                if any((a != b).any() for a, b in zip(weights[name], x.get_weights(), strict=True))
            }
        )
        pairs = zip(own, model.weights_of("decoder"), strict=True)
        trained.append(any((a != b.numpy()).any() for a, b in pairs))
    assert played == ["generator", "critic", "discriminator", "decoder", "discriminator"]
    assert changed[0] == {"encoder", "decoder", "decoder_alone"}  # phase 1 and its copy
    assert changed[1] == {"discriminator"}  # phase 2
    # Phase 3: both players' networks run in training, the encoder's statistics stay.
    assert changed[2:] == [{"decoder", "discriminator"}] * 3
    assert trained == [True, False, False, True, False]
    alone, played = (f(batch()["input"]) for f in (model.restore_alone, model.restore))
    assert np.abs(alone - played).max() > 1e-6


def test_phases_can_be_repeated(model, monkeypatch):
    lengths = {"pretrain_steps": 3, "critic_steps": 2, "game_steps": 4, "repeats": 3}
    with without_numbers():
        steps = tuple(NoGAN(**SMALL | lengths).stage_steps)
    assert steps == (3, 2, 4, 2, 4, 2)
    monkeypatch.setattr(model, "stage_steps", steps)
    model.last.assign(0.1)
    monkeypatch.setattr(model, "now", 3)
    assert model.choice() == "discriminator"  # phase 2 knows no switch
    monkeypatch.setattr(model, "now", 3 + 2 + 4 + 2)
    assert model.stage == 4 and model.choice() == "decoder"
    model.stage_begins(4)
    assert model.choice() == "discriminator"


@pytest.mark.parametrize(
    "preset, rate, weight", [("artistic", 1e-5, 2.0), ("stable", 2e-5, 1.5), ("video", 5e-6, 1.5)]
)
def test_optimizers_of_the_notebooks(planted, preset, rate, weight):
    """Phase 3 has no momentum, and a critic five times as fast."""
    found = NoGAN.default_optimizers(_Lengths(preset))
    for player, factor in (("decoder", 1), ("discriminator", 5)):
        adam = found[player]
        assert (adam.beta_1, adam.beta_2, adam.weight_decay) == (0.0, 0.9, 1e-3)
        assert float(adam.learning_rate) == pytest.approx(factor * rate)
    for player in ("generator", "critic"):
        adam = found[player]
        assert (adam.beta_1, adam.beta_2, adam.weight_decay) == (0.9, 0.99, 1e-3)
    schedule = found["generator"].get_config()["learning_rate"]
    schedule = keras.saving.deserialize_keras_object(schedule)
    rates = [float(schedule(step)) for step in (0, 1000, 10_000)]
    assert rates == pytest.approx([4e-5, 1e-3, 0.0], abs=1e-8)
    model, target = planted(0.0, preset=preset), pictures(seed=1)
    alone, game = model.generator_loss(None, target), model.decoder_loss(None, target)
    assert float(game["pixels"] / alone["pixels"]) == pytest.approx(weight, rel=1e-5)


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


def test_any_size_is_restored(model, monkeypatch):
    """Edges are repeated up to a multiple of 32, and cut off again."""
    monkeypatch.setattr(model, "damage", "noise")
    x = pictures(35)[:, :3]
    wide = np.pad(x, [[0, 0], [0, 29], [0, 29], [0, 0]], "edge")
    np.testing.assert_array_equal(extended(x, 32), wide)
    expected = np.clip(shown(model.answer(tf.constant(wide))), -1, 1)[:, :3, :35]
    np.testing.assert_allclose(model.restore(x), expected, atol=1e-6)
    assert model.endpoints().keys() == {"serving_default", "restore", "restore_alone"}


def test_a_model_that_colors(model, monkeypatch):
    """It takes the luma of a colored image; `colorize` gives the image's own luma back."""
    x = 0.3 * pictures()
    restored = model.restore(x)
    np.testing.assert_allclose(restored, model.restore(luma(x)), atol=1e-5)
    found = model.colorize(x)
    inside = (np.abs(found) < 1.0).all(axis=-1)  # nothing was clipped
    assert inside.mean() > 0.5
    apart = np.abs(luma(found) - luma(x))[..., 0]
    assert apart[inside].max() < 1e-5
    assert np.std(found - luma(found)) > 1e-3
    assert "colorize" in model.endpoints() and model.degradations == ("gray",)
    monkeypatch.setattr(model, "damage", "jpeg")
    assert np.abs(model.restore(x) - restored).max() > 1e-4
    assert model.degradations == ("jpeg",)


def test_the_preview_is_damaged_phase_1_phase_3_and_target(model):
    given = batch()
    table = model.preview({key: value.numpy() for key, value in given.items()})
    x, target = given["input"], given["target"]
    for column, expected in enumerate((x, model.restore_alone(x), model.restore(x), target)):
        np.testing.assert_array_equal(table[:, column], expected)


def test_settings_that_do_not_fit():
    def small(**settings):
        NoGAN(**SMALL | settings)

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
