"""Published generators of CycleGAN and pix2pix against their networks, written here in NumPy.

The files have the names and layouts of pytorch-CycleGAN-and-pix2pix.
"""

import numpy as np
import pytest
import tensorflow as tf
from numpy_layers import conv, mirrored, nchw, nhwc, norm, pictures, relu, same, transposed, written
from torch_files import Tensor, torch_file

from tfgans import images, models, pretrained, random, storage
from tfgans.errors import BadInput
from tfgans.layers.dropout import Dropout
from tfgans.pretrained import cyclegan, pix2pix

SHAPE = (20, 24, 3)


# The official networks.


class Weights:
    """Random arrays under official names, in the order in which a network is written down."""

    def __init__(self, seed):
        self.random, self.arrays = np.random.RandomState(seed), {}

    def conv(self, name, *shape, bias=0, inputs=None):
        spread = ((inputs or shape[1]) * shape[2] * shape[3]) ** -0.5
        self.arrays[f"{name}.weight"] = (self.random.randn(*shape) * spread).astype("f4")
        if bias:
            self.arrays[f"{name}.bias"] = (0.3 * self.random.randn(bias)).astype("f4")

    def norm(self, name, channels, affine):
        if affine:
            self.arrays[f"{name}.weight"] = self.random.uniform(0.5, 1.5, channels).astype("f4")
            self.arrays[f"{name}.bias"] = (0.3 * self.random.randn(channels)).astype("f4")
        self.arrays[f"{name}.running_mean"] = self.random.randn(channels).astype("f4")
        self.arrays[f"{name}.running_var"] = self.random.uniform(1, 9, channels).astype("f4")
        self.arrays[f"{name}.num_batches_tracked"] = np.array(7, "i8")


def resnet_arrays(blocks=2, width=4, channels=3, old=False, seed=0):
    """A state dict of a ResNet generator; `old` has the statistics of before PyTorch 0.4."""
    weights, w = Weights(seed), width

    def layer(name, *shape, out):
        weights.conv(name, *shape, bias=out)
        if old:
            place, _, number = name.rpartition(".")
            weights.norm(f"{place}.{int(number) + 1}", out, affine=False)

    layer("model.1", w, channels, 7, 7, out=w)
    layer("model.4", 2 * w, w, 3, 3, out=2 * w)
    layer("model.7", 4 * w, 2 * w, 3, 3, out=4 * w)
    for k in range(blocks):
        for i in (1, 5):
            layer(f"model.{10 + k}.conv_block.{i}", 4 * w, 4 * w, 3, 3, out=4 * w)
    layer(f"model.{10 + blocks}", 4 * w, 2 * w, 3, 3, out=2 * w)
    layer(f"model.{13 + blocks}", 2 * w, w, 3, 3, out=w)
    weights.conv(f"model.{17 + blocks}", channels, w, 7, 7, bias=channels)
    return weights.arrays


def resnet(v, x, blocks=2):
    """Translations [N, C, H, W] of a ResNet generator."""

    def parts(name):
        return v[f"{name}.weight"], v[f"{name}.bias"]

    x = relu(norm(conv(mirrored(x, 3), *parts("model.1"))))
    for name in ("model.4", "model.7"):
        x = relu(norm(conv(x, *parts(name), stride=2, pad=1)))
    for k in range(10, 10 + blocks):
        y = relu(norm(conv(mirrored(x, 1), *parts(f"model.{k}.conv_block.1"))))
        x = x + norm(conv(mirrored(y, 1), *parts(f"model.{k}.conv_block.5")))
    for k in (10 + blocks, 13 + blocks):
        x = relu(norm(transposed(x, *parts(f"model.{k}"), pad=1, more=1)))
    return np.tanh(conv(mirrored(x, 3), *parts(f"model.{17 + blocks}")))


