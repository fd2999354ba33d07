"""The network of FID against pytorch-fid's own code; the frozen graph; wrong files.

inception_reference.npz holds the names and shapes of torchvision's Inception3 with 1,008 classes,
and the outputs of pytorch-fid's InceptionV3 (PyTorch 2.13) for random weights (made_weights.py) and
images: `pool` with its own resize to 299, `small_pool` for [2, 139, 107, 3] without a resize.
"""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from made_weights import weight
from torch_files import write_state_dict

from tfgans import features
from tfgans.errors import BadInput
from tfgans.features import inception

REFERENCE = np.load(pathlib.Path(__file__).with_name("inception_reference.npz"))


@pytest.fixture(scope="module")
def state():
    shapes = ([n for n in shape if n] for shape in REFERENCE["shapes"].tolist())
    names = REFERENCE["names"].tolist()
    return {name: weight(name, shape) for name, shape in zip(names, shapes, strict=True)}


@pytest.fixture(scope="module")
def network():
    return inception.build()


@pytest.fixture(scope="module")
def extractor(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "pt_inception-2015-12-05-6726825d.pth"
    write_state_dict(path, state)
    return features.get(path)


def test_numbers_of_pytorch_fid(extractor):
    images = np.random.default_rng(0).uniform(0, 255, [2, 40, 50, 3]).round().astype("uint8")
    pool = extractor(images)
    assert pool.shape == (2, 2048) and pool.dtype == np.float32
    np.testing.assert_allclose(pool, REFERENCE["pool"], rtol=1e-3, atol=1e-4)


def test_numbers_of_its_blocks_on_other_sizes(network, state):
    """[2, 139, 107] gives 15 x 11, 7 x 5 and 3 x 2 positions, so borders count in all poolings."""
    images = np.random.default_rng(1).uniform(-1, 1, [2, 139, 107, 3]).astype("float32")
    inception.load(network, state, "here")
    np.testing.assert_allclose(network(images), REFERENCE["small_pool"], rtol=1e-3, atol=1e-4)
    changed = dict(state)
    changed["Mixed_7c.branch_pool.bn.bias"] = state["Mixed_7c.branch_pool.bn.bias"] + 1
    inception.load(network, changed, "here")
    assert np.abs(network(images) - REFERENCE["small_pool"])[:, -192:].mean() > 0.1


def test_size_of_the_network(network, state):
    """Torchvision's count of 27,161,264 includes 3,326,696 of the second classifier, has 8 classes
    fewer, and leaves out two of the four numbers of each normalization."""
    trained = [array.size for name, array in state.items() if "running" not in name]
    assert sum(trained) == 27_161_264 - 3_326_696 + 8 * 2049 == 23_850_960
    kernels = sum(array.size for name, array in state.items() if "conv.weight" in name)
    biases = sum(array.size for name, array in state.items() if "bn.bias" in name)
    assert network.count_params() == kernels + biases
    assert network.output.shape == (None, 2048)
    assert sum("conv.weight" in name for name in state) == 94


@pytest.mark.thorough
def test_logits_are_without_the_bias(extractor, state):
    images = np.full([1, 8, 8, 1], 200, "uint8")
    pool = extractor(images)
    expected = pool @ state["fc.weight"].T
    np.testing.assert_allclose(extractor.logits(images), expected, rtol=1e-5)
    np.testing.assert_allclose(extractor.head(pool), expected, rtol=1e-5)
    assert expected.shape == (1, 1008)


def test_unknown_weights_are_not_comparable(extractor):
    """The hash of a file decides, not its name."""
    assert not extractor.comparable
    assert extractor.name == "inception-2015, unknown weights"
    assert extractor.resize == "torch" and len(extractor.sha256) == 64


def test_other_networks_are_refused(network, state):
    for change in (
        {"fc.weight": np.zeros([1000, 2048], "float32")},  # torchvision's own
        {"Mixed_6b.branch7x7_2.conv.weight": np.zeros([128, 128, 7, 1], "float32")},
    ):
        with pytest.raises(BadInput, match="does not hold the Inception network of 2015"):
            inception.load(network, state | change, "file")
    del (other := dict(state))["Mixed_5b.branch1x1.bn.running_var"]
    with pytest.raises(BadInput, match="running_var is nothing, not"):
        inception.load(network, other, "file")


# The frozen graph: a small one with the operations and names of the real one


def small_graph(scaled):
    """Resizes to 299, (x - 128) / 128, convolution, the old batch normalization, pool, classes."""
    draw = np.random.default_rng(5)
    kernel = draw.normal(size=[9, 9, 3, 4]).astype("float32") / 9
    mean, beta = draw.normal(size=[2, 4]).astype("float32")
    variance, gamma = draw.uniform(0.5, 2, size=[2, 4]).astype("float32")
    weights = draw.normal(size=[4, 6]).astype("float32")
    graph = tf.compat.v1.GraphDef()  # version 0 still allows the old operation

    def node(op, name, *inputs, **attributes):
        new = graph.node.add(op=op, name=name, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, np.ndarray):
                new.attr[key].tensor.CopyFrom(tf.make_tensor_proto(value))
            elif isinstance(value, tf.DType):
                new.attr[key].type = value.as_datatype_enum
            elif isinstance(value, bool):
                new.attr[key].b = value
            elif isinstance(value, list):
                new.attr[key].list.i.extend(value)
            elif isinstance(value, float):
                new.attr[key].f = value
            else:
                new.attr[key].s = value
        return name

    def const(name, value):
        value = np.asarray(value)
        return node("Const", name, value=value, dtype=tf.as_dtype(value.dtype))

    float32 = {"T": tf.float32}
    node("Placeholder", "DecodeJpeg", dtype=tf.float32)
    node("ExpandDims", "ExpandDims", "DecodeJpeg", const("dim", np.int32(0)), **float32)
    node(
        "ResizeBilinear",
        "ResizeBilinear",
        "ExpandDims",
        const("size", np.int32([299, 299])),
        align_corners=False,
        **float32,
    )
    node("Sub", "Sub", "ResizeBilinear", const("Sub/y", np.float32(128)), **float32)
    node("Mul", "Mul", "Sub", const("Mul/y", np.float32(1 / 128)), **float32)
    node(
        "Conv2D",
        "conv/Conv2D",
        "Mul",
        const("conv/conv2d_params", kernel),
        strides=[1, 2, 2, 1],
        padding=b"VALID",
        **float32,
    )
    statistics = [
        const(f"conv/batchnorm/{name}", value)
        for name, value in (
            ("moving_mean", mean),
            ("moving_variance", variance),
            ("beta", beta),
            ("gamma", gamma),
        )
    ]
    node(
        "BatchNormWithGlobalNormalization",
        "conv/batchnorm",
        "conv/Conv2D",
        *statistics,
        variance_epsilon=0.001,
        scale_after_normalization=scaled,
        **float32,
    )
    node("Relu", "conv", "conv/batchnorm", **float32)
    side = [1, 146, 146, 1]
    node("AvgPool", "pool_3", "conv", ksize=side, strides=[1, 1, 1, 1], padding=b"VALID", **float32)
    node("Reshape", "pool_3/_reshape", "pool_3", const("shape", np.int32([1, 4])), **float32)
    node(
        "MatMul",
        "softmax/logits/MatMul",
        "pool_3/_reshape",
        const("softmax/weights", weights),
        **float32,
    )
    return graph, (kernel, mean, variance, beta, gamma if scaled else 1.0, weights)


@pytest.mark.parametrize("scaled", [False, True])
def test_frozen_graph(tmp_path, scaled):
    """Batches, images of any size, the old normalization with and without gain, logits."""
    graph, (kernel, mean, variance, beta, gain, weights) = small_graph(scaled)
    path = tmp_path / "classify_image_graph_def.pb"
    path.write_bytes(graph.SerializeToString())
    extractor = features.get(path)
    images = np.random.default_rng(6).integers(0, 256, [3, 64, 48, 3]).astype("uint8")
    x = tf.raw_ops.ResizeBilinear(images=images, size=[299, 299])
    x = tf.nn.conv2d((x - 128) / 128, kernel, 2, "VALID")
    x = gain * (x - mean) / np.sqrt(variance + 0.001) + beta
    expected = tf.reduce_mean(tf.nn.relu(x), axis=[1, 2])
    np.testing.assert_allclose(extractor(images), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(extractor.logits(images), expected @ weights, rtol=1e-3, atol=1e-4)
    assert extractor.resize == "tf1"
    assert not extractor.comparable and "unknown graph" in extractor.name
    clean = features.get(path, resize="clean")
    assert np.abs(clean(images) - expected).max() > 1e-3


def test_no_frozen_graph(tmp_path):
    path = tmp_path / "x.pb"
    for data in (b"no protobuf", tf.compat.v1.GraphDef().SerializeToString()):
        path.write_bytes(data)
        with pytest.raises(BadInput, match="is not the frozen graph of Inception"):
            features.get(path)
