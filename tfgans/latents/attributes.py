"""Attribute scores of images, and an attribute's direction: the difference of two mean codes."""

import csv
import pathlib

import keras
import numpy as np

from tfgans.errors import BadInput


def read_scores(path):
    """Reads scores from a CSV file with the columns seed, attribute, attribute, ...

    Returns:
        Seeds (list), names of the attributes (list), scores [n, attributes].

    Raises:
        BadInput: The file has another form.
    """
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    if len(rows) < 3 or rows[0][0] != "seed" or len(rows[0]) < 2:
        raise BadInput(
            f"{path} must begin with the line seed,NAME,... and have at least two lines like 0,1.0"
        )
    try:
        seeds = [int(row[0]) for row in rows[1:]]
        scores = np.array([[float(x) for x in row[1:]] for row in rows[1:]])
    except ValueError as error:
        raise BadInput(
            f"{path}: {error}. Wanted: in each line a seed and one number per attribute."
        ) from None
    return seeds, rows[0][1:], scores


def scored(space, path, samples):
    """The scores of a CSV file, or of a classifier on the images of the seeds 0 to samples - 1.

    Args:
        space: A `Space`.
        path: A CSV file for `read_scores`, or the .keras file of a classifier: images [n, H, W, C]
            in [-1, 1] -> [n, attributes]. Its attributes are called a0, a1, ...
        samples: Number of images that a classifier scores.

    Returns:
        Seeds, names and scores, as `read_scores` returns them.
    """
    if path is None:
        raise BadInput("This method learns from scores of images: give --scores FILE.")
    if pathlib.Path(path).suffix != ".keras":
        return read_scores(path)
    classifier = keras.models.load_model(path, compile=False)
    seeds, parts = list(range(samples)), []
    for i in range(0, samples, 100):
        images = space.synthesize(space.of_seeds(seeds[i : i + 100]))
        parts.append(np.asarray(classifier(images, training=False)))
    scores = np.concatenate(parts)
    return seeds, [f"a{k}" for k in range(scores.shape[1])], scores


def difference(codes, has, others=None):
    """The vector that adds an attribute: mean(codes | has) - mean(codes | has not).

    Args:
        codes: z or w, [n, D].
        has: True for codes with the attribute, bool [n].
        others: Attributes that should stay the same, bool [n, k]. The means are then taken among
            codes that agree in all of them, and averaged with the number of pairs as weight.

    Raises:
        BadInput: All codes have the attribute, or none has it.
    """
    codes, has = np.asarray(codes, "float64"), np.asarray(has, bool)
    cells = np.zeros(len(codes), int)
    if others is not None:
        cells = np.unique(np.asarray(others, bool), axis=0, return_inverse=True)[1].ravel()
    total, pairs = 0.0, 0
    for cell in range(cells.max() + 1):
        with_it, without = codes[has & (cells == cell)], codes[~has & (cells == cell)]
        count = min(len(with_it), len(without))
        if count:
            total += count * (with_it.mean(axis=0) - without.mean(axis=0))
            pairs += count
    if pairs == 0:
        raise BadInput("Wanted codes with the attribute and codes without it: give more samples.")
    return total / pairs