def unet_arrays(steps=5, width=2, inputs=3, channels=3, seed=0):
    """A state dict of a U-Net with batch normalization, its steps nested as theirs."""
    weights = Weights(seed)
    widths = [width * min(2**i, 8) for i in range(steps)]

    def step(place, k):
        above = widths[k - 1]
        weights.conv(f"{place}.1", widths[k], above, 4, 4)
        if k == steps - 1:
            weights.conv(f"{place}.3", widths[k], above, 4, 4, inputs=widths[k] / 4)
            weights.norm(f"{place}.4", above, affine=True)
            return
        weights.norm(f"{place}.2", widths[k], affine=True)
        step(f"{place}.3.model", k + 1)
        weights.conv(f"{place}.5", 2 * widths[k], above, 4, 4, inputs=widths[k] / 2)
        weights.norm(f"{place}.6", above, affine=True)

    weights.conv("model.model.0", width, inputs, 4, 4)
    step("model.model.1.model", 1)
    weights.conv("model.model.3", 2 * width, channels, 4, 4, bias=channels, inputs=width / 2)
    return weights.arrays


def unet(v, x, steps=5, masks=()):
    """Translations of a U-Net; the masks are those of its dropout, the innermost first."""
    masks = list(masks)

    def normalized(name, x):
        return norm(x, v[f"{name}.weight"], v[f"{name}.bias"])

    def step(place, x, k):
        y = conv(np.where(x > 0, x, 0.2 * x), v[f"{place}.1.weight"], stride=2, pad=1)
        if k == steps - 1:
            y = normalized(f"{place}.4", transposed(relu(y), v[f"{place}.3.weight"]))
        else:
            y = step(f"{place}.3.model", normalized(f"{place}.2", y), k + 1)
            y = normalized(f"{place}.6", transposed(relu(y), v[f"{place}.5.weight"]))
            if masks and k >= 4:  # the steps between two maps of the most channels
                y = y * masks.pop(0) / 0.5
        return np.concatenate([x, y], axis=1)

    x = step("model.model.1.model", conv(x, v["model.model.0.weight"], stride=2, pad=1), 1)
    assert not masks
    return np.tanh(transposed(relu(x), v["model.model.3.weight"], v["model.model.3.bias"]))


# The comparison.


@pytest.mark.parametrize("blocks, old", [(6, True), (9, False)])
def test_a_generator_of_cyclegan(blocks, old, tmp_path, capsys):
    arrays = resnet_arrays(blocks, old=old)
    path = tmp_path / "horse2zebra.pth"
    tensors = {name: Tensor(array) for name, array in arrays.items()}
    path.write_bytes(torch_file(tensors, old=old))
    model = pretrained.load(path, image_shape=SHAPE)
    x = pictures(SHAPE)
    same(model.translate(x).numpy(), nhwc(resnet(arrays, nchw(x), blocks)))
    text = capsys.readouterr().out
    assert f"{path}: a_to_b of cyclegan." in text and f"width=4, blocks={blocks}" in text
    assert "BSD license; no license of the published weights is known" in text
    assert "holds the way from B to A" not in text and "the way from A to B alone" in text


def test_settings_of_the_published_sizes():
    for blocks, side in ((9, 256), (6, 128)):
        found = cyclegan.read(resnet_arrays(blocks, width=1))
        settings, _ = cyclegan.settings_of({"a_to_b": found})
        assert settings == {
            "image_shape": (side, side, 3), "width": 1, "blocks": blocks, "one_way": True,
        }  # fmt: skip
    for steps, places in ((8, [2, 3, 4]), (7, [2, 3]), (5, [])):
        found = pix2pix.read(unet_arrays(steps, width=1, inputs=2))
        settings, _ = pix2pix.settings_of({"generator": found})
        assert settings == {
            "image_shape": (2**steps, 2**steps, 3), "input_channels": 2, "width": 1,
            "dropout_steps": places,
        }  # fmt: skip


