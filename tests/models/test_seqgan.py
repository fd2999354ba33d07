"""SeqGAN: the policy gradient against enumeration, the roll-outs, the oracle, the stages."""

import itertools
import math
import pathlib
import runpy
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import callbacks, random
from tfgans.data.tokens import Oracle, to_text
from tfgans.errors import BadInput
from tfgans.models import seqgan
from tfgans.models.seqgan import ClippedAdam, RecurrentPolicy, SeqGAN

CONTRACT = {
    "replace_score": lambda tokens, logits, score: tf.concat([-score, score], axis=1),
    "policies": ["generator"],
    "like_one_device": {"mle_steps": 0, "discriminator_steps": 0, "generator_every": 1},
}

SAMPLE = pathlib.Path(__file__).parent.parent.parent / "tools" / "sample.py"
SMALL = {
    "vocabulary_size": 5, "length": 4, "width": 8, "discriminator_width": 4,
    "filter_widths": (1, 2), "filters": (3, 3),
}  # fmt: skip


def small(**settings):
    return SeqGAN(**SMALL | settings)


def spread_out(model, scale=1.0):
    """Gives G weights of an oracle's size, so that its distribution is far from uniform."""
    draws = np.random.RandomState(1)
    model.generator.set_weights([scale * draws.randn(*w.shape) for w in model.generator.weights])


def opinion(weights):
    """A discriminator that says p(real) = sigmoid(sum of weights[t, token t])."""

    def scores(tokens, training):
        t = tf.range(tokens.shape[1])[tf.newaxis] + tf.zeros_like(tokens)
        score = tf.reduce_sum(tf.gather_nd(weights, tf.stack([t, tokens], axis=2)), axis=1)
        return tf.stack([tf.zeros_like(score), score], axis=1)

    return scores


@pytest.fixture
def enumerated():
    """A model of 3 tokens and length 3, all 27 sequences, their p under G, and D's opinion."""
    model = small(vocabulary_size=3, length=3)
    spread_out(model)
    model.discriminator = opinion(tf.constant(np.random.RandomState(2).randn(3, 3), "float32"))
    sequences = np.array(list(itertools.product(range(3), repeat=3)), "int32")
    p = np.exp(-model.nll(tf.constant(sequences)).numpy())  # of each token, [27, 3]
    return model, sequences, p, model.real_probability(tf.constant(sequences)).numpy()


def action_values(sequences, p, opinions):
    """Q of each token: the mean opinion of all sequences that begin like this, [27, T]."""
    values = np.empty(sequences.shape)
    for t in range(sequences.shape[1]):
        for row, sequence in enumerate(sequences):
            same = (sequences[:, : t + 1] == sequence[: t + 1]).all(axis=1)
            values[row, t] = np.average(opinions[same], weights=p[same].prod(axis=1))
    return values


def test_policy_gradient_is_the_gradient_of_the_expected_opinion(enumerated):
    """E of the sum over t of Q_t grad log G(y_t | ..) is the gradient of E D(Y)."""
    model, sequences, p, opinions = enumerated
    tokens = tf.constant(sequences)
    assert p.prod(axis=1).sum() == pytest.approx(1.0, abs=1e-5)
    weights = [w.value for w in model.generator.weights]
    rewards = p.prod(axis=1, keepdims=True) * action_values(sequences, p, opinions)
    with tf.GradientTape() as tape:
        loss = model.generator_loss(tokens, tf.constant(rewards, "float32"))["policy"]
    found = tape.gradient(loss, weights)
    with tf.GradientTape() as tape:
        expected = tf.reduce_sum(tf.exp(-tf.reduce_sum(model.nll(tokens), axis=1)) * opinions)
    wanted = tape.gradient(expected, weights)
    for a, b in zip(found, wanted, strict=True):
        a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
        np.testing.assert_allclose(a, -b, atol=2e-6)
        assert np.abs(b).max() > 1e-4


def test_rollouts_estimate_the_action_values_without_bias(enumerated):
    model, sequences, p, opinions = enumerated
    model.rollouts = 4
    with random.scope(3):
        copies = model.rewards(tf.constant(np.tile(sequences, [1000, 1])))
    found = copies.numpy().reshape(1000, 27, 3).mean(axis=0, dtype="float64")
    values = action_values(sequences, p, opinions)
    assert np.ptp(values[:, 0]) > 0.05
    np.testing.assert_allclose(found[:, -1], opinions, atol=1e-6)  # the sequence itself
    error = found[:, :-1] - values[:, :-1]
    assert np.abs(error).max() < 4 * opinions.std() / 4000**0.5 and abs(error.mean()) < 3e-3


