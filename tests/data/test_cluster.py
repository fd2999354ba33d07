"""`tools/data.py cluster`: similar images get one label, and a model trains on them."""

import pathlib
import runpy
import shutil

import numpy as np
import pytest
from PIL import Image

from tfgans import features
from tfgans.data import DataError, open_images
from tfgans.data.cluster import cluster

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def looks(tmp_path):
    """Six dark, three gray and three white images of 12x12, without labels, in mixed order."""
    folder = tmp_path / "looks"
    folder.mkdir()
    for i in range(12):
        value = (20, 20, 120, 240)[i % 4] + i
        Image.fromarray(np.full([12, 12], value, "uint8")).save(folder / f"{i:02d}.png")
    return folder


def means(images):
    """The mean gray of an image, a feature network of one number."""
    return np.asarray(images, "float32").mean(axis=(1, 2, 3))[:, None]


def test_similar_images_share_a_label(looks, tmp_path):
    shares = cluster(looks, tmp_path / "out", features.get(means), clusters=3)
    assert sorted(shares) == [0.25, 0.25, 0.5]
    made = open_images(tmp_path / "out")
    groups = [
        set(made.labels[[i for i in range(12) if i % 4 in part]]) for part in ((0, 1), [2], [3])
    ]
    assert [len(group) for group in groups] == [1, 1, 1] and len(set.union(*groups)) == 3
    np.testing.assert_array_equal(made.read(2), open_images(looks).read(2))
    for k, share in enumerate(shares):
        assert np.mean(made.labels == k) == share


def test_a_broken_image_is_left_out_of_both(looks, tmp_path, capsys):
    (looks / "05.png").write_bytes(b"no image")
    cluster(looks, tmp_path / "out", features.get(means), clusters=3)
    made = open_images(tmp_path / "out")
    grays = [int(made.read(i)[0, 0, 0]) for i in range(len(made))]
    assert len(made) == 11 and "05.png" in capsys.readouterr().out
    for label in range(3):
        group = [g for g, k in zip(grays, made.labels, strict=True) if k == label]
        assert max(group) - min(group) < 50


def test_fewer_images_than_clusters(looks, tmp_path):
    with pytest.raises(DataError, match="12 images .* cannot make 13 clusters"):
        cluster(looks, tmp_path / "out", features.get(means), clusters=13)
    assert not (tmp_path / "out").exists()


def test_the_tool_says_how_to_train(looks, tmp_path, capsys):
    main = runpy.run_path(str(ROOT / "tools" / "data.py"))["main"]
    out = tmp_path / "out"
    command = ["cluster", str(looks), str(out), "--clusters", "2", "--extractor", "random"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "model.labels=all --set model.num_classes=2" in said and "model.class_shares=[0." in said
    with pytest.raises(SystemExit, match="exists already"):
        main(command)
    shutil.rmtree(out)
