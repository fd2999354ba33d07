"""The data kind "audio": speech with noise and the same speech without, in windows.

A set has two folders of WAV files of the same names:

    clean_trainset_wav/  noisy_trainset_wav/     Voice Bank; 28spk or 16k may stand in the names
    clean/               noisy/                  or inside of train/

Formats are those of `waves.py`. A file of another rate is resampled while it is read, and a line
says so. Windows overlap by half; the rest of a file that fills no window is left out, and so are
files that are shorter than a window. Only the samples of a window are read from its file.
"""

import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tfgans.data.convert import aligned
from tfgans.data.endings import ends
from tfgans.data.files import files_in
from tfgans.data.images import read_whole
from tfgans.data.layouts import match
from tfgans.data.settings import Data
from tfgans.data.source import DataError, in_parallel
from tfgans.data.speech import SyntheticSpeech
from tfgans.data.waves import WAV, BrokenSound, WaveFile

WANTED = (
    "Wanted: two folders clean and noisy, or clean_trainset_wav and noisy_trainset_wav, with WAV "
    "files of the same names."
)


class SoundFiles:
    """The WAV files of a folder, at any depth, in sorted order.

    Args:
        path: The folder.
        wanted: Advice where there are none.

    Attributes:
        names: Their names, relative to the folder.
        others: The other files.
    """

    def __init__(self, path, wanted=WANTED):
        self.path, found = path, [n for n in files_in(path) if not n.rpartition("/")[2][0] == "."]
        self.names = sorted(name for name in found if ends(name, WAV))
        self.others = sorted({*found} - {*self.names})
        if not self.names:
            more = f" (but {len(self.others)} other files)" if self.others else ""
            raise DataError(f"No WAV files in {path}{more}.", wanted)


