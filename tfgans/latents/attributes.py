"""Scores of attributes, and the vector of an attribute: the difference of two mean codes."""

import csv
import pathlib

import keras
import numpy as np

from tfgans.errors import BadInput


def read_scores(path):
    """Scores by hand or by any program: a CSV file with the columns seed, attribute, attribute, ...

    Returns:
        Seeds (list), names (list), scores [n, attributes].

    Raises:
        BadInput: The file is not of that form.
    """
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    if len(rows) < 3 or rows[0][0] != "seed" or len(rows[0]) < 2:
        raise BadInput(f"{path} must begin with the line seed,NAME,... and have lines like 0,1.0")
    try:
        seeds = [int(row[0]) for row in rows[1:]]
        scores = np.array([[float(x) for x in row[1:]] for row in rows[1:]])
    except ValueError as error:
        raise BadInput(
            f"{path}: {error}; each line is a seed and as many numbers as names."
        ) from None
    return seeds, rows[0][1:], scores


def scored(space, path, samples):
    """Scores of seeds: those of a CSV file, or of a classifier for the seeds 0 to samples - 1.

    Args:
        space: A `Space`.
        path: A CSV file for `read_scores`, or the .keras file of a model that takes images
            [n, H, W, C] in [-1, 1] and gives [n, attributes], which are then called a0, a1, ...
        samples: Images that a classifier scores.

    Returns:
        As `read_scores`.
    """
    if path is None:
        raise BadInput("This method learns from scores of images: give --scores FILE.")
    if pathlib.Path(path).suffix != ".keras":
        return read_scores(path)
    classifier, seeds, parts = (
        keras.models.load_model(path, compile=False),
        list(range(samples)),
        [],
    )
    for i in range(0, samples, 100):
        images = space.synthesize(space.of_seeds(seeds[i : i + 100]))
        parts.append(np.asarray(classifier(images, training=False)))
    scores = np.concatenate(parts)
    return seeds, [f"a{k}" for k in range(scores.shape[1])], scores


def difference(codes, has, others=None):
    """mean(codes | has) - mean(codes | has not): the vector that adds the attribute.

    Args:
        codes: z or w, [n, D].
        has: Which ones have the attribute, bool [n].
        others: bool [n, k]: attributes that shall not come along. Means are then taken among codes
            that agree in all of them, and averaged by how many pairs there are.

    Raises:
        BadInput: All have it or none has.
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
        raise BadInput("An attribute needs codes that have it and codes that do not.")
    return total / pairs
