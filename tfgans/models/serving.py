"""Exports: a model as a SavedModel, for a server or for a process without tfgans."""

import keras
import numpy as np
import tensorflow as tf

from tfgans.ops.exporting import exporting

SEED = tf.TensorSpec([], "int64", name="seed")
COUNT = tf.TensorSpec([], "int64", name="n")


def export(endpoints, path):
    """Writes a SavedModel.

    It holds only the networks that the endpoints read, their weights in part in the form that the
    layers need (`ops.exporting`).

    Args:
        endpoints: Name -> (function of tensors that returns a dict of named tensors, its input
            signature).
        path: Folder.
    """
    archive = keras.export.ExportArchive()
    with exporting():
        for name, (function, signature) in endpoints.items():
            archive.add_endpoint(name, function, input_signature=signature)
        archive.write_out(str(path), verbose=False)


def to_uint8(images):
    """[-1, 1] to 0..255 as the StyleGAN code does it: 127.5 x + 128, cut to integers."""
    return tf.cast(tf.clip_by_value(images * 127.5 + 128.0, 0.0, 255.0), "uint8")


def fresh_seed():
    """A seed nobody has used before."""
    return int(np.random.SeedSequence().entropy % 2**40)
