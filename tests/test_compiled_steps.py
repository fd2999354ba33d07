"""Training steps that XLA compiles as a whole, here for a CPU: same training, same errors."""

import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import new

from tfgans import memory, training
from tfgans.errors import BadInput
from tfgans.models import compiling
from tfgans.ops.checking import ensure

TESTS = pathlib.Path(__file__).parent
BEGUN = "Step {}: XLA compiles it as a whole before it runs. TF_XLA_FLAGS=--tf_xla_persistent_cache"
DONE = r"Step {} is compiled as a whole, after \d+ s\."


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
        pytest.param("wgan_gp", [0], marks=pytest.mark.thorough),  # the gradient of a gradient
        pytest.param("seqgan", [0, 1, 2], marks=pytest.mark.thorough),  # loops, and three stages
        pytest.param("progan", [0, 2, 4], marks=pytest.mark.thorough),  # each stage has its size
        pytest.param("stylegan2", [0, 1], marks=pytest.mark.thorough),  # two patterns of penalties
    ],
)
def test_it_is_the_training_of_single_operations(name, lines, monkeypatch, capsys):
    steps = max(3, lines[-1] + 1)
    model, before, logs = trained("plain", name, monkeypatch, steps)
    capsys.readouterr()
    compiled, _, found = trained("xla-first", name, monkeypatch, steps)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Step")]
    for begun, done, k in zip(said[::2], said[1::2], lines, strict=True):
        assert begun.startswith(BEGUN.format(k)) and re.fullmatch(DONE.format(k), done)
    pairs = zip(model.trainable_variables, before, strict=True)
    moved = max(abs(weight.numpy() - old).max() for weight, old in pairs)
    assert moved > 1e-5
    for weight, other in zip(model.variables, compiled.variables, strict=True):
        np.testing.assert_allclose(other, weight, 0, 1e-2 * moved, err_msg=weight.path)
    for term, values in logs.items():
        np.testing.assert_allclose(found[term], values, 1e-4, 1e-6, err_msg=term)


def test_single_operations_train_until_xla_is_ready(monkeypatch, capsys):
    monkeypatch.setenv("TFGANS_MACHINE", "xla")
    model, settings, source = new("gan", eager=False)
    single, _, _ = new("gan", eager=False)
    for one in (single, model):
        one.compile({player: keras.optimizers.SGD(1e-2, 0.9) for player in one.players()})
    single.set_weights(model.get_weights())

    def same(atol):
        others = compiling.variables_of(single)
        for group, variables in compiling.variables_of(model).items():
            for variable, other in zip(variables, others[group], strict=True):
                np.testing.assert_allclose(variable, other, 0, atol, err_msg=group + variable.path)

    batches = iter(training.batches(tf.distribute.get_strategy(), model, source, settings))
    batches = iter(tf.data.Dataset.from_tensors(next(batches)).repeat())
    step, plainly = model.make_train_function(), single.make_train_function()
    with compiling._one:  # the compiler is busy with another step
        for _ in range(2):
            step(batches)
        capsys.readouterr()
    (thread,) = (t for t in compiling.threading.enumerate() if "_rehearse" in t.name)
    thread.join()
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("TFGANS_MACHINE", "plain")
    for _ in range(2):
        plainly(batches)
    same(0)  # the copies have been trained, and nothing else
    before = [weight.numpy() for weight in model.trainable_variables]
    step(batches)
    plainly(batches)
    assert re.fullmatch(DONE.format(2), capsys.readouterr().out.strip())
    pairs = zip(model.trainable_variables, before, strict=True)
    assert any((weight.numpy() != old).any() for weight, old in pairs)
    same(1e-4)


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
    model, _, logs = trained("xla-first", "gan", monkeypatch, precision="mixed_float16")
    assert all(np.isfinite(values).all() for values in logs.values())
    moves = {player: int(o.iterations.numpy()) for player, o in model.optimizers.items()}
    assert set(moves.values()) == {3}


def test_batches_of_two_sizes_in_turns(monkeypatch, capsys):
    monkeypatch.setenv("TFGANS_MACHINE", "xla-first")
    model, _, _ = new("gan", eager=False)
    traced, train_step = [], model.train_step
    monkeypatch.setattr(model, "train_step", lambda data: traced.append(data) or train_step(data))
    for n in (8, 6, 8, 6):
        model.train_on_batch({"image": tf.zeros([n, *model.image_shape])})
    assert int(model.step.numpy()) == 4
    # Each of them once for single operations, and once for XLA.
    assert [data["image"].shape[0] for data in traced] == [8, 8, 6, 6]
    assert capsys.readouterr().out.count("XLA compiles it") == 2


def test_checks_of_values_hold(monkeypatch):
    """XLA leaves checks out."""
    monkeypatch.setenv("TFGANS_MACHINE", "xla-first")
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
    model, _, _ = trained("xla-first", "gan", monkeypatch, strategy=strategy)
    said = capsys.readouterr().out
    if strategy:
        assert said == "XLA compiles no step as a whole under a distribution strategy.\n"
    else:
        assert "Step 0 is not compiled as a whole: Detected unsupported operations" in said
    for weight, other in zip(wanted.variables, model.variables, strict=True):
        np.testing.assert_allclose(other, weight, 0, 1e-6, err_msg=weight.path)


def test_an_error_of_another_kind_is_raised(monkeypatch):
    monkeypatch.setenv("TFGANS_MACHINE", "xla-first")
    monkeypatch.setattr(tf.raw_ops, "StatefulPartitionedCall", lambda **named: 1 / 0)
    model, _, _ = new("gan", eager=False)
    with pytest.raises(ZeroDivisionError):
        model.train_on_batch({"image": tf.zeros([8, *model.image_shape])})


SCRIPT = """
import sys
sys.path.append({tests!r})
import tensorflow as tf
from tfgans.models import compiling
from tiny import new
model, _, _ = new("gan", eager=False)
if {resumed}:
    model.step.assign(5)
    tf.function(lambda: 1).get_concrete_function()
if {ends}:
    compiling._one.acquire()
for n in {sizes}:
    model.train_on_batch({{"image": tf.zeros([n, *model.image_shape])}})
if {ends}:
    compiling._one.release()
"""


def run(folder, machine, sizes, resumed=False, ends=False):
    """The output of a process, and the files in the folder where XLA keeps what it compiles."""
    code = SCRIPT.format(tests=str(TESTS), resumed=resumed, ends=ends, sizes=sizes)
    flags = {"TF_XLA_FLAGS": f"--tf_xla_persistent_cache_directory={folder}"}
    environment = os.environ | flags | {"TFGANS_MACHINE": machine}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return done.stdout, sorted(path.name for path in folder.iterdir())


@pytest.mark.thorough
def test_a_resumed_training_finds_what_was_compiled(tmp_path):
    said, files = run(tmp_path, "xla-first", [8, 6])
    assert len(files) == 2 and said.count(f"XLA keeps what it compiles in {tmp_path}.") == 2
    assert run(tmp_path, "xla-first", [6, 8], resumed=True)[1] == files
    assert len(run(tmp_path, "xla-first", [4])[1]) == 3


@pytest.mark.thorough
def test_a_process_ends_after_the_step_that_is_being_compiled(tmp_path):
    said, files = run(tmp_path, "xla", [8, 6, 4], ends=True)
    assert said.count("XLA compiles it as a whole") == 3 and "is compiled" not in said
    assert len(files) <= 1  # of three
