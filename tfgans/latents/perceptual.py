"""The distance of images from a target, for searches in latent space."""

import functools

import numpy as np
import tensorflow as tf

from tfgans.features.pixel_pyramid import pixel_pyramid_l2

LARGEST = 256  # largest side that feature networks see


def distance_to(target, features=None, reduce=tf.reduce_sum):
    """A function from images [n, H, W, C] to their distances [n] from `target`.

    Args:
        target: Images [n, H, W, C] in [-1, 1].
        features: Images [n, H, W, C] in [-1, 1], averaged down to 256 pixels -> list of features
            [n, ...], such as those of LPIPS or layers of VGG. None for `pixel_pyramid_l2`, which
            needs no weights; its distances are not comparable with perceptual ones.
        reduce: Reduction of the squared differences of each feature: `tf.reduce_sum` gives the
            squared Euclidean distance, `tf.reduce_mean` gives all features the same weight.
    """
    if features is None:
        return functools.partial(pixel_pyramid_l2, target)
    wanted = features(shrink(target))

    def distance(images):
        found = features(shrink(images))
        pairs = zip(found, wanted, strict=True)
        return tf.add_n([reduce((a - b) ** 2, range(1, len(a.shape))) for a, b in pairs])

    return distance


def shrink(images):
    """Averages images whose larger side is above 256 down to 256 pixels, as NVIDIA's projector."""
    largest = max(images.shape[1:3])
    if largest <= LARGEST:
        return images
    rows, columns = (
        mean_matrix(side, max(round(side * LARGEST / largest), 1)) for side in images.shape[1:3]
    )
    return tf.einsum("yh,xw,nhwc->nyxc", rows, columns, images)


def mean_matrix(size, new_size):
    """[new_size, size]: means of all pixels that a new pixel covers, those at its ends in full."""
    matrix = np.zeros([new_size, size], "float32")
    for k in range(new_size):
        first, end = k * size // new_size, -((k + 1) * size // -new_size)
        matrix[k, first:end] = 1.0 / (end - first)
    return matrix
