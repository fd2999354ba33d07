"""A hostile or damaged file can do nothing: it is refused in one line, soon, in little memory.

Pickles here are written instruction by instruction, as an attacker would.
"""

import builtins
import io
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from cases import small_weights, weights_of
from official import (
    Layer,
    Network,
    tensorflow_discriminator,
    tensorflow_generator,
    torch_network,
    torch_pickle,
)
from torch_files import Parameter, Storage, Tensor, _load_from_bytes, dumps, torch_file

from tfgans import pretrained
from tfgans.errors import BadInput
from tfgans.foreign import pickles
from tfgans.foreign.torch_files import MAGIC_NUMBER
from tfgans.pretrained import loading


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function, *args, state=None):
        self.reduced = function, args, state

    def __reduce__(self):
        return self.reduced if self.reduced[2] is not None else self.reduced[:2]


def refusal(tmp_path, data, seconds=10.0, megabytes=50):
    """The message with which a file is refused; fails where that takes too long or too much."""
    path = tmp_path / "official.pkl"
    path.write_bytes(data)
    tracemalloc.start()
    begun = time.monotonic()
    try:
        with pytest.raises(BadInput) as caught:
            pretrained.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begun < seconds
    assert peak < megabytes * 1e6 + 10 * len(data)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and len(message) < 600
    return message


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "function, name",
    [
        (os.system, "system"),
        (builtins.eval, "eval"),
        (builtins.exec, "exec"),
        (builtins.getattr, "getattr"),
        (builtins.__import__, "__import__"),
        (subprocess.Popen, "Popen"),
        (pickle.loads, "loads"),
        (np.load, "load"),
        (sys.exit, "exit"),
    ],
)
def test_calls_are_refused_by_name(function, name, protocol, tmp_path):
    marker = tmp_path / "executed"
    hostile = Call(function, f"open({str(marker)!r}, 'w')")
    for value in (hostile, {"G_ema": [hostile]}, (1, 2, {"x": hostile})):
        assert f".{name}', which has no place" in refusal(tmp_path, dumps(value, protocol))
    assert not marker.exists()


def test_calls_hidden_in_calls(tmp_path):
    marker = tmp_path / "executed"
    touch = Call(os.system, f"touch {marker}")

    def hidden(value):
        return torch_pickle({"G_ema": value})

    layer = torch_network("Generator", {"mapping.w_avg": np.zeros(3, "f4")})
    layer.state["_parameters"]["weight"] = touch
    assert "posix.system" in refusal(tmp_path, hidden(layer))
    network = Network("G", {"lod": touch})
    assert "posix.system" in refusal(tmp_path, dumps((network,) * 3))
    # In the inner file.
    tensor = Tensor(np.zeros(3, "f4"))
    tensor.storage = Call(_load_from_bytes, torch_file({"x": touch}))
    layer = torch_network("Generator", {"mapping.w_avg": np.zeros(3, "f4")})
    layer.state["_modules"]["mapping"].state["_buffers"]["w_avg"] = tensor
    assert "posix.system" in refusal(tmp_path, hidden(layer))
    # A call of what a call returned, of a text, and of a class by its instance.
    for program in (
        b"cbuiltins\nset\n)R)R.",
        b"\x8c\x02os)R.",
        b"cbuiltins\nset\n)\x81)\x81.",
        b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n)R)R.",
    ):
        assert "calls something that is not a name" in refusal(tmp_path, b"\x80\x04" + program)
    assert not marker.exists()


