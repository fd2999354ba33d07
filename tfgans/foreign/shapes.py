"""Infers constructor arguments from the arrays of a network, and assigns arrays to variables."""

import re

from tfgans.errors import BadInput

MAY_BE_0 = ("num_classes", "minibatch_group", "minibatch_features", "discriminator_mapping_layers")
MAY_BE_0 += ("global_steps", "enhancer_steps")  # stages of pix2pixHD that are over
MAY_BE_0 += ("shared_layers",)  # of UNIT's discriminators


def channels_of(arrays, pattern):
    """Returns side -> output channels, for the kernels whose names match the pattern."""
    found = {name: re.fullmatch(pattern, name) for name in arrays}
    return {int(match[1]): arrays[name].shape[0] for name, match in found.items() if match}


def from_channels(channels) -> dict:
    """Infers channel_base and channel_max from {side: channels} for the sides 4, 8, 16, ..."""
    sides = [4 * 2**k for k in range(len(channels))]
    if len(sides) < 2 or sorted(channels) != sides:
        raise BadInput("its layers do not have the names of a known network")
    most, side = channels[4], sides[-1]
    base = max([c * s for s, c in channels.items() if c < most], default=most * side)
    if channels != {s: min(base // s, most) for s in sides}:
        raise BadInput(f"its channels {channels} do not follow min(channel_base / side, most)")
    return {"channel_base": base, "channel_max": most}


def check_size(arrays, channels, others):
    """Refuses shapes of a network that is larger than the arrays of the file.

    Args:
        arrays: Name -> array of the file.
        channels: Side -> channels of its 3x3 convolutions.
        others: Number of weights of its other large layers.
    """
    convolutions = sum(9 * c * c for c in channels.values())
    if convolutions + others > sum(array.size for array in arrays.values()):
        raise BadInput("its shapes contradict each other")


def check_counts(settings):
    """Refuses numbers of layers, channels or classes that no network has."""
    image_channels = settings["image_shape"][2]
    counts = {word: value for word, value in settings.items() if type(value) is int}
    for word, count in (counts | {"image_channels": image_channels}).items():
        if count < (word not in MAY_BE_0):
            raise BadInput(f"its {word} would be {count}")


def check_names(wanted, arrays):
    """Refuses arrays whose names are not the wanted ones.

    Args:
        wanted: The names, or a dict of them.
        arrays: Name -> array of the file.

    Raises:
        BadInput: It names up to three arrays that are too many, or missing.
    """
    unknown, missing = sorted(set(arrays) - set(wanted)), sorted(set(wanted) - set(arrays))
    if unknown or missing:
        some = ", ".join(repr(name) for name in (unknown or missing)[:3])
        raise BadInput(
            f"it {'holds' if unknown else 'lacks'} {some}, which this architecture "
            f"{'does not have' if unknown else 'needs'}: it is another kind of network"
        )


def check_shapes(shapes, arrays):
    """Refuses arrays that differ from the wanted ones in their names or shapes.

    Args:
        shapes: Name -> shape, in the official layout.
        arrays: Name -> array of the file.

    Raises:
        BadInput: It names an array that is too many, missing or of another shape.
    """
    check_names(shapes, arrays)
    for name, array in arrays.items():
        if array.shape != shapes[name]:
            raise BadInput(
                f"its {name} has the shape {array.shape}, but the other arrays imply {shapes[name]}"
            )


def assign(names, arrays):
    """Assigns arrays to variables. The names of both must be the same.

    Args:
        names: Name -> (variable, function from the official layout to ours).
        arrays: Name -> array in the official layout.

    Raises:
        BadInput: The names or the shapes differ; nothing is assigned.
    """
    check_names(names, arrays)
    converted = {}
    for name, array in arrays.items():
        variable, convert = names[name]
        converted[name] = convert(array)
        if converted[name].shape != variable.shape:
            raise BadInput(
                f"its {name} has the shape {converted[name].shape}, but the other arrays imply "
                f"{tuple(variable.shape)}"
            )
    for name, array in converted.items():
        names[name][0].assign(array)