def test_sampling_follows_the_distribution(enumerated):
    model, sequences, p, _ = enumerated
    drawn = model.sample(20_000, seed=0).numpy()
    counts = np.bincount(drawn @ [9, 3, 1], minlength=27)
    expected = 20_000 * p.prod(axis=1)
    assert ((counts - expected) ** 2 / np.maximum(expected, 1e-9)).sum() < 55  # 26 degrees: p 0.001


def test_constant_opinion():
    """Rewards of 0.5, and for a uniform G a loss of 0.5 * 12 * ln 5: a sum, not a mean."""
    model = small()
    model.discriminator = lambda tokens, training: tf.zeros([len(tokens), 2])
    model.generator.set_weights([0 * w.numpy() for w in model.generator.weights])
    tokens = tf.constant(np.random.RandomState(0).randint(0, 5, [3, 4]))
    with random.scope(0):
        rewards = model.rewards(tf.cast(tokens, "int32"))
    np.testing.assert_allclose(rewards, np.full([3, 4], 0.5))
    loss = model.generator_loss(tokens, rewards)["policy"]
    assert float(loss) == pytest.approx(9.657, abs=1e-3)


def test_completion_keeps_the_prefix():
    model = small(vocabulary_size=50, length=6)
    tokens = tf.constant(np.random.RandomState(0).randint(0, 50, [8, 6]), "int32")
    with random.scope(0):
        first, second = model.latents(8), model.latents(8)
    for k in range(1, 6):
        kept = tf.fill([8], k)
        a, b = (model.generator.complete(tokens, kept, u).numpy() for u in (first, second))
        np.testing.assert_array_equal(a[:, :k], tokens[:, :k])
        np.testing.assert_array_equal(b[:, :k], tokens[:, :k])
        assert (a[:, k:] != b[:, k:]).mean() > 0.8
    # The state after a given prefix is the one after the same tokens drawn.
    drawn = model.generator.sample(first)
    again = model.generator.complete(drawn, tf.fill([8], 3), first)
    np.testing.assert_array_equal(drawn, again)


def test_all_beginnings_at_once_are_completed_as_each_by_itself():
    model = small(vocabulary_size=50, length=6)
    spread_out(model, 0.5)
    with random.scope(0):
        tokens, u = model(model.latents(8)), random.uniform([8, 5, 6])
    found = model.generator.complete_all(tokens, u).numpy()
    for k in range(1, 6):
        alone = model.generator.complete(tokens, tf.fill([8], k), u[:, k - 1])
        np.testing.assert_array_equal(found[:, k - 1], alone)
    assert (found[:, 0] != tokens.numpy()).mean() > 0.5


def test_each_prefix_has_rollouts_of_its_own():
    """D sees, for each roll-out, one completion of each of the T - 1 prefixes of each sequence."""
    model = small(vocabulary_size=50, rollouts=3)
    seen = []

    def recorded(tokens, training):
        assert training is False  # no dropout in rewards
        seen.append(tokens.numpy())
        return tf.zeros([len(tokens), 2])

    model.discriminator = recorded
    tokens = model.sample(2, seed=0)
    with random.scope(0):
        model.rewards(tokens)
    *rollouts, whole = seen
    assert [x.shape for x in rollouts] == [(2 * 3, 4)] * 3
    np.testing.assert_array_equal(whole, tokens)
    for found in rollouts:
        for row, k in zip(found.reshape(2, 3, 4).swapaxes(0, 1), (1, 2, 3), strict=True):
            np.testing.assert_array_equal(row[:, :k], tokens[:, :k])
    assert not np.array_equal(rollouts[0], rollouts[1])


def test_generator_finds_the_token_that_is_rewarded():
    """D = share of token 7: its frequency goes from 0.02 to above 0.95 within 50 steps."""
    model = SeqGAN(vocabulary_size=50, length=8, rollouts=4)
    model.compile()

    def share(tokens, training):
        share = tf.reduce_mean(tf.cast(tokens == 7, "float32"), axis=1)
        return tf.math.log(tf.stack([1.0 - share, share], axis=1) + 1e-20)

    model.discriminator = share

    @tf.function
    def step(seed):
        with random.scope(seed):
            fake = model(model.latents(64))
            rewards = model.rewards(fake)
            model.update("generator", model.generator_loss, fake, rewards)
        return tf.reduce_mean(tf.cast(fake == 7, "float32"))

    shares = [float(step(tf.constant(seed))) for seed in range(50)]
    assert shares[0] < 0.05 and shares[-1] > 0.95


