"""Official StyleGAN2 checkpoints as a `StyleGAN2` model.

There are two layouts. PyTorch programs (stylegan2-ada-pytorch, and stylegan3's StyleGAN2) store
kernels as [out, in, height, width], dense weights as [out, in], and the kernel of an up-sampling
convolution rotated by 180 degrees, ready for a transposed convolution, as we do. TensorFlow
programs (stylegan2, stylegan2-ada) store [height, width, in, out], [in, out], every kernel as a
correlation, and the bias of a style without its initial 1.

`from_torch` and `from_tensorflow` convert both to the names and layouts of PyTorch;
`official_names` maps each array to its variable. The settings of the model follow from shapes and
names.
"""

import re

import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign.pickles import plain, to_array, to_dict
from tfgans.foreign.shapes import assign, channels_of, check_size, from_channels
from tfgans.foreign.torch_files import tensor
from tfgans.ops.resample import BINOMIAL, fir_kernel

LICENSE = (
    "Official weights are under the Nvidia Source Code License, for research and evaluation only, "
    "not for commercial use: https://nvlabs.github.io/stylegan2-ada-pytorch/license.html"
)
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
FILTER = f"its low-pass filter is not that of the released networks, {BINOMIAL}"
WORDS = {
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "use_noise": True,
    "normalize_latents": True,
}
NO_LABELS = np.zeros([0, 0])
LINEAR = ("affine", "embed", "out", "skip")  # layers without activation


def official_names(generator=None, discriminator=None) -> dict:
    """Returns {official name: (variable, function from PyTorch's layout to ours)}."""
    names = {}

    def dense(name, layer):
        names[f"{name}.weight"] = layer.kernel, np.transpose
        names[f"{name}.bias"] = layer.bias, np.asarray

    def conv(name, layer):
        names[f"{name}.weight"] = layer.kernel, lambda w: np.transpose(w, (2, 3, 1, 0))
        if getattr(layer, "bias", None) is not None:
            names[f"{name}.bias"] = layer.bias, np.asarray

    def mapping(name, network):
        if network.num_classes:
            dense(f"{name}.embed", network.embed)
        for i, layer in enumerate(network.dense):
            dense(f"{name}.fc{i}", layer)

    if generator is not None:
        mapping("mapping", generator.mapping)
        names["mapping.w_avg"] = generator.w_avg, np.asarray
        synthesis = generator.synthesis
        levels = len(synthesis.convs) // 2
        names["synthesis.b4.const"] = synthesis.constant, lambda c: np.transpose(c, (1, 2, 0))
        for i, layer in enumerate(synthesis.convs, start=1):  # the first level has conv1 only
            name = f"synthesis.b{4 * 2 ** (i // 2)}.conv{i % 2}"
            conv(name, layer)
            dense(f"{name}.affine", layer.affine)
            names[f"{name}.noise_strength"] = layer.noise_strength, np.asarray
            names[f"{name}.noise_const"] = layer.noise, np.asarray
        for k in range(levels + 1):
            b = f"synthesis.b{4 * 2**k}"
            if synthesis.architecture == "skip" or k == levels:
                rgb = synthesis.to_rgb[k if synthesis.architecture == "skip" else 0]
                conv(f"{b}.torgb", rgb)
                dense(f"{b}.torgb.affine", rgb.affine)
            if synthesis.architecture == "resnet" and k > 0:
                conv(f"{b}.skip", synthesis.skips[k - 1])
    if discriminator is not None:
        d = discriminator
        levels = len(d.convs) // 2
        for i in range(levels):
            b = f"b{4 * 2 ** (levels - i)}"
            conv(f"{b}.conv0", d.convs[2 * i])
            conv(f"{b}.conv1", d.convs[2 * i + 1])
            if d.architecture == "resnet":
                conv(f"{b}.skip", d.skips[i])
            if i < len(d.from_rgb):
                conv(f"{b}.fromrgb", d.from_rgb[i])
        if d.architecture == "skip":
            conv("b4.fromrgb", d.from_rgb[-1])
        conv("b4.conv", d.conv)
        channels = d.conv.kernel.shape[-1]

        def from_chw(w):  # the dense layer's input is [C, 4, 4] there, [4, 4, C] here
            return w.reshape(-1, channels, 4, 4).transpose(2, 3, 1, 0).reshape(-1, w.shape[0])

        names["b4.fc.weight"] = d.dense.kernel, from_chw
        names["b4.fc.bias"] = d.dense.bias, np.asarray
        dense("b4.out", d.output_dense)
        if d.num_classes:
            mapping("mapping", d.mapping)
    return names


