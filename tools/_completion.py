"""The script that completes the words of `tfgans` in a shell: `tfgans completion bash`.

shtab writes it from the arguments of the tools. Names of configurations follow `tfgans train`, and
paths follow where a tool takes one.
"""

import argparse
import importlib

import _start  # noqa: F401
import shtab

from tfgans import config

PATHS = {"model", "path", "data", "run", "out", "root", "images"}
SHELLS = shtab.SUPPORTED_SHELLS


def main(names, words):
    """Prints the script for a shell.

    Args:
        names: The tools.
        words: The shell's name.
    """
    print(shtab.complete(whole_command(names), arguments().parse_args(words).shell))


def whole_command(names) -> argparse.ArgumentParser:
    """A parser of `tfgans` whose commands are the parsers of the tools."""
    command = argparse.ArgumentParser(prog="tfgans")
    command.add_argument("--version", action="store_true", help="print the version")
    tools = command.add_subparsers(parser_class=lambda prog, arguments, **_: arguments)
    for name in names:
        own = importlib.import_module(name).arguments()
        help = (own.description or "").partition("\n")[0]
        tools.add_parser(name, help=help, arguments=with_paths(own, name))
    tools.add_parser("completion", help="print this script", arguments=arguments())
    return command


def arguments():
    parser = argparse.ArgumentParser(prog="tfgans completion")
    parser.add_argument("shell", choices=SHELLS)
    return parser


def with_paths(parser, name):
    """The parser, with paths completed where an argument is one, and names of configurations."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                with_paths(inner, name)
        elif name == "train" and action.dest == "name":
            action.choices = sorted(config.names())
        elif action.dest in PATHS or action.metavar in ("PATH", "FILE", "DIR"):
            action.complete = shtab.FILE
    return parser
