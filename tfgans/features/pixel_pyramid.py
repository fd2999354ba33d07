"""A distance of images that needs no network: the stand-in for LPIPS where its weights are absent.

It sees how images differ at four scales and knows nothing of what people see. A result that was
made with it says so: it is not comparable with LPIPS.
"""

import tensorflow as tf

from tfgans.errors import BadInput

LEVELS = 4


def pixel_pyramid_l2(a, b):
    """The sum over four scales of the mean squared difference of pixels.

    The scales are the images themselves and three halvings, each by the mean of 2 x 2 pixels (of an
    odd side the last row or column is left out).

    Args:
        a, b: Images [N, H, W, C] in [-1, 1]; both sides at least 8 pixels.

    Returns:
        [N], 0 for equal images; twice differentiable. Raises BadInput for smaller images.
    """
    if min(a.shape[1:3]) < 2 ** (LEVELS - 1):
        raise BadInput(
            f"pixel_pyramid_l2 halves images three times: wanted sides of at least 8 pixels, "
            f"came {a.shape[1]} x {a.shape[2]}."
        )
    difference = tf.convert_to_tensor(a) - tf.convert_to_tensor(b)
    distance = 0.0
    for level in range(LEVELS):
        if level > 0:
            difference = tf.nn.avg_pool2d(difference, 2, 2, "VALID")
        distance += tf.reduce_mean(difference**2, axis=[1, 2, 3])
    return distance
