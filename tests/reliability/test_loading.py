"""Loading a model, a run or a data set of a stranger runs no code from its files."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tfgans import durable, models, storage
from tfgans.config import Config

ROOT = pathlib.Path(__file__).parents[2]
UNSAFE = re.compile(
    r"safe_mode\s*=\s*False|enable_unsafe_deserialization|allow_pickle\s*=\s*True"
    r"|pickle\.loads?\(|torch\.load|joblib|yaml\.(unsafe_|full_)?load\((?!text, Loader)"
    r"|\beval\(|\bexec\(|os\.system|shell\s*=\s*True"
)


def test_no_source_file_turns_safety_off():
    files = [path for part in ("tfgans", "tools") for path in (ROOT / part).rglob("*.py")]
    found = [(str(p), m[0]) for p in files if (m := UNSAFE.search(p.read_text()))]
    assert len(files) > 50 and not found
    for text in ("load(x, safe_mode=False)", "pickle.load(file)", "yaml.load(file)", "eval(word)"):
        assert UNSAFE.search(text)


@pytest.fixture(scope="module")
def model():
    settings = Config.load("gan", "tiny")
    return models.MODELS["gan"](**settings.model)


def with_lambda(path, mark):
    def harm(x):
        import pathlib

        pathlib.Path(mark).write_text("ran")
        return x

    layers = [keras.Input([2]), keras.layers.Lambda(harm, output_shape=(2,))]
    keras.Sequential(layers).save(path)


def naming(path, model, module, name, arguments):
    """Writes a `.keras` file of `model` whose class is any function of any module."""
    model.save(path)
    with zipfile.ZipFile(path) as file:
        parts = {part: file.read(part) for part in file.namelist()}
    tree = json.loads(parts["config.json"])
    tree |= {"module": module, "class_name": name, "registered_name": name, "config": arguments}
    parts["config.json"] = json.dumps(tree).encode()
    with zipfile.ZipFile(path, "w") as file:
        for part, data in parts.items():
            file.writestr(part, data)


@pytest.mark.parametrize("kind", ["lambda", "os.system", "subprocess.Popen", "builtins.exec"])
def test_a_keras_file_with_code_in_it_is_refused(kind, model, tmp_path, capsys):
    mark, path = tmp_path / "mark", tmp_path / "run" / "snapshots" / "00000001.keras"
    path.parent.mkdir(parents=True)
    if kind == "lambda":
        with_lambda(path, str(mark))
    else:
        arguments = {"command": f"touch {mark}", "args": ["touch", str(mark)]}
        naming(path, model, *kind.split("."), arguments)
    mark.unlink(missing_ok=True)  # Keras ran the layer once, to build it
    for name in (path, tmp_path / "run"):
        with pytest.raises((ValueError, TypeError)):
            models.load(name)
    with pytest.raises(storage.Refused, match="1 snapshots, and none of them can be read"):
        storage.resume(tmp_path / "run")
    assert "cannot be read" in capsys.readouterr().out
    assert not mark.exists()


def test_releases_are_pure_saved_models(model, tmp_path):
    """No operation in them calls Python, or reads or writes files of its own."""
    ours = storage.release(model, "shapes", tmp_path)
    for release in (ours, storage.find("stylegan2-fashion").parent):
        saved = SavedModel.FromString((release / "saved_model.pb").read_bytes())
        graph = saved.meta_graphs[0].graph_def
        functions = graph.library.function
        operations = {n.op for n in graph.node} | {n.op for f in functions for n in f.node_def}
        assert len(operations) > 20
        of_files = {"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"}  # TensorFlow's
        unsafe = re.compile("PyFunc|File|Save|Restore|Checkpoint|Print|Proto|Dataset|Custom")
        assert {name for name in operations if unsafe.search(name)} <= of_files


def test_a_release_needs_no_file_outside_its_folder(model, tmp_path):
    release = storage.release(model, "shapes", tmp_path / "here")
    shutil.move(release, tmp_path / "elsewhere")
    assert models.load(tmp_path / "elsewhere").sample(2, seed=0).shape == (2, 8, 8, 1)


ELSEWHERE = """
import numpy as np
from tfgans import models
steady, cartoons = (models.load(name) for name in ("./a", "./b"))
frames = np.linspace(-1, 1, 1536, dtype="float32").reshape(1, 2, 16, 16, 3)
made = [steady(frames), cartoons.translate(frames[0])[None]]
np.save("made.npy", np.stack(made))
"""


@pytest.mark.thorough
def test_a_release_needs_no_given_network_of_its_machine(tmp_path):
    """One that its use looks through, and one that its losses do: both folders are gone, and the
    releases are used in a process and a place of their own."""
    old, new = tmp_path / "old", tmp_path / "new"
    given = models.get("cyclegan")((16, 16, 3), width=4, blocks=1, patch_layers=1, pool_size=1)
    storage.release(given, "translator", old)
    sizes = {"features": 16, "flow_width": 2, "generator": str(old / "translator")}
    steady = models.get("covst")((16, 16, 3), **sizes)
    sizes = {"width": 4, "discriminator_width": 4, "blocks": 1, "vgg": str(old / "vgg19.h5")}
    cartoons = models.get("cartoongan")((16, 16, 3), **sizes)
    releases = [storage.release(m, name, old) for m, name in ((steady, "a"), (cartoons, "b"))]
    frames = np.linspace(-1, 1, 1536, dtype="float32").reshape(1, 2, 16, 16, 3)
    wanted = [steady(frames), cartoons.translate(frames[0])[None]]
    new.mkdir()
    for release, name in zip(releases, "ab", strict=True):
        with zipfile.ZipFile(release / "model.keras") as file:
            assert str(tmp_path) not in file.read("config.json").decode()
        shutil.move(release, new / name)
    (copied,) = (new / "a" / "frozen").iterdir()
    assert copied.stem == durable.sha256(old / "translator" / "1" / "model.keras")
    shutil.rmtree(old)
    command = [sys.executable, "-c", ELSEWHERE]
    done = subprocess.run(command, cwd=new, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(new / "made.npy"), wanted, atol=1e-5)
    with open(copied, "ab") as file:
        file.write(b"1")
    with pytest.raises(durable.Altered, match="frozen/"):
        models.load(new / "a")
