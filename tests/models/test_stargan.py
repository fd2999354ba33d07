"""StarGAN: the border that shows G its label, terms of both players, labels of two data sets."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import trainable, without_numbers

from tfgans import data, random
from tfgans.data import attribute_sets
from tfgans.data.settings import Data
from tfgans.errors import BadInput
from tfgans.models.stargan import StarGAN


def small(**settings):
    return StarGAN(
        **{
            "image_shape": (16, 16, 3),
            "num_classes": 3,
            "width": 4,
            "blocks": 1,
            "n_critic": 2,
        }
        | settings
    )


IMAGE = tf.constant(np.random.RandomState(0).uniform(-1, 1, [8, 16, 16, 3]), "float32")
LABEL = tf.constant(np.random.RandomState(1).randint(0, 2, [8, 3]), "float32")
WANTED = tf.constant(np.random.RandomState(2).randint(0, 2, [8, 3]), "float32")


def test_the_weights_at_128():
    """G 8,430,528 and D 44,762,048 with five attributes; 53,226,560 in all with eight classes."""
    with without_numbers():
        model, eight = StarGAN(), StarGAN(num_classes=8, exclusive=True)
    assert trainable(model.generator) == 8_430_528
    assert trainable(model.discriminator) == 44_762_048
    assert trainable(eight.generator) + trainable(eight.discriminator) == 53_226_560
    score, logits = model.discriminator.outputs
    assert (score.shape[1:], logits.shape[1:]) == ((2, 2, 1), (5,))
    halving = [layer for layer in model.discriminator.layers if "conv" in layer.name][:6]
    assert [layer.filters for layer in halving] == [64, 128, 256, 512, 1024, 2048]
    slopes = [x for x in model.discriminator.layers if isinstance(x, keras.layers.LeakyReLU)]
    assert {round(float(x.negative_slope), 6) for x in slopes} == {0.01}


def differ(model):
    """How far images of G with two labels are apart."""
    a, b = model.edit(IMAGE, tf.zeros([8, 3])), model.edit(IMAGE, tf.ones([8, 3]))
    return float(tf.reduce_max(tf.abs(a - b)))


def test_the_label_comes_in_at_the_border():
    """Instance normalization removes a constant map, unless the convolution pads with zeros."""
    keras.utils.set_random_seed(0)
    model = small(width=8, blocks=2)
    assert differ(model) > 1e-3
    first = next(x for x in model.generator.layers if isinstance(x, keras.layers.Conv2D))

    def reflected(x):
        x = tf.pad(x, [[0, 0], [3, 3], [3, 3], [0, 0]], "REFLECT")
        return tf.nn.conv2d(x, first.kernel, 1, "VALID")

    first.call = reflected
    assert differ(model) < 1e-4


def test_normalizations_are_of_g_alone():
    """Those of G look at each channel of each image, with a gain and a bias; D has none."""
    model = small(blocks=2)
    kinds = keras.layers.GroupNormalization, keras.layers.BatchNormalization
    kinds += keras.layers.LayerNormalization, keras.layers.SpectralNormalization
    found = [layer for layer in model.generator.layers if isinstance(layer, kinds)]
    assert len(found) == 3 + 2 * 2 + 2
    assert all(x.groups == x.gamma.shape[0] == x.beta.shape[0] for x in found)
    assert {x.epsilon for x in found} == {1e-5}
    assert not [layer for layer in model.discriminator.layers if isinstance(layer, kinds)]
    # All that a convolution of D holds is a kernel, and a bias where it halves the image.
    assert [len(w.shape) for w in model.discriminator.weights] == [4, 1, 4, 1, 4, 1, 4, 4]
    assert not [w.path for w in model.generator.weights if "conv" in w.path and "bias" in w.path]


def plays(model, maps, logits):
    """A discriminator that gives these maps of scores and these logits, in the order of calls."""
    calls, maps, logits = [], list(maps), list(logits)

    def discriminator(image, training):
        calls.append(image)
        return maps.pop(0), logits.pop(0)

    model.discriminator = discriminator
    return calls


def test_the_terms_of_the_discriminator():
    """Means over maps: 1 and 3 for real patches, 5 for fakes; logits 0 of real images cost ln 2."""
    model, fakes = small(class_weight=2.0), []
    model.gradient_penalty = lambda real, fake: fakes.append(fake) or 0.25
    real = tf.reshape(tf.constant(4 * [1.0, 3.0]), [1, 2, 4, 1])
    maps = tf.concat([tf.tile(real, [8, 1, 1, 1]), tf.fill([8, 2, 4, 1], 5.0)], axis=0)
    # A fake is never read: its logits, 100, would cost much.
    logits = tf.concat([tf.zeros([8, 3]), tf.fill([8, 3], 100.0)], axis=0)
    seen = plays(model, [maps], [logits])
    terms = model.discriminator_loss(IMAGE, LABEL, WANTED)
    assert float(terms["wasserstein"]) == pytest.approx(5.0 - 2.0)
    assert float(terms["class"]) == pytest.approx(2.0 * 3 * math.log(2), abs=1e-5)
    assert float(terms["penalty"]) == pytest.approx(2.5)
    np.testing.assert_allclose(seen[0][8:], model.edit(IMAGE, WANTED), atol=1e-5)
    np.testing.assert_array_equal(fakes[0], seen[0][8:])


def test_the_terms_of_the_generator():
    """It is to show the wanted attributes, not the true ones; logits of +-4 cost 0.01815 each."""
    model, told = small(), []
    g = model.generator
    model.generator = lambda given, training: told.append(given) or g(given, training=training)
    plays(model, [tf.fill([8, 2, 2, 1], 5.0)], [8.0 * WANTED - 4.0])
    terms = model.generator_loss(IMAGE, LABEL, WANTED)
    assert float(terms["wasserstein"]) == pytest.approx(-5.0)
    assert float(terms["class"]) == pytest.approx(3 * 0.01815, abs=1e-4)
    (image, wanted), (fake, label) = told
    np.testing.assert_array_equal(wanted, WANTED)
    np.testing.assert_array_equal(label, LABEL)  # the way back is told the true attributes
    back = np.abs(g([fake, label]) - IMAGE).mean()
    assert float(terms["cycle"]) == pytest.approx(10.0 * back, rel=1e-4)


def test_the_way_back_of_the_identity_costs_nothing():
    model = small()
    model.generator = lambda given, training: given[0]
    assert float(model.generator_loss(IMAGE, LABEL, LABEL)["cycle"]) == 0.0
    model.generator = lambda given, training: given[0] + 0.25  # twice
    cycle = float(model.generator_loss(IMAGE, LABEL, LABEL)["cycle"])
    assert cycle == pytest.approx(10.0 * 0.5, rel=1e-5)


def test_the_penalty_is_on_the_sum_of_patches():
    """D whose four patches are each the mean of an image: |gradient| is 4 / sqrt(16 * 16 * 3)."""
    model = small()

    def discriminator(image, training):
        mean = tf.reduce_mean(image, axis=[1, 2, 3], keepdims=True)
        return tf.tile(mean, [1, 2, 2, 1]), 7.0 * mean[:, 0, 0]

    model.discriminator = discriminator
    with random.scope(0):
        penalty = model.gradient_penalty(IMAGE, -IMAGE)
    assert float(penalty) == pytest.approx((4 / math.sqrt(768) - 1.0) ** 2, rel=1e-4)


def test_classes_that_exclude_each_other():
    """Softmax: equal logits cost ln 3, where three attributes would cost 3 ln 2."""
    model = small(exclusive=True)
    label = tf.one_hot([0, 1, 2, 0], 3)
    assert float(model.reading_error(tf.zeros([4, 3]), label)) == pytest.approx(math.log(3))
    numbers = model.edit(IMAGE[:4], tf.constant([0, 1, 2, 0]))
    np.testing.assert_allclose(numbers, model.edit(IMAGE[:4], label), atol=1e-6)
    made = model.changed(IMAGE[:4], label)
    for k in range(3):
        one = tf.one_hot(4 * [k], 3)
        np.testing.assert_allclose(made[:, k], model.edit(IMAGE[:4], one), atol=1e-5)


def test_several_classes_of_one_image_are_refused():
    model = small(exclusive=True)
    model.compile(run_eagerly=True)
    with pytest.raises(BadInput, match="each image has one class .* are 3 3"):
        model.train_on_batch({"image": IMAGE[:4], "label": tf.ones([4, 3])})


def moves_of(model, image, label):
    moves = []
    model.compile(run_eagerly=True)
    model.update = lambda player, loss, *tensors: moves.append((player, *tensors)) or {}
    model.train_on_batch({"image": image, "label": label})
    return moves


@pytest.mark.parametrize("n_critic, batches", [(1, 2), (2, 2), (5, 5)])
def test_wanted_labels_are_those_of_other_images(n_critic, batches):
    """All labels of a step are wanted once, none by its own image; G plays D's last batch."""
    n = 2 * batches
    image = tf.random.stateless_uniform([n, 16, 16, 3], [0, 0], -1.0, 1.0)
    label = tf.eye(n)  # the label tells the image
    model = small(n_critic=n_critic, num_classes=n)
    moves = moves_of(model, image, label)
    assert [player for player, *_ in moves] == n_critic * ["discriminator"] + ["generator"]
    *of_d, of_g = [tensors for _, *tensors in moves]
    for given, own, wanted in of_d:
        order = np.argmax(own, axis=1)
        np.testing.assert_array_equal(given, image.numpy()[order])
        assert not np.any(np.argmax(wanted, axis=1) == order)
    if n_critic == batches:
        every = np.concatenate([wanted for _, _, wanted in of_d])
        assert sorted(np.argmax(every, axis=1)) == list(range(n))
        owners = np.concatenate([own for _, own, _ in of_d])
        assert sorted(np.argmax(owners, axis=1)) == list(range(n))
    for a, b in zip(of_g, of_d[-1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_fall_of_the_learning_rates():
    """200,000 moves of D and 40,000 of G: 1e-4 in the first half, then in a line to 0."""
    optimizers = small(n_critic=5).default_optimizers()
    for player, moves in (("discriminator", 200_000), ("generator", 40_000)):
        adam = optimizers[player]
        assert (adam.beta_1, adam.beta_2) == (0.5, 0.999)
        for part, expected in ((0.0, 1e-4), (0.5, 1e-4), (0.75, 5e-5), (1.0, 0.0)):
            rate = adam._learning_rate(int(part * moves))
            assert float(rate) == pytest.approx(expected, abs=1e-10)


def test_one_attribute_changes():
    model = small()
    made = model.changed(IMAGE[:2], LABEL[:2])
    for k in range(3):
        label = LABEL[:2].numpy()
        label[:, k] = 1.0 - label[:, k]
        np.testing.assert_allclose(made[:, k], model.edit(IMAGE[:2], label), atol=1e-5)
    table = model.preview({"image": IMAGE, "label": LABEL})
    assert table.shape == (8, 4, 16, 16, 3)
    np.testing.assert_array_equal(table[:, 0], IMAGE)
    outputs = model.outputs({"image": IMAGE, "label": LABEL})
    np.testing.assert_allclose(outputs[0], model.edit(IMAGE[:1], LABEL[1:2])[0], atol=1e-5)


def joint(**settings):
    """Two attributes of one set, three classes of the other, two numbers of the mask."""
    return small(num_classes=7, second_classes=3, **settings)


BOTH = tf.constant(
    [[0, 1, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0, 1], [1, 1, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 0, 1]],
    "float32",
)


def test_the_weights_for_two_data_sets():
    """G is told 5 attributes, 8 classes and the mask; D reads the 13 without the mask."""
    with without_numbers():
        model = StarGAN(num_classes=15, second_classes=8)
    assert trainable(model.generator) == 8_430_528 + 10 * 7 * 7 * 64
    assert trainable(model.discriminator) == 44_762_048 + 8 * 2 * 2 * 2048


def test_an_image_counts_with_the_known_part_of_its_label():
    """Zero logits: 2 ln 2 for each of two images with attributes, ln 3 for two with classes."""
    model, logits = joint(), tf.Variable(tf.zeros([4, 5]))
    with tf.GradientTape() as tape:
        error = model.reading_error(logits, BOTH)
    assert float(error) == pytest.approx((2 * 2 * math.log(2) + 2 * math.log(3)) / 4)
    moved = tape.gradient(error, logits).numpy() != 0
    np.testing.assert_array_equal(moved[0::2], np.tile([1, 1, 0, 0, 0], [2, 1]))
    np.testing.assert_array_equal(moved[1::2], np.tile([0, 0, 1, 1, 1], [2, 1]))
    logits = tf.constant(
        [[-9.0, 9, 5, 5, 5], [5, 5, 9, -9, -9], [9, 9, 5, 5, 5], [5, 5, -9, -9, 9]]
    )
    assert float(model.reading_error(logits, BOTH)) < 1e-3


def test_wanted_labels_are_of_the_same_data_set():
    model = joint(n_critic=5)
    source = attribute_sets.synthetic(model.image_shape, ["red"])
    settings = Data(batch_size=4)
    source.labels = np.pad(source.labels, [(0, 0), (0, 2)])[:, [0, 5, 1, 2, 6, 3, 4]]
    batch = next(iter(data.batches(model, source, settings, seed=0)))
    moves = moves_of(model, batch["image"], batch["label"])
    for _, _, own, wanted in moves:
        np.testing.assert_array_equal(own[:, 5:], wanted[:, 5:])
    assert np.any([own != wanted for _, _, own, wanted in moves])


def test_each_attribute_and_each_class_of_two_data_sets():
    """An image of either set gets each attribute and each class, with the mask of that set."""
    wanted = np.stack([x.numpy() for x in joint().changes(BOTH[:2])], axis=1)  # [2, 5, 7]
    classes = [[0, 0, *row, 0, 1] for row in np.eye(3).tolist()]
    first = [[1, 1, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1, 0], *classes]
    second = [[1, 0, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 1, 0], *classes]
    np.testing.assert_array_equal(wanted, [first, second])
    model = joint()
    assert model.preview({"image": IMAGE[:4], "label": BOTH}).shape == (4, 6, 16, 16, 3)


@pytest.mark.parametrize(
    "label",
    [
        [0, 1, 0, 0, 0, 0, 0],  # no mask
        [0, 1, 0, 0, 0, 1, 1],  # both
        [0, 1, 0, 1, 0, 1, 0],  # a class that is not known
        [0, 0, 1, 1, 0, 0, 1],  # two classes
        [0, 0, 0, 0, 0, 0, 1],  # none
        [1, 0, 1, 0, 0, 0, 1],  # an attribute that is not known
    ],
)
def test_labels_of_another_form_are_refused(label):
    model = joint()
    model.told(BOTH)
    with pytest.raises(BadInput, match="A label of two data sets is"):
        model.told(tf.constant([BOTH[0].numpy().tolist(), label], "float32"))


def test_settings_that_do_not_fit():
    with pytest.raises(BadInput, match="exclusive is for a single data set"):
        joint(exclusive=True)
    with pytest.raises(BadInput, match="num_classes is 4, .* it is 6 or more"):
        small(num_classes=4, second_classes=3)
    with pytest.raises(BadInput, match="multiples of 4|multiples of 8"):
        small(image_shape=(18, 16, 3))
    with pytest.raises(BadInput, match="num_classes = 2 or more"):
        small(num_classes=1, exclusive=True)
    with pytest.raises(BadInput, match="vectors"):
        small().edit(IMAGE, tf.zeros([8, 5]))
