"""Paired data: pairs stay together through shuffling, cropping and mirroring."""

import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from stand_in import StandIn

from tfgans.config import Config, Data
from tfgans.data import DataError, batches
from tfgans.data.paired import Pairs, open_pairs, pair
from tfgans.models import get
from tfgans.training import resolve


def model(image_shape=(8, 8, 3), input_channels=3):
    return StandIn(
        image_shape=image_shape,
        input_channels=input_channels,
        data_kind="paired",
    )


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def pictures():
    return np.random.RandomState(0).randint(0, 256, [6, 12, 12, 3], "uint8")


@pytest.fixture
def beside(tmp_path, pictures):
    """Six files: a picture and, right of it, its negative."""
    for i, picture in enumerate(pictures):
        write(tmp_path / f"beside/train/{i}.png", np.concatenate([picture, 255 - picture], axis=1))
    write(tmp_path / "beside/test/0.png", np.zeros([12, 24, 3], "uint8"))
    return tmp_path / "beside"


def source(path, **settings):
    config = Data(path=path, **settings)
    return pair(*open_pairs(path), config), config


def take(path, steps=1, seed=0, like=None, **settings):
    pairs, config = source(path, **settings)
    found = list(batches(like or model(), pairs, config, seed).take(steps).as_numpy_iterator())
    return [np.concatenate([batch[key] for batch in found]) for key in ("input", "target")]


def test_both_halves_are_cut_and_mirrored_alike(beside):
    """The right half is the negative of the left one: their sum is 0 at every pixel."""
    input, target = take(beside, 20, batch_size=8, flip=True, jitter=4)
    np.testing.assert_allclose(input + target, 0, atol=1e-6)
    assert input.shape == (160, 8, 8, 3)
    # Jitter 4 of 8 leaves the files at their 12 pixels: 6 x 5 x 5 windows x 2 mirrorings.
    windows = len({image.tobytes() for image in input})
    assert 105 < windows <= 160  # expected 124 +- 5 of the 300 there are


def test_windows_are_uniform_and_half_are_mirrored(tmp_path):
    y, x = np.mgrid[:12, :12].astype("uint8") * 10
    image = np.stack([y, x, 0 * x], axis=-1)
    write(tmp_path / "set/0.png", np.concatenate([image, image], axis=1))
    input, target = take(tmp_path / "set", 40, batch_size=50, flip=True, jitter=4)
    np.testing.assert_array_equal(input, target)
    values = np.rint((input + 1) * 127.5 / 10).astype(int)
    top, mirrored = values[:, 0, 0, 0], values[:, 0, 0, 1] > values[:, 0, 7, 1]
    left = values[:, 0, :, 1].min(axis=1)
    for place in (top, left):
        counts = np.bincount(place, minlength=5)
        assert len(counts) == 5 and counts.min() > 340 and counts.max() < 460  # 400 each
    assert 0.46 < mirrored.mean() < 0.54
    assert abs(np.corrcoef(top, left)[0, 1]) < 0.06


def test_without_jitter_and_flip_images_are_as_stored(beside, pictures):
    input, _ = take(beside, like=model((12, 12, 3)), batch_size=6)
    found = {image.tobytes() for image in np.rint((input + 1) * 127.5).astype("uint8")}
    assert found == {picture.tobytes() for picture in pictures}  # and not the one of test/


def test_direction(beside):
    forth, back = (take(beside, batch_size=6, direction=d) for d in ("a_to_b", "b_to_a"))
    np.testing.assert_array_equal(forth, back[::-1])


def test_seed_start_and_workers(beside):
    pairs, config = source(beside, batch_size=4, flip=True, jitter=4)

    def images(steps, **where):
        found = batches(model(), pairs, config, 3, **where).take(steps).as_numpy_iterator()
        return np.array([np.concatenate([b["input"], b["target"]], axis=-1) for b in found])

    whole = images(7)
    np.testing.assert_array_equal(whole[4:], images(3, start=4))
    halves = [images(7, shard=(k, 2)) for k in range(2)]
    np.testing.assert_array_equal(whole, np.concatenate(halves, axis=1))


@pytest.mark.parametrize("names", [("A", "B"), ("input", "target"), ("trainA", "trainB")])
def test_two_folders_are_matched_by_name(tmp_path, pictures, names):
    a, b = names
    for i, picture in enumerate(pictures):
        write(tmp_path / a / f"deep/{i}.png", picture)
        gray = np.full([12, 12], i * 40, "uint8")
        write(tmp_path / b / f"deep/{i}.{'bmp' if i == 2 else 'png'}", gray)
    input, target = take(tmp_path, like=model((12, 12, 1)), batch_size=6)
    assert target.shape == (6, 12, 12, 1)
    for image, gray in zip(input, target, strict=True):
        i = round((gray[0, 0, 0] + 1) * 127.5 / 40)
        np.testing.assert_array_equal(np.rint((image + 1) * 127.5), pictures[i])
    write(tmp_path / a / "alone.png", pictures[0])
    with pytest.raises(DataError, match=r"1 of 7 images of .* no partner .*alone\.png"):
        open_pairs(tmp_path)


def test_files_that_differ_in_their_suffixes_are_refused(tmp_path, pictures):
    for name in ("A/0.png", "A/0.bmp", "B/0.png"):
        write(tmp_path / name, pictures[0])
    with pytest.raises(DataError, match="differ in their suffixes"):
        open_pairs(tmp_path)


def test_odd_widths_are_an_error(tmp_path):
    write(tmp_path / "set/0.png", np.zeros([12, 25, 3], "uint8"))
    with pytest.raises(DataError, match="0.png: 25 pixels wide.*left.*right half.*two folders"):
        open_pairs(tmp_path / "set")


