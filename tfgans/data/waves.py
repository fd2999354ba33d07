"""WAV files, read and written in parts: a long one never lies in memory as a whole.

They hold 8, 16, 24 or 32 bits, or floats; of several channels the mean is taken. (SciPy's reader
loads 24 bits as a whole, that of Python knows no floats.) Another rate is resampled by SciPy's
polyphase filter, part by part with the same result as for the whole file.

A wave in [-1, 1] is 2 / 65535 (x - 32767) + 1 of 16 bits, as in the code of SEGAN: -32768 is -1 and
32767 is 1. The other formats are brought to the scale of 16 bits first.
"""

import math
import pathlib
import struct
import wave

import numpy as np

from tfgans.data.source import BrokenImage

WAV = (".wav", ".wave")
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # formats
TYPES = {  # format and bits -> type of a stored sample, which 24 bits have not
    (PCM, 8): "u1",
    (PCM, 16): "<i2",
    (PCM, 24): None,
    (PCM, 32): "<i4",
    (FLOAT, 32): "<f4",
    (FLOAT, 64): "<f8",
}
RATES = (1, 768_000)
REACH = 10  # of SciPy's filter to each side, in samples of the lower rate


class BrokenSound(BrokenImage):
    """One sound cannot be read. The other sounds of its set may be intact."""


class WaveFile:
    """A WAV file as a wave of one channel.

    Args:
        path: Path of the file.
        rate: Samples per second of what `read` returns; those of the file without it.

    Attributes:
        own_rate: Samples per second of the file.
        length: Samples of the whole, at `rate`.

    Raises:
        BrokenSound: It is no WAV file, is damaged, or is of an unknown kind.
    """

    def __init__(self, path, rate=None):
        self.path = path
        try:
            with open(path, "rb") as file:
                self.parse(file)
        except (OSError, struct.error) as error:
            reason = getattr(error, "strerror", None) or "its header ends too early"
            raise BrokenSound(str(path), reason) from error
        self.rate = rate or self.own_rate
        common = math.gcd(self.rate, self.own_rate)
        self.up, self.down = self.rate // common, self.own_rate // common
        self.length = -(-self.frames * self.up // self.down)

    def broken(self, reason):
        return BrokenSound(str(self.path), reason)

    def parse(self, file):
        """Reads the header: format, and place and size of the samples."""
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(12)
        if start[:4] != b"RIFF" or start[8:] != b"WAVE":
            raise self.broken("no WAV file: it does not begin with RIFF and WAVE")
        found = None
        while True:
            name, length = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                break
            body = file.tell()
            if name == b"fmt ":
                found = file.read(min(length, 40))
            file.seek(body + length + length % 2)  # parts begin at even places
        if found is None:
            raise self.broken("its header does not tell the format of the samples")
        kind, self.channels, self.own_rate, _, self.block, bits = struct.unpack(
            "<HHIIHH", found[:16]
        )
        if kind == EXTENSIBLE:
            (kind,) = struct.unpack("<H", found[24:26])
        if (kind, bits) not in TYPES:
            raise self.broken(
                f"format {kind} with {bits} bits; wanted are 8, 16, 24 or 32 bits, or floats"
            )
        if not self.channels or self.block != self.channels * bits // 8:
            raise self.broken(f"{self.channels} channels in {self.block} bytes of {bits} bits")
        if not RATES[0] <= self.own_rate <= RATES[1]:
            raise self.broken(f"{self.own_rate} samples per second")
        self.type, self.is_float, self.start = TYPES[kind, bits], kind == FLOAT, file.tell()
        there = size - self.start
        if length in (0, 2**32 - 1):  # of a program that did not know the length yet
            length = there
        if length > there:
            raise self.broken(f"its header tells of {length} bytes of sound, and {there} are there")
        self.frames = length // self.block

    def read(self, start, count) -> np.ndarray:
        """A part of the wave, float32 [count] in [-1, 1].

        Args:
            start: Its first sample, at `rate`.
            count: Number of samples; together at most `length`.

        Raises:
            BrokenSound: The file has changed, or holds a number that is not finite.
        """
        return to_wave(self.resampled(start, count))

    def resampled(self, start, count):
        """A part on the scale of 16 bits, at `rate`."""
        if self.up == self.down:
            return self.stored(start, count)
        from scipy import signal  # takes half a second to import

        margin = REACH * max(self.up, self.down) // self.up + 2
        # A multiple of `down`, so that the results fall on the same places as for the whole file.
        first = max(start * self.down // self.up - margin, 0) // self.down * self.down
        last = min(-(-(start + count) * self.down // self.up) + margin, self.frames)
        found = signal.resample_poly(self.stored(first, last - first), self.up, self.down)
        skipped = start - first * self.up // self.down
        return found[skipped : skipped + count]

    def stored(self, start, count):
        """Stored samples as the mean of the channels, on the scale of 16 bits, float64 [count]."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.start + start * self.block)
                data = file.read(count * self.block)
        except OSError as error:
            raise self.broken(error.strerror) from error
        if len(data) < count * self.block:
            raise self.broken(f"it ends before sample {start + count}")
        if self.type is None:  # 24 bits become the upper three bytes of 32
            wide = np.zeros([count * self.channels, 4], "u1")
            wide[:, 1:] = np.frombuffer(data, "u1").reshape(-1, 3)
            x = wide.view("<i4")[:, 0] / 2.0**16
        else:
            x = np.frombuffer(data, self.type).astype("float64")
            if self.is_float:
                x = x * 2.0**15
            elif self.type == "u1":
                x = (x - 128.0) * 2.0**8
            elif self.type == "<i4":
                x = x / 2.0**16
        if not np.isfinite(x).all():
            raise self.broken("it holds numbers that are not finite")
        return x.reshape(count, self.channels).mean(axis=1)


def to_wave(x) -> np.ndarray:
    """Samples on the scale of 16 bits -> float32 in [-1, 1]."""
    return np.clip(2.0 / 65535.0 * (np.asarray(x, "float64") - 32767.0) + 1.0, -1, 1).astype(
        "float32"
    )


def to_int16(wave) -> np.ndarray:
    """A wave in [-1, 1] -> 16 bits, the inverse of `to_wave`; values outside are clipped."""
    x = (np.asarray(wave, "float64") - 1.0) * 65535.0 / 2.0 + 32767.0
    return np.clip(np.rint(x), -32768, 32767).astype("<i2")


def write_wave(path, parts, rate):
    """Writes a wave as 16 bits of one channel.

    Args:
        path: Path of the file.
        parts: Its parts, an iterable of [n] in [-1, 1].
        rate: Samples per second.
    """
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            for part in parts:
                file.writeframes(to_int16(part).tobytes())
    except BaseException:  # half a file would seem to be a whole one
        pathlib.Path(path).unlink(missing_ok=True)
        raise
