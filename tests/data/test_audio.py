"""Speech: WAV files of all formats and broken ones, resampling, windows, synthetic speech."""

import pathlib
import struct
import tracemalloc

import numpy as np
import pytest
from scipy import signal
from scipy.io import wavfile
from stand_in import StandIn

from tfgans.config import Config, Data
from tfgans.data import DataError, batches, resolve
from tfgans.data.audio import Windows, open_speech
from tfgans.data.check import check
from tfgans.data.speech import DECIBELS, NOISES, SyntheticSpeech
from tfgans.data.waves import BrokenSound, WaveFile, to_int16, to_wave, write_wave

KEYS = np.random.RandomState(0)


def model(length=64, rate=16_000, preemphasis=0.95):
    return StandIn(length=length, rate=rate, preemphasis=preemphasis, data_kind="audio")


def ramp(n, begin=0):
    return np.arange(begin, begin + n, dtype="int16")


def write(path, samples, rate=16_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, samples)


@pytest.fixture
def folder(tmp_path):
    """Three pairs of 256, 100 and 64 samples; clean ones count up, noisy ones are 1,000 higher."""
    for name, n, begin in (("a.wav", 256, 0), ("p232/b.WAV", 100, 4000), ("c.wav", 64, 8000)):
        write(tmp_path / "clean_trainset_28spk_wav" / name, ramp(n, begin))
        write(tmp_path / "noisy_trainset_28spk_wav" / name, ramp(n, begin + 1000))
    write(tmp_path / "clean_testset_wav" / "t.wav", ramp(9))
    write(tmp_path / "noisy_testset_wav" / "t.wav", ramp(9))
    return tmp_path


def test_the_scale_of_the_code():
    """-32768 is -1 and 32767 is 1; all 65,536 values come back."""
    np.testing.assert_array_equal(to_wave([-32768, 32767]), [-1, 1])
    every = np.arange(-32768, 32768)
    np.testing.assert_array_equal(to_int16(to_wave(every)), every)
    np.testing.assert_array_equal(to_int16([-3.0, 3.0]), [-32768, 32767])


@pytest.mark.parametrize(
    "dtype, scale",
    [("uint8", 2.0**-8), ("int16", 1), ("int32", 2.0**16), ("float32", 2.0**-15),
     ("float64", 2.0**-15)],
)  # fmt: skip
def test_all_formats_are_one_scale(tmp_path, dtype, scale):
    x = 256 * KEYS.randint(-128, 128, [50, 2])
    stored = (x * scale + (128 if dtype == "uint8" else 0)).astype(dtype)
    wavfile.write(tmp_path / "a.wav", 8000, stored)
    sound = WaveFile(tmp_path / "a.wav")
    assert (sound.length, sound.own_rate, sound.channels) == (50, 8000, 2)
    np.testing.assert_allclose(sound.read(7, 40), to_wave(x.mean(axis=1))[7:47], atol=1e-7)


def header(kind=1, channels=1, rate=16_000, block=3, bits=24, more=b"", data=b"", length=None):
    """A WAV file with this header, and another part before the samples."""
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits) + more
    length = len(data) if length is None else length
    parts = b"fmt " + struct.pack("<I", len(form)) + form
    parts += b"LIST" + struct.pack("<I", 3) + b"abc\0"  # of an odd length
    parts += b"data" + struct.pack("<I", length) + data
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WAVE" + parts


def test_24_bits_also_in_the_extensible_format(tmp_path):
    x = np.array([-(2**23), -70_000, -1, 0, 255, 2**23 - 1], "<i4")
    data = x.astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    guid = struct.pack("<HHIH", 22, 24, 0, 1) + bytes(14)
    for kind, more in ((1, b""), (0xFFFE, guid)):
        (tmp_path / "a.wav").write_bytes(header(kind, more=more, data=data))
        found = WaveFile(tmp_path / "a.wav").stored(0, 6)
        np.testing.assert_array_equal(found, x / 256)


