"""Measures of speech: numbers known beforehand."""

import numpy as np
import pytest

from tfgans.errors import BadInput
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


def test_waves_of_no_use_are_refused():
    wave = KEYS.standard_normal(1000)
    with pytest.raises(BadInput, match="480 samples at a rate of 16000.*which has 479 samples"):
        segmental_snr(wave[:479], wave[:479], 16_000)
    assert segmental_snr(wave[:480], wave[:480], 16_000) == 35.0
    with pytest.raises(BadInput, match="3 samples at a rate of 133.*at least 4 samples"):
        segmental_snr(wave, wave, 133)
    assert segmental_snr(wave, wave, 134) == 35.0
    for measure in (si_sdr, lambda found, clean: segmental_snr(found, clean, 8000)):
        with pytest.raises(BadInput, match=r"one length, not \(999,\) and \(1000,\)"):
            measure(wave[1:], wave)
    with pytest.raises(BadInput, match="clean wave is silent"):
        si_sdr(wave, 0 * wave)
