"""Layers on a disc: independent labels, exact masks and order, as the kind "images" reads them."""

import numpy as np
import pytest

from tfgans.config import Config
from tfgans.data import DataError, batches
from tfgans.data.layered import COLORS, LAYERS, SyntheticLayers
from tfgans.training import build, resolve


@pytest.fixture(scope="module")
def source():
    return SyntheticLayers((32, 32, 3), count=4096)


def test_layers_are_independent_and_their_order_is_any(source):
    assert np.abs(np.corrcoef(source.labels.T) - np.eye(3)).max() < 0.05
    assert np.abs(source.labels.mean(axis=0) - 0.5).max() < 0.03
    orders = [tuple(source.order(i)) for i in range(4096)]
    whole = [order for order in orders if len(order) == 3]
    counts = {order: whole.count(order) for order in whole}
    assert len(counts) == 6 and min(counts.values()) > 0.12 * len(whole)
    for i in range(100):
        assert {*orders[i]} == {*np.flatnonzero(source.labels[i])}


def test_masks_are_where_the_layers_are_seen(source):
    """Full masks show the color of their layer; they share no pixel; absent ones are empty."""
    for i in range(60):
        image, masks = source.read(i).astype(float), source.masks(i)
        assert masks.shape == (3, 32, 32) and masks.sum(axis=0).max() <= 1 + 1e-9
        for k in range(3):
            if not source.present[i, k]:
                assert masks[k].max() == 0
                continue
            shown = image[masks[k] > 0.999]
            assert len(shown) > 10
            wanted = source.light[i] * np.array(COLORS[k])
            assert np.abs(shown - wanted).max() <= 0.51


def test_the_top_layer_is_the_largest_one_that_is_seen(source):
    """Areas are the same, and of each layer below at least a fifth is seen and a tenth is not."""
    whole = [source.masks(i)[source.order(i)[0]].sum() for i in range(300) if source.order(i)]
    assert np.std(whole) < 0.03 * np.mean(whole)
    assert 0.36**2 * 0.97 < np.mean(whole) / 32**2 < 0.36**2 * 1.03
    for i in range(300):
        order, sizes = source.order(i), source.masks(i).sum(axis=(1, 2))
        if len(order) == 2:
            assert 0.5 < sizes[order[1]] / sizes[order[0]] < 0.9
        for k in order[1:]:
            assert sizes[k] > 0.2 * np.mean(whole)


def test_first_images_do_not_depend_on_their_number(source):
    few = SyntheticLayers((32, 32, 3), first=5, count=4)
    for i in range(4):
        np.testing.assert_array_equal(few.read(i), source.read(5 + i))
        np.testing.assert_array_equal(few.labels[i], source.labels[5 + i])
    assert few.describe(0) == "synthetic layers 5" and len(few) == 4
    wide = SyntheticLayers((32, 40, 3), count=2)
    np.testing.assert_array_equal(wide.read(1)[:, 4:-4], source.read(1))
    with pytest.raises(DataError, match="RGB images of at least 16x16 pixels, not"):
        SyntheticLayers((32, 32, 1))


def test_names_of_layers_choose_them(source):
    tree = {
        "architecture": "pizzagan",
        "model": {"image_shape": [32, 32, 3], "width": 2, "blocks": 0},
        "data": {"path": "synthetic", "attributes": ["hexagon", "triangle"], "batch_size": 64},
    }
    settings = Config.from_dict(tree)
    found = resolve(settings)
    assert settings.model["num_classes"] == 2
    batch = next(iter(batches(build(settings), found, settings.data, 0)))
    assert batch["label"].shape == (64, 2)
    red = (batch["image"].numpy() * [1, -1, -1]).sum(axis=-1).max(axis=(1, 2))  # of triangles
    label = batch["label"].numpy()[:, 1]
    assert red[label == 1].min() > red[label == 0].max()
    with pytest.raises(DataError, match="No attribute named 'circle'|attribute"):
        resolve(Config.from_dict(tree | {"data": tree["data"] | {"attributes": ["circle"]}}))
    assert LAYERS == ("triangle", "square", "hexagon")
