"""The contract of all models, each at the `tiny:` size of its own configuration."""

import functools
import inspect
import pathlib
import re

import exported
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgans.optimizers
from tfgans import random, training
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.models import MODELS, get
from tfgans.models.base import BaseModel

ROOT = pathlib.Path(__file__).parent.parent
ALL = pytest.mark.parametrize("name", MODELS)


def tiny(name, **changes):
    settings = Config.load(name, "tiny")
    settings.model |= changes
    return settings


def new(name, precision="float32", eager=True, **changes):
    """A tiny model, run without compiling: a few steps are over before a graph is made."""
    settings = tiny(name, **changes)
    settings.train.precision = precision
    source = training.resolve(settings)
    model = training.build(settings)
    model.compile(settings.optimizers, run_eagerly=eager)
    return model, settings, source


def fit(model, settings, source, steps, callbacks=()):
    dataset = training.batches(tf.distribute.get_strategy(), model, source, settings)
    return model.fit(
        dataset, steps_per_epoch=steps, callbacks=list(callbacks), shuffle=False, verbose=0
    ).history


def makes_images_of_nothing(model):
    """Whether a seed is enough; the other models are given images to work on."""
    return "sample" in model.endpoints()


def inputs(signature, n, seed):
    """What an endpoint asks for: n rows of each input, or the seed, or n itself."""
    given = {}
    for spec in signature:
        keys, shape = np.random.RandomState(seed), (n, *spec.shape[1:])
        if spec.shape.rank == 0:
            value = {"seed": seed, "n": n}[spec.name]
        elif spec.dtype.is_floating:
            value = keys.uniform(-1, 1, shape)
        else:
            value = keys.randint(0, 2, shape)
        given[spec.name] = tf.cast(value, spec.dtype)
    return given


def use(model, n=3, seed=7):
    """Everything a model offers, on n rows of input: "endpoint/output" -> array."""
    return {
        f"{endpoint}/{name}": value.numpy()
        for endpoint, (function, signature) in model.endpoints().items()
        for name, value in function(*inputs(signature, n, seed).values()).items()
    }


def assert_same_use(first, second, atol=0.0):
    assert first.keys() == second.keys()
    for name, value in first.items():
        # A picture of bytes is cut to integers: one step for any difference.
        step = atol if value.dtype.kind == "f" else np.ceil(atol)
        assert value.dtype == second[name].dtype, name
        np.testing.assert_allclose(
            value.astype("float64"), second[name], rtol=0, atol=step, err_msg=name
        )


class Trained:
    """A model after three steps of its last stage, made in one go, and what was seen meanwhile.

    Attributes:
        path: The model after the second of these steps.
        state: All its numbers at that moment.
        logs: The terms of each step.
        moved: Which weights each player's moves changed.
        use: What the model offers in the end.
    """

    def __init__(self, name, folder):
        keras.utils.set_random_seed(0)
        self.model, self.settings, self.source = new(name)
        self.path = folder / "model.keras"
        players = self.model.players()
        self.moved = {player: set() for player in players}
        weights = {id(w): w for player in players for w in self.model.weights_of(player)}

        def watched(player, apply):
            def wrapped(gradients, own):
                before = {key: w.numpy() for key, w in weights.items()}
                apply(gradients, own)
                changed = {key for key, w in weights.items() if (before[key] != w.numpy()).any()}
                self.moved[player] |= changed

            return wrapped

        for player, optimizer in self.model.optimizers.items():
            optimizer.apply = watched(player, optimizer.apply)
        steps = sum(self.model.stage_steps) + 3
        save = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: self.save() if batch == steps - 2 else None
        )
        self.logs = fit(self.model, self.settings, self.source, steps, [save])
        for optimizer in self.model.optimizers.values():
            del optimizer.apply
        self.use = use(self.model)

    def save(self):
        self.model.save(self.path)
        self.state = state(self.model)


def state(model):
    variables = list(model.variables)
    for optimizer in model.optimizers.values():
        variables += optimizer.variables
    return [v.numpy() for v in variables]


@pytest.fixture(scope="module", params=MODELS)
def trained(request, tmp_path_factory):
    return Trained(request.param, tmp_path_factory.mktemp(request.param))