def test_two_files_are_both_directions(tmp_path, capsys):
    there, back = resnet_arrays(), resnet_arrays(seed=1)
    paths = [written(tmp_path / f"{k}.pth", arrays) for k, arrays in enumerate((there, back))]
    model = pretrained.load(*paths, image_shape=SHAPE, patch_layers=1, pool_size=2)
    assert f"{paths[0]}, {paths[1]}: a_to_b, b_to_a of cyclegan." in capsys.readouterr().out
    x = pictures(SHAPE)
    for direction, arrays in (("a_to_b", there), ("b_to_a", back)):
        same(model.translate(x, direction=direction).numpy(), nhwc(resnet(arrays, nchw(x))))
        function, _ = model.endpoints()[direction]
        same(function(x)["image"].numpy(), nhwc(resnet(arrays, nchw(x))))
    assert {*model.players()} == {"discriminators", "generators"}  # it can be trained


def test_one_file_is_one_direction(tmp_path, tool):
    """The other one is missing, and says so wherever it is asked for."""
    model = pretrained.load(written(tmp_path / "a.pth", resnet_arrays()), image_shape=SHAPE)
    x = pictures(SHAPE)
    expected = model.translate(x).numpy()
    release = storage.release(model, "a", tmp_path).parent
    served = tf.saved_model.load(str(release / "1")).signatures
    assert set(served) == {"serving_default", "a_to_b"}
    np.testing.assert_allclose(served["a_to_b"](image=x)["image"], expected, atol=1e-5)
    model = models.load(release)
    np.testing.assert_array_equal(model.translate(x).numpy(), expected)
    assert set(model.endpoints()) == {"serving_default", "a_to_b"}
    assert not any("ba" in w.path or "discriminator" in w.path for w in model.weights)
    assert model.preview({"a": x, "b": x}).shape == (2, 2, *SHAPE)
    with pytest.raises(BadInput, match="from A to B alone.*--b-to-a"):
        model.translate(x, direction="b_to_a")
    with pytest.raises(BadInput, match="No direction of CycleGAN named 'sideways'"):
        model.translate(x, direction="sideways")
    with pytest.raises(BadInput, match="of one way has no generator from B to A.*one_way=false"):
        model.compile()
    images.save_grid(x[:1], tmp_path / "x.png")
    for name, *words in (("translate", "x.png", "--endpoint", "b_to_a"), ("use", "b_to_a")):
        done = tool(tmp_path, name, release, *words)
        assert done.stderr.startswith("BadInput: This CycleGAN translates from A to B alone")
    assert tool(tmp_path, "translate", release, "x.png").returncode == 0


def test_a_new_way_back_is_begun_only_when_asked_for(tmp_path, capsys):
    path = written(tmp_path / "a.pth", resnet_arrays())
    model = pretrained.load(path, image_shape=SHAPE, patch_layers=1, pool_size=0, one_way=False)
    assert "one_way=false begins a new one" in capsys.readouterr().out
    start = pretrained.begin_run(model, tmp_path / "run")
    again = storage.read(storage.snapshots(start.parent)[-1])
    assert not again.one_way and again.translate(pictures(SHAPE), direction="b_to_a").shape[0] == 2
    with pytest.raises(BadInput, match="of one way"):
        pretrained.begin_run(pretrained.load(path, image_shape=SHAPE), tmp_path / "other")


@pytest.mark.parametrize("inputs, channels", [(3, 3), (1, 2)])
def test_a_generator_of_pix2pix(inputs, channels, tmp_path, capsys):
    arrays = unet_arrays(5, inputs=inputs, channels=channels)
    path = written(tmp_path / "edges2shoes.pth", arrays)
    model = pretrained.load(path, patch_layers=1)
    assert tuple(model.image_shape) == (32, 32, channels) and not model.noisy
    for shape, found in (
        ((32, 32, inputs), model),
        ((32, 64, inputs), pretrained.load(path, patch_layers=1, image_shape=(32, 64, channels))),
    ):
        x = pictures(shape)
        same(found.translate(x).numpy(), nhwc(unet(arrays, nchw(x))))
    text = capsys.readouterr().out
    assert f"{path}: generator of pix2pix." in text and "the running ones are left out" in text
    assert [spec.name for spec in model.endpoints()["translate"][1]] == ["image"]  # no seed


