"""Published generators of SPADE, also known as GauGAN, as a `GauGAN` model.

A file latest_net_G.pth of NVlabs/SPADE is the state dict of one generator (coco_pretrained,
ade20k_pretrained, cityscapes_pretrained, or one that their program trained). A spectrally
normalized kernel stands there with two vectors: `weight_u` has its outputs and goes on as ours;
`weight_v` follows from both. The authors' program divides by u^T W v of the stored vectors, ours by
one that takes a step of the power iteration first; the two are equal once the iteration has
converged. SPADE's normalization uses the running statistics in the file, as theirs does in use.

The first layer is a convolution of the small label map; with --use_vae it is dense, from a code z.

Differs from what their program can write: SPADE around instance normalization, other kernels than
3x3, and generators without spectral normalization are refused.

Not verified: no published file was at hand. The tests write files of this form.
"""

import math

import keras
import numpy as np

from tfgans.errors import BadInput, command
from tfgans.foreign.shapes import assign, check_shapes
from tfgans.foreign.torch_files import from_torch
from tfgans.layers.conditional_norm import SpatialConditionalNorm
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.models.gaugan import DOUBLINGS
from tfgans.pretrained.nogan import Layers, spectral
from tfgans.pretrained.pix2pixhd import check_channels

LICENSE = (
    "The program that wrote this file (NVlabs/SPADE) is under CC BY-NC-SA 4.0, for academic "
    "research and no commercial use; no other license of the published weights is known. "
    "COCO-Stuff, ADE20K and Cityscapes have terms of their own."
)
FIRST = "head_0."
START = 16  # channels of the first blocks, in widths of the last one
PUBLISHED = {  # channels of the label map -> data set, classes, unlabeled, instances
    184: ("COCO-Stuff", 182, True, True),
    151: ("ADE20K", 150, True, False),
    36: ("Cityscapes", 35, False, True),
}
CITYSCAPES = 36  # its images are twice as wide as high, and begin with 1/64 of both sides


def is_known(arrays) -> bool:
    """True for the names of a generator, whole or not."""
    return any(name.startswith(FIRST) for name in arrays)


