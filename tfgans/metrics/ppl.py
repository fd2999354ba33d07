"""Perceptual path length — A Style-Based Generator Architecture for GANs.

Karras et al., CVPR 2019, arXiv:1812.04958, section 4.1; arXiv:1912.04958, section 3.

How much the image changes, per squared step, along a path between two latents:
E[d(G(p(t)), G(p(t + e)))] / e^2, e = 1e-4. d is LPIPS of VGG16, a distance of squared type.

Published values: StyleGAN2's `ppl2_wend` is space "w", sampling "end", 50,000 paths, no crop;
StyleGAN's are of 100,000 paths and, on faces, of `crop_face`.

Reference: NVlabs/stylegan2, metrics/perceptual_path_length.py.
"""

import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput

BATCH = 16  # pairs of images that are made at once


def ppl(generator, distance, start, end, space="w", sampling="end", epsilon=1e-4, seed=0) -> float:
    """The mean path length over pairs of latents, of which the outer percents are left out.

    Args:
        generator: Latents [n, d] -> images; called once for both ends of a step, first all
            starts, then all ends, and without mixed precision. Its noise must be fixed.
        distance: Images, images -> [n], of squared type, such as LPIPS.
        start: [N, d]: z or w, arrays or tensors; their type is that of the computation.
        end: [N, d].
        space: "z": on the sphere, between normalized latents; "w": on the straight line.
        sampling: "full": steps anywhere on the path; "end": at its start.
        epsilon: Length of the step.
        seed: Of the places of the steps.
    """
    if space not in ("z", "w") or sampling not in ("full", "end"):
        raise BadInput(f'space is "z" or "w", sampling "full" or "end"; not {space}, {sampling}.')
    start, end = tf.convert_to_tensor(start), tf.convert_to_tensor(end)
    path = slerp if space == "z" else lerp
    with random.scope(seed):
        t = random.uniform([len(start), 1], dtype=start.dtype)
    t = t if sampling == "full" else tf.zeros_like(t)
    lengths = []
    for begin in range(0, len(start), BATCH):
        a, b, here = (x[begin : begin + BATCH] for x in (start, end, t))
        images = generator(tf.concat([path(a, b, here), path(a, b, here + epsilon)], axis=0))
        lengths.append(distance(*tf.split(images, 2)) / epsilon**2)
    return trimmed_mean(np.concatenate(lengths))


def trimmed_mean(values) -> float:
    """The mean of all values from the 1st to the 99th percentile, both included."""
    values = np.asarray(values, "float64")
    low = np.percentile(values, 1, method="lower")
    high = np.percentile(values, 99, method="higher")
    return float(values[(low <= values) & (values <= high)].mean())


def lerp(a, b, t):
    """The straight line from a to b, [N, d], at t, [N, 1]."""
    return a + (b - a) * t


def slerp(a, b, t):
    """The great circle from a to b, [N, d], both normalized, at t, [N, 1]."""
    a, b = tf.nn.l2_normalize(a, axis=1), tf.nn.l2_normalize(b, axis=1)
    cosine = tf.reduce_sum(a * b, axis=1, keepdims=True)
    aside = tf.nn.l2_normalize(b - cosine * a, axis=1)
    angle = t * tf.acos(cosine)
    return tf.nn.l2_normalize(a * tf.cos(angle) + aside * tf.sin(angle), axis=1)


def crop_face(images):
    """The middle of a face as the papers cut it: rows 3/8 to 7/8, columns 2/8 to 6/8."""
    unit = images.shape[1] // 8
    return images[:, 3 * unit : 7 * unit, 2 * unit : 6 * unit]


def shrink(images, side: int = 256):
    """Averages images down by the whole factor height // side where they are larger.

    After `crop_face` this is StyleGAN's and StyleGAN2's arithmetic. NVIDIA's PyTorch code takes the
    factor from the side before the crop, so its cropped values are other numbers.
    """
    factor = images.shape[1] // side
    return tf.nn.avg_pool2d(images, factor, factor, "VALID") if factor > 1 else images
