"""Each faulty data set has its expected outcome, in time, in little memory; nothing is written."""

import os
import pathlib
import resource
import runpy
import signal

import numpy as np
import pytest
import tensorflow as tf
from faults import CASES, encoded, records, with_good, zipped

from tfgans.config import Data
from tfgans.data import BrokenImage, DataError, check, open_images, paired, single, tokens, unpaired
from tfgans.data.check import check as check_set
from tfgans.data.images import ImageReader
from tfgans.data.pack import pack

SECONDS = 10  # a case may take; the slowest takes less than one
MEGABYTES = 700  # memory that all cases together may add


@pytest.fixture(autouse=True)
def in_time():
    def late(number, frame):
        raise TimeoutError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module", autouse=True)
def in_little_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES, f"{grown:.0f} MB more than before"


def tree(folder):
    """All files below a folder and in the working folder."""
    names = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    return sorted(names), sorted(os.listdir())


def answer(path, good="good"):
    """Opens and reads a set; returns its outcome in the words of `faults`. Errors must be one line.

    Images whose names begin with `good` must not be reported as broken.
    """
    said = []
    try:
        source = open_images(path)
        labels = source.labels
        assert labels is None or len(labels) == len(source)
        broken = []
        for i in range(len(source)):
            try:
                image = source.read(i)
                height, width, channels = image.shape
                assert height * width > 0 and 1 <= channels <= 4
            except BrokenImage as error:
                broken.append(os.path.basename(source.describe(i)))
                said.append(error)
        assert not any(name.split(": ")[-1].startswith(good) for name in broken), broken
        images, used = ImageReader(source, (8, 8, 3), "skip").read(list(range(len(source))))
        assert np.isfinite(images).all() and np.abs(images).max() <= 1
        happened = "broken" if broken else "reads"
    except DataError as error:
        said.append(error)
        happened = "refused"
    for error in said:
        assert len(str(error)) > 20 and str(error).encode()
        if isinstance(error, BrokenImage):
            assert str(error).isprintable()
    return happened


@pytest.mark.parametrize("name, make, outcome", CASES, ids=[case[0] for case in CASES])
@pytest.mark.filterwarnings("ignore")  # Pillow's own warnings about damaged files
def test_a_faulty_set(name, make, outcome, tmp_path):
    path = make(tmp_path)
    before = tree(tmp_path)
    if outcome == "answers":
        assert answer(path, good="none is surely good") in ("reads", "broken", "refused")
    else:
        assert answer(path) == outcome
    assert tree(tmp_path) == before


def test_there_are_as_many_cases_as_is_said():
    assert len(CASES) >= 500 and len({case[0] for case in CASES}) == len(CASES)


def test_links_are_followed_once_and_not_instead_of_folders(tmp_path):
    path = with_good(tmp_path, "notes.txt", b"")
    (path / "z").mkdir()
    (path / "z" / "good.png").write_bytes(encoded("PNG"))
    (path / "a").symlink_to("z")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.png").write_bytes(encoded("PNG"))
    (path / "linked").symlink_to(tmp_path / "other")
    assert open_images(path).names == ["good0.png", "good1.png", "linked/x.png", "z/good.png"]


def test_check_finds_what_reading_a_record_does_not(tmp_path):
    path = records(tmp_path)
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    (finding,) = [f for f in check_set(path) if "damaged" in f.problem]
    assert "corrupted record" in finding.problem


def test_names_are_printed_so_that_a_terminal_takes_them(tmp_path, capsys):
    path = with_good(tmp_path, "\x1b[2J\nred.png", b"x")
    with open(bytes(path) + b"/\xff.png", "wb"):
        pass
    tool = runpy.run_path(str(pathlib.Path(__file__).parents[2] / "tools" / "data.py"))
    assert tool["main"](["check", str(path)]) == 1
    printed = capsys.readouterr().out
    assert "\\x1b[2J\\nred.png" in printed and "\\udcff.png" in printed
    assert printed.replace("\n", "").isprintable() and printed.encode()


def test_pack_of_a_hostile_zip_writes_its_folder_and_nothing_else(tmp_path):
    names = ["../../up.png", "/tmp/absolute.png", "a/../../b.png", "fine.png"]
    path = zipped(tmp_path, [(name, encoded("PNG")) for name in names])
    before = tree(tmp_path)
    assert pack(path, tmp_path / "out", shards=1) == 4  # two good ones, the absolute one, fine.png
    added = set(tree(tmp_path)[0]) - set(before[0])
    assert added == {str(tmp_path / "out" / "out-00000-of-00001.tfrecords")}
    assert tree(tmp_path)[1] == before[1] and not pathlib.Path("/tmp/absolute.png").exists()


def test_a_set_with_nothing_whole_says_so_while_training(tmp_path):
    path = with_good(tmp_path, "x.png", encoded("PNG"))
    source = open_images(path)
    for file in path.iterdir():
        file.write_bytes(b"gone bad after the set was opened")
    with pytest.raises(DataError, match="All 3 images are broken, the first one: .*good0.png"):
        ImageReader(source, (8, 8, 3), "skip").read([0, 1, 2])


# Other kinds of data.


@pytest.mark.parametrize(
    "files, message",
    [
        ({"A/1.png": 8, "B/2.png": 8}, "no partner"),
        ({"A/1.png": 8, "A/1.jpg": 8, "B/1.png": 8}, "suffixes only"),
        ({"A/1.png": 8, "B/notes.txt": 8}, "No images in"),
        ({"1.png": 7}, "no equal halves"),
        ({"train/notes.txt": 8}, "No images in"),
    ],
)
def test_pairs(tmp_path, files, message):
    for name, width in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded("PNG", np.zeros([8, width, 3], "uint8")))
    with pytest.raises(DataError, match=message):
        paired.resolve(Data(path=str(tmp_path)), {}, {"image_shape": (8, 8, 3)})


@pytest.mark.parametrize("folders", [[], ["trainA"], ["trainA", "trainB"]])
def test_domains(tmp_path, folders):
    for name in folders:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="No images in" if len(folders) == 2 else "no two domains"):
        unpaired.resolve(Data(path=str(tmp_path)), {}, {"image_shape": (8, 8, 3)})


@pytest.mark.parametrize("data", [b"", b"text", encoded("PNG")[:100], encoded("JPEG")[:300]])
def test_a_single_image(tmp_path, data):
    (tmp_path / "one.png").write_bytes(data)
    with pytest.raises((DataError, BrokenImage), match="one.png"):
        source = single.resolve(
            Data(path=str(tmp_path / "one.png")), {}, {"image_shape": (8, 8, 3)}
        )
        source.read(0)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n",
        b"1 2 x",
        b"1 -2",
        b"1 2.5",
        b"\xff\xfe\x00",
        b"1 \x00",
        b"9" * 30,
        b"9" * 9999,
        "1 ٣".encode(),
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_tokens(tmp_path, text):
    (tmp_path / "a.txt").write_bytes(text)
    with pytest.raises(DataError) as error:
        tokens.open_tokens(tmp_path / "a.txt")
    assert len(str(error.value)) < 300
    assert check.check(tmp_path / "a.txt")


def test_memory_is_bounded_for_a_large_image_too(tmp_path):
    """The largest image that is read: 89 million pixels of one value."""
    picture = tf.io.encode_png(tf.zeros([9000, 9900, 1], tf.uint8)).numpy()
    path = with_good(tmp_path, "large.png", picture)
    source = open_images(path)
    assert source.read(2).shape == (9000, 9900, 1)
