"""The machinery under a model changes no result: number format, devices, parts, export.

`make test` checks it on models that cover it, and on those that a change can touch (`conftest.py`).
"""

import functools

import exported
import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import assert_same_use, contract, fit, inputs, new, samples, tiny, use

import tfgans.optimizers
from tfgans import random, training
from tfgans.errors import BadInput
from tfgans.models import MODELS

ALL = pytest.mark.parametrize("name", MODELS)


@pytest.mark.covering("sngan", "cyclegan", "seqgan", "stylegan2")
def test_exported_model_does_the_same(trained, tmp_path):
    """`test_serving.py` loads one in a process that has no tfgans."""
    model = trained.model
    model.export(tmp_path / "1")
    loaded, found = tf.saved_model.load(str(tmp_path / "1")), {}
    for endpoint, (_, signature) in model.endpoints().items():
        made = loaded.signatures[endpoint](**inputs(signature, n=3, seed=7))
        found |= {f"{endpoint}/{name}": value.numpy() for name, value in made.items()}
    atol = contract(trained.settings.architecture, "exported_atol", 2e-6)
    assert_same_use(found, trained.use, atol)
    for endpoint, (_, signature) in model.endpoints().items():
        nothing = {
            name: value[:0] if value.shape.rank else tf.cast(name == "frames", value.dtype) * value
            for name, value in inputs(signature, n=1, seed=0).items()
        }
        if any(spec.shape.rank or spec.name == "n" for spec in signature):
            for name, value in loaded.signatures[endpoint](**nothing).items():
                assert value.shape == (0, *found[f"{endpoint}/{name}"].shape[1:])
    own = "sampling_generator" if samples(model) else "generator"
    networks = contract(trained.settings.architecture, "served", [own])
    wanted = sum(exported.served(getattr(model, network)) for network in networks)
    assert exported.stored(tmp_path / "1") == wanted


@ALL
@pytest.mark.covering("sngan", "cyclegan", "seqgan", "stylegan2")
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_stays_finite(name, precision):
    model, settings, source = new(name, precision)
    scaled = [isinstance(o, keras.optimizers.LossScaleOptimizer) for o in model.optimizers.values()]
    assert all(scaled) if precision == "mixed_float16" else not any(scaled)
    if precision == "mixed_float16":
        for optimizer in model.optimizers.values():
            optimizer.dynamic_scale.assign(2.0**6)  # near where training settles; it begins at 2^15
    logs = fit(model, settings, source, steps=sum(model.stage_steps) + 1)
    turns = model.period > 1 or len(model.choices) > 1
    if turns and any(int(o.iterations) == 0 for o in model.optimizers.values()):
        logs |= fit(model, settings, source, steps=1)  # the other player's turn
    assert all(np.isfinite(values).all() for values in logs.values())
    for made in use(model, n=2).values():
        assert made.dtype.kind != "f" or (made.dtype == np.float32 and np.isfinite(made).all())
    for optimizer in model.optimizers.values():
        assert int(optimizer.iterations) > 0  # not every move was skipped for an overflow


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


def three_steps(name, strategy, parts=1):
    """A tiny model after three steps, how far its weights moved, and its logs.

    Adam and RMSprop divide a gradient by its own size: where that is the noise of rounding, they
    make a whole step of it. So they are replaced in their plain forms; what is compared are the
    gradients.
    """
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model, settings, source = new(name, **contract(name, "like_one_device", {}))
        optimizers = {
            player: keras.optimizers.SGD(contract(name, "rate", 1e-3))
            if type(optimizer) in (tfgans.optimizers.Adam, keras.optimizers.RMSprop)
            else optimizer
            for player, optimizer in model.optimizers.items()
        }
        model.compile(optimizers, run_eagerly=True)
        model.accumulate = parts
        before = {(i, w.name): w.numpy() for i, w in enumerate(model.weights) if w.trainable}
        dataset = training.batches(strategy, model, source, settings)
        logs = model.fit(dataset, steps_per_epoch=3, shuffle=False, verbose=0).history
    after = numbers(model)
    return model, max(np.abs(after[key] - old).max() for key, old in before.items()), logs


def numbers(model):
    return {(i, w.name): w.numpy() for i, w in enumerate(model.weights)}


@functools.cache
def on_one_device(name):
    model, moved, logs = three_steps(name, tf.distribute.OneDeviceStrategy("CPU:0"))
    assert moved > 5e-5
    return numbers(model), logs, any(map(depends_on_parts, model._flatten_layers()))


def depends_on_parts(layer):
    """True for batch normalization, and for a power iteration, which moves with each part."""
    kind = type(layer).__name__
    return (
        "BatchNorm" in kind
        or kind == "SpectralNorm"
        or getattr(layer, "statistics", "instance") != "instance"
    )


def assert_same_training(name, model, logs, but=()):
    weights, expected, _ = on_one_device(name)
    loose = contract(name, "atol", {})
    for key, value in numbers(model).items():
        if key[1] not in but:
            atol = loose.get(key[1], 1e-6)
            np.testing.assert_allclose(weights[key], value, 0, atol, err_msg=str(key))
    for term, value in expected.items():
        np.testing.assert_allclose(value, logs[term], 1e-5, atol=1e-6, err_msg=term)


@ALL
@pytest.mark.covering("wgan_gp", "seqgan", "stylegan2")
def test_two_replicas_are_one_device(name, two_replicas):
    """Three steps with the same draws end with the same weights and report the same losses.

    Batch normalization is per replica in training, as in the papers. Here its statistics are made
    those of the whole batch; then there is no other difference. One more step, in which each
    replica draws its own numbers, leaves the same weights on both.
    """
    scope = random.scope
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "scope", lambda seed, step=0, replica=0: scope(seed, step, 0))
        for draw in ("normal", "uniform"):
            patch.setattr(random, draw, share_of_the_global_draw(getattr(random, draw)))
        patch.setattr(tf.nn, "moments", over_all_replicas(tf.nn.moments))
        model, _, logs = three_steps(name, two_replicas)
    assert_same_training(name, model, logs)
    go_on(model, tiny(name), two_replicas)


def go_on(model, settings, strategy):
    """One step more, with draws of their own; both replicas hold the same weights after it."""

    def draw():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        with random.scope(0, 1, replica):
            return model.latents(2) if samples(model) else random.normal([2])

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


@ALL
@pytest.mark.covering("lapgan", "cyclegan", "stylegan2")
def test_a_batch_in_two_parts_is_the_whole_batch(name):
    """Nothing is patched: the parts draw what the whole batch draws."""
    if on_one_device(name)[2]:
        pytest.skip(f"{name} has statistics of each part of a batch, or a power iteration")
    model, _, logs = three_steps(name, tf.distribute.OneDeviceStrategy("CPU:0"), parts=2)
    assert_same_training(name, model, logs, but=contract(name, "per_part", ()))


def test_a_batch_that_cannot_be_cut_is_refused():
    model, settings, source = new("gan")
    model.accumulate = 3
    with pytest.raises(BadInput, match="8 examples .* accumulate = 3 equal parts"):
        fit(model, settings, source, steps=1)