@ALL
def test_one_word_names_everything(name):
    file = ROOT / "tfgans" / "models" / f"{name}.py"
    for path in (file, ROOT / f"configs/{name}.yaml", ROOT / f"tests/models/test_{name}.py"):
        assert path.exists(), path
    assert inspect.getfile(get(name)) == str(file)
    doc = inspect.getdoc(inspect.getmodule(get(name)))
    assert re.search(r"arXiv:\d{4}\.\d{4,5}", doc)
    assert "New here:" in doc and "Reference:" in doc
    assert f"`{name}`" in (ROOT / "README.md").read_text()
    assert len(file.read_text().splitlines()) <= 600


@ALL
def test_defines_its_own_game(name):
    cls = get(name)
    assert "train_step" in vars(cls) and cls.__bases__ == (BaseModel,)


def test_settings_survive_saving_with_values_that_are_no_defaults(trained):
    model, cls = trained.model, type(trained.model)
    defaults = {k: p.default for k, p in inspect.signature(cls.__init__).parameters.items()}
    settings = {k: v for k, v in trained.settings.model.items() if v != defaults[k]}
    assert len(settings) >= 3
    again = cls.from_config(model.get_config())
    for key, value in settings.items():
        found = getattr(again, key)
        assert (list(found) if isinstance(value, list) else found) == value
    assert again.get_config() == model.get_config()
    assert again.count_params() == model.count_params()


def test_each_move_moves_its_own_player_only(trained):
    model = trained.model
    for name, values in trained.logs.items():
        assert re.fullmatch(r"\w+/\w+", name) and np.isfinite(values).all()
    for player, changed in trained.moved.items():
        own = {id(w) for w in model.weights_of(player)}
        assert changed <= own
        # Not all: a bias before a normalization has no gradient, a step can vanish in rounding.
        assert len(changed) >= 0.8 * len(own)
    assert int(model.step.numpy()) == sum(model.stage_steps) + 3