def test_clipping_is_by_the_norm_of_all_gradients():
    a, b = keras.Variable([0.0, 0.0]), keras.Variable([0.0])
    optimizer = ClippedAdam(0.01, norm=5.0)
    optimizer.build([a, b])
    optimizer.apply([tf.constant([30.0, 0.0]), tf.constant([40.0])], [a, b])
    moments = [0.1 * 3.0, 0.0, 0.1 * 4.0]  # norm 50 became 5
    found = np.concatenate([m.numpy() for m in optimizer._momentums])
    np.testing.assert_allclose(found, moments, rtol=1e-5)
    optimizer.apply([tf.constant([3.0, 0.0]), tf.constant([1.0])], [a, b])  # norm below 5
    np.testing.assert_allclose(optimizer._momentums[0].numpy(), [0.27 + 0.3, 0], rtol=1e-5)


def test_generator_is_the_oracle_with_other_weights():
    """The LSTM of TensorFlow and that of NumPy agree token by token."""
    oracle = Oracle(30, width=8, seed=4)
    model = small(vocabulary_size=30, length=7)
    model.generator.set_weights(oracle.weights)
    tokens = oracle.sample(40, 7)
    np.testing.assert_allclose(model.nll(tf.constant(tokens)), oracle.nll(tokens), atol=1e-4)


def test_oracle_nll_of_a_model_that_is_the_oracle():
    model = SeqGAN(vocabulary_size=60, filter_widths=(1, 2), filters=(2, 2))
    before = model.oracle_nll(300)
    oracle = Oracle(60)
    model.generator.set_weights(oracle.weights)
    entropy = oracle.nll(oracle.sample(2000, 20)).mean()
    assert model.oracle_nll(300) == pytest.approx(entropy, abs=0.1)
    assert before > entropy + 1.0


def test_first_loss_is_that_of_a_uniform_generator():
    model = SeqGAN(filter_widths=(1, 2), filters=(2, 2))
    tokens = tf.constant(np.random.RandomState(0).randint(0, 5000, [8, 20]), "int32")
    assert float(model.generator_mle_loss(tokens)["nll"]) == pytest.approx(math.log(5000), abs=0.05)
    # The least probability that counts is 1e-20.
    model.generator.output_bias.assign(tf.one_hot(3, 5000) * 1000.0)
    np.testing.assert_allclose(model.nll(tokens * 0), 46.0517, rtol=1e-5)


def test_networks_of_the_paper():
    model = SeqGAN()
    assert model.generator.count_params() == 333_320
    assert model.discriminator.count_params() == 7_045_402
    for w in model.generator.weights:
        assert w.numpy().std() == pytest.approx(0.1, rel=0.2) and abs(w.numpy().mean()) < 0.03
    embedding, *banks = model.discriminator.weights[:25]
    values = embedding.numpy()
    assert np.abs(values).max() <= 1 and values.std() == pytest.approx(3**-0.5, rel=0.01)
    widths = [w.shape[0] for w in banks if len(w.shape) == 3]
    assert widths == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20]
    last = model.discriminator.layers[-1]
    np.testing.assert_allclose(last.bias, 0.1)
    assert np.abs(last.kernel).max() <= 0.2 + 1e-6  # truncated at two deviations
    for player, rate in (("generator_mle", 0.01), ("generator", 0.01), ("discriminator", 1e-4)):
        optimizer = model.default_optimizers()[player]
        assert float(optimizer.learning_rate) == pytest.approx(rate) and optimizer.epsilon == 1e-8
    shorter = SeqGAN(length=9, vocabulary_size=10)
    assert shorter.discriminator.layers[-1].kernel.shape == (1300, 2)  # widths 1 to 9


def test_highway_with_zero_weights_halves():
    x = keras.Input([6])
    network = keras.Model(x, seqgan.highway(x))
    network.set_weights([0 * w.numpy() for w in network.weights])
    values = np.random.randn(3, 6).astype("float32")
    np.testing.assert_allclose(network(values), values / 2, atol=1e-6)


def test_discriminator_learns_half_the_batch_real_half_fake():
    """Cross-entropy of two classes, real is 1; 0.2 times half the squared last weights."""
    model = small()
    tokens = tf.constant([[1, 2, 3, 4], [0, 0, 0, 0]], "int32")
    last = model.discriminator.layers[-1]
    last.kernel.assign(tf.zeros_like(last.kernel))
    last.bias.assign([0.0, 2.0])
    with random.scope(0):
        found = model.discriminator_loss(tokens[:1], tokens[1:])
    real, fake = math.log1p(math.exp(-2.0)), math.log1p(math.exp(2.0))
    assert float(found["real"]) == pytest.approx(real / 2, rel=1e-5)
    assert float(found["fake"]) == pytest.approx(fake / 2, rel=1e-5)
    assert float(found["decay"]) == pytest.approx(0.2 * 0.5 * 2.0**2, rel=1e-5)
    assert float(model.real_probability(tokens)[0]) == pytest.approx(1 / (1 + math.exp(-2)))


