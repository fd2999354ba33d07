"""Two logical CPUs, so that distribution is tested on any machine; what many tests use.

`make test` runs the tests of some models: of those that cover the machinery, and of those that the
changes since `main` can touch. So it takes as long for seventy models as for thirty. `--rest` runs
what it leaves out, `--every-model` all of both, `--model NAME` all about one model. `--part 0/6`
keeps the first of six parts of that, the same models and files each time.
"""

import ast
import contextlib
import functools
import importlib.util
import io
import os
import pathlib
import runpy
import subprocess
import sys
import zlib
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow turns it off on processors without AVX-512. With it, results round alike everywhere.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

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


ROOT = pathlib.Path(__file__).parent.parent
TOOLS = ROOT / "tools"
sys.path.append(str(TOOLS))  # each tool imports tools/_start.py
# Plain, with critic batches, labels' layers, stages, levels, a pool, tokens, lazy regularization,
# players that move at once.
COVERING = {
    "gan", "wgan_gp", "sngan", "progan", "lapgan", "cyclegan", "seqgan", "stylegan2", "bigan",
}  # fmt: skip


def pytest_addoption(parser):
    parser.addoption("--every-model", action="store_true", help="the tests of all models")
    parser.addoption("--rest", action="store_true", help="what `make test` leaves out")
    parser.addoption("--model", help="the tests of one model alone")
    parser.addoption("--part", metavar="K/N", help="part K of N, from 0, of the models and files")
    parser.addoption("--extras", action="store_true", help="tests/extras, which need more packages")


def pytest_ignore_collect(collection_path, config):
    """Without --extras its packages need not be there: `make test-extras` installs them."""
    left_out = collection_path == ROOT / "tests" / "extras" and not config.getoption("--extras")
    return True if left_out else None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config, items):
    only, every = config.getoption("--model"), config.getoption("--every-model")
    rest, part = config.getoption("--rest"), config.getoption("--part") or "0/1"
    k, parts = map(int, part.split("/"))
    changed, kept, dropped = changes(), [], []
    for item in items:
        name = model_of(item)
        if name and item.path.parent.name == "contract":
            item.add_marker(pytest.mark.xdist_group(name))
        if only:
            wanted = name == only
        else:
            few = item.get_closest_marker("covering")
            quick = not item.get_closest_marker("thorough") and (
                name in {None, *(few.args if few else COVERING)}
                or bool(item.get_closest_marker("of_all_models"))
                or bool(changed & touching(name))
            )
            wanted = every or quick != rest
        here = zlib.crc32((name or item.path.stem).encode()) % parts == k
        (kept if wanted and here else dropped).append(item)
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept


def model_of(item):
    """The name of the model that a test is about; None for a test of something else."""
    if item.path.parent.name == "contract":
        given = item.callspec.params if hasattr(item, "callspec") else {}
        return given.get("name") or given.get("trained")
    if item.path.parent.name == "models":
        return item.path.stem.removeprefix("test_").removesuffix("_reference")
    return None


def pytest_collection_finish(session):
    """Groups share their fixtures on one worker; without them a suite takes twice as long."""
    if getattr(session.config.option, "loadgroup", False):
        for item in session.items:
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
                raise pytest.UsageError(
                    "This pytest-xdist forgets the groups of tests: see setup.py."
                )


def changes():
    """Files that differ from the main branch; none where there is no git or no such branch."""
    found = set()
    for command in ("diff --name-only --merge-base main", "ls-files --others --exclude-standard"):
        try:
            lines = subprocess.run(
                ["git", *command.split()], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout
        except (OSError, subprocess.CalledProcessError):
            return set()
        found |= {ROOT / line for line in lines.splitlines()}
    return found


def touching(name):
    """The files that a model is made of: its own ones and all that these import of tfgans."""
    todo = [ROOT / "tfgans" / "models" / f"{name}.py"]
    found = {ROOT / "configs" / f"{name}.yaml", ROOT / "tests" / "models" / f"test_{name}.py"}
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += imports(file)
    return found


@functools.cache
def imports(file):
    """The files of tfgans that a file imports."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "tfgans":
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.startswith("tfgans.")]
        else:
            continue
        for module in modules:
            if module == "tfgans":  # the package imports all, which no model needs
                continue
            path = ROOT.joinpath(*module.split("."))
            found += [f for f in (path.with_suffix(".py"), path / "__init__.py") if f.exists()]
    return found


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

    Gives what `subprocess.run` gives. Tests of signals, kills and workers start a process.
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
