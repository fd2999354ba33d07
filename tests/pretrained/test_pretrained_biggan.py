"""Published forms of BigGAN against its networks, written here as their programs run them.

Maps are [N, C, H, W] and kernels [out, in, h, w] as in PyTorch; each weight is divided by u W v.
"""

import numpy as np
import pytest
import tensorflow as tf
from torch_files import write_state_dict

from tfgans import pretrained
from tfgans.errors import BadInput

LATENT, EMBEDDING, CLASSES = 6, 8, 3
RNG = np.random.RandomState


def vectors(w):
    """u and v of a converged power iteration on [out, rest]."""
    w = w.reshape(len(w), -1).astype("f8")
    u, _, v = np.linalg.svd(w, full_matrices=False)
    return u[:, 0], v[0]


def divided(w, u, v):
    return w / (u @ w.reshape(len(w), -1) @ v)


def conv(x, w, b=0.0):
    """[N, C, H, W] with [out, in, k, k], padded with zeros."""
    k = w.shape[2]
    x = np.pad(x, [(0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)])
    height, width = x.shape[2] - k + 1, x.shape[3] - k + 1
    y = sum(
        np.einsum("nchw,oc->nohw", x[:, :, i : i + height, j : j + width], w[:, :, i, j])
        for i in range(k)
        for j in range(k)
    )
    return y + np.reshape(b, [1, -1, 1, 1]) if np.ndim(b) else y


def relu(x):
    return np.maximum(x, 0)


def twice(x):
    return x.repeat(2, axis=2).repeat(2, axis=3)


def norm(x, mean, variance, scale, offset):
    spread = [np.reshape(a, [1, -1, 1, 1]) for a in (mean, variance)]
    scale, offset = (np.reshape(a, [-1, x.shape[1], 1, 1]) for a in (scale, offset))
    return (x - spread[0]) / np.sqrt(spread[1] + 1e-4) * scale + offset


