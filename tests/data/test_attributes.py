"""Attributes: synthetic shapes and the oracle that reads them, CelebA's table, names."""

import numpy as np
import pytest
from PIL import Image

from tfgans import config, data
from tfgans.data.attributes import SYNTHETIC, SyntheticAttributes, read_attributes
from tfgans.data.settings import Data
from tfgans.models.stylegan2 import StyleGAN2

TABLE = """4
Bald Smiling Young
000001.jpg  1 -1  1
000002.jpg -1 -1  1
000003.jpg -1  1 -1
000004.jpg  1  1 -1
"""


def celeba(path, table=TABLE):
    (path / "img_align_celeba").mkdir(parents=True)
    for i in range(1, 5):
        Image.new("RGB", (16, 16), (50 * i, 0, 0)).save(path / f"img_align_celeba/{i:06}.jpg")
    (path / "list_attr_celeba.txt").write_text(table)
    return path


def opened(path, attributes, **model):
    settings = config.Config("stylegan2", model, data=Data(str(path), attributes=attributes))
    return settings, data.resolve(settings, StyleGAN2)


@pytest.mark.parametrize("side", [16, 32, 64])
def test_the_oracle_reads_every_label_from_the_pixels(side):
    source = SyntheticAttributes((side, side, 3), count=4096)
    images = np.stack([source.read(i) for i in range(4096 if side < 64 else 512)]) / 127.5 - 1.0
    np.testing.assert_array_equal(read_attributes(images), source.labels[: len(images)])


def test_the_oracle_follows_a_change_of_one_attribute():
    """Other colors, a filled hole, another ground: each changes its own answer alone."""
    source = SyntheticAttributes((32, 32, 3), count=64)
    images = np.stack([source.read(i) for i in range(64)]) / 127.5 - 1.0
    first = read_attributes(images)
    swapped = read_attributes(images[..., ::-1])
    np.testing.assert_array_equal(swapped, np.abs(first - [1, 0, 0]))
    outline = int(np.flatnonzero(first[:, 1] == 0)[0])
    tint = np.abs(images[outline, ..., 0] - images[outline, ..., 2])
    filled = images[outline].copy()
    filled[15:17, 15:17] = images[outline][np.unravel_index(tint.argmax(), tint.shape)]
    np.testing.assert_array_equal(read_attributes(filled[None])[0], first[outline] + [0, 1, 0])
    ground = tint < 0.01
    other = images[outline].copy()
    other[ground] *= -1
    changed = np.abs(first[outline] - [0, 0, 1])
    np.testing.assert_array_equal(read_attributes(other[None])[0], changed)


def test_each_attribute_is_its_name():
    """Pixels by themselves: red or blue at the strongest tint, a hole or none, a ground's gray."""
    source = SyntheticAttributes((32, 32, 3), count=64)
    for i in range(64):
        image = source.read(i).astype(int)
        named = dict(zip(source.attribute_names, source.labels[i], strict=True))
        tint = image[..., 0] - image[..., 2]
        y, x = np.unravel_index(np.abs(tint).argmax(), tint.shape)
        assert (tint[y, x] > 100) == named["red"] and (tint[y, x] < -100) != named["red"]
        assert (abs(tint[16, 16]) > 100) == named["filled"]
        assert (image[0, 0].max() < 60) == named["dark"] and (image[0, 0].min() > 200) != named[
            "dark"
        ]


def test_attributes_are_independent():
    labels = SyntheticAttributes((16, 16, 3), count=4096).labels
    for k in range(3):
        assert labels[:, k].mean() == pytest.approx(0.5, abs=0.03)
        for j in range(k):
            assert abs(np.corrcoef(labels[:, j], labels[:, k])[0, 1]) < 0.05


def test_the_first_shapes_do_not_depend_on_their_number():
    few, many = (SyntheticAttributes((16, 24, 3), count=n) for n in (8, 64))
    np.testing.assert_array_equal(few.labels, many.labels[:8])
    np.testing.assert_array_equal(few.read(5), many.read(5))
    assert few.read(5).shape == (16, 24, 3)


def test_chosen_attributes_of_synthetic_shapes():
    settings, source = opened("synthetic", ["dark", "red"], image_shape=[16, 16, 3])
    assert settings.model["num_classes"] == 2
    everything = SyntheticAttributes((16, 16, 3)).labels
    np.testing.assert_array_equal(source.labels, everything[:, [2, 0]])
    assert [SYNTHETIC[k] for k in (2, 0)] == source.attribute_names


def test_celebas_table(tmp_path):
    settings, source = opened(celeba(tmp_path / "set"), ["Young", "Bald"])
    assert settings.model["num_classes"] == 2
    np.testing.assert_array_equal(source.labels, [[1, 1], [1, 0], [0, 0], [0, 1]])
    assert source.labels.dtype == np.float32
    whole = data.open_images(tmp_path / "set")
    assert whole.attribute_names == ["Bald", "Smiling", "Young"]
    np.testing.assert_array_equal(whole.labels, [[1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 1, 0]])
    reds = [whole.read(i)[0, 0, 0] for i in range(4)]
    assert reds == sorted(reds)  # each label is that of its own file


@pytest.mark.parametrize(
    "table, message",
    [
        ("", "it has not this form"),
        (TABLE.replace(" -1  1\n000002", " -1\n000002"), "the line of 000001.jpg has not"),
        (TABLE.replace("000003.jpg -1", "000003.jpg 0"), "the line of 000003.jpg has not"),
        (TABLE.partition("\n")[2], "it has not this form|the line of"),
        (TABLE[: TABLE.index("000004")], "no label for 1 of 4 images.*000004.jpg"),
    ],
)
def test_tables_of_another_form(tmp_path, table, message):
    path = celeba(tmp_path / "set", table)
    with pytest.raises(data.DataError, match=message):
        opened(path, ["Young"])


def test_attributes_that_are_not_there(tmp_path):
    path = celeba(tmp_path / "set")
    with pytest.raises(data.DataError, match="Did you mean 'Young'"):
        opened(path, ["young"])
    (path / "list_attr_celeba.txt").unlink()
    with pytest.raises(data.DataError, match="has no attributes"):
        opened(path, ["Young"])
    with pytest.raises(data.DataError, match="RGB images of at least 16x16"):
        opened("synthetic", ["red"], image_shape=[16, 16, 1])


@pytest.mark.parametrize(
    "names, rows, chosen, wanted",
    [
        ("Young", ["1", "-1", "1", "-1"], ["Young"], [[1], [0], [1], [0]]),
        (
            "Bald Smiling Young",
            ["1 -1 -1", "-1 1 -1", "-1 1 -1", "1 -1 -1"],
            ["Young", "Bald"],
            [[0, 1], [0, 0], [0, 0], [0, 1]],
        ),
    ],
)
def test_one_attribute_and_those_that_exclude_each_other_are_vectors(
    tmp_path, names, rows, chosen, wanted
):
    lines = [f"{i:06}.jpg {row}" for i, row in enumerate(rows, 1)]
    path = celeba(tmp_path / "set", "\n".join(["4", names, *lines]) + "\n")
    settings, source = opened(path, chosen)
    np.testing.assert_array_equal(source.labels, wanted)
    assert source.labels.dtype == np.float32 and settings.model["num_classes"] == len(chosen)
    assert data.open_images(path).labels.shape == (4, len(names.split()))
