"""The data kind "instance_masks": images of two domains, each with a mask for every instance.

    trainA/0001.png    trainA_seg/0001_0.png, trainA_seg/0001_1.png, ...

and likewise B. Other layouts of two folders have "_seg" behind the names of both. A mask is white
where its instance is, and as large as its image.
"""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from PIL import Image

from tfgans.data.convert import aligned, crop_resize, cut, prepare, to_float
from tfgans.data.files import FolderImages
from tfgans.data.images import read_whole, report_conversion
from tfgans.data.scenes import SyntheticInstances
from tfgans.data.settings import Data
from tfgans.data.source import BrokenImage, DataError
from tfgans.data.unpaired import B_ORDER, Domains, domain_folders, take_shape

MASKS = "_seg"  # behind the name of a folder of images: that of their masks
NUMBERED = re.compile(r"(.+)_(\d+)")  # name of an image, number of an instance
EMPTY = -1.0  # the value of a mask outside of its instance


def resolve(settings: Data, given: dict, defaults: dict) -> Domains:
    """Opens the two domains; sets image_shape where it is not given.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model. Missing ones that follow from the data are added.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    if settings.path == "synthetic":
        shape = given.get("image_shape") or defaults["image_shape"]
        a = SyntheticInstances(shape, corners=3)
        return Domains(a, SyntheticInstances(shape, corners=4, first=len(a)))
    folders = domain_folders(settings.path)
    domains = Domains(*(InstanceFiles(folder, settings.value_range) for folder in folders))
    take_shape(domains, given)
    return domains


class InstanceFiles(FolderImages):
    """The images of a folder, with the masks of their instances in the folder beside it.

    Args:
        folder: Folder of the images.
        value_range: (lowest, highest) value of a stored pixel, or None if the type implies it.

    Raises:
        DataError: There is no folder of masks, or an image without masks, or a mask without image.
    """

    def __init__(self, folder, value_range=None):
        super().__init__(folder, value_range, every=True)
        beside = folder.with_name(folder.name + MASKS)
        wanted = (
            f"Wanted: for each image NAME.png of {folder} the masks {beside.name}/NAME_0.png, "
            "NAME_1.png and so on, one for each instance."
        )
        if not beside.is_dir():
            raise DataError(f"There is no folder {beside} with the masks of instances.", wanted)
        self.masks = FolderImages(beside, every=True)
        found = {}
        for number, name in enumerate(self.masks.names):
            stem = name.rpartition(".")[0]
            match = NUMBERED.fullmatch(stem)
            stem, instance = (match[1], int(match[2])) if match else (stem, 0)
            found.setdefault(stem, []).append((instance, number))
        stems = [name.rpartition(".")[0] for name in self.names]
        for here, there, what in ((found, stems, "image"), (stems, found, "mask")):
            alone = sorted(set(here) - set(there))
            if alone:
                images = self.masks if what == "image" else self
                raise DataError(
                    f"{len(alone)} of the names in {images.path} have no {what}, for example "
                    f"{alone[0]}.",
                    wanted,
                )
        self.of_image = [[number for _, number in sorted(found[stem])] for stem in stems]

    def read_masks(self, i):
        """The masks of image i, float32 [h, w, n] in [-1, 1]. Raises `BrokenImage`."""
        planes = []
        for number in self.of_image[i]:
            stored = self.masks.read(number)
            mask = to_float(stored, self.masks.value_range, 1)
            if EMPTY < mask.max() < 0:
                raise BrokenImage(
                    self.masks.describe(number),
                    f"its brightest value is {stored.max()}, and instances are white, "
                    f"{self.masks.value_range[1]}",
                )
            planes.append(mask)
        if len({plane.shape for plane in planes}) > 1:
            raise BrokenImage(self.describe(i), "its masks differ in size")
        return np.concatenate(planes, axis=-1)


class WithMasks:
    """Images and their masks, read as one thing that is broken if one of them is."""

    def __init__(self, source):
        self.source, self.found_broken = source, source.found_broken

    def __len__(self):
        return len(self.source)

    def read(self, i):
        image, masks = self.source.read(i), self.source.read_masks(i)
        if image.shape[:2] != masks.shape[:2]:
            sizes = ["x".join(map(str, array.shape[:2])) for array in (image, masks)]
            raise BrokenImage(self.source.describe(i), f"{sizes[0]}, but its masks have {sizes[1]}")
        return image, masks


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    found = {}
    for name in "ab":
        found[name] = tf.TensorSpec(model.image_shape)
        found[f"{name}_masks"] = tf.TensorSpec([*model.image_shape[:2], model.most_instances])
    return found


class Reader:
    """Feeds a model with "a", "a_masks", "b", "b_masks"; an image and its masks are cut alike.

    Masks are [H, W, most_instances] in [-1, 1], empty ones -1 everywhere. Each domain has a random
    order of its own and begins a new pass when its own pass ends.

    Args:
        model: Its image_shape and most_instances are used. Instances beyond that are left out.
        source: The domains that `resolve` returns.
        config: Its flip, jitter and broken are used.

    Raises:
        DataError: The images or settings do not fit the model.
    """

    unit = "images"  # per domain
    real = "b"
    settings = ("flip", "jitter")
    draws = 6  # three for a and three for b, see `cut`

    def __init__(self, model, source: Domains, config: Data, stage: int):
        self.source, self.config, self.shape = source, config, tuple(model.image_shape)
        self.most = model.most_instances
        for images in (source.a, source.b):
            report_conversion(images, *self.shape)
            found = max(map(len, getattr(images, "of_image", [[]])))
            if found > self.most:
                print(
                    f"An image of {images.path} has {found} instances; the first {self.most} of "
                    "each image are read (model.most_instances)."
                )
        self.signature = signature(model, stage)
        self.pool = ThreadPoolExecutor()

    def read(self, positions, order, draws):
        found = {
            name: aligned([len(positions), *spec.shape]) for name, spec in self.signature.items()
        }
        height, width, channels = self.shape
        size = height + self.config.jitter, width + self.config.jitter
        nearest = Image.Resampling.NEAREST

        def fill(name, source, place, i, numbers):
            (image, masks), _ = read_whole(WithMasks(source), i, self.config.broken)
            image = prepare(image, source.value_range, (*size, channels))
            masks = crop_resize(masks[..., : self.most], *size, nearest)
            both = np.concatenate([image, masks], axis=-1)
            both = cut(both, height, width, numbers, self.config.flip)
            found[name][place] = both[..., :channels]
            found[f"{name}_masks"][place] = EMPTY
            found[f"{name}_masks"][place, ..., : masks.shape[2]] = both[..., channels:]

        jobs = []
        for place, p in enumerate(positions):
            i, k = order(p, len(self.source.a)), order(p, len(self.source.b), B_ORDER)
            jobs.append(("a", self.source.a, place, i, draws[place, :3]))
            jobs.append(("b", self.source.b, place, k, draws[place, 3:]))
        list(self.pool.map(lambda job: fill(*job), jobs))
        return found
