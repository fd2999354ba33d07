"""Several devices and several machines: one process per worker, as a cluster runs it."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import data, models, training
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.layers.minibatch_stddev import MinibatchStdDev

TRAIN = pathlib.Path(__file__).parent.parent / "tools" / "train.py"


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def run_workers(cwd, *args):
    """Starts two workers of one training; returns their outputs."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    processes = []
    for index in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(TRAIN), *args],
                cwd=cwd,
                env=os.environ | {"TF_CONFIG": json.dumps(task)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    return outputs


def test_two_workers_train_one_model_and_resume(tmp_path):
    """`multiworker.py` is the long version: three models, weights, examples, kills."""
    name = "gan"
    first, second = run_workers(tmp_path, name, "--tiny", "--set", "train.steps=10")
    assert "step 10/10" in first and "step 10/10" in second
    assert "Exported" in first and "Exported" not in second
    first, second = run_workers(tmp_path, name, "--tiny")
    assert "Going on from" in first and "Going on from" in second
    run = tmp_path / "runs" / f"{name}-tiny"
    assert [int(path.stem) for path in models.snapshots(run)] == [10, 20]
    # Both printed the losses of the whole batch.
    lines = [
        out[out.index("step 20/20") :].splitlines()[0].split("left")[1] for out in (first, second)
    ]
    assert lines[0] == lines[1]
    model = keras.models.load_model(models.find(run))
    assert int(model.step.numpy()) == 20
    assert all(np.isfinite(w.numpy()).all() for w in model.weights)


def test_workers_share_each_batch():
    """The parts of two workers together are the batch of one."""
    settings = Config.load("wgan_gp", "tiny")
    source = training.resolve(settings)
    model = training.build(settings)
    whole = next(iter(data.batches(model, source, settings.data, seed=0, start=3)))["image"]
    parts = [
        next(iter(data.batches(model, source, settings.data, seed=0, start=3, shard=(k, 2))))
        for k in range(2)
    ]
    np.testing.assert_array_equal(np.concatenate([part["image"] for part in parts]), whole)


def test_replicas_get_equal_parts_in_order(two_replicas):
    settings = Config.load("gan", "tiny")
    source = training.resolve(settings)
    with two_replicas.scope():
        model = training.build(settings)
        dataset = training.batches(two_replicas, model, source, settings)
        parts = two_replicas.experimental_local_results(next(iter(dataset))["image"])
    whole = next(iter(data.batches(model, source, settings.data, seed=0)))["image"]
    assert [part.shape[0] for part in parts] == [4, 4]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_batch_that_cannot_be_shared_is_refused(two_replicas):
    settings = Config.load("gan", "tiny", ["data.batch_size=7"])
    source = training.resolve(settings)
    with two_replicas.scope():
        model = training.build(settings)
        with pytest.raises(ValueError, match="multiple of 2"):
            training.batches(two_replicas, model, source, settings)


def test_critic_batches_are_spread_over_all_replicas():
    """What `split` hands out on two halves of a batch is what it hands out on the whole."""
    model = training.build(Config.load("wgan_gp", "tiny"))
    numbers = np.arange(16).reshape(16, 1)
    whole = model.split({"image": numbers})
    halves = [model.split({"image": part}) for part in np.split(numbers, 2)]
    for k, batch in enumerate(whole):
        both = np.concatenate([half[k]["image"] for half in halves])
        np.testing.assert_array_equal(both, batch["image"])
    assert len({int(v) for batch in whole for v in batch["image"].ravel()}) == 16


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_see_each_example_once_in_each_pass(workers, tmp_path):
    """30 examples, 20 in a step: passes end in the middle of a step and of a worker's part."""
    path, numbers = tmp_path / "images.npy", np.arange(30, dtype="uint8")
    np.save(path, np.broadcast_to(numbers[:, None, None, None], [30, 16, 16, 1]))
    settings = Config.load("wgan_gp", "tiny", [f"data.path={path}", "model.n_critic=5"])
    settings.model["image_shape"] = [16, 16, 1]
    source = training.resolve(settings)
    model = training.build(settings)
    parts = [
        data.batches(model, source, settings.data, seed=0, shard=(k, workers)).take(6)
        for k in range(workers)
    ]
    seen = [[np.rint((b["image"] + 1) * 127.5)[:, 0, 0, 0] for b in part] for part in parts]
    order = np.concatenate([part for step in zip(*seen, strict=True) for part in step])
    passes = order.reshape(4, 30)
    for one in passes:
        np.testing.assert_array_equal(np.sort(one), np.arange(30))
    assert len(np.unique(passes, axis=0)) == 4  # each in an order of its own


def fit(model, dataset, steps):
    return model.fit(dataset, steps_per_epoch=steps, shuffle=False, verbose=0).history


def test_a_scope_and_a_dataset_of_ones_own_train_the_same(two_replicas):
    settings = Config.load("gan", "tiny")
    source = training.resolve(settings)
    weights = []
    for by_hand in (False, True):
        with two_replicas.scope():
            assert training.choose_strategy() is two_replicas
            model = training.build(settings)
        if by_hand:
            dataset = data.batches(model, source, settings.data, seed=0)
        else:
            dataset = training.batches(two_replicas, model, source, settings)
        fit(model, dataset, 2)
        weights.append([w.numpy() for w in model.weights])
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_reported_losses_are_means_over_replicas(two_replicas):
    settings = Config.load("gan", "tiny")

    class Numbered(models.get("gan")):
        def train_step(self, data):
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return {"replica/number": tf.cast(replica, "float32")}

    with two_replicas.scope():
        model = Numbered(**settings.model)
        model.compile()
    dataset = training.batches(two_replicas, model, training.resolve(settings), settings)
    assert fit(model, dataset, 1)["replica/number"] == [0.5]


def test_groups_of_minibatch_statistics_lie_within_a_replica(two_replicas):
    """Two replicas of 8 with groups of 4 are one device of 16 whose batch is dealt out like cards.

    On one device sample i is in group i mod M, M the number of groups.
    """
    layer = MinibatchStdDev(group=4)
    x = np.random.RandomState(0).normal(size=[16, 2, 2, 3]).astype("float32")

    def run():
        k = tf.distribute.get_replica_context().replica_id_in_sync_group
        return layer(x[8 * k : 8 * (k + 1)])

    halves = two_replicas.experimental_local_results(two_replicas.run(run))
    groups = [[8 * k + m + 2 * g for g in range(4)] for k in range(2) for m in range(2)]
    for k, half in enumerate(halves):
        for members in groups[2 * k : 2 * k + 2]:
            deviation = np.sqrt(x[members].var(axis=0) + 1e-8).mean()
            np.testing.assert_allclose(
                np.asarray(half)[np.array(members) - 8 * k, ..., -1], deviation, rtol=1e-5
            )
    dealt = np.array(groups).T.ravel()  # the first of each group, then the second, ...
    whole = layer(x[dealt]).numpy()[np.argsort(dealt)]
    np.testing.assert_allclose(np.concatenate(halves), whole, rtol=1e-6)


def task(kind, index, *others):
    cluster = {name: [f"host{i}:1" for i in range(2)] for name in ("worker", *others)}
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_one_worker_writes(monkeypatch):
    assert training.is_chief()
    for config, chief in (
        (task("worker", 0), True),
        (task("worker", 1), False),
        (task("chief", 0, "chief"), True),
        (task("worker", 0, "chief"), False),
    ):
        monkeypatch.setenv("TF_CONFIG", config)
        assert training.is_chief() is chief


def test_a_strategy_with_nothing_to_run_on_is_refused(monkeypatch, two_replicas):
    assert training.choose_strategy("mirrored").num_replicas_in_sync == 2
    with pytest.raises(BadInput, match="TF_CONFIG on each machine"):
        training.choose_strategy("multiworker")
    monkeypatch.setenv("TF_CONFIG", task("worker", 1))
    with pytest.raises(BadInput, match="worker of a cluster, and --strategy is mirrored"):
        training.choose_strategy("mirrored")
    monkeypatch.setenv("TF_CONFIG", "{'cluster': 1}")
    with pytest.raises(BadInput, match="no JSON"):
        training.choose_strategy()


def test_a_missing_tpu_gets_one_clear_line(tmp_path):
    command = [sys.executable, str(TRAIN), "gan", "--tiny", "--strategy", "tpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "--strategy tpu found no TPU named 'local'" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1, 2])
def test_each_optimizer_has_a_loss_scale_of_its_own(count, two_replicas):
    """Under float16 one player's overflow lowers its own scale and stops its own move only."""
    settings = Config.load("gan", "tiny", ["train.precision=mixed_float16"])
    strategy = two_replicas if count == 2 else tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        model = training.build(settings)
        optimizers = model.optimizers
        optimizers["generator"].dynamic_scale.assign(2.0**120)
        optimizers["discriminator"].dynamic_scale.assign(2.0**6)
        dataset = training.batches(strategy, model, training.resolve(settings), settings)
    before = {player: model.weights_of(player)[0].numpy() for player in optimizers}
    fit(model, dataset, 1)
    scales = {player: float(o.dynamic_scale.numpy()) for player, o in optimizers.items()}
    assert scales == {"generator": 2.0**119, "discriminator": 2.0**6}
    moved = {p: (model.weights_of(p)[0].numpy() != before[p]).any() for p in optimizers}
    assert moved == {"generator": False, "discriminator": True}
