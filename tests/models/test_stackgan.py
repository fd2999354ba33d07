"""StackGAN: its losses by numbers, where texts enter, the two stages, and the text encoder."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import without_numbers

from tfgans import images, random
from tfgans.errors import BadInput
from tfgans.models.stackgan import IMAGE, SKETCH, TEXT, StackGAN

CONTRACT = {
    "served": [
        "augmentation_1",
        "augmentation_2",
        "generator_1",
        "generator_2",
        "text_encoder",
    ],
    "like_one_device": {"text_steps": 0},  # the ranking of texts looks across the batch
}
WORDS = ["a", "blue", "disc", "red", "triangle"]
SMALL = {
    "image_shape": (16, 16, 3),
    "ratio": 2,
    "noise_dim": 4,
    "text_dim": 6,
    "augmented_dim": 5,
    "generator_width": 4,
    "discriminator_width": 4,
    "blocks": 1,
}
IMAGE_BATCH = tf.constant(np.random.RandomState(0).uniform(-1, 1, [8, 8, 8, 3]), "float32")
TEXT_BATCH = tf.constant(np.random.RandomState(1).uniform(-1, 1, [8, 6]), "float32")


def small(**settings):
    keras.utils.set_random_seed(0)
    return StackGAN(**SMALL | settings)


def play(model, *scores):
    """D's and G's terms where D gives these scores in turn, and what D was given."""
    seen, rest = [], list(scores)

    def discriminator(given, training):
        seen.append(given)
        return tf.fill([8, 1], rest.pop(0))

    game = discriminator, model.sketch
    with random.scope(0):
        if len(scores) == 3:
            terms = model.discriminator_loss(*game, IMAGE_BATCH, -IMAGE_BATCH, TEXT_BATCH)
        else:
            terms = model.generator_loss(*game, TEXT_BATCH)
    return {name: float(value) for name, value in terms.items()}, seen


def test_wrong_texts_and_fakes_count_half():
    """ln 2 + (ln 2 + ln 2) / 2 at zero logits; a real pair is 1, both others are 0."""
    terms, seen = play(small(), 0.0, 0.0, 0.0)
    assert terms == pytest.approx(
        {"real": math.log(2), "wrong": math.log(2) / 2, "fake": math.log(2) / 2}, abs=1e-6
    )
    assert sum(terms.values()) == pytest.approx(1.386294, abs=1e-6)
    np.testing.assert_array_equal(seen[0][0], IMAGE_BATCH)
    np.testing.assert_array_equal(seen[1][0], -IMAGE_BATCH)
    assert seen[2][0].shape == IMAGE_BATCH.shape
    for _, text in seen:  # all with the same text, and with the embedding itself
        np.testing.assert_array_equal(text, TEXT_BATCH)
    terms, _ = play(small(), 3.0, -3.0, -3.0)
    assert sum(terms.values()) == pytest.approx(2 * math.log1p(math.exp(-3)), abs=1e-6)


def test_divergence_is_a_mean_over_dimensions():
    """0 for N(0, 1); 0.5 where all means are 1, so ln 2 + 2 * 0.5 at zero logits."""
    model = small()
    ones, zeros = tf.ones([8, 5]), tf.zeros([8, 5])
    assert float(model.divergence(zeros, zeros)) == 0.0
    assert float(model.divergence(ones, zeros)) == pytest.approx(0.5)
    # deviation e: (e^2 - 1) / 2 - 1
    assert float(model.divergence(zeros, ones)) == pytest.approx(2.194528, abs=1e-5)
    model.augmentation_1 = lambda text: tf.concat([ones, zeros], axis=1)
    terms, _ = play(model, 0.0)
    assert sum(terms.values()) == pytest.approx(1.693147, abs=1e-6)


def test_each_draw_of_the_condition_gives_another_image():
    """The same text and z with other draws differ; without a deviation they are the same."""
    model, draws = small(), tf.random.stateless_normal([2, 8, 5], [0, 0])
    for w in model.trainable_variables:  # N(0, 0.02) are next to nothing in a narrow network
        w.assign(10.0 * w if w.name == "kernel" else w)
    z = tf.random.stateless_normal([8, 4], [0, 1])

    def images(first, second):
        return model(tf.concat([z, first, second], axis=1), TEXT_BATCH).numpy()

    first = images(draws[0], draws[0])
    assert np.abs(first - images(draws[1], draws[0])).max() > 1e-3  # that of stage I
    assert np.abs(first - images(draws[0], draws[1])).max() > 1e-3  # that of stage II
    for augmentation in (model.augmentation_1, model.augmentation_2):
        kernel, bias = augmentation.trainable_variables
        kernel.assign(tf.concat([kernel[:, :5], tf.zeros([6, 5])], axis=1))
        # LeakyReLU makes -20 of -100.
        bias.assign(tf.concat([tf.zeros([5]), tf.fill([5], -100.0)], axis=0))
    np.testing.assert_allclose(images(draws[0], draws[0]), images(draws[1], draws[1]), atol=1e-6)


def test_g_sees_the_draw_and_d_the_text():
    """G has no input of the text's length; D compresses the text by itself."""
    model = small()
    assert [x.shape[1] for x in model.generator_1.inputs] == [4, 5]
    assert [x.shape[1:] for x in model.generator_2.inputs] == [(8, 8, 3), (5,)]
    for d in (model.discriminator_1, model.discriminator_2):
        assert d.inputs[1].shape[1] == 6
        score = d([tf.zeros([8, *d.inputs[0].shape[1:]]), TEXT_BATCH])
        assert np.ptp(score.numpy()) > 1e-8  # the text alone makes a difference


