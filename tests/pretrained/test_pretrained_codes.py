"""Published networks of StarGAN and UNIT against their networks, written here in NumPy.

The files have the names and layouts of yunjey/stargan and of mingyuliutw/UNIT, version_02.
"""

import numpy as np
import pytest
from numpy_layers import conv, nchw, nhwc, norm, pictures, relu, same, transposed, written
from torch_files import Tensor, torch_file

from tfgans import models, pretrained
from tfgans.errors import BadInput
from tfgans.pretrained import stargan, unit

SHAPE = (16, 24, 3)


class Weights:
    """Random arrays under official names."""

    def __init__(self, seed=0):
        self.random, self.arrays = np.random.RandomState(seed), {}

    def conv(self, name, *shape, bias=0, inputs=None, gain=1.0):
        spread = gain * ((inputs or shape[1]) * shape[2] * shape[3]) ** -0.5
        self.arrays[f"{name}.weight"] = (self.random.randn(*shape) * spread).astype("f4")
        if bias:
            self.arrays[f"{name}.bias"] = (0.3 * self.random.randn(bias)).astype("f4")

    def norm(self, name, channels, affine, statistics=True):
        if affine:
            self.arrays[f"{name}.weight"] = self.random.uniform(0.5, 1.5, channels).astype("f4")
            self.arrays[f"{name}.bias"] = (0.3 * self.random.randn(channels)).astype("f4")
        if statistics:
            self.arrays[f"{name}.running_mean"] = self.random.randn(channels).astype("f4")
            self.arrays[f"{name}.running_var"] = self.random.uniform(1, 9, channels).astype("f4")


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


# StarGAN.


def star_arrays(width=4, classes=3, blocks=2, statistics=True):
    weights, w = Weights(), width

    def layer(name, after, *shape, out, **kwargs):
        weights.conv(name, *shape, **kwargs)
        weights.norm(after, out, True, statistics)

    layer("main.0", "main.1", w, 3 + classes, 7, 7, out=w)
    layer("main.3", "main.4", 2 * w, w, 4, 4, out=2 * w)
    layer("main.6", "main.7", 4 * w, 2 * w, 4, 4, out=4 * w)
    for k in range(9, 9 + blocks):
        for i in (0, 3):
            layer(f"main.{k}.main.{i}", f"main.{k}.main.{i + 1}", 4 * w, 4 * w, 3, 3, out=4 * w)
    end = 9 + blocks
    layer(f"main.{end}", f"main.{end + 1}", 4 * w, 2 * w, 4, 4, out=2 * w)
    layer(f"main.{end + 3}", f"main.{end + 4}", 2 * w, w, 4, 4, out=w)
    weights.conv(f"main.{end + 6}", 3, w, 7, 7)
    return weights.arrays


def star(v, x, label, blocks=2, running=False):
    """Edits [N, 3, H, W]: the label is constant maps behind the image, borders are zeros."""

    def normalized(x, name):
        if running:
            mean, variance, gain, shift = (
                v[f"{name}.{word}"][:, None, None]
                for word in ("running_mean", "running_var", "weight", "bias")
            )
            return (x - mean) / np.sqrt(variance + 1e-5) * gain + shift
        return norm(x, v[f"{name}.weight"], v[f"{name}.bias"])

    maps = np.broadcast_to(label[:, :, None, None], [*label.shape, *x.shape[2:]])
    x = np.concatenate([x, maps], axis=1)
    x = relu(normalized(conv(x, v["main.0.weight"], pad=3), "main.1"))
    for k in (3, 6):
        x = relu(normalized(conv(x, v[f"main.{k}.weight"], stride=2, pad=1), f"main.{k + 1}"))
    end = 9 + blocks
    for k in range(9, end):
        y = relu(normalized(conv(x, v[f"main.{k}.main.0.weight"], pad=1), f"main.{k}.main.1"))
        x = x + normalized(conv(y, v[f"main.{k}.main.3.weight"], pad=1), f"main.{k}.main.4")
    for k in (end, end + 3):
        x = relu(normalized(transposed(x, v[f"main.{k}.weight"]), f"main.{k + 1}"))
    return np.tanh(conv(x, v[f"main.{end + 6}.weight"], pad=3))


def star_judge_arrays(width=4, classes=3, times=3, kernel=2):
    weights = Weights(1)
    for k in range(times):
        out = width << k
        weights.conv(f"main.{2 * k}", out, width << k - 1 if k else 3, 4, 4, bias=out, gain=2.0)
    weights.conv("conv1", 1, width << times - 1, 3, 3)
    weights.conv("conv2", classes, width << times - 1, kernel, kernel)
    return weights.arrays


