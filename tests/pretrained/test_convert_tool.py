"""`tools/convert.py` in a process of its own: a release that serves, a run that goes on."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from official import torch_network, torch_pickle
from test_pretrained_stylegan2 import case, error, to_nchw, weights_of

from tfgans import models, pretrained
from tfgans.errors import BadInput

ROOT = pathlib.Path(__file__).parents[2]


def run(folder, tool, *args):
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("convert")
    g_weights, d_weights = weights_of()
    networks = {
        "G": torch_network("Generator", g_weights),
        "D": torch_network("Discriminator", d_weights),
        "G_ema": torch_network("Generator", g_weights),
    }
    (folder / "ffhq.pkl").write_bytes(torch_pickle(networks))
    options = ("--run", "run", "--set", "r1_gamma=0.5")
    return folder, run(folder, "convert", "ffhq.pkl", "faces", *options)


def test_release(converted):
    folder, done = converted
    assert done.returncode == 0, done.stderr
    assert "ffhq.pkl: G_ema, G, D of stylegan2." in done.stdout
    assert "Nvidia Source Code License" in done.stdout
    assert "Written: faces/1, a SavedModel to serve, and faces/1/model.keras." in done.stdout
    g = case("generator_skip_32", "map2")[0]
    serve = tf.saved_model.load(str(folder / "faces" / "1")).signatures["serving_default"]
    inputs = {"z": tf.constant(g["z"]), "truncation": tf.ones([len(g["z"])])}
    assert error(to_nchw(serve(**inputs)["image"]), g["img_const"]) < 1e-5
    model = models.load(folder / "faces")
    assert error(to_nchw(model(tf.constant(g["z"]))), g["img_const"]) < 1e-5
    assert model.r1_gamma == 0.5


def test_training_goes_on(converted):
    folder, done = converted
    assert "  python tools/train.py run/start.yaml --run run --data PATH" in done.stdout
    changes = [f"--set={c}" for c in ("train.steps=2", "data.batch_size=4", "data.path=synthetic",
                                      "data.flip=false")]  # fmt: skip
    trained = run(folder, "train", "run/start.yaml", "--run", "run", *changes)
    assert trained.returncode == 0, trained.stderr
    assert "Going on from run/snapshots/00000000.keras" in trained.stdout
    model = models.load(folder / "run")
    assert int(model.step) == 2 and model.r1_gamma == 0.5
    kernel = model.generator.synthesis.convs[1][0].kernel.numpy()
    start = weights_of()[0]["synthesis.b8.conv0.weight"].transpose(2, 3, 1, 0)
    moved = np.abs(kernel - start)
    assert 0 < moved.max() < 0.01  # three steps of Adam, each at most its rate of 0.0016


def test_errors_are_one_line(converted):
    folder, _ = converted
    (folder / "bad.pkl").write_bytes(b"\x80\x04cos\nsystem\n\x8c\x04echo\x85R.")
    done = run(folder, "convert", "bad.pkl")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("BadInput: bad.pkl is refused: it asks for 'os.system'")
    with pytest.raises(BadInput, match="No argument of stylegan2 named 'augmentation'"):
        pretrained.load(folder / "ffhq.pkl", augmentation="bgc")
