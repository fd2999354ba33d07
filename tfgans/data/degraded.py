"""The data kind "degraded": images, and an input that is made from each by damaging it.

The images are those of the kind "images". `data.degrade` says how they are damaged; each input is
a function of (seed, position), so no damaged file is ever stored.

    gray       the luma alone, as in old formats and television
    grain      the luma, with noise of up to 30 of 255 on 0.1 to 40 % of the pixels, as in old films
    lightness  the gray whose lightness L in CIELAB is that of the color
    jpeg       3/8 of the size (96 of 256), compressed with a quality of 10 to 70, which is written
               in white somewhere in the upper left quarter, and enlarged again
    bicubic4   a quarter of the size, bicubic without aliasing
    noise      Gaussian noise with a deviation of 5 to 50 of 255
    hole       half of the sides is missing in the middle, but for a rim that stays visible
    blobs      20 to 30 % is missing, in blobs of random form
"""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from tfgans.data import images
from tfgans.data.convert import aligned, cut, prepare, to_channels
from tfgans.data.images import read_whole, report_conversion
from tfgans.data.scenes import SyntheticScenes
from tfgans.data.settings import Data
from tfgans.data.source import DataError, Images
from tfgans.ops.lab import TO_XYZ

REDUCTION = 4  # of "bicubic4"
QUALITY = (10, 70)  # of "jpeg"
SIGMA = (5 / 255, 50 / 255)  # of "noise", for images in [0, 1]
GRAIN, GRAINS = 30, (0.001, 0.4)  # of "grain": values from -30 to 29 of 255, share of pixels
HOLES = ("hole", "blobs")
MEAN_COLOR = np.array([117, 104, 123], "float32") / 255 * 2 - 1  # of ImageNet, shown in a hole
CELLS = 7.68  # random numbers along the shorter side, whose low values make blobs
DENSITY = 0.25  # numbers below it are low
AREA = (0.2, 0.3)  # share of the pixels in blobs


