"""A process ends although iterators of batches are alive and threads of TensorFlow read data."""

import collections
import queue
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny

from tfgans import training
from tfgans.data import at_exit

SLOW = """
import sys, time
import numpy as np, tensorflow as tf
from concurrent.futures import ThreadPoolExecutor
from tfgans.data import at_exit

pool = ThreadPoolExecutor()

def slow(step):
    time.sleep(0.02)
    list(pool.map(time.sleep, [0.02] * 3))
    return [np.zeros(2, "float32")]

def batch(step):
    return at_exit.call(slow, {"x": tf.TensorSpec([2])}, step)

def main():
    data = tf.data.Dataset.counter().map(batch, num_parallel_calls=2).prefetch(50)
    both = [iter(data), iter(data)]
    for iterator in both:
        next(iterator)
    print("begun", flush=True)
    END

main()
"""

GARBAGE = """
import gc, time
import keras
from tfgans import data, training
from tfgans.config import Config

settings = Config.load("gan", "tiny", ["data.path=synthetic"])
source, model = training.resolve(settings), training.build(settings)
reader = data.KINDS["images"].Reader
read = reader.read
gc.disable()  # Only the threads that read data collect garbage.

def slow(self, *args):
    time.sleep(0.3)
    gc.collect()
    return read(self, *args)

def stop(batch, logs):
    raise RuntimeError("enough")

def fit():
    batches = data.batches(model, source, settings.data, seed=0)
    after = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    try:
        model.fit(batches, steps_per_epoch=9, verbose=0, shuffle=False, callbacks=[after])
    except RuntimeError as error:
        kept = error  # a circle: the error, its traceback, this frame

reader.read = slow
fit()
print("failed", flush=True)
time.sleep(1)
"""


@pytest.mark.thorough
def test_a_process_ends_after_an_error_whose_traceback_is_garbage():
    """A thread that frees its own iterator would wait for itself."""
    done = subprocess.run(
        [sys.executable, "-c", GARBAGE], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0 and done.stdout.endswith("failed\n"), done.stderr


def test_a_training_that_ends_well_frees_its_data_at_once(two_replicas):
    """TensorFlow takes up to a minute to free data of several devices that have been read for long.

    It took it later, in the midst of another training.
    """
    settings = tiny("gan")
    source = training.resolve(settings)
    with two_replicas.scope():
        model = training.build(settings)
    batches, seen = training.batches(two_replicas, model, source, settings), []

    def look(batch, logs):
        seen.append(model._iterator)

    callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=look)]
    model.fit(batches, steps_per_epoch=2, verbose=0, shuffle=False, callbacks=callbacks)
    assert len(seen) == 2 and seen[0]() is seen[1]() is None


def test_the_data_of_a_failed_training_are_freed_in_a_thread_of_their_own(monkeypatch):
    monkeypatch.setattr(at_exit, "_held", collections.deque())
    enough, freed = threading.Event(), queue.Queue()

    class Data:
        def __del__(self):
            enough.wait(60)
            freed.put(threading.current_thread())

    for _ in range(3):
        at_exit.hold(Data())
    assert freed.empty()
    enough.set()
    assert freed.get(timeout=60) is not threading.current_thread()


@pytest.mark.thorough
@pytest.mark.parametrize("end", ["globals()['kept'] = both", "raise KeyError(both)"])
def test_a_process_ends_while_data_are_read(end):
    done = subprocess.run(
        [sys.executable, "-c", SLOW.replace("END", end)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "begun\n" and done.returncode == ("raise" in end)
    assert "cannot schedule" not in done.stderr


def test_an_error_is_raised_where_the_batch_is_taken_and_the_next_one_is_read():
    def half(step):
        if step == 1:
            raise KeyError("no such batch")
        return [np.float32(step / 2)]

    data = tf.data.Dataset.range(3).map(lambda s: at_exit.call(half, {"x": tf.TensorSpec([])}, s))
    iterator = iter(data)
    assert next(iterator)["x"].numpy() == 0
    with pytest.raises(tf.errors.InvalidArgumentError, match="KeyError.*no such batch"):
        next(iterator)
    assert next(iterator)["x"].numpy() == 1
    assert at_exit.count().numpy() == 0
