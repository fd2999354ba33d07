"""tools/translate.py: images and folders in, before and after out."""

import re
import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from tfgans import images, models, storage, training
from tfgans.config import Config
from tfgans.data import films
from tfgans.data.convert import prepare
from tfgans.data.files import names_to_write
from tfgans.data.waves import WaveFile, write_wave
from tfgans.errors import BadInput
from tfgans.metrics import hidden


@pytest.fixture(scope="module", params=["pix2pix", "cyclegan"])
def released(request, tmp_path_factory):
    settings = Config.load(request.param, "tiny")
    training.resolve(settings)
    model = training.build(settings)
    root = tmp_path_factory.mktemp("saved_models")
    return model, storage.release(model, request.param, root)


@pytest.fixture
def folder(tmp_path):
    """Two images twice as wide as high: the middle is translated."""
    keys = np.random.RandomState(0)
    for name in ("one.png", "deep/two.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(keys.randint(0, 256, [32, 64, 3], "uint8")).save(path)
    return tmp_path / "photos"


def outputs(folder):
    """The names of all files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_before_and_after(released, run, folder, tmp_path, capsys):
    model, release = released
    run("translate", release, folder, "--half", "whole")
    assert outputs(tmp_path / "translated") == ["deep/two.png", "one.png"]
    said = capsys.readouterr().out
    assert "center-cropped and resized" in said and "Written: 2 of 2 images" in said
    side = model.image_shape[0]
    with Image.open(tmp_path / "translated" / "one.png") as sheet:
        assert sheet.size == (2 * side, side)
        sheet = np.asarray(sheet)
    with Image.open(folder / "one.png") as file:
        middle = file.crop((16, 0, 48, 32)).resize((side, side), Image.Resampling.LANCZOS)
    function, (wanted, *_) = model.endpoints()["serving_default"]
    before = np.asarray(middle, "float32") / 127.5 - 1
    if wanted.shape[-1] == 1:
        before = before @ np.array([[0.299], [0.587], [0.114]], "float32")
    after = images.to_uint8(function(before[None])["image"][0])
    assert np.abs(sheet[:, side:].astype(int) - after).max() <= 1
    assert np.abs(sheet[:, :side].astype(int) - images.to_uint8(before)).max() <= 1


def test_hidden_details(released, run, folder, tmp_path, capsys):
    """Figures and picture are those of the two directions, by hand; pix2pix has no way back."""
    model, release = released
    if type(model).__name__ == "Pix2Pix":
        with pytest.raises(BadInput, match="Pix2Pix has no way back: .* in two directions"):
            run("translate", release, folder, "--half", "whole", "--hidden")
        return
    run("translate", release, folder, "--hidden", "--endpoint", "b_to_a")
    side = model.image_shape[0]
    sources = []
    for name in ("deep/two.jpg", "one.png"):
        with Image.open(folder / name) as file:
            sources.append(prepare(np.asarray(file), (0, 255), model.image_shape))
    source = np.stack(sources)
    there = model.generator_ba(source).numpy()
    noisy = there + np.random.RandomState(0).normal(0, 10 / 255, there.shape)
    columns = [source, there, model.generator_ab(there), model.generator_ab(noisy)]
    plain, noise = (np.mean(np.abs(x - source)) / 2 for x in columns[2:])
    said = capsys.readouterr().out
    assert f"Error of the way back (0 to 1): {plain:.3f}, after noise {noise:.3f}, after" in said
    sheet = np.asarray(Image.open(tmp_path / "translated-hidden.png"))
    assert sheet.shape == (2 * side, 5 * side, 3)
    for k, column in enumerate(columns):
        shown = sheet[:, k * side : (k + 1) * side].reshape(2, side, side, 3).astype(int)
        assert np.abs(shown - images.to_uint8(column)).max() <= 1
    squeezed = hidden.jpeg(there)  # near, but not the same
    assert 0 < np.abs(squeezed - there).mean() < 0.2
    back = sheet[:, 4 * side :].reshape(2, side, side, 3).astype(int)
    assert np.abs(back - images.to_uint8(model.generator_ab(squeezed))).max() <= 1


def test_one_image_alone_and_other_endpoints(released, run, folder, tmp_path):
    model, release = released
    name = type(model).__name__
    options = ["--seed", "1"] if name == "Pix2Pix" else ["--endpoint", "b_to_a"]
    for out, chosen in (("first", []), ("second", options)):
        words = "--single", "--half", "whole", "--out", out, *chosen
        run("translate", release, folder / "one.png", *words)
        assert [path.name for path in (tmp_path / out).iterdir()] == ["one.png"]
    first, second = ((tmp_path / out / "one.png").read_bytes() for out in ("first", "second"))
    assert first != second


def test_mistakes(released, run, folder, tmp_path):
    model, release = released
    with pytest.raises(BadInput, match=f"No endpoint of {type(model).__name__}.*'c_to_d'"):
        run("translate", release, folder, "--endpoint", "c_to_d")
    with pytest.raises(FileNotFoundError, match="There is no"):
        run("translate", release, folder / "none.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="No images in"):
        run("translate", release, tmp_path / "empty")
    with pytest.raises(BadInput, match=r"makes images from images: tfgans translate"):
        run("sample", release)
    if type(model).__name__ == "CycleGAN":
        with pytest.raises(BadInput, match="CycleGAN has no noise"):
            run("translate", release, folder, "--seed", "1")


def test_the_input_of_a_pair_is_chosen(released, run, folder, tmp_path):
    model, release = released
    if type(model).__name__ == "Pix2Pix":
        with pytest.raises(BadInput, match="is 32x64, as wide as two images.*--half left"):
            run("translate", release, folder)
        assert not (tmp_path / "translated").exists()
    run("translate", release, folder, "--half", "right")
    side, channels = model.image_shape[0], model.endpoints()["serving_default"][1][0].shape[-1]
    with Image.open(folder / "one.png") as file:
        right = np.asarray(file)[:, 32:]
    expected = images.to_uint8(prepare(right, (0, 255), (side, side, channels)))
    sheet = np.asarray(Image.open(tmp_path / "translated" / "one.png"))[:, :side]
    assert np.abs(sheet.astype(int) - expected).max() <= 1


def test_each_image_has_a_file_and_broken_ones_none(released, run, tmp_path, capsys):
    _, release = released
    names = ["x.png", "x.jpg", "a/b.png", "a-b.png", "c.d.png", "train/e.png", "val/e.png"]
    for name in names:
        path = tmp_path / "many" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    (tmp_path / "many" / "f.png").write_bytes(b"no image")
    run("translate", release, tmp_path / "many")
    expected = ["x.png.png", "x.jpg.png", "a/b.png", "a-b.png", "c.d.png", "train/e.png"]
    assert outputs(tmp_path / "translated") == sorted([*expected, "val/e.png"])
    said = capsys.readouterr().out
    assert "f.png" in said and "Written: 7 of 8 images" in said


def test_nothing_but_broken_images_is_an_error(released, run, tmp_path):
    (tmp_path / "bad").mkdir()
    Image.new("RGB", (64, 64), "red").save(tmp_path / "bad" / "a.png")
    data = (tmp_path / "bad" / "a.png").read_bytes()
    (tmp_path / "bad" / "a.png").write_bytes(data[:60])  # its header is intact
    with pytest.raises(BadInput, match="All 1 images are broken, the first one: .*a.png"):
        run("translate", released[1], tmp_path / "bad")


def test_names_stay_different():
    names = ["x.png", "x.jpg", "x.png.png"]
    assert names_to_write(names) == names
    assert names_to_write(["a/x.png", "b/x.png", "y.b.png"]) == ["a/x", "b/x", "y.b"]


def test_a_model_of_any_size_gets_images_as_they_are(run, folder, tmp_path, capsys):
    settings = Config.load("srgan", "tiny")
    model = training.build(settings)
    release = storage.release(model, "srgan", tmp_path / "saved_models")
    capsys.readouterr()
    run("translate", release, folder / "one.png")
    assert "resized" not in capsys.readouterr().out
    with Image.open(tmp_path / "translated" / "one.png") as sheet:
        assert sheet.size == (2 * 4 * 64, 4 * 32)
        sheet = np.asarray(sheet)
    with Image.open(folder / "one.png") as file:
        small = np.asarray(file, "float32")[None] / 127.5 - 1
    after = images.to_uint8(model.enlarge(small))[0]
    assert np.abs(sheet[:, 4 * 64 :].astype(int) - after).max() <= 1


# Films.


def square(t, height=24, width=32):
    """A frame with a bright square that moves right, on a gradient, uint8."""
    frame = np.tile(np.linspace(0, 120, width).astype("uint8")[None, :, None], [height, 1, 3])
    frame[8:16, 2 + 3 * t : 10 + 3 * t] = (250, 200, 60)
    return frame


@pytest.fixture(scope="module")
def restorer(tmp_path_factory):
    """NoGAN, which takes frames of any size, as a release."""
    settings = Config.load("nogan", "tiny")
    settings.model["damage"] = "gray"
    model = training.build(settings)
    return model, storage.release(model, "nogan", tmp_path_factory.mktemp("saved_models"))


def answers(model, frames):
    """The translations of frames, [n, H, W, 3] in [-1, 1]."""
    return np.concatenate([model.restore(f[None] / np.float32(127.5) - 1) for f in frames])


def change(frames):
    """The mean change from frame to frame, in steps of 255, of frames in [-1, 1]."""
    return np.mean([127.5 * np.abs(b - a).mean() for a, b in zip(frames, frames[1:], strict=False)])


def said_error(said):
    """The three numbers of the tool's last line."""
    words = r"error (\S+) of 255: .* changes by (\S+), the input by (\S+)\."
    return [float(word) for word in re.search(words, said).groups()]


def write_gif(path, frames, durations):
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=3)


