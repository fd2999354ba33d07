"""One image as a data set."""

import numpy as np
import pytest
from PIL import Image
from stand_in import StandIn

from tfgans.config import Config, Data
from tfgans.data import DataError, batches
from tfgans.data.convert import prepare
from tfgans.data.single import Landscape, OneFile, draw_landscape, read, resize
from tfgans.training import resolve


def model(image_shape, shape=None):
    return StandIn(
        data_kind="single",
        image_shape=image_shape,
        stage_shape=lambda stage: (*(shape or image_shape[:2]), image_shape[2]),
    )


def settings(path, **arguments):
    return Config(architecture="singan", model=arguments, data=Data(path=str(path)))


def first(model, source, n=2):
    return next(iter(batches(model, source, Data(batch_size=n), 0)))["image"].numpy()


@pytest.fixture
def picture(tmp_path):
    """A file of 30x40 pixels, red with half of its alpha off."""
    pixels = np.full([30, 40, 4], 255, "uint8")
    pixels[..., 1:3] = np.arange(40)[None, :, None] * 5
    pixels[:, 20:, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    pixels[:, 20:, :3] = 255  # as it reads
    return tmp_path / "picture.png", pixels


def test_a_file_is_a_batch_of_copies_on_white(picture, capsys):
    path, pixels = picture
    config = settings(path)
    source = resolve(config)
    assert config.model == {"image_shape": [30, 40, 3]}
    batch = first(model((30, 40, 3)), source)
    assert batch.shape == (2, 30, 40, 3) and batch.dtype == np.float32
    for image in batch:
        np.testing.assert_allclose(image, pixels[..., :3] / 127.5 - 1, atol=1e-6)
    assert capsys.readouterr().out.count("converted to 3 channels") == 1


def test_a_file_is_cropped_and_shrunk(picture):
    path, pixels = picture
    config = settings(path, image_shape=[30, 30, 1])
    source = resolve(config)
    assert config.model == {"image_shape": [30, 30, 1]}
    batch = first(model((30, 30, 1), (10, 10)), source, 1)
    middle = pixels[:, 5:35, :3].astype("float32") @ [0.299, 0.587, 0.114] / 127.5 - 1
    expected = middle.reshape(10, 3, 10, 3).mean(axis=(1, 3))
    columns = [1, 2, 6, 7, 8]  # apart from the step
    found = batch[0, 1:-1, columns, 0].T
    np.testing.assert_allclose(found, expected[1:-1, columns], atol=0.05)


def test_resizing_is_cubic():
    line = np.linspace(-0.5, 0.5, 10, dtype="float32")
    image = np.repeat(np.tile(line[:, None], (1, 12))[..., None], 3, axis=2)
    resized = resize(image, 20, 6)
    expected = -0.5 + ((np.arange(20) + 0.5) / 2 - 0.5) / 9
    np.testing.assert_allclose(resized[4:-4, 3, 1], expected[4:-4], atol=1e-5)
    assert resized.shape == (20, 6, 3)


@pytest.mark.parametrize("shape", [(30, 40, 3), (30, 40, 4), (15, 10, 1), (60, 60, 4)])
def test_an_image_reads_as_in_training(picture, shape, capsys):
    path, pixels = picture
    source = OneFile(path)
    expected = prepare(source.read(0), source.value_range, shape)
    np.testing.assert_array_equal(read(path, shape), expected)
    said = capsys.readouterr().out
    assert ("center-cropped" in said) == (shape[:2] != (30, 40))
    if shape == (30, 40, 3):
        np.testing.assert_allclose(expected, pixels[..., :3] / 127.5 - 1, atol=1e-6)
    if shape == (30, 40, 4):
        assert (expected[:, 20:, 3] == -1).all() and (expected[:, :20, 3] == 1).all()


def test_landscape():
    source = resolve(settings("synthetic", image_shape=[48, 64, 3]))
    batch = first(model((48, 64, 3)), source)
    np.testing.assert_allclose(batch[1], draw_landscape(48, 64) / 127.5 - 1, atol=1e-6)
    sky, grass = batch[0, :10].mean(axis=(0, 1)), batch[0, -5:].mean(axis=(0, 1))
    assert sky[2] > sky[0] and grass[1] > grass[2]
    assert np.abs(np.diff(batch[0], axis=1)).mean() > 0.01  # texture
    assert Landscape((250, 250, 3)).shape == (250, 250, 3)


def test_what_is_not_one_image(tmp_path):
    for path, match in ((tmp_path, "a folder.*path of one image"), (tmp_path / "x", "not there")):
        with pytest.raises(DataError, match=match):
            resolve(settings(path))
    with pytest.raises(DataError, match="No data are given"):
        resolve(Config(architecture="singan"))
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="a.png"):
        OneFile(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("no image")
    with pytest.raises(DataError, match="No images in"):
        OneFile(tmp_path / "a.txt")
