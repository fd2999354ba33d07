"""Label maps: numbers stay numbers, three files stay together, colors need a legend."""

import json

import numpy as np
import pytest
from PIL import Image
from stand_in import StandIn

from tfgans.config import Config, Data
from tfgans.data import DataError, batches
from tfgans.data.label_maps import in_colors, open_label_maps, palette, read_maps, save_maps
from tfgans.data.scenes import CLASSES
from tfgans.models import get
from tfgans.training import resolve


def model(shape=(8, 8, 3), **settings):
    given = {"num_labels": 40, "unlabeled": True, "instances": True}
    return StandIn(image_shape=shape, data_kind="label_maps", **given | settings)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def city(tmp_path):
    """Six photographs in the layout of pix2pixHD, with the names of Cityscapes.

    Each pixel of a label map has the number 0 to 35, with 16 bits for instances; red of the
    photograph is 7 times that number.
    """
    keys = np.random.RandomState(0)
    for i in range(6):
        labels = keys.randint(0, 36, [12, 12]).astype("uint8")
        photograph = np.stack([labels * 7, 0 * labels, 0 * labels + 9 * i], axis=-1)
        write(tmp_path / f"city/train_label/aachen_{i}_gtFine_labelIds.png", labels)
        instances = labels.astype("uint16") * 1000 + 3
        write(tmp_path / f"city/train_inst/aachen_{i}_gtFine_instanceIds.png", instances)
        write(tmp_path / f"city/train_img/aachen_{i}_leftImg8bit.png", photograph)
    return tmp_path / "city"


def take(source, like, steps=1, **settings):
    config = Data(path="given", **settings)
    found = list(batches(like, source, config, 0).take(steps).as_numpy_iterator())
    return {key: np.concatenate([batch[key] for batch in found]) for key in found[0]}


def test_three_files_are_cut_and_mirrored_alike(city):
    """The photograph's red and the instances tell each label, at every pixel."""
    source = open_label_maps(city)
    assert [len(source), source.images.path.name] == [6, "train_img"]
    found = take(source, model(), 20, batch_size=8, flip=True, jitter=4)
    assert found["map"].shape == found["instances"].shape == (160, 8, 8)
    assert found["map"].dtype == found["instances"].dtype == "int32"
    np.testing.assert_array_equal(found["instances"], found["map"] * 1000 + 3)
    red = np.rint((found["target"][..., 0] + 1) * 127.5)
    np.testing.assert_array_equal(red, found["map"] * 7)
    windows = len({labels.tobytes() for labels in found["map"]})
    assert 105 < windows <= 160  # of 6 x 5 x 5 windows x 2 mirrorings


@pytest.mark.parametrize("shape", [(6, 6, 3), (24, 24, 3), (7, 5, 3), (12, 24, 3)])
def test_resizing_makes_no_new_number(city, shape):
    source = open_label_maps(city)
    stored = {int(x) for i in range(6) for x in np.unique(source.labels.read(i))}
    found = take(source, model(shape), 3, batch_size=4)
    assert {int(x) for x in np.unique(found["map"])} <= stored
    np.testing.assert_array_equal(found["instances"], found["map"] * 1000 + 3)
    assert found["target"].shape[1:] == shape


def test_a_map_of_another_form_shows_the_middle_as_its_photograph_does(city):
    """12x12 pixels for 12x24: the six middle rows, each pixel twice in both directions."""
    source = open_label_maps(city)
    found = take(source, model((12, 24, 3)), batch_size=6)
    stored = {
        source.labels.read(i)[3:9, :, 0].repeat(2, 0).repeat(2, 1).tobytes() for i in range(6)
    }
    assert {labels.tobytes() for labels in found["map"]} == stored


def test_unlabeled_pixels_are_a_class_of_their_own(tmp_path):
    labels = np.array([[0, 1, 255, 2]] * 4, "uint8")
    write(tmp_path / "labels/a.png", labels)
    write(tmp_path / "images/a.jpg", np.zeros([4, 4, 3], "uint8"))
    source = open_label_maps(tmp_path)
    assert source.instances is None
    like = model((4, 4, 3), num_labels=3, instances=False)
    np.testing.assert_array_equal(take(source, like, batch_size=1)["map"], [[[0, 1, 3, 2]] * 4])
    like = model((4, 4, 3), num_labels=3, instances=False, unlabeled=False)
    with pytest.raises(Exception, match="unlabeled=true"):
        take(source, like, batch_size=1)
    assert isinstance(source.failure, DataError)
    with pytest.raises(Exception, match="num_labels to 3 or more"):
        take(source, model((4, 4, 3), num_labels=2, instances=False), batch_size=1)
    with pytest.raises(DataError, match="no folder of instances"):
        take(source, model((4, 4, 3), num_labels=3), batch_size=1)


