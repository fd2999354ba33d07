"""Trains a model without a folder of its own, and measures classifiers on images not trained on."""

import numpy as np
import tensorflow as tf

from tfgans import data, metrics, training
from tfgans.config import Config
from tfgans.data import open_images
from tfgans.data.convert import to_float
from tfgans.data.images import prepared
from tfgans.data.scenes import SyntheticScenes
from tfgans.data.synthetic import SyntheticImages

TRAINED_ON = 2**14  # synthetic images; those beyond are new


def train(name, changes):
    """A model after the training of its demo, with some changes as for `--set`."""
    settings = Config.load(name, "demo", changes)
    source = training.resolve(settings)
    model = training.build(settings)
    strategy = tf.distribute.get_strategy()
    model.fit(
        training.batches(strategy, model, source, settings),
        steps_per_epoch=settings.train.steps,
        shuffle=False,
        verbose=0,
    )
    return model


def held_out(path, model, count, classes=0):
    """Images that no training has seen, [n, H, W, C] in [-1, 1], and their classes.

    Args:
        path: A set of test images with labels, or "synthetic".
        model: Its image_shape and num_classes are used.
        count: Number of images, at most.
        classes: Number of classes of synthetic images, for a model without classes.
    """
    if path == "synthetic":
        source = SyntheticImages(
            model.image_shape, model.num_classes or classes, TRAINED_ON + count
        )
        rows = np.arange(TRAINED_ON, TRAINED_ON + count)
        channels = model.image_shape[2]
        return to_float(source.read(rows), source.value_range, channels), source.labels[rows]
    source = open_images(path)
    rows, images = zip(*prepared(source, model.image_shape), strict=True)
    return np.stack(images[:count]), source.labels[list(rows[:count])]


def own_fid(model):
    """The FID of 1,024 samples on the package's own features, against synthetic triangles.

    Args:
        model: A model whose demo learns them.
    """
    evaluator = metrics.Evaluator(
        settings=data.Data("synthetic"),
        image_shape=model.image_shape,
        metrics=["fid"],
        samples=1024,
        seeds=1,
        extractor="own-small",
    )
    return evaluator(model, {})["values"]["own_fid"]["mean"]


def in_parts(function, *arrays, size=128):
    """A function of batches on many rows: its results for parts of them, side by side.

    Args:
        function: Arrays of some rows -> an array of as many, or a nest of arrays.
        arrays: All with the same number of rows.
        size: Rows of a part.
    """
    parts = [slice(k, k + size) for k in range(0, len(arrays[0]), size)]
    found = [function(*(x[part] for x in arrays)) for part in parts]
    return tf.nest.map_structure(lambda *results: np.concatenate(results), *found)


def classes_of(classify, images):
    """The most probable class of each image.

    Args:
        classify: Images [n, H, W, C] -> probabilities [n, K].
        images: [N, H, W, C] in [-1, 1].
    """
    return np.argmax(in_parts(classify, images, size=256), axis=1)


def photographs(path, image_shape, count):
    """Images of a folder, or textured scenes that no training has seen: [n, H, W, C] in [-1, 1].

    Args:
        path: A set of images, or None for scenes.
        image_shape: (height, width, channels) of the results.
        count: Number of images, at most.
    """
    scenes = SyntheticScenes(image_shape, True, TRAINED_ON, count)
    source = open_images(path) if path else scenes
    return np.stack([image for _, image in prepared(source, image_shape)][:count])


def laplacian(y):
    """The mean absolute Laplacian of images [N, H, W, 1]: how much detail they have."""
    middle = y[:, 1:-1, 1:-1]
    around = y[:, 2:, 1:-1] + y[:, :-2, 1:-1] + y[:, 1:-1, 2:] + y[:, 1:-1, :-2]
    return np.mean(np.abs(4 * middle - around))
