"""Published networks of StarGAN as a `StarGAN` model.

A file `200000-G.ckpt` of the authors' code is the state dict of its generator, and `200000-D.ckpt`
that of its discriminator. The instance normalization has gains and biases, and running statistics
as well. A model with `statistics="running"` takes them; without that each image has its own.

Not verified: the statistics that are meant, since one version of the published program takes the
running ones when it makes images.
"""

import re

import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign.shapes import assign, check_shapes
from tfgans.foreign.torch_files import from_torch
from tfgans.pretrained.cyclegan import STATISTICS, after, convolutions_of

LICENSE = (
    "No license of the program that wrote this file (yunjey/stargan) or of the published weights "
    "is known here. The data sets that they were trained on have terms of their own."
)
SIDE = 128  # of the published images; the file of D says it
FIRST_BLOCK = 9  # their number in the authors' list of layers
UPS = 2


def is_known(arrays) -> bool:
    """True for a state dict of a generator or of a discriminator."""
    return "main.0.weight" in arrays and ("main.1.weight" in arrays or "conv1.weight" in arrays)


def layers_of(blocks) -> list:
    """The official names of all convolutions of G, from the input to the output."""
    names = ["main.0", "main.3", "main.6"]
    end = FIRST_BLOCK + blocks
    names += [f"main.{k}.main.{i}" for k in range(FIRST_BLOCK, end) for i in (0, 3)]
    return [*names, *[f"main.{end + 3 * k}" for k in range(UPS + 1)]]


def read(arrays) -> dict:
    """The arrays of a generator, its running statistics, and its settings.

    Args:
        arrays: Name -> array, as in a state dict of the authors' program.

    Returns:
        "arrays" and "statistics" -> name -> array; "image_channels", "num_classes", "width",
        "blocks".

    Raises:
        BadInput: It is another kind of network, or incomplete.
    """
    if "conv1.weight" in arrays:
        raise BadInput(
            "it is a discriminator; give the file of the generator (-G.ckpt), and this one as "
            "--discriminator"
        )
    blocks = len(
        {m[1] for name in arrays if (m := re.fullmatch(r"main\.(\d{1,3})\.main\.0\.weight", name))}
    )
    layers = layers_of(blocks)
    places = {f"{after(name)}.{word}" for name in layers[:-1] for word in STATISTICS}
    statistics = {name: array for name, array in arrays.items() if name in places}
    arrays = {name: array for name, array in arrays.items() if name not in places}
    none = np.zeros([0, 0, 0, 0])
    width, inputs = arrays[f"{layers[0]}.weight"].shape[:2]
    channels = arrays.get(f"{layers[-1]}.weight", none).shape[0]
    w = width
    inside = [(4 * w, 4 * w, 3, 3)] * (2 * blocks)
    kernels = [(w, inputs, 7, 7), (2 * w, w, 4, 4), (4 * w, 2 * w, 4, 4), *inside]
    kernels += [(4 * w, 2 * w, 4, 4), (2 * w, w, 4, 4), (channels, w, 7, 7)]
    shapes = {f"{name}.weight": kernel for name, kernel in zip(layers, kernels, strict=True)}
    outputs = [w, 2 * w, *[4 * w] * (2 * blocks + 1), 2 * w, w]
    for name, count in zip(layers[:-1], outputs, strict=True):
        shapes |= {f"{after(name)}.weight": (count,), f"{after(name)}.bias": (count,)}
    check_shapes(shapes, arrays)
    return {
        "arrays": arrays,
        "statistics": {k: v for k, v in statistics.items() if not k.endswith(STATISTICS[2])},
        "image_channels": channels,
        "num_classes": inputs - channels,
        "width": width,
        "blocks": blocks,
    }


