"""The data kind "partly_labeled": which labels are hidden, and that they never reach a batch."""

import numpy as np
import pytest
from PIL import Image

from tfgans import data, models, training
from tfgans.config import Config
from tfgans.data.semi_labeled import labeled_rows
from tfgans.errors import BadInput


def folder(root, counts):
    """Images of one gray value each, class k in its own folder."""
    for k, count in enumerate(counts):
        (root / f"class{k}").mkdir(parents=True)
        for i in range(count):
            gray = np.full([16, 16], 50 * k + i, "uint8")
            Image.fromarray(gray).save(root / f"class{k}" / f"{i:02d}.png")
    return root


def opened(path, batch_size=8, model=None, **settings):
    chosen = Config.load("s3gan", "tiny")
    chosen.model |= {"image_shape": [16, 16, 1]} | (model or {})
    chosen.model.pop("num_classes")
    chosen.data = data.Data(str(path), batch_size=batch_size, **settings)
    source = training.resolve(chosen)
    return chosen, source, training.build(chosen)


def seen(model, source, settings, steps=30):
    """Index of an image -> the label vectors with which it came."""
    found = {}
    for _, batch in zip(range(steps), data.batches(model, source, settings, 0), strict=False):
        grays = np.rint((np.asarray(batch["image"])[:, 0, 0, 0] + 1.0) * 127.5).astype(int)
        for gray, label in zip(grays, np.asarray(batch["label"]), strict=True):
            found.setdefault(10 * (gray // 50) + gray % 50, set()).add(tuple(label))
    return found


def test_few_images_keep_their_class(tmp_path):
    chosen, source, model = opened(folder(tmp_path / "set", [10, 10, 10]), labeled_per_class=3)
    assert model.num_classes == 3
    rows = set(labeled_rows(source.labels, 3, 3, 0).tolist())
    found = seen(model, source, chosen.data)
    assert found.keys() == set(range(30))
    for index, labels in found.items():
        expected = np.eye(3)[index // 10] if index in rows else np.zeros(3)
        assert labels == {tuple(expected)}
    other = data.Data(**(vars(chosen.data) | {"labeled_seed": 1}))
    again = seen(model, source, other)
    assert {i for i, labels in again.items() if max(max(labels)) == 1} != rows


def test_without_a_number_all_keep_it(tmp_path):
    chosen, source, model = opened(folder(tmp_path / "set", [10, 10]))
    assert seen(model, source, chosen.data) == {i: {tuple(np.eye(2)[i // 10])} for i in range(20)}


def test_planted_labels_of_hidden_images_never_reach_a_batch(tmp_path):
    chosen, source, model = opened(folder(tmp_path / "set", [10, 10]), labeled_per_class=2)
    reader = data.reader(model, source, chosen.data)
    source.labels[np.setdiff1d(np.arange(20), labeled_rows(source.labels, 2, 2, 0))] = 99
    found = reader.read(range(20), lambda p, n, *stream: p, np.ones([20, 1]))
    assert found["label"].sum() == 4 and set(np.unique(found["label"])) == {0.0, 1.0}


def test_a_model_without_labels_takes_any_folder(tmp_path):
    path = tmp_path / "plain"
    path.mkdir()
    for i in range(8):
        Image.fromarray(np.full([16, 16], i, "uint8")).save(path / f"{i}.png")
    chosen, source, model = opened(path, model={"labels": "none"})
    assert model.num_classes == 0
    assert next(iter(data.batches(model, source, chosen.data, 0))).keys() == {"image"}
    with pytest.raises(data.DataError, match="Labels are needed"):
        opened(path)


def test_labels_that_all_are_needed(tmp_path):
    path = folder(tmp_path / "set", [10, 10])
    chosen, source, model = opened(path, model={"labels": "all"}, labeled_per_class=2)
    with pytest.raises(data.DataError, match="needs the class of every image"):
        data.reader(model, source, chosen.data)
    with pytest.raises(BadInput):
        models.get("s3gan")(num_classes=0)