@pytest.mark.thorough
def test_a_gif_becomes_a_gif(restorer, run, tmp_path, capsys):
    """Frames, durations and loops stay; the error is that of the formula."""
    model, release = restorer
    durations = [100, 50, 200, 80]
    write_gif(tmp_path / "walk.gif", [square(t) for t in range(4)], durations)
    run("translate", release, tmp_path / "walk.gif")
    assert outputs(tmp_path / "translated") == ["walk.gif"]
    given = films.open_film(tmp_path / "walk.gif")
    frames = np.stack([given.read(i) for i in range(len(given))])
    assert frames.shape == (4, 24, 32, 3)
    expected = answers(model, frames)
    with Image.open(tmp_path / "translated" / "walk.gif") as file:
        assert file.n_frames == 4 and file.info["loop"] == 3
        for i, wanted in enumerate(expected):
            file.seek(i)
            assert file.info["duration"] == durations[i]
            found = np.asarray(file.convert("RGB")).astype(int)
            # A GIF has 256 colors.
            assert np.abs(found - images.to_uint8(wanted)).mean() < 6
    error, made, input_change = said_error(capsys.readouterr().out)
    assert made == pytest.approx(change(expected), abs=0.006)
    assert input_change == pytest.approx(change(frames / 127.5 - 1), abs=0.006)
    assert error == pytest.approx(made - input_change, abs=0.011)
    with pytest.raises(BadInput, match="written over itself: choose another --out"):
        run("translate", release, tmp_path / "walk.gif", "--out", tmp_path)
    with Image.open(tmp_path / "walk.gif") as file:
        assert file.n_frames == 4


