"""`make reference` finds a planted difference; where it cannot run, it says why in one line."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
COMMITTED = HERE / "tfgan_tfa.npz"


def compare(live):
    command = [sys.executable, HERE / "compare.py", COMMITTED, live]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_same_numbers_agree():
    result = compare(COMMITTED)
    assert result.returncode == 0 and "330 arrays agree" in result.stdout


@pytest.mark.parametrize(
    "change", [lambda x: x * (1 + 3e-5), lambda x: x[:2], lambda x: x * np.nan]
)
def test_a_planted_difference_is_named(tmp_path, change):
    arrays = dict(np.load(COMMITTED))
    arrays["features/instance_norm"] = change(arrays["features/instance_norm"])
    np.savez(tmp_path / "live.npz", **arrays)
    result = compare(tmp_path / "live.npz")
    assert result.returncode == 1
    assert "features/instance_norm differs by" in result.stdout
    assert "1 of 330 arrays differ" in result.stderr


def test_a_missing_number_is_named(tmp_path):
    arrays = dict(np.load(COMMITTED))
    del arrays["losses/real"]
    np.savez(tmp_path / "live.npz", **arrays)
    result = compare(tmp_path / "live.npz")
    assert result.returncode == 1 and "other names: ['losses/real']" in result.stderr


@pytest.mark.parametrize(
    "python, reason",
    [
        (None, "there is no Python 3.9, 3.10 or 3.11 on this machine"),
        ('[ "$1" = -c ] || { echo first; echo no venv; exit 1; }', "made: no venv"),
        (
            '[ "$1" = -c ] || { echo ERROR: no network; echo notice; exit 1; }',
            "made: ERROR: no net",
        ),
    ],
)
def test_where_it_cannot_run(tmp_path, python, reason):
    """On a machine with nothing but the shell's tools, and perhaps a Python that cannot install."""
    for tool in ("dirname", "grep", "mktemp", "rm", "tail"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    if python:
        (tmp_path / "python3.10").write_text(f"#!/bin/sh\n{python}\n")
        (tmp_path / "python3.10").chmod(0o755)
    result = subprocess.run(
        ["/bin/sh", HERE / "live.sh", tmp_path / "environment"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0 and not result.stderr
    assert result.stdout.startswith("reference: not run, ") and result.stdout.count("\n") == 1
    assert reason in result.stdout
