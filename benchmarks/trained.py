"""Trains a model without a folder of its own, and measures classifiers on images not trained on."""

import numpy as np
import tensorflow as tf

from tfgans import training
from tfgans.config import Config
from tfgans.data import open_images
from tfgans.data.convert import to_float
from tfgans.data.images import prepared
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


def classes_of(classify, images):
    """The most probable class of each image.

    Args:
        classify: Images [n, H, W, C] -> probabilities [n, K].
        images: [N, H, W, C] in [-1, 1].
    """
    parts = [classify(images[k : k + 256]) for k in range(0, len(images), 256)]
    return np.argmax(np.concatenate(parts), axis=1)
