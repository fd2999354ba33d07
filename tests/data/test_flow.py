"""Flow of films: files of Middlebury's format, the folder of a set, the network for it."""

import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from stand_in import StandIn

from tfgans import images
from tfgans.config import Data
from tfgans.data import DataError, batches
from tfgans.data.check import check
from tfgans.data.estimate_flow import FlowPyramid, estimated, flow_loss, learned, write_flow
from tfgans.data.flow import Flow, followed, read_flo, write_flo
from tfgans.data.motion import SyntheticSquares
from tfgans.data.video import open_films
from tfgans.ops.warp import warp

KEYS = np.random.RandomState(0)


def model(length=2, side=16):
    return StandIn(
        image_shape=(side, side, 3),
        length=length,
        parts_of_clips=("flow", "visible"),
        data_kind="video",
    )


def write_film(folder, film):
    folder.mkdir(parents=True, exist_ok=True)
    for k, frame in enumerate(film["video"]):
        Image.fromarray(frame).save(folder / f"{k}.png")


@pytest.fixture
def films(tmp_path):
    """Two films of five frames of moving squares, with their exact flow in files."""
    source = SyntheticSquares((32, 32), 5)
    for i in range(2):
        film = source.read(i, np.arange(5))
        write_film(tmp_path / f"set/{i}", film)
        for k in range(1, 5):
            file = tmp_path / f"set/flow/{i}/{k:05d}.flo"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_flo(file, film["flow"][k])
    return tmp_path / "set"


def test_the_format(tmp_path):
    """The mark is 202021.25; then width, height and rows of (u, v), all little-endian."""
    flow = KEYS.standard_normal([2, 3, 2]).astype("float32")
    write_flo(file := tmp_path / "a.flo", flow)
    numbers = struct.unpack("<fii12f", file.read_bytes())
    assert numbers[:3] == (202021.25, 3, 2)
    np.testing.assert_array_equal(numbers[3:], flow.ravel())
    np.testing.assert_array_equal(read_flo(file), flow)


def test_broken_files(tmp_path):
    write_flo(good := tmp_path / "a.flo", np.zeros([2, 3, 2]))
    data, file = good.read_bytes(), tmp_path / "b.flo"
    for broken, problem in (
        (b"", "is no flow"),
        (b"PNG" + data[3:], "is no flow"),
        (data[:4] + struct.pack("<ii", -3, 2) + data[12:], "2x-3 pixels"),
        (data[:4] + struct.pack("<ii", 10**6, 2) + data[12:], "2x1000000 pixels"),
        (data[:-1], "has 59 bytes, and 2x3 pixels need 60"),
        (data + b"0", "has 61 bytes"),
        (data[:-4] + struct.pack("<f", np.nan), "not finite"),
        (data[:-4] + struct.pack("<f", 1.7e9), "without a flow"),
    ):
        file.write_bytes(broken)
        with pytest.raises(DataError, match=problem) as error:
            read_flo(file)
        assert str(file) in str(error.value)
    with pytest.raises(DataError, match="cannot be read"):
        read_flo(tmp_path / "c.flo")


def test_a_warp_without_tensorflow():
    image, flow = KEYS.uniform(-1, 1, [6, 9, 3]), KEYS.uniform(-4, 4, [6, 9, 2])
    wanted = warp(tf.constant(image[None], "float32"), tf.constant(flow[None], "float32"))[0]
    np.testing.assert_allclose(followed(image, flow), wanted, atol=1e-5)


def test_flow_over_several_frames(films):
    """From frame 3 to frame 0 by way of 2 and 1: as that of the synthetic film of every third."""
    found = Flow(films / "flow", ["0", "1"]).read(1, [0, 3], (32, 32))
    film = SyntheticSquares((32, 32), 5).read(1, [0, 3])
    assert not found[0].any() and film["flow"][1].any()
    seen = film["visible"][1, ..., 0] == 1
    near = np.linalg.norm(found[1] - film["flow"][1], axis=-1)[seen] < 0.01
    assert near.mean() > 0.9  # others came by way of a frame in which they were covered


