"""train.callbacks: MLflow's file store, a callback of the user's own file, mistakes, going on."""

import csv
import sys

import pytest

from tfgans import callbacks, training
from tfgans.config import Config
from tfgans.errors import BadInput

OWN = """
import keras
from tfgans import callbacks

class Count(keras.callbacks.Callback):
    def __init__(self, file):
        super().__init__()
        self.file = file

    def on_train_batch_end(self, batch, logs=None):
        with open(self.file, "a") as file:
            file.write(f"{sorted(logs)[0]} ")

class Ticks(callbacks.OnTick):
    def on_tick(self, step, logs):
        with open("ticks.txt", "a") as file:
            file.write(f"{step} ")

def told(terms, step):
    with open("told.txt", "a") as file:
        file.write(f"{step} {len(terms)} ")

class Plain:
    pass
"""


def settings(*entries):
    found = Config.load("gan", "tiny", ["train.steps=4", "train.tick=2"])
    found.train.callbacks = list(entries)
    return Config.from_dict(found.to_dict())


def test_numbers_go_to_the_file_store_of_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    entry = {
        "class": "tfgans.callbacks.Send",
        "to": "mlflow.log_metrics",
        "begin": "mlflow.set_experiment",
        "experiment_name": "shapes",
    }
    try:
        assert training.train(settings(entry), tmp_path / "run")
        active = mlflow.active_run()
        assert mlflow.get_experiment(active.info.experiment_id).name == "shapes"
        client = mlflow.MlflowClient()
        with open(tmp_path / "run" / "log.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        terms = [name for name in rows[0] if "/" in name and not name.endswith("/gradient")]
        assert len(terms) >= 2
        for term in terms:
            kept = client.get_metric_history(active.info.run_id, term)
            assert [point.step for point in kept] == [2, 4]
            for point, row in zip(kept, rows, strict=True):
                assert point.value == pytest.approx(float(row[term]), rel=1e-4)
    finally:
        mlflow.end_run()


def test_a_function_that_its_beginning_replaces(tmp_path, monkeypatch):
    """`wandb.log` refuses until `wandb.init` has put another function in its place."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "service.py").write_text(
        "kept = []\n"
        "def log(terms, step):\n"
        "    raise RuntimeError('begin first')\n"
        "def init(project):\n"
        "    globals()['log'] = lambda terms, step: kept.append((project, step))\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = {"to": "service.log", "begin": "service.init", "project": "faces"}
    assert training.train(settings({"class": "tfgans.callbacks.Send"} | words), tmp_path / "run")
    assert sys.modules["service"].kept == [("faces", 2), ("faces", 4)]


@pytest.mark.thorough
def test_callbacks_of_a_file_beside_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_callbacks.py").write_text(OWN, encoding="utf-8")
    entries = [
        {"class": "own_callbacks.Count", "file": "count.txt"},
        {"class": "own_callbacks.Ticks"},
        {"class": "tfgans.callbacks.Send", "to": "own_callbacks.told"},
    ]
    assert training.train(settings(*entries), tmp_path / "run")
    assert len((tmp_path / "count.txt").read_text().split()) == 4
    assert (tmp_path / "ticks.txt").read_text() == "2 4 "
    assert [int(x) for x in (tmp_path / "told.txt").read_text().split()[::2]] == [2, 4]
    # A run goes on without them: they change no weight.
    longer = settings()
    longer.train.steps = 6
    assert training.train(longer, tmp_path / "run")
    assert (tmp_path / "ticks.txt").read_text() == "2 4 "


@pytest.mark.parametrize(
    "entry, said",
    [
        ("mlflow", "holds mappings with `class: module.Name`, not 'mlflow'"),
        ({"to": "x"}, "holds mappings with `class: module.Name`"),
        ({"class": "no_such_package.Callback"}, "No module named 'no_such_package'"),
        ({"class": "keras.callbacks.NoSuch"}, "cannot be imported: .*NoSuch"),
        ({"class": "Callback"}, "'Callback', and that cannot be imported"),
        ({"class": "keras.layers.Dense"}, "Dense, which is no subclass of a Keras callback"),
        ({"class": "keras.callbacks.CSVLogger", "file": "x"}, "does not take {'file': 'x'}"),
        ({"class": "tfgans.callbacks.Send", "to": "math.nothing"}, "cannot be imported: .*nothing"),
    ],
)
def test_mistakes(entry, said):
    with pytest.raises(BadInput, match=said):
        callbacks.given_callback(settings(entry).train.callbacks[0], 2)
