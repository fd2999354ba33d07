"""Official ProGAN checkpoints (tkarras/progressive_growing_of_gans) as a `ProGAN` model.

Kernels are [height, width, in, out], as here, except those of up-sampling convolutions: they are
kernels of a transposed convolution, [height, width, out, in] and rotated by 180 degrees. The 4x4
feature maps before and after dense layers are in the order channels, rows, columns.
"""

import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign.pickles import plain, to_array, to_dict
from tfgans.foreign.shapes import assign, channels_of, check_size, from_channels

LICENSE = (
    "Official weights are under CC BY-NC 4.0, not for commercial use: "
    "https://creativecommons.org/licenses/by-nc/4.0/legalcode"
)
WORDS = {
    "use_wscale": True,
    "use_pixelnorm": True,
    "use_leakyrelu": True,
    "normalize_latents": True,
    "pixelnorm_epsilon": 1e-8,
}


def from_tensorflow(network) -> tuple:
    """Returns the arrays of a pickled network, with up-sampling kernels as plain ones; settings."""
    state = network.state
    if "version" not in state:
        raise BadInput("it was written by the Theano version of the program, which is not read")
    given = state["static_kwargs"]
    for word, wanted in WORDS.items():
        if plain(given.get(word, wanted)) != wanted:
            raise BadInput(f"its {word} is {plain(given[word])!r}, but our model has {wanted!r}")
    arrays = {}
    for name, value in to_dict(state["variables"]).items():
        array = to_array(value)
        if name.endswith("Conv0_up/weight"):
            array = array[::-1, ::-1].transpose(0, 1, 3, 2)
        # Files without fused scaling, which gives the same result, have the shorter names.
        arrays[name.replace("Conv0_up", "Conv0").replace("Conv1_down", "Conv1")] = array
    return arrays, {"minibatch_group": int(plain(given.get("mbstd_group_size", 4)))}


def settings_of(networks) -> tuple:
    """Returns arguments for `ProGAN`, and a list of notes on missing parts."""
    (arrays, _), (others, settings) = networks["G_ema"], networks["D"]
    channels = channels_of(arrays, r"(\d{1,4})x\1/Conv1/bias")
    channels |= {4: len(arrays["4x4/Conv/bias"])}
    settings = settings | from_channels(channels)
    classes, side = len(others["4x4/Dense1/bias"]) - 1, max(channels)
    inputs, units = arrays["4x4/Dense/weight"].shape
    check_size(arrays, channels, inputs * units)
    notes = []
    if arrays["lod"] != 0:
        notes.append(f"Its growth is not finished: lod {arrays['lod']:.2f}.")
    return settings | {
        "image_shape": (side, side, len(arrays["ToRGB_lod0/bias"])),
        "num_classes": classes,
        "latent_dim": inputs - classes,
    }, notes


def fill(model, networks):
    """Assigns the arrays of a file to a `ProGAN`; a fully grown one is in its last stage."""
    assign(generator_names(model.generator_ema), networks["G_ema"][0])
    assign(generator_names(model.generator), networks["G"][0])
    arrays = {name: array for name, array in networks["D"][0].items() if name != "lod"}
    assign(discriminator_names(model.discriminator), arrays)
    if model.generator.lod == 0:
        model.step.assign(sum(model.stage_steps))


def generator_names(generator) -> dict:
    """{official name: (variable, array -> array in our layout)}."""
    channels = generator.grid[2]

    def to_hwc(w):  # [inputs, C * 4 * 4]
        return w.reshape(-1, channels, 4, 4).transpose(0, 2, 3, 1).reshape(len(w), -1)

    names = {"4x4/Dense/weight": (generator.dense.kernel, to_hwc)}
    names["4x4/Dense/bias"] = generator.bias, np.asarray
    names["lod"] = generator.lod, np.asarray
    add(names, "4x4/Conv", generator.conv)
    for i, layer in enumerate(generator.convs):
        side = 8 * 2 ** (i // 2)
        add(names, f"{side}x{side}/Conv{i % 2}", layer)
    for k, layer in enumerate(generator.to_rgb):
        add(names, f"ToRGB_lod{generator.levels - k}", layer)
    return names


def discriminator_names(discriminator) -> dict:
    """{official name: (variable, array -> array in our layout)}."""

    def from_hwc(w):  # [C * 4 * 4, units]
        return w.reshape(-1, 4, 4, w.shape[1]).transpose(1, 2, 0, 3).reshape(w.shape)

    names = {}
    add(names, "4x4/Conv", discriminator.conv)
    add(names, "4x4/Dense0", discriminator.dense)
    names["4x4/Dense0/weight"] = discriminator.dense.kernel, from_hwc
    add(names, "4x4/Dense1", discriminator.output_dense)
    for i, layer in enumerate(discriminator.convs):
        side = 8 * 2 ** (i // 2)
        add(names, f"{side}x{side}/Conv{i % 2}", layer)
    for k, layer in enumerate(discriminator.from_rgb):
        add(names, f"FromRGB_lod{len(discriminator.convs) // 2 - k}", layer)
    return names


def add(names, name, layer):
    names[f"{name}/weight"] = layer.kernel, np.asarray
    names[f"{name}/bias"] = layer.bias, np.asarray
