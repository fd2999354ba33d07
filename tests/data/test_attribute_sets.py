"""Data of the kind "attribute_sets": one set, or two with different labels that take turns."""

import itertools

import numpy as np
import pytest
from PIL import Image
from stand_in import StandIn

from tfgans import data
from tfgans.data import DataError, attribute_sets
from tfgans.data.attributes import read_attributes
from tfgans.data.settings import Data

DEFAULTS = {"image_shape": (16, 16, 3), "num_classes": 5, "second_classes": 0}


def model(**settings):
    return StandIn(
        **{
            "data_kind": "attribute_sets",
            "image_shape": (16, 16, 3),
            "num_classes": 6,
            "second_classes": 2,
        }
        | settings
    )


def batch_of(source, settings, model, step=0):
    dataset = data.batches(model, source, settings, seed=0, start=step)
    return {key: value.numpy() for key, value in next(iter(dataset)).items()}


def test_synthetic_sets_tell_a_part_of_what_they_show():
    settings = Data(path="synthetic", batch_size=32, attributes=["red", "filled"])
    given = {"second_classes": 2}
    source = attribute_sets.resolve(settings, given, DEFAULTS)
    assert given["num_classes"] == source.labels.shape[1] == 6
    for step in range(3):
        batch = batch_of(source, settings, model(), step)
        label, shown = batch["label"], read_attributes(batch["image"])
        even, odd = label[0::2], label[1::2]
        np.testing.assert_array_equal(even[:, :2], shown[0::2, :2])
        np.testing.assert_array_equal(even[:, 2:], np.tile([0, 0, 1, 0], [16, 1]))
        np.testing.assert_array_equal(odd[:, 2:4], np.eye(2)[shown[1::2, 2].astype(int)])
        np.testing.assert_array_equal(odd[:, [0, 1, 4, 5]], np.tile([0, 0, 0, 1], [16, 1]))


def test_a_single_set_is_as_in_the_kind_images():
    settings = Data(path="synthetic", batch_size=8, attributes=["dark", "red"])
    given = {"num_classes": 2}
    source = attribute_sets.resolve(settings, given, DEFAULTS)
    batch = batch_of(source, settings, model(num_classes=2, second_classes=0))
    shown = read_attributes(batch["image"])
    np.testing.assert_array_equal(batch["label"], shown[:, [2, 0]])


@pytest.fixture
def folder(tmp_path):
    """Five images with three attributes, and seven of three classes; gray values tell them."""
    faces, looks = tmp_path / "faces", tmp_path / "looks"
    faces.mkdir()
    rows = ["5", "Hat Glasses Young"]
    for k, (hat, young) in enumerate(
        itertools.islice(itertools.cycle([(0, 0), (1, 0), (1, 1)]), 5)
    ):
        Image.new("RGB", (16, 16), (10 + k,) * 3).save(faces / f"{k}.png")
        rows.append(f"{k}.png {2 * hat - 1} 1 {2 * young - 1}")
    (faces / "list_attr_celeba.txt").write_text("\n".join(rows))
    for k in range(7):
        (looks / "abc"[k % 3]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (100 + k,) * 3).save(looks / "abc"[k % 3] / f"{k}.png")
    return tmp_path


def test_two_folders(folder):
    settings = Data(path=str(folder), batch_size=10, attributes=["Young", "Hat"])
    given = {"second_classes": 3}
    source = attribute_sets.resolve(settings, given, DEFAULTS)
    assert given["num_classes"] == 7 and len(source) == 12
    seen = {"even": [], "odd": []}
    for step in range(7):
        batch = batch_of(source, settings, model(num_classes=7, second_classes=3), step)
        gray = np.rint(batch["image"][:, 0, 0, 0] * 127.5 + 127.5).astype(int)
        for value, label in zip(gray[0::2] - 10, batch["label"][0::2], strict=True):
            hat, young = [(0, 0), (1, 0), (1, 1)][value % 3]
            assert label.tolist() == [young, hat, 0, 0, 0, 1, 0]
        for value, label in zip(gray[1::2] - 100, batch["label"][1::2], strict=True):
            assert label.tolist() == [0, 0, *np.eye(3)[value % 3], 0, 1]
        seen["even"] += (gray[0::2] - 10).tolist()
        seen["odd"] += (gray[1::2] - 100).tolist()
    # 35 places of each: seven passes over one set, five over the other.
    assert sorted(seen["even"]) == sorted(7 * [*range(5)])
    assert sorted(seen["odd"]) == sorted(5 * [*range(7)])
    assert seen["even"][:5] != seen["even"][5:10]


def test_mistakes(folder, tmp_path_factory):
    settings = Data(path=str(folder), batch_size=5)
    with pytest.raises(DataError, match="3 classes in one of its sets.*second_classes = 8.*to 3"):
        attribute_sets.resolve(settings, {"second_classes": 8}, DEFAULTS)
    source = attribute_sets.resolve(settings, {"second_classes": 3}, DEFAULTS)
    with pytest.raises(DataError, match="5 images are odd. Set data.batch_size to an even"):
        attribute_sets.Reader(model(num_classes=8, second_classes=3), source, settings, 0)
    with pytest.raises(DataError, match="holds 0 folders and zips, not two sets"):
        attribute_sets.open_sets(Data(path=str(folder / "faces")), None)
    (folder / "faces" / "list_attr_celeba.txt").unlink()
    with pytest.raises(DataError, match=r"not attributes and classes \(faces: no labels, looks: c"):
        attribute_sets.open_sets(settings, None)
