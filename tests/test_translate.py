"""tools/translate.py: images and folders in, before and after out."""

import numpy as np
import pytest
from PIL import Image

from tfgans import images, storage, training
from tfgans.config import Config
from tfgans.data.convert import prepare
from tfgans.data.files import names_to_write
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
    with pytest.raises(BadInput, match=r"makes images from images: python tools/translate\.py"):
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
