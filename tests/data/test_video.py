"""Films: folders, strips, GIF and MP4; the rule of sampling; synthetic ones with exact flow."""

import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from stand_in import StandIn

from tfgans import images
from tfgans.config import Config, Data
from tfgans.data import DataError, batches, resolve
from tfgans.data.label_maps import palette
from tfgans.data.motion import NoisySquares, SyntheticDigits, SyntheticSquares, glyph, walk
from tfgans.data.unpaired import resolve as resolve_unpaired
from tfgans.data.video import FilmFiles, FrameFolders, Strips, open_films, sampled
from tfgans.errors import BadInput
from tfgans.ops.warp import warp


def model(length=4, side=8, parts=(), channels=3, **more):
    return StandIn(
        image_shape=(side, side, channels),
        length=length,
        parts_of_clips=parts,
        data_kind="video",
        **more,
    )


def frame(k, side=8, film=0):
    """A frame with the number of the frame in red and that of the film in green."""
    picture = np.zeros([side, side, 3], "uint8")
    picture[..., 0], picture[..., 1] = k, film
    return picture


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path):
    """Four films of 12, 12, 5 and 3 frames, whose pixels are the numbers of film and frame."""
    for film, length in enumerate((12, 12, 5, 3)):
        for k in range(length):
            write(tmp_path / f"train/class/film{film}/{k}.png", frame(k, film=film))
    return tmp_path


def read(source, like, steps=1, seed=0, **settings):
    """Numbers of the frames of each clip, [clips, T], and of their films."""
    found = batches(like, source, Data(**settings), seed).take(steps).as_numpy_iterator()
    video = np.concatenate([batch["video"] for batch in found])
    numbers = np.rint((video + 1) * 127.5).astype(int)
    assert (numbers == numbers[:, :, :1, :1]).all()
    films = numbers[:, :, 0, 0, 1]
    assert (films == films[:, :1]).all()
    return numbers[:, :, 0, 0, 0], films[:, 0]


def test_the_rule_of_sampling():
    """T = 4, n = 3: 12 frames begin at 0, 1 or 2; 11 have the first four; 4 n - 2 span 9."""
    starts = set()
    for draw in np.linspace(0, 0.999, 50):
        frames = sampled(12, 4, 3, draw)
        assert np.diff(frames).tolist() == [3, 3, 3] and frames[-1] <= 11
        starts.add(int(frames[0]))
        assert sampled(11, 4, 3, draw).tolist() == [0, 1, 2, 3]
    assert starts == {0, 1, 2}
    assert {int(sampled(6, 1, 1, draw)[0]) for draw in np.linspace(0, 0.999, 50)} == {*range(6)}


def test_folders_of_frames(folder, capsys):
    source = open_films(folder, Data())
    assert isinstance(source, FrameFolders) and source.lengths.tolist() == [12, 12, 5, 3]
    frames, films = read(source, model(), 20, batch_size=6, every_nth=3)
    assert {*films} == {0, 1, 2} and (np.diff(frames[films < 2]) == 3).all()
    assert (frames[films == 2] == [0, 1, 2, 3]).all()  # shorter than 12
    first = frames[films == 0, 0], frames[films == 1, 0]
    assert {*first[0]} == {*first[1]} == {0, 1, 2}
    assert len({*zip(*(f[:15] for f in first), strict=True)}) > 3  # each clip has its own beginning
    assert (np.diff(read(source, model(), 4, batch_size=6)[0]) == 1).all()
    assert capsys.readouterr().out.count("1 of 4 films of") == 1  # shorter than 4
    with pytest.raises(DataError, match="longest film .* 12 frames, and a clip of the model 13"):
        batches(model(13), source, Data(), 0)


def test_each_stage_has_clips_of_its_own_length(folder):
    class Growing(StandIn):
        stage_steps = (2,)

        def stage_of(self, step):
            return int(step >= 2)

        def stage_length(self, stage):
            return (2, 4)[stage]

    like = Growing(image_shape=(8, 8, 3), length=4, data_kind="video")
    data = batches(like, open_films(folder, Data()), Data(batch_size=2), 0)
    assert data.element_spec["video"].shape == (2, None, 8, 8, 3)
    assert [batch["video"].shape[1] for batch in data.take(4)] == [2, 2, 4, 4]


