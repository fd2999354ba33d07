"""Official files of StyleGAN2, in every form, against the numbers of the official implementation.

The reference files hold weights and the outputs of the official networks. The weights are
written as an official file, the file is loaded, and the model must make the same images.
"""

import numpy as np
import pytest
import tensorflow as tf
from cases import LIMIT, case, error, to_nchw, weights_of
from official import (
    Network,
    tensorflow_discriminator,
    tensorflow_generator,
    torch_network,
    torch_pickle,
)
from torch_files import dumps

from tfgans import models, pretrained
from tfgans.errors import BadInput
from tfgans.ops.resample import upsample

CASES = [  # generator, discriminator; protocols in PyTorch's form, in TensorFlow's (None: not)
    ("generator_skip_32/map2", "discriminator_resnet_32/resnet", 2, None),
    ("generator_skip_32/map2", "discriminator_mbstd_32/no_mbstd", 4, None),
    ("generator_skip_32/map8", "discriminator_variants_32/skip", 3, 4),
    ("generator_skip_32/cond", "discriminator_resnet_32/cond", 4, 5),
    ("generator_variants_32/resnet", "discriminator_variants_32/orig", 5, 2),
    ("generator_variants_32/orig", "discriminator_mbstd_32/mbstd_all", 4, 4),
    ("generator_variants_32/clamped", "discriminator_variants_32/clamped", 4, 3),
    ("generator_variants_32/gray", None, 4, None),
]


def other(weights):
    """Weights that differ from the averaged ones: a file holds both."""
    return {name: value * np.float32(1.5) for name, value in weights.items()}


RUNS = [(*pair, "pytorch", protocol) for *pair, protocol, _ in CASES]
RUNS += [(*pair, "tensorflow", protocol) for *pair, _, protocol in CASES if protocol]


def of(run):
    """Runs of both forms with labels are part of `make test`; the others of `make test-rest`."""
    return pytest.param(*run, marks=[pytest.mark.thorough] * (not run[0].endswith("cond")))


