"""VGG16: its layers for LPIPS, and its features for improved precision and recall. VGG19's layers.

Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR
2015, arXiv:1409.1556. LPIPS: Zhang et al., The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric, CVPR 2018, arXiv:1801.03924, version 0.1. Improved precision and recall:
Kynkäänniemi et al., NeurIPS 2019, arXiv:1904.06991.

LPIPS was fitted to torchvision's weights. Keras' weights are those of the VGG paper, from another
training, so the distance with Keras' file only approximates LPIPS and is not `comparable`.
"""

import os
import pathlib

import h5py
import keras
import numpy as np
import tensorflow as tf

from tfgans.durable import sha256
from tfgans.errors import BadInput
from tfgans.features.extractor import Extractor
from tfgans.features.lpips import lpips, lpips_input, unit
from tfgans.foreign import read_state_dict

LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")
TORCH_CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # features.<i>.weight
TORCH_CONVOLUTIONS_19 = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
SMALLEST = 16  # pixels; four poolings leave one
LINEAR_SHA256 = "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"


class LPIPS:
    """The perceptual distance between images.

    Args:
        vgg: Path of torchvision's vgg16-397923af.pth, or of a weights file of
            `keras.applications.VGG16`. The default is the environment variable TFGANS_VGG16.
        linear: Path of lpips/weights/v0.1/vgg.pth of github.com/richzhang/PerceptualSimilarity.
            The default is the environment variable TFGANS_LPIPS.

    Attributes:
        weights: Nonnegative weights [C] of the channels of each of the five layers.
        comparable: True if both files are those of the published metric.
    """

    name = "lpips-vgg16"

    def __init__(self, vgg=None, linear=None):
        vgg = given(vgg, "TFGANS_VGG16", "torchvision's vgg16-397923af.pth")
        source = "lpips/weights/v0.1/vgg.pth of github.com/richzhang/PerceptualSimilarity"
        linear = given(linear, "TFGANS_LPIPS", source)
        self.layers, self.prepare = build_layers(vgg)
        state = read_state_dict(linear)
        names = [f"lin{i}.model.1.weight" for i in range(len(LAYERS))]
        shapes = [state[name].shape if name in state else "nothing" for name in names]
        if shapes != [(1, c, 1, 1) for c in (64, 128, 256, 512, 512)]:
            raise BadInput(
                f"{linear} does not hold LPIPS' weights for VGG16: its five layers are "
                f"{', '.join(map(str, shapes))}. Wanted: lpips/weights/v0.1/vgg.pth."
            )
        self.weights = [state[name].reshape(-1) for name in names]
        self.sha256 = f"{sha256(vgg)} {sha256(linear)}"
        known = self.sha256.startswith("397923af") and self.sha256.endswith(LINEAR_SHA256)
        self.comparable = known

    def activations(self, images):
        """Images [N, H, W, 1 or 3] in [-1, 1] -> relu1_2, 2_2, 3_3, 4_3, 5_3, [N, h, w, C]."""
        images = tf.convert_to_tensor(images)
        if images.shape[-1] not in (1, 3) or min(images.shape[1:3]) < SMALLEST:
            raise BadInput(
                f"LPIPS takes gray and RGB images of at least {SMALLEST} x {SMALLEST} pixels, not "
                f"{list(images.shape[1:])}."
            )
        if images.shape[-1] == 1:
            images = tf.repeat(images, 3, axis=-1)
        return self.layers(self.prepare(images))

    def features(self, images):
        """Images in [-1, 1] -> five features whose squared differences sum to the distance."""
        scaled = []
        for x, weight in zip(self.activations(images), self.weights, strict=True):
            x = unit(x) * tf.sqrt(weight)
            scaled.append(x / float(x.shape[1] * x.shape[2]) ** 0.5)
        return scaled

    def __call__(self, a, b):
        """Distances [N] between images a and b, [N, H, W, 1 or 3] in [-1, 1]."""
        return lpips(self.activations(a), self.activations(b), self.weights)


