"""WRM: the inner maximum by analytic cases, constant hard images, smoothed labels, the networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgans import metrics
from tfgans.errors import BadInput
from tfgans.models.wrm import WRM, worst_case

CONTRACT = {
    "games": [],  # nobody scores real and generated images
    "served": ["classifier"],
}


def small(**settings):
    sizes = {"image_shape": (27, 27, 1), "num_classes": 3, "width": 2, "attack_steps": 3}
    return WRM(**(sizes | settings))


@pytest.mark.parametrize("steps", [0, 1, 15])
def test_linear_loss_is_solved_by_the_first_step(steps):
    """loss = w x with w = (3, -1): x' = x + epsilon w at each step."""
    x, w = tf.constant([[1.0, 2.0], [0.0, 5.0]]), tf.constant([3.0, -1.0])
    found = worst_case(lambda x: tf.linalg.matvec(x, w), x, 1.3, steps)
    np.testing.assert_allclose(found - x, [[3.9, -1.3]] * 2, atol=1e-5)


def test_quadratic_loss_goes_to_its_fixed_point():
    """loss = x^2 / 4 at x = 1: towards 1 / (1 - 1.3 / 2) = 2.857, at 2.7161 after 15 steps."""

    def loss(x):
        return 0.25 * tf.reduce_sum(tf.square(x), axis=1)

    for steps, place in ((15, 2.7161), (400, 1.0 / (1.0 - 1.3 / 2.0))):
        found = worst_case(loss, tf.ones([1, 1]), 1.3, steps)
        assert float(found[0, 0]) == pytest.approx(place, abs=1e-4)


def test_each_row_has_its_own_problem():
    """The same row gives the same answer in a batch of any size, as with a sum over rows."""
    x = tf.random.normal([6, 2])

    def loss(x):
        return tf.sin(x[:, 0]) + 0.1 * tf.square(x[:, 1])

    together = worst_case(loss, x, 1.3, 15)
    np.testing.assert_allclose(together[:1], worst_case(loss, x[:1], 1.3, 15), atol=1e-6)


def linear(model):
    """A model with the loss w x of the first two pixels, w = (3, -1)."""

    def losses(pixels, label):
        flat = tf.reshape(pixels, [len(pixels), -1])
        return 3.0 * flat[:, 0] - flat[:, 1]

    model.losses = losses
    return model


def test_bound_of_a_linear_loss():
    """w x + |w|^2 / (4 gamma) = 1 + 10 * 1.3 / 2 = 7.5 at x = (1, 2); pixels are in [0, 1]."""
    image = np.zeros([1, 27, 27, 1], "float32")
    image[0, 0, :2, 0] = [1.0, 3.0]
    for steps in (0, 15):
        model = linear(small(attack_steps=steps))
        assert float(model.bound(image, [0])[0]) == pytest.approx(7.5, abs=1e-4)
        moved = model.attack(image, [0]).numpy() - image
        np.testing.assert_allclose(moved[0, 0, :3, 0], [7.8, -2.6, 0.0], atol=1e-5)


def test_the_bound_holds_for_every_other_image():
    """No random image near x has loss(x') - gamma |x' - x|^2 above the bound of x."""
    model = small(epsilon=0.05, attack_steps=30)
    rng = np.random.RandomState(0)
    image = rng.uniform(-1, 1, [1, 27, 27, 1]).astype("float32")
    bound = float(model.bound(image, [1])[0])
    hard = model.attack(image, [1]).numpy()
    label = model.one_hot(np.full(200, 1))
    for center, size in ((image, 0.01), (image, 0.1), (hard, 0.01), (hard, 0.1)):
        others = center + size * rng.randn(200, 27, 27, 1).astype("float32")
        distance = np.sum((0.5 * (others - image)) ** 2, axis=(1, 2, 3))
        values = model.losses(0.5 * others + 0.5, label) - distance / (2 * 0.05)
        assert np.max(values) < bound


def test_attacks_raise_the_loss_and_pay_for_distance():
    model = small()
    image = tf.random.uniform([8, 27, 27, 1], -1, 1)
    label = np.arange(8) % 3
    losses, distances = [], []
    for epsilon in (0.0, 0.1, 0.5):
        hard = model.attack(image, label, epsilon)
        losses.append(model.losses(0.5 * hard + 0.5, model.one_hot(label)).numpy())
        distances.append(np.sum(np.square(hard - image), axis=(1, 2, 3)))
    assert (losses[0] < losses[1]).all() and (losses[1] < losses[2]).all()
    assert not distances[0].any() and (distances[1] < distances[2]).all()


