"""Published generators of CycleGAN as a `CycleGAN` model.

A `.pth` file of pytorch-CycleGAN-and-pix2pix (horse2zebra.pth, or latest_net_G.pth once its script
has stored it) is the state dict of one ResNet generator, so it holds one direction: its inputs are
A here, its outputs B. A second file may hold the way from B to A. Files from before PyTorch 0.4 and
of its time also hold running statistics of the instance normalization. They are left out: the
authors' test program takes the statistics of each image, as we do.

Differs from what their program can write: generators with batch normalization, with dropout, or
with another padding in their blocks, and those whose inputs and outputs differ in their channels,
are refused, because our model has none of these. Discriminators were not published.
"""

import re

import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign.shapes import assign, check_shapes
from tfgans.foreign.torch_files import from_torch

LICENSE = (
    "The program that wrote this file (junyanz/pytorch-CycleGAN-and-pix2pix) is under a BSD "
    "license; no license of the published weights is known. The data sets that they were trained "
    "on have terms of their own."
)
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
BLOCK = r"model\.(\d{1,3})\.conv_block\.\d{1,2}\.weight"
MOST_BLOCKS = 32  # the authors' generators have 6 and 9
FIRST_BLOCK = 10  # their number in the authors' list of layers
LARGE = 9  # blocks from which on the paper's images have 256x256 pixels, below 128x128


def layers_of(blocks) -> list:
    """The official names of all convolutions, from the input to the output."""
    names = ["model.1", "model.4", "model.7"]
    end = FIRST_BLOCK + blocks
    names += [f"model.{k}.conv_block.{i}" for k in range(FIRST_BLOCK, end) for i in (1, 5)]
    return [*names, f"model.{end}", f"model.{end + 3}", f"model.{end + 7}"]


def after(name) -> str:
    """The name of the layer that follows: the normalization of a convolution."""
    place, _, number = name.rpartition(".")
    return f"{place}.{int(number) + 1}"


def read(arrays) -> dict:
    """The arrays of a generator without running statistics; its settings.

    Args:
        arrays: Name -> array, as in a state dict of the authors' program.

    Returns:
        "arrays" -> name -> array; "image_channels", "width", "blocks".

    Raises:
        BadInput: It is another kind of network, or incomplete.
    """
    if "model.0.weight" in arrays:
        raise BadInput("it is a discriminator; the file of a generator is read, such as net_G.pth")
    blocks = len({match[1] for name in arrays if (match := re.fullmatch(BLOCK, name))})
    if not 0 < blocks <= MOST_BLOCKS:
        raise BadInput(f"it has {blocks} residual blocks; generators of CycleGAN have 6 or 9")
    layers = layers_of(blocks)
    left_out = {f"{after(name)}.{word}" for name in layers[:-1] for word in STATISTICS}
    arrays = {name: array for name, array in arrays.items() if name not in left_out}
    outer = (f"{layers[0]}.bias", f"{layers[-1]}.bias")
    width, channels = (arrays[name].size if name in arrays else 0 for name in outer)
    check_shapes(shapes_of(layers, width, channels), arrays)
    return {"arrays": arrays, "image_channels": channels, "width": width, "blocks": blocks}


def shapes_of(layers, width, channels) -> dict:
    """Official name -> the shape that it has in a generator of this width and these channels."""
    w = width
    inside = [(4 * w, 4 * w, 3, 3)] * (len(layers) - 6)
    kernels = [(w, channels, 7, 7), (2 * w, w, 3, 3), (4 * w, 2 * w, 3, 3), *inside]
    kernels += [(4 * w, 2 * w, 3, 3), (2 * w, w, 3, 3), (channels, w, 7, 7)]
    biases = [w, 2 * w, *[4 * w] * (len(layers) - 5), 2 * w, w, channels]
    shapes = {f"{name}.weight": kernel for name, kernel in zip(layers, kernels, strict=True)}
    return shapes | {f"{name}.bias": (n,) for name, n in zip(layers, biases, strict=True)}


def settings_of(networks) -> tuple:
    """Infers the arguments of `CycleGAN` from the networks of one file or two.

    Args:
        networks: "a_to_b", and "b_to_a" where there is a second file -> what `read` returns.

    Returns:
        The arguments, and a list of notes on missing parts.

    Raises:
        BadInput: The two generators differ in their sizes.
    """
    sizes = ("image_channels", "width", "blocks")
    there, *back = ({word: found[word] for word in sizes} for found in networks.values())
    for other in back:
        if there != other:
            raise BadInput(f"it has {there}, and the file of the other direction {other}")
    side = 256 if there["blocks"] >= LARGE else 128
    notes = [
        f"It does not say the size of its images. With another one than {side}x{side}: "
        "image_shape=[512,512,3]."
    ]
    if not back:
        notes.append(
            "It holds the way from A to B alone. The model has no other, unless a second file "
            "gives it (--b-to-a FILE), or one_way=false begins a new one, to train it."
        )
    notes.append("There are no discriminators; where the model has some, they are new.")
    return {
        "image_shape": (side, side, there["image_channels"]),
        "width": there["width"],
        "blocks": there["blocks"],
        "one_way": not back,
    }, notes


def convolutions_of(network) -> list:
    """The convolutions of a Keras model, in their order."""
    return [layer for layer in network.layers if hasattr(layer, "kernel")]


def official_names(convolutions, layers) -> dict:
    """{official name: (variable, function from PyTorch's layout to ours)}.

    Args:
        convolutions: Keras layers.
        layers: As many official names.
    """
    names = {}
    for name, layer in zip(layers, convolutions, strict=True):
        names[f"{name}.weight"] = layer.kernel, from_torch
        names[f"{name}.bias"] = layer.bias, np.asarray
    return names


def fill(model, networks):
    """Assigns the arrays of one file or two to a `CycleGAN`.

    Args:
        model: A `CycleGAN` of the settings that `settings_of` returns.
        networks: As for `settings_of`.

    Raises:
        BadInput: The model was made with other settings.
    """
    if model.one_way and "b_to_a" in networks:
        raise BadInput("one_way=true leaves out the second file: leave one of the two out")
    generators = {"a_to_b": model.generator_ab, "b_to_a": model.generator_ba}
    for direction, found in networks.items():
        if model.blocks != found["blocks"]:
            raise BadInput(f"it has {found['blocks']} residual blocks, not {model.blocks}")
        names = official_names(convolutions_of(generators[direction]), layers_of(found["blocks"]))
        assign(names, found["arrays"])
