"""Errors that are for the person who gave the input, and messages for misspelt words."""

import difflib


class BadInput(ValueError):
    """Something given by a person cannot be used: what was wanted, what came, what to do.

    The tools print it as one line; any other error keeps its traceback.
    """


def nearest(kind: str, word: str, known) -> str:
    """'No <kind> named <word>. Did you mean ...?', with the whole list where nothing is near."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"No {kind} named {word!r}. Did you mean {close[0]!r}?"
    return f"No {kind} named {word!r}. There is: {', '.join(known) or 'none'}."