def blocks_of(width, most) -> dict:
    """Official name of each block -> its channels before and after, in order."""
    wide = START * width
    found = {name: (wide, wide) for name in ("head_0", "G_middle_0", "G_middle_1")}
    for k in range(4):
        found[f"up_{k}"] = wide >> k, wide >> (k + 1)
    return found | ({"up_4": (width, width // 2)} if most else {})


def layers_of(width, most) -> tuple:
    """Official names of all blocks' convolutions and normalizations, in our order.

    Returns:
        Convolution -> (outputs, inputs, side of the kernel); normalization -> channels.
    """
    convs, norms = {}, {}
    for name, (before, after) in blocks_of(width, most).items():
        least = min(before, after)
        parts = {"0": (least, before, 3), "1": (after, least, 3)}
        if before != after:
            parts["s"] = after, before, 1
        for part, sizes in parts.items():
            convs[f"{name}.conv_{part}"] = sizes
            norms[f"{name}.norm_{part}"] = sizes[1]
    return convs, norms


def shapes_of(seen, colors, width, most, spade_width, latent_dim, cells) -> dict:
    """Official name -> the shape that it has in a generator of these sizes."""
    wide, last = START * width, width // 2 if most else width
    convs, norms = layers_of(width, most)
    shapes = {"conv_img.weight": (colors, last, 3, 3), "conv_img.bias": (colors,)}
    shapes["fc.weight"] = (wide * cells, latent_dim) if latent_dim else (wide, seen, 3, 3)
    shapes["fc.bias"] = (wide * cells,) if latent_dim else (wide,)
    for name, (outputs, inputs, side) in convs.items():
        shapes[f"{name}.weight_orig"] = outputs, inputs, side, side
        shapes[f"{name}.weight_u"] = (outputs,)
        if side > 1:  # the way around a block has no bias
            shapes[f"{name}.bias"] = (outputs,)
    for name, channels in norms.items():
        shapes[f"{name}.mlp_shared.0.weight"] = spade_width, seen, 3, 3
        shapes[f"{name}.mlp_shared.0.bias"] = (spade_width,)
        for word in ("gamma", "beta"):
            shapes[f"{name}.mlp_{word}.weight"] = channels, spade_width, 3, 3
            shapes[f"{name}.mlp_{word}.bias"] = (channels,)
        for word in ("mean", "var"):
            shapes[f"{name}.param_free_norm.running_{word}"] = (channels,)
    return shapes


def read(arrays) -> dict:
    """The arrays of a generator that a model takes; its sizes.

    Args:
        arrays: Name -> array, as in a state dict of the authors' program.

    Returns:
        "arrays" -> name -> array; "seen" and "colors", the channels of its inputs and outputs;
        "width", "most", "spade_width", "latent_dim" and "cells", pixels of the first grid, which
        are 0 for a generator that begins with the label map.

    Raises:
        BadInput: It is another kind of network, or incomplete.
    """

    def size(name, axis):
        shape = arrays[name].shape if name in arrays else ()
        return shape[axis] if axis < len(shape) else 0

    wide = size("head_0.conv_0.weight_orig", 0)
    if not wide or wide % START:
        raise BadInput(
            f"its first block has {wide} channels under spectral normalization; those of SPADE "
            f"have a multiple of {START}"
        )
    is_dense = "fc.weight" in arrays and arrays["fc.weight"].ndim == 2
    sizes = {
        "seen": size("head_0.norm_0.mlp_shared.0.weight", 1),
        "colors": size("conv_img.bias", 0),
        "width": wide // START,
        "most": "up_4.conv_0.weight_orig" in arrays,
        "spade_width": size("head_0.norm_0.mlp_shared.0.weight", 0),
        "latent_dim": size("fc.weight", 1) if is_dense else 0,
        "cells": size("fc.weight", 0) // wide if is_dense else 0,
    }
    convs, norms = layers_of(sizes["width"], sizes["most"])
    left_out = {f"{name}.weight_v" for name in convs}
    left_out |= {f"{name}.param_free_norm.num_batches_tracked" for name in norms}
    arrays = {name: array for name, array in arrays.items() if name not in left_out}
    check_shapes(shapes_of(**sizes), arrays)
    return {"arrays": arrays} | sizes


def settings_of(networks) -> tuple:
    """Infers the arguments of `GauGAN` from the network of a file.

    Args:
        networks: "generator" -> what `read` returns.

    Returns:
        The arguments, and a list of notes on what was assumed and what is missing.

    Raises:
        BadInput: The first grid has a form that is not known.
    """
    found = networks["generator"]
    seen, latent_dim = found["seen"], found["latent_dim"]
    unknown = "an unknown set with edges of objects", seen - 1, False, True
    data, num_labels, unlabeled, instances = PUBLISHED.get(seen, unknown)
    upsampling = "most" if found["most"] else "more" if seen == CITYSCAPES else "normal"
    rows, columns = 256, 512 if seen == CITYSCAPES else 256
    if latent_dim:
        rows, columns = (side << DOUBLINGS[upsampling] for side in grid(found["cells"]))
    settings = {
        "image_shape": (rows, columns, found["colors"]),
        "num_labels": num_labels,
        "unlabeled": unlabeled,
        "instances": instances,
        "width": found["width"],
        "upsampling": upsampling,
        "encoder": latent_dim > 0,
        "spade_width": found["spade_width"],
    }
    notes = [
        f"Its label maps have {seen} channels, which are taken as those of {data}: {num_labels} "
        f"classes, unlabeled={unlabeled}, instances={instances}. If they are others: --set "
        f"num_labels, unlabeled and instances, which together must have {seen} channels, such as "
        f"--set num_labels={seen} --set unlabeled=false --set instances=false.",
        f'Images of {rows}x{columns} pixels and upsampling="{upsampling}" are assumed. Others: '
        "--set image_shape=[512,512,3] --set upsampling=more.",
    ]
    if latent_dim:
        settings["latent_dim"] = latent_dim
        notes.append(
            "There are no discriminators, and no encoder of photographs (latest_net_E.pth is a "
            "file of its own); new ones replace them. Codes z give images "
            f"(`{command('use')} MODEL generate`); before a training the new encoder gives codes "
            "without a meaning."
        )
    else:
        notes.append("There are no discriminators; new ones replace them.")
    return settings, notes


def grid(cells) -> tuple:
    """(rows, columns) of a grid of pixels that is square, or twice as wide as high."""
    for share in (1, 2):
        rows = math.isqrt(cells // share)
        if rows and share * rows * rows == cells:
            return rows, share * rows
    raise BadInput(f"its first grid of {cells} pixels is neither square nor twice as wide as high")


def fill(model, networks):
    """Assigns the arrays of a file to a `GauGAN`.

    Args:
        model: A `GauGAN` of the settings that `settings_of` returns.
        networks: As for `settings_of`.

    Raises:
        BadInput: The model was made with other settings.
    """
    found = networks["generator"]
    check_channels(found["seen"], model)
    for word, value in {
        "width": found["width"],
        "spade_width": found["spade_width"],
        "encoder": found["latent_dim"] > 0,
        "latent_dim": found["latent_dim"] or model.latent_dim,
    }.items():
        if getattr(model, word) != value:
            raise BadInput(f"its {word} is {value}, not {getattr(model, word)}")
    doublings = DOUBLINGS[model.upsampling]
    if (model.upsampling == "most") != found["most"]:
        raise BadInput(
            f"it has {5 if found['most'] else 4} blocks after the middle ones, which is not "
            f'upsampling="{model.upsampling}"'
        )
    rows, columns = (side >> doublings for side in model.image_shape[:2])
    if found["cells"] not in (0, rows * columns):
        raise BadInput(
            f"its first grid has {found['cells']} pixels, but images of "
            f"{model.image_shape[0]}x{model.image_shape[1]} begin with {rows}x{columns}"
        )
    names = official_names(model.generator, found["width"], found["most"], (rows, columns))
    assign(names, found["arrays"])


def official_names(generator, width, most, start) -> dict:
    """{official name: (variable, function from PyTorch's layout to ours)}.

    Args:
        generator: The generator of a `GauGAN`.
        width: Channels of the block before its last one, or of its last one.
        most: If true, there is one block more.
        start: (rows, columns) of the first grid.
    """
    layers = Layers(generator)
    convs, norms = layers_of(width, most)
    names = {}
    for name, (_, _, side) in convs.items():
        names |= spectral(layers.next(SpectralNorm), name, bias=side > 1)
    for name in norms:
        names |= spade(layers.next(SpatialConditionalNorm), name)
    if any(isinstance(layer, keras.layers.Dense) for layer in generator.layers):
        names |= dense(layers.next(keras.layers.Dense), start)
    else:
        names |= convolution(layers.next(keras.layers.Conv2D), "fc")
    return names | convolution(layers.next(keras.layers.Conv2D), "conv_img")


def convolution(layer, name) -> dict:
    """Names of a convolution."""
    return {f"{name}.weight": (layer.kernel, from_torch), f"{name}.bias": (layer.bias, np.asarray)}


def spade(layer, name) -> dict:
    """Names of a SPADE: three convolutions, and the statistics of its normalization."""
    names = convolution(layer.shared, f"{name}.mlp_shared.0")
    names |= convolution(layer.to_gamma, f"{name}.mlp_gamma")
    names |= convolution(layer.to_beta, f"{name}.mlp_beta")
    names[f"{name}.param_free_norm.running_mean"] = layer.norm.moving_mean, np.asarray
    names[f"{name}.param_free_norm.running_var"] = layer.norm.moving_variance, np.asarray
    return names


def dense(layer, start) -> dict:
    """Names of the dense layer, whose outputs are a map: [C, rows, columns] there, C last here."""

    def channels_last(array):
        maps = array.reshape(-1, math.prod(start), *array.shape[1:])
        return maps.swapaxes(0, 1).reshape(array.shape)

    return {
        "fc.weight": (layer.kernel, lambda w: channels_last(w).T),
        "fc.bias": (layer.bias, channels_last),
    }
