"""Measures of enhanced speech beside the clean speech: SI-SDR and segmental SNR."""

import numpy as np

FRAME, LEAST, MOST = 0.03, -10.0, 35.0  # seconds; decibels between which a frame counts
TINY = 1e-10


def si_sdr(found, clean) -> float:
    """The scale-invariant ratio of signal to distortion, in dB: the higher, the better.

    The part of `found` along `clean` is the signal, the rest is distortion (Le Roux et al., ICASSP
    2019, arXiv:1811.02508, eq. 3). A gain changes nothing.

    Args:
        found: The enhanced wave, [T].
        clean: The clean wave, [T], not silent.
    """
    found, clean = (np.asarray(wave, "float64") for wave in (found, clean))
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
        rate: Samples per second.
    """
    found, clean = (np.asarray(wave, "float64") for wave in (found, clean))
    size = int(FRAME * rate)
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, size + 1) / (size + 1)))
    frames = [
        np.lib.stride_tricks.sliding_window_view(wave, size)[:: size // 4] * window
        for wave in (clean, clean - found)
    ]
    signal, error = (np.square(part).sum(axis=1) for part in frames)
    ratios = 10 * np.log10(signal / (error + TINY) + TINY)
    return float(np.clip(ratios, LEAST, MOST).mean())
