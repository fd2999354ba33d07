"""How far an image is from a target, for searches in latent space."""

import functools

import tensorflow as tf

from tfgans.features.pixel_pyramid import pixel_pyramid_l2

LARGEST = 256  # feature networks see images of this side at most


def distance_to(target, features=None, reduce=tf.reduce_sum):
    """A function of images [n, H, W, C] that tells their distances [n] to `target`.

    Args:
        target: [n, H, W, C] in [-1, 1].
        features: Images [n, H, W, C] in [-1, 1] -> list of features [n, ...], such as LPIPS' or
            layers of VGG; they see images averaged down to 256 pixels. None for
            `pixel_pyramid_l2`, which needs no weights and is not comparable with them.
        reduce: What is done with the squared differences of each feature: `tf.reduce_sum` gives the
            squared Euclidean distance, `tf.reduce_mean` weighs all features alike.
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
    """Averages images of more than 256 pixels down, by a whole factor."""
    factor = max(images.shape[1:3]) // LARGEST
    return tf.nn.avg_pool2d(images, factor, factor, "VALID") if factor > 1 else images