def test_a_length_that_the_writer_did_not_know(tmp_path):
    for length in (0, 2**32 - 1):
        (tmp_path / "a.wav").write_bytes(header(data=bytes(30), length=length))
        assert WaveFile(tmp_path / "a.wav").length == 10


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "no WAV file"),
        (b"ID3 is an mp3 of many bytes", "no WAV file"),
        (header()[:30], "its header ends too early"),
        (header(data=bytes(9), length=12), "tells of 12 bytes of sound, and 9 are there"),
        (header(kind=2, bits=4), "format 2 with 4 bits; wanted are 8, 16, 24 or 32 bits"),
        (header(kind=0xFFFE), "its header ends too early"),
        (header(channels=0), "0 channels in 3 bytes of 24 bits"),
        (header(block=4), "1 channels in 4 bytes of 24 bits"),
        (header(rate=0), "0 samples per second"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "does not tell the format"),
    ],
)
def test_broken_headers(tmp_path, content, reason):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(BrokenSound, match=rf"a\.wav: .*{reason}") as error:
        WaveFile(tmp_path / "a.wav")
    assert "\n" not in str(error.value)


def test_a_file_that_changes_or_holds_no_numbers(tmp_path):
    write(tmp_path / "a.wav", np.array([0.5, np.nan, 0.5], "float32"))
    sound = WaveFile(tmp_path / "a.wav")
    sound.read(0, 1)
    with pytest.raises(BrokenSound, match="not finite"):
        sound.read(0, 3)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-4])
    with pytest.raises(BrokenSound, match="ends before sample 3"):
        sound.read(1, 2)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(BrokenSound, match="No such file"):
        sound.read(0, 1)
    with pytest.raises(BrokenSound, match="No such file"):
        WaveFile(tmp_path / "a.wav")