def test_a_gif_is_written_frame_by_frame(tmp_path):
    """A frame is in the file before the next one is made; without loops it has none."""
    frames = [Image.fromarray(square(t)) for t in range(4)]
    frames[0].save(tmp_path / "walk.gif", save_all=True, append_images=frames[1:], duration=70)
    out, sizes = tmp_path / "out" / "walk.gif", []

    def made():
        noise = np.random.RandomState(0)
        for i in range(4):
            sizes.append(out.stat().st_size if i else 0)
            yield i, noise.randint(0, 256, [120, 160, 3], "uint8")  # more than a buffer holds

    assert films.open_film(tmp_path / "walk.gif").save(made(), tmp_path / "out") == out
    assert sizes == sorted({*sizes})
    with Image.open(out) as file:
        assert (file.n_frames, file.info["duration"]) == (4, 70) and "loop" not in file.info


def test_an_mp4_becomes_an_mp4_with_its_sound(restorer, run, tmp_path, capsys):
    model, release = restorer
    frames = np.stack([square(t) for t in range(5)])
    silent, film = tmp_path / "silent.mp4", tmp_path / "clip.mp4"
    images.save_video(frames / np.float32(127.5) - 1, silent, rate=10)
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=0.5"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", silent, *tone, "-c:v", "copy", film]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    for given, sound in ((silent, False), (film, True)):
        run("translate", release, given)
        out = tmp_path / "translated" / given.name
        reader = imageio_ffmpeg.read_frames(str(out))
        about = next(reader)
        assert about["size"] == (32, 24) and about["fps"] == 10
        assert ("audio_codec" in about) == sound
        found = [np.frombuffer(data, "uint8").reshape(24, 32, 3) for data in reader]
        assert len(found) == 5
        source = films.open_film(given)
        wanted = images.to_uint8(answers(model, [source.read(i) for i in range(5)]))
        assert np.abs(np.stack(found).astype(int) - wanted).mean() < 12  # it is compressed
        assert "Written: 5 of 5 frames" in capsys.readouterr().out


