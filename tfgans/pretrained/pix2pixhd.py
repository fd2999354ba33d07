"""Published generators of pix2pixHD as a `Pix2PixHD` model.

A file latest_net_G.pth of NVIDIA/pix2pixHD is the state dict of one network. With --netG local, as
label2city_1024p, it holds the global generator without its last layer (`model`), and the enhancer
around it (`model1_1` before its sum with the generator's features, `model1_2` after it). With
--netG global it holds the generator alone. Running statistics of the instance normalization, in
files from before PyTorch 0.4, are left out: the authors' program takes those of each image.

Differs from what their program can write: two enhancers or more, batch normalization, and dropout
are refused, because our model has none of these. A global generator of two halvings has the names
of CycleGAN's and is taken for one. The enhancer of a `local` file takes the generator's features,
so the model begins in stage 2 (`global_steps` and `enhancer_steps` are 0).

Not verified: no published file was at hand. The tests write files of this form.
"""

import re

import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign.shapes import assign, check_shapes
from tfgans.pretrained.cyclegan import (
    MOST_BLOCKS,
    STATISTICS,
    after,
    convolutions_of,
    official_names,
)

LICENSE = (
    "The program that wrote this file (NVIDIA/pix2pixHD) is under a BSD license by its "
    "LICENSE.txt, and under CC BY-NC-SA 4.0, for non-commercial use, by the headers of its source "
    "files; no license of the published weights is known. Cityscapes has terms of its own."
)
ENHANCER = "model1_1."
DEEP = "model.10.weight"  # a third halving, where CycleGAN's files have the first block
BLOCK = r"{}\.(\d{{1,3}})\.conv_block\.\d{{1,2}}\.weight"
FIRST_DOWN = 4  # the number of the first halving in the authors' list of layers
ROWS = 512  # of the paper's images in stage 0


def is_known(arrays) -> bool:
    """True for the names of a generator, whole or not."""
    return DEEP in arrays or any(name.startswith(ENHANCER) for name in arrays)


