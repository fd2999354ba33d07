"""AC-GAN: its losses by numbers, the class of real and generated images, sides, counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput
from tfgans.models.acgan import ACGAN

CONTRACT = {"served": ["generator", "discriminator"]}  # D answers `classify`


def small(**settings):
    sizes = {"image_shape": (16, 16, 1), "latent_dim": 4, "num_classes": 3, "dense_width": 8}
    sizes |= {"generator_channels": (6,), "discriminator_channels": (4, 5, 6)}
    return ACGAN(**(sizes | settings))


def test_losses_of_zeros():
    """K = 10: 2 ln 2 + 2 ln 10 for D, ln 2 + ln 10 for G; real images alone give less."""
    model = small(num_classes=10)
    model.discriminator = lambda image, training: (tf.zeros([4, 1]), tf.zeros([4, 10]))
    with random.scope(0):
        d = model.discriminator_loss(tf.zeros([4, 16, 16, 1]), tf.one_hot([1, 2, 3, 4], 10))
        g = model.generator_loss(4)
    assert sum(map(float, d.values())) == pytest.approx(5.991465, abs=1e-5)
    assert sum(map(float, g.values())) == pytest.approx(2.995732, abs=1e-5)


def terms(real_rows, fake_rows, label, fake_label, **settings):
    """Both players' terms for given (score, logits) of real and of generated images."""
    model = small(**settings)
    rows = {1.0: real_rows, -1.0: fake_rows}

    def discriminator(image, training):
        score, logits = rows[float(image[0, 0, 0, 0])]
        return tf.fill([2, 1], score), tf.tile(tf.constant([logits], "float32"), [2, 1])

    model.discriminator = discriminator
    model.generate = lambda n: (tf.fill([2, 16, 16, 1], -1.0), tf.one_hot([fake_label] * 2, 3))
    d = model.discriminator_loss(tf.ones([2, 16, 16, 1]), tf.one_hot([label] * 2, 3))
    g = model.generator_loss(2)
    return [{name: float(value) for name, value in found.items()} for found in (d, g)]


def test_players_agree_about_classes_and_disagree_about_the_source():
    right, wrong = [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]
    d, g = terms((4.0, right), (-4.0, wrong), label=0, fake_label=2)
    assert max(d.values()) < 0.02
    assert g["fake"] > 4.0 and g["fake_class"] == d["fake_class"] < 0.001
    d, g = terms((4.0, right), (-4.0, right), label=0, fake_label=2)
    assert d["fake_class"] == g["fake_class"] > 8.9 and d["real_class"] < 0.001
    d, g = terms((-4.0, wrong), (4.0, wrong), label=0, fake_label=2, class_weight=0.5)
    assert d["real"] > 4.0 and d["fake"] > 4.0 and g["fake"] < 0.02
    assert d["real_class"] == pytest.approx(4.5, abs=0.01)


def gradients(loss, weights):
    values = [w.value for w in weights]
    with tf.GradientTape() as tape, random.scope(0):
        tape.watch(values)
        total = loss()
    return tape.gradient(total, values, unconnected_gradients="zero")


def test_generated_images_alone_teach_d_their_classes():
    """The slope of D's loss of the classes of generated images in its class head is not 0."""
    model = small()
    head = model.discriminator.layers[-1]
    assert head.units == 3
    real, label = tf.random.normal([4, 16, 16, 1]), tf.one_hot([0, 1, 2, 0], 3)
    found = gradients(lambda: model.discriminator_loss(real, label)["fake_class"], head.weights)
    assert all(np.abs(gradient).max() > 1e-4 for gradient in found)


def test_g_learns_classes_without_a_source():
    """With the head of the source at 0, G's gradient still is that of the class."""
    model = small()
    source = model.discriminator.layers[-2]
    assert source.units == 1
    for weight in source.weights:
        weight.assign(tf.zeros_like(weight))
    own = model.generator.trainable_variables
    found = gradients(lambda: tf.add_n(list(model.generator_loss(4).values())), own)
    assert any(np.abs(gradient).max() > 1e-6 for gradient in found)


def test_generated_images_are_of_all_classes_alike_and_keep_their_label():
    model = small()
    given = []
    model.generator = lambda inputs, training: given.append(inputs) or tf.zeros([6000, 1])
    with random.scope(0):
        _, label = model.generate(6000)
    np.testing.assert_array_equal(given[0][1], label)
    np.testing.assert_allclose(np.mean(label, axis=0), 1 / 3, atol=0.02)
    assert np.std(given[0][0]) == pytest.approx(1.0, abs=0.02)


