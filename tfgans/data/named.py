"""Sets by name: `tfds:NAME` through tensorflow-datasets, `hf:NAME` through the package datasets.

    tfds:cifar10                        the split train
    tfds:cifar10@test                   another split, or a part of one, as train[:1000]
    tfds:cycle_gan/facades:2.0.0        a configuration and a version, as tensorflow-datasets does
    hf:user/faces, hf:user/faces:small  a set of the hub, and its configuration `small`
    hf:FOLDER                           files on this machine, or what `save_to_disk` has written

The packages prepare a set on the disk once, in a form with random access: it is shuffled and
resumed as a folder is, and its images are decoded and converted by the same code. A column of
images is found by its type, the labels are `label` or else the first column of classes.
"""

import functools
import importlib
import io
import pathlib

import numpy as np

from tfgans.data.files import EncodedImages, check_bytes, open_file
from tfgans.data.layouts import NAMES
from tfgans.data.source import DataError, as_labels
from tfgans.errors import nearest, short

PACKAGES = {"tfds": "tensorflow_datasets", "hf": "datasets"}  # first word -> package
SIDES = (*NAMES, ("imageA", "imageB"), ("image_A", "image_B"))  # columns of two domains
SAVED = ("state.json", "dataset_dict.json")  # written by `save_to_disk` of datasets
DEPTHS = ("uint8", "uint16")  # other images of tensorflow-datasets are no image files


def is_name(path) -> bool:
    """Returns true for the texts `tfds:...` and `hf:...`; a folder of such a name is `./hf:...`."""
    return isinstance(path, str) and path.startswith(tuple(f"{word}:" for word in PACKAGES))


def open_named(path, value_range: tuple | None = None) -> "NamedImages":
    """Opens the images of a set by name.

    Args:
        path: See this file.
        value_range: (lowest, highest) value of a stored pixel, or None if the type implies it.

    Raises:
        DataError: The package is missing; the set or the split cannot be had; there are no images,
            or several columns of them.
    """
    rows = opened(path).rows()
    columns = rows.images
    if len(columns) > 1 and "image" not in columns:
        raise DataError(
            f"{rows.path} has {len(columns)} columns of images: {', '.join(columns)}.",
            "One is needed, or one with the name image; models of pairs and of two domains take "
            "two columns.",
        )
    return NamedImages(rows, "image" if len(columns) > 1 else columns[0], value_range)


def open_sides(path, value_range: tuple | None = None) -> list | None:
    """The two sides of a set with two columns of images, A and B; None for other sets."""
    rows = opened(path).rows()
    if len(rows.images) != 2:
        return None
    by_name = {name.lower(): name for name in rows.images}
    pairs = [[by_name.get(name.lower()) for name in pair] for pair in SIDES]
    columns = next(filter(all, pairs), rows.images)
    return [NamedImages(rows, column, value_range) for column in columns]


def open_two(path, value_range: tuple | None = None) -> list:
    """The two domains of a set: the splits trainA and trainB, or two columns of images.

    Raises:
        DataError: There are neither.
    """
    found = opened(path)
    if found.split is None and {"trainA", "trainB"} <= {*found.splits}:
        splits = [f"{path}@{split}" for split in ("trainA", "trainB")]
        return [open_named(split, value_range) for split in splits]
    sides = open_sides(path, value_range)
    if sides is None:
        raise DataError(
            f"There are no two domains in {path} (its splits: {', '.join(found.splits)}).",
            "Wanted: the splits trainA and trainB, or two columns of images.",
        )
    return sides


class NamedImages(EncodedImages):
    """The images in one column of a set by name.

    Args:
        rows: `TfdsRows` or `HubRows`.
        column: Name of the column.
        value_range: (lowest, highest) stored pixel value, or None if the type implies it.
    """

    def __init__(self, rows, column, value_range):
        self.rows, self.column = rows, column
        self.label_names = rows.classes.get(rows.label)
        self.without_labels = (
            f"no column is called label or holds classes ({', '.join(rows.columns)})"
        )
        self.survey(rows.path, value_range)

    def __len__(self):
        return len(self.rows)

    def file(self, i):
        return self.rows.file(i, self.column)

    def describe(self, i):
        return f"{self.path} row {i}"

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        if self.rows.label is None:
            return None
        name = f"{self.path}: {self.rows.label}"
        labels, self.label_width = as_labels(self.rows.numbers(), len(self), name)
        return labels


class Rows:
    """The rows of one split of a set.

    Args:
        path: The set and its split as the user writes them.
        columns: Names of all columns.
        images: Names of the columns of images.
        classes: Column of class numbers -> the names of its classes.
    """

    def __init__(self, path, columns, images, classes):
        self.path, self.columns, self.images, self.classes = path, columns, images, classes
        if not images:
            raise DataError(
                f"{path} has no column of images, only {', '.join(columns)}.",
                "Give a set with images in 8 or 16 bits.",
            )
        labels = ["label", *classes]
        self.label = next((name for name in labels if name in columns and name not in images), None)


class TfdsRows(Rows):
    """Rows that tensorflow-datasets reads from files with random access."""

    def __init__(self, path, builder, split):
        tfds, features = package("tfds"), builder.info.features
        kinds = {name: features[name] for name in features}
        images = [name for name, kind in kinds.items() if isinstance(kind, tfds.features.Image)]
        super().__init__(
            path,
            [*kinds],
            [name for name in images if np.dtype(kinds[name].np_dtype).name in DEPTHS],
            {n: k.names for n, k in kinds.items() if isinstance(k, tfds.features.ClassLabel)},
        )
        decoders = dict.fromkeys(images, tfds.decode.SkipDecoding())
        self.source = builder.as_data_source(split=split, decoders=decoders)

    def __len__(self):
        return len(self.source)

    def file(self, i, column):
        content = self.source[i][column]
        check_bytes(len(content))
        return io.BytesIO(content)

    def numbers(self):
        return [self.source[i][self.label] for i in range(len(self))]