def read_discriminator(arrays) -> dict:
    """The arrays of a discriminator, and its settings.

    Returns:
        "arrays" -> name -> array; "num_classes", "width", "halvings", "side".

    Raises:
        BadInput: It is another kind of network, or incomplete.
    """
    if "conv1.weight" not in arrays or "conv2.weight" not in arrays:
        raise BadInput("it is no discriminator of StarGAN (-D.ckpt)")
    times = len({m[1] for name in arrays if (m := re.fullmatch(r"main\.(\d{1,3})\.weight", name))})
    width, channels = arrays["main.0.weight"].shape[:2]
    num_classes, last, rows, columns = arrays["conv2.weight"].shape
    shapes = {
        "conv1.weight": (1, width << times - 1, 3, 3),
        "conv2.weight": (num_classes, width << times - 1, rows, rows),
    }
    for k in range(times):
        kernel = (width << k, width << k - 1 if k else channels, 4, 4)
        shapes |= {f"main.{2 * k}.weight": kernel, f"main.{2 * k}.bias": kernel[:1]}
    check_shapes(shapes, arrays)
    if rows not in (2, 3):
        raise BadInput(
            f"it halves images to {rows}x{rows} pixels; the model's D goes on to 2 or 3, as the "
            "published one for 128x128 does"
        )
    sizes = {"num_classes": num_classes, "width": width, "side": rows << times}
    return {"arrays": arrays} | sizes


def settings_of(networks) -> tuple:
    """Infers the arguments of `StarGAN` from the networks of one file or two.

    Args:
        networks: "generator" -> what `read` returns, and "discriminator" -> what
            `read_discriminator` returns, where there is a second file.

    Returns:
        The arguments, and a list of notes on missing parts.

    Raises:
        BadInput: The two files do not belong together.
    """
    found, judge = networks["generator"], networks.get("discriminator")
    side, notes = SIDE, []
    if judge is None:
        notes.append(
            f"It does not say the size of its images. With another one than {SIDE}x{SIDE}: "
            "image_shape=[256,256,3]. There is no discriminator (--discriminator FILE); the "
            "model's is new."
        )
    else:
        side = judge["side"]
        for word in ("num_classes", "width"):
            if judge[word] != found[word]:
                raise BadInput(f"its {word} is {found[word]}, that of D is {judge[word]}")
    notes.append(
        "Labels are attributes, each there or not (CelebA's five). For classes that exclude each "
        "other, such as expressions: exclusive=true."
    )
    if found["statistics"]:
        notes.append(
            "It holds running statistics of the instance normalization, which are left out: each "
            "image has its own. To take them: statistics=running."
        )
    settings = {"image_shape": (side, side, found["image_channels"])}
    return settings | {word: found[word] for word in ("num_classes", "width", "blocks")}, notes


def fill(model, networks):
    """Assigns the arrays of one file or two to a `StarGAN`.

    Args:
        model: A `StarGAN` of the settings that `settings_of` returns.
        networks: As for `settings_of`.

    Raises:
        BadInput: The model was made with other settings.
    """
    found = networks["generator"]
    if model.blocks != found["blocks"]:
        raise BadInput(f"it has {found['blocks']} residual blocks, not {model.blocks}")
    layers, names = layers_of(found["blocks"]), {}
    norms = [layer for layer in model.generator.layers if hasattr(layer, "gamma")]
    for name, layer in zip(layers, convolutions_of(model.generator), strict=True):
        names[f"{name}.weight"] = layer.kernel, from_torch
    for name, norm in zip(layers[:-1], norms, strict=True):
        names[f"{after(name)}.weight"] = norm.gamma, np.asarray
        names[f"{after(name)}.bias"] = norm.beta, np.asarray
    arrays = found["arrays"]
    if model.statistics == "running":
        for name, norm in zip(layers[:-1], norms, strict=True):
            names[f"{after(name)}.running_mean"] = norm.moving_mean, np.asarray
            names[f"{after(name)}.running_var"] = norm.moving_variance, np.asarray
        arrays = arrays | found["statistics"]
    assign(names, arrays)
    if "discriminator" in networks:
        *body, one, other = convolutions_of(model.discriminator)
        score, logits = (one, other) if one.padding == "same" else (other, one)
        names = {
            "conv1.weight": (score.kernel, from_torch),
            "conv2.weight": (logits.kernel, from_torch),
        }
        for k, layer in enumerate(body):
            names[f"main.{2 * k}.weight"] = layer.kernel, from_torch
            names[f"main.{2 * k}.bias"] = layer.bias, np.asarray
        assign(names, networks["discriminator"]["arrays"])
