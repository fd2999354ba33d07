"""Two logical CPUs, so that distribution is tested on any machine; what many tests use."""

import contextlib
import importlib.util
import io
import os
import pathlib
import runpy
import subprocess
import sys
from unittest import mock

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


TOOLS = pathlib.Path(__file__).parent.parent / "tools"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a tool as a person would, in this process and in a folder of its own."""

    def run(tool, *args):
        spec = importlib.util.spec_from_file_location(tool, TOOLS / f"{tool}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [tool, *map(str, args)])
        module.main()

    return run


@pytest.fixture(scope="session")
def tool():
    """Runs `python tools/NAME.py ...` in a folder, without the seconds that a new process takes.

    Gives what `subprocess.run` gives. What a process alone can show is tested with one.
    """

    def tool(folder, name, *args):
        output, errors, before = io.StringIO(), io.StringIO(), os.getcwd()
        command, status = [str(TOOLS / f"{name}.py"), *map(str, args)], 0
        os.chdir(folder)
        try:
            with (
                mock.patch.object(sys, "argv", command),
                contextlib.redirect_stdout(output),
                contextlib.redirect_stderr(errors),
            ):
                runpy.run_path(command[0], run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        finally:
            os.chdir(before)
        if isinstance(status, str):  # as Python ends a process
            print(status, file=errors)
            status = 1
        return subprocess.CompletedProcess(command, status, output.getvalue(), errors.getvalue())

    return tool