@pytest.mark.thorough
def test_a_film_in_a_steady_style(run, tmp_path, capsys):
    """A model that hands features on gets the frames of a folder one after the other."""
    settings = Config.load("covst", "tiny")
    training.resolve(settings)
    model = training.build(settings)
    model.mask_network.layers[-1].bias.assign([1.0])
    storage.save(model, tmp_path / "steady.keras")
    frames = np.random.RandomState(0).randint(0, 256, [4, 16, 20, 3], "uint8")
    (tmp_path / "clip").mkdir()
    for k, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"clip/{9 + k}.png")
    video = frames[None].astype("float32") / 127.5 - 1
    for words, wanted in (
        ([], model.stylize(video)),
        (["--endpoint", "per_frame"], model.per_frame(video)),
    ):
        run("translate", "steady.keras", "clip", *words)
        for k in range(4):
            found = np.asarray(Image.open(tmp_path / f"translated/{9 + k}.png")).astype(int)
            assert np.abs(found - images.to_uint8(wanted)[0, k]).max() <= 1
        assert "Written: 4 of 4 frames to translated. Temporal" in capsys.readouterr().out
    with pytest.raises(BadInput, match="films alone: leave --half out"):
        run("translate", "steady.keras", "clip", "--half", "left")
    with pytest.raises(BadInput, match="Did you mean 'per_frame'"):
        run("translate", "steady.keras", "clip", "--endpoint", "per_frames")
    with pytest.raises(FileNotFoundError, match="There is no nothing"):
        run("translate", "steady.keras", "nothing")


@pytest.mark.thorough
def test_a_folder_of_frames_becomes_one(restorer, run, tmp_path, capsys):
    """Frame 10 comes after frame 9; without --film the folder is a set of images."""
    model, release = restorer
    frames = {name: square(t) for t, name in enumerate(("f8", "f9", "f10", "f11"))}
    (tmp_path / "clip").mkdir()
    for name, frame in frames.items():
        Image.fromarray(frame).save(tmp_path / "clip" / f"{name}.png")
    run("translate", release, tmp_path / "clip", "--film")
    assert outputs(tmp_path / "translated") == sorted(f"{name}.png" for name in frames)
    expected = answers(model, [*frames.values()])
    for name, wanted in zip(frames, expected, strict=True):
        found = np.asarray(Image.open(tmp_path / "translated" / f"{name}.png")).astype(int)
        assert found.shape == (24, 32, 3)  # the result alone
        assert np.abs(found - images.to_uint8(wanted)).max() <= 1
    said = capsys.readouterr().out
    assert "Written: 4 of 4 frames to translated." in said
    error, made, given = said_error(said)
    assert given == pytest.approx(change(np.stack([*frames.values()]) / 127.5 - 1), abs=0.006)
    assert made == pytest.approx(change(expected), abs=0.006)
    run("translate", release, tmp_path / "clip", "--out", "images")
    assert "Temporal" not in capsys.readouterr().out
    with Image.open(tmp_path / "images" / "f8.png") as sheet:
        assert sheet.size == (64, 24)


