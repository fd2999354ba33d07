"""Label maps as networks take them: one-hot classes, edges of instances, means over instances.

Wang et al., CVPR 2018, arXiv:1711.11585, sections 3.3 and 3.4; Park et al., CVPR 2019,
arXiv:1903.07291.
"""

import tensorflow as tf

from tfgans.ops.checking import ensure


def semantics(labels, instances, channels):
    """A label map as generators and discriminators see it.

    Args:
        labels: Class numbers, int32 [N, H, W], below `channels`.
        instances: A number for each object, int32 [N, H, W]; None where there are none.
        channels: Number of classes, unlabeled included.

    Returns:
        float32 [N, H, W, channels], and one channel more with the edges of instances.

    Raises:
        BadInput: A class number is below 0, or not below `channels`.
    """
    inside = tf.reduce_all((labels >= 0) & (labels < channels))
    rule = f"Label maps hold class numbers from 0 to {channels - 1}; the least and greatest are"
    ensure(inside, rule, tf.stack([tf.reduce_min(labels), tf.reduce_max(labels)]))
    found = tf.one_hot(labels, channels)
    if instances is None:
        return found
    return tf.concat([found, edges(instances)], axis=-1)


def edges(instances):
    """1 where the left, right, upper or lower neighbor is another instance, else 0.

    Args:
        instances: int32 [N, H, W].

    Returns:
        float32 [N, H, W, 1].
    """
    across = tf.cast(instances[:, :, 1:] != instances[:, :, :-1], "float32")
    down = tf.cast(instances[:, 1:] != instances[:, :-1], "float32")
    # Both pixels of a pair are marked.
    columns = tf.pad(across, [[0, 0], [0, 0], [0, 1]]), tf.pad(across, [[0, 0], [0, 0], [1, 0]])
    rows = tf.pad(down, [[0, 0], [0, 1], [0, 0]]), tf.pad(down, [[0, 0], [1, 0], [0, 0]])
    return tf.maximum(tf.maximum(*columns), tf.maximum(*rows))[..., tf.newaxis]


def objects(instances):
    """Numbers the objects of a batch from 0 on, those of the first image first.

    Args:
        instances: int32 [N, H, W]. The same number in two images is two objects.

    Returns:
        Number of the object at each pixel, int32 [N H W], and the count of all objects.
    """
    image = tf.range(tf.shape(instances)[0], dtype="int64")[:, tf.newaxis, tf.newaxis]
    own = image * 2**32 + tf.cast(instances, "int64")
    found, place = tf.unique(tf.reshape(own, [-1]))
    return place, tf.size(found)


def means(features, instances):
    """Each pixel gets the mean of its object: [N, H, W, C] -> [N, H, W, C].

    Args:
        features: [N, H, W, C].
        instances: Number of the object of each pixel, int32 [N, H, W].
    """
    place, count = objects(instances)
    rows = tf.reshape(features, [-1, features.shape[-1]])
    mean = tf.math.unsorted_segment_mean(rows, place, count)
    return tf.reshape(tf.gather(mean, place), tf.shape(features))


def of_objects(values, instances):
    """Each pixel gets the value of the first pixel of its object: [N, H, W] -> [N, H, W].

    Args:
        values: [N, H, W].
        instances: Number of the object of each pixel, int32 [N, H, W].
    """
    place, count = objects(instances)
    pixels = tf.size(place)
    first = tf.math.unsorted_segment_min(tf.range(pixels), place, count)
    found = tf.gather(tf.reshape(values, [-1]), tf.gather(first, place))
    return tf.reshape(found, tf.shape(values))
