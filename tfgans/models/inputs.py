"""Batches of any Keras user, made those of `tfgans.data` by fixed rules, or refused in one line.

- A batch is a dict with the keys of the model's kind of data, or a tuple in their order, or one
  array where there is one key: {"image": ...}, {"image": ..., "label": ...}, (image, label).
- uint8 images, 0..255, become x / 127.5 - 1. Other images are floats in [-1, 1].
- Labels are class numbers from 0 up, [N] or [N, 1], or vectors [N, num_classes].
"""

import numpy as np
import tensorflow as tf

from tfgans import data
from tfgans.errors import BadInput
from tfgans.ops.checking import ensure

LARGEST = 10.0  # Standardized images stay below it, images in 0..255 do not.
BOUNDED = ("video", "noisy", "clean")  # films and waves are in [-1, 1] too


def batch_of(model, given) -> dict:
    """The batch of one training step as the model's `train_step` takes it.

    Args:
        model: Its data_kind and stage are used.
        given: A dict, tuple or tensor, as a data set yields it.

    Returns:
        Key -> tensor, images float32. Labels, and keys that the model does not know, pass as they
        are.

    Raises:
        BadInput: The keys, types or shapes are not those of the model's kind of data.
    """
    wanted = data.signature(model, model.stage)
    batch = named(type(model).__name__, given, wanted)
    for key, spec in wanted.items():
        if not key.endswith("label"):  # `one_hot` checks labels
            batch[key] = converted(model, key, tf.convert_to_tensor(batch[key]), spec)
    return batch


def named(kind, given, wanted) -> dict:
    """A batch as a dict with the wanted keys."""
    keys = ", ".join(repr(key) for key in wanted)
    form = f"a dict with {keys}, or a tuple ({', '.join(wanted)})"
    parts = list(given) if isinstance(given, (tuple, list)) else [given]
    parts = [part for part in parts if part is not None]
    batch = dict(parts.pop(0)) if parts and isinstance(parts[0], dict) else {}
    missing = [key for key in wanted if key not in batch]
    if len(parts) > len(missing):
        raise BadInput(
            f"{kind} takes batches that are {form}; this one has {len(parts) - len(missing)} parts "
            "more. Leave them out, or make the model conditional: num_classes=..."
        )
    batch |= dict(zip(missing, parts, strict=False))
    if missing := [key for key in wanted if key not in batch]:
        raise BadInput(
            f"{kind} takes batches that are {form}; in this one {missing[0]!r} is missing. It has "
            f"{', '.join(map(repr, batch)) or 'nothing'}."
        )
    return batch


def converted(model, key, value, spec):
    """An input of the type and shape that the model takes."""
    kind = f"{type(model).__name__}'s {key!r}"
    if spec.dtype.is_integer:
        if not value.dtype.is_integer:
            raise BadInput(f"{kind} holds whole numbers, not {value.dtype.name}.")
        value = tf.cast(value, spec.dtype)
    elif value.dtype == tf.uint8:
        value = tf.cast(tf.cast(value, "float64") / 127.5 - 1.0, "float32")  # rounded once
    elif value.dtype.is_floating:
        value = tf.cast(value, "float32")
        if spec.shape.rank == 3 or key in BOUNDED:
            beyond = tf.reduce_any(tf.abs(value) > LARGEST)  # not NaN, which a run finds itself
            rule = f"{kind} is float in [-1, 1], or uint8 in 0..255; its largest value is"
            ensure(tf.logical_not(beyond), rule, tf.reduce_max(tf.abs(value)))
    else:
        raise BadInput(f"{kind} is float in [-1, 1], or uint8 in 0..255, not {value.dtype.name}.")
    shapes = [spec.shape]
    if spec.shape.rank == 3 and key == "image":
        shapes.append(tf.TensorShape(model.image_shape))  # stages may take full images too
    if not any(value.shape[1:].is_compatible_with(shape) for shape in shapes):
        sides = " or ".join(str([None, *shape]) for shape in dict.fromkeys(map(tuple, shapes)))
        advice = "Resize the images, or build the model with their shape."
        if value.shape.rank == spec.shape.rank:
            advice = "A batch has one more axis: dataset.batch(n, drop_remainder=True)."
        raise BadInput(
            f"{kind} has the shape {sides.replace('None', 'N')}, and this batch "
            f"{list(value.shape)}. {advice}"
        )
    return value


def labels_of(label, num_classes):
    """Labels as class numbers, int32 [N], or as vectors, float32 [N, num_classes].

    Raises:
        BadInput: They have another form, or a class number is not below num_classes.
    """
    label = tf.convert_to_tensor(label)
    rank, columns = label.shape.rank, label.shape[-1] if label.shape.rank == 2 else None
    if label.dtype.is_integer and rank == 2 and columns == 1:
        label, rank = label[:, 0], 1
    if label.dtype.is_integer and rank == 1:
        label = tf.cast(label, "int32")
        inside = tf.reduce_all((label >= 0) & (label < num_classes))
        rule = f"Labels are class numbers from 0 to {num_classes - 1}; the least and greatest are"
        ensure(inside, rule, tf.stack([tf.reduce_min(label), tf.reduce_max(label)]))
        return label
    if rank == 2 and columns == num_classes and label.dtype != tf.bool:
        return tf.cast(label, "float32")
    raise BadInput(
        f"Labels are class numbers, integers [N], or vectors [N, {num_classes}]; these are "
        f"{label.dtype.name} {list(label.shape)}."
    )


def need_classes(model, least=1):
    """Raises BadInput where a model that is always conditional has fewer classes than `least`."""
    if model.num_classes < least:
        raise BadInput(
            f"{type(model).__name__} takes num_classes = {least} or more, not {model.num_classes}. "
            "With labeled data, `data.labels: true` sets it to their number of classes."
        )


def need_periods(model, *words):
    """Raises BadInput where an argument of a model that means "once in so many" is below 1."""
    for word in words:
        if getattr(model, word) < 1:
            raise BadInput(
                f"model.{word} says that something comes once in so many: a whole number of 1 or "
                f"more, not {getattr(model, word)}. To leave something out, set its weight to 0."
            )


def whole_batches(arrays, count, repeat, seed):
    """Arrays as a data set of shuffled batches, all of `count` examples.

    Args:
        arrays: An array, or a dict or tuple of arrays of the same length.
        count: Examples of one training step.
        repeat: True for an endless data set.
        seed: Seed of the order.

    Raises:
        BadInput: There are fewer examples than one step takes, or the arrays differ in length.
    """
    lengths = [len(array) for array in tf.nest.flatten(arrays)]
    n = lengths[0]
    if count < 1 or len(set(lengths)) > 1:
        raise BadInput(
            "Wanted are arrays of one length and a batch_size of at least 1, not lengths of "
            f"{', '.join(map(str, lengths))} and steps of {count}."
        )
    if n < count:
        raise BadInput(
            f"A training step takes {count} examples (batch_size times the batches of a step), and "
            f"there are {n}. Give a smaller batch_size."
        )
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread delays the end of each fit by seconds
    batches = tf.data.Dataset.from_tensor_slices(arrays).shuffle(n, seed=seed)
    batches = (batches.repeat() if repeat else batches).batch(count, drop_remainder=True)
    return batches.with_options(options)


def are_arrays(given) -> bool:
    """True for an array or a nest of arrays, False for data sets and generators."""
    leaves = tf.nest.flatten(given)
    return bool(leaves) and all(
        isinstance(leaf, np.ndarray) or tf.is_tensor(leaf) for leaf in leaves
    )
