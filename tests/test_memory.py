"""The estimate of memory: what is counted, and a real process beside it."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfgans import memory, training
from tfgans.config import Config

BENCHMARK = pathlib.Path(__file__).parent.parent / "benchmarks" / "memory.py"


def peak(function, *shapes):
    specs = [tf.TensorSpec(shape) for shape in shapes]
    graph = tf.function(function, autograph=False).get_concrete_function(*specs).graph
    return memory.peak_bytes(graph) / 4 / 1000  # in thousands of float32 numbers


def test_a_tensor_counts_from_its_making_to_its_last_use():
    def chain(x):  # each result is needed for the next one only: two at a time
        for _ in range(5):
            x = tf.sin(x)
        return tf.reduce_sum(x)

    def kept(x):  # all five are needed at the end
        found = []
        for _ in range(5):
            x = tf.sin(x)
            found.append(x)
        return tf.add_n(found)

    assert peak(chain, [1000]) == pytest.approx(2.0, abs=0.01)
    assert peak(kept, [1000]) == pytest.approx(6.0, abs=0.01)  # and their sum
    reshaped = peak(lambda x: tf.reduce_sum(tf.reshape(tf.sin(x), [10, 100])), [1000])
    assert reshaped == pytest.approx(1.0, abs=0.02)  # a reshaped tensor is the same memory


def estimate(model, settings):
    n = settings.data.batch_size
    return memory.training_memory(model, {"image": tf.TensorSpec([n, *model.image_shape])})


def test_variables_are_counted_to_the_byte():
    settings = Config.load("gan", "tiny")
    model = training.build(settings)
    numbers = sum(int(np.prod(w.shape)) for w in model.weights)
    players = sum(int(np.prod(w.shape)) for p in model.players() for w in model.weights_of(p))
    need = estimate(model, settings)
    # Weights and their velocities in float32; the step, two counts of updates: int64, two rates.
    assert need.stored == pytest.approx(4 * (numbers + players), abs=64)


def test_every_graph_of_a_training_is_counted():
    """StyleGAN2: both penalties, none, path length alone; ProGAN: a graph for each stage."""
    settings = Config.load("stylegan2", "tiny")
    model = training.build(settings)
    batch = {"image": tf.TensorSpec([4, *model.image_shape])}
    graphs = memory.training_graphs(model, batch)
    sizes = [len(graph.get_operations()) for graph in graphs]
    assert len(sizes) == 3 and sizes[0] > sizes[2] > sizes[1]
    model = training.build(Config.load("progan", "tiny"))
    batch = {"image": tf.TensorSpec([4, *model.image_shape])}
    assert len(memory.training_graphs(model, batch)) == len(model.stage_steps) + 1


def test_parts_take_less_memory():
    settings = Config.load("wgan_gp", "tiny", ["data.batch_size=32", "model.n_critic=1"])
    whole = estimate(training.build(settings), settings).step
    settings.train.accumulate = 8
    parts = estimate(training.build(settings), settings).step
    assert parts < 0.25 * whole


@pytest.mark.slow
def test_a_real_process_takes_what_was_estimated():
    spec = importlib.util.spec_from_file_location("benchmark", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    assert benchmark.estimate("dcgan-64") == pytest.approx(benchmark.measure("dcgan-64"), rel=0.2)
