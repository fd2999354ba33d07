"""Kills a small training again and again; it must end bit for bit like an undisturbed one.

python tests/reliability/kill.py --kills 50

The training makes a snapshot after every step. Every second SIGKILL comes within 60 ms of the
beginning of a write, the others within two seconds of the first step.
"""

import argparse
import csv
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from unittest import mock

import keras
import numpy as np

from tfgans import callbacks, durable, storage, training
from tfgans.config import Config

TRAIN = pathlib.Path(__file__).parents[2] / "tools" / "train.py"
SETTINGS = ["train.tick=1", "train.keep=3"]


def start(folder):
    command = [sys.executable, str(TRAIN), "gan", "--tiny", "--run", "run"]
    for setting in (*SETTINGS, "train.steps=1000000"):
        command += ["--set", setting]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            output, errors = process.communicate()
            sys.exit(f"The training did not come so far: {output[-500:]} {errors[-500:]}")
        time.sleep(0.001)


def kill_once(folder, inside, draws):
    """Resumes the run and kills it; returns where it was killed and the number of lost steps."""
    run, shown = folder / "run", []
    before = storage.snapshots(run)
    process = start(folder)
    for line in process.stdout:
        shown.append(line)
        if line.startswith("step "):
            break
    if inside:
        writing = run / "snapshots" / "partial"
        wait_for(lambda: not writing.exists(), process)
        wait_for(writing.exists, process)
        time.sleep(draws.uniform(0, 0.06))
    else:
        wait_for(lambda: storage.snapshots(run), process)  # otherwise there is nothing to lose
        time.sleep(draws.uniform(0, 2))
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    shown += rest.splitlines()
    resumed = [line for line in shown if line.startswith("Going on from")]
    trained = [int(line.split()[1].split("/")[0]) for line in shown if line.startswith("step ")]
    snapshots = storage.snapshots(run)
    for path in snapshots:
        assert durable.checksums(path).exists(), f"{path} has no checksum"
        durable.check(path)  # a snapshot under its final name is complete
    assert not before or f"Going on from run/snapshots/{before[-1].name}.\n" in resumed, shown
    return {
        "inside a write": (run / "snapshots" / "partial").exists(),
        "steps lost": trained[-1] - (int(snapshots[-1].stem) if snapshots else 0),
    }


def state(run):
    """All numbers of the newest snapshot."""
    model = keras.models.load_model(storage.find(run))
    variables = list(model.variables)
    for optimizer in model.optimizers.values():
        variables += optimizer.variables
    return [variable.numpy() for variable in variables]


def kill(folder, kills, seed=0) -> str:
    """Kills, goes on to an end, compares. Returns what happened; raises if something was lost."""
    draws, found = random.Random(seed), []
    for number in range(kills):
        found.append(kill_once(folder, number % 2 == 0, draws))
        print(f"kill {number + 1}: {found[-1]}", flush=True)
    goal = int(storage.snapshots(folder / "run")[-1].stem) + 3
    for run in ("run", "undisturbed"):
        settings = Config.load("gan", "tiny", [*SETTINGS, f"train.steps={goal}"])
        with mock.patch.object(callbacks.log, "draw_curves"):  # slow, and not tested here
            assert training.train(settings, folder / run)
    pairs = list(zip(state(folder / "run"), state(folder / "undisturbed"), strict=True))
    different = sum(not np.array_equal(a, b) for a, b in pairs)
    assert not different, f"{different} of {len(pairs)} tensors differ"
    with open(folder / "run" / "log.csv", newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, goal + 1))
    left = sorted(path.name for path in (folder / "run" / "snapshots").iterdir())
    assert len(left) == 6 and not any("partial" in name for name in left), left
    inside = sum(one["inside a write"] for one in found)
    lost = max(one["steps lost"] for one in found)
    return (
        f"{kills} kills, {inside} of them inside the write of a snapshot; each time all snapshots "
        f"were whole and the newest was taken; at most {lost} steps to make again; after {goal} "
        f"steps all {len(pairs)} tensors were equal to those of an undisturbed run, bit for bit."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(kill(pathlib.Path(folder), args.kills, args.seed))


if __name__ == "__main__":
    main()
