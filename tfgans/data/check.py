"""`check`: reads every image of a set and lists the problems and their fixes."""

import collections
import dataclasses
import hashlib
import pathlib

import numpy as np
import tensorflow as tf

from tfgans.data.audio import SoundFiles, folders_of_speech, open_pair, pairs_of_files
from tfgans.data.check_films import holds_films, problems_of_films
from tfgans.data.endings import ends
from tfgans.data.files import FileImages, FolderImages, ZipImages, files_in
from tfgans.data.opening import open_images
from tfgans.data.records import RecordImages
from tfgans.data.rewrite import holds
from tfgans.data.source import BrokenImage, DataError, Images, in_parallel
from tfgans.data.tokens import token
from tfgans.data.waves import WAV, BrokenSound, WaveFile
from tfgans.errors import command, quoted

PART = 2**20  # samples of a sound that are read at once


@dataclasses.dataclass
class Finding:
    """One problem of a set.

    Args:
        name: Name of the file or image, or of the set.
        problem: A sentence.
        fix: A sentence: the remedy.
    """

    name: str
    problem: str
    fix: str


def check(path, value_range: tuple | None = None, films: bool = False) -> list[Finding]:
    """Reads every image of a set and returns a list of problems.

    It finds unreadable images; sizes, numbers of channels and bit depths that differ from most;
    identical images; values that are NaN or out of range; damaged records; labels without images
    and images without labels; and files that are not images. In a text file of tokens it finds
    words that are not tokens, and lines that are empty or differ in length from most. In a folder
    of WAV files it finds broken ones, other rates than that of most, and pairs that do not fit. In
    films it finds broken ones, other sizes than that of most, and broken files of flow.

    Args:
        path: A set of images, see `open_images`; a text file of tokens (.txt); a folder of WAV
            files; or a set of films.
        value_range: (lowest, highest) pixel value; needed for arrays of floats only.
        films: Folders of images are films. MP4 files and moving GIFs always are.
    """
    if pathlib.Path(path).suffix == ".txt":
        return list(_sequences(pathlib.Path(path)))
    folder = pathlib.Path(path).expanduser()
    if folder.is_dir() and any(ends(name, WAV) for name in files_in(folder)):
        return list(_sounds(folder))
    if films or folder.is_dir() and holds_films(folder):
        return [Finding(*problem) for problem in problems_of_films(path)]
    try:
        source = open_images(path, value_range)
    except DataError as error:
        return [Finding(str(path), error.problem, error.fix)]
    facts = list(in_parallel(lambda i: _look_at(source, i), range(len(source))))
    return [
        *_unreadable(source, facts),
        *_sizes(source, facts),
        *_channels(source, facts),
        *_depths(source, facts),
        *_duplicates(source, facts),
        *_values(source, facts),
        *_labels(source),
        *_checksums(source),
        *_strangers(source),
    ]


def _sequences(path):
    try:
        lines = enumerate(map(str.split, path.read_text("utf-8-sig").splitlines()), 1)
        lines = [(number, words) for number, words in lines if words]  # as training reads them
    except (OSError, UnicodeDecodeError) as error:
        yield Finding(str(path), f"cannot be read: {error}", "give a text file of numbers")
        return
    lengths = collections.Counter(len(words) for _, words in lines)
    commonest = lengths.most_common(1)[0][0] if lengths else 0
    for number, words in lines:
        name = f"{path}, line {number}"
        try:
            for word in words:
                token(word, path, number)
        except DataError:
            yield Finding(name, f"{word!r} is not a token", "number the words of the text from 0")
        if len(words) != commonest:
            yield Finding(
                name,
                f"{len(words)} tokens; {lengths[commonest]} of {len(lines)} lines have {commonest}",
                "cut or pad it, or leave it: training skips it",
            )
    if not lines:
        yield Finding(str(path), "holds no tokens", "put one sequence of integers on each line")


def _sounds(path):
    """The problems of the WAV files of a folder, and of its pairs of clean and noisy speech."""
    rates, again = {}, "replace it with an intact copy"
    for name in SoundFiles(path).names:
        try:
            sound = WaveFile(path / name)
            for start in range(0, sound.frames, PART):
                sound.read(start, min(PART, sound.frames - start))
            rates[name] = sound.own_rate
        except BrokenSound as error:
            yield Finding(error.name, f"cannot be read: {error.reason}", again)
    counts = collections.Counter(rates.values())
    common, count = counts.most_common(1)[0] if counts else (0, 0)
    for name, rate in rates.items():
        if rate != common:
            problem = f"{rate} samples per second; {count} of {len(rates)} sounds have {common}"
            yield Finding(str(path / name), problem, "leave it: training resamples each time")
    try:
        pairs = pairs_of_files(*folders_of_speech(path))
    except DataError as error:
        yield Finding(str(path), error.problem, error.fix)
        return
    for pair in pairs:
        if all(str(file.relative_to(path)) in rates for file in pair):  # else it is listed already
            try:
                open_pair(*pair)
            except BrokenSound as error:
                yield Finding(error.name, error.reason, again)


