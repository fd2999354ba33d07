"""An official file of ProGAN against its networks, written here as its paper's program runs them.

There are no official numbers for these networks. So the official operations stand below, on
weights in the official layout: maps [N, C, H, W] where a dense layer meets them, the doubling
convolution as a transposed one with its kernel summed over four shifts.
"""

import numpy as np
import pytest
import tensorflow as tf
from official import TfutilNetwork
from torch_files import dumps

from tfgans import pretrained
from tfgans.errors import BadInput
from tfgans.models.progan import halve

SIDES, LATENT, CLASSES = (4, 8, 16), 6, 2
CHANNELS = {4: 8, 8: 8, 16: 4}


def variables(fused=True):
    """Random weights of generator and discriminator under the official names."""
    rng = np.random.RandomState(0)

    def layer(name, *shape, units):
        return {
            f"{name}/weight": rng.randn(*shape).astype("f4"),
            f"{name}/bias": (0.1 * rng.randn(units)).astype("f4"),
        }

    g = layer("4x4/Dense", LATENT + CLASSES, 16 * CHANNELS[4], units=CHANNELS[4])
    g |= layer("4x4/Conv", 3, 3, CHANNELS[4], CHANNELS[4], units=CHANNELS[4])
    d = layer("4x4/Conv", 3, 3, CHANNELS[4] + 1, CHANNELS[4], units=CHANNELS[4])
    d |= layer("4x4/Dense0", 16 * CHANNELS[4], CHANNELS[4], units=CHANNELS[4])
    d |= layer("4x4/Dense1", CHANNELS[4], 1 + CLASSES, units=1 + CLASSES)
    for lod, side in enumerate(SIDES[::-1]):
        new, old = CHANNELS[side], CHANNELS.get(side // 2)
        g |= layer(f"ToRGB_lod{lod}", 1, 1, new, 3, units=3)
        d |= layer(f"FromRGB_lod{lod}", 1, 1, 3, new, units=new)
        if side > 4:
            up, down = ("Conv0_up", "Conv1_down") if fused else ("Conv0", "Conv1")
            shape = (3, 3, new, old) if fused else (3, 3, old, new)
            g |= layer(f"{side}x{side}/{up}", *shape, units=new)
            g |= layer(f"{side}x{side}/Conv1", 3, 3, new, new, units=new)
            d |= layer(f"{side}x{side}/Conv0", 3, 3, new, new, units=new)
            d |= layer(f"{side}x{side}/{down}", 3, 3, new, old, units=old)
    return g | {"lod": np.float32(0)}, d | {"lod": np.float32(0)}


def lrelu(x):
    return tf.nn.leaky_relu(x, 0.2)


def norm(x):
    return x / tf.sqrt(tf.reduce_mean(x**2, axis=-1, keepdims=True) + 1e-8)


def conv(v, name, x, gain=2**0.5):
    w = v[f"{name}/weight"]
    return tf.nn.conv2d(x, w * gain / np.prod(w.shape[:-1]) ** 0.5, 1, "SAME") + v[f"{name}/bias"]


def dense(v, name, x, gain):
    w = v[f"{name}/weight"]
    return x @ (w * np.float32(gain / len(w) ** 0.5))


def four_shifts(w):
    w = np.pad(w, [(1, 1), (1, 1), (0, 0), (0, 0)])
    return w[1:, 1:] + w[:-1, 1:] + w[1:, :-1] + w[:-1, :-1]


def official_image(v, z):
    x = tf.reshape(dense(v, "4x4/Dense", norm(z), 2**0.5 / 4), [-1, CHANNELS[4], 4, 4])
    x = norm(lrelu(tf.transpose(x, [0, 2, 3, 1]) + v["4x4/Dense/bias"]))
    x = norm(lrelu(conv(v, "4x4/Conv", x)))
    for side in SIDES[1:]:
        w = v[f"{side}x{side}/Conv0_up/weight"]  # [3, 3, out, in]
        w = four_shifts(w * 2**0.5 / (9 * w.shape[3]) ** 0.5).astype("f4")
        x = tf.nn.conv2d_transpose(x, w, [len(z), side, side, w.shape[2]], 2, "SAME")
        x = norm(lrelu(x + v[f"{side}x{side}/Conv0_up/bias"]))
        x = norm(lrelu(conv(v, f"{side}x{side}/Conv1", x)))
    return conv(v, "ToRGB_lod0", x, gain=1.0)


def official_outputs(v, image):
    x = lrelu(conv(v, "FromRGB_lod0", image))
    for side in SIDES[:0:-1]:
        x = lrelu(conv(v, f"{side}x{side}/Conv0", x))
        x = lrelu(halve(conv(v, f"{side}x{side}/Conv1_down", x)))
    deviation = tf.sqrt(tf.math.reduce_variance(x, axis=0) + 1e-8)  # within one group
    extra = tf.fill([*x.shape[:3], 1], tf.reduce_mean(deviation))
    x = lrelu(conv(v, "4x4/Conv", tf.concat([x, extra], axis=-1)))
    x = tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [len(x), -1])
    x = lrelu(dense(v, "4x4/Dense0", x, 2**0.5) + v["4x4/Dense0/bias"])
    return dense(v, "4x4/Dense1", x, 1.0) + v["4x4/Dense1/bias"]


