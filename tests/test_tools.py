"""The command line of each tool: ranges of numbers, paths as they are, commands to paste."""

import ast
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfgans import errors, storage, training
from tfgans.config import Config
from tfgans.errors import BadInput

TOOLS = pathlib.Path(__file__).parent.parent / "tools"
NAMES = sorted(path.stem for path in TOOLS.glob("[a-z]*.py"))


@pytest.mark.parametrize(
    "words, option, wanted",
    [
        ("sample m -n 0", "-n", "a whole number from 1 to 2147483647, not '0'"),
        ("sample m -n -3", "-n", "not '-3'"),
        ("sample m -n 1.5", "-n", "not '1.5'"),
        ("sample m --seed -1", "--seed", "from 0 to 4294967295, not '-1'"),
        ("sample m --seed 1099511627776", "--seed", "from 0 to 4294967295"),
        ("sample m --truncation nan", "--truncation", "a finite number, not 'nan'"),
        ("sample m --label -1", "--label", "a whole number from 0 to"),
        ("walk m --frames 0", "--frames", "from 1 to 2147483647"),
        ("walk m --rate 0", "--rate", "from 1 to 100"),
        ("walk m --columns 0", "--columns", "from 1 to 2147483647"),
        ("walk m --seeds 1 -1", "--seeds", "from 0 to 4294967295"),
        ("walk m --truncation inf", "--truncation", "a finite number"),
        ("mix m --rows -1", "--rows", "from 0 to 4294967295"),
        ("mix m --columns 4294967296", "--columns", "from 0 to 4294967295"),
        ("mix m --label -1", "--label", "from 0 to 2147483647"),
        ("edit m sefa -n 0", "-n", "from 1 to 2147483647"),
        ("edit m tlgan --samples 1", "--samples", "from 2 to 2147483647"),
        ("edit m sefa --strengths 1 nan", "--strengths", "a finite number"),
        ("edit m sefa --seeds x", "--seeds", "not 'x'"),
        ("evaluate m --samples 0", "--samples", "from 1 to 2147483647"),
        ("evaluate m --seeds 0", "--seeds", "from 1 to 2147483647"),
        ("evaluate m --value-range 0 nan", "--value-range", "a finite number"),
        ("project m a.png --steps 0", "--steps", "from 1 to 2147483647"),
        ("project m a.png --label -1", "--label", "from 0 to 2147483647"),
        ("translate m a.png --seed -1", "--seed", "from 0 to 4294967295"),
        ("data pack a b --shards 0", "--shards", "from 1 to 2147483647"),
        ("data pack a b --size 0 8", "--size", "from 1 to 2147483647"),
        ("data check a --value-range -inf 1", "--value-range", ""),
        ("train_own_small --mnist a --fashion b --epochs 0", "--epochs", "from 1 to 2147483647"),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(words, option, wanted, tool, tmp_path):
    name, *arguments = words.split()
    done = tool(tmp_path, name, *arguments)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and f"argument {option}" in last and wanted in last
    assert not list(tmp_path.iterdir())


def test_seeds_of_side_by_side_walks_stay_in_range(tool, tmp_path):
    done = tool(tmp_path, "walk", "m", "--seeds", 2**32 - 1, "--columns", 2)
    assert done.returncode == 1 and "give smaller --seeds" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_no_tool_takes_a_number_without_its_range(name):
    tree = ast.parse((TOOLS / f"{name}.py").read_text(encoding="utf-8"))
    types = [word.value for node in ast.walk(tree) if isinstance(node, ast.Call)
             for word in node.keywords if word.arg == "type"]  # fmt: skip
    assert not {"int", "float"} & {node.id for node in types if isinstance(node, ast.Name)}


PATHS = ["my #1 photos", "256", "1e3", "yes", "null", "~", "a: b", "[x]", "*", "!b", "'q'", "写真"]


@pytest.mark.parametrize("path", PATHS)
def test_the_path_of_data_is_taken_as_it_is(path, tool, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "train", lambda settings, *rest: seen.append(settings))
    done = tool(tmp_path, "train", "wgan_gp", "--tiny", "--data", path, "--set", "data.path=x")
    assert [settings.data.path for settings in seen] == [path], done.stderr
    tool(tmp_path, "train", "wgan_gp", "--tiny", "--set", "data.path=x")
    assert seen[1].data.path == "x"


def test_an_empty_path_is_no_demo(tool, tmp_path):
    done = tool(tmp_path, "train", "wgan_gp", "--data", "")
    assert done.returncode == 1 and "--data is empty" in done.stderr


WORDS = ["--run", "my run", "--set", "model.image_shape=[16, 16, 3]", "--data", 'it\'s "$HOME"']


def test_the_command_to_go_on_can_be_pasted(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "train", lambda *given: False)
    done = tool(tmp_path, "train", "wgan_gp", "--tiny", *WORDS)
    said = shlex.split(done.stdout.partition("To go on: ")[2])
    assert done.returncode == 130
    assert said == ["python", str(TOOLS / "train.py"), "wgan_gp", "--tiny", *WORDS]


def test_commands_with_names_of_a_users_own_can_be_pasted(tool, tmp_path, monkeypatch):
    file = tmp_path / "my $1 cats.yaml"
    file.write_text(Config.load("wgan_gp", "tiny").to_yaml(), encoding="utf-8")
    monkeypatch.setattr(training, "train", lambda *given: True)
    monkeypatch.setattr(storage, "release", lambda model, name: f"saved_models/{name}/1")
    monkeypatch.setattr("tfgans.models.load", lambda run: training.build(Config.load(file)))
    lines = tool(tmp_path, "train", file).stdout.splitlines()
    assert shlex.split(lines[-2]) == ["python", "tools/sample.py", "my $1 cats"]
    words = shlex.split(lines[-1])
    assert words[5] == "$PWD/saved_models/my $1 cats:/models/my $1 cats"
    assert words[6:] == ["-e", "MODEL_NAME=my $1 cats", "tensorflow/serving"]
    with pytest.raises(BadInput, match=r"`tfgans convert 'my net.pkl'`"):
        storage.find("my net.pkl")


@pytest.mark.parametrize("coding", ["ascii", "cp1252"])
def test_characters_that_a_terminal_lacks_are_escaped(coding, monkeypatch):
    output, refused = (io.TextIOWrapper(io.BytesIO(), encoding=coding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", refused)

    def main():
        print("skipped 写真.png")
        print("写真.png", file=sys.stderr)
        raise BadInput("写真 is broken.")

    with pytest.raises(SystemExit, match="写真 is broken."):
        errors.run_tool(main)
    output.flush()
    assert output.buffer.getvalue() == rb"skipped \u5199\u771f.png" + b"\n"


def test_every_text_file_of_the_tools_is_utf8():
    """Elsewhere than in Linux, the encoding of a file without one is the machine's."""
    files = [*TOOLS.glob("*.py"), *(TOOLS.parent / "tfgans" / "callbacks").glob("*.py")]
    files += [TOOLS.parent / "tfgans" / f"{name}.py" for name in ("training", "use", "storage")]
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            if re.search(r"\.(read|write)_text\(|[^.\w]open\(", line) and "durable" not in line:
                assert "encoding=" in line or '"rb"' in line, f"{file.name}: {line}"


def images(folder):
    folder.mkdir()
    for k in range(4):
        noise = np.random.RandomState(k).randint(0, 256, [16, 16, 3], "uint8")
        Image.fromarray(noise).save(folder / f"{k}.png")
    (folder / "写真.png").write_bytes(b"broken")


def test_a_tool_prints_its_own_lines_only(tmp_path):
    """In a process of its own, from another folder, to a terminal that knows ASCII only."""
    images(tmp_path / "photos")
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(TOOLS / "data.py"), "check", "photos"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment)
    assert done.returncode == 1 and done.stderr == b""
    assert rb"\u5199\u771f.png" in done.stdout and len(done.stdout.splitlines()) == 4


BROKEN = """
import os, sys
os.write(2, b"a line of the library\\n")
raise ImportError("no such processor")
"""


def test_a_start_that_fails_shows_its_log(tmp_path):
    (tmp_path / "tensorflow.py").write_text(BROKEN, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(TOOLS / "train.py"), "--list"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "a line of the library" in done.stderr and "no such processor" in done.stderr


@pytest.mark.parametrize("words", [["-c", "import tfgans"], [str(TOOLS / "train.py"), "--list"]])
@pytest.mark.parametrize("given, found", [({}, "1"), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "0")])
def test_one_dnn_is_on_when_tensorflow_starts(words, given, found, tmp_path):
    """TensorFlow reads it while it is imported; a value that was given stays."""
    broken = BROKEN.replace("no such", "oneDNN {os.environ['TF_ENABLE_ONEDNN_OPTS']} no such")
    broken = broken.replace('("oneDNN', '(f"oneDNN')
    (tmp_path / "tensorflow.py").write_text(broken, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"} | given
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(TOOLS.parent)])
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and f"oneDNN {found} no such processor" in done.stderr


def test_the_page_tells_how_to_get_gradio(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)  # not installed
    with pytest.raises(BadInput, match=r'pip install "tfgans\[app\]"'):
        run("app", "stylegan2-fashion")


def test_nothing_of_the_page_is_imported_with_the_package():
    """Gradio is an extra: only tools/app.py imports `tfgans.app`, and only when it runs."""
    folders = [TOOLS, TOOLS.parent / "tfgans"]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    using = {file.name for file in files if file.parent.name != "app"
             and "tfgans.app" in file.read_text(encoding="utf-8")}  # fmt: skip
    assert using == {"app.py"}
