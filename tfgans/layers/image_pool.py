"""A pool of past fakes for a discriminator (Shrivastava et al., CVPR 2017, arXiv:1612.07828)."""

import keras
import tensorflow as tf

from tfgans import random


class ImagePool(keras.layers.Layer):
    """Returns a past fake in place of a new one half the time, so that a discriminator remembers.

    Until the pool is full, each image is stored and returned. After that, with probability 1/2 a
    stored image is returned and the new one takes its place; otherwise the new one is returned and
    not stored. Each replica sees the images of all replicas and plays through the whole batch, so
    all replicas hold the pool that a single device would hold.

    Args:
        size: Number of images in the pool; with 0 the layer returns its input.
        image_shape: (height, width, channels).
    """

    def __init__(self, size, image_shape, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.size = size
        same = {"trainable": False, "aggregation": "only_first_replica"}
        self.images = self.add_weight(
            name="images", shape=(size, *image_shape), initializer="zeros", **same
        )
        self.count = self.add_weight(  # a GPU does not hold variables of int32
            name="count", shape=(), dtype="uint32", initializer="zeros", **same
        )

    def call(self, images):
        if self.size == 0:
            return images
        n, replica = images.shape[0], tf.distribute.get_replica_context()
        coins, slots = random.uniform([n]), random.uniform([n], 0, self.size, "int32")
        everyone = [replica.all_gather(x, axis=0) for x in (coins, slots, images)]
        pool, count, shown = self.images.value, tf.cast(self.count.value, "int32"), []
        for k in range(n * replica.num_replicas_in_sync):
            coin, slot, image = (x[k] for x in everyone)
            full = count == self.size
            slot = tf.where(full, slot, count)
            old = pool[slot]
            stored = tf.where(full & (coin >= 0.5), old, image)
            shown.append(tf.where(full & (coin < 0.5), old, image))
            pool = tf.tensor_scatter_nd_update(pool, [[slot]], [stored])
            count = tf.minimum(count + 1, self.size)
        self.images.assign(pool)
        self.count.assign(tf.cast(count, "uint32"))
        mine = tf.cast(replica.replica_id_in_sync_group, "int32") * n
        return tf.stack(shown)[mine : mine + n]