def attend(x, theta, phi, g, o, gamma):
    n, _, height, width = x.shape

    def pooled(y):
        return y.reshape(n, y.shape[1], height // 2, 2, width // 2, 2).max(axis=(3, 5))

    query = conv(x, theta).reshape(n, -1, height * width)
    key, value = (pooled(conv(x, w)).reshape(n, len(w), -1) for w in (phi, g))
    share = np.exp(np.einsum("ncq,nck->nqk", query, key))
    share /= share.sum(axis=2, keepdims=True)
    found = np.einsum("nqk,nck->ncq", share, value).reshape(n, -1, height, width)
    return x + gamma * conv(found, o)


# === BigGAN-deep, Hugging Face ===

BLOCKS = [(0, 16, 16), (1, 16, 8), (0, 8, 8), (1, 8, 8)]  # up, in, out: 16x16 images
ATTENTION = 2  # before this block, at 8x8
SETS = 5


def deep_arrays():
    rng, arrays = RNG(0), {}

    def weight(name, *shape, bias=True):
        w = rng.randn(*shape).astype("f4")
        arrays[f"{name}.weight_orig"] = w
        arrays[f"{name}.weight_u"], arrays[f"{name}.weight_v"] = (
            a.astype("f4") for a in vectors(w)
        )
        if bias:
            arrays[f"{name}.bias"] = 0.1 * rng.randn(shape[0]).astype("f4")

    def statistics(name, width):
        arrays[f"{name}.running_means"] = rng.randn(SETS, width).astype("f4")
        arrays[f"{name}.running_vars"] = rng.uniform(0.5, 2, [SETS, width]).astype("f4")

    arrays["embeddings.weight"] = rng.randn(EMBEDDING, CLASSES).astype("f4")
    joint, place = LATENT + EMBEDDING, 0
    weight("generator.gen_z", 16 * BLOCKS[0][1], joint)
    for k, (_, wide, out) in enumerate(BLOCKS):
        if k == ATTENTION:
            name = f"generator.layers.{place}"
            for word, i, o in (("theta", 8, 1), ("phi", 8, 1), ("g", 8, 4), ("o_conv", 4, 8)):
                weight(f"{name}.snconv1x1_{word}", o, i, 1, 1, bias=False)
            arrays[f"{name}.gamma"] = np.array([0.7], "f4")
            place += 1
        name, narrow = f"generator.layers.{place}", wide // 4
        shapes = [(narrow, wide, 1), (narrow, narrow, 3), (narrow, narrow, 3), (out, narrow, 1)]
        for i, (o, n, size) in enumerate(shapes):
            weight(f"{name}.conv_{i}", o, n, size, size)
            weight(f"{name}.bn_{i}.scale", n, joint, bias=False)
            weight(f"{name}.bn_{i}.offset", n, joint, bias=False)
            statistics(f"{name}.bn_{i}", n)
        place += 1
    last = BLOCKS[-1][2]
    arrays["generator.bn.weight"] = rng.randn(last).astype("f4")
    arrays["generator.bn.bias"] = rng.randn(last).astype("f4")
    statistics("generator.bn", last)
    weight("generator.conv_to_rgb", last, last, 3, 3)
    return arrays


def deep_image(arrays, z, label, position):
    def weight(name):
        return divided(*(arrays[f"{name}.weight{end}"] for end in ("_orig", "_u", "_v")))

    def statistics(name):
        low, part = int(position), position - int(position)
        high = min(low + 1, SETS - 1)
        return [
            (1 - part) * arrays[f"{name}.running_{word}"][low]
            + part * arrays[f"{name}.running_{word}"][high]
            for word in ("means", "vars")
        ]

    condition = np.concatenate([z, arrays["embeddings.weight"].T[label]], axis=1)
    x = condition @ weight("generator.gen_z").T + arrays["generator.gen_z.bias"]
    x = x.reshape(-1, 4, 4, BLOCKS[0][1]).transpose(0, 3, 1, 2)
    place = 0
    for k, (up, _, out) in enumerate(BLOCKS):
        if k == ATTENTION:
            name = f"generator.layers.{place}"
            words = ("theta", "phi", "g", "o_conv")
            kernels = [weight(f"{name}.snconv1x1_{word}") for word in words]
            x = attend(x, *kernels, arrays[f"{name}.gamma"][0])
            place += 1
        name, y = f"generator.layers.{place}", x
        for i in range(4):
            scale = 1 + condition @ weight(f"{name}.bn_{i}.scale").T
            offset = condition @ weight(f"{name}.bn_{i}.offset").T
            y = relu(norm(y, *statistics(f"{name}.bn_{i}"), scale, offset))
            y = twice(y) if up and i == 1 else y
            y = conv(y, weight(f"{name}.conv_{i}"), arrays[f"{name}.conv_{i}.bias"])
        skip = x[:, :out]
        x = y + (twice(skip) if up else skip)
        place += 1
    gain, bias = arrays["generator.bn.weight"], arrays["generator.bn.bias"]
    x = relu(norm(x, *statistics("generator.bn"), gain, bias))
    x = conv(x, weight("generator.conv_to_rgb"), arrays["generator.conv_to_rgb.bias"])
    return np.tanh(x[:, :3]).transpose(0, 2, 3, 1)


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    path = tmp_path_factory.mktemp("deep") / "pytorch_model.bin"
    write_state_dict(path, deep_arrays())
    return pretrained.load(path)


@pytest.mark.parametrize("truncation", [0.25, 0.4, 1.0])
def test_deep_images_are_those_of_the_port(deep, truncation):
    """The statistics in between are interpolated with the right weights; the port reverses them."""
    assert deep.generator_channels == [16, 8, 8] and deep.image_shape == (16, 16, 3)
    assert deep.generator_attention == 8 and deep.truncations == [0.0, 0.25, 0.5, 0.75, 1.0]
    z, label = RNG(1).randn(4, LATENT).astype("f4"), np.array([0, 2, 1, 1])
    drawn = deep.cut(z, truncation).numpy()
    assert np.abs(drawn).max() <= 2 * truncation
    expected = deep_image(deep_arrays(), drawn, label, truncation * (SETS - 1))
    made = deep(z, tf.constant(label), truncation=truncation)
    np.testing.assert_allclose(made, expected, atol=2e-5)


@pytest.mark.thorough
def test_deep_model_trains_on(deep):
    batch = {"image": tf.zeros([4, 16, 16, 3]), "label": tf.range(4) % 3}
    deep.compile(run_eagerly=True)
    before = deep.generator.get_layer("shared").kernel.numpy()
    deep.train_on_batch(batch)
    assert 0 < np.abs(deep.generator.get_layer("shared").kernel - before).max() < 1e-3


# === BigGAN, TensorFlow Hub ===

WIDTHS, CHUNK = [16, 8], 2  # 16x16 images


def module_arrays():
    rng, arrays = RNG(2), {"linear/w": RNG(3).randn(CLASSES, EMBEDDING).astype("f4")}

    def weight(name, *shape, bias=True):
        w = rng.randn(*shape).astype("f4")
        arrays[f"{name}/w"] = w
        u, _ = vectors(w.reshape(-1, shape[-1]).T)
        arrays[f"{name}/u0"] = u.astype("f4")[None]
        if bias:
            arrays[f"{name}/b"] = 0.1 * rng.randn(shape[-1]).astype("f4")

    def statistics(name, width, count=4.0):
        arrays[f"{name}/accumulated_mean"] = count * rng.randn(width).astype("f4")
        arrays[f"{name}/accumulated_var"] = count * rng.uniform(0.5, 2, width).astype("f4")
        arrays[f"{name}/accumulation_counter"] = np.float32(count)

    weight("Generator/G_Z/G_linear", CHUNK, 16 * WIDTHS[0])
    for k, (n, out) in enumerate(zip([WIDTHS[0], *WIDTHS], WIDTHS, strict=False)):
        name = f"Generator/GBlock_{k}" if k else "Generator/GBlock"
        weight(f"{name}/conv0", 3, 3, n, out)
        weight(f"{name}/conv1", 3, 3, out, out)
        weight(f"{name}/conv_sc", 1, 1, n, out)
        for end, width in (("", n), ("_1", out)):
            for word in ("gamma", "beta"):
                weight(f"{name}/HyperBN{end}/{word}", CHUNK + EMBEDDING, width, bias=False)
            statistics(f"{name}/CrossReplicaBN{end}", width)
    for word, i, o in (("theta", 8, 1), ("phi", 8, 1), ("g", 8, 4), ("o_conv", 4, 8)):
        weight(f"Generator/attention/{word}", 1, 1, i, o, bias=False)
    arrays["Generator/attention/gamma"] = np.float32(0.7)
    for word in ("gamma", "beta"):
        arrays[f"Generator/ScaledCrossReplicaBN/{word}"] = rng.randn(WIDTHS[-1]).astype("f4")
    statistics("Generator/ScaledCrossReplicaBNbn", WIDTHS[-1])
    weight("Generator/conv_2d", 3, 3, WIDTHS[-1], 3)
    return arrays


def module_image(arrays, z, label):
    def weight(name):
        w = arrays[f"{name}/w"]
        w = w.T if w.ndim == 2 else w.transpose(3, 2, 0, 1)
        return divided(w, *vectors(w))

    def statistics(name):
        count = arrays[f"{name}/accumulation_counter"]
        return [arrays[f"{name}/accumulated_{word}"] / count for word in ("mean", "var")]

    chunks = np.split(z, len(WIDTHS) + 1, axis=1)
    embedding = arrays["linear/w"][label]
    x = chunks[0] @ weight("Generator/G_Z/G_linear").T + arrays["Generator/G_Z/G_linear/b"]
    x = x.reshape(-1, 4, 4, WIDTHS[0]).transpose(0, 3, 1, 2)
    for k in range(len(WIDTHS)):
        name = f"Generator/GBlock_{k}" if k else "Generator/GBlock"
        condition = np.concatenate([chunks[k + 1], embedding], axis=1)
        y = x
        for i, end in enumerate(("", "_1")):
            scale = 1 + condition @ weight(f"{name}/HyperBN{end}/gamma").T
            offset = condition @ weight(f"{name}/HyperBN{end}/beta").T
            y = relu(norm(y, *statistics(f"{name}/CrossReplicaBN{end}"), scale, offset))
            y = twice(y) if i == 0 else y
            y = conv(y, weight(f"{name}/conv{i}"), arrays[f"{name}/conv{i}/b"])
        x = y + conv(twice(x), weight(f"{name}/conv_sc"), arrays[f"{name}/conv_sc/b"])
    kernels = [weight(f"Generator/attention/{w}") for w in ("theta", "phi", "g", "o_conv")]
    x = attend(x, *kernels, arrays["Generator/attention/gamma"])
    gain, bias = (arrays[f"Generator/ScaledCrossReplicaBN/{w}"] for w in ("gamma", "beta"))
    x = relu(norm(x, *statistics("Generator/ScaledCrossReplicaBNbn"), gain, bias))
    x = conv(x, weight("Generator/conv_2d"), arrays["Generator/conv_2d/b"])
    return np.tanh(x).transpose(0, 2, 3, 1)


def write_module(folder, arrays):
    """A checkpoint with these names, as a module's variables/ folder holds it."""
    (folder / "variables").mkdir(parents=True)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "variables" / "variables"),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=list(arrays.values()),
    )
    return folder


