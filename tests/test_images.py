"""Pictures: rounding, grids, alpha, animations."""

import sys

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from tfgans import images
from tfgans.errors import BadInput


def test_rounding_is_that_of_the_stylegan_code():
    x = np.array([-2.0, -1.0, -1.0 + 2 / 255, 0.0, 1.0, 3.0])
    np.testing.assert_array_equal(images.to_uint8(x), [0, 0, 1, 128, 255, 255])


def test_grid_puts_images_row_by_row():
    tiles = np.linspace(-1, 1, 5).reshape(5, 1, 1, 1) * np.ones([5, 2, 3, 1])
    sheet = images.grid(tiles, columns=3)
    assert sheet.shape == (4, 9, 1)
    levels = images.to_uint8(tiles[:, 0, 0, 0])
    np.testing.assert_array_equal(sheet[0, ::3, 0], levels[:3])
    np.testing.assert_array_equal(sheet[2, ::3, 0], [*levels[3:], 255])
    assert images.grid(tiles).shape == (4, 9, 1)
    assert images.grid(tiles, columns=3, gap=1).shape == (5, 11, 1)


def test_tables_keep_their_rows_and_gray_stands_beside_color():
    color, gray = np.random.uniform(-1, 1, [2, 4, 5, 3]), np.random.uniform(-1, 1, [2, 4, 5, 1])
    labels = np.random.uniform(-1, 1, [2, 4, 5, 7])
    made = images.table(gray, color, labels)
    assert made.shape == (2, 3, 4, 5, 3)
    sheet = images.grid(made)
    assert sheet.shape == (8, 15, 3)
    np.testing.assert_array_equal(sheet[4:, :5], images.to_uint8(np.repeat(gray[1], 3, axis=-1)))
    np.testing.assert_array_equal(sheet[:4, 5:10], images.to_uint8(color[0]))
    np.testing.assert_array_equal(sheet[4:, 10:], images.to_uint8(labels[1, ..., :3]))


def test_rows_of_lists_take_turns():
    above = np.arange(6.0).reshape(6, 1, 1, 1)
    made = images.rows(above, -above, columns=3)
    np.testing.assert_array_equal(made.ravel(), [0, 1, 2, 0, -1, -2, 3, 4, 5, -3, -4, -5])


def test_alpha_shows_on_a_checkerboard_and_stays_in_single_pictures(tmp_path):
    clear = np.full([1, 16, 16, 4], -1.0)
    images.save_grid(clear, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as file:
        assert file.mode == "RGB" and set(np.unique(file)) == {204, 255}
    assert images.picture(images.to_uint8(clear)[0]).mode == "RGBA"
    for channels, mode in ((1, "L"), (2, "LA"), (3, "RGB"), (6, "RGB")):
        assert images.picture(np.zeros([4, 4, channels], "uint8")).mode == mode


def gray_frames(height, width):
    """Six frames from black to white."""
    return np.linspace(-1, 1, 6).reshape(6, 1, 1, 1) * np.ones([6, height, width, 1])


def test_gif_keeps_its_frames(tmp_path):
    frames = gray_frames(8, 8)
    images.save_video(frames, tmp_path / "walk.gif", rate=10)
    with Image.open(tmp_path / "walk.gif") as file:
        assert file.n_frames == 6 and file.info["duration"] == 100
        file.seek(3)
        assert abs(int(np.array(file.convert("L"))[0, 0]) - images.to_uint8(frames)[3, 0, 0, 0]) < 3


def test_gif_of_pictures_that_come_one_by_one(tmp_path):
    """Each has colors of its own; two that are equal are two, and one is held at a time."""
    keys = np.random.RandomState(0)
    frames = [keys.randint(0, 256, [6, 8, 3]).astype("uint8") for _ in range(3)]
    frames.insert(1, frames[0])
    timed = ((Image.fromarray(frame), 10 * k + 50) for k, frame in enumerate(frames))
    assert images.stream_gif(timed, tmp_path / "film.gif") == 4
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 4 and film.info["loop"] == 0
        for k, frame in enumerate(frames):
            film.seek(k)
            assert film.info["duration"] == 10 * k + 50
            found = np.asarray(film.convert("RGB")).astype(int)
            assert np.abs(found - frame).max() <= 4


def test_flow_in_colors():
    """No flow is white; right is red, left cyan, down between yellow and green; half is pale."""
    flow = np.zeros([2, 1, 4, 2])
    flow[0, 0] = [(4.0, 0.0), (-4.0, 0.0), (0.0, 4.0), (2.0, 0.0)]
    found = images.of_flow(flow)
    assert found.shape == (2, 1, 4, 3)
    np.testing.assert_allclose(found[1], np.ones([1, 4, 3]))
    wanted = [(1.0, -1.0, -1.0), (-1.0, 1.0, 1.0), (0.0, 1.0, -1.0), (1.0, 0.0, 0.0)]
    np.testing.assert_allclose(found[0, 0], wanted, atol=1e-6)
    np.testing.assert_allclose(images.of_flow(flow / 8)[0, 0, 0], (1.0, 0.0, 0.0), atol=1e-6)


@pytest.mark.parametrize("height, width, size", [(32, 64, (64, 32)), (33, 35, (34, 32))])
def test_mp4_keeps_its_frames(height, width, size, tmp_path):
    frames = gray_frames(height, width)
    frames[:, :, : width // 2] = -1.0  # the left half stays black
    images.save_video(frames, tmp_path / "walk.mp4", rate=12)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "walk.mp4"))
    assert count == 6 and abs(seconds - 0.5) < 0.05
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "walk.mp4"))
    facts = next(reader)
    assert facts["size"] == size and facts["fps"] == 12 and facts["codec"] == "h264"
    assert facts["pix_fmt"].startswith("yuv420p")
    seen = [np.frombuffer(frame, "uint8").reshape(size[1], size[0], 3) for frame in reader]
    for frame, level in zip(seen, images.to_uint8(frames)[:, 0, -1, 0], strict=True):
        assert abs(frame[8:24, -10:].mean() - level) < 8 and frame[8:24, :10].mean() < 8


def test_a_video_that_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="a .gif or an .mp4, not walk.avi"):
        images.save_video(gray_frames(8, 8), "walk.avi")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(BadInput, match=r'pip install "tfgans\[video\]"'):
        images.save_video(gray_frames(8, 8), tmp_path / "walk.mp4")
    assert not (tmp_path / "walk.mp4").exists()
