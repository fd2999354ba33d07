"""A loaded model is the saved one; else an error names the first variable that is not."""

import io
import json
import pathlib
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import durable, models, storage, training
from tfgans.config import Config

OLD = pathlib.Path(__file__).parent / "version_0_1"
WEIGHTS = "model.weights.h5"


def tiny(name="gan"):
    return training.build(Config.load(name, "tiny"))


def changed(path, new, change):
    """Copies a `.keras` file; `change` gets the open HDF5 file of its weights."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    memory = io.BytesIO(parts[WEIGHTS])
    with h5py.File(memory, "r+") as file:
        change(file)
    parts[WEIGHTS] = memory.getvalue()
    with zipfile.ZipFile(new, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


class Forgetful(keras.layers.Dense):
    """Does not save its weights, and does not miss them: as lists of lists before Keras 3.15."""

    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


class Confused(keras.layers.Dense):
    """Loads another value than it saved."""

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self.kernel.assign(tf.reverse(self.kernel.numpy(), [0]))


@pytest.mark.parametrize(
    "kind, fault", [(Forgetful, "is not in it"), (Confused, "has another value in it")]
)
def test_a_model_that_would_not_come_back_is_caught_while_it_is_saved(kind, fault, tmp_path):
    model = tiny()
    z = keras.Input([model.latent_dim])
    pixels = kind(64, name="last")(keras.layers.Dense(8)(z))
    model.generator = keras.Model(z, keras.layers.Reshape(model.image_shape)(pixels), name="new")
    model.compile()
    before = [w.numpy() for w in model.weights]
    with pytest.raises(durable.Altered, match=f"last/kernel .weights of .*. {fault}"):
        storage.save(model, tmp_path / "00000001.keras")
    assert not list(tmp_path.iterdir())
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, weight)
    # Saved past that, a file is found out when it is loaded.
    keras.Model.save(model, tmp_path / "model.keras")
    clean = tiny()
    clean.generator = keras.models.clone_model(model.generator)
    clean.compile()
    if kind is Forgetful:
        with pytest.raises(ValueError, match="last/kernel .weights. was saved with shape .8, 64."):
            clean.load_weights(tmp_path / "model.keras")


def test_a_changed_variable_is_named_by_every_way_to_load(tmp_path, capsys):
    for step in (1, 2):
        storage.save(tiny(), tmp_path / f"snapshots/{step:08}.keras")
    path = tmp_path / "snapshots/00000002.keras"

    def change(file):
        file["generator/layers/dense/vars/0"][0, 0] += 1e-3

    changed(path, tmp_path / "changed.keras", change)
    shutil.move(tmp_path / "changed.keras", path)
    durable.checksums(path).unlink()
    named = r"dense\w*/kernel \(weights\) was saved with shape .* is not the saved one"
    with pytest.raises(ValueError, match=named):
        keras.models.load_model(path)
    for name in (path, tmp_path):
        with pytest.raises(durable.Altered, match=f"{named}.* The one before: .*00000001.keras"):
            models.load(name)
    assert storage.resume(tmp_path) is not None
    printed = capsys.readouterr().out
    assert "is not the saved one" in printed and "00000001.keras." in printed


def test_a_changed_moment_of_an_optimizer_is_named(tmp_path):
    path = tmp_path / "model.keras"
    tiny().save(path)

    def change(file):
        moments = file["optimizers"][max(file["optimizers"])]["vars"]
        moments["2"][...] = moments["2"][...] + 1.0

    changed(path, path, change)
    with pytest.raises(ValueError, match="optimizer of generator. was saved with shape"):
        keras.models.load_model(path)
    models.load(path)  # without its optimizers it is whole


def test_every_variable_has_a_digest_and_their_place_is_the_last_one(tmp_path):
    model = tiny("stylegan2")
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
            digests = json.loads(file["_z_digest/vars/digests"][...].tobytes())
    assert len(digests.pop("weights")) == len(model.weights)
    for player, optimizer in model.optimizers.items():
        assert len(digests.pop(f"optimizer of {player}")) == len(optimizer.variables)
    assert not digests
    parts = (keras.Layer, keras.optimizers.Optimizer, list, dict, tuple)
    later = [name for name in dir(model) if name > "_z_digest" and name.startswith("_")]
    assert not [name for name in later if isinstance(getattr(model, name), parts)]
    assert "digest" not in [layer.name for layer in model.layers]


@pytest.mark.parametrize("name", sorted(path.stem for path in OLD.glob("*.keras")))
def test_snapshots_of_version_0_1_load_and_go_on(name, tmp_path):
    """Written by version 0.1 with Keras 3.15.1, after two steps; beside them what they drew."""
    model = storage.read(OLD / f"{name}.keras")
    drawn = np.clip(np.load(OLD / f"{name}.npy"), -1, 1)
    np.testing.assert_allclose(model.sample(1, seed=0), drawn, atol=1e-6)
    assert int(model.step.numpy()) == 2
    for player, optimizer in model.optimizers.items():
        assert int(optimizer.iterations) > 0
        moments = [v for v in optimizer.variables if v.shape == model.weights_of(player)[0].shape]
        assert any(np.abs(moment).max() > 0 for moment in moments)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.sample(1, seed=0), model.sample(1, seed=0))


def test_weights_that_an_older_keras_did_not_save_are_missed(tmp_path):
    def lose(file):
        del file["generator_ema/synthesis/convs"]

    changed(OLD / "stylegan2.keras", tmp_path / "lost.keras", lose)
    with pytest.raises(durable.Altered, match="lost.keras cannot be loaded: .*styled_conv"):
        models.load(tmp_path / "lost.keras")
