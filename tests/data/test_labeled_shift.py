"""Labels of one domain alone: none of the target comes, two orders, and data that do not fit."""

import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgans import config, data
from tfgans.data.labeled_shift import ShiftedPolygons
from tfgans.data.settings import Data
from tfgans.data.synthetic import SyntheticImages
from tfgans.models.dann import DANN


def folders(path, a=(4, 4, 4), b=(3, 3)):
    """Two domains. Each image of A has a gray of its own, 50 k + i in class k; B goes on at 200."""
    for domain, counts, start in (("A", a, 0), ("B", b, 200)):
        for k, n in enumerate(counts):
            (path / domain / f"class{k}").mkdir(parents=True)
            for i in range(n):
                file = path / domain / f"class{k}" / f"{i:02d}.png"
                Image.new("L", (8, 8), start + (50 if domain == "A" else 10) * k + i).save(file)
    return path


def opened(path, num_classes=None, **settings):
    given = {"image_shape": [8, 8, 1]} | ({"num_classes": num_classes} if num_classes else {})
    chosen = config.Config("dann", given, data=Data(str(path), **settings))
    source = data.resolve(chosen, DANN)
    return chosen, source, stand_in(chosen.model["num_classes"])


def stand_in(num_classes, shape=(8, 8, 1)):
    return types.SimpleNamespace(
        data_kind="labeled_shift",
        batches_per_step=1,
        stage_steps=(),
        image_shape=shape,
        num_classes=num_classes,
        stage_shape=lambda stage: shape,
        stage_of=lambda step: 0,
    )


def grays(images):
    return np.round((np.asarray(images)[:, 0, 0, 0] + 1.0) * 127.5).astype(int)


def some(model, source, chosen, n, seed=0, **place):
    dataset = data.batches(model, source, chosen.data, seed, **place)
    return [batch for _, batch in zip(range(n), dataset, strict=False)]


