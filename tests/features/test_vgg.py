"""LPIPS against the numbers of its own code and its defining properties; VGG16 of Keras.

lpips_reference.npz holds the distances that richzhang/PerceptualSimilarity's code (PyTorch 2.13)
computes for the random weights (made_weights.py) and images made below.
"""

import hashlib
import json
import pathlib
import re

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from made_weights import weight
from pages import python_of, run
from torch_files import write_state_dict

from tfgans import features, metrics
from tfgans.errors import BadInput
from tfgans.features import vgg

REFERENCE = pathlib.Path(__file__).with_name("lpips_reference.npz")
WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
CHANNELS = (64, 128, 256, 512, 512)


def images():
    draw = np.random.default_rng(2)
    a = draw.uniform(-1, 1, [3, 48, 64, 3]).astype("float32")
    noise = draw.normal(0, np.reshape([0.05, 0.3, 1.0], [3, 1, 1, 1]), a.shape)
    return a, np.clip(a + noise, -1, 1).astype("float32")


def torch_vgg():
    state, inputs = {}, 3
    for i, width in zip(vgg.TORCH_CONVOLUTIONS, WIDTHS, strict=True):
        for name, shape in (("weight", (width, inputs, 3, 3)), ("bias", (width,))):
            state[f"features.{i}.{name}"] = weight(f"features.{i}.{name}", shape)
        inputs = width
    return state


def linear(values=None):
    if values is None:
        values = [np.abs(weight(f"lin{i}", (1, c, 1, 1))) for i, c in enumerate(CHANNELS)]
    return {f"lin{i}.model.1.weight": value for i, value in enumerate(values)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vgg")
    write_state_dict(folder / "vgg16-397923af.pth", torch_vgg())
    write_state_dict(folder / "vgg.pth", linear())
    return folder


@pytest.fixture(scope="module")
def lpips(files):
    return vgg.LPIPS(files / "vgg16-397923af.pth", files / "vgg.pth")


@pytest.mark.thorough
def test_python_of_the_page_on_metrics(files, monkeypatch):
    """The block of VGG16, with random weights: nobody may pass on the real ones."""
    monkeypatch.chdir(files)
    names = {"np": np, "metrics": metrics}
    run(python_of("metrics")[2], names, **{"50_000": "8"})
    assert names["length"] > 0 and names["labels"].tolist() == [*range(8)]


def test_numbers_of_its_own_code(lpips):
    a, b = images()
    expected = np.load(REFERENCE)["distance"]
    np.testing.assert_allclose(lpips(a, b), expected, rtol=1e-4)
    assert expected[0] < expected[1] < expected[2]
    assert not lpips.comparable  # the hash is that of random weights


def test_a_distance(lpips):
    a, b = images()
    np.testing.assert_allclose(lpips(a, a), 0, atol=1e-7)
    np.testing.assert_allclose(lpips(a, b), lpips(b, a), rtol=1e-5)
    gray = tf.reduce_mean(a, axis=3, keepdims=True)
    np.testing.assert_allclose(lpips(gray, b), lpips(tf.repeat(gray, 3, axis=3), b), rtol=1e-6)


def test_a_layer_counts_by_direction_only(lpips):
    """Scaled activations have distance 0; orthogonal ones have twice the weight."""
    a, b = (x[2:, :32, :32] for x in images())
    plain = lpips.activations
    expected = lpips(a, b)
    for layer in range(5):
        lpips.activations = lambda x, layer=layer: [
            5 * y if i == layer else y for i, y in enumerate(plain(x))
        ]
        np.testing.assert_allclose(lpips(a, b), expected, rtol=1e-4)
    here, there = np.zeros([2, 1, 4, 6, 512], "float32")
    here[..., :256] = np.random.default_rng(0).uniform(0.1, 1, [1, 4, 6, 256])
    there[..., 256:] = np.random.default_rng(1).uniform(0.1, 1, [1, 4, 6, 256])
    weights, lpips.weights = lpips.weights, [np.full(512, 0.3, "float32")]
    lpips.activations = lambda x: [x]
    np.testing.assert_allclose(lpips(here, there), 2 * 0.3, rtol=1e-5)
    lpips.activations, lpips.weights = plain, weights


def test_gradients_flow(lpips):
    a, b = map(tf.constant, images())
    with tf.GradientTape() as tape:
        tape.watch(a)
        distance = lpips(a[2:], b[2:])[0]
    gradient = tape.gradient(distance, a)[2:]
    step = 0.01 * gradient / tf.norm(gradient)
    slope = (lpips(a[2:] + step, b[2:]) - lpips(a[2:] - step, b[2:])) / 0.02
    np.testing.assert_allclose(slope[0], tf.norm(gradient), rtol=0.02)


def test_missing_and_wrong_files(files, monkeypatch):
    monkeypatch.delenv("TFGANS_VGG16", raising=False)
    with pytest.raises(BadInput, match="vgg16-397923af.pth.*TFGANS_VGG16"):
        vgg.LPIPS(None, files / "vgg.pth")
    monkeypatch.setenv("TFGANS_VGG16", str(files / "vgg16-397923af.pth"))
    with pytest.raises(BadInput, match="v0.1/vgg.pth.*TFGANS_LPIPS"):
        vgg.LPIPS()
    with pytest.raises(BadInput, match="There is no file nowhere.pth"):
        vgg.LPIPS(linear="nowhere.pth")
    with pytest.raises(BadInput, match="does not hold LPIPS' weights"):
        vgg.LPIPS(linear=files / "vgg16-397923af.pth")
    with pytest.raises(BadInput, match="does not hold VGG16: features.0 is nothing"):
        vgg.LPIPS(files / "vgg.pth", files / "vgg.pth")


def test_images_that_are_too_small_or_of_other_channels(lpips):
    with pytest.raises(BadInput, match=r"at least 16 x 16 pixels, not \[15, 32, 3\]"):
        lpips(*np.zeros([2, 1, 15, 32, 3], "float32"))
    with pytest.raises(BadInput, match=r"pixels, not \[16, 16, 4\]"):
        lpips(*np.zeros([2, 1, 16, 16, 4], "float32"))
    assert np.isfinite(lpips(*np.zeros([2, 1, 16, 16, 1], "float32"))).all()


@pytest.mark.thorough
def test_the_examples_of_the_documentation(files, monkeypatch):
    """The examples with files of these names and fewer paths."""
    monkeypatch.chdir(files)
    text = (pathlib.Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    examples = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    space = {}
    for example in examples:
        exec(compile(example.replace("50_000", "16"), "docs/metrics.md", "exec"), space)
    assert len(examples) == 4 and space["length"] > 0


@pytest.mark.thorough
def test_the_tool_measures_path_lengths(run, files, tmp_path, capsys):
    draw = np.random.default_rng(3)
    images, labels = draw.integers(0, 256, [20, 32, 32, 1], "uint8"), np.arange(20) % 10
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    weights = ["--vgg", files / "vgg16-397923af.pth", "--lpips", files / "vgg.pth"]
    names = ["--metrics", "ppl_wend", "--samples", 16, "--seeds", 1]
    run("evaluate", "stylegan2-fashion", "--data", "data.npz", *names, *weights, "--out", "a.json")
    text = capsys.readouterr().out
    assert "own_ppl_wend" in text and "distance: lpips-vgg16" in text
    result = json.loads((tmp_path / "a.json").read_text())
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in weights[1::2]]
    assert result["protocol"]["distance_sha256"] == " ".join(sums)


def write_keras(path, layers):
    """Writes an HDF5 file like those of `keras.applications`.

    Weights may be constants; these are stored as fill values, so a file of 550 MB takes a few
    kilobytes.
    """
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, weights in layers.items():
            group = file.create_group(layer)
            names = [f"{layer}/{kind}:0" for kind in ("kernel", "bias")]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, weights, strict=True):
                if isinstance(value, tuple):
                    shape, constant = value
                    group.create_dataset(name, shape, "float32", fillvalue=constant)
                else:
                    group.create_dataset(name, data=value)


