"""A Keras user's first tries: each works, or gives one line in the package's words."""

import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import TESTS, tiny

from tfgans import models
from tfgans.errors import BadInput
from tfgans.models import inputs

N, SHAPE = 8, (8, 8, 3)
X = np.random.RandomState(0).uniform(-1, 1, [N, *SHAPE]).astype("float32")
Y = np.arange(N) % 3
SMALL = {
    "wgan_gp": {"n_critic": 1},
    "sngan": {"num_classes": 3, "discriminator_channels": [4, 4, 4, 4]},
    "progan": {"num_classes": 3},
    "stylegan2": {"num_classes": 3},
}


def model(name="wgan_gp", **changes):
    settings = tiny(name, **SMALL.get(name, {}) | {"image_shape": SHAPE} | changes)
    made = models.get(name)(**settings.model)
    made.compile(run_eagerly=True)
    return made


def batches(data, drop_remainder=True):
    return tf.data.Dataset.from_tensor_slices(data).batch(4, drop_remainder=drop_remainder)


def fit(made, data):
    return made.fit(batches(data), steps_per_epoch=1, verbose=0).history


def same(a, b):
    assert a.keys() == b.keys()
    for name, values in a.items():
        np.testing.assert_array_equal(values, b[name], err_msg=name)


# === Batches ===


@pytest.mark.parametrize(
    "data",
    [X, (X,), {"image": X.astype("float64")}, {"image": X, "file": np.arange(N)}],
    ids=["array", "tuple", "float64", "more keys"],
)
def test_forms_of_a_batch(data):
    keras.utils.set_random_seed(0)
    wanted = fit(model(), {"image": X})
    keras.utils.set_random_seed(0)
    same(fit(model(), data), wanted)


@pytest.mark.parametrize(
    "name",
    [
        "sngan",
        pytest.param("progan", marks=pytest.mark.thorough),
        pytest.param("stylegan2", marks=pytest.mark.thorough),
    ],
)
def test_forms_of_labels(name):
    data = {"image": X, "label": Y.astype("int32")}
    vectors = np.eye(3)[Y]
    keras.utils.set_random_seed(0)
    wanted = fit(model(name), data)
    for labels in (Y[:, None], vectors, vectors.astype("int64")):
        keras.utils.set_random_seed(0)
        same(fit(model(name), {"image": X, "label": labels}), wanted)
    keras.utils.set_random_seed(0)
    same(fit(model(name), (X, Y)), wanted)


def test_bytes_are_the_images_that_they_stand_for():
    pixels = np.random.RandomState(0).randint(0, 256, [N, *SHAPE]).astype("uint8")
    keras.utils.set_random_seed(0)
    wanted = fit(model(), {"image": (pixels / 127.5 - 1).astype("float32")})
    keras.utils.set_random_seed(0)
    same(fit(model(), pixels), wanted)


@pytest.mark.parametrize("eager", [True, False])
def test_values_out_of_range_are_refused(eager):
    def try_to_fit(name, data, sentence):
        made = model(name)
        made.compile(run_eagerly=eager)
        with pytest.raises(BadInput, match=sentence) as caught:
            fit(made, data)
        assert "\n" not in str(caught.value)

    try_to_fit("sngan", (X, Y + 1), "from 0 to 2; the least and greatest are 1 3")
    try_to_fit("sngan", (X, Y - 1), "from 0 to 2; the least and greatest are -1 1")
    try_to_fit(
        "wgan_gp",
        127.5 * X,
        r"WGANGP's 'image' is float in \[-1, 1\], or uint8 in 0..255; its largest value",
    )


@pytest.mark.parametrize(
    "name, data, sentence",
    [
        ("wgan_gp", {"images": X}, "'image' is missing. It has 'images'"),
        ("wgan_gp", (X, Y), "this one has 1 parts more.*num_classes"),
        ("wgan_gp", X[:, :4, :4], r"shape \[N, 8, 8, 3\], and this batch \[4, 4, 4, 3\]"),
        ("wgan_gp", X[..., :1], r"this batch \[4, 8, 8, 1\]"),
        ("wgan_gp", X[..., 0], r"this batch \[4, 8, 8\].*one more axis"),
        ("wgan_gp", X.astype("int64"), "float in .* not int64"),
        ("sngan", X, "a dict with 'image', 'label'.*'label' is missing"),
        ("sngan", (X, Y.astype("float32")), r"integers \[N\].*float32 \[4\]"),
        ("sngan", (X, np.eye(4)[Y]), r"vectors \[N, 3\].*float64 \[4, 4\]"),
    ],
)
def test_batches_of_another_kind_are_refused_in_one_line(name, data, sentence):
    with pytest.raises(BadInput, match=sentence) as caught:
        fit(model(name), data)
    assert "\n" not in str(caught.value)


