"""TFRecords of images, read in any order.

There are two layouts. In both, each record is a `tf.train.Example` with `shape` (int64 [channels,
height, width]) and `data` (raw bytes in that order):

- NAME-r02.tfrecords .. NAME-r10.tfrecords: ProGAN and StyleGAN, one file for each resolution
  4 .. 1024, labels in NAME-rxx.labels (a .npy array in spite of its name);
- NAME-00000-of-00004.tfrecords ..: written by `pack.py`, labels in each record's `label`.
"""

import functools
import mmap
import pathlib
import re
import struct

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfgans.data.arrays import load_numpy
from tfgans.data.source import BrokenImage, DataError, Images, as_labels

FILE_NAME = re.compile(
    r"(?P<name>.+?)(-r(?P<level>\d\d))?(-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?\.tfrecords?",
    re.DOTALL | re.IGNORECASE,
)
DTYPES = {1: "uint8", 2: "<u2", 4: "<f4"}  # bytes per value -> type


class RecordImages(Images):
    """The records of one TFRecord file, or of all shards of a set.

    Opening reads only the headers of the records (12 bytes each).

    Args:
        path: A file, or a folder with one set. Its highest resolution is read.
    """

    def __init__(self, path, value_range=None):
        self.paths = [path] if path.is_file() else _pick(path)
        self.views, files, spans = [], [], []
        for number, file in enumerate(self.paths):
            view = _map(file)
            found = record_spans(view, file)
            self.views.append(view)
            files += [number] * len(found)
            spans += found
        self.files, self.spans = np.array(files), np.array(spans)  # [n], [n, 2]
        self.firsts = np.searchsorted(self.files, np.arange(len(self.paths)))
        self.survey(path, value_range)

    def __len__(self):
        return len(self.spans)

    def _features(self, i):
        """Returns name -> serialized tf.train.Feature of record i."""
        start, end = self.spans[i]
        try:
            return dict(_entries(self.views[self.files[i]][start:end]))
        except Exception as error:  # parsers raise anything on arbitrary bytes
            raise BrokenImage(self.describe(i), "not a tf.train.Example") from error

    def _shape_and_data(self, i):
        features = self._features(i)
        try:
            shape = tf.train.Feature.FromString(bytes(features["shape"])).int64_list.value
            channels, height, width = shape
            if min(shape) < 1:
                raise ValueError("sides of an image are at least 1")
            # Feature.bytes_list.value[0], without copying it
            data = dict(_fields(dict(_fields(features["data"]))[1]))[1]
            dtype = np.dtype(DTYPES[len(data) / (channels * height * width)])
        except Exception as error:  # parsers raise anything on arbitrary bytes
            raise BrokenImage(
                self.describe(i), "no `shape` [channels, height, width] with `data` of that size"
            ) from error
        return (channels, height, width), data, dtype

    def header(self, i):
        (channels, height, width), _, dtype = self._shape_and_data(i)
        return height, width, channels, dtype

    def read(self, i):
        shape, data, dtype = self._shape_and_data(i)
        return np.stack(np.frombuffer(data, dtype).reshape(shape), axis=-1)

    def describe(self, i):
        number = self.files[i]
        return f"{self.paths[number]} record {i - self.firsts[number]}"

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        match = FILE_NAME.fullmatch(self.paths[0].name)
        labels_path = self.paths[0].with_name(f"{match['name']}-rxx.labels")
        if match["level"] and labels_path.exists():
            given = load_numpy(labels_path)
            labels, self.label_width = as_labels(given, len(self), str(labels_path))
            return labels
        found = []
        for i in range(len(self)):
            label = self._label(i)
            if label == [] and any(found):
                raise DataError(f"{self.describe(i)} has no label.", "Write the set again.")
            if label == []:
                return None
            found.append(label)
        placeholder = next(filter(None, found), None)  # stands in for labels of broken records
        if placeholder is None:
            return None
        found = [label or placeholder for label in found]
        labels, self.label_width = as_labels(found, len(self), str(self.path))
        return labels

    def _label(self, i):
        """Returns the label of record i as a list, [] without a label, None for a broken record."""
        try:
            label = self._features(i).get("label", b"")
            feature = tf.train.Feature.FromString(bytes(label))
        except (BrokenImage, DecodeError):
            return None
        return list(feature.int64_list.value) or list(feature.float_list.value)


def _pick(folder):
    """Returns the files of the only set in a folder, at its highest resolution, in order."""
    sets = {}
    for path in sorted(folder.iterdir()):
        match = FILE_NAME.fullmatch(path.name)
        if match and not path.name.startswith("validation-"):
            sets.setdefault(match["name"], []).append((match["level"] or "", path, match))
    if len(sets) != 1:
        raise DataError(
            f"{folder} holds TFRecords of {len(sets)} sets: {', '.join(sets)}.",
            "Give the path of one file, or move each set to its own folder.",
        )
    (files,) = sets.values()
    highest = max(level for level, _, _ in files)
    chosen = [(path, match) for level, path, match in files if level == highest]
    shards = chosen[0][1]["shards"]
    if shards is not None and len(chosen) != int(shards):
        raise DataError(
            f"{folder} holds {len(chosen)} of the {int(shards)} shards of the set.",
            "Copy the missing files, or write the set again.",
        )
    return [path for path, _ in chosen]


def _map(path):
    if path.stat().st_size == 0:  # mmap refuses an empty file
        return memoryview(b"")
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def record_spans(view: memoryview, path: pathlib.Path) -> list:
    """Returns (start, end) of the data of each record in a TFRecord file.

    A record is: length (8 bytes, little-endian), checksum (4), data, checksum (4).
    """
    spans, position = [], 0
    while position < len(view):
        start = position + 12
        if start <= len(view):
            length, checksum = struct.unpack_from("<QI", view, position)
            position = start + length + 4
            if length == checksum == 0:  # no record has the checksum 0
                raise DataError(
                    f"{path} holds zeros from record {len(spans)} on.", "Copy it again."
                )
        if start > len(view) or position > len(view):
            raise DataError(
                f"{path} ends in the middle of record {len(spans)}: it is truncated, compressed, "
                "or not a TFRecord file.",
                "Copy or write it again, uncompressed.",
            )
        spans.append((start, start + length))
    return spans


def _fields(message):
    """Yields (number, bytes) for each field of a protocol buffer; all must be length-delimited."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        size, position = _varint(message, position)
        if key & 7 != 2 or position + size > len(message):
            raise ValueError("not a protocol buffer of length-delimited fields")
        yield key >> 3, message[position : position + size]
        position += size


def _varint(message, position):
    """Reads an integer in 7-bit groups, lowest first; the eighth bit means that more follow."""
    value, shift = 0, 0
    while True:
        byte = message[position]
        if shift > 63:
            raise ValueError("an integer of more than 64 bits")
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position


def _entries(example):
    """Yields (name, serialized Feature) of an Example { Features { map<string, Feature> } }."""
    for _, features in _fields(example):
        for _, entry in _fields(features):
            pair = dict(_fields(entry))
            yield bytes(pair[1]).decode(), pair[2]
