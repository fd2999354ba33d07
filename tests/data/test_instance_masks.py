"""Images with masks of their instances: files, one crop and flip for all, exact synthetic masks."""

import numpy as np
import pytest
from PIL import Image
from stand_in import StandIn

from tfgans.config import Config, Data
from tfgans.data import DataError, batches
from tfgans.data.instance_masks import InstanceFiles
from tfgans.data.scenes import FLAT, SyntheticInstances, roundness
from tfgans.data.unpaired import Domains
from tfgans.training import resolve


def model(side=8, most=4, **settings):
    return StandIn(
        image_shape=(side, side, 3), most_instances=most, data_kind="instance_masks", **settings
    )


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path):
    """Images whose channel k is the mask of instance k: three of A, two of B, 1 to 3 instances."""
    keys = np.random.RandomState(0)
    for letter, count in (("A", 3), ("B", 2)):
        for i in range(count):
            masks = 255 * keys.randint(0, 2, [12, 12, 3]).astype("uint8")
            masks[..., 1 + i :] = 0
            write(tmp_path / f"train{letter}/00{i}.png", masks)
            for k in range(1 + i):
                write(tmp_path / f"train{letter}_seg/00{i}_{k}.png", masks[..., k])
    return tmp_path


def domains(path):
    return Domains(*(InstanceFiles(path / f"train{letter}") for letter in "AB"))


def take(source, like, steps=1, **settings):
    found = batches(like, source, Data(**settings), 0).take(steps).as_numpy_iterator()
    return [batch for batch in found]


def test_an_image_and_its_masks_share_one_crop_and_one_flip(folder):
    seen = set()
    for batch in take(domains(folder), model(), 20, batch_size=5, flip=True, jitter=4):
        for key in "ab":
            masks = batch[f"{key}_masks"]
            assert masks.shape == (5, 8, 8, 4) and batch[key].shape == (5, 8, 8, 3)
            np.testing.assert_array_equal(masks[..., :3], batch[key])
            assert (masks[..., 3] == -1).all()
            seen |= {image.tobytes() for image in batch[key]}
    assert len(seen) > 100  # of 200


def test_missing_instances_are_empty_and_the_order_is_that_of_their_numbers(folder):
    for k, number in ((2, 100), (1, 10), (0, 2)):
        (folder / f"trainA_seg/002_{k}.png").rename(folder / f"trainA_seg/002_{number}.png")
    source = InstanceFiles(folder / "trainA")
    assert [len(numbers) for numbers in source.of_image] == [1, 2, 3]
    np.testing.assert_array_equal(source.read_masks(2), source.read(2) / 127.5 - 1)
    assert source.read_masks(0).shape == (12, 12, 1) and source.read_masks(0).dtype == np.float32


def test_masks_stay_black_and_white_in_another_size(folder):
    (batch,) = take(domains(folder), model(side=7), batch_size=6)
    for key in "ab":
        assert set(np.unique(batch[f"{key}_masks"])) == {-1, 1}
        assert len(np.unique(batch[key])) > 5


def test_more_instances_than_a_model_takes_are_reported(folder, capsys):
    (batch,) = take(domains(folder), model(most=2, side=12), batch_size=6)
    assert batch["a_masks"].shape == (6, 12, 12, 2)
    np.testing.assert_array_equal(batch["a_masks"], batch["a"][..., :2])
    said = capsys.readouterr().out
    assert "trainA has 3 instances; the first 2" in said and "trainB" not in said


@pytest.mark.parametrize(
    "name, array, message",
    [
        ("000_0.png", np.zeros([6, 12], "uint8"), "000.png: 12x12, but its masks have 6x12"),
        ("001_1.png", np.zeros([6, 12], "uint8"), "001.png: its masks differ in size"),
        ("001_1.png", np.ones([12, 12], "uint8"), "001_1.png: its brightest value is 1, and"),
        ("001_1.png", None, "001_1.png: "),
    ],
)
def test_an_image_with_a_broken_mask_is_passed_over(folder, capsys, name, array, message):
    path = folder / "trainA_seg" / name
    path.write_bytes(b"no image") if array is None else write(path, array)
    found = take(domains(folder), model(side=12), 6, batch_size=3)
    counts = {int((masks > -1).any(axis=(0, 1)).sum()) for b in found for masks in b["a_masks"]}
    assert counts == {1, 2, 3} - {1 + int(name[2])}
    said = capsys.readouterr().out
    assert said.count("skipped broken image") == 1 and message in said
    with pytest.raises(Exception, match=message.split(": ")[0]):
        take(domains(folder), model(side=12), 6, batch_size=3, broken="fail")


