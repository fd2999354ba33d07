"""What all feature networks have in common: a name, a hash, a way to resize, activations."""

import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput, nearest
from tfgans.features.resize import RESIZES, rgb


class Extractor:
    """Images to activations, by a fixed network.

    Args:
        name: Of the network and its weights, for reports.
        network: Takes resized images [N, side, side, 3], gives activations [N, d].
        side: Of the square images that the network takes.
        resize: Name of the way to get there, see `tfgans.features.resize`.
        sha256: Of the file of weights.
        comparable: Whether numbers made with it can stand beside published ones.
        kernel: Weights [d, K] that turn activations into logits, where the network has them.
        bias: [K], added to them.
    """

    def __init__(
        self, name, network, side, resize, sha256=None, comparable=False, kernel=None, bias=0.0
    ):
        if resize not in RESIZES:
            raise BadInput(nearest("way to resize", resize, RESIZES))
        self.name, self.network, self.side, self.resize = name, network, side, resize
        self.sha256, self.comparable = sha256, comparable
        self.kernel, self.bias = kernel, bias

    def __call__(self, images) -> np.ndarray:
        """uint8 images [N, H, W, C] of 1, 3 or 4 channels -> float32 [N, d]."""
        return self.rows(self.network(self.resized(images)), images)

    def with_logits(self, images) -> tuple:
        """Images -> activations [N, d] and logits [N, K], by one pass through the network."""
        activations = self(images)
        return activations, self.head(activations)

    def logits(self, images) -> np.ndarray:
        """Images -> logits [N, K]."""
        return self.with_logits(images)[1]

    def resized(self, images):
        """Images as the network takes them."""
        return RESIZES[self.resize](rgb(images), self.side)

    def rows(self, found, images) -> np.ndarray:
        """An output of the network as a table with a row for each image."""
        found = np.asarray(found, "float32")
        if found.ndim < 2 or len(found) != len(images):
            raise BadInput(
                f"{self.name} gave activations of shape {list(found.shape)} for {len(images)} "
                "images, wanted [N, d]."
            )
        return found.reshape(len(found), -1)

    def head(self, activations) -> np.ndarray:
        """Activations [N, d] -> logits [N, K]."""
        if self.kernel is None:
            raise BadInput(f"{self.name} has no classes, so it gives no Inception Score.")
        return np.asarray(activations) @ self.kernel + self.bias


def compiled(network):
    """A Keras network as one graph for all batch sizes."""
    return tf.function(
        lambda x: network(x, training=False),
        input_signature=[tf.TensorSpec([None, *network.input.shape[1:]])],
    )
