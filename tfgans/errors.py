"""Errors addressed to the user, and messages for misspelled words."""

import difflib
import sys


class BadInput(ValueError):
    """The user's input cannot be used. The message says what was wanted, what came, what to do.

    The tools print it as one line; any other error keeps its traceback.
    """

    _keras_call_info_injected = True  # Keras leaves the message of such an error as it is


def run_tool(main):
    """Runs a tool; prints an error addressed to the user, or Ctrl-C, as one line."""
    try:
        status = main()
    except (BadInput, OSError, FloatingPointError) as error:
        status = f"{type(error).__name__}: {error}"
    except KeyboardInterrupt:
        status = "Stopped."
    if status:
        sys.exit(status)


def nearest(kind: str, word: str, known) -> str:
    """Returns "No <kind> named <word>. Did you mean ...?"; lists all words if none is close."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"No {kind} named {word!r}. Did you mean {close[0]!r}?"
    return f"No {kind} named {word!r}. Known: {', '.join(known) or 'none'}."
