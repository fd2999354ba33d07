"""Measures of speech: numbers known beforehand."""

import numpy as np
import pytest

from tfgans.metrics.speech import segmental_snr, si_sdr

KEYS = np.random.RandomState(0)


def orthogonal(clean):
    """Noise without a part along a wave, of its power."""
    noise = KEYS.standard_normal(len(clean))
    noise -= noise @ clean / (clean @ clean) * clean
    return noise * np.sqrt((clean @ clean) / (noise @ noise))


def test_si_sdr():
    """Orthogonal noise of a tenth of the power is 10 dB, whatever the gain and the sign."""
    clean = KEYS.standard_normal(4000)
    noise = orthogonal(clean)
    for gain in (1.0, 0.25, -3.0):
        found = gain * (clean + np.sqrt(0.1) * noise)
        assert si_sdr(found, clean) == pytest.approx(10.0, abs=1e-6)
    assert si_sdr(0.5 * clean, clean) > 100
    assert si_sdr(noise, clean) < -80


def test_segmental_snr():
    """An error of a tenth of the wave is 20 dB in each frame; frames are clipped one by one."""
    clean = KEYS.standard_normal(16_000)
    assert segmental_snr(1.1 * clean, clean, 16_000) == pytest.approx(20.0, abs=1e-3)
    assert segmental_snr(clean, clean, 16_000) == 35.0
    assert segmental_snr(-9.0 * clean, clean, 16_000) == -10.0
    half = clean.copy()
    half[8000:] *= 1.1  # 35 dB, then 20 dB: a mean over frames, not over power
    assert segmental_snr(half, clean, 16_000) == pytest.approx(27.5, abs=0.3)
    assert segmental_snr(half, clean, 16_000) < 10 * np.log10(clean @ clean / (
        (half - clean) @ (half - clean))) + 5  # fmt: skip
    silent = np.zeros(16_000)
    assert segmental_snr(silent + 0.1, silent, 16_000) == -10.0