def test_dropout_is_where_the_published_weights_had_it(tmp_path, monkeypatch):
    """In the steps up 2 and 3 of seven; both networks are given the same masks."""
    arrays = unet_arrays(7)
    model = pretrained.load(written(tmp_path / "a.pth", arrays))
    assert list(model.dropout_steps) == [2, 3] and model.noisy
    kinds = [type(layer).__name__ for layer in model.generator.layers]
    up = [i for i, kind in enumerate(kinds) if kind == "Conv2DTranspose"]
    dropout = [i for i, kind in enumerate(kinds) if kind == Dropout.__name__]
    assert dropout == [i + 2 for i in up[1:3]]  # after the normalization
    drawn = []

    def uniform(shape):
        drawn.append(np.random.RandomState(len(drawn)).uniform(size=shape).astype("float32"))
        return tf.constant(drawn[-1])

    monkeypatch.setattr(random, "uniform", uniform)
    x = pictures((128, 128, 3), n=1)
    ours = model.translate(x).numpy()
    masks = [nchw(numbers) >= 0.5 for numbers in drawn]
    assert [mask.shape[2] for mask in masks] == [4, 8]
    same(ours, nhwc(unet(arrays, nchw(x), 7, masks)))
    monkeypatch.undo()
    model = pretrained.load(tmp_path / "a.pth", dropout_steps=[])
    same(model.translate(x).numpy(), nhwc(unet(arrays, nchw(x), 7)))


# Files that are refused.


def without(arrays, *names):
    return {name: array for name, array in arrays.items() if name not in names}


def renamed(arrays, old, new):
    return {name.replace(old, new): array for name, array in arrays.items()}


DISCRIMINATOR = {"model.0.weight": np.zeros([4, 3, 4, 4], "f4")}
OTHER = np.zeros([4, 4, 3, 3], "f4")
UNEVEN = resnet_arrays() | {
    "model.19.weight": np.zeros([2, 4, 7, 7], "f4"), "model.19.bias": np.zeros(2, "f4"),
}  # fmt: skip


@pytest.mark.parametrize(
    "arrays, message",
    [
        (without(resnet_arrays(), "model.4.bias"), "lacks 'model.4.bias', which this"),
        (without(resnet_arrays(), "model.1.bias"), "lacks 'model.1.bias', which this"),
        (without(resnet_arrays(), "model.11.conv_block.1.weight"), "lacks 'model.11.conv_bl"),
        (resnet_arrays() | {"model.4.weight": OTHER}, r"model.4.weight has the shape \(4, 4, 3"),
        (resnet_arrays() | {"model.2.weight": np.ones(4, "f4")}, "holds 'model.2.weight'"),
        (renamed(resnet_arrays(), "block.5.", "block.6."), "holds 'model.10.conv_block.6.bias'"),
        (UNEVEN, r"model.1.weight has the shape \(4, 3, 7, 7\), but .* imply \(4, 2, 7, 7\)"),
        (resnet_arrays(33, width=1), "it has 33 residual blocks"),
        (DISCRIMINATOR, "it is a discriminator"),
        ({"main.0.weight": OTHER}, "no generator of CycleGAN, pix2pix, pix2pixHD, SPADE"),
        (without(unet_arrays(), "model.model.1.model.2.bias"), "lacks 'model.model.1.model.2.b"),
        (without(unet_arrays(), "model.model.3.bias"), "lacks 'model.model.3.bias'"),
        (without(unet_arrays(), "model.model.0.weight"), "lacks 'model.model.0.weight'"),
        (
            unet_arrays() | {"model.model.1.model.1.weight": OTHER},
            r"model.model.1.model.1.weight has the shape \(4, 4, 3, 3\), but .* \(4, 2, 4, 4\)",
        ),
        (unet_arrays() | {"model.model.0.bias": np.zeros(2, "f4")}, "instance normalization"),
        (unet_arrays() | {"model.model.2.weight": OTHER}, "holds 'model.model.2.weight'"),
        (unet_arrays(4), "its U-Net has 4 steps; those of pix2pix have 7 or 8"),
    ],
)
def test_broken_files(arrays, message, tmp_path):
    path = written(tmp_path / "a.pth", arrays)
    with pytest.raises(BadInput, match=message) as caught:
        pretrained.load(path)
    assert str(caught.value).startswith(f"{path} is refused: ") and "\n" not in str(caught.value)


