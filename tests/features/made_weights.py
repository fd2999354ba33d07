"""Random weights by name."""

import zlib

import numpy as np


def weight(name, shape):
    """The random weights under a name that the reference was made with."""
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("var"):
        return draw.uniform(0.5, 1.5, shape).astype("float32")
    if "bn.weight" in name:
        return draw.uniform(0.8, 1.6, shape).astype("float32")
    if len(shape) == 1:
        return draw.normal(0, 0.1, shape).astype("float32")
    return (draw.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5).astype("float32")
