"""Published networks of UNIT as a `UNIT` model.

A file `*_gen_00500000.pkl` of the authors' code (branch version_02) is the state dict of all
encoders and decoders, so it holds both directions; `*_dis_00500000.pkl` beside it is that of both
discriminators. Files of 2017 also hold running statistics of the instance normalization. They are
left out, since the authors' program takes the statistics of each image; where they stand tells
whether the convolutions outside of the residual blocks are normalized, as for animals and streets,
or not, as for faces.

Differs from what their program can write: D of three scales, the networks for digits, and those of
the later branches, which share no layer (`*.pt`), are refused.
"""

import re

import numpy as np

from tfgans.errors import BadInput
from tfgans.foreign.shapes import assign, check_shapes
from tfgans.pretrained.cyclegan import STATISTICS, convolutions_of, official_names

LICENSE = (
    "The program that wrote this file (mingyuliutw/UNIT) is under CC BY-NC-SA 4.0, for no "
    "commercial use; no other license of the published weights is known."
)
DOWNS = 2  # convolutions after the first one, in encoders; as many before the last one in decoders
SIDE = 216  # of the images for animals; files do not say it


def is_known(arrays) -> bool:
    """True for a state dict of encoders and decoders, or of discriminators."""
    return any(name.startswith(("encode_A.", "model_A.")) for name in arrays)


def residual_names(place, numbers) -> list:
    return [f"{place}.{k}.model.{i}" for k in numbers for i in (0, 3)]


def layers_of(blocks, shared_blocks) -> dict:
    """Network of `UNIT` -> the official names of its convolutions, in their order."""
    found = {}
    for word in "AB":
        own = [f"encode_{word}.{k}.model.0" for k in range(1 + DOWNS)]
        own += residual_names(f"encode_{word}", range(1 + DOWNS, 1 + DOWNS + blocks))
        found[f"encoder_{word.lower()}"] = own
        ups = [f"decode_{word}.{blocks + k}.model.0" for k in range(DOWNS)]
        last = f"decode_{word}.{blocks + DOWNS}"
        own = residual_names(f"decode_{word}", range(blocks))
        found[f"decoder_{word.lower()}"] = [*own, *ups, last]
    for official, name in (("enc_shared", "encoder_shared"), ("dec_shared", "decoder_shared")):
        found[name] = residual_names(official, range(shared_blocks))
    return found


def shapes_of(layers, width, channels) -> dict:
    """Official name -> the shape that it has in networks of this width and these channels."""
    shapes = {}
    most = width << DOWNS
    for network, names in layers.items():
        kernels = [(most, most, 3, 3, most)] * len(names)  # the last number is that of biases
        if network in ("encoder_a", "encoder_b"):
            down = [(width << k, width << k - 1, 3, 3, width << k) for k in range(1, 1 + DOWNS)]
            kernels[: 1 + DOWNS] = [(width, channels, 7, 7, width), *down]
        elif network in ("decoder_a", "decoder_b"):
            up = [(width << k, width << k - 1, 3, 3, width << k - 1) for k in range(DOWNS, 0, -1)]
            kernels[-1 - DOWNS :] = [*up, (width, channels, 1, 1, channels)]
        for name, (*kernel, biases) in zip(names, kernels, strict=True):
            shapes |= {f"{name}.weight": tuple(kernel), f"{name}.bias": (biases,)}
    return shapes


def numbers_of(arrays, pattern) -> set:
    """The numbers of layers whose names match a pattern."""
    return {int(found[1]) for name in arrays if (found := re.fullmatch(pattern, name))}


def read(arrays) -> dict:
    """The arrays of encoders and decoders without running statistics; their settings.

    Args:
        arrays: Name -> array, as in a state dict of the authors' program.

    Returns:
        "arrays" -> name -> array; "image_channels", "width", "blocks", "shared_blocks", and
        "normalized", None where the file does not tell.

    Raises:
        BadInput: It is another kind of network, or incomplete.
    """
    if any(name.startswith("model_A.") for name in arrays):
        raise BadInput(
            "it holds discriminators; give the file of the generators (*_gen_*.pkl), and this one "
            "as --discriminator"
        )
    blocks = len(numbers_of(arrays, r"encode_A\.(\d{1,3})\.model\.3\.weight"))
    shared = len(numbers_of(arrays, r"enc_shared\.(\d{1,3})\.model\.3\.weight"))
    layers = layers_of(blocks, shared)
    names = [name for own in layers.values() for name in own]
    normalized = f"{names[1].rpartition('.')[0]}.1.running_mean" in arrays
    told = any(name.endswith(STATISTICS[0]) for name in arrays)
    norms = {f"{place}.{int(k) + 1}" for place, _, k in (name.rpartition(".") for name in names)}
    left_out = {f"{norm}.{word}" for norm in norms for word in STATISTICS}
    arrays = {name: array for name, array in arrays.items() if name not in left_out}
    outer = (f"{layers['encoder_a'][0]}.bias", f"{layers['decoder_a'][-1]}.bias")
    width, channels = (arrays[name].size if name in arrays else 0 for name in outer)
    check_shapes(shapes_of(layers, width, channels), arrays)
    return {
        "arrays": arrays,
        "image_channels": channels,
        "width": width,
        "blocks": blocks,
        "shared_blocks": shared,
        "normalized": normalized if told else None,
    }


