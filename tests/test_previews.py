"""Previews that are sound and moving pictures."""

import types

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from tfgans import callbacks
from tfgans.previews import Sound, Video, spectrograms


def drawn(folder, seen):
    """The files that a sample grid makes of a preview."""
    grid = callbacks.SampleGrid(10, folder, {}, seed=0)
    grid.set_model(types.SimpleNamespace(preview=lambda data: seen))
    grid.on_tick(10, {})
    return {path.name for path in folder.iterdir()}


def test_sound_is_files_to_hear_and_a_picture(tmp_path):
    time = np.arange(8000) / 16_000
    waves = np.stack([np.sin(2 * np.pi * tone * time) for tone in (1000, 4000)])
    found = drawn(tmp_path, Sound(1.5 * waves, 16_000))
    assert found == {"00000010-0.wav", "00000010-1.wav", "00000010.png"}
    rate, wave = wavfile.read(tmp_path / "00000010-1.wav")
    assert rate == 16_000 and wave.dtype == np.int16 and wave.shape == (8000,)
    np.testing.assert_allclose(wave / 32767, np.clip(1.5 * waves[1], -1, 1), atol=1e-4)
    for picture, tone in zip(spectrograms(waves, 16_000), (1000, 4000), strict=True):
        loudest = picture.mean(axis=(1, 2)).argmax()  # counted from the highest tone, 8 kHz
        assert 1 - loudest / (len(picture) - 1) == pytest.approx(tone / 8000, abs=0.005)


def test_video_is_a_moving_picture_and_a_strip(tmp_path):
    clips = np.zeros([2, 9, 8, 8, 3], "float32") + np.linspace(-1, 1, 9)[:, None, None, None]
    clips[1] *= -1
    assert drawn(tmp_path, Video(clips, 10)) == {"00000010.gif", "00000010.png"}
    with Image.open(tmp_path / "00000010.gif") as film:
        assert film.n_frames == 9 and film.size == (16, 8) and film.info["duration"] == 100
        film.seek(8)
        last = np.asarray(film.convert("RGB"))
    assert last[4, 4].min() > 250 and last[4, 12].max() < 5
    strip = np.asarray(Image.open(tmp_path / "00000010.png"))
    assert strip.shape == (16, 64, 3)
    assert (np.diff(strip[4, 4::8, 0].astype(int)) > 0).all()
    assert (np.diff(strip[12, 4::8, 0].astype(int)) < 0).all()
