"""Metrics during training: the best model, early stopping, resuming; and collapse."""

import contextlib
import csv
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgans import callbacks, config, models, training
from tfgans.config import Config
from tfgans.data.synthetic import polygons
from tfgans.errors import BadInput
from tfgans.metrics import evaluation


class Means:
    """The mean of each row of pixels."""

    name, sha256, resize, comparable = "means", "1" * 64, "none", True

    def __call__(self, images):
        return images.mean(axis=(2, 3)).astype("float32")


@pytest.fixture(autouse=True)
def means(monkeypatch):
    monkeypatch.setattr(evaluation, "extractor_of", lambda spec: Means())


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Makes settings: the tiny ones of gan on 300 triangles, with FID at every second tick."""
    path = tmp_path_factory.mktemp("data") / "triangles.npy"
    np.save(path, 3 * polygons(300, side=8)[..., None])
    some = ["metrics.names=[fid]", "metrics.every=2", "metrics.samples=64", "train.tick=5"]

    def make(*changes):
        return Config.load("gan", "tiny", [f"data.path={path}", *some, *changes])

    return make


def rows(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_measures_keeps_the_best_draws_and_resumes_to_the_same_end(
    settings, tmp_path, capsys
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert training.train(settings("train.steps=40"), whole)
    text = capsys.readouterr().out
    assert training.train(settings("train.steps=15"), parts)  # between two evaluations
    assert training.train(settings("train.steps=40"), parts)

    found = rows(whole)
    assert [int(row["step"]) for row in found] == [10, 20, 30, 40]
    assert rows(parts) == found
    values = [float(row["metrics/fid"]) for row in found]
    best = 10 * (1 + int(np.argmin(values)))
    for run in (whole, parts):
        assert int(keras.models.load_model(run / "best.keras").step.numpy()) == best
        with Image.open(run / "metrics.png") as picture:
            assert picture.size[0] > 400
    result = json.loads((whole / "metrics" / f"{best:08}.json").read_text())
    assert result["values"]["fid"]["mean"] == pytest.approx(min(values), rel=1e-4)
    assert result["subject"]["step"] == best and result["protocol"]["generated_images"] == 64
    assert "the best so far" in text and "kid" in text  # few images: KID too

    straight = tmp_path / "straight"  # measuring does not change the training
    assert training.train(settings("train.steps=40", "metrics.names=[]"), straight)
    ours, theirs = (models.load(run).get_weights() for run in (whole, straight))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.thorough
def test_training_stops_when_it_gets_no_better_and_stays_stopped(settings, tmp_path, capsys):
    frozen = ["optimizers.generator.learning_rate=0.0", "metrics.patience=2", "train.steps=1000"]
    run = tmp_path / "run"
    assert training.train(settings(*frozen), run)  # G never moves: equal values are no better
    assert [int(row["step"]) for row in rows(run)] == [10, 20, 30]
    assert "Stopping: 2 evaluations were no better. The best model:" in capsys.readouterr().out
    assert int(models.load(run / "best.keras").step.numpy()) == 10
    assert training.train(settings(*frozen), run)
    assert "stopped early" in capsys.readouterr().out
    assert int(models.load(run).step.numpy()) == 30


def test_higher_is_better_for_some_metrics():
    by = config.Metrics(names=["pr"], patience=1)
    table = [{"step": 1, "metrics/own_recall": "0.3"}, {"step": 2, "metrics/own_recall": "0.2"}]
    assert callbacks.best_row(table, by)["step"] == 1 and callbacks.no_better(table, by)
    assert not callbacks.no_better(table[:1], by)


def test_settings_that_make_no_sense_are_refused(settings, tmp_path):
    with pytest.raises(BadInput, match="Did you mean 'fid'"):
        training.train(settings("metrics.names=[fit]"), tmp_path / "a")
    with pytest.raises(BadInput, match="ranks no models"):
        training.train(settings("metrics.names=[ms_ssim]"), tmp_path / "b")
    with pytest.raises(BadInput, match="patience"):
        settings("metrics.patients=2")
    sequences = Config.load("seqgan", "tiny", ["metrics.names=[fid]"])
    with pytest.raises(BadInput, match="'tokens'"):
        training.train(sequences, tmp_path / "c")


ALIKE, WON = "All samples look alike", "The discriminator has won"
GONE = "The generator's gradient is gone"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name, changes, expected",
    [
        ("gan", {"generator": 10.0}, {ALIKE}),  # G saturates, and D is too slow to notice
        ("lsgan", {"generator": 0.1, "discriminator": 3e-3}, {ALIKE, WON}),
    ],
)
def test_a_run_made_to_collapse_is_called_so(name, changes, expected, tmp_path, capsys):
    """Triangles, with learning rates far too high."""
    rates = [f"optimizers.{player}.learning_rate={rate}" for player, rate in changes.items()]
    bad = Config.load(name, "tiny", [*rates, "train.steps=60", "train.tick=10"])
    assert training.train(bad, tmp_path / "run")
    text = capsys.readouterr().out
    assert {verdict for verdict in (ALIKE, WON) if verdict in text} == expected


class Straight(models.LSGAN):
    """A generator whose loss has the gradient 3 for each of its weights; after 4 steps 1e-4."""

    def generator_loss(self, n):
        total = tf.add_n([tf.reduce_sum(w) for w in self.generator.trainable_variables])
        return {"sum": tf.where(self.step < 4, 3.0, 1e-4) * total}


def straight(beta_1):
    model = Straight((8, 8, 1), latent_dim=4, width=4)
    generator = {"beta_1": beta_1, "learning_rate": 1e-5}
    model.compile({"generator": generator, "discriminator": keras.optimizers.SGD(1e-3)})
    return model, tf.data.Dataset.from_tensors({"image": tf.zeros([4, 8, 8, 1])}).repeat()


@pytest.mark.parametrize(
    "beta_1, policy, replicas",
    [(0.0, "float32", False), (0.9, "mixed_float16", False), (0.9, "float32", True)],
)
def test_gradient_norms_are_those_of_the_gradients(beta_1, policy, replicas, two_replicas):
    """This holds from the first steps, for any beta_1, loss scale and number of replicas."""
    keras.config.set_dtype_policy(policy)
    with two_replicas.scope() if replicas else contextlib.nullcontext():
        model, dataset = straight(beta_1)
    assert callbacks.gradient_norms(model) == {}  # no player has moved
    model.fit(dataset, steps_per_epoch=2, verbose=0)
    count = sum(w.shape.num_elements() for w in model.weights_of("generator"))
    assert callbacks.gradient_norms(model) == {
        "generator": pytest.approx(3 * count**0.5, rel=1e-5)
    }  # and no norm for SGD


def test_a_gradient_that_is_gone_is_called_so(capsys, tmp_path, monkeypatch):
    """At steps 2 and 4 it has full length, at the next ticks it is 30,000 times shorter."""
    monkeypatch.setattr(callbacks.log, "draw_curves", lambda *args: None)  # slow
    model, dataset = straight(0.0)
    real = np.random.default_rng(0).normal(size=[8, 8, 8, 1])
    monitor = callbacks.CollapseMonitor(2, {"image": real}, "image", 0)
    watch = [monitor, callbacks.Log(2, tmp_path, 4, "images")]
    model.fit(dataset, steps_per_epoch=12, verbose=0, callbacks=watch)
    said = [line for line in capsys.readouterr().out.splitlines() if GONE in line]
    assert (
        len(said) == 1 and said[0].startswith("step 10 ") and "is 3e-05 of its greatest" in said[0]
    )
    with open(tmp_path / "log.csv", newline="") as file:
        norms = [float(row["generator/gradient"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(np.divide(norms, norms[0]), [1, 1, *[1 / 3e4] * 4], rtol=1e-4)


def test_verdicts_need_three_ticks_and_are_said_once(capsys):
    real = np.random.default_rng(0).normal(size=[8, 4, 4, 1])
    monitor = callbacks.CollapseMonitor(1, {"image": real}, "image", 0)

    class Model:
        scale, optimizers = 0.1, {}

        def outputs(self, batch):
            return self.scale * np.random.default_rng(1).normal(size=batch["image"].shape)

    monitor.set_model(model := Model())
    winning = {"discriminator/real": 0.001, "discriminator/fake": 0.002}
    for step, (scale, logs) in enumerate(
        [(0.1, {}), (0.1, winning), (1, winning), (0.1, {}), (0.1, {}), (0.1, {}), (0.1, {})]
    ):
        model.scale = scale
        monitor.on_tick(step, logs)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"step 5  {ALIKE}")
    for step in range(3):
        monitor.on_tick(step, {"discriminator/real": -3.0, "discriminator/fake": 0.0})
    assert not capsys.readouterr().out  # a Wasserstein loss says nothing
    for step in range(3):
        monitor.on_tick(step, winning | {"generator/fake": 0.01})
    assert not capsys.readouterr().out  # nor an f-divergence of 0
    for step in range(3):
        monitor.on_tick(step, winning | {"generator/fake": 5.0})
    assert WON in capsys.readouterr().out


@pytest.mark.parametrize("replicas", [False, True])
def test_a_player_that_learns_alone_is_no_game(replicas, two_replicas, capsys):
    """The samples are all alike, which is said three ticks after the generator has begun."""
    with two_replicas.scope() if replicas else contextlib.nullcontext():
        model = models.GAN((8, 8, 1), latent_dim=4)
        model.compile()
    model.outputs = lambda batch: np.zeros(batch["image"].shape)
    real = np.random.default_rng(0).normal(size=[8, 8, 8, 1])
    monitor = callbacks.CollapseMonitor(1, {"image": real}, "image", 0)
    monitor.set_model(model)
    for step in range(10):
        model.optimizers["discriminator"].iterations.assign_add(1)
        model.optimizers["generator"].iterations.assign_add(int(step >= 5))
        monitor.on_tick(step, {})
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == ["step 7"]
