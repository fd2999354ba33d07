"""Feature networks that the user supplies: Keras applications, Keras files, SavedModels."""

import keras
import numpy as np
import tensorflow as tf

from tfgans.durable import sha256
from tfgans.errors import BadInput
from tfgans.features import vgg
from tfgans.features.extractor import Extractor, compiled


def from_keras_weights(path, resize="tfgan") -> Extractor:
    """`keras.applications.VGG16` (its fc2) or `InceptionV3` with the weights of an HDF5 file.

    Keras' InceptionV3 is not the network that defines FID, so it is not `comparable`.
    """
    shapes = vgg.h5_shapes(path)
    if (3, 3, 3, 64) in shapes:
        return vgg.fc2(vgg.keras_vgg16(path), path, resize, sha256(path))
    if (3, 3, 3, 32) in shapes:
        top = (2048, 1000) in shapes
        network = keras.applications.InceptionV3(include_top=top, weights=str(path), pooling="avg")
        return inception_v3(network, resize, sha256(path))
    raise BadInput(
        f"{path} holds the weights of neither keras.applications.VGG16 nor InceptionV3. "
        "Save a network of your own as a .keras file or a SavedModel."
    )


def inception_v3(network, resize, digest) -> Extractor:
    """The pooled activations of `keras.applications.InceptionV3`, with logits if it has a top."""
    last, kernel, bias = network.layers[-1], None, 0.0
    pool = network.output
    if isinstance(last, keras.layers.Dense):
        pool, (kernel, bias) = last.input, last.get_weights()
    pooled = compiled(keras.Model(network.input, pool))
    return Extractor("keras-inception-v3", pooled, 299, resize, digest, False, kernel, bias)


def from_keras_file(path, resize="tfgan") -> Extractor:
    """A .keras file of a network that takes RGB images in [-1, 1]; see `Named` for its outputs.

    `keras.applications.VGG16` and `InceptionV3` give the layer that the metrics use.
    """
    return from_keras_model(keras.models.load_model(path, compile=False), resize, path)


def from_keras_model(network, resize="tfgan", path=None) -> Extractor:
    """A Keras model, with the hash of the file at `path` if it is from one; see `from_keras_file`.

    Args:
        network: A model of images in [-1, 1].
        resize: Name of a resize method.
        path: Its file, or None.
    """
    path, digest = path or network.name, path and sha256(path)
    if network.name == "vgg16":
        return vgg.fc2(network, path, resize, digest)
    if network.name == "inception_v3":
        return inception_v3(network, resize, digest)
    side = square(getattr(network, "input_shape", None), path)
    return Named(network.name, compiled(network), side, resize, digest)


def from_saved_model(path, resize="tfgan") -> Extractor:
    """A SavedModel that takes RGB images in [-1, 1]; see `Named` for its outputs.

    The Inception module that tensorflow-gan publishes on TensorFlow Hub is one.
    """
    model = tf.saved_model.load(str(path))
    signatures = list(model.signatures.values())
    run = signatures[0] if signatures else model.__call__.concrete_functions[0]
    specs = tf.nest.flatten(run.structured_input_signature)
    if len(specs) != 1:
        raise BadInput(f"The SavedModel {path} takes {len(specs)} tensors. Wanted one: the images.")
    extractor = Named("saved-model", run, square(specs[0].shape, path), resize, sha256(path))
    extractor.model = model  # keeps the variables alive
    return extractor


class Named(Extractor):
    """A network with named outputs.

    "features", "pool_3" or the only output are the activations. "logits", or "probabilities" with
    sum 1, are the classes of the Inception Score.

    Args:
        name: Name for reports.
        run: Resized images [N, side, side, 3] -> a tensor or a dict of tensors.
        side, resize, sha256: See `Extractor`.
    """

    def __init__(self, name, run, side, resize, sha256):
        self.run = run
        super().__init__(name, lambda x: self.activations(self.outputs(x)), side, resize, sha256)

    def outputs(self, x):
        found = self.run(x)
        return found if isinstance(found, dict) else {"features": found}

    def activations(self, outputs):
        for word in ("features", "pool_3"):
            if word in outputs:
                return outputs[word]
        if len(outputs) > 1:
            raise BadInput(
                f"{self.name} has the outputs {', '.join(sorted(outputs))}. Wanted: an output "
                '"features", or a single output.'
            )
        return next(iter(outputs.values()))

    def with_logits(self, images):
        outputs = self.outputs(self.resized(images))
        activations = self.rows(self.activations(outputs), images)
        if "logits" in outputs:
            return activations, self.rows(outputs["logits"], images)
        if "probabilities" not in outputs:
            raise BadInput(
                f'{self.name} has no output "logits" or "probabilities", so it gives no Inception '
                "Score."
            )
        shares = self.rows(outputs["probabilities"], images)
        if shares.min() < 0 or np.abs(shares.sum(axis=1) - 1).max() > 1e-3:
            raise BadInput(
                f'The "probabilities" of {self.name} do not sum to 1. If they are logits, name '
                'the output "logits".'
            )
        return activations, np.log(np.maximum(shares, np.finfo("float32").tiny))


def square(shape, path):
    """The side of the square RGB images [N, side, side, 3] that a network takes."""
    if isinstance(shape, list | dict) or shape is None or len(shape) != 4:
        raise BadInput(
            f"{path} takes inputs of the shape {shape}. Wanted: a functional or sequential model "
            "of square RGB images of a fixed size; or a function of uint8 images [N, H, W, 3]."
        )
    _, height, width, channels = shape
    if channels != 3 or height is None or height != width:
        raise BadInput(
            f"{path} takes images of shape {list(shape)[1:]}. Wanted: square RGB images of a fixed "
            "size; or a function of uint8 images [N, H, W, 3] in place of the file."
        )
    return height
