"""Perceptual losses: what holds for every network, the stand-in, and VGG19 from a file."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_weights import weight
from torch_files import write_state_dict

from tfgans.data.scenes import SyntheticScenes
from tfgans.errors import BadInput
from tfgans.features import own_small, perceptual, vgg

WIDTHS = (64, 64, 128, 128, *[256] * 4, *[512] * 8)


def scenes(n=8, side=64):
    source = SyntheticScenes((side, side, 3), textured=True)
    return np.stack([source.read(i) for i in range(n)]).astype("float32") / 127.5 - 1


def look(layers=perceptual.LAYERS, **settings):
    path, build = perceptual.network(layers=layers, **settings)
    return build(path)


@pytest.fixture(scope="module")
def vgg19(tmp_path_factory):
    """Made weights of VGG19 in torchvision's form."""
    state, inputs = {}, 3
    for i, width in zip(vgg.TORCH_CONVOLUTIONS_19, WIDTHS, strict=True):
        for name, shape in (("weight", (width, inputs, 3, 3)), ("bias", (width,))):
            state[f"features.{i}.{name}"] = weight(f"features.{i}.{name}", shape)
        inputs = width
    path = tmp_path_factory.mktemp("vgg19") / "vgg19.pth"
    write_state_dict(path, state)
    return path


def test_a_distance_that_grows_with_noise_and_reaches_the_image_alone():
    found, image = look(), scenes(2, 32)
    weights = [1.0] * len(perceptual.LAYERS)
    noise = np.random.RandomState(0).normal(size=image.shape).astype("float32")
    far = [
        float(perceptual.distance(found, image + s * noise, image, weights))
        for s in (0.0, 0.05, 0.2, 0.8)
    ]
    assert far[0] == 0 and far == sorted(far) and far[1] > 0
    x, target = tf.Variable(image + 0.1 * noise), tf.Variable(image)
    with tf.GradientTape() as tape:
        total = perceptual.distance(found, x, target, weights)
    to_image, to_target = tape.gradient(total, [x, target])
    assert np.abs(to_image).max() > 0 and to_target is None


def test_the_distance_is_a_weighted_sum_of_means():
    def layers(x):
        return [x, 2.0 * x[:, ::2]]

    a, b = tf.zeros([2, 4, 4, 3]), tf.fill([2, 4, 4, 3], 3.0)
    assert float(perceptual.distance(layers, a, b, [1.0, 0.5])) == 3 + 0.5 * 6
    assert float(perceptual.distance(layers, a, b, [1.0, 0.5], tf.square)) == 9 + 0.5 * 36


def test_the_stand_in_says_so_and_has_layers_of_mean_one(capsys):
    names = ("block1_conv1", "block2_conv2", "block3_conv1", "block5_conv4")
    found = look(names)
    assert capsys.readouterr().out == perceptual.NOTE + "\n"
    activations = found(scenes(64))
    assert [x.shape[1:] for x in activations] == [(64, 64, 48), (32, 32, 96)] + 2 * [(16, 16, 192)]
    for x in activations:
        assert np.mean(x) == pytest.approx(1.0, abs=0.05) and np.min(x) == 0
    own, image = own_small.load(), scenes(4, 32)
    layers = [x for x in own.layers if isinstance(x, keras.layers.Conv2D)]
    third = keras.Model(own.input, layers[2].output)
    planes = [third(np.repeat(image[..., c : c + 1], 3, axis=-1)) for c in range(3)]
    planes = np.concatenate(planes, axis=-1) / perceptual.MEANS[2]
    np.testing.assert_allclose(found(image)[3], planes, atol=1e-4)
    gray = image[..., :1]
    np.testing.assert_array_equal(found(gray)[0], found(np.repeat(gray, 3, axis=-1))[0])


def test_it_is_float32_under_every_policy():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = look()
        assert keras.config.dtype_policy().name == "mixed_float16"
        answer = found(tf.cast(scenes(1, 16), "float16"))
    finally:
        keras.config.set_dtype_policy(policy)
    assert all(x.dtype == tf.float32 for x in answer)
    np.testing.assert_allclose(answer[-1], look()(scenes(1, 16))[-1], atol=0.05)


@pytest.mark.thorough
def test_vgg19_from_a_file(vgg19):
    """The first layer by hand, after its ReLU; all sixteen convolutions have their own weights."""
    image = scenes(1, 16)
    first, last = look(("block1_conv1", "block5_conv4"), path=vgg19)(image)
    kernel = weight("features.0.weight", (64, 3, 3, 3)).transpose(2, 3, 1, 0)
    bias = weight("features.0.bias", (64,))
    scaled = (image + [0.030, 0.088, 0.188]) / [0.458, 0.448, 0.450]
    expected = tf.nn.relu(tf.nn.conv2d(scaled.astype("float32"), kernel, 1, "SAME") + bias)
    np.testing.assert_allclose(first, expected, rtol=1e-3, atol=1e-4)
    assert last.shape == (1, 1, 1, 512) and np.min(last) >= 0
    (alone,) = look(("block5_conv4",), path=vgg19)(image)
    np.testing.assert_array_equal(alone, last)
    (plain,) = look(("block1_conv1",), path=vgg19, prepare=False)(image)
    expected = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME") + bias)
    np.testing.assert_allclose(plain, expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(BadInput, match="does not hold VGG16: features.17 is nothing"):
        look(("block5_conv3",), path=vgg19, kind="VGG16")


@pytest.mark.thorough
def test_layers_before_their_relu(vgg19):
    """Where they are positive they are those after it; the stand-in's have a mean size of one."""
    for settings in ({"path": vgg19}, {}):
        names = ("block1_conv1", "block4_conv4")
        image = scenes(2, 32)
        before, after = (look(names, rectified=r, **settings)(image) for r in (False, True))
        for k in range(2):
            assert np.min(before[k]) < 0
            positive = tf.nn.relu(before[k]).numpy()
            scale = 1.0
            if not settings:
                numbers = perceptual.MEANS_BEFORE, perceptual.MEANS
                scale = numbers[0][2 * k] / numbers[1][2 * k]
            np.testing.assert_allclose(positive * scale, after[k], rtol=1e-4, atol=1e-3)
    sizes = [np.mean(np.abs(x)) for x in look(rectified=False)(scenes(64))]
    np.testing.assert_allclose(sizes, 1.0, atol=0.05)


def test_vgg_sees_images_of_one_size(vgg19):
    image = scenes(1, 48)
    (whole,) = look(("block2_conv1",), path=vgg19)(tf.image.resize(image, [32, 32]))
    (found,) = look(("block2_conv1",), path=vgg19, side=32)(image)
    np.testing.assert_array_equal(found, whole)
    assert look(("block2_conv1",), side=32)(image)[0].shape[1] == 24  # the stand-in is not asked
