"""The words of a game: counts and kept outputs of `update`, `frozen`, `choice`, stages, graphs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import data, random, storage, training
from tfgans.config import Config
from tfgans.data import Data
from tfgans.errors import BadInput
from tfgans.models.latent import LatentModel

SHAPE = (4, 4, 1)


class Game(LatentModel):
    """A generator of one dense layer that a loss pulls to the images."""

    def __init__(self, image_shape=SHAPE, latent_dim=3, file="", **kwargs):
        super().__init__(**kwargs)
        self.image_shape, self.latent_dim, self.file = image_shape, latent_dim, file
        z = keras.Input([latent_dim])
        pixels = keras.layers.Dense(16, use_bias=False)(z)
        self.generator = keras.Model(z, keras.layers.Reshape(image_shape)(pixels))
        self.seen = []
        self.look = self.frozen(file, build) if file else tf.identity

    def players(self):
        return {"generator": [self.generator]}

    def default_optimizers(self):
        return {"generator": keras.optimizers.SGD(0.1)}

    def generator_loss(self, level, real, n):
        assert isinstance(level, int) and isinstance(n, int)
        self.seen.append((level, real.shape[0], n))
        fake = self.generator(random.normal([n, self.latent_dim]))
        distance = tf.reduce_mean(
            tf.square(self.look(fake[:: n // real.shape[0]]) - self.look(real))
        )
        return {"distance": level * distance}, {"fake": fake, "real": real}

    def train_step(self, data):
        real = data["image"]
        logs, kept = self.update("generator", self.generator_loss, 4, real, n=2 * real.shape[0])
        self.kept = kept
        return logs


@keras.saving.register_keras_serializable("tests")
class Looking(Game):
    pass


def build(path):
    scale = np.load(path)
    return lambda image: image * tf.constant(scale, image.dtype)


def images(n=8, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, [n, *SHAPE]).astype("float32")


def one_step(parts, **settings):
    keras.utils.set_random_seed(1)
    model = Game(**settings)
    model.compile(run_eagerly=True)
    model.accumulate = parts
    dataset = tf.data.Dataset.from_tensors({"image": images()})
    return model, model.fit(dataset, verbose=0, shuffle=False).history


def test_parts_cut_tensors_and_the_count_and_nothing_else():
    whole, logs = one_step(1)
    parts, same = one_step(2)
    assert whole.seen == [(4, 8, 16)] and parts.seen == [(4, 4, 8)] * 2
    np.testing.assert_allclose(
        whole.generator.get_weights()[0], parts.generator.get_weights()[0], atol=1e-6
    )
    np.testing.assert_allclose(logs["generator/distance"], same["generator/distance"], rtol=1e-5)


def test_kept_outputs_of_all_parts_are_joined_in_order():
    for parts in (1, 2, 4):
        model, _ = one_step(parts)
        assert model.kept["fake"].shape == (16, *SHAPE)
        np.testing.assert_array_equal(model.kept["real"], images())
        np.testing.assert_allclose(model.kept["fake"], one_step(1)[0].kept["fake"], atol=1e-6)


def test_a_count_that_cannot_be_cut_is_refused():
    with pytest.raises(BadInput, match="16 examples .* accumulate = 3 equal parts"):
        one_step(3)


# A frozen network.


@pytest.fixture
def looking(tmp_path):
    np.save(tmp_path / "scale.npy", np.float32(2.0))
    keras.utils.set_random_seed(1)
    model = Looking(file=str(tmp_path / "scale.npy"))
    model.compile(run_eagerly=True)
    return model


def test_a_loss_looks_through_a_frozen_network(looking):
    plain, logs = one_step(1)
    dataset = tf.data.Dataset.from_tensors({"image": images()})
    found = looking.fit(dataset, verbose=0, shuffle=False).history
    np.testing.assert_allclose(
        found["generator/distance"], 4.0 * np.array(logs["generator/distance"]), rtol=1e-5
    )
    assert len(looking.weights) == len(plain.weights) and not np.allclose(
        looking.generator.get_weights()[0], plain.generator.get_weights()[0]
    )


def test_a_release_needs_no_file_of_a_frozen_network(looking, tmp_path):
    looking.save(tmp_path / "model.keras")
    storage.release(looking, "looking", tmp_path)
    (tmp_path / "scale.npy").unlink()
    model = storage.read(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(model.sample(2, seed=0), looking.sample(2, seed=0))
    with pytest.raises(BadInput, match="scale.npy is loaded when training begins"):
        model.look(tf.zeros([1]))
    served = tf.saved_model.load(str(tmp_path / "looking" / "1"))
    assert len(served.signatures["sample"](seed=tf.constant(0, "int64"), n=tf.constant(2, "int64")))
    with pytest.raises(FileNotFoundError, match="scale.npy"):
        keras.models.load_model(tmp_path / "model.keras")


def test_a_training_goes_on_with_the_same_file_only(looking, tmp_path):
    looking.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").look.sha256 == looking.look.sha256
    np.save(tmp_path / "scale.npy", np.float32(3.0))
    with pytest.raises(BadInput, match="scale.npy is another file"):
        keras.models.load_model(tmp_path / "model.keras")


# A choice of the host.


@keras.saving.register_keras_serializable("tests")
class Choosing(Game):
    choices = ("left", "right")

    def choice(self):
        numbers = np.random.default_rng([self.seed, self.now])
        return self.choices[int(numbers.integers(2))]

    def train_step(self, data):
        real, sign = data["image"], {"left": -1.0, "right": 1.0}[self.chosen]
        logs, _ = self.update("generator", self.generator_loss, 1, sign * real, n=real.shape[0])
        return logs | {"generator/sign": tf.constant(sign)}


def signs(model, steps):
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(float(logs["generator/sign"]))
    )
    dataset = tf.data.Dataset.from_tensors({"image": images()}).repeat()
    model.fit(dataset, steps_per_epoch=steps, callbacks=[watch], verbose=0, shuffle=False)
    return seen


def test_a_choice_has_a_graph_of_its_own_and_is_the_same_after_a_resume(tmp_path):
    whole = Choosing()
    whole.compile(seed=3)
    every = signs(whole, 12)
    assert set(every) == {-1.0, 1.0}
    half = Choosing()
    half.compile(seed=3)
    first = signs(half, 5)
    half.save(tmp_path / "half.keras")
    rest = signs(keras.models.load_model(tmp_path / "half.keras"), 7)
    assert first + rest == every
    graphs = half.graphs({"image": tf.TensorSpec([8, *SHAPE])})
    assert [pattern[1] for pattern in graphs] == ["left", "right"]


# Stages that change the data.


def test_each_stage_reads_the_size_that_it_trains_on():
    """Means of squares of the full-size images, as ProGAN makes them of full-size images."""
    settings = Config.load("progan", "tiny")
    source = training.resolve(settings)
    model = training.build(settings)
    full = tuple(model.image_shape)
    starts = [0, *np.cumsum(model.stage_steps)]
    for stage, start in enumerate(starts):
        side = full[0] >> (model.generator.levels - (stage + 1) // 2)
        assert model.stage_shape(stage) == (side, side, full[2])
        batches = data.batches(model, source, settings.data, seed=0, start=int(start))
        image = next(iter(batches))["image"]
        assert image.shape[1:] == (side, side, full[2])
        again = data.batches(model, source, settings.data, 0, int(start), stage=len(starts) - 1)
        finest = next(iter(again))["image"]
        mean = tf.nn.avg_pool2d(finest, full[0] // side, full[0] // side, "VALID")
        np.testing.assert_allclose(image, mean, atol=1e-6)
    assert batches.element_spec["image"].shape[1] is None


def test_images_of_full_size_train_progan_as_well():
    """A user's own dataset need not know the stages."""
    settings = Config.load("progan", "tiny")
    made = []
    for stage in (0, None):
        keras.utils.set_random_seed(0)
        source = training.resolve(settings)
        model = training.build(settings)
        model.compile(settings.optimizers, run_eagerly=True)
        last = len(model.stage_steps) if stage == 0 else None
        batches = data.batches(model, source, settings.data, seed=0, stage=last)
        model.fit(batches, steps_per_epoch=2, verbose=0, shuffle=False)
        made.append(model.sample(2, seed=0).numpy())
    np.testing.assert_allclose(*made, atol=1e-5)