def keras_layers():
    names = [f"block{b}_conv{i}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]
    state = torch_vgg()
    return {
        name: [state[f"features.{i}.weight"].transpose(2, 3, 1, 0), state[f"features.{i}.bias"]]
        for name, i in zip(names, vgg.TORCH_CONVOLUTIONS, strict=True)
    }


def test_lpips_with_the_weights_of_keras(files, lpips):
    """The same network with other inputs: blue first, in 0..255 minus the mean."""
    write_keras(files / "notop.h5", keras_layers())
    ours = vgg.LPIPS(files / "notop.h5", files / "vgg.pth")
    a, b = images()
    for x, y in zip(ours.layers(a), lpips.layers(a), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
    pixel = ours.prepare(tf.constant([[[[-1.0, 0.0, 1.0]]]]))
    np.testing.assert_allclose(pixel[0, 0, 0], [255 - 103.939, 127.5 - 116.779, -123.68], atol=1e-4)
    assert not ours.comparable
    assert (np.asarray(ours(a, b)) > 0).all()


@pytest.mark.slow
def test_fc2_of_keras_weights(files):
    """Dense layers with constant weights: fc1 and fc2 follow from the last block by hand."""
    layers = keras_layers()
    layers |= {
        "fc1": [((25088, 4096), 1e-4), ((4096,), 0.5)],
        "fc2": [((4096, 4096), 1e-3), ((4096,), -0.25)],
        "predictions": [((4096, 1000), 1e-3), ((1000,), 0.125)],
    }
    write_keras(files / "vgg16_weights.h5", layers)
    extractor = features.get(files / "vgg16_weights.h5")
    assert (extractor.name, extractor.side, extractor.resize) == ("vgg16-fc2", 224, "tfgan")
    shown = np.random.default_rng(4).integers(0, 256, [1, 224, 224, 3]).astype("uint8")
    write_keras(files / "notop.h5", keras_layers())
    network = vgg.LPIPS(files / "notop.h5", files / "vgg.pth").layers
    last = network(keras.applications.vgg16.preprocess_input(shown.astype("float32")))[-1]
    flat = tf.nn.max_pool2d(last, 2, 2, "VALID")
    fc1 = float(tf.reduce_sum(flat)) * 1e-4 + 0.5
    fc2 = 4096 * fc1 * 1e-3 - 0.25
    np.testing.assert_allclose(extractor(shown), np.full([1, 4096], fc2), rtol=1e-3)
    np.testing.assert_allclose(extractor.logits(shown)[0], 4096 * fc2 * 1e-3 + 0.125, rtol=1e-3)


def test_without_its_top_it_has_no_fc2(files):
    write_keras(files / "notop.h5", keras_layers())
    with pytest.raises(BadInput, match="without its dense layers, which is enough for LPIPS only"):
        features.get(files / "notop.h5")