def test_paired_and_unpaired_batches_are_tuples_too():
    for name, keys in (("pix2pix", ("input", "target")), ("cyclegan", ("a", "b"))):
        settings = tiny(name)
        made = models.get(name)(**settings.model)
        shapes = [(4, *made.image_shape)] * 2
        if name == "pix2pix":
            shapes[0] = (*shapes[0][:3], made.input_channels)
        arrays = [np.zeros(shape, "float32") for shape in shapes]
        assert inputs.batch_of(made, tuple(arrays)).keys() == set(keys)
        with pytest.raises(BadInput, match=f"'{keys[1]}' is missing"):
            inputs.batch_of(made, arrays[0])


@pytest.mark.thorough
def test_arrays_are_cut_into_whole_steps():
    made = model(n_critic=3)
    history = made.fit(X, batch_size=2, epochs=2, verbose=0).history  # 6 of 8 in each epoch
    assert len(history["generator/wasserstein"]) == 2 and int(made.step.numpy()) == 2
    made.fit(X, batch_size=2, steps_per_epoch=3, verbose=0)
    assert int(made.step.numpy()) == 5
    labeled = model("sngan", n_critic=1)
    labeled.fit(X, Y.tolist(), batch_size=4, verbose=0)
    labeled.fit([X, Y], batch_size=4, verbose=0)
    assert int(labeled.step.numpy()) == 4
    with pytest.raises(BadInput, match="arrays of one length.*8, 7"):
        labeled.fit(X, Y[:7], batch_size=4, verbose=0)
    with pytest.raises(BadInput, match="fit takes data"):
        made.fit()
    with pytest.raises(BadInput, match="takes 12 examples.*there are 8"):
        made.fit(X, batch_size=4, verbose=0)


# === Keras' other methods ===


def test_one_batch_is_one_step():
    made = model()
    before = made.generator.get_weights()
    terms = made.train_on_batch(X[:4])
    assert terms.keys() >= {"discriminator/penalty", "generator/wasserstein"}
    assert all(type(value) is float for value in terms.values()) and int(made.step.numpy()) == 1
    assert any((a != b).any() for a, b in zip(before, made.generator.get_weights(), strict=True))


def test_the_methods_that_a_game_does_not_have_say_so():
    made = model()
    for word, value in (("validation_data", (X, None)), ("class_weight", {0: 1.0})):
        with pytest.raises(BadInput, match=f"no use for {word}.*tfgans.metrics"):
            made.fit(X, verbose=0, **{word: value})
    assert int(made.step.numpy()) == 0
    for method in (made.evaluate, made.test_on_batch):
        with pytest.raises(BadInput, match="`tfgans evaluate`"):
            method(X)


def test_compile_wants_an_optimizer_for_each_player():
    made, adam = model(), keras.optimizers.Adam()
    for arguments in ({"optimizers": adam}, {"optimizer": adam}, {"loss": "mse"}):
        with pytest.raises(BadInput, match="an optimizer for each player.*'discriminator': ..."):
            made.compile(**arguments)
    with pytest.raises(BadInput, match="a Keras optimizer or a dict of settings, not 'adam'"):
        made.compile({"generator": "adam"})
    with pytest.raises(BadInput, match="give each its own"):
        made.compile({"generator": adam, "discriminator": adam})


@pytest.mark.parametrize("name", ["sngan", "stylegan2"])
def test_predict_on_all_forms_of_two_inputs(name):
    made = model(name)
    z, label = np.random.randn(N, made.latent_dim), Y.astype("int32")
    wanted = made(tf.constant(z, "float32"), label).numpy()
    both = tf.data.Dataset.from_tensor_slices((z.astype("float32"), label)).batch(4)
    named = tf.data.Dataset.from_tensor_slices({"z": z.astype("float32"), "label": label}).batch(4)
    for given in ([z, label], (z, label), {"z": z, "label": label}, both, named):
        np.testing.assert_allclose(made.predict(given, verbose=0), wanted, atol=1e-5)
    with pytest.raises(BadInput, match="No labels were given.*3 classes"):
        made.predict(z, verbose=0)


def test_predict_of_a_translator():
    settings = tiny("pix2pix")
    made = models.get("pix2pix")(**settings.model)
    (name, (signature, _)), *_ = made.directions().items()
    given = np.zeros([3, *signature["input"].shape[1:]], "float32")
    wanted = made.predict(given, verbose=0)
    np.testing.assert_array_equal(wanted, made.predict({"input": given}, verbose=0))
    serve, _ = made.endpoints()["serving_default"]
    np.testing.assert_allclose(wanted, serve(tf.constant(given))["image"], atol=1e-5)


# === Networks in other models ===