def test_frames_are_in_the_order_of_their_numbers(folder):
    source = open_films(folder, Data())
    video = source.read(0, [1, 2, 9, 10, 11])["video"]  # 10.png is before 2.png by name
    assert [int(image[0, 0, 0]) for image in video] == [1, 2, 9, 10, 11]


@pytest.mark.parametrize("axis", [0, 1])
def test_strips_along_either_side(tmp_path, axis):
    for film, length in enumerate((6, 9)):
        strip = np.concatenate([frame(k, film=film) for k in range(length)], axis=axis)
        write(tmp_path / f"class{film}/a.png", strip)
    source = open_films(tmp_path, Data())
    assert isinstance(source, Strips) and source.lengths.tolist() == [6, 9]
    assert source.shape == (8, 8, 3)
    frames, films = read(source, model(), 9, batch_size=4)
    assert (np.diff(frames) == 1).all() and {*films} == {0, 1}
    assert frames[films == 1].max() == 8 and frames[films == 0].max() == 5
    (tmp_path / "class2").mkdir()
    (tmp_path / "class2/b.png").write_bytes(b"no image")
    assert open_films(tmp_path, Data()).lengths.tolist() == [6, 9]
    with pytest.raises(Exception, match=r"b\.png"):
        open_films(tmp_path, Data(broken="fail"))


@pytest.mark.parametrize("ending", [".gif", pytest.param(".mp4", marks=pytest.mark.thorough)])
def test_films_in_files(tmp_path, capsys, ending):
    """Flat frames of different gray; an MP4 changes them a little."""
    for film, length in enumerate((5, 7)):
        values = np.linspace(-0.8, 0.8, 9)[:length]
        frames = np.zeros([length, 16, 16, 3]) + values[:, None, None, None]
        path = tmp_path / f"set/{film}{ending}"
        path.parent.mkdir(exist_ok=True)
        images.save_video(frames, path)
    source = open_films(tmp_path / "set", Data())
    assert isinstance(source, FilmFiles) and source.lengths.tolist() == [5, 7]
    data = batches(model(side=16), source, Data(batch_size=4, every_nth=2), 0).take(4)
    video = np.concatenate([batch["video"] for batch in data.as_numpy_iterator()])
    assert video.shape == (16, 4, 16, 16, 3)
    steps = np.diff(video.mean(axis=(2, 3, 4)), axis=1)
    np.testing.assert_allclose(steps, 0.2, atol=0.03)  # too short for four frames 2 apart
    (tmp_path / f"set/broken{ending}").write_bytes(b"no film")
    assert open_films(tmp_path / "set", Data()).lengths.tolist() == [5, 7]
    assert "skipped broken film" in capsys.readouterr().out
    with pytest.raises(Exception, match="broken"):
        open_films(tmp_path / "set", Data(broken="fail"))
    write(tmp_path / "set/0.png", frame(0))
    with pytest.raises(DataError, match="holds films, for example .*, and images, .* 0.png"):
        open_films(tmp_path / "set", Data())