def test_saved_model_goes_on_where_it_was(trained):
    again = keras.models.load_model(trained.path)
    for a, b in zip(trained.state, state(again), strict=True):
        np.testing.assert_array_equal(a, b)
    again.run_eagerly = True
    fit(again, trained.settings, trained.source, steps=1)
    for a, b in zip(state(trained.model), state(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_same_use(trained.use, use(again))


# What a release holds, where it is not the generator that samples.
SERVED = {
    "bigan": ["generator", "encoder"],
    "cyclegan": ["generator_ab", "generator_ba"],
    "infogan": ["generator", "trunk", "recognition"],
}


def test_exported_model_does_the_same(trained, tmp_path):
    """`test_serving.py` loads one in a process that has no tfgans."""
    model = trained.model
    model.export(tmp_path / "1")
    loaded, found = tf.saved_model.load(str(tmp_path / "1")), {}
    for endpoint, (_, signature) in model.endpoints().items():
        made = loaded.signatures[endpoint](**inputs(signature, n=3, seed=7))
        found |= {f"{endpoint}/{name}": value.numpy() for name, value in made.items()}
    assert_same_use(found, trained.use, atol=2e-6)
    networks = SERVED.get(trained.settings.architecture, ["sampling_generator"])
    wanted = sum(exported.served(getattr(model, network)) for network in networks)
    assert exported.stored(tmp_path / "1") == wanted


@ALL
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_stays_finite(name, precision):
    model, settings, source = new(name, precision)
    scaled = [isinstance(o, keras.optimizers.LossScaleOptimizer) for o in model.optimizers.values()]
    assert all(scaled) if precision == "mixed_float16" else not any(scaled)
    if precision == "mixed_float16":
        for optimizer in model.optimizers.values():
            optimizer.dynamic_scale.assign(2.0**6)  # near where training settles; it begins at 2^15
    logs = fit(model, settings, source, steps=sum(model.stage_steps) + 1)
    assert all(np.isfinite(values).all() for values in logs.values())
    for made in use(model, n=2).values():
        assert made.dtype.kind != "f" or (made.dtype == np.float32 and np.isfinite(made).all())
    for optimizer in model.optimizers.values():
        assert int(optimizer.iterations) > 0  # not every move was skipped for an overflow


def test_use_is_a_function_of_seed_and_input_row_by_row(trained):
    model = trained.model
    assert_same_use(trained.use, use(model))
    assert_same_use({k: v[:2] for k, v in trained.use.items()}, use(model, n=2), atol=1e-5)
    batch = training.preview_batch(model, trained.source, trained.settings)
    previews = []
    for _ in range(2):
        with random.scope(3):
            previews.append(np.asarray(model.preview(batch)))
    assert previews[0].dtype.kind == "U" or np.isfinite(previews[0]).all()  # a text, or pictures
    np.testing.assert_array_equal(*previews)


def test_sampling_or_serving(trained):
    """A seed makes images, or `serving_default` turns given ones into the model's."""
    model = trained.model
    if not makes_images_of_nothing(model):
        function, signature = model.endpoints()["serving_default"]
        (image,) = function(*inputs(signature, n=4, seed=3).values()).values()
        assert "image" in [spec.name for spec in signature]
        assert image.shape == (4, *model.image_shape)
        return
    first = model.sample(4, seed=3).numpy()
    np.testing.assert_array_equal(first, model.sample(4, seed=3))
    np.testing.assert_allclose(first[:2], model.sample(2, seed=3), atol=1e-5)
    assert not np.array_equal(first, model.sample(4, seed=4))
    assert not np.array_equal(model.sample(2), model.sample(2))
    one = [model.length] if model.data_kind == "tokens" else model.image_shape
    assert first.shape == (4, *one)


def share_of_the_global_draw(draw):
    """Wraps a draw so that all replicas together draw what one device would draw."""

    def wrapped(shape, *args, **kwargs):
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        shape = tf.convert_to_tensor(shape, "int32")
        if shape.shape[0] == 0:
            return draw(shape, *args, **kwargs)
        whole = draw(tf.concat([shape[:1] * replicas, shape[1:]], 0), *args, **kwargs)
        k = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.reshape(whole[k * shape[0] : (k + 1) * shape[0]], shape)

    return wrapped


def over_all_replicas(moments):
    """Wraps `tf.nn.moments`: what goes over the batch goes over the batches of all replicas."""

    def wrapped(x, axes, keepdims=False, **kwargs):
        replica = tf.distribute.get_replica_context()
        if 0 not in axes or replica.num_replicas_in_sync == 1:
            return moments(x, axes, keepdims=keepdims, **kwargs)
        mean = replica.all_reduce("mean", tf.reduce_mean(x, axes, keepdims=True))
        square = tf.reduce_mean(tf.square(x - mean), axes, keepdims=True)
        variance = replica.all_reduce("mean", square)
        return (
            (mean, variance) if keepdims else (tf.squeeze(mean, axes), tf.squeeze(variance, axes))
        )

    return wrapped


# Models without batch normalization, and settings in which no loss looks across the batch.
WITHOUT_BATCH_STATISTICS = {
    "began": {},
    "cyclegan": {},
    "gan": {},
    "progan": {"minibatch_group": 1, "stable_steps": 1},  # the second step is of the second stage
    "lapgan": {},
    "seqgan": {"mle_steps": 0, "discriminator_steps": 0, "generator_every": 1},
    # Path length takes the first half of each replica's batch.
    "stylegan2": {"minibatch_features": 0, "path_length_weight": 0.0},
}
# The others have it; their other looks across the batch are switched off.
LIKE_ONE_DEVICE = WITHOUT_BATCH_STATISTICS | {
    "improved_gan": {"reference_size": 0, "minibatch_kernels": 0, "feature_matching": None}
}
# Instance normalization of a few pixels makes steep gradients: larger steps blow up any difference.
RATES = {"cyclegan": 3e-5}


def five_steps(name, strategy, parts=1):
    """A tiny model after five steps, how far its weights moved, and its logs.

    Adam divides a gradient by its own size: where that is the noise of rounding, it makes a whole
    step of it. So plain Adam is replaced; what is compared are the gradients.
    """
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model, settings, source = new(name, **LIKE_ONE_DEVICE.get(name, {}))
        optimizers = {
            player: keras.optimizers.SGD(RATES.get(name, 1e-3))
            if type(optimizer) is tfgans.optimizers.Adam
            else optimizer
            for player, optimizer in model.optimizers.items()
        }
        model.compile(optimizers, run_eagerly=True)
        model.accumulate = parts
        before = {(i, w.name): w.numpy() for i, w in enumerate(model.weights) if w.trainable}
        dataset = training.batches(strategy, model, source, settings)
        logs = model.fit(dataset, steps_per_epoch=5, shuffle=False, verbose=0).history
    after = numbers(model)
    return model, max(np.abs(after[key] - old).max() for key, old in before.items()), logs


def numbers(model):
    return {(i, w.name): w.numpy() for i, w in enumerate(model.weights)}


@functools.cache
def on_one_device(name):
    model, moved, logs = five_steps(name, tf.distribute.OneDeviceStrategy("CPU:0"))
    assert moved > 5e-5
    return numbers(model), logs


def assert_same_training(first, second, but=None):
    (weights, logs), (other_weights, other_logs) = first, second
    for key, value in weights.items():
        if key[1] != but:
            atol = 1e-5 if key[1] == "images" else 1e-6  # fakes in a pool are made by the weights
            np.testing.assert_allclose(value, other_weights[key], 0, atol, err_msg=str(key))
    for name, value in logs.items():
        np.testing.assert_allclose(value, other_logs[name], 1e-5, atol=1e-6, err_msg=name)


@ALL
def test_two_replicas_are_one_device(name, two_replicas):
    """Five steps with the same draws end with the same weights and report the same losses.

    Batch normalization is per replica in training, as in the papers. Here its statistics are made
    those of the whole batch; then there is no other difference. One more step, in which each
    replica draws its own numbers, leaves the same weights on both.
    """
    expected, scope = on_one_device(name), random.scope
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "scope", lambda seed, step=0, replica=0: scope(seed, step, 0))
        for draw in ("normal", "uniform"):
            patch.setattr(random, draw, share_of_the_global_draw(getattr(random, draw)))
        patch.setattr(tf.nn, "moments", over_all_replicas(tf.nn.moments))
        model, _, logs = five_steps(name, two_replicas)
    assert_same_training(expected, (numbers(model), logs))
    go_on(model, tiny(name), two_replicas)


def go_on(model, settings, strategy):
    """One step more, with draws of their own; both replicas hold the same weights after it."""

    def draw():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        with random.scope(0, 1, replica):
            return model.latents(2) if makes_images_of_nothing(model) else random.normal([2])

    with strategy.scope():
        a, b = strategy.experimental_local_results(strategy.run(draw))
        assert not np.allclose(a, b)
        dataset = training.batches(strategy, model, training.resolve(settings), settings)
        model.fit(dataset, steps_per_epoch=1, shuffle=False, verbose=0)
    for weight in model.weights:
        # Moving averages of batch normalization are per replica; the first one's are saved.
        if "moving" not in weight.name:
            first, second = (v.numpy() for v in weight.value.values)
            np.testing.assert_array_equal(first, second, err_msg=weight.path)


@pytest.mark.parametrize("name", ["dcgan", "sngan"])
def test_a_compiled_step_on_two_replicas(name, two_replicas):
    with two_replicas.scope():
        model, settings, _ = new(name, eager=False)
    go_on(model, settings, two_replicas)


def test_a_step_is_traced_once_for_each_shape_and_counted_when_it_has_a_batch(monkeypatch):
    model, _, _ = new("gan", eager=False)
    traced, train_step = [], model.train_step
    monkeypatch.setattr(model, "train_step", lambda data: traced.append(data) or train_step(data))
    images = {"image": tf.zeros([24, *model.image_shape])}
    for batch_size, epochs in ((8, 3), (8, 1), (6, 1)):  # with ends of the data in between
        dataset = tf.data.Dataset.from_tensor_slices(images).batch(batch_size, drop_remainder=True)
        model.fit(dataset, epochs=epochs, shuffle=False, verbose=0)
    assert int(model.step.numpy()) == model.now == 9 + 3 + 4
    assert [data["image"].shape[0] for data in traced] == [8, 6]
    with pytest.raises(BadInput, match="drop_remainder=True"):
        model.fit(tf.data.Dataset.from_tensor_slices(images).batch(5), shuffle=False, verbose=0)


@pytest.mark.parametrize("name", WITHOUT_BATCH_STATISTICS)
def test_a_batch_in_two_parts_is_the_whole_batch(name):
    """Nothing is patched: the parts draw what the whole batch draws."""
    model, _, logs = five_steps(name, tf.distribute.OneDeviceStrategy("CPU:0"), parts=2)
    # The mean of w follows each part for itself.
    assert_same_training(on_one_device(name), (numbers(model), logs), but="w_avg")


def test_a_batch_that_cannot_be_cut_is_refused():
    model, settings, source = new("gan")
    model.accumulate = 3
    with pytest.raises(BadInput, match="8 examples .* accumulate = 3 equal parts"):
        fit(model, settings, source, steps=1)
