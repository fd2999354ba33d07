"""Writes files of the official structure, byte for byte as the official programs would.

`pickle` writes the name of a class beside each object. So here are classes and functions with the
official names, put into modules of the official names for as long as a file is written; none of
the official packages is needed. They do nothing: they exist to be named.
"""

import contextlib
import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

MODULES = (
    "dnnlib dnnlib.util dnnlib.tflib dnnlib.tflib.network tfutil torch torch._utils "
    "torch.storage torch_utils torch_utils.persistence"
).split()
NAMED = []


def named(module):
    """Says in which module an object stands for `pickle`."""

    def put(thing):
        thing.__module__ = module
        NAMED.append(thing)
        return thing

    return put


@contextlib.contextmanager
def official_modules():
    """Modules of these names, holding what is named here."""
    put = {name: types.ModuleType(name) for name in MODULES}
    for thing in NAMED:
        setattr(put[thing.__module__], thing.__name__, thing)
    before = {name: sys.modules[name] for name in MODULES if name in sys.modules}
    sys.modules.update(put)
    try:
        yield
    finally:
        for name in MODULES:
            del sys.modules[name]
        sys.modules.update(before)


def dumps(value, protocol=4):
    with official_modules():
        return pickle.dumps(value, protocol)


@named("dnnlib.util")
class EasyDict(dict):
    pass


# Tensors.


@named("torch._utils")
def _rebuild_tensor_v2():
    pass


@named("torch._utils")
def _rebuild_parameter():
    pass


@named("torch.storage")
def _load_from_bytes():
    pass


@named("torch")
class FloatStorage:
    pass


@named("torch")
class HalfStorage:
    pass


@named("torch")
class LongStorage:
    pass


KINDS = {"float32": FloatStorage, "float16": HalfStorage, "int64": LongStorage}