def test_films_without_ffmpeg(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(BadInput, match="needs the package imageio-ffmpeg.*GIF files and folders"):
        open_films(tmp_path, Data())


def test_sets_of_no_use(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="no films in .* Wanted: a folder for each film"):
        open_films(tmp_path / "set", Data())
    with pytest.raises(DataError, match="is no folder"):
        open_films(tmp_path / "nothing", Data())
    for k in range(2):
        (tmp_path / f"set/{k}.mp4").write_bytes(b"no film")
    with pytest.raises(DataError, match="All 2 films of .* are broken, the first one"):
        open_films(tmp_path / "set", Data())


def test_a_film_with_a_broken_frame_is_passed_over(folder, capsys):
    (folder / "train/class/film0/4.png").write_bytes(b"no image")
    frames, films = read(open_films(folder, Data()), model(12), 4, batch_size=3)
    assert {*films} == {1}
    said = capsys.readouterr().out
    assert said.count("skipped broken film") == 1 and "film0/4.png" in said
    with pytest.raises(tf.errors.InvalidArgumentError, match="4.png"):
        read(open_films(folder, Data()), model(12), 4, batch_size=3, broken="fail")


def test_all_frames_are_cut_and_mirrored_alike(tmp_path):
    """Each frame is the same picture, so that a clip must stand still."""
    picture = np.random.RandomState(0).randint(0, 256, [12, 12, 3], "uint8")
    for k in range(4):
        write(tmp_path / f"film/{k}.png", picture)
    source, seen = open_films(tmp_path, Data()), set()
    data = batches(model(), source, Data(batch_size=8, flip=True, jitter=4), 0).take(8)
    for batch in data.as_numpy_iterator():
        np.testing.assert_array_equal(batch["video"], batch["video"][:, :1].repeat(4, axis=1))
        seen |= {np.rint((x + 1) * 127.5).astype("uint8").tobytes() for x in batch["video"][:, 0]}
    windows = {
        picture[y : y + 8, x : x + 8][:, ::way].tobytes()
        for y in range(5)
        for x in range(5)
        for way in (1, -1)
    }
    assert seen <= windows and len(seen) > 30


def test_a_clip_is_a_function_of_seed_and_position(folder):
    parts = {"parts": ("image", "flow", "visible")}
    config = {"batch_size": 4, "flip": True, "jitter": 2, "every_nth": 2}
    whole = [*batches(model(**parts), open_films(folder, Data()), Data(**config), 5).take(4)]
    for k in range(2):
        half = batches(
            model(**parts), open_films(folder, Data()), Data(**config), 5, start=3, shard=(k, 2)
        ).take(1)
        for key, value in next(iter(half)).items():
            np.testing.assert_array_equal(value, whole[3][key][2 * k : 2 * k + 2])


def test_single_frames_are_of_other_films(folder):
    data = batches(model(3, parts=("image",)), open_films(folder, Data()), Data(batch_size=8), 0)
    pairs = set()
    for batch in data.take(6).as_numpy_iterator():
        assert batch["image"].shape == (8, 8, 8, 3)
        numbers = np.rint((batch["image"][:, 0, 0] + 1) * 127.5).astype(int)
        films = np.rint((batch["video"][:, 0, 0, 0, 1] + 1) * 127.5).astype(int)
        pairs |= {*zip(films.tolist(), numbers[:, 1].tolist(), strict=True)}
        assert numbers[:, 0].max() > 3
    assert len(pairs) > 8


def test_films_without_flow_stand_still_where_they_do(folder, capsys):
    """A change of 1 of 255 counts as none; the first frame has nothing before it."""
    for k in range(4):
        picture = frame(k)
        picture[:4] += np.uint8(40 * k)
        write(folder / f"still/film/{k}.png", picture)
    source = open_films(folder / "still", Data())
    wanted = model(parts=("flow", "visible"))
    (batch,) = batches(wanted, source, Data(batch_size=1), 0).take(1).as_numpy_iterator()
    assert batch["flow"].shape == (1, 4, 8, 8, 2) and not batch["flow"].any()
    assert not batch["visible"][:, 0].any()
    assert not batch["visible"][:, 1:, :4].any() and (batch["visible"][:, 1:, 4:] == 1).all()
    assert capsys.readouterr().out.count("has none, so it counts as 0") == 1


def test_label_maps_of_frames(folder):
    """Classes 0 and 1; frames and maps have one cut; colors by a legend."""
    keys = np.random.RandomState(0)
    for film in range(2):
        for k in range(4):
            labels = keys.randint(0, 2, [8, 8]).astype("uint8")
            write(folder / f"set/labels/{film}/{k}.png", labels)
            write(folder / f"set/images/{film}/{k}.png", 255 * np.repeat(labels[..., None], 3, 2))

    class WithMaps:
        data_kind = "video"

        def __init__(self, image_shape=(8, 8, 3), length=4, num_labels=2, legend=None):
            pass

    given = {}
    source = resolve(Config("gan", given, data=Data(path=str(folder / "set"))), WithMaps)
    assert given == {"image_shape": [8, 8, 3], "num_labels": 2}
    like = model(side=6, parts=("map",), num_labels=2, unlabeled=False)
    data = batches(like, source, Data(batch_size=4, flip=True, jitter=2), 0).take(4)
    for batch in data.as_numpy_iterator():
        assert batch["map"].dtype == np.int32
        np.testing.assert_array_equal(batch["map"], batch["video"][..., 0] > 0)
    (folder / "set/labels/1/3.png").unlink()
    with pytest.raises(DataError, match="no partner .* 1/3.png"):
        resolve(Config("gan", {}, data=Data(path=str(folder / "set"))), WithMaps)
    with pytest.raises(DataError, match="no folder of label maps"):
        resolve(Config("gan", {}, data=Data(path=str(folder))), WithMaps)
    given = {}
    source = resolve(Config("gan", given, data=Data(path="synthetic")), WithMaps)
    assert given["num_labels"] == 3 and given["legend"][0][0] == "ground"
    with pytest.raises(DataError, match="digits have no label maps"):
        resolve(Config("gan", {}, data=Data(path="synthetic", drawn="digits")), WithMaps)


class Plain:
    data_kind = "video"

    def __init__(self, image_shape=(32, 32, 3), length=5):
        pass


def test_resolve(folder):
    given = {}
    assert len(resolve(Config("gan", given, data=Data(path=str(folder))), Plain)) == 4
    assert given == {"image_shape": [8, 8, 3]}
    data = Data(path="synthetic", every_nth=3, jitter=4, drawn="digits")
    source = resolve(Config("gan", {"length": 6}, data=data), Plain)
    assert isinstance(source, SyntheticDigits) and source.lengths[0] == 18
    assert source.shape == (36, 36, 1)
    with pytest.raises(DataError, match="data.drawn is 'turned', .* one of: scenes, noisy, digits"):
        resolve(Config("gan", {}, data=Data(path="synthetic", drawn="turned")), Plain)
    with pytest.raises(DataError, match="data.drawn is 'digits', .* one of: scenes, turned"):
        resolve_unpaired(Data(path="synthetic", drawn="digits"), {}, {"image_shape": (8, 8, 3)})
    with pytest.raises(DataError, match="data.labels is True"):
        resolve(Config("gan", {}, data=Data(path="synthetic", labels=True)), Plain)


# Synthetic films


@pytest.mark.parametrize("frames", [range(5), range(0, 9, 2)])
def test_flow_and_occlusion_are_exact(frames):
    """Warping the frame before gives each visible pixel exactly."""
    source, hidden, drifting = SyntheticSquares((32, 40, 3), 9), [], 0
    for i in range(20):
        film = source.read(i, [*frames])
        video, flow, visible = (film[key].astype("float32") for key in ("video", "flow", "visible"))
        assert not flow[0].any() and not visible[0].any()
        warped = warp(video[:-1], flow[1:]).numpy()
        np.testing.assert_array_equal(visible[1:] * warped, visible[1:] * video[1:])
        # Nearly all others are another point, which the grain tells.
        same = (warped == video[1:]).all(axis=-1, keepdims=True)
        assert same[visible[1:] == 0].mean() < 0.1
        hidden.append(1 - visible[1:].mean())
        drifting += flow[1][film["map"][1] == 0].any()
        assert (flow == np.rint(flow)).all()
        for label in range(3):  # each layer moves as one
            for t in range(1, 5):
                assert len(np.unique(flow[t][film["map"][t] == label], axis=0)) == 1
        moving = [flow[1][film["map"][1] == label].any() for label in (1, 2)]
        assert all(moving)
    assert 0.02 < np.mean(hidden) < 0.3 and 4 < drifting < 14


def test_squares_have_their_own_textures_and_labels():
    source = SyntheticSquares((48, 48, 3), 3)
    film = source.read(0, [0, 1, 2])
    assert film["video"].dtype == np.uint8 and film["map"].dtype == np.int32
    assert {*np.unique(film["map"])} == {0, 1, 2}
    assert len(palette(3)) == len(source.legend)
    again = SyntheticSquares((48, 48, 3), 3, first=7).read(0, [1, 2])
    np.testing.assert_array_equal(again["video"], source.read(7, [1, 2])["video"])


def test_noise_is_new_in_each_frame(monkeypatch):
    """A ground at rest, and squares that move; a frame has the same noise whenever it is read."""
    noisy = NoisySquares((48, 48, 3), 4).read(0, range(4))
    assert not noisy["flow"][noisy["map"] == 0].any() and noisy["flow"].any()
    monkeypatch.setattr(SyntheticSquares, "resting", True)
    clean = SyntheticSquares((48, 48, 3), 4).read(0, range(4))
    for key in ("flow", "visible", "map"):
        np.testing.assert_array_equal(clean[key], noisy[key])
    assert noisy["video"].dtype == np.uint8
    noise = noisy["video"].astype(float) - clean["video"]
    inside = (clean["video"] > 80).all(axis=0) & (clean["video"] < 175).all(axis=0)  # not clipped
    found = np.corrcoef(noise[:, inside])
    assert noise[:, inside].std() == pytest.approx(20, rel=0.05)
    np.testing.assert_allclose(found, np.eye(4), atol=0.1)
    again = NoisySquares((48, 48, 3), 4).read(0, [2])
    np.testing.assert_array_equal(again["video"][0], noisy["video"][2])


def test_a_mirrored_flow_still_leads_back():
    source = SyntheticSquares((24, 24, 3), 4)
    like = model(side=24, parts=("flow", "visible", "map"), num_labels=3)
    (batch,) = batches(like, source, Data(batch_size=16, flip=True), 0).take(1).as_numpy_iterator()
    video, flow, visible = batch["video"], batch["flow"], batch["visible"]
    warped = warp(video[:, 0], flow[:, 1]).numpy()
    np.testing.assert_allclose(visible[:, 1] * warped, visible[:, 1] * video[:, 1], atol=1e-6)
    assert visible[:, 1].mean() > 0.7


def test_digits_bounce():
    """A step is a tenth of the room, at most 0.1 * 36 pixels and rounding; nothing is cut."""
    source = SyntheticDigits((64, 64, 1), 20)
    for i in range(6):
        (film,) = source.read(i, [*range(20)]).values()
        assert film.shape == (20, 64, 64, 1) and film.dtype == np.uint8
        keys = np.random.default_rng([i])  # directions, places, digits
        _, place = keys.uniform(size=2), keys.uniform(size=[2, 2])
        digits = [glyph(int(number), 28) for number in keys.integers(0, 10, 2)]
        y, x = (36 * place).astype(int).T
        wanted = np.zeros([64, 64], int)
        for k in range(2):
            wanted[y[k] : y[k] + 28, x[k] : x[k] + 28] = np.maximum(
                wanted[y[k] : y[k] + 28, x[k] : x[k] + 28], digits[k]
            )
        np.testing.assert_array_equal(film[0, ..., 0], wanted)
        assert film.astype(int).sum(axis=(1, 2, 3)).max() <= sum(
            d.astype(int).sum() for d in digits
        )
        lit = [int((frame > 0).sum()) for frame in film]
        assert min(lit) >= max(int((d > 0).sum()) for d in digits)  # never cut at the border
        changes = np.abs(np.diff(film.astype(int), axis=0)).sum(axis=(1, 2, 3))
        assert (changes > 0).mean() > 0.9


def test_walls_turn_a_walk_round():
    """First the step, then back to the wall, and the other way from there."""
    walked = walk(np.array([[0.5, 0.95]]), np.array([[0.06, 0.08]]), 1.0, 8)[:, 0]
    np.testing.assert_allclose(walked[:, 0], 0.5 + 0.06 * np.arange(8))
    np.testing.assert_allclose(walked[:, 1], [0.95, 1, 0.92, 0.84, 0.76, 0.68, 0.6, 0.52])


def test_glyphs_differ():
    digits = np.stack([glyph(number, 28) for number in range(10)]).reshape(10, -1).astype(int)
    apart = np.abs(digits[:, None] - digits).sum(axis=2) + 10**6 * np.eye(10)
    assert apart.min() > 3000 and digits.max() == 255
