"""Weights of the official StyleGAN2 networks, and the outputs of these networks."""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent.parent / "reference" / "stylegan2"
LIMIT = 1e-5  # the limit in the README there, relative to the largest value


def case(file, name):
    """Weights and numbers of one case, and the arguments of its official constructor."""
    with np.load(HERE / f"{file}.npz") as arrays:
        found = {key: arrays[key] for key in arrays.files if key.startswith(f"{name}/")}
        settings = json.loads(str(arrays["meta"]))[name]["constructor"]
    found = {key.removeprefix(f"{name}/"): value for key, value in found.items()}
    weights = {key[6:]: value for key, value in found.items() if key.startswith("param/")}
    return found, weights, settings


def error(ours, official):
    assert ours.shape == official.shape
    return np.abs(np.asarray(ours) - official).max() / np.abs(official).max()


def to_nchw(x):
    return np.transpose(x, (0, 3, 1, 2))


def weights_of(g_case="generator_skip_32/map2", d_case="discriminator_resnet_32/resnet"):
    return case(*g_case.split("/"))[1], case(*d_case.split("/"))[1]


def small_weights():
    """The coarse half of the reference networks, at 8x8: G, its average, D."""
    g, d = (
        {name: array for name, array in weights.items() if "b16" not in name and "b32" not in name}
        for weights in weights_of()
    )
    d["b8.fromrgb.weight"] = np.random.RandomState(0).randn(32, 3, 1, 1).astype("f4")
    d["b8.fromrgb.bias"] = np.zeros(32, "f4")
    average = {name: array if "filter" in name else 2 * array for name, array in g.items()}
    return g, average, d
