"""Training steps that XLA compiles as a whole, here for a CPU: same training, same errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import new

from tfgans import memory, training
from tfgans.errors import BadInput
from tfgans.ops.checking import ensure

COMPILED = "Step {}: XLA compiles it as a whole. TF_XLA_FLAGS=--tf_xla_persistent_cache_directory="


def trained(machine, name, monkeypatch, steps=3, precision="float32", strategy=None):
    """A tiny model after a few steps of its graphs; its trained weights before and after them."""
    monkeypatch.setenv("TFGANS_MACHINE", machine)
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model, settings, source = new(name, precision, eager=False)
        # Adam would make whole steps of the noise of rounding.
        model.compile({player: keras.optimizers.SGD(1e-2) for player in model.players()})
    before = [weight.numpy() for weight in model.trainable_variables]
    dataset = training.batches(strategy, model, source, settings)
    logs = model.fit(dataset, steps_per_epoch=steps, shuffle=False, verbose=0).history
    return model, before, logs


@pytest.mark.parametrize(
    "name, lines",
    [
        ("gan", [0]),
        ("wgan_gp", [0]),  # the gradient of a gradient
        pytest.param("seqgan", [0, 1, 2], marks=pytest.mark.thorough),  # loops, and three stages
        pytest.param("progan", [0, 2, 4], marks=pytest.mark.thorough),  # each stage has its size
        pytest.param("stylegan2", [0, 1], marks=pytest.mark.thorough),  # two patterns of penalties
    ],
)
def test_it_is_the_training_of_single_operations(name, lines, monkeypatch, capsys):
    steps = max(3, lines[-1] + 1)
    model, before, logs = trained("plain", name, monkeypatch, steps)
    capsys.readouterr()
    compiled, _, found = trained("xla", name, monkeypatch, steps)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Step")]
    for line, k in zip(said, lines, strict=True):
        assert line.startswith(COMPILED.format(k))
    pairs = zip(model.trainable_variables, before, strict=True)
    moved = max(abs(weight.numpy() - old).max() for weight, old in pairs)
    assert moved > 1e-5
    for weight, other in zip(model.variables, compiled.variables, strict=True):
        np.testing.assert_allclose(other, weight, 0, 1e-2 * moved, err_msg=weight.path)
    for term, values in logs.items():
        np.testing.assert_allclose(found[term], values, 1e-4, 1e-6, err_msg=term)


def test_it_is_one_call_that_xla_must_compile(monkeypatch):
    monkeypatch.setenv("TFGANS_MACHINE", "xla")
    model, _, _ = new("gan", eager=False)
    batch = {"image": tf.TensorSpec([8, *model.image_shape])}
    ((pattern, step),) = model.graphs(batch).items()
    calls = [op for op in step.graph.get_operations() if op.type == "StatefulPartitionedCall"]
    functions = step.graph.as_graph_def().library.function
    compiled = {f.signature.name for f in functions if f.attr["_XlaMustCompile"].b}
    assert [call.get_attr("f").name in compiled for call in calls] == [True]
    counted = model.graphs(batch, whole=False)[pattern]  # for estimates of the memory
    types = {op.type for op in counted.graph.get_operations()}
    assert "MatMul" in types and "StatefulPartitionedCall" not in types
    assert memory.training_memory(model, batch) == memory.memory_of(model, {pattern: counted})


def test_float16_with_its_scaled_loss(monkeypatch):
    model, _, logs = trained("xla", "gan", monkeypatch, precision="mixed_float16")
    assert all(np.isfinite(values).all() for values in logs.values())
    moves = {player: int(o.iterations.numpy()) for player, o in model.optimizers.items()}
    assert set(moves.values()) == {3}


def test_batches_of_two_sizes_in_turns(monkeypatch, capsys):
    monkeypatch.setenv("TFGANS_MACHINE", "xla")
    model, _, _ = new("gan", eager=False)
    traced, train_step = [], model.train_step
    monkeypatch.setattr(model, "train_step", lambda data: traced.append(data) or train_step(data))
    for n in (8, 6, 8, 6):
        model.train_on_batch({"image": tf.zeros([n, *model.image_shape])})
    assert int(model.step.numpy()) == 4
    assert [data["image"].shape[0] for data in traced] == [8, 6]
    assert capsys.readouterr().out.count("XLA compiles it") == 2  # each of them once


def test_checks_of_values_hold(monkeypatch):
    """XLA leaves checks out."""
    monkeypatch.setenv("TFGANS_MACHINE", "xla")
    model, _, _ = new("cgan", eager=False)
    batch = {"image": tf.zeros([8, *model.image_shape]), "label": tf.range(8) % model.num_classes}
    model.train_on_batch(batch)
    with pytest.raises(BadInput, match=rf"from 0 to {model.num_classes - 1}; .* \[?0 99"):
        model.train_on_batch(batch | {"label": tf.constant([99, 0] * 4)})
    with pytest.raises(BadInput, match=r"\[-1, 1\], or uint8 .* largest value is 200\."):
        model.train_on_batch(batch | {"image": tf.fill([8, *model.image_shape], 200.0)})


@pytest.mark.parametrize("place", ["nowhere", "under a strategy"])
def test_a_step_that_xla_cannot_have_stays_as_it_is_and_says_why(place, monkeypatch, capsys):
    wanted, _, _ = trained("plain", "gan", monkeypatch)
    strategy = tf.distribute.OneDeviceStrategy("CPU:0") if place == "under a strategy" else None
    if not strategy:
        train_step = type(wanted).train_step

        def with_text(self, data):
            ensure(tf.strings.length(tf.strings.as_string(self.step)) > 0, "A text has", self.step)
            return train_step(self, data)

        monkeypatch.setattr(type(wanted), "train_step", with_text)
    capsys.readouterr()
    model, _, _ = trained("xla", "gan", monkeypatch, strategy=strategy)
    said = capsys.readouterr().out
    reason = "a distribution strategy runs it." if strategy else "Detected unsupported operations"
    assert said.startswith("Step 0 is not compiled as a whole: ") and reason in said
    for weight, other in zip(wanted.variables, model.variables, strict=True):
        np.testing.assert_allclose(other, weight, 0, 1e-6, err_msg=weight.path)