def resolve(settings: Data, given: dict, defaults: dict) -> Images:
    """Opens the images; sets image_shape where it is not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    if settings.path == "synthetic":
        shape = given.get("image_shape") or defaults["image_shape"]
        return SyntheticScenes(shape, textured=True)
    return images.resolve(settings, given, defaults)


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage.

    The first of the model's `degradations` says the size of the input, and whether there is a mask.
    """
    height, width, channels = model.image_shape
    own = model.degradations[0]
    factor = REDUCTION if own == "bicubic4" else 1
    found = {
        "input": tf.TensorSpec([height // factor, width // factor, model.input_channels]),
        "target": tf.TensorSpec([height, width, channels]),
    }
    if own in HOLES:
        found["mask"] = tf.TensorSpec([height, width, 1])
    return found


class Reader:
    """Feeds a model with "target", "input" and, for holes, "mask", which is 1 where pixels miss.

    Args:
        model: Its image_shape (the shape of the target), input_channels, `degradations` (those it
            can undo, its own first) and `overlap` (width of the visible rim of a hole) are used.
        source: The images.
        config: Its degrade, flip, jitter and broken are used.

    Raises:
        DataError: The images or settings do not fit the model.
    """

    unit = "images"
    real = "target"
    settings = ("degrade", "flip", "jitter")
    draws = 4  # window and mirror, see `cut`; the random numbers of the damage

    def __init__(self, model, source: Images, config: Data, stage: int):
        self.source, self.config, self.shape = source, config, tuple(model.image_shape)
        own = model.degradations
        self.kind = own[0] if config.degrade == "auto" else config.degrade
        if self.kind not in own:
            raise DataError(
                f"data.degrade is {self.kind!r}, and {type(model).__name__} with these settings "
                f"undoes {', '.join(own)}.",
                "Leave it out, or choose one of these.",
            )
        if self.kind in ("jpeg", *HOLES) and self.shape[2] not in (1, 3):
            raise DataError(
                f"data.degrade {self.kind!r} takes gray or RGB images, not {self.shape[2]} "
                "channels.",
                "Set the last number of model.image_shape to 1 or 3.",
            )
        report_conversion(source, *self.shape)
        self.channels, self.overlap = model.input_channels, getattr(model, "overlap", 0)
        self.signature = signature(model, stage)
        self.pool = ThreadPoolExecutor()

    def read(self, positions, order, draws):
        found = {
            name: aligned([len(positions), *spec.shape]) for name, spec in self.signature.items()
        }
        height, width, channels = self.shape
        size = height + self.config.jitter, width + self.config.jitter

        def fill(place, i):
            image, _ = read_whole(self.source, i, self.config.broken)
            image = prepare(image, self.source.value_range, (*size, channels))
            target = cut(image, height, width, draws[place, :3], self.config.flip)
            random = np.random.default_rng(int(draws[place, 3] * 2**53))
            damaged, mask = degraded(self.kind, target, random, self.overlap)
            found["target"][place] = target
            found["input"][place] = to_channels(damaged, self.channels)
            if "mask" in found:
                found["mask"][place] = mask

        indices = [order(p, len(self.source)) for p in positions]
        list(self.pool.map(fill, range(len(indices)), indices))
        return found


def degraded(kind, image, random, overlap=0):
    """Damages an image.

    Args:
        kind: "gray", "grain", "lightness", "jpeg", "bicubic4", "noise", "hole" or "blobs".
        image: float32 [H, W, C] in [-1, 1].
        random: NumPy generator of the numbers that the damage draws.
        overlap: Width of the rim of a "hole" that stays visible, in pixels.

    Returns:
        The damaged image, and the mask [H, W, 1] of the missing pixels or None.
    """
    if kind == "gray":
        return to_channels(image, 1), None
    if kind == "grain":
        return grainy(to_channels(image, 1), random), None
    if kind == "lightness":
        return lightness(image), None
    if kind == "jpeg":
        return compressed(image, random), None
    if kind == "bicubic4":
        return reduced(image, REDUCTION), None
    if kind == "noise":
        return noisy(image, random, random.uniform(*SIGMA)), None
    mask = middle(image.shape, overlap) if kind == "hole" else blobs(image.shape, random)
    return without(image, mask), mask


def lightness(image):
    """The gray [H, W, 1] with the luminance of each color, and so its L in CIELAB."""
    if image.shape[2] < 3:
        return to_channels(image, 1)
    x = (to_channels(image, 3) + 1) / 2
    light = np.where(x > 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92)  # see `ops/lab.py`
    y = light @ TO_XYZ[1].astype("float32")[:, None]
    gray = np.where(y > 0.0031308, 1.055 * y ** (1 / 2.4) - 0.055, 12.92 * y)
    return np.clip(2 * gray - 1, -1, 1).astype("float32")


def resized(image, height, width, method=Image.Resampling.BICUBIC):
    """Resizes float32 [H, W, C]; the filter is widened for smaller sizes, so nothing aliases."""
    planes = [
        np.asarray(Image.fromarray(image[..., c]).resize((width, height), method))
        for c in range(image.shape[2])
    ]
    return np.stack(planes, axis=-1)


def reduced(image, factor):
    """An image with both sides divided by a factor; bicubic, without aliasing."""
    height, width, _ = image.shape
    return np.clip(resized(image, height // factor, width // factor), -1, 1)


def noisy(image, random, sigma):
    """An image with Gaussian noise, whose deviation `sigma` is that of images in [0, 1]."""
    noise = random.standard_normal(image.shape, "float32")
    return np.clip(image + np.float32(2 * sigma) * noise, -1, 1)


def grainy(image, random):
    """A gray image [H, W, 1] with noise on some pixels, of which a few are drawn twice.

    It is the augmentation of DeOldify's model for films (deoldify/augs.py).
    """
    grainy = image.reshape(-1).copy()
    count = int(len(grainy) * random.uniform(*GRAINS))
    places = random.integers(len(grainy), size=count)
    np.add.at(grainy, places, random.integers(-GRAIN, GRAIN, size=count) / np.float32(127.5))
    return np.clip(grainy, -1, 1).reshape(image.shape)


def compressed(image, random):
    """A small JPEG of an image with its quality written on it, enlarged to the image's size."""
    height, width, channels = image.shape
    rows, columns = (max(1, round(side * 96 / 256)) for side in (height, width))
    small = np.rint((resized(image, rows, columns, Image.Resampling.BILINEAR) + 1) * 127.5)
    small = np.clip(small, 0, 255).astype("uint8")
    picture = Image.fromarray(small if channels == 3 else small[..., 0])
    quality = int(random.integers(QUALITY[0], QUALITY[1], endpoint=True))
    place = [int(random.integers(side // 2, endpoint=True)) for side in (columns, rows)]
    white = (255,) * 3 if channels == 3 else 255
    ImageDraw.Draw(picture).text(tuple(place), str(quality), fill=white)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    stored = np.asarray(Image.open(file), "float32").reshape(rows, columns, channels)
    return resized(stored / 127.5 - 1, height, width, Image.Resampling.BILINEAR)


def middle(shape, overlap):
    """The mask [H, W, 1] of the middle half of both sides, without a rim of `overlap` pixels."""
    height, width, _ = shape
    rows, columns = (
        slice(side // 4 + overlap, 3 * side // 4 - overlap) for side in (height, width)
    )
    mask = np.zeros([height, width, 1], "float32")
    mask[rows, columns] = 1
    return mask


def blobs(shape, random):
    """A mask [H, W, 1] of blobs: a field of few random numbers, enlarged, is low in them."""
    height, width, _ = shape
    scale = CELLS / min(height, width)  # cells per pixel
    rows, columns = scale * height, scale * width
    while True:
        field = random.uniform(size=[int(rows) + 6, int(columns) + 6]).astype("float32")
        top, left = 2 + random.uniform(size=2)  # the field's own borders stay outside
        box = (left, top, left + columns, top + rows)
        enlarged = Image.fromarray(field).resize((width, height), Image.Resampling.BICUBIC, box)
        mask = np.asarray(enlarged) < DENSITY
        if AREA[0] < mask.mean() < AREA[1]:
            return mask[..., None].astype("float32")


def without(image, mask):
    """An image with the mean color of ImageNet where the mask is 1."""
    return np.where(mask > 0, to_channels(MEAN_COLOR, image.shape[-1]), image)
