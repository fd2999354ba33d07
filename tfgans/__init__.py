"""tfgans: the generative adversarial networks of 2014 to 2020 on TensorFlow and Keras 3.

import tfgans
model = tfgans.models.load("stylegan2-fashion")
images = model.sample(16, seed=0)  # [16, 32, 32, 1], in [-1, 1]
"""

from tfgans import keras_settings

keras_settings.prepare()

from tfgans import (  # noqa: E402
    config,
    data,
    features,
    images,
    latents,
    metrics,
    models,
    pretrained,
    random,
)
from tfgans.version import __version__  # noqa: E402

__all__ = [
    "__version__",
    "config",
    "data",
    "features",
    "images",
    "latents",
    "metrics",
    "models",
    "pretrained",
    "random",
]
