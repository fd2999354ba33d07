"""Any number of domains: layouts, an image of each, cut by draws of its own; synthetic looks."""

import numpy as np
import pytest
from PIL import Image
from stand_in import StandIn

from tfgans.config import Config, Data
from tfgans.data import DataError, batches
from tfgans.data.domains import ManyDomains, open_domains
from tfgans.data.scenes import LOOKS, SyntheticLooks
from tfgans.training import resolve

COUNTS = (3, 5, 4)


def model(side=4, domains=3):
    return StandIn(image_shape=(side, side, 1), num_domains=domains, data_kind="domains")


def fill(root, names):
    """Domain k has COUNTS[k] images; image i has the value 80 k + 10 i everywhere."""
    for k, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for i in range(COUNTS[k]):
            Image.new("L", (4, 4), 80 * k + 10 * i).save(root / name / f"{i}.png")
    return root


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path, ["train0", "train1", "train2"])


def take(path, steps, seed=0, like=None, **settings):
    like, source = like or model(), ManyDomains(open_domains(path))
    return list(batches(like, source, Data(**settings), seed).take(steps).as_numpy_iterator())


def values(found):
    """The value of each image of each domain, in order."""
    return [
        np.rint((np.concatenate([batch[str(k)] for batch in found])[:, 0, 0, 0] + 1) * 127.5)
        for k in range(3)
    ]


def test_each_domain_is_read_in_passes_of_its_own(folder):
    found, pairs = values(take(folder, 60, batch_size=1)), set()
    for k, count in enumerate(COUNTS):
        passes = found[k].reshape(-1, count)
        assert (np.sort(passes) == 80 * k + 10 * np.arange(count)).all()
        assert len({tuple(order) for order in passes}) > 4
    pairs = {*zip(*found[:2], strict=True)}
    assert len(pairs) == 15  # any image of one domain meets any of another


def test_domains_of_one_size_have_orders_of_their_own(folder):
    for name, count in (("train0", 3), ("train2", 4)):
        for i in range(count, 5):
            base = 80 * int(name[-1])
            Image.new("L", (4, 4), base + 10 * i).save(folder / name / f"{i}.png")
    found = values(take(folder, 20, batch_size=5))
    orders = [x.reshape(20, 5) - 80 * k for k, x in enumerate(found)]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (orders[first] == orders[second]).mean() < 0.4  # a fifth by chance


def test_crops_and_mirrors_are_those_of_each_domain(tmp_path):
    y, x = np.mgrid[:6, :6].astype("uint8") * 10
    for k in range(3):
        (tmp_path / f"train{k}").mkdir()
        Image.fromarray(np.stack([y, x, 0 * x], axis=-1)).save(tmp_path / f"train{k}" / "0.png")
    like = StandIn(**vars(model()) | {"image_shape": (4, 4, 3)})
    (batch,) = take(tmp_path, 1, like=like, batch_size=200, flip=True, jitter=2)
    places = []
    for k in range(3):
        cells = np.rint((batch[str(k)] + 1) * 12.75).astype(int)
        top, mirrored = cells[:, 0, 0, 0], cells[:, 0, 0, 1] > cells[:, 0, 3, 1]
        left = cells[:, 0, :, 1].min(axis=1)
        assert {*top} == {*left} == {0, 1, 2} and 0.4 < mirrored.mean() < 0.6
        places += [top, left, mirrored]
    assert np.abs(np.corrcoef(places) - np.eye(9)).max() < 0.25


def test_seed_start_and_workers(folder):
    source, config = ManyDomains(open_domains(folder)), Data(batch_size=4, flip=True)
    whole = take(folder, 5, 3, batch_size=4, flip=True)
    later = list(batches(model(), source, config, 3, start=3).take(2).as_numpy_iterator())
    for k in range(2):
        (half,) = batches(model(), source, config, 3, start=3, shard=(k, 2)).take(1)
        for key, value in half.items():
            np.testing.assert_array_equal(value, whole[3][key][2 * k : 2 * k + 2])
            np.testing.assert_array_equal(later[1][key], whole[4][key])


@pytest.mark.parametrize(
    "names",
    [
        ["train1", "train2", "train10"],  # in the order of the numbers
        ["train_0", "Train-1", "train2"],
        ["monet", "photo", "ukiyoe"],
    ],
)
def test_layouts(tmp_path, names):
    fill(tmp_path, names)
    sets = open_domains(tmp_path)
    assert [len(images) for images in sets] == [*COUNTS]
    assert [int(images.read(0)[0, 0, 0]) for images in sets] == [0, 80, 160]
    assert names[1] in sets[1].describe(0)