def given(path, variable, source):
    """The path of a weights file, from the caller or the environment.

    Args:
        path: The caller's path, or None.
        variable: Environment variable that holds the default.
        source: Name of the wanted file, for messages.

    Raises:
        BadInput: No path was given, or the file does not exist.
    """
    path = path or os.environ.get(variable)
    if not path:
        raise BadInput(
            f"LPIPS needs {source}; nothing is downloaded. Give its path as an argument or in the "
            f"environment variable {variable}."
        )
    if not pathlib.Path(path).is_file():
        raise BadInput(f"There is no file {path}. Wanted: {source}.")
    return path


def build_layers(path, names=LAYERS, kind="VGG16"):
    """Builds a network with layers of VGG16 or VGG19 as outputs.

    Args:
        path: Its weights, as `LPIPS` takes them: those of torchvision (.pth) or Keras (.h5).
        names: Names of the layers.
        kind: "VGG16" or "VGG19".

    Returns:
        The network, and the function that prepares images in [-1, 1] for it.

    Raises:
        BadInput: The file does not hold this network.
    """
    make, places, file = {
        "VGG16": (keras.applications.VGG16, TORCH_CONVOLUTIONS, "vgg16-397923af.pth"),
        "VGG19": (keras.applications.VGG19, TORCH_CONVOLUTIONS_19, "vgg19-dcbb9e9d.pth"),
    }[kind]
    network = make(include_top=False, weights=None, input_shape=(None, None, 3))
    network.trainable = False
    layers = keras.Model(network.input, [network.get_layer(name).output for name in names])
    convolutions = _convolutions(network)
    if h5py.is_hdf5(path):
        found = _convolutions(keras_vgg(path, make))
        for layer, source in zip(convolutions, found, strict=True):
            layer.set_weights(source.get_weights())
        return layers, caffe
    state = read_state_dict(path)
    for layer, i in zip(convolutions, places, strict=True):
        kernel, bias = (state.get(f"features.{i}.{x}") for x in ("weight", "bias"))
        wanted = layer.kernel.shape[::-1]
        if kernel is None or bias is None or kernel.shape[:2] != wanted[:2]:
            found = "nothing" if kernel is None else kernel.shape
            raise BadInput(
                f"{path} does not hold {kind}: features.{i} is {found}, not weights of shape "
                f"{wanted} and a bias. Wanted: torchvision's {file}."
            )
        layer.set_weights([kernel.transpose(2, 3, 1, 0), bias])
    return layers, lpips_input


def _convolutions(network):
    return [x for x in network.layers if isinstance(x, keras.layers.Conv2D)]


def caffe(images):
    """Converts images in [-1, 1] to the input of Keras' weights: BGR in 0..255 minus the mean."""
    return keras.applications.vgg16.preprocess_input((images + 1.0) * 127.5)


def keras_vgg16(path) -> keras.Model:
    """`keras.applications.VGG16` with the weights of an HDF5 file, with or without its top."""
    return keras_vgg(path, keras.applications.VGG16)


def keras_vgg(path, make) -> keras.Model:
    """`keras.applications.VGG16` or VGG19 with the weights of an HDF5 file."""
    return make(include_top=(4096, 4096) in h5_shapes(path), weights=str(path))


def h5_shapes(path) -> set:
    """The shapes of all arrays in an HDF5 file."""
    found = set()
    with h5py.File(path) as file:
        file.visititems(lambda _, x: found.add(getattr(x, "shape", None)))
    return found


def fc2(network, path, resize, digest) -> Extractor:
    """The features of improved precision and recall: the second layer of 4,096 units, rectified."""
    if "fc2" not in {layer.name for layer in network.layers}:
        raise BadInput(
            f"{path} holds VGG16 without its dense layers, which is enough for LPIPS only. "
            "Wanted: vgg16_weights_tf_dim_ordering_tf_kernels.h5."
        )
    layers = keras.Model(network.input, network.get_layer("fc2").output)
    run = tf.function(
        lambda x: layers(caffe(x), training=False),
        input_signature=[tf.TensorSpec([None, 224, 224, 3])],
    )
    kernel, bias = (np.asarray(w) for w in network.get_layer("predictions").get_weights())
    return Extractor("vgg16-fc2", run, 224, resize, digest, False, kernel, bias)