def sounds(path) -> tuple:
    """The root and the names below it of a WAV file, or of all in a folder.

    Raises:
        DataError: There are none.
        FileNotFoundError: There is no such path.
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}.")
    if path.is_dir():
        return path, SoundFiles(path, "Wanted: WAV files, at any depth.").names
    if not ends(path, WAV):
        raise DataError(f"{path} is no WAV file.", "Convert it, for example with ffmpeg.")
    return path.parent, [path.name]


class Speech:
    """Pairs of WAV files.

    Args:
        noisy: Folder of the files with noise.
        clean: Folder of those without.
        rate: Samples per second of the result.
        broken: "skip" reports a broken pair and leaves it out, "fail" raises its error.

    Attributes:
        lengths: Samples of each pair, at this rate.

    Raises:
        DataError: A file has no partner, or no pair is intact.
        BrokenSound: `broken` is "fail" and a pair is broken.
    """

    failure = None  # see `Images`

    def __init__(self, noisy, clean, rate, broken="skip"):
        self.path, self.rate = pathlib.Path(noisy).parent, rate
        self.pairs, problems, files = [], [], pairs_of_files(noisy, clean)

        def opened(i):
            try:
                return open_pair(*files[i], rate)
            except BrokenSound as error:
                return error

        for found in in_parallel(opened, range(len(files))):
            (problems if isinstance(found, BrokenSound) else self.pairs).append(found)
        for problem in problems:
            if broken == "fail":
                raise problem
            print(f"skipped broken sound {problem}")
        if not self.pairs:
            raise DataError(
                f"All {len(problems)} pairs of {self.path} are broken, the first one: "
                f"{problems[0]}.",
                "Replace them with intact copies.",
            )
        self.lengths = np.array([pair[0].length for pair in self.pairs])
        self.report_rates()

    def report_rates(self):
        """Prints that files are resampled, if they are."""
        others = sorted({pair[0].own_rate for pair in self.pairs} - {self.rate})
        if others:
            count = sum(pair[0].own_rate != self.rate for pair in self.pairs)
            print(
                f"{count} of {len(self)} sounds of {self.path} have "
                f"{', '.join(map(str, others))} samples per second; they are resampled to "
                f"{self.rate}."
            )

    def __len__(self):
        return len(self.pairs)

    def read(self, i, start, count):
        """A part of pair i: noisy and clean, float32 [count] each, in [-1, 1]."""
        return tuple(sound.read(start, count) for sound in self.pairs[i])

    def describe(self, i):
        return str(self.pairs[i][0].path)


def pairs_of_files(noisy, clean) -> list:
    """The files of two folders as (noisy, clean). Raises DataError for one without a partner."""
    folders = SoundFiles(noisy), SoundFiles(clean)
    match(*folders, noun="sound")
    names = zip(*(folder.names for folder in folders), strict=True)
    return [(noisy / one, clean / other) for one, other in names]


def open_pair(noisy, clean, rate=None) -> tuple:
    """Opens two files. Raises BrokenSound for a broken one, or where they do not fit."""
    pair = WaveFile(noisy, rate), WaveFile(clean, rate)
    for word, values in (
        ("samples", [sound.frames for sound in pair]),
        ("samples per second", [sound.own_rate for sound in pair]),
    ):
        if values[0] != values[1]:
            raise BrokenSound(
                str(noisy), f"{values[0]} {word}, and its clean partner has {values[1]}"
            )
    return pair


def open_speech(path, rate, broken="skip") -> Speech:
    """Opens a folder with folders of clean and of noisy speech, see `folders_of_speech`."""
    return Speech(*folders_of_speech(path), rate, broken)


def folders_of_speech(path) -> tuple:
    """The folders of noisy and of clean speech below a path, see the head of this file.

    Raises:
        DataError: There are no two such folders, or several.
    """
    path, found = pathlib.Path(path).expanduser(), {}
    for top in (path, path / "train"):
        entries = sorted(top.iterdir()) if top.is_dir() else []
        folders = {entry.name.lower(): entry for entry in entries if entry.is_dir()}
        for name in folders:
            rest = name.removeprefix("noisy")
            if rest != name and f"clean{rest}" in folders:
                found[f"{top}{rest}"] = folders[name], folders[f"clean{rest}"]
    kept = {key: pair for key, pair in found.items() if "test" not in pair[0].name.lower()} or found
    if len(kept) != 1:
        names = ", ".join(pair[0].name for pair in kept.values())
        several = f" It has several: {names}." if kept else ""
        raise DataError(
            f"{path} has no one folder of noisy speech beside one of clean speech.{several}", WANTED
        )
    return kept.popitem()[1]


def resolve(settings: Data, given: dict, defaults: dict):
    """Opens the data at the model's rate.

    Args:
        settings: Path and options of the data.
        given: The given arguments of the model.
        defaults: All arguments of the model's constructor, with their defaults.
    """
    model = defaults | given
    if settings.path == "synthetic":
        return SyntheticSpeech(model["rate"], max(model["rate"], 2 * model["length"]))
    return open_speech(settings.path, model["rate"], settings.broken)


def signature(model, stage: int) -> dict:
    """Key -> TensorSpec of one example, as a model takes it in a stage."""
    return {name: tf.TensorSpec([model.length, 1]) for name in ("noisy", "clean")}


class Windows:
    """The windows of all sounds, which overlap by half.

    Args:
        source: The set that `resolve` returns.
        length: Samples of a window.

    Raises:
        DataError: No sound is as long as a window.
    """

    noun = "window"

    def __init__(self, source, length):
        self.source, self.length, self.stride = source, length, max(length // 2, 1)
        counts = np.maximum((source.lengths - length) // self.stride + 1, 0)
        self.ends, self.found_broken = np.cumsum(counts), {}
        if not counts.any():
            raise DataError(
                f"The longest sound of {source.path} has {source.lengths.max()} samples, and a "
                f"window of the model {length}.",
                "Use longer sounds.",
            )
        self.short = int((counts == 0).sum())

    def __len__(self):
        return int(self.ends[-1])

    def read(self, i):
        """Window i: noisy and clean, float32 [length] each. Raises `BrokenImage`."""
        sound = int(np.searchsorted(self.ends, i, side="right"))
        before = int(self.ends[sound - 1]) if sound else 0
        return self.source.read(sound, (i - before) * self.stride, self.length)


class Reader:
    """Feeds a model with windows "noisy" and "clean", float32 [length, 1], pre-emphasized.

    Args:
        model: Its length, rate and preemphasis are used.
        source: The set that `resolve` returns.
        config: Its broken is used.

    Raises:
        DataError: No sound is as long as a window.
    """

    unit = "windows"
    real = "clean"
    settings = ()
    draws = 0

    def __init__(self, model, source, config: Data, stage: int):
        self.windows, self.config, self.a = Windows(source, model.length), config, model.preemphasis
        self.signature = signature(model, stage)
        self.pool = ThreadPoolExecutor()
        if self.windows.short and not getattr(source, "short_reported", False):
            source.short_reported = True
            print(
                f"{self.windows.short} of {len(source)} sounds of {source.path} are shorter than "
                f"a window of {model.length} samples, and are left out."
            )

    def read(self, positions, order, draws):
        found = {
            name: aligned([len(positions), *spec.shape]) for name, spec in self.signature.items()
        }

        def fill(place, i):
            waves, _ = read_whole(self.windows, i, self.config.broken)
            for name, wave in zip(found, waves, strict=True):
                found[name][place, :, 0] = wave
                found[name][place, 1:, 0] -= self.a * wave[:-1]  # see `ops/emphasis.py`

        indices = [order(p, len(self.windows)) for p in positions]
        list(self.pool.map(fill, range(len(indices)), indices))
        return found