def test_other_sets_beside_the_domains_are_left_alone(folder):
    fill(folder, ["test0", "test1"])
    assert [len(images) for images in open_domains(folder)] == [*COUNTS]


def test_two_folders_of_unpaired_data_are_two_domains(tmp_path):
    assert [len(x) for x in open_domains(fill(tmp_path, ["trainA", "trainB"]))] == [3, 5]


def test_classes_of_an_array_are_domains(tmp_path):
    images = np.arange(6, dtype="uint8").reshape(6, 1, 1) * np.ones([6, 4, 4], "uint8")
    np.savez(tmp_path / "set.npz", images=images, labels=np.array([2, 0, 2, 0, 1, 2]))
    sets = open_domains(tmp_path / "set.npz")
    assert [[int(x.read(i).max()) for i in range(len(x))] for x in sets] == [[1, 3], [4], [0, 2, 5]]
    like = StandIn(**vars(model()))
    found = next(iter(batches(like, ManyDomains(sets), Data(batch_size=6), 0)))
    for k, own in enumerate(([1, 3], [4], [0, 2, 5])):
        assert {*np.rint((found[str(k)].numpy() + 1) * 127.5).ravel().astype(int)} == {*own}


def test_broken_images_are_passed_over_in_their_domain(folder, capsys):
    (folder / "train1/1.png").write_bytes(b"no image")
    found = values(take(folder, 20, batch_size=1))
    assert {*found[0]} == {0, 10, 20} and {*found[1]} == {80, 100, 110, 120}
    assert capsys.readouterr().out.count("skipped broken image") == 1


def settings_of(path, **given):
    return Config.from_dict(
        {"architecture": "combogan", "model": given, "data": {"path": str(path)}}
    )


def test_number_and_size_come_from_the_data(folder):
    settings = settings_of(folder)
    source = resolve(settings)
    assert settings.model == {"num_domains": 3, "image_shape": [4, 4, 1]}
    assert len(source.wanted) == 5 and len(source.sets) == 3
    with pytest.raises(DataError, match="has 3 domains, but the model has num_domains = 4"):
        resolve(settings_of(folder, num_domains=4))
    for path in (folder / "train2").iterdir():
        Image.new("L", (8, 4)).save(path)
    with pytest.raises(DataError, match=r"\(4, 4, 1\), \(4, 4, 1\), \(4, 8, 1\).*image_shape"):
        resolve(settings_of(folder))


def test_paths_without_domains(tmp_path):
    fill(tmp_path, ["only"])
    for path in (tmp_path, tmp_path / "only"):
        with pytest.raises(DataError, match="not hold two or more domains.*train0, train1"):
            open_domains(path)
    with pytest.raises(DataError, match="There is no"):
        open_domains(tmp_path / "none")
    (tmp_path / "train0").mkdir()
    (tmp_path / "train1").mkdir()
    with pytest.raises(DataError, match="No images in"):
        open_domains(tmp_path)


def test_synthetic_looks_show_the_same_scenes():
    """In the domains no scene comes twice; of one number all looks have the same shapes."""
    source = resolve(settings_of("synthetic", image_shape=[24, 24, 3]))
    assert len(source.sets) == len(LOOKS) == 3
    assert [images.describe(0).split()[-1] for images in source.sets] == ["0", "4096", "8192"]
    looks = [SyntheticLooks((24, 24, 3), k, first=7) for k in range(3)]
    shapes = []
    for look in looks:
        empty = SyntheticLooks((24, 24, 3), looks.index(look))
        ground = np.broadcast_to(np.rint(empty.ground), [24, 24, 3])
        shapes.append(np.abs(look.read(0) - ground).max(axis=-1) > 2)
    assert (shapes[0] == shapes[1]).mean() > 0.97 and (shapes[0] == shapes[2]).mean() > 0.97
    assert 0.1 < shapes[0].mean() < 0.7
    brightness = [look.read(0)[~shape].mean() for look, shape in zip(looks, shapes, strict=True)]
    assert brightness[2] < 70 < 150 < min(brightness[:2])
    for wrong in (5, 1):
        with pytest.raises(DataError, match=f"synthetic has 3 domains, .* num_domains = {wrong}"):
            resolve(settings_of("synthetic", image_shape=[24, 24, 3], num_domains=wrong))
    assert len(resolve(settings_of("synthetic", image_shape=[24, 24, 3], num_domains=2)).sets) == 2