def test_no_gradient_of_stage_two_reaches_stage_one():
    model = small()
    networks = model.generator_1, model.augmentation_1, model.generator_2, model.augmentation_2
    values = [w.value for network in networks for w in network.trainable_variables]
    counts = [len(network.trainable_variables) for network in networks]
    with tf.GradientTape() as tape, random.scope(0):
        tape.watch(values)
        image, moments = model.refined(model.latents(8), TEXT_BATCH, training=True)
        loss = tf.reduce_sum(image**2) + model.divergence(*moments)
    found = tape.gradient(loss, values)
    first = counts[0] + counts[1]
    assert all(g is None for g in found[:first]) and all(g is not None for g in found[first:])


def test_stage_one_makes_its_sketches_as_in_use():
    """Stage II reads sketches of moving averages, and leaves them as they are."""
    model = small()
    before = [w.numpy() for w in model.generator_1.weights]
    with random.scope(0):
        model.refined(model.latents(8), TEXT_BATCH, training=True)
    for old, w in zip(before, model.generator_1.weights, strict=True):
        np.testing.assert_array_equal(old, w.numpy())


def test_stages_and_their_players():
    """First the text, then stage I, then stage II; with embeddings the text is left out."""
    model = small(words=WORDS, text_steps=3, sketch_steps=4)
    assert [model.stage_of(k) for k in (0, 2, 3, 6, 7)] == [TEXT, TEXT, SKETCH, SKETCH, IMAGE]
    assert [model.stage_shape(k) for k in range(3)] == [(8, 8, 3), (8, 8, 3), (16, 16, 3)]
    assert [*model.players()][0] == "text"
    given = small(text_steps=3, sketch_steps=4)
    assert [given.stage_of(k) for k in (0, 3, 4)] == [SKETCH, SKETCH, IMAGE]
    assert "text" not in given.players() and given.condition_dim == 6


def test_what_is_shown_is_of_the_stage_that_has_learned():
    """Until stage II has moved: sketches, enlarged to the real images; never its first weights."""
    model = small(sketch_steps=4)
    real = tf.image.resize(IMAGE_BATCH, [16, 16])
    batch = {"image": real, "condition": TEXT_BATCH}
    for step in (0, 4, 5):
        model.step.assign(step)
        with random.scope(0):
            shown = model.outputs(batch)
        with random.scope(0):
            z = model.latents(8)
        sketch, last = model.stage1(z, TEXT_BATCH), model(z, TEXT_BATCH)
        large = np.repeat(np.repeat(sketch, 2, axis=1), 2, axis=2)
        np.testing.assert_allclose(shown, last if step == 5 else large, atol=1e-6)
        with random.scope(0):
            rows = model.preview(batch)
        np.testing.assert_array_equal(rows[0], real)
        np.testing.assert_allclose(rows[1], large, atol=1e-6)
        assert len(rows) == (3 if step == 5 else 2)
        np.testing.assert_allclose(rows[-1], shown, atol=1e-6)


