"""The files around the package agree with it: versions, Pythons, commands of workflows."""

import inspect
import pathlib
import re
import subprocess

import pytest
import yaml

from tfgans import __version__
from tfgans.models import MODELS

ROOT = pathlib.Path(__file__).parents[1]
LARGEST = 6 * 2**20  # bytes; the release in saved_models has 5 MB
SETUP = (ROOT / "setup.py").read_text(encoding="utf-8")


def steps():
    """All commands of the workflows, and all Pythons that they name."""
    commands, pythons = [], set()
    for file in (ROOT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values():
            pythons |= {*job.get("strategy", {}).get("matrix", {}).get("python", [])}
            commands += [step["run"] for step in job["steps"] if "run" in step]
    return commands, pythons


def test_the_citation_has_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_workflows_try_each_supported_python():
    lowest, above = re.search(r'python_requires=">=3\.(\d+),<3\.(\d+)"', SETUP).groups()
    supported = {f"3.{k}" for k in range(int(lowest), int(above))}
    commands, pythons = steps()
    assert pythons == supported
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in commands:
        assert re.search(f"^{command.removeprefix('make ')}:", makefile, re.MULTILINE), command
    assert {"make test", "make test-rest", "make test-oldest", "make wheel"} <= {*commands}


def test_the_oldest_packages_are_those_of_setup():
    """Each requirement has its least version in tests/oldest.txt, and nothing else is there."""
    needed = SETUP.partition("install_requires=[")[2].partition("],")[0]
    least = dict(re.findall(r'"([a-z0-9]+)>=([0-9.]+)', needed))
    lines = (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert pinned.keys() == least.keys()
    for name, version in pinned.items():
        assert version == least[name] or version.startswith(f"{least[name]}."), name


@pytest.mark.parametrize("name", MODELS)
def test_each_argument_of_a_model_is_explained(name):
    """The card of a model shows its class: Args has each argument of the constructor, and no other.

    Classes of layers and networks have their arguments from the model that builds them.
    """
    cls = MODELS[name]
    parameters = inspect.signature(cls.__init__).parameters
    wanted = {word for word in parameters if word not in ("self", "kwargs")}
    section = inspect.getdoc(cls).partition("Args:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+(?:, \w+)*): ", section, re.MULTILINE)
    assert {word for words in found for word in words.split(", ")} == wanted


def test_no_large_file_is_in_the_repository():
    """A package of a browser, 77 MB, once came in by `git add`."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this is no checkout of git")
    names = [name for name in done.stdout.split("\0") if (ROOT / name).is_file()]
    assert {name for name in names if (ROOT / name).stat().st_size > LARGEST} == set()
