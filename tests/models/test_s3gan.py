"""S3GAN: the rows and the loss of turned images, hidden classes, and which loss trains what."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models import s3gan
from tfgans.models.s3gan import S3GAN, completed, turn_error, with_turned

CONTRACT = {
    # Which images are turned, and over how many labeled ones the mean goes, depends on the batch.
    "like_one_device": {"supervision": "none", "class_weight": 0.0},
    "games": [{}, {"supervision": "none"}],
    "served": ["generator_ema", "discriminator"],
}
SIZES = {
    "image_shape": (8, 8, 1),
    "latent_dim": 6,
    "num_classes": 3,
    "embedding_dim": 4,
    "generator_channels": (8, 4),
    "discriminator_channels": (4, 8),
    "discriminator_downs": 1,
    "generator_attention": 0,
    "discriminator_attention": 0,
    "standing_batches": 2,
    "ema_decay": 0.9,
}


def small(**settings):
    return S3GAN(**(SIZES | settings))


def play(model, found):
    """Puts (rows -> heads) in the place of D, and returns the list of its inputs."""
    inputs = []

    def discriminator(given, training):
        inputs.append(given)
        return found(given[0] if isinstance(given, list) else given)

    model.discriminator = discriminator
    return inputs


def zeros(rows):
    n = rows.shape[0]
    return {"score": tf.zeros([n, 1]), "turn": tf.zeros([n, 4]), "classes": tf.zeros([n, 3])}


def test_zero_logits():
    """ln 4 for D, 0.2 ln 4 for G, ln 3 for the classes; the hinge is 1 and 1."""
    model, label = small(), tf.one_hot([0, 1, 2, 0, 1, 2, 0, 1], 3)
    play(model, zeros)
    with random.scope(0):
        d, g = model.discriminator_loss(tf.zeros([8, 8, 8, 1]), label), model.generator_loss(8)
    assert {k: float(v) for k, v in d.items()} == {
        "real": 1.0,
        "fake": 1.0,
        "turn": pytest.approx(1.386294, abs=1e-6),
        "classes": pytest.approx(math.log(3), abs=1e-6),
    }
    assert {k: float(v) for k, v in g.items()} == {
        "fake": 0.0,
        "turn": pytest.approx(0.277259, abs=1e-6),
    }


def test_the_rows_that_d_sees():
    """Batch 16, one part in 2: 2 images are turned; D sees 16 + 6 real rows, then 16 fakes."""
    model = small()
    seen = play(model, zeros)
    image = tf.random.normal([16, 8, 8, 1])
    label = tf.one_hot(tf.range(16) % 3, 3) * tf.cast(tf.range(16) < 15, "float32")[:, None]
    with random.scope(0):
        model.discriminator_loss(image, label)
    rows, labels = seen.pop()
    assert rows.shape == (38, 8, 8, 1) and labels.shape == (38, 3)
    np.testing.assert_array_equal(rows[:16], image)
    for k in (1, 2, 3):
        for which in (0, 1):
            turned = np.rot90(image[14 + which], k)
            np.testing.assert_array_equal(rows[16 + 2 * (k - 1) + which], turned)
    np.testing.assert_array_equal(labels[:16], label)
    np.testing.assert_array_equal(labels[16:22], tf.tile(label[14:], [3, 1]))  # the hidden one too
    np.testing.assert_array_equal(tf.reduce_sum(labels[22:], axis=1), np.ones(16))
    with random.scope(0):
        model.generator_loss(16)
    rows, labels = seen.pop()
    assert rows.shape[0] == 22
    np.testing.assert_array_equal(rows[20:], tf.image.rot90(rows[14:16], 3))
    np.testing.assert_array_equal(labels[16:], tf.tile(labels[14:16], [3, 1]))


def test_four_quarter_turns_are_the_identity():
    image = tf.random.normal([2, 4, 4, 1])
    once = with_turned(image, 2)[2:4]
    again = with_turned(with_turned(with_turned(once, 2)[2:4], 2)[2:4], 2)[2:4]
    np.testing.assert_array_equal(again, image)


def test_turned_images_are_not_in_the_game():
    """Their scores change neither player's hinge, and G wants its turns to be seen."""
    model, label = small(), tf.one_hot([0] * 8, 3)
    results = []
    for beyond in (0.0, 50.0):

        def found(rows, beyond=beyond):
            n = rows.shape[0]
            turned = (tf.range(n) >= 8) & (tf.range(n) < 11)
            score = tf.where(turned, beyond, 0.5)[:, None]
            right = tf.one_hot(tf.where(turned, tf.range(n) - 7, 0), 4)
            return zeros(rows) | {"score": score, "turn": beyond * right}

        play(model, found)
        with random.scope(0):
            results.append(
                (model.discriminator_loss(tf.zeros([8, 8, 8, 1]), label), model.generator_loss(8))
            )
    for player in (0, 1):
        first, second = results[0][player], results[1][player]
        for term in {"real", "fake"} & first.keys():
            assert float(first[term]) == float(second[term])
        assert float(second["turn"]) < 1e-6 < float(first["turn"])
    (d, g), _ = results
    assert (float(d["real"]), float(d["fake"]), float(g["fake"])) == (0.5, 1.5, -0.5)


