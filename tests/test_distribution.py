"""Several devices and several machines: one process per worker, as a cluster runs it."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgans import data, models, storage, training
from tfgans.config import Config
from tfgans.errors import BadInput
from tfgans.layers.minibatch_stddev import MinibatchStdDev
from tfgans.strategy import choose_strategy, is_chief

TRAIN = pathlib.Path(__file__).parent.parent / "tools" / "train.py"


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start_workers(cwd, *args, second=()):
    """Starts two workers of one training; `second` are arguments of the second one alone."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    processes = []
    for index in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, str(TRAIN), *map(str, args), *(second if index else ())],
                cwd=cwd,
                env=os.environ | {"TF_CONFIG": json.dumps(task)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return processes


def outputs(processes):
    return [process.communicate(timeout=300)[0] for process in processes]


def numbered_images(path):
    """Saves 2,000 images, of which each has its number everywhere; one is no number.

    That one is met between step 10 and step 20 of a training, but not in the 200 steps after 10 in
    the order that the data take after a reload.
    """
    numbers = np.arange(2000, dtype="float32")
    pixels = np.repeat(numbers / 2000, 64).reshape(2000, 8, 8, 1)
    np.save(path, pixels)
    settings = Config.load("gan", "tiny", [f"data.path={path}", "data.value_range=[0, 1]"])
    source = training.resolve(settings)
    model = training.build(settings)

    def met(restarts, start, steps):
        model.restarts = restarts
        found = data.batches(model, source, settings.data, model.draw_seed, start).take(steps)
        return {int(x) for step in found for x in np.rint(1000 * (step["image"][:, 0, 0, 0] + 1))}

    pixels[min(met(0, 10, 10) - met(0, 0, 10) - met(1, 10, 200))] = float("nan")
    np.save(path, pixels)


@pytest.mark.thorough
def test_two_workers_train_one_model(tmp_path):
    """They go back together, begin together or not at all, and notice when one is gone.

    `multiworker.py` is the long version: three models, weights, examples, kills.
    """
    numbered_images(tmp_path / "numbers.npy")
    arguments = ["gan", "--tiny", "--data", "numbers.npy", "--set", "data.value_range=[0, 1]"]
    arguments += ["--set", "train.on_nan=reload"]
    run = tmp_path / "runs" / "gan-tiny"

    workers = start_workers(tmp_path, *arguments)
    first, second = outputs(workers)
    assert [worker.returncode for worker in workers] == [0, 0], first + second
    for output in (first, second):
        assert output.count("the loss was not finite any more: discriminator/real") == 1
        assert output.count("Restart 1 of at most 3, with other random numbers") == 1
        assert output.count("Going on from runs/gan-tiny/snapshots/00000010.keras.") == 1
    # Both printed the losses of the whole batch.
    lines = [re.search("step 20/20 .* left(.*)", output)[1] for output in (first, second)]
    assert lines[0] == lines[1]
    assert "Exported" in first and "Exported" not in second
    assert [int(path.stem) for path in storage.snapshots(run)] == [10, 20]
    model = keras.models.load_model(storage.find(run))
    assert int(model.step.numpy()) == 20 and model.restarts == 1
    assert all(np.isfinite(w.numpy()).all() for w in model.weights)

    workers = start_workers(
        tmp_path, *arguments, "--set", "train.steps=30", second=["--run", "elsewhere"]
    )
    for output, worker in zip(outputs(workers), workers, strict=True):
        assert worker.returncode != 0 and "Traceback" not in output
        assert "Refused: The workers would go on from the steps [0, 20]: they do not" in output

    workers = start_workers(tmp_path, *arguments, "--set", "train.steps=1000000")
    end = time.time() + 200
    while int(storage.snapshots(run)[-1].stem) < 40:
        assert time.time() < end and workers[0].poll() is None, "waited in vain"
        time.sleep(0.1)
    workers[1].kill()
    first, second = outputs(workers)
    for output in (first, second):
        assert "Going on from runs/gan-tiny/snapshots/00000020.keras." in output
    assert workers[0].returncode != 0 and "Traceback" not in first
    assert "WorkerLost: Another worker of the cluster has ended. Start all again" in first


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
    """`split` gives the same batches for two halves of a batch as for the whole."""
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
            assert choose_strategy() is two_replicas
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
    assert is_chief()
    for config, chief in (
        (task("worker", 0), True),
        (task("worker", 1), False),
        (task("chief", 0, "chief"), True),
        (task("worker", 0, "chief"), False),
    ):
        monkeypatch.setenv("TF_CONFIG", config)
        assert is_chief() is chief


def test_a_strategy_with_nothing_to_run_on_is_refused(monkeypatch, two_replicas):
    assert choose_strategy("mirrored").num_replicas_in_sync == 2
    with pytest.raises(BadInput, match="TF_CONFIG on each machine"):
        choose_strategy("multiworker")
    monkeypatch.setenv("TF_CONFIG", task("worker", 1))
    with pytest.raises(BadInput, match="worker of a cluster, and --strategy is mirrored"):
        choose_strategy("mirrored")
    monkeypatch.setenv("TF_CONFIG", "{'cluster': 1}")
    with pytest.raises(BadInput, match="no JSON"):
        choose_strategy()


@pytest.mark.thorough
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