def star_judge(v, x, times=3):
    for k in range(times):
        x = leaky(conv(x, v[f"main.{2 * k}.weight"], v[f"main.{2 * k}.bias"], stride=2, pad=1))
    score, logits = conv(x, v["conv1.weight"], pad=1), conv(x, v["conv2.weight"])
    return nhwc(score), logits[:, :, 0, 0]


LABEL = np.array([[1, 0, 1], [0, 1, 1]], "float32")


@pytest.mark.parametrize("statistics", [True, False])
def test_a_generator_of_stargan(statistics, tmp_path, capsys):
    arrays = star_arrays(statistics=statistics)
    path = written(tmp_path / "200000-G.ckpt", arrays)
    model = pretrained.load(path, image_shape=SHAPE)
    x = pictures(SHAPE)
    official = nhwc(star(arrays, nchw(x), LABEL))
    same(model.edit(x, LABEL).numpy(), official)
    assert np.abs(official - nhwc(star(arrays, nchw(x), LABEL[::-1]))).max() > 0.05
    text = capsys.readouterr().out
    assert f"{path}: generator of stargan." in text and "num_classes=3, width=4, blocks=2" in text
    assert ("running statistics of the instance normalization" in text) == statistics
    assert "exclusive=true" in text and "There is no discriminator" in text


def test_running_statistics_of_stargan(tmp_path):
    arrays = star_arrays()
    for name in arrays:
        if name.endswith("running_var"):  # else images would be gray
            arrays[name] = arrays[name] / 8
    path = written(tmp_path / "200000-G.ckpt", arrays)
    model = pretrained.load(path, image_shape=SHAPE, statistics="running")
    x = pictures(SHAPE)
    same(model.edit(x, LABEL).numpy(), nhwc(star(arrays, nchw(x), LABEL, running=True)))
    written(path, star_arrays(statistics=False))
    with pytest.raises(BadInput, match="lacks 'main.1.running_mean', "):
        pretrained.load(path, image_shape=SHAPE, statistics="running")
    with pytest.raises(BadInput, match="No kind of statistics named 'runing'. Did you mean"):
        pretrained.load(path, image_shape=SHAPE, statistics="runing")


def test_both_files_of_stargan(tmp_path, capsys):
    paths = [
        written(tmp_path / f"200000-{word}.ckpt", arrays)
        for word, arrays in (("G", star_arrays()), ("D", star_judge_arrays()))
    ]
    model = pretrained.load(paths[0], discriminator=paths[1])
    assert tuple(model.image_shape) == (16, 16, 3)  # a kernel of 2 pixels behind three halvings
    assert f"{paths[0]}, {paths[1]}: generator, discriminator of" in capsys.readouterr().out
    x = pictures((16, 16, 3))
    for ours, official in zip(
        model.discriminator(x), star_judge(star_judge_arrays(), nchw(x)), strict=True
    ):
        assert official.std() > 0.1
        np.testing.assert_allclose(ours, official, atol=1e-4)
    found = stargan.read(star_arrays(64, 5, 6)), stargan.read_discriminator(
        star_judge_arrays(8, 5, 6)
    )  # fmt: skip
    settings, _ = stargan.settings_of({"generator": found[0]})
    expected = {"image_shape": (128, 128, 3), "num_classes": 5, "width": 64, "blocks": 6}
    assert settings == expected and found[1]["side"] == 128


# UNIT.


