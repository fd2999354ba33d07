"""Backward warp: an image sampled where a flow points to.

    warp(image, flow)(x, y) = image at (x + u, y + v), with (u, v) = flow(x, y)

So the flow from a frame to the one before it turns that one into an estimate of the frame, and
u = 1 everywhere moves the content one pixel to the left.

`confidence` says where that estimate holds, and `masked_l1` compares images there. `chained` makes
one flow of several.
"""

import tensorflow as tf

ALIKE = 0.02  # squared difference of a pixel in [-1, 1], over its channels, that counts as none


def warp(image, flow):
    """Samples images bilinearly; it has gradients to both arguments.

    The values are those of `scipy.ndimage.map_coordinates(order=1, mode="nearest")`.

    Args:
        image: [N, H, W, C], an image or features.
        flow: [N, H, W, 2] in pixels, the horizontal part first. A place outside of the image counts
            as the nearest one on its border; there the gradient to this part of the flow is 0.

    Returns:
        [N, H, W, C], of the type of `image`.
    """
    n, height, width = tf.unstack(tf.shape(image)[:3])
    channels = image.shape[-1]
    x, u = tf.range(width, dtype="float32"), tf.cast(flow[..., 0], "float32")
    y, v = tf.range(height, dtype="float32")[:, tf.newaxis], tf.cast(flow[..., 1], "float32")
    left, right, to_right = around(x + u, width)
    top, bottom, down = around(y + v, height)
    pixels = tf.reshape(tf.cast(image, "float32"), [n, height * width, channels])

    def at(row, column):
        places = tf.reshape(row * width + column, [n, height * width])
        return tf.reshape(tf.gather(pixels, places, batch_dims=1), [n, height, width, channels])

    above = at(top, left) + to_right * (at(top, right) - at(top, left))
    below = at(bottom, left) + to_right * (at(bottom, right) - at(bottom, left))
    warped = tf.cast(above + down * (below - above), image.dtype)
    warped.set_shape(image.shape)
    return warped


def around(place, side):
    """The two whole places around each one [N, H, W], and the weight [N, H, W, 1] of the second.

    Args:
        place: [N, H, W], float32, along one axis of an image, in pixels from the center of the
            first; places outside become the nearest inside.
        side: Length of the axis.
    """
    place = tf.clip_by_value(place, 0.0, tf.cast(side - 1, "float32"))
    first = tf.floor(place)
    share = (place - first)[..., tf.newaxis]
    first = tf.cast(first, "int32")
    return first, tf.minimum(first + 1, side - 1), share


def confidence(image, before, flow):
    """1 where a frame is like the one before it, warped, and 0 elsewhere; a constant.

    Args:
        image: [N, H, W, C] in [-1, 1].
        before: The frame before, of the same shape.
        flow: [N, H, W, 2] from `image` to `before`.

    Returns:
        float32 [N, H, W, 1].
    """
    change = tf.cast(image, "float32") - warp(tf.cast(before, "float32"), flow)
    squares = tf.reduce_sum(tf.square(change), axis=-1, keepdims=True)
    return tf.stop_gradient(tf.cast(squares < ALIKE, "float32"))


def masked_l1(mask, a, b):
    """Mean of |mask a - mask b| over all pixels and channels, those of mask 0 included.

    Args:
        mask: [N, H, W, 1].
        a, b: [N, H, W, C].
    """
    return tf.reduce_mean(tf.abs(mask * a - mask * b))


def chained(flows):
    """The flow from the last frame to the one before the first, of flows between neighbors.

    Args:
        flows: [N, H, W, 2] each, from frame after frame to the one before, in the order of time.

    Returns:
        [N, H, W, 2]: where a pixel of the last frame was before the first.
    """
    *earlier, whole = flows
    for flow in reversed(earlier):
        whole = whole + warp(flow, whole)
    return whole