# Conditions that are no classes.


class Told(LatentModel):
    condition_dim, latent_dim, image_shape = 2, 3, (1, 1, 5)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = tf.identity

    def call(self, z, condition):
        return tf.concat([z, condition], axis=1)[:, None, None]


def test_a_condition_is_given_and_never_made_up():
    model = Told()
    given = np.array([[0.5, -0.25], [1.0, -0.75]], "float32")
    np.testing.assert_array_equal(model.sample(2, seed=0, condition=given)[:, 0, 0, 3:], given)
    for wrong in (None, given[:1], given[:, :1]):
        with pytest.raises(BadInput, match=r"needs a condition for each of 2 images.*\[2, 2\]"):
            model.sample(2, condition=wrong)
    with pytest.raises(BadInput, match="has no classes here"):
        model.sample(2, labels=[0, 1], condition=given)
    assert "sample" not in model.endpoints()
    assert [spec.name for spec in model.endpoints()["serving_default"][1]] == ["z", "condition"]
    batch = {"image": np.zeros([2, 1, 1, 5]), "condition": given}
    with random.scope(0):
        np.testing.assert_array_equal(model.outputs(batch)[:, 0, 0, 3:], given)


@pytest.mark.parametrize("name", ["gan", "sngan", "cyclegan", "pix2pix", "seqgan", "singan"])
def test_outputs_are_of_the_kind_of_the_data(name):
    settings = Config.load(name, "tiny")
    source = training.resolve(settings)
    model = training.build(settings)
    some = Data(**vars(settings.data) | {"batch_size": 2})
    batch = next(iter(data.batches(model, source, some, seed=0, stage=len(model.stage_steps))))
    with random.scope(0):
        outputs = model.outputs(batch)
    real = batch[data.KINDS[model.data_kind].Reader.real]
    assert outputs.shape == real.shape and outputs.dtype == real.dtype
