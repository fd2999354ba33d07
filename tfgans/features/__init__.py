"""Fixed networks that metrics and perceptual distances look through; nothing is downloaded.

`get` finds the one for a metric; `tfgans.features.vgg.LPIPS` and
`tfgans.features.pixel_pyramid.pixel_pyramid_l2` are distances of images.
"""

import os
import pathlib

from tfgans.errors import BadInput
from tfgans.features import inception, own_small, random_features
from tfgans.features.extractor import Extractor
from tfgans.features.given import from_keras_file, from_keras_weights, from_saved_model
from tfgans.features.pixel_pyramid import pixel_pyramid_l2

__all__ = ["Extractor", "get", "pixel_pyramid_l2"]

VARIABLE = "TFGANS_FEATURES"
EXPECTED = (
    f"Wanted: the path of {inception.WHERE}, given by hand (--extractor of tools/evaluate.py) or "
    f'in the environment variable {VARIABLE}; or "own-small", whose numbers are not comparable '
    "with published ones."
)


def get(spec=None, resize: str | None = None) -> Extractor:
    """A feature network: uint8 images [N, H, W, C] -> activations [N, d], some with logits.

    Args:
        spec: One of
            - the path of pt_inception-2015-12-05-6726825d.pth, or of the frozen graph
              classify_image_graph_def.pb: the network that FID is defined by;
            - a weights file (.h5) of `keras.applications.VGG16` or `InceptionV3`;
            - a .keras file or a SavedModel folder that takes RGB images in [-1, 1]; of several
              outputs "features" are the activations, "logits" or "probabilities" the classes;
            - a function of uint8 images [N, H, W, 3], which does its own resizing;
            - "own-small", the classifier that ships with tfgans, or "random", for tests;
            - None: the path in the environment variable TFGANS_FEATURES.
        resize: A way to resize other than the network's own, see `tfgans.features.resize`.

    Returns:
        An `Extractor`. Its `name`, `sha256`, `resize` and `comparable` belong into every report.

    Raises:
        BadInput: Nothing was given, or the file is not what it should be.
    """
    spec = spec or os.environ.get(VARIABLE)
    if not spec:
        raise BadInput(f"No feature network was given, and none is downloaded. {EXPECTED}")
    options = {} if resize is None else {"resize": resize}
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
        ".pth": inception.from_state_dict, ".pb": inception.from_graph,
        ".h5": from_keras_weights, ".hdf5": from_keras_weights, ".keras": from_keras_file,
    }  # fmt: skip
    if path.suffix not in kinds:
        raise BadInput(f"{path} has no known ending: wanted {', '.join(kinds)}. {EXPECTED}")
    return kinds[path.suffix](path, **options)
