"""An official file of StyleGAN against its networks, written here as its paper's program runs them.

There are no official numbers for these networks. So the official operations stand below, on random
weights in the official layout: from 128 pixels a side on, doubling and halving are one operation
with the convolution, with the kernel summed over four shifts; below that they are two.
"""

import numpy as np
import pytest
import tensorflow as tf
from official import Network
from torch_files import dumps

from tfgans import pretrained
from tfgans.errors import BadInput

SIDES, LATENT, STYLE, LAYERS = (4, 8, 16, 32, 64, 128), 6, 5, 2
CHANNELS = {4: 8, 8: 8, 16: 8, 32: 8, 64: 4, 128: 2}
NAMES = [f"{side}x{side}/{word}" for side in SIDES[1:] for word in ("Conv0_up", "Conv1")]
NAMES = ["4x4/Const", "4x4/Conv", *NAMES]


def variables(classes=0):
    """Random weights under the official names: the top, mapping, synthesis, and D."""
    rng = np.random.RandomState(0)

    def draw(*shape, scale=1.0):
        return (scale * rng.randn(*shape)).astype("f4")

    mapping, inputs = {}, LATENT
    if classes:
        mapping["LabelConcat/weight"], inputs = draw(classes, LATENT), 2 * LATENT
    for i in range(LAYERS):
        mapping[f"Dense{i}/weight"] = draw(inputs, STYLE, scale=100)
        mapping[f"Dense{i}/bias"], inputs = draw(STYLE, scale=30), STYLE
    synthesis, old = {"lod": np.float32(0)}, None
    for i, name in enumerate(NAMES):
        side = int(name.partition("x")[0])
        new = CHANNELS[side]
        if i:
            synthesis[f"{name}/weight"] = draw(3, 3, old, new)
        else:
            synthesis[f"{name}/const"] = draw(1, new, 4, 4)
        synthesis[f"{name}/Noise/weight"] = draw(new, scale=0.3)
        synthesis[f"{name}/bias"] = draw(new, scale=0.3)
        synthesis[f"{name}/StyleMod/weight"] = draw(STYLE, 2 * new)
        synthesis[f"{name}/StyleMod/bias"] = draw(2 * new, scale=0.3)
        synthesis[f"noise{i}"], old = draw(1, 1, side, side), new
    d = {"lod": np.float32(0)}
    for lod, side in enumerate(SIDES[::-1]):
        new, less = CHANNELS[side], CHANNELS.get(side // 2)
        synthesis[f"ToRGB_lod{lod}/weight"] = draw(1, 1, new, 3)
        synthesis[f"ToRGB_lod{lod}/bias"] = draw(3, scale=0.3)
        d[f"FromRGB_lod{lod}/weight"], d[f"FromRGB_lod{lod}/bias"] = draw(1, 1, 3, new), draw(new)
        if side > 4:
            for word, count in (("Conv0", new), ("Conv1_down", less)):
                d[f"{side}x{side}/{word}/weight"] = draw(3, 3, new, count)
                d[f"{side}x{side}/{word}/bias"] = draw(count, scale=0.3)
    for word, shape in (
        ("Conv", (3, 3, 9, 8)),
        ("Dense0", (128, 8)),
        ("Dense1", (8, classes or 1)),
    ):
        d[f"4x4/{word}/weight"], d[f"4x4/{word}/bias"] = draw(*shape), draw(shape[-1], scale=0.3)
    return {"dlatent_avg": draw(STYLE)}, mapping, synthesis, d


def write(path, own, mapping, synthesis, d, protocol=2, **static_kwargs):
    def generator(scale):
        parts = {
            "mapping": Network("G_mapping", {k: scale * v for k, v in mapping.items()}, 3),
            "synthesis": Network("G_synthesis", {k: scale * v for k, v in synthesis.items()}, 3),
        }
        return Network("G", {k: scale * v for k, v in own.items()}, 3, parts, **static_kwargs)

    networks = generator(np.float32(0.5)), Network("D", d, 3, **static_kwargs), generator(1)
    path.write_bytes(dumps(networks, protocol))
    return path


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x).astype("f4")


def scaled(w, gain=2**0.5):
    return (w * gain / np.prod(w.shape[:-1]) ** 0.5).astype("f4")


def four_shifts(w):
    w = np.pad(w, [(1, 1), (1, 1), (0, 0), (0, 0)])
    return w[1:, 1:] + w[:-1, 1:] + w[1:, :-1] + w[:-1, :-1]