def test_films_with_flow_in_files(films, capsys):
    """They are as the synthetic ones, cut and mirrored alike; the source is said once."""
    source, settings = open_films(films, Data()), Data(batch_size=6, flip=True)
    for _ in range(2):
        (batch,) = batches(model(4, 24), source, settings, 0).take(1).as_numpy_iterator()
    said = capsys.readouterr().out
    assert said.count(f"The flow of the films of {films} is read from {films}/flow.") == 1
    video, flow, visible = batch["video"], batch["flow"], batch["visible"]
    assert not flow[:, 0].any() and not visible[:, 0].any() and flow.any()
    for t in range(1, 4):
        change = np.square(warp(video[:, t - 1], flow[:, t]) - video[:, t]).sum(-1, keepdims=True)
        np.testing.assert_array_equal(visible[:, t], change < 0.02)
    assert 0.7 < visible[:, 1:].mean() < 1


def test_the_flow_of_smaller_frames(films):
    """A center of 32x16 in 32x32, at half of the size: half as many pixels."""
    for file in films.glob("flow/*/*.flo"):
        write_flo(file, np.zeros([32, 32, 2]) + [4.0, -6.0])
    like = StandIn(image_shape=(16, 8, 3), length=2, parts_of_clips=("flow",), data_kind="video")
    (batch,) = batches(like, open_films(films, Data()), Data(batch_size=1), 0).take(1)
    np.testing.assert_allclose(batch["flow"][:, 1], np.full([1, 16, 8, 2], [2.0, -3.0]), atol=1e-6)


def test_missing_and_wrong_flow(films):
    write_flo(films / "flow/1/00002.flo", np.zeros([16, 32, 2]))
    with pytest.raises(DataError, match="has 16x32 pixels, and its frame 32x32"):
        open_films(films, Data()).flow.read(1, [0, 2], (32, 32))
    (films / "flow/1/00002.flo").unlink()
    with pytest.raises(DataError, match="There is no .*flow/1/00002.flo"):
        open_films(films, Data())


def test_the_flow_of_films_with_label_maps(tmp_path):
    """It is that of the frames, not of the maps, and lies where a model of films finds it."""
    for film in ("0", "1"):
        write_film(tmp_path / "images" / film, SyntheticSquares((32, 32), 3).read(0, [0, 1, 2]))
        write_film(tmp_path / "labels" / film, {"video": np.uint8([np.eye(32)] * 3)})
    root, count = write_flow(tmp_path, 1)
    assert root == tmp_path / "images" / "flow" and count == 4
    assert open_films(tmp_path, Data(), maps=True).flow.root == root


def test_the_sources_of_flow_are_said(tmp_path, capsys):
    list(batches(model(), SyntheticSquares((16, 16), 2), Data(batch_size=2), 0).take(1))
    assert capsys.readouterr().out.count("of synthetic is exact: it is drawn with them") == 1
    write_film(tmp_path / "films/0", SyntheticSquares((16, 16), 3).read(0, [0, 1, 2]))
    list(batches(model(), open_films(tmp_path / "films", Data()), Data(batch_size=2), 0).take(1))
    assert "has none, so it counts as 0" in capsys.readouterr().out


def test_the_network_finds_whole_pixels_before_it_learns():
    """A texture that moves by (1, -2): near by at first, and still outside of a frame alone."""
    texture = KEYS.uniform(-1, 1, [1, 40, 44, 3]).astype("float32")
    before, frame = texture[:, 4:36, 4:36], texture[:, 2:34, 5:37]
    flows = FlowPyramid(3)(tf.constant(frame), tf.constant(before))
    assert [x.shape[1] for x in flows] == [4, 8, 16, 32]
    inside = flows[-1][0, 6:-6, 6:-6].numpy()
    assert np.linalg.norm(inside - [1.0, -2.0], axis=-1).mean() < 0.2
    still = FlowPyramid(3)(tf.constant(frame), tf.constant(frame))[-1]
    assert np.abs(still[0, 6:-6, 6:-6]).mean() < 0.1


def test_the_loss_is_least_for_the_true_flow():
    film = SyntheticSquares((32, 32), 4, first=2).read(0, np.arange(4))
    video = tf.constant(film["video"] / 127.5 - 1.0, "float32")
    true = tf.constant(film["flow"][1:])
    losses = [float(flow_loss([f], video[1:], video[:-1])) for f in (true, 0 * true, -true)]
    assert losses[0] < losses[1] < losses[2]


