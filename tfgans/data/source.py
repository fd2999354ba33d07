"""What a set of images is: a numbered row of arrays that can be read in any order.

`Images` is the whole interface. Each kind of storage is one subclass: `files.py` (folders, zips),
`records.py` (TFRecords), `arrays.py` (NumPy, IDX, CIFAR), `synthetic.py` (polygons made on demand).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfgans.errors import BadInput

SAMPLE = 1000  # images whose headers are looked at when a set is opened
CHUNK = 256  # images that `in_parallel` computes ahead
VALUE_RANGES = {"uint8": (0, 255), "uint16": (0, 65535)}


class DataError(BadInput):
    """Data that cannot be used: what is wrong, and what to do about it."""

    def __init__(self, problem: str, fix: str):
        super().__init__(f"{problem} {fix}")
        self.problem, self.fix = problem, fix


class BrokenImage(BadInput):
    """One image that cannot be read. The others of its set may be fine."""

    def __init__(self, name: str, reason: str):
        super().__init__(printable(f"{name}: {reason}"))
        self.name, self.reason = name, reason


def printable(text: str) -> str:
    """Writes out what a terminal would obey or refuse: file names may hold any bytes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class Images:
    """A set of images with random access.

    A subclass sets its own attributes, then calls `survey`.

    Attributes:
        path: Where the set lies.
        smallest: (height, width, channels), the least of each over the images looked at.
        largest: The same, the greatest of each.
        dtype: NumPy type of what `read` returns.
        value_range: (lowest, highest) value a pixel can have.
        labels: None, class numbers (int32 [n]) or vectors (float32 [n, d]).
        label_names: Name of each class, or None.
        in_memory: Whether `read` also takes many numbers at once (and never fails).
        found_broken: Number of each image that was found broken in training -> its BrokenImage.
    """

    labels = None
    label_names = None
    in_memory = False
    conversion_reported = False  # whether it was said how these images are converted
    failure = None  # what ended the reading in a tf.data pipeline, which wraps its errors

    def __len__(self) -> int:
        raise NotImplementedError

    def header(self, i: int) -> tuple:
        """Returns (height, width, channels, dtype) as stored, without reading the pixels."""
        raise NotImplementedError

    def read(self, i: int) -> np.ndarray:
        """Returns image i, [height, width, channels]. Raises `BrokenImage`."""
        raise NotImplementedError

    def describe(self, i: int) -> str:
        """Returns a name by which a person can find image i."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple | None:
        """(height, width, channels) if all images agree, else None: see smallest and largest."""
        return self.smallest if self.smallest == self.largest else None

    @property
    def num_classes(self) -> int:
        """How many classes the labels name, or the length of a label vector; 0 without labels."""
        if self.labels is None:
            return 0
        if self.labels.ndim == 2:
            return self.labels.shape[1]
        return len(self.label_names or ()) or int(self.labels.max()) + 1

    def survey(self, path, value_range: tuple | None):
        """Looks at up to 1,000 evenly spaced images and sets all attributes but the labels.

        Args:
            path: Where the set lies.
            value_range: (lowest, highest) stored pixel value, or None if the type tells.
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
                f"None of the {len(sample)} images looked at in {path} can be read"
                + (f"; the first is {broken[0]}." if broken else "."),
                "Replace the set by a whole copy.",
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
                "their type does not tell which value is black and which is white.",
                "State both, for example `data.value_range: [0, 1]`.",
            )
        low, high = VALUE_RANGES[self.dtype.name] if value_range is None else value_range
        if not low < high:
            raise DataError(
                f"The lowest value must be below the highest, not {value_range}.",
                "Write `data.value_range: [lowest, highest]`.",
            )
        self.value_range = (low, high)


def in_parallel(function, numbers: range):
    """Yields function(i) for each number, in order, computed by threads a little ahead."""
    with ThreadPoolExecutor() as pool:
        for begin in range(0, len(numbers), CHUNK):
            yield from pool.map(function, numbers[begin : begin + CHUNK])


def as_labels(labels, count: int, name: str) -> np.ndarray:
    """Returns labels as class numbers, int32 [n], or as vectors, float32 [n, d].

    Rows of which each is exactly one-hot are class numbers written out, and come back as such.

    Args:
        labels: Integers [n] or [n, 1], or numbers [n, d].
        count: How many images there are.
        name: Where the labels come from, for messages.
    """
    try:
        labels = np.asarray(labels)
    except ValueError as error:
        raise DataError(
            f"The labels in {name} differ in length.",
            "Give each image a class number, or each a list of the same length.",
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
        return labels.astype("int32")
    if labels.ndim != 2 or labels.dtype.kind not in "iuf":
        raise DataError(
            f"{name} holds labels of shape {labels.shape} and type {labels.dtype}.",
            "Wanted: one class number, or one vector of numbers, for each image.",
        )
    one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
    if one_hot and labels.shape[1] > 1:
        return labels.argmax(axis=1).astype("int32")
    return labels.astype("float32")
