"""Releases with files for TFLite: proved against Keras, or named with the reason.

`make test-extras` does this with ONNX (tests/extras/test_onnx.py), whose packages `dev` lacks.
"""

import importlib.util
import warnings

import numpy as np
import pytest
import tensorflow as tf
from pages import python_of, run

from tfgans import models, storage, training
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.models import runtimes, serving


def tiny(name, *changes):
    return training.build(Config.load(name, "tiny", list(changes)))


def interpreted(path, **given):
    with warnings.catch_warnings(action="ignore"):
        interpreter = tf.lite.Interpreter(str(path))
    return interpreter.get_signature_runner()(**given)


@pytest.fixture(scope="module")
def exported(tool, tmp_path_factory):
    """A release of dcgan that the tool made, and all that it printed."""
    folder = tmp_path_factory.mktemp("exported")
    storage.save(tiny("dcgan"), folder / "made.keras")
    done = tool(folder, "export", "made.keras", "d", "--to", "tflite", "tflite")
    assert done.returncode == 0, done.stderr
    return folder / "saved_models" / "d" / "1", done.stdout


def test_a_release_holds_a_file_for_each_endpoint(exported):
    folder, printed = exported
    names = {path.name for path in (folder / "tflite").iterdir()}
    assert names == {"serving_default.tflite", "uint8.tflite", "sample.tflite"}
    assert printed.count("as Keras") == 3 and printed.rstrip().endswith("saved_models/d/1")
    assert "tflite/sample.tflite" in (folder / "model.keras.sha256").read_text()
    assert (folder / "saved_model.pb").is_file()


def test_the_files_make_the_images_of_keras_from_latents_and_seeds(exported):
    folder, _ = exported
    model = models.load(folder)
    z = np.random.RandomState(0).randn(5, model.latent_dim).astype("float32")
    found = interpreted(folder / "tflite" / "serving_default.tflite", z=z)["image"]
    np.testing.assert_allclose(found, model(z), rtol=0, atol=1e-7)
    seed, n = np.int64(2**40 - 3), np.int64(4)
    found = interpreted(folder / "tflite" / "sample.tflite", seed=seed, n=n)["image"]
    np.testing.assert_allclose(found, model.sample(4, seed=2**40 - 3), rtol=0, atol=1e-7)


def test_python_of_the_page_on_run_times(exported, monkeypatch):
    """The block of TFLite; that of ONNX is run by tests/extras/test_onnx.py."""
    folder, _ = exported
    monkeypatch.chdir(folder.parents[2])
    names = {"np": np}
    with warnings.catch_warnings(action="ignore"):  # that the interpreter moves to a package
        run(python_of("runtimes")[1], names, **{"dcgan/1": "d/1"})
    wanted = models.load(folder).sample(16, seed=0)
    np.testing.assert_allclose(names["images"], wanted, rtol=0, atol=1e-7)


@pytest.mark.thorough
def test_noise_of_a_translation_follows_its_seed(tmp_path):
    model = tiny("pix2pix")
    model.export(tmp_path, to=["tflite"])
    shape = model.endpoints()["translate"][1][0].shape[1:]
    image = np.random.RandomState(0).uniform(-1, 1, (2, *shape)).astype("float32")
    made = [
        interpreted(tmp_path / "tflite" / "translate.tflite", image=image, seed=np.int64(seed))
        for seed in (1, 2)
    ]
    for seed, found in zip((1, 2), made, strict=True):
        wanted = model.translate(image, seed=seed)
        np.testing.assert_allclose(found["image"], wanted, rtol=0, atol=1e-5)
    assert np.abs(made[0]["image"] - made[1]["image"]).max() > 1e-3


@pytest.mark.thorough
def test_half_precision_becomes_float32():
    model = tiny("dcgan", "train.precision=mixed_bfloat16")
    found = list(runtimes.converted(model, ["tflite"]))
    assert [content is not None for _, _, content, _ in found] == [True] * 3


@pytest.mark.thorough
def test_an_endpoint_that_cannot_be_had_is_named_and_the_rest_written(
    tmp_path, monkeypatch, capsys
):
    model = tiny("gan")
    matrix = tf.TensorSpec([None, 3, 3], name="matrix")
    own = type(model).endpoints

    def endpoints(self):
        return own(self) | {"det": (lambda m: {"det": tf.linalg.det(m)}, [matrix])}

    monkeypatch.setattr(type(model), "endpoints", endpoints)
    folder = storage.release(model, "gan", tmp_path, to=["tflite"])
    assert "tflite, det: not written, TFLite has no MatrixDeterminant" in capsys.readouterr().out
    assert {path.stem for path in (folder / "tflite").iterdir()} == set(own(model))


@pytest.mark.thorough
@pytest.mark.parametrize("planted", ["weights", "rows"])
def test_a_file_that_does_other_than_keras_is_refused(planted, tmp_path, monkeypatch):
    """Nothing is left of a release for which a run time has no file."""
    model, export = tiny("gan"), serving.export
    own = type(model).endpoints

    def endpoints(self):
        return {"serving_default": own(self)["serving_default"]}

    def wrong(given, path, plain=False, made_for="cpu"):
        def changed(function):
            def of(*given):
                made = function(*given)["image"]
                if planted == "rows":
                    return {"image": made[:1]}
                return {"image": made + 0.01}

            return of

        if plain:
            function, signature = given["serving_default"]
            given = {"serving_default": (changed(function), signature)}
        export(given, path, plain)

    monkeypatch.setattr(serving, "export", wrong)
    monkeypatch.setattr(type(model), "endpoints", endpoints)
    message = "differs from that of Keras by 1.0e-02" if planted == "weights" else r"\[1, "
    with pytest.raises(BadInput, match=message):
        storage.release(model, "gan", tmp_path, to=["tflite"])
    assert not list((tmp_path / "gan").iterdir())


def test_missing_packages_are_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r'tf2onnx and onnxruntime.*"tfgans\[onnx\]"'):
        tiny("gan").export(tmp_path / "1", to=["onnx"])
    assert not list(tmp_path.iterdir())


def test_an_unknown_run_time_is_refused(tool, tmp_path):
    done = tool(tmp_path, "export", "a", "b", "--to", "coreml")
    assert done.returncode == 2 and "onnx" in done.stderr