def test_the_temporal_error_is_what_a_translation_adds():
    """0 for the film itself and for a shift of all values; the change of added noise otherwise."""
    frames = np.stack([square(t) for t in range(6)]) / np.float32(127.5) - 1
    keys = np.random.RandomState(0)

    def error(made):
        measure = films.TemporalError()
        for before, after in zip(frames, made, strict=True):
            measure.add(before, after)
        return measure.made - measure.given, measure

    assert error(frames)[0] == 0.0
    assert error(0.5 * frames + 0.2)[0] == pytest.approx(-0.5 * change(frames), rel=1e-4)
    still = np.repeat(frames[:1], 6, axis=0)
    assert error(still)[0] == pytest.approx(-change(frames), rel=1e-5)
    flicker = frames + np.where(np.arange(6) % 2, 0.1, -0.1)[:, None, None, None]
    found, measure = error(flicker.astype("float32"))
    assert found > 10 and measure.frames == 6
    noisy = frames + keys.normal(0, 0.1, frames.shape).astype("float32")
    assert error(noisy)[0] == pytest.approx(0.1 * 127.5 * 2 / np.pi**0.5, rel=0.1)
    one = films.TemporalError()
    one.add(frames[0], frames[0])
    assert str(one) == "One frame has no temporal error."


@pytest.mark.thorough
def test_films_that_are_none(restorer, run, tmp_path, monkeypatch):
    model, release = restorer
    Image.fromarray(square(0)).save(tmp_path / "one.png")
    with pytest.raises(BadInput, match="one.png is one image. A film is a folder"):
        run("translate", release, tmp_path / "one.png", "--film")
    Image.fromarray(square(0)).save(tmp_path / "still.gif")
    assert not films.is_film(tmp_path / "still.gif")
    run("translate", release, tmp_path / "still.gif")  # one image, as before
    assert outputs(tmp_path / "translated") == ["still.png"]
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    with pytest.raises(BadInput, match="ffmpeg cannot read .*bad.mp4.*Give an intact film"):
        run("translate", release, tmp_path / "bad.mp4")
    (tmp_path / "sizes").mkdir()
    for k, width in enumerate((32, 40)):
        Image.fromarray(square(0, width=width)).save(tmp_path / "sizes" / f"{k}.png")
    with pytest.raises(BadInput, match="A frame of 24x40 follows one of 24x32"):
        run("translate", release, tmp_path / "sizes", "--film")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(BadInput, match=r'bad.mp4 needs the package imageio-ffmpeg.*"tfgans\[video'):
        run("translate", release, tmp_path / "bad.mp4")


def test_any_translator_takes_a_film(released, run, tmp_path, capsys):
    """Frames are cropped and resized as images are."""
    model, release = released
    write_gif(tmp_path / "walk.gif", [square(t) for t in range(3)], 100)
    run("translate", release, tmp_path / "walk.gif")
    side = model.image_shape[0]
    with Image.open(tmp_path / "translated" / "walk.gif") as file:
        assert file.n_frames == 3 and file.size == (side, side)
    said = capsys.readouterr().out
    assert "center-cropped and resized" in said and "Written: 3 of 3 frames" in said


