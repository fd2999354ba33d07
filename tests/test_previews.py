"""Previews: sound, moving pictures, vectors as points, one class in each column."""

import io
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.io import wavfile

from tfgans import callbacks, random
from tfgans.errors import BadInput
from tfgans.models.latent import LatentModel
from tfgans.previews import INKS, PLOT, Sound, Video, scatter, spectrograms


def drawn(folder, seen, log=None):
    """The files that a sample grid makes of a preview."""
    folder.mkdir(exist_ok=True)
    grid = callbacks.SampleGrid(10, folder, {}, seed=0, log=log)
    grid.set_model(types.SimpleNamespace(settle=lambda: None, preview=lambda data: seen))
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


def test_a_spectrogram_of_a_long_wave_is_not_wider_than_a_screen():
    assert spectrograms(np.zeros([1, 600_000]), 16_000).shape[2] in range(1000, 2001)
    assert spectrograms(np.zeros([1, 60_000]), 16_000).shape[2] in range(400, 500)


def test_waves_have_names(tmp_path):
    sound = Sound(np.zeros([2, 600]), names=("noisy", "clean"))
    assert drawn(tmp_path, sound) == {f"00000010{x}" for x in ("-noisy.wav", "-clean.wav", ".png")}
    assert np.asarray(sound).shape == (2, 600)
    files = sound.save(tmp_path / "again")
    assert [file.name for file in files] == ["again-noisy.wav", "again-clean.wav", "again.png"]


def summaries(folder):
    """Tag -> the value that TensorBoard shows, of the only file of summaries."""
    (path,) = folder.iterdir()
    events = map(
        tf.compat.v1.Event.FromString,
        map(bytes, tf.data.TFRecordDataset(str(path)).as_numpy_iterator()),
    )
    return {value.tag: (event.step, value) for event in events for value in event.summary.value}


def test_tensorboard_plays_both(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path / "tensorboard"))
    log = types.SimpleNamespace(writer=writer)
    clips = np.tile(np.linspace(-1, 1, 5, dtype="float32")[:, None, None, None], [3, 1, 4, 6, 1])
    drawn(tmp_path / "a", Sound(np.full([2, 600], 0.5)), log)
    drawn(tmp_path / "b", Video(clips), log)
    writer.flush()
    found = summaries(tmp_path / "tensorboard")
    assert sorted(found) == ["preview", "preview/0", "preview/1"]
    step, value = found["preview/1"]
    assert step == 10 and value.metadata.plugin_data.plugin_name == "audio"
    (sound, _) = tf.make_ndarray(value.tensor)[0]
    wave, rate = tf.audio.decode_wav(sound)
    assert int(rate) == 16_000
    np.testing.assert_allclose(wave, np.full([600, 1], 0.5), atol=1e-4)
    step, value = found["preview"]
    assert step == 10 and value.metadata.plugin_data.plugin_name == "images"
    width, height, film = tf.make_ndarray(value.tensor)
    assert (width, height) == (b"12", b"8")
    with Image.open(io.BytesIO(film)) as film:
        assert film.n_frames == 5 and film.size == (12, 8)


def test_real_clips_are_shown(tmp_path):
    clips = np.zeros([10, 3, 4, 4, 1], "float32")
    grid = callbacks.SampleGrid(10, tmp_path, {"video": clips}, seed=0)
    seen = Video(clips[:1])
    grid.set_model(types.SimpleNamespace(
        settle=lambda: None, preview=lambda data: seen, step=tf.Variable(1)))  # fmt: skip
    grid.on_train_begin()
    with Image.open(tmp_path / "real.gif") as film:
        assert film.size == (12, 12)  # eight of them


class Films(LatentModel):
    """Clips of 5 frames that get brighter, from a latent of one number."""

    makes, latent_dim, length, image_shape = "video", 1, 5, (4, 4, 3)

    def call(self, z):
        rise = tf.linspace(-0.5, 0.5, 5)[tf.newaxis, :] + 0.1 * tf.tanh(z)
        return rise[:, :, tf.newaxis, tf.newaxis, tf.newaxis] * tf.ones([4, 4, 3])