def unit_arrays(width=4, blocks=2, shared=1, normalized=True, statistics=True):
    weights, w = Weights(2), width

    def layer(name, *shape, out, norm):
        weights.conv(name, *shape, bias=out, gain=1.5)
        if norm and statistics:
            place, _, number = name.rpartition(".")
            weights.norm(f"{place}.{int(number) + 1}", out, affine=False)

    def residual(place):
        for i in (0, 3):
            layer(f"{place}.model.{i}", 4 * w, 4 * w, 3, 3, out=4 * w, norm=True)

    for word in "AB":
        layer(f"encode_{word}.0.model.0", w, 3, 7, 7, out=w, norm=False)
        for k in (1, 2):
            out = w << k
            layer(f"encode_{word}.{k}.model.0", out, out // 2, 3, 3, out=out, norm=normalized)
        for k in range(blocks):
            residual(f"encode_{word}.{3 + k}")
            residual(f"decode_{word}.{k}")
        for k in (0, 1):
            out = 2 * w >> k
            name = f"decode_{word}.{blocks + k}.model.0"
            layer(name, 2 * out, out, 3, 3, out=out, norm=normalized)
        weights.conv(f"decode_{word}.{blocks + 2}", w, 3, 1, 1, bias=3, inputs=w)
    for k in range(shared):
        residual(f"enc_shared.{k}")
        residual(f"dec_shared.{k}")
    return weights.arrays


def unit_encoded(v, x, word, blocks=2, normalized=True):
    """Codes [N, C, h, w], without noise."""

    def parts(name):
        return v[f"{name}.weight"], v[f"{name}.bias"]

    def residual(x, place):
        y = relu(norm(conv(x, *parts(f"{place}.model.0"), pad=1)))
        return x + norm(conv(y, *parts(f"{place}.model.3"), pad=1))

    x = leaky(conv(x, *parts(f"encode_{word}.0.model.0"), pad=3))
    for k in (1, 2):
        x = conv(x, *parts(f"encode_{word}.{k}.model.0"), stride=2, pad=1)
        x = relu(norm(x)) if normalized else leaky(x)
    for k in range(blocks):
        x = residual(x, f"encode_{word}.{3 + k}")
    return residual(x, "enc_shared.0")


def unit_decoded(v, x, word, blocks=2, normalized=True):
    def parts(name):
        return v[f"{name}.weight"], v[f"{name}.bias"]

    places = ["dec_shared.0", *[f"decode_{word}.{k}" for k in range(blocks)]]
    for place in places:
        y = relu(norm(conv(x, *parts(f"{place}.model.0"), pad=1)))
        x = x + norm(conv(y, *parts(f"{place}.model.3"), pad=1))
    for k in (blocks, blocks + 1):
        x = transposed(x, *parts(f"decode_{word}.{k}.model.0"), pad=1, more=1)
        x = relu(norm(x)) if normalized else leaky(x)
    weight, bias = parts(f"decode_{word}.{blocks + 2}")
    return np.tanh(np.einsum("nchw,co->nohw", x, weight[:, :, 0, 0]) + bias[:, None, None])


def unit_judge_arrays(width=4, layers=3, shared=0):
    weights = Weights(3)

    def layer(name, k, size):
        out = width << k
        weights.conv(name, out, width << k - 1 if k else 3, size, size, bias=out, gain=2.0)

    for word in "AB":
        for k in range(layers - shared):
            layer(f"model_{word}.{k}.model.0", k, 7 if shared and k == 0 else 3)
        if not shared:
            weights.conv(f"model_{word}.{layers}", 1, width << layers - 1, 1, 1, bias=1)
    for k in range(shared):
        layer(f"model_S.{k}.model.0", layers - shared + k, 3)
    if shared:
        weights.conv(f"model_S.{shared}", 1, width << layers - 1, 1, 1, bias=1)
    return weights.arrays


def unit_judge(v, x, word, layers=3, shared=0):
    own = [f"model_{word}.{k}.model.0" for k in range(layers - shared)]
    for k, name in enumerate([*own, *[f"model_S.{k}.model.0" for k in range(shared)]]):
        pad = 3 if shared and k == 0 else 1
        x = leaky(conv(x, v[f"{name}.weight"], v[f"{name}.bias"], stride=2, pad=pad))
    last = f"model_S.{shared}" if shared else f"model_{word}.{layers}"
    return nhwc(conv(x, v[f"{last}.weight"], v[f"{last}.bias"]))


@pytest.mark.parametrize("normalized, old", [(True, True), (False, True), (True, False)])
def test_generators_of_unit(normalized, old, tmp_path, capsys):
    """Files of 2017, in the format of their time; the statistics tell animals from faces."""
    arrays = unit_arrays(normalized=normalized, statistics=old)
    path = tmp_path / "corgi2husky_gen_00500000.pkl"
    tensors = {name: Tensor(array) for name, array in arrays.items()}
    path.write_bytes(torch_file(tensors, old=old))
    model = pretrained.load(path, image_shape=SHAPE, discriminator_layers=2)
    text, x = capsys.readouterr().out, pictures(SHAPE)
    assert f"{path}: generators of unit." in text and f"normalized={normalized}" in text
    assert ("does not say whether its outer" in text) == (not old)
    for own, other in (("A", "B"), ("B", "A")):
        code = unit_encoded(arrays, nchw(x), own, normalized=normalized)
        ours = model.encode(x, own.lower()).numpy()
        np.testing.assert_allclose(ours, nhwc(code), atol=2e-4 * np.abs(code).max())
        made = model.translate(x, direction=f"{own.lower()}_to_{other.lower()}").numpy()
        same(made, nhwc(unit_decoded(arrays, code, other, normalized=normalized)))


@pytest.mark.parametrize("shared", [0, 2])
def test_discriminators_of_unit(shared, tmp_path):
    arrays = unit_judge_arrays(shared=shared)
    gen, dis = (
        written(tmp_path / f"x_{word}_00500000.pkl", found)
        for word, found in (("gen", unit_arrays()), ("dis", arrays))
    )
    model = pretrained.load(gen, discriminator=dis, image_shape=SHAPE)
    assert (model.discriminator_layers, model.shared_layers) == (3, shared)
    x = pictures(SHAPE)
    for word in "AB":
        official = unit_judge(arrays, nchw(x), word, shared=shared)
        assert official.std() > 0.1
        judge = getattr(model, f"discriminator_{word.lower()}")
        np.testing.assert_allclose(judge(x), official, atol=1e-4)


def test_settings_of_unit():
    found = unit.read(unit_arrays(width=1, blocks=3))
    settings, notes = unit.settings_of({"generators": found})
    assert settings == {
        "image_shape": (216, 216, 3), "width": 1, "blocks": 3, "shared_blocks": 1,
        "normalized": True,
    }  # fmt: skip
    assert len(notes) == 2 and "--discriminator FILE" in notes[1]


# Files that are refused.


def without(arrays, name):
    return {key: array for key, array in arrays.items() if key != name}


OTHER = np.zeros([4, 4, 3, 3], "f4")


@pytest.mark.parametrize(
    "arrays, message",
    [
        (without(star_arrays(), "main.4.bias"), "lacks 'main.4.bias', which this"),
        (without(star_arrays(), "main.17.weight"), "lacks 'main.17.weight'|has the shape"),
        (star_arrays() | {"main.3.weight": OTHER}, r"main.3.weight has the shape \(4, 4, 3, 3\)"),
        (star_arrays() | {"main.2.weight": OTHER}, "holds 'main.2.weight'"),
        (star_judge_arrays(), "it is a discriminator; give the file of the generator"),
        (without(unit_arrays(), "encode_B.0.model.0.bias"), "lacks 'encode_B.0.model.0.bias'"),
        (without(unit_arrays(), "dec_shared.0.model.3.weight"), "lacks 'dec_shared.0.model.3.w"),
        (unit_arrays() | {"decode_A.2.model.0.weight": OTHER}, "decode_A.2.model.0.weight has the"),
        (unit_arrays() | {"enc_shared.1.model.0.weight": OTHER}, "holds 'enc_shared.1.model.0"),
        (unit_judge_arrays(), "it holds discriminators; give the file of the generators"),
    ],
)
def test_broken_files(arrays, message, tmp_path):
    path = written(tmp_path / "a.pkl", arrays)
    with pytest.raises(BadInput, match=message) as caught:
        pretrained.load(path)
    assert str(caught.value).startswith(f"{path} is refused: ") and "\n" not in str(caught.value)


def test_files_that_do_not_go_together(tmp_path):
    files = {
        "star": star_arrays(), "d": star_judge_arrays(), "other": star_judge_arrays(classes=2),
        "large": star_judge_arrays(kernel=4), "gen": unit_arrays(), "dis": unit_judge_arrays(8),
        "less": without(unit_judge_arrays(), "model_B.1.model.0.bias"),
    }  # fmt: skip
    paths = {word: written(tmp_path / f"{word}.pkl", arrays) for word, arrays in files.items()}
    for first, second, message in (
        ("star", "other", "star.pkl is refused: its num_classes is 3, that of D is 2"),
        ("star", "large", "large.pkl is refused: it halves images to 4x4 pixels"),
        ("star", "dis", "dis.pkl is refused: it is no discriminator of StarGAN"),
        ("gen", "d", "d.pkl is refused: it does not hold discriminators of UNIT"),
        ("gen", "dis", "gen.pkl is refused: its width is 4, that of D is 8"),
        ("gen", "less", "less.pkl is refused: it lacks 'model_B.1.model.0.bias'"),
    ):
        with pytest.raises(BadInput, match=message):
            pretrained.load(paths[first], discriminator=paths[second])
    with pytest.raises(BadInput, match="its blocks is 2, not 3"):
        pretrained.load(paths["gen"], image_shape=SHAPE, blocks=3)
    with pytest.raises(BadInput, match="it has 2 residual blocks, not 1"):
        pretrained.load(paths["star"], image_shape=SHAPE, blocks=1)
    with pytest.raises(BadInput, match="gen.pkl is of unit, which has no way back"):
        pretrained.load(paths["gen"], paths["gen"])


@pytest.mark.thorough
def test_the_tool_makes_a_release_of_two_files(tmp_path, tool):
    paths = [
        written(tmp_path / f"7-{word}.ckpt", arrays)
        for word, arrays in (("G", star_arrays()), ("D", star_judge_arrays()))
    ]
    done = tool(tmp_path, "convert", paths[0], "saved/star", "--discriminator", paths[1])
    assert "Written: saved/star/1" in done.stdout, done.stderr
    model, x = models.load(tmp_path / "saved" / "star"), pictures((16, 16, 3))
    same(model.edit(x, LABEL).numpy(), nhwc(star(star_arrays(), nchw(x), LABEL)))
