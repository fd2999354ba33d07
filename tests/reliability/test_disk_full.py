"""A disk fills up while a run writes to it: one line of error, the last snapshot stays whole."""

import contextlib
import os
import pathlib
import re
import resource
import subprocess
import sys

import pytest

from tfgans import durable, models, storage, training
from tfgans.config import Config

TRAIN = pathlib.Path(__file__).parents[2] / "tools" / "train.py"


@contextlib.contextmanager
def files_of_at_most(size):
    """Limits file sizes; longer writes fail as on a full disk: OSError, "File too large"."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def settings(steps):
    return Config.load("gan", "tiny", ["train.tick=5", f"train.steps={steps}"])


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.thorough
@pytest.mark.parametrize("size", [100, 80_000])  # too small for the settings, for a snapshot
def test_training_says_so_and_goes_on_when_there_is_room(tmp_path, size, capsys):
    """`capsys` keeps the printed lines in memory: a file of them would be full too."""
    assert training.train(settings(5), tmp_path)
    (saved,) = storage.snapshots(tmp_path)
    before = names(tmp_path / "snapshots")
    with files_of_at_most(size), pytest.raises(storage.Refused) as error:
        training.train(settings(10), tmp_path)
    words = str(error.value)
    assert "cannot be written: [Errno 27] File too large" in words
    assert f"The last whole snapshot is {saved}." in words and "\n" not in words
    assert names(tmp_path / "snapshots") == before
    durable.check(saved)
    if size == 80_000:  # the other size leaves the same files
        assert training.train(settings(10), tmp_path)
        assert [int(path.stem) for path in storage.snapshots(tmp_path)] == [5, 10]


def test_a_release_is_written_whole_or_not_at_all(tmp_path):
    model = models.MODELS["gan"](**settings(1).model)
    for size in (100, 10_000, 60_000):
        with files_of_at_most(size), pytest.raises(storage.Refused, match="1 cannot be written"):
            storage.release(model, "shapes", tmp_path)
        assert not os.listdir(tmp_path / "shapes")
    assert storage.release(model, "shapes", tmp_path) == tmp_path / "shapes" / "1"


SCRIPT = """
mount -t tmpfs -o size=600k none . || exit 77
cd "$PWD"
"$@" --set train.steps=100000 2>&1 | tail -n 1
(cd run/snapshots && ls && cat *.sha256 | sha256sum --check --quiet && echo whole)
mount -o remount,size=4m "$PWD"
"$@" --set train.steps=80 | grep -e "Going on" -e "step 80/80"
"""


@pytest.mark.slow
def test_a_file_system_that_is_really_full(tmp_path):
    """A small file system in memory, mounted for one process; skipped where that is not allowed."""
    command = ["unshare", "-rm", "sh", "-c", SCRIPT, "sh", sys.executable, str(TRAIN), "gan"]
    command += "--tiny --run run --set train.tick=10 --set train.keep=99".split()
    mounted = tmp_path / "disk"
    mounted.mkdir()
    try:
        done = subprocess.run(command, cwd=mounted, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no file system may be mounted here")
    assert "run cannot be written: [Errno 28] No space left on device" in done.stdout
    last = re.search(r"The last whole snapshot is run/snapshots/(\d+).keras", done.stdout)[1]
    assert 20 <= int(last) < 80
    saved = re.findall(r"^(\d{8}).keras$", done.stdout, re.MULTILINE)
    assert saved[-1] == last and "partial" not in done.stdout and "\nwhole\n" in done.stdout
    assert f"Going on from run/snapshots/{last}.keras." in done.stdout
    assert "step 80/80" in done.stdout