class Storage:
    """A run of numbers. A plain pickle holds it as a small file of PyTorch's old format."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __reduce__(self):
        return _load_from_bytes, (torch_file(self),)


class Tensor:
    """Strides over a storage; with `channels_last` those of [N, H, W, C] in memory."""

    def __init__(self, array, channels_last=False, storage=None, offset=0):
        array = np.asarray(array)
        memory = array.transpose(0, 2, 3, 1) if channels_last else array
        memory = np.array(memory, order="C")
        array = memory.transpose(0, 3, 1, 2) if channels_last else memory
        self.size = array.shape
        self.stride = tuple(step // array.itemsize for step in array.strides)
        self.storage, self.offset = storage or Storage(memory.reshape(-1)), offset

    def __reduce__(self):
        hooks = OrderedDict()
        return _rebuild_tensor_v2, (
            self.storage, self.offset, self.size, self.stride, False, hooks,
        )  # fmt: skip


class Parameter:
    def __init__(self, array, **options):
        self.data = Tensor(array, **options)

    def __reduce__(self):
        return _rebuild_parameter, (self.data, True, OrderedDict())


class TorchPickler(pickle.Pickler):
    """Writes storages as references: ("storage", type, key, place, length)."""

    def __init__(self, file, old):
        super().__init__(file, 2)
        self.storages, self.old = [], old

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        if value not in self.storages:
            self.storages.append(value)
        key, numbers = str(self.storages.index(value)), value.numbers
        reference = ("storage", KINDS[numbers.dtype.name], key, "cpu", len(numbers))
        return (*reference, None) if self.old else reference


def torch_file(value, old=True):
    """What `torch.save` writes: the format before version 1.6, or the zip archive since."""
    out, stream = io.BytesIO(), io.BytesIO()
    with official_modules():
        pickler = TorchPickler(stream, old)
        pickler.dump(value)
    numbers = {str(i): storage.numbers for i, storage in enumerate(pickler.storages)}
    if old:
        sizes = {"short": 2, "int": 4, "long": 4}
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
        for head in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(head, out, 2)
        out.write(stream.getvalue())
        pickle.dump(sorted(numbers), out, 2)
        for key in sorted(numbers):
            out.write(np.int64(len(numbers[key])).tobytes() + numbers[key].tobytes())
        return out.getvalue()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", "little")
        for key, value in numbers.items():
            archive.writestr(f"archive/data/{key}", value.tobytes())
        archive.writestr("archive/version", "3\n")
    return out.getvalue()


# Networks as stylegan2-ada-pytorch and stylegan3 pickle them.

SOURCE = "raise SystemExit('the source text of a file was run')"


@named("torch_utils.persistence")
def _reconstruct_persistent_obj():
    pass


class Layer:
    """A persistent class of theirs: its state, with the source text of its module."""

    def __init__(self, class_name):
        self.class_name = class_name
        self.state = {
            "training": False,
            "_parameters": OrderedDict(),
            "_buffers": OrderedDict(),
            "_non_persistent_buffers_set": set(),
            "_forward_hooks": OrderedDict(),
            "_modules": OrderedDict(),
            "_init_args": (),
            "_init_kwargs": EasyDict(),
        }

    def __reduce__(self):
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": self.class_name}
        return _reconstruct_persistent_obj, (meta | {"state": self.state},), None


ACTIVE = ("conv", "conv0", "conv1", "fc", "fromrgb")


def torch_network(class_name, arrays, clamp=None, group=4, features=1):
    """Arrays under their official names as a tree of layers.

    Args:
        arrays: "synthesis.b4.conv1.affine.weight" -> array, ...
        clamp: Of all activations.
        group, features: Of the minibatch standard deviation of a discriminator.
    """
    top = Layer(class_name)
    for i, (name, array) in enumerate(arrays.items()):
        *path, last = name.split(".")
        layer = top
        for word in path:
            layer = layer.state["_modules"].setdefault(word, Layer(word))
        if last in ("noise_const", "w_avg", "resample_filter"):
            layer.state["_buffers"][last] = Tensor(array)
            continue
        options = {"channels_last": np.ndim(array) == 4 and i % 2 == 0}
        layer.state["_parameters"][last] = Parameter(array, **options)
        word, state = path[-1], layer.state
        if word.startswith("fc") or word in (*ACTIVE, "affine", "embed", "out", "skip"):
            active = word.startswith("fc") or word in ACTIVE
            state["activation"] = "lrelu" if active else "linear"
            state["weight_gain"] = np.float64(0.5)
        if path[0] == "mapping":
            state["bias_gain"] = 0.01 if word.startswith("fc") else 1
        if word in ("conv", "conv0", "conv1", "torgb", "fromrgb"):
            state["conv_clamp"] = clamp
        elif word == "skip":
            state["conv_clamp"] = None
    modules = top.state["_modules"]
    if class_name == "Generator":
        modules["mapping"].state["w_avg_beta"] = 0.998
    elif features:
        stddev = modules["b4"].state["_modules"]["mbstd"] = Layer("MinibatchStdLayer")
        stddev.state |= {"group_size": group, "num_channels": features}
    else:
        modules["b4"].state["mbstd"] = None
    return top


def torch_pickle(networks, protocol=4):
    """The bytes of a file with "G", "D", "G_ema" (not all needed)."""
    others = {"training_set_kwargs": EasyDict(path="x.zip", resolution=32), "augment_pipe": None}
    return dumps(networks | others, protocol)


# Networks as the programs in TensorFlow pickle them.


@named("dnnlib.tflib.network")
class Network:
    def __init__(self, name, variables, version=5, components=None, **static_kwargs):
        self.state = {
            "version": version,
            "name": name,
            "static_kwargs": static_kwargs,
            "components": components or {},
            "build_module_src": SOURCE,
            "build_func_name": f"{name}_main",
            "variables": list(variables.items()),
        }

    def __getstate__(self):
        return self.state


TfutilNetwork = named("tfutil")(type("Network", (Network,), {}))


def correlation(w, up=False):
    """[out, in, h, w] -> [h, w, in, out]; TensorFlow's up-sampling kernels are not turned."""
    w = np.asarray(w).transpose(2, 3, 1, 0)
    return w[::-1, ::-1] if up else w


