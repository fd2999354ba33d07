"""Synthetic speech, whose clean sound is known exactly: voices that sing syllables, and noise.

A voice is a sum of 3 to 8 harmonics of a pitch that glides between 100 and 300 Hz. Its syllables
begin and end softly, with silence in between, and each weighs the harmonics by two formants, as
vowels do. The noise is white, pink, a babble of tones or a hum, and has a signal-to-noise ratio
over the whole utterance of its own.
"""

import functools

import numpy as np

NOISES = ("white", "pink", "babble", "hum")
DECIBELS = (15.0, 10.0, 5.0, 0.0)  # of the noise, as in SEGAN's training
TEST_DECIBELS = (17.5, 12.5, 7.5, 2.5)  # as in its test
PITCH = (100.0, 300.0)  # Hz
LOUDEST = 0.95


class SyntheticSpeech:
    """Utterances with noise and without: a source of the data kind "audio".

    Args:
        rate: Samples per second.
        length: Samples of each utterance.
        first: Number of the first utterance.
        count: Number of utterances. The last 512 that were used are kept.
        decibels: Ratios of clean sound to noise, of which each utterance has one.
    """

    path, failure = "synthetic", None

    def __init__(self, rate, length, first=0, count=512, decibels=DECIBELS):
        self.rate, self.first, self.decibels = rate, first, decibels
        self.lengths = np.full(count, length)
        self.kept = functools.lru_cache(maxsize=512)(self.make)

    def __len__(self):
        return len(self.lengths)

    def make(self, i):
        """The whole utterance i: noisy and clean, float32."""
        keys = np.random.default_rng([self.first + i])
        length = int(self.lengths[i])
        clean = voice(keys, length, self.rate)
        noise = noises(keys, self.kind(i), length, self.rate)
        ratio = 10 ** (self.decibels_of(i) / 10)
        noise *= np.sqrt(np.mean(clean**2) / (ratio * np.mean(noise**2)))
        level = LOUDEST / max(np.abs(clean + noise).max(), LOUDEST)
        return tuple((level * wave).astype("float32") for wave in (clean + noise, clean))

    def kind(self, i):
        """The noise of utterance i. All kinds meet all ratios."""
        return NOISES[(self.first + i) % len(NOISES)]

    def decibels_of(self, i):
        return self.decibels[(self.first + i) // len(NOISES) % len(self.decibels)]

    def read(self, i, start, count):
        """A part of utterance i: noisy and clean, float32 [count] each, in [-1, 1]."""
        return tuple(wave[start : start + count] for wave in self.kept(i))

    def describe(self, i):
        return f"synthetic utterance {self.first + i}"


def voice(keys, length, rate) -> np.ndarray:
    """A voice that speaks syllables, [length], with its loudest point between 0.3 and 0.7.

    Args:
        keys: NumPy generator.
        length: Samples.
        rate: Samples per second.
    """
    time = np.arange(length) / rate
    low, high = np.sort(keys.uniform(*PITCH, 2))
    middle, swing = (low + high) / 2, (high - low) / 2
    pitch = middle + swing * np.sin(2 * np.pi * (keys.uniform(0.5, 2) * time + keys.uniform()))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    harmonics = keys.integers(3, 8, endpoint=True)
    wave, begin = np.zeros(length), 0.0
    while begin < time[-1] or begin == 0.0:
        spoken, silence = keys.uniform(0.12, 0.35), keys.uniform(0.03, 0.15)
        first_formant, second_formant = keys.uniform(250, 800), keys.uniform(900, 2200)
        part = slice(int(begin * rate), int((begin + spoken) * rate))
        inside = np.minimum(time[part] - begin, begin + spoken - time[part]) / 0.03  # 30 ms
        envelope = keys.uniform(0.4, 1) * np.sin(np.pi / 2 * np.clip(inside, 0, 1)) ** 2
        for k in range(1, harmonics + 1):
            tone = k * pitch[part]
            weight = np.exp(-(((tone - first_formant) / 200) ** 2)) + 0.15 / k
            weight += 0.5 * np.exp(-(((tone - second_formant) / 300) ** 2))
            wave[part] += envelope * weight * np.sin(k * phase[part] + k)
        begin += spoken + silence
    return keys.uniform(0.3, 0.7) * wave / (np.abs(wave).max() or 1.0)


def noises(keys, kind, length, rate) -> np.ndarray:
    """Noise of a kind of `NOISES`, [length]; its power has no meaning."""
    time = np.arange(length) / rate
    if kind == "white":
        return keys.standard_normal(length)
    if kind == "pink":  # a power of 1 / f
        spectrum = np.fft.rfft(keys.standard_normal(length))
        return np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1.0), length)
    if kind == "hum":
        base = keys.uniform(45, 65)
        tones = base * np.arange(1, 9) ** 1.0
        loud = 1 / np.arange(1, 9) ** 0.7
        swell = 1 + 0.3 * np.sin(2 * np.pi * keys.uniform(0.5, 3) * time)
        hum = loud @ np.sin(2 * np.pi * (np.outer(tones, time) + keys.uniform(size=[8, 1])))
        return swell * hum + 0.1 * keys.standard_normal(length)
    tones = keys.uniform(150, 3500, [12, 1])
    swells = np.sin(np.pi * (keys.uniform(0.5, 4, [12, 1]) * time + keys.uniform(size=[12, 1])))
    return (swells * np.sin(2 * np.pi * (tones * time + keys.uniform(size=[12, 1])))).sum(axis=0)