def test_a_model_of_films_is_previewed_served_and_sampled(tmp_path, run, monkeypatch, capsys):
    """No other part of the package knows such a model by name."""
    model = Films()
    with random.scope(0):
        seen = model.preview({"video": np.zeros([20, 5, 4, 4, 3])})
    assert isinstance(seen, Video) and np.asarray(seen).shape == (8, 5, 4, 4, 3)
    for name, wanted in (("sample", "float32"), ("serving_default", "float32"), ("uint8", "uint8")):
        function, signature = model.endpoints()[name]
        given = {"z": tf.zeros([2, 1]), "seed": 0, "n": 2}
        (answer,) = function(*(given[spec.name] for spec in signature)).items()
        assert answer[0] == "video" and answer[1].shape == (2, 5, 4, 4, 3)
        assert answer[1].dtype == wanted
    monkeypatch.setattr("tfgans.models.load", lambda name: model)
    run("sample", "films", "-n", 4, "--out", tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"films-seed0.gif", "films-seed0.png"}
    with Image.open(tmp_path / "out" / "films-seed0.gif") as film:
        assert film.n_frames == 5 and film.size == (8, 8)
    with pytest.raises(BadInput, match="no pictures: there is no --single"):
        run("sample", "films", "--single")
    run("use", "films", "sample", "n=1", "seed=2", "--out", tmp_path / "use")
    assert {p.name for p in (tmp_path / "use").iterdir()} == {
        "films-sample-seed2.gif",
        "films-sample-seed2.png",
    }


@pytest.mark.parametrize("classes, columns", [(2, 8), (3, 6), (4, 8), (10, 10), (16, 16)])
def test_each_column_of_a_preview_has_one_class(classes, columns):
    """Pictures of all classes with one latent stand side by side."""

    class Told(LatentModel):
        latent_dim, num_classes = 1, classes

        def call(self, z, label):
            number = tf.cast(tf.argmax(label, axis=1), "float32")[:, tf.newaxis]
            return tf.concat([z, number], axis=1)[:, tf.newaxis, tf.newaxis]

    with random.scope(0):
        table = Told().preview({"label": np.zeros(64, "int32")}).numpy()[:, :, 0, 0]
    assert table.shape[1] == columns and 64 - columns < table.shape[0] * columns <= 64
    np.testing.assert_array_equal(table[..., 1], [np.arange(columns) % classes] * len(table))
    latents = table[..., 0].reshape(-1, classes)
    np.testing.assert_array_equal(latents, latents[:, :1] * np.ones([1, classes]))
    assert len(np.unique(latents[:, 0])) == len(latents)


def test_points_lie_in_their_two_main_directions():
    """Two groups far apart in one direction of 50: the x axis; each spreads in another, y."""
    keys = np.random.RandomState(0)
    along, across = np.linalg.qr(keys.randn(50, 2))[0].T
    groups = [
        side * 9.0 * along + keys.uniform(-2, 2, [40, 1]) * across + 5.0 for side in (-1.0, 1.0)
    ]
    (picture,) = scatter(*groups)
    assert picture.shape == (PLOT, PLOT, 3) and picture[0, 0].tolist() == [1.0, 1.0, 1.0]
    centers = []
    for ink in INKS[:2]:
        y, x = np.nonzero((np.abs((picture + 1) * 127.5 - ink) < 0.5).all(axis=-1))
        assert 0 < x.std() < 3 and y.std() > 10
        centers.append(x.mean())
    assert abs(abs(centers[0] - centers[1]) - PLOT) < 20  # at the left and at the right
    assert scatter(np.ones([3, 5])).shape == (1, PLOT, PLOT, 3)  # no direction at all
