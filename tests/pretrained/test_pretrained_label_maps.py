"""Published generators of pix2pixHD and SPADE against their networks, written here in NumPy.

The files have the names and layouts of NVIDIA/pix2pixHD and NVlabs/SPADE, and random numbers;
vectors of spectral normalization are those of a long training.
"""

import math

import numpy as np
import pytest
import tensorflow as tf
from numpy_layers import conv, mirrored, nhwc, norm, relu, same, transposed, written
from torch_files import Tensor, torch_file

from tfgans import models, pretrained, random, storage
from tfgans.errors import BadInput
from tfgans.pretrained import gaugan, pix2pixhd

# Label maps.


def maps(rows, columns, labels, n=2, seed=5):
    """Random classes in blocks of 4x4 pixels, and objects in blocks of 8x8."""
    keys = np.random.RandomState(seed)

    def blocks(most, side):
        numbers = keys.randint(0, most, [n, rows // side, columns // side])
        return np.repeat(np.repeat(numbers, side, axis=1), side, axis=2).astype("int32")

    return blocks(labels, 4), blocks(1000, 8)


def one_hot(labels, channels, instances=None):
    """[N, channels, H, W], and a channel of the borders between objects."""
    found = np.eye(channels)[labels].transpose(0, 3, 1, 2)
    if instances is None:
        return found
    edges = np.zeros([len(labels), 1, *labels.shape[1:]])
    across, down = (np.diff(instances, axis=axis) != 0 for axis in (2, 1))
    for rows, columns, changes in (
        (slice(None), slice(1, None), across), (slice(None), slice(None, -1), across),
        (slice(1, None), slice(None), down), (slice(None, -1), slice(None), down),
    ):  # fmt: skip
        edges[:, 0, rows, columns] = np.maximum(edges[:, 0, rows, columns], changes)
    return np.concatenate([found, edges], axis=1)


class Arrays(dict):
    """Random arrays under official names, in the order in which a network is written down."""

    def __init__(self, seed=0):
        super().__init__()
        self.rng = np.random.RandomState(seed)

    def put(self, name, array):
        self[name] = np.asarray(array, "f4")

    def conv(self, name, *shape, bias=True, scale=1.0, outputs=None):
        fan = np.prod(shape[1:])
        self.put(f"{name}.weight", scale * self.rng.randn(*shape) * fan**-0.5)
        if bias:
            self.put(f"{name}.bias", 0.3 * self.rng.randn(outputs or shape[0]))

    def spectral(self, name, *shape, bias=True):
        w = self.rng.randn(*shape)
        u, _, v = np.linalg.svd(w.reshape(shape[0], -1), full_matrices=False)
        self.put(f"{name}.weight_orig", w)
        self.put(f"{name}.weight_u", u[:, 0])
        self.put(f"{name}.weight_v", v[0])
        if bias:
            self.put(f"{name}.bias", 0.3 * self.rng.randn(shape[0]))

    def statistics(self, name, channels):
        self.put(f"{name}.running_mean", 0.3 * self.rng.randn(channels))
        self.put(f"{name}.running_var", self.rng.uniform(0.3, 3, channels))
        self[f"{name}.num_batches_tracked"] = np.array(7, "i8")


# pix2pixHD.


def hd_arrays(local=True, width=4, seen=6, downs=3, blocks=2, local_blocks=3, old=False):
    """A state dict of --netG local, or global; `old` has the statistics of before PyTorch 0.4."""
    v = Arrays()

    def layer(place, k, *shape, out=None):
        v.conv(f"{place}.{k}", *shape, outputs=out)
        if old:
            v.statistics(f"{place}.{k + 1}", out or shape[0])

    def residuals(place, first, count, channels):
        for k in range(first, first + count):
            for i in (1, 5):
                layer(f"{place}.{k}.conv_block", i, channels, channels, 3, 3)

    layer("model", 1, width, seen, 7, 7)
    for i in range(downs):
        layer("model", 4 + 3 * i, width * 2 ** (i + 1), width * 2**i, 3, 3)
    at, wide = 4 + 3 * downs, width * 2**downs
    residuals("model", at, blocks, wide)
    for i in range(downs):
        layer("model", at + blocks + 3 * i, wide >> i, wide >> (i + 1), 3, 3, out=wide >> (i + 1))
    if not local:
        v.conv(f"model.{at + blocks + 3 * downs + 1}", 3, width, 7, 7)
        return v
    layer("model1_1", 1, width // 2, seen, 7, 7)
    layer("model1_1", 4, width, width // 2, 3, 3)
    residuals("model1_2", 0, local_blocks, width)
    layer("model1_2", local_blocks, width, width // 2, 3, 3, out=width // 2)
    v.conv(f"model1_2.{local_blocks + 4}", 3, width // 2, 7, 7)
    return v


def hd(v, x, local=True, downs=3, blocks=2, local_blocks=3):
    """The answer to semantics [N, C, H, W]."""

    def parts(name):
        return v[f"{name}.weight"], v[f"{name}.bias"]

    def first(name, x):
        return relu(norm(conv(mirrored(x, 3), *parts(name))))

    def half(name, x):
        return relu(norm(conv(x, *parts(name), stride=2, pad=1)))

    def twice(name, x):
        return relu(norm(transposed(x, *parts(name), pad=1, more=1)))

    def residual(name, x):
        y = relu(norm(conv(mirrored(x, 1), *parts(f"{name}.conv_block.1"))))
        return x + norm(conv(mirrored(y, 1), *parts(f"{name}.conv_block.5")))

    def last(name, x):
        return np.tanh(conv(mirrored(x, 3), *parts(name)))

    y = first("model.1", pooled(x) if local else x)
    at = 4
    for _ in range(downs):
        y, at = half(f"model.{at}", y), at + 3
    for _ in range(blocks):
        y, at = residual(f"model.{at}", y), at + 1
    for _ in range(downs):
        y, at = twice(f"model.{at}", y), at + 3
    if not local:
        return last(f"model.{at + 1}", y)
    y = half("model1_1.4", first("model1_1.1", x)) + y
    for k in range(local_blocks):
        y = residual(f"model1_2.{k}", y)
    return last(f"model1_2.{local_blocks + 4}", twice(f"model1_2.{local_blocks}", y))


def pooled(x):
    """Means of 3x3 pixels, every second one; what lies outside does not count."""
    x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    return np.nanmean(windows[:, :, ::2, ::2], axis=(4, 5))


SMALL = {"scales": 1, "halvings": 1, "perceptual_weight": 0.0}
HD = SMALL | {"image_shape": (64, 96, 3)}


def tensors(arrays, old=False):
    return torch_file({name: Tensor(array) for name, array in arrays.items()}, old=old)


@pytest.mark.parametrize("old", [True, False])
def test_a_generator_with_its_enhancer(old, tmp_path, capsys):
    arrays, path = hd_arrays(old=old), tmp_path / "latest_net_G.pth"
    path.write_bytes(tensors(arrays, old))
    model = pretrained.load(path, **HD)
    labels, objects = maps(64, 96, 5)
    ours = model.photograph(labels, objects).numpy()
    same(ours, nhwc(hd(arrays, one_hot(labels, 5, objects))))
    text = capsys.readouterr().out
    assert f"{path}: generator of pix2pixhd." in text
    for words in (
        "image_shape=(1024, 2048, 3), num_labels=5, unlabeled=False, instances=True, width=4",
        "blocks=2, downs=3, enhancer=True, enhancer_blocks=3, global_steps=0, enhancer_steps=0",
        "1024x2048 pixels are assumed", "5 classes and the borders", "must have 6 channels",
        "no discriminators, and no encoder", "under a BSD license", "stage 2",
    ):  # fmt: skip
        assert words in text


def test_a_generator_alone(tmp_path, capsys):
    """As it is; as one without borders; and at half the size of an enhancer that is to learn."""
    sizes = {"local": False, "downs": 4, "blocks": 1}
    arrays = hd_arrays(**sizes)
    path = written(tmp_path / "a.pth", arrays)
    settings = HD | {"image_shape": (64, 128, 3)}
    model = pretrained.load(path, **settings)
    assert "image_shape=(512, 1024, 3)" in capsys.readouterr().out
    labels, objects = maps(64, 128, 5)
    wanted = nhwc(hd(arrays, one_hot(labels, 5, objects), **sizes))
    same(model.photograph(labels, objects).numpy(), wanted)
    labels, _ = maps(64, 128, 6)
    model = pretrained.load(path, **settings, num_labels=6, instances=False)
    same(model.photograph(labels).numpy(), nhwc(hd(arrays, one_hot(labels, 6), **sizes)))
    settings["image_shape"] = (128, 256, 3)
    model = pretrained.load(path, **settings, enhancer=True, enhancer_blocks=1)
    big = [np.repeat(np.repeat(x, 2, axis=1), 2, axis=2) for x in (labels % 5, objects)]
    wanted = nhwc(hd(arrays, one_hot(labels % 5, 5, objects), **sizes))
    same(model.photograph(*big).numpy()[:, ::2, ::2], wanted)


@pytest.mark.thorough
def test_training_goes_on_with_the_last_stage(tmp_path):
    """Generator and enhancer move; the run's first snapshot draws as the model."""
    path = written(tmp_path / "a.pth", hd_arrays(downs=1, blocks=1, local_blocks=1))
    model = pretrained.load(path, **SMALL, image_shape=(16, 16, 3))
    labels, objects = maps(16, 16, 5, n=1)
    start = pretrained.begin_run(model, tmp_path / "run")
    again = storage.read(storage.snapshots(start.parent)[-1])
    before = model.photograph(labels, objects).numpy()
    np.testing.assert_array_equal(again.photograph(labels, objects), before)
    assert model.stage == 2 and model.mover == "joint"
    rates = {player: float(o.learning_rate) for player, o in model.optimizers.items()}
    assert rates["joint"] == rates["discriminators"] == pytest.approx(2e-4)
    assert np.isfinite([*rates.values()]).all()
    batch = {"map": labels, "instances": objects, "target": tf.zeros([1, 16, 16, 3])}
    with random.scope(0, 0):
        logs = model.train_step(batch)
    assert {name.split("/")[0] for name in logs} == {"discriminators", "joint"}
    assert all(np.isfinite(value) for value in logs.values())
    assert np.abs(model.photograph(labels, objects) - before).max() > 1e-4


# SPADE.


def spade_arrays(seen=36, width=2, hidden=4, most=False, z=0, cells=2, colors=3):
    """A state dict of SPADE's generator; with z it begins with a code."""
    v, wide = Arrays(), 16 * width
    label = (seen / 2) ** 0.5  # few channels of a label map are not 0
    if z:
        v.conv("fc", wide * cells, z)
    else:
        v.conv("fc", wide, seen, 3, 3, scale=label)
    widths = [wide, wide, wide, wide, wide // 2, wide // 4, wide // 8, width]
    widths += [width // 2] * most
    names = ["head_0", "G_middle_0", "G_middle_1", *(f"up_{k}" for k in range(4 + most))]

    def spade(name, channels):
        v.conv(f"{name}.mlp_shared.0", hidden, seen, 3, 3, scale=label)
        for word in ("gamma", "beta"):
            v.conv(f"{name}.mlp_{word}", channels, hidden, 3, 3, scale=0.5)
        v.statistics(f"{name}.param_free_norm", channels)

    for name, a, b in zip(names, widths[:-1], widths[1:], strict=True):
        v.spectral(f"{name}.conv_0", min(a, b), a, 3, 3)
        v.spectral(f"{name}.conv_1", b, min(a, b), 3, 3)
        spade(f"{name}.norm_0", a)
        spade(f"{name}.norm_1", min(a, b))
        if a != b:
            v.spectral(f"{name}.conv_s", b, a, 1, 1, bias=False)
            spade(f"{name}.norm_s", a)
    v.conv("conv_img", colors, widths[-1], 3, 3)
    return v


def official_spade(v, seg, upsampling, start, z=None):
    """The answer to semantics [N, C, H, W] in evaluation mode; `start` is the first grid."""

    def resized(rows, columns):
        """Nearest neighbors as PyTorch takes them."""
        rows, columns = (
            np.floor(np.arange(new) * (old / new)).astype(int)
            for new, old in zip((rows, columns), seg.shape[2:], strict=True)
        )
        return seg[:, :, rows][:, :, :, columns]

    def parts(name):
        return v[f"{name}.weight"], v[f"{name}.bias"]

    def spade(name, x):
        mean, variance = (
            v[f"{name}.param_free_norm.running_{word}"].astype("f8")[:, None, None]
            for word in ("mean", "var")
        )
        h = relu(conv(resized(*x.shape[2:]), *parts(f"{name}.mlp_shared.0"), pad=1))
        gamma, beta = (conv(h, *parts(f"{name}.mlp_{word}"), pad=1) for word in ("gamma", "beta"))
        return (x - mean) / np.sqrt(variance + 1e-5) * (1 + gamma) + beta

    def spectral(name, x):
        w, u, vector = (v[f"{name}.weight_{word}"].astype("f8") for word in ("orig", "u", "v"))
        w = w / (u @ w.reshape(len(w), -1) @ vector)
        return conv(x, w, v.get(f"{name}.bias", 0.0), pad=w.shape[2] // 2)

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    def block(name, x):
        y = spectral(f"{name}.conv_0", leaky(spade(f"{name}.norm_0", x)))
        y = spectral(f"{name}.conv_1", leaky(spade(f"{name}.norm_1", y)))
        if f"{name}.conv_s.weight_orig" in v:
            x = spectral(f"{name}.conv_s", spade(f"{name}.norm_s", x))
        return x + y

    def up(x):
        return x.repeat(2, axis=2).repeat(2, axis=3)

    if z is None:
        x = conv(resized(*start), *parts("fc"), pad=1)
    else:
        w, b = parts("fc")
        x = (z.astype("f8") @ w.T + b).reshape(len(z), -1, *start)
    x = block("G_middle_0", up(block("head_0", x)))
    x = block("G_middle_1", x if upsampling == "normal" else up(x))
    for k in range(5 if upsampling == "most" else 4):
        x = block(f"up_{k}", up(x))
    return np.tanh(conv(leaky(x), *parts("conv_img"), pad=1))


@pytest.mark.parametrize(
    "seen, upsampling, shape, words",
    [
        (36, "more", (64, 128, 3), "Cityscapes: 35 classes, unlabeled=False, instances=True"),
        pytest.param(
            *(151, "normal", (64, 96, 3)),
            "ADE20K: 150 classes, unlabeled=True, instances=False",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            *(184, "normal", (32, 64, 3)),
            "COCO-Stuff: 182 classes, unlabeled=True, instances=True",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            *(5, "most", (128, 128, 3)),
            "an unknown set with edges of objects: 4 classes",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_a_generator_of_spade(seen, upsampling, shape, words, tmp_path, capsys):
    arrays = spade_arrays(seen, most=upsampling == "most", width=4 if seen == 5 else 2)
    path = written(tmp_path / "latest_net_G.pth", arrays)
    model = pretrained.load(path, image_shape=shape, **SMALL)
    labels, objects = maps(*shape[:2], model.channels, n=1 if seen == 5 else 2)
    assert labels.max() > model.channels // 2
    given = [objects] if model.instances else []
    start = [side // {"normal": 32, "more": 64, "most": 128}[upsampling] for side in shape[:2]]
    wanted = official_spade(arrays, one_hot(labels, model.channels, *given), upsampling, start)
    same(model.photograph(labels, *given).numpy(), nhwc(wanted))
    text = capsys.readouterr().out
    assert f"{path}: generator of gaugan." in text and words in text
    assert f"image_shape=({256}, {512 if seen == 36 else 256}, 3)" in text
    assert f'upsampling="{upsampling}" are assumed' in text and f"must have {seen} chan" in text
    assert "CC BY-NC-SA 4.0" in text and "no discriminators; new ones" in text


@pytest.mark.thorough
@pytest.mark.parametrize("upsampling, start", [("normal", (1, 2)), ("more", (2, 2))])
def test_a_generator_that_begins_with_a_code(upsampling, start, tmp_path, capsys):
    """The dense layer's outputs are [C, rows, columns]; the file says the first grid."""
    arrays = spade_arrays(6, z=5, cells=start[0] * start[1])
    path = written(tmp_path / "a.pth", arrays)
    own = {"encoder_side": 8, "upsampling": upsampling}
    size = [side * (32 if upsampling == "normal" else 64) for side in start]
    if upsampling == "more":  # the file cannot say it; "normal" is assumed
        own["image_shape"] = (*size, 3)
    model = pretrained.load(path, **SMALL, **own)
    assert tuple(model.image_shape) == (*size, 3) and model.latent_dim == 5
    labels, objects = maps(*size, 5)
    z = np.random.RandomState(1).randn(2, 5).astype("f4")
    wanted = official_spade(arrays, one_hot(labels, 5, objects), upsampling, start, z)
    same(model.from_code(labels, objects, tf.constant(z)).numpy(), nhwc(wanted))
    text = capsys.readouterr().out
    assert "latent_dim=5" in text and "latest_net_E.pth" in text and "encoder=True" in text
    assert model.photograph(labels, objects, np.zeros([2, *size, 3], "f4")).shape == (2, *size, 3)


def test_vectors_that_lag_behind_the_kernel(tmp_path):
    """A kernel that moved after its vectors: both divisions differ by the square of the lag."""
    arrays = spade_arrays(6)
    for name in [name for name in arrays if name.endswith("weight_orig")]:
        noise = np.random.RandomState(2).randn(*arrays[name].shape)
        arrays[name] = (arrays[name] + 1e-3 * noise).astype("f4")
    model = pretrained.load(written(tmp_path / "a.pth", arrays), **SMALL, image_shape=(32, 32, 3))
    labels, objects = maps(32, 32, 5)
    wanted = official_spade(arrays, one_hot(labels, 5, objects), "normal", (1, 1))
    same(model.photograph(labels, objects).numpy(), nhwc(wanted))


@pytest.mark.thorough
def test_the_tool_makes_a_release(tmp_path, tool):
    arrays = spade_arrays(4, width=1, hidden=2)
    path = written(tmp_path / "a.pth", arrays)
    options = ["image_shape=[32,64,3]", "num_labels=3", "instances=true"]
    options += [f"{word}={value}" for word, value in SMALL.items()]
    changes = [word for option in options for word in ("--set", option)]
    done = tool(tmp_path, "convert", path, "city", *changes)
    hint = "  python tools/translate.py city MAPS --instances INSTANCES\n"
    assert done.stdout.endswith(hint), done.stderr
    labels, objects = maps(32, 64, 3)
    served = tf.saved_model.load(str(tmp_path / "city" / "1")).signatures["translate"]
    wanted = nhwc(official_spade(arrays, one_hot(labels, 3, objects), "normal", (1, 2)))
    given = {"map": tf.constant(labels), "instances": tf.constant(objects)}
    same(served(**given)["image"].numpy(), wanted)
    same(models.load(tmp_path / "city").photograph(labels, objects).numpy(), wanted)


def test_settings_of_the_published_sizes():
    """Without an image size given: those of the authors' data sets."""
    for seen, shape, upsampling, num_labels in (
        (184, (256, 256, 3), "normal", 182),
        (151, (256, 256, 3), "normal", 150),
        (36, (256, 512, 3), "more", 35),
        (20, (256, 256, 3), "normal", 19),
    ):
        found = gaugan.read(spade_arrays(seen, width=1, hidden=1))
        settings, _ = gaugan.settings_of({"generator": found})
        assert settings["image_shape"] == shape and settings["upsampling"] == upsampling
        assert settings["num_labels"] == num_labels
        assert settings["unlabeled"] == (seen in (184, 151))
        assert settings["instances"] == (seen != 151)
    for cells, seen, shape in ((64, 184, (256, 256, 3)), (32, 36, (256, 512, 3))):
        arrays = spade_arrays(seen, width=1, hidden=1, z=3, cells=cells)
        settings, _ = gaugan.settings_of({"generator": gaugan.read(arrays)})
        assert settings["image_shape"] == shape and settings["latent_dim"] == 3
    found = pix2pixhd.read(hd_arrays(width=2, seen=36, downs=4, blocks=9))
    settings, _ = pix2pixhd.settings_of({"generator": found})
    assert settings == {
        "image_shape": (1024, 2048, 3), "num_labels": 35, "unlabeled": False, "instances": True,
        "width": 2, "blocks": 9, "downs": 4, "enhancer": True, "enhancer_blocks": 3,
        "global_steps": 0, "enhancer_steps": 0,
    }  # fmt: skip


def test_shapes_of_the_published_widths():
    """Their trained numbers are those of the papers' networks."""
    for seen, z, count in (
        (184, {}, 97_480_899),
        (151, {}, 96_492_483),
        (36, {}, 93_048_003),
        (184, {"latent_dim": 256, "cells": 64}, 112_626_883),
    ):
        sizes = {"colors": 3, "width": 64, "most": False, "spade_width": 128}
        sizes |= {"latent_dim": 0, "cells": 0} | z
        shapes = gaugan.shapes_of(seen, **sizes)
        fixed = ("weight_u", "running_mean", "running_var")
        assert count == sum(
            math.prod(shape) for name, shape in shapes.items() if not name.endswith(fixed)
        )
    sizes = {"seen": 36, "colors": 3, "width": 64, "downs": 4, "blocks": 9}
    for blocks, count in ((0, 182_546_755), (3, 182_857_059)):
        parts = pix2pixhd.layers_of(sizes | {"enhancer_blocks": blocks})
        layers = [layer for part in parts for layer in part.values()]
        assert count == sum(math.prod(kernel) + bias for kernel, bias in layers)


# Files that are refused.


def without(arrays, *names):
    return {name: array for name, array in arrays.items() if name not in names}


OTHER = np.zeros([4, 4, 3, 3], "f4")
ALONE = hd_arrays(local=False)
LOCAL = hd_arrays()
SPADE = spade_arrays(6)


@pytest.mark.parametrize(
    "arrays, message",
    [
        (without(LOCAL, "model1_2.3.bias"), "lacks 'model1_2.3.bias', which this"),
        (without(LOCAL, "model1_2.7.bias"), "lacks 'model1_2.7.bias', which this"),
        (without(LOCAL, "model.1.weight"), "lacks 'model.1.weight', which this"),
        (without(LOCAL, "model1_2.1.conv_block.1.weight"), "lacks 'model1_2.1.conv_block.1.w"),
        (LOCAL | {"model.24.weight": OTHER}, "holds 'model.24.weight', which this"),
        (LOCAL | {"model1_1.4.weight": OTHER}, r"model1_1.4.weight has the shape .* \(4, 2, 3, 3"),
        (LOCAL | {"model2_1.1.weight": OTHER}, "two enhancers or more"),
        (without(ALONE, "model.4.bias"), "lacks 'model.4.bias', which this"),
        (ALONE | {"model.2.weight": np.ones(4, "f4")}, "holds 'model.2.weight', which this"),
        (hd_arrays(local=False, blocks=0), "0 residual blocks; .* its encoder"),
        (hd_arrays(local=False, blocks=33, width=1), "it has 33 residual blocks"),
        (hd_arrays(local_blocks=0), "its enhancer has 0 residual blocks"),
        (hd_arrays(seen=1), "its num_labels would be 0"),
        ({"scale0_layer0.0.weight": OTHER}, "no generator of CycleGAN, pix2pix, pix2pixHD, SPADE"),
        (without(SPADE, "fc.bias"), "lacks 'fc.bias', which this"),
        (without(SPADE, "fc.weight"), "lacks 'fc.weight', which this"),
        (without(SPADE, "conv_img.bias"), "lacks 'conv_img.bias', which this"),
        (without(SPADE, "up_3.conv_s.weight_u"), "lacks 'up_3.conv_s.weight_u', which this"),
        (
            without(SPADE, "up_0.norm_s.param_free_norm.running_mean"),
            "lacks 'up_0.norm_s.param_free_norm.running_mean', which this",
        ),
        (without(SPADE, "head_0.conv_0.weight_orig"), "0 channels under spectral normalization"),
        (SPADE | {"head_0.conv_0.weight_orig": OTHER}, "4 channels under .* a multiple of 16"),
        (SPADE | {"up_1.conv_s.bias": np.zeros(4, "f4")}, "holds 'up_1.conv_s.bias', which"),
        (
            SPADE | {"up_1.norm_0.mlp_gamma.weight": OTHER},
            r"gamma.weight has the shape \(4, 4, 3, 3\), but the other arrays imply \(16, 4, 3, 3",
        ),
        (spade_arrays(6, z=3, cells=3), "first grid of 3 pixels is neither square nor twice"),
        (spade_arrays(1), "its num_labels would be 0"),
    ],
)
def test_broken_files(arrays, message, tmp_path):
    path = written(tmp_path / "a.pth", arrays)
    with pytest.raises(BadInput, match=message) as caught:
        pretrained.load(path)
    assert str(caught.value).startswith(f"{path} is refused: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arrays, settings, message",
    [
        (LOCAL, {"instances": False}, "takes 6 channels, but the settings have 5: num_labels=5"),
        (LOCAL, {"num_labels": 4, "style_channels": 3}, "have 8: .* instances=True, 3 of styles"),
        (LOCAL, {"enhancer": False}, "holds an enhancer, which enhancer=false leaves out"),
        (LOCAL, {"global_steps": 9}, "global_steps must be 0, not 9"),
        (LOCAL, {"blocks": 3}, "its blocks is 2, not 3"),
        (LOCAL, {"enhancer_blocks": 2}, "its enhancer_blocks is 3, not 2"),
        (SPADE, {"unlabeled": True}, "takes 6 channels, but the settings have 7"),
        (SPADE, {"upsampling": "most"}, 'it has 4 blocks .* upsampling="most"'),
        (SPADE, {"encoder": True, "encoder_side": 8}, "its encoder is False, not True"),
        (SPADE, {"spade_width": 8}, "its spade_width is 4, not 8"),
        (
            spade_arrays(6, z=3, cells=4),
            {"image_shape": (128, 256, 3), "encoder_side": 8},
            "its first grid has 4 pixels, but images of 128x256 begin with 4x8",
        ),
    ],
)
def test_settings_that_do_not_fit(arrays, settings, message, tmp_path):
    path = written(tmp_path / "a.pth", arrays)
    with pytest.raises(BadInput, match=message):
        pretrained.load(path, **SMALL | {"image_shape": (128, 128, 3)} | settings)