def test_stages_and_their_moves():
    """Maximum likelihood, D alone, then G with each `generator_every`-th step of D."""
    model = small(mle_steps=2, discriminator_steps=1, generator_every=3, rollouts=1)
    model.compile(run_eagerly=True)
    moves, update = [], model.update

    def recorded(player, loss, *args):
        moves.append((model.stage, player, [x.shape[0] for x in args]))
        return update(player, loss, *args)

    model.update = recorded
    data = tf.data.Dataset.from_tensors({"tokens": tf.ones([6, 4], "int32")}).repeat()
    model.fit(data, steps_per_epoch=7, shuffle=False, verbose=0)
    del model.update
    assert moves == [
        (0, "generator_mle", [6]),
        (0, "generator_mle", [6]),
        (1, "discriminator", [3, 3]),
        (2, "generator", [6, 6]),
        (2, "discriminator", [3, 3]),
        (2, "discriminator", [3, 3]),
        (2, "discriminator", [3, 3]),
        (2, "generator", [6, 6]),
        (2, "discriminator", [3, 3]),
    ]
    counts = {player: int(opt.iterations) for player, opt in model.optimizers.items()}
    assert counts == {"generator_mle": 2, "generator": 2, "discriminator": 5}


@pytest.mark.parametrize("rate", [0.0, 0.8])
def test_rollout_policy(rate):
    """G itself, or a copy that begins as G in the last stage and keeps 0.8 of itself."""
    model = small(mle_steps=1, discriminator_steps=0, generator_every=1, rollout_rate=rate)
    model.compile(run_eagerly=True)
    data = tf.data.Dataset.from_tensors({"tokens": tf.ones([4, 4], "int32")}).repeat()
    model.fit(data, steps_per_epoch=1, shuffle=False, verbose=0)
    old = model.generator.get_weights()
    model.fit(data, steps_per_epoch=1, shuffle=False, verbose=0)
    new, found = model.generator.get_weights(), model.rollout.get_weights()
    assert (model.rollout is model.generator) == (rate == 0)
    for a, b, c in zip(old, new, found, strict=True):
        np.testing.assert_allclose(c, rate * a + (1 - rate) * b, atol=1e-6)
        assert not np.array_equal(a, b)


def test_preview_is_a_text_of_sequences():
    model = small()
    data = {"tokens": np.tile(np.arange(4, dtype="int32"), [64, 1])}
    with random.scope(0):
        text = model.preview(data)
        assert text != model.preview(data)  # the next draws
    with random.scope(0):
        assert text == model.preview(data)
    real, fake = text.split("\n\n")
    assert "real, 1.6" in real.splitlines()[0] and real.splitlines()[1] == "0 1 2 3"
    assert len(fake.splitlines()) == 17 and "nats per token" in fake.splitlines()[0]
    assert all(len(line.split()) == 4 for line in fake.splitlines()[1:])


def test_a_run_leaves_texts_and_the_tool_prints_sequences(tmp_path, monkeypatch, capsys):
    model = small()
    data = {"tokens": np.ones([16, 4], "int32")}
    grid = callbacks.SampleGrid(10, tmp_path / "samples", data, seed=0)
    grid.set_model(model)
    grid.on_train_begin()
    with random.scope(0):
        assert (tmp_path / "samples" / "00000000.txt").read_text() == model.preview(data)
    model.save(tmp_path / "model.keras")

    def sample(*arguments):
        command = [str(SAMPLE), str(tmp_path / "model.keras"), "-n", "3", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        runpy.run_path(str(SAMPLE), run_name="__main__")

    sample("--seed", "5")
    assert capsys.readouterr().out == to_text(model.sample(3, seed=5))
    with pytest.raises(SystemExit, match="BadInput: SeqGAN makes no pictures.*--single"):
        sample("--single")


def test_policy_is_rebuilt_from_its_settings():
    policy = RecurrentPolicy(7, 3, 4, spread=0.5, dtype="float32")
    again = RecurrentPolicy.from_config(policy.get_config())
    assert (again.vocabulary_size, again.length, again.width, again.spread) == (7, 3, 4, 0.5)


def test_a_period_is_at_least_1():
    with pytest.raises(BadInput, match="model.generator_every .* 1 or more, not 0"):
        small(generator_every=0)