def write(path, g, d, protocol=4, **static_kwargs):
    live = {name: 0.5 * array for name, array in g.items()}
    networks = (
        TfutilNetwork("G", live, 2, **static_kwargs),
        TfutilNetwork("D", d, 2, **static_kwargs),
        TfutilNetwork("Gs", g, 2, **static_kwargs),
    )
    path.write_bytes(dumps(networks, protocol))
    return path


def test_images_and_scores(tmp_path, capsys):
    g, d = variables()
    path = write(tmp_path / "f.pkl", g, d, 2, mbstd_group_size=16, resolution=16)
    model = pretrained.load(path)
    said = capsys.readouterr().out
    assert "G, D, G_ema of progan" in said and "CC BY-NC 4.0" in said
    assert (model.image_shape, model.latent_dim, model.num_classes) == ((16, 16, 3), 6, 2)
    assert (model.channel_base, model.channel_max, model.minibatch_group) == (64, 8, 16)
    z = tf.random.stateless_normal([4, LATENT], [1, 2])
    label = tf.one_hot([0, 1, 1, 0], CLASSES)
    image = official_image(g, tf.concat([z, label], axis=1))
    np.testing.assert_allclose(model(z, label), image, atol=1e-5 * np.abs(image).max())
    outputs = official_outputs(d, image)
    np.testing.assert_allclose(
        model.discriminator(image), outputs, atol=1e-5 * np.abs(outputs).max()
    )
    np.testing.assert_array_equal(model.generator.bias, 0.5 * g["4x4/Dense/bias"])
    # It goes on where growing ended.
    assert int(model.step) == sum(model.stage_steps)
    model.compile()
    model.make_train_function()
    assert model.stage == len(model.stage_steps) and model.fade is None


def test_the_doubling_kernel_is_turned(tmp_path):
    """Without fused scaling the same network has plain kernels: the images are equal."""
    g, d = variables()
    fused = pretrained.load(write(tmp_path / "fused.pkl", g, d))
    plain = {name.replace("Conv0_up", "Conv0"): array for name, array in g.items()}
    for side in SIDES[1:]:
        w = g[f"{side}x{side}/Conv0_up/weight"]
        plain[f"{side}x{side}/Conv0/weight"] = w[::-1, ::-1].transpose(0, 1, 3, 2)
    others = {name.replace("Conv1_down", "Conv1"): array for name, array in d.items()}
    model = pretrained.load(write(tmp_path / "plain.pkl", plain, others))
    for one, two in zip(fused.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_is_refused_and_said(tmp_path, capsys):
    g, d = variables()
    for options, message in (
        ({"use_pixelnorm": False}, "its use_pixelnorm is False, but our model has True"),
        ({"use_wscale": False}, "its use_wscale is False"),
    ):
        with pytest.raises(BadInput, match=message):
            pretrained.load(write(tmp_path / "f.pkl", g, d, **options))
    old = TfutilNetwork("G", g, 2)
    del old.state["version"]
    (tmp_path / "f.pkl").write_bytes(dumps((old,) * 3))
    with pytest.raises(BadInput, match="Theano"):
        pretrained.load(tmp_path / "f.pkl")
    model = pretrained.load(write(tmp_path / "f.pkl", g | {"lod": np.float32(1)}, d))
    assert "Its growth is not finished: lod 1.00." in capsys.readouterr().out
    assert int(model.step) == 0 and float(model.generator_ema.lod) == 1.0
