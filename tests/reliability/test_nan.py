"""NaN planted in the data, a loss, a gradient and a weight."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import callbacks, models, storage, training
from tfgans.config import Config
from tfgans.strategy import choose_strategy

NAN = float("nan")


@keras.saving.register_keras_serializable("tests")
class Poisoned(models.MODELS["gan"]):
    """Makes NaN in its 16th step, in the place `poison`, until a run had `until` restarts."""

    poison, until = "", 0

    def generator_loss(self, n):
        terms = super().generator_loss(n)
        now = self.step == 15 if self.poison == "weight" else self.step >= 15
        if self.restarts > self.until:
            return terms
        if self.poison == "loss":
            terms["extra"] = tf.where(now, NAN, 0.0)
        if self.poison == "gradient":  # the loss is 0, its gradient 0 times infinity
            now = self.step == 19  # the last step before a snapshot
            square = tf.square(self.generator.trainable_variables[0].value)
            root = tf.reduce_sum(tf.sqrt(square * tf.where(now, 0.0, 1.0)))
            terms["extra"] = tf.where(now, root, 0.0)
        return terms

    def train_step(self, data):
        logs = super().train_step(data)
        if self.poison == "weight":
            weight = self.discriminator.trainable_variables[0]
            weight.assign(tf.where(self.step == 15, NAN * weight, weight))
        return logs


@pytest.fixture
def poison(monkeypatch):
    def plant(kind, until=99):
        monkeypatch.setattr(Poisoned, "poison", kind)
        monkeypatch.setattr(Poisoned, "until", until)

    monkeypatch.setitem(models.MODELS, "gan", Poisoned)
    monkeypatch.setattr(callbacks.log, "draw_curves", lambda *args: None)  # slow, not tested here
    return plant


def settings(*changes, steps=40):
    return Config.load("gan", "tiny", ["train.tick=10", f"train.steps={steps}", *changes])


def steps_and_weights(run):
    """The steps of the snapshots and the weights of the newest; all weights must be finite."""
    for path in storage.snapshots(run):
        model = keras.models.load_model(path)
        weights = [w.numpy() for w in [*model.variables, *model.optimizers["generator"].variables]]
        assert all(np.isfinite(weight).all() for weight in weights)
    return [int(path.stem) for path in storage.snapshots(run)], weights


@pytest.mark.parametrize(
    "kind, step, message",
    [
        ("loss", 10, "At step 16 the loss was not finite any more: generator/extra. The last"),
        ("weight", 10, "At step 17 the loss was not finite any more: discriminator/"),
        ("gradient", 10, "After step 20 weights were not finite any more: generator/"),
    ],
)
def test_the_run_stops_names_the_first_and_keeps_a_good_snapshot(
    poison, tmp_path, kind, step, message
):
    poison(kind)
    with pytest.raises(FloatingPointError) as error:
        training.train(settings(), tmp_path)
    assert str(error.value).startswith(message)
    assert steps_and_weights(tmp_path)[0] == [step]


def test_a_number_that_is_none_in_the_data(tmp_path):
    pixels = np.random.RandomState(0).rand(64, 8, 8).astype("float32")
    pixels[40, 3, 3] = NAN
    np.save(tmp_path / "pixels.npy", pixels)
    changes = [f"data.path={tmp_path / 'pixels.npy'}", "data.value_range=[0, 1]"]
    with pytest.raises(FloatingPointError) as error:  # in one of the first 8 batches of 8
        training.train(settings(*changes), tmp_path / "run")
    assert "the loss was not finite any more: discriminator/real" in str(error.value)
    assert "tfgans data check" in str(error.value)
    assert not storage.snapshots(tmp_path / "run")


@pytest.mark.thorough
def test_reload_goes_on_from_the_snapshot_with_other_random_numbers(poison, tmp_path, capsys):
    """The count is saved: a run stopped and resumed later ends bit for bit the same."""
    poison("loss", until=0)
    training.train(settings("train.on_nan=reload"), tmp_path / "whole")
    printed = capsys.readouterr().out
    assert printed.count("not finite any more: generator/extra") == 1
    assert printed.count("Going on from") == printed.count("00000010.keras") == 1
    steps, weights = steps_and_weights(tmp_path / "whole")
    assert steps == [30, 40]
    saved = [keras.models.load_model(p) for p in storage.snapshots(tmp_path / "whole")]
    assert [(model.seed, model.restarts) for model in saved] == [(0, 1)] * 2

    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    storage.snapshots(tmp_path / "parts")[-1].unlink()
    training.train(settings("train.on_nan=reload"), tmp_path / "parts")
    assert "parts/snapshots/00000030.keras" in capsys.readouterr().out
    for ours, theirs in zip(weights, steps_and_weights(tmp_path / "parts")[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_reload_takes_the_data_in_another_order():
    model = training.build(settings())
    source = training.resolve(settings())
    strategy = choose_strategy()
    first = []
    for model.restarts in (0, 0, 1):
        first.append(next(iter(training.batches(strategy, model, source, settings())))["image"])
    np.testing.assert_array_equal(first[0], first[1])
    assert not np.array_equal(first[0], first[2])


@pytest.mark.thorough
def test_reload_gives_up_after_three_times(poison, tmp_path, capsys):
    poison("loss")
    with pytest.raises(FloatingPointError, match="At step 16"):
        training.train(settings("train.on_nan=reload"), tmp_path)
    printed = capsys.readouterr().out
    assert printed.count("Going on from") == training.RELOADS == 3
    assert "Restart 3 of at most 3" in printed
    assert steps_and_weights(tmp_path)[0] == [10]


@pytest.mark.thorough
def test_reload_before_the_first_snapshot_begins_again(poison, tmp_path):
    poison("loss", until=0)
    done = settings("train.on_nan=reload", "train.tick=20", steps=20)
    assert training.train(done, tmp_path)
    assert steps_and_weights(tmp_path)[0] == [20]
