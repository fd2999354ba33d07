"""Walks through the latent space, and tables of mixed styles."""

import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.errors import BadInput


def slerp(a, b, t):
    """Goes from a to b on a great circle: t in [0, 1], a and b [..., d].

    High-dimensional Gaussian vectors all have about the same length; a straight line between two of
    them would leave that shell (White, Sampling Generative Networks, arXiv:1609.04468).
    """
    cosine = np.sum(a * b, -1, keepdims=True)
    cosine /= np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    if np.all(angle < 1e-6):
        return a + t * (b - a)
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def loop(model, stops=5, frames=24, seed=0, **arguments):
    """Images on a closed walk through several latents.

    Args:
        model: A model that maps z to images.
        stops: How many latents the walk visits before it returns to the first.
        frames: Images from one to the next.
        seed: Of the latents.
        **arguments: Given to the model, such as truncation=0.7.

    Returns:
        [stops * frames, H, W, C] in [-1, 1].
    """
    with random.scope(seed):
        z = model.latents(stops).numpy()
    steps = np.linspace(0, 1, frames, endpoint=False)
    walk = [slerp(z[i], z[(i + 1) % stops], t) for i in range(stops) for t in steps]
    walk = np.array(walk, "float32")
    parts = [model(walk[i : i + frames], **arguments) for i in range(0, len(walk), frames)]
    return tf.concat(parts, axis=0).numpy()


def mixing_table(model, rows=4, columns=6, layers=None, seed=0, truncation=None, label=None):
    """Images whose coarse styles come from their row and whose other styles from their column.

    The first row and column show the sources (figure 3 of StyleGAN, arXiv:1812.04948, turned).

    Args:
        model: A `StyleGAN2`.
        rows: Sources of the coarse styles.
        columns: Sources of the other styles.
        layers: How many of the num_ws layers count as coarse; half of them where not given.
        seed: Of all latents.
        truncation: psi of all of them.
        label: One class number for all of them, where the model is conditional.

    Returns:
        [(rows + 1) * (columns + 1), H, W, C] in [-1, 1], row by row; the corner is white.
    """
    if not hasattr(model, "generator_ema") or not hasattr(model.generator_ema, "styles"):
        raise BadInput(f"{type(model).__name__} has no styles to mix; StyleGAN2 has.")
    generator = model.generator_ema
    n = rows + columns
    labels = model.one_hot([label] * n) if label is not None else None
    with random.scope(seed):
        ws = generator.styles(model.latents(n), labels, truncation)
    layers = ws.shape[1] // 2 if layers is None else layers
    coarse, fine = ws[:rows], ws[rows:]
    table = [tf.ones([1, *model.image_shape]), generator.synthesis(fine, noise="const")]
    for k in range(rows):
        first = tf.repeat(coarse[k : k + 1, :layers], columns, axis=0)
        mixed = tf.concat([first, fine[:, layers:]], axis=1)
        row = tf.concat([coarse[k : k + 1], mixed], axis=0)
        table.append(generator.synthesis(row, noise="const"))
    return tf.concat(table, axis=0).numpy()
