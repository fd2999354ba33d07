"""One process-wide setting: two logical CPUs, so that distribution is tested on any machine."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(autouse=True)
def known_state():
    """Each test starts from the same seed and leaves the precision policy as it was."""
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def two_replicas():
    """One for all tests: a second MirroredStrategy would number its collectives from 1 again."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
