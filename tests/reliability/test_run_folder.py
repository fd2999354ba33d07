"""The folder of a run: one training at a time, no stranger's files, never inside of the data."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import time
import types
import warnings

import numpy as np
import pytest

from tfgans import callbacks, errors, models, resuming, storage
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.storage import Refused

TRAIN = pathlib.Path(__file__).parents[2] / "tools" / "train.py"
HOLD = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print('held')"


def test_a_second_training_is_refused_until_the_first_is_gone(tmp_path):
    run = tmp_path / "run"
    with storage.in_use(run):
        (run / "config.yaml").write_text("a run")
        with pytest.raises(Refused, match=f"run: process {os.getpid()} on .*--run FOLDER"):
            with storage.in_use(run):
                pass
    with storage.in_use(run):
        pass
    script = f"{HOLD}; sys.stdout.flush(); time.sleep(60)"
    other = subprocess.Popen(
        [sys.executable, "-c", script, run / storage.IN_USE], stdout=subprocess.PIPE
    )
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(Refused, match="Another training writes in"), storage.in_use(run):
        pass
    other.kill()
    other.wait()
    with storage.in_use(run):
        pass


def test_nothing_is_left_of_a_run_that_could_not_begin(tmp_path):
    with pytest.raises(BadInput), storage.in_use(tmp_path / "run"):
        raise BadInput("no such data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_two_trainings_in_one_folder(tmp_path):
    words = [sys.executable, TRAIN, "gan", "--tiny", "--run", "run", "--set", "train.steps=100000"]
    first = subprocess.Popen([*map(str, words)], cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.time() + 200
    while not storage.snapshots(tmp_path / "run"):
        assert time.time() < deadline and first.poll() is None
        time.sleep(0.1)
    second = subprocess.run([*map(str, words)], cwd=tmp_path, capture_output=True, text=True)
    assert second.returncode == 1
    assert f"writes in run: process {first.pid} on" in second.stderr.splitlines()[-1]
    first.send_signal(signal.SIGINT)
    assert first.wait(200) == 130


def test_files_of_others_are_not_written_over(tmp_path):
    run = tmp_path / "mine"
    run.mkdir()
    storage.refuse_foreign(run)  # empty
    (run / "log.csv").write_text("mine")
    with pytest.raises(Refused, match="not empty and not a run: it holds log.csv"):
        storage.refuse_foreign(run)
    (run / "snapshots").mkdir()
    (run / "snapshots" / "00000000.keras").touch()
    storage.refuse_foreign(run)  # as tools/convert.py writes a run
    (run / "config.yaml").write_text("mine")
    with pytest.raises(Refused, match="config.yaml is not the configuration of a run: .*--run"):
        resuming.refuse_changes(run, Config.load("gan", "tiny"), force=False)
    with pytest.raises(Refused, match="log.csv is a file, and a run is a folder"):
        storage.refuse_foreign(run / "log.csv")


@pytest.mark.parametrize("place", ["", "runs/first", "a/../runs"])
def test_a_run_inside_of_its_data_is_refused(place, tmp_path, monkeypatch):
    (tmp_path / "data" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match="lies inside the data"):
        storage.refuse_foreign(pathlib.Path("data", place, "x"), "data")
    storage.refuse_foreign("runs/x", "data")
    storage.refuse_foreign("data-2", "data")
    storage.refuse_foreign("runs/x", "synthetic")


def test_advice_fits_the_error(tmp_path):
    said = {}
    for number in (errno.ENOSPC, errno.EACCES):
        with pytest.raises(Refused) as refused, storage.writing(tmp_path):
            raise OSError(number, os.strerror(number))
        said[number] = str(refused.value)
    assert said[errno.ENOSPC].endswith("There is no snapshot yet. Make room.")
    assert said[errno.EACCES].endswith("Mend that, or choose another folder.")


def test_a_file_in_place_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "README.md").write_text("mine")

    for place in ("README.md", "README.md/samples/first"):
        with pytest.raises(SystemExit, match=r"/README.md is a file, and a folder is wanted"):
            errors.run_tool(lambda: (tmp_path / place).mkdir(parents=True, exist_ok=True))  # noqa: B023


def test_what_is_no_model_gets_no_command_to_train_it(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileNotFoundError) as unknown:
        models.load(tmp_path / "notes.txt")
    assert "of another kind" in str(unknown.value)
    with pytest.raises(FileNotFoundError, match="train --list` names what can be trained"):
        models.load("wgan_gp")


def test_one_real_image_tells_nothing_about_variety():
    image = np.full([1, 4, 4, 1], 0.5)
    monitor = callbacks.CollapseMonitor(1, {"image": image}, "image", 0)
    monitor.set_model(types.SimpleNamespace(outputs=lambda examples: np.zeros([4, 4, 4, 1])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor.judge_samples(10, {})
    assert not monitor.ticks["alike"]


def test_names_that_are_not_utf8_are_quoted_for_a_shell(tmp_path):
    folder = os.fsencode(tmp_path)
    with open(folder + b"/latin\xe9 'x'.png", "w"):
        pass
    (name,) = os.listdir(tmp_path)
    line = f"rm {errors.quoted(tmp_path / name)}"
    subprocess.run(["bash", "-c", line], check=True)
    assert os.listdir(tmp_path) == []


def test_an_unknown_argument_of_a_model_gets_the_nearest():
    with pytest.raises(BadInput, match="No argument of WGANGP named 'image_shap'. Did you mean"):
        models.get("wgan_gp")(image_shap=(16, 16, 3))
