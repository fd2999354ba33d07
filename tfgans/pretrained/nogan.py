"""DeOldify's generators, such as ColorizeArtistic_gen.pth, and ResNet, as a `NoGAN` model.

The files are dicts {"model": state dict} of fastai. Names follow from the order of the modules in
the repository: 0 ResNet, 1 its normalization, 3 the two middle convolutions, 4 to 7 the steps up, 8
the last pixel shuffle, 10 the last block, 11 the last convolution. A spectrally normalized kernel
stands there with its vectors; the first one goes on, the other one follows from it.

torchvision's ResNet34 and ResNet101 become the encoder of a `NoGAN` whose other networks begin with
random numbers.

Not verified: no published file was at hand. The tests write files of these forms.
"""

import re

import keras
import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign.shapes import assign, check_size
from tfgans.foreign.torch_files import from_torch
from tfgans.layers.self_attention import SelfAttention
from tfgans.layers.spectral_norm import SpectralNorm
from tfgans.layers.weight_norm import WeightNorm
from tfgans.pretrained.biggan import column

LICENSE = (
    "DeOldify is under the MIT License: https://github.com/jantic/DeOldify/blob/master/LICENSE. "
    "torchvision is under the BSD 3-Clause License."
)
FIRST = "layers.0.0.weight"  # the first kernel of ResNet
NOT_NEEDED = (".num_batches_tracked", ".weight_v")  # of spectral norm; see `arrays_of`
RESNET = "layer1.0.conv1.weight"  # a name of torchvision's
PARTS = (4, 5, 6, 7)  # ResNet's four parts in `layers.0`


def read(found) -> dict:
    """{"model": (name -> array, {})} of the arrays in a file, or {} if they are of another kind.

    A ResNet is {"resnet": ...}, with the names that it has in DeOldify's files.
    """
    if RESNET in found:
        arrays = {resnet_name(name): found[name] for name in found if not name.startswith("fc.")}
        return {"resnet": (arrays_of(arrays), {})}
    arrays = {name.removeprefix("model."): array for name, array in found.items()}
    if FIRST not in arrays:
        return {}
    return {"model": (arrays_of(arrays), {})}


def resnet_name(name):
    """torchvision's name of an array of ResNet as DeOldify's files have it."""
    part, _, rest = name.partition(".")
    places = {"conv1": 0, "bn1": 1} | {f"layer{k}": k + 3 for k in range(1, 5)}
    if part not in places:
        raise BadInput(f"it holds {name!r}, which ResNet does not have")
    return f"layers.0.{places[part]}.{rest}"


def arrays_of(arrays) -> dict:
    """The arrays that a model takes: the generator's, without counts and second vectors."""
    weighted = {name.removesuffix("_g") + "_v" for name in arrays if name.endswith(".weight_g")}
    return {
        name: array
        for name, array in arrays.items()
        if name.startswith("layers.") and (name in weighted or not name.endswith(NOT_NEEDED))
    }


def settings_of(networks) -> tuple:
    """Returns arguments for `NoGAN`, and a list of notes."""
    ((kind, (arrays, _)),) = networks.items()
    bottleneck = "layers.0.4.0.conv3.weight" in arrays
    deep = "layers.4.conv1.0.weight_orig" in arrays if kind == "model" else not bottleneck
    if deep == bottleneck:
        raise BadInput("its ResNet and its decoder do not belong together")
    blocks = []
    for part in PARTS:
        found = [re.match(rf"layers\.0\.{part}\.(\d{{1,3}})\.", name) for name in arrays]
        blocks.append(len({match[1] for match in found if match}))
    width = len(arrays[FIRST])
    check_size(arrays, {0: 8 * width}, 0)
    absent = (
        "critic: that of the model begins" if kind == "model" else "decoder and critic: they begin"
    )
    notes = [f"It holds no {absent} with random numbers."]
    if kind == "model" and not deep:
        notes.append("Files of the stable model and of the one for films have the same form.")
    return {
        "preset": "artistic" if deep else "stable",
        "damage": "gray",
        "image_shape": (192, 192, 3),
        "width": width,
        "blocks": tuple(blocks),
    }, notes


