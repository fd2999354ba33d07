"""Sets of images with random access: the interface `Images`, and errors of the data.

Each kind of storage is one subclass of `Images`: `files.py` (folders, zips), `records.py`
(TFRecords), `arrays.py` (NumPy, IDX, CIFAR), `synthetic.py` (polygons made on demand).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfgans.errors import BadInput

SAMPLE = 1000  # largest number of headers that are read when a set is opened
CHUNK = 256  # results that `in_parallel` computes ahead
VALUE_RANGES = {"uint8": (0, 255), "uint16": (0, 65535)}


class DataError(BadInput):
    """The data cannot be used. The message says what is wrong and what to do.

    Args:
        problem: A sentence: the fault.
        fix: A sentence: the remedy.
    """

    def __init__(self, problem: str, fix: str):
        super().__init__(f"{problem} {fix}")
        self.problem, self.fix = problem, fix


class BrokenImage(BadInput):
    """One image cannot be read. The other images of its set may be intact.

    Args:
        name: Its name in the set.
        reason: The fault, in words without a full stop.
    """

    def __init__(self, name: str, reason: str):
        super().__init__(printable(f"{name}: {reason}"))
        self.name, self.reason = name, reason


def printable(text: str) -> str:
    """Escapes control and invalid characters: file names may hold any bytes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Images:
    """A set of images with random access.

    A subclass sets its own attributes, then calls `survey`.

    Attributes:
        path: Path of the set.
        smallest: Least (height, width, channels) of the surveyed images, each taken separately.
        largest: Greatest (height, width, channels), likewise.
        dtype: NumPy type of the arrays that `read` returns.
        value_range: (lowest, highest) value a pixel can have.
        labels: None, class numbers (int32 [n]) or vectors (float32 [n, d]).
        label_names: Name of each class, or None.
        label_width: Number of classes where labels are stored as one-hot vectors, else 0.
        attribute_names: Name of each number of the label vectors, or None.
        in_memory: True if `read` also takes an array of indices (and never fails).
        found_broken: Index -> BrokenImage, of images that training found broken.
    """

    labels = None
    label_names = None
    label_width = 0
    attribute_names = None
    without_labels = "its format holds none"  # the reason, for images without labels
    in_memory = False
    conversion_reported = False  # true once the conversion of these images is printed
    failure = None  # original error of a tf.data pipeline, which wraps errors

    def __len__(self) -> int:
        raise NotImplementedError

    def header(self, i: int) -> tuple:
        """(height, width, channels, dtype) of image i as stored, without reading the pixels."""
        raise NotImplementedError

    def read(self, i: int) -> np.ndarray:
        """Returns image i, [height, width, channels]. Raises `BrokenImage`."""
        raise NotImplementedError

    def describe(self, i: int) -> str:
        """Returns a name of image i by which a user can find it."""
        raise NotImplementedError

    @property
    def wanted(self) -> "Images":
        """The images that a model's outputs should be like."""
        return self

    @property
    def shape(self) -> tuple | None:
        """(height, width, channels) if all surveyed images have the same, else None."""
        return self.smallest if self.smallest == self.largest else None

    @property
    def num_classes(self) -> int:
        """Number of classes, or length of a label vector; 0 without labels."""
        if self.labels is None:
            return 0
        if self.labels.ndim == 2:
            return self.labels.shape[1]
        return len(self.label_names or ()) or self.label_width or int(self.labels.max()) + 1

    def survey(self, path, value_range: tuple | None):
        """Reads the headers of up to 1,000 evenly spaced images; sets all attributes but labels.

        Args:
            path: Path of the set.
            value_range: (lowest, highest) stored pixel value, or None if the type implies it.
        """
        self.path, n = path, len(self)
        self.found_broken = {}
        sample = sorted({int(i) for i in np.linspace(0, n - 1, min(n, SAMPLE))})
        headers, broken = [], []
        for i in sample:
            try:
                headers.append(self.header(i))
            except BrokenImage as error:
                broken.append(error)
        if not headers:
            raise DataError(
                f"None of the {len(sample)} images sampled from {path} can be read"
                + (f"; the first is {broken[0]}." if broken else "."),
                "Replace the set with an intact copy.",
            )
        sizes = np.array([header[:3] for header in headers])
        self.smallest = tuple(int(size) for size in sizes.min(axis=0))
        self.largest = tuple(int(size) for size in sizes.max(axis=0))
        self.dtype = np.result_type(*{np.dtype(header[3]) for header in headers})
        if value_range is None and self.dtype.name not in VALUE_RANGES:
            lows, highs = zip(
                *((np.min(x), np.max(x)) for x in map(self.read, sample)), strict=True
            )
            low, high = min(lows), max(highs)
            raise DataError(
                f"{path} holds {self.dtype} pixels (values {low:g} to {high:g} were seen), and "
                "this type does not tell which value is black and which is white.",
                "Give both, for example `data.value_range: [0, 1]`.",
            )
        low, high = VALUE_RANGES[self.dtype.name] if value_range is None else value_range
        if not low < high:
            raise DataError(
                f"The lowest pixel value must be below the highest, not {value_range}.",
                "Set `data.value_range: [lowest, highest]`.",
            )
        self.value_range = (low, high)


def in_parallel(function, numbers: range):
    """Yields function(i) for each number, in order; threads compute the results ahead."""
    with ThreadPoolExecutor() as pool:
        for begin in range(0, len(numbers), CHUNK):
            yield from pool.map(function, numbers[begin : begin + CHUNK])


def as_labels(labels, count: int, name: str) -> tuple:
    """Returns labels as class numbers, int32 [n], or as vectors, float32 [n, d]; and their width.

    If all rows are exactly one-hot, the result is class numbers, and the width is the length of the
    rows: a set may lack its last classes. Otherwise the width is 0.

    Args:
        labels: Integers [n] or [n, 1], or numbers [n, d].
        count: Number of images.
        name: Source of the labels, for error messages.
    """
    try:
        labels = np.asarray(labels)
    except ValueError as error:
        raise DataError(
            f"The labels in {name} differ in length.",
            "Give all images class numbers, or all images lists of the same length.",
        ) from error
    if len(labels) != count:
        raise DataError(
            f"{name} holds {len(labels)} labels for {count} images.",
            "Use the labels and the images of the same set.",
        )
    if labels.ndim == 2 and labels.shape[1] == 1 and labels.dtype.kind in "iu":
        labels = labels[:, 0]
    in_int32 = labels.dtype.kind in "iu" and np.all((labels >= -(2**31)) & (labels < 2**31))
    if labels.ndim == 1 and in_int32:
        return labels.astype("int32"), 0
    if labels.ndim != 2 or labels.dtype.kind not in "iuf":
        raise DataError(
            f"{name} holds labels of shape {labels.shape} and type {labels.dtype}.",
            "Wanted: one class number, or one vector of numbers, for each image.",
        )
    bad = np.flatnonzero(~np.isfinite(labels).all(axis=1))
    if len(bad):
        raise DataError(
            f"Row {bad[0]} of the labels in {name} is {labels[bad[0]].tolist()}; "
            f"{len(bad)} of {count} rows hold NaN or infinity.",
            "Correct these labels: all must be finite numbers.",
        )
    one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
    if one_hot and labels.shape[1] > 1:
        return labels.argmax(axis=1).astype("int32"), labels.shape[1]
    return labels.astype("float32"), 0