@pytest.mark.thorough
def test_learning_lowers_the_loss():
    film = SyntheticSquares((32, 32), 9, first=5).read(0, np.arange(9))
    video = (film["video"] / 127.5 - 1.0).astype("float32")
    first, later = learned(video[1:], video[:-1], 1), learned(video[1:], video[:-1], 12)
    losses = [
        float(flow_loss(network(video[1:], video[:-1]), video[1:], video[:-1]))
        for network in (first, later)
    ]
    assert losses[1] < losses[0]
    assert estimated(later, video[1][:27, :30], video[0][:27, :30]).shape == (27, 30, 2)


@pytest.mark.parametrize("ending", ["", pytest.param(".gif", marks=pytest.mark.thorough)])
def test_flow_is_written_beside_films(tmp_path, ending):
    root = tmp_path / "films"
    for i in range(2):
        film = SyntheticSquares((20, 24), 4).read(i, np.arange(4))
        if ending:
            root.mkdir(exist_ok=True)
            images.save_video(film["video"] / 127.5 - 1.0, root / f"{i}.gif")
        else:
            write_film(root / f"class/{i}", film)
    folder, count = write_flow(root, steps=2)
    assert (folder, count) == (root / "flow", 6)
    names = [f"{i}.gif" if ending else f"class/{i}" for i in range(2)]
    wanted = sorted(folder / name / f"0000{k}.flo" for name in names for k in (1, 2, 3))
    assert sorted(folder.rglob("*.flo")) == wanted
    assert read_flo(wanted[0]).shape == (20, 24, 2)
    assert open_films(root, Data()).flow.names == names
    with pytest.raises(DataError, match="exists already"):
        write_flow(root, steps=2)
    assert [p.name for p in root.iterdir() if "partial" in p.name] == []


def test_films_that_have_no_flow_to_estimate(tmp_path):
    write_film(tmp_path / "one/0", SyntheticSquares((20, 20), 1).read(0, [0]))
    with pytest.raises(DataError, match="one frame each"):
        write_flow(tmp_path / "one", 1)
    write_film(tmp_path / "small/0", {"video": np.zeros([2, 8, 20, 3], "uint8")})
    with pytest.raises(DataError, match="8x20 pixels"):
        write_flow(tmp_path / "small", 1)


def test_a_check_of_films(films, capsys):
    assert check(films, films=True) == []
    said = capsys.readouterr().out
    assert f"2 films of 5 to 5 frames of 32x32 pixels; their flow is in {films}/flow." in said
    (films / "0/3.png").write_bytes(b"no image")
    (films / "flow/1/00002.flo").write_bytes(b"no flow")
    write_flo(films / "flow/1/00003.flo", np.zeros([16, 32, 2]))
    for name, sizes in (("small", (16, 16)), ("mixed", (32, 16)), ("one", (32,))):
        for k, side in enumerate(sizes):
            file = films / name / f"{k}.png"
            file.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full([side, side, 3], k, "uint8")).save(file)
            if k:
                file = films / f"flow/{name}/{k:05d}.flo"
                file.parent.mkdir(exist_ok=True)
                write_flo(file, np.zeros([side, side, 2]))
    found = {f.name.removeprefix(f"{films}/"): f.problem for f in check(films, films=True)}
    assert found.keys() == {
        "0/3.png", "flow/1/00002.flo", "flow/1/00003.flo", "small", "mixed", "one",
        "flow/mixed/00001.flo",
    }  # fmt: skip
    assert found["flow/1/00002.flo"].startswith("is no flow")
    assert found["small"] == "has 16x16; 3 of 4 films have 32x32 pixels (height x width)"
    assert "several sizes: 16x16, 32x32" in found["mixed"] and "one frame" in found["one"]


def test_a_check_knows_moving_files(tmp_path, capsys):
    for i in range(2):
        film = SyntheticSquares((16, 16), 3 + i).read(i, np.arange(3 + i))
        images.save_video(film["video"] / 127.5 - 1.0, tmp_path / f"{i}.gif")
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    (problem,) = check(tmp_path)
    assert "broken.mp4" in problem.problem and "cannot be read" in problem.problem
    assert "2 films of 3 to 4 frames of 16x16 pixels; they have no flow" in capsys.readouterr().out
