"""Files of PyTorch: both formats as PyTorch wrote them, and what is refused.

archive.pth and pickles.pth were written by PyTorch 2.13 from one state dict, in the format of today
and in that before 1.6.
"""

import io
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from tfgans.errors import BadInput
from tfgans.features.torch_file import read_torch

HERE = pathlib.Path(__file__).parent


@pytest.mark.parametrize("name", ["archive.pth", "pickles.pth"])
def test_both_formats(name):
    state = read_torch(HERE / name)
    base = np.arange(24, dtype="float32")
    expected = {
        "whole": base.reshape(2, 3, 4),
        "turned": base.reshape(6, 4).T,  # another view of the same storage
        "part": base[5:9],
        "half": np.array([0.5, -2.0], "float16"),
        "count": np.array(7),
        "parameter": np.ones([2, 2], "float32"),
    }
    assert list(state) == list(expected)
    for key, value in expected.items():
        assert state[key].dtype == value.dtype, key
        np.testing.assert_array_equal(state[key], value)


class Opener:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_no_code_of_the_file_runs(tmp_path):
    """A pickle that would make a file makes none, in either format."""
    mark = tmp_path / "ran"
    evil = pickle.dumps({"weight": Opener(mark)})
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", evil)
    (tmp_path / "b.pth").write_bytes(evil)
    for name in ("a.pth", "b.pth"):
        with pytest.raises(BadInput, match="it wants to run pathlib"):
            read_torch(tmp_path / name)
    assert not mark.exists()
    pickle.loads(evil)
    assert mark.exists()


def rewritten(change, tmp_path):
    """archive.pth with the bytes of its files changed."""
    path = tmp_path / "changed.pth"
    with zipfile.ZipFile(HERE / "archive.pth") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return path


def test_damage(tmp_path):
    whole = (HERE / "pickles.pth").read_bytes()
    for i, data in enumerate((whole[:-30], whole[:200], b"", b"no pickle at all")):
        path = tmp_path / f"{i}.pth"
        path.write_bytes(data)
        with pytest.raises(BadInput, match="cannot be read as tensors of PyTorch"):
            read_torch(path)
    short = rewritten(lambda name, x: x[:8] if name.endswith("/data/0") else x, tmp_path)
    with pytest.raises(BadInput, match="lies outside of its storage"):
        read_torch(short)
    assert read_torch(rewritten(lambda name, x: x, tmp_path))["count"] == 7


def test_other_pickles(tmp_path):
    buffer = io.BytesIO()
    for part in (1, 2, 3, 4, 5):
        pickle.dump(part, buffer)
    (tmp_path / "x.pth").write_bytes(buffer.getvalue())
    with pytest.raises(BadInput, match="does not begin as a file of PyTorch"):
        read_torch(tmp_path / "x.pth")
