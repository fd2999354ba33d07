"""Data: from a path to batches.

A kind of data (the model's `data_kind`) is a module with three names. `resolve` opens the path and
sets the model's arguments that follow from the data; `signature` says the form of one example;
`Reader` reads the examples at given positions of an endless random order. `batches` is the same for
all kinds. The order is a function of (seed, step), so a run that is resumed or spread over workers
sees the same examples.
"""

import dataclasses
import functools
import inspect

import numpy as np
import tensorflow as tf

from tfgans.data import (
    at_exit,
    attribute_sets,
    audio,
    captions,
    degraded,
    domains,
    groups,
    images,
    instance_masks,
    label_maps,
    labeled_shift,
    outfits,
    paired,
    partly_labeled,
    semi_labeled,
    single,
    tokens,
    unpaired,
    video,
)
from tfgans.data.named import is_name
from tfgans.data.opening import open_images
from tfgans.data.settings import Data
from tfgans.data.source import BrokenImage, DataError, Images

__all__ = [
    "BrokenImage",
    "Data",
    "DataError",
    "Images",
    "batches",
    "open_images",
    "reader",
    "resolve",
    "signature",
]

KINDS = {
    "attribute_sets": attribute_sets,
    "audio": audio,
    "captions": captions,
    "degraded": degraded,
    "domains": domains,
    "groups": groups,
    "images": images,
    "instance_masks": instance_masks,
    "label_maps": label_maps,
    "labeled_shift": labeled_shift,
    "outfits": outfits,
    "paired": paired,
    "partly_labeled": partly_labeled,
    "semi_labeled": semi_labeled,
    "single": single,
    "tokens": tokens,
    "unpaired": unpaired,
    "video": video,
}

BY_NAME = (  # kinds of data that sets by name hold
    "attribute_sets",
    "degraded",
    "domains",
    "groups",
    "images",
    "labeled_shift",
    "paired",
    "partly_labeled",
    "semi_labeled",
    "unpaired",
)
COMMON = ("path", "batch_size", "broken", "value_range")  # settings of `Data` for all kinds


def resolve(config, model_class: type):
    """Opens the data for a model, and sets the model's arguments that follow from the data.

    Args:
        config: A `tfgans.config.Config`. Its `data` are the path and the options; arguments that
            follow from the data and are missing in its `model` are added there.
        model_class: Class of the model.

    Returns:
        The source for `batches`.

    Raises:
        DataError: There is no path; the path holds no usable data, or lacks labels that are
            needed; or this kind of data does not have one of the settings.
    """
    settings, kind = config.data, KINDS[model_class.data_kind]
    for field in dataclasses.fields(Data):
        word, value = field.name, getattr(settings, field.name)
        if value != field.default and word not in (*COMMON, *kind.Reader.settings):
            raise DataError(
                f"data.{word} is {value!r}, but {model_class.__name__} takes data of the kind "
                f"{model_class.data_kind!r}, which has no setting {word!r}.",
                "Leave it out.",
            )
    if settings.path is None:
        raise DataError("No data are given.", 'Set data.path: a path, or "synthetic".')
    if is_name(settings.path) and model_class.data_kind not in BY_NAME:
        raise DataError(
            f"{settings.path} is a set by name, and {model_class.__name__} takes data of the kind "
            f"{model_class.data_kind!r}.",
            f"Give it files, see docs/data.md. Sets by name hold data of {', '.join(BY_NAME)}.",
        )
    parameters = inspect.signature(model_class.__init__).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    return kind.resolve(settings, config.model, defaults)


def signature(model, stage: int = 0) -> dict:
    """The form of one example of a model's kind of data: key -> TensorSpec, in their order.

    Args:
        model: A model, for its `data_kind` and the arguments that decide the form.
        stage: Number of its stage, from 0.
    """
    return KINDS[model.data_kind].signature(model, stage)


