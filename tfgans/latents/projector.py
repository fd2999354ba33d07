"""StyleGAN2's projector: finds the w and the noise images that reproduce an image.

Karras et al., CVPR 2020, arXiv:1912.04958, appendix D. One w for all layers starts at the mean of w
and is optimized together with the noise images. A regularizer keeps these white, so they cannot
encode the image. Exploration noise on w fades out over the first three quarters.

The paper's distance is LPIPS. Without its weights the search uses `pixel_pyramid_l2`, and results
say so.

Reference: NVlabs/stylegan2-ada-pytorch projector.py.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.features.vgg import LPIPS
from tfgans.latents.search import Search, variable


def rate_factor(t):
    """Factor of the learning rate at t in [0, 1]: rises until 0.05, falls as a cosine from 0.75."""
    down = tf.minimum(1.0, (1.0 - t) / 0.25)
    return (0.5 - 0.5 * tf.cos(np.pi * down)) * tf.minimum(1.0, t / 0.05)


def exploration(t):
    """Deviation of the noise on w at t in [0, 1], in units of the deviation of w."""
    return 0.05 * tf.maximum(0.0, 1.0 - t / 0.75) ** 2


def autocorrelation(noise):
    """Deviation of noise images from white noise, [n].

    It sums the squared mean products with the neighbors to the right and below (with wrap-around)
    over all scales, from the image itself down to the first scale of at most 8 pixels.

    Args:
        noise: [n, H, W, 1].
    """
    total = 0.0
    while True:
        for axis in (1, 2):
            product = noise * tf.roll(noise, 1, axis)
            total += tf.reduce_mean(product, [1, 2, 3]) ** 2
        if min(noise.shape[1:3]) <= 8:
            return total
        noise = tf.nn.avg_pool2d(noise, 2, 2, "VALID")


class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """0.1 times `rate_factor`."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, step):
        return 0.1 * rate_factor(tf.cast(step, "float32") / self.steps)


class Projector(Search):
    """Finds one w for all layers, and noise images. See `Search` for the arguments."""

    steps = 1000
    noise_weight = 1e5

    @staticmethod
    def features_of(vgg_path, lpips_path=None):
        return LPIPS(vgg_path, lpips_path).features

    def start(self):
        n = self.target.shape[0]
        mean, self.w_std = self.mean_w()
        self.w = variable(np.repeat(mean, n, axis=0))
        with random.scope(self.seed, self.steps):  # the moves draw at smaller steps
            shapes = self.space.noise_shapes
            self.noise = [variable(random.normal([n, *shape])) for shape in shapes]
        return [self.w, *self.noise], Rate(self.steps)

    @property
    def ws(self):
        return self.tiled(self.w.value)

    def tiled(self, w):
        return tf.repeat(w[:, None], self.space.num_ws, axis=1)

    def move(self, step):
        t = tf.cast(step, "float32") / self.steps
        away = random.normal(self.w.shape) * (self.w_std * exploration(t))

        def loss():
            noise = [image.value for image in self.noise]
            image = self.space.synthesize(self.tiled(self.w.value + away), noise)
            colored = sum(autocorrelation(image) for image in noise)
            return tf.reduce_sum(self.distance(image) + self.noise_weight * colored)

        self.descend(loss)
        for image in self.noise:
            value = image - tf.reduce_mean(image, [1, 2, 3], keepdims=True)
            square = tf.reduce_mean(value**2, [1, 2, 3], keepdims=True)
            image.assign(value * tf.math.rsqrt(square))
