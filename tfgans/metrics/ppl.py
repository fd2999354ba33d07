"""Perceptual path length — A Style-Based Generator Architecture for GANs.

Karras et al., CVPR 2019, arXiv:1812.04958, section 4.1; arXiv:1912.04958, section 3.

The change of the image per squared step along a path between two latents:
E[d(G(p(t)), G(p(t + e)))] / e^2, e = 1e-4. The distance d is LPIPS with VGG16, which grows as the
square of small differences.

Published values: StyleGAN2's `ppl2_wend` is space "w", sampling "end", 50,000 paths, no crop;
StyleGAN's use 100,000 paths and, for faces, `crop_face`.

Reference: NVlabs/stylegan2, metrics/perceptual_path_length.py.
"""

import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput

BATCH = 16  # pairs of images generated at once


def ppl(
    generator, distance, start, end, space="w", sampling="end", epsilon=1e-4, seed=0, labels=None
) -> float:
    """The mean path length over pairs of latents, without the lowest and the highest percent.

    Args:
        generator: Latents [n, d] -> images, in full precision. One call takes both ends of the
            steps, first all starts, then all ends; both ends need the same noise.
        distance: (images, images) -> [n], such as LPIPS: it grows as the square of small
            differences.
        start: Latents [N, d], z or w, arrays or tensors; the computation uses their dtype.
        end: Latents at the other end of the paths [N, d].
        space: "z": great circles between normalized latents; "w": straight lines.
        sampling: "full": steps anywhere on the path; "end": steps at its start.
        epsilon: Length of the step.
        seed: Seed of the places of the steps.
        labels: Labels [N, ...], the second argument of the generator, the same for both ends.
    """
    if space not in ("z", "w") or sampling not in ("full", "end"):
        raise BadInput(
            f'Wanted space "z" or "w" and sampling "full" or "end", not {space!r} and {sampling!r}.'
        )
    start, end = tf.convert_to_tensor(start), tf.convert_to_tensor(end)
    path = slerp if space == "z" else lerp
    with random.scope(seed):
        t = random.uniform([len(start), 1], dtype=start.dtype)
    t = t if sampling == "full" else tf.zeros_like(t)
    lengths = []
    for begin in range(0, len(start), BATCH):
        rows = slice(begin, begin + BATCH)
        a, b, here = start[rows], end[rows], t[rows]
        given = [tf.concat([path(a, b, here), path(a, b, here + epsilon)], axis=0)]
        if labels is not None:
            given.append(tf.concat([labels[rows]] * 2, axis=0))
        images = generator(*given)
        lengths.append(distance(*tf.split(images, 2)) / epsilon**2)
    return trimmed_mean(np.concatenate(lengths))


def ppl_of_model(model, distance, n, space="w", sampling="end", labels=None, seed=0) -> float:
    """The mean length of n paths of a model, as NVIDIA's code measures it, without a crop.

    The noise images are drawn anew for each batch and are the same for both ends of a step. Images
    of more than 256 pixels are averaged down. The model computes in float32, even if it was trained
    in half precision.

    Args:
        model: A model of images. "z" needs z from N(0, I), "w" needs a style generator.
        distance: Distance of images in [-1, 1], as for `ppl`: `tfgans.features.vgg.LPIPS`.
        n: Number of paths; published values use 50,000 or 100,000.
        space: "z" or "w".
        sampling: "full" or "end".
        labels: One-hot [n, num_classes] or class numbers [n], if the model has classes.
        seed: Seed of latents, places and noise.

    Raises:
        BadInput: The model has no paths in this space.
    """
    check_space(model, space)
    model = in_float32(model)
    generator, styles = model.sampling_generator, hasattr(model.sampling_generator, "styles")
    labels = model.one_hot(labels)
    shapes = [conv.size for conv in generator.synthesis.convs] if styles else []

    @tf.function
    def images_of(noise, points, label=None):
        if not styles:
            return model(points) if label is None else model(points, label)
        if space == "z":
            return generator.synthesis(generator.styles(points, label), noise=noise)
        ws = tf.repeat(points[:, tf.newaxis], generator.synthesis.num_ws, axis=1)
        return generator.synthesis(ws, noise=noise)

    def images(points, label=None):
        noise = [random.normal([1, *shape, 1]) for shape in shapes]
        radius = points.shape[1] ** 0.5 if space == "z" else 1.0
        return shrink(images_of(noise, radius * points, label))

    with random.scope(seed, step=1):  # `sample` draws at step 0
        start, end = model.latents(n), model.latents(n)
        if space == "w":
            start, end = (generator.mapping(z, label=labels) for z in (start, end))
            labels = None  # w depends on them already
        return ppl(images, distance, start, end, space, sampling, seed=seed, labels=labels)


def check_space(model, space):
    """Raises BadInput unless a model has paths in this space."""
    kind = type(model).__name__
    if space == "w" and not hasattr(model.sampling_generator, "styles"):
        raise BadInput(f"{kind} has no w: measure the path lengths in z.")
    if space == "z" and model.prior != "normal":
        raise BadInput(f"The z of {kind} is not N(0, I), so path lengths in z are not defined.")


def in_float32(model):
    """The model itself, or a float32 copy of a model in half precision."""
    if model.dtype_policy.compute_dtype == "float32":
        return model
    copy = type(model).from_config(model.get_config() | {"dtype": "float32"})
    copy.set_weights(model.get_weights())
    return copy


def trimmed_mean(values) -> float:
    """The mean of the values from the 1st to the 99th percentile, both included."""
    values = np.asarray(values, "float64")
    low = np.percentile(values, 1, method="lower")
    high = np.percentile(values, 99, method="higher")
    return float(values[(low <= values) & (values <= high)].mean())


def lerp(a, b, t):
    """The straight line from a to b, [N, d], at t, [N, 1]."""
    return a + (b - a) * t


def slerp(a, b, t):
    """The great circle from a to b, [N, d], both normalized first, at t, [N, 1]."""
    a, b = tf.nn.l2_normalize(a, axis=1), tf.nn.l2_normalize(b, axis=1)
    cosine = tf.reduce_sum(a * b, axis=1, keepdims=True)
    aside = tf.nn.l2_normalize(b - cosine * a, axis=1)
    angle = t * tf.acos(tf.clip_by_value(cosine, -1.0, 1.0))
    return tf.nn.l2_normalize(a * tf.cos(angle) + aside * tf.sin(angle), axis=1)


def crop_face(images):
    """The middle of a face as the papers cut it: rows 3/8 to 7/8, columns 2/8 to 6/8."""
    unit = images.shape[1] // 8
    return images[:, 3 * unit : 7 * unit, 2 * unit : 6 * unit]


def shrink(images, side: int = 256):
    """Averages larger images down by the integer factor height // side.

    After `crop_face` this is the arithmetic of StyleGAN and StyleGAN2. NVIDIA's PyTorch code
    computes the factor before the crop, so its values with a crop differ.
    """
    factor = images.shape[1] // side
    return tf.nn.avg_pool2d(images, factor, factor, "VALID") if factor > 1 else images
