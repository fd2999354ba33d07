"""Published generators of pix2pix as a `Pix2Pix` model.

A `.pth` file of pytorch-CycleGAN-and-pix2pix (edges2shoes.pth, or latest_net_G.pth once its script
has stored it) is the state dict of one U-Net, whose steps lie one in the other: each `model` of a
step holds its way down, the next step, and its way up. Kernels up take the map of the way down
first, ours the map from below.

Differs from our model's defaults: that program has its dropout in the second and following steps up
whose maps have the most channels, three of the eight for 256x256 pixels and two of the seven for
128x128, and none in the innermost step. `dropout_steps` is set to this place; a file does not say
if its network was trained with dropout, and `dropout_steps=[]` leaves it out. Running statistics of
the batch normalization are left out: the authors' test program takes the statistics of each image,
unless it is called with --eval, and so does our model. U-Nets with instance normalization are
refused. Discriminators were not published.
"""

import re

import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign.shapes import assign, check_shapes
from tfgans.foreign.torch_files import from_torch
from tfgans.pretrained.cyclegan import LICENSE, STATISTICS, after, convolutions_of

__all__ = ["LICENSE", "fill", "read", "settings_of"]

OUTER = "model.model"
STEPS = 5, 10  # the authors' class makes no U-Net of fewer steps; more would be above 1024 pixels
WIDEST = 8  # in widths of the first step
PLAIN_UP = 4  # outer steps, which have no dropout


def steps_of(count) -> list:
    """(way down, way up) of each step, the official names of its convolutions, the outer first."""
    place, found = f"{OUTER}.1", [(f"{OUTER}.0", f"{OUTER}.3")]
    for _ in range(count - 2):
        found.append((f"{place}.model.1", f"{place}.model.5"))
        place += ".model.3"
    return [*found, (f"{place}.model.1", f"{place}.model.3")]


def norms_of(steps) -> list:
    """The official names of the normalizations: down the inner steps, then up again."""
    return [after(down) for down, _ in steps[1:-1]] + [after(up) for _, up in steps[:0:-1]]


def read(arrays) -> dict:
    """The arrays of a generator without running statistics; its settings.

    Args:
        arrays: Name -> array, as in a state dict of the authors' program.

    Returns:
        "arrays" -> name -> array; "image_channels", "input_channels", "width", "steps".

    Raises:
        BadInput: It is another kind of network, or incomplete.
    """
    inner = rf"{re.escape(OUTER)}\.1(\.model\.3)*\.model\.1\.weight"
    count = 1 + sum(re.fullmatch(inner, name) is not None for name in arrays)
    if not STEPS[0] <= count <= STEPS[1]:
        raise BadInput(
            f"its U-Net has {count} steps; those of pix2pix have 7 or 8, and from {STEPS[0]} to "
            f"{STEPS[1]} are read"
        )
    if f"{OUTER}.0.bias" in arrays:
        raise BadInput("it is a U-Net with instance normalization, which our model does not have")
    steps = steps_of(count)
    left_out = {f"{name}.{word}" for name in norms_of(steps) for word in STATISTICS}
    arrays = {name: array for name, array in arrays.items() if name not in left_out}
    first = arrays.get(f"{OUTER}.0.weight", np.zeros([0, 0]))
    last = arrays.get(f"{OUTER}.3.bias", np.zeros([0]))
    sizes = {"input_channels": first.shape[1] if first.ndim > 1 else 0, "width": len(first)}
    sizes["image_channels"] = last.size
    check_shapes(shapes_of(steps, **sizes), arrays)
    return {"arrays": arrays, "steps": count} | sizes


def shapes_of(steps, input_channels, width, image_channels) -> dict:
    """Official name -> the shape that it has in a U-Net of these sizes."""
    widths = [width * min(2**i, WIDEST) for i in range(len(steps))]
    outer, last = [input_channels, *widths[:-1]], len(steps) - 1
    shapes = {f"{steps[0][1]}.bias": (image_channels,)}
    for k, (down, up) in enumerate(steps):
        joined = widths[k] if k == last else 2 * widths[k]  # the code, or two maps side by side
        above = outer[k] if k else image_channels
        shapes[f"{down}.weight"] = (widths[k], outer[k], 4, 4)
        shapes[f"{up}.weight"] = (joined, above, 4, 4)
        normalized = [(up, above)] * (k > 0) + [(down, widths[k])] * (0 < k < last)
        for name, channels in normalized:
            shapes |= {f"{after(name)}.{word}": (channels,) for word in ("weight", "bias")}
    return shapes


def settings_of(networks) -> tuple:
    """Infers the arguments of `Pix2Pix` from the network of a file.

    Args:
        networks: "generator" -> what `read` returns.

    Returns:
        The arguments, and a list of notes on missing parts.
    """
    found = networks["generator"]
    side = 2 ** found["steps"]
    return {
        "image_shape": (side, side, found["image_channels"]),
        "input_channels": found["input_channels"],
        "width": found["width"],
        "dropout_steps": list(range(2, found["steps"] - PLAIN_UP + 1)),
    }, [
        "Batch normalization takes the statistics of each image; the running ones are left out.",
        "There is no discriminator; a new one replaces it.",
    ]


def official_names(generator, count) -> dict:
    """{official name: (variable, function from PyTorch's layout to ours)}."""
    steps, names = steps_of(count), {}
    convolutions = convolutions_of(generator)
    norms = [layer for layer in generator.layers if hasattr(layer, "gamma")]
    order = [down for down, _ in steps] + [up for _, up in reversed(steps)]
    innermost = order[count]
    for name, layer in zip(order, convolutions, strict=True):
        joined = name in order[count:] and name != innermost
        names[f"{name}.weight"] = layer.kernel, other_half_first if joined else from_torch
    names[f"{order[-1]}.bias"] = convolutions[-1].bias, np.asarray
    for name, layer in zip(norms_of(steps), norms, strict=True):
        names[f"{name}.weight"] = layer.gamma, np.asarray
        names[f"{name}.bias"] = layer.beta, np.asarray
    return names


def other_half_first(kernel):
    """A transposed kernel of two maps side by side in our layout, which has them in other order."""
    return from_torch(np.roll(kernel, len(kernel) // 2, axis=0))


def fill(model, networks):
    """Assigns the arrays of a file to a `Pix2Pix`.

    Args:
        model: A `Pix2Pix` of the settings that `settings_of` returns.
        networks: As for `settings_of`.

    Raises:
        BadInput: The model was made with other settings.
    """
    found = networks["generator"]
    count = len(convolutions_of(model.generator)) // 2
    if count != found["steps"]:
        unit, (rows, columns, _) = 2 ** found["steps"], model.image_shape
        raise BadInput(
            f"its U-Net halves images {found['steps']} times, but images of {rows}x{columns} are "
            f"halved {count} times: both sides must be multiples of {unit}, one of them an odd one"
        )
    assign(official_names(model.generator, count), found["arrays"])