@pytest.mark.parametrize("g_case, d_case, form, protocol", [of(run) for run in RUNS])
def test_images_and_scores(g_case, d_case, form, protocol, tmp_path):
    g, g_weights, g_settings = case(*g_case.split("/"))
    clamp = g_settings["synthesis_kwargs"].get("conv_clamp")
    live = other(g_weights)
    d_weights, group, features = None, 4, 1
    if d_case:
        d, d_weights, d_settings = case(*d_case.split("/"))
        epilogue = d_settings.get("epilogue_kwargs", {})
        group = epilogue.get("mbstd_group_size", 4)
        features = epilogue.get("mbstd_num_channels", 1)
    path = tmp_path / "official.pkl"
    if form == "pytorch":
        live |= {name: g_weights[name] for name in live if name.endswith("resample_filter")}
        networks = {
            "G": torch_network("Generator", live, clamp),
            "G_ema": torch_network("Generator", g_weights, clamp),
        }
        if d_case:
            networks["D"] = torch_network("Discriminator", d_weights, clamp, group, features)
        path.write_bytes(torch_pickle(networks, protocol))
    else:
        options = {"conv_clamp": clamp, "label_size": g_settings["c_dim"]}
        d_options = {"mbstd_group_size": group, "mapping_layers": 8, "mapping_lrmul": 0.01}
        networks = (
            tensorflow_generator(live, dlatent_avg_beta=0.998, **options),
            tensorflow_discriminator(d_weights, **options, **d_options),
            tensorflow_generator(g_weights, dlatent_avg_beta=0.998, **options),
        )
        path.write_bytes(dumps(networks, protocol))

    model = pretrained.load(path)
    label = tf.constant(g["c"]) if g_settings["c_dim"] else None
    z = tf.constant(g["z"])
    generator = model.generator_ema
    ws = generator.styles(z, label)
    assert error(ws[:, 0], g["w"]) < LIMIT
    assert error(to_nchw(generator.synthesis(ws, noise="const")), g["img_const"]) < LIMIT
    assert error(to_nchw(generator.synthesis(ws, noise="none")), g["img_none"]) < LIMIT
    np.testing.assert_array_equal(generator.w_avg, g_weights["mapping.w_avg"])
    np.testing.assert_array_equal(model.generator.w_avg, live["mapping.w_avg"])
    kernel = live["synthesis.b8.conv0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.generator.synthesis.convs[1].kernel, kernel)
    if d_case:
        label = tf.constant(d["c"]) if d_settings["c_dim"] else None
        score = model.discriminator(tf.constant(np.transpose(d["img"], (0, 2, 3, 1))), label=label)
        assert error(score, d["logits"]) < LIMIT
        assert model.discriminator_architecture == d_settings["architecture"]
        assert model.minibatch_features == features
        assert not features or model.minibatch_group == group
    assert model.image_shape == (32, 32, g_settings["img_channels"])
    assert (model.num_classes, model.conv_clamp) == (g_settings["c_dim"], clamp)
    assert (model.channel_base, model.channel_max) == (512, 32)
    assert (model.latent_dim, model.style_dim) == (32, 32)
    assert model.mapping_layers == g_settings["mapping_kwargs"]["num_layers"]
    assert model.generator_architecture == g_settings["synthesis_kwargs"]["architecture"]
    assert model.w_avg_decay == 0.998


@pytest.mark.thorough
@pytest.mark.parametrize("form", ["pytorch", "tensorflow"])
@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_networks_with_an_alpha_channel(form, architecture, tmp_path):
    """The reference networks with a fourth channel that is a copy of the first.

    G makes the official RGB and red again; D, which halves what it takes of both reds, judges such
    images as the official one does theirs.
    """
    g_case = {"skip": "generator_skip_32/map2", "resnet": "generator_variants_32/resnet"}
    d_case = {"skip": "discriminator_variants_32/skip", "resnet": "discriminator_resnet_32/resnet"}
    g, g_weights, _ = case(*g_case[architecture].split("/"))
    d, d_weights, _ = case(*d_case[architecture].split("/"))
    for name, value in g_weights.items():
        if name.endswith(("torgb.weight", "torgb.bias")):
            g_weights[name] = np.concatenate([value, value[:1]])
    for name, value in d_weights.items():
        if name.endswith("fromrgb.weight"):  # its gain is 1 / sqrt(channels)
            halved = value * np.float32([0.5, 1, 1])[:, None, None] * np.float32(4 / 3) ** 0.5
            d_weights[name] = np.concatenate([halved, halved[:, :1]], axis=1)
    path = tmp_path / "official.pkl"
    if form == "pytorch":
        networks = {
            "G_ema": torch_network("Generator", g_weights),
            "D": torch_network("Discriminator", d_weights),
        }
        path.write_bytes(torch_pickle(networks))
    else:
        tensorflow_file(path, g_weights, d_weights, mbstd_group_size=4)
    model = pretrained.load(path)
    assert model.image_shape == (32, 32, 4)
    images = to_nchw(model(tf.constant(g["z"])))
    assert error(images[:, :3], g["img_const"]) < LIMIT
    np.testing.assert_allclose(images[:, 3], images[:, 0], rtol=1e-6, atol=1e-6)
    real = np.concatenate([d["img"], d["img"][:, :1]], axis=1)
    scores = model.discriminator(tf.constant(np.transpose(real, (0, 2, 3, 1))))
    assert error(scores, d["logits"]) < LIMIT
    assert model.sample(2, seed=0).shape == (2, 32, 32, 4)


def tensorflow_file(path, g_weights, d_weights, **options):
    networks = [tensorflow_generator(g_weights, **options) for _ in range(2)]
    networks.insert(1, tensorflow_discriminator(d_weights, **options))
    path.write_bytes(dumps(tuple(networks)))
    return path


def test_tensorflow_keeps_up_sampling_kernels_as_correlations(tmp_path):
    """The layer there is FIR up-sampling, then a correlation with the stored kernel."""
    g_weights, d_weights = weights_of()
    model = pretrained.load(tensorflow_file(tmp_path / "f.pkl", g_weights, d_weights))
    conv = model.generator.synthesis.convs[1]
    network = tensorflow_generator(g_weights)
    stored = dict(network.state["components"]["synthesis"].state["variables"])
    kernel = np.ascontiguousarray(stored["8x8/Conv0_up/weight"])
    x = tf.random.stateless_normal([2, 4, 4, 32], [1, 2])
    w = tf.random.stateless_normal([2, 32], [3, 4])
    style = conv.affine(w)
    energy = np.einsum("hwio,ni->no", kernel**2, style.numpy() ** 2)
    wanted = tf.nn.conv2d(upsample(x * style[:, None, None]), kernel, 1, "SAME")
    wanted = wanted / np.sqrt(energy + 1e-8)[:, None, None]
    wanted = tf.nn.leaky_relu(wanted + conv.bias, 0.2) * 2**0.5
    ours = conv(x, w, conv.noise_image(2, "none"))
    inside = slice(2, -2)  # the padding is done once, or twice
    assert error(ours[:, inside, inside], wanted[:, inside, inside].numpy()) < LIMIT


def test_networks_that_grew_are_the_plain_architecture(tmp_path):
    g_weights, d_weights = weights_of(
        "generator_variants_32/orig", "discriminator_variants_32/orig"
    )
    path = tensorflow_file(tmp_path / "f.pkl", g_weights, d_weights, version=4, grown=True)
    model = pretrained.load(path)
    assert model.generator_architecture == model.discriminator_architecture == "orig"
    assert model.minibatch_group == 4  # the default of the code of 2019
    g = case("generator_variants_32", "orig")[0]
    images = model(tf.constant(g["z"]))
    assert error(to_nchw(images), g["img_const"]) < LIMIT


def test_a_label_mapping_without_layers(tmp_path):
    """The conditional networks of the code of 2020 have one, and so has the official CIFAR-10."""
    g_weights, d_weights = weights_of("generator_skip_32/cond", "discriminator_resnet_32/cond")
    d_weights = {k: v for k, v in d_weights.items() if not k.startswith("mapping.fc")}
    model = pretrained.load(tensorflow_file(tmp_path / "f.pkl", g_weights, d_weights))
    label = tf.one_hot([0, 2], 3)
    code = model.discriminator.mapping(label=label)
    embedded = label.numpy() @ d_weights["mapping.embed.weight"].T / 3**0.5
    embedded += d_weights["mapping.embed.bias"]
    embedded /= np.sqrt((embedded**2).mean(axis=1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(code, embedded, rtol=1e-5, atol=1e-6)


def test_what_is_missing_is_said(tmp_path, capsys):
    g_weights, d_weights = weights_of()
    path = tmp_path / "f.pkl"
    path.write_bytes(torch_pickle({"G_ema": torch_network("Generator", g_weights)}))
    model = pretrained.load(path, r1_gamma=3.0)
    said = capsys.readouterr().out
    assert "G_ema of stylegan2" in said and "There is no D; it starts from random weights." in said
    assert "There is no G; G_ema replaces it." in said
    assert "image_shape=(32, 32, 3)" in said and "Nvidia Source Code License" in said
    assert model.r1_gamma == 3.0
    for live, mean in zip(model.generator.weights, model.generator_ema.weights, strict=True):
        np.testing.assert_array_equal(live, mean)

    networks = {
        "G_ema": torch_network("Generator", g_weights),
        "D": torch_network("Discriminator", d_weights, clamp=256),
    }
    path.write_bytes(torch_pickle(networks))
    pretrained.load(path)
    said = capsys.readouterr().out
    assert "D starts from random weights: its conv_clamp differs from G's." in said


def refusal(tmp_path, data):
    path = tmp_path / "f.pkl"
    path.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        pretrained.load(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_other_networks_are_refused(tmp_path):
    g_weights, d_weights = weights_of()

    def changed(layer, **state):
        network = torch_network("Generator", g_weights)
        found = network
        for word in layer.split("."):
            found = found.state["_modules"][word]
        found.state |= state
        return refusal(tmp_path, torch_pickle({"G_ema": network}))

    assert "has the activation 'relu'" in changed("synthesis.b8.conv0", activation="relu")
    assert "multiplier of its mapping network is 1" in changed("mapping.fc0", bias_gain=1)
    assert "differ in their clamps" in changed("synthesis.b8.conv0", conv_clamp=1.0)

    def edited(name, value):
        network = torch_network("Generator", g_weights | {name: value})
        return refusal(tmp_path, torch_pickle({"G_ema": network}))

    assert "low-pass filter" in edited("synthesis.b8.resample_filter", np.eye(4, dtype="f4"))
    assert "synthesis.b8.extra" in edited("synthesis.b8.extra", np.zeros(3, "f4"))
    assert "synthesis.b8.conv1.bias has the shape (7,)" in edited(
        "synthesis.b8.conv1.bias", np.zeros(7, "f4")
    )
    assert "its channels" in edited("synthesis.b8.conv1.weight", np.zeros([9, 9, 3, 3], "f4"))
    lacking = {k: v for k, v in g_weights.items() if k != "synthesis.b8.conv1.noise_const"}
    file = torch_pickle({"G_ema": torch_network("Generator", lacking)})
    assert "lacks 'synthesis.b8.conv1.noise_const', which" in refusal(tmp_path, file)

    labels = {"mapping": Network("G_mapping", {"LabelConcat/weight": np.zeros(2)}, 4)}
    summed = tuple(Network(name, {}, 4, labels) for name in ("G", "D", "Gs"))
    assert "it uses labels as the code of 2019" in refusal(tmp_path, dumps(summed))
    assert "neither a dict with G_ema nor a tuple" in refusal(tmp_path, dumps({"a": 1}))


def test_models_load_names_the_way(tmp_path):
    with pytest.raises(BadInput, match=r"tfgans.pretrained.load\('.*ffhq.pkl'\)"):
        models.load(tmp_path / "ffhq.pkl")
