"""The interface of all feature networks: a name, a hash, a resize method, activations."""

import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput, nearest
from tfgans.features.resize import RESIZES, rgb


class Extractor:
    """Maps images to activations by a fixed network.

    Args:
        name: Name of the network and its weights, for reports.
        network: Resized images [N, side, side, 3] -> activations [N, d].
        side: Side of the square images that the network takes.
        resize: Name of the resize method, see `tfgans.features.resize`.
        sha256: Hash of the weights file.
        comparable: True if numbers made with it are comparable with published ones.
        kernel: Weights [d, K] from activations to logits, or None without classes.
        bias: Bias of the logits [K].
    """

    def __init__(
        self, name, network, side, resize, sha256=None, comparable=False, kernel=None, bias=0.0
    ):
        if resize not in RESIZES:
            raise BadInput(nearest("resize method", resize, RESIZES))
        self.name, self.network, self.side, self.resize = name, network, side, resize
        self.sha256, self.comparable = sha256, comparable
        self.kernel, self.bias = kernel, bias

    def __call__(self, images) -> np.ndarray:
        """uint8 images [N, H, W, C] with 1, 3 or 4 channels -> activations, float32 [N, d]."""
        return self.rows(self.network(self.resized(images)), images)

    def with_logits(self, images) -> tuple:
        """Images -> activations [N, d] and logits [N, K], in one pass through the network."""
        activations = self(images)
        return activations, self.head(activations)

    def logits(self, images) -> np.ndarray:
        """Images -> logits [N, K]."""
        return self.with_logits(images)[1]

    def resized(self, images):
        """Resizes images for the network."""
        return RESIZES[self.resize](rgb(images), self.side)

    def rows(self, found, images) -> np.ndarray:
        """Flattens `found`, an output of the network, to one row for each of the images."""
        found = np.asarray(found, "float32")
        if found.ndim < 2 or len(found) != len(images):
            raise BadInput(
                f"{self.name} gave an output of shape {list(found.shape)} for {len(images)} "
                "images. Wanted: [N, d]."
            )
        return found.reshape(len(found), -1)

    def head(self, activations) -> np.ndarray:
        """Activations [N, d] -> logits [N, K]."""
        if self.kernel is None:
            raise BadInput(
                f"{self.name} has no classes, so it gives no Inception Score: take another network."
            )
        return np.asarray(activations) @ self.kernel + self.bias


def compiled(network):
    """Compiles a Keras network to one graph for all batch sizes."""
    return tf.function(
        lambda x: network(x, training=False),
        input_signature=[tf.TensorSpec([None, *network.input.shape[1:]])],
    )
