"""The exported model as a server and a stranger see it: no tfgans, the loader of the servers."""

import pathlib
import shutil
import subprocess
import sys

import exported
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2

from tfgans import images, models, random, storage, training
from tfgans.config import Config
from tfgans.models import serving
from tfgans.ops.checking import ensure

SAMPLE = pathlib.Path(__file__).parent.parent / "tools" / "sample.py"


RELEASED = [  # the one with most inputs is part of `make test`
    pytest.param("plain", marks=pytest.mark.thorough),
    "labels",
    pytest.param("half", marks=pytest.mark.thorough),
]


@pytest.fixture(scope="module", params=RELEASED)
def released(request, tmp_path_factory):
    """A release of a small StyleGAN2, and the model it was made of."""
    changes = {
        "plain": [],
        "labels": ["model.num_classes=3"],
        "half": ["train.precision=mixed_bfloat16"],
    }[request.param]
    model = training.build(Config.load("stylegan2", "tiny", changes))
    for layer in model.generator_ema.synthesis.convs[-2:]:
        layer.noise_strength.assign(0.5)
    model.generator_ema.w_avg.assign(np.random.RandomState(1).randn(16))
    root = tmp_path_factory.mktemp(request.param) / "saved_models"
    return model, storage.release(model, "faces", root)


def inputs(model, n=3):
    z = np.random.RandomState(0).randn(n, 16).astype("float32")
    truncation = np.array([1.0, 0.5, 0.0], "float32")[:n]
    if model.num_classes:
        return {"z": z, "label": np.eye(3, dtype="float32")[:n], "truncation": truncation}
    return {"z": z, "truncation": truncation}


def rounding(model, images):
    """Tolerance for a compiled graph: bfloat16 has eight bits."""
    bits = 3e-2 if model.dtype_policy.name == "mixed_bfloat16" else 1e-6
    return bits * np.abs(images).max()


STRANGER = """
import sys
sys.modules["tfgans"] = sys.modules["keras"] = None  # neither may be imported
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
inputs = {k: tf.constant(v) for k, v in np.load(sys.argv[2]).items()}
s = model.signatures
image = s["serving_default"](**inputs)["image"]
again = s["synthesis"](w=s["mapping"](**inputs)["w"])["image"]
one = s["serving_default"](**{k: v[:1] for k, v in inputs.items()})["image"]
sample = s["sample"](seed=tf.constant(5, tf.int64), n=tf.constant(4, tf.int64))["image"]
with tf.GradientTape() as tape:
    tape.watch(inputs["z"])
    energy = tf.reduce_sum(s["serving_default"](**inputs)["image"] ** 2)
gradient = tape.gradient(energy, inputs["z"])
np.savez(sys.argv[3], image=image, again=again, one=one, sample=sample, gradient=gradient,
    uint8=s["uint8"](**inputs)["image"])
"""