def test_a_batch_has_labels_of_the_source_and_none_of_the_target(tmp_path):
    chosen, source, model = opened(folders(tmp_path), batch_size=6)
    assert chosen.model["num_classes"] == 3 and source.b.labels is not None
    seen = {"a": [], "b": []}
    for batch in some(model, source, chosen, 8):
        assert list(batch) == ["a", "a_label", "b"]
        np.testing.assert_array_equal(grays(batch["a"]) // 50, batch["a_label"])
        for key, found in seen.items():
            found += grays(batch[key]).tolist()
    assert sorted(set(seen["a"])) == [50 * k + i for k in range(3) for i in range(4)]
    assert sorted(set(seen["b"])) == [200 + 10 * k + i for k in range(2) for i in range(3)]
    # Each domain ends a pass by itself: 12 images of a, 6 of b.
    assert len(set(seen["a"][:12])) == 12 and len(set(seen["b"][:6])) == 6


def test_the_labeled_domain_may_be_the_second_one(tmp_path):
    """With b_to_a "a" and its labels are of the folder B, and "b" is of A."""
    path = folders(tmp_path)
    chosen, source, model = opened(path, batch_size=6, direction="b_to_a")
    assert chosen.model["num_classes"] == 2 and source.wanted is source.b
    for batch in some(model, source, chosen, 4):
        np.testing.assert_array_equal((grays(batch["a"]) - 200) // 10, batch["a_label"])
        assert grays(batch["b"]).max() < 200
    chosen = config.Config("dann", {"image_shape": [8, 8, 3], "num_classes": 3})
    chosen.data = Data("synthetic", direction="b_to_a")
    source = data.resolve(chosen, DANN)
    assert type(source.a) is ShiftedPolygons and type(source.b) is SyntheticImages


def test_batches_are_a_function_of_the_step(tmp_path):
    """A run that begins at step 3, and a worker with half of each batch, see the same examples."""
    chosen, source, model = opened(folders(tmp_path), batch_size=4)
    whole = some(model, source, chosen, 5, seed=7)
    (later,) = some(model, source, chosen, 1, seed=7, start=3)
    (half,) = some(model, source, chosen, 1, seed=7, start=3, shard=(1, 2))
    for key in ("a", "a_label", "b"):
        np.testing.assert_array_equal(whole[3][key], later[key])
        np.testing.assert_array_equal(whole[3][key][2:], half[key])


def test_a_broken_image_is_replaced_and_its_label_too(tmp_path, capsys):
    path = folders(tmp_path)
    (path / "A" / "class0" / "03.png").write_bytes(b"no image")  # the next one is of class 1
    (path / "B" / "class1" / "02.png").write_bytes(b"no image")
    chosen, source, model = opened(path, batch_size=6)
    for batch in some(model, source, chosen, 4):
        np.testing.assert_array_equal(grays(batch["a"]) // 50, batch["a_label"])
        assert 3 not in grays(batch["a"]) and 212 not in grays(batch["b"])
    assert capsys.readouterr().out.count("skipped broken image") == 2


def test_the_target_needs_no_labels_and_the_source_does(tmp_path):
    path = folders(tmp_path / "x")
    for file in sorted((path / "B").rglob("*.png")):
        file.rename(path / "B" / f"{file.parent.name}{file.name}")
    for folder in (path / "B").glob("class*[0-9]"):
        folder.rmdir()
    _, source, _ = opened(path)
    assert source.b.labels is None
    (path / "A").rename(path / "C")
    (path / "B").rename(path / "A")
    (path / "C").rename(path / "B")
    with pytest.raises(data.DataError, match="Labels are needed, but .*A has none"):
        opened(path)


def test_data_that_do_not_fit(tmp_path):
    path = folders(tmp_path / "x")
    with pytest.raises(data.DataError, match="run from 0 to 2, but the model has num_classes = 2"):
        opened(path, num_classes=2)
    (path / "B").rename(path / "other")
    with pytest.raises(data.DataError, match="There are no two domains in"):
        opened(path)
    _, source, model = opened(folders(tmp_path / "y"))
    source.a.labels = np.eye(3, dtype="float32")[source.a.labels] * 0.5
    with pytest.raises(data.DataError, match="tells classes apart, and the labels of .*vectors"):
        data.reader(model, source, Data())
    with pytest.raises(data.DataError, match="gray or RGB, not .8, 8, 4."):
        ShiftedPolygons((8, 8, 4), 3)


def test_the_synthetic_target_is_other_polygons_on_gradients():
    """|ground - polygon|: outside the plane of a gradient, inside one minus it."""
    chosen = config.Config("dann", {"image_shape": [28, 28, 3], "num_classes": 4})
    chosen.data = Data("synthetic")
    source = data.resolve(chosen, DANN)
    first = len(source.a)
    polygons = SyntheticImages((28, 28, 1), 4, first + len(source.b))
    rows = np.arange(40)
    cover = 1.0 - polygons.read(first + rows) / 64.0
    image = source.b.read(rows) / 255.0
    y, x = (place.ravel() for place in np.mgrid[:28, :28])
    plane = np.stack([x, y, np.ones_like(x)], axis=1)
    for picture, covered in zip(image, cover, strict=True):
        inside = covered.ravel() == 1
        whole = inside | (covered.ravel() == 0)
        ground = np.where(inside[:, None], 1.0 - picture.reshape(-1, 3), picture.reshape(-1, 3))
        _, residual, *_ = np.linalg.lstsq(plane[whole], ground[whole], rcond=None)
        assert np.sqrt(residual / whole.sum()).max() < 0.004  # rounding to 1 / 255
    assert image.std(axis=0).mean() > 0.1 and np.ptp(image, axis=3).mean() > 0.1  # colors vary
    np.testing.assert_array_equal(source.b.labels[:40], polygons.labels[first + rows])
    np.testing.assert_array_equal(source.b.read(3), source.b.read(rows)[3])
    again = ShiftedPolygons((28, 28, 3), 4, first, count=20)
    np.testing.assert_array_equal(again.read(3), source.b.read(3))


def test_labels_of_any_key_pass_as_they_are():
    model = DANN(image_shape=(8, 8, 1), num_classes=3, width=2)
    found = data.signature(model)
    assert list(found) == ["a", "a_label", "b"] and found["a_label"].dtype == tf.int32
