"""Measures of enhanced speech beside the clean speech: SI-SDR and segmental SNR."""

import numpy as np

from tfgans.errors import BadInput

FRAME, LEAST, MOST = 0.03, -10.0, 35.0  # seconds; decibels between which a frame counts
TINY = 1e-10


def si_sdr(found, clean) -> float:
    """The scale-invariant ratio of signal to distortion, in dB: the higher, the better.

    The part of `found` along `clean` is the signal, the rest is distortion (Le Roux et al., ICASSP
    2019, arXiv:1811.02508, eq. 3). A gain changes nothing.

    Args:
        found: The enhanced wave, [T].
        clean: The clean wave, [T], not silent.

    Raises:
        BadInput: The waves differ in length, or the clean one is silent.
    """
    found, clean = wave_pair(found, clean)
    if not clean.any():
        raise BadInput("The clean wave is silent, so no part of the other one is its signal.")
    signal = found @ clean / (clean @ clean) * clean
    distortion = found - signal
    return float(10 * np.log10((signal @ signal + TINY) / (distortion @ distortion + TINY)))


def segmental_snr(found, clean, rate) -> float:
    """The mean over frames of the ratio of the clean wave to the error, in dB.

    Frames of 30 ms with a Hann window begin every quarter of a frame; each counts between -10 and
    35 dB (Hansen & Pellom, ICSLP 1998, no arXiv).

    Args:
        found: The enhanced wave, [T].
        clean: The clean wave, [T], at least one frame long.
        rate: Samples per second, at least 134, so that a quarter of a frame is a sample.

    Raises:
        BadInput: The waves differ in length, they are shorter than a frame, or the rate is too low.
    """
    found, clean = wave_pair(found, clean)
    size = int(FRAME * rate)
    if size < 4 or len(clean) < size:
        raise BadInput(
            f"The segmental SNR has frames of {FRAME} seconds, {size} samples at a rate of {rate}: "
            f"wanted at least 4 samples in a frame and a frame in a wave, which has {len(clean)} "
            "samples. Give longer waves, or their true rate."
        )
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, size + 1) / (size + 1)))
    frames = [
        np.lib.stride_tricks.sliding_window_view(wave, size)[:: size // 4] * window
        for wave in (clean, clean - found)
    ]
    signal, error = (np.square(part).sum(axis=1) for part in frames)
    ratios = 10 * np.log10(signal / (error + TINY) + TINY)
    return float(np.clip(ratios, LEAST, MOST).mean())


def wave_pair(found, clean) -> tuple:
    """Both waves in float64. Raises BadInput where they are not [T] of one length."""
    found, clean = (np.asarray(wave, "float64") for wave in (found, clean))
    if clean.ndim != 1 or found.shape != clean.shape:
        raise BadInput(f"Wanted two waves [T] of one length, not {found.shape} and {clean.shape}.")
    return found, clean
