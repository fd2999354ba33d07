"""Keras as tfgans needs it: on TensorFlow with oneDNN, channels last, float32.

Keras takes its settings from the environment and from ~/.keras/keras.json. `tfgans` imports this
file before all others.

TensorFlow leaves oneDNN off on a CPU without AVX-512. Without it a training step of VGAN, whose
convolutions are 3-D, took a hundred times as long there.
"""

import contextlib
import os
import sys
import warnings

from tfgans.errors import BadInput

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def prepare():
    """Imports Keras on TensorFlow; sets what keras.json may have set otherwise, and warns of it.

    oneDNN stays off where TF_ENABLE_ONEDNN_OPTS=0 says so, or where TensorFlow was imported before.

    Raises:
        ImportError: Keras runs on another back end in this process, or must by KERAS_BACKEND.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    asked = os.environ.get("KERAS_BACKEND", "tensorflow")
    if "keras" not in sys.modules and asked == "tensorflow":
        os.environ["KERAS_BACKEND"] = "tensorflow"  # it goes before the setting in keras.json
    elif "keras" in sys.modules:
        asked = sys.modules["keras"].config.backend()
    if asked != "tensorflow":
        raise ImportError(
            f"tfgans runs on TensorFlow, and Keras is set to {asked!r} here. Set KERAS_BACKEND="
            "tensorflow in the environment before Keras is imported."
        )
    import keras

    for setting, found, wanted in (
        ("image_data_format", keras.config.image_data_format(), "channels_last"),
        ("floatx", keras.config.floatx(), "float32"),
    ):
        if found != wanted:
            warnings.warn(
                f"tfgans sets Keras' {setting} to {wanted!r} in this process; it was {found!r}, by "
                "keras.json or by your code.",
                stacklevel=2,
            )
            getattr(keras.config, f"set_{setting}")(wanted)
    if keras.config.dtype_policy().name in ("float64", "float16", "bfloat16"):
        keras.config.set_dtype_policy("float32")  # Keras takes the policy from floatx


def check():
    """Raises BadInput where Keras has been set so that models cannot be built."""
    import keras

    if keras.config.image_data_format() != "channels_last":
        raise BadInput(
            "Models are channels_last, and Keras is set to channels_first here: "
            'keras.config.set_image_data_format("channels_last")'
        )
    policy = keras.config.dtype_policy().name
    if policy not in POLICIES:
        raise BadInput(
            f"The dtype policy of a model is {', '.join(POLICIES)}, not {policy!r}: "
            'keras.config.set_dtype_policy("float32")'
        )


@contextlib.contextmanager
def policy(name):
    """Layers that are built inside have this dtype policy; afterwards the one before is back."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