def test_missing_partners_are_named(folder):
    (folder / "trainA_seg/001_0.png").unlink()
    (folder / "trainA_seg/001_1.png").unlink()
    with pytest.raises(DataError, match="1 of the names in .*trainA have no mask, .* 001.*NAME_0"):
        domains(folder)
    write(folder / "trainA_seg/001.png", np.zeros([12, 12], "uint8"))  # a number may be missing
    assert domains(folder).a.read_masks(1).shape == (12, 12, 1)
    write(folder / "trainA_seg/009_0.png", np.zeros([12, 12], "uint8"))
    with pytest.raises(DataError, match="trainA_seg have no image, for example 009"):
        domains(folder)
    (folder / "trainB_seg").rename(folder / "masks")
    with pytest.raises(DataError, match="no folder .*trainB_seg with the masks"):
        InstanceFiles(folder / "trainB")


def test_size_comes_from_the_data(folder):
    tree = {"architecture": "instagan", "data": {"path": str(folder)}}
    settings = Config.from_dict(tree)
    source = resolve(settings)
    assert settings.model == {"image_shape": [12, 12, 3]}
    assert len(source.a) == 3 and len(source.wanted) == 2
    with pytest.raises(DataError, match="there are no two domains|no two domains"):
        resolve(Config.from_dict(tree | {"data": {"path": str(folder / "trainA")}}))


def test_an_example_is_a_function_of_seed_and_position(folder):
    config = {"batch_size": 4, "flip": True, "jitter": 2}
    whole = take(domains(folder), model(), 5, **config)
    source = domains(folder)
    for k in range(2):
        half = batches(model(), source, Data(**config), 0, start=3, shard=(k, 2)).take(1)
        for key, value in next(iter(half)).items():
            np.testing.assert_array_equal(value, whole[3][key][2 * k : 2 * k + 2])


@pytest.mark.parametrize("corners, low, high", [(3, 0.80, 0.87), (4, 0.92, 0.98)])
def test_synthetic_masks_are_exact(corners, low, high):
    """Where a mask is full, its own color; where all are empty, the ground; shapes as named."""
    source, counts = SyntheticInstances((48, 48, 3), corners), []
    for i in range(40):
        image, masks = source.read(i).astype(int), source.read_masks(i)
        counts.append(masks.shape[2])
        assert -1 <= masks.min() and masks.max() == 1
        assert ((masks > -1).sum(axis=2) <= 1).mean() > 0.99  # they hardly touch
        colors = np.unique(image[(masks == 1).any(axis=2)], axis=0)
        assert {tuple(color) for color in colors} <= {*FLAT}
        ground = image[(masks == -1).all(axis=2)]
        assert ground.min() >= 105 and ground.std() > 2
        found = roundness(np.moveaxis(masks, -1, 0))
        assert low < found.min() and found.max() < high
    assert {*counts} == {1, 2, 3, 4}


def test_both_synthetic_domains_show_the_same_in_their_own_shape():
    a, b = (SyntheticInstances((48, 48, 3), corners, count=9) for corners in (3, 4))
    for i in range(9):
        x, y = (source.read_masks(i) for source in (a, b))
        areas = [((masks + 1) / 2).sum(axis=(0, 1)) for masks in (x, y)]
        np.testing.assert_allclose(*areas, rtol=0.08)
        ground = (x == -1).all(axis=2) & (y == -1).all(axis=2)
        np.testing.assert_array_equal(a.read(i)[ground], b.read(i)[ground])