@pytest.mark.thorough
def test_a_broken_frame_is_left_out(restorer, run, tmp_path, capsys):
    (tmp_path / "clip").mkdir()
    for t in range(3):
        Image.fromarray(square(t)).save(tmp_path / "clip" / f"{t}.png")
    path = tmp_path / "clip" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    run("translate", restorer[1], tmp_path / "clip", "--film")
    said = capsys.readouterr().out
    assert "skipped broken image" in said and "Written: 2 of 3 frames" in said
    assert outputs(tmp_path / "translated") == ["0.png", "2.png"]


@pytest.mark.thorough
def test_label_maps_become_photographs(run, tmp_path, capsys):
    """Beside their maps in colors, or as frames in the order of their numbers."""
    settings = Config.load("gaugan", "tiny")
    training.resolve(settings)
    model = training.build(settings)
    release = storage.release(model, "gaugan", tmp_path / "saved_models")
    keys, maps = np.random.RandomState(0), []
    for name in ("1", "2", "10"):
        labels = keys.randint(0, 4, [32, 32]).astype("uint8")
        maps.append(labels)
        for kind, numbers in (("labels", labels), ("instances", labels.astype("uint16") * 300)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(numbers).save(tmp_path / kind / f"{name}.png")
    photograph = keys.randint(0, 256, [32, 32, 3], "uint8")
    Image.fromarray(photograph).save(tmp_path / "style.png")
    given = "--instances", tmp_path / "instances", "--style", tmp_path / "style.png"
    run("translate", release, tmp_path / "labels", *given)
    assert outputs(tmp_path / "translated") == ["1.png", "10.png", "2.png"]
    style = (photograph[None] / 127.5 - 1).astype("float32")
    for name, labels in zip(("1", "2", "10"), maps, strict=True):
        both = labels[None].astype("int32")
        wanted = images.to_uint8(model.photograph(both, 300 * both, style)[0])
        with Image.open(tmp_path / "translated" / f"{name}.png") as sheet:
            found = np.asarray(sheet)
        assert found.shape == (32, 64, 3)
        assert np.abs(found[:, 32:].astype(int) - wanted).max() <= 1
        shown = np.array([color for _, color in model.legend])[labels]
        assert np.abs(found[:, :32].astype(int) - shown).max() <= 1
    capsys.readouterr()
    run("translate", release, tmp_path / "labels", *given, "--film", "--out", tmp_path / "film")
    assert "Temporal error" in capsys.readouterr().out
    with Image.open(tmp_path / "film/10.png") as frame:
        assert frame.size == (32, 32)
    for words, message in (
        (given[:2], "takes --style"),
        (given[2:], "takes --instances"),
        ((*given, "--hidden"), "are for images"),
        (("--instances", tmp_path / "style.png", *given[2:]), "an image of one channel"),
        (("--instances", tmp_path / "labels/1.png", *given[2:]), "no file of the same name"),
    ):
        with pytest.raises(BadInput, match=message):
            run("translate", release, tmp_path / "labels", *words)


def test_label_maps_become_a_film(run, tmp_path, capsys, monkeypatch):
    """A GIF, or frames; the same as all at once, and as `use` makes it."""
    settings = Config.load("vid2vid", "tiny")
    training.resolve(settings)
    model = training.build(settings)
    monkeypatch.setattr(models, "load", lambda name: model)
    keys = np.random.RandomState(0)
    maps, begin = keys.randint(0, 3, [4, 8, 8]), keys.randint(0, 256, [3, 8, 8, 3], "uint8")
    for folder, frames in (("maps", maps.astype("uint8")), ("begin", begin)):
        (tmp_path / folder).mkdir()
        for name, frame in zip(("1", "2", "9", "10"), frames, strict=False):
            Image.fromarray(frame).save(tmp_path / folder / f"{name}.png")
    first = (begin[None, :2] / 127.5 - 1).astype("float32")
    own, others = (
        images.to_uint8(model.generate(maps[None].astype("int32"), x)[0]).astype(int)
        for x in (None, first)
    )
    run("translate", "vid2vid", tmp_path / "maps")
    said = capsys.readouterr().out
    assert "Written: 4 frames to" in said and "Temporal error" in said
    with Image.open(tmp_path / "translated/maps.gif") as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (4, (8, 8), 0)
        for k in range(4):
            film.seek(k)
            assert np.abs(np.asarray(film.convert("RGB")).astype(int) - own[k]).max() <= 4
    given = tmp_path / "maps", "--first", tmp_path / "begin"
    run("translate", "vid2vid", *given, "--film", "--out", tmp_path / "film")
    for name, frame in zip(("1", "2", "9", "10"), others, strict=True):
        with Image.open(tmp_path / f"film/{name}.png") as file:
            assert np.abs(np.asarray(file).astype(int) - frame).max() <= 1
    words = f"map={tmp_path / 'maps'}", f"first={tmp_path / 'begin'}"
    run("use", "vid2vid", "generate", *words, "--out", tmp_path / "use")
    assert outputs(tmp_path / "use") == [f"vid2vid-generate-maps.{x}" for x in ("gif", "png")]
    with Image.open(tmp_path / "use/vid2vid-generate-maps.png") as strip:
        for k in range(4):
            found = np.asarray(strip.crop((8 * k, 0, 8 * k + 8, 8))).astype(int)
            assert np.abs(found - others[k]).max() <= 1
    with pytest.raises(BadInput, match="leave --style out"):
        run("translate", "vid2vid", *given, "--style", tmp_path / "maps/1.png")
    model.own_first = False
    with pytest.raises(BadInput, match="does not make the first frames: --first FILM"):
        run("translate", "vid2vid", tmp_path / "maps")


# Speech


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory):
    settings = Config.load("segan", "tiny")
    training.resolve(settings)
    model = training.build(settings)
    return model, storage.release(model, "segan", tmp_path_factory.mktemp("saved_models"))


