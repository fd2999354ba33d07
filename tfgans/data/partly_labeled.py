"""The data kind "partly_labeled": images with label vectors, zero where the class is hidden.

The data are those of the kind "images" with class numbers. `labeled_per_class` images of each class
keep theirs, chosen once; without it all do. A model with `labels` "none" gets images alone.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgans.data import images, semi_labeled
from tfgans.data.images import signature
from tfgans.data.semi_labeled import labeled_rows, need_class_numbers
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images

__all__ = ["Reader", "resolve", "signature"]


def resolve(settings: Data, given: dict, defaults: dict) -> Images:
    """As that of `semi_labeled`; of `images` without labels where the model has none."""
    if (defaults | given)["labels"] == "none":
        given["num_classes"] = 0
        return images.resolve(dataclasses.replace(settings, labels=False), given, defaults)
    return semi_labeled.resolve(settings, given, defaults)


class Reader(images.Reader):
    """Feeds a model with "image" and, where it has classes, "label" [num_classes].

    Args:
        model: Its image_shape, num_classes and labels are used.
        source: Images, with class numbers where the model has classes.
        config: Its flip, broken, labeled_per_class and labeled_seed are used. The next intact image
            replaces a broken one, with its own label or without.
        stage: Not used: all stages have the same images.
    """

    settings = ("labels", "flip", "labeled_per_class", "labeled_seed")

    def __init__(self, model, source: Images, config: Data, stage: int):
        super().__init__(model, source, config, stage)
        if not model.num_classes:
            return
        need_class_numbers(model, source)
        self.classes = model.num_classes
        self.signature["label"] = tf.TensorSpec([self.classes])
        if config.labeled_per_class and model.labels == "all":
            raise DataError(
                f"data.labeled_per_class is {config.labeled_per_class}, and model.labels 'all' "
                "needs the class of every image.",
                "Set model.labels to some, or leave labeled_per_class out.",
            )
        rows = labeled_rows(
            source.labels, self.classes, config.labeled_per_class, config.labeled_seed
        )
        self.labels = np.full(len(source), -1)  # none
        self.labels[rows] = source.labels[rows]

    def read(self, positions, order, draws):
        found = super().read(positions, order, draws)
        if "label" in found:
            one_of = found["label"][:, None] == np.arange(self.classes)  # [n, num_classes]
            found["label"] = one_of.astype("float32")
        return found
