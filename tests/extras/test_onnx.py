"""ONNX files in a process without tfgans, Keras and TensorFlow: `make test-extras`.

Latents and classes, mapping and synthesis, noise by a seed, images, encoders, tokens, stages.
"""

import subprocess
import sys

import numpy as np
import onnx
import pytest
import tensorflow as tf
from pages import python_of
from tiny import assert_same_use, inputs, new

from tfgans import storage
from tfgans.models import runtimes, serving

MODELS = ["dcgan", "acgan", "stylegan2", "progan", "pix2pix", "cyclegan", "bigan", "seqgan"]
STRANGER = """
import pathlib, sys
sys.modules["tfgans"] = sys.modules["keras"] = sys.modules["tensorflow"] = None
import numpy as np, onnxruntime
made = {}
for path in pathlib.Path(sys.argv[1]).iterdir():
    session = onnxruntime.InferenceSession(path)
    given = np.load(f"{path.stem}.npz")
    given = {entry.name: given[entry.name] for entry in session.get_inputs()}
    names = [entry.name for entry in session.get_outputs()]
    for name, value in zip(names, session.run(names, given)):
        made[f"{path.stem}/{name.removesuffix('_out')}"] = value
np.savez("made.npz", **made)
"""


@pytest.mark.parametrize("name", MODELS)
def test_a_stranger_gets_what_keras_makes(name, tmp_path):
    model, _, _ = new(name)
    folder = storage.release(model, name, tmp_path, to=["onnx"])
    wanted = {}
    for endpoint, (function, signature) in model.endpoints().items():
        given = inputs(signature, n=4, seed=11)
        np.savez(tmp_path / f"{endpoint}.npz", **given)
        for key, value in function(*given.values()).items():
            wanted[f"{endpoint}/{key}"] = value.numpy()
    command = [sys.executable, "-c", STRANGER, folder / "onnx"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_same_use(dict(np.load(tmp_path / "made.npz")), wanted, atol=1e-5)
    for path in (folder / "onnx").iterdir():
        onnx.checker.check_model(path, full_check=True)


def test_python_of_the_page_on_run_times(tmp_path):
    """The block of ONNX, in a process without TensorFlow, makes the images of Keras."""
    model, _, _ = new("dcgan")
    storage.release(model, "dcgan", tmp_path / "saved_models", to=["onnx"])
    hidden = "import sys\nsys.modules['tfgans'] = sys.modules['tensorflow'] = None\n"
    code = hidden + python_of("runtimes")[0] + "np.save('images.npy', images)\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        np.load(tmp_path / "images.npy"), model.sample(16, seed=0), rtol=0, atol=1e-5
    )


def test_any_number_of_rows(tmp_path):
    model, _, _ = new("dcgan")
    model.export(tmp_path, to=["onnx"])
    content = (tmp_path / "onnx" / "serving_default.onnx").read_bytes()
    for n in (1, 2, 9):
        z = np.random.RandomState(n).randn(n, model.latent_dim).astype("float32")
        found = runtimes.run_onnx(content, {"z": z})["image"]
        np.testing.assert_allclose(found, model(z), rtol=0, atol=1e-6)


def test_an_operation_that_onnx_lacks_is_named(tmp_path):
    def values(x):
        return {"y": tf.linalg.svd(x, compute_uv=False)}

    signature = [tf.TensorSpec([None, 3, 3], name="x")]
    serving.export({"values": (values, signature)}, tmp_path, plain=True)
    with pytest.raises(runtimes.Unconvertible, match="ONNX has no Svd"):
        runtimes.to_onnx(tmp_path, "values", signature)