def blur(x):
    taps = np.outer([1, 2, 1], [1, 2, 1]).astype("f4") / 16
    taps = np.tile(taps[:, :, None, None], [1, 1, x.shape[3], 1])
    return tf.nn.depthwise_conv2d(x, taps, [1, 1, 1, 1], "SAME")


def official_w(v, z, label=None):
    x = z if label is None else np.concatenate([z, label @ v["LabelConcat/weight"]], axis=1)
    x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-8)
    for i in range(LAYERS):
        x = x @ (0.01 * scaled(v[f"Dense{i}/weight"])) + 0.01 * v[f"Dense{i}/bias"]
        x = lrelu(x)
    return x


def official_image(v, ws, fused_from=128):
    x = np.repeat(v["4x4/Const/const"].transpose(0, 2, 3, 1), len(ws), axis=0)
    for i, name in enumerate(NAMES):
        side = int(name.partition("x")[0])
        if i:
            w = scaled(v[f"{name}/weight"])
        if name.endswith("_up") and side >= fused_from:
            kernel = four_shifts(w.transpose(0, 1, 3, 2))
            shape = [len(ws), side, side, w.shape[3]]
            x = blur(tf.nn.conv2d_transpose(x, kernel, shape, 2, "SAME"))
        elif name.endswith("_up"):
            x = blur(tf.nn.conv2d(np.repeat(np.repeat(x, 2, 1), 2, 2), w, 1, "SAME"))
        elif i:
            x = tf.nn.conv2d(x, w, 1, "SAME")
        noise = v[f"noise{i}"].transpose(0, 2, 3, 1)
        x = lrelu(np.asarray(x) + noise * v[f"{name}/Noise/weight"] + v[f"{name}/bias"])
        x = x - x.mean(axis=(1, 2), keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=(1, 2), keepdims=True) + 1e-8)
        style = ws[:, i] @ scaled(v[f"{name}/StyleMod/weight"], 1.0) + v[f"{name}/StyleMod/bias"]
        style = style.reshape(len(ws), 2, 1, 1, -1)
        x = (x * (style[:, 0] + 1) + style[:, 1]).astype("f4")
    return x @ scaled(v["ToRGB_lod0/weight"], 1.0)[0, 0] + v["ToRGB_lod0/bias"]


def official_scores(v, image, fused_from=128):
    x = lrelu(image @ scaled(v["FromRGB_lod0/weight"])[0, 0] + v["FromRGB_lod0/bias"])
    for side in SIDES[:0:-1]:
        w = scaled(v[f"{side}x{side}/Conv0/weight"])
        x = blur(lrelu(np.asarray(tf.nn.conv2d(x, w, 1, "SAME")) + v[f"{side}x{side}/Conv0/bias"]))
        w = scaled(v[f"{side}x{side}/Conv1_down/weight"])
        if side >= fused_from:
            x = tf.nn.conv2d(x, four_shifts(w) * np.float32(0.25), 2, "SAME")
        else:
            x = tf.nn.avg_pool2d(tf.nn.conv2d(x, w, 1, "SAME"), 2, 2, "VALID")
        x = lrelu(np.asarray(x) + v[f"{side}x{side}/Conv1_down/bias"])
    deviation = np.sqrt(x.var(axis=0) + 1e-8).mean()  # one group
    x = np.concatenate([x, np.full([*x.shape[:3], 1], deviation, "f4")], axis=3)
    x = lrelu(
        np.asarray(tf.nn.conv2d(x, scaled(v["4x4/Conv/weight"]), 1, "SAME")) + v["4x4/Conv/bias"]
    )
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    x = lrelu(x @ scaled(v["4x4/Dense0/weight"]) + v["4x4/Dense0/bias"])
    return x @ scaled(v["4x4/Dense1/weight"], 1.0) + v["4x4/Dense1/bias"]


def assert_close(ours, official):
    np.testing.assert_allclose(ours, official, atol=1e-5 * np.abs(official).max())


