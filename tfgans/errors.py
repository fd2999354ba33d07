"""Errors that are for the person who gave the input, and messages for misspelt words."""

import difflib
import sys


class BadInput(ValueError):
    """Something given by a person cannot be used: what was wanted, what came, what to do.

    The tools print it as one line; any other error keeps its traceback.
    """


def run_tool(main):
    """Runs a tool; an error that is for the person, or Ctrl-C, becomes one line."""
    try:
        status = main()
    except (BadInput, OSError, FloatingPointError) as error:
        status = f"{type(error).__name__}: {error}"
    except KeyboardInterrupt:
        status = "Stopped."
    if status:
        sys.exit(status)


def nearest(kind: str, word: str, known) -> str:
    """'No <kind> named <word>. Did you mean ...?', with the whole list where nothing is near."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"No {kind} named {word!r}. Did you mean {close[0]!r}?"
    return f"No {kind} named {word!r}. There is: {', '.join(known) or 'none'}."
