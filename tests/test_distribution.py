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

from tfgans import data, models, training
from tfgans.config import Config

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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cyclegan", "gan"])
def test_two_workers_train_one_model_and_resume(name, tmp_path):
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
