"""A distance between images that needs no network: the stand-in for LPIPS without its weights.

It compares pixels at four scales and does not model human perception. Results made with it are
marked as such: they are not comparable with LPIPS.
"""

import tensorflow as tf

from tfgans.errors import BadInput

LEVELS = 4


def pixel_pyramid_l2(a, b):
    """The sum over four scales of the mean squared difference of pixels; twice differentiable.

    The scales are the images themselves and three halvings by the mean of 2 x 2 pixels. A halving
    drops the last row or column of an odd side.

    Args:
        a, b: Images [N, H, W, C] in [-1, 1]; both sides at least 8 pixels.

    Returns:
        Distances [N], 0 for equal images.

    Raises:
        BadInput: A side is shorter than 8 pixels.
    """
    if min(a.shape[1:3]) < 2 ** (LEVELS - 1):
        raise BadInput(
            "pixel_pyramid_l2 halves images three times: wanted sides of at least 8 pixels, not "
            f"{a.shape[1]} x {a.shape[2]}."
        )
    difference = tf.convert_to_tensor(a) - tf.convert_to_tensor(b)
    distance = 0.0
    for level in range(LEVELS):
        if level > 0:
            difference = tf.nn.avg_pool2d(difference, 2, 2, "VALID")
        distance += tf.reduce_mean(difference**2, axis=[1, 2, 3])
    return distance
