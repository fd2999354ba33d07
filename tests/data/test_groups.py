"""Pairs of one group or two: half of each, every partner possible, what pictures show, bad data."""

import types

import numpy as np
import pytest
from PIL import Image

from tfgans import config, data
from tfgans.data.groups import COLORS, ColoredShapes, read_shapes
from tfgans.data.settings import Data
from tfgans.models.disentangle import Disentangle


def folder(path, counts):
    """Each image of group k has a gray of its own, from 50 k on."""
    for k, n in enumerate(counts):
        (path / f"group{k}").mkdir(parents=True)
        for i in range(n):
            Image.new("L", (8, 8), 50 * k + i).save(path / f"group{k}" / f"{i:02d}.png")
    return path


def opened(path, **settings):
    chosen = config.Config("disentangle", {}, data=Data(str(path), **settings))
    source = data.resolve(chosen, Disentangle)
    shape = tuple(chosen.model["image_shape"])
    model = types.SimpleNamespace(
        data_kind="groups",
        batches_per_step=1,
        stage_steps=(),
        image_shape=shape,
        stage_shape=lambda stage: shape,
        stage_of=lambda step: 0,
    )
    return chosen, source, model


def grays(images):
    return np.round((np.asarray(images)[:, 0, 0, 0] + 1.0) * 127.5).astype(int)


def some(model, source, chosen, n, **place):
    dataset = data.batches(model, source, chosen.data, 7, **place)
    return [batch for _, batch in zip(range(n), dataset, strict=False)]


def test_half_of_the_pairs_are_of_one_group_and_all_partners_come(tmp_path):
    chosen, source, model = opened(folder(tmp_path / "set", [4, 3, 2]), batch_size=6)
    assert chosen.model["image_shape"] == [8, 8, 1]
    seen, first = {0: set(), 1: set()}, []
    for batch in some(model, source, chosen, 120):
        a, b, same = grays(batch["a"]), grays(batch["b"]), batch["same"].numpy()
        np.testing.assert_array_equal(same, [1, 0, 1, 0, 1, 0])
        np.testing.assert_array_equal(a // 50 == b // 50, same == 1)
        assert (a != b).all()
        first += a.tolist()
        for pair in zip(a.tolist(), b.tolist(), same.tolist(), strict=True):
            seen[pair[2]].add(pair[:2])
    assert len(seen[1]) == 4 * 3 + 3 * 2 + 2 * 1
    assert len(seen[0]) == 2 * (4 * 3 + 4 * 2 + 3 * 2)
    assert len(set(first[:9])) == 9  # a pass


def test_batches_are_a_function_of_the_step(tmp_path):
    chosen, source, model = opened(folder(tmp_path / "set", [5, 5]), batch_size=4)
    whole = some(model, source, chosen, 5)
    (later,) = some(model, source, chosen, 1, start=3)
    (half,) = some(model, source, chosen, 1, start=3, shard=(1, 2))
    for key in ("a", "b", "same"):
        np.testing.assert_array_equal(whole[3][key], later[key])
        np.testing.assert_array_equal(whole[3][key][2:], half[key])


def test_a_broken_image_keeps_the_sign_of_the_pair_true(tmp_path, capsys):
    path = folder(tmp_path / "set", [4, 4])
    (path / "group0" / "03.png").write_bytes(b"no image")  # the next one is of the other group
    chosen, source, model = opened(path, batch_size=8)
    for batch in some(model, source, chosen, 10):
        same = grays(batch["a"]) // 50 == grays(batch["b"]) // 50
        np.testing.assert_array_equal(same, batch["same"].numpy() == 1)
    assert "skipped broken image" in capsys.readouterr().out


def test_data_that_do_not_fit(tmp_path):
    chosen, source, model = opened(folder(tmp_path / "set", [4, 1]))
    for labels, sizes in ((source.labels, "4, 1"), (0 * source.labels, "5")):
        source.labels = labels
        with pytest.raises(data.DataError, match=f"two or more groups .* have {sizes}"):
            data.reader(model, source, chosen.data)
    source.labels = np.eye(5, dtype="float32")[:, :2]
    with pytest.raises(data.DataError, match="takes images of groups"):
        data.reader(model, source, chosen.data)
    (tmp_path / "flat").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "flat" / "a.png")
    with pytest.raises(data.DataError, match="Labels are needed"):
        opened(tmp_path / "flat")
    with pytest.raises(data.DataError, match="at least 16x16"):
        ColoredShapes((32, 32, 1))


def test_synthetic_shapes_show_their_color_and_outline():
    source = ColoredShapes((24, 32, 3), count=200)
    pictures = source.read(np.arange(200)) / 127.5 - 1.0
    masks, colors = read_shapes(pictures)
    np.testing.assert_array_equal(colors, source.labels)
    assert set(source.labels) == set(range(len(COLORS))) and set(source.shapes) == {0, 1, 2, 3}
    # A triangle covers 0.41 of the disc around it, a square 0.64.
    area = masks.sum(axis=(1, 2))
    means = [area[source.shapes == k].mean() for k in range(4)]
    assert means[0] < 0.8 * means[1] and means[1] < 0.75 * means[3]
    assert means[2] == pytest.approx(means[1], rel=0.15)
    # Color tells nothing of the shape.
    both = np.zeros([5, 4])
    np.add.at(both, (source.labels, source.shapes), 1)
    assert both.min() > 0
    other = ColoredShapes((24, 32, 3), first=150, count=10)
    np.testing.assert_array_equal(other.read(3), source.read(153))
    np.testing.assert_array_equal((source.read(153) / 127.5 - 1.0), pictures[153])
