"""Published generators of BigGAN and BigGAN-deep as a `BigGAN` model.

Two forms are read. The folder of a TensorFlow Hub module of BigGAN (biggan-128, -256, -512) is read
as a checkpoint; its graph is not run. Hugging Face's `pytorch_model.bin` holds BigGAN-deep. Modules
of BigGAN-deep have their statistics of batch normalization in the graph, so they are not read.

Both hold averaged weights, and kernels that are not divided by their singular values. Latents of
these generators are drawn with |z| <= 2 and multiplied by the truncation. Discriminators were never
published: training goes on with a new one.
"""

import re

import numpy as np
import tensorflow as tf

from tfgans.errors import BadInput
from tfgans.foreign.shapes import assign
from tfgans.foreign.torch_files import from_torch
from tfgans.layers.conditional_norm import AffineNorm, ConditionalNorm, LinearConditionalNorm
from tfgans.layers.spectral_norm import SpectralNorm

LICENSE = (
    "The modules of TensorFlow Hub are under the Apache License 2.0, "
    "https://www.apache.org/licenses/LICENSE-2.0; Hugging Face's port is under the MIT License."
)
AVERAGED = "/ema_b999900"
LAST = {  # last words of the names that are read; u1, a second stored vector, is no singular one
    "w", "b", "gamma", "beta", "u0", "accumulated_mean", "accumulated_var", "accumulation_counter",
}  # fmt: skip


def read_deep(arrays) -> dict:
    """{"G_ema": (name -> array, {"deep": True})} of the arrays in a `.bin` file."""
    arrays = {n: a for n, a in arrays.items() if not n.endswith(".weight_v")}
    return {"G_ema": (arrays, {"deep": True})}


def read(path) -> dict:
    """{"G_ema": (name -> array, {"deep": False})} of a Hub folder."""
    arrays = read_module(path, ("Generator/", "linear/"), LAST, AVERAGED)
    if "Generator/G_Z/G_linear/w" not in arrays:
        raise BadInput("it is no module of BigGAN; of BigGAN-deep, pytorch_model.bin is read")
    return {"G_ema": (arrays, {"deep": False})}


def read_module(path, beginnings, endings, averaged) -> dict:
    """Name -> array of the variables of a module of TensorFlow Hub; its graph is not run.

    Sums of statistics are divided by their counter; "module/" in front of a name is left out.

    Args:
        path: The folder.
        beginnings: Beginnings of the names that are read.
        endings: Their last words.
        averaged: Ending of the averaged form, which is taken where there is one.
    """
    try:
        reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        held = {n.removeprefix("module/"): n for n in reader.get_variable_to_shape_map()}
        arrays = {
            name: reader.get_tensor(held.get(name + averaged, held[name]))
            for name in held
            if name.startswith(beginnings) and name.rpartition("/")[2] in endings
        }
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise BadInput(f"its variables cannot be read: {error}") from error
    for name in [name for name in arrays if name.endswith("/accumulation_counter")]:
        count, place = float(arrays.pop(name)), name.rpartition("/")[0]
        for word in ("mean", "var"):  # sums over `count` batches
            arrays[f"{place}/accumulated_{word}"] = arrays[f"{place}/accumulated_{word}"] / count
    return arrays