@pytest.mark.parametrize("prefix", ["", "module/"])
def test_images_of_a_module(prefix, tmp_path, capsys):
    """The averaged weights are taken, and the sums are divided by their counter."""
    arrays = module_arrays()
    stored = {}
    for name, array in arrays.items():
        if name.rpartition("/")[2] in ("w", "b", "gamma", "beta"):
            stored |= {name: array + 1.0, f"{name}/ema_b999900": array}
        else:
            stored[name] = array
    stored |= {"Generator/conv_2d/u1": np.ones([1, 3], "f4"), "global_step": np.int64(7)}
    stored = {prefix + name: array for name, array in stored.items()}
    model = pretrained.load(write_module(tmp_path / "biggan", stored))
    assert "Apache" in capsys.readouterr().out
    assert model.generator_channels == [16, 16, 8] and model.generator_attention == 16
    z, label = RNG(1).randn(4, 3 * CHUNK).astype("f4"), np.array([0, 2, 1, 1])
    expected = module_image(arrays, model.cut(z, 0.5).numpy(), label)
    np.testing.assert_allclose(model(z, tf.constant(label), truncation=0.5), expected, atol=2e-5)


# === BigBiGAN, TensorFlow Hub ===


def bigbigan_name(name):
    """The name in a module of BigBiGAN of a variable of BigGAN's modules."""
    if name == "linear/w":
        return "GenEncWrapper/Generator/linear/w"
    place, last = name.rsplit("/", 1)
    if "BN" in place:
        words = {"gamma": "scale", "beta": "offset"}
        parts = [words.get(part, part) for part in (*place.split("/"), last)]
        known = {"ScaledCrossReplicaBNbn", "ScaledCrossReplicaBN", "CrossReplicaBN", "HyperBN"}
        kinds = known | {f"{word}_1" for word in known}
        parts = [
            f"BatchNorm{'_1' * part.endswith('_1')}" if part in kinds else part for part in parts
        ]
        name = "/".join(parts)
    return f"GenEncWrapper/{name.replace('G_Z', 'GenZ')}"


