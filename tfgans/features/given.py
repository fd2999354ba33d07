"""Feature networks of the user's own: weights of Keras applications, Keras files, SavedModels."""

import keras
import numpy as np
import tensorflow as tf

from tfgans.durable import sha256
from tfgans.errors import BadInput
from tfgans.features import vgg
from tfgans.features.extractor import Extractor, compiled
from tfgans.features.resize import RESIZES, rgb


def from_keras_weights(path, resize="tfgan") -> Extractor:
    """`keras.applications.VGG16` (its fc2) or `InceptionV3` with the weights of an HDF5 file.

    Keras' InceptionV3 is another network than that of FID, so it is not `comparable`.
    """
    shapes = vgg.h5_shapes(path)
    if (3, 3, 3, 64) in shapes:
        return vgg.fc2(vgg.keras_vgg16(path), path, resize)
    if (3, 3, 3, 32) in shapes:
        top = (2048, 1000) in shapes
        network = keras.applications.InceptionV3(include_top=top, weights=str(path), pooling="avg")
        return inception_v3(network, path, resize)
    raise BadInput(
        f"{path} holds the weights of neither keras.applications.VGG16 nor InceptionV3. "
        "Save a network of your own whole, as .keras or SavedModel."
    )


def inception_v3(network, path, resize) -> Extractor:
    """The pooled activations of `keras.applications.InceptionV3`, and its logits if it has any."""
    last, kernel, bias = network.layers[-1], None, 0.0
    pool = network.output
    if isinstance(last, keras.layers.Dense):
        pool, (kernel, bias) = last.input, last.get_weights()
    pooled = compiled(keras.Model(network.input, pool))
    return Extractor("keras-inception-v3", pooled, 299, resize, sha256(path), False, kernel, bias)


def from_keras_file(path, resize="tfgan") -> Extractor:
    """A network saved as .keras that takes RGB images in [-1, 1]; its output are the activations.

    Of `keras.applications.VGG16` and `InceptionV3` it is the layer that the metrics want.
    """
    network = keras.models.load_model(path, compile=False)
    if network.name == "vgg16":
        return vgg.fc2(network, path, resize)
    if network.name == "inception_v3":
        return inception_v3(network, path, resize)
    side = square(network.input_shape, path)
    return Extractor(network.name, compiled(network), side, resize, sha256(path))


class SavedModel(Extractor):
    """A SavedModel that takes RGB images in [-1, 1], such as tensorflow-gan's of TensorFlow Hub.

    Its output are the activations; of several named ones "pool_3", with "logits" beside it.
    """

    def __init__(self, path, resize="tfgan"):
        self.model = tf.saved_model.load(str(path))  # holds the variables
        signatures = list(self.model.signatures.values())
        self.run = signatures[0] if signatures else self.model.__call__.concrete_functions[0]
        specs = tf.nest.flatten(self.run.structured_input_signature)
        if len(specs) != 1:
            raise BadInput(f"The SavedModel {path} takes {len(specs)} tensors, wanted one: images.")
        super().__init__(
            "saved-model", self.activations, square(specs[0].shape, path), resize, sha256(path)
        )

    def outputs(self, x):
        found = self.run(x)
        return found if isinstance(found, dict) else {"pool_3": found}

    def activations(self, x):
        found = self.outputs(x)
        if "pool_3" not in found and len(found) > 1:
            raise BadInput(
                f"The SavedModel has the outputs {', '.join(sorted(found))}: the activations are "
                'to be called "pool_3", or to be its only output.'
            )
        return found.get("pool_3", next(iter(found.values())))

    def head(self, activations):
        raise BadInput(
            "The logits of a SavedModel are an output of its own: they do not follow from "
            "activations. Call `logits` with images, or give the network as a .keras file."
        )

    def logits(self, images):
        found = self.outputs(RESIZES[self.resize](rgb(images), self.side))
        if "logits" not in found:
            raise BadInput('The SavedModel has no output "logits", so it gives no Inception Score.')
        return np.asarray(found["logits"]).reshape(len(images), -1)


def square(shape, path):
    """The side of the images that a network takes."""
    _, height, width, channels = shape
    if channels != 3 or height is None or height != width:
        raise BadInput(
            f"{path} takes images of shape {list(shape)[1:]}. Wanted: RGB images of a fixed square "
            "size. Or give a function of uint8 images [N, H, W, 3]."
        )
    return height
