"""The command `tfgans`: `tfgans train stylegan2` is `python tools/train.py stylegan2`.

The wheel holds this folder as the package `tfgans_tools`, so each tool has one code for both ways.
The list of tools and `--help` of the command itself do not wait for TensorFlow.
"""

import ast
import importlib
import importlib.metadata
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent
USAGE = "Usage: tfgans TOOL ...; `tfgans TOOL --help` tells the rest."
NAMES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def main():
    """Runs the tool that the first word of the command line names; lists all tools without one."""
    name, words = (sys.argv[1] if len(sys.argv) > 1 else "--help"), sys.argv[2:]
    if name in ("-h", "--help", "help"):
        print(usage())
    elif name == "--version":
        print(f"tfgans {importlib.metadata.version('tfgans')}")
    elif name in NAMES:
        run(name, words)
    elif name == "completion":
        file("_completion").main(NAMES, words)
    else:
        sys.exit(f"There is no tool {name!r}. {USAGE}\nTools: {', '.join(NAMES)}.")


def run(name, words):
    """Runs a tool with these words, as `python tools/NAME.py` does."""
    sys.argv = [f"tfgans {name}", *words]
    tool = file(name)
    from tfgans.errors import run_tool  # after the tool has started TensorFlow

    run_tool(tool.main)


def file(name):
    """A file of this folder as Python finds it when a script of the folder runs."""
    sys.path.insert(0, str(FOLDER))
    return importlib.import_module(name)


def usage() -> str:
    """One line for each tool: the first sentence of its file."""
    lines = [f"  {name:16} {first_sentence(name)}" for name in NAMES]
    lines.append(f"  {'completion':16} Prints the script for a shell, such as bash.")
    return "\n".join([USAGE, "", *lines])


def first_sentence(name) -> str:
    """The first sentence of a tool, without the example behind its colon."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    line = ast.get_docstring(ast.parse(text)).splitlines()[0]
    return line.partition(": `")[0].rstrip(".") + "."
