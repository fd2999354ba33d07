"""Two domains: each in its own order, cut and mirrored by its own draws."""

import numpy as np
import pytest
from PIL import Image
from stand_in import StandIn

from tfgans.config import Config, Data
from tfgans.data import DataError, batches
from tfgans.data.unpaired import open_domains
from tfgans.training import resolve

MODEL = StandIn(image_shape=(4, 4, 1), data_kind="unpaired")


@pytest.fixture
def domains(tmp_path):
    """Three images of A and five of B; their pixels are 10 * number, those of B also + 100."""
    for letter, count in (("A", 3), ("B", 5)):
        folder = tmp_path / f"train{letter}"
        folder.mkdir()
        for i in range(count):
            value = 10 * i + 100 * (letter == "B")
            Image.new("L", (4, 4), value).save(folder / f"{i}.png")
    return tmp_path


def numbers(path, steps, seed=0, **settings):
    """The numbers of the images of A and B at each position."""
    found = list(batches(MODEL, open_domains(path), Data(**settings), seed).take(steps))
    a, b = (np.concatenate([batch[key] for batch in found])[:, 0, 0, 0] for key in "ab")
    return [np.rint((x + 1) * 127.5).astype(int) // 10 % 10 for x in (a, b)]


def test_an_epoch_is_one_pass_over_the_larger_domain(domains):
    a, b = numbers(domains, 40, batch_size=1)
    for start in range(0, 40, 5):
        assert sorted(b[start : start + 5]) == [0, 1, 2, 3, 4]
    assert sorted(np.bincount(a[:5], minlength=3)) == [1, 2, 2]
    for start in range(0, 39, 3):  # the smaller one in passes of its own
        assert sorted(a[start : start + 3]) == [0, 1, 2]


def test_sets_of_equal_size_are_paired_anew_in_each_pass(domains):
    for i in (3, 4):
        Image.new("L", (4, 4), 10 * i).save(domains / f"trainA/{i}.png")
    a, b = (x.reshape(20, 5) for x in numbers(domains, 20, batch_size=5))
    pairings = {tuple(first[np.argsort(second)]) for first, second in zip(a, b, strict=True)}
    assert len(pairings) > 15  # there are 120


def test_seed_start_and_workers(domains):
    source, config = open_domains(domains), Data(batch_size=4, flip=True, jitter=2)

    def images(steps, seed=3, **where):
        found = batches(MODEL, source, config, seed, **where).take(steps).as_numpy_iterator()
        return np.array([np.concatenate([batch["a"], batch["b"]], axis=-1) for batch in found])

    whole = images(7)
    np.testing.assert_array_equal(whole[4:], images(3, start=4))
    halves = [images(7, shard=(k, 2)) for k in range(2)]
    np.testing.assert_array_equal(whole, np.concatenate(halves, axis=1))
    assert not np.array_equal(whole, images(7, seed=4))


def test_each_domain_has_its_own_jitter(tmp_path):
    y, x = np.mgrid[:6, :6].astype("uint8") * 10
    for folder in ("A", "B"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.stack([y, x, 0 * x], axis=-1)).save(tmp_path / folder / "0.png")
    model = StandIn(**vars(MODEL) | {"image_shape": (4, 4, 3)})
    config = Data(batch_size=200, flip=True, jitter=2)
    batch = next(iter(batches(model, open_domains(tmp_path), config, 0)))
    places = []
    for key in "ab":
        values = np.rint((batch[key].numpy() + 1) * 12.75).astype(int)
        top, mirrored = values[:, 0, 0, 0], values[:, 0, 0, 1] > values[:, 0, 3, 1]
        left = values[:, 0, :, 1].min(axis=1)
        assert set(top) == set(left) == {0, 1, 2} and 0.4 < mirrored.mean() < 0.6
        places += [top, left, mirrored]
    assert np.abs(np.corrcoef(places) - np.eye(6)).max() < 0.25


def test_broken_images_are_passed_over_in_one_domain_only(domains, capsys):
    (domains / "trainA/1.png").write_bytes(b"no image")
    a, b = numbers(domains, 15, batch_size=1)
    assert set(a) == {0, 2} and sorted(b[:5]) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().out.count("skipped broken image") == 1


def test_size_comes_from_the_data(domains, tmp_path):
    settings = Config.from_dict({"architecture": "cyclegan", "data": {"path": str(domains)}})
    resolve(settings)
    assert settings.model == {"image_shape": [4, 4, 1]}
    Image.new("L", (8, 4)).save(domains / "trainB/9.png")
    Image.new("L", (8, 4)).save(domains / "trainB/8.png")
    for path in (domains / "trainB").glob("[0-4].png"):
        path.unlink()
    settings = Config.from_dict({"architecture": "cyclegan", "data": {"path": str(domains)}})
    with pytest.raises(DataError, match=r"\(4, 4, 1\).*\(4, 8, 1\).*model.image_shape"):
        resolve(settings)
    with pytest.raises(DataError, match="no two domains.*trainA and trainB"):
        open_domains(domains / "trainA")


def test_synthetic_domains_share_no_scene():
    tree = {"architecture": "cyclegan", "data": {"path": "synthetic"}}
    tree["model"] = {"image_shape": [16, 16, 3]}
    source = resolve(Config.from_dict(tree))
    assert source.a.describe(len(source.a) - 1) == "synthetic scene 4095"
    assert source.b.describe(0) == "synthetic scene 4096"
    assert source.a.read(0).shape == source.b.read(0).shape == (16, 16, 3)
    assert not np.array_equal(source.a.read(0), source.b.read(0))


@pytest.mark.parametrize("a, b", [("train/A", "train/B"), ("traina", "trainB"), ("A", "B")])
def test_known_layouts(tmp_path, a, b):
    for value, folder in enumerate((a, b)):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("L", (4, 4), value).save(tmp_path / folder / f"{value}.png")
    domains = open_domains(tmp_path)
    assert (domains.a.read(0)[0, 0, 0], domains.b.read(0)[0, 0, 0]) == (0, 1)


def test_other_folders_are_named(tmp_path):
    for folder in ("horse", "zebra"):
        (tmp_path / folder).mkdir()
    with pytest.raises(DataError, match="it holds horse, zebra.*trainA and trainB"):
        open_domains(tmp_path)