class HubRows(Rows):
    """Rows that the package datasets reads from Arrow files."""

    def __init__(self, path, dataset):
        datasets, kinds = package("hf"), dataset.features
        images = [name for name, kind in kinds.items() if isinstance(kind, datasets.Image)]
        classes = {n: k.names for n, k in kinds.items() if isinstance(k, datasets.ClassLabel)}
        super().__init__(path, [*kinds], images, classes)
        for name in images:
            dataset = dataset.cast_column(name, datasets.Image(decode=False))
        self.source = dataset.select_columns(images)
        self.labels = dataset.select_columns([self.label] if self.label else [])

    def __len__(self):
        return len(self.source)

    def file(self, i, column):
        found = self.source[int(i)][column]  # datasets 4.0 refuses integers of NumPy
        if found is None:
            raise ValueError("there is no image")
        if found["bytes"] is None:
            return open_file(found["path"])
        check_bytes(len(found["bytes"]))
        return io.BytesIO(found["bytes"])

    def numbers(self):
        return self.labels[:][self.label]


def opened(path):
    """The set of a path, `TfdsSet` or `HubSet`, with its `splits`, `split` and `rows()`."""
    word, _, rest = path.partition(":")
    name, _, split = rest.partition("@")
    kind = {"tfds": TfdsSet, "hf": HubSet}[word]
    return kind(path, name, split or None)


def package(word):
    """The package that reads sets of `tfds:` or `hf:`. Raises DataError where it is missing."""
    try:
        return importlib.import_module(PACKAGES[word])
    except ImportError as error:
        raise DataError(
            f"Sets of {word}: need a package that cannot be imported ({error}).",
            f'Install it: pip install "tfgans[{word}]"',
        ) from error


class TfdsSet:
    """A set of tensorflow-datasets; it is downloaded and prepared where it is not there yet."""

    def __init__(self, path, name, split):
        self.path, self.split = path, split
        tfds = package("tfds")
        try:
            self.builder = tfds.builder(name)
        except tfds.core.registered.DatasetNotFoundError:
            known = nearest("set of tensorflow-datasets", name, tfds.list_builders())
            raise DataError(f"{path}: {known}", "tfds:NAME takes a name of its catalog.") from None
        except Exception as error:  # wrong versions and configurations raise anything
            raise DataError(
                f"{path} cannot be opened: {short(error)}.",
                "Write it as tensorflow-datasets does, tfds:NAME, or tfds:NAME/CONFIG:1.0.0 with a "
                "configuration and a version.",
            ) from error
        if not self.builder.is_prepared():
            self.prepare(tfds, name)
        self.splits = [*self.builder.info.splits]

    def prepare(self, tfds, name):
        self.builder = tfds.builder(name, file_format="array_record")
        folder = self.builder.data_path
        print(f"{self.path} is not in {folder}; tensorflow-datasets downloads and prepares it now.")
        try:
            self.builder.download_and_prepare()
        except Exception as error:  # of the network, of a package, of a script that reads the set
            raise DataError(
                f"{self.path} is not in {folder} and cannot be prepared: {short(error)}.",
                "Try again with a network; or prepare the set on another machine and set "
                "TFDS_DATA_DIR to a copy of its folder.",
            ) from error

    def rows(self):
        split = self.split or "train"
        try:
            return TfdsRows(f"{self.path.partition('@')[0]}@{split}", self.builder, split)
        except NotImplementedError:
            raise DataError(
                f"{self.path} is in {self.builder.data_path} in the form "
                f"{self.builder.info.file_format.value}, which has no random access.",
                "Set TFDS_DATA_DIR to an empty folder, and it is prepared there as array_record; "
                "or delete that folder.",
            ) from None
        except ValueError as error:
            raise no_split(self, split, error) from error


class HubSet:
    """A set of Hugging Face's hub, or on this machine; it is downloaded where it is not there."""

    def __init__(self, path, name, split):
        self.path, self.split = path, split
        datasets = package("hf")
        folder = pathlib.Path(name).expanduser()
        self.saved = self.builder = None
        try:
            if any((folder / file).exists() for file in SAVED):
                self.saved = datasets.load_from_disk(folder)
                if not isinstance(self.saved, datasets.DatasetDict):
                    self.saved = {str(self.saved.split or "train"): self.saved}
                self.splits = [*self.saved]
                return
            repository, _, config = name.partition(":")
            if folder.exists():
                repository, config = str(folder), ""
            self.builder = datasets.load_dataset_builder(repository, config or None)
            self.builder.download_and_prepare()
            self.splits = [*self.builder.info.splits]
        except Exception as error:  # of the network, of the hub, of files
            raise DataError(
                f"{path} cannot be opened: {short(error)}.",
                "Check the name, hf:USER/NAME or hf:USER/NAME:CONFIG. Without a network only sets "
                "that were opened here before can be opened (HF_HUB_OFFLINE=1 takes them at once), "
                "and folders.",
            ) from error

    def rows(self):
        split = self.split or "train"
        try:
            found = self.saved[split] if self.saved else self.builder.as_dataset(split=split)
        except (KeyError, ValueError) as error:
            raise no_split(self, split, error) from error
        return HubRows(f"{self.path.partition('@')[0]}@{split}", found)


def no_split(found, split, error):
    return DataError(
        f"{found.path} has no split {split!r} ({short(error)}); it has {', '.join(found.splits)}.",
        "Name one behind an @, such as @test or @train[:1000].",
    )
