"""Data: from a path to batches.

A kind of data (the model's `data_kind`) is a module with two names. `resolve` opens the path and
sets the model's arguments that follow from the data; `Reader` reads the examples at given positions
of an endless random order. `batches` is the same for all kinds. The order is a function of
(seed, step), so a run that is resumed or spread over workers sees the same examples.
"""

import dataclasses
import functools
import inspect

import numpy as np
import tensorflow as tf

from tfgans.data import images, paired, single, tokens, unpaired
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
]

KINDS = {
    "images": images,
    "paired": paired,
    "single": single,
    "tokens": tokens,
    "unpaired": unpaired,
}

COMMON = ("path", "batch_size", "broken", "value_range")  # settings of `Data` for all kinds


def resolve(settings: Data, given: dict, model_class: type):
    """Opens the data for a model, and sets the model's arguments that follow from the data.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        model_class: Class of the model.

    Returns:
        The source for `batches`.

    Raises:
        DataError: There is no path; the path holds no usable data, or lacks labels that are
            needed; or this kind of data does not have one of the settings.
    """
    kind = KINDS[model_class.data_kind]
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
    parameters = inspect.signature(model_class.__init__).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    return kind.resolve(settings, given, defaults)


def reader(model, source, settings: Data):
    """Makes the reader of the examples of `source` for a model.

    A reader has these attributes and one method:

    - `signature`: name -> TensorSpec of one example;
    - `unit`: noun for the examples, in the plural;
    - `settings`: the fields of `Data` that only some kinds have;
    - `draws`: number of random numbers for each example;
    - `read(positions, order, draws)` returns name -> array. `order(p, n)` is the index of the
      example at position p of an endless random order of n examples, and `draws` is float64
      [len(positions), draws] in [0, 1).

    Raises:
        DataError: The data or the settings do not fit the model.
    """
    return KINDS[model.data_kind].Reader(model, source, settings)


def batches(
    model, source, settings: Data, seed: int, start: int = 0, shard: tuple = (0, 1)
) -> tf.data.Dataset:
    """Endless batches of examples for a model, in random order.

    Each pass over the data is a new permutation. The example at position p = step * (examples per
    step) + (place in the batch) depends on (seed, p) only.

    Args:
        model: Its data_kind, n_critic and the attributes that the reader needs are used.
        source: The source that `resolve` returns.
        settings: Its batch_size and the settings of the reader are used.
        seed: Integer, at least 0.
        start: Number of training steps already done. Skipping them takes no time.
        shard: (k, n): the k-th of n equal, contiguous parts of each batch, for worker k of n.

    Returns:
        Dicts with the reader's signature and a batch axis of batch_size * n_critic / n.
        Images are float32 [B, height, width, channels] in [-1, 1], labels int32 [B] or
        float32 [B, d].

    Raises:
        DataError: The data or the settings do not fit the model.
        tf.errors.InvalidArgumentError: Raised by an iterator: an image is broken and
            settings.broken is "fail", or all images are broken. `source.failure` is the original
            error.
    """
    whole = settings.batch_size * model.n_critic
    part, rest = divmod(whole, shard[1])
    if rest:
        raise DataError(
            f"{whole} images per step cannot be shared equally by {shard[1]} workers.",
            f"Set data.batch_size to a multiple of {shard[1]}.",
        )
    examples, first = reader(model, source, settings), shard[0] * part
    signature = examples.signature

    @functools.lru_cache(maxsize=4)  # a batch can span two passes
    def permutation(number, n, stream):
        return np.random.default_rng([seed, number, *stream]).permutation(n)

    def order(p, n, *stream):
        return permutation(p // n, n, stream)[p % n]

    def load(step):
        step = int(step)
        positions = range(step * whole + first, step * whole + first + part)
        # The 1 makes them differ from the numbers of the order.
        draws = np.random.default_rng([seed, step, 1]).random([whole, examples.draws])
        try:
            found = examples.read(positions, order, draws[first : first + part])
        except ValueError as error:
            source.failure = error
            raise
        return [found[name] for name in signature]

    def example(step):
        tensors = tf.numpy_function(load, [step], [spec.dtype for spec in signature.values()])
        return {
            name: tf.ensure_shape(tensor, [part, *spec.shape])
            for (name, spec), tensor in zip(signature.items(), tensors, strict=True)
        }

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False  # its thread delays the end of each fit by seconds
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # two calls: while one waits for its last image, the other one keeps the threads busy
    dataset = tf.data.Dataset.counter(start).map(example, num_parallel_calls=2)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)