def judges_of(layers, shared) -> dict:
    """Discriminator of `UNIT` -> the official names of its convolutions, in their order."""
    common = [f"model_S.{k}.model.0" for k in range(shared)] + [f"model_S.{shared}"] * bool(shared)
    found = {}
    for word in "AB":
        own = [f"model_{word}.{k}.model.0" for k in range(layers - shared)]
        own += [] if shared else [f"model_{word}.{layers}"]
        found[f"discriminator_{word.lower()}"] = own + common
    return found


def read_discriminator(arrays) -> dict:
    """The arrays of both discriminators, and their settings.

    Returns:
        "arrays" -> name -> array; "width", "discriminator_layers", "shared_layers".

    Raises:
        BadInput: It is another kind of network, or incomplete.
    """
    if not any(name.startswith("model_A.") for name in arrays):
        raise BadInput("it does not hold discriminators of UNIT (*_dis_*.pkl)")
    own, shared = (
        len(numbers_of(arrays, rf"model_{word}\.(\d{{1,3}})\.model\.0\.weight")) for word in "AS"
    )
    names = judges_of(own + shared, shared)
    first = arrays.get("model_A.0.model.0.weight", np.zeros([0, 0, 0, 0]))
    width, channels = first.shape[:2]
    shapes = {}
    for layers in names.values():
        sizes = [7 if shared else 3] + [3] * (own + shared - 1)
        kernels = [
            (width << k, width << k - 1 if k else channels, size, size)
            for k, size in enumerate(sizes)
        ]
        kernels.append((1, width << max(own + shared - 1, 0), 1, 1))
        for name, kernel in zip(layers, kernels, strict=True):
            shapes |= {f"{name}.weight": kernel, f"{name}.bias": kernel[:1]}
    check_shapes(shapes, arrays)
    sizes = {"width": width, "discriminator_layers": own + shared, "shared_layers": shared}
    return {"arrays": arrays} | sizes


def settings_of(networks) -> tuple:
    """Infers the arguments of `UNIT` from the networks of one file or two.

    Args:
        networks: "generators" -> what `read` returns, and "discriminators" -> what
            `read_discriminator` returns, where there is a second file.

    Returns:
        The arguments, and a list of notes on missing parts.

    Raises:
        BadInput: The two files differ in their widths.
    """
    found, judges = networks["generators"], networks.get("discriminators")
    settings = {"image_shape": (SIDE, SIDE, found["image_channels"])}
    settings |= {word: found[word] for word in ("width", "blocks", "shared_blocks")}
    notes = [
        f"It does not say the size of its images. With another one than {SIDE}x{SIDE}: "
        "image_shape=[256,256,3]."
    ]
    settings["normalized"] = found["normalized"] is not False
    if found["normalized"] is None:
        notes.append(
            "It does not say whether its outer convolutions are normalized. Those for faces are "
            "not: normalized=false."
        )
    if judges is None:
        notes.append("There are no discriminators (--discriminator FILE); the model's are new.")
    elif judges["width"] != found["width"]:
        raise BadInput(f"its width is {found['width']}, that of D is {judges['width']}")
    else:
        settings |= {word: judges[word] for word in ("discriminator_layers", "shared_layers")}
    return settings, notes


def fill(model, networks):
    """Assigns the arrays of one file or two to a `UNIT`.

    Args:
        model: A `UNIT` of the settings that `settings_of` returns.
        networks: As for `settings_of`.

    Raises:
        BadInput: The model was made with other settings.
    """
    for found in networks.values():
        for word in ("blocks", "shared_blocks", "discriminator_layers", "shared_layers"):
            if word in found and found[word] != getattr(model, word):
                raise BadInput(f"its {word} is {found[word]}, not {getattr(model, word)}")
    found = networks["generators"]
    names = {}
    for network, layers in layers_of(found["blocks"], found["shared_blocks"]).items():
        convolutions = convolutions_of(getattr(model, network))
        names |= official_names(convolutions, layers)
        if network in ("decoder_a", "decoder_b"):  # a transposed 1x1 convolution is a plain one
            name = f"{layers[-1]}.weight"
            names[name] = names[name][0], lambda kernel: kernel.transpose(2, 3, 0, 1)
    assign(names, found["arrays"])
    if "discriminators" in networks:
        judges, names = networks["discriminators"], {}
        own = judges_of(judges["discriminator_layers"], judges["shared_layers"])
        for network, layers in own.items():
            names |= official_names(convolutions_of(getattr(model, network)), layers)
        assign(names, judges["arrays"])