def fill(model, networks):
    """Assigns the arrays of a file to the encoder and the decoder of a `NoGAN`."""
    ((kind, (arrays, _)),) = networks.items()
    bottleneck = "layers.0.4.0.conv3.weight" in arrays
    names = encoder_names(model.encoder, model.blocks, bottleneck)
    if kind == "model":
        names |= decoder_names(model.decoder, deep=not bottleneck)
    assign(names, arrays)
    model.update_ema(model.decoder_alone, model.decoder, 0.0)


def kernel(w):
    """A kernel [out, in, height, width], or [out, in, 1] of one axis, in our layout."""
    return from_torch(w[..., None] if w.ndim == 3 else w)


def flat(w):
    return w.reshape(-1)


class Layers:
    """The layers of a network in the order in which they were made, one kind at a time."""

    def __init__(self, network):
        self.layers = sorted(network.layers, key=lambda x: number(x.name))
        self.taken = {}

    def next(self, kind):
        """The next layer of a class."""
        own = [layer for layer in self.layers if isinstance(layer, kind)]
        k = self.taken[kind] = self.taken.get(kind, -1) + 1
        return own[k]


def number(name):
    """The number at the end of a name that Keras has given; the first one has none."""
    found = re.search(r"_(\d+)$", name)
    return int(found[1]) if found else 0


def norm(layers, name) -> dict:
    """Names of a batch normalization."""
    layer = layers.next(keras.layers.BatchNormalization)
    return {
        f"{name}.weight": (layer.gamma, np.asarray),
        f"{name}.bias": (layer.beta, np.asarray),
        f"{name}.running_mean": (layer.moving_mean, np.asarray),
        f"{name}.running_var": (layer.moving_variance, np.asarray),
    }


def spectral(layer, name, bias=False) -> dict:
    """Names of a spectrally normalized convolution."""
    found = {
        f"{name}.weight_orig": (layer.layer.kernel, kernel),
        f"{name}.weight_u": (layer.u, column),
    }
    return found | ({f"{name}.bias": (layer.layer.bias, np.asarray)} if bias else {})


def encoder_names(encoder, blocks, bottleneck) -> dict:
    """{name in a file: (variable, array -> array in our layout)} of ResNet."""
    layers, names = Layers(encoder), {}

    def pair(conv, other):
        layer = layers.next(keras.layers.Conv2D)
        names[f"{conv}.weight"] = layer.kernel, kernel
        names.update(norm(layers, other))

    pair("layers.0.0", "layers.0.1")
    for k, (part, count) in enumerate(zip(PARTS, blocks, strict=True)):
        for i in range(count):
            block = f"layers.0.{part}.{i}"
            for n in range(1, 4 if bottleneck else 3):
                pair(f"{block}.conv{n}", f"{block}.bn{n}")
            if not i and (k or bottleneck):
                pair(f"{block}.downsample.0", f"{block}.downsample.1")
    return names


def decoder_names(decoder, deep) -> dict:
    """{name in a file: (variable, array -> array in our layout)} of the decoder."""
    layers = Layers(decoder)

    def conv(name, bias=False):
        return spectral(layers.next(SpectralNorm), name, bias)

    names = norm(layers, "layers.1")
    for name in ("layers.3.0", "layers.3.1"):
        names |= conv(f"{name}.0") | norm(layers, f"{name}.2")
    for step in range(4):
        block = f"layers.{4 + step}"
        names |= conv(f"{block}.shuf.conv.0") | norm(layers, f"{block}.shuf.conv.1")
        names |= norm(layers, f"{block}.bn")
        for name in ("conv1", "conv2") if deep else ("conv",):
            names |= conv(f"{block}.{name}.0") | norm(layers, f"{block}.{name}.2")
        if step == 1:
            names |= attention(layers.next(SelfAttention), f"{block}.{name}.3")
    last = layers.next(WeightNorm)
    names["layers.8.conv.0.weight_v"] = last.kernel, kernel
    names["layers.8.conv.0.weight_g"] = last.gain, flat
    names["layers.8.conv.0.bias"] = last.bias, np.asarray
    for name in ("layers.10.layers.0.0", "layers.10.layers.1.0", "layers.11.0"):
        names |= conv(name, bias=True)
    return names


def attention(layer, name) -> dict:
    """Names of a self-attention; a position there looks with its key, at the queries."""
    names = {f"{name}.gamma": (layer.gain, lambda gamma: gamma.reshape(()))}
    for word, part in (("query", layer.phi), ("key", layer.theta), ("value", layer.g)):
        names |= spectral(part, f"{name}.{word}")
    return names
