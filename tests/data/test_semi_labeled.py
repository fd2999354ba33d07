"""Few labels: which images have one, hidden labels, the two orders, and data that do not fit."""

import types

import numpy as np
import pytest
from PIL import Image

from tfgans import config, data
from tfgans.data.semi_labeled import labeled_rows
from tfgans.data.settings import Data
from tfgans.models.semi_gan import SemiGAN

HIDDEN = 77  # a label that no class has


def folder(path, counts):
    """Each image of class k has a gray of its own, from 50 k on."""
    for k, n in enumerate(counts):
        (path / f"class{k}").mkdir(parents=True)
        for i in range(n):
            Image.new("L", (8, 8), 50 * k + i).save(path / f"class{k}" / f"{i:02d}.png")
    return path


def model_of(source, num_classes):
    return types.SimpleNamespace(
        data_kind="semi_labeled",
        batches_per_step=1,
        stage_steps=(),
        image_shape=(8, 8, 1),
        num_classes=num_classes,
        stage_shape=lambda stage: (8, 8, 1),
        stage_of=lambda step: 0,
    )


def opened(path, num_classes=3, **settings):
    chosen = config.Config("semi_gan", {"image_shape": [8, 8, 1]}, data=Data(str(path), **settings))
    source = data.resolve(chosen, SemiGAN)
    return chosen, source, model_of(source, num_classes)


def grays(images):
    return np.round((np.asarray(images)[:, 0, 0, 0] + 1.0) * 127.5).astype(int)


def test_the_model_gets_its_shape_and_classes_from_the_data(tmp_path):
    chosen, *_ = opened(folder(tmp_path / "set", [4, 4, 4]))
    assert chosen.model["num_classes"] == 3


def test_only_chosen_images_have_labels_and_hidden_labels_never_come(tmp_path):
    """The labels of all other images are impossible ones; a batch that has one of them fails."""
    chosen, source, model = opened(
        folder(tmp_path / "set", [20, 20, 20]), labeled_per_class=3, batch_size=8
    )
    rows = labeled_rows(source.labels, 3, 3, 0)
    hidden = np.full(60, HIDDEN)
    hidden[rows] = source.labels[rows]
    original, kept = source.labels, set(rows.tolist())
    seen, all_seen = set(), set()
    for _, batch in zip(range(40), data.batches(model, source, chosen.data, 0), strict=False):
        for gray, label in zip(grays(batch["image"]), batch["label"].numpy(), strict=True):
            index = 20 * (gray // 50) + gray % 50
            assert index in kept and hidden[index] == label == original[index]
            seen.add(index)
        all_seen |= set(grays(batch["unlabeled"]).tolist())
    assert seen == kept and len(rows) == 9
    assert len(all_seen) == 60  # the labeled ones come without their label, too


def test_planted_labels_of_other_images_never_reach_a_batch(tmp_path):
    chosen, source, model = opened(
        folder(tmp_path / "set", [20, 20, 20]), labeled_per_class=2, batch_size=6
    )
    reader = data.reader(model, source, chosen.data)
    hidden = np.setdiff1d(np.arange(60), labeled_rows(source.labels, 3, 2, 0))
    source.labels[hidden] = HIDDEN
    order = np.random.default_rng(0).integers
    found = reader.read(range(50), lambda p, n, *stream: int(order(n)), np.ones([50, 2]))
    assert set(found["label"].tolist()) == {0, 1, 2}


def test_the_choice_is_a_function_of_the_labels_and_the_seed():
    labels = np.arange(1000) % 4
    first, again, other = (labeled_rows(labels, 4, 10, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for rows in (first, other):
        np.testing.assert_array_equal(np.bincount(labels[rows]), [10] * 4)
    np.testing.assert_array_equal(labeled_rows(labels, 4, 0, 0), np.arange(1000))


def test_labeled_seed_chooses_other_images(tmp_path):
    path, found = folder(tmp_path / "set", [20, 20, 20]), []
    for seed in (0, 1):
        chosen, source, model = opened(path, labeled_per_class=3, labeled_seed=seed)
        reader = data.reader(model, source, chosen.data)
        rows = labeled_rows(source.labels, 3, 3, seed)
        read = reader.read(range(9), lambda p, n, *stream: p % n, np.ones([9, 2]))
        gray = grays(read["image"])
        np.testing.assert_array_equal(20 * (gray // 50) + gray % 50, rows)
        np.testing.assert_array_equal(read["label"], gray // 50)
        found.append(set(rows.tolist()))
    assert found[0] != found[1]


def test_batches_are_a_function_of_the_step(tmp_path):
    """A run that begins at step 3, and a worker with half of each batch, see the same examples."""
    chosen, source, model = opened(
        folder(tmp_path / "set", [9, 9, 9]), labeled_per_class=2, batch_size=4
    )
    whole = [b for _, b in zip(range(5), data.batches(model, source, chosen.data, 7), strict=False)]
    later = next(iter(data.batches(model, source, chosen.data, 7, start=3)))
    half = next(iter(data.batches(model, source, chosen.data, 7, start=3, shard=(1, 2))))
    for key in ("image", "label", "unlabeled"):
        np.testing.assert_array_equal(whole[3][key], later[key])
        np.testing.assert_array_equal(whole[3][key][2:], half[key])


def test_a_broken_labeled_image_is_replaced_by_a_labeled_one(tmp_path, capsys):
    path = folder(tmp_path / "set", [9, 9, 9])
    chosen, source, model = opened(path, labeled_per_class=2, batch_size=8)
    rows = labeled_rows(source.labels, 3, 2, 0)
    # The last one of its class: the image in its place has another label.
    (path / "class0" / f"{rows[1]:02d}.png").write_bytes(b"no image")
    chosen, source, model = opened(path, labeled_per_class=2, batch_size=8)
    labels = set()
    for _, batch in zip(range(6), data.batches(model, source, chosen.data, 0), strict=False):
        for gray, label in zip(grays(batch["image"]), batch["label"].numpy(), strict=True):
            assert 9 * (gray // 50) + gray % 50 in np.delete(rows, 1) and gray // 50 == label
            labels.add(int(label))
    assert labels == {0, 1, 2}
    assert "broken" in capsys.readouterr().out


def test_too_few_images_of_a_class(tmp_path):
    chosen, source, model = opened(folder(tmp_path / "set", [9, 4, 9]), labeled_per_class=5)
    with pytest.raises(data.DataError, match="5, and class 1 has 4 images"):
        data.reader(model, source, chosen.data)


def test_images_without_labels_are_refused(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(data.DataError, match="Labels are needed"):
        opened(tmp_path)


def test_synthetic_images_have_the_classes_of_the_model():
    chosen = config.Config(
        "semi_gan",
        {"image_shape": [16, 16, 1], "num_classes": 4},
        data=Data("synthetic", labeled_per_class=10),
    )
    source = data.resolve(chosen, SemiGAN)
    assert source.num_classes == 4
    rows = labeled_rows(source.labels, 4, 10, 0)
    np.testing.assert_array_equal(np.bincount(source.labels[rows]), [10] * 4)
