"""The data kind "single": a data set of one image."""

import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image

from tfgans.data.convert import crop_resize, prepare, to_float
from tfgans.data.files import FileImages, open_file
from tfgans.data.images import report_conversion
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images


class OneFile(FileImages):
    """One image file."""

    def __init__(self, path, value_range=None):
        super().__init__(path, [path.name], value_range)

    def open(self, name):
        return open_file(self.path)

    def locate(self, name):
        return str(self.path)


class Landscape(Images):
    """Ragged hills under a cloudy sky, drawn in memory: texture of all sizes.

    Args:
        image_shape: (height, width, channels).
    """

    def __init__(self, image_shape):
        self.picture = draw_landscape(*image_shape[:2])
        self.survey("synthetic", None)

    def __len__(self):
        return 1

    def header(self, i):
        return *self.picture.shape, "uint8"

    def read(self, i):
        return self.picture

    def describe(self, i):
        return "synthetic landscape"


def draw_landscape(height, width) -> np.ndarray:
    """Draws the picture of `Landscape`, uint8 [height, width, 3]."""
    rng = np.random.RandomState(0)

    def roughness(*shape):
        """Draws noise of all wavelengths, strongest at long ones, mostly within [-1, 1]."""
        spectrum = np.fft.fftn(rng.standard_normal(shape))
        waves = sum(f**2 for f in np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")) ** 0.5
        noise = np.fft.ifftn(spectrum / np.maximum(waves, 1 / max(shape)) ** (1 + len(shape) / 4))
        return noise.real / (2.5 * noise.real.std())

    y = np.linspace(0, 1, height)[:, None, None]  # 0 is the top
    clouds = np.clip(1.5 * roughness(height, width), 0, 1)[..., None]
    sky = (1 - y) * np.array([70, 130, 200]) + y * np.array([215, 220, 225])
    picture = sky + clouds * (np.array([250, 248, 245]) - sky)
    hills = [(0.45, (130, 145, 165)), (0.62, (95, 115, 85)), (0.8, (70, 75, 45))]
    for top, color in hills:
        ridge = top + 0.12 * roughness(width)
        grass = np.array(color) * (1 + 0.35 * roughness(height, width)[..., None])
        picture = np.where(y > ridge[None, :, None], grass, picture)
    return np.clip(picture, 0, 255).astype("uint8")


def resolve(settings: Data, given: dict, defaults: dict) -> Images:
    """Opens the image; sets image_shape to its size where it is not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    shape = given.get("image_shape")
    if settings.path == "synthetic":
        return Landscape(shape or defaults["image_shape"])
    source = OneFile(existing(settings.path), settings.value_range)
    if shape is None:
        given["image_shape"] = [*source.shape[:2], defaults["image_shape"][2]]
    return source


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    return {"image": tf.TensorSpec(model.stage_shape(stage))}


class Reader:
    """Feeds a model with copies of one image: "image".

    Args:
        model: The image is cropped to its image_shape, and resized to the shape of the stage. An
            alpha that the model lacks is composited on white.
        source: A set of one image.
        config: Not used.
    """

    unit = "images"
    real = "image"
    settings = ()
    draws = 0

    def __init__(self, model, source: Images, config: Data, stage: int):
        report_conversion(source, *model.image_shape)
        height, width, channels = model.image_shape
        image = to_float(source.read(0), source.value_range, channels)
        self.image = resize(crop_resize(image, height, width), *model.stage_shape(stage)[:2])
        self.signature = signature(model, stage)

    def read(self, positions, order, draws):
        return {"image": np.repeat(self.image[None], len(positions), axis=0)}


def read(path, shape) -> np.ndarray:
    """Reads one image file as training does (`prepare`), and prints how it is converted.

    Args:
        path: Path of the file.
        shape: (height, width, channels) of the result.

    Returns:
        float32 [height, width, channels] in [-1, 1].

    Raises:
        DataError: There is no such file, or it is no image.
        BrokenImage: It is damaged.
    """
    source = OneFile(existing(path))
    report_conversion(source, *shape)
    return prepare(source.read(0), source.value_range, shape)


def existing(path) -> pathlib.Path:
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "not there"
        raise DataError(f"{path} is {kind}.", "Give the path of one image file.")
    return path


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes float32 [h, w, channels] in [-1, 1]: bicubic, without aliasing."""
    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.clip(np.stack(planes, axis=-1), -1, 1)
