"""`features.get`: every kind of thing it takes, and one clear error for what it does not."""

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

FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")  # Debian's package
IMAGES = np.random.default_rng(0).integers(0, 256, [5, 20, 24, 3]).astype("uint8")


def test_nothing_given(monkeypatch):
    monkeypatch.delenv("TFGANS_FEATURES", raising=False)
    with pytest.raises(BadInput, match="none is downloaded") as error:
        features.get()
    for word in (
        "pt_inception-2015-12-05-6726825d.pth", "classify_image_graph_def.pb", "TFGANS_FEATURES",
        "mseitzer/pytorch-fid", "own-small",
    ):  # fmt: skip
        assert word in str(error.value)
    monkeypatch.setenv("TFGANS_FEATURES", "own-small")
    assert features.get().name == "own-small"


def test_wrong_things(tmp_path):
    with pytest.raises(BadInput, match="neither a file nor a folder"):
        features.get("nowhere.pth")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(BadInput, match="no known ending: wanted .pth, .pb, .h5"):
        features.get(tmp_path / "x.txt")
    with pytest.raises(BadInput, match="Did you mean 'clean'"):
        features.get("own-small", resize="klean")


def test_random_features_are_always_the_same():
    """A number written down: whoever changes them changes every test that uses them."""
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
    with pytest.raises(BadInput, match=r"shape \[20, 24, 3\] for 5 images, wanted \[N, d\]"):
        features.get(lambda images: images.mean(axis=0))(IMAGES)


def pooling(side=8):
    image = keras.Input([side, side, 3])
    return keras.Model(image, keras.layers.AveragePooling2D(4)(image), name="pooling")


def expected_pooling():
    """Of images in [-1, 1] after `tf.image.resize`."""
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
    with pytest.raises(BadInput, match=r"\[8, 8, 1\]. Wanted: RGB images of a fixed square size"):
        features.get(path)


class Hub(tf.Module):
    """As tensorflow-gan's module: a dict of pool_3 and logits, of images in [-1, 1]."""

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
    assert len(extractor.sha256) == 64 and extractor.resize == "tfgan"
    (tmp_path / "variables" / "more").write_text("x")
    assert features.get(tmp_path).sha256 != extractor.sha256


def test_saved_model_of_keras(tmp_path):
    pooling().export(str(tmp_path / "a"), verbose=False)
    extractor = features.get(tmp_path / "a")
    np.testing.assert_allclose(extractor(IMAGES), expected_pooling(), atol=1e-5)
    with pytest.raises(BadInput, match='no output "logits"'):
        extractor.logits(IMAGES)


def test_keras_inception_from_weights(tmp_path):
    """Of `keras.applications.InceptionV3`, images resized and in [-1, 1]."""
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
    """A file of a network of that name (here a small one): the pool before its last layer."""
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
    assert extractor.sha256 == facts["sha256"]  # the numbers beside the file are of this file
    assert extractor.name == "own-small" and not extractor.comparable
    assert own_small.WEIGHTS.stat().st_size < 500_000
    assert facts["seed"] == own_small.SEED
    assert facts["test accuracy, mnist"] > 0.985 and facts["test accuracy, fashion"] > 0.9
    activations = extractor(IMAGES)
    assert activations.shape == (5, 64) and (activations >= 0).all()
    logits = own_small.build()(np.zeros([1, 32, 32, 3]))
    assert extractor.logits(IMAGES).shape == (5, 20) and logits.shape == (1, 20)


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not here")
def test_own_small_knows_clothes():
    """The accuracy that is written beside it holds for what `get` gives: uint8 in, logits out."""
    images = read_idx(FASHION / "t10k-images-idx3-ubyte.gz")[:1000, ..., None]
    labels = read_idx(FASHION / "t10k-labels-idx1-ubyte.gz")[:1000]
    logits = features.get("own-small").logits(images)
    assert np.mean(np.argmax(logits, axis=1) - 10 == labels) > 0.89