def test_a_fresh_process_without_tfgans_gets_the_images_of_keras(released, tmp_path):
    model, folder = released
    given = inputs(model)
    np.savez(tmp_path / "inputs.npz", **given)
    command = [sys.executable, "-c", STRANGER, folder, "inputs.npz", "outputs.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "custom gradients" not in done.stderr
    found = np.load(tmp_path / "outputs.npz")
    z = tf.constant(given["z"])
    with tf.GradientTape() as tape:
        tape.watch(z)
        ours = model(z, label=given.get("label"), truncation=given["truncation"])
        energy = tf.reduce_sum(ours**2)
    gradient, ours = tape.gradient(energy, z).numpy(), ours.numpy()
    np.testing.assert_allclose(found["gradient"], gradient, atol=rounding(model, gradient))
    tolerance = rounding(model, ours)
    np.testing.assert_allclose(found["image"], ours, atol=tolerance)
    np.testing.assert_allclose(found["again"], ours, atol=tolerance)
    np.testing.assert_allclose(found["one"], ours[:1], atol=tolerance)
    np.testing.assert_allclose(found["sample"], model.sample(4, seed=5), atol=tolerance)
    assert found["image"].dtype == np.float32 and found["uint8"].dtype == np.uint8
    np.testing.assert_array_equal(found["uint8"], images.to_uint8(found["image"]))
    # The averaged generator and nothing else: no discriminator, no optimizer, no live weights.
    assert exported.stored(folder) == exported.served(model.generator_ema)


@pytest.mark.thorough
@pytest.mark.parametrize("released", ["labels"], indirect=True)
def test_saved_model_cli_runs_it(released, tmp_path):
    """It loads a SavedModel as the servers do."""
    model, folder = released
    given = inputs(model)
    for name, value in given.items():
        np.save(tmp_path / f"{name}.npy", value)
    tool = pathlib.Path(sys.executable).parent / "saved_model_cli"
    assert tool.exists() or shutil.which("saved_model_cli")
    arguments = ";".join(f"{name}={tmp_path}/{name}.npy" for name in given)
    command = [
        tool if tool.exists() else "saved_model_cli", "run", "--dir", folder, "--tag_set", "serve",
        "--signature_def", "serving_default", "--inputs", arguments, "--outdir", tmp_path / "out",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ours = model(given["z"], label=given.get("label"), truncation=given["truncation"]).numpy()
    found = np.load(tmp_path / "out" / "image.npy")
    np.testing.assert_allclose(found, ours, atol=rounding(model, ours))


def test_a_predict_request_fits_the_signature(released):
    """Names, types and shapes of a gRPC request, checked against what the server will check."""
    model, folder = released
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "faces"
    request.model_spec.signature_name = "serving_default"
    for name, value in inputs(model).items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    request = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signature = proto.meta_graphs[0].signature_def[request.model_spec.signature_name]
    assert set(signature.inputs) == set(request.inputs)
    for name, wanted in signature.inputs.items():
        sent = request.inputs[name]
        assert sent.dtype == wanted.dtype
        shape = [d.size for d in wanted.tensor_shape.dim]
        assert shape[0] == -1 and len(shape) == len(sent.tensor_shape.dim)  # any batch
        assert shape[1:] == [d.size for d in sent.tensor_shape.dim][1:]
    assert set(signature.outputs) == {"image"}
    shape = [d.size for d in signature.outputs["image"].tensor_shape.dim]
    assert shape[1:] == list(model.image_shape)


def test_one_folder_serves_keras_users_and_the_server(released, monkeypatch):
    model, folder = released
    monkeypatch.chdir(folder.parent.parent.parent)
    again = models.load("faces")
    assert not again.compiled
    np.testing.assert_array_equal(again.sample(3, seed=1), model.sample(3, seed=1))
    for path in (folder, folder.parent, folder / "model.keras"):
        np.testing.assert_array_equal(models.load(path).sample(1, seed=1), again.sample(1, seed=1))


def test_versions_count_up_and_the_highest_is_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(storage, "RELEASES", (tmp_path / "saved_models",))
    for seed in range(2):
        settings = Config.load("gan", "tiny", [f"train.seed={seed}"])
        last = training.build(settings)
        assert storage.release(last, "gan") == pathlib.Path(f"saved_models/gan/{seed + 1}")
    np.testing.assert_array_equal(models.load("gan").sample(2, seed=0), last.sample(2, seed=0))
    assert sorted(path.name for path in (tmp_path / "saved_models/gan").iterdir()) == ["1", "2"]
    with pytest.raises(FileNotFoundError, match="Did you mean 'gan'"):
        models.load("gam")
    with pytest.raises(FileNotFoundError, match="`tfgans train --list` names"):
        models.load("dcgan-faces")


def test_a_run_that_saved_nothing_yet_says_so(tmp_path):
    (tmp_path / "run" / "snapshots").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="not saved anything yet"):
        models.load(tmp_path / "run")


@pytest.mark.thorough
def test_every_process_makes_the_same_images(released, tool, tmp_path):
    _, folder = released
    arguments = [folder, "-n", 2, "--seed", 3, "--truncation", 0.7, "--single", "--out"]
    here = tool(tmp_path, "sample", *arguments, "here")
    assert here.returncode == 0, here.stderr
    command = [sys.executable, SAMPLE, *arguments, "there"]
    there = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True)
    assert there.returncode == 0, there.stderr
    ours = [sorted((tmp_path / place).iterdir()) for place in ("here", "there")]
    assert len(ours[0]) == 2
    for a, b in zip(*ours, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_truncation_in_plain_python(released):
    model, _ = released
    flat = model.sample(3, seed=0, truncation=0.0, labels=[0] * 3 if model.num_classes else None)
    np.testing.assert_allclose(flat, np.repeat(flat[:1], 3, axis=0), atol=1e-4)
    full = model.sample(3, seed=0, truncation=1.0)
    # w_avg + (w - w_avg) is w but for rounding, which bfloat16 makes visible.
    half = model.dtype_policy.compute_dtype == "bfloat16"
    np.testing.assert_allclose(full, model.sample(3, seed=0), atol=0.1 if half else 1e-5)
    with random.scope(0):
        z = model.latents(3)
    labels = range(3) if model.num_classes else None
    whole = np.clip(model(z, label=labels), -1, 1)
    np.testing.assert_array_equal(model.sample(3, seed=0), whole)


def test_the_release_that_comes_with_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # found from anywhere
    model = models.load("stylegan2-fashion")
    pictures = model.sample(20, seed=0).numpy()
    assert pictures.shape == (20, 32, 32, 1)
    assert pictures[:, :2, :2].mean() < -0.95  # a piece of clothing on black
    assert pictures.max(axis=(1, 2, 3)).min() > -0.5
    assert np.abs(pictures[0] - pictures[10]).mean() > 0.02  # two of one class
    folder = storage.find("stylegan2-fashion").parent
    served = tf.saved_model.load(str(folder)).signatures["sample"]
    found = served(seed=tf.constant(0, "int64"), n=tf.constant(20, "int64"))["image"]
    np.testing.assert_allclose(np.clip(found, -1, 1), pictures, atol=1e-5)
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 8_000_000


def compiled_by_xla(folder):
    """Names of the functions in a SavedModel that XLA must compile."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    return [f.signature.name for f in functions if f.attr["_XlaMustCompile"].b]


@pytest.mark.parametrize(  # pix2pix draws inside, by dropout
    "name", ["sngan", pytest.param("pix2pix", marks=pytest.mark.thorough)]
)
def test_an_export_for_a_gpu_is_compiled_as_a_whole(name, tmp_path):
    model = training.build(Config.load(name, "tiny"))
    model.export(tmp_path, machine="gpu")
    endpoint = "sample" if name == "sngan" else "translate"
    _, signature = model.endpoints()[endpoint]
    served = tf.saved_model.load(str(tmp_path)).signatures[endpoint]
    for n in (3, 1):  # any number of rows
        given = serving.random_inputs(signature, n)
        made = served(**{word: tf.constant(value) for word, value in given.items()})["image"]
        wanted = model.endpoints()[endpoint][0](*map(tf.constant, given.values()))["image"]
        assert len(made) == n
        np.testing.assert_allclose(made, wanted, atol=1e-5)
    assert len(compiled_by_xla(tmp_path)) >= len(model.endpoints())
    assert (tmp_path / "machine.txt").read_text().startswith("gpu: each endpoint compiled by XLA")


def test_an_endpoint_that_xla_cannot_have_stays_as_it_is_and_is_named(tmp_path, capsys):
    z = tf.TensorSpec([None, 2], name="z")
    endpoints = {
        "twice": (lambda z: {"image": 2.0 * z}, [z]),
        "text": (lambda z: {"text": tf.strings.as_string(z)}, [z]),
    }
    serving.export(endpoints, tmp_path, made_for="gpu")
    assert "text: not compiled for a GPU, XLA says: " in capsys.readouterr().out
    assert (tmp_path / "machine.txt").read_text().endswith("; not compiled: text\n")
    served = tf.saved_model.load(str(tmp_path)).signatures
    assert served["text"](z=tf.ones([1, 2]))["text"].numpy().tolist() == [[b"1.000000"] * 2]
    np.testing.assert_array_equal(served["twice"](z=tf.ones([0, 2]))["image"], np.ones([0, 2]))
    assert len(compiled_by_xla(tmp_path)) == 1


def test_checks_of_values_hold_in_an_export_for_a_gpu(tmp_path):
    """XLA leaves checks out."""

    def halved(z):
        ensure(tf.reduce_all(z < 1.0), "Each z is below 1; the greatest is", tf.reduce_max(z))
        return {"image": z / 2.0}

    serving.export(
        {"half": (halved, [tf.TensorSpec([None, 2], name="z")])}, tmp_path, made_for="gpu"
    )
    assert len(compiled_by_xla(tmp_path)) == 1
    half = tf.saved_model.load(str(tmp_path)).signatures["half"]
    np.testing.assert_array_equal(half(z=tf.zeros([3, 2]))["image"], np.zeros([3, 2]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Each z is below 1.*\[5\]"):
        half(z=tf.fill([3, 2], 5.0))


def test_a_release_says_for_which_machine_it_is_made(released):
    _, folder = released
    assert (folder / "machine.txt").read_text().startswith("cpu: runs at once on every machine")
    assert "machine.txt" in (folder / "model.keras.sha256").read_text()
