"""Files of DeOldify's form against its networks, written here as its modules run them.

No published file was at hand. The state dicts have the names that the repository's modules give,
random weights, and vectors of many power iterations, as a long training leaves them. The forward
pass below is that of the modules in PyTorch, on maps [N, C, H, W], without any layer of tfgans.
"""

import numpy as np
import pytest
import tensorflow as tf
from cases import error
from torch_files import Tensor, torch_file, write_state_dict

from tfgans import pretrained
from tfgans.errors import BadInput

WIDTH, BLOCKS = 4, (2, 1, 1, 1)


class State(dict):
    """The arrays of a generator by their official names."""

    def __init__(self, deep):
        super().__init__()
        self.rng, self.deep = np.random.RandomState(0), deep
        self.conv("layers.0.0", 3, WIDTH, 7)
        self.norm("layers.0.1", WIDTH)
        old, skips = WIDTH, [WIDTH]
        for k, count in enumerate(BLOCKS):
            for i in range(count):
                old = self.block(f"layers.0.{4 + k}.{i}", old, WIDTH * 2**k, k and not i)
            skips.append(old)
        self.norm("layers.1", old)
        self.unit("layers.3.0", old, 2 * old)
        self.unit("layers.3.1", 2 * old, old)
        for step, skip in enumerate(skips[-2::-1]):
            old = self.step(f"layers.{4 + step}", step, old, skip)
        v = self.rng.randn(4 * old, old, 1, 1)
        self.put("layers.8.conv.0.weight_v", v)
        self.put("layers.8.conv.0.weight_g", 1 + self.rng.rand(4 * old, 1, 1, 1))
        self.put("layers.8.conv.0.bias", 0.1 * self.rng.randn(4 * old))
        for name in ("layers.10.layers.0.0", "layers.10.layers.1.0"):
            self.spectral(name, old + 3, old + 3, 3, bias=True)
        self.spectral("layers.11.0", old + 3, 3, 1, bias=True)

    def put(self, name, array):
        self[name] = np.asarray(array, "float32")

    def conv(self, name, old, new, size):
        self.put(f"{name}.weight", self.rng.randn(new, old, size, size) / (old * size**2) ** 0.5)

    def norm(self, name, channels):
        self.put(f"{name}.weight", 1 + 0.3 * self.rng.randn(channels))
        self.put(f"{name}.bias", 0.3 * self.rng.randn(channels))
        self.put(f"{name}.running_mean", 0.3 * self.rng.randn(channels))
        self.put(f"{name}.running_var", 0.5 + self.rng.rand(channels))
        self[f"{name}.num_batches_tracked"] = np.asarray(7, "int64")

    def spectral(self, name, old, new, size, bias=False, axes=2):
        w = self.rng.randn(new, old, *[size] * axes)
        matrix = w.reshape(new, -1)
        u, _, v = np.linalg.svd(matrix, full_matrices=False)
        self.put(f"{name}.weight_orig", w)
        self.put(f"{name}.weight_u", u[:, 0])
        self.put(f"{name}.weight_v", v[0])
        if bias:
            self.put(f"{name}.bias", 0.3 * self.rng.randn(new))

    def unit(self, name, old, new):
        self.spectral(f"{name}.0", old, new, 3)
        self.norm(f"{name}.2", new)

    def block(self, name, old, width, halves):
        if self.deep:
            sizes = [(old, width, 3), (width, width, 3)]
        else:
            sizes = [(old, width, 1), (width, width, 3), (width, 4 * width, 1)]
        for n, size in enumerate(sizes, start=1):
            self.conv(f"{name}.conv{n}", *size)
            self.norm(f"{name}.bn{n}", size[1])
        new = sizes[-1][1]
        if halves or old != new:
            self.conv(f"{name}.downsample.0", old, new, 1)
            self.norm(f"{name}.downsample.1", new)
        return new

    def step(self, name, step, old, skip):
        last = step == 3
        up = old // 2 if self.deep else 8 * WIDTH // (1 + last)
        joined = up + skip
        self.spectral(f"{name}.shuf.conv.0", old, 4 * up, 1)
        self.norm(f"{name}.shuf.conv.1", 4 * up)
        self.norm(f"{name}.bn", skip)
        if self.deep:
            new = int((joined // 2 if last else joined) * 1.5)
            self.unit(f"{name}.conv1", joined, new)
            self.unit(f"{name}.conv2", new, new)
        else:
            new = up
            self.unit(f"{name}.conv", joined, new)
        if step == 1:
            place = f"{name}.{'conv2' if self.deep else 'conv'}.3"
            for word, channels in (("query", new // 8), ("key", new // 8), ("value", new)):
                self.spectral(f"{place}.{word}", new, channels, 1, axes=1)
            self.put(f"{place}.gamma", [0.7])
        return new


def official(s, image):
    """The generator's answer to a normalized image [N, 3, H, W], in evaluation mode."""

    def conv(x, w, pad, stride=1):
        x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)]).transpose(0, 2, 3, 1)
        y = tf.nn.conv2d(x, w.transpose(2, 3, 1, 0), stride, "VALID")
        return y.numpy().transpose(0, 3, 1, 2)

    def norm(name, x):
        weight, bias, mean, variance = (
            s[f"{name}.{word}"][:, None, None]
            for word in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def divided(name):
        w, u, v = (s[f"{name}.weight_{word}"] for word in ("orig", "u", "v"))
        return w / (u @ w.reshape(len(w), -1) @ v)

    def spectral(name, x):
        w = divided(name)
        y = conv(x, w, w.shape[2] // 2)
        return y + s[f"{name}.bias"][:, None, None] if f"{name}.bias" in s else y

    def relu(x):
        return np.maximum(x, 0)

    def unit(name, x):
        return norm(f"{name}.2", relu(spectral(f"{name}.0", x)))

    def shuffled(x):
        n, c, h, w = x.shape
        x = x.reshape(n, c // 4, 2, 2, h, w).transpose(0, 1, 4, 2, 5, 3)
        return x.reshape(n, c // 4, 2 * h, 2 * w)

    def blurred(x):
        x = np.pad(x, [(0, 0), (0, 0), (1, 0), (1, 0)], "edge")
        return (x[..., 1:, 1:] + x[..., :-1, 1:] + x[..., 1:, :-1] + x[..., :-1, :-1]) / 4

    def attended(name, x):
        flat = x.reshape(*x.shape[:2], -1)
        f, g, h = (divided(f"{name}.{word}")[..., 0] @ flat for word in ("query", "key", "value"))
        beta = np.exp(f.transpose(0, 2, 1) @ g)
        beta /= beta.sum(axis=1, keepdims=True)
        return (s[f"{name}.gamma"] * (h @ beta) + flat).reshape(x.shape)

    def block(name, x, stride):
        y = x
        last = 2 if s.deep else 3
        for n in range(1, last + 1):
            w = s[f"{name}.conv{n}.weight"]
            step = stride if n == last - 1 else 1  # torchvision: in the 3x3 of a bottleneck
            y = norm(f"{name}.bn{n}", conv(y, w, w.shape[2] // 2, step))
            y = relu(y) if n < last else y
        if f"{name}.downsample.0.weight" in s:
            x = conv(x, s[f"{name}.downsample.0.weight"], 0, stride)
            x = norm(f"{name}.downsample.1", x)
        return relu(x + y)

    x = relu(norm("layers.0.1", conv(image, s["layers.0.0.weight"], 3, 2)))
    skips = [x]
    wide = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(2, 3))
    x = windows[:, :, ::2, ::2].max(axis=(4, 5))
    for k, count in enumerate(BLOCKS):
        for i in range(count):
            x = block(f"layers.0.{4 + k}.{i}", x, 2 if k and not i else 1)
        skips.append(x)
    x = relu(norm("layers.1", x))
    x = unit("layers.3.1", unit("layers.3.0", x))
    for step, skip in enumerate(skips[-2::-1]):
        name = f"layers.{4 + step}"
        x = relu(norm(f"{name}.shuf.conv.1", spectral(f"{name}.shuf.conv.0", x)))
        x = relu(np.concatenate([blurred(shuffled(x)), norm(f"{name}.bn", skip)], axis=1))
        words = ("conv1", "conv2") if s.deep else ("conv",)
        for word in words:
            x = unit(f"{name}.{word}", x)
        if step == 1:
            x = attended(f"{name}.{words[-1]}.3", x)
    v, g = s["layers.8.conv.0.weight_v"], s["layers.8.conv.0.weight_g"]
    w = g * v / np.sqrt((v**2).sum(axis=(1, 2, 3), keepdims=True))
    x = shuffled(relu(conv(x, w, 0) + s["layers.8.conv.0.bias"][:, None, None]))
    x = np.concatenate([x, image], axis=1)
    y = relu(spectral("layers.10.layers.0.0", x))
    x = x + relu(spectral("layers.10.layers.1.0", y))
    return 6 / (1 + np.exp(-spectral("layers.11.0", x))) - 3


def write(path, state):
    """A file as fastai's Learner.save writes it."""
    path.write_bytes(torch_file({"model": {k: Tensor(v) for k, v in state.items()}, "opt": {}}))


@pytest.mark.parametrize("deep", [True, False])
def test_a_file_gives_the_official_answers(deep, tmp_path, capsys):
    state = State(deep)
    write(tmp_path / "gen.pth", state)
    model = pretrained.load(tmp_path / "gen.pth", critic_width=4, image_shape=[64, 64, 3])
    said = capsys.readouterr().out
    preset = "artistic" if deep else "stable"
    assert f"preset='{preset}', damage='gray'" in said and "blocks=(2, 1, 1, 1)" in said
    assert "MIT License" in said and "It holds no critic" in said and "replaces" not in said
    x = np.random.RandomState(1).uniform(-1, 1, [2, 64, 96, 3]).astype("float32")
    own = ((x + 1) / 2 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    expected = official(state, own.transpose(0, 3, 1, 2).astype("float32"))
    assert expected.std() > 0.1
    assert error(model.answer(tf.constant(x)), expected.transpose(0, 2, 3, 1)) < 1e-4
    np.testing.assert_array_equal(model.restore(x), model.restore_alone(x))


@pytest.mark.thorough
@pytest.mark.parametrize("deep", [True, False])
def test_a_resnet_becomes_the_encoder(deep, tmp_path, capsys):
    """torchvision's file gives the encoder that DeOldify's file gives, and nothing else."""
    state = State(deep)
    write(tmp_path / "gen.pth", state)
    parts = {"0": "conv1", "1": "bn1"} | {str(k + 3): f"layer{k}" for k in range(1, 5)}
    arrays = {"fc.weight": np.zeros([10, 8], "f4"), "fc.bias": np.zeros(10, "f4")}
    for name, array in state.items():
        if name.startswith("layers.0."):
            _, _, place, rest = name.split(".", 3)
            arrays[f"{parts[place]}.{rest}"] = array
    assert {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.1.bias"} < arrays.keys()
    write_state_dict(tmp_path / "resnet.pth", arrays)
    changes = {"critic_width": 4, "image_shape": [64, 64, 3]}
    wanted, model = (
        pretrained.load(tmp_path / f"{name}.pth", **changes) for name in ("gen", "resnet")
    )
    assert "It holds no decoder and critic: they begin with random" in capsys.readouterr().out
    assert model.preset == wanted.preset
    for a, b in zip(model.encoder.weights, wanted.encoder.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    before = model.decoder.weights[0].numpy()
    assert not np.array_equal(before, wanted.decoder.weights[0])


def test_files_that_do_not_fit(tmp_path):
    state = State(deep=True)
    others = dict(state)
    del others["layers.5.conv2.3.gamma"]
    write(tmp_path / "lacks.pth", others)
    with pytest.raises(BadInput, match="lacks 'layers.5.conv2.3.gamma'"):
        pretrained.load(tmp_path / "lacks.pth", critic_width=4, image_shape=[64, 64, 3])
    write_state_dict(tmp_path / "other.pth", {"features.0.weight": np.zeros([3, 3], "f4")})
    with pytest.raises(BadInput, match="other.pth"):
        pretrained.load(tmp_path / "other.pth")
    others = dict(state) | {"layers.0.4.0.conv3.weight": np.zeros([4, 4, 1, 1], "f4")}
    write(tmp_path / "mixed.pth", others)
    with pytest.raises(BadInput, match="do not belong together"):
        pretrained.load(tmp_path / "mixed.pth")