def from_torch(network) -> tuple:
    """Returns the arrays of a network from PyTorch, and the settings that shapes do not imply."""
    arrays, layers, seen, left, count = {}, {}, set(), [("", network)], 0
    while left:
        prefix, record = left.pop()
        state = record.args[0]["state"]
        parts = [state[word] for word in ("_parameters", "_buffers", "_modules")]
        count += sum(map(len, parts))
        # Layers that contain each other, or share lists, could make this loop endless.
        if record.name != PERSISTENT or id(record) in seen or len(prefix) > 100 or count > 2000:
            raise BadInput("it is not a tree of layers")
        seen.add(id(record))
        layers[prefix] = state
        for part in parts[:2]:
            for name, value in part.items():
                if value is not None:
                    arrays[prefix + name] = tensor(value)
        left += [(f"{prefix}{name}.", layer) for name, layer in parts[2].items()]

    settings, clamps = {}, set()
    for prefix, state in layers.items():
        layer = prefix.split(".")[-2] if prefix else ""
        wanted = "linear" if layer in LINEAR else "lrelu"
        activation = plain(state.get("activation", wanted))
        if activation != wanted:
            raise BadInput(f"{prefix[:-1]!r} has the activation {activation!r}, not {wanted!r}")
        # Two layers have no clamp: a skip needs none, and our model does clamp the other one.
        if "conv_clamp" in state and layer != "skip" and prefix != "b4.fromrgb.":
            clamps.add(number(state["conv_clamp"]))
    for name in [name for name in arrays if name.endswith("resample_filter")]:
        kernel = arrays.pop(name)
        if kernel.shape != (4, 4) or not np.allclose(kernel, fir_kernel(), atol=1e-6):
            raise BadInput(FILTER)
    if len(clamps) != 1:
        raise BadInput(f"its layers differ in their clamps: {sorted(map(str, clamps))}")
    settings["conv_clamp"] = clamps.pop()
    if "mapping.fc0." in layers:
        check_mapping_rate(plain(layers["mapping.fc0."]["bias_gain"]))
    if "mapping.w_avg" in arrays:
        settings["w_avg_decay"] = number(layers["mapping."]["w_avg_beta"])
    if "b4.mbstd." in layers:
        settings["minibatch_group"] = number(layers["b4.mbstd."]["group_size"], int)
    return arrays, settings


def variables_of(network) -> dict:
    """The pickled variables of a network from TensorFlow and of its components, by name."""
    state = network.state
    variables = to_dict(state["variables"])
    for component in ("mapping", "synthesis"):
        if component in state["components"]:
            own = to_dict(state["components"][component].state["variables"])
            variables |= {f"{component}/{name}": value for name, value in own.items()}
    if len(variables) > 2000 or any(len(name) > 100 for name in variables):
        raise BadInput("it has too many variables, or too long names")
    return variables


def from_tensorflow(network) -> tuple:
    """Returns arrays of a network from TensorFlow, in PyTorch's names and layouts; settings."""
    state, variables = network.state, variables_of(network)
    if "mapping/LabelConcat/weight" in variables:
        raise BadInput("it uses labels as the code of 2019 does; our model embeds them as in 2020")
    side = max(int(found[1]) for name in variables if (found := re.search(r"(\d{1,4})x\1/", name)))
    arrays = {}
    for name, value in variables.items():
        array = to_array(value)
        name = re.sub(r"(To|From)RGB_lod0/", rf"{side}x{side}/\1RGB/", name)
        if re.search(r"(^|/)lod$", name) and array != 0:
            raise BadInput(
                "it is from the middle of a progressive training, and our model cannot grow"
            )
        if not re.search(r"(^|/)lod$|RGB_lod\d+/", name):  # skips RGB layers of lower resolutions
            arrays[torch_name(name)] = torch_layout(name, array)

    given = state["static_kwargs"]
    for word, wanted in WORDS.items():
        if plain(given.get(word, wanted)) != wanted:
            raise BadInput(f"its {word} is {plain(given[word])!r}, but our model has {wanted!r}")
    if tuple(given.get("resample_kernel", BINOMIAL) or ()) != BINOMIAL:
        raise BadInput(FILTER)
    settings = {"conv_clamp": number(given.get("conv_clamp"))}
    if "mapping.w_avg" in arrays:
        check_mapping_rate(plain(given.get("mapping_lrmul", 0.01)))
        settings["w_avg_decay"] = number(given.get("dlatent_avg_beta", 0.995))
    else:
        if "mapping.fc0.bias" in arrays:
            check_mapping_rate(plain(given.get("mapping_lrmul", 0.1)))
        default = 4 if plain(state["version"]) < 5 else None  # code of 2019, of 2020
        settings["minibatch_group"] = number(given.get("mbstd_group_size", default), int)
    return arrays, settings


