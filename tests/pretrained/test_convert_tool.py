"""`tools/convert.py` as a person runs it: a release that serves, a run that goes on."""

import pathlib
import runpy
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from cases import LIMIT, error, small_weights
from official import torch_network, torch_pickle

from tfgans import models, pretrained, training
from tfgans.config import Config
from tfgans.errors import BadInput

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "convert.py"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("convert")
    g, average, d = small_weights()
    networks = {
        "G": torch_network("Generator", g),
        "D": torch_network("Discriminator", d),
        "G_ema": torch_network("Generator", average),
    }
    (folder / "faces.pkl").write_bytes(torch_pickle(networks))
    options = ["--run", "runs/faces", "--set", "r1_gamma=0.5", "--set", "path_length_weight=0.0"]
    command = [sys.executable, str(TOOL), "faces.pkl", *options]
    return folder, subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_release(converted):
    folder, done = converted
    assert done.returncode == 0, done.stderr
    assert "faces.pkl: G_ema, G, D of stylegan2." in done.stdout
    assert "image_shape=(8, 8, 3)" in done.stdout and "architecture='skip'" in done.stdout
    assert "Nvidia Source Code License" in done.stdout
    assert "Written: saved_models/faces/1, a SavedModel to serve, and saved_mo" in done.stdout
    wanted = pretrained.load(folder / "faces.pkl")
    z = tf.random.stateless_normal([3, 32], [1, 2])
    release = folder / "saved_models" / "faces"
    served = tf.saved_model.load(str(release / "1")).signatures["serving_default"]
    image = served(z=z, truncation=tf.fill([3], 0.7))["image"]
    assert error(image, wanted(z, truncation=0.7)) < LIMIT
    model = models.load(release)
    for ours, theirs in zip(model.weights, wanted.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert model.r1_gamma == 0.5


@pytest.mark.thorough
def test_training_goes_on(converted):
    folder, done = converted
    assert "tools/train.py runs/faces/start.yaml --run runs/faces --data PATH" in done.stdout
    run = folder / "runs" / "faces"
    changes = ("train.steps=1", "data.batch_size=4", "data.path=synthetic", "data.flip=false")
    settings = Config.load(run / "start.yaml", None, changes)
    assert settings.model["r1_gamma"] == 0.5 and settings.model["channel_max"] == 32
    assert training.train(settings, run)
    model = models.load(run)
    assert int(model.step) == 1 and model.r1_gamma == 0.5

    def kernel(weights, name):
        return weights[f"{name}.weight"].transpose(2, 3, 1, 0)

    # Adam's first step is its learning rate, for each weight. R1 makes a second one of D, at most
    # 2^0.5 times as long.
    g, average, d = small_weights()
    live = model.generator.synthesis.convs[1].kernel.numpy()
    moved = np.abs(live - kernel(g, "synthesis.b8.conv0")).max()
    np.testing.assert_allclose(moved, 0.002 * 4 / 5, rtol=0.01)
    moved = np.abs(model.discriminator.conv.kernel.numpy() - kernel(d, "b4.conv")).max()
    assert 0 < moved < 2.42 * 0.002 * 16 / 17
    decay = 0.5 ** (4 / 10_000)
    wanted = decay * kernel(average, "synthesis.b8.conv0") + (1 - decay) * live
    mean = model.generator_ema.synthesis.convs[1].kernel.numpy()
    np.testing.assert_allclose(mean, wanted, atol=1e-5)


def test_errors_are_one_line(converted, monkeypatch):
    folder, _ = converted
    monkeypatch.chdir(folder)
    pathlib.Path("bad.pkl").write_bytes(b"\x80\x04cos\nsystem\n\x8c\x04echo\x85R.")
    for args, words in (
        (["bad.pkl"], "BadInput: bad.pkl is refused: it asks for 'os.system'"),
        (["absent.pkl"], "FileNotFoundError: "),
        (["faces.pkl", "--set", "augment"], "BadInput: --set takes an argument of the model"),
        (["faces.pkl", "--set", "augmentation=bgc"], "BadInput: No argument of stylegan2 named"),
    ):
        monkeypatch.setattr(sys, "argv", [str(TOOL), *args])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(TOOL), run_name="__main__")
        assert str(ended.value.code).startswith(words) and "\n" not in str(ended.value.code)
    model = pretrained.load("faces.pkl")
    with pytest.raises(BadInput, match="runs/faces exists already"):
        pretrained.begin_run(model, "runs/faces")
