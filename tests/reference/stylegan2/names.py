"""Puts the official weights, as named in the reference files, into tfgans networks."""

import numpy as np


def to_nhwc(x):
    return np.transpose(x, (0, 2, 3, 1))


def official_names(generator=None, discriminator=None):
    """{official name: (variable, array -> array in our layout)} of one network or both."""
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
        levels = len(synthesis.convs) - 1
        names["synthesis.b4.const"] = synthesis.constant, lambda c: np.transpose(c, (1, 2, 0))
        for k, block in enumerate(synthesis.convs):
            b = f"synthesis.b{4 * 2**k}"
            for layer, name in zip(block[::-1], ("conv1", "conv0"), strict=False):
                conv(f"{b}.{name}", layer)
                dense(f"{b}.{name}.affine", layer.affine)
                names[f"{b}.{name}.noise_strength"] = layer.noise_strength, np.asarray
                names[f"{b}.{name}.noise_const"] = layer.noise, np.asarray
            if synthesis.architecture == "skip" or k == levels:
                rgb = synthesis.to_rgb[k if synthesis.architecture == "skip" else 0]
                conv(f"{b}.torgb", rgb)
                dense(f"{b}.torgb.affine", rgb.affine)
            if synthesis.architecture == "resnet" and k > 0:
                conv(f"{b}.skip", synthesis.skips[k - 1])
    if discriminator is not None:
        d = discriminator
        levels = len(d.blocks)
        for i, (conv0, conv1) in enumerate(d.blocks):
            b = f"b{4 * 2 ** (levels - i)}"
            conv(f"{b}.conv0", conv0)
            conv(f"{b}.conv1", conv1)
            if d.architecture == "resnet":
                conv(f"{b}.skip", d.skips[i])
            if i < len(d.from_rgb):
                conv(f"{b}.fromrgb", d.from_rgb[i])
        if d.architecture == "skip":
            conv("b4.fromrgb", d.from_rgb[-1])
        conv("b4.conv", d.conv)
        channels = d.conv.kernel.shape[-1]

        def from_chw(w):  # the dense layer reads [C, 4, 4] there, [4, 4, C] here
            return w.reshape(-1, channels, 4, 4).transpose(2, 3, 1, 0).reshape(-1, w.shape[0])

        names["b4.fc.weight"] = d.dense.kernel, from_chw
        names["b4.fc.bias"] = d.dense.bias, np.asarray
        dense("b4.out", d.output_dense)
        if d.num_classes:
            mapping("mapping", d.mapping)
    return names


def load(names, arrays, prefix):
    """Assigns every array under `prefix`; each must be known, and each variable must be given."""
    given = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
    given = {k: v for k, v in given.items() if not k.endswith("resample_filter")}
    assert set(given) == set(names), set(given) ^ set(names)
    for name, value in given.items():
        variable, convert = names[name]
        variable.assign(convert(value).reshape(variable.shape))
