"""`features.get` opens every kind of network and refuses everything else with a clear error."""

import hashlib
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import features
from tfgans.data.arrays import read_idx
from tfgans.errors import BadInput
from tfgans.features import own_small
from tfgans.metrics import evaluate, inception_score

FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")  # Debian's package
IMAGES = np.random.default_rng(0).integers(0, 256, [5, 20, 24, 3]).astype("uint8")


def test_nothing_given(monkeypatch):
    monkeypatch.delenv("TFGANS_FEATURES", raising=False)
    with pytest.raises(BadInput, match="none is downloaded") as error:
        features.get()
    for word in (
        "pt_inception-2015-12-05-6726825d.pth",
        "classify_image_graph_def.pb",
        "TFGANS_FEATURES",
        "mseitzer/pytorch-fid",
        "own-small",
    ):
        assert word in str(error.value)
    monkeypatch.setenv("TFGANS_FEATURES", "own-small")
    assert features.get().name == "own-small"


def test_wrong_things(tmp_path):
    with pytest.raises(BadInput, match="neither a file nor a folder"):
        features.get("nowhere.pth")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(BadInput, match="no known suffix: wanted .pth, .pb, .h5"):
        features.get(tmp_path / "x.txt")
    with pytest.raises(BadInput, match="Did you mean 'clean'"):
        features.get("own-small", resize="klean")


def test_random_features_are_always_the_same():
    """A change of these weights changes every test that uses them."""
    extractor = features.get("random")
    x = extractor(IMAGES)
    assert x.shape == (5, 64) and not extractor.comparable
    np.testing.assert_array_equal(x, features.get("random")(IMAGES))
    np.testing.assert_array_equal(x[:2], extractor(IMAGES[:2]))
    assert extractor.sha256 == SHA256_OF_RANDOM
    with pytest.raises(BadInput, match="has no classes, so it gives no Inception Score"):
        extractor.logits(IMAGES)


SHA256_OF_RANDOM = "2984b399f2361b27563e1ead42964ea8a42b3b84dfb37b4dcd87085b69a47edc"


def test_a_function_gets_the_images_as_they_are():
    seen = []

    def mean(images):
        seen.append(images)
        return images.mean(axis=(1, 2))

    extractor = features.get(mean)
    np.testing.assert_allclose(extractor(IMAGES), IMAGES.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(seen[0], IMAGES)
    assert (extractor.name, extractor.resize) == ("function mean", "none")
    assert extractor(IMAGES[..., :1]).shape == (5, 3)  # gray is repeated
    with pytest.raises(BadInput, match=r"shape \[20, 24, 3\] for 5 images. Wanted: \[N, d\]"):
        features.get(lambda images: images.mean(axis=0))(IMAGES)


def pooling(side=8):
    image = keras.Input([side, side, 3])
    return keras.Model(image, keras.layers.AveragePooling2D(4)(image), name="pooling")


def expected_pooling():
    """The pooled values for images in [-1, 1] after `tf.image.resize`."""
    x = np.asarray(tf.image.resize(IMAGES, [8, 8])) / 127.5 - 1
    return x.reshape(5, 2, 4, 2, 4, 3).mean(axis=(2, 4)).reshape(5, -1)


def test_keras_file(tmp_path):
    path = tmp_path / "mine.keras"
    image = keras.Input([8, 8, 3])
    y = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(image))
    keras.Model(image, y, name="mine").save(path)
    extractor = features.get(path)
    np.testing.assert_allclose(extractor(IMAGES), expected_pooling(), atol=1e-5)
    assert extractor.name == "mine" and not extractor.comparable
    assert extractor.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    keras.Sequential([keras.Input([8, 8, 1]), keras.layers.Flatten()]).save(path)
    with pytest.raises(BadInput, match=r"\[8, 8, 1\]. Wanted: square RGB images of a fixed size"):
        features.get(path)


class Hub(tf.Module):
    """Like tensorflow-gan's module: images in [-1, 1] -> a dict of pool_3 and logits."""

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], name="images")])
    def __call__(self, images):
        pool = tf.nn.avg_pool2d(images, 4, 4, "VALID")
        return {"pool_3": pool, "logits": 2 * tf.reduce_mean(pool, axis=[1, 2])}