def settings_of(networks) -> tuple:
    """Returns arguments for `BigGAN`, and a list of notes on missing parts."""
    arrays, settings = networks["G_ema"]
    facts = facts_of_deep(arrays) if settings.get("deep") else facts_of_module(arrays)
    channels, before, notes = facts["channels"], facts["before_attention"], []
    side = 4 * 2 ** (len(channels) - 1)
    attention = 0 if before is None else 4 * 2**before
    notes.append("There is no discriminator; a new one replaces it.")
    return settings | {
        "image_shape": (side, side, 3),
        "latent_dim": facts["latent_dim"],
        "num_classes": facts["classes"],
        "embedding_dim": facts["embedding_dim"],
        "generator_channels": channels,
        "discriminator_channels": channels[::-1],
        "discriminator_downs": len(channels) - 1,
        "generator_attention": attention,
        "discriminator_attention": min(attention, 64, side // 2),
        "truncation_law": "scaled",
        "truncations": facts["truncations"],
        "wide_rgb": bool(settings.get("deep")),
    }, notes


def facts_of_deep(arrays) -> dict:
    """Sizes of BigGAN-deep, from the shapes of its arrays."""
    embedding, classes = arrays["embeddings.weight"].shape
    grid, joint = arrays["generator.gen_z.weight_orig"].shape
    blocks = numbers(arrays, r"generator\.layers\.(\d{1,3})\.bn_0\.running_means")
    attention = numbers(arrays, r"generator\.layers\.(\d{1,3})\.gamma")
    if len(blocks) % 2 or len(attention) > 1:
        raise BadInput("its blocks are not those of BigGAN-deep")
    widths = [arrays[f"generator.layers.{i}.conv_3.bias"].size for i in blocks[1::2]]
    sets = arrays["generator.bn.running_means"].shape[0]
    return {
        "channels": [grid // 16, *widths],
        "before_attention": sum(i < attention[0] for i in blocks) // 2 if attention else None,
        "latent_dim": joint - embedding,
        "classes": classes,
        "embedding_dim": embedding,
        "truncations": np.linspace(0.0, 1.0, sets).round(6).tolist(),
    }


def facts_of_module(arrays) -> dict:
    """Sizes of BigGAN, from the shapes of its arrays."""
    classes, embedding = arrays["linear/w"].shape
    chunk, grid = arrays["Generator/G_Z/G_linear/w"].shape
    count = len([n for n in arrays if re.fullmatch(r"Generator/GBlock(_\d+)?/conv1/b", n)])
    widths = [arrays[f"Generator/{numbered('GBlock', i)}/conv1/b"].size for i in range(count)]
    before = None
    if "Generator/attention/gamma" in arrays:
        width = arrays["Generator/attention/theta/w"].shape[2]
        # No published module has the width of its attention twice.
        before = max((i + 1 for i in range(count) if widths[i] == width), default=None)
    return {
        "channels": [grid // 16, *widths],
        "before_attention": before,
        "latent_dim": chunk * (count + 1),
        "classes": classes,
        "embedding_dim": embedding,
        "truncations": [1.0],
    }


def numbers(arrays, pattern):
    found = (re.fullmatch(pattern, name) for name in arrays)
    return sorted(int(match[1]) for match in found if match)


def numbered(word, i):
    """The name of a part among several in a module."""
    return f"{word}_{i}" if i else word


def fill(model, networks):
    """Assigns the arrays of a file to a `BigGAN`: to the averaged generator and to the live one."""
    arrays, settings = networks["G_ema"]
    for generator in (model.generator_ema, model.generator):
        names = deep_names(generator) if settings.get("deep") else module_names(generator)
        assign(names, arrays)
        for layer in generator._flatten_layers():
            if isinstance(layer, ConditionalNorm):
                layer.moving_mean.assign(layer.standing_mean[-1])
                layer.moving_variance.assign(layer.standing_variance[-1])
                layer.batches.assign(tf.ones(layer.standing))
    for layer in model.generator._flatten_layers():
        if isinstance(layer, ConditionalNorm):
            layer.batches.assign(tf.zeros(layer.standing))


def parts_of(generator) -> tuple:
    """Norms with a condition, convolutions, the dense layer, the plain norm; in their order."""
    layers = generator.layers
    norms = [layer for layer in layers if isinstance(layer, LinearConditionalNorm)]
    wrapped = [layer for layer in layers if isinstance(layer, SpectralNorm)]
    (dense,) = (layer for layer in wrapped if len(layer.layer.kernel.shape) == 2)
    (last,) = (layer for layer in layers if isinstance(layer, AffineNorm))
    return norms, [layer for layer in wrapped if layer is not dense], dense, last


def attention_of(generator):
    return next((layer for layer in generator.layers if layer.name == "attention"), None)


def deep_names(generator) -> dict:
    """{Hugging Face's name: (variable, array -> array in our layout)}."""
    norms, convolutions, dense, last = parts_of(generator)
    attention, names = attention_of(generator), {}
    names["embeddings.weight"] = generator.get_layer("shared").kernel, np.transpose

    def add(name, layer, bias=True):
        kernel = layer.layer.kernel
        names[f"{name}.weight_orig"] = kernel, from_torch
        names[f"{name}.weight_u"] = layer.u, column
        if bias:
            names[f"{name}.bias"] = layer.layer.bias, np.asarray

    def add_statistics(name, norm):
        names[f"{name}.running_means"] = norm.standing_mean, np.asarray
        names[f"{name}.running_vars"] = norm.standing_variance, np.asarray

    add("generator.gen_z", dense)
    blocks = len(convolutions) // 4
    order = [id(layer) for layer in generator.layers]  # from the latents to the image
    before = blocks
    if attention is not None:
        before = sum(order.index(id(n)) < order.index(id(attention)) for n in norms) // 4
    for k in range(blocks):
        place = f"generator.layers.{k + (k >= before)}"
        for i in range(4):
            add(f"{place}.conv_{i}", convolutions[4 * k + i])
            norm = norms[4 * k + i]
            add(f"{place}.bn_{i}.scale", norm.to_gamma, bias=False)
            add(f"{place}.bn_{i}.offset", norm.to_beta, bias=False)
            add_statistics(f"{place}.bn_{i}", norm.norm)
    if attention is not None:
        place = f"generator.layers.{before}"
        for word, layer in attention_parts(attention).items():
            add(f"{place}.snconv1x1_{word}", layer, bias=False)
        names[f"{place}.gamma"] = attention.gain, scalar
    names["generator.bn.weight"] = last.gamma, np.asarray
    names["generator.bn.bias"] = last.beta, np.asarray
    add_statistics("generator.bn", last.norm)
    add("generator.conv_to_rgb", convolutions[-1])
    return names


def module_names(generator) -> dict:
    """{name in a module: (variable, array -> array in our layout)}."""
    norms, convolutions, dense, last = parts_of(generator)
    attention = attention_of(generator)
    names = {"linear/w": (generator.get_layer("shared").kernel, np.asarray)}

    def add(name, layer, bias=True):
        names[f"{name}/w"] = layer.layer.kernel, np.asarray
        names[f"{name}/u0"] = layer.u, column
        if bias:
            names[f"{name}/b"] = layer.layer.bias, np.asarray

    def add_statistics(name, norm):
        names[f"{name}/accumulated_mean"] = norm.standing_mean, row
        names[f"{name}/accumulated_var"] = norm.standing_variance, row

    add("Generator/G_Z/G_linear", dense)
    *wide, rgb = (layer for layer in convolutions if layer.layer.kernel.shape[0] == 3)
    shortcuts = [layer for layer in convolutions if layer.layer.kernel.shape[0] == 1]
    for k, shortcut in enumerate(shortcuts):
        place = f"Generator/{numbered('GBlock', k)}"
        add(f"{place}/conv_sc", shortcut)
        for i in range(2):
            add(f"{place}/conv{i}", wide[2 * k + i])
            norm = norms[2 * k + i]
            add(f"{place}/{numbered('HyperBN', i)}/gamma", norm.to_gamma, bias=False)
            add(f"{place}/{numbered('HyperBN', i)}/beta", norm.to_beta, bias=False)
            add_statistics(f"{place}/{numbered('CrossReplicaBN', i)}", norm.norm)
    if attention is not None:
        for word, layer in attention_parts(attention).items():
            add(f"Generator/attention/{word}", layer, bias=False)
        names["Generator/attention/gamma"] = attention.gain, scalar
    names["Generator/ScaledCrossReplicaBN/gamma"] = last.gamma, np.ravel
    names["Generator/ScaledCrossReplicaBN/beta"] = last.beta, np.ravel
    add_statistics("Generator/ScaledCrossReplicaBNbn", last.norm)
    add("Generator/conv_2d", rgb)
    return names


def attention_parts(layer) -> dict:
    return {"theta": layer.theta, "phi": layer.phi, "g": layer.g, "o_conv": layer.o}


def column(vector):
    return np.reshape(vector, [-1, 1])


def row(statistics):
    """[C], or [1, 1, 1, C], as one set of statistics."""
    return np.reshape(statistics, [1, -1])


def scalar(array):
    return np.reshape(array, ())