def reader(model, source, settings: Data, stage: int = 0):
    """Makes the reader of the examples of `source` for one stage of a model.

    A reader has these attributes and one method:

    - `signature`: name -> TensorSpec of one example;
    - `unit`: noun for the examples, in the plural;
    - `real`: key of the data that the outputs of a model should be like;
    - `settings`: the fields of `Data` that only some kinds have;
    - `draws`: number of random numbers for each example;
    - `read(positions, order, draws)` returns name -> array. `order(p, n)` is the index of the
      example at position p of an endless random order of n examples, and `draws` is float64
      [len(positions), draws] in [0, 1).

    Args:
        model: A model, for its `data_kind` and shapes.
        source: As `resolve` returns it.
        settings: The section `data` of the configuration.
        stage: Number of the model's stage, from 0.

    Raises:
        DataError: The data or the settings do not fit the model.
    """
    return KINDS[model.data_kind].Reader(model, source, settings, stage)


def batches(
    model,
    source,
    settings: Data,
    seed: int,
    start: int = 0,
    shard: tuple = (0, 1),
    stage: int | None = None,
) -> tf.data.Dataset:
    """Endless batches of examples for a model, in random order.

    Each pass over the data is a new permutation. The example at position p = step * (examples per
    step) + (place in the batch) depends on (seed, p) only.

    Args:
        model: Its data_kind, batches_per_step, stages and the attributes that the reader needs
            are used.
        source: The source that `resolve` returns.
        settings: Its batch_size and the settings of the reader are used.
        seed: Integer, at least 0.
        start: Number of training steps already done. Skipping them takes no time.
        shard: (k, n): the k-th of n equal, contiguous parts of each batch, for worker k of n.
        stage: Stage that all batches are for; without it each one is for the stage of its step.

    Returns:
        Dicts as the reader's signature says; the batch axis is batch_size * batches_per_step / n.
        Images are float32 [B, height, width, channels] in [-1, 1], labels int32 [B] or
        float32 [B, d]. Sides that differ between stages are unknown to the graph.

    Raises:
        DataError: The data or the settings do not fit the model.
        tf.errors.InvalidArgumentError: Raised by an iterator: an image is broken and
            settings.broken is "fail", or all images are broken. `source.failure` is the original
            error.
    """
    whole = settings.batch_size * model.batches_per_step
    part, rest = divmod(whole, shard[1])
    if rest:
        raise DataError(
            f"{whole} images per step cannot be shared equally by {shard[1]} workers.",
            f"Set data.batch_size to a multiple of {shard[1]}.",
        )
    first, readers, signature_of = shard[0] * part, {}, KINDS[model.data_kind].signature

    def reader_of(stage):
        form = str(signature_of(model, stage))
        if form not in readers:  # stages of one form share it
            readers[form] = reader(model, source, settings, stage)
        return readers[form]

    stages = range(len(model.stage_steps) + 1) if stage is None else [stage]
    signature = common_signature([reader_of(k).signature for k in stages])
    whole_batch = {
        name: tf.TensorSpec([part, *spec.shape], spec.dtype) for name, spec in signature.items()
    }

    @functools.lru_cache(maxsize=4)  # a batch can span two passes
    def permutation(number, n, stream):
        return np.random.default_rng([seed, number, *stream]).permutation(n)

    def order(p, n, *stream):
        return permutation(p // n, n, stream)[p % n]

    def load(step):
        step = int(step)
        examples = reader_of(model.stage_of(step) if stage is None else stage)
        positions = range(step * whole + first, step * whole + first + part)
        # The 1 makes them differ from the numbers of the order; an order of stream 1 takes other
        # numbers from the same generator.
        draws = np.random.default_rng([seed, step, 1]).random([whole, examples.draws])
        try:
            found = examples.read(positions, order, draws[first : first + part])
        except ValueError as error:
            source.failure = error
            raise
        return [found[name] for name in signature]

    @tf.autograph.experimental.do_not_convert
    def example(step):
        return at_exit.call(load, whole_batch, step)

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False  # its thread delays the end of each fit by seconds
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # two calls: while one waits for its last image, the other one keeps the threads busy
    dataset = tf.data.Dataset.counter(start).map(example, num_parallel_calls=2)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


def common_signature(signatures) -> dict:
    """Name -> TensorSpec that all stages have in common; sides that differ are unknown."""

    def common(*specs):
        dims = zip(*(spec.shape for spec in specs), strict=True)
        shape = [sides[0] if len(set(sides)) == 1 else None for sides in dims]
        return tf.TensorSpec(shape, specs[0].dtype)

    return {name: common(*(given[name] for given in signatures)) for name in signatures[0]}