def test_texts_of_one_class_are_no_wrong_ones():
    """The margin 1 for each wrong pair at equal products, both ways; none within a class."""
    model = small(words=WORDS)
    model.text_encoder = lambda text, training: text
    model.image_encoder = lambda image, training: image
    text = tf.constant([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    label = tf.constant([0, 1, 1])

    def terms(image):
        found = model.text_loss(image, text, label)
        return [float(found[name]) for name in ("texts", "images")]

    assert terms(tf.zeros([3, 2])) == pytest.approx([1.0, 1.0])
    assert terms(text) == pytest.approx([0.0, 0.0])  # all own products are larger by 1 or more
    # Images 1 and 2 look like text 0: its product is 2, their own is 0.
    image = tf.constant([[1.0, 0.0]] * 3)
    assert terms(image) == pytest.approx([(0 + 0 + 3 + 3) / 4, (1 + 1 + 1 + 1) / 4])


def test_sentences_become_vectors_and_unknown_words_are_named():
    model = small(words=WORDS)
    vectors = model.condition_vectors(["A red triangle", "a blue disc."])
    assert vectors.shape == (2, model.condition_dim)
    np.testing.assert_array_equal(vectors[:, :5], [[1, 0, 0, 1, 1], [1, 1, 1, 0, 0]])
    assert vectors[:, 5:].sum() == 4  # two pairs each
    with pytest.raises(BadInput, match="'green'.*words of the sentences"):
        model.condition_vectors(["a green disc"])
    with pytest.raises(BadInput, match="takes embeddings and no sentences"):
        small().condition_vectors(["a red disc"])


def test_sentences_on_the_command_line(tmp_path, tool):
    """tools/sample.py draws sentences as `sample` does, and says what is missing or unknown."""
    model = small(words=WORDS)
    model.save(tmp_path / "birds.keras")
    sentences = ["a red triangle", "a blue disc"]
    done = tool(tmp_path, "sample", "birds.keras", "-n", 2, "--text", *sentences)
    assert done.returncode == 0 and "Written: samples/birds-seed0.png" in done.stdout
    made = model.sample(2, seed=0, condition=model.condition_vectors(sentences))
    drawn = np.asarray(Image.open(tmp_path / "samples" / "birds-seed0.png"), "int32")
    expected = np.concatenate(images.to_uint8(made), axis=1).astype("int32")
    assert np.abs(drawn[:16, :32] - expected).max() <= 1
    for words, error in (
        (["--text", "a green disc"], "does not know 'green'"),
        (["--text", *sentences, "a disc"], "--text takes 1 sentence or 2 (-n), not 3"),
        ([], 'add --text "a sentence"'),
    ):
        failed = tool(tmp_path, "sample", "birds.keras", "-n", 2, *words)
        assert failed.returncode and error in failed.stderr


def test_networks_of_the_paper():
    """4 x 4 x 1024 doubled to 64; read at 16 x 16 and doubled to 256; D's maps of 4 x 4 x 512."""
    with without_numbers():
        model = StackGAN()
    assert model.sketch_shape == (64, 64, 3) and model.generator_2.output_shape[1:] == (256, 256, 3)

    def convs(network):
        kinds = keras.layers.Conv2D
        for layer in network.layers:
            if isinstance(layer, kinds):  # as the authors' code has them
                assert not layer.use_bias
                assert isinstance(layer.kernel_initializer, keras.initializers.TruncatedNormal)
        return [
            (layer.filters, layer.kernel_size[0], layer.strides[0])
            for layer in network.layers
            if isinstance(layer, kinds)
        ]

    first = convs(model.generator_1)
    assert first[:3] == [(256, 1, 1), (256, 3, 1), (1024, 3, 1)]
    assert first[3:7] == [(512, 3, 1), (128, 1, 1), (128, 3, 1), (512, 3, 1)]
    assert first[7:] == [(256, 3, 1), (128, 3, 1), (3, 3, 1)]
    second = convs(model.generator_2)
    assert second[:4] == [(128, 3, 1), (256, 4, 2), (512, 4, 2), (512, 3, 1)]
    assert second[4:12] == [(512, 3, 1)] * 8
    assert second[12:] == [(f, 3, 1) for f in (256, 128, 64, 32, 3)]
    head = [(512, 1, 1), (1, 4, 1)]
    residual = [(128, 1, 1), (128, 3, 1), (512, 3, 1)]
    assert convs(model.discriminator_1) == [
        *[(f, 4, 2) for f in (64, 128, 256, 512)],
        *residual,
        *head,
    ]
    assert convs(model.discriminator_2) == [
        *[(f, 4, 2) for f in (64, 128, 256, 512, 1024, 2048)],
        (1024, 1, 1),
        (512, 1, 1),
        *residual,
        *head,
    ]


def test_ratio_is_a_power_of_two():
    with pytest.raises(BadInput, match="power of 2"):
        small(ratio=3)
