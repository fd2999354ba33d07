"""The estimate of memory: what is counted, and a real process beside it."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfgans import catalog, data, memory, models, training
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


def test_filters_are_counted_once_more():
    model = training.build(Config.load("dcgan", "tiny"))
    need = memory.training_memory(model, {"image": tf.TensorSpec([8, 16, 16, 3])})
    # 5x5, of width 8, 16x16 pixels: two of each network.
    assert need.filters == 4 * 2 * 25 * (3 * 8 + 8 * 16)
    parts = (memory.PROCESS, need.stored, int(1.3 * need.step), memory.OPERATION * need.operations)
    assert need.process == sum(parts) + need.filters


@pytest.mark.thorough
def test_every_graph_of_a_training_is_counted():
    """StyleGAN2 has three: with both penalties, with none, with path length alone."""
    model = training.build(Config.load("stylegan2", "tiny"))
    graphs = model.graphs({"image": tf.TensorSpec([4, *model.image_shape])})
    sizes = [len(step.graph.get_operations()) for step in graphs.values()]
    assert len(sizes) == 3 and sizes[0] > sizes[2] > sizes[1]


def test_each_stage_has_graphs_of_its_own():
    class Staged(models.get("gan")):
        stage_steps = (3, 5)

        def train_step(self, data):
            due = self.stage == 1 and self.due(2)
            return {"stage/due": tf.constant(10.0 * self.stage + due)}

    settings = Config.load("gan", "tiny")
    model = Staged(**settings.model)
    model.compile()
    graphs = model.graphs({"image": tf.TensorSpec([8, *model.image_shape])})
    # Once it is known that something is due every second step, there are two of each stage.
    assert len(graphs) == 1 + 2 + 2


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name, size", [("stackgan", "tiny"), ("pix2pixhd", "tiny"), ("vid2vid", "demo")]
)
def test_a_dry_run_gives_each_stage_its_data(name, size):
    """Images, maps and films have another form in each stage."""
    settings = Config.load(name, size, ["data.path=synthetic"])
    training.resolve(settings)
    model = training.build(settings)
    assert data.signature(model, 0) != data.signature(model, len(model.stage_steps))
    assert "Memory of a process on a CPU, estimated: " in catalog.describe(settings)


@pytest.mark.thorough
def test_parts_take_less_memory():
    settings = Config.load("began", "tiny", ["data.batch_size=64"])
    whole = estimate(training.build(settings), settings).step
    settings.train.accumulate = 4
    parts = estimate(training.build(settings), settings).step
    assert parts < 0.4 * whole


@pytest.mark.thorough
def test_a_real_process_takes_what_was_estimated():
    spec = importlib.util.spec_from_file_location("benchmark", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    case = "stylegan2-32"  # docs/scale.md has larger ones
    assert benchmark.estimate(case) == pytest.approx(benchmark.measure(case), rel=0.2)
