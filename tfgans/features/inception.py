"""The Inception network of 2015, which defines the Inception Score and FID.

Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016,
arXiv:1512.00567, as trained by Google in 2015. Neither Keras' nor torchvision's InceptionV3 is this
network: they come from other trainings and differ in their poolings. Two files hold its weights:

    classify_image_graph_def.pb                 TensorFlow's frozen graph, run as a function
    pt_inception-2015-12-05-6726825d.pth        of pytorch-fid; mapped to the Keras network below

Differs from the paper, as the graph does: average pooling counts only pixels inside the image, and
the last block uses max pooling. It has 1008 classes; scores use the logits without their bias.
"""

import pathlib

import keras
import numpy as np
import tensorflow as tf
from google.protobuf import message

from tfgans.durable import sha256
from tfgans.errors import BadInput
from tfgans.features.extractor import Extractor, compiled
from tfgans.foreign import read_state_dict

SIDE = 299
EPSILON = 0.001  # epsilon of batch normalization
WHERE = (
    "pt_inception-2015-12-05-6726825d.pth (from the releases of github.com/mseitzer/pytorch-fid) "
    "or classify_image_graph_def.pb (in inception-2015-12-05.tgz of TensorFlow's models)"
)


def from_state_dict(path, resize="torch") -> Extractor:
    """The network with the weights of pytorch-fid.

    Args:
        path: Path of pt_inception-2015-12-05-6726825d.pth. Another file with the same names and
            shapes is read too, but is not `comparable`.
        resize: "torch" gives the numbers of pytorch-fid, "clean" those of clean-fid, "tf1" those
            of the original graph.
    """
    state = read_state_dict(path)
    network = build()
    load(network, state, path)
    digest = sha256(path)
    known = digest.startswith("6726825d")  # its file name holds these digits
    name = "inception-2015" if known else "inception-2015, unknown weights"
    kernel = state["fc.weight"].T
    return Extractor(name, compiled(network), SIDE, resize, digest, known, kernel)


def from_graph(path, resize="tf1") -> Extractor:
    """The frozen graph itself, except its batch normalization (`modernize`).

    No checksum of the file is published; a graph with the same operations and sizes is accepted.

    Args:
        path: Path of classify_image_graph_def.pb.
        resize: "tf1" is the resize of the graph itself.
    """
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(pathlib.Path(path).read_bytes())
        modernize(graph)
        nodes = {node.name: node for node in graph.node}
        kernel = constant(nodes, nodes["softmax/logits/MatMul"].input[1])
    except (message.DecodeError, KeyError) as error:
        raise BadInput(
            f"{path} is not the frozen graph of Inception ({error}). Wanted: {WHERE}."
        ) from error

    def layers(x):
        x = 128.0 * x + 128.0  # the graph begins with a resize and (x - 128) / 128
        pool = tf.graph_util.import_graph_def(graph, {"ExpandDims:0": x}, ["pool_3:0"])[0]
        return tf.reshape(pool, [-1, kernel.shape[0]])

    spec = tf.TensorSpec([None, SIDE, SIDE, 3])
    network = tf.compat.v1.wrap_function(layers, [spec])
    convolutions = sum(node.op == "Conv2D" for node in graph.node)
    known = (convolutions, kernel.shape) == (94, (2048, 1008))
    name = "inception-2015" if known else "inception-2015, unknown graph"
    return Extractor(name, network, SIDE, resize, sha256(path), known, kernel)


def modernize(graph):
    """Replaces the batch normalization of 2015, which TensorFlow no longer runs, by today's."""
    for old in [node for node in graph.node if node.op == "BatchNormWithGlobalNormalization"]:
        x, mean, variance, beta, gamma = old.input
        epsilon = old.attr["variance_epsilon"].f
        if not old.attr["scale_after_normalization"].b:  # gamma exists but is not used
            nodes = {node.name: node for node in graph.node}
            ones = graph.node.add(op="Const", name=f"{old.name}/ones")
            ones.attr["value"].tensor.CopyFrom(
                tf.make_tensor_proto(np.ones_like(constant(nodes, gamma)))
            )
            ones.attr["dtype"].type = tf.float32.as_datatype_enum
            gamma = ones.name
        old.op = "FusedBatchNormV3"
        old.ClearField("attr")
        old.input[:] = [x, gamma, beta, mean, variance]
        for name in ("T", "U"):
            old.attr[name].type = tf.float32.as_datatype_enum
        old.attr["epsilon"].f = epsilon
        old.attr["is_training"].b = False


def constant(nodes, name):
    """The value of a constant in a frozen graph."""
    node = nodes[name.split(":")[0]]
    if node.op == "Identity":
        return constant(nodes, node.input[0])
    return tf.make_ndarray(node.attr["value"].tensor)


