"""tools/translate.py: images and folders in, before and after out."""

import numpy as np
import pytest
from PIL import Image

from tfgans import images, storage, training
from tfgans.config import Config
from tfgans.errors import BadInput


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


def test_before_and_after(released, run, folder, tmp_path):
    model, release = released
    run("translate", release, folder)
    found = sorted(path.name for path in (tmp_path / "translated").iterdir())
    assert found == ["deep-two.png", "one.png"]
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


def test_one_image_alone_and_other_endpoints(released, run, folder, tmp_path):
    model, release = released
    name = type(model).__name__
    options = ["--seed", "1"] if name == "Pix2Pix" else ["--endpoint", "b_to_a"]
    for out, chosen in (("first", []), ("second", options)):
        run("translate", release, folder / "one.png", "--single", "--out", out, *chosen)
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
