"""Attribute scores of images, and an attribute's direction: the difference of two mean codes."""

import argparse
import csv
import pathlib

import keras
import numpy as np

from tfgans.errors import BadInput, finite, seed


def read_scores(path):
    """Reads scores at a path, a CSV file with the columns seed, attribute, attribute, ...

    The file may be a spreadsheet's: with a byte order mark, with blank lines, or with semicolons
    between the cells and commas in the numbers.

    Returns:
        Seeds (list), names of the attributes (list), scores [n, attributes].

    Raises:
        BadInput: The file has another form. The message names the line.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path} is no text in UTF-8: save it as CSV UTF-8.") from None
    mark = ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.reader(text.splitlines(), delimiter=mark, skipinitialspace=True)
    lines = []  # (number, cells) of each line that is not blank
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}: {error}. Write a plain CSV.") from None
    names = lines[0][1] if lines else [""]
    if len(lines) < 3 or names[0].lower() != "seed" or len(names) < 2:
        raise BadInput(
            f"{path} must begin with the line seed,NAME,... and have at least two lines like 0,1.0"
        )
    if "" in names or len(set(names)) < len(names):
        raise BadInput(f"{path}: each column needs a name of its own, not {mark.join(names)!r}.")
    seeds, scores = [], []
    for number, cells in lines[1:]:
        if mark == ";":
            cells = [cell.replace(",", ".") for cell in cells]
        try:
            if len(cells) != len(names):
                raise BadInput(f"there are {len(cells)} cells, and {len(names)} names above.")
            seeds.append(seed(cells[0]))
            scores.append([finite(cell) for cell in cells[1:]])
        except (BadInput, argparse.ArgumentTypeError) as error:
            raise BadInput(
                f"{path}, line {number}: {error} Write a seed and one number per attribute."
            ) from None
    return seeds, names[1:], np.array(scores)


def scored(space, path, samples):
    """The scores of a CSV file, or of a classifier on the images of the seeds 0 to samples - 1.

    Args:
        space: A `Space`.
        path: A CSV file for `read_scores`, or the .keras file of a classifier: images [n, H, W, C]
            in [-1, 1] -> [n, attributes]. Its attributes are called a0, a1, ...
        samples: Number of images that a classifier scores.

    Returns:
        Seeds, names and scores, as `read_scores` returns them.

    Raises:
        BadInput: There is no path, or the file is no CSV of scores and no classifier of the images.
    """
    if path is None:
        raise BadInput("This method learns from scores of images: give --scores FILE.")
    if pathlib.Path(path).suffix != ".keras":
        return read_scores(path)
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"There is no classifier {path}.")
    try:
        classifier = keras.models.load_model(path, compile=False)
    except ValueError as error:
        raise BadInput(
            f"{path} is no classifier of Keras: {' '.join(str(error).split())}"
        ) from None
    shape = tuple(space.model.image_shape)
    takes = getattr(classifier, "input_shape", (None, *shape))[1:]  # a subclass may have none
    if len(takes) != 3 or any(a not in (None, b) for a, b in zip(takes, shape, strict=True)):
        raise BadInput(
            f"{path} takes inputs of the shape {takes}, and the images have {shape}: give a "
            "classifier of such images."
        )
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