@pytest.mark.parametrize("own, rate", [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000)])
def test_parts_of_a_resampled_file_are_those_of_the_whole(tmp_path, own, rate):
    x = KEYS.randint(-9000, 9000, 5_003).astype("int16")
    write(tmp_path / "a.wav", x, own)
    sound = WaveFile(tmp_path / "a.wav", rate)
    whole = to_wave(signal.resample_poly(x.astype("float64"), rate, own))
    assert sound.length == len(whole)
    for start, count in ((0, 100), (1, 57), (sound.length // 2, 300), (sound.length - 41, 41)):
        np.testing.assert_allclose(
            sound.read(start, count), whole[start : start + count], atol=1e-6
        )


def test_a_tone_keeps_its_pitch(tmp_path):
    time = np.arange(24_000) / 48_000
    write(tmp_path / "a.wav", (9000 * np.sin(2 * np.pi * 1000 * time)).astype("int16"), 48_000)
    found = WaveFile(tmp_path / "a.wav", 16_000).read(0, 8000)
    assert np.abs(np.fft.rfft(found)).argmax() == 500  # of half a second


def test_writing_in_parts(tmp_path):
    x = to_wave(KEYS.randint(-32768, 32768, 100))
    write_wave(tmp_path / "a.wav", (x[:30], x[30:30], x[30:]), 8000)
    sound = WaveFile(tmp_path / "a.wav")
    assert sound.own_rate == 8000
    np.testing.assert_array_equal(sound.read(0, 100), x)


def test_half_a_file_does_not_stay(tmp_path):
    def parts():
        yield np.zeros(10)
        raise BrokenSound("b.wav", "it ends")

    with pytest.raises(BrokenSound):
        write_wave(tmp_path / "a.wav", parts(), 8000)
    assert not [*tmp_path.iterdir()]


def test_a_long_file_is_never_read_as_a_whole(tmp_path):
    """Ten minutes are 19 MB."""
    with open(tmp_path / "a.wav", "wb") as file:
        file.write(header(block=2, bits=16, length=2 * 9_600_000))
        file.truncate(2 * 9_600_000 + 200)
    tracemalloc.start()
    sound = WaveFile(tmp_path / "a.wav")
    sound.read(9_000_000, 16_384)
    assert sound.length == 9_600_000 and tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


def test_windows_overlap_by_half_and_stay_in_pairs(folder, capsys):
    """floor((L - 64) / 32) + 1 windows: 7, 2 and 1; the pair of a window has the same place."""
    source = open_speech(folder, 16_000)
    assert source.lengths.tolist() == [256, 64, 100]  # in the order of names
    windows = Windows(source, 64)
    assert len(windows) == 7 + 1 + 2
    starts = []
    for i in range(10):
        noisy, clean = windows.read(i)
        np.testing.assert_allclose(noisy - clean, 2000 / 65535, atol=1e-6)
        starts.append(int(to_int16(clean[0])))
        np.testing.assert_array_equal(to_int16(clean), ramp(64, starts[-1]))
    assert starts == [0, 32, 64, 96, 128, 160, 192, 8000, 4000, 4032]
    (batch,) = batches(model(), source, Data(batch_size=10), 0).take(1).as_numpy_iterator()
    assert batch["noisy"].shape == batch["clean"].shape == (10, 64, 1)
    first = to_wave(np.array(sorted(starts)))
    np.testing.assert_allclose(np.sort(batch["clean"][:, 0, 0]), first, atol=1e-6)  # is kept
    x = to_wave(ramp(64, 32))
    row = np.abs(batch["clean"][:, 0, 0] - x[0]).argmin()
    np.testing.assert_allclose(batch["clean"][row, 1:, 0], x[1:] - 0.95 * x[:-1], atol=1e-6)
    gap = (batch["noisy"] - batch["clean"])[..., 0]  # of 1,000, as pre-emphasis leaves it
    np.testing.assert_allclose(gap[:, 0], 2000 / 65535, atol=1e-6)
    np.testing.assert_allclose(gap[:, 1:], 0.05 * 2000 / 65535, atol=1e-6)
    assert "short" not in capsys.readouterr().out


def test_a_window_longer_than_a_sound(folder, capsys):
    source = open_speech(folder, 16_000)
    for _ in range(2):
        data = batches(model(65), source, Data(batch_size=2), 0)
    assert data.element_spec["noisy"].shape == (2, 65, 1)
    assert capsys.readouterr().out.count("1 of 3 sounds of") == 1
    with pytest.raises(DataError, match="longest sound .* 256 samples, and a window .* 257"):
        batches(model(257), source, Data(), 0)


def test_another_rate_is_resampled_and_said(folder, capsys):
    for side in ("clean", "noisy"):
        write(folder / f"{side}_trainset_28spk_wav" / "a.wav", ramp(300), 48_000)
    source = open_speech(folder, 16_000)
    assert source.lengths.tolist() == [100, 64, 100]
    assert "1 of 3 sounds of" in (said := capsys.readouterr().out)
    assert "48000 samples per second; they are resampled to 16000" in said


def test_broken_pairs_are_reported(folder, capsys):
    noisy = folder / "noisy_trainset_28spk_wav"
    write(noisy / "a.wav", ramp(255))
    (noisy / "c.wav").write_bytes(b"nothing")
    assert open_speech(folder, 16_000).lengths.tolist() == [100]
    said = capsys.readouterr().out
    assert "a.wav: 255 samples, and its clean partner has 256" in said
    assert said.count("skipped broken sound") == 2 and "c.wav: no WAV file" in said
    with pytest.raises(BrokenSound, match="a.wav: 255 samples"):
        open_speech(folder, 16_000, "fail")
    write(noisy / "p232" / "b.WAV", ramp(100), 8000)
    with pytest.raises(DataError, match="All 3 pairs of .* are broken, the first one: .*a.wav"):
        open_speech(folder, 16_000)


def test_a_window_that_breaks_is_passed_over(folder, capsys):
    source = open_speech(folder, 16_000)
    (folder / "noisy_trainset_28spk_wav" / "a.wav").unlink()
    found = batches(model(), source, Data(batch_size=3), 0).take(4).as_numpy_iterator()
    lows = {int(to_int16(x)) for batch in found for x in batch["clean"][:, 0, 0]}
    assert lows == {8000, 4000, 4032}
    assert capsys.readouterr().out.count("skipped broken window") == 7


def test_layouts(folder, tmp_path):
    (folder / "clean_trainset_28spk_wav" / "p232" / "b.WAV").unlink()
    with pytest.raises(DataError, match="1 of 3 sounds of .*noisy.* no partner .* p232/b.WAV"):
        open_speech(folder, 16_000)
    other = tmp_path / "other"
    for side in ("Clean", "Noisy"):
        write(other / "train" / side / "a.wav", ramp(70))
    assert len(open_speech(other, 16_000)) == 1
    write(other / "noisy" / "a.wav", ramp(70))
    write(other / "clean" / "a.wav", ramp(70))
    with pytest.raises(DataError, match="no one folder of noisy .* It has several: noisy, Noisy"):
        open_speech(other, 16_000)
    with pytest.raises(DataError, match="no one folder of noisy .* Wanted: two folders clean"):
        open_speech(tmp_path / "nothing", 16_000)
    (other / "clean" / "a.wav").rename(other / "clean" / "a.mp3")
    (other / "train").rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"No WAV files in .*clean \(but 1 other files\)"):
        open_speech(other, 16_000)


def test_check_lists_what_training_would_say(folder):
    """Broken files, other rates, pairs that do not fit; then a missing partner."""
    noisy = folder / "noisy_trainset_28spk_wav"
    (noisy / "a.wav").write_bytes(b"nothing")
    write(noisy / "c.wav", ramp(60))
    write(noisy / "p232" / "b.WAV", ramp(100), 48_000)
    found = {pathlib.Path(f.name).relative_to(folder).as_posix(): f.problem for f in check(folder)}
    where = "noisy_trainset_28spk_wav"
    assert found[f"{where}/a.wav"].startswith("cannot be read: no WAV file")
    assert found[f"{where}/c.wav"] == "60 samples, and its clean partner has 64"
    assert "samples per second, and its clean partner has 16000" in found[f"{where}/p232/b.WAV"]
    assert len(found) == 3 and len(check(folder)) == 4  # its rate is told twice
    (noisy / "a.wav").unlink()
    assert any("no partner of the same name" in f.problem for f in check(folder))
    write(folder / "wav" / "a.wav", np.array([0.5, np.inf], "float32"))
    (first, second) = check(folder / "wav")
    assert "not finite" in first.problem and "no one folder of noisy" in second.problem


def test_resolve(folder):
    class Enhancer:
        data_kind = "audio"

        def __init__(self, length=64, rate=16_000):
            pass

    source = resolve(Config("seqgan", {}, data=Data(path=str(folder))), Enhancer)
    assert len(source) == 3
    source = resolve(Config("seqgan", {"length": 9000}, data=Data(path="synthetic")), Enhancer)
    assert source.lengths[0] == 18_000 and source.rate == 16_000
    with pytest.raises(DataError, match="data.flip is True.*no setting 'flip'"):
        resolve(Config("seqgan", {}, data=Data(path="synthetic", flip=True)), Enhancer)


def test_an_example_is_a_function_of_seed_and_position(folder):
    whole = [*batches(model(), open_speech(folder, 16_000), Data(batch_size=4), 1).take(4)]
    for k in range(2):
        half = batches(
            model(), open_speech(folder, 16_000), Data(batch_size=4), 1, start=3, shard=(k, 2)
        ).take(1)
        for key, value in next(iter(half)).items():
            np.testing.assert_array_equal(value, whole[3][key][2 * k : 2 * k + 2])


def test_synthetic_speech_has_the_noise_that_it_says():
    """The ratio is as asked to 0.1 dB, all kinds meet all ratios, clean sound is harmonic."""
    source, seen = SyntheticSpeech(16_000, 16_000), set()
    for i in range(16):
        noisy, clean = source.read(i, 0, 16_000)
        assert clean.dtype == np.float32 and np.abs(noisy).max() <= 0.9501
        noise = noisy.astype("float64") - clean
        ratio = 10 * np.log10(np.mean(clean**2) / np.mean(noise**2))
        assert ratio == pytest.approx(source.decibels_of(i), abs=0.1)
        seen.add((source.kind(i), source.decibels_of(i)))
        assert 0.3 < np.abs(clean).max() + 0.05 and (np.abs(clean) < 1e-4).mean() > 0.05
        high = np.abs(np.fft.rfft(clean))[2600:]  # above 8 harmonics of 300 Hz
        assert np.sum(high**2) < 1e-3 * np.sum(np.abs(np.fft.rfft(clean)) ** 2)
    assert seen == {(kind, ratio) for kind in NOISES for ratio in DECIBELS}
    noisy, clean = source.read(3, 500, 40)
    np.testing.assert_array_equal(noisy, source.read(3, 0, 16_000)[0][500:540])
    later = SyntheticSpeech(16_000, 16_000, first=3)
    np.testing.assert_array_equal(later.read(0, 500, 40)[1], clean)


def test_kinds_of_noise_differ_in_their_spectra():
    source = SyntheticSpeech(16_000, 16_000)
    low = {}
    for i, kind in enumerate(NOISES):
        noisy, clean = source.read(i, 0, 16_000)
        power = np.abs(np.fft.rfft(noisy - clean)) ** 2
        low[kind] = power[:1000].sum() / power.sum()  # below 1 kHz
    assert 0.1 < low["white"] < 0.15 and low["hum"] > 0.95
    assert 0.5 < low["pink"] < 0.9 and 0.01 < low["babble"] < 0.9