def tensorflow_generator(a, version=5, grown=False, **static_kwargs):
    """Arrays of PyTorch's names and layouts as a pickled network of TensorFlow.

    Args:
        grown: Name the last ToRGB as those of a network that grew, and add one of a smaller image.
    """
    mapping, synthesis = {}, {}
    if "mapping.embed.weight" in a:
        mapping["LabelEmbed/weight"] = a["mapping.embed.weight"].T
        mapping["LabelEmbed/bias"] = a["mapping.embed.bias"]
    for i in range(sum(name.startswith("mapping.fc") for name in a) // 2):
        mapping[f"Dense{i}/weight"] = a[f"mapping.fc{i}.weight"].T
        mapping[f"Dense{i}/bias"] = a[f"mapping.fc{i}.bias"]
    synthesis["4x4/Const/const"] = a["synthesis.b4.const"][None]
    sides = [s for s in (4, 8, 16, 32) if f"synthesis.b{s}.conv1.weight" in a]
    index = 0
    for side in sides:
        layers = {"conv0": "Conv0_up", "conv1": "Conv1" if side > 4 else "Conv", "torgb": "ToRGB"}
        for word, scope in layers.items():
            at, to = f"synthesis.b{side}.{word}.", f"{side}x{side}/{scope}/"
            if grown and word == "torgb":
                to = f"ToRGB_lod{sides[::-1].index(side)}/"
            if at + "weight" not in a:
                continue
            synthesis[to + "weight"] = correlation(a[at + "weight"], up=word == "conv0")
            synthesis[to + "bias"] = a[at + "bias"]
            synthesis[to + "mod_weight"] = a[at + "affine.weight"].T
            synthesis[to + "mod_bias"] = a[at + "affine.bias"] - 1
            if word != "torgb":
                synthesis[to + "noise_strength"] = np.float32(a[at + "noise_strength"])
                synthesis[f"noise{index}"] = a[at + "noise_const"][None, None]
                index += 1
        if f"synthesis.b{side}.skip.weight" in a:
            skip = correlation(a[f"synthesis.b{side}.skip.weight"], up=True)
            synthesis[f"{side}x{side}/Skip/weight"] = skip
    own = {"dlatent_avg": a["mapping.w_avg"]}
    if version < 5:
        own["lod"] = np.float32(0)
    if grown:
        last = {name: synthesis[name] for name in synthesis if name.startswith("ToRGB_lod0/")}
        synthesis |= {name.replace("lod0", "lod1"): value for name, value in last.items()}
        synthesis["lod"] = np.float32(0)
    components = {
        "mapping": Network("G_mapping", mapping, version),
        "synthesis": Network("G_synthesis", synthesis, version),
    }
    return Network("G", own, version, components, **static_kwargs)


def tensorflow_discriminator(a, version=5, grown=False, **static_kwargs):
    """As `tensorflow_generator`."""
    variables = {}
    if "mapping.embed.weight" in a:
        variables["LabelEmbed/weight"] = a["mapping.embed.weight"].T
        variables["LabelEmbed/bias"] = a["mapping.embed.bias"]
        for i in range(sum(name.startswith("mapping.fc") for name in a) // 2):
            variables[f"Mapping{i}/weight"] = a[f"mapping.fc{i}.weight"].T
            variables[f"Mapping{i}/bias"] = a[f"mapping.fc{i}.bias"]
    for side in (32, 16, 8, 4):
        layers = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip",
                  "conv": "Conv"}  # fmt: skip
        for word, scope in layers.items():
            for part in ("weight", "bias"):
                value = a.get(f"b{side}.{word}.{part}")
                scope_of = f"{side}x{side}/{scope}"
                if grown and word == "fromrgb":
                    scope_of = "FromRGB_lod0"
                if value is not None:
                    value = correlation(value) if value.ndim == 4 else value
                    variables[f"{scope_of}/{part}"] = value
    for word, scope in (("fc", "4x4/Dense0"), ("out", "Output")):
        variables[f"{scope}/weight"] = a[f"b4.{word}.weight"].T
        variables[f"{scope}/bias"] = a[f"b4.{word}.bias"]
    return Network("D", variables, version, **static_kwargs)