@pytest.mark.parametrize(
    "program, word",
    [
        (b"(S'touch x'\nios\nsystem\n.", "INST"),
        (b"(cos\nsystem\nS'x'\no.", "os.system"),  # OBJ
        (b"cos\nsystem\n\x85\x81.", "os.system"),  # NEWOBJ
        (b"\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x8c\x02os\x8c\x06system\x93}\x92.", "os.system"),
        (b"c__main__\n__dict__\n.", "__main__.__dict__"),
        (b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", "__globals__"),
        (b"cnumpy\nndarray.__class__\n.", "__class__"),
        (b"\x82\x01.", "EXT1"),
        (b"P12\n.", "PERSID"),
        (b"\x97.", "NEXT_BUFFER"),
    ],
)
def test_instructions_that_have_no_place(program, word, tmp_path):
    assert word in refusal(tmp_path, b"\x80\x04" + program)


@pytest.mark.parametrize(
    "state", [{"__class__": 1}, {"__setstate__": os.system}, {"__dict__": {}}, ({"a": 1}, {"b": 2})]
)
def test_state_fills_nothing_but_a_record(state, tmp_path):
    """Attributes that Python itself would use are only entries of an inert state here."""
    marker = tmp_path / "executed"
    trick = Call(Network, state=state)
    message = refusal(tmp_path, dumps((trick, trick, trick)))
    assert "posix.system" in message or "damaged" in message
    assert not marker.exists()
    program = b"\x80\x04ccollections\nOrderedDict\n)R}\x8c\x05items\x8c\x01xsb."
    value, _ = pickles.read(io.BytesIO(program), set())
    assert value == {} and callable(value.items)


def test_bombs(tmp_path):
    memo = b"\x80\x04" + b"Nr" + struct.pack("<I", 2**31 - 1) + b"."  # a slot far away
    assert "neither" in refusal(tmp_path, memo)
    long = b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x."  # a text of a terabyte
    assert "damaged" in refusal(tmp_path, long)
    array = b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x."  # a byte array of a terabyte
    assert "damaged" in refusal(tmp_path, array)
    # Lists that hold lists that hold lists ... ten of each: 10^30 items, written in a few bytes.
    laughs = b"\x80\x04]\x94" + b"".join(
        b"](" + b"h" + bytes([i]) + (b"h" + bytes([i])) * 9 + b"e\x94" for i in range(30)
    )
    assert "neither" in refusal(tmp_path, laughs + b".")
    # The same text turned into bytes again and again.
    text = b"\x80\x02X" + struct.pack("<I", 10**6) + b"x" * 10**6
    text += b"q\x00X\x06\x00\x00\x00latin1q\x01"
    again = b"c_codecs\nencode\nh\x00h\x01\x86R"
    assert "more memory" in refusal(tmp_path, text + again * 1000 + b".")
    pairs = dumps([["a", 1]] * 10**5, 2)[:-1] + b"q\xff"
    again = b"ccollections\nOrderedDict\nh\xff\x85R"
    assert "more memory" in refusal(tmp_path, pairs + again * 100 + b".")
    # Very many instructions.
    with pytest.raises(BadInput, match="more than 500,000 instructions"):
        pickles.read(io.BytesIO(b"\x80\x04N" + b"q\x00" * 500_000 + b"."), set())
    # Very deep: tuples in tuples, calls of calls.
    deep = b"\x80\x04N" + b"\x85" * 40_000
    value, _ = pickles.read(io.BytesIO(deep + b"."), set())
    assert isinstance(value, tuple)
    calls = b"\x80\x04" + b"cnumpy\ndtype\n" * 40_000 + b")" + b"R\x85" * 40_000 + b"."
    value, _ = pickles.read(io.BytesIO(calls), set())
    assert value[0].name == "numpy.dtype"
    with pytest.raises(BadInput, match="keys are neither"):
        pickles.read(io.BytesIO(b"\x80\x04}" + deep[2:] + b"Ns."), set())


def laughs(kind):
    """Thirty lists (or tuples) one in the other, each holding the next ten times."""
    value = kind([1])
    for _ in range(30):
        value = kind([value] * 10)
    return value


@pytest.mark.parametrize("kind", [list, tuple])
def test_settings_that_never_end(kind, tmp_path):
    """Only short strings and numbers are compared, hashed or printed."""
    weights, endless = small_weights()[0], laughs(kind)
    for layer, word in (
        ("synthesis.b8.conv0", "conv_clamp"),
        ("synthesis.b8.conv0", "activation"),
        ("mapping.fc0", "bias_gain"),
        ("mapping", "w_avg_beta"),
    ):
        network = torch_network("Generator", weights)
        found = network
        for part in layer.split("."):
            found = found.state["_modules"][part]
        found.state[word] = endless
        assert "it has a setting" in refusal(tmp_path, torch_pickle({"G_ema": network}))
    for word in ("nonlinearity", "conv_clamp", "dlatent_avg_beta", "mapping_lrmul", "use_noise"):
        network = tensorflow_generator(weights, **{word: endless})
        assert "it has a setting" in refusal(tmp_path, dumps((network,) * 3))
    network = Network("G", {})
    network.state["variables"] = [(endless, 1)]
    assert "keys are neither" in refusal(tmp_path, dumps((network,) * 3))
    pieces = dumps(endless)[:-1], b"\x8c\x01x\x93."  # as the name of a module
    assert "whose name is not a string" in refusal(tmp_path, b"".join(pieces))
    for place in (1, 2, 4):  # type, key and length of a storage
        reference = ["storage", "torch.FloatStorage", "0", "cpu", 1]
        reference[place] = endless
        data = b"".join(pickle.dumps(x, 2) for x in (MAGIC_NUMBER, 1001, {"little_endian": True}))
        data += pickle.dumps(tuple(reference), 2)[:-1] + b"Q." + pickle.dumps(["0"], 2) + bytes(12)
        tensor = Tensor(np.zeros(1, "f4"))
        tensor.storage = Call(_load_from_bytes, data)
        network = torch_network("Generator", weights | {"mapping.w_avg": np.zeros(1)})
        network.state["_modules"]["mapping"].state["_buffers"]["w_avg"] = tensor
        message = refusal(tmp_path, torch_pickle({"G_ema": network}))
        assert "storage of an unknown form" in message or "instructions" in message


@pytest.mark.parametrize(
    "name", ["synthesis/noise" + "9" * 90, "1" * 10**6, "9" * 40 + "x" + "9" * 40 + "/Conv1/bias"]
)
def test_names_that_lie(name, tmp_path):
    generator, average = (tensorflow_generator(weights_of()[0]) for _ in range(2))
    generator.state["variables"].append((name, np.zeros(3, "f4")))
    discriminator = tensorflow_discriminator(weights_of()[1])
    message = refusal(tmp_path, dumps((generator, discriminator, average)))
    assert any(word in message for word in ("architecture does not have", "long names", "keys"))


def test_layers_that_hold_each_other(tmp_path):
    layer = Layer("Generator")
    for _ in range(30):
        outer = Layer("Generator")
        outer.state["_modules"] = {"a": layer, "b": layer}
        layer = outer
    assert "not a tree of layers" in refusal(tmp_path, torch_pickle({"G_ema": layer}))
    shared = {f"p{i}": None for i in range(1000)}
    outer = Layer("Generator")
    outer.state["_modules"] = {f"m{i}": Layer("Layer") for i in range(100)}
    for layer in outer.state["_modules"].values():
        layer.state["_parameters"] = shared
    assert "not a tree of layers" in refusal(tmp_path, torch_pickle({"G_ema": outer}))
    deep = Layer("Generator")
    for _ in range(60):
        outer = Layer("Generator")
        outer.state["_modules"] = {"a": deep}
        deep = outer
    assert "not a tree of layers" in refusal(tmp_path, torch_pickle({"G_ema": deep}))
    outer.state["_modules"]["a"] = outer
    assert "no place" in refusal(tmp_path, torch_pickle({"G_ema": outer}))


def test_shapes_that_lie(tmp_path):
    weights = weights_of()[0]

    for size, stride, offset in (
        ((10**6, 10**6), (0, 0), 0),
        ((2,), (10**9,), 0),
        ((4,), (1,), 1),
        ((-1,), (1,), 0),
        ((4,), (-1,), 3),
        ((2, 2), (1,), 0),
        ((1.5,), (1,), 0),
    ):
        network = torch_network("Generator", weights)
        tensor = Tensor(np.zeros(4, "f4"))
        tensor.size, tensor.stride, tensor.offset = size, stride, offset
        network.state["_modules"]["mapping"].state["_buffers"]["w_avg"] = tensor
        message = refusal(tmp_path, torch_pickle({"G_ema": network}))
        assert any(word in message for word in ("impossible sizes", "its storage", "of strides"))

    for shape in ((10**6, 10**6), (-1,), (2**62, 0)):
        dtype = pickles.Record("numpy.dtype", ("f4", False, True), (3, "<", None, None, None, -1))
        record = pickles.Record("numpy._core.numeric._frombuffer", (b"1234", dtype, shape, "C"))
        with pytest.raises((BadInput, ValueError)):
            pickles.to_array(record)
    for text in ("O", "V8", "(1000000,1000000)f4", "f4,f4", "U9", "f16"):
        with pytest.raises(BadInput, match="not plain numbers"):
            pickles.to_dtype(text)

    # One storage for all, each layer as large as the file: the model would be far larger.
    shared = Storage(np.zeros(9 * 512 * 512, "f4"))
    huge = {f"synthesis.b{4 * 2**k}.conv1.weight": np.zeros([1, 1, 3, 3], "f4") for k in range(8)}
    network = torch_network("Generator", weights | huge)
    for k in range(8):
        layer = network.state["_modules"]["synthesis"].state["_modules"][f"b{4 * 2**k}"]
        layer = layer.state["_modules"]["conv1"]
        kernel = Parameter(np.zeros([1], "f4"))
        kernel.data.storage, kernel.data.size = shared, (512, 512, 3, 3)
        kernel.data.stride = (4608, 9, 3, 1)
        layer.state["_parameters"]["weight"] = kernel
    message = refusal(tmp_path, torch_pickle({"G_ema": network}))
    assert "together larger than the file" in message
    # A width that one long vector claims.
    wide = weights | {"mapping.w_avg": np.zeros(100_000, "f4")}
    message = refusal(tmp_path, torch_pickle({"G_ema": torch_network("Generator", wide)}))
    assert "shapes contradict" in message


@pytest.fixture(scope="module")
def good_files():
    """Small files in the form of PyTorch and in that of TensorFlow."""
    g, average, d = small_weights()
    network = torch_network("Generator", g)
    networks = (tensorflow_generator(g), tensorflow_discriminator(d), tensorflow_generator(average))
    return [
        torch_pickle({"G_ema": network}, 2),
        torch_pickle({"G_ema": network, "D": torch_network("Discriminator", d)}, 4),
        dumps(networks, 3),
    ]


def read(data):
    """All that happens before a model is made."""
    with pickles.refusals("a file"):
        family, networks = loading.read(data)
        networks.setdefault("G", networks.get("G_ema"))
        networks.setdefault("G_ema", networks["G"])
        return family.settings_of(networks)[0]


def test_truncated_files(good_files, tmp_path):
    for data in good_files:
        for part in (0, 1, 2, 100, len(data) // 2, len(data) - 1):
            assert "damaged" in refusal(tmp_path, data[:part])


@pytest.mark.filterwarnings("ignore:invalid escape")  # the standard library warns about its input
def test_mutated_files(good_files):
    """Each of 200 random changes is harmless or refused in the one way."""
    assert all(read(data)["image_shape"] == (8, 8, 3) for data in good_files)
    places = [[at for _, _, at in pickletools.genops(data)] for data in good_files]
    chance = random.Random(0)
    refused, slowest = 0, 0.0
    for i in range(200):
        kind = i % len(good_files)
        data = bytearray(good_files[kind])
        for _ in range(chance.choice([1, 1, 4, 64])):
            at = chance.randrange(len(data))
            if chance.random() < 0.5:  # an instruction rather than a number of an array
                at = min(chance.choice(places[kind]) + chance.randrange(3), len(data) - 1)
            change = chance.choice(["flip", "insert", "delete", "copy"])
            if change == "flip":
                data[at] = chance.randrange(256)
            elif change == "insert":
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            elif change == "delete":
                del data[at : at + chance.randrange(1, 9)]
            else:
                data[at : at + 8] = data[at // 2 : at // 2 + 8]
        begun = time.monotonic()
        try:
            read(bytes(data))
        except BadInput as error:
            refused += 1
            assert str(error).startswith("a file is ")
        slowest = max(slowest, time.monotonic() - begun)
    assert 50 < refused < 200
    assert slowest < 5.0
