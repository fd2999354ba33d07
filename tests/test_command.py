"""The console command `tfgans`: the tools by name, what they say of it, completion in bash."""

import ast
import importlib.metadata
import pathlib
import shutil
import subprocess
import sys

import pytest

from tfgans import errors

TOOLS = pathlib.Path(__file__).parent.parent / "tools"
NAMES = sorted(path.stem for path in TOOLS.glob("[a-z]*.py"))
TFGANS = pathlib.Path(sys.executable).with_name("tfgans")


def tfgans(*words, folder=None):
    return subprocess.run([TFGANS, *words], cwd=folder, capture_output=True, text=True)


def test_without_a_tool_it_lists_all():
    done = tfgans()
    assert done.returncode == 0 and done.stdout == tfgans("--help").stdout
    listed = [line.split()[0] for line in done.stdout.splitlines()[2:]]
    assert listed == [*NAMES, "completion"]
    assert "`" not in done.stdout.splitlines()[-2]  # no example of a command


def test_it_lists_tools_without_tensorflow():
    """A shell waits for `tfgans --help`, so no file that is read for it imports TensorFlow."""
    tree = ast.parse((TOOLS / "__init__.py").read_text(encoding="utf-8"))
    imported = {name.name for node in tree.body if isinstance(node, ast.Import)
                for name in node.names}  # fmt: skip
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_version():
    assert tfgans("--version").stdout.split() == ["tfgans", importlib.metadata.version("tfgans")]


def test_an_unknown_tool_is_refused_with_the_list():
    done = tfgans("trian")
    assert done.returncode == 1 and "no tool 'trian'" in done.stderr and "train" in done.stderr


@pytest.mark.thorough
def test_a_tool_gets_its_words_and_speaks_of_the_command(tmp_path):
    done = tfgans("sample", "no such model", folder=tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.rstrip().endswith("`tfgans train --list` names what can be trained.")
    done = tfgans("use", "--help", folder=tmp_path)
    assert done.stdout.startswith("usage: tfgans use [-h]") and "tools/" not in done.stdout


@pytest.mark.parametrize(
    "started, says, again",
    [
        ("tools/train.py", "python tools/sample.py m", "python tools/train.py 'a b'"),
        ("/home/me/tfgans/tools/use.py", "python tools/sample.py m",
         "python /home/me/tfgans/tools/use.py 'a b'"),
        ("tfgans train", "tfgans sample m", "tfgans train 'a b'"),
        ("my_script.py", "tfgans sample m", "python my_script.py 'a b'"),
    ],
)  # fmt: skip
def test_commands_are_said_as_the_user_runs_them(started, says, again, monkeypatch):
    monkeypatch.setattr(sys, "argv", [started, "a b"])
    assert errors.as_typed("To see: `tools/sample.py m`.") == f"To see: `{says}`."
    assert errors.as_typed("python tools/sample.py m") == says
    assert errors.again() == again


COMPLETE = """
source "$1"
COMP_WORDS=(tfgans "${@:2}"); COMP_CWORD=$(($# - 1))
_shtab_tfgans
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    done = tfgans("completion", "bash")
    assert done.returncode == 0 and not done.stderr, done.stderr
    path = tmp_path_factory.mktemp("completion") / "tfgans.bash"
    path.write_text(done.stdout, encoding="utf-8")
    return path


@pytest.mark.skipif(not shutil.which("bash"), reason="completes in bash")
@pytest.mark.parametrize(
    "words, wanted",
    [
        (["tr"], {"train", "translate", "train_own_small"}),
        (["train", "wgan"], {"wgan", "wgan_gp"}),
        (["train", "stylegan2-2"], {"stylegan2-256"}),
        (["train", "dcgan", "--str"], {"--strategy"}),
        (["train", "dcgan", "--strategy", "mir"], {"mirrored"}),
        (["ap"], {"app"}),
        (["app", "--p"], {"--port"}),
        (["data", "pa"], {"pack"}),
        (["data", "pack", "--sh"], {"--shards"}),
        (["sample", "a"], {"a.keras"}),
        (["completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(words, wanted, script, tmp_path):
    (tmp_path / "a.keras").touch()
    command = ["bash", "-c", COMPLETE, "bash", script, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert set(done.stdout.split()) == wanted, done.stderr


@pytest.mark.thorough
def test_an_unknown_shell_is_refused():
    done = tfgans("completion", "nu")
    assert done.returncode == 2 and "invalid choice: 'nu'" in done.stderr