def test_files_that_do_not_go_together(tmp_path):
    generator = written(tmp_path / "a.pth", resnet_arrays())
    nine = written(tmp_path / "nine.pth", resnet_arrays(9))
    drawn = written(tmp_path / "u.pth", unet_arrays())
    for first, second, message in (
        (generator, nine, "a.pth is refused: it has .*'blocks': 2.* and the file .*'blocks': 9"),
        (generator, drawn, "u.pth is refused: it is no generator of CycleGAN, as .*a.pth is"),
        (drawn, generator, "u.pth is of pix2pix, which has no way back: leave .*a.pth out"),
    ):
        with pytest.raises(BadInput, match=message):
            pretrained.load(first, second)
    with pytest.raises(FileNotFoundError):
        pretrained.load(generator, tmp_path / "absent.pth")
    with pytest.raises(BadInput, match="one_way=true leaves out the second file"):
        pretrained.load(generator, generator, image_shape=SHAPE, one_way=True)
    with pytest.raises(BadInput, match="it has 2 residual blocks, not 3"):
        pretrained.load(generator, image_shape=SHAPE, blocks=3)
    with pytest.raises(BadInput, match="halves images 5 times, but .* 64x64 .* 6 times"):
        pretrained.load(drawn, image_shape=(64, 64, 3), patch_layers=1)
    with pytest.raises(BadInput, match=r"the steps 1 to 4 of the 5 steps up, not in \[2, 5\]"):
        pretrained.load(drawn, dropout_steps=[2, 5], patch_layers=1)
    with pytest.raises(BadInput, match="a.pth is a file of PyTorch.*tfgans convert"):
        models.load(generator)


def test_truncated_files(tmp_path):
    path = written(tmp_path / "a.pth", resnet_arrays())
    data = path.read_bytes()
    for part in (0, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:part])
        with pytest.raises(BadInput, match="a.pth is damaged, or not a file of this kind"):
            pretrained.load(path)


def test_arrays_that_share_their_numbers(tmp_path):
    """Ten kernels in the bytes of one would make a model that is far larger than its file."""
    arrays = resnet_arrays()
    tensors = {name: Tensor(array) for name, array in arrays.items()}
    shared = tensors["model.10.conv_block.1.weight"]
    for name in arrays:
        if "conv_block" in name and name.endswith("weight"):
            tensors[name] = Tensor(arrays[name], storage=shared.storage)
    path = tmp_path / "a.pth"
    path.write_bytes(torch_file(tensors, old=False))
    with pytest.raises(BadInput, match="together larger than the file"):
        pretrained.load(path)


@pytest.mark.thorough
def test_the_tool_makes_a_release_of_two_files(tmp_path, tool):
    there, back = resnet_arrays(), resnet_arrays(seed=1)
    paths = [written(tmp_path / f"{word}.pth", v) for word, v in (("ab", there), ("ba", back))]
    options = ["--set", "image_shape=[20,24,3]", "--set", "pool_size=0", "--set", "patch_layers=1"]
    done = tool(tmp_path, "convert", paths[0], "saved/both", "--b-to-a", paths[1], *options)
    assert "python tools/translate.py saved/both IMAGES" in done.stdout, done.stderr
    model, x = models.load(tmp_path / "saved" / "both"), pictures(SHAPE)
    same(model.translate(x, direction="b_to_a").numpy(), nhwc(resnet(back, nchw(x))))
