"""own-small: a classifier of digits and clothes that ships with tfgans, for offline work.

Its features show progress during a training. They say nothing about photographs, and numbers made
with them are not comparable with published ones. `tools/train_own_small.py` trained it on MNIST and
Fashion-MNIST as 20 classes; own_small.json beside its weights holds its seed and its accuracy.
"""

import pathlib

import keras
import numpy as np

from tfgans.durable import sha256
from tfgans.features.extractor import Extractor, compiled

SIDE, CLASSES, SEED = 32, 20, 0
WEIGHTS = pathlib.Path(__file__).with_name("own_small.npz")


def extractor(resize="clean") -> Extractor:
    """The extractor: 64 activations and 20 logits, digits 0 to 9, then Fashion-MNIST's classes."""
    model = load()
    features = keras.Model(model.input, model.get_layer("features").output)
    kernel, bias = (np.asarray(w) for w in model.get_layer("logits").get_weights())
    network = compiled(features)
    return Extractor("own-small", network, SIDE, resize, sha256(WEIGHTS), False, kernel, bias)


def load(path=WEIGHTS) -> keras.Model:
    """The network with its weights."""
    model = build()
    with np.load(path) as weights:
        model.set_weights([weights[name] for name in sorted(weights.files)])
    return model


def build() -> keras.Model:
    """The network: images [N, 32, 32, 3] in [-1, 1] -> logits [N, 20]; 90,484 weights."""
    image = x = keras.Input([SIDE, SIDE, 3])
    for width in (16, 32, 64):
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Dense(64, activation="relu", name="features")(keras.layers.Flatten()(x))
    return keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(x))


def rescale(model, images):
    """Scales the features to a root mean square of 1 on `images`; the logits stay the same.

    Kernel distances are not homogeneous; this gives them a readable size.

    Args:
        model: The network, changed in place.
        images: [N, 32, 32, 3] in [-1, 1].
    """
    features, logits = model.get_layer("features"), model.get_layer("logits")
    x = keras.Model(model.input, features.output).predict(images, verbose=0)
    size = np.sqrt(np.mean(x**2))
    features.set_weights([np.asarray(w) / size for w in features.get_weights()])
    kernel, bias = logits.get_weights()
    logits.set_weights([np.asarray(kernel) * size, bias])
