"""Official StyleGAN checkpoints of 2018 (NVlabs/stylegan) as a `StyleGAN` model.

Kernels are [height, width, in, out] and correlations, as here. There is one exception: a doubling
convolution whose output has 128 pixels a side or more is one operation with the doubling, a
transposed convolution, and its kernel is rotated by 180 degrees. The discriminator has the names
and layouts of ProGAN's.
"""

import re

import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign.pickles import plain, to_array
from tfgans.foreign.shapes import assign, channels_of, check_size, from_channels
from tfgans.pretrained.progan import LICENSE, add, discriminator_names
from tfgans.pretrained.stylegan2 import check_mapping_rate, number, variables_of

__all__ = ["LICENSE", "fill", "from_tensorflow", "is_styled", "settings_of"]  # a family's words

FUSED = 128  # pixels a side from which doubling and convolution are one operation
WORDS = {
    "use_wscale": True,
    "use_styles": True,
    "use_noise": True,
    "use_instance_norm": True,
    "use_pixel_norm": False,
    "const_input_layer": True,
    "normalize_latents": True,
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
}


def is_styled(network):
    """True for the generator of a StyleGAN, which has styles that scale and shift feature maps."""
    return any("/StyleMod/" in name for name in variables_of(network))


def from_tensorflow(network) -> tuple:
    """Returns the arrays of a pickled network, with all kernels as plain ones; settings."""
    given = network.state["static_kwargs"]
    for word, wanted in WORDS.items():
        if plain(given.get(word, wanted)) != wanted:
            raise BadInput(f"its {word} is {plain(given[word])!r}, but our model has {wanted!r}")
    if list(given.get("blur_filter", [1, 2, 1]) or ()) != [1, 2, 1]:
        raise BadInput("its low-pass filter is not that of the released networks, [1, 2, 1]")
    fused = plain(given.get("fused_scale", "auto"))
    arrays = {}
    for name, value in variables_of(network).items():
        array = to_array(value)
        doubling = re.search(r"(\d{1,4})x\1/Conv0_up/weight$", name)
        if doubling and (int(doubling[1]) >= FUSED if fused == "auto" else fused):
            array = array[::-1, ::-1]
        arrays[name.replace("Conv0_up", "Conv0").replace("Conv1_down", "Conv1")] = array
    arrays.pop("lod", None)  # that of D, or a copy of the synthesis network's
    if "dlatent_avg" not in arrays:
        return arrays, {"minibatch_group": number(given.get("mbstd_group_size", 4), int)}
    check_mapping_rate(plain(given.get("mapping_lrmul", 0.01)))
    return arrays, {
        "style_mixing": number(given.get("style_mixing_prob", 0.9)),
        "w_avg_decay": number(given.get("dlatent_avg_beta", 0.995)),
        "truncated_layers": number(given.get("truncation_cutoff", 8), int),
    }


def settings_of(networks) -> tuple:
    """Returns arguments for `StyleGAN`, and a list of notes on missing parts."""
    arrays, settings = networks["G_ema"]
    channels = channels_of(arrays, r"synthesis/(\d{1,4})x\1/Conv1/bias")
    channels |= {4: len(arrays["synthesis/4x4/Conv/bias"])}
    settings = settings | networks["D"][1] | from_channels(channels)
    side, style_dim = max(channels), len(arrays["dlatent_avg"])
    layers = sum(re.fullmatch(r"mapping/Dense\d+/bias", name) is not None for name in arrays)
    classes, latent_dim = 0, len(arrays["mapping/Dense0/weight"])
    if "mapping/LabelConcat/weight" in arrays:
        classes, latent_dim = arrays["mapping/LabelConcat/weight"].shape
    others = side**2 + layers * style_dim**2 + 2 * style_dim * sum(channels.values())
    check_size(arrays, channels, others)
    notes = []
    if (lod := arrays["synthesis/lod"]) != 0:
        notes.append(f"Its growth is not finished: lod {lod:.2f}.")
    return settings | {
        "image_shape": (side, side, len(arrays["synthesis/ToRGB_lod0/bias"])),
        "num_classes": classes,
        "latent_dim": latent_dim,
        "style_dim": style_dim,
        "mapping_layers": layers,
    }, notes


def fill(model, networks):
    """Assigns the arrays of a file to a `StyleGAN`; a fully grown one is in its last stage."""
    assign(generator_names(model.generator_ema), networks["G_ema"][0])
    assign(generator_names(model.generator), networks["G"][0])
    assign(discriminator_names(model.discriminator), networks["D"][0])
    if model.generator.synthesis.lod == 0:
        model.step.assign(sum(model.stage_steps))


def generator_names(generator) -> dict:
    """{official name: (variable, array -> array in our layout)}."""
    mapping, synthesis = generator.mapping, generator.synthesis
    names = {"dlatent_avg": (generator.w_avg, np.asarray)}
    if mapping.num_classes:
        names["mapping/LabelConcat/weight"] = mapping.embedding, np.asarray
    for i, layer in enumerate(mapping.dense):
        add(names, f"mapping/Dense{i}", layer)
    names["synthesis/lod"] = synthesis.lod, np.asarray
    for i, layer in enumerate(synthesis.convs):
        side = 4 * 2 ** (i // 2)
        word = f"Conv{i % 2}" if i > 1 else ("Const", "Conv")[i]
        at = f"synthesis/{side}x{side}/{word}"
        if i:
            names[f"{at}/weight"] = layer.conv.kernel, np.asarray
        else:
            names[f"{at}/const"] = layer.constant, lambda c: c[0].transpose(1, 2, 0)
        names[f"{at}/Noise/weight"] = layer.noise_weight, np.asarray
        names[f"{at}/bias"] = layer.bias, np.asarray
        add(names, f"{at}/StyleMod", layer.affine)
        names[f"synthesis/noise{i}"] = layer.noise, lambda noise: noise[0, 0]
    for k, layer in enumerate(synthesis.to_rgb):
        add(names, f"synthesis/ToRGB_lod{synthesis.levels - k}", layer)
    return names