def generator_layers(seen, colors, width, downs, blocks) -> dict:
    """Official name -> (shape of the kernel, length of the bias) of the generator, in order."""
    found, channels, at = {"model.1": ((width, seen, 7, 7), width)}, width, FIRST_DOWN
    for _ in range(downs):
        found[f"model.{at}"] = (2 * channels, channels, 3, 3), 2 * channels
        channels, at = 2 * channels, at + 3
    found |= block_layers("model", at, blocks, channels)
    at += blocks
    for _ in range(downs):
        found[f"model.{at}"] = (channels, channels // 2, 3, 3), channels // 2
        channels, at = channels // 2, at + 3
    found[f"model.{at + 1}"] = (colors, width, 7, 7), colors
    return found


def enhancer_layers(seen, colors, width, blocks) -> dict:
    """The same of the enhancer, whose full resolution has half as many channels."""
    half = width // 2
    found = {"model1_1.1": ((half, seen, 7, 7), half), "model1_1.4": ((width, half, 3, 3), width)}
    found |= block_layers("model1_2", 0, blocks, width)
    found[f"model1_2.{blocks}"] = (width, half, 3, 3), half
    found[f"model1_2.{blocks + 4}"] = (colors, half, 7, 7), colors
    return found


def block_layers(place, first, count, channels) -> dict:
    """The same of residual blocks."""
    layer = (channels, channels, 3, 3), channels
    return {
        f"{place}.{k}.conv_block.{i}": layer for k in range(first, first + count) for i in (1, 5)
    }


def blocks_in(arrays, place) -> set:
    """The numbers of the residual blocks."""
    found = [re.fullmatch(BLOCK.format(place), name) for name in arrays]
    return {int(match[1]) for match in found if match}


def layers_of(sizes) -> tuple:
    """The layers that a file of these sizes holds: of the generator, and of the enhancer or {}."""
    shared = {word: sizes[word] for word in ("seen", "colors", "width")}
    generator = generator_layers(**shared, downs=sizes["downs"], blocks=sizes["blocks"])
    if not sizes["enhancer_blocks"]:
        return generator, {}
    generator.popitem()  # the enhancer takes the features before the last layer
    return generator, enhancer_layers(**shared, blocks=sizes["enhancer_blocks"])


def read(arrays) -> dict:
    """The arrays of a generator without running statistics; its sizes.

    Args:
        arrays: Name -> array, as in a state dict of the authors' program.

    Returns:
        "arrays" -> name -> array; "seen" and "colors", the channels of its inputs and outputs;
        "width", "downs", "blocks", "enhancer_blocks", 0 without an enhancer.

    Raises:
        BadInput: It is another kind of network, or incomplete.
    """
    local = any(name.startswith(ENHANCER) for name in arrays)
    if "model2_1.1.weight" in arrays:
        raise BadInput("it has two enhancers or more; our model has one")
    blocks = blocks_in(arrays, "model")
    if not 0 < len(blocks) <= MOST_BLOCKS:
        raise BadInput(
            f"it has {len(blocks)} residual blocks; the generator of pix2pixHD has 9, its encoder "
            "(net_E.pth), which is not read, none"
        )
    sizes = {
        "downs": max(min(blocks) - FIRST_DOWN, 0) // 3,
        "blocks": len(blocks),
        "enhancer_blocks": len(blocks_in(arrays, "model1_2")),
    }
    if local and not 0 < sizes["enhancer_blocks"] <= MOST_BLOCKS:
        raise BadInput(f"its enhancer has {sizes['enhancer_blocks']} residual blocks; they have 3")
    first = arrays.get("model.1.weight", np.zeros(0))
    width, seen = first.shape[:2] if first.ndim > 1 else (0, 0)
    sizes |= {"width": width, "seen": seen, "colors": 0}
    generator, enhancer = layers_of(sizes)
    last = [*(enhancer or generator)][-1]
    sizes["colors"] = arrays.get(f"{last}.bias", np.zeros(0)).size
    layers = {name: layer for part in layers_of(sizes) for name, layer in part.items()}
    left_out = {f"{after(name)}.{word}" for name in layers if name != last for word in STATISTICS}
    arrays = {name: array for name, array in arrays.items() if name not in left_out}
    shapes = {f"{name}.weight": kernel for name, (kernel, _) in layers.items()}
    check_shapes(shapes | {f"{name}.bias": (n,) for name, (_, n) in layers.items()}, arrays)
    return {"arrays": arrays} | sizes


def settings_of(networks) -> tuple:
    """Infers the arguments of `Pix2PixHD` from the network of a file.

    Args:
        networks: "generator" -> what `read` returns.

    Returns:
        The arguments, and a list of notes on what was assumed and what is missing.
    """
    found = networks["generator"]
    seen, local = found["seen"], found["enhancer_blocks"] > 0
    rows = ROWS << local
    settings = {
        "image_shape": (rows, 2 * rows, found["colors"]),
        "num_labels": seen - 1,
        "unlabeled": False,
        "instances": True,
        "width": found["width"],
        "blocks": found["blocks"],
        "downs": found["downs"],
        "enhancer": local,
    }
    notes = [
        f"It does not say the size of its images; {rows}x{2 * rows} pixels are assumed. Another "
        "one: --set image_shape=[512,512,3].",
        f"Its generator takes {seen} channels; {seen - 1} classes and the borders between objects "
        "are assumed, as for Cityscapes. If they are others: --set num_labels, unlabeled, "
        f"instances and style_channels, which together must have {seen} channels, such as "
        f"--set num_labels={seen} --set instances=false.",
        "There are no discriminators, and no encoder of styles; where the model has some, they "
        "are new.",
    ]
    if local:
        settings |= {"enhancer_blocks": found["enhancer_blocks"]}
        settings |= {"global_steps": 0, "enhancer_steps": 0}
        notes.append(
            "The last layer of the generator alone is not in such a file: training goes on with "
            "stage 2, generator and enhancer together."
        )
    return settings, notes


def fill(model, networks):
    """Assigns the arrays of a file to a `Pix2PixHD`.

    A model with an enhancer, filled from a file without one, has a new enhancer.

    Args:
        model: A `Pix2PixHD` of the settings that `settings_of` returns.
        networks: As for `settings_of`.

    Raises:
        BadInput: The model was made with other settings.
    """
    found = networks["generator"]
    words = ["width", "blocks", "downs"]
    if found["enhancer_blocks"]:
        words.append("enhancer_blocks")
        if not model.enhancer:
            raise BadInput("it holds an enhancer, which enhancer=false leaves out")
        if model.global_steps:
            raise BadInput(
                "it lacks the last layer of the generator alone, which stage 0 trains: "
                f"global_steps must be 0, not {model.global_steps}"
            )
    for word in words:
        if getattr(model, word) != found[word]:
            raise BadInput(f"its {word} is {found[word]}, not {getattr(model, word)}")
    styles = model.style_channels
    check_channels(found["seen"], model, f", {styles} of styles" if styles else "", styles)
    names, parts = {}, [model.generator, model.local] if model.enhancer else [model.generator]
    for part, layers in zip(parts, layers_of(found), strict=False):
        own = convolutions_of(part)[: len(layers)]  # all, or all but the last
        names |= official_names(own, layers)
    assign(names, found["arrays"])


def check_channels(seen, model, others="", count=0):
    """Refuses settings of label maps that do not have the channels of a file.

    Args:
        seen: Channels that the generator of the file takes.
        model: A model with `num_labels`, `unlabeled` and `instances`.
        others: Words for further channels of the model.
        count: Their number.
    """
    given = model.channels + model.instances + count
    if given != seen:
        raise BadInput(
            f"its generator takes {seen} channels, but the settings have {given}: "
            f"num_labels={model.num_labels}, unlabeled={model.unlabeled}, "
            f"instances={model.instances}{others}"
        )