@pytest.mark.parametrize("signed", [True, False])
def test_saved_model(tmp_path, signed):
    hub = Hub()
    signatures = hub.__call__.get_concrete_function() if signed else None
    tf.saved_model.save(hub, str(tmp_path), signatures)
    extractor = features.get(tmp_path)
    expected = expected_pooling()
    np.testing.assert_allclose(extractor(IMAGES), expected, atol=1e-5)
    np.testing.assert_allclose(
        extractor.logits(IMAGES), 2 * expected.reshape(5, 4, 3).mean(axis=1), atol=1e-5
    )
    activations, logits = extractor.with_logits(IMAGES)  # one pass
    np.testing.assert_array_equal(activations, extractor(IMAGES))
    np.testing.assert_array_equal(logits, extractor.logits(IMAGES))
    assert len(extractor.sha256) == 64 and extractor.resize == "tfgan"
    (tmp_path / "variables" / "more").write_text("x")
    assert features.get(tmp_path).sha256 != extractor.sha256


def test_saved_model_of_keras(tmp_path):
    pooling().export(str(tmp_path / "a"), verbose=False)
    extractor = features.get(tmp_path / "a")
    np.testing.assert_allclose(extractor(IMAGES), expected_pooling(), atol=1e-5)
    with pytest.raises(BadInput, match='no output "logits" or "probabilities"'):
        extractor.logits(IMAGES)


def own_network(path, **names):
    """Saves a network with named outputs: the means of four parts, and three classes from them."""
    image = keras.Input([8, 8, 3])
    means = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(image))
    kernel = keras.initializers.RandomNormal(stddev=2, seed=1)
    logits = keras.layers.Dense(3, kernel_initializer=kernel)(means)
    outputs = {"features": means, "logits": logits, "probabilities": keras.ops.softmax(logits)}
    network = keras.Model(image, {new: outputs[old] for new, old in names.items()}, name="own")
    if path.suffix == ".keras":
        network.save(path)
    else:
        network.export(str(path), verbose=False)
    return path, keras.Model(image, logits)


@pytest.mark.parametrize("file", ["own", "own.keras"])
def test_a_network_of_the_users_own_gives_an_inception_score(file, tmp_path):
    """The outputs are found by name; probabilities score like the logits they come from."""
    path, logits_of = own_network(
        tmp_path / file, features="features", probabilities="probabilities"
    )
    extractor = features.get(path)
    activations, logits = extractor.with_logits(IMAGES)
    np.testing.assert_allclose(activations, expected_pooling(), atol=1e-5)
    x = np.asarray(tf.image.resize(IMAGES, [8, 8])) / 127.5 - 1
    expected = inception_score(logits_of(x), splits=1)[0]
    assert inception_score(logits, splits=1)[0] == pytest.approx(expected, rel=1e-5)
    assert expected > 1.001  # the images differ
    many = np.random.default_rng(7).integers(0, 256, [20, 20, 24, 3]).astype("uint8")
    np.save(tmp_path / "many.npy", many)
    result = evaluate(tmp_path / "many.npy", str(tmp_path / "many.npy"), ["fid", "is"], path)
    order = np.random.default_rng(0).permutation(20)
    found = result["values"]["own_is"]["mean"]
    assert found == pytest.approx(inception_score(extractor.logits(many[order]))[0], rel=1e-5)
    assert abs(result["values"]["own_fid"]["mean"]) < 1e-5


def test_outputs_that_are_not_what_they_are_called(tmp_path):
    path, _ = own_network(tmp_path / "a", features="features", probabilities="logits")
    with pytest.raises(
        BadInput, match='do not sum to 1. If they are logits, name the output "logits"'
    ):
        features.get(path).logits(IMAGES)
    path, _ = own_network(tmp_path / "b", first="features", logits="logits")
    with pytest.raises(BadInput, match='outputs first, logits. Wanted: an output "features"'):
        features.get(path)(IMAGES)


@pytest.mark.thorough
def test_keras_inception_from_weights(tmp_path):
    """Compares with `keras.applications.InceptionV3` on resized images in [-1, 1]."""
    shown = np.random.default_rng(1).integers(0, 256, [1, 80, 80, 3]).astype("uint8")
    network = keras.applications.InceptionV3(weights=None, pooling="avg", include_top=False)
    network.save_weights(tmp_path / "i.weights.h5")
    extractor = features.get(tmp_path / "i.weights.h5")
    x = np.asarray(tf.image.resize(shown, [299, 299])) / 127.5 - 1
    np.testing.assert_allclose(extractor(shown), network(x), rtol=1e-3, atol=1e-5)
    assert extractor.name == "keras-inception-v3" and not extractor.comparable
    with pytest.raises(BadInput, match="no classes"):
        extractor.logits(shown)