def test_a_file_of_odd_width_is_broken(tmp_path, capsys):
    for i, width in enumerate([25, 24, 27, 26]):
        write(tmp_path / f"{i}.png", np.full([12, width, 3], i, "uint8"))
    input, _ = take(tmp_path, 2, batch_size=4, like=model((12, 12, 3)))
    assert set(np.rint((input[:, 0, 0, 0] + 1) * 127.5)) == {1, 3}
    said = capsys.readouterr().out
    assert said.count("skipped broken image") == 2 and "0.png: 25 pixels wide" in said
    with pytest.raises(tf.errors.InvalidArgumentError, match="(0|2).png: 2. pixels wide"):
        take(tmp_path, 2, batch_size=4, broken="fail")


@pytest.mark.parametrize(
    "a, b",
    [
        ("A", "B"), ("a", "b"), ("Input", "Target"), ("train/A", "train/B"), ("trainA", "trainB"),
        ("train_A", "train_B"), ("train_label", "train_img"), ("A/train", "B/train"),
    ],
)  # fmt: skip
def test_known_layouts(tmp_path, a, b):
    for value, folder in enumerate((a, b)):
        write(tmp_path / folder / "0.png", np.full([12, 12, 3], value, "uint8"))
        if "train" in folder:
            other = folder.replace("train", "test")
            write(tmp_path / other / "0.png", np.full([12, 12, 3], 9, "uint8"))
    found = open_pairs(tmp_path)
    assert [len(images) for images in found] == [1, 1]
    assert [images.read(0)[0, 0, 0] for images in found] == [0, 1]


@pytest.mark.parametrize("top", ["", "train/"])
def test_two_folders_of_unknown_names_are_refused(tmp_path, top):
    for folder in ("sketch", "photo"):
        write(tmp_path / f"{top}{folder}/0.png", np.zeros([12, 12, 3], "uint8"))
    with pytest.raises(DataError, match="folders photo and sketch: .*trainA and trainB"):
        open_pairs(tmp_path)
    write(tmp_path / f"{top}notes/other.png", np.zeros([12, 12, 3], "uint8"))
    with pytest.raises(DataError, match="folders photo and sketch: "):
        open_pairs(tmp_path)  # by the names of their files


def test_two_folders_in_a_zip_are_refused(tmp_path, pictures):
    for folder in "AB":
        write(tmp_path / folder / "0.png", pictures[0])
    with zipfile.ZipFile(tmp_path / "pairs.zip", "w") as file:
        for folder in "AB":
            file.write(tmp_path / folder / "0.png", f"{folder}/0.png")
    with pytest.raises(DataError, match="folders A and B"):
        open_pairs(tmp_path / "pairs.zip")


def test_a_broken_half_takes_its_partner_along(tmp_path, pictures, capsys):
    for i, picture in enumerate(pictures):
        write(tmp_path / f"A/{i}.png", picture)
        write(tmp_path / f"B/{i}.png", 255 - picture)
    for name in ("A/1.png", "B/3.png"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 3 // 4])
    write(tmp_path / "B/4.png", pictures[4][:6])  # its shape differs from that of its partner
    input, target = take(tmp_path, 3, batch_size=6)
    np.testing.assert_allclose(input + target, 0, atol=1e-6)
    said = capsys.readouterr().out
    assert said.count("skipped broken image") == 3
    assert "4.png: 12x12, but its target has 6x12" in said


def settings(path, **data):
    tree = {"architecture": "pix2pix", "data": {"path": str(path), **data}}
    return Config.from_dict(tree)


def test_size_and_channels_come_from_the_data(tmp_path, pictures):
    for i, picture in enumerate(pictures):
        write(tmp_path / f"A/{i}.png", picture[..., 0])
        write(tmp_path / f"B/{i}.png", picture)
    for direction, wanted in (
        ("a_to_b", {"image_shape": [12, 12, 3], "input_channels": 1}),
        ("b_to_a", {"image_shape": [12, 12, 1], "input_channels": 3}),
    ):
        chosen = settings(tmp_path, direction=direction)
        assert isinstance(resolve(chosen), Pairs)
        assert chosen.model == wanted


def test_synthetic_pairs_show_one_scene():
    pairs = resolve(settings("synthetic"))
    assert pairs.input.read(5).shape == pairs.target.read(5).shape == (256, 256, 3)
    drawing, picture = (images.read(7).astype(int) for images in (pairs.input, pairs.target))
    ground = (drawing == 230).all(axis=-1)
    assert 0.3 < ground.mean() < 0.9
    # The background of the picture has one color in each row.
    same = (picture == picture[:, :1]).all(axis=-1)
    assert same[ground & ground[:, :1]].all()
    np.testing.assert_array_equal(drawing, pairs.input.read(7))
    assert not np.array_equal(drawing, pairs.input.read(8))
    red, green = ((drawing == color).all(axis=-1) for color in ((220, 60, 50), (80, 190, 90)))
    assert picture[red][:, 0].mean() > picture[green][:, 0].mean()


def test_settings_of_other_kinds_are_refused():
    for name, word, value in (
        ("gan", "direction", "b_to_a"),
        ("gan", "jitter", 4),
        ("pix2pix", "labels", True),
    ):
        tree = {"architecture": name, "data": {"path": "synthetic", word: value}}
        with pytest.raises(
            DataError, match=f"data.{word} is .*{get(name).__name__}.*has no setting '{word}'"
        ):
            resolve(Config.from_dict(tree))