def _look_at(source: Images, i):
    """Returns the facts about image i that the checks need, or the error if it is broken."""
    try:
        depth = source.header(i)[3]
        image = source.read(i)
    except BrokenImage as error:
        return error
    low, high = source.value_range
    return {
        "size": image.shape[:2],
        "channels": image.shape[2],
        "bits": 8 * np.dtype(depth).itemsize,
        "hash": hashlib.blake2b(repr(image.shape).encode() + image.tobytes()).digest(),
        "in_range": bool(np.all((image >= low) & (image <= high))),  # False for NaN
    }


def _removal(source, i):
    if isinstance(source, FolderImages):
        return f"rm {quoted(source.describe(i))}"
    if isinstance(source, ZipImages):
        entry = source.entries[source.names[i]]
        return f"zip -d {quoted(source.path)} {quoted(entry)}"
    return "write the set again without it"


def _unreadable(source, facts):
    for i, fact in enumerate(facts):
        if isinstance(fact, BrokenImage):
            yield Finding(
                source.describe(i),
                f"cannot be read: {fact.reason}",
                f"replace it with an intact copy, or remove it: {_removal(source, i)}",
            )


def _minority(facts, key):
    """Returns the most common value, its share as text ("3 of 4"), and (i, value) of the others."""
    values = [(i, fact[key]) for i, fact in enumerate(facts) if isinstance(fact, dict)]
    if not values:
        return None, "", []
    common, count = collections.Counter(value for _, value in values).most_common(1)[0]
    others = [(i, value) for i, value in values if value != common]
    return common, f"{count} of {len(values)}", others


def _sizes(source, facts):
    common, share, others = _minority(facts, "size")
    if not others:
        return
    (height, width), path = common, pathlib.Path(source.path)
    out = path.with_name(f"{path.stem}-{height}x{width}")
    fix = (
        f"training crops and resizes each time; to do it only once: {command('data')} pack "
        f"{quoted(path)} {quoted(out)} --size {height} {width}"
    )
    most = f"{height}x{width} pixels (height x width)"
    if len(others) >= len(facts) / 2:  # a set without a common size
        yield Finding(str(path), f"sizes differ; {share} images have {most}, the most common", fix)
        return
    for i, (height, width) in others:
        yield Finding(source.describe(i), f"has {height}x{width}; {share} images have {most}", fix)


def _channels(source, facts):
    common, share, others = _minority(facts, "channels")
    for i, channels in others:
        yield Finding(
            source.describe(i),
            f"number of channels is {channels}; {share} images have {common}",
            _rewriting(source, i, common, facts[i]["bits"], f"--channels {common}"),
        )


def _depths(source, facts):
    common, share, others = _minority(facts, "bits")
    for i, bits in others:
        yield Finding(
            source.describe(i),
            f"has {bits} bits per channel; {share} images have {common}",
            _rewriting(source, i, facts[i]["channels"], common, f"--bits {common}"),
        )


def _rewriting(source, i, channels, bits, options):
    """The command that writes an image again, or words where its format cannot hold the result."""
    if isinstance(source, FolderImages) and holds(source.describe(i), channels, bits):
        return f"{command('data')} rewrite {quoted(source.describe(i))} {options}"
    return "training converts it each time; to do it only once, write it again like the others"


def _duplicates(source, facts):
    first = {}
    for i, fact in enumerate(facts):
        if isinstance(fact, dict):
            original = first.setdefault(fact["hash"], i)
            if original != i:
                yield Finding(
                    source.describe(i),
                    f"has the same pixels as {source.describe(original)}",
                    _removal(source, i),
                )


def _values(source, facts):
    low, high = source.value_range
    for i, fact in enumerate(facts):
        if isinstance(fact, dict) and not fact["in_range"]:
            yield Finding(
                source.describe(i),
                f"holds values outside {low:g} to {high:g}, or NaN",
                "correct data.value_range, or the image",
            )


def _labels(source):
    try:
        if isinstance(source, FileImages) and source.table:
            yield from _table(source)
            if set(source.keys) - source.table.keys():
                return  # the images without labels are listed already
        _ = source.labels  # reads them
    except DataError as error:
        yield Finding(str(source.path), error.problem, error.fix)
    except BrokenImage as error:
        yield Finding(error.name, error.reason, "write the labels again")


def _table(source):
    """Compares dataset.json with the images."""
    for key in sorted(source.table.keys() - set(source.keys)):
        yield Finding(
            key,
            f"has a label in {source.table_name}, but is not an image of the set",
            f"add the image, or delete its entry in {source.table_name}",
        )
    for key in sorted(set(source.keys) - source.table.keys()):
        yield Finding(
            key,
            f"has no label in {source.table_name}",
            f'add an entry ["{key}", LABEL] to {source.table_name}, or remove the image',
        )


def _checksums(source):
    if isinstance(source, RecordImages):
        for path in source.paths:
            try:
                for _ in tf.data.TFRecordDataset(str(path)):
                    pass
            except tf.errors.DataLossError as error:
                yield Finding(str(path), f"damaged: {error.message}", "copy or write it again")


def _strangers(source):
    if isinstance(source, FileImages):
        for name in source.others:
            yield Finding(source.locate(name), "is not an image", f"move it out of {source.path}")
