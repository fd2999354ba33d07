"""PyTorch's files, written here in both of its formats, and read without PyTorch.

archive.pth and pickles.pth were written by PyTorch 2.13 itself from one state dict, in the format
of today and in the format before 1.6.
"""

import io
import pathlib
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from torch_files import Parameter, Storage, Tensor, torch_file

from tfgans.errors import BadInput
from tfgans.foreign import pickles, read_state_dict

HERE = pathlib.Path(__file__).parent


@pytest.mark.parametrize("name", ["archive.pth", "pickles.pth"])
def test_files_of_pytorch(name):
    state = read_state_dict(HERE / name)
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


def arrays():
    rng = np.random.RandomState(0)
    return {
        "conv.weight": rng.randn(4, 3, 5, 5).astype("f4"),
        "conv.bias": rng.randn(4).astype("f2"),
        "norm.num_batches_tracked": np.int64(7),
        "empty": np.zeros([0, 3], "f4"),
    }


@pytest.mark.parametrize("old", [True, False])
def test_state_dicts(old, tmp_path):
    given = arrays()
    state = OrderedDict((name, Tensor(array)) for name, array in given.items())
    state["turned"] = Parameter(given["conv.weight"][:, :, :4], channels_last=True)
    # Two views of one storage, one of them transposed and from its middle.
    shared = Storage(np.arange(12, dtype="f4"))
    state["a"], state["b"] = (Tensor(np.zeros([3, 4], "f4"), storage=shared) for _ in range(2))
    state["b"].size, state["b"].stride, state["b"].offset = (2, 3), (1, 4), 2
    file = {"g_ema": state, "step": 3, "settings": {"name": "x", "rates": [1.0, 2.0]}}
    (tmp_path / "model.pth").write_bytes(torch_file(file, old))
    found = read_state_dict(tmp_path / "model.pth")
    found = {name.removeprefix("g_ema."): array for name, array in found.items()}
    assert set(found) == {*given, "turned", "a", "b"}
    for name, array in given.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    np.testing.assert_array_equal(found["turned"], given["conv.weight"][:, :, :4])
    np.testing.assert_array_equal(found["a"], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(found["b"], np.arange(12).reshape(3, 4).T[2:, :])
    with pytest.raises(ValueError, match="read-only"):
        found["a"][:] = 0


def test_what_the_formats_are():
    """Compares with the documented formats, without the code of the writer."""
    data = torch_file(Tensor(np.array([1.5, -2.0], "f4")))
    assert data.startswith(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")
    assert data.endswith(struct.pack("<q2f", 2, 1.5, -2.0))
    with zipfile.ZipFile(io.BytesIO(torch_file(Tensor(np.zeros(2, "f4")), old=False))) as archive:
        assert {"archive/data.pkl", "archive/data/0"} <= set(archive.namelist())


def test_an_ordered_dict_of_python_2():
    """It takes its items as an argument, as in the released LPIPS weights."""
    pairs = b"](](U\x01aU\x01be](U\x01cU\x01dee\x85"
    program = b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"R."
    assert pickles.read(io.BytesIO(program), set())[0] == {"a": "b", "c": "d"}


def refusal(path):
    with pytest.raises(BadInput) as caught:
        read_state_dict(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("old", [True, False])
def test_damaged_files_are_refused(old, tmp_path):
    path = tmp_path / "model.pth"
    data = torch_file({"a": Tensor(np.arange(1000, dtype="f4"))}, old)
    for part in (0, 3, 100, len(data) - 1):
        path.write_bytes(data[:part])
        assert "damaged" in refusal(path)
    rng = np.random.RandomState(0)
    for _ in range(200):
        changed = bytearray(data)
        for at in rng.randint(0, len(data), 8):
            changed[at] = rng.randint(256)
        path.write_bytes(bytes(changed))
        try:
            read_state_dict(path)
        except BadInput as error:
            assert str(error).startswith(str(path))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02c__torch__.net\nInception\n)\x81.")
    assert "asks for '__torch__.net.Inception'" in refusal(path)  # a TorchScript archive
    big = io.BytesIO()
    with zipfile.ZipFile(big, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(10**6))
    path.write_bytes(big.getvalue())
    assert "together larger than the file" in refusal(path)
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / "absent.pth")