@pytest.mark.parametrize("classes", [0, 3])
def test_images_and_scores(classes, tmp_path, capsys):
    own, mapping, synthesis, d = variables(classes)
    file = write(tmp_path / "f.pkl", own, mapping, synthesis, d, mbstd_group_size=4)
    model = pretrained.load(file, r1_gamma=3.0)
    said = capsys.readouterr().out
    assert "G, D, G_ema of stylegan." in said and "CC BY-NC 4.0" in said
    assert model.image_shape == (128, 128, 3) and model.num_classes == classes
    assert (model.latent_dim, model.style_dim, model.mapping_layers) == (LATENT, STYLE, LAYERS)
    assert (model.channel_base, model.channel_max, model.minibatch_group) == (256, 8, 4)
    assert (model.w_avg_decay, model.truncated_layers, model.r1_gamma) == (0.995, 8, 3.0)
    rng = np.random.RandomState(1)
    z = rng.randn(4, LATENT).astype("f4")
    label = np.eye(3, dtype="f4")[[0, 2, 1, 0]] if classes else None
    w = official_w(mapping, z, label)
    ws = np.repeat(w[:, None], 12, axis=1)
    truncated = ws.copy()
    truncated[:, :8] = own["dlatent_avg"] + 0.7 * (ws[:, :8] - own["dlatent_avg"])
    image = official_image(synthesis, ws)
    assert_close(model.generator_ema.mapping(tf.constant(z), label=label), w)
    assert_close(model(z, label), image)
    assert_close(model(z, label, truncation=0.7), official_image(synthesis, truncated))
    wrong = official_image(synthesis, ws, fused_from=64)  # the turned kernel matters
    assert np.abs(wrong - image).max() > 0.1 * np.abs(image).max()
    assert_close(model.discriminator(image), official_scores(d, image.astype("f4")))
    live = model.generator.synthesis
    np.testing.assert_array_equal(live.convs[1].bias, 0.5 * synthesis["4x4/Conv/bias"])
    # It goes on where growing ended, at the rate of that resolution.
    assert int(model.step) == sum(model.stage_steps)
    model.compile()
    model.make_train_function()
    assert model.stage == len(model.stage_steps) and model.fade is None
    assert float(model.optimizers["generator"].learning_rate) == pytest.approx(0.0015)


@pytest.mark.parametrize("fused, first", [(True, 0), (False, 1000)])
def test_programs_that_fuse_all_or_no_doublings(fused, first, tmp_path):
    own, mapping, synthesis, d = variables()
    file = write(tmp_path / "f.pkl", own, mapping, synthesis, d, 4, fused_scale=fused)
    model = pretrained.load(file)
    z = np.random.RandomState(1).randn(2, LATENT).astype("f4")
    ws = np.repeat(official_w(mapping, z)[:, None], 12, axis=1)
    assert_close(model(z), official_image(synthesis, ws, fused_from=first))


def test_what_is_refused_and_said(tmp_path, capsys):
    own, mapping, synthesis, d = variables()
    for options, message in (
        ({"use_pixel_norm": True}, "its use_pixel_norm is True, but our model has False"),
        ({"use_instance_norm": False}, "its use_instance_norm is False"),
        ({"mapping_lrmul": 1.0}, "multiplier of its mapping network is 1.0, not 0.01"),
        ({"blur_filter": None}, "low-pass filter"),
    ):
        with pytest.raises(BadInput, match=message):
            pretrained.load(write(tmp_path / "f.pkl", own, mapping, synthesis, d, **options))
    for change, message in (
        ({"noise3": np.zeros([1, 1, 4, 4], "f4")}, "noise3 has the shape"),
        ({"extra": np.zeros(3, "f4")}, "holds 'synthesis/extra'"),
        ({"4x4/Const/bias": np.zeros(7, "f4")}, "the other arrays imply"),
    ):
        with pytest.raises(BadInput, match=message):
            pretrained.load(write(tmp_path / "f.pkl", own, mapping, synthesis | change, d))
    lacking = {k: v for k, v in synthesis.items() if k != "64x64/Conv1/StyleMod/bias"}
    with pytest.raises(BadInput, match="lacks 'synthesis/64x64/Conv1/StyleMod/bias'"):
        pretrained.load(write(tmp_path / "f.pkl", own, mapping, lacking, d))
    growing = synthesis | {"lod": np.float32(1.5)}
    model = pretrained.load(write(tmp_path / "f.pkl", own, mapping, growing, d))
    assert "Its growth is not finished: lod 1.50." in capsys.readouterr().out
    assert int(model.step) == 0 and float(model.generator_ema.synthesis.lod) == 1.5


def test_a_hostile_class_in_such_a_file_is_refused(tmp_path):
    path = write(tmp_path / "f.pkl", *variables())
    data = path.read_bytes()
    for name in (b"dnnlib.tflib.network\nNetwork", b"numpy.core.multiarray\n_reconstruct"):
        found = name if name in data else name.replace(b"numpy.core", b"numpy._core")
        path.write_bytes(data.replace(found, b"os\nsystem", 1))
        with pytest.raises(BadInput, match="asks for 'os.system'"):
            pretrained.load(path)