def test_sounds_become_sounds(enhancer, run, tmp_path, capsys):
    """As the whole by the endpoint; another rate is resampled, a broken file is left out."""
    model, release = enhancer
    keys = np.random.RandomState(0)
    sounds = tmp_path / "sounds"
    (sounds / "p1").mkdir(parents=True)
    for name, rate in (("a.wav", 16_000), ("p1/b.wav", 48_000)):
        write_wave(sounds / name, [keys.uniform(-0.5, 0.5, 301)], rate)
    (sounds / "c.wav").write_bytes(b"nothing")
    run("translate", release, sounds, "--out", tmp_path / "out", "--seed", 3)
    said = capsys.readouterr().out
    assert outputs(tmp_path / "out") == ["a.wav", "p1/b.wav"]
    assert "skipped broken sound" in said and "48000 Hz resampled to 16000" in said
    assert "Written: 2 of 3 sounds" in said
    for name in ("a.wav", "p1/b.wav"):
        given, made = WaveFile(sounds / name, 16_000), WaveFile(tmp_path / "out" / name)
        assert made.own_rate == 16_000 and made.length == given.length
        wanted = model.enhance(given.read(0, given.length)[None], 3)[0]
        np.testing.assert_allclose(made.read(0, made.length), wanted, atol=1e-4)


def test_mistakes_with_sounds(enhancer, run, tmp_path):
    _, release = enhancer
    write_wave(tmp_path / "a.wav", [np.zeros(9)], 16_000)
    for words, message in (
        ((tmp_path / "a.wav", "--film"), "--film is for images, and SEGAN takes sounds"),
        ((tmp_path / "a.wav", "--endpoint", "enhnce"), "Did you mean 'enhance'"),
        ((tmp_path / "a.wav", "--out", tmp_path), "written over itself: choose another --out"),
        ((tmp_path / "b.wav",), "There is no"),
    ):
        with pytest.raises((BadInput, OSError), match=message):
            run("translate", release, *words)
    assert WaveFile(tmp_path / "a.wav").length == 9
    (tmp_path / "a.wav").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="All 1 sounds of"):
        run("translate", release, tmp_path / "a.wav", "--out", tmp_path / "out")