@pytest.mark.parametrize("name", ["stylegan2", "progan", "wgan_gp"])
def test_networks_work_symbolically(name):
    made = model(name, num_classes=0) if name != "wgan_gp" else model(name)
    z = np.random.RandomState(0).randn(4, made.latent_dim).astype("float32")
    for network in ("generator", "generator_ema"):
        network = getattr(made, network, made.generator)
        outer = keras.Sequential([keras.Input([made.latent_dim]), network, keras.layers.Flatten()])
        assert outer.output_shape == (None, 8 * 8 * 3)
        images = outer.predict(z, verbose=0).reshape(4, *SHAPE)
        np.testing.assert_allclose(images, network(z), atol=1e-5)
    picture = keras.Input(SHAPE)
    outer = keras.Model(picture, made.discriminator(picture))
    score = outer.predict(X, batch_size=4, verbose=0)
    for k in (0, 4):
        np.testing.assert_allclose(score[k : k + 4], made.discriminator(X[k : k + 4]), atol=1e-4)


def test_summary_tells_the_averaged_network_from_the_live_one(capsys):
    for name in ("stylegan2", "progan"):
        model(name).summary()
        text = capsys.readouterr().out
        assert "generator (" in text and "generator_ema (" in text


# === Use ===


@pytest.mark.parametrize("name", ["stylegan2", "progan"])
def test_samples_stay_in_their_range(name):
    made = model(name)
    for rgb in made.generator_ema.weights:
        if "to_rgb" in rgb.path and rgb.path.endswith("bias"):
            rgb.assign(tf.fill(rgb.shape, 5.0))
    assert made(made_latents(made), Y[:4].astype("int32")).numpy().max() > 1.5
    assert np.abs(made.sample(4, seed=0)).max() == 1.0


def made_latents(made):
    return tf.zeros([4, made.latent_dim]) + 0.1


def test_labels_of_samples_are_checked():
    made = model("stylegan2")
    np.testing.assert_array_equal(
        made.sample(2, seed=0, labels=2), made.sample(2, seed=0, labels=[2, 2])
    )
    for labels, sentence in (
        ([0], "2 images need 2 labels, or one for all; given were 1"),
        ([0, 3], "from 0 to 2; the least and greatest are 0 3"),
        (np.eye(4)[:2], r"vectors \[N, 3\]"),
    ):
        with pytest.raises(BadInput, match=sentence):
            made.sample(2, labels=labels)
    with pytest.raises(BadInput, match="from 0 to 2"):
        made(made_latents(made), Y[:4] + 1)
    for n in (0, 2.5, "4"):
        with pytest.raises(BadInput, match=f"at least 1, not {n!r}"):
            made.sample(n)


# === Settings of Keras ===


@pytest.mark.thorough
def test_settings_in_keras_json(tmp_path):
    """Channels first, another float type and another back end in one file."""
    settings = {"image_data_format": "channels_first", "floatx": "float64", "backend": "jax"}
    (tmp_path / "keras.json").write_text(json.dumps(settings | {"epsilon": 1e-7}))
    code = (
        "import tfgans, keras; from tfgans.config import Config\n"
        "model = tfgans.models.get('dcgan')(**Config.load('dcgan', 'tiny').model)\n"
        "print(model.sample(2).shape, model.sample(2).dtype.name, keras.config.floatx())"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("KERAS")}
    run = [sys.executable, "-c", code]
    done = subprocess.run(
        run, env=clean | {"KERAS_HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(2, 16, 16, 3) float32 float32"
    for word in ("image_data_format to 'channels_last'", "floatx to 'float32'"):
        assert f"tfgans sets Keras' {word}" in done.stderr
    done = subprocess.run(
        run, env=clean | {"KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False
    )
    assert "ImportError: tfgans runs on TensorFlow, and Keras is set to 'jax'" in done.stderr


@pytest.mark.parametrize(
    "setting, wrong, right, sentence",
    [
        ("image_data_format", "channels_first", "channels_last", "set_image_data_format"),
        ("dtype_policy", "float64", "float32", "not 'float64'.*set_dtype_policy"),
    ],
)
def test_settings_that_change_later_are_refused(setting, wrong, right, sentence):
    change = getattr(keras.config, f"set_{setting}")
    try:
        change(wrong)
        with pytest.raises(BadInput, match=sentence):
            model()
    finally:
        change(right)


# === The front door ===


def test_first_code_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (TESTS.parent / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "epochs=100" in code
    photos = np.random.RandomState(0).randint(0, 256, [4 * 5, 32, 32, 3]).astype("uint8")
    exec(code.replace("epochs=100", "epochs=1").replace("batch_size=64", "batch_size=4"), locals())
    assert (tmp_path / "grid.png").exists() and (tmp_path / "mine.keras").exists()
    assert (tmp_path / "saved_models/mine/1/saved_model.pb").exists()


def test_links_of_the_pages_lead_somewhere():
    root = TESTS.parent
    pages = [root / "README.md", root / "CONTRIBUTING.md", *root.glob("docs/*.md")]
    for page in pages:
        text = re.sub(r"`[^`\n]*`", "", page.read_text())
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
