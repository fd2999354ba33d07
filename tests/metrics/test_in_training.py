"""Metrics while a model trains: the best snapshot, early stopping, resuming; and collapse."""

import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

from tfgans import callbacks, config, models, training
from tfgans.config import Config
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


def settings(*changes):
    """20 steps of gan's tiny setting; FID every second of its ticks."""
    some = ["metrics.names=[fid]", "metrics.every=2", "metrics.samples=64", "train.tick=5"]
    return Config.load("gan", "tiny", [*some, *changes])


def rows(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_measures_keeps_the_best_draws_and_resumes_to_the_same_end(tmp_path, capsys):
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

    straight = tmp_path / "straight"  # measuring leaves the training as it is
    assert training.train(settings("train.steps=40", "metrics.names=[]"), straight)
    ours, theirs = (models.load(run).get_weights() for run in (whole, straight))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_stops_when_it_gets_no_better_and_stays_stopped(tmp_path, capsys):
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


def test_settings_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(BadInput, match="Did you mean 'fid'"):
        training.train(settings("metrics.names=[fit]"), tmp_path / "a")
    with pytest.raises(BadInput, match="ranks no models"):
        training.train(settings("metrics.names=[ms_ssim]"), tmp_path / "b")
    with pytest.raises(BadInput, match="patience"):
        settings("metrics.patients=2")
    pairs = Config.load("pix2pix", "tiny", ["metrics.names=[fid]"])
    with pytest.raises(BadInput, match="'paired'"):
        training.train(pairs, tmp_path / "c")


def verdicts(text):
    return {
        word for word in ("All samples look alike", "The discriminator has won") if word in text
    }


def test_a_run_made_to_collapse_is_called_so(tmp_path, capsys):
    """A generator without its own steps cannot follow; one with huge steps saturates."""
    slow = ["optimizers.generator.learning_rate=0.0", "metrics.names=[]", "train.steps=300"]
    won = settings(*slow, "train.tick=50", "optimizers.discriminator.learning_rate=0.5")
    assert training.train(won, tmp_path / "won")
    assert verdicts(capsys.readouterr().out) == {
        "All samples look alike", "The discriminator has won",
    }  # fmt: skip


def test_verdicts_need_three_ticks_and_are_said_once(capsys):
    monitor = callbacks.CollapseMonitor(1, np.random.default_rng(0).normal(size=[8, 4, 4, 1]), 0)

    class Model:
        scale = 0.1

        def sample(self, n, seed):
            return self.scale * np.random.default_rng(1).normal(size=[n, 4, 4, 1])

    monitor.set_model(model := Model())
    winning = {"discriminator/real": 0.001, "discriminator/fake": 0.002}
    for step, (scale, logs) in enumerate(
        [(0.1, {}), (0.1, winning), (1, winning), (0.1, {}), (0.1, {}), (0.1, {}), (0.1, {})]
    ):
        model.scale = scale
        monitor.on_tick(step, logs)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and lines[0].startswith("step 5  All samples look alike")
    for step in range(3):
        monitor.on_tick(step, {"discriminator/real": -3.0, "discriminator/fake": 0.0})
    assert not capsys.readouterr().out  # a Wasserstein loss says nothing
    for step in range(3):
        monitor.on_tick(step, winning)
    assert "The discriminator has won" in capsys.readouterr().out


def test_a_run_that_is_well_is_left_in_peace(tmp_path, capsys):
    plain = Config.load("gan", "tiny", ["train.steps=60", "train.tick=20"])
    plain.model["mean_pixel"] = 0.86
    assert training.train(plain, tmp_path / "run")
    assert "has won" not in capsys.readouterr().out