def test_keras_inception_with_its_classes(tmp_path):
    """A file of a network with that name (here small) gives the pool before its last layer."""
    image = keras.Input([299, 299, 3])
    pool = keras.layers.GlobalAveragePooling2D(name="avg_pool")(image)
    classes = keras.layers.Dense(7, name="predictions")(pool)
    network = keras.Model(image, classes, name="inception_v3")
    network.save(tmp_path / "whole.keras")
    extractor = features.get(tmp_path / "whole.keras")
    x = np.asarray(tf.image.resize(IMAGES, [299, 299])) / 127.5 - 1
    np.testing.assert_allclose(extractor(IMAGES), x.mean(axis=(1, 2)), atol=1e-4)
    np.testing.assert_allclose(extractor.logits(IMAGES), network(x), atol=1e-4)


# own-small


def test_own_small_says_what_it_is():
    extractor = features.get("own-small")
    facts = json.loads(own_small.WEIGHTS.with_suffix(".json").read_text())
    assert extractor.sha256 == facts["sha256"]  # the facts describe this file
    assert extractor.name == "own-small" and not extractor.comparable
    assert own_small.WEIGHTS.stat().st_size < 500_000
    assert facts["seed"] == own_small.SEED
    assert facts["test accuracy, mnist"] > 0.985 and facts["test accuracy, fashion"] > 0.9
    activations = extractor(IMAGES)
    assert activations.shape == (5, 64) and (activations >= 0).all()
    logits = own_small.build()(np.zeros([1, 32, 32, 3]))
    assert extractor.logits(IMAGES).shape == (5, 20) and logits.shape == (1, 20)


def test_features_are_rescaled_and_logits_are_not():
    """The last step of its training brings the mean square of the features to 1."""
    model, images = own_small.build(), np.random.default_rng(0).uniform(-1, 1, [50, 32, 32, 3])
    look = keras.Model(model.input, [model.get_layer("features").output, model.output])
    features_before, logits_before = (np.asarray(x) for x in look(images))
    own_small.rescale(model, images)
    features_after, logits_after = look(images)
    assert np.mean(np.square(features_after)) == pytest.approx(1, rel=1e-5)
    assert np.mean(np.square(features_before)) < 0.5
    np.testing.assert_allclose(logits_after, logits_before, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not here")
def test_own_small_knows_clothes():
    """The accuracy recorded beside it holds for the extractor: uint8 in, logits out."""
    images = read_idx(FASHION / "t10k-images-idx3-ubyte.gz")[:1000, ..., None]
    labels = read_idx(FASHION / "t10k-labels-idx1-ubyte.gz")[:1000]
    logits = features.get("own-small").logits(images)
    assert np.mean(np.argmax(logits, axis=1) - 10 == labels) > 0.89
    size = np.mean(features.get("own-small")(images) ** 2) ** 0.5
    assert size == pytest.approx(0.81, abs=0.02)  # 1.15 for digits, 1 for the training images


def test_a_keras_model_in_memory_is_its_file(tmp_path):
    """It takes RGB images in [-1, 1], as the same model in a file; a function takes uint8."""
    path = tmp_path / "pooling.keras"
    pooling().save(path)
    extractor = features.get(pooling())
    np.testing.assert_allclose(extractor(IMAGES), expected_pooling(), atol=1e-5)
    np.testing.assert_array_equal(extractor(IMAGES), features.get(path)(IMAGES))
    assert (extractor.name, extractor.resize, extractor.sha256) == ("pooling", "tfgan", None)
    bicubic = features.get(pooling(), resize="clean")
    assert bicubic.resize == "clean" and np.abs(bicubic(IMAGES) - extractor(IMAGES)).max() > 1e-3

    class Subclass(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(BadInput, match="Wanted: a functional or sequential model"):
        features.get(Subclass())
    two = [keras.Input([8, 8, 3]), keras.Input([8, 8, 3])]
    with pytest.raises(BadInput, match="Wanted: a functional or sequential model"):
        features.get(keras.Model(two, keras.layers.Add()(two)))
    with pytest.raises(BadInput, match="VGG16 without its dense layers"):
        features.get(keras.Model(two[0], two[0], name="vgg16"))