def count(network):
    return sum(int(np.prod(w.shape)) for w in network.trainable_variables)


def sides(network):
    found = [layer.output.shape[1] for layer in network.layers if "conv" in layer.name]
    return [side for side in found if side is not None]


def test_setting_for_imagenet():
    model = ACGAN()
    assert count(model.generator) == 11_465_728
    assert count(model.discriminator) == 2_525_563
    first = model.generator.get_layer(index=3)
    assert first.kernel.shape == (110, 768)
    assert [1, *sides(model.generator)] == [1, 5, 13, 29, 61, 128]
    assert sides(model.discriminator) == [64, 62, 31, 29, 15, 13]
    assert model.class_weight == 1.0
    for optimizer in model.default_optimizers().values():
        assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.999)
        assert float(optimizer.learning_rate) == pytest.approx(2e-4)


def test_setting_for_cifar():
    model = ACGAN((32, 32, 3), 100, 10, "cifar", 384, (192, 96, 48))
    assert sides(model.generator) == [4, 8, 16, 32]
    assert sides(model.discriminator) == [16, 14, 7, 5, 3, 1]


def test_class_comes_before_noise():
    """The first numbers of G's input are the class: the first rows of its kernel are for it."""
    model = small()
    kernel = model.generator.trainable_variables[0]
    kernel.assign(tf.concat([tf.zeros([3, 8]), kernel[3:]], axis=0))
    z = tf.random.normal([3, 4])
    first, second = (model(z, tf.constant(label)) for label in ([0, 0, 0], [0, 1, 2]))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_classes_of_images():
    model = small()
    image = tf.random.normal([5, 16, 16, 1])
    probability = model.classify(image)["probability"].numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-6)
    logits = model.discriminator(image, training=False)[1]
    np.testing.assert_allclose(probability, tf.nn.softmax(logits), atol=1e-6)


def test_a_given_classifier_takes_the_place_of_ds(tmp_path):
    """G's loss is -log of what the classifier says; D has no classes to learn."""
    image = keras.Input([16, 16, 1])
    x = keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(image))
    judge = keras.Model(image, x)
    judge.save(tmp_path / "judge.keras")
    model = small(classifier=str(tmp_path / "judge.keras"))
    with pytest.raises(BadInput, match="loaded when training begins"), random.scope(0):
        model.generator_loss(4)
    model.compile(run_eagerly=True)
    with random.scope(0):
        fake, label = model.generate(4)
    with random.scope(0):
        loss = model.generator_loss(4)
    chosen = np.sum(judge(fake) * label, axis=1)
    assert float(loss["fake_class"]) == pytest.approx(-np.mean(np.log(chosen)), abs=1e-5)
    logs = model.train_on_batch({"image": tf.random.normal([4, 16, 16, 1]), "label": [0, 1, 2, 0]})
    assert set(logs) == {
        "discriminator/real", "discriminator/fake", "generator/fake", "generator/fake_class"
    }  # fmt: skip
    assert "classify" not in model.endpoints()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    again.run_eagerly = True
    again.train_on_batch({"image": tf.random.normal([4, 16, 16, 1]), "label": [0, 1, 2, 0]})


def test_a_classifier_of_other_classes_is_refused(tmp_path):
    image = keras.Input([16, 16, 1])
    x = keras.layers.Dense(5, "softmax")(keras.layers.Flatten()(image))
    keras.Model(image, x).save(tmp_path / "judge.keras")
    model = small(classifier=str(tmp_path / "judge.keras"))
    model.compile()
    with pytest.raises(BadInput, match="3 probabilities for each image, and gives .4, 5."):
        with random.scope(0):
            model.generator_loss(4)


def test_sizes_that_do_not_fit():
    with pytest.raises(BadInput, match="makes images of 16x16 pixels, not 32x32"):
        small(image_shape=(32, 32, 1))
    with pytest.raises(BadInput, match="with 6 numbers .* no pixel left of images of 16x16"):
        ACGAN((16, 16, 3), 4, 3, "cifar", 8, (6, 4))
    with pytest.raises(BadInput, match="generator_channels are one number or more"):
        ACGAN((16, 16, 3), 4, 3, "cifar", 8, ())
    with pytest.raises(BadInput, match="num_classes = 1 or more"):
        small(num_classes=0)
    with pytest.raises(BadInput, match="cifar"):
        small(architecture="cifer")