def test_the_turns_of_the_last_rows():
    """n upright rows first, which are the last of the batch; the rows before them do not count."""
    logits = np.zeros([5 + 6, 4], "float32")
    for row, turn in zip(range(3, 11), [0, 0, 1, 1, 2, 2, 3, 3], strict=True):
        logits[row, turn] = 20.0
    assert float(turn_error(logits, 2)) < 1e-6
    logits[:3] = [0.0, 9.0, 0.0, 0.0]
    assert float(turn_error(logits, 2)) < 1e-6
    logits[3] = [0.0, 20.0, 0.0, 0.0]
    assert float(turn_error(logits, 2)) == pytest.approx(20 / 8, abs=1e-4)


def test_the_class_of_a_hidden_label_is_the_predicted_one():
    label = tf.constant([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    logits = tf.constant([[5.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
    np.testing.assert_array_equal(completed(label, logits, False), [[0, 1, 0], [0, 0, 1]])
    soft = completed(label, logits, True)
    np.testing.assert_allclose(soft, [[0, 1, 0], tf.nn.softmax(logits[1])], atol=1e-6)


@pytest.mark.parametrize("soft", [False, True])
def test_d_projects_onto_that_class(soft):
    """D(x, hidden) is D(x, y) for the y that it predicts, or its mean over the probabilities."""
    model, image = small(soft=soft, supervision="none"), tf.random.normal([4, 8, 8, 1])
    head = model.discriminator.get_layer("classes").layer
    head.kernel.assign(5.0 * tf.random.normal(head.kernel.shape))
    hidden = model.discriminator([image, tf.zeros([4, 3])])
    given = [model.discriminator([image, tf.one_hot([k] * 4, 3)])["score"][:, 0] for k in range(3)]
    share = tf.nn.softmax(hidden["classes"])
    if not soft:
        share = tf.one_hot(tf.argmax(share, axis=1), 3)
    expected = tf.reduce_sum(share * tf.stack(given, axis=1), axis=1)
    np.testing.assert_allclose(hidden["score"][:, 0], expected, atol=1e-4)
    assert np.abs(given[0] - given[1]).max() > 1e-3


def gradient(model, terms, image, label):
    """The gradient of some of D's terms with respect to the head of the classes."""
    kernel = model.discriminator.get_layer("classes").layer.kernel
    with tf.GradientTape() as tape, random.scope(0):
        tape.watch(kernel.value)
        found = model.discriminator_loss(image, label)
        total = tf.add_n([found[term] for term in terms])
    return tape.gradient(total, kernel.value, unconnected_gradients="zero")


def test_the_game_does_not_train_the_predictor():
    model, image = small(soft=True), tf.random.normal([8, 8, 8, 1])
    label = tf.one_hot([0, 1, 2, 0, -1, -1, -1, -1], 3)
    game = gradient(model, ["real", "fake", "turn"], image, label)
    np.testing.assert_array_equal(game, tf.zeros_like(game))
    assert np.abs(gradient(model, ["classes"], image, label)).max() > 1e-4


def test_the_predictor_learns_from_labeled_images_alone():
    """Value and gradient are those of the labeled rows, whatever the others are; or 0."""
    model = small(supervision="none")
    image, label = tf.random.normal([8, 8, 8, 1]), tf.one_hot([0, 2, -1, -1, -1, -1, -1, -1], 3)
    with random.scope(0):
        few = model.discriminator_loss(image, label)["classes"]
        alone = model.discriminator_loss(image[:2], label[:2])["classes"]
        none = model.discriminator_loss(image, 0.0 * label)["classes"]
    assert float(few) == pytest.approx(float(alone), rel=1e-4) and float(few) > 0.1
    assert float(none) == 0.0
    found = gradient(model, ["classes"], image, label)
    np.testing.assert_allclose(
        found, gradient(model, ["classes"], image[:2], label[:2]), rtol=1e-3, atol=1e-5
    )
    assert np.abs(gradient(model, ["classes"], image, 0.0 * label)).max() == 0.0


def test_settings_and_their_heads():
    heads = {
        ("some", "rotation"): {"score", "turn", "classes"},
        ("some", "none"): {"score", "classes"},
        ("all", "rotation"): {"score", "turn"},
        ("all", "none"): {"score"},
        ("none", "rotation"): {"score", "turn"},
    }
    for (labels, supervision), names in heads.items():
        model = small(labels=labels, supervision=supervision)
        assert model.discriminator.output.keys() == names
        assert ("classify" in model.endpoints()) == (labels == "some")
        assert model.num_classes == (0 if labels == "none" else 3)


def test_ss_gan_has_no_labels():
    """It trains on images alone, and its networks take none."""
    model = small(labels="none")
    model.compile(run_eagerly=True)
    logs = model.train_on_batch({"image": tf.random.normal([16, 8, 8, 1])}, return_dict=True)
    assert "discriminator/turn" in logs and "discriminator/classes" not in logs
    assert model.sample(2, seed=0).shape == (2, 8, 8, 1)
    assert isinstance(model.generator.input, type(model.discriminator.input))
    with pytest.raises(BadInput, match="no classes"):
        model.sample(2, labels=1)


def test_classes_are_drawn_by_their_shares():
    model = small(class_shares=(0.7, 0.1, 0.2))
    with random.scope(0):
        label = model.random_label(4000)
    np.testing.assert_allclose(tf.reduce_mean(label, axis=0), [0.7, 0.1, 0.2], atol=0.03)


def test_outputs_of_a_batch_draw_a_class_for_hidden_labels(monkeypatch):
    model = small()
    monkeypatch.setattr(model, "random_label", lambda n: tf.one_hot([2] * n, 3))
    label = tf.one_hot([0, -1, 1], 3)
    np.testing.assert_array_equal(model.condition_of({"label": label})[0], tf.one_hot([0, 2, 1], 3))


def test_statistics_of_the_average_are_taken_and_used():
    model = small()
    z, label = tf.random.normal([4, 6]), tf.one_hot([0, 1, 2, 0], 3)
    moving = model(z, label).numpy()
    model.settle()
    norm = model.generator_ema.get_layer("last_norm").norm
    np.testing.assert_array_equal(norm.batches, [2.0])
    assert np.abs(model(z, label) - moving).max() > 1e-3


def test_moves_and_rates():
    model, moves = small(), []
    model.compile(run_eagerly=True)
    rates = {p: (float(o.learning_rate), o.beta_1, o.beta_2) for p, o in model.optimizers.items()}
    assert rates == {
        "discriminator": (pytest.approx(5e-4), 0.0, 0.999),
        "generator": (pytest.approx(1e-4), 0.0, 0.999),
    }
    update = model.update

    def recorded(player, loss, *args, n=None):
        moves.append((player, n or args[0].shape[0]))
        return update(player, loss, *args, n=n)

    model.update = recorded
    model.train_on_batch(
        {"image": tf.zeros([16, 8, 8, 1]), "label": tf.one_hot(tf.range(16) % 4, 3)}
    )
    assert moves == [("discriminator", 8), ("discriminator", 8), ("generator", 8)]


def test_the_reference_setting():
    """BigGAN's generator; its D with 1,000 + 4 linear outputs more, of which 1,004 are biases."""
    with without_numbers():
        model = S3GAN()
    assert trainable(model.generator) == 70_433_988
    assert trainable(model.discriminator) == 87_982_370 + 1004 * (1536 + 1)


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="Did you mean 'rotation'"):
        small(supervision="rotations")
    with pytest.raises(BadInput, match="labels of S3GAN"):
        small(labels="few")
    with pytest.raises(BadInput, match="Make them square"):
        small(image_shape=(8, 16, 1))
    with pytest.raises(BadInput, match="3 numbers with the sum 1"):
        small(class_shares=(0.5, 0.5))
    with pytest.raises(BadInput, match="num_classes = 1 or more"):
        small(num_classes=0)
    with pytest.raises(BadInput, match="batch_size of at least 8"):
        small().turned(7)
    assert small().turned(8) == 1 and small().turned(64) == 8
    assert small(supervision="none").turned(2) == 0
    assert s3gan.TURNS == 4
