"""A process ends although iterators of batches are alive and threads of TensorFlow read data."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

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