def build() -> keras.Model:
    """The network: images [N, H, W, 3] in [-1, 1], sides at least 75 pixels -> [N, 2048].

    Batch normalization is folded into the convolutions. Their layers have torchvision's names.
    """
    image = keras.Input([None, None, 3])
    x = conv(image, "Conv2d_1a_3x3", 32, 3, 2, "valid")
    x = conv(x, "Conv2d_2a_3x3", 32, 3, 1, "valid")
    x = conv(x, "Conv2d_2b_3x3", 64, 3)
    x = keras.layers.MaxPooling2D(3, 2)(x)
    x = conv(x, "Conv2d_3b_1x1", 80, 1, 1, "valid")
    x = conv(x, "Conv2d_4a_3x3", 192, 3, 1, "valid")
    x = keras.layers.MaxPooling2D(3, 2)(x)
    x = block_a(x, "Mixed_5b.", 32)  # [N, 35, 35, 256] for images of 299 pixels
    x = block_a(x, "Mixed_5c.", 64)
    x = block_a(x, "Mixed_5d.", 64)
    x = block_b(x, "Mixed_6a.")  # [N, 17, 17, 768]
    x = block_c(x, "Mixed_6b.", 128)
    x = block_c(x, "Mixed_6c.", 160)
    x = block_c(x, "Mixed_6d.", 160)
    x = block_c(x, "Mixed_6e.", 192)
    x = block_d(x, "Mixed_7a.")  # [N, 8, 8, 1280]
    x = block_e(x, "Mixed_7b.", average)
    x = block_e(x, "Mixed_7c.", keras.layers.MaxPooling2D(3, 1, "same"))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x), name="inception_2015")


def conv(x, name, filters, size, strides=1, padding="same"):
    layer = keras.layers.Conv2D(filters, size, strides, padding, activation="relu", name=name)
    return layer(x)


def average(x):
    return keras.layers.AveragePooling2D(3, 1, "same")(x)  # averages fewer pixels at borders


def concat(*branches):
    return keras.layers.Concatenate()(branches)


def block_a(x, at, pool_width):
    five = conv(conv(x, at + "branch5x5_1", 48, 1), at + "branch5x5_2", 64, 5)
    double = conv(conv(x, at + "branch3x3dbl_1", 64, 1), at + "branch3x3dbl_2", 96, 3)
    double = conv(double, at + "branch3x3dbl_3", 96, 3)
    pool = conv(average(x), at + "branch_pool", pool_width, 1)
    return concat(conv(x, at + "branch1x1", 64, 1), five, double, pool)


def block_b(x, at):
    double = conv(conv(x, at + "branch3x3dbl_1", 64, 1), at + "branch3x3dbl_2", 96, 3)
    double = conv(double, at + "branch3x3dbl_3", 96, 3, 2, "valid")
    three = conv(x, at + "branch3x3", 384, 3, 2, "valid")
    return concat(three, double, keras.layers.MaxPooling2D(3, 2)(x))


def block_c(x, at, width):
    seven = conv(conv(x, at + "branch7x7_1", width, 1), at + "branch7x7_2", width, (1, 7))
    seven = conv(seven, at + "branch7x7_3", 192, (7, 1))
    double = conv(x, at + "branch7x7dbl_1", width, 1)
    double = conv(double, at + "branch7x7dbl_2", width, (7, 1))
    double = conv(double, at + "branch7x7dbl_3", width, (1, 7))
    double = conv(double, at + "branch7x7dbl_4", width, (7, 1))
    double = conv(double, at + "branch7x7dbl_5", 192, (1, 7))
    pool = conv(average(x), at + "branch_pool", 192, 1)
    return concat(conv(x, at + "branch1x1", 192, 1), seven, double, pool)


def block_d(x, at):
    three = conv(x, at + "branch3x3_1", 192, 1)
    three = conv(three, at + "branch3x3_2", 320, 3, 2, "valid")
    seven = conv(conv(x, at + "branch7x7x3_1", 192, 1), at + "branch7x7x3_2", 192, (1, 7))
    seven = conv(seven, at + "branch7x7x3_3", 192, (7, 1))
    seven = conv(seven, at + "branch7x7x3_4", 192, 3, 2, "valid")
    return concat(three, seven, keras.layers.MaxPooling2D(3, 2)(x))


def block_e(x, at, pool):
    three = conv(x, at + "branch3x3_1", 384, 1)
    double = conv(conv(x, at + "branch3x3dbl_1", 448, 1), at + "branch3x3dbl_2", 384, 3)
    return concat(
        conv(x, at + "branch1x1", 320, 1),
        conv(three, at + "branch3x3_2a", 384, (1, 3)),
        conv(three, at + "branch3x3_2b", 384, (3, 1)),
        conv(double, at + "branch3x3dbl_3a", 384, (1, 3)),
        conv(double, at + "branch3x3dbl_3b", 384, (3, 1)),
        conv(pool(x), at + "branch_pool", 192, 1),
    )


def load(network, state, path):
    """Loads the weights of a state dict into the network; checks all names and shapes first."""
    convolutions = [x for x in network.layers if isinstance(x, keras.layers.Conv2D)]
    wanted = {"fc.weight": (1008, 2048)}
    for layer in convolutions:
        *size, inputs, outputs = layer.kernel.shape
        wanted[f"{layer.name}.conv.weight"] = (outputs, inputs, *size)
        for name in ("weight", "bias", "running_mean", "running_var"):
            wanted[f"{layer.name}.bn.{name}"] = (outputs,)
    for name, shape in wanted.items():
        found = state[name].shape if name in state else "nothing"
        if found != shape:
            raise BadInput(
                f"{path} does not hold the Inception network of 2015: {name} is {found}, not "
                f"{shape}. Wanted: {WHERE}."
            )
    for layer in convolutions:
        kernel, gamma, beta, mean, variance = (
            state[f"{layer.name}.{name}"].astype("float64")
            for name in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
        )
        gain = gamma / np.sqrt(variance + EPSILON)
        layer.set_weights([kernel.transpose(2, 3, 1, 0) * gain, beta - mean * gain])
