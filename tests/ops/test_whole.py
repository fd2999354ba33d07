"""Functions that XLA compiles as a whole on a GPU; XLA compiles for this CPU here."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from tfgans import random
from tfgans.ops import machine
from tfgans.ops.pointwise import scale_channels

SHAPE = (3, 5)


def drawn(seed, bias):
    with random.scope(seed[0], seed[1]):
        normal, whole = random.normal(SHAPE), random.uniform(SHAPE, 0, 9, "int32")
        return normal + bias, random.uniform(SHAPE, -2.0, 2.0), whole


def no_xla(seed, bias):
    return (tf.strings.to_number(tf.strings.as_string(bias)) + tf.cast(seed[0], "float32"),)


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch):
    monkeypatch.setenv("TFGANS_MACHINE", "gpu")
    monkeypatch.setattr(machine, "MANY", 10)


def test_random_numbers_under_xla_are_those_of_tensorflow(capsys):
    many = machine.for_many(drawn, calls=10)
    for seed in range(2):  # the second one finds the compiled function
        given = np.array([seed << 20, 7]), np.float32(1.0)
        for found, wanted in zip(many(*given), drawn(*given), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-5)
    line = capsys.readouterr().out
    assert line.startswith("10 calls with one shape: XLA compiles all as one. TF_XLA_FLAGS=--")
    assert line.count("\n") == 1


def test_few_calls_and_other_machines_stay_as_they_are(monkeypatch):
    assert machine.for_many(drawn, calls=9) is drawn
    monkeypatch.setenv("TFGANS_MACHINE", "cpu")
    assert machine.for_many(drawn, calls=10) is drawn


def test_a_function_that_xla_cannot_have_stays_as_it_is_and_says_so(capsys):
    many = machine.for_many(no_xla, calls=10)
    for _ in range(2):
        assert float(many(np.array([2, 0]), np.float32(1.0))[0]) == 3.0
    said = capsys.readouterr().out
    assert said.startswith("10 calls with one shape: not compiled, XLA says: ")
    assert said.count("\n") == 1


def test_groups_are_not_compiled_again_inside_a_whole():
    x, scale = tf.ones([2, 4, 4, 3]), tf.ones([2, 3])
    whole, reason = machine.whole(scale_channels, x, scale)
    graph = tf.function(whole).get_concrete_function(x, scale).graph
    assert reason == ""
    (call,) = (op for op in graph.get_operations() if "PartitionedCall" in op.type)
    inner = graph._get_function(call.get_attr("f").name).graph
    assert not any("PartitionedCall" in op.type for op in inner.get_operations())
    assert not machine.is_whole()


def test_one_line_tells_the_machine_and_where_compiled_groups_are_kept(monkeypatch):
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    line = machine.describe()
    assert line.startswith("Machine: gpu (element-wise groups compiled). TFGANS_MACHINE=cpu|gpu|")
    assert line.endswith("=DIR keeps what XLA compiles.")
    folder = "--tf_xla_persistent_cache_directory=/tmp/xla"
    monkeypatch.setenv("TF_XLA_FLAGS", f"--tf_xla_auto_jit=0 {folder} --tf_xla_clustering_debug")
    assert machine.describe().endswith(" XLA keeps what it compiles in /tmp/xla.")
    monkeypatch.setenv("TFGANS_MACHINE", "plain")
    assert machine.describe().endswith(" overrules it.")


def test_names_of_functions_follow_from_a_text(monkeypatch):
    def names(before):
        monkeypatch.setattr(machine, "_traced", collections.Counter())
        for k in range(before):
            tf.function(lambda x, k=k: x + k).get_concrete_function(tf.ones([2]))
        for key in ("a", "b", "a"):
            with machine.numbered(key):
                yield tf.function(lambda x: x + 1.0).get_concrete_function(tf.ones([2])).name

    first, second = list(names(before=1)), list(names(before=3))
    assert first == second and len(set(first)) == 3