def test_the_loss_is_the_cost_of_the_true_class():
    """Logits of 2, 0 and 0: ln(1 + 2 / e^2) for class 0, and 2 more for class 1."""
    model = small()
    model.classifier = lambda pixels, training: tf.constant([[2.0, 0.0, 0.0]] * 2)
    found = model.losses(tf.zeros([2, 27, 27, 1]), model.one_hot([0, 1]))
    np.testing.assert_allclose(found, np.log(1 + 2 * np.exp(-2)) + np.array([0.0, 2.0]), rtol=1e-5)


def test_no_gradient_goes_through_the_hard_image():
    """The slope of the loss in the weights is that at x', as if x' were data."""
    model = small(epsilon=0.5)
    image, label = tf.random.uniform([4, 27, 27, 1], -1, 1), model.one_hot([0, 1, 2, 0])
    values = [w.value for w in model.classifier.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(values)
        terms = model.classifier_loss(image, label)
    found = tape.gradient(terms["hard"], values)
    smooth = tf.clip_by_value(label, 0.05, 0.9)
    hard = model.hardest(0.5 * image + 0.5, smooth, 0.5)
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss = tf.reduce_mean(model.losses(tf.constant(hard.numpy()), smooth))
    for a, b in zip(found, tape.gradient(loss, values), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert list(terms) == ["hard"] and float(terms["hard"]) == pytest.approx(float(loss), abs=1e-6)


@pytest.mark.parametrize("classes, wrong", [(10, 0.1 / 9), (3, 0.05)])
def test_labels_are_smoothed_by_clipping(classes, wrong):
    model, seen = small(num_classes=classes, epsilon=0.0), []
    model.losses = lambda pixels, label: seen.append(label) or tf.zeros([1])
    model.classifier_loss(tf.zeros([1, 27, 27, 1]), tf.one_hot([1], classes))
    expected = np.full([1, classes], wrong)
    expected[0, 1] = 0.9
    np.testing.assert_allclose(seen[0], expected, atol=1e-6)
    assert np.sum(seen[0]) == pytest.approx(1.0, abs=1e-6)


def test_plain_training_attacks_nothing():
    model, seen = small(epsilon=0.0), []
    model.losses = lambda pixels, label: seen.append(pixels) or tf.zeros([1])
    model.classifier_loss(tf.fill([1, 27, 27, 1], -1.0), tf.one_hot([1], 3))
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], np.zeros([1, 27, 27, 1]))


def test_weights_stay_where_the_rate_is_0():
    model = small()
    model.compile({"classifier": {"learning_rate": 0.0}}, run_eagerly=True)
    before = [w.numpy() for w in model.classifier.weights]
    model.train_on_batch({"image": tf.random.normal([4, 27, 27, 1]) * 0.3, "label": [0, 1, 2, 0]})
    for a, b in zip(before, model.classifier.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_setting_for_mnist():
    model = WRM()
    shapes = [tuple(w.shape) for w in model.classifier.trainable_variables]
    assert shapes[::2] == [(8, 8, 1, 64), (6, 6, 64, 128), (5, 5, 128, 128), (128, 10)]
    activations = {
        layer.activation.__name__
        for layer in model.classifier.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    assert activations == {"elu"}
    assert (model.epsilon, model.attack_steps, model.smoothing) == (1.3, 15, 0.1)
    (optimizer,) = model.default_optimizers().values()
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)


def test_probabilities_of_classes():
    model = small()
    probability = model(tf.random.uniform([5, 27, 27, 1], -1, 1)).numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-6)


def test_images_that_are_too_small():
    with pytest.raises(BadInput, match="at least 27x27 pixels, not 26x27"):
        small(image_shape=(26, 27, 1))
    for classes in (0, 1):
        with pytest.raises(BadInput, match=f"num_classes = 2 or more, not {classes}"):
            small(num_classes=classes)


def test_tools_say_that_it_makes_no_new_images(run, tmp_path):
    small().save(path := tmp_path / "judge.keras")
    Image.new("L", (27, 27)).save(photo := tmp_path / "photo.png")
    with pytest.raises(BadInput, match="WRM samples nothing; .*tfgans use"):
        run("sample", path)
    with pytest.raises(BadInput, match="gives no images but probability: tfgans use"):
        run("translate", path, photo)
    with pytest.raises(BadInput, match="WRM makes no new images"):
        metrics.check_model(small(), ["kid"])
    run("use", path, "attack", f"image={photo}", "label=1")
    assert [file.suffix for file in tmp_path.rglob("*attack*")] == [".png"]