def bigbigan_variables():
    """Variables of a module by their names, and the averaged arrays by those of BigGAN."""
    arrays = module_arrays()
    arrays["linear/w"] = arrays["linear/w"][:1]
    stored = {"GenEncWrapper/Encoder/conv/w": np.ones([2], "f4"), "global_step": np.int64(7)}
    for name, array in arrays.items():
        other = bigbigan_name(name)
        if name.rpartition("/")[2] in ("w", "b", "gamma", "beta"):
            stored |= {other: array + 1.0, f"{other}/ema_0.9999": array}
        else:
            stored[other] = array
    return stored, arrays


SMALL = {"encoder_width": 2, "encoder_groups": [1], "head_width": 4, "joint_width": 4}


@pytest.mark.thorough
def test_images_of_a_bigbigan_module(tmp_path, capsys):
    """Each image has the one row of the embedding; statistics are those of the file."""
    stored, arrays = bigbigan_variables()
    for name in (
        "Generator/GenZ/G_linear/w/ema_0.9999", "Generator/GBlock_1/BatchNorm_1/scale/w",
        "Generator/GBlock/BatchNorm/accumulated_mean", "Generator/BatchNorm/offset",
        "Generator/BatchNorm/accumulation_counter", "Generator/attention/gamma",
    ):  # fmt: skip
        assert f"GenEncWrapper/{name}" in stored
    model = pretrained.load(write_module(tmp_path / "bigbigan", stored), **SMALL)
    assert "encoder and its discriminator are not read" in capsys.readouterr().out
    assert type(model).__name__ == "BigBiGAN" and model.generator_channels == [16, 16, 8]
    z = RNG(1).randn(4, 3 * CHUNK).astype("f4")
    expected = module_image(arrays, z, np.zeros(4, "int64"))
    np.testing.assert_allclose(model(z), expected, atol=2e-5)
    np.testing.assert_allclose(model.generator(z, training=False), expected, atol=2e-5)


def test_a_bigbigan_module_with_classes_is_refused(tmp_path):
    stored, _ = bigbigan_variables()
    for name in stored:
        if "Generator/linear/w" in name:
            stored[name] = np.zeros([3, EMBEDDING], "f4")
    with pytest.raises(BadInput, match="has 3 rows, not one"):
        pretrained.load(write_module(tmp_path / "three", stored))


def test_files_that_are_no_biggan(tmp_path):
    path = tmp_path / "other.bin"
    write_state_dict(path, {"conv.weight": np.zeros([1, 1, 1, 1], "f4")})
    with pytest.raises(BadInput, match="no BigGAN-deep of Hugging Face's form"):
        pretrained.load(path)
    with pytest.raises(BadInput, match="variables cannot be read"):
        pretrained.load(tmp_path)
    other = {"Generator/GenZ/G_linear/w/ema_0.9999": np.zeros([2, 2], "f4")}
    with pytest.raises(BadInput, match="of BigGAN-deep, pytorch_model.bin is read"):
        pretrained.load(write_module(tmp_path / "deep", other))
    arrays = module_arrays()
    del arrays["Generator/GBlock/conv0/u0"]
    with pytest.raises(BadInput, match="lacks 'Generator/GBlock/conv0/u0'"):
        pretrained.load(write_module(tmp_path / "part", arrays))
    arrays = module_arrays()
    arrays["Generator/GBlock/conv0/w"] = np.zeros([3, 3, 2, 2], "f4")
    with pytest.raises(BadInput, match="conv0/w has the shape"):
        pretrained.load(write_module(tmp_path / "shape", arrays))