def torch_name(name):
    """Maps a name, "synthesis/8x8/Conv0_up/mod_bias" to "synthesis.b8.conv0.affine.bias"."""
    if found := re.fullmatch(r"synthesis/noise(\d{1,2})", name):
        index = int(found[1])  # conv1 of 4x4, then conv0 and conv1 of each resolution
        return f"synthesis.b{2 ** ((index + 5) // 2)}.conv{1 - index % 2}.noise_const"
    for pattern, word in (
        (r"^dlatent_avg$", "mapping/w_avg"),
        (r"^(mapping/)?LabelEmbed/", "mapping/embed/"),
        (r"^(mapping/Dense|Mapping)(\d+)/", r"mapping/fc\2/"),
        (r"^4x4/Dense0/", "b4/fc/"),
        (r"^Output/", "b4/out/"),
        (r"^4x4/Conv/", "b4/conv/"),
        (r"^synthesis/4x4/Conv/", "synthesis/b4/conv1/"),
        (r"(\d{1,4})x\1/", r"b\1/"),
        (r"/Conv([01])(_up|_down)?/", r"/conv\1/"),
        (r"/ToRGB/", "/torgb/"),
        (r"/FromRGB/", "/fromrgb/"),
        (r"/Skip/", "/skip/"),
        (r"/Const/const$", "/const"),
        (r"/mod_(weight|bias)$", r"/affine/\1"),
    ):
        name = re.sub(pattern, word, name)
    return name.replace("/", ".")


def torch_layout(name, array):
    if re.search(r"/noise\d+$", name):  # [1, 1, side, side]
        return array[0, 0]
    if name.endswith("/Const/const"):  # [1, C, 4, 4]
        return array[0]
    if name.endswith("/mod_bias"):
        return array + np.float32(1)
    if "/Conv0_up/" in name and array.ndim == 4:
        array = array[::-1, ::-1]
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def number(value, kind=float):
    """Converts a pickled number; None stays None."""
    value = plain(value)
    return None if value is None else kind(value)


def check_mapping_rate(rate):
    if not np.isclose(rate, 0.01):
        raise BadInput(f"the learning rate multiplier of its mapping network is {rate}, not 0.01")


def settings_of(networks) -> tuple:
    """Infers the arguments of `StyleGAN2` from the networks of a file.

    Args:
        networks: "G_ema", "G", "D" -> (arrays, settings); D may be missing. A D that does not
            match G is removed.

    Returns:
        The arguments, and a list of notes on missing parts.
    """
    settings, notes = generator_settings(*networks["G_ema"]), []
    if "D" not in networks:
        return settings, ["There is no D; it starts from random weights."]
    found = discriminator_settings(*networks["D"])
    if other := [word for word in found if word in settings and found[word] != settings[word]]:
        notes.append(f"D starts from random weights: its {', '.join(other)} differs from G's.")
        del networks["D"]
        return settings, notes
    return settings | found, notes


def generator_settings(arrays, settings):
    channels = channels_of(arrays, r"synthesis\.b(\d{1,4})\.conv1\.weight")
    settings = settings | from_channels(channels)
    side, layers = max(channels), count_layers(arrays)
    style_dim = len(arrays["mapping.w_avg"])
    embed = arrays.get("mapping.embed.weight", NO_LABELS)
    others = side**2 + layers * style_dim**2 + style_dim * (sum(channels.values()) + embed.shape[1])
    check_size(arrays, channels, others)
    architecture = "skip" if "synthesis.b4.torgb.weight" in arrays else "orig"
    if "synthesis.b8.skip.weight" in arrays:
        architecture = "resnet"
    return settings | {
        "image_shape": (side, side, len(arrays[f"synthesis.b{side}.torgb.bias"])),
        "num_classes": embed.shape[1],
        "latent_dim": arrays["mapping.fc0.weight"].shape[1] - embed.shape[0],
        "style_dim": style_dim,
        "mapping_layers": layers,
        "generator_architecture": architecture,
    }


def discriminator_settings(arrays, settings):
    channels = channels_of(arrays, r"b(\d{1,4})\.conv0\.weight")
    channels |= {4: len(arrays["b4.conv.bias"])}
    settings = settings | from_channels(channels)
    side, layers = max(channels), count_layers(arrays)
    check_size(arrays, channels, (layers + 16) * channels[4] ** 2)
    architecture = "skip" if "b4.fromrgb.weight" in arrays else "orig"
    if "b8.skip.weight" in arrays:
        architecture = "resnet"
    classes = arrays.get("mapping.embed.weight", NO_LABELS).shape[1]
    if classes:
        settings["discriminator_mapping_layers"] = layers
    return settings | {
        "image_shape": (side, side, arrays[f"b{side}.fromrgb.weight"].shape[1]),
        "num_classes": classes,
        "minibatch_features": arrays["b4.conv.weight"].shape[1] - channels[4],
        "discriminator_architecture": architecture,
    }


def count_layers(arrays):
    return sum(re.fullmatch(r"mapping\.fc\d+\.bias", name) is not None for name in arrays)


def fill(model, networks):
    """Assigns the arrays of a file to a `StyleGAN2`."""
    assign(official_names(model.generator_ema), networks["G_ema"][0])
    assign(official_names(model.generator), networks["G"][0])
    if "D" in networks:
        assign(official_names(discriminator=model.discriminator), networks["D"][0])
