"""Precision and recall on a known manifold — Are GANs Created Equal? A Large-Scale Study.

Lucic et al., NeurIPS 2018, arXiv:1711.10337, section 5.

Images of polygons (`tfgans.data.synthetic`) lie on a known manifold, so precision and recall need
no feature network. Precision is the share of generated images closer than delta to a polygon.
Recall is the share of test images that the generator can approximate to less than delta. Distance
is the squared distance of images in [0, 1]; delta = 0.75 is pixel noise of standard deviation 0.031
at 28 x 28.

Differs from the paper: the paper does not describe its search. Here Adam moves the vertices through
a soft rasterizer that sharpens step by step; the final polygon is drawn exactly and gives the
distance. Adam moves the latents from several starts.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgans import random
from tfgans.data.synthetic import SCALE, WHITE, draw_vertices, rasterize
from tfgans.errors import BadInput
from tfgans.metrics.prd import f_score

BATCH = 256  # searches that run at once
STEPS = 300
SMALLEST = 0.01  # share of the picture that a polygon must cover


def manifold_precision_recall(
    fakes, generator, latents, test_images, delta=0.75, betas=(1,), vertices=3, seed=0
) -> dict[str, float]:
    """Precision, recall and their F-scores; the paper uses 1,024 images of each kind.

    Args:
        fakes: Generated images [N, side, side, 1] in [0, 1], array or tensor.
        generator: Latents -> images [n, side, side, 1] in [0, 1], differentiable.
        latents: n -> latents [n, ...] to start from, drawn with `tfgans.random`.
        test_images: Images [M, side, side, 1] in [0, 1] that are not in the training set.
        delta: Squared distance below which an image counts as found.
        betas: The betas of the F-scores.
        vertices: Number of vertices of the polygons.
        seed: Seed of the starts of the searches.

    Returns:
        A dict of "precision", "recall", and an F-score such as "f1" for each beta.
    """
    near = distance_to_polygons(fakes, vertices, seed=seed) < delta
    found = distance_to_generator(generator, latents, test_images, seed=seed) < delta
    precision, recall = float(near.mean()), float(found.mean())
    scores = {f"f{beta:g}": float(f_score(precision, recall, beta)) for beta in betas}
    return {"precision": precision, "recall": recall} | scores


def distance_to_polygons(images, vertices: int = 3, starts: int = 4, seed: int = 0) -> np.ndarray:
    """Squared distance of each image to the nearest polygon that the search finds, [N].

    A polygon counts only if it is convex, lies inside the picture or little beyond, like those of
    the data set, and covers at least 1 % of the picture: an empty picture does not count.

    Args:
        images: Black polygons on white [N, side, side, 1] in [0, 1], array or tensor.
        vertices: Number of vertices of the polygons.
        starts: Number of searches per image, each from another polygon.
        seed: Seed of these polygons.
    """
    images = np.asarray(images, "float32")
    side = images.shape[1]
    if images.shape[1:] != (side, side, 1):
        raise BadInput(f"Wanted gray square images [N, side, side, 1], not {images.shape}.")
    nearest = np.full(len(images), np.inf)
    for number in range(starts):
        begin = draw_vertices(len(images), side, vertices, seed=seed + number, faithful=False)
        for first in range(0, len(images), BATCH):
            rows = slice(first, first + BATCH)
            points = fit_polygons(tf.constant(images[rows, :, :, 0]), begin[rows])
            drawn = rasterize(points, side, faithful=False) / WHITE
            distance = np.square(drawn - images[rows, :, :, 0]).sum(axis=(1, 2))
            distance = np.where(in_family(points, side), distance, np.inf)
            nearest[rows] = np.minimum(nearest[rows], distance)
    return nearest


def fit_polygons(images, points):
    """Moves vertices [N, n, 2] towards images [N, side, side] in STEPS steps of Adam."""
    points = tf.Variable(points, dtype="float32")
    rate = keras.optimizers.schedules.ExponentialDecay(0.3, STEPS, 0.1)
    adam = keras.optimizers.Adam(rate)
    adam.build([points])

    @tf.function(jit_compile=False)
    def step(softness):
        with tf.GradientTape() as tape:
            wrong = tf.square(soft_polygons(points, images.shape[1], softness) - images)
            loss = tf.reduce_sum(wrong)
        adam.apply([tape.gradient(loss, points)], [points])

    for softness in np.geomspace(1, 0.08, STEPS).astype("float32"):
        step(tf.constant(softness))
    return points.numpy().astype("float64")


def soft_polygons(points, side: int, softness):
    """Draws convex polygons differentiably.

    The degree to which a sub-pixel is inside is the product over all edges of
    sigmoid(distance / softness). Each pixel averages 2 x 2 sub-pixels.

    Args:
        points: Vertices [N, n, 2] in pixels, in the order of the boundary.
        side: Side of the picture in pixels.
        softness: Width of a soft edge in pixels.

    Returns:
        [N, side (x), side (y)] from 0 (inside) to 1.
    """
    ends = tf.roll(points, -1, axis=1)
    edges = ends - points
    area = tf.reduce_sum(cross(points, ends), axis=1)  # twice, and negative if clockwise
    length = tf.sqrt(tf.reduce_sum(tf.square(edges), axis=2) + 1e-8)
    normal = edges / length[..., None] * tf.sign(area)[:, None, None]  # [N, n, 2]
    places = (tf.range(2.0 * side) + 0.5) / 2  # two sub-pixels in each pixel
    # Distance of (x, y) from an edge: normal x (p - start)
    along_y = normal[..., 0, None] * (places - points[..., 1, None])  # [N, n, 2 side]
    along_x = normal[..., 1, None] * (places - points[..., 0, None])
    distance = along_y[:, :, None, :] - along_x[:, :, :, None]  # [N, n, 2 side (x), 2 side (y)]
    inside = tf.exp(tf.reduce_sum(tf.math.log_sigmoid(distance / softness), axis=1))
    return 1 - tf.nn.avg_pool2d(inside[..., None], 2, 2, "VALID")[..., 0]


def cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def in_family(points, side):
    """True for polygons [N, n, 2] that are convex, inside the picture and not too small: [N].

    The vertices of the data set lie on a circle of diameter SCALE = 0.75 and are shifted so that
    their mean is in the middle. They reach at most 1.5 radii from there, 1/16 beyond the border.
    """
    ahead = np.roll(points, -1, axis=1)
    turns = cross(ahead - points, np.roll(ahead, -1, axis=1) - ahead)
    area = cross(points, ahead).sum(axis=1) / 2
    convex = (turns * np.sign(area)[:, None] >= 0).all(axis=1)
    inside = (np.abs(points - side / 2) <= 0.75 * SCALE * side).all(axis=(1, 2))
    return convex & inside & (np.abs(area) >= SMALLEST * side**2)


def distance_to_generator(
    generator, latents, images, starts: int = 4, rate: float = 0.1, seed: int = 0
) -> np.ndarray:
    """Squared distance of each image to the nearest generated image that the search finds, [N].

    Args:
        generator: Latents -> images, differentiable.
        latents: n -> latents [n, ...] to start from, drawn with `tfgans.random`. The search may
            leave their distribution.
        images: [N, H, W, C], array or tensor.
        starts: Number of searches per image, each from other latents.
        rate: Learning rate of Adam.
        seed: Seed of the starts.
    """
    images = np.asarray(images, "float32")
    nearest = np.full(len(images), np.inf)
    for number in range(starts):
        with random.scope(seed, number):
            begin = latents(len(images))
        for first in range(0, len(images), BATCH):
            rows = slice(first, first + BATCH)
            distance = invert(generator, begin[rows], tf.constant(images[rows]), rate)
            nearest[rows] = np.minimum(nearest[rows], distance)
    return nearest


def invert(generator, z, images, rate):
    """Moves z [N, ...] towards images; returns the lowest squared distance on the way, [N]."""
    z, lowest = tf.Variable(z), np.full(len(images), np.inf)
    adam = keras.optimizers.Adam(rate)
    adam.build([z])

    @tf.function(jit_compile=False)
    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            distance = tf.reduce_sum(tf.square(generator(z) - images), axis=[1, 2, 3])
            loss = tf.reduce_sum(distance)
        adam.apply([tape.gradient(loss, z)], [z])
        return distance

    for _ in range(STEPS):
        lowest = np.minimum(lowest, step().numpy())
    return lowest
