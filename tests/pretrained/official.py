"""Networks in the structure of the official files, which `torch_files.py` pickles."""

from collections import OrderedDict

import numpy as np
from torch_files import Parameter, Tensor, dumps, named


@named("dnnlib.util")
class EasyDict(dict):
    pass


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
        clamp: Bound of all activations.
        group, features: Settings of the minibatch standard deviation of a discriminator.
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
    """The discriminator's counterpart of `tensorflow_generator`."""
    variables = {}
    if "mapping.embed.weight" in a:
        variables["LabelEmbed/weight"] = a["mapping.embed.weight"].T
        variables["LabelEmbed/bias"] = a["mapping.embed.bias"]
        for i in range(sum(name.startswith("mapping.fc") for name in a) // 2):
            variables[f"Mapping{i}/weight"] = a[f"mapping.fc{i}.weight"].T
            variables[f"Mapping{i}/bias"] = a[f"mapping.fc{i}.bias"]
    for side in (32, 16, 8, 4):
        layers = {
            "fromrgb": "FromRGB",
            "conv0": "Conv0",
            "conv1": "Conv1_down",
            "skip": "Skip",
            "conv": "Conv",
        }
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
