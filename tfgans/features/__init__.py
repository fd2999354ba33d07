"""Fixed feature networks for metrics and perceptual distances; nothing is downloaded.

`get` opens the feature network of a metric. `tfgans.features.vgg.LPIPS` and
`tfgans.features.pixel_pyramid.pixel_pyramid_l2` are distances between images.
"""

import os
import pathlib

import keras

from tfgans.errors import BadInput, command
from tfgans.features import inception, own_small, random_features
from tfgans.features.extractor import Extractor
from tfgans.features.given import (
    from_keras_file,
    from_keras_model,
    from_keras_weights,
    from_saved_model,
)
from tfgans.features.pixel_pyramid import pixel_pyramid_l2

__all__ = ["Extractor", "get", "pixel_pyramid_l2"]

VARIABLE = "TFGANS_FEATURES"
EXPECTED = (
    f"Wanted: the path of {inception.WHERE}, as an argument (--extractor of "
    f"`{command('evaluate')}`) or "
    f'in the environment variable {VARIABLE}; or "own-small", whose numbers are not comparable '
    "with published ones."
)


def get(spec=None, resize: str | None = None) -> Extractor:
    """Opens a feature network: uint8 images [N, H, W, C] -> activations [N, d], some with logits.

    Args:
        spec: One of
            - the path of pt_inception-2015-12-05-6726825d.pth, or of the frozen graph
              classify_image_graph_def.pb: the network that defines FID;
            - a weights file (.h5) of `keras.applications.VGG16` or `InceptionV3`;
            - a Keras model, a .keras file or a SavedModel folder that takes RGB images in [-1, 1].
              If it has several outputs, "features" are the activations, "logits" or
              "probabilities" the classes;
            - another function of uint8 images [N, H, W, 3], which does its own resizing;
            - "own-small", the classifier that ships with tfgans, or "random", for tests;
            - None: the path in the environment variable TFGANS_FEATURES.
        resize: Name of a resize method of `tfgans.features.resize`; None for the network's own.

    Returns:
        An `Extractor`. Every report should state its `name`, `sha256`, `resize` and `comparable`.

    Raises:
        BadInput: No network was given, or the file does not hold one of the above.
    """
    spec = spec or os.environ.get(VARIABLE)
    if not spec:
        raise BadInput(f"No feature network was given, and none is downloaded. {EXPECTED}")
    options = {} if resize is None else {"resize": resize}
    if isinstance(spec, keras.Model):
        return from_keras_model(spec, **options)
    if callable(spec):
        name = getattr(spec, "__name__", type(spec).__name__)
        return Extractor(f"function {name}", spec, None, "none")
    if spec == "own-small":
        return own_small.extractor(**options)
    if spec == "random":
        return random_features.extractor()
    path = pathlib.Path(spec).expanduser()
    if path.is_dir():
        return from_saved_model(path, **options)
    if not path.is_file():
        raise BadInput(f'{path} is neither a file nor a folder, nor "own-small". {EXPECTED}')
    kinds = {
        ".pth": inception.from_state_dict,
        ".pb": inception.from_graph,
        ".h5": from_keras_weights,
        ".hdf5": from_keras_weights,
        ".keras": from_keras_file,
    }
    if path.suffix not in kinds:
        raise BadInput(f"{path} has no known suffix: wanted {', '.join(kinds)}. {EXPECTED}")
    return kinds[path.suffix](path, **options)
