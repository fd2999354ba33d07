"""Errors addressed to the user, messages for misspelled words, and the numbers of a command."""

import argparse
import difflib
import math
import os
import pathlib
import re
import shlex
import sys

LISTED = 40  # known words in a message, at most
LONGEST = 200  # characters of another package's message that are shown


class BadInput(ValueError):
    """The user's input cannot be used. The message says what was wanted, what came, what to do.

    The tools print it as one line; any other error keeps its traceback.
    """

    _keras_call_info_injected = True  # Keras leaves the message of such an error as it is


def short(error) -> str:
    """The kind of another package's error and the beginning of its message, in one line."""
    words = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {words[:LONGEST]}"


def run_tool(main):
    """Runs a tool; prints an error addressed to the user, or Ctrl-C, as one line.

    Characters that the terminal cannot show are escaped: names of files may hold any.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not a stream of a test or a notebook
            stream.reconfigure(errors="backslashreplace")
    try:
        status = main()
    except (BadInput, OSError, FloatingPointError) as error:
        status = f"{type(error).__name__}: {error}"
        if isinstance(error, FileExistsError | NotADirectoryError):
            path = pathlib.Path(error.filename)
            file = next((p for p in [path, *path.parents] if p.is_file()), path)
            status = f"{file} is a file, and a folder is wanted there. Give another path."
    except KeyboardInterrupt:
        status = "Stopped."
    if status:
        sys.exit(status)


def again() -> str:
    """The command that is running, to be pasted into a shell."""
    started, *words = sys.argv
    if started.startswith("tfgans "):  # the console command and its tool
        return f"{started} {quoted(*words)}"
    return quoted("python", started, *words)


def quoted(*words) -> str:
    """Words or paths as a shell reads them, also where a name is not UTF-8."""
    return " ".join(map(_quoted, map(str, words)))


def _quoted(word):
    try:
        word.encode()
    except UnicodeEncodeError:  # the form of other bytes that bash and zsh read
        letters = [
            chr(byte) if byte < 127 and chr(byte) not in "\\'" else f"\\{byte:03o}"
            for byte in os.fsencode(word)
        ]
        return f"$'{''.join(letters)}'"
    return shlex.quote(word)


def command(name: str) -> str:
    """Begins the command of a tool as the user runs tools: by file in a checkout, else `tfgans`."""
    in_checkout = pathlib.Path(sys.argv[0]).parent.name == "tools"
    return f"python tools/{name}.py" if in_checkout else f"tfgans {name}"


def as_typed(text: str) -> str:
    """A text about tools, with their commands as the user runs tools."""
    return re.sub(r"(?:python )?tools/(\w+)\.py", lambda found: command(found[1]), text)


def whole(least: int, most: int = 2**31 - 1):
    """A type for argparse, and for other words of a user: whole numbers from `least` to `most`."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"wanted is a whole number from {least} to {most}, not {text!r:.80}."
            )
        return value

    return number


seed = whole(0, 2**32 - 1)  # the numbers from which NumPy starts its random numbers, too


def label(text: str):
    """Returns the number of a label, or its name as it is: see `labels.number`."""
    return whole(0)(text) if re.fullmatch(r"[+-]?\d+", text) else text


def finite(text: str) -> float:
    """A type for argparse: any number of float32, so neither nan nor inf."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < 3.4e38:
        raise argparse.ArgumentTypeError(f"wanted is a finite number, not {text!r:.80}.")
    return value


def plain(word: str) -> str:
    """A name without what people spell in different ways: capitals, hyphens, underscores."""
    return word.lower().replace("-", "").replace("_", "")


def nearest(kind: str, word: str, known) -> str:
    """Returns "No <kind> named <word>. Did you mean ...?"; lists words if none is close."""
    known = sorted(map(str, known))
    spelled = {plain(name): name for name in known}
    close = difflib.get_close_matches(plain(word), spelled, n=1)
    if close:
        return f"No {kind} named {word!r}. Did you mean {spelled[close[0]]!r}?"
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return f"No {kind} named {word!r}. Known: {', '.join(known[:LISTED]) or 'none'}{more}."