def test_a_palette_is_numbers_and_colors_need_a_legend(tmp_path):
    numbers = np.array([[0, 1], [2, 1]], "uint8")
    picture = Image.fromarray(numbers).convert("P")
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    (tmp_path / "a/labels").mkdir(parents=True)
    picture.save(tmp_path / "a/labels/x.png")
    write(tmp_path / "a/images/x.png", np.zeros([2, 2, 3], "uint8"))
    np.testing.assert_array_equal(open_label_maps(tmp_path / "a").labels.read(0)[..., 0], numbers)
    colors = np.array([[9, 9, 9], [200, 0, 0], [0, 200, 0]], "uint8")
    write(tmp_path / "b/labels/x.png", colors[numbers])
    write(tmp_path / "b/images/x.png", np.zeros([2, 2, 3], "uint8"))
    with pytest.raises(DataError, match=r"in colors.*legend\.json"):
        open_label_maps(tmp_path / "b").labels.read(0)
    names = ["ground", "roof", "tree"]
    legend = [[name, color.tolist()] for name, color in zip(names, colors, strict=True)]
    (tmp_path / "b/legend.json").write_text(json.dumps(legend))
    source = open_label_maps(tmp_path / "b")
    np.testing.assert_array_equal(source.labels.read(0)[..., 0], numbers)
    shown = in_colors(numbers, 3, source.legend)
    np.testing.assert_allclose((shown + 1) * 127.5, colors[numbers], atol=1e-4)
    write(tmp_path / "b/labels/x.png", colors[numbers] + np.uint8(1))
    with pytest.raises(DataError, match=r"color \[10, 10, 10\] at row 0, column 0"):
        source.labels.read(0)
    for wrong in ("[1, 2]", "{}", '[["a", [1, 2]]]', '[["a", [1, 2, 3]], ["b", [1, 2, 3]]]'):
        (tmp_path / "b/legend.json").write_text(wrong)
        with pytest.raises(DataError, match=r"legend\.json"):
            open_label_maps(tmp_path / "b")


def test_what_is_missing_is_named(tmp_path, city):
    with pytest.raises(DataError, match="is no folder"):
        open_label_maps(tmp_path / "none")
    with pytest.raises(DataError, match="train_label and train_img"):
        open_label_maps(tmp_path)
    (city / "train_inst/aachen_3_gtFine_instanceIds.png").unlink()
    with pytest.raises(DataError, match=r"1 of 6 images of .*train_img have no partner"):
        open_label_maps(city)


def test_a_broken_file_is_skipped_and_sizes_must_agree(city, capsys):
    (city / "train_label/aachen_0_gtFine_labelIds.png").write_bytes(b"no image")
    write(city / "train_img/aachen_1_leftImg8bit.png", np.zeros([9, 12, 3], "uint8"))
    source = open_label_maps(city)
    found = take(source, model((12, 12, 3)), 3, batch_size=4)
    blue = np.rint((found["target"][..., 2] + 1) * 127.5 / 9)
    assert set(np.unique(blue)) == {2, 3, 4, 5}
    said = capsys.readouterr().out
    assert "aachen_0_gtFine_labelIds.png" in said
    assert "12x12, but its photograph has 9x12" in said


@pytest.mark.parametrize("name", ["pix2pixhd", "gaugan"])
def test_classes_instances_and_size_follow_from_the_data(name, city, capsys):
    settings = Config.load(name, "tiny")
    settings.data = Data(path=str(city), batch_size=2)
    settings.model = {}
    source = resolve(settings)
    assert settings.model["num_labels"] == 36 and settings.model["instances"] is True
    assert settings.model["image_shape"] == [12, 12, 3]
    assert "Classes of" in capsys.readouterr().out
    assert source.wanted is source.images
    settings.data, settings.model = Data(path="synthetic"), {"image_shape": [32, 32, 3]}
    resolve(settings)
    assert settings.model["num_labels"] == 4 and settings.model["legend"] == CLASSES


def test_synthetic_maps_tell_the_photograph_s_surfaces():
    """Ground is 0; each class has its texture, and neighbors of one class differ in number."""
    settings = Config.load("gaugan", "tiny")
    settings.model["image_shape"] = [48, 48, 3]
    source = resolve(settings)
    apart = 0
    for i in range(20):
        labels, instances, photograph = source.read(i)
        assert photograph.shape == (48, 48, 3) and labels.shape == instances.shape == (48, 48, 1)
        np.testing.assert_array_equal(labels == 0, instances == 0)
        for number in np.unique(instances):
            assert len(np.unique(labels[instances == number])) == 1
        same = (labels[:, 1:] == labels[:, :-1]) & (instances[:, 1:] != instances[:, :-1])
        apart += same.sum()
    assert apart > 50
    assert len({tuple(color) for color in palette(300).tolist()}) == 300
    assert get("gaugan").data_kind == get("pix2pixhd").data_kind == "label_maps"


def test_written_maps_are_read_back(tmp_path):
    """As numbers, and with a color for each class in the eyes of a person."""
    maps = np.random.RandomState(0).randint(0, 256, [2, 9, 7])
    files = save_maps(maps, tmp_path / "made")
    assert [file.name for file in files] == ["made-0.png", "made-1.png"]
    names, found = read_maps(tmp_path, (9, 7))
    np.testing.assert_array_equal(found, maps)
    with Image.open(files[0]) as picture:
        colors = np.asarray(picture.convert("RGB"))
    np.testing.assert_allclose(colors / 127.5 - 1, palette(256)[maps[0]], atol=1e-6)
